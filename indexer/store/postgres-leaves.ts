import type { Pool, PoolClient } from "pg";
import { CHUNK_LEAVES, type LeavesId } from "#protocol";
import { countsOf } from "./sqlite-leaves.ts";
import type { LeafFile, LeafFileReader, LeafFileStore } from "./store.ts";

type Query = (text: string, values?: readonly unknown[]) => Promise<readonly Record<string, unknown>[]>;

const COLUMNS = `root, "leafCount", epoch, state, "knownChunks", attempts, "retryAt", detail`;
const OF = `WHERE root = $1 AND "leafCount" = $2`;

/** @param kept the schema that no rebuild drops */
export function readLeafFiles(query: Query, kept: string): LeafFileReader {
  // A database that no indexer has opened with this version yet has no such tables; a query that fails would end the snapshot.
  let isThere: Promise<boolean> | undefined;
  const ask: Query = async (text, values) => {
    isThere ??= query("SELECT to_regclass($1) AS known", [`${kept}."leafFiles"`]).then(
      (rows) => rows[0]?.["known"] !== null,
    );
    return (await isThere) ? query(text, values) : [];
  };
  return {
    async leafFile({ root, leafCount }) {
      const [row] = await ask(`SELECT ${COLUMNS} FROM ${kept}."leafFiles" ${OF}`, [root, leafCount]);
      return row === undefined ? undefined : ({ ...row, retryAt: Number(row["retryAt"]) } as unknown as LeafFile);
    },
    async leafTop({ root, leafCount }) {
      const [row] = await ask(`SELECT top FROM ${kept}."leafFiles" ${OF}`, [root, leafCount]);
      return (row?.["top"] ?? undefined) as Uint8Array | undefined;
    },
    async leafChunk({ root, leafCount }, chunk) {
      const [row] = await ask(`SELECT levels FROM ${kept}."leafChunks" ${OF} AND chunk = $3`, [root, leafCount, chunk]);
      return row?.["levels"] as Uint8Array | undefined;
    },
    leafFileCounts: async () =>
      countsOf(await ask(`SELECT state, count(*) AS count FROM ${kept}."leafFiles" GROUP BY state`)),
  };
}

/** Files of leaves beside the rows, by the pool: the writer's connection may be in a transaction. */
export class PostgresLeafFiles implements LeafFileStore {
  readonly #pool: () => Promise<Pool>;
  readonly #kept: string;
  readonly #reader: LeafFileReader;
  #isMade: Promise<void> | undefined;

  constructor(pool: () => Promise<Pool>, kept: string) {
    this.#pool = pool;
    this.#kept = kept;
    const query: Query = async (text, values = []) =>
      (await (await this.#made()).query<Record<string, unknown>>(text, [...values])).rows;
    this.#reader = readLeafFiles(query, kept);
  }

  async read(id: LeavesId): Promise<LeafFile | undefined> {
    return this.#reader.leafFile(id);
  }

  async top(id: LeavesId): Promise<Uint8Array | undefined> {
    return this.#reader.leafTop(id);
  }

  async write(file: LeafFile, top?: Uint8Array): Promise<void> {
    await this.#write(await this.#made(), file, top);
  }

  async writeChunks(file: LeafFile, first: number, chunks: readonly Uint8Array[]): Promise<void> {
    const { root, leafCount } = file;
    await this.#transact(async (client) => {
      const numbers = chunks.map((_, k) => first + k);
      await client.query(
        `INSERT INTO ${this.#kept}."leafChunks" SELECT $1, $2, chunk, levels FROM unnest($3::integer[], $4::bytea[]) AS given (chunk, levels) ON CONFLICT DO NOTHING`,
        [root, leafCount, numbers, chunks.map((levels) => Buffer.from(levels))],
      );
      await this.#write(client, file);
    });
  }

  async prune(maxLeaves: number): Promise<void> {
    const pool = await this.#made();
    const { rows } = await pool.query<LeafFile>(
      `SELECT root, "leafCount", "knownChunks" FROM ${this.#kept}."leafFiles" ORDER BY epoch DESC, root`,
    );
    let sum = 0;
    for (const { root, leafCount, knownChunks } of rows) {
      sum += knownChunks * CHUNK_LEAVES;
      if (sum <= maxLeaves) continue;
      await this.#transact(async (client) => {
        for (const table of ["leafFiles", "leafChunks"])
          await client.query(`DELETE FROM ${this.#kept}."${table}" ${OF}`, [root, leafCount]);
      });
    }
  }

  async #write(client: Pool | PoolClient, file: LeafFile, top?: Uint8Array): Promise<void> {
    const { root, leafCount, epoch, state, knownChunks, attempts, retryAt, detail } = file;
    const changes = `epoch = $3, state = $4, "knownChunks" = $5, attempts = $6, "retryAt" = $7, detail = $8, top = coalesce($9, was.top)`;
    await client.query(
      `INSERT INTO ${this.#kept}."leafFiles" AS was VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (root, "leafCount") DO UPDATE SET ${changes}`,
      [
        root,
        leafCount,
        epoch,
        state,
        knownChunks,
        attempts,
        retryAt,
        detail,
        top === undefined ? null : Buffer.from(top),
      ],
    );
  }

  async #transact(work: (client: PoolClient) => Promise<void>): Promise<void> {
    const client = await (await this.#made()).connect();
    try {
      await client.query("BEGIN");
      await work(client);
      await client.query("COMMIT");
      client.release();
    } catch (error) {
      // Closing the connection undoes what it did.
      client.release(true);
      throw error;
    }
  }

  async #made(): Promise<Pool> {
    const pool = await this.#pool();
    await (this.#isMade ??= make(pool, this.#kept));
    return pool;
  }
}

async function make(pool: Pool, kept: string): Promise<void> {
  await pool.query(`CREATE SCHEMA IF NOT EXISTS ${kept}`);
  await pool.query(
    `CREATE TABLE IF NOT EXISTS ${kept}."leafFiles" (root text, "leafCount" integer, epoch integer NOT NULL, state text NOT NULL, "knownChunks" integer NOT NULL, attempts integer NOT NULL, "retryAt" bigint NOT NULL, detail text, top bytea, PRIMARY KEY (root, "leafCount"))`,
  );
  await pool.query(
    `CREATE TABLE IF NOT EXISTS ${kept}."leafChunks" (root text, "leafCount" integer, chunk integer, levels bytea NOT NULL, PRIMARY KEY (root, "leafCount", chunk))`,
  );
}
