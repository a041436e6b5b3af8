import type { Address } from "viem";
import { lead, type ItemId, type ItemSet } from "./items.ts";

/** What two sets of heads differ in, as ids. */
export interface Difference {
  readonly theirs: readonly ItemId[];
  /** Indexes of our heads. */
  readonly ours: readonly number[];
}

/** A log of which a peer holds what we lack. */
export interface MissingLog {
  readonly log: Address;
  readonly fromSeq: number;
}

/** What follows from a difference. */
export interface Plan {
  /** Logs that both hold, and the peer further. */
  readonly missing: readonly MissingLog[];
  /** Tags of logs that we do not know: the peer has to say which they are. */
  readonly unknown: readonly number[];
  /** Indexes of our heads of which the peer holds less, by whether it knows the log at all. */
  readonly behind: readonly number[];
  readonly untold: readonly number[];
}

/** Pure. The order is that of the session's random ids, so what a bound cuts off is another part each time. */
export function planDifference(items: ItemSet, { theirs, ours }: Difference): Plan {
  const differing = new Set(ours);
  const [missing, unknown, behind, told] = [
    [] as MissingLog[],
    new Set<number>(),
    new Set<number>(),
    new Set<number>(),
  ];
  for (const { tag, mark } of theirs) {
    // A head of ours with this tag that does not differ is another log, whose tag collides.
    const candidates = items.withTag(tag).filter((i) => differing.has(i));
    if (candidates.length === 0) unknown.add(tag);
    for (const i of candidates) {
      told.add(i);
      const { log, seq } = items.heads[i] as ItemSet["heads"][number];
      const ahead = lead(mark, items.marks[i] as number);
      if (ahead === "fork" || ahead === 0) missing.push({ log, fromSeq: seq });
      else if (ahead > 0) missing.push({ log, fromSeq: seq + 1 });
      else behind.add(i);
    }
  }
  const untold = ours.filter((i) => !told.has(i));
  return { missing, unknown: [...unknown], behind: [...behind], untold };
}
