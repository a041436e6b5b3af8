import { basename, extname, join } from "node:path";
import { MARKET_TOPIC, WEI_PER_CENT, type Order } from "./applications/market.ts";
import { listPriceOf, listPriceOptimum, readMarket, valueOf, type Customer, type Market } from "./magentic.ts";
import type { Scenario, ScenarioAgent, ScenarioTask } from "./scenario.ts";

const module = join(import.meta.dirname, `applications/market${extname(import.meta.filename)}`);

const TOKEN = 1_000_000n;
const PURSE = 1_000n * TOKEN;
const PUBLISHER_STAKE = 500n * TOKEN;
const STAKE = 10n * TOKEN;
const SUBMIT_WITHIN_S = 180;
/** The businesses whose menus match best. When 10 customers called all 30 at once on two cores, one of ten orders settled. */
const MAX_INVITED = 8;
/** Room for those handshakes; when everybody has answered, the bidding ends early. */
const BIDDING_MS = 30_000;
/** Agents that share a process: enough processes to be a network, few enough for two cores. */
const AGENTS_PER_PROCESS = 8;

/**
 * A Magentic market as agents: every request is announced, matched, negotiated and settled. A customer never pays more
 * than the cheapest list price that serves it: list prices are public, and buying at one is its alternative.
 */
export function marketScenario(dir: string): Scenario {
  const market = readMarket(dir);
  const optimumCents = listPriceOptimum(market);
  const agents = agentsOf(market);
  return {
    name: basename(dir),
    topics: [MARKET_TOPIC],
    agents,
    rounds: [market.customers.map((customer) => taskOf(market, customer))],
    summarize(outcomes) {
      const served = outcomes.filter(({ state, rating = 0 }) => state === "settled" && rating > 0);
      const welfareCents = served.reduce((sum, { task, priceWei = 0n }) => {
        const { wishes } = task.spec.input as Order;
        return sum + valueOf({ wishes }) - Number(priceWei) / Number(WEI_PER_CENT);
      }, 0);
      return {
        welfare: Math.round(welfareCents) / 100,
        listPriceOptimum: optimumCents / 100,
        completed: `${served.length} of ${market.customers.length}`,
      };
    },
  };
}

function agentsOf({ customers, businesses }: Market): ScenarioAgent[] {
  const members = [
    ...businesses.map((business) => ({ name: business.id, options: { business }, isCustomer: false })),
    ...customers.map((customer) => ({ name: customer.id, options: {}, isCustomer: true })),
  ];
  return members.map(({ name, options, isCustomer }, index) => ({
    name,
    process: Math.floor(index / AGENTS_PER_PROCESS),
    application: { module, options },
    roles: index === 0 ? ["publisher"] : index === AGENTS_PER_PROCESS ? ["watcher"] : [],
    tokens: isCustomer ? PURSE : 0n,
    stake: index === 0 ? PUBLISHER_STAKE : STAKE,
  }));
}

function taskOf({ businesses }: Market, customer: Customer): ScenarioTask {
  const { request, wishes, amenities } = customer;
  const prices = businesses.map((b) => listPriceOf(b, customer)).filter((price) => price !== undefined);
  const input: Order = { request, wishes, amenities };
  return {
    by: customer.id,
    spec: { topic: MARKET_TOPIC, title: `Order of ${customer.name}`, input },
    query: `${request} ${Object.keys(wishes).join(", ")} ${amenities.join(", ")}`,
    reservePriceWei: BigInt(prices.length === 0 ? valueOf(customer) : Math.min(...prices)) * WEI_PER_CENT,
    valuePerQuality: 0n,
    submitWithinS: SUBMIT_WITHIN_S,
    maxInvited: MAX_INVITED,
    biddingMs: BIDDING_MS,
    minScore: 0,
  };
}
