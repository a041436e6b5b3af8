import { createHash } from "node:crypto";
import { webhookSignature } from "#protocol";
import { systemClock } from "./chain/clock.ts";
import type { Clock } from "./chain/port.ts";
import type { WebhookEndpoint } from "./config.ts";
import type { DealStep } from "./settlement/port.ts";
import type { Store } from "./store/port.ts";

export interface WebhooksOptions {
  readonly store: Store;
  readonly endpoints: readonly WebhookEndpoint[];
  readonly onFault: (fault: unknown) => void;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/** Deliveries that wait; when a receiver is away for so long, the oldest are given up. */
export const MAX_WAITING = 10_000;
/** As long as a receiver may be down over a long weekend. */
const GIVE_UP_MS = 4 * 86_400_000;
/** First delay after a failure; each further one is double. */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 3_600_000;
const TIMEOUT_MS = 10_000;
/** Nobody deliverable: look again, in case that the clock was set. */
const IDLE_MS = 60_000;

const MIGRATIONS = [
  `CREATE TABLE webhooks_waiting (
    id TEXT NOT NULL, url TEXT NOT NULL, body TEXT NOT NULL, created_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL, next_ms INTEGER NOT NULL, PRIMARY KEY (id, url)
  ) STRICT;
  CREATE INDEX webhooks_waiting_next ON webhooks_waiting (next_ms);`,
  `DROP INDEX webhooks_waiting_next; CREATE INDEX webhooks_waiting_url_next ON webhooks_waiting (url, next_ms);`,
];

interface Row {
  readonly id: string;
  readonly url: string;
  readonly body: string;
  readonly created_ms: number;
  readonly attempts: number;
  readonly next_ms: number;
}

/** The deliveries to one endpoint, one after another. */
interface Lane {
  readonly endpoint: WebhookEndpoint;
  cancelTimer: () => void;
  sending: Promise<void>;
  isSending: boolean;
}

/**
 * Tells the owner's programs of each step of a deal by HTTP POST, at least once and in no promised order, in the form of
 * Standard Webhooks: `webhook-id` (the same for every attempt: receivers drop what they know), `webhook-timestamp` (Unix
 * seconds of the attempt: receivers drop what is old), `webhook-signature` `v1,` and base64 of HMAC-SHA256 over
 * `id.timestamp.body` with the shared secret. On disk before it is sent; only configured URLs, no redirect is followed, no
 * answer is read. Any 2xx ends it; anything else is tried again after 1 s, 2 s, … 1 h, for four days.
 */
export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #lifetime = new AbortController();
  readonly #clock: Clock;
  /** One an endpoint: a receiver that is away delays nobody else's deliveries. */
  readonly #lanes: readonly Lane[];

