import {
  learnMechanism,
  MAX_LEARNT_DEALS,
  topicIdOf,
  type EndedDeal,
  type MechanismDocument,
  type Receipt,
  type Verdict,
} from "#protocol";
import type { Agreement } from "./negotiation/port.ts";
import type { DealStore } from "./settlement/deal-store.ts";
import type { Store } from "./store/port.ts";

const migrations = [
  `CREATE TABLE experience_deals (
    deal_id TEXT PRIMARY KEY, topic TEXT NOT NULL, provider TEXT NOT NULL, price TEXT NOT NULL, outcome TEXT NOT NULL,
    rating INTEGER NOT NULL
  ) STRICT`,
  `CREATE INDEX experience_deals_topic ON experience_deals (topic)`,
];

interface Row {
  readonly provider: string;
  readonly price: string;
  readonly outcome: EndedDeal["end"];
  readonly rating: number;
}

/** Kept of each topic: a reorg may take some back, and documents of several topics read the newest of all. */
const MAX_KEPT = 2 * MAX_LEARNT_DEALS;

/**
 * What this agent has seen of the deals that it paid for: how each ended on chain, one line a deal, bounded by topic. The laws by which
 * it offers payments follow from these lines alone, so that a restart finds the same ones.
 */
export class Experience {
  readonly #store: Store;
  readonly #deals: Pick<DealStore, "get">;

  constructor(store: Store, deals: Pick<DealStore, "get" | "all">) {
    this.#store = store;
    this.#deals = deals;
    store.migrate("experience", migrations);
    const isNew = store.prepare("SELECT 1 FROM experience_deals LIMIT 1").get() === undefined;
    // Deals of before this table: they are read once.
    if (isNew)
      for (const { agreement, receipt } of deals.all()) if (receipt !== undefined) this.#put(agreement, receipt);
  }

  /** Idempotent; after a reorg the deal's other ending takes the place of the first. */
  note(receipt: Receipt): void {
    const record = this.#deals.get(receipt.dealId);
    if (record !== undefined) this.#put(record.agreement, receipt);
  }

  /** Prices and law as the deals in the document's topics bear them out. Rejects as `learnMechanism` does. */
  adopt(document: MechanismDocument): Verdict<MechanismDocument> {
    return learnMechanism(document, this.#newest(document.admission.topics));
  }

  #newest(topics: readonly string[]): EndedDeal[] {
    const ids = topics.map((topic) => topicIdOf(topic).toString());
    const sql = `SELECT provider, price, outcome, rating FROM experience_deals
      WHERE topic IN (${ids.map(() => "?").join(", ")}) ORDER BY rowid DESC LIMIT ${MAX_LEARNT_DEALS}`;
    const rows = this.#store.prepare<Row>(sql).all(...ids);
    return rows.map(({ provider, price, outcome, rating }) => ({
      ...{ providerAgentId: BigInt(provider), priceWei: BigInt(price), end: outcome, rating },
    }));
  }

  #put({ role, deal }: Agreement, { dealId, outcome, rating }: Receipt): void {
    if (role !== "client") return;
    const insert = `INSERT INTO experience_deals VALUES (?, ?, ?, ?, ?, ?)
      ON CONFLICT (deal_id) DO UPDATE SET outcome = excluded.outcome, rating = excluded.rating`;
    const prune = `DELETE FROM experience_deals WHERE topic = ? AND rowid <=
      (SELECT rowid FROM experience_deals WHERE topic = ? ORDER BY rowid DESC LIMIT 1 OFFSET ${MAX_KEPT})`;
    const topic = deal.topic.toString();
    const [provider, price] = [deal.providerAgentId.toString(), deal.price.toString()];
    this.#store.transaction(() => {
      this.#store.prepare(insert).run(dealId, topic, provider, price, outcome, rating);
      this.#store.prepare(prune).run(topic, topic);
    });
  }
}
