import type { Pool, PoolClient } from "pg";
import type { Hex } from "viem";
import { SuretyError } from "#protocol";
import type { AnyRow, TableName } from "../entities.ts";
import { decodeChain } from "./codec.ts";
import { foldLoading, type LoadRows, type PlacedEvent } from "./fold-loading.ts";
import { PostgresLeafFiles } from "./postgres-leaves.ts";
import { MAX_SNAPSHOTS, takeSnapshot } from "./postgres-snapshot.ts";
import { decodeBlock, decodeRecord, encodeRecord, postgresSchema, upsertSql } from "./postgres-sql.ts";
import type { RowBuffer } from "./row-buffer.ts";
import {
  notUndoable,
  onStandby,
  secondWriter,
  type BlockBatch,
  type BlockRef,
  type CheckedBlock,
  type Snapshot,
  type Store,
  type StoredChain,
  type WriterWord,
} from "./store.ts";

export interface PostgresStoreOptions {
  /** postgres://…; the database exists, and its user may create a schema in it. */
  readonly url: string;
  readonly chainId: number;
  /** Schema of the tables, so that one database serves several chains. */
  readonly schema?: string;
  /** The database refuses whatever this store would write; it may be a replica. */
  readonly isReadOnly?: boolean;
}

/** One writer a schema: the lock's first key is ours, the second the schema's hash. */
const WRITER_LOCK = 0x53_75_72_65;
const CONNECT_TIMEOUT_MS = 10_000;

/** @returns the engine for more than one machine: PostgreSQL 15 or later */
export function createPostgresStore(options: PostgresStoreOptions): Store {
  const { url, chainId, schema = `surety_${chainId}`, isReadOnly = false } = options;
  if (!/^[a-z][a-z0-9_]{0,57}$/.test(schema)) {
    throw new SuretyError("STORE_SCHEMA_NAME", `${schema} is no name of a schema.`, {
      values: { schema },
      next: "Take lower-case letters, digits and underscores.",
    });
  }
  return new PostgresStore(() => createPool(url, schema, isReadOnly), chainId, schema);
}

class PostgresStore implements Store {
  readonly #createPool: () => Promise<Pool>;
  #pool: Promise<Pool> | undefined;
  readonly #chainId: number;
  readonly #schema: string;
  readonly #keptSchema: string;
  readonly #cursors: string;
  readonly leafFiles: PostgresLeafFiles;
  #writer: PoolClient | undefined;
  #identity = "";
  #isOpen = false;
  #announcedHead: BlockRef | undefined;

  constructor(createPoolOnce: () => Promise<Pool>, chainId: number, schema: string) {
    this.#createPool = createPoolOnce;
    this.#chainId = chainId;
    this.#schema = schema;
    this.#keptSchema = `${schema}_kept`;
    this.#cursors = `${this.#keptSchema}.cursors`;
    this.leafFiles = new PostgresLeafFiles(() => this.#opened(), this.#keptSchema);
  }

  async open(identity: string): Promise<{ chain: StoredChain | undefined; isForeign: boolean }> {
    this.#identity = identity;
    const writer = await this.#lockedWriter();
    const { rows } = await writer.query<{ known: string | null }>("SELECT to_regclass('identity') AS known");
    const stored = rows[0]?.known === null ? undefined : await this.#one<{ text: string }>("SELECT text FROM identity");
    if (stored?.text !== identity) await this.wipe();
    this.#isOpen = true;
    return { chain: await this.#readChain(), isForeign: stored !== undefined && stored.text !== identity };
  }

  async begin(anchor: BlockRef): Promise<void> {
    await this.#transact(async () => {
      await this.#insertBlock(anchor);
      await this.#writeChain({ anchor, checkpoint: anchor, undoFloor: anchor.number, finalized: anchor.number });
    });
  }

