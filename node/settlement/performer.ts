import type { Hex } from "viem";
import { accept, contentHashOf, ignore, reject, SuretyError, type SplitProposal, type Verdict } from "#protocol";
import { withSignal } from "../chain/clock.ts";
import type { Clock } from "../chain/port.ts";
import type { Agreement, Consent, Purchase } from "../negotiation/port.ts";
import type { Transport } from "../transport/port.ts";
import { askConsent, type ConsentRequest } from "./consents.ts";
import {
  isJudgement,
  stepDeal,
  UNDELIVERED_REASON,
  type DealEffect,
  type DealMachineEvent,
  type DealRecord,
} from "./deal-machine.ts";
import type { DealStore } from "./deal-store.ts";
import { createDeliverableExchange, MAX_DELIVERABLE_BYTES } from "./deliverables.ts";
import {
  encodeEvidence,
  evidenceNoticeOf,
  type EvidenceBundle,
  type EvidenceEntry,
  type EvidenceStore,
} from "./evidence.ts";
import { badJudgement, noWorker, tooLong, undelivered } from "./faults.ts";
import type {
  Assessor,
  Counsel,
  DealChain,
  DeliverableExchange,
  FetchPurchase,
  Judgement,
  SplitTerms,
  Worker,
} from "./port.ts";

export interface PerformerOptions {
  readonly chain: DealChain;
  readonly transport: Transport;
  readonly worker?: Worker;
  readonly assessor?: Assessor;
  readonly counsel?: Partial<Counsel>;
  /** Log entries of either side that bear on a deal. */
  readonly entriesOf?: (record: DealRecord) => readonly EvidenceEntry[];
  readonly onFault?: (fault: unknown, dealId: Hex) => void;
  /** Fetches the answer of a purchase again, where it was not received or has another hash. */
  readonly fetchPurchase?: FetchPurchase;
  /** Told when the work of a deal is on disk, or has failed. */
  readonly onPerformed?: (dealId: Hex) => void;
  readonly clock: Clock;
  readonly store: DealStore;
  readonly evidence: EvidenceStore;
  readonly lifetime: AbortSignal;
}

/** Between two tries to fetch a deliverable. */
const FETCH_AGAIN_MS = 1_000;
const FETCH_TIMEOUT_MS = 10_000;
/** Between two questions to the other side about one split or cancellation. */
const ASK_AGAIN_MS = 10_000;
/** How long a signed split may be used: some blocks for who accepts it, and little enough that it binds nobody for long. */
const SPLIT_VALID_SECONDS = 600;

/** Does what a deal asks of us beside the chain: work, judging, agreeing, showing evidence. */
export class Performer {
  readonly #options: PerformerOptions;
  readonly #exchange: DeliverableExchange;
  readonly #askedAtMs = new Map<Hex, number>();

  constructor(options: PerformerOptions) {
    this.#options = options;
    this.#exchange = createDeliverableExchange(options.transport);
  }

  /** The new record is on disk before anything that follows from it happens. */
  apply(dealId: Hex, event: DealMachineEvent): DealRecord {
    const { store } = this.#options;
    const record = store.get(dealId) as DealRecord;
    const [next] = stepDeal(record, event);
    if (next !== record) store.put(next);
    return next;
  }

  /** Does the work and stores it. After a kill it is done again, unless it was stored. */
  async work({ agreement }: DealRecord, deadline: number): Promise<void> {
    const { worker, store, onFault, lifetime } = this.#options;
    const { deal, spec, dealId } = agreement;
    const [signal, end] = this.#until(deadline);
    try {
      if (worker === undefined) throw noWorker(dealId);
      const body = await withSignal(worker.perform(deal, spec, signal), signal);
      if (body.length > MAX_DELIVERABLE_BYTES) throw tooLong(dealId, body.length, MAX_DELIVERABLE_BYTES);
      const hash = contentHashOf(body);
      const [next] = stepDeal(store.get(dealId) as DealRecord, { kind: "performed", deliverableHash: hash });
      store.putWithDeliverable(next, hash, body);
      this.#options.onPerformed?.(dealId);
    } catch (fault) {
      lifetime.throwIfAborted();
      onFault?.(fault, dealId);
      this.#note(dealId, "fault", `work failed: ${String(fault)}`);
      this.apply(dealId, { kind: "workFailed" });
      this.#options.onPerformed?.(dealId);
    } finally {
      end();
    }
  }

