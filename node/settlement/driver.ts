import type { Hex } from "viem";
import { contentHashOf, SuretyError, type DealState, type Receipt } from "#protocol";
import { systemClock, withSignal } from "../chain/clock.ts";
import type { Clock } from "../chain/port.ts";
import type { Agreement, Consent } from "../negotiation/port.ts";
import type { Store } from "../store/port.ts";
import type { Transport } from "../transport/port.ts";
import { serveConsents } from "./consents.ts";
import {
  createDealRecord,
  DEFAULT_FINALITY_DEPTH,
  isJudgement,
  stateOfReceipt,
  stepDeal,
  type DealEffect,
  type DealMachineEvent,
  type DealRecord,
  type DealRules,
} from "./deal-machine.ts";
import { DealStore } from "./deal-store.ts";
import { serveDeliverables, serveEvidence } from "./deliverables.ts";
import { EvidenceStore, type EvidenceBundle, type EvidenceEntry } from "./evidence.ts";
import { badJudgement, notDelivered, notPossible, tooManyDeals, unknownDeal } from "./faults.ts";
import { Performer } from "./performer.ts";
import type {
  Assessor,
  Counsel,
  DealChain,
  DealOutcome,
  DealStep,
  DealSummary,
  Delivery,
  FetchPurchase,
  Judgement,
  Share,
  Sighting,
  SplitTerms,
  Worker,
} from "./port.ts";

export interface SettlementOptions {
  readonly chain: DealChain;
  readonly store: Store;
  /** Serves deliverables, consents and evidence, and asks for them. */
  readonly transport: Transport;
  /** Without one the agent provides nothing. */
  readonly worker?: Worker;
  /** Without one deliveries are accepted unrated. */
  readonly assessor?: Assessor;
  /** What it leaves out is decided so: splits wait for a person, what was delivered is defended, nothing is appealed. */
  readonly counsel?: Partial<Counsel>;
  /** Told of each step at least once. A throw is a fault of the listener and holds up nothing. */
  readonly onStep?: (step: DealStep) => void | Promise<void>;
  /** Called at least once an ending; after a reorg with another ending, again. The dealId tells copies apart. */
  readonly onReceipt?: (receipt: Receipt) => void | Promise<void>;
  /** Log entries of either side that bear on a deal, for its evidence. */
  readonly entriesOf?: (record: DealRecord) => readonly EvidenceEntry[];
  /** Whether somebody beside the two sides may read the evidence of a deal, as its jurors may. */
  readonly mayReadEvidence?: (dealId: Hex, address: Hex, signal: AbortSignal) => Promise<boolean>;
  readonly clock?: Clock;
  /** Told of each failure, ours or the chain's; the deal goes on. */
  readonly onFault?: (fault: unknown, dealId: Hex) => void;
  /** Asks for the answer of a purchase again; without it answers come over the transport alone. */
  readonly fetchPurchase?: FetchPurchase;
  /** Seconds that a client has to fund before its provider withdraws. */
  readonly fundWithinSeconds?: number;
  /** Blocks on top of an ending before the deal is forgotten. Default 12. */
  readonly finalityDepth?: number;
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
  /** Whether the deal was adopted, however long ago. */
  knows(dealId: Hex): boolean;
  /** Resolves when our work is on disk. @throws SuretyError DEAL_UNKNOWN, DEAL_NOT_DELIVERED (it never will be) */
  whenDelivered(dealId: Hex, signal: AbortSignal): Promise<Delivery>;
  /**
   * Client of a purchase: keeps what was answered, so that it need not be fetched again, and the provider's consent.
   * @throws SuretyError DEAL_UNKNOWN
   */
  keepAnswer(dealId: Hex, body: Uint8Array, provider?: Consent): void;
  deals(): DealSummary[];
  /** A person's judgement of a delivery, unless one was made. @throws SuretyError DEAL_UNKNOWN, DEAL_STEP_IMPOSSIBLE */
  judge(dealId: Hex, judgement: Judgement): void;
  /** The client pays a part for good; `releasedWei` counts all parts. @throws as judge */
  releasePart(dealId: Hex, releasedWei: bigint): void;
  /** Asks the other side for a split until it answers. @throws as judge */
  proposeSplit(dealId: Hex, terms: SplitTerms): void;
  /** Signs the other side's pending split. @throws as judge, SPLIT_NONE */
  acceptSplit(dealId: Hex): void;
  /** Asks the other side to cancel, and agrees when it asks. @throws as judge */
  cancel(dealId: Hex): void;
  /** Names the leaves behind a deal's splitsRoot. @throws as judge */
  nameShares(dealId: Hex, shares: readonly Share[]): void;
  /** All that this side can show of a deal. @throws SuretyError DEAL_UNKNOWN */
  evidenceOf(dealId: Hex): EvidenceBundle;
}

