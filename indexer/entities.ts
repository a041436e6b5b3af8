/**
 * Every entity that the indexer derives from the chain. This table is THE definition: the SQL tables, the row types of
 * the handlers, the GraphQL types with their filters, and the comparison of `verify` all come from it.
 */
import type { Column, ColumnKind } from "./entities/columns.ts";
import { feedbackTables } from "./entities/feedback.ts";
import { identityTables } from "./entities/identity.ts";
import { reputationTables } from "./entities/reputation.ts";
import { settlementTables } from "./entities/settlement.ts";

export type { Column, ColumnKind };

export const tables = { ...identityTables, ...feedbackTables, ...settlementTables, ...reputationTables } as const;

export type TableName = keyof typeof tables;
export const tableNames = Object.keys(tables) as TableName[];

/** Changes whenever stored rows would no longer mean the same: an older database is then rebuilt from the chain. */
export const SCHEMA_VERSION = 9;

interface ValueOfKind {
  int: number;
  wide: number;
  big: bigint;
  bytes: string;
  text: string;
  flag: boolean;
  decimal: string;
  list: string;
}
type ValueOf<C> = C extends Column
  ? ValueOfKind[C["kind"]] | (C extends { readonly isNullable: true } ? null : never)
  : never;

/** A row of one table. */
export type Row<T extends TableName> = { readonly [K in keyof (typeof tables)[T]]: ValueOf<(typeof tables)[T][K]> };

/** Indexes over several columns, for the look-ups that one column does not narrow down. */
export const compositeIndexes: readonly { readonly table: TableName; readonly columns: readonly string[] }[] = [
  { table: "scores", columns: ["candidate", "topic", "seat"] },
  { table: "scores", columns: ["agent", "topic", "epoch"] },
];

/** Begins and ends each item of a list column; no item holds it. */
const LIST_MARK = "\u001f";

/** A list column's value: an item is contained if its marked form is. */
export function joinList(items: readonly string[]): string {
  return items.map((item) => markItem(item)).join("");
}

export function splitList(value: string): string[] {
  return value === "" ? [] : value.slice(1, -1).split(LIST_MARK + LIST_MARK);
}

export function markItem(item: string): string {
  return `${LIST_MARK}${item.replaceAll(LIST_MARK, "")}${LIST_MARK}`;
}

export type Value = number | bigint | string | boolean | null;
/** A row of whatever table, where the code is generic. */
export type AnyRow = Readonly<Record<string, Value>>;

export function columnsOf(table: TableName): Readonly<Record<string, Column>> {
  return tables[table];
}