  /** Fetches until it is there or the time for it is over, judges it, and stores both. */
  async assess({ agreement }: DealRecord, deliverableHash: Hex, deadline: number): Promise<void> {
    const { chain, lifetime, store, onFault } = this.#options;
    const { dealId, purchase } = agreement;
    // A client that was away until now has no right to blame the provider for what it did not ask in time.
    const wasInTime = chain.time() < deadline;
    for (;;) {
      const signal = AbortSignal.any([lifetime, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
      const fetched = this.#keptOf(dealId, deliverableHash) ?? (await this.#fetch(agreement, deliverableHash, signal));
      lifetime.throwIfAborted();
      // A person may have decided meanwhile.
      const record = store.get(dealId) as DealRecord;
      if (record.judgement !== undefined) return;
      if (fetched.kind === "accept") {
        store.putWithDeliverable(record, deliverableHash, fetched.value);
        this.#note(dealId, "fetched", deliverableHash);
        if (purchase !== undefined) return this.#receive(dealId, deliverableHash, purchase);
        return this.#judged(dealId, await this.#judge(record, fetched.value, deadline));
      }
      if (chain.time() >= deadline) {
        const detail = `${fetched.code}: ${fetched.detail}`;
        onFault?.(undelivered(dealId, detail), dealId);
        this.#note(dealId, "unfetched", detail);
        return this.#judged(
          dealId,
          wasInTime ? { kind: "dispute", reason: UNDELIVERED_REASON } : { kind: "complete", rating: 0 },
        );
      }
      await this.#sleep(FETCH_AGAIN_MS);
    }
  }

  /** What was answered over HTTP before it was submitted. */
  #keptOf(dealId: Hex, hash: Hex): Verdict<Uint8Array> | undefined {
    const body = this.#options.store.deliverableOf(dealId);
    return body !== undefined && contentHashOf(body) === hash ? accept(body) : undefined;
  }

