import {
  columnsOf,
  tableNames,
  type AnyRow,
  type Column,
  type ColumnKind,
  type TableName,
  type Value,
} from "../entities.ts";
import { indexesOf, type Dialect, type SqlParameter } from "./sql.ts";
import type { BlockRef, HeardWord } from "./store.ts";

/** Text compares by its bytes, as in SQLite and as ids are meant to. */
const TEXT = 'text COLLATE "C"';

const types: Record<ColumnKind, string> = {
  int: "integer",
  wide: "bigint",
  big: "numeric(78, 0)",
  bytes: TEXT,
  text: TEXT,
  flag: "boolean",
  decimal: "numeric(75, 18)",
  list: TEXT,
};

export const postgresDialect: Dialect = {
  placeholder: (position) => `$${position}`,
  encode: encodeParameter,
  // A null is typed by nothing: it still is bound, and compared in a way that holds for null only.
  equals: (column, bound, isNull) =>
    isNull ? `(${column} IS NULL AND ${bound}::text IS NULL)` : `${column} = ${bound}`,
  differs: (column, bound) => `${column} IS DISTINCT FROM ${bound}`,
  position: (text, part) => `strpos(${text}, ${part})`,
  lower: (text) => `lower(${text} COLLATE "C")`,
  order: (column, direction) => `${column} ${direction} NULLS ${direction === "ASC" ? "FIRST" : "LAST"}`,
  ...{ isTrue: "TRUE", isFalse: "FALSE" },
  former: (table, condition) =>
    `SELECT was.* FROM undo AS past CROSS JOIN LATERAL json_populate_record(NULL::"${table}", past.previous) AS was WHERE ${condition}`,
};

/** Statements that create every table in the current schema. */
export function postgresSchema(): string[] {
  return [
    `CREATE TABLE identity (one integer PRIMARY KEY CHECK (one = 1), text ${TEXT})`,
    `CREATE TABLE chain (one integer PRIMARY KEY CHECK (one = 1), anchor text, checkpoint text, "undoFloor" integer, finalized integer)`,
    `CREATE TABLE writer (one integer PRIMARY KEY CHECK (one = 1), sync text NOT NULL, head text, "headAt" timestamptz, "isFailing" boolean, trouble text, "staleAfterMs" integer, reorgs integer NOT NULL, "undoneBlocks" integer NOT NULL, rebuilds integer NOT NULL)`,
    `CREATE TABLE blocks (number integer PRIMARY KEY, hash text, "parentHash" text, timestamp bigint)`,
    `CREATE TABLE events (block integer, "logIndex" integer, "blockHash" text, timestamp bigint, "txHash" text, address text, topics text, payload text, PRIMARY KEY (block, "logIndex"))`,
    `CREATE TABLE undo (block integer, "tableName" text, id ${TEXT}, previous json, PRIMARY KEY ("tableName", id, block))`,
    "CREATE INDEX undo_block ON undo (block)",
    `CREATE INDEX undo_table ON undo ("tableName", block)`,
    ...tableNames.flatMap(entityStatements),
  ];
}

function entityStatements(table: TableName): string[] {
  const columns = columnsOf(table);
  const definitions = Object.entries(columns).map(([name, column]) => {
    const constraint = name === "id" ? " PRIMARY KEY" : "";
    return `"${name}" ${types[column.kind]}${constraint}${column.isNullable ? "" : " NOT NULL"}`;
  });
  return [
    `CREATE TABLE "${table}" (${definitions.join(", ")})`,
    ...indexesOf(table).map(
      (names) => `CREATE INDEX "${table}_${names.join("_")}" ON "${table}" ${indexOn(columns, names)}`,
    ),
  ];
}

/** A B-tree takes no entry over 2,704 bytes, and a stranger writes texts as long as a transaction: those are hashed. */
function indexOn(columns: Readonly<Record<string, Column>>, names: readonly string[]): string {
  const [first] = names.map((name) => columns[name]);
  const isFreeText = names.length === 1 && first?.kind === "text" && first.refersTo === undefined;
  const list = names.map((name) => `"${name}"${isFreeText ? "" : " NULLS FIRST"}`).join(", ");
  return isFreeText ? `USING hash (${list})` : `(${list})`;
}

export function encodeParameter(_column: Column, value: Value): SqlParameter {
  return typeof value === "bigint" ? value.toString() : value;
}

/** What PostgreSQL gives for a column, as JavaScript: bigint and numeric columns come as text. */
export function decodeParameter({ kind }: Column, value: unknown): Value {
  if (value === null || value === undefined) return null;
  switch (kind) {
    case "big":
      return BigInt(value as string);
    case "wide":
    case "int":
      return Number(value);
    case "decimal":
      return (value as string).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
    default:
      return value as Value;
  }
}

/** The row of table `writer`, with its age. */
export const WRITER_SQL = `SELECT *, extract(epoch FROM clock_timestamp() - "headAt") * 1000 AS "headAgeMs" FROM writer`;

export function decodeWriter(record: Readonly<Record<string, unknown>>): HeardWord {
  const { head, headAgeMs, trouble } = record;
  return {
    ...(record as unknown as HeardWord),
    head: typeof head === "string" ? (JSON.parse(head) as BlockRef) : undefined,
    headAgeMs: headAgeMs === null ? undefined : Number(headAgeMs),
    trouble: typeof trouble === "string" ? trouble : undefined,
    staleAfterMs: Number(record["staleAfterMs"] ?? 0),
  };
}

/** A row of table `blocks`. */
export function decodeBlock(record: Readonly<Record<string, unknown>>): BlockRef {
  return { ...(record as unknown as BlockRef), timestamp: Number(record["timestamp"]) };
}

export function decodeRecord(table: TableName, record: Readonly<Record<string, unknown>>): AnyRow {
  const columns = Object.entries(columnsOf(table));
  return Object.fromEntries(columns.map(([name, column]) => [name, decodeParameter(column, record[name])]));
}

/** A row as the JSON that json_populate_recordset reads. */
export function encodeRecord(table: TableName, row: AnyRow): Record<string, SqlParameter> {
  const columns = Object.entries(columnsOf(table));
  return Object.fromEntries(columns.map(([name, column]) => [name, encodeParameter(column, row[name] as Value)]));
}

/** Writes records over the rows of the same ids. */
export function upsertSql(table: TableName): string {
  const names = Object.keys(columnsOf(table)).filter((name) => name !== "id");
  const changes = names.map((name) => `"${name}" = excluded."${name}"`).join(", ");
  return `INSERT INTO "${table}" SELECT * FROM json_populate_recordset(NULL::"${table}", $1) ON CONFLICT (id) DO UPDATE SET ${changes}`;
}
