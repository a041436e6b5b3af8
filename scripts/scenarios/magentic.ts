import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { SuretyError } from "#protocol";

// The Magentic Marketplace data sets (Microsoft, MIT): customers who want some dishes and amenities, businesses that sell
// dishes. A customer's utility is 2·Σ wish prices − payment if one business serves every wish and amenity, else 0.

/** Prices are in cents: the data has two decimals. */
export interface Customer {
  readonly id: string;
  readonly name: string;
  readonly request: string;
  /** What the customer thinks each dish costs, in cents. */
  readonly wishes: Readonly<Record<string, number>>;
  readonly amenities: readonly string[];
}

export interface Business {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  /** List price of each dish, in cents. */
  readonly menu: Readonly<Record<string, number>>;
  readonly amenities: readonly string[];
  /** The least share of its list prices, in basis points, that the business accepts. */
  readonly minPriceBps: number;
}

export interface Market {
  readonly customers: readonly Customer[];
  readonly businesses: readonly Business[];
}

interface CustomerFile {
  id: string;
  name: string;
  request: string;
  menu_features: Record<string, number>;
  amenity_features: string[];
}
interface BusinessFile {
  id: string;
  name: string;
  description: string;
  menu_features: Record<string, number>;
  amenity_features: Record<string, boolean>;
  min_price_factor: number;
}

/** @param dir a data set: `customers/*.yaml` and `businesses/*.yaml` @throws SuretyError USAGE_SCENARIO */
export function readMarket(dir: string): Market {
  return {
    customers: readFolder<CustomerFile>(join(dir, "customers")).map((file) => ({
      id: file.id,
      name: file.name,
      request: file.request,
      wishes: inCents(file.menu_features),
      amenities: file.amenity_features,
    })),
    businesses: readFolder<BusinessFile>(join(dir, "businesses")).map((file) => ({
      id: file.id,
      name: file.name,
      description: file.description,
      menu: inCents(file.menu_features),
      amenities: Object.keys(file.amenity_features).filter((name) => file.amenity_features[name] === true),
      minPriceBps: Math.round(file.min_price_factor * 10_000),
    })),
  };
}

function readFolder<T>(dir: string): T[] {
  try {
    const names = readdirSync(dir).filter((name) => name.endsWith(".yaml"));
    return names.sort().map((name) => parse(readFileSync(join(dir, name), "utf8")) as T);
  } catch (cause) {
    throw new SuretyError("USAGE_SCENARIO", `${dir} does not hold the YAML files of a market.`, {
      values: { dir },
      next: "Name a folder with customers/*.yaml and businesses/*.yaml, such as ../shared/data/magentic/mexican_10_30.",
      cause,
    });
  }
}

function inCents(prices: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(prices).map(([name, price]) => [name, Math.round(price * 100)]));
}

/** What the business lists for all wishes together, in cents; undefined when it lacks a dish or an amenity. */
export function listPriceOf(
  business: Pick<Business, "menu" | "amenities">,
  customer: Pick<Customer, "wishes" | "amenities">,
): number | undefined {
  if (!customer.amenities.every((amenity) => business.amenities.includes(amenity))) return undefined;
  const prices = Object.keys(customer.wishes).map((wish) => business.menu[wish]);
  return prices.every((price) => price !== undefined) ? prices.reduce((sum, price) => sum + price, 0) : undefined;
}

/** The least that the business would accept, in cents, rounded up. */
export function leastPriceOf(business: Business, listPrice: number): number {
  return Math.ceil((listPrice * business.minPriceBps) / 10_000);
}

/** The customer's value of being served, in cents. */
export function valueOf(customer: Pick<Customer, "wishes">): number {
  return 2 * Object.values(customer.wishes).reduce((sum, price) => sum + price, 0);
}

/** Welfare of the customers when each buys at the cheapest list price that serves it, in cents. */
export function listPriceOptimum({ customers, businesses }: Market): number {
  return customers.reduce((sum, customer) => {
    const prices = businesses.map((b) => listPriceOf(b, customer)).filter((price) => price !== undefined);
    return prices.length === 0 ? sum : sum + Math.max(0, valueOf(customer) - Math.min(...prices));
  }, 0);
}
