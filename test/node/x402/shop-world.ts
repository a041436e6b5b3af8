// A seller and a buyer of requests, as node.ts composes them, on the real contracts and over real HTTP.
import { bytesToHex } from "viem";
import { randomBytes } from "node:crypto";
import { signerHashOf } from "#protocol";
import type { Application } from "../../../node/application.ts";
import type { Journal } from "../../../node/journal.ts";
import { createSender } from "../../../node/chain/sender.ts";
import { Payments } from "../../../node/settlement/payments.ts";
import { createTabs, type Tabs } from "../../../node/settlement/tabs/tabs.ts";
import { openShop } from "../../../node/shop.ts";
import type { ShopConfig, ShopResource } from "../../../node/shop-config.ts";
import { createBuyer, fetchPurchase, type Buyer } from "../../../node/x402/client.ts";
import { decodePaidRequest, type PaidRequest } from "../../../node/x402/request.ts";
import type { ShopServer } from "../../../node/x402/server.ts";
import { never, type DealWorld } from "../settlement/deal-world.ts";
import { startParty, type Party } from "../settlement/party.ts";

export const PRICE = 1_000n;
export const TOPIC = "translation";
/** Seconds from the end of a review to the ruling's deadline. */
export const RULING_S = 3_000;

export interface Trader extends Party {
  readonly tabs: Tabs;
  readonly buyer: Buyer;
}

export interface Seller extends Trader {
  readonly shop: ShopServer;
  readonly url: string;
  /** Requests that were worked on. */
  readonly served: PaidRequest[];
  readonly shopFaults: unknown[];
}

type Serve = NonNullable<Application["serve"]>;

const text = (words: string) => new TextEncoder().encode(words);
export const greet: Serve = ({ url, body }) =>
  Promise.resolve(text(`bonjour ${new URL(url).searchParams.get("to") ?? new TextDecoder().decode(body)}`));

export const resource = (path: string, more: Partial<ShopResource> = {}): ShopResource => ({
  ...{ path, topic: TOPIC, description: "Greets in French", mimeType: "text/plain", priceWei: PRICE },
  ...{ by: ["deal", "tab"], bondWei: 0n, deliverWithinS: 600, reviewPeriodS: 400, ...more },
});

async function startTrader(world: DealWorld, index: number, serve: Serve, store?: Party["store"]): Promise<Trader> {
  const work = (spec: Uint8Array, signal: AbortSignal) => {
    const request = decodePaidRequest(spec);
    if (request.kind !== "accept") throw new Error(request.detail);
    return serve(request.value, signal);
  };
  const party = await startParty(world, index, {
    ...{ fetchPurchase, worker: { perform: (_deal, spec, signal) => work(spec, signal) } },
    ...(store === undefined ? {} : { store }),
  });
  const { agent, transport, settlement } = party;
  const common = { agentId: agent.agentId, signer: agent.signer, contracts: world.contracts, transport };
  const random = () => BigInt(bytesToHex(randomBytes(32)));
  const tabs = createTabs({
    ...{ ...common, store: party.store, chain: world.tabChainOf(agent), random },
    work: {
      priceOf: () => undefined,
      answer: () => Promise.reject(new Error("over HTTP alone")),
      answerPrepaid: (_tab, spec, signal) => work(spec, signal),
      rate: () => Promise.resolve(50),
    },
    agentOf: (address, signal) => world.identity.agentOfSigner(signerHashOf(address), signal),
    onFault: (fault) => void party.faults.push(fault),
  });
  await tabs.start();
  const buyer = createBuyer({
    ...{ ...common, token: world.token.address, arbiters: [], settlement, tabs, random },
    ...{ chainTime: world.chainTime, nowMs: () => Date.now() },
  });
  const stop = async () => {
    await tabs.stop();
    await party.stop();
  };
  return { ...party, tabs, buyer, stop };
}

export const startBuyer = (world: DealWorld): Promise<Trader> => startTrader(world, 0, greet);

export interface SellerOptions {
  readonly serve?: Serve;
  readonly resources?: readonly ShopResource[];
  readonly arbiter?: ShopConfig["arbiter"];
  readonly store?: Party["store"];
}

export async function startSeller(world: DealWorld, options: SellerOptions = {}): Promise<Seller> {
  const { serve = greet, resources = [resource("/greet")], arbiter, store } = options;
  const [served, shopFaults]: [PaidRequest[], unknown[]] = [[], []];
  const counted: Serve = (request, signal) => {
    served.push(request);
    return serve(request, signal);
  };
  const trader = await startTrader(world, 1, counted, store);
  const { agent, transport, settlement, tabs } = trader;
  const journal: Journal = { note: () => undefined, fault: (_stage, fault) => void shopFaults.push(fault) };
  const { client, heads, deployment, contracts, chainTime } = world;
  const sender = createSender({ client, heads, signer: agent.signer });
  const shop = await openShop(
    {
      config: { host: "127.0.0.1", port: 0, publicOrigin: undefined, resources, arbiter, rulingWithinS: RULING_S },
      ...{ transport, settlement, tabs },
      ...{ agentId: agent.agentId, signer: agent.signer, client, deployment, contracts, chainTime, journal },
      application: { serve: counted } as unknown as Application,
      payments: new Payments(client, sender),
    },
    never,
  );
  sender.stop();
  const stop = async () => {
    await shop.stop();
    await trader.stop();
  };
  return { ...trader, shop, url: `${shop.url}/greet?to=world`, served, shopFaults, stop };
}
