import { decodeLogHeader, encodeLogHeader, SuretyError, type Fork, type VerifiedHeader } from "#protocol";
import type { Address, Hex } from "viem";
import type { Store } from "../store/port.ts";

const migrations = [
  `CREATE TABLE log_entries (
     log TEXT NOT NULL, seq INTEGER NOT NULL, digest TEXT NOT NULL, body_hash TEXT NOT NULL,
     header BLOB NOT NULL, heard_ms INTEGER NOT NULL, has_body INTEGER NOT NULL,
     PRIMARY KEY (log, seq)
   ) WITHOUT ROWID, STRICT;
   CREATE UNIQUE INDEX log_entries_by_digest ON log_entries (digest);
   CREATE INDEX log_entries_by_body ON log_entries (body_hash);
   CREATE INDEX log_entries_bodiless ON log_entries (heard_ms) WHERE has_body = 0;
   CREATE TABLE log_heads (log TEXT PRIMARY KEY, seq INTEGER NOT NULL, digest TEXT NOT NULL) WITHOUT ROWID, STRICT;
   CREATE TABLE log_bodies (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL) STRICT;
   CREATE TABLE log_forks (
     log TEXT PRIMARY KEY, kind TEXT NOT NULL, first BLOB NOT NULL, second BLOB NOT NULL,
     first_digest TEXT NOT NULL, second_digest TEXT NOT NULL
   ) WITHOUT ROWID, STRICT;`,
];

/** The last entry of a log that a node holds. */
export interface LogHead {
  readonly log: Address;
  readonly seq: number;
  readonly digest: Hex;
}

/** A stored entry; the body is absent until it was pulled. */
export interface StoredEntry {
  readonly header: VerifiedHeader;
  readonly body: Uint8Array | undefined;
  /** When this node first heard the header, by its own clock. */
  readonly heardMs: number;
}

/** How much a node holds. */
export interface LogCounts {
  readonly logs: number;
  readonly entries: number;
  /** Entries whose body is still to be pulled. */
  readonly bodiless: number;
  readonly forks: number;
}

/** Own and foreign logs, as far as this node holds them: from seq 0 without a gap, each. */
export interface LogReader {
  headOf(log: Address): VerifiedHeader | undefined;
  entryAt(log: Address, seq: number): StoredEntry | undefined;
  entryByDigest(digest: Hex): StoredEntry | undefined;
  /** Headers from `fromSeq` upwards. */
  range(log: Address, fromSeq: number, limit: number): VerifiedHeader[];
  /** Heads of all logs in order of their address, after `after`. */
  heads(after: Address | undefined, limit: number): LogHead[];
  bodyOf(hash: Hex): Uint8Array | undefined;
  hasBody(hash: Hex): boolean;
  /** Headers whose body is still to be pulled, newest first. */
  bodiless(limit: number): VerifiedHeader[];
  forkOf(log: Address): Fork | undefined;
  /** Logs of which a fork is kept. */
  forkedLogs(): Address[];
  /** Everything with a body, in the order in which each log says it, for an index to be rebuilt from. */
  entriesWithBody(log: Address): StoredEntry[];
  /** The same, a page of it. */
  entriesWithBodyFrom(log: Address, fromSeq: number, limit: number): StoredEntry[];
  counts(): LogCounts;
}

export interface LogStore extends LogReader {
  /** Header and body in one synced transaction: on disk when this returns. */
  appendOwn(header: VerifiedHeader, body: Uint8Array, heardMs: number): void;
  /** An own header that peers gave back after a lost disk; synced. */
  restoreOwn(header: VerifiedHeader, heardMs: number): void;
  addHeaders(headers: readonly VerifiedHeader[], heardMs: number): void;
  /** The caller has checked the hash. */
  addBody(hash: Hex, bytes: Uint8Array): void;
  /**
   * Drops bodies that nobody needs, in one transaction; they are not pulled again. Bytes that another entry shares stay.
   * @returns bytes that the store is rid of
   */
  dropBodies(log: Address, seqs: readonly number[]): number;
  /** The first fork of a log stays; later ones say nothing more. */
  addFork(fork: Fork): void;
}

