import { SuretyError } from "#protocol";
import { columnsOf, compositeIndexes, tableNames, type Column, type TableName, type Value } from "../entities.ts";
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
  return [
    `CREATE TABLE "${table}" (${definitions.join(", ")}) STRICT`,
    ...indexesOf(table).map(
      (names) => `CREATE INDEX "${table}_${names.join("_")}" ON "${table}" (${names.map((n) => `"${n}"`).join(", ")})`,
    ),
  ];
}

/** Columns of each index of a table. */
export function indexesOf(table: TableName): (readonly string[])[] {
  const single = Object.entries(columnsOf(table))
    .filter(([, column]) => column.isIndexed || column.refersTo !== undefined)
    .map(([name]) => [name]);
  const composite = compositeIndexes.filter((index) => index.table === table).map((index) => index.columns);
  return [...single, ...composite];
}

export interface Sql {
  readonly text: string;
  readonly values: readonly SqlParameter[];
}

/** Where the engines' SQL differs. Column names are quoted already; `bound` is a placeholder. */
export interface Dialect {
  readonly placeholder: (position: number) => string;
  readonly encode: (column: Column, value: Value) => SqlParameter;
  readonly equals: (column: string, bound: string, isNull: boolean) => string;
  readonly differs: (column: string, bound: string) => string;
  /** 1-based position of a text in another, 0 = it is not there. */
  readonly position: (text: string, part: string) => string;
  /** ASCII lower case. */
  readonly lower: (text: string) => string;
  /** Both engines put nulls first in ascending order. */
  readonly order: (column: string, direction: "ASC" | "DESC") => string;
  readonly isTrue: string;
  readonly isFalse: string;
}

/** What an engine takes for a placeholder. */
export type SqlParameter = SqlValue | boolean;

export const sqliteDialect: Dialect = {
  placeholder: () => "?",
  encode: encodeValue,
  equals: (column, bound) => `${column} IS ${bound}`,
  differs: (column, bound) => `${column} IS NOT ${bound}`,
  position: (text, part) => `instr(${text}, ${part})`,
  lower: (text) => `lower(${text})`,
  order: (column, direction) => `${column} ${direction}`,
  ...{ isTrue: "1", isFalse: "0" },
};

const operators = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;

/** Values are bound, and column names must be those of the table: a stranger's query never becomes SQL text. */
export function selectSql(query: RowQuery, dialect: Dialect = sqliteDialect): Sql {
  const writer = new ConditionWriter(dialect);
  const clause = writer.where(query);
  const direction = query.direction === "desc" ? "DESC" : "ASC";
  const order = dialect.order(columnSql(query.table, query.orderBy), direction);
  // The id breaks ties, so that pages neither overlap nor skip.
  const tie = query.orderBy === "id" ? "" : `, "id" ${direction}`;
  const limits = `LIMIT ${writer.bind(query.first)} OFFSET ${writer.bind(query.skip)}`;
  return { text: `SELECT * FROM "${query.table}"${clause} ORDER BY ${order}${tie} ${limits}`, values: writer.values };
}

export function countSql(query: Pick<RowQuery, "table" | "where">, dialect: Dialect = sqliteDialect): Sql {
  const writer = new ConditionWriter(dialect);
  const clause = writer.where(query);
  return { text: `SELECT count(*) AS count FROM "${query.table}"${clause}`, values: writer.values };
}

function columnSql(table: TableName, name: string): string {
  if (Object.hasOwn(columnsOf(table), name)) return `"${name}"`;
  throw new SuretyError("QUERY_UNKNOWN_COLUMN", `${table} has no column ${name}.`, {
    values: { table, name },
    next: "Ask for a column of indexer/entities.ts.",
  });
}

/** Writes conditions as SQL, and collects what is bound. */
class ConditionWriter {
  readonly values: SqlParameter[] = [];
  readonly #dialect: Dialect;

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  where({ table, where }: Pick<RowQuery, "table" | "where">): string {
    const terms = where.map((condition) => this.#condition(table, condition));
    return terms.length === 0 ? "" : ` WHERE ${terms.join(" AND ")}`;
  }

  bind(value: SqlParameter): string {
    this.values.push(value);
    return this.#dialect.placeholder(this.values.length);
  }

  #condition(table: TableName, condition: Condition): string {
    if ("and" in condition) return this.#join(table, condition.and, "AND");
    if ("or" in condition) return this.#join(table, condition.or, "OR");
    const sql = columnSql(table, condition.column);
    if (!("among" in condition)) return this.#comparison(table, sql, condition);
    const { table: other, column: held, where } = condition.among;
    return `${sql} IN (SELECT ${columnSql(other, held)} FROM "${other}" WHERE ${this.#join(other, where, "AND")})`;
  }

  #comparison(table: TableName, sql: string, { column: name, comparison, value }: ValueCondition): string {
    const dialect = this.#dialect;
    const column = columnsOf(table)[name] as Column;
    const bind = (one: Value) => this.bind(dialect.encode(column, one));
    const one = value as Value;
    const list = () => (value as readonly Value[]).map(bind).join(", ");
    switch (comparison) {
      case "eq":
        return dialect.equals(sql, bind(one), one === null);
      case "not":
        return dialect.differs(sql, bind(one));
      case "in":
        return (value as readonly Value[]).length === 0 ? dialect.isFalse : `${sql} IN (${list()})`;
      case "not_in":
        return (value as readonly Value[]).length === 0 ? dialect.isTrue : `${sql} NOT IN (${list()})`;
      case "contains":
        return `${dialect.position(sql, bind(one))} > 0`;
      case "contains_nocase":
        return `${dialect.position(dialect.lower(sql), dialect.lower(bind(one)))} > 0`;
      case "starts_with":
        return `${dialect.position(sql, bind(one))} = 1`;
      default:
        return `${sql} ${operators[comparison]} ${bind(one)}`;
    }
  }

  #join(table: TableName, parts: readonly Condition[], word: "AND" | "OR"): string {
    if (parts.length === 0) return word === "AND" ? this.#dialect.isTrue : this.#dialect.isFalse;
    return `(${parts.map((part) => this.#condition(table, part)).join(` ${word} `)})`;
  }
}

type ValueCondition = Extract<Condition, { readonly comparison: Comparison }>;
