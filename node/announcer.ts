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
];

export interface AnnouncerOptions {
  readonly agentId: bigint;
  readonly token: Hex;
  readonly store: Store;
  readonly writer: LogWriter;
  readonly gossip: Gossip;
  readonly transport: Transport;
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

  /** Declares each capability, or updates the declaration of an earlier run; again at half of its ttl. */
  declare(capabilities: readonly Capability[]): void {
    for (const capability of capabilities) this.#declareOne(capability);
    this.#renewal = setInterval(() => {
      for (const capability of capabilities) this.#declareOne(capability, true);
    }, RENEW_MS);
  }

  /** The first entry of a run: under which commitment it was started, and where it listens. */
  attest({ commitment, codeCommitment, configDigest }: StartBinding): void {
    const { agentId } = this.#options;
    this.#append("attest", { agentId, commitment, codeCommitment, configDigest, ...this.#reach() }, ATTEST_TTL_S);
  }

  announce({ request }: Task, bidByMs: number): void {
    const { agentId, token } = this.#options;
    const { spec, query, reservePriceWei } = request;
    const call: Hex = "0x";
    const content = { agentId, topic: spec.topic, description: query.slice(0, 1_024), skills: [], call };
    this.#append("intent", { ...content, reservePriceWei, token, bidByMs, ...this.#reach() }, INTENT_TTL_S);
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

  #declareOne({ topic, name, description, skills, priceWei }: Capability, isRenewal = false): void {
    const { agentId, token, store } = this.#options;
    const offer = { agentId, name, description, topics: [topic], skills, priceWei, token, ...this.#reach() };
    const content = contentHashOf(encode({ ...offer, agentId: agentId.toString(), priceWei: priceWei.toString() }));
    const known = store
      .prepare<{ target: Hex; content: Hex }>("SELECT target, content FROM announcer_declared WHERE topic = ?")
      .get(topic);
    if (known?.content === content && !isRenewal) return;
    const { digest } =
      known === undefined
        ? this.#append("declare", offer, DECLARATION_TTL_S)
        : this.#append("update", { target: known.target, ...offer }, DECLARATION_TTL_S);
    store
      .prepare("INSERT OR REPLACE INTO announcer_declared (topic, target, content) VALUES (?, ?, ?)")
      .run(topic, known?.target ?? digest, content);
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
