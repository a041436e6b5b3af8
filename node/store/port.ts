/** What a column holds. Hashes and addresses are stored as hex text, encoded messages as blobs, uint256 as decimal text. */
export type Column = null | number | bigint | string | Uint8Array;

/** One prepared statement. Rows are typed by the caller, who wrote the table. */
export interface Statement<Row> {
  /** @returns number of changed rows */
  run(...values: Column[]): number;
  get(...values: Column[]): Row | undefined;
  all(...values: Column[]): Row[];
}

/**
 * `synced`: on disk before the call returns (synchronous=FULL), for everything that we sign, send or must not forget.
 * `relaxed`: survives a crash of the process, not of the machine; for what peers can give again.
 */
export type Durability = "synced" | "relaxed";

/** One SQLite file for all stages of a node. Each stage owns its tables, named `<stage>_…`, and reads no other's. */
export interface Store {
  /** ":memory:" for a store that vanishes. */
  readonly path: string;
  /**
   * Brings a stage's tables up to date: step i runs once, when the stage's version is i. Steps are appended, never
   * changed or removed. @throws SuretyError STORE_NEWER if the file was written by a later version of the program
   */
  migrate(stage: string, steps: readonly string[]): void;
  /** Prepared once per text and kept. */
  prepare<Row = Record<string, Column>>(sql: string): Statement<Row>;
  /**
   * All or nothing. `work` is synchronous: nothing else runs between its statements. Inside another transaction it
   * joins that one (a synced one cannot join a relaxed one: STORE_DURABILITY). Rolls back when `work` throws.
   */
  transaction<T>(work: () => T, durability?: Durability): T;
  /**
   * Makes the caller the only holder of a name on this file, across processes, until it releases, closes or dies: the
   * operating system drops the lock of a killed process. @throws SuretyError LEASE_HELD
   */
  lease(name: string): Lease;
  /** Idempotent. Releases the leases. */
  close(): void;
}

/** The right to be the only writer, for as long as this process lives and has not released it. */
export interface Lease {
  release(): void;
}
