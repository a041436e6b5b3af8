import type { Hex } from "viem";
import { contentHashOf, dealLimits, SuretyError, type DealState, type Receipt } from "#protocol";
import { systemClock, withSignal } from "../chain/clock.ts";
import type { Clock } from "../chain/port.ts";
import type { Agreement } from "../negotiation/port.ts";
import type { Store } from "../store/port.ts";
import type { Transport } from "../transport/port.ts";
import {
  createDealRecord,
  stepDeal,
  UNDELIVERED_RATING,
  type DealEffect,
  type DealMachineEvent,
  type DealRecord,
} from "./deal-machine.ts";
import { DealStore } from "./deal-store.ts";
import { createDeliverableExchange, MAX_DELIVERABLE_BYTES, serveDeliverables } from "./deliverables.ts";
import type { Assessor, DealChain, DealOutcome, DealSummary, DeliverableExchange, Sighting, Worker } from "./port.ts";

export interface SettlementOptions {
  readonly chain: DealChain;
  readonly store: Store;
  /** Serves deliverables, and fetches them. */
  readonly transport: Transport;
  /** Without one the agent provides nothing. */
  readonly worker?: Worker;
  /** Without one deliveries are accepted unrated. */
  readonly assessor?: Assessor;
  /** Called at least once an ending; after a reorg with another ending, again. The dealId tells copies apart. */
  readonly onReceipt?: (receipt: Receipt) => void | Promise<void>;
  readonly clock?: Clock;
  /** Told of each failure, ours or the chain's; the deal goes on. */
  readonly onFault?: (fault: unknown, dealId: Hex) => void;
  /** Seconds that a client has to fund before its provider withdraws. */
  readonly fundWithinSeconds?: number;
}

/** Sees every agreed deal of one agent through to its end, across restarts. */
export interface Settlement {
  /** Serves deliverables and takes up every live deal of the store. */
  start(): Promise<void>;
  /** Idempotent; resolves when nothing is under way. */
  stop(): Promise<void>;
  /** Stores the agreement before it returns. Idempotent: made for the negotiation's `onAgreed`. */
  adopt(agreement: Agreement): void;
  /** Resolves when the chain shows the deal ended, or when it can no longer begin. @throws SuretyError DEAL_UNKNOWN */
  whenEnded(dealId: Hex, signal: AbortSignal): Promise<DealOutcome>;
  deals(): DealSummary[];
}

/** Two minutes: some blocks for the client's transaction, and little enough to hold capacity free. */
const FUND_WITHIN_SECONDS = 120;
/** A step that failed is tried again after 1 s, 2 s, … at most this: by then something else than a hiccup is wrong. */
const MAX_BACKOFF_MS = 60_000;
const FIRST_BACKOFF_MS = 1_000;
/** Between two tries to fetch a deliverable. */
const FETCH_AGAIN_MS = 1_000;
const FETCH_TIMEOUT_MS = 10_000;
/** Deals that are driven at once; each holds a record and a promise. */
const MAX_LIVE_DEALS = 1_024;

export function createSettlement(options: SettlementOptions): Settlement {
  return new SettlementDriver(options);
}

/** What is known of a live deal between two steps; gone with the process, and no loss. */
interface Live {
  isRunning: boolean;
  isDue: boolean;
  failures: number;
  retryAtMs: number;
  state: DealState | undefined;
  cancelTimer: () => void;
}

class SettlementDriver implements Settlement {
  readonly #options: SettlementOptions;
  readonly #clock: Clock;
  readonly #store: DealStore;
  readonly #exchange: DeliverableExchange;
  readonly #lifetime = new AbortController();
  readonly #live = new Map<Hex, Live>();
  readonly #underway = new Set<Promise<void>>();
  readonly #outcomes = new Map<Hex, PromiseWithResolvers<DealOutcome>>();
  #unsubscribe: () => void = () => undefined;

  constructor(options: SettlementOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#store = new DealStore(options.store);
    this.#exchange = createDeliverableExchange(options.transport);
  }

