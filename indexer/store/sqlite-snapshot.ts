import { DatabaseSync, type StatementSync } from "node:sqlite";
import { SuretyError } from "#protocol";
import { columnsOf, type AnyRow, type Row, type TableName } from "../entities.ts";
import { decodeChain, decodeEvent, decodeRow, decodeValues, type SqlValue } from "./codec.ts";
import { changesSql, countSql, eventsSql, formerSql, selectSql, sqliteDialect, type Sql } from "./sql.ts";
import { readLeafFiles } from "./sqlite-leaves.ts";
import type { BlockRef, PastRows, RowView, Snapshot, StoredChain } from "./store.ts";

/** Snapshots open at the same time. Each holds a connection (about 2 MB); more readers are refused and asked to retry. */
const MAX_SNAPSHOTS = 16;

/** Prepared statements a connection keeps. Queries differ by their filters only, so that few shapes recur. */
const MAX_STATEMENTS = 256;

/** Read-only connections, each with a transaction of its own: WAL gives every one the rows as of its first read. */
export class SnapshotPool {
  readonly #path: string;
  readonly #idle: Reader[] = [];
  readonly #taken = new Set<Reader>();

  constructor(path: string) {
    this.#path = path;
  }

  take(): Snapshot {
    if (this.#taken.size >= MAX_SNAPSHOTS) {
      throw new SuretyError("STORE_BUSY", `${MAX_SNAPSHOTS} queries are running already.`, {
        values: { max: MAX_SNAPSHOTS },
        next: "Ask again in a moment.",
        isRetryable: true,
      });
    }
    const reader = this.#idle.pop() ?? new Reader(new DatabaseSync(this.#path, { readOnly: true }));
    this.#taken.add(reader);
    return reader.begin(() => this.#giveBack(reader));
  }

  close(): void {
    for (const reader of [...this.#idle, ...this.#taken]) reader.db.close();
    this.#idle.length = 0;
    this.#taken.clear();
  }

  #giveBack(reader: Reader): void {
    if (this.#taken.delete(reader)) this.#idle.push(reader);
  }
}

class Reader {
  readonly db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.db = db;
  }

  begin(giveBack: () => void): Snapshot {
    this.db.exec("BEGIN");
    let isOpen = true;
    // The first read fixes the block.
    const chain: StoredChain | undefined = decodeChain(this.#statement("SELECT * FROM chain").get());
    const identity = this.#statement("SELECT text FROM identity").get()?.["text"] as string | undefined;
    return {
      ...{ identity, chain },
      ...this.#view((table, id) => this.#get(table, id)),
      block: (by) => {
        const [column, value] = "number" in by ? (["number", by.number] as const) : (["hash", by.hash] as const);
        const found = this.#statement(`SELECT * FROM blocks WHERE ${column} = ?`).get(value);
        return found === undefined ? undefined : ({ ...found } as unknown as BlockRef);
      },
      asOf: (number) => this.#past(number),
      ...readLeafFiles(
        (sql, ...values) => this.#statement(sql).get(...values),
        (sql) => this.#statement(sql).all(),
      ),
      events: ({ block, logIndex }, upTo, first) =>
        this.#all(eventsSql([block, logIndex, upTo, first], sqliteDialect)).map(decodeEvent),
      hasEventsOf: ({ number, hash }) =>
        this.#statement("SELECT 1 FROM events WHERE block = ? AND blockHash = ? LIMIT 1").get(number, hash) !==
        undefined,
      scan: (table: TableName) => scan(this.db, table),
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        this.db.exec("COMMIT");
        giveBack();
      },
    };
  }

  #view(get: RowView["get"], asOf?: number): RowView {
    return {
      get,
      find: (query) => this.#all(selectSql(query, sqliteDialect, asOf)).map((row) => decode(query.table, row)),
      count: (query) => this.#all(countSql(query, sqliteDialect, asOf))[0]?.["count"] as number,
    };
  }

  #get<T extends TableName>(table: T, id: string): Row<T> | undefined {
    const row = this.#statement(`SELECT * FROM "${table}" WHERE id = ?`).get(id);
    return row === undefined ? undefined : (decode(table, row) as Row<T>);
  }

  #past(number: number): PastRows {
    const get = <T extends TableName>(table: T, id: string): Row<T> | undefined => {
      const [former] = this.#all(formerSql(table, id, number, sqliteDialect));
      if (former === undefined) return this.#get(table, id);
      const previous = former["previous"] as string | null;
      if (previous === null) return undefined;
      return decodeValues(columnsOf(table), JSON.parse(previous) as SqlValue[]) as Row<T>;
    };
    const changesOf = (table: TableName) => this.#all(changesSql(table, number, sqliteDialect))[0]?.["count"] as number;
    return { ...this.#view(get, number), changesOf };
  }

  #all({ text, values }: Sql): Record<string, unknown>[] {
    return this.#statement(text).all(...(values as SqlValue[]));
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    if (this.#statements.size >= MAX_STATEMENTS) this.#statements.clear();
    const statement = this.db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function* scan(db: DatabaseSync, table: TableName): Iterable<AnyRow> {
  for (const row of db.prepare(`SELECT * FROM "${table}" ORDER BY id`).iterate()) yield decode(table, row);
}

function decode(table: TableName, row: unknown): AnyRow {
  return decodeRow(columnsOf(table), row as Record<string, SqlValue>);
}
