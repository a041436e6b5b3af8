import { createHash } from "node:crypto";
import { SuretyError, type Verdict } from "#protocol";
import type { DecodedEvent, RawLog } from "../handlers/decode.ts";
import type { Snapshot, Store, StoredEvent } from "../store/store.ts";
import { beginCursor, intend, noticed, pass, rewind, type Cursor } from "./cursor.ts";
import { postWebhook, type PostWebhook, type WebhookMessage } from "./post.ts";
import { isWanted, type Subscription } from "./subscriptions.ts";

/** Events that one turn takes from the store. What is undone meanwhile may still be told, and is called void in the next. */
const BATCH_EVENTS = 200;

export interface LaneParts {
  readonly store: Pick<Store, "snapshot" | "readCursor" | "writeCursor">;
  readonly chainId: number;
  /** Names chain and contracts, not the schema: a cursor goes on over a rebuild. */
  readonly deployment: string;
  readonly decode: (log: RawLog) => Verdict<DecodedEvent>;
  /** Whether rows are complete and of the chain's own branch. */
  readonly isServing: () => boolean;
  readonly post?: PostWebhook;
  readonly now?: () => number;
}

/** What is said of one subscription. */
export interface WebhookStatus {
  readonly name: string;
  /** Block of the last event that was gone through. */
  readonly block: number | undefined;
  /** In a row. */
  readonly failures: number;
  /** Why the last message was not taken. */
  readonly trouble: string | undefined;
}

/** idle = nothing to tell until the rows change; more = look again; failed = after a while. */
export type Turn = "idle" | "more" | "failed";

/**
 * Tells one subscription the chain's events: in their order, at least once, each by an id that its repetition has too. A
 * reorganisation is told before what came instead.
 */
export class Lane {
  readonly #subscription: Subscription;
  readonly #parts: LaneParts;
  #cursor: Cursor | undefined;
  #status: WebhookStatus;

  constructor(subscription: Subscription, parts: LaneParts) {
    this.#subscription = subscription;
    this.#parts = parts;
    this.#status = { name: subscription.name, block: undefined, failures: 0, trouble: undefined };
  }

  status(): WebhookStatus {
    return this.#status;
  }

  /** Tells what one look at the store finds. @throws what the store throws, but for what it says to ask again for */
  async turn(signal: AbortSignal): Promise<Turn> {
    const seen = await this.#look();
    if (seen === "idle" || seen === "failed") return seen;
    let { cursor } = seen;
    if (cursor.voidAbove !== undefined) {
      if (!(await this.#send(this.#notice(cursor, cursor.voidAbove), signal))) return "failed";
      cursor = await this.#keep(noticed(cursor));
    }
    for (const event of seen.events) {
      const decoded = this.#parts.decode(event);
      const isTold = decoded.kind === "accept" && isWanted(this.#subscription, decoded.value);
      if (isTold) {
        cursor = await this.#keep(intend(cursor, event));
        if (!(await this.#send(this.#message(cursor, event, decoded.value), signal))) return "failed";
      }
      cursor = pass(cursor, event);
      if (isTold) await this.#keep(cursor);
    }
    await this.#keep(cursor);
    return seen.events.length === 0 ? "idle" : "more";
  }

  async #look(): Promise<"idle" | "failed" | { readonly cursor: Cursor; readonly events: readonly StoredEvent[] }> {
    const { store, isServing } = this.#parts;
    if (!isServing()) return "idle";
    let snapshot: Snapshot | undefined;
    try {
      snapshot = await store.snapshot();
      // As for queries: asked again after the snapshot was taken.
      if (!isServing() || snapshot.chain === undefined) return "idle";
      return await this.#read(snapshot);
    } catch (error) {
      if (!(error instanceof SuretyError && error.isRetryable)) throw error;
      return this.#fail(error.code);
    } finally {
      snapshot?.close();
    }
  }

  async #read(snapshot: Snapshot): Promise<{ readonly cursor: Cursor; readonly events: readonly StoredEvent[] }> {
    const { checkpoint, finalized } = snapshot.chain as NonNullable<Snapshot["chain"]>;
    const known = this.#cursor ?? (await this.#load(checkpoint.number));
    // Before its notice is sent, so that the notice has the same id after a restart.
    const cursor = await this.#keep(await rewind(known, async (block) => snapshot.hasEventsOf(block)));
    const isFinal = this.#subscription.finality === "finalized";
    const upTo = isFinal ? Math.min(finalized, checkpoint.number) : checkpoint.number;
    return { cursor, events: await snapshot.events(cursor.at, upTo, BATCH_EVENTS) };
  }

  async #load(checkpoint: number): Promise<Cursor> {
    const { store, deployment } = this.#parts;
    const { name, fromBlock } = this.#subscription;
    const text = await store.readCursor(name);
    const stored = text === undefined ? undefined : (JSON.parse(text) as Cursor);
    if (stored?.deployment === deployment) return (this.#cursor = stored);
    return beginCursor(deployment, fromBlock === undefined ? checkpoint : fromBlock - 1);
  }

  async #keep(cursor: Cursor): Promise<Cursor> {
    if (cursor === this.#cursor) return cursor;
    await this.#parts.store.writeCursor(this.#subscription.name, JSON.stringify(cursor));
    this.#status = { ...this.#status, block: cursor.at.block };
    return (this.#cursor = cursor);
  }

  /** @returns whether it was taken */
  async #send(message: WebhookMessage, signal: AbortSignal): Promise<boolean> {
    const { post = postWebhook, now = Date.now } = this.#parts;
    const trouble = await post(this.#subscription, message, now(), signal);
    signal.throwIfAborted();
    if (trouble !== undefined) this.#fail(trouble);
    else if (this.#status.failures > 0) this.#status = { ...this.#status, failures: 0, trouble: undefined };
    return trouble === undefined;
  }

  #fail(trouble: string): "failed" {
    this.#status = { ...this.#status, failures: this.#status.failures + 1, trouble };
    return "failed";
  }

  #message({ reorgs }: Cursor, event: StoredEvent, { contract, name, args }: DecodedEvent): WebhookMessage {
    const { blockNumber: number, blockHash: hash, timestamp, transactionHash: transaction, logIndex, address } = event;
    const { finality } = this.#subscription;
    const place = { block: { number, hash, timestamp }, transaction, logIndex, address, contract };
    return this.#messageOf(`${reorgs}.${hash}.${logIndex}`, { type: "event", finality, ...place, name, args });
  }

  #notice({ reorgs }: Cursor, voidAbove: number): WebhookMessage {
    return this.#messageOf(`${reorgs}.reorg`, { type: "reorg", voidAbove });
  }

  #messageOf(key: string, what: object): WebhookMessage {
    const { chainId, deployment } = this.#parts;
    const hash = createHash("sha256").update(`${deployment} ${this.#subscription.name} ${key}`).digest("hex");
    const id = `msg_${hash.slice(0, 32)}`;
    const toText = (_key: string, value: unknown) => (typeof value === "bigint" ? value.toString() : value);
    return { id, body: JSON.stringify({ id, chainId, ...what }, toText) };
  }
}