interface EntryRow {
  readonly digest: Hex;
  readonly header: Uint8Array;
  readonly bytes: Uint8Array | null;
  readonly heard_ms: number;
}
interface ForkRow {
  readonly kind: Fork["kind"];
  readonly first: Uint8Array;
  readonly second: Uint8Array;
  readonly first_digest: Hex;
  readonly second_digest: Hex;
}

/** The tables of all logs in one store. */
export function createLogStore(store: Store): LogStore {
  store.migrate("log", migrations);
  return { ...createReader(store), ...createWrites(store) };
}

function createReader(store: Store): LogReader {
  const joined = `SELECT e.digest, e.header, e.heard_ms, b.bytes FROM log_entries e
    LEFT JOIN log_bodies b ON b.hash = e.body_hash`;
  const bare = "SELECT digest, header, heard_ms, NULL AS bytes FROM log_entries";
  const at = store.prepare<EntryRow>(`${joined} WHERE e.log = ? AND e.seq = ?`);
  const byDigest = store.prepare<EntryRow>(`${joined} WHERE e.digest = ?`);
  const head = store.prepare<EntryRow>(`${bare} WHERE log = ? ORDER BY seq DESC LIMIT 1`);
  const range = store.prepare<EntryRow>(`${bare} WHERE log = ? AND seq >= ? ORDER BY seq LIMIT ?`);
  const heads = store.prepare<LogHead>("SELECT log, seq, digest FROM log_heads WHERE log > ? ORDER BY log LIMIT ?");
  const body = store.prepare<{ bytes: Uint8Array }>("SELECT bytes FROM log_bodies WHERE hash = ?");
  const has = store.prepare("SELECT 1 FROM log_bodies WHERE hash = ?");
  const bodiless = store.prepare<EntryRow>(`${bare} WHERE has_body = 0 ORDER BY heard_ms DESC LIMIT ?`);
  const forked = store.prepare<{ log: Address }>("SELECT log FROM log_forks");
  const fork = store.prepare<ForkRow>("SELECT * FROM log_forks WHERE log = ?");
  // A log is held from seq 0 without a gap, so its head says how many entries it has: no table of a million rows is counted.
  const counts = store.prepare<LogCounts>(
    `SELECT COUNT(*) AS logs, COALESCE(SUM(seq + 1), 0) AS entries,
       (SELECT COUNT(*) FROM log_entries WHERE has_body = 0) AS bodiless,
       (SELECT COUNT(*) FROM log_forks) AS forks FROM log_heads`,
  );
  const full = store.prepare<EntryRow>(`${joined} WHERE e.log = ? AND b.hash IS NOT NULL ORDER BY e.seq`);
  const fullFrom = store.prepare<EntryRow>(
    `${joined} WHERE e.log = ? AND e.seq >= ? AND e.has_body = 1 AND b.hash IS NOT NULL ORDER BY e.seq LIMIT ?`,
  );
  return {
    entriesWithBodyFrom: (log, fromSeq, limit) =>
      fullFrom.all(log, fromSeq, limit).map((row) => entryOf(row) as StoredEntry),
    headOf: (log) => headerOf(head.get(log)),
    entryAt: (log, seq) => entryOf(at.get(log, seq)),
    entryByDigest: (digest) => entryOf(byDigest.get(digest)),
    range: (log, fromSeq, limit) => range.all(log, fromSeq, limit).map((row) => headerOf(row) as VerifiedHeader),
    heads: (after, limit) => heads.all(after ?? "", limit),
    bodyOf: (hash) => body.get(hash)?.bytes,
    hasBody: (hash) => has.get(hash) !== undefined,
    bodiless: (limit) => bodiless.all(limit).map((row) => headerOf(row) as VerifiedHeader),
    forkOf(log) {
      const row = fork.get(log);
      if (row === undefined) return undefined;
      const first = decodeStored(row.first, row.first_digest);
      return { kind: row.kind, first, second: decodeStored(row.second, row.second_digest) };
    },
    forkedLogs: () => forked.all().map(({ log }) => log),
    counts: () => counts.get() as LogCounts,
    entriesWithBody: (log) => full.all(log).map((row) => entryOf(row) as StoredEntry),
  };
}