  /** Of a purchase from where it was bought, or from the provider's node, if the server is not there any more. */
  async #fetch({ peer, purchase }: Agreement, hash: Hex, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    const bought = purchase && (await this.#options.fetchPurchase?.(purchase, hash, signal));
    if (bought?.kind === "accept" || peer === "") return bought ?? ignore("PEER_UNKNOWN", "it has no peer");
    return await this.#exchange.fetch(peer, hash, signal);
  }

  /** Who buys over HTTP has the answer before its hash is on chain; a person may rate it, silence pays. */
  #receive(dealId: Hex, deliverableHash: Hex, { rating }: Purchase): void {
    if (rating === undefined) this.apply(dealId, { kind: "received", deliverableHash });
    else this.#judged(dealId, { kind: "complete", rating });
  }

  #judged(dealId: Hex, judgement: Judgement): void {
    const text = judgement.kind === "complete" ? `rated ${judgement.rating}` : `${judgement.kind}: ${judgement.reason}`;
    this.#note(dealId, "judged", text);
    this.apply(dealId, { kind: "judged", judgement });
  }

  /** Our own assessor's failure is not the provider's: it is paid, and not rated. */
  async #judge({ agreement }: DealRecord, deliverable: Uint8Array, deadline: number): Promise<Judgement> {
    const { assessor, lifetime, onFault } = this.#options;
    const { deal, spec, dealId } = agreement;
    const [signal, end] = this.#until(deadline);
    try {
      const unrated: Judgement = { kind: "complete", rating: 0 };
      const judging = assessor?.assess(deal, spec, deliverable, signal) ?? Promise.resolve(unrated);
      const judgement = await withSignal(judging, signal);
      if (isJudgement(judgement, deal.price)) return judgement;
      throw badJudgement(dealId, judgement);
    } catch (fault) {
      lifetime.throwIfAborted();
      onFault?.(fault, dealId);
      return { kind: "complete", rating: 0 };
    } finally {
      end();
    }
  }

  /** Signs our split and asks the other side for its signature, now and then. @returns true if both have signed */
  async propose({ agreement }: DealRecord, { toProviderWei, rating }: SplitTerms): Promise<boolean> {
    const { chain } = this.#options;
    const { dealId, role } = agreement;
    if (!this.#mayAsk(dealId)) return false;
    const validUntil = chain.time() + SPLIT_VALID_SECONDS;
    const proposal: SplitProposal = { dealId, toProvider: toProviderWei, rating, validUntil };
    const own = chain.signSplit(proposal);
    const answer = await this.#ask(agreement.peer, { type: "split", proposal, signature: own.signature });
    if (answer.kind !== "accept") {
      const isRefused = answer.detail.includes("CONSENT_REFUSED");
      if (isRefused) {
        this.#note(dealId, "split", `refused: ${toProviderWei} to the provider`);
        this.apply(dealId, { kind: "splitRefused" });
      }
      return isRefused;
    }
    const theirs: Consent = {
      signer: agreement[role === "client" ? "provider" : "client"].signer,
      signature: answer.value,
    };
    if (!chain.isSplitConsent(proposal, theirs)) return false;
    this.#note(dealId, "split", `agreed: ${toProviderWei} to the provider`);
    const sides = role === "client" ? { client: own, provider: theirs } : { client: theirs, provider: own };
    this.apply(dealId, { kind: "splitAgreed", split: { proposal, ...sides } });
    return true;
  }

  async askCancel({ agreement }: DealRecord): Promise<boolean> {
    const { chain } = this.#options;
    const { dealId, role } = agreement;
    if (!this.#mayAsk(dealId)) return false;
    const own = chain.signCancel(dealId);
    const answer = await this.#ask(agreement.peer, { type: "cancel", dealId, signature: own.signature });
    if (answer.kind !== "accept") return false;
    const theirs: Consent = {
      signer: agreement[role === "client" ? "provider" : "client"].signer,
      signature: answer.value,
    };
    if (!chain.isCancelConsent(dealId, theirs)) return false;
    const sides = role === "client" ? { client: own, provider: theirs } : { client: theirs, provider: own };
    this.apply(dealId, { kind: "cancelAgreed", ...sides });
    return true;
  }

  #mayAsk(dealId: Hex): boolean {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs < (this.#askedAtMs.get(dealId) ?? 0) + ASK_AGAIN_MS) return false;
    this.#askedAtMs.set(dealId, nowMs);
    return true;
  }

  #ask(peer: string, request: ConsentRequest): Promise<Verdict<Hex>> {
    const signal = AbortSignal.any([this.#options.lifetime, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
    return askConsent(this.#options.transport, peer, request, signal);
  }

  /** The other side asks for our signature. */
  async answerConsent(request: ConsentRequest, from: Hex, signal: AbortSignal): Promise<Verdict<Hex>> {
    const { store, chain, counsel } = this.#options;
    const dealId = request.type === "split" ? request.proposal.dealId : request.dealId;
    const record = store.get(dealId);
    const other = record?.agreement.role === "client" ? "provider" : "client";
    const theirSigner = record?.agreement[other].signer;
    if (record === undefined || theirSigner?.toLowerCase() !== from.toLowerCase()) {
      return ignore("DEAL_UNKNOWN", "no deal of the asker has this id");
    }
    const consent: Consent = { signer: theirSigner, signature: request.signature };
    if (request.type === "cancel") return this.#answerCancel(record, consent);
    const { proposal } = request;
    if (!chain.isSplitConsent(proposal, consent)) return reject("CONSENT_SIGNATURE", "not the asker's signature");
    if (proposal.toProvider > record.agreement.deal.price) return reject("CONSENT_RANGE", "more than the price");
    const terms = { toProviderWei: proposal.toProvider, rating: proposal.rating };
    const isWanted = this.#matchesWish(record, terms)
      ? true
      : await counsel?.considerSplit?.(record.agreement.deal, terms, signal);
    if (isWanted === false) return reject("CONSENT_REFUSED", "the other side does not agree");
    this.apply(dealId, { kind: "splitOffered", proposal, consent });
    if (isWanted === undefined) return ignore("CONSENT_PENDING", "the other side has not decided");
    return accept(this.acceptOffer(dealId).signature);
  }

  /** Two sides that ask for the same, or one that is offered more than it asks for, agree without another question. */
  #matchesWish({ wish, agreement }: DealRecord, { toProviderWei, rating }: SplitTerms): boolean {
    if (wish === undefined || wish.rating !== rating) return false;
    return agreement.role === "provider" ? toProviderWei >= wish.toProviderWei : toProviderWei <= wish.toProviderWei;
  }

  #answerCancel(record: DealRecord, consent: Consent): Verdict<Hex> {
    const { chain } = this.#options;
    const { dealId, role } = record.agreement;
    if (!chain.isCancelConsent(dealId, consent)) return reject("CONSENT_SIGNATURE", "not the asker's signature");
    if (record.wishesCancel !== true) return ignore("CONSENT_PENDING", "the other side does not wish to cancel yet");
    const own = chain.signCancel(dealId);
    const sides = role === "client" ? { client: own, provider: consent } : { client: consent, provider: own };
    this.apply(dealId, { kind: "cancelAgreed", ...sides });
    return accept(own.signature);
  }

  /** Signs the other side's pending split. @throws SuretyError SPLIT_NONE */
  acceptOffer(dealId: Hex): Consent {
    const { store, chain } = this.#options;
    const record = store.get(dealId);
    if (record?.offer === undefined) {
      throw new SuretyError("SPLIT_NONE", `Nobody has proposed a split of deal ${dealId}.`, {
        values: { dealId },
        next: "Propose one yourself, or ask the other side for one.",
      });
    }
    const { proposal, consent } = record.offer;
    const own = chain.signSplit(proposal);
    const sides =
      record.agreement.role === "client" ? { client: own, provider: consent } : { client: consent, provider: own };
    this.#note(dealId, "split", `agreed: ${proposal.toProvider} to the provider`);
    this.apply(dealId, { kind: "splitAgreed", split: { proposal, ...sides } });
    return own;
  }

  async askDefence({ agreement, deliverableHash }: DealRecord, costWei: bigint): Promise<void> {
    const { counsel, lifetime } = this.#options;
    const { deal, dealId } = agreement;
    // Who has delivered has something to defend.
    const fallback = deliverableHash !== undefined;
    const defends = await this.#consult(dealId, fallback, counsel?.defend?.(deal, costWei, lifetime));
    this.apply(dealId, { kind: "answered", answers: { defends } });
  }

  async askAppeal({ agreement }: DealRecord, effect: Extract<DealEffect, { kind: "askAppeal" }>): Promise<void> {
    const { counsel, lifetime } = this.#options;
    const { deal, dealId } = agreement;
    const { ruling, costWei, until } = effect;
    const isWanted = await this.#consult(dealId, false, counsel?.appeal?.(deal, ruling, costWei, lifetime));
    this.apply(dealId, { kind: "answered", answers: { appeal: { ruling, until, isWanted } } });
  }

  /** Our own program's answer; its failure is noted and answered by the default. */
  async #consult(dealId: Hex, fallback: boolean, answer: Promise<boolean> | undefined): Promise<boolean> {
    try {
      return (await (answer && withSignal(answer, this.#options.lifetime))) ?? fallback;
    } catch (fault) {
      this.#options.lifetime.throwIfAborted();
      this.#options.onFault?.(fault, dealId);
      return fallback;
    }
  }

  /** Stores what we can show, and says on chain under which hash it is served. */
  async sendEvidence({ agreement }: DealRecord, signal: AbortSignal): Promise<void> {
    const { store, chain, transport } = this.#options;
    const { dealId } = agreement;
    const bundle = this.bundleOf(store.get(dealId) as DealRecord);
    const bytes = encodeEvidence(bundle);
    const hash = contentHashOf(bytes);
    store.putBundle(dealId, hash, bytes);
    await chain.take(
      { kind: "submitEvidence", evidence: evidenceNoticeOf(hash, bundle, transport.peerId) },
      agreement,
      signal,
    );
    this.apply(dealId, { kind: "answered", answers: { hasEvidence: true } });
  }

  /** All that this side can show of a deal, now. */
  bundleOf(record: DealRecord): EvidenceBundle {
    const { store, evidence, entriesOf } = this.#options;
    const { dealId, deal, role, client, provider, spec } = record.agreement;
    const { judgement } = record;
    const reason = judgement === undefined || judgement.kind === "complete" ? "" : judgement.reason;
    const deliverable = store.deliverableOf(dealId) ?? new Uint8Array();
    return {
      ...{ dealId, deal, role, client, provider, spec, deliverable, reason },
      ...{ items: evidence.itemsOf(dealId), entries: entriesOf?.(record) ?? [] },
    };
  }

  #note(dealId: Hex, kind: Parameters<EvidenceStore["add"]>[1], text: string): void {
    this.#options.evidence.add(dealId, kind, text);
  }

  /** Aborts with the driver, or when the chain has passed a second. */
  #until(deadline: number): [signal: AbortSignal, end: () => void] {
    const { chain, clock, lifetime } = this.#options;
    const turn = new AbortController();
    const check = () => {
      if (chain.time() > deadline) turn.abort(new Error("the time for it is over"));
    };
    const unsubscribe = chain.onHead(check);
    const cancel = clock.schedule(Math.max(deadline + 1 - chain.time(), 0) * 1000, check);
    const end = () => {
      unsubscribe();
      cancel();
    };
    return [AbortSignal.any([turn.signal, lifetime]), end];
  }

  async #sleep(delayMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#options.clock.schedule(delayMs, () => {
      resolve(undefined);
    });
    await withSignal(promise, this.#options.lifetime).finally(cancel);
  }
}
