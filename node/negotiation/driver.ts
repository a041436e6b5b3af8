import type { Hex } from "viem";
import {
  accept,
  contentHashOf,
  checkCallRules,
  decodeMessage,
  decodeRules,
  encodeMessage,
  encodeRules,
  ignore,
  MAX_NEGOTIATION_FRAME_BYTES,
  NEGOTIATION_PROTOCOL,
  reject,
  isDocument,
  recoverSigner,
  signedBidOf,
  structHash,
  structHashDigest,
  SuretyError,
  typedDataDigest,
  type AwardEvidence,
  type Call,
  type Certificate,
  type DomainContracts,
  type NegotiationMessage,
  type Signer,
  type Verdict,
} from "#protocol";
import { systemClock, withSignal } from "../chain/clock.ts";
import type { Clock, IdentityReader } from "../chain/port.ts";
import type { Store } from "../store/port.ts";
import type { PeerName, Transport } from "../transport/port.ts";
import { Authenticator, PeerBudget } from "./authenticate.ts";
import {
  clientDeadlineOf,
  stepClient,
  type ClientEffect,
  type ClientEvent,
  type ClientSession,
  type Sign,
} from "./client.ts";
import {
  MAX_BIDDING_MS,
  MAX_MESSAGES_PER_PEER_PER_MINUTE,
  MAX_OPEN_SESSIONS,
  MAX_OPEN_SESSIONS_PER_CLIENT,
} from "./limits.ts";
import type { Agreement, Bidder, CallFailure, CallOutcome, CallRequest, StandingPort, Standings } from "./port.ts";
import {
  checkCall,
  checkOffer,
  providerDeadlineOf,
  stepProvider,
  type ProviderEffect,
  type ProviderEvent,
  type ProviderSession,
} from "./provider.ts";
import { clientAgreementOf, faultOfRequest, groundSession, providerAgreementOf, rulesRefused } from "./request.ts";
import { SessionStore, type Session } from "./session-store.ts";

export interface NegotiatorOptions {
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  readonly transport: Transport;
  readonly identity: IdentityReader;
  readonly store: Store;
  /** Unix seconds of the chain's latest block. */
  readonly chainTime: () => number;
  /** 256 random bits: makes calls and bids different. */
  readonly random: () => bigint;
  /** Scores by which documents admit and price bonds. Absent: nobody has a score. */
  readonly standing?: StandingPort;
  /** Without one the agent bids on nothing. */
  readonly bidder?: Bidder;
  /**
   * A deal that both sides signed. Called at least once a deal, again after each restart: whoever takes it stores it
   * before it returns, and knows it by its dealId.
   */
  readonly onAgreed: (agreement: Agreement) => void;
  /** A call of ours that ended without a deal, one that was made before a restart included. */
  readonly onFailed?: (call: Call, code: CallFailure) => void;
  readonly clock?: Clock;
  /** Told of our own failures; a stranger's are verdicts. */
  readonly onFault?: (fault: unknown) => void;
}

/** Runs both sides of `/surety/negotiate/1` for one agent over a transport. */
export interface Negotiator {
  /** Serves the protocol and resumes every session of the store. */
  start(): Promise<void>;
  /** Ends timers and requests; sessions stay in the store. Idempotent. */
  stop(): Promise<void>;
  /**
   * Calls for bids and sees it through to an agreement. When the signal aborts the call is withdrawn.
   * @throws SuretyError CALL_INVALID; NEGOTIATOR_STOPPED (retryable), the call then goes on after a restart
   */
  callForBids(request: CallRequest, signal: AbortSignal): Promise<CallOutcome>;
  /** How many calls of others we have open. */
  openSessions(): number;
  /** What shows that a deal of this call was its award, on whichever side we were; undefined once it is forgotten. */
  awardOf(callId: Hex): AwardEvidence | undefined;
}

/**
 * One libp2p request with one negotiation message, the connection included. A healthy peer answers in milliseconds; the
 * room is for a machine that is busy with many handshakes at once.
 */
const SEND_TIMEOUT_MS = 15_000;
/** Calls between two looks for sessions that may be forgotten. */
const PRUNE_EVERY = 256;
const DELIVERED = new Uint8Array(0);

