import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Hex } from "viem";
import { columnsOf, tableNames, type AnyRow, type TableName } from "../entities.ts";
import { foldEvent } from "../handlers/fold.ts";
import { decodeChain, decodeRow, encodeRow, type SqlValue } from "./codec.ts";
import { RowBuffer } from "./row-buffer.ts";
import { schemaStatements } from "./sql.ts";
import { leafTables, SqliteLeafFiles } from "./sqlite-leaves.ts";
import { SnapshotPool } from "./sqlite-snapshot.ts";
import {
  notUndoable,
  secondWriter,
  type BlockBatch,
  type BlockRef,
  type CheckedBlock,
  type Snapshot,
  type Store,
  type StoredChain,
} from "./store.ts";

/** Events are folded for the chain that the rows belong to. */
export interface SqliteStoreOptions {
  /** File of the database; its folder is made. */
  readonly path: string;
  readonly chainId: number;
}

/** @returns the embedded engine: node:sqlite with a write-ahead log */
export function createSqliteStore({ path, chainId }: SqliteStoreOptions): Store {
  return new SqliteStore(path, chainId);
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync;
  readonly #readers: SnapshotPool;
  readonly #chainId: number;
  readonly #statements = new Map<string, StatementSync>();
  readonly leafFiles: SqliteLeafFiles;
  #identity = "";

  constructor(path: string, chainId: number) {
    mkdirSync(dirname(path), { recursive: true });
    this.#db = new DatabaseSync(path);
    // WAL with NORMAL loses no consistency by a crash; what a power cut may lose is read from the chain again.
    this.#db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 2000");
    this.#db.exec("CREATE TABLE IF NOT EXISTS identity (one INTEGER PRIMARY KEY CHECK (one = 1), text TEXT) STRICT");
    this.#db.exec("CREATE TABLE IF NOT EXISTS cursors (name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT");
    this.leafFiles = new SqliteLeafFiles(this.#db);
    this.#readers = new SnapshotPool(path);
    this.#chainId = chainId;
  }

  async open(identity: string): Promise<{ chain: StoredChain | undefined; isForeign: boolean }> {
    this.#identity = identity;
    const stored = this.#db.prepare("SELECT text FROM identity").get()?.["text"];
    if (stored !== identity) await this.wipe();
    return { chain: this.#readChain(), isForeign: stored !== undefined && stored !== identity };
  }

  async begin(anchor: BlockRef): Promise<void> {
    this.#transact(() => {
      this.#insertBlock(anchor);
      this.#writeChain({ anchor, checkpoint: anchor, undoFloor: anchor.number, finalized: anchor.number });
    });
  }

  async hashAt(number: number): Promise<Hex | undefined> {
    return this.#blockAt(number)?.hash;
  }

  async eventBlockUpTo(number: number): Promise<Pick<BlockRef, "number" | "hash"> | undefined> {
    const sql = "SELECT block AS number, blockHash AS hash FROM events WHERE block <= ? ORDER BY block DESC LIMIT 1";
    const found = this.#statement(sql).get(number);
    return found === undefined ? undefined : ({ ...found } as unknown as BlockRef);
  }

  async apply(batch: BlockBatch): Promise<void> {
    this.#transact(() => {
      const chain = this.#readChain();
      if (chain?.checkpoint.hash !== batch.previousHash) throw secondWriter(chain, batch);
      const rows = new RowBuffer((table, id) => this.#readRow(table, id));
      for (const block of batch.blocks) this.#foldBlock(block, rows);
      this.#writeRows(rows, batch);
      this.#insertBlock(batch.checkpoint);
      const undoFloor = Math.max(chain.undoFloor, batch.undoFloor);
      this.#run("DELETE FROM blocks WHERE number < ?", undoFloor);
      this.#run("DELETE FROM undo WHERE block <= ?", undoFloor);
      const { checkpoint, finalized } = batch;
      this.#writeChain({ anchor: chain.anchor, checkpoint, undoFloor, finalized });
    });
  }

  async undoTo(number: number): Promise<BlockRef> {
    return this.#transact(() => {
      const chain = this.#readChain();
      const block = this.#blockAt(number);
      if (chain === undefined || block === undefined) throw notUndoable(number, chain);
      // Newest first: what remains is each row's state before the oldest undone block.
      const undone = this.#statement("SELECT * FROM undo WHERE block > ? ORDER BY block DESC").all(number);
      for (const entry of undone) this.#restore(entry as unknown as UndoEntry);
      this.#run("DELETE FROM undo WHERE block > ?", number);
      this.#run("DELETE FROM events WHERE block > ?", number);
      this.#run("DELETE FROM blocks WHERE number > ?", number);
      this.#writeChain({ ...chain, checkpoint: block, finalized: Math.min(chain.finalized, number) });
      return block;
    });
  }

  async wipe(): Promise<void> {
    this.#statements.clear();
    this.#transact(() => {
      // Also tables of an older schema, whatever they were called.
      const kept = ["identity", "cursors", ...leafTables].map((name) => `'${name}'`).join(", ");
      const old = this.#db
        .prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN (${kept})`)
        .all();
      for (const { name } of old) this.#db.exec(`DROP TABLE "${name as string}"`);
      for (const statement of schemaStatements()) this.#db.exec(statement);
      this.#run("INSERT OR REPLACE INTO identity VALUES (1, ?)", this.#identity);
    });
  }

  async readCursor(name: string): Promise<string | undefined> {
    return this.#db.prepare("SELECT text FROM cursors WHERE name = ?").get(name)?.["text"] as string | undefined;
  }

  async writeCursor(name: string, text: string): Promise<void> {
    // What was promised before a message left cannot be read again from the chain: it survives a power cut.
    this.#db.exec("PRAGMA synchronous = FULL");
    this.#db.prepare("INSERT OR REPLACE INTO cursors VALUES (?, ?)").run(name, text);
    this.#db.exec("PRAGMA synchronous = NORMAL");
  }

  snapshot(): Snapshot {
    return this.#readers.take();
  }

  async close(): Promise<void> {
    this.#readers.close();
    this.#statements.clear();
    this.#db.close();
  }

  #foldBlock({ ref, events }: CheckedBlock, rows: RowBuffer): void {
    for (const { log, decoded } of events) {
      const { logIndex, transactionHash, address, topics, payload } = log;
      this.#run(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        ...[ref.number, logIndex, ref.hash, ref.timestamp, transactionHash, address, topics.join(), payload],
      );
      if (decoded === undefined) continue;
      const { number: blockNumber, timestamp } = ref;
      const place = { chainId: this.#chainId, blockNumber, timestamp, transaction: transactionHash, logIndex };
      for (const change of foldEvent(decoded, place, rows)) rows.put(change);
    }
  }

  #writeRows(rows: RowBuffer, batch: BlockBatch): void {
    for (const { table, id, before, row } of rows.changed()) {
      if (batch.isUndoable) {
        const previous = before === undefined ? null : JSON.stringify(encodeRow(columnsOf(table), before));
        this.#run("INSERT INTO undo VALUES (?, ?, ?, ?)", batch.checkpoint.number, table, id, previous);
      }
      this.#insertRow(table, encodeRow(columnsOf(table), row));
    }
  }

  #restore({ tableName, id, previous }: UndoEntry): void {
    if (!(tableNames as string[]).includes(tableName)) return;
    if (previous === null) this.#run(`DELETE FROM "${tableName}" WHERE id = ?`, id);
    else this.#insertRow(tableName, JSON.parse(previous) as SqlValue[]);
  }

  #insertRow(table: TableName, values: readonly SqlValue[]): void {
    this.#run(`INSERT OR REPLACE INTO "${table}" VALUES (${values.map(() => "?").join(", ")})`, ...values);
  }

  #readRow(table: TableName, id: string): AnyRow | undefined {
    const row = this.#statement(`SELECT * FROM "${table}" WHERE id = ?`).get(id);
    return row === undefined ? undefined : decodeRow(columnsOf(table), row as Record<string, SqlValue>);
  }

  #insertBlock({ number, hash, parentHash, timestamp }: BlockRef): void {
    this.#run("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?, ?)", number, hash, parentHash, timestamp);
  }

  #blockAt(number: number): BlockRef | undefined {
    const block = this.#statement("SELECT * FROM blocks WHERE number = ?").get(number);
    return block === undefined ? undefined : ({ ...block } as unknown as BlockRef);
  }

  #readChain(): StoredChain | undefined {
    return decodeChain(this.#statement("SELECT * FROM chain").get());
  }

  #writeChain({ anchor, checkpoint, undoFloor, finalized }: StoredChain): void {
    this.#run(
      "INSERT OR REPLACE INTO chain VALUES (1, ?, ?, ?, ?)",
      ...[JSON.stringify(anchor), JSON.stringify(checkpoint), undoFloor, finalized],
    );
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, (statement = this.#db.prepare(sql)));
    return statement;
  }

  #run(sql: string, ...values: SqlValue[]): void {
    this.#statement(sql).run(...values);
  }

  #transact<T>(work: () => T): T {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.#db.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }
}

interface UndoEntry {
  readonly tableName: TableName;
  readonly id: string;
  readonly previous: string | null;
}