  async start(): Promise<void> {
    const { transport, chain } = this.#options;
    await serveDeliverables(transport, this.#store, (record) => this.#isSubmitted(record));
    for (const { agreement } of this.#store.live()) this.#track(agreement.dealId);
    this.#unsubscribe = chain.onHead(() => {
      for (const [dealId, live] of this.#live) if (this.#clock.nowMs() >= live.retryAtMs) this.#wake(dealId);
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#lifetime.abort(
      new SuretyError("SETTLEMENT_STOPPED", "Settlement has stopped; its deals go on when the node starts again.", {
        next: "Start the node again with the same store, before the deals' deadlines.",
        isRetryable: true,
      }),
    );
    for (const live of this.#live.values()) live.cancelTimer();
    await Promise.allSettled(this.#underway);
  }

  adopt(agreement: Agreement): void {
    const { chain, fundWithinSeconds = FUND_WITHIN_SECONDS } = this.#options;
    if (this.#live.size >= MAX_LIVE_DEALS) {
      throw new SuretyError("SETTLEMENT_BUSY", `${MAX_LIVE_DEALS} deals are live already.`, {
        values: { dealId: agreement.dealId },
        next: "Wait until some of them have ended.",
        isRetryable: true,
      });
    }
    const times = { sinceBlock: chain.blockNumber(), fundBy: chain.time() + fundWithinSeconds };
    if (this.#store.add(createDealRecord(agreement, times))) this.#track(agreement.dealId);
  }

  async whenEnded(dealId: Hex, signal: AbortSignal): Promise<DealOutcome> {
    const record = this.#store.get(dealId);
    if (record === undefined) {
      throw new SuretyError("DEAL_UNKNOWN", `No deal ${dealId} is known here.`, {
        values: { dealId },
        next: "Give the id of a deal that this agent agreed to.",
      });
    }
    if (record.isEnded || record.receipt !== undefined) return outcomeOf(record);
    const waiting = this.#outcomes.getOrInsertComputed(dealId, () => Promise.withResolvers<DealOutcome>());
    return await withSignal(waiting.promise, AbortSignal.any([signal, this.#lifetime.signal]));
  }

  deals(): DealSummary[] {
    return this.#store.all().map(({ agreement, isEnded }) => {
      const { dealId, role, deal } = agreement;
      return { dealId, role, deal, state: this.#live.get(dealId)?.state, isEnded };
    });
  }

  /** What was delivered on chain stays the client's, also after the end. */
  #isSubmitted({ agreement, receipt }: DealRecord): boolean {
    const state = this.#live.get(agreement.dealId)?.state;
    return state === "Submitted" || state === "Completed" || receipt?.outcome === "completed";
  }

  #track(dealId: Hex): void {
    if (this.#live.has(dealId)) return;
    const cancelTimer = () => undefined;
    this.#live.set(dealId, {
      isRunning: false,
      isDue: false,
      failures: 0,
      retryAtMs: 0,
      state: undefined,
      cancelTimer,
    });
    this.#wake(dealId);
  }

  /** Looks at a deal now, or once more when the look under way is over. One step of a deal at a time. */
  #wake(dealId: Hex): void {
    const live = this.#live.get(dealId);
    if (live === undefined || this.#lifetime.signal.aborted) return;
    live.isDue = true;
    if (live.isRunning) return;
    live.isRunning = true;
    const running = this.#run(dealId, live).finally(() => {
      live.isRunning = false;
      this.#underway.delete(running);
      if (live.isDue && live.failures === 0) this.#wake(dealId);
    });
    this.#underway.add(running);
  }

  async #run(dealId: Hex, live: Live): Promise<void> {
    try {
      while (live.isDue && !this.#lifetime.signal.aborted) {
        live.isDue = false;
        if (await this.#advance(dealId, live)) live.isDue = true;
        live.failures = 0;
        live.retryAtMs = 0;
      }
    } catch (fault) {
      if (this.#lifetime.signal.aborted) return;
      this.#options.onFault?.(fault, dealId);
      live.isDue = false;
      const delayMs = Math.min(FIRST_BACKOFF_MS * 2 ** live.failures++, MAX_BACKOFF_MS);
      live.retryAtMs = this.#clock.nowMs() + delayMs;
      this.#wakeAfter(dealId, live, delayMs);
    }
  }

  /** One look at the chain and one step. @returns true if there is more to do at once */
  async #advance(dealId: Hex, live: Live): Promise<boolean> {
    const record = this.#store.get(dealId);
    if (record === undefined) return false;
    const sighting = await this.#options.chain.sight(record.agreement, record.sinceBlock, this.#lifetime.signal);
    live.state = sighting.state;
    const [next, effects] = this.#apply(record, { kind: "sighted", sighting });
    let isMore = false;
    for (const effect of effects) isMore = (await this.#perform(next, live, effect, sighting)) || isMore;
    return isMore;
  }

  /** The new record is on disk before anything that follows from it happens. */
  #apply(record: DealRecord, event: DealMachineEvent): readonly [DealRecord, readonly DealEffect[]] {
    const [next, effects] = stepDeal(record, event);
    if (next !== record) this.#store.put(next);
    return [next, effects];
  }

  async #perform(record: DealRecord, live: Live, effect: DealEffect, sighting: Sighting): Promise<boolean> {
    const { agreement } = record;
    switch (effect.kind) {
      case "take":
        await this.#options.chain.take(effect.step, agreement, this.#lifetime.signal);
        return true;
      case "perform":
        await this.#work(record, effect.deadline);
        return true;
      case "assess":
        await this.#assess(record, effect.deliverableHash, effect.deadline);
        return true;
      case "receipt":
        await this.#options.onReceipt?.(effect.receipt);
        this.#apply(record, { kind: "receipted", receipt: effect.receipt });
        this.#settle({ ...outcomeOf({ ...record, receipt: effect.receipt }), state: sighting.state });
        return true;
      case "wait":
        if (effect.until !== undefined) this.#wakeAt(agreement.dealId, live, effect.until);
        if (sighting.state === "Cancelled") this.#settle({ ...outcomeOf(record), state: sighting.state });
        return false;
      case "end":
        this.#settle({ ...outcomeOf(record), state: effect.isExpired ? "Expired" : sighting.state });
        live.cancelTimer();
        this.#live.delete(agreement.dealId);
        return false;
    }
  }

  /** Does the work and stores it. After a kill it is done again, unless it was stored. */
  async #work(record: DealRecord, deadline: number): Promise<void> {
    const { worker } = this.#options;
    const { deal, spec, dealId } = record.agreement;
    const [signal, end] = this.#until(deadline);
    try {
      if (worker === undefined) throw noWorker(dealId);
      const body = await withSignal(worker.perform(deal, spec, signal), signal);
      if (body.length > MAX_DELIVERABLE_BYTES) throw tooLong(dealId, body.length);
      const hash = contentHashOf(body);
      const [next] = stepDeal(record, { kind: "performed", deliverableHash: hash });
      this.#store.putWithDeliverable(next, hash, body);
    } catch (fault) {
      this.#lifetime.signal.throwIfAborted();
      this.#options.onFault?.(fault, dealId);
      this.#apply(record, { kind: "workFailed" });
    } finally {
      end();
    }
  }

