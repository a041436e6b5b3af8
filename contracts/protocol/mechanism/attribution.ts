import { add, divide, fraction, subtract, zero, type Fraction } from "./fraction.ts";

/** 2^16 worths are read once each; beyond it, sample. */
export const MAX_EXACT_PLAYERS = 16;

/**
 * Each player's Shapley value (1953): its mean marginal worth over all orders of arrival, exactly. `worthOf` takes the
 * set as bits and is called once for each set. Worth comes from signed receipts only; who claims what does not count.
 *
 * @throws RangeError beyond MAX_EXACT_PLAYERS
 */
export function attributeExactly(players: number, worthOf: (coalition: number) => bigint): readonly Fraction[] {
  if (players > MAX_EXACT_PLAYERS) throw new RangeError(`${players} players, at most ${MAX_EXACT_PLAYERS}`);
  const worths = Array.from({ length: 2 ** players }, (_, coalition) => worthOf(coalition));
  const factorials = [1n];
  for (let k = 1; k <= players; k++) factorials.push((factorials[k - 1] as bigint) * BigInt(k));
  return Array.from({ length: players }, (_, player) => {
    const marginals = Array.from({ length: players }, () => 0n);
    for (let coalition = 0; coalition < worths.length; coalition++) {
      if ((coalition & (1 << player)) !== 0) continue;
      const size = countBits(coalition);
      const gain = (worths[coalition | (1 << player)] as bigint) - (worths[coalition] as bigint);
      marginals[size] = (marginals[size] as bigint) + gain;
    }
    const weighted = marginals.reduce(
      (sum, gain, size) => sum + gain * (factorials[size] as bigint) * (factorials[players - 1 - size] as bigint),
      0n,
    );
    return fraction(weighted, factorials[players]);
  });
}

function countBits(set: number): number {
  let count = 0;
  for (let rest = set; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Where all are needed, or any one suffices, the worth is shared equally. */
export function attributeSymmetrically(players: number, worth: bigint): readonly Fraction[] {
  return Array.from({ length: players }, () => fraction(worth, BigInt(players)));
}

/**
 * The airport game (Littlechild, Owen 1973): a coalition costs what its most demanding member needs. Each stretch is
 * shared by those who need it. Any number of players, O(n log n).
 */
export function attributeAirport(needs: readonly bigint[]): readonly Fraction[] {
  const order = needs.map((_, i) => i).sort((a, b) => ((needs[a] as bigint) < (needs[b] as bigint) ? -1 : 1));
  const shares = needs.map(() => zero);
  let [paid, running] = [0n, zero];
  for (const [rank, player] of order.entries()) {
    const need = needs[player] as bigint;
    running = add(running, fraction(need - paid, BigInt(needs.length - rank)));
    shares[player] = running;
    paid = need;
  }
  return shares;
}

/** An estimate of Shapley values, and how far off it may be. */
export interface SampledAttribution {
  readonly values: readonly Fraction[];
  /** With probability at least 1 − `errorChance` for all players together, no value is further off (Hoeffding 1963). */
  readonly halfWidth: number;
}

/**
 * The mean marginal worth over `samples` orders of arrival drawn by `random`, a seeded source of whole numbers below a
 * bound. `range` is the largest difference between two marginal worths of one player.
 */
export function attributeBySampling(
  players: number,
  worthOf: (coalition: ReadonlySet<number>) => bigint,
  {
    samples,
    range,
    errorChance,
    random,
  }: {
    readonly samples: number;
    readonly range: bigint;
    readonly errorChance: number;
    readonly random: (bound: number) => number;
  },
): SampledAttribution {
  const sums = Array.from({ length: players }, () => 0n);
  for (let sample = 0; sample < samples; sample++) {
    const coalition = new Set<number>();
    let worth = worthOf(coalition);
    for (const player of shuffle(players, random)) {
      coalition.add(player);
      const next = worthOf(coalition);
      sums[player] = (sums[player] as bigint) + next - worth;
      worth = next;
    }
  }
  const halfWidth = Number(range) * Math.sqrt(Math.log((2 * players) / errorChance) / (2 * samples));
  return { values: sums.map((sum) => fraction(sum, BigInt(samples))), halfWidth };
}

function shuffle(size: number, random: (bound: number) => number): number[] {
  const order = Array.from({ length: size }, (_, i) => i);
  for (let i = size - 1; i > 0; i--) {
    const j = random(i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

/**
 * Shares as whole units that sum to the total exactly: floors, then one more unit for the largest remainders, ties to
 * the lower index. Negative values get nothing; a total over no positive value goes to nobody.
 */
export function divideByShares(total: bigint, values: readonly Fraction[]): readonly bigint[] {
  const positive = values.map((value) => (value.numerator > 0n ? value : zero));
  const sum = positive.reduce(add, zero);
  if (sum.numerator === 0n) return values.map(() => 0n);
  const exact = positive.map((value) => divide(fraction(total * value.numerator, value.denominator), sum));
  const floors = exact.map(({ numerator, denominator }) => numerator / denominator);
  let left = total - floors.reduce((a, b) => a + b, 0n);
  const byRemainder = exact
    .map((value, i) => ({ i, rest: subtract(value, fraction(floors[i] as bigint)) }))
    .sort((a, b) => {
      const difference = a.rest.numerator * b.rest.denominator - b.rest.numerator * a.rest.denominator;
      return difference > 0n ? -1 : difference < 0n ? 1 : a.i - b.i;
    });
  const shares = [...floors];
  for (const { i } of byRemainder) {
    if (left === 0n) break;
    shares[i] = (shares[i] as bigint) + 1n;
    left -= 1n;
  }
  return shares;
}
