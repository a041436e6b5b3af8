import type { Pool, PoolClient } from "pg";
import { SuretyError } from "#protocol";
import type { AnyRow, Row, TableName } from "../entities.ts";
import { decodeChain } from "./codec.ts";
import { decodeRecord, postgresDialect } from "./postgres-sql.ts";
import { countSql, selectSql } from "./sql.ts";
import type { RowQuery, Snapshot } from "./store.ts";

/** Snapshots open at the same time; PostgreSQL allows 100 connections in all by default, and others want some. */
export const MAX_SNAPSHOTS = 16;
/** A stranger's query that takes longer is cancelled by the database. */
export const STATEMENT_TIMEOUT_MS = 5_000;
/** Rows that a scan reads at once. */
const SCAN_ROWS = 1_000;

/** Takes a connection and opens a read-only transaction on it: all that it reads is of one block. */
export async function takeSnapshot(pool: Pool): Promise<Snapshot> {
  if (pool.totalCount - pool.idleCount >= MAX_SNAPSHOTS) throw tooManySnapshots();
  const client = await pool.connect();
  if (client.listenerCount("error") === 0) client.on("error", () => undefined);
  try {
    await client.query(
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = ${STATEMENT_TIMEOUT_MS}`,
    );
    // The first read fixes the block. A database that no indexer has opened yet has no tables.
    const { rows: found } = await client.query<{ known: string | null }>("SELECT to_regclass('identity') AS known");
    if (found[0]?.known === null) return snapshotOf(client, undefined, undefined);
    const { rows: chains } = await client.query<Record<string, unknown>>("SELECT * FROM chain");
    const { rows: identities } = await client.query<{ text: string }>("SELECT text FROM identity");
    return snapshotOf(client, identities[0]?.text, decodeChain(chains[0]));
  } catch (error) {
    client.release(true);
    throw error;
  }
}

function snapshotOf(client: PoolClient, identity: Snapshot["identity"], chain: Snapshot["chain"]): Snapshot {
  let isOpen = true;
  return {
    ...{ identity, chain },
    async get<T extends TableName>(table: T, id: string) {
      const { rows } = await client.query<Record<string, unknown>>(`SELECT * FROM "${table}" WHERE id = $1`, [id]);
      return rows[0] === undefined ? undefined : (decodeRecord(table, rows[0]) as Row<T>);
    },
    async find(query: RowQuery) {
      const { text, values } = selectSql(query, postgresDialect);
      const { rows } = await client.query<Record<string, unknown>>(text, [...values]);
      return rows.map((row) => decodeRecord(query.table, row));
    },
    async count(query: Pick<RowQuery, "table" | "where">) {
      const { text, values } = countSql(query, postgresDialect);
      const { rows } = await client.query<{ count: string }>(text, [...values]);
      return Number(rows[0]?.count);
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
