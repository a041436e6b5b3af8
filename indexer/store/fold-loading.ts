import type { AnyRow, TableName } from "../entities.ts";
import { foldEvent } from "../handlers/fold.ts";
import type { EventPlace } from "../handlers/row-change.ts";
import type { DecodedEvent } from "../handlers/decode.ts";
import { RowBuffer } from "./row-buffer.ts";

/** One event, and where it stands. */
export interface PlacedEvent {
  readonly event: DecodedEvent;
  readonly place: EventPlace;
}

export interface RowKey {
  readonly table: TableName;
  readonly id: string;
}

/** Reads rows of a database over a network; those that do not exist are left out. */
export type LoadRows = (keys: readonly RowKey[]) => Promise<readonly (RowKey & { readonly row: AnyRow })[]>;

/** A fold asked for a row that is not here yet. */
class RowNeeded extends Error {}

/**
 * Folds events whose rows are far away. Folds are pure and ask for rows one after the other: they run over what is loaded,
 * each is left at the first row that is not, all those rows are loaded at once, and everything is folded again from the
 * start, until nothing is missing. Rounds are as many as the longest chain of rows that one event follows, not as events.
 */
export async function foldLoading(events: readonly PlacedEvent[], load: LoadRows): Promise<RowBuffer> {
  const loaded = new Map<string, AnyRow | undefined>();
  for (;;) {
    const needed = new Map<string, RowKey>();
    const rows = new RowBuffer((table, id) => {
      const key = `${table}/${id}`;
      if (loaded.has(key)) return loaded.get(key);
      needed.set(key, { table, id });
      throw new RowNeeded();
    });
    for (const one of events) foldOrLeave(one, rows);
    if (needed.size === 0) return rows;
    for (const key of needed.keys()) loaded.set(key, undefined);
    for (const { table, id, row } of await load([...needed.values()])) loaded.set(`${table}/${id}`, row);
  }
}

function foldOrLeave({ event, place }: PlacedEvent, rows: RowBuffer): void {
  try {
    for (const change of foldEvent(event, place, rows)) rows.put(change);
  } catch (error) {
    if (!(error instanceof RowNeeded)) throw error;
  }
}
