import type { Hex } from "viem";
import { decodeRecord, encodeRecord } from "../store/records.ts";
import type { Store } from "../store/port.ts";
import type { DealRecord } from "./deal-machine.ts";

const MIGRATIONS = [
  `CREATE TABLE settlement_deals (
    deal_id TEXT PRIMARY KEY,
    is_ended INTEGER NOT NULL,
    record TEXT NOT NULL
  ) STRICT`,
  `CREATE TABLE settlement_deliverables (
    deal_id TEXT PRIMARY KEY REFERENCES settlement_deals (deal_id),
    hash TEXT NOT NULL,
    body BLOB NOT NULL
  ) STRICT`,
  `CREATE INDEX settlement_deliverables_hash ON settlement_deliverables (hash)`,
  `CREATE INDEX settlement_deals_live ON settlement_deals (is_ended)`,
  `CREATE TABLE settlement_bundles (
    hash TEXT PRIMARY KEY, deal_id TEXT NOT NULL REFERENCES settlement_deals (deal_id), bytes BLOB NOT NULL
  ) STRICT`,
];

interface RecordRow {
  record: string;
}

/** Deals and deliverables on disk, synced. */
export class DealStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    store.migrate("settlement", MIGRATIONS);
  }

  /** @returns false if the deal is known already: its record stays */
  add(record: DealRecord): boolean {
    const sql = "INSERT OR IGNORE INTO settlement_deals VALUES (?, 0, ?)";
    return this.#store.transaction(
      () => this.#store.prepare(sql).run(record.agreement.dealId, encodeRecord(record)) === 1,
    );
  }

  put(record: DealRecord): void {
    const sql = "UPDATE settlement_deals SET is_ended = ?, record = ? WHERE deal_id = ?";
    this.#store.transaction(() => {
      this.#store.prepare(sql).run(record.isEnded ? 1 : 0, encodeRecord(record), record.agreement.dealId);
    });
  }

  /** The deliverable and the record that names it, together: never a hash without its body. */
  putWithDeliverable(record: DealRecord, hash: Hex, body: Uint8Array): void {
    this.#store.transaction(() => {
      this.#store
        .prepare("INSERT OR REPLACE INTO settlement_deliverables VALUES (?, ?, ?)")
        .run(record.agreement.dealId, hash, body);
      this.put(record);
    });
  }

  get(dealId: Hex): DealRecord | undefined {
    const sql = "SELECT record FROM settlement_deals WHERE deal_id = ?";
    const row = this.#store.prepare<RecordRow>(sql).get(dealId);
    return row && decodeRecord<DealRecord>(row.record);
  }

  live(): DealRecord[] {
    const sql = "SELECT record FROM settlement_deals WHERE is_ended = 0 ORDER BY rowid";
    return this.#store
      .prepare<RecordRow>(sql)
      .all()
      .map(({ record }) => decodeRecord<DealRecord>(record));
  }

  all(): DealRecord[] {
    const sql = "SELECT record FROM settlement_deals ORDER BY rowid";
    return this.#store
      .prepare<RecordRow>(sql)
      .all()
      .map(({ record }) => decodeRecord<DealRecord>(record));
  }

  deliverablesOf(hash: Hex): { record: DealRecord; body: Uint8Array }[] {
    const sql = `SELECT record, body FROM settlement_deliverables JOIN settlement_deals USING (deal_id) WHERE hash = ?`;
    const rows = this.#store.prepare<RecordRow & { body: Uint8Array }>(sql).all(hash);
    return rows.map(({ record, body }) => ({ record: decodeRecord<DealRecord>(record), body }));
  }

  /** What was delivered: our own work, or what we fetched. */
  deliverableOf(dealId: Hex): Uint8Array | undefined {
    const sql = "SELECT body FROM settlement_deliverables WHERE deal_id = ?";
    return this.#store.prepare<{ body: Uint8Array }>(sql).get(dealId)?.body;
  }

  /** Evidence as it was named on chain. */
  putBundle(dealId: Hex, hash: Hex, bytes: Uint8Array): void {
    const insert = this.#store.prepare("INSERT OR IGNORE INTO settlement_bundles VALUES (?, ?, ?)");
    this.#store.transaction(() => insert.run(hash, dealId, bytes));
  }

  bundleOf(hash: Hex): { readonly record: DealRecord; readonly bytes: Uint8Array } | undefined {
    const sql = "SELECT record, bytes FROM settlement_bundles JOIN settlement_deals USING (deal_id) WHERE hash = ?";
    const row = this.#store.prepare<RecordRow & { bytes: Uint8Array }>(sql).get(hash);
    return row && { record: decodeRecord<DealRecord>(row.record), bytes: row.bytes };
  }
}
