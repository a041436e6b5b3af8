import { SuretyError } from "#protocol";
import { columnsOf, compositeIndexes, tableNames, type TableName, type Value } from "../entities.ts";
import { encodeValue, sqlTypes, type SqlValue } from "./codec.ts";
import type { Comparison, Condition, RowQuery } from "./store.ts";

/** Statements that create every table; names come from entities.ts only, never from a query. */
export function schemaStatements(): string[] {
  return [
    "CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), anchor TEXT, checkpoint TEXT, undoFloor INTEGER, finalized INTEGER) STRICT",
    "CREATE TABLE blocks (number INTEGER PRIMARY KEY, hash TEXT, parentHash TEXT, timestamp INTEGER) STRICT",
    "CREATE TABLE events (block INTEGER, logIndex INTEGER, blockHash TEXT, timestamp INTEGER, txHash TEXT, address TEXT, topics TEXT, payload TEXT, PRIMARY KEY (block, logIndex)) STRICT, WITHOUT ROWID",
    "CREATE TABLE undo (block INTEGER, tableName TEXT, id TEXT, previous TEXT, PRIMARY KEY (block, tableName, id)) STRICT, WITHOUT ROWID",
    ...tableNames.flatMap(entityStatements),
  ];
}

function entityStatements(table: TableName): string[] {
  const columns = Object.entries(columnsOf(table));
  const definitions = columns.map(([name, column]) => {
    const constraint = name === "id" ? " PRIMARY KEY" : "";
    return `"${name}" ${sqlTypes[column.kind]}${constraint}${column.isNullable ? "" : " NOT NULL"}`;
  });
  const single = columns
    .filter(([, column]) => column.isIndexed || column.refersTo !== undefined)
    .map(([name]) => [name]);
  const composite = compositeIndexes.filter((index) => index.table === table).map((index) => index.columns);
  return [
    `CREATE TABLE "${table}" (${definitions.join(", ")}) STRICT`,
    ...[...single, ...composite].map(
      (names) => `CREATE INDEX "${table}_${names.join("_")}" ON "${table}" (${names.map((n) => `"${n}"`).join(", ")})`,
    ),
  ];
}

export interface Sql {
  readonly text: string;
  readonly values: readonly SqlValue[];
}

const operators: Record<
  Exclude<Comparison, "in" | "not_in" | "contains" | "contains_nocase" | "starts_with" | "eq" | "not">,
  string
> = {
  gt: ">",
  gte: ">=",
  lt: "<",
  lte: "<=",
};

/** Values are bound, and column names must be those of the table: a stranger's query never becomes SQL text. */
export function selectSql(query: RowQuery): Sql {
  const { text: clause, values } = whereSql(query);
  const order = `${columnSql(query.table, query.orderBy)} ${query.direction === "desc" ? "DESC" : "ASC"}`;
  // The id breaks ties, so that pages neither overlap nor skip.
  const tie = query.orderBy === "id" ? "" : `, "id" ${query.direction === "desc" ? "DESC" : "ASC"}`;
  const text = `SELECT * FROM "${query.table}"${clause} ORDER BY ${order}${tie} LIMIT ? OFFSET ?`;
  return { text, values: [...values, query.first, query.skip] };
}

export function countSql(query: Pick<RowQuery, "table" | "where">): Sql {
  const { text, values } = whereSql(query);
  return { text: `SELECT count(*) AS count FROM "${query.table}"${text}`, values };
}

function whereSql({ table, where }: Pick<RowQuery, "table" | "where">): Sql {
  const values: SqlValue[] = [];
  const terms = where.map((condition) => conditionSql(table, condition, values));
  return { text: terms.length === 0 ? "" : ` WHERE ${terms.join(" AND ")}`, values };
}

function columnSql(table: TableName, name: string): string {
  if (Object.hasOwn(columnsOf(table), name)) return `"${name}"`;
  throw new SuretyError("QUERY_UNKNOWN_COLUMN", `${table} has no column ${name}.`, {
    values: { table, name },
    next: "Ask for a column of indexer/entities.ts.",
  });
}

function conditionSql(table: TableName, condition: Condition, values: SqlValue[]): string {
  if ("and" in condition) return joinSql(table, condition.and, "AND", values);
  if ("or" in condition) return joinSql(table, condition.or, "OR", values);
  const sql = columnSql(table, condition.column);
  if ("among" in condition) {
    const { table: other, column: held, where } = condition.among;
    return `${sql} IN (SELECT ${columnSql(other, held)} FROM "${other}" WHERE ${joinSql(other, where, "AND", values)})`;
  }
  const { column: name, comparison, value } = condition;
  const column = columnsOf(table)[name];
  const bind = (one: Value) => {
    values.push(encodeValue(column as NonNullable<typeof column>, one));
    return "?";
  };
  switch (comparison) {
    case "eq":
      return `${sql} IS ${bind(value as Value)}`;
    case "not":
      return `${sql} IS NOT ${bind(value as Value)}`;
    case "in":
      return `${sql} IN (${(value as readonly Value[]).map(bind).join(", ")})`;
    case "not_in":
      return `${sql} NOT IN (${(value as readonly Value[]).map(bind).join(", ")})`;
    case "contains":
      return `instr(${sql}, ${bind(value as Value)}) > 0`;
    case "contains_nocase":
      return `instr(lower(${sql}), lower(${bind(value as Value)})) > 0`;
    case "starts_with":
      return `instr(${sql}, ${bind(value as Value)}) = 1`;
    default:
      return `${sql} ${operators[comparison]} ${bind(value as Value)}`;
  }
}

function joinSql(table: TableName, parts: readonly Condition[], word: "AND" | "OR", values: SqlValue[]): string {
  if (parts.length === 0) return word === "AND" ? "1" : "0";
  return `(${parts.map((part) => conditionSql(table, part, values)).join(` ${word} `)})`;
}