function createWrites(store: Store): Omit<LogStore, keyof LogReader> {
  const insert = store.prepare(
    `INSERT INTO log_entries (log, seq, digest, body_hash, header, heard_ms, has_body)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, EXISTS (SELECT 1 FROM log_bodies WHERE hash = ?4))`,
  );
  const setHead = store.prepare("INSERT OR REPLACE INTO log_heads (log, seq, digest) VALUES (?, ?, ?)");
  const markBody = store.prepare("UPDATE log_entries SET has_body = 1 WHERE body_hash = ?");
  const insertBody = store.prepare("INSERT OR IGNORE INTO log_bodies (hash, bytes) VALUES (?, ?)");
  const insertFork = store.prepare(
    "INSERT OR IGNORE INTO log_forks (log, kind, first, second, first_digest, second_digest) VALUES (?, ?, ?, ?, ?, ?)",
  );
  // 2: it was here, or was wanted, and is needed no more.
  const drop = store.prepare("UPDATE log_entries SET has_body = 2 WHERE log = ? AND seq = ? AND has_body < 2");
  const hashAt = store.prepare<{ body_hash: string }>("SELECT body_hash FROM log_entries WHERE log = ? AND seq = ?");
  const lengthOf = store.prepare<{ length: number }>("SELECT length(bytes) AS length FROM log_bodies WHERE hash = ?");
  const removeBody = store.prepare(
    `DELETE FROM log_bodies WHERE hash = ?1
       AND NOT EXISTS (SELECT 1 FROM log_entries WHERE body_hash = ?1 AND has_body = 1)`,
  );
  const add = (entry: VerifiedHeader, heardMs: number): void => {
    const { log, seq, bodyHash } = entry.header;
    insert.run(log, seq, entry.digest, bodyHash, encodeLogHeader(entry), heardMs);
    setHead.run(log, seq, entry.digest);
  };
  const addBody = (hash: Hex, bytes: Uint8Array): void => {
    insertBody.run(hash, bytes);
    markBody.run(hash);
  };
  return {
    appendOwn(header, body, heardMs) {
      store.transaction(() => {
        add(header, heardMs);
        addBody(header.header.bodyHash, body);
      });
    },
    restoreOwn: (header, heardMs) => store.transaction(() => add(header, heardMs)),
    addHeaders(headers, heardMs) {
      store.transaction(() => headers.forEach((header) => add(header, heardMs)), "relaxed");
    },
    addBody(hash, bytes) {
      store.transaction(() => addBody(hash, bytes), "relaxed");
    },
    dropBodies(log, seqs) {
      return store.transaction(() => {
        let bytes = 0;
        for (const seq of seqs) {
          if (drop.run(log, seq) === 0) continue;
          const hash = hashAt.get(log, seq)?.body_hash ?? "";
          const length = lengthOf.get(hash)?.length ?? 0;
          if (removeBody.run(hash) > 0) bytes += length;
        }
        return bytes;
      });
    },
    addFork({ kind, first, second }) {
      const blobs = [encodeLogHeader(first), encodeLogHeader(second)] as const;
      store.transaction(() => insertFork.run(first.header.log, kind, ...blobs, first.digest, second.digest));
    },
  };
}

function entryOf(row: EntryRow | undefined): StoredEntry | undefined {
  if (row === undefined) return undefined;
  return { header: decodeStored(row.header, row.digest), body: row.bytes ?? undefined, heardMs: row.heard_ms };
}

function headerOf(row: EntryRow | undefined): VerifiedHeader | undefined {
  return row && decodeStored(row.header, row.digest);
}

/** Signature and digest were checked before the header was stored. */
function decodeStored(bytes: Uint8Array, digest: Hex): VerifiedHeader {
  const verdict = decodeLogHeader(bytes);
  if (verdict.kind === "accept") return { ...verdict.value, digest };
  throw new SuretyError("STORE_CORRUPT", `A stored log header does not decode: ${verdict.detail}.`, {
    values: { digest, code: verdict.code },
    next: "Restore the store from a copy, or delete it and let peers fill it again.",
  });
}
