import { accept, reject, type Verdict } from "../../errors.ts";
import { compare, zero } from "../fraction.ts";
import { adoptLaw, createPosterior, isLawRuledOut, observeOutcome, type Posterior } from "../learning.ts";
import type { MechanismDocument } from "./schema.ts";
import { solveMechanism } from "./solve.ts";
import { postedPriceOf } from "./terms.ts";

/** A deal of the leader's that both sides signed and the chain has ended. */
export interface EndedDeal {
  readonly providerAgentId: bigint;
  readonly priceWei: bigint;
  readonly end: "completed" | "refunded" | "resolved" | "cancelled";
  /** −100…100; 0 = none. */
  readonly rating: number;
}

/** Of one provider the newest so many count: what a whole topic is paid is no single provider's to teach. */
export const MAX_DEALS_OF_ONE = 64;
/** More say little more: the radius falls with the root of their number. */
export const MAX_LEARNT_DEALS = 1_024;

/** What the document's outcomes have in common with how deals end; undefined = that end says nothing of the work. */
function outcomeOf({ outcomes }: MechanismDocument, { end, rating }: EndedDeal): number | undefined {
  if (end === "cancelled") return undefined;
  const settledBy = (...wanted: readonly string[]) =>
    outcomes.map((_, o) => o).filter((o) => wanted.includes(outcomes[o]?.settlement ?? ""));
  // Outcomes stand worst first: a rating below zero is the worst delivery, any other the best.
  if (end === "completed") return settledBy("complete").at(rating < 0 ? 0 : -1) ?? 0;
  if (end === "refunded") return settledBy("refund")[0] ?? 0;
  const rulings = rating < 0 ? ["ruling-client"] : rating > 0 ? ["ruling-provider"] : ["ruling-even", "split"];
  return settledBy(...rulings)[0] ?? 0;
}

/** @param deals newest first; the first MAX_LEARNT_DEALS count, and of each provider its first MAX_DEALS_OF_ONE */
export function posteriorOf(document: MechanismDocument, deals: readonly EndedDeal[]): Posterior {
  const seen = new Map<bigint, number>();
  let posterior = createPosterior(document.outcomes.length);
  for (const deal of deals.slice(0, MAX_LEARNT_DEALS)) {
    const outcome = outcomeOf(document, deal);
    const times = seen.get(deal.providerAgentId) ?? 0;
    if (outcome === undefined || times >= MAX_DEALS_OF_ONE) continue;
    seen.set(deal.providerAgentId, times + 1);
    posterior = observeOutcome(posterior, outcome, deal.priceWei, document.evidence.fullPriceWei);
  }
  return posterior;
}

/**
 * The document with its target's law and its payments as the leader's own deals bear them out: the worst law that they do not rule
 * out, where payments under it leave the leader no loss. Where there is too little to say so the stated law stands, unless the deals
 * rule it out: then no price is known at which to call. Documents that state no law, or whose `evidence.fullPriceWei` is 0, stay as
 * they are. Rejects EVIDENCE_AGAINST_RULES.
 */
export function learnMechanism(document: MechanismDocument, deals: readonly EndedDeal[]): Verdict<MechanismDocument> {
  const { agency, evidence } = document;
  const priceWei = postedPriceOf(document);
  if (agency === null || priceWei === undefined || evidence.fullPriceWei === 0n) return accept(document);
  const { actions, lawUnit, target } = agency;
  // No chance of error at all would leave the worst law possible for ever.
  const errorChance = Math.max(1, evidence.errorMillionths) / 1_000_000;
  const posterior = posteriorOf(document, deals);
  const law = adoptLaw(posterior, priceWei, lawUnit, { errorChance, priceFactor: evidence.priceFactor });
  const known = { ...agency, actions: actions.map((action, k) => (k === target ? { ...action, law } : action)) };
  const solved = solveMechanism({ ...document, agency: known }, target);
  if (solved.kind === "accept" && compare(solved.value.surplus, zero) >= 0) return accept(solved.value.document);
  const stated = actions[target]?.law ?? [];
  return isLawRuledOut(posterior, stated, lawUnit, errorChance)
    ? reject("EVIDENCE_AGAINST_RULES", `deals rule out the stated law of "${actions[target]?.name ?? target}"`)
    : accept(document);
}
