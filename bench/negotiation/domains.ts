import type { Side } from "#protocol";

/** Outcomes of one domain stay within what a call may name (MAX_PACKAGES). */
const MAX_OUTCOMES = 128;
const WORTH_UNIT = 1_000;

/** Two that value the same outcomes differently. */
export type Domain = readonly [client: Side, provider: Side];

/**
 * A bilateral domain of two to four issues with two to five values each. Each side weighs the issues and values their values by
 * itself, drawn evenly; what it has without a deal is drawn evenly up to `reservationShare` of its best outcome.
 */
export function drawDomain(random: () => number, reservationShare: number): Domain {
  const issues = 2 + Math.floor(random() * 3);
  let sizes = Array.from({ length: issues }, () => 2 + Math.floor(random() * 4));
  while (countOf(sizes) > MAX_OUTCOMES) sizes = sizes.map((size) => Math.max(2, size - 1));
  const side = () => drawSide(random, sizes, reservationShare);
  return [side(), side()];
}

function drawSide(random: () => number, sizes: readonly number[], reservationShare: number): Side {
  const raw = sizes.map(() => random());
  const sum = raw.reduce((total, weight) => total + weight, 0);
  const weights = raw.map((weight) => weight / sum);
  const values = sizes.map((size) => spread(Array.from({ length: size }, () => random())));
  const worths = Array.from({ length: countOf(sizes) }, (_, outcome) => {
    let rest = outcome;
    const worth = sizes.reduce((total, size, i) => {
      const value = values[i]?.[rest % size] ?? 0;
      rest = Math.floor(rest / size);
      return total + (weights[i] ?? 0) * value;
    }, 0);
    return BigInt(Math.round(worth * WORTH_UNIT));
  });
  return { worths, reservation: BigInt(Math.floor(random() * reservationShare * WORTH_UNIT)) };
}

/** The worst value of an issue is worth nothing, the best one all of it. */
function spread(values: readonly number[]): number[] {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (most === least ? 1 : (value - least) / (most - least)));
}

const countOf = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);

const gainOf = ({ worths, reservation }: Side, outcome: number): number =>
  Number((worths[outcome] ?? 0n) - reservation);

/** Product of both gains; below a reservation there is none. */
export function nashProductOf([left, right]: Domain, outcome: number | undefined): number {
  if (outcome === undefined) return 0;
  const [a, b] = [gainOf(left, outcome), gainOf(right, outcome)];
  return a < 0 || b < 0 ? 0 : a * b;
}

/** Whether no other outcome is better for one and no worse for the other. */
export function isEfficient([left, right]: Domain, outcome: number): boolean {
  return !left.worths.some((_, other) => {
    const a = gainOf(left, other) - gainOf(left, outcome);
    const b = gainOf(right, other) - gainOf(right, outcome);
    return a >= 0 && b >= 0 && a + b > 0;
  });
}
