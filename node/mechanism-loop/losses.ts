import type { ClausePath, Direction } from "./clauses.ts";

/** A step of the deal's, the tab's or the market's machine at which honest money was lost. */
export type LossStep =
  "admission" | "match" | "open" | "refund" | "complete" | "release" | "settle" | "rule" | "voucher" | "close";

/** A clause that let a loss through, and where it would have to go. */
export interface Blame {
  readonly clause: ClausePath;
  readonly direction: Direction;
}

/** One object a blame, so that books can count by identity. */
const blames: Readonly<Record<Direction, Map<ClausePath, Blame>>> = { raise: new Map(), lower: new Map() };

function blameOf(clause: ClausePath, direction: Direction): Blame {
  const known = blames[direction].get(clause);
  if (known !== undefined) return known;
  const blame = { clause, direction };
  blames[direction].set(clause, blame);
  return blame;
}

export const raise = (clause: ClausePath): Blame => blameOf(clause, "raise");
export const lower = (clause: ClausePath): Blame => blameOf(clause, "lower");

/** What one clause let through at one step, over a whole run. */
export interface LossEntry extends Blame {
  readonly step: LossStep;
  readonly lossWei: bigint;
  readonly count: number;
}

/** Losses of one run by (step, clause, direction). A loss is booked on every clause that could have prevented it. */
export class LossBook {
  readonly #steps = new Map<LossStep, Map<Blame, { lossWei: bigint; count: number }>>();

  /** @param blames as `raise` and `lower` give them */
  add(step: LossStep, lossWei: bigint, ...blamed: readonly Blame[]): void {
    if (lossWei <= 0n) return;
    const entries = this.#steps.get(step) ?? new Map<Blame, { lossWei: bigint; count: number }>();
    this.#steps.set(step, entries);
    for (const blame of blamed) {
      const entry = entries.get(blame);
      if (entry === undefined) entries.set(blame, { lossWei, count: 1 });
      else {
        entry.lossWei += lossWei;
        entry.count++;
      }
    }
  }

  /** Largest first; ties by name, so that the order is the same everywhere. */
  entries(): readonly LossEntry[] {
    return [...this.#steps]
      .flatMap(([step, entries]) => [...entries].map(([blame, sums]) => ({ step, ...blame, ...sums })))
      .sort(byLoss);
  }
}

function byLoss(a: LossEntry, b: LossEntry): number {
  if (a.lossWei !== b.lossWei) return a.lossWei > b.lossWei ? -1 : 1;
  return `${a.clause} ${a.direction} ${a.step}` < `${b.clause} ${b.direction} ${b.step}` ? -1 : 1;
}

/** The entries of two runs as those of one. */
export function mergeLosses(first: readonly LossEntry[], second: readonly LossEntry[]): readonly LossEntry[] {
  const merged = new Map<string, LossEntry>();
  for (const entry of [...first, ...second]) {
    const key = `${entry.step} ${entry.direction} ${entry.clause}`;
    const known = merged.get(key);
    const sums = known && { lossWei: known.lossWei + entry.lossWei, count: known.count + entry.count };
    merged.set(key, { ...entry, ...sums });
  }
  return [...merged.values()].sort(byLoss);
}
