// Whom the rules let have a deal, and why not.
import { providerBondFor } from "#protocol";
import type { Blame } from "./losses.ts";
import { lower, raise } from "./losses.ts";
import { curveOf, isWorthwhile } from "./follower.ts";
import { freeOf, streams, targetAction, type Agent, type Market, type Task } from "./market-state.ts";

/** Why the honest were refused, and how many of them. */
export type Refusals = Map<Refusal, number>;

/** A ground on which the rules keep an agent from a deal, and the clauses that could let it have the deal. */
export interface Refusal {
  readonly blames: readonly Blame[];
}

export const refusals = {
  score: { blames: [lower("admission.minScore")] },
  evidence: { blames: [raise("learning.entryPrice"), raise("learning.priceFactor"), lower("learning.minClientScore")] },
  capital: {
    blames: [lower("bond.exposure"), lower("bond.factorAtZero"), lower("bond.least"), lower("bond.halfScore")],
  },
  pay: { blames: [raise("payment.good"), lower("bond.exposure"), lower("bond.factorAtZero")] },
} as const satisfies Record<string, Refusal>;

/** What the rules say of an agent for a size, until its score or its evidence changes. */
export interface Standpoint {
  readonly version: number;
  readonly refusal: Refusal | undefined;
  readonly bondWei: bigint;
}

/** By lot among those whom the rules admit; whoever is honest takes part only where it expects not to lose. */
export function pickProvider(market: Market, task: Task, part: number, taken: readonly Agent[]): Agent | undefined {
  const refused: Refusals = new Map();
  const eligible = market.providers.filter(
    (agent) => !taken.includes(agent) && isEligible(market, agent, task, refused),
  );
  if (eligible.length > 0) return eligible[market.draw(streams.pick, task.number, part, eligible.length)];
  const { scenario } = market;
  const missed = (scenario.rewardsWei[2] - targetAction(scenario).costWei * BigInt(scenario.parts)) * BigInt(task.size);
  const main = [...refused].sort((a, b) => b[1] - a[1])[0];
  if (main !== undefined) market.book.add("match", missed, ...main[0].blames);
  return undefined;
}

export function isEligible(market: Market, agent: Agent, task: Task, refused: Refusals): boolean {
  const { refusal, bondWei } = standpointOf(market, agent, task);
  const reason = refusal ?? (freeOf(market, agent) < bondWei ? refusals.capital : undefined);
  if (reason === undefined) return true;
  if (agent.isHonest) refused.set(reason, (refused.get(reason) ?? 0) + 1);
  return false;
}

export function standpointOf(market: Market, agent: Agent, { size, isTab }: Pick<Task, "size" | "isTab">): Standpoint {
  const version = market.standing.versionOf(agent.seat);
  const ofAgent = (market.standpoints[agent.seat] ??= new Map<number, Standpoint>());
  const key = size * 2 + (isTab ? 1 : 0);
  const known = ofAgent.get(key);
  if (known?.version === version) return known;
  const bondWei = isTab ? 0n : bondOf(market, market.standing.relativeScore(agent.seat), size);
  const standpoint = { version, bondWei, refusal: refusalOf(market, agent, size, isTab, bondWei) };
  ofAgent.set(key, standpoint);
  return standpoint;
}

export function refusalOf(
  market: Market,
  agent: Agent,
  size: number,
  isTab: boolean,
  bondWei: bigint,
): Refusal | undefined {
  const { rules, standing } = market;
  if (standing.relativeScore(agent.seat) < rules["admission.minScore"]) return refusals.score;
  const price = rules["payment.good"] * BigInt(size);
  const atRisk = isTab ? aheadOf(market, price) : price;
  if (atRisk > rules["learning.entryPrice"] && !isTrusted(market, agent, atRisk)) return refusals.evidence;
  return agent.isHonest && !joins(market, bondWei, size) ? refusals.pay : undefined;
}

/** On a tab the client risks what it has paid ahead. */
function aheadOf({ rules, scenario }: Market, price: bigint): bigint {
  const units = BigInt(scenario.tabs.units);
  const ahead = rules["tab.unitsPerVoucher"] < units ? rules["tab.unitsPerVoucher"] : units;
  return (price * ahead) / units;
}

/** Whether the pessimistic law of the provider's receipts leaves the client no loss at that price. */
export function isTrusted({ scenario, rules, standing }: Market, agent: Agent, priceWei: bigint): boolean {
  const law = standing.adoptedLaw(agent.seat, priceWei, rules["learning.priceFactor"]);
  const [failed, partial, good] = law as [bigint, bigint, bigint];
  const rewards = scenario.rewardsWei;
  const income = (partial * rewards[1] + good * rewards[2]) / BigInt(scenario.parts);
  const payment = partial * rules["payment.partial"] + (good + failed) * rules["payment.good"];
  return income >= payment;
}

export function bondOf(market: Market, score: bigint, size: number): bigint {
  const required = requiredBond(market, score, size);
  const least = market.rules["bond.least"] * BigInt(size);
  return required > least ? required : least;
}

export function requiredBond({ rules }: Market, score: bigint, size: number): bigint {
  // Without a curve nothing else of it is looked at: markets that differ in that alone are one (evaluate.ts).
  if (rules["bond.slashShare"] === 0n) return 0n;
  return providerBondFor(curveOf(rules), (rules["payment.good"] + rules["bond.exposure"]) * BigInt(size), score);
}

/** Individual rationality of one deal, exactly; remembered by bond and size. */
export function joins(market: Market, providerBondWei: bigint, size: number): boolean {
  const bySize = market.joining.get(size) ?? new Map<bigint, boolean>();
  market.joining.set(size, bySize);
  const known = bySize.get(providerBondWei);
  if (known !== undefined) return known;
  const isJoining = isWorthwhile(market.scenario, market.rules, { size: BigInt(size), providerBondWei });
  bySize.set(providerBondWei, isJoining);
  return isJoining;
}