export function createNegotiator(options: NegotiatorOptions): Negotiator {
  return new NegotiationDriver(options);
}

class NegotiationDriver implements Negotiator {
  readonly #options: NegotiatorOptions;
  readonly #clock: Clock;
  readonly #sessions: SessionStore;
  readonly #authenticator: Authenticator;
  readonly #budget = new PeerBudget(MAX_MESSAGES_PER_PEER_PER_MINUTE);
  readonly #lifetime = new AbortController();
  readonly #timers = new Map<string, () => void>();
  readonly #outcomes = new Map<Hex, (outcome: CallOutcome) => void>();
  readonly #underway = new Set<Promise<unknown>>();
  readonly #sign: Sign;
  #admitted = 0;

  constructor(options: NegotiatorOptions) {
    const { signer, contracts } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#sessions = new SessionStore(options.store);
    this.#authenticator = new Authenticator(options.identity, contracts, this.#clock);
    this.#sign = (struct, value) => signer.sign(typedDataDigest(struct, value, contracts));
  }

  async start(): Promise<void> {
    this.#sessions.prune(this.#clock.nowMs());
    const responder = (frame: Uint8Array, from: PeerName, signal: AbortSignal) => this.#receive(frame, from, signal);
    await this.#options.transport.serve(NEGOTIATION_PROTOCOL, responder, {
      maxRequestBytes: MAX_NEGOTIATION_FRAME_BYTES,
    });
    for (const { session, peer } of this.#sessions.all()) {
      if (session.role === "client") this.#applyClient(session, { kind: "resume" });
      else this.#applyProvider(session, peer, { kind: "resume" });
    }
  }

  async stop(): Promise<void> {
    this.#lifetime.abort(
      new SuretyError("NEGOTIATOR_STOPPED", "Negotiation has stopped; its calls go on when the node starts again.", {
        next: "Start the node again with the same store.",
        isRetryable: true,
      }),
    );
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    await Promise.allSettled(this.#underway);
  }

  openSessions(): number {
    return this.#sessions.countOpen();
  }

  awardOf(callId: Hex): AwardEvidence | undefined {
    const own = this.#sessions.get(callId, "client")?.session;
    const session = own ?? this.#sessions.get(callId, "provider")?.session;
    const certificate = session?.role === "client" ? session.offer?.certificate : session?.certificate;
    return session && certificate && { call: session.call, mechanism: session.mechanism, certificate };
  }

  async callForBids(request: CallRequest, signal: AbortSignal): Promise<CallOutcome> {
    signal.throwIfAborted();
    const standings = isDocument(request.mechanism) ? await this.#standingsOf(request, signal) : undefined;
    signal.throwIfAborted();
    // From here on the bidding runs.
    const created = this.#createSession(request);
    const session = standings === undefined ? created : groundSession(created, request, standings);
    const { promise, resolve } = Promise.withResolvers<CallOutcome>();
    this.#outcomes.set(session.callId, resolve);
    const onAbort = () => {
      this.#onClient(session.callId, { kind: "withdraw" });
    };
    signal.addEventListener("abort", onAbort, { once: true });
    this.#applyClient(session, { kind: "start" });
    try {
      return await withSignal(promise, this.#lifetime.signal);
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#outcomes.delete(session.callId);
    }
  }

  #createSession(request: CallRequest): ClientSession {
    const fault = faultOfRequest(request);
    if (fault !== undefined) {
      throw new SuretyError("CALL_INVALID", `The call cannot be made: ${fault}.`, { next: "Correct the request." });
    }
    const mechanism = encodeRules(request.mechanism);
    const { topic, token, reservePrice, submitBy, reviewPeriod, spec, invitees } = request;
    const call = {
      clientAgentId: this.#options.agentId,
      ...{ topic, token, reservePrice, submitBy, reviewPeriod },
      specHash: contentHashOf(spec),
      mechanismHash: contentHashOf(mechanism),
      bidByMs: this.#clock.nowMs() + request.biddingMs,
      salt: this.#options.random(),
    };
    const [callId, signature] = [structHash("Call", call), this.#sign("Call", call)];
    const checked = checkCallRules(call, request.mechanism);
    if (checked.kind !== "accept") throw rulesRefused(checked.code, checked.detail);
    const blank = { bids: [], absent: [], passed: [] };
    return { role: "client", phase: "called", callId, call, mechanism, spec, signature, invitees, ...blank };
  }

  async #standingsOf({ topic, invitees }: CallRequest, signal: AbortSignal): Promise<Standings> {
    const agentIds = invitees.map(({ agentId }) => agentId);
    const none = { epoch: 0, scores: new Map<bigint, bigint>() };
    return (await this.#options.standing?.standingsOf(topic, agentIds, signal)) ?? none;
  }

  // ---- what arrives ----------------------------------------------------------------------------------------------

  async #receive(frame: Uint8Array, from: PeerName, asked: AbortSignal): Promise<Verdict<Uint8Array>> {
    if (!this.#budget.take(from, this.#clock.nowMs())) return ignore("PEER_BUDGET", "too many messages this minute");
    const decoded = decodeMessage(frame);
    if (decoded.kind !== "accept") return decoded;
    const signal = AbortSignal.any([asked, this.#lifetime.signal]);
    const verdict = await this.#judge(decoded.value, from, signal);
    return verdict.kind === "accept" ? accept(DELIVERED) : verdict;
  }

  #judge(message: NegotiationMessage, from: PeerName, signal: AbortSignal): Promise<Verdict<unknown>> {
    switch (message.type) {
      case "call":
        return this.#onCall(message, from, signal);
      case "offer":
        return this.#onOffer(message, from, signal);
      case "cancel":
        return this.#onCancel(message, from, signal);
      case "seal":
        return this.#onSeal(message, from, signal);
      case "open":
        return Promise.resolve(this.#onOpen(message, from));
      case "bid":
        return this.#onBid(message, from, signal);
      case "decline":
        return this.#onDecline(message, from, signal);
      case "acceptance":
        return this.#onAcceptance(message, from, signal);
    }
  }

  async #onCall(
    { call, mechanism, spec, signature }: Extract<NegotiationMessage, { type: "call" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const { agentId, bidder, chainTime } = this.#options;
    const nowMs = this.#clock.nowMs();
    if (bidder === undefined) return ignore("NOT_BIDDING", "this agent provides nothing");
    if (contentHashOf(mechanism) !== call.mechanismHash)
      return reject("CALL_MECHANISM", "the rules are not the hashed ones");
    if (contentHashOf(spec) !== call.specHash) return reject("CALL_SPEC", "the specification is not the hashed one");
    const checked = checkCall(call, agentId, { nowMs, chainTime: chainTime(), maxBiddingMs: MAX_BIDDING_MS });
    if (checked.kind !== "accept") return checked;
    const decoded = decodeRules(mechanism);
    const rules = decoded.kind === "accept" ? checkCallRules(call, decoded.value) : decoded;
    if (rules.kind !== "accept") return rules;
    const claim = { struct: "Call", value: call, signature, agentId: call.clientAgentId, from } as const;
    const signer = await this.#authenticator.signerOf(claim, signal);
    if (signer.kind !== "accept") return signer;
    return this.#admit(
      { role: "provider", phase: "considering", callId: structHash("Call", call), call, mechanism, spec },
      from,
    );
  }

  /** From here on nothing waits: what is seen as new is stored as seen. */
  #admit(session: ProviderSession, from: PeerName): Verdict<unknown> {
    const seen = this.#sessions.get(session.callId, "provider");
    if (seen !== undefined) {
      // The client asks again, after a restart perhaps: it gets what it got, and nothing is thought or signed anew.
      if (seen.session.phase === "bid") this.#applyProvider(seen.session, seen.peer, { kind: "resume" });
      return ignore("CALL_SEEN", `the session is ${seen.session.phase}`);
    }
    if (this.#sessions.countOpen(session.call.clientAgentId) >= MAX_OPEN_SESSIONS_PER_CLIENT) {
      return ignore("CLIENT_BUDGET", `${MAX_OPEN_SESSIONS_PER_CLIENT} calls of this client are open`);
    }
    if (this.#sessions.countOpen() >= MAX_OPEN_SESSIONS) return ignore("BUSY", `${MAX_OPEN_SESSIONS} calls are open`);
    if (this.#admitted++ % PRUNE_EVERY === 0) this.#sessions.prune(this.#clock.nowMs());
    this.#applyProvider(session, from, { kind: "start" });
    return accept(undefined);
  }

  async #onOffer(
    { deal, certificate, signature }: Extract<NegotiationMessage, { type: "offer" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const callId = callIdOf(deal.salt);
    const known = this.#sessions.get(callId, "provider");
    if (known === undefined) return ignore("SESSION_UNKNOWN", callId);
    const { agentId, contracts, chainTime } = this.#options;
    const claim = { struct: "Deal", value: deal, signature, agentId: known.session.call.clientAgentId, from } as const;
    const signer = await this.#authenticator.signerOf(claim, signal);
    if (signer.kind !== "accept") return signer;
    const times = { nowMs: this.#clock.nowMs(), chainTime: chainTime(), contracts };
    const checked = checkOffer(known.session, deal, certificate, times);
    for (const bidder of checked.kind === "accept" ? checked.value.bidders : []) {
      const speaks = await this.#authenticator.speaksFor(bidder.agentId, bidder.signer, signal);
      if (speaks.kind !== "accept") return reject("CERTIFICATE_SIGNER", speaks.detail);
    }
    const score =
      checked.kind === "accept"
        ? await this.#checkOwnScore(known.session, checked.value.certificate, signal)
        : undefined;
    if (score !== undefined) return score;
    const consent = { signer: signer.value, signature };
    this.#onProvider(callId, { kind: "offer", agentId, deal, certificate, consent });
    return checked.kind === "accept" || known.session.phase === "accepted" ? accept(undefined) : checked;
  }

  /** A lower score than our own at the same epoch would ask a larger bond of us than the rules do. */
  async #checkOwnScore(
    { call }: ProviderSession,
    { grounds }: Certificate,
    signal: AbortSignal,
  ): Promise<Verdict<never> | undefined> {
    const { agentId, standing } = this.#options;
    if (grounds === undefined || standing === undefined) return undefined;
    const { epoch, scores } = await standing.standingsOf(call.topic, [agentId], signal);
    const own = scores.get(agentId) ?? 0n;
    const told = grounds.standings.find((entry) => entry.agentId === agentId)?.relativeScore ?? 0n;
    if (epoch !== grounds.epoch || told >= own) return undefined;
    return reject("OFFER_SCORE", `our score in epoch ${epoch} is ${own}, the certificate says ${told}`);
  }

  /** The seals that we are shown come from the client's own peer; the certificate is held to them. */
  #onOpen({ callId, seals }: Extract<NegotiationMessage, { type: "open" }>, from: PeerName): Verdict<unknown> {
    const known = this.#sessions.get(callId, "provider");
    if (known === undefined) return ignore("SESSION_UNKNOWN", callId);
    if (known.peer !== from) return reject("SIGNER_NOT_SENDER", "the seals were not sent by the client");
    this.#onProvider(callId, { kind: "open", seals });
    return accept(undefined);
  }

  async #onSeal(
    { callId, bidId, providerAgentId, signature }: Extract<NegotiationMessage, { type: "seal" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const fault = this.#faultOfAnswer(callId, providerAgentId);
    if (fault !== undefined) return fault;
    const signer = recoverSigner(structHashDigest("Bid", bidId, this.#options.contracts), signature);
    if (signer.kind !== "accept") return signer;
    const speaks = await this.#authenticator.isSender(providerAgentId, signer.value, from, signal);
    if (speaks.kind === "accept") this.#onClient(callId, { kind: "seal", sealed: { agentId: providerAgentId, bidId } });
    return speaks;
  }

  async #onCancel(
    { cancel, signature }: Extract<NegotiationMessage, { type: "cancel" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const known = this.#sessions.get(cancel.callId, "provider");
    if (known === undefined) return ignore("SESSION_UNKNOWN", cancel.callId);
    const agentId = known.session.call.clientAgentId;
    const claim = { struct: "CallCancel", value: cancel, signature, agentId, from } as const;
    const signer = await this.#authenticator.signerOf(claim, signal);
    if (signer.kind === "accept") this.#onProvider(cancel.callId, { kind: "cancel" });
    return signer;
  }

  async #onBid(
    { bid, signature }: Extract<NegotiationMessage, { type: "bid" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const fault = this.#faultOfAnswer(bid.callId, bid.providerAgentId);
    if (fault !== undefined) return fault;
    const claim = { struct: "Bid", value: bid, signature, agentId: bid.providerAgentId, from } as const;
    const signer = await this.#authenticator.signerOf(claim, signal);
    if (signer.kind === "accept") this.#onClient(bid.callId, { kind: "bid", bid: signedBidOf(bid, signature) });
    return signer;
  }

  async #onDecline(
    { decline, signature }: Extract<NegotiationMessage, { type: "decline" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const fault = this.#faultOfAnswer(decline.callId, decline.providerAgentId);
    if (fault !== undefined) return fault;
    // A decline of an offer counts from the one to whom it was made; its deal names that agent.
    const offer = this.#sessions.get(decline.callId, "client")?.session.offer;
    const isOthers = offer?.dealId === decline.dealId && offer.deal.providerAgentId !== decline.providerAgentId;
    if (isOthers) return reject("DECLINE_OTHER_OFFER", "the offer was made to another agent");
    const claim = { struct: "Decline", value: decline, signature, agentId: decline.providerAgentId, from } as const;
    const signer = await this.#authenticator.signerOf(claim, signal);
    if (signer.kind === "accept") this.#onClient(decline.callId, { kind: "decline", decline });
    return signer;
  }

  async #onAcceptance(
    { callId, dealId, signature }: Extract<NegotiationMessage, { type: "acceptance" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const offer = this.#sessions.get(callId, "client")?.session.offer;
    if (offer === undefined) return ignore("SESSION_UNKNOWN", callId);
    if (offer.dealId !== dealId) return ignore("OFFER_ENDED", `the standing offer is ${offer.dealId}`);
    const { deal } = offer;
    const claim = { struct: "Deal", value: deal, signature, agentId: deal.providerAgentId, from } as const;
    const signer = await this.#authenticator.signerOf(claim, signal);
    if (signer.kind !== "accept") return signer;
    this.#onClient(callId, { kind: "acceptance", dealId, consent: { signer: signer.value, signature } });
    return signer;
  }

  #faultOfAnswer(callId: Hex, agentId: bigint): Verdict<never> | undefined {
    const session = this.#sessions.get(callId, "client")?.session;
    if (session === undefined) return ignore("SESSION_UNKNOWN", callId);
    const isInvited = session.invitees.some((invitee) => invitee.agentId === agentId);
    return isInvited ? undefined : reject("NOT_INVITED", `agent ${agentId} was not called`);
  }

  // ---- steps: state to disk first, then effects -------------------------------------------------------------------

  #onClient(callId: Hex, event: ClientEvent): void {
    const known = this.#sessions.get(callId, "client");
    if (known !== undefined && !this.#lifetime.signal.aborted) this.#applyClient(known.session, event);
  }

  #applyClient(session: ClientSession, event: ClientEvent): void {
    const [next, effects] = stepClient(session, event, { nowMs: this.#clock.nowMs(), sign: this.#sign });
    if (next !== session || event.kind === "start") this.#sessions.put(next, "", keepUntilMsOf(next));
    this.#schedule(next, clientDeadlineOf(next));
    for (const effect of effects) this.#runClient(next, effect);
  }

  #runClient(session: ClientSession, effect: ClientEffect): void {
    const { callId } = session;
    if (effect.kind === "send") {
      const { to, message } = effect;
      this.#send(to.peer, message, () => {
        this.#onClient(callId, { kind: "undelivered", agentId: to.agentId, type: message.type });
      });
    } else if (effect.kind === "failed") {
      this.#options.onFailed?.(session.call, effect.code);
      this.#settle(callId, { kind: "failed", callId, code: effect.code });
    } else {
      const agreement = clientAgreementOf(session, this.#options.signer);
      this.#options.onAgreed(agreement);
      this.#settle(callId, { kind: "agreed", agreement });
    }
  }

  #onProvider(callId: Hex, event: ProviderEvent): void {
    const known = this.#sessions.get(callId, "provider");
    if (known !== undefined && !this.#lifetime.signal.aborted) this.#applyProvider(known.session, known.peer, event);
  }

  #applyProvider(session: ProviderSession, peer: PeerName, event: ProviderEvent): void {
    const { contracts, chainTime } = this.#options;
    const context = { nowMs: this.#clock.nowMs(), chainTime: chainTime(), sign: this.#sign, contracts };
    const [next, effects] = stepProvider(session, event, context);
    if (next !== session || event.kind === "start") this.#sessions.put(next, peer, keepUntilMsOf(next));
    this.#schedule(next, providerDeadlineOf(next));
    for (const effect of effects) this.#runProvider(next, peer, effect);
  }

  #runProvider(session: ProviderSession, peer: PeerName, effect: ProviderEffect): void {
    if (effect.kind === "send") this.#send(peer, effect.message, () => undefined);
    else if (effect.kind === "consider") this.#track(this.#consider(session));
    else this.#options.onAgreed(providerAgreementOf(session, peer, this.#options.signer));
  }

  async #consider({ callId, call, mechanism, spec }: ProviderSession): Promise<void> {
    const { agentId, bidder, random } = this.#options;
    const rules = decodeRules(mechanism);
    if (rules.kind !== "accept" || bidder === undefined) return;
    const untilBid = AbortSignal.timeout(Math.max(call.bidByMs - this.#clock.nowMs(), 0));
    const signal = AbortSignal.any([this.#lifetime.signal, untilBid]);
    const proposal = await bidder
      .consider({ callId, call, mechanism: rules.value, spec }, signal)
      .catch((fault: unknown) => {
        if (!signal.aborted) this.#options.onFault?.(fault);
        return undefined;
      });
    this.#onProvider(callId, { kind: "considered", agentId, salt: random(), proposal });
  }

  // ---- the world --------------------------------------------------------------------------------------------------

  #send(peer: PeerName, message: NegotiationMessage, onUndelivered: () => void): void {
    const signal = AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]);
    const sending = this.#options.transport
      .request(peer, NEGOTIATION_PROTOCOL, encodeMessage(message), { signal, maxResponseBytes: 1_024 })
      .then((verdict) => {
        // What the other side ignored, it has: it was late, or knew it already.
        if (verdict.kind !== "accept" && !isHeard(verdict)) onUndelivered();
      });
    this.#track(sending);
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch((fault: unknown) => {
      if (!this.#lifetime.signal.aborted) this.#options.onFault?.(fault);
    });
    this.#underway.add(tracked);
    void tracked.then(() => this.#underway.delete(tracked));
  }

  #schedule(session: Session, deadlineMs: number | undefined): void {
    const key = `${session.role} ${session.callId}`;
    this.#timers.get(key)?.();
    this.#timers.delete(key);
    if (deadlineMs === undefined || this.#lifetime.signal.aborted) return;
    // One millisecond later: at the deadline itself a bid or an acceptance still counts.
    const cancel = this.#clock.schedule(deadlineMs - this.#clock.nowMs() + 1, () => {
      this.#timers.delete(key);
      if (session.role === "client") this.#onClient(session.callId, { kind: "tick" });
      else this.#onProvider(session.callId, { kind: "tick" });
    });
    this.#timers.set(key, cancel);
  }

  #settle(callId: Hex, outcome: CallOutcome): void {
    this.#outcomes.get(callId)?.(outcome);
    this.#outcomes.delete(callId);
  }
}

const isHeard = (verdict: { code: string; detail: string }) =>
  verdict.code === "REMOTE_IGNORED" && /CALL_SEEN|OFFER_ENDED|SESSION_UNKNOWN/.test(verdict.detail);

/** The salt of a composed deal is its callId. */
const callIdOf = (salt: bigint): Hex => `0x${salt.toString(16).padStart(64, "0")}`;

/** From then on call, bid and offer are refused by their own times, so that the session is no longer needed as a proof. */
function keepUntilMsOf({ call }: Session): number {
  return Math.max(call.bidByMs, call.submitBy * 1000) + MAX_BIDDING_MS;
}
