import type { Hex } from "viem";
import { REMEMBERED_WINDOWS, type BatchHeader, type Link } from "#protocol";
import type { Store } from "../store/port.ts";
import { decodeListedBatch, encodeListedBatch, type ListedBatch } from "./wire.ts";

const MIGRATIONS = [
  `CREATE TABLE windows_signed (
     topic TEXT NOT NULL, window INTEGER NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (topic, window)
   ) WITHOUT ROWID, STRICT;
   CREATE TABLE windows_batches (
     topic TEXT NOT NULL, window INTEGER NOT NULL, digest TEXT NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (topic, window, digest)
   ) WITHOUT ROWID, STRICT;
   CREATE INDEX windows_batches_by_digest ON windows_batches (topic, digest);`,
];
/** Windows of a topic that are kept: a day of five seconds each. The chain's anchors keep the rest in order. */
const MAX_KEPT = 17_280;

interface BatchRow {
  readonly digest: Hex;
  readonly bytes: Uint8Array;
}

/** What this node signed, and the batches that it holds. */
export interface BatchStore {
  /** Puts on disk, synced, that this header of its window is the one we sign. @returns false if another one is */
  claim(header: BatchHeader, digest: Hex): boolean;
  /** Digests of what we signed, of the newest windows. */
  signed(topic: bigint): Map<number, Hex>;
  keep(digest: Hex, batch: ListedBatch): void;
  byDigest(topic: bigint, digest: Hex): ListedBatch | undefined;
  /** The batch of the latest window before a second; default the newest of all. */
  newest(topic: bigint, before?: number): (Link & { readonly batch: ListedBatch }) | undefined;
}

export function createBatchStore(store: Store): BatchStore {
  store.migrate("windows", MIGRATIONS);
  const claim = store.prepare("INSERT OR IGNORE INTO windows_signed VALUES (?, ?, ?)");
  const claimed = store.prepare<{ digest: Hex }>("SELECT digest FROM windows_signed WHERE topic = ? AND window = ?");
  const forget = (table: string) =>
    store.prepare(
      `DELETE FROM ${table} WHERE topic = ?1 AND window <
       (SELECT window FROM ${table} WHERE topic = ?1 ORDER BY window DESC LIMIT 1 OFFSET ${MAX_KEPT})`,
    );
  const forgets = [forget("windows_signed"), forget("windows_batches")];
  const newest = store.prepare<BatchRow>(
    "SELECT digest, bytes FROM windows_batches WHERE topic = ? AND window < ? ORDER BY window DESC LIMIT 1",
  );
  const byDigest = store.prepare<BatchRow>("SELECT digest, bytes FROM windows_batches WHERE topic = ? AND digest = ?");
  const insert = store.prepare("INSERT OR REPLACE INTO windows_batches VALUES (?, ?, ?, ?)");
  return {
    claim({ topic, window }, digest) {
      return store.transaction(() => {
        claim.run(topic.toString(), window, digest);
        return claimed.get(topic.toString(), window)?.digest === digest;
      });
    },
    signed(topic) {
      const rows = store
        .prepare<{ window: number; digest: Hex }>(
          `SELECT window, digest FROM windows_signed WHERE topic = ? ORDER BY window DESC LIMIT ${REMEMBERED_WINDOWS}`,
        )
        .all(topic.toString());
      return new Map(rows.reverse().map(({ window, digest }) => [window, digest]));
    },
    keep(digest, batch) {
      const { topic, window } = batch.header;
      store.transaction(() => {
        insert.run(topic.toString(), window, digest, encodeListedBatch(batch));
        for (const statement of forgets) statement.run(topic.toString());
      }, "relaxed");
    },
    byDigest: (topic, digest) => batchOf(byDigest.get(topic.toString(), digest))?.batch,
    newest: (topic, before = Number.MAX_SAFE_INTEGER) => batchOf(newest.get(topic.toString(), before)),
  };
}

function batchOf(row: BatchRow | undefined): (Link & { readonly batch: ListedBatch }) | undefined {
  const batch = row === undefined ? undefined : decodeListedBatch(row.bytes);
  if (row === undefined || batch?.kind !== "accept") return undefined;
  return { digest: row.digest, header: batch.value.header, batch: batch.value };
}
