import type { Hex } from "viem";
import type { Store } from "../../store/port.ts";
import { decodeRecord, encodeRecord } from "../../store/records.ts";
import type { ProviderTab, TabRecord } from "./tab-machine.ts";

const MIGRATIONS = [
  `CREATE TABLE tabs_tab (tab_id TEXT PRIMARY KEY, is_ended INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
  CREATE TABLE tabs_answer (tab_id TEXT PRIMARY KEY REFERENCES tabs_tab (tab_id), seq INTEGER NOT NULL, body BLOB NOT NULL) STRICT;`,
];

/** Tabs on disk, synced: a voucher is here before it is sent, an answer before it is given. */
export class TabStore {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
    store.migrate("tabs", MIGRATIONS);
  }

  put(record: TabRecord): void {
    this.#store.transaction(() =>
      this.#store
        .prepare(
          "INSERT INTO tabs_tab VALUES (?, ?, ?) ON CONFLICT (tab_id) DO UPDATE SET is_ended = excluded.is_ended, record = excluded.record",
        )
        .run(record.tabId, record.isEnded ? 1 : 0, encodeRecord(record)),
    );
  }

  /** The answer and the record that counts it, together. */
  putAnswer(record: ProviderTab, body: Uint8Array): void {
    this.#store.transaction(() => {
      this.put(record);
      this.#store
        .prepare("INSERT OR REPLACE INTO tabs_answer VALUES (?, ?, ?)")
        .run(record.tabId, record.answered, body);
    });
  }

  answerOf(tabId: Hex): { readonly seq: number; readonly body: Uint8Array } | undefined {
    const sql = "SELECT seq, body FROM tabs_answer WHERE tab_id = ?";
    return this.#store.prepare<{ seq: number; body: Uint8Array }>(sql).get(tabId);
  }

  get(tabId: Hex): TabRecord | undefined {
    const row = this.#store.prepare<{ record: string }>("SELECT record FROM tabs_tab WHERE tab_id = ?").get(tabId);
    return row && decodeRecord<TabRecord>(row.record);
  }

  all(): TabRecord[] {
    const rows = this.#store.prepare<{ record: string }>("SELECT record FROM tabs_tab ORDER BY rowid").all();
    return rows.map(({ record }) => decodeRecord<TabRecord>(record));
  }
}
