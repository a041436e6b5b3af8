import { DatabaseSync, type StatementSync } from "node:sqlite";
import { SuretyError } from "#protocol";
import type { Column, Durability, Lease, Statement, Store } from "./port.ts";

/** Format of the file itself; the tables of the stages carry versions of their own. */
const FILE_VERSION = 1;
/** How long a statement waits for another process (a command line that reads) to let go of the file. */
const BUSY_TIMEOUT_MS = 5_000;

/**
 * Opens or creates a store on node:sqlite in WAL mode, so that readers never block the writer.
 * @throws SuretyError STORE_OPEN_FAILED, STORE_NEWER
 */
export function openStore(path: string): Store {
  const database = openDatabase(path);
  const statements = new Map<string, StatementSync>();
  const leases = new Set<Lease>();
  const held = new Set<string>();
  let openTransaction: Durability | undefined;
  let isClosed = false;

  const store: Store = {
    path,
    migrate(stage, steps) {
      store.transaction(() => migrateStage(database, path, stage, steps));
    },
    prepare<Row>(sql: string): Statement<Row> {
      let statement = statements.get(sql);
      if (statement === undefined) statements.set(sql, (statement = database.prepare(sql)));
      return wrapStatement<Row>(statement);
    },
    transaction(work, durability = "synced") {
      if (openTransaction !== undefined) {
        if (durability === "synced" && openTransaction === "relaxed") throw durabilityError();
        return work();
      }
      openTransaction = durability;
      try {
        return runTransaction(database, work, durability);
      } finally {
        openTransaction = undefined;
      }
    },
    lease(name) {
      if (held.has(name)) throw leaseHeld(path, name);
      const lock = path === ":memory:" ? undefined : lockFile(`${path}.${name}.lock`, path, name);
      held.add(name);
      const lease: Lease = {
        release() {
          if (!leases.delete(lease)) return;
          held.delete(name);
          lock?.close();
        },
      };
      leases.add(lease);
      return lease;
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      for (const lease of [...leases]) lease.release();
      database.close();
    },
  };
  return store;
}

function openDatabase(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
    database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;");
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version > FILE_VERSION) throw storeNewer(path, "file", version, FILE_VERSION);
    database.exec(`PRAGMA user_version=${FILE_VERSION};
      CREATE TABLE IF NOT EXISTS store_stages (stage TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID, STRICT;`);
    return database;
  } catch (cause) {
    if (cause instanceof SuretyError) throw cause;
    throw new SuretyError("STORE_OPEN_FAILED", `The store at ${path} cannot be opened.`, {
      values: { path },
      next: "Check that its folder exists, is writable, and that the file is a Surety store.",
      cause,
    });
  }
}

function migrateStage(database: DatabaseSync, path: string, stage: string, steps: readonly string[]): void {
  const row = database.prepare("SELECT version FROM store_stages WHERE stage = ?").get(stage);
  const version = (row as { version: number } | undefined)?.version ?? 0;
  if (version > steps.length) throw storeNewer(path, stage, version, steps.length);
  for (const step of steps.slice(version)) database.exec(step);
  database.prepare("INSERT OR REPLACE INTO store_stages (stage, version) VALUES (?, ?)").run(stage, steps.length);
}

function wrapStatement<Row>(statement: StatementSync): Statement<Row> {
  return {
    run: (...values: Column[]) => Number(statement.run(...values).changes),
    get: (...values: Column[]) => statement.get(...values) as Row | undefined,
    all: (...values: Column[]) => statement.all(...values) as Row[],
  };
}

function runTransaction<T>(database: DatabaseSync, work: () => T, durability: Durability): T {
  // The pragma has no effect inside a transaction; FULL is restored, so that single statements are synced too.
  if (durability === "relaxed") database.exec("PRAGMA synchronous=NORMAL");
  try {
    database.exec("BEGIN IMMEDIATE");
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (cause) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw cause;
  } finally {
    if (durability === "relaxed") database.exec("PRAGMA synchronous=FULL");
  }
}

/** An exclusive lock on a file of its own: readers of the store are not shut out, and a dead holder holds nothing. */
function lockFile(lockPath: string, path: string, name: string): DatabaseSync {
  const lock = new DatabaseSync(lockPath, { timeout: 0 });
  try {
    lock.exec("BEGIN EXCLUSIVE");
    return lock;
  } catch (cause) {
    lock.close();
    throw leaseHeld(path, name, cause);
  }
}

function leaseHeld(path: string, name: string, cause?: unknown): SuretyError {
  return new SuretyError("LEASE_HELD", `Another process or part holds "${name}" of the store at ${path}.`, {
    values: { path, name },
    next: "Stop the other node that uses this store, or give this one a store of its own.",
    cause,
    isRetryable: true,
  });
}

function storeNewer(path: string, part: string, found: number, known: number): SuretyError {
  return new SuretyError(
    "STORE_NEWER",
    `The ${part} tables of ${path} have version ${found}; this program knows ${known}.`,
    {
      values: { path, part, found, known },
      next: "Use the newer program that wrote the store.",
    },
  );
}

function durabilityError(): SuretyError {
  return new SuretyError(
    "STORE_DURABILITY",
    "A synced transaction cannot join a relaxed one: it would not be synced.",
    {
      next: "Open the outer transaction as synced.",
    },
  );
}
