import type { Result } from "./report.ts";

/** Committed figures by id. Gas is exact, so that any rise is a change of the code. */
export type Snapshot = Readonly<Record<string, number>>;

export function snapshotOf(results: readonly Result[]): Snapshot {
  return Object.fromEntries(results.flatMap(({ id, value }) => (value === null ? [] : [[id, value] as const])));
}

export interface Comparison {
  /** Figures that rose, vanished, or have no committed value. */
  readonly problems: readonly string[];
  readonly falls: readonly string[];
}

/** Compares a run with the committed snapshot. */
export function compare(committed: Snapshot, current: Snapshot): Comparison {
  const problems: string[] = [];
  const falls: string[] = [];
  for (const id of new Set([...Object.keys(committed), ...Object.keys(current)])) {
    const [before, now] = [committed[id], current[id]];
    if (before === undefined) problems.push(`${id} is ${now} and not in the snapshot`);
    else if (now === undefined) problems.push(`${id} was ${before} and is measured no more`);
    else if (now > before) problems.push(`${id} rose from ${before} to ${now}`);
    else if (now < before) falls.push(`${id} fell from ${before} to ${now}`);
  }
  return { problems, falls };
}
