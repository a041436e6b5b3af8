import type { AnyRow, Row, TableName } from "../entities.ts";

/** What a fold reads: the rows as they stand before the event. */
export interface RowReader {
  get<T extends TableName>(table: T, id: string): Row<T> | undefined;
}

/** One row as it stands after an event. Rows are never deleted by an event, only by its undoing. */
export interface RowChange {
  readonly table: TableName;
  readonly row: AnyRow & { readonly id: string };
}

export function put<T extends TableName>(table: T, row: Row<T>): RowChange {
  return { table, row: isStorable(row) ? row : makeStorable(row) };
}

/** PostgreSQL holds no NUL, SQLite no lone surrogate: a stranger's text with one would end either indexer, or differ between them. */
function isStorable(row: AnyRow): boolean {
  for (const name in row) {
    const value = row[name];
    if (typeof value === "string" && (value.includes("\0") || !value.isWellFormed())) return false;
  }
  return true;
}

function makeStorable<R extends AnyRow>(row: R): R {
  const entries = Object.entries(row).map(([name, value]) => [
    name,
    typeof value === "string" ? value.toWellFormed().replaceAll("\0", "\ufffd") : value,
  ]);
  return Object.fromEntries(entries) as R;
}

/** Where on the chain an event stands. */
export interface EventPlace {
  readonly chainId: number;
  readonly blockNumber: number;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly transaction: string;
  readonly logIndex: number;
}

/** id of an agent as agent0's subgraph has it. */
export function agentKey(place: Pick<EventPlace, "chainId">, agentId: bigint | number): string {
  return `${place.chainId}:${agentId}`;
}