  /** Fetches until it is there or the time for it is over, rates it, and stores the rating. */
  async #assess(record: DealRecord, deliverableHash: Hex, deadline: number): Promise<void> {
    const { chain } = this.#options;
    const { dealId, peer } = record.agreement;
    // A client that was away until now has no right to blame the provider for what it did not ask in time.
    const wasInTime = chain.time() < deadline;
    for (;;) {
      const signal = AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
      const fetched = await this.#exchange.fetch(peer, deliverableHash, signal);
      this.#lifetime.signal.throwIfAborted();
      if (fetched.kind === "accept") {
        this.#apply(record, { kind: "assessed", rating: await this.#rate(record, fetched.value) });
        return;
      }
      if (chain.time() >= deadline) {
        const detail = `${fetched.code}: ${fetched.detail}`;
        this.#options.onFault?.(undelivered(dealId, detail), dealId);
        this.#apply(record, { kind: "assessed", rating: wasInTime ? UNDELIVERED_RATING : 0 });
        return;
      }
      await this.#sleep(FETCH_AGAIN_MS);
    }
  }

  /** Our own assessor's failure is not the provider's: it is paid, and not rated. */
  async #rate({ agreement }: DealRecord, deliverable: Uint8Array): Promise<number> {
    const { deal, spec, dealId } = agreement;
    const { signal } = this.#lifetime;
    try {
      const rating = (await this.#options.assessor?.assess(deal, spec, deliverable, signal)) ?? 0;
      if (Number.isInteger(rating) && Math.abs(rating) <= dealLimits.maxRating) return rating;
      throw badRating(dealId, rating);
    } catch (fault) {
      signal.throwIfAborted();
      this.#options.onFault?.(fault, dealId);
      return 0;
    }
  }

  /** Aborts with the driver, or when the chain has passed a second. */
  #until(deadline: number): [signal: AbortSignal, end: () => void] {
    const turn = new AbortController();
    const check = () => {
      if (this.#options.chain.time() > deadline) turn.abort(new Error("the time for delivery is over"));
    };
    const unsubscribe = this.#options.chain.onHead(check);
    const remainingMs = Math.max(deadline + 1 - this.#options.chain.time(), 0) * 1000;
    const cancel = this.#clock.schedule(remainingMs, check);
    const end = () => {
      unsubscribe();
      cancel();
    };
    return [AbortSignal.any([turn.signal, this.#lifetime.signal]), end];
  }

  async #sleep(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#clock.schedule(delayMs, () => {
      resolve(undefined);
    });
    await withSignal(promise, this.#lifetime.signal).finally(cancel);
  }

  #wakeAt(dealId: Hex, live: Live, second: number): void {
    this.#wakeAfter(dealId, live, Math.max(second - this.#options.chain.time(), 1) * 1000);
  }

  #wakeAfter(dealId: Hex, live: Live, delayMs: number): void {
    live.cancelTimer();
    if (this.#lifetime.signal.aborted) return;
    live.cancelTimer = this.#clock.schedule(delayMs, () => {
      this.#wake(dealId);
    });
  }

  #settle(outcome: DealOutcome): void {
    this.#outcomes.get(outcome.dealId)?.resolve(outcome);
    this.#outcomes.delete(outcome.dealId);
  }
}

