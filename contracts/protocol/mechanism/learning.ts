import type { Agency } from "./agency.ts";

/**
 * What is known of one provider in one topic: how often each outcome followed, in whole deals' worth of evidence, each
 * deal in `EVIDENCE_UNIT` parts. Only receipts that both sides signed count.
 */
export interface Posterior {
  /** One an outcome, worst first. */
  readonly evidence: readonly bigint[];
  /** The largest price a deal in it had: what the evidence was won at. */
  readonly highestPrice: bigint;
}

/** Parts of one deal's evidence. */
export const EVIDENCE_UNIT = 1_000n;

export const createPosterior = (outcomes: number): Posterior => ({
  evidence: Array.from({ length: outcomes }, () => 0n),
  highestPrice: 0n,
});

/**
 * Adds one settled deal. A deal counts in proportion to its price against `fullPrice`, at most as one: a thousand cheap
 * deals that went well say little about a dear one (sandbagging), and no single deal says more than one does.
 */
export function observeOutcome(
  { evidence, highestPrice }: Posterior,
  outcome: number,
  price: bigint,
  fullPrice: bigint,
): Posterior {
  const capped = price < fullPrice ? price : fullPrice;
  const weight = fullPrice > 0n ? (capped * EVIDENCE_UNIT) / fullPrice : EVIDENCE_UNIT;
  return {
    evidence: evidence.map((parts, o) => (o === outcome ? parts + weight : parts)),
    highestPrice: price > highestPrice ? price : highestPrice,
  };
}

/**
 * The worst law that the evidence does not rule out with confidence 1 − errorChance, in parts of `lawUnit`: from the mean
 * law, mass moves from the best outcomes to the worst one, half the radius of the L1 ball in which the true law lies
 * (Weissman et al. 2003: √(2·ln((2^m − 2)/δ)/n)). Without evidence all mass is on the worst outcome.
 */
export function pessimisticLaw({ evidence }: Posterior, lawUnit: bigint, errorChance: number): Agency["laws"][number] {
  const total = evidence.reduce((sum, parts) => sum + parts, 0n);
  if (total === 0n) return evidence.map((_, o) => (o === 0 ? lawUnit : 0n));
  const law = evidence.map((parts) => (parts * lawUnit) / total);
  law[0] = lawUnit - law.slice(1).reduce((sum, part) => sum + part, 0n);
  let moving = moveableMass(evidence.length, Number(total) / Number(EVIDENCE_UNIT), lawUnit, errorChance);
  for (let o = law.length - 1; o > 0 && moving > 0n; o--) {
    const part = law[o] as bigint;
    const moved = part < moving ? part : moving;
    law[o] = part - moved;
    law[0] += moved;
    moving -= moved;
  }
  return law;
}

/** Whether the evidence rules a law out with confidence 1 − errorChance: it lies outside the ball around the mean law. */
export function isLawRuledOut(
  { evidence }: Posterior,
  law: readonly bigint[],
  lawUnit: bigint,
  errorChance: number,
): boolean {
  const total = evidence.reduce((sum, parts) => sum + parts, 0n);
  if (total === 0n) return false;
  const distance = evidence.reduce((sum, parts, o) => {
    const difference = parts * lawUnit - (law[o] ?? 0n) * total;
    return sum + (difference < 0n ? -difference : difference);
  }, 0n);
  return distance > 2n * total * moveableMass(law.length, Number(total) / Number(EVIDENCE_UNIT), lawUnit, errorChance);
}

/** Half the L1 radius in law units, rounded up; doubles only widen it by their last bit. */
function moveableMass(outcomes: number, deals: number, lawUnit: bigint, errorChance: number): bigint {
  if (outcomes < 2) return 0n;
  const radius = Math.sqrt((2 * Math.log((2 ** outcomes - 2) / errorChance)) / deals);
  const parts = Math.ceil((Math.min(2, radius) / 2) * 1e9);
  return (BigInt(parts) * lawUnit + 999_999_999n) / 1_000_000_000n;
}

/** Whether a price is so far above every one at which the provider was seen that its evidence says nothing. */
export const isBeyondEvidence = ({ highestPrice }: Posterior, price: bigint, priceFactor: bigint): boolean =>
  price > highestPrice * priceFactor;

/**
 * Which law a leader reckons with for a deal at a price: the pessimistic one, and beyond the largest price at which the
 * provider was ever seen, the worst.
 */
export function adoptLaw(
  posterior: Posterior,
  price: bigint,
  lawUnit: bigint,
  { errorChance, priceFactor }: { readonly errorChance: number; readonly priceFactor: bigint },
): Agency["laws"][number] {
  if (isBeyondEvidence(posterior, price, priceFactor))
    return pessimisticLaw(createPosterior(posterior.evidence.length), lawUnit, errorChance);
  return pessimisticLaw(posterior, lawUnit, errorChance);
}
