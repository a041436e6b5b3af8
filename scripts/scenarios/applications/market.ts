import { decode, encode } from "@ipld/dag-cbor";
import type { Application, CreateApplication } from "../../../node/application.ts";
import { leastPriceOf, listPriceOf, type Business } from "../magentic.ts";

// Agents of a Magentic market: businesses that serve an order from their menu, and customers that place one.

/** Topic of all orders. */
export const MARKET_TOPIC = "restaurant_order";
/** The data is in cents; the token has six decimals. */
export const WEI_PER_CENT = 10_000n;

/** What a customer orders, as it stands in the specification. */
export interface Order {
  readonly request: string;
  /** The customer's own idea of each dish's price, in cents. */
  readonly wishes: Readonly<Record<string, number>>;
  readonly amenities: readonly string[];
}

interface Confirmation {
  readonly business: string;
  readonly dishes: readonly string[];
  readonly amenities: readonly string[];
}

export const createApplication: CreateApplication = ({ options }) => {
  const { business } = (options ?? {}) as { business?: Business };
  return business === undefined ? customerApplication : businessApplication(business);
};

const customerApplication: Application = {
  capabilities: [],
  quote: () => Promise.resolve(undefined),
  perform: () => Promise.reject(new Error("a customer serves nothing")),
  assess: (_deal, spec, deliverable) => Promise.resolve(rate(spec.input as Order, deliverable)),
};

function businessApplication(business: Business): Application {
  const dishes = Object.keys(business.menu);
  return {
    ...customerApplication,
    capabilities: [
      {
        topic: MARKET_TOPIC,
        name: business.name,
        description: `${business.description} Menu: ${dishes.join(", ")}. ${business.amenities.join(", ")}.`,
        skills: ["restaurant", "order"],
        priceWei: 0n,
      },
    ],
    quote(_call, _mechanism, spec) {
      const listPrice = listPriceOf(business, spec.input as Order);
      if (spec.topic !== MARKET_TOPIC || listPrice === undefined) return Promise.resolve(undefined);
      return Promise.resolve({ priceWei: BigInt(leastPriceOf(business, listPrice)) * WEI_PER_CENT, quality: 0n });
    },
    perform(_deal, spec) {
      const { wishes, amenities } = spec.input as Order;
      const confirmation: Confirmation = { business: business.name, dishes: Object.keys(wishes), amenities };
      return Promise.resolve(encode(confirmation));
    },
  };
}

/** An order is served whole or not at all. */
function rate({ wishes, amenities }: Order, deliverable: Uint8Array): number {
  try {
    const served = decode<Confirmation>(deliverable);
    const isWhole =
      Object.keys(wishes).every((dish) => served.dishes.includes(dish)) &&
      amenities.every((amenity) => served.amenities.includes(amenity));
    return isWhole ? 100 : -100;
  } catch {
    return -100;
  }
}