  async hashAt(number: number): Promise<Hex | undefined> {
    return (await this.#blockAt(number))?.hash;
  }

  async eventBlockUpTo(number: number): Promise<Pick<BlockRef, "number" | "hash"> | undefined> {
    const sql = `SELECT block AS number, "blockHash" AS hash FROM events WHERE block <= $1 ORDER BY block DESC LIMIT 1`;
    return this.#one<Pick<BlockRef, "number" | "hash">>(sql, number);
  }

  async apply(batch: BlockBatch): Promise<void> {
    await this.#transact(async () => {
      const chain = await this.#readChain();
      if (chain?.checkpoint.hash !== batch.previousHash) throw secondWriter(chain, batch);
      await this.#writeEvents(batch.blocks);
      await this.#writeRows(await foldLoading(this.#placedEvents(batch.blocks), this.#loadRows), batch);
      await this.#insertBlock(batch.checkpoint);
      const undoFloor = Math.max(chain.undoFloor, batch.undoFloor);
      await this.#run("DELETE FROM blocks WHERE number < $1", undoFloor);
      await this.#run("DELETE FROM undo WHERE block <= $1", undoFloor);
      const { checkpoint, finalized } = batch;
      await this.#writeChain({ anchor: chain.anchor, checkpoint, undoFloor, finalized });
    });
  }

  async undoTo(number: number): Promise<BlockRef> {
    return this.#transact(async () => {
      const chain = await this.#readChain();
      const block = await this.#blockAt(number);
      if (chain === undefined || block === undefined) throw notUndoable(number, chain);
      // Of each row its state before the oldest undone block.
      const { rows: entries } = await (
        await this.#lockedWriter()
      ).query<UndoEntry>(
        `SELECT DISTINCT ON ("tableName", id) "tableName", id, previous FROM undo WHERE block > $1 ORDER BY "tableName", id, block`,
        [number],
      );
      for (const [table, ofTable] of Map.groupBy(entries, ({ tableName }) => tableName))
        await this.#restore(table, ofTable);
      await this.#run("DELETE FROM undo WHERE block > $1", number);
      await this.#run("DELETE FROM events WHERE block > $1", number);
      await this.#run("DELETE FROM blocks WHERE number > $1", number);
      await this.#writeChain({ ...chain, checkpoint: block, finalized: Math.min(chain.finalized, number) });
      const undone = chain.checkpoint.number - number;
      await this.#run(`UPDATE writer SET reorgs = reorgs + 1, "undoneBlocks" = "undoneBlocks" + $1`, undone);
      return block;
    });
  }

  async wipe(): Promise<void> {
    await this.#transact(async () => {
      const known = await this.#one<{ known: string | null }>("SELECT to_regclass('writer') AS known");
      const before =
        known?.known === null ? undefined : await this.#one<Record<string, number>>("SELECT * FROM writer");
      await this.#run(`DROP SCHEMA IF EXISTS ${this.#schema} CASCADE`);
      await this.#run(`CREATE SCHEMA ${this.#schema}`);
      await this.#run(postgresSchema().join(";\n"));
      await this.#run("INSERT INTO identity VALUES (1, $1)", this.#identity);
      // What readers count goes on over a rebuild.
      const { reorgs = 0, undoneBlocks = 0, rebuilds = -1 } = before ?? {};
      const totals = [before === undefined ? "backfilling" : "rebuilding", reorgs, undoneBlocks, rebuilds + 1];
      await this.#run(
        `INSERT INTO writer (one, sync, reorgs, "undoneBlocks", rebuilds) VALUES (1, $1, $2, $3, $4)`,
        ...totals,
      );
    });
  }

  async announce({ sync, head, isFailing, trouble, staleAfterMs }: WriterWord): Promise<void> {
    // Before it is open, the rows may be another writer's.
    if (!this.#isOpen) return;
    const isNewHead = head !== this.#announcedHead;
    this.#announcedHead = head;
    await this.#run(
      `UPDATE writer SET sync = $1, head = $2, "isFailing" = $3, trouble = $4, "staleAfterMs" = $5,
        "headAt" = CASE WHEN $6 THEN clock_timestamp() ELSE "headAt" END`,
      ...[sync, head === undefined ? null : JSON.stringify(head), isFailing, trouble ?? null, staleAfterMs, isNewHead],
    );
  }

  async readCursor(name: string): Promise<string | undefined> {
    // In a schema of its own, which no rebuild drops; by the pool, since the writer's connection may be in a transaction.
    const pool = await this.#opened();
    await pool.query(`CREATE SCHEMA IF NOT EXISTS ${this.#keptSchema}`);
    await pool.query(`CREATE TABLE IF NOT EXISTS ${this.#cursors} (name text PRIMARY KEY, text text NOT NULL)`);
    const { rows } = await pool.query<{ text: string }>(`SELECT text FROM ${this.#cursors} WHERE name = $1`, [name]);
    return rows[0]?.text;
  }

  async writeCursor(name: string, text: string): Promise<void> {
    const change = "ON CONFLICT (name) DO UPDATE SET text = excluded.text";
    await (await this.#opened()).query(`INSERT INTO ${this.#cursors} VALUES ($1, $2) ${change}`, [name, text]);
  }

  async snapshot(): Promise<Snapshot> {
    try {
      return await takeSnapshot(await this.#opened(), this.#keptSchema);
    } catch (cause) {
      if (cause instanceof SuretyError) throw cause;
      throw unavailable(cause);
    }
  }

  async close(): Promise<void> {
    // The lock ends with its connection, but a moment after: the next writer may be here by then.
    await this.#writer?.query("SELECT pg_advisory_unlock_all()").catch(() => undefined);
    this.#writer?.release(true);
    this.#writer = undefined;
    await (await this.#pool)?.end();
  }

  #opened(): Promise<Pool> {
    return (this.#pool ??= this.#createPool());
  }

  /** The connection that holds the lock of this schema. */
  async #lockedWriter(): Promise<PoolClient> {
    if (this.#writer !== undefined) return this.#writer;
    const client = await (await this.#opened()).connect();
    // A broken connection fails the query that meets it; by itself it must not end the process.
    client.on("error", () => undefined);
    const lock = "SELECT pg_is_in_recovery() AS repeats, pg_try_advisory_lock($1, hashtext($2)) AS locked";
    const { rows } = await client.query<{ repeats: boolean; locked: boolean }>(lock, [WRITER_LOCK, this.#schema]);
    const { repeats, locked } = rows[0] ?? { repeats: false, locked: false };
    if (locked && !repeats) return (this.#writer = client);
    client.release(true);
    throw repeats ? onStandby() : secondWriter(undefined, undefined);
  }

  #placedEvents(blocks: readonly CheckedBlock[]): PlacedEvent[] {
    const chainId = this.#chainId;
    return blocks.flatMap(({ ref: { number: blockNumber, timestamp }, events }) =>
      events.flatMap(({ log: { transactionHash: transaction, logIndex }, decoded }) =>
        decoded === undefined
          ? []
          : [{ event: decoded, place: { chainId, blockNumber, timestamp, transaction, logIndex } }],
      ),
    );
  }

  readonly #loadRows: LoadRows = async (keys) => {
    const writer = await this.#lockedWriter();
    const found: Awaited<ReturnType<LoadRows>>[number][] = [];
    for (const [table, ids] of Map.groupBy(keys, (key) => key.table)) {
      const sql = `SELECT * FROM "${table}" WHERE id = ANY($1)`;
      const { rows } = await writer.query<Record<string, unknown>>(sql, [ids.map(({ id }) => id)]);
      for (const row of rows) found.push({ table, id: row["id"] as string, row: decodeRecord(table, row) });
    }
    return found;
  };

  async #writeEvents(blocks: readonly CheckedBlock[]): Promise<void> {
    const events = blocks.flatMap(({ ref, events: own }) =>
      own.map(({ log: { logIndex, transactionHash: txHash, address, topics, payload } }) => ({
        ...{ block: ref.number, logIndex, blockHash: ref.hash, timestamp: ref.timestamp, txHash, address },
        ...{ topics: topics.join(), payload },
      })),
    );
    if (events.length === 0) return;
    await this.#run(
      "INSERT INTO events SELECT * FROM json_populate_recordset(NULL::events, $1)",
      JSON.stringify(events),
    );
  }

  async #writeRows(rows: RowBuffer, { isUndoable, checkpoint }: BlockBatch): Promise<void> {
    const changed = [...rows.changed()];
    if (isUndoable && changed.length > 0) {
      const undo = changed.map(({ table, id, before }) => ({
        ...{ block: checkpoint.number, tableName: table, id },
        previous: before === undefined ? null : encodeRecord(table, before),
      }));
      await this.#run("INSERT INTO undo SELECT * FROM json_populate_recordset(NULL::undo, $1)", JSON.stringify(undo));
    }
    for (const [table, ofTable] of Map.groupBy(changed, (one) => one.table)) {
      await this.#upsert(
        table,
        ofTable.map(({ row }) => encodeRecord(table, row)),
      );
    }
  }

  async #restore(table: TableName, entries: readonly UndoEntry[]): Promise<void> {
    const [created, changed] = [
      entries.filter(({ previous }) => previous === null),
      entries.filter(({ previous }) => previous !== null),
    ];
    const ids = created.map(({ id }) => id);
    await this.#run(`DELETE FROM "${table}" WHERE id = ANY($1)`, ids);
    await this.#upsert(
      table,
      changed.map(({ previous }) => previous as AnyRow),
    );
  }

  async #upsert(table: TableName, records: readonly object[]): Promise<void> {
    if (records.length > 0) await this.#run(upsertSql(table), JSON.stringify(records));
  }

  async #insertBlock({ number, hash, parentHash, timestamp }: BlockRef): Promise<void> {
    const change = `hash = excluded.hash, "parentHash" = excluded."parentHash", timestamp = excluded.timestamp`;
    const sql = `INSERT INTO blocks VALUES ($1, $2, $3, $4) ON CONFLICT (number) DO UPDATE SET ${change}`;
    await this.#run(sql, number, hash, parentHash, timestamp);
  }

  async #blockAt(number: number): Promise<BlockRef | undefined> {
    const block = await this.#one<Record<string, unknown>>("SELECT * FROM blocks WHERE number = $1", number);
    return block === undefined ? undefined : decodeBlock(block);
  }

  async #readChain(): Promise<StoredChain | undefined> {
    return decodeChain(await this.#one<Record<string, unknown>>("SELECT * FROM chain"));
  }

  async #writeChain({ anchor, checkpoint, undoFloor, finalized }: StoredChain): Promise<void> {
    const change = `anchor = excluded.anchor, checkpoint = excluded.checkpoint, "undoFloor" = excluded."undoFloor", finalized = excluded.finalized`;
    const sql = `INSERT INTO chain VALUES (1, $1, $2, $3, $4) ON CONFLICT (one) DO UPDATE SET ${change}`;
    await this.#run(sql, JSON.stringify(anchor), JSON.stringify(checkpoint), undoFloor, finalized);
  }

  async #one<R extends object>(sql: string, ...values: unknown[]): Promise<R | undefined> {
    const { rows } = await (await this.#lockedWriter()).query<R & Record<string, unknown>>(sql, values);
    return rows[0];
  }

  async #run(sql: string, ...values: unknown[]): Promise<void> {
    // Without values several statements may go in one message.
    await (await this.#lockedWriter()).query(sql, values.length === 0 ? undefined : values);
  }

  async #transact<T>(work: () => Promise<T>): Promise<T> {
    await this.#run("BEGIN");
    try {
      const result = await work();
      await this.#run("COMMIT");
      return result;
    } catch (error) {
      // Where the connection is gone, so is the transaction.
      await this.#run("ROLLBACK").catch(() => undefined);
      throw error;
    }
  }
}

function unavailable(cause: unknown): SuretyError {
  return new SuretyError("STORE_UNAVAILABLE", "The database does not answer.", {
    values: { reason: cause instanceof Error ? cause.message : String(cause) },
    next: "Ask again in a moment; see whether the database of DATABASE_URL runs.",
    isRetryable: true,
    cause,
  });
}

/** pg is loaded by whoever uses PostgreSQL only. */
async function createPool(connectionString: string, schema: string, isReadOnly: boolean): Promise<Pool> {
  const { Pool: PoolClass } = (await import("pg")).default;
  // One connection writes, the others read.
  const limits = { max: MAX_SNAPSHOTS + 1, connectionTimeoutMillis: CONNECT_TIMEOUT_MS };
  const settings = `-c search_path=${schema}${isReadOnly ? " -c default_transaction_read_only=on" : ""}`;
  const pool = new PoolClass({ connectionString, ...limits, options: settings });
  // A connection that breaks while idle is replaced; one that breaks in use fails its query.
  pool.on("error", () => undefined);
  return pool;
}

interface UndoEntry {
  readonly tableName: TableName;
  readonly id: string;
  /** An encoded record; null = the row did not exist. */
  readonly previous: AnyRow | null;
}
