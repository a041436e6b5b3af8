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
    // By row first: a past block's rows are looked up in it.
    "CREATE TABLE undo (block INTEGER, tableName TEXT, id TEXT, previous TEXT, PRIMARY KEY (tableName, id, block)) STRICT, WITHOUT ROWID",
    "CREATE INDEX undo_block ON undo (block)",
    "CREATE INDEX undo_table ON undo (tableName, block)",
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

type Selection = Pick<RowQuery, "table" | "where">;

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
  /** Selects a table's rows from their states in `undo AS past` that pass a condition. */
  readonly former: (table: TableName, condition: string) => string;
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
  former: (table, condition) => {
    const columns = Object.keys(columnsOf(table)).map(
      (name, k) => `json_extract(past.previous, '$[${k}]') AS "${name}"`,
    );
    return `SELECT ${columns.join(", ")} FROM undo AS past WHERE ${condition}`;
  },
};

const operators = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;

/**
 * Values are bound, and column names must be those of the table: a stranger's query never becomes SQL text.
 * @param asOf a past block whose rows are meant; undefined = the rows as they stand
 */
export function selectSql(query: RowQuery, dialect: Dialect, asOf?: number): Sql {
  const writer = new ConditionWriter(dialect, asOf);
  const direction = query.direction === "desc" ? "DESC" : "ASC";
  // The id breaks ties, so that pages neither overlap nor skip.
  const tie = query.orderBy === "id" ? "" : `, "id" ${direction}`;
  const order = ` ORDER BY ${dialect.order(columnSql(query.table, query.orderBy), direction)}${tie}`;
  const rows = asOf === undefined ? writer.from(query) : pastPage(writer, query, asOf, order);
  const limits = ` LIMIT ${writer.bind(query.first)} OFFSET ${writer.bind(query.skip)}`;
  return { text: `SELECT *${rows}${order}${limits}`, values: writer.values };
}

/** Of the unchanged rows no more than the page needs, in the order of an index; of the changed ones all that pass. */
function pastPage(writer: ConditionWriter, query: RowQuery, asOf: number, order: string): string {
  const unchanged = `SELECT *${writer.unchanged(query, asOf)}${order} LIMIT ${writer.bind(query.first + query.skip)}`;
  return ` FROM (SELECT * FROM (${unchanged}) AS unchanged UNION ALL SELECT *${writer.former(query, asOf)}) AS "${query.table}"`;
}

export function countSql(query: Selection, dialect: Dialect, asOf?: number): Sql {
  const writer = new ConditionWriter(dialect, asOf);
  const count = (rows: string) => `SELECT count(*) AS count${rows}`;
  const present = count(writer.from(query));
  if (asOf === undefined) return { text: present, values: writer.values };
  const [now, then] = [count(writer.changed(query, asOf)), count(writer.former(query, asOf))];
  return { text: `SELECT (${present}) - (${now}) + (${then}) AS count`, values: writer.values };
}

/** @param values block and log index to go on after, last block, and how many */
export function eventsSql(values: readonly [number, number, number, number], { placeholder: at }: Dialect): Sql {
  const range = `(block, "logIndex") > (${at(1)}, ${at(2)}) AND block <= ${at(3)}`;
  return { text: `SELECT * FROM events WHERE ${range} ORDER BY block, "logIndex" LIMIT ${at(4)}`, values };
}

/** What one row was before the first change above a block; no answer = it has not changed since. */
export function formerSql(table: TableName, id: string, asOf: number, { placeholder }: Dialect): Sql {
  const of = `"tableName" = '${table}' AND id = ${placeholder(1)} AND block > ${placeholder(2)}`;
  return { text: `SELECT previous FROM undo WHERE ${of} ORDER BY block LIMIT 1`, values: [id, asOf] };
}

/** How often a table's rows have changed above a block. */
export function changesSql(table: TableName, asOf: number, { placeholder }: Dialect): Sql {
  const text = `SELECT count(*) AS count FROM undo WHERE "tableName" = '${table}' AND block > ${placeholder(1)}`;
  return { text, values: [asOf] };
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
  readonly #asOf: number | undefined;

  constructor(dialect: Dialect, asOf: number | undefined) {
    this.#dialect = dialect;
    this.#asOf = asOf;
  }

  /** FROM and WHERE of the rows as they stand. What is bound stands in the order of the text. */
  from({ table, where }: Selection, more: readonly string[] = []): string {
    return ` FROM "${table}"${this.#where(table, where, more)}`;
  }

  /** FROM and WHERE of rows that have not changed above a block. */
  unchanged({ table, where }: Selection, asOf: number): string {
    const change = `SELECT 1 FROM undo AS later WHERE later.id = "${table}".id AND ${this.#since("later", table, asOf)}`;
    return this.from({ table, where }, [`NOT EXISTS (${change})`]);
  }

  /** FROM and WHERE of rows that have changed, as they stand. */
  changed({ table, where }: Selection, asOf: number): string {
    return this.from({ table, where }, [
      `id IN (SELECT id FROM undo AS later WHERE ${this.#since("later", table, asOf)})`,
    ]);
  }

  /** FROM and WHERE of rows that have changed above a block, as they were before their first change. */
  former({ table, where }: Selection, asOf: number): string {
    const past = this.#since("past", table, asOf);
    const earlier = `SELECT 1 FROM undo AS first WHERE first.id = past.id AND first.block < past.block AND ${this.#since("first", table, asOf)}`;
    const rows = this.#dialect.former(table, `${past} AND past.previous IS NOT NULL AND NOT EXISTS (${earlier})`);
    return ` FROM (${rows}) AS "${table}"${this.#where(table, where, [])}`;
  }

  #since(name: string, table: TableName, asOf: number): string {
    return `${name}."tableName" = '${table}' AND ${name}.block > ${this.bind(asOf)}`;
  }

  #where(table: TableName, where: readonly Condition[], more: readonly string[]): string {
    // The conditions bind after what `more` has bound.
    const terms = [...more, ...where.map((condition) => this.#condition(table, condition))];
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
    const [rows, asOf] = [{ table: other, where }, this.#asOf];
    const select = `SELECT ${columnSql(other, held)}`;
    if (asOf === undefined) return `${sql} IN (${select}${this.from(rows)})`;
    return `${sql} IN (${select}${this.unchanged(rows, asOf)} UNION ALL ${select}${this.former(rows, asOf)})`;
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
