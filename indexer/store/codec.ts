import { formatUnits, type Hex } from "viem";
import type { AnyRow, Column, ColumnKind, Value } from "../entities.ts";
import type { BlockRef, StoredChain, StoredEvent } from "./store.ts";

/** What SQLite holds. */
export type SqlValue = string | number | null;

export const sqlTypes: Record<ColumnKind, "TEXT" | "INTEGER"> = {
  int: "INTEGER",
  wide: "INTEGER",
  big: "TEXT",
  bytes: "TEXT",
  text: "TEXT",
  flag: "INTEGER",
  decimal: "TEXT",
  list: "TEXT",
};

/** Above every 18-decimal value of a feedback, ±1e56: what lifts them all above zero. */
const DECIMAL_OFFSET = 1n << 192n;
const DECIMALS = 18;

/** A bigint as text that sorts as the number does: two digits of length, then the digits. 2^256 has 78. */
export function encodeBig(value: bigint): string {
  if (value < 0n) throw new RangeError(`a big column holds no negative number: ${value}`);
  const digits = value.toString();
  return `${String(digits.length).padStart(2, "0")}${digits}`;
}

/** A decimal fraction as text that sorts as the number does. @throws RangeError where it is none of at most 18 places */
export function encodeDecimal(value: string): string {
  const [, sign, whole, places = ""] = /^(-?)(\d{1,57})(?:\.(\d{1,18}))?$/.exec(value) ?? [];
  if (whole === undefined) throw new RangeError(`a decimal column holds no ${value}`);
  const wad = BigInt(whole + places.padEnd(DECIMALS, "0"));
  return encodeBig(DECIMAL_OFFSET + (sign === "-" ? -wad : wad));
}

function decodeDecimal(text: string): string {
  return formatUnits(BigInt(text.slice(2)) - DECIMAL_OFFSET, DECIMALS);
}

export function encodeValue(column: Column, value: Value): SqlValue {
  if (value === null) return null;
  if (column.kind === "decimal") return encodeDecimal(value as string);
  if (typeof value === "bigint") return column.kind === "big" ? encodeBig(value) : Number(value);
  return typeof value === "boolean" ? Number(value) : value;
}

export function decodeValue(column: Column, value: SqlValue): Value {
  if (value === null) return null;
  if (column.kind === "big") return BigInt((value as string).slice(2));
  if (column.kind === "decimal") return decodeDecimal(value as string);
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

/** What encodeRow gave. */
export function decodeValues(columns: Readonly<Record<string, Column>>, values: readonly SqlValue[]): AnyRow {
  return Object.fromEntries(
    Object.entries(columns).map(([name, column], k) => [name, decodeValue(column, values[k] as SqlValue)]),
  );
}

/** A row of table `events`. */
export function decodeEvent(row: Readonly<Record<string, unknown>>): StoredEvent {
  const text = (name: string) => row[name] as Hex;
  return {
    ...{
      blockNumber: row["block"] as number,
      logIndex: row["logIndex"] as number,
      timestamp: Number(row["timestamp"]),
    },
    ...{ blockHash: text("blockHash"), transactionHash: text("txHash"), address: text("address") },
    ...{ topics: text("topics").split(",") as Hex[], payload: text("payload") },
  };
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
