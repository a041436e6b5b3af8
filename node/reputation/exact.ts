import { ALPHA, MAX_SHIFT, SCORE_SUM, type Lambda } from "#protocol";
import type { TopicGraph } from "./graph.ts";

// A score has 62 bits, a double 53. Scores are kept as two limbs, value = high·2^29 + low, so that every product and
// quotient of a sweep is an integer below 2^53 and doubles compute it exactly:
//   row sums W ≤ 2^24, high < 2^34, remainder·2^29 + low < 2^53, weight·quotientLow < 2^53.
// For integers x < 2^53 and W > 0, floor(x / W) in doubles is exact: the quotient's error is at most x/W·2^-53 < 1/W,
// and the true quotient is at least 1/W below the next integer.
const LIMB = 2 ** 29;
const LIMB_BITS = 29n;
const PASSED_ON = 65536 - Number(ALPHA);
/** Largest allowed multiplier, exclusive: m·p̃ then has 111 bits on chain. */
const MULTIPLIER_LIMIT = 1n << 63n;
/** Takes 2^-30 off λ, so that what rounding adds stays below S and the rest falls to dust, not out of the sum. */
const SHRINK_BITS = 30n;

/** One integer below 2^63 for each seat. */
export interface Shares {
  readonly high: Float64Array;
  readonly low: Float64Array;
}

export function createShares(length: number): Shares {
  return { high: new Float64Array(length), low: new Float64Array(length) };
}

/** ⌊x·S⌋ of real scores x in [0, 1]: scaling by powers of two is exact. */
export function sharesOf(scores: Float64Array): Shares {
  const shares = createShares(scores.length);
  for (let seat = 0; seat < scores.length; seat++) {
    const scaled = (scores[seat] as number) * 2 ** 33;
    const high = Math.floor(scaled);
    shares.high[seat] = high;
    shares.low[seat] = Math.floor((scaled - high) * LIMB);
  }
  return shares;
}

export function shareAt(shares: Shares, seat: number): bigint {
  return (BigInt(shares.high[seat] as number) << LIMB_BITS) + BigInt(shares.low[seat] as number);
}

/** Σ of all seats: limbs stay below 2^53 for up to 2^19 seats each, so they are summed in blocks. */
export function sumOf(shares: Shares): bigint {
  let sum = 0n;
  for (let start = 0; start < shares.high.length; start += 2 ** 18) {
    let high = 0;
    let low = 0;
    const end = Math.min(start + 2 ** 18, shares.high.length);
    for (let seat = start; seat < end; seat++) {
      high += shares.high[seat] as number;
      low += shares.low[seat] as number;
    }
    sum += (BigInt(high) << LIMB_BITS) + BigInt(low);
  }
  return sum;
}

/** The exact map of one topic, over scratch space that it keeps. */
export class ExactMap {
  readonly #graph: TopicGraph;
  readonly #priorSum: bigint;
  readonly #quotients: Shares;
  /** λ·p̃_j, for the λ of the last call of `useLambda`. */
  readonly #restart: Shares;

  constructor(graph: TopicGraph) {
    this.#graph = graph;
    this.#quotients = createShares(graph.seatCount);
    this.#restart = createShares(graph.seatCount);
    this.#priorSum = graph.priors.reduce((sum, prior) => sum + BigInt(prior), 0n);
  }

  /** `into` ← F⁰(scores), the part of the map without the prior. Arrays may not be the same. */
  passOn(scores: Shares, into: Shares): void {
    const { inStart, inSeats, inWeights, seatCount } = this.#graph;
    this.#divide(scores);
    const { high: quotientHigh, low: quotientLow } = this.#quotients;
    for (let seat = 0; seat < seatCount; seat++) {
      let high = 0;
      let low = 0;
      const end = inStart[seat + 1] as number;
      for (let edge = inStart[seat] as number; edge < end; edge++) {
        const client = inSeats[edge] as number;
        const weight = inWeights[edge] as number;
        const product = weight * (quotientLow[client] as number);
        const carry = Math.floor(product / LIMB);
        high += weight * (quotientHigh[client] as number) + carry;
        low += product - carry * LIMB;
      }
      const carry = Math.floor(low / LIMB);
      // (65536 - A)·high·2^29 is a multiple of 2^16: only the low limb is rounded by the shift.
      const scaled = PASSED_ON * (high + carry);
      const whole = Math.floor(scaled / 65536);
      const rest = (scaled - whole * 65536) * 2 ** 13 + Math.floor((PASSED_ON * (low - carry * LIMB)) / 65536);
      store(into, seat, whole, rest);
    }
  }

