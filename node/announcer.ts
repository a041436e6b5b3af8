import {
  contentHashOf,
  MAX_TTL_SECONDS,
  mechanismHashOf,
  type Bodies,
  type KindName,
  type MechanismDocument,
} from "#protocol";
import { encode } from "@ipld/dag-cbor";
import type { Hex } from "viem";
import type { Capability } from "./application.ts";
import type { Gossip } from "./gossip/gossip.ts";
import type { StartBinding } from "./identity/start.ts";
import type { LogWriter } from "./log/writer.ts";
import type { Store } from "./store/port.ts";
import type { Task } from "./tasks.ts";
import type { Transport } from "./transport/port.ts";

/** Two days, as long as other directories keep a label; a running node renews at half of it. */
const DECLARATION_TTL_S = 172_800;
const RENEW_MS = (DECLARATION_TTL_S / 2) * 1000;
const RENEW_CHECK_MS = RENEW_MS / 24;
/** Receipts stay of use as long as somebody may ask how a deal ended. */
const RECEIPT_TTL_S = 16_000_000;
/** An announcement that nobody has answered an hour after its bidding is history. */
const INTENT_TTL_S = 3_600;

/** Rules stay of use as long as a deal under them: the longest ttl. */
const RULES_TTL_S = MAX_TTL_SECONDS;

/** What was started stays of use as long as what it signed: the longest ttl. */
const ATTEST_TTL_S = MAX_TTL_SECONDS;

const migrations = [
  "CREATE TABLE announcer_declared (topic TEXT PRIMARY KEY, target TEXT NOT NULL, content TEXT NOT NULL) STRICT",
  "CREATE TABLE announcer_rules (hash TEXT PRIMARY KEY, entry TEXT NOT NULL) STRICT",
  // The log of a target: after a rotation the next log declares anew. The time: a declaration that expired cannot be renewed.
  `ALTER TABLE announcer_declared ADD COLUMN log TEXT NOT NULL DEFAULT '';
  ALTER TABLE announcer_declared ADD COLUMN said_ms INTEGER NOT NULL DEFAULT 0;
  CREATE TABLE announcer_intents (task TEXT PRIMARY KEY, target TEXT NOT NULL) WITHOUT ROWID, STRICT;`,
];

interface Declared {
  readonly topic: string;
  readonly target: Hex;
  readonly content: Hex;
  /** 0: of before it was written down. */
  readonly said_ms: number;
}

export interface AnnouncerOptions {
  readonly agentId: bigint;
  readonly token: Hex;
  readonly store: Store;
  readonly writer: LogWriter;
  readonly gossip: Gossip;
  readonly transport: Transport;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  readonly onFault: (fault: unknown) => void;
}