  constructor(options: WebhooksOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#lanes = options.endpoints.map((endpoint) => ({
      endpoint,
      cancelTimer: () => undefined,
      sending: Promise.resolve(),
      isSending: false,
    }));
    options.store.migrate("webhooks", MIGRATIONS);
  }

  start(): void {
    // Taken out of the configuration meanwhile: nobody is to be told any more.
    const urls = JSON.stringify(this.#options.endpoints.map(({ url }) => url));
    const dropForgotten = "DELETE FROM webhooks_waiting WHERE url NOT IN (SELECT value FROM json_each(?))";
    this.#options.store.prepare(dropForgotten).run(urls);
    for (const lane of this.#lanes) this.#send(lane);
  }

  async stop(): Promise<void> {
    this.#lifetime.abort(new Error("the node has stopped"));
    for (const lane of this.#lanes) lane.cancelTimer();
    await Promise.all(this.#lanes.map(({ sending }) => sending));
  }

  /** Puts a step on disk for each endpoint. Idempotent: the id follows from the step. */
  add(step: DealStep): void {
    const { store, endpoints } = this.#options;
    const nowMs = this.#clock.nowMs();
    if (endpoints.length === 0) return;
    const id = idOf(step);
    const body = JSON.stringify({ id, ...messageOf(step) }, (_, value: unknown) =>
      typeof value === "bigint" ? value.toString() : value,
    );
    store.transaction(() => {
      for (const { url } of endpoints) {
        store
          .prepare("INSERT OR IGNORE INTO webhooks_waiting VALUES (?, ?, ?, ?, 0, ?)")
          .run(id, url, body, nowMs, nowMs);
      }
      this.#drop(
        `rowid IN (SELECT rowid FROM webhooks_waiting ORDER BY created_ms DESC LIMIT -1 OFFSET ${MAX_WAITING})`,
        "WEBHOOKS_FULL",
      );
    });
    for (const lane of this.#lanes) this.#send(lane);
  }

  #drop(where: string, code: string): void {
    const { store, onFault } = this.#options;
    const dropped = store.prepare(`DELETE FROM webhooks_waiting WHERE ${where}`).run();
    if (dropped > 0) onFault(new Error(`${code}: ${dropped} webhook deliveries were given up`));
  }

  #send(lane: Lane): void {
    lane.cancelTimer();
    if (this.#lifetime.signal.aborted) return;
    if (lane.isSending) return;
    lane.isSending = true;
    lane.sending = this.#sendDue(lane)
      .catch((fault: unknown) => this.#options.onFault(fault))
      .finally(() => {
        lane.isSending = false;
        this.#sleep(lane);
      });
  }

  #sleep(lane: Lane): void {
    if (this.#lifetime.signal.aborted) return;
    const [next] = this.#options.store
      .prepare<{ next_ms: number }>("SELECT next_ms FROM webhooks_waiting WHERE url = ? ORDER BY next_ms LIMIT 1")
      .all(lane.endpoint.url);
    if (next === undefined) return;
    const delayMs = Math.min(Math.max(next.next_ms - this.#clock.nowMs(), 0), IDLE_MS);
    lane.cancelTimer = this.#clock.schedule(delayMs, () => this.#send(lane));
  }

  async #sendDue({ endpoint }: Lane): Promise<void> {
    const { store } = this.#options;
    const select = "SELECT * FROM webhooks_waiting WHERE url = ? AND next_ms <= ? ORDER BY next_ms, created_ms LIMIT 1";
    for (;;) {
      this.#drop(`created_ms < ${this.#clock.nowMs() - GIVE_UP_MS}`, "WEBHOOKS_EXPIRED");
      const row = store.prepare<Row>(select).get(endpoint.url, this.#clock.nowMs());
      if (row === undefined || this.#lifetime.signal.aborted) return;
      const isDelivered = await this.#post(row, endpoint);
      if (this.#lifetime.signal.aborted) return;
      if (isDelivered) store.prepare("DELETE FROM webhooks_waiting WHERE id = ? AND url = ?").run(row.id, row.url);
      else this.#postpone(row);
    }
  }

  #postpone({ id, url, attempts }: Row): void {
    const { store } = this.#options;
    const delayMs = Math.min(FIRST_DELAY_MS * 2 ** Math.min(attempts, 20), MAX_DELAY_MS);
    store
      .prepare("UPDATE webhooks_waiting SET attempts = attempts + 1, next_ms = ? WHERE id = ? AND url = ?")
      .run(this.#clock.nowMs() + delayMs, id, url);
  }

  async #post({ id, url, body }: Row, endpoint: WebhookEndpoint): Promise<boolean> {
    const timestamp = String(Math.floor(this.#clock.nowMs() / 1000));
    const headers = {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": webhookSignature(endpoint.secret, id, timestamp, body),
    };
    const signal = AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    try {
      const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal });
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}

/** One id a step of a deal and side; another ending, after a reorg, is another step. */
function idOf(step: DealStep): string {
  const { dealId, role } = step.deal;
  const ending = step.kind === "settled" ? (step.outcome.transaction ?? "") : "";
  return `msg_${createHash("sha256").update(`${dealId}.${role}.${step.kind}.${ending}`).digest("hex").slice(0, 32)}`;
}

function messageOf(step: DealStep) {
  const { dealId, role, deal, state } = step.deal;
  const more =
    step.kind === "submitted"
      ? { deliverableHash: step.deliverableHash }
      : step.kind === "settled"
        ? { rating: step.outcome.rating, transaction: step.outcome.transaction }
        : {};
  return { type: `deal.${step.kind}`, dealId, role, state, deal, ...more };
}
