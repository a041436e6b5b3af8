import type { AnyRow, Column, ColumnKind, Value } from "../entities.ts";
import type { BlockRef, StoredChain } from "./store.ts";

/** What SQLite holds. */
export type SqlValue = string | number | null;

export const sqlTypes: Record<ColumnKind, "TEXT" | "INTEGER"> = {
  int: "INTEGER",
  wide: "INTEGER",
  big: "TEXT",
  bytes: "TEXT",
  text: "TEXT",
  flag: "INTEGER",
};

/** A bigint as text that sorts as the number does: two digits of length, then the digits. 2^256 has 78. */
export function encodeBig(value: bigint): string {
  if (value < 0n) throw new RangeError(`a big column holds no negative number: ${value}`);
  const digits = value.toString();
  return `${String(digits.length).padStart(2, "0")}${digits}`;
}

export function encodeValue(column: Column, value: Value): SqlValue {
  if (value === null) return null;
  if (typeof value === "bigint") return column.kind === "big" ? encodeBig(value) : Number(value);
  return typeof value === "boolean" ? Number(value) : value;
}

export function decodeValue(column: Column, value: SqlValue): Value {
  if (value === null) return null;
  if (column.kind === "big") return BigInt((value as string).slice(2));
  return column.kind === "flag" ? value === 1 : value;
}

export function encodeRow(columns: Readonly<Record<string, Column>>, row: AnyRow): SqlValue[] {
  return Object.entries(columns).map(([name, column]) => encodeValue(column, row[name] as Value));
}

export function decodeRow(columns: Readonly<Record<string, Column>>, row: Readonly<Record<string, SqlValue>>): AnyRow {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column]) => [name, decodeValue(column, row[name] as SqlValue)]),
  );
}

/** The row of table `chain` as JavaScript. */
export function decodeChain(row: Readonly<Record<string, unknown>> | undefined): StoredChain | undefined {
  if (row === undefined) return undefined;
  return {
    anchor: JSON.parse(row["anchor"] as string) as BlockRef,
    checkpoint: JSON.parse(row["checkpoint"] as string) as BlockRef,
    undoFloor: row["undoFloor"] as number,
    finalized: row["finalized"] as number,
  };
}