/** Says in the log what the agent offers, wants and has done: on disk first, then to the network. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  #renewal: NodeJS.Timeout | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    options.store.migrate("announcer", migrations);
  }

  /**
   * Declares each capability, or updates the declaration of an earlier run, and withdraws what an earlier run offered and this
   * one does not; again when half of its ttl is over, however often the node was restarted meanwhile.
   */
  declare(capabilities: readonly Capability[]): void {
    this.#withdrawOthers(capabilities);
    const renew = (): void => capabilities.forEach((capability) => this.#declareOne(capability));
    renew();
    this.#renewal = setInterval(renew, RENEW_CHECK_MS);
  }

  /** The first entry of a run: under which commitment it was started, and where it listens. */
  attest({ commitment, codeCommitment, configDigest }: StartBinding): void {
    const { agentId } = this.#options;
    this.#append("attest", { agentId, commitment, codeCommitment, configDigest, ...this.#reach() }, ATTEST_TTL_S);
  }

  announce({ id, request }: Task, bidByMs: number): void {
    const { agentId, token, store } = this.#options;
    const { spec, query, reservePriceWei } = request;
    const call: Hex = "0x";
    const content = { agentId, topic: spec.topic, description: query.slice(0, 1_024), skills: [], call };
    const intent = { ...content, reservePriceWei, token, bidByMs, ...this.#reach() };
    const { digest } = this.#append("intent", intent, INTENT_TTL_S);
    store.prepare("INSERT OR REPLACE INTO announcer_intents (task, target) VALUES (?, ?)").run(id, digest);
  }

  /** The task's intent is over: somebody agreed to it, or nobody is to any more. */
  conclude(taskId: string, outcome: "complete" | "withdrawn"): void {
    const { store } = this.#options;
    const known = store.prepare<{ target: Hex }>("SELECT target FROM announcer_intents WHERE task = ?").get(taskId);
    if (known === undefined) return;
    this.#append("withdraw", { target: known.target, outcome, reason: "" }, INTENT_TTL_S);
    store.prepare("DELETE FROM announcer_intents WHERE task = ?").run(taskId);
  }

  receipt(receipt: Bodies["receipt"]): void {
    this.#append("receipt", receipt, RECEIPT_TTL_S);
  }

  /** The body of the entry is the document itself: its hash is the mechanismHash of every deal under it. */
  publishRules(rules: MechanismDocument): void {
    const { store } = this.#options;
    const hash = mechanismHashOf(rules);
    if (store.prepare("SELECT 1 FROM announcer_rules WHERE hash = ?").get(hash) !== undefined) return;
    const { digest } = this.#append("mechanism", rules, RULES_TTL_S);
    store.prepare("INSERT INTO announcer_rules (hash, entry) VALUES (?, ?)").run(hash, digest);
  }

  stop(): void {
    clearInterval(this.#renewal);
  }

  #declareOne({ topic, name, description, skills, priceWei }: Capability): void {
    const { agentId, token, store, writer, nowMs } = this.#options;
    const offer = { agentId, name, description, topics: [topic], skills, priceWei, token, ...this.#reach() };
    const content = contentHashOf(encode({ ...offer, agentId: agentId.toString(), priceWei: priceWei.toString() }));
    const [known] = this.#declared(topic);
    const ageMs = nowMs() - (known?.said_ms ?? 0);
    if (known?.content === content && ageMs < RENEW_MS) return;
    // Peers forget a declaration some time after it expired: an update of it would wait for it for ever.
    const isAlive = known !== undefined && (known.said_ms === 0 || ageMs < DECLARATION_TTL_S * 1000);
    const { digest } = isAlive
      ? this.#append("update", { target: known.target, ...offer }, DECLARATION_TTL_S)
      : this.#append("declare", offer, DECLARATION_TTL_S);
    store
      .prepare(
        "INSERT OR REPLACE INTO announcer_declared (topic, target, content, log, said_ms) VALUES (?, ?, ?, ?, ?)",
      )
      .run(topic, isAlive ? known.target : digest, content, writer.log, nowMs());
  }

  #withdrawOthers(capabilities: readonly Capability[]): void {
    const offered = new Set(capabilities.map(({ topic }) => topic));
    for (const { topic, target } of this.#declared()) {
      if (offered.has(topic)) continue;
      const end = { target, outcome: "withdrawn", reason: "no longer offered" } as const;
      this.#append("withdraw", end, DECLARATION_TTL_S);
      this.#options.store.prepare("DELETE FROM announcer_declared WHERE topic = ?").run(topic);
    }
  }

  /** What this log declared in earlier runs; rows of before logs were told apart are this log's. */
  #declared(topic?: string): Declared[] {
    const { store, writer } = this.#options;
    const rows = store.prepare<Declared>("SELECT * FROM announcer_declared WHERE log IN ('', ?)").all(writer.log);
    return rows.filter((row) => topic === undefined || row.topic === topic);
  }

  #reach() {
    const { transport } = this.#options;
    return { peerId: transport.peerId, addresses: transport.addresses().slice(0, 8) };
  }

  #append<K extends KindName>(kind: K, body: Bodies[K], ttlSeconds: number): { digest: Hex } {
    const { writer, gossip, onFault } = this.#options;
    const entry = writer.append(kind, body, ttlSeconds);
    gossip.publish(entry).catch(onFault);
    return { digest: entry.header.digest };
  }
}