  /** `into` ← F(scores) for the λ in use. */
  apply(scores: Shares, into: Shares): void {
    this.passOn(scores, into);
    this.addRestart(into);
  }

  /** `into` ← `into` + λ·p̃. */
  addRestart(into: Shares): void {
    const { high, low } = this.#restart;
    for (let seat = 0; seat < high.length; seat++) {
      store(
        into,
        seat,
        (into.high[seat] as number) + (high[seat] as number),
        (into.low[seat] as number) + (low[seat] as number),
      );
    }
  }

  useLambda({ multiplier, shift }: Lambda): void {
    const { priors } = this.#graph;
    const { high, low } = this.#restart;
    for (let seat = 0; seat < priors.length; seat++) {
      const prior = priors[seat] as number;
      if (prior === 0) continue;
      const share = (multiplier * BigInt(prior)) >> BigInt(shift);
      high[seat] = Number(share >> LIMB_BITS);
      low[seat] = Number(share & (BigInt(LIMB) - 1n));
    }
  }

  /** λ = m/2^shift with m = ⌊(S - Σ passedOn)·2^shift / Σ p̃⌋, for the largest shift that keeps m below 2^63. */
  lambdaFor(passedOn: Shares): Lambda {
    const rest = SCORE_SUM - sumOf(passedOn);
    let shift = 0;
    while ((rest << BigInt(shift + 1)) / this.#priorSum < MULTIPLIER_LIMIT && shift < MAX_SHIFT) shift++;
    return { multiplier: (rest << BigInt(shift)) / this.#priorSum, shift };
  }

  #divide(scores: Shares): void {
    const { rowSums } = this.#graph;
    const { high, low } = this.#quotients;
    for (let seat = 0; seat < rowSums.length; seat++) {
      const rowSum = rowSums[seat] as number;
      if (rowSum === 0) continue;
      const scoreHigh = scores.high[seat] as number;
      const quotient = Math.floor(scoreHigh / rowSum);
      high[seat] = quotient;
      low[seat] = Math.floor(((scoreHigh - quotient * rowSum) * LIMB + (scores.low[seat] as number)) / rowSum);
    }
  }
}

function store(into: Shares, seat: number, high: number, low: number): void {
  const carry = Math.floor(low / LIMB);
  into.high[seat] = high + carry;
  into.low[seat] = low - carry * LIMB;
}

export function shrinkLambda({ multiplier, shift }: Lambda): Lambda {
  return { multiplier: multiplier - (multiplier >> SHRINK_BITS), shift };
}

/** `scores` ← min(scores, values), each seat. @returns how many seats fell */
export function lowerTo(scores: Shares, values: Shares): number {
  let changed = 0;
  for (let seat = 0; seat < scores.high.length; seat++) {
    const high = values.high[seat] as number;
    const low = values.low[seat] as number;
    const oldHigh = scores.high[seat] as number;
    if (high > oldHigh || (high === oldHigh && low >= (scores.low[seat] as number))) continue;
    scores.high[seat] = high;
    scores.low[seat] = low;
    changed++;
  }
  return changed;
}

/** `scores` ← values. @returns how many seats changed */
export function moveTo(scores: Shares, values: Shares): number {
  let changed = 0;
  for (let seat = 0; seat < scores.high.length; seat++) {
    if (scores.high[seat] === values.high[seat] && scores.low[seat] === values.low[seat]) continue;
    changed++;
  }
  scores.high.set(values.high);
  scores.low.set(values.low);
  return changed;
}
