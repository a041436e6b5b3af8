import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import { CHUNK_LEAVES, type LeavesId } from "#protocol";
import { leafFileStates, type LeafFile, type LeafFileReader, type LeafFileState, type LeafFileStore } from "./store.ts";

/** Tables that `wipe` leaves alone. */
export const leafTables = ["leafFiles", "leafChunks"] as const;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS leafFiles (
    root TEXT NOT NULL, leafCount INTEGER NOT NULL, epoch INTEGER NOT NULL, state TEXT NOT NULL, knownChunks INTEGER NOT NULL,
    attempts INTEGER NOT NULL, retryAt INTEGER NOT NULL, detail TEXT, top BLOB, PRIMARY KEY (root, leafCount)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS leafChunks (
    root TEXT NOT NULL, leafCount INTEGER NOT NULL, chunk INTEGER NOT NULL, levels BLOB NOT NULL, PRIMARY KEY (root, leafCount, chunk)
  ) STRICT`;

type Ask = (sql: string, ...values: SQLInputValue[]) => Record<string, unknown> | undefined;

/** @param ask runs a statement that it prepares once; all rows of one that has several */
export function readLeafFiles(ask: Ask, all: (sql: string) => Record<string, unknown>[]): LeafFileReader {
  const of = "WHERE root = ? AND leafCount = ?";
  return {
    leafFile: ({ root, leafCount }) => {
      const row = ask(
        `SELECT root, leafCount, epoch, state, knownChunks, attempts, retryAt, detail FROM leafFiles ${of}`,
        root,
        leafCount,
      );
      return row === undefined ? undefined : ({ ...row } as unknown as LeafFile);
    },
    leafTop: ({ root, leafCount }) =>
      (ask(`SELECT top FROM leafFiles ${of}`, root, leafCount)?.["top"] ?? undefined) as Uint8Array | undefined,
    leafChunk: ({ root, leafCount }, chunk) =>
      ask(`SELECT levels FROM leafChunks ${of} AND chunk = ?`, root, leafCount, chunk)?.["levels"] as
        Uint8Array | undefined,
    leafFileCounts: () => countsOf(all("SELECT state, count(*) AS count FROM leafFiles GROUP BY state")),
  };
}

/** With a zero for each state that no file is in. */
export function countsOf(rows: readonly Readonly<Record<string, unknown>>[]): Record<LeafFileState, number> {
  const counted = new Map(rows.map((row) => [row["state"], Number(row["count"])]));
  return Object.fromEntries(leafFileStates.map((state) => [state, counted.get(state) ?? 0])) as Record<
    LeafFileState,
    number
  >;
}

/** Files of leaves beside the rows, on the writer's connection. */
export class SqliteLeafFiles implements LeafFileStore {
  readonly #db: DatabaseSync;
  readonly #reader: LeafFileReader;

  constructor(db: DatabaseSync) {
    this.#db = db;
    db.exec(SCHEMA);
    const rows = (sql: string, values: SQLInputValue[] = []) => db.prepare(sql).all(...values);
    this.#reader = readLeafFiles((sql, ...values) => rows(sql, values)[0], rows);
  }

  async read(id: LeavesId): Promise<LeafFile | undefined> {
    return this.#reader.leafFile(id);
  }

  async top(id: LeavesId): Promise<Uint8Array | undefined> {
    return this.#reader.leafTop(id);
  }

  async write(file: LeafFile, top?: Uint8Array): Promise<void> {
    this.#write(file, top);
  }

  async writeChunks(file: LeafFile, first: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#transact(() => {
      const insert = this.#db.prepare("INSERT OR REPLACE INTO leafChunks VALUES (?, ?, ?, ?)");
      for (const [k, levels] of chunks.entries()) insert.run(file.root, file.leafCount, first + k, levels);
      this.#write(file);
    });
  }

  async prune(maxLeaves: number): Promise<void> {
    let leafCount = 0;
    const files = this.#db
      .prepare("SELECT root, leafCount, knownChunks FROM leafFiles ORDER BY epoch DESC, rowid DESC")
      .all();
    for (const { root, leafCount: count, knownChunks } of files as unknown as LeafFile[]) {
      leafCount += knownChunks * CHUNK_LEAVES;
      if (leafCount <= maxLeaves) continue;
      this.#transact(() => {
        for (const table of leafTables)
          this.#db.prepare(`DELETE FROM ${table} WHERE root = ? AND leafCount = ?`).run(root, count);
      });
    }
  }

  #write({ root, leafCount, epoch, state, knownChunks, attempts, retryAt, detail }: LeafFile, top?: Uint8Array): void {
    const changes =
      "epoch = ?3, state = ?4, knownChunks = ?5, attempts = ?6, retryAt = ?7, detail = ?8, top = coalesce(?9, top)";
    this.#db
      .prepare(`INSERT INTO leafFiles VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET ${changes}`)
      .run(root, leafCount, epoch, state, knownChunks, attempts, retryAt, detail, top ?? null);
  }

  #transact(work: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }
}