const statesOf = {
  completed: "Completed",
  refunded: "Refunded",
  cancelled: "Cancelled",
  resolved: "Resolved",
} as const;

function outcomeOf({ agreement, receipt }: DealRecord): DealOutcome {
  const { dealId, role } = agreement;
  if (receipt === undefined) return { dealId, role, state: "Expired", rating: 0 };
  return { dealId, role, state: statesOf[receipt.outcome], rating: receipt.rating, transaction: receipt.transaction };
}

function noWorker(dealId: Hex): SuretyError {
  return new SuretyError("DEAL_WITHOUT_WORKER", "A deal was agreed to, and nothing here does the work.", {
    values: { dealId },
    next: "Start the node with the application that bid for this deal.",
  });
}

function tooLong(dealId: Hex, length: number): SuretyError {
  return new SuretyError(
    "DELIVERABLE_TOO_LONG",
    `The deliverable has ${length} bytes, at most ${MAX_DELIVERABLE_BYTES}.`,
    {
      values: { dealId, length },
      next: "Deliver a list of hashes, and serve the parts elsewhere.",
    },
  );
}

function badRating(dealId: Hex, rating: number): SuretyError {
  return new SuretyError("RATING_INVALID", `The assessor gave ${rating}, which is no integer from -100 to 100.`, {
    values: { dealId, rating },
    next: "Mend the application's assess function.",
  });
}

function undelivered(dealId: Hex, detail: string): SuretyError {
  return new SuretyError("DELIVERABLE_MISSING", `The deliverable could not be fetched in time: ${detail}.`, {
    values: { dealId, detail },
    next: "Nothing: the deal is completed with the worst rating, or with none if this node came late itself.",
  });
}