/** Two minutes: some blocks for the client's transaction, and little enough to hold capacity free. */
const FUND_WITHIN_SECONDS = 120;
/** A step that failed is tried again after 1 s, 2 s, … at most this: by then something else than a hiccup is wrong. */
const MAX_BACKOFF_MS = 60_000;
const FIRST_BACKOFF_MS = 1_000;
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
  readonly #evidence: EvidenceStore;
  readonly #performer: Performer;
  readonly #rules: DealRules;
  readonly #lifetime = new AbortController();
  readonly #live = new Map<Hex, Live>();
  readonly #underway = new Set<Promise<void>>();
  readonly #outcomes = new Map<Hex, PromiseWithResolvers<DealOutcome>>();
  readonly #deliveries = new Map<Hex, PromiseWithResolvers<undefined>>();
  #unsubscribe: () => void = () => undefined;

  constructor(options: SettlementOptions) {
    const { clock = systemClock, finalityDepth = DEFAULT_FINALITY_DEPTH } = options;
    this.#options = options;
    this.#clock = clock;
    this.#rules = { finalityDepth: BigInt(finalityDepth) };
    this.#store = new DealStore(options.store);
    this.#evidence = new EvidenceStore(options.store, () => clock.nowMs());
    const { signal: lifetime } = this.#lifetime;
    const onPerformed = (dealId: Hex) => this.#deliver(dealId);
    const stores = { store: this.#store, evidence: this.#evidence };
    this.#performer = new Performer({ ...options, ...stores, clock, lifetime, onPerformed });
  }

  async start(): Promise<void> {
    const { transport, chain, mayReadEvidence } = this.#options;
    await serveDeliverables(transport, this.#store, (record) => this.#isSubmitted(record));
    await serveEvidence(transport, this.#store, mayReadEvidence);
    await serveConsents(transport, async (request, from, signal) => {
      const answer = await this.#performer.answerConsent(request, from, signal);
      this.#wake(request.type === "split" ? request.proposal.dealId : request.dealId);
      return answer;
    });
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
    if (this.#live.size >= MAX_LIVE_DEALS) throw tooManyDeals(agreement.dealId, MAX_LIVE_DEALS);
    const times = { sinceBlock: chain.blockNumber(), fundBy: chain.time() + fundWithinSeconds };
    if (!this.#store.add(createDealRecord(agreement, times))) return;
    this.#evidence.add(agreement.dealId, "agreed", `as ${agreement.role}, call ${agreement.callId}`);
    this.#track(agreement.dealId);
  }

  async whenEnded(dealId: Hex, signal: AbortSignal): Promise<DealOutcome> {
    const record = this.#recordOf(dealId);
    if (record.isEnded || record.receipt !== undefined) return outcomeOf(record);
    const waiting = this.#outcomes.getOrInsertComputed(dealId, () => Promise.withResolvers<DealOutcome>());
    return await withSignal(waiting.promise, AbortSignal.any([signal, this.#lifetime.signal]));
  }

  async whenDelivered(dealId: Hex, signal: AbortSignal): Promise<Delivery> {
    for (;;) {
      const { deliverableHash, openedBy, hasWorkFailed, isEnded } = this.#recordOf(dealId);
      const body = deliverableHash === undefined ? undefined : this.#store.deliverableOf(dealId);
      if (body !== undefined) return { body, ...(openedBy === undefined ? {} : { openedBy }) };
      if (hasWorkFailed) throw notDelivered(dealId, "the work failed");
      if (isEnded) throw notDelivered(dealId, "the escrow did not open it");
      const waiting = this.#deliveries.getOrInsertComputed(dealId, () => Promise.withResolvers<undefined>());
      await withSignal(waiting.promise, AbortSignal.any([signal, this.#lifetime.signal]));
    }
  }

  knows(dealId: Hex): boolean {
    return this.#store.get(dealId) !== undefined;
  }

  keepAnswer(dealId: Hex, body: Uint8Array, provider?: Consent): void {
    const record = this.#recordOf(dealId);
    const agreement = provider === undefined ? record.agreement : { ...record.agreement, provider };
    this.#store.putWithDeliverable({ ...record, agreement }, contentHashOf(body), body);
    this.#wake(dealId);
  }

  #deliver(dealId: Hex): void {
    this.#deliveries.get(dealId)?.resolve(undefined);
    this.#deliveries.delete(dealId);
  }

  deals(): DealSummary[] {
    return this.#store.all().map((record) => this.#summaryOf(record));
  }

  judge(dealId: Hex, judgement: Judgement): void {
    const record = this.#liveRecordOf(dealId, "judged");
    const { role, deal } = record.agreement;
    if (role !== "client") throw notPossible(dealId, "judged", "only its client judges a delivery");
    if (record.judgement !== undefined) throw notPossible(dealId, "judged", `it was judged: ${record.judgement.kind}`);
    if (!isJudgement(judgement, deal.price)) throw badJudgement(dealId, judgement);
    if (this.#live.get(dealId)?.state !== "Submitted") throw notPossible(dealId, "judged", "nothing is submitted");
    this.#evidence.add(dealId, "judged", `by hand: ${judgement.kind}`);
    this.#note(dealId, { kind: "judged", judgement });
  }

  releasePart(dealId: Hex, releasedWei: bigint): void {
    const { role, deal } = this.#liveRecordOf(dealId, "paid in part").agreement;
    if (role !== "client") throw notPossible(dealId, "paid in part", "only its client pays");
    if (releasedWei >= deal.price) throw notPossible(dealId, "paid in part", "it is the whole price; complete it");
    this.#note(dealId, { kind: "partAsked", releasedWei });
  }

  proposeSplit(dealId: Hex, terms: SplitTerms): void {
    const { deal } = this.#liveRecordOf(dealId, "split").agreement;
    const { toProviderWei, rating } = terms;
    if (!isJudgement({ kind: "split", toProviderWei, rating, reason: "" }, deal.price)) {
      throw notPossible(dealId, "split", "the part is no part of the price, or the rating is not from -100 to 100");
    }
    this.#note(dealId, { kind: "splitAsked", terms });
  }

  acceptSplit(dealId: Hex): void {
    this.#liveRecordOf(dealId, "split");
    this.#performer.acceptOffer(dealId);
    this.#wake(dealId);
  }

  cancel(dealId: Hex): void {
    this.#liveRecordOf(dealId, "cancelled");
    this.#note(dealId, { kind: "cancelAsked" });
  }

  nameShares(dealId: Hex, shares: readonly Share[]): void {
    this.#recordOf(dealId);
    this.#note(dealId, { kind: "sharesNamed", shares });
  }

  evidenceOf(dealId: Hex): EvidenceBundle {
    return this.#performer.bundleOf(this.#recordOf(dealId));
  }

  #recordOf(dealId: Hex): DealRecord {
    const record = this.#store.get(dealId);
    if (record === undefined) throw unknownDeal(dealId);
    return record;
  }

  #liveRecordOf(dealId: Hex, wanted: string): DealRecord {
    const record = this.#recordOf(dealId);
    if (record.isEnded || record.receipt !== undefined) throw notPossible(dealId, wanted, "it has ended");
    return record;
  }

  #note(dealId: Hex, event: DealMachineEvent): void {
    this.#performer.apply(dealId, event);
    this.#wake(dealId);
  }

  #summaryOf({ agreement, isEnded, offer, receipt }: DealRecord): DealSummary {
    const { dealId, role, deal } = agreement;
    const terms = offer && { toProviderWei: offer.proposal.toProvider, rating: offer.proposal.rating };
    const state = this.#live.get(dealId)?.state ?? stateOfReceipt(receipt);
    return { dealId, role, deal, state, isEnded, ...(terms === undefined ? {} : { offeredSplit: terms }) };
  }

  /** What was delivered on chain stays the client's, also after the end. */
  #isSubmitted({ agreement, receipt }: DealRecord): boolean {
    const state = this.#live.get(agreement.dealId)?.state;
    const hasBeen = state === "Submitted" || state === "Completed" || state === "Disputed" || state === "Resolved";
    return hasBeen || receipt?.outcome === "completed" || receipt?.outcome === "resolved";
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

  /** One look at the chain and what follows from it. @returns true if there is more to do at once */
  async #advance(dealId: Hex, live: Live): Promise<boolean> {
    const { chain } = this.#options;
    const known = this.#store.get(dealId);
    if (known === undefined) return false;
    const sighting = await chain.sight(known.agreement, known.sinceBlock, this.#lifetime.signal);
    live.state = sighting.state;
    // Read again: a person or the other side may have decided something during the look.
    const record = this.#recordOf(dealId);
    const [next, effects] = stepDeal(record, { kind: "sighted", sighting }, this.#rules);
    if (next !== record) this.#store.put(next);
    let isMore = false;
    for (const effect of effects) isMore = (await this.#perform(next, live, effect, sighting)) || isMore;
    return isMore;
  }

  async #perform(record: DealRecord, live: Live, effect: DealEffect, sighting: Sighting): Promise<boolean> {
    const { agreement } = record;
    const { signal } = this.#lifetime;
    switch (effect.kind) {
      case "take":
        await this.#take(agreement, effect.step);
        return true;
      case "perform":
        await this.#performer.work(record, effect.deadline);
        return true;
      case "assess":
        await this.#performer.assess(record, effect.deliverableHash, effect.deadline);
        return true;
      case "propose":
        return await this.#performer.propose(record, effect.terms);
      case "askCancel":
        return await this.#performer.askCancel(record);
      case "askDefence":
        await this.#performer.askDefence(record, effect.costWei);
        return true;
      case "askAppeal":
        await this.#performer.askAppeal(record, effect);
        return true;
      case "sendEvidence":
        await this.#performer.sendEvidence(record, signal);
        return true;
      case "tell":
        await this.#tell(record, effect.step, sighting);
        return false;
      case "receipt":
        await this.#options.onReceipt?.(effect.receipt);
        this.#performer.apply(agreement.dealId, { kind: "receipted", receipt: effect.receipt });
        await this.#ended({ ...outcomeOf({ ...record, receipt: effect.receipt }), state: sighting.state });
        return true;
      case "wait":
        if (effect.until !== undefined) this.#wakeAt(agreement.dealId, live, effect.until);
        if (sighting.state === "Cancelled") this.#settle({ ...outcomeOf(record), state: sighting.state });
        return false;
      case "end":
        this.#settle({ ...outcomeOf(record), state: effect.isExpired ? "Expired" : sighting.state });
        this.#deliver(agreement.dealId);
        live.cancelTimer();
        this.#live.delete(agreement.dealId);
        return false;
    }
  }

  /** A split or a payment that the chain does not take is given up: what stood in its way is permanent. */
  async #take(agreement: Agreement, step: Extract<DealEffect, { kind: "take" }>["step"]): Promise<void> {
    const { dealId } = agreement;
    try {
      const transaction = await this.#options.chain.take(step, agreement, this.#lifetime.signal);
      this.#evidence.add(dealId, "transaction", `${step.kind} ${transaction}`);
      if (agreement.purchase !== undefined && step.kind === "open") {
        this.#performer.apply(dealId, { kind: "opened", transaction });
      }
    } catch (fault) {
      const isRefused = fault instanceof SuretyError && fault.code.startsWith("CALL_REVERTED_");
      const isPurchase = agreement.purchase !== undefined && step.kind === "open";
      if (!isRefused || (step.kind !== "settle" && !isPurchase)) throw fault;
      this.#options.onFault?.(fault, dealId);
      this.#performer.apply(dealId, { kind: isPurchase ? "openRefused" : "splitFailed" });
    }
    if (step.kind === "approveBond") this.#performer.apply(dealId, { kind: "bondBrought" });
  }

  async #tell(record: DealRecord, step: "funded" | "submitted" | "disputed", sighting: Sighting): Promise<void> {
    const deal = { ...this.#summaryOf(record), state: sighting.state };
    const { deliverableHash } = sighting;
    if (step === "submitted" && deliverableHash === undefined) return;
    await this.#tellApplication(
      step === "submitted" ? { kind: step, deal, deliverableHash: deliverableHash as Hex } : { kind: step, deal },
    );
    this.#performer.apply(record.agreement.dealId, { kind: "told", step });
  }

  async #ended(outcome: DealOutcome): Promise<void> {
    const deal = { ...this.#summaryOf(this.#recordOf(outcome.dealId)), state: outcome.state as DealState };
    await this.#tellApplication({ kind: "settled", deal, outcome });
    this.#settle(outcome);
  }

  async #tellApplication(step: DealStep): Promise<void> {
    try {
      await this.#options.onStep?.(step);
    } catch (fault) {
      this.#options.onFault?.(fault, step.deal.dealId);
    }
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
