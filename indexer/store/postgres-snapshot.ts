import type { Pool, PoolClient } from "pg";
import { SuretyError } from "#protocol";
import type { AnyRow, Row, TableName } from "../entities.ts";
import { decodeChain, decodeEvent } from "./codec.ts";
import { decodeBlock, decodeRecord, decodeWriter, postgresDialect, WRITER_SQL } from "./postgres-sql.ts";
import { readLeafFiles } from "./postgres-leaves.ts";
import { changesSql, countSql, eventsSql, formerSql, selectSql, type Sql } from "./sql.ts";
import type { PastRows, RowView, Snapshot } from "./store.ts";

/** Snapshots open at the same time; PostgreSQL allows 100 connections in all by default, and others want some. */
export const MAX_SNAPSHOTS = 16;
/** A stranger's query that takes longer is cancelled by the database. */
export const STATEMENT_TIMEOUT_MS = 5_000;
/** Rows that a scan reads at once. */
const SCAN_ROWS = 1_000;

/** Takes a connection and opens a read-only transaction on it: all that it reads is of one block. @param kept the schema that no rebuild drops */
export async function takeSnapshot(pool: Pool, kept: string): Promise<Snapshot> {
  if (pool.totalCount - pool.idleCount >= MAX_SNAPSHOTS) throw tooManySnapshots();
  const client = await pool.connect();
  if (client.listenerCount("error") === 0) client.on("error", () => undefined);
  try {
    await client.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
    );
    // The first read fixes the block. A database that no indexer has opened yet has no tables.
    const [found] = await ask(client, { text: "SELECT to_regclass('writer') AS known", values: [] });
    if (found?.["known"] === null) return snapshotOf(client, kept, { identity: undefined, chain: undefined });
    const [identity] = await ask(client, { text: "SELECT text FROM identity", values: [] });
    const [chain] = await ask(client, { text: "SELECT * FROM chain", values: [] });
    const [writer] = await ask(client, { text: WRITER_SQL, values: [] });
    const stored = { identity: identity?.["text"] as string | undefined, chain: decodeChain(chain) };
    return snapshotOf(client, kept, { ...stored, writer: writer === undefined ? undefined : decodeWriter(writer) });
  } catch (error) {
    client.release(true);
    throw error;
  }
}

function snapshotOf(
  client: PoolClient,
  kept: string,
  stored: Pick<Snapshot, "identity" | "chain" | "writer">,
): Snapshot {
  let isOpen = true;
  return {
    ...stored,
    ...viewOf(client, (table, id) => getRow(client, table, id)),
    ...readLeafFiles((text, values = []) => ask(client, { text, values: values as Sql["values"] }), kept),
    async block(by) {
      const [column, value] = "number" in by ? (["number", by.number] as const) : (["hash", by.hash] as const);
      const [found] = await ask(client, { text: `SELECT * FROM blocks WHERE ${column} = $1`, values: [value] });
      return found === undefined ? undefined : decodeBlock(found);
    },
    asOf: (number) => pastOf(client, number),
    events: async ({ block, logIndex }, upTo, first) =>
      (await ask(client, eventsSql([block, logIndex, upTo, first], postgresDialect))).map(decodeEvent),
    async hasEventsOf({ number, hash }) {
      const text = `SELECT 1 FROM events WHERE block = $1 AND "blockHash" = $2 LIMIT 1`;
      return (await ask(client, { text, values: [number, hash] })).length > 0;
    },
    scan: (table: TableName) => scan(client, table),
    close() {
      if (!isOpen) return;
      isOpen = false;
      // Nothing was written: should the connection be broken, the pool opens another.
      client.query("ROLLBACK").then(
        () => client.release(),
        () => client.release(true),
      );
    },
  };
}

async function ask(client: PoolClient, { text, values }: Sql): Promise<Record<string, unknown>[]> {
  return (await client.query<Record<string, unknown>>(text, [...values])).rows;
}

function viewOf(client: PoolClient, get: RowView["get"], asOf?: number): RowView {
  return {
    get,
    find: async (query) =>
      (await ask(client, selectSql(query, postgresDialect, asOf))).map((row) => decodeRecord(query.table, row)),
    count: async (query) => Number((await ask(client, countSql(query, postgresDialect, asOf)))[0]?.["count"]),
  };
}

async function getRow<T extends TableName>(client: PoolClient, table: T, id: string): Promise<Row<T> | undefined> {
  const [row] = await ask(client, { text: `SELECT * FROM "${table}" WHERE id = $1`, values: [id] });
  return row === undefined ? undefined : (decodeRecord(table, row) as Row<T>);
}

function pastOf(client: PoolClient, number: number): PastRows {
  const get = async <T extends TableName>(table: T, id: string): Promise<Row<T> | undefined> => {
    const [former] = await ask(client, formerSql(table, id, number, postgresDialect));
    if (former === undefined) return getRow(client, table, id);
    const previous = former["previous"] as Record<string, unknown> | null;
    return previous === null ? undefined : (decodeRecord(table, previous) as Row<T>);
  };
  const changesOf = async (table: TableName) =>
    Number((await ask(client, changesSql(table, number, postgresDialect)))[0]?.["count"]);
  return { ...viewOf(client, get, number), changesOf };
}

async function* scan(client: PoolClient, table: TableName): AsyncIterable<AnyRow> {
  for (let last = ""; ;) {
    const text = `SELECT * FROM "${table}" WHERE id > $1 ORDER BY id LIMIT ${SCAN_ROWS}`;
    const { rows } = await client.query<Record<string, unknown>>(text, [last]);
    for (const row of rows) yield decodeRecord(table, row);
    if (rows.length < SCAN_ROWS) return;
    last = rows.at(-1)?.["id"] as string;
  }
}

function tooManySnapshots(): SuretyError {
  return new SuretyError("STORE_BUSY", `${MAX_SNAPSHOTS} queries are running already.`, {
    values: { max: MAX_SNAPSHOTS },
    next: "Ask again in a moment, or run a second server on a replica.",
    isRetryable: true,
  });
}
