import type { Hex } from "viem";
import {
  checkCallRules,
  contentHashOf,
  decodeRules,
  encodeMessage,
  encodeRules,
  isBargaining,
  isDocument,
  MAX_NEGOTIATION_FRAME_BYTES,
  NEGOTIATION_PROTOCOL,
  structHash,
  SuretyError,
  typedDataDigest,
  type AwardEvidence,
  type NegotiationMessage,
} from "#protocol";
import { systemClock, withSignal } from "../chain/clock.ts";
import type { Clock } from "../chain/port.ts";
import type { PeerName } from "../transport/port.ts";
import { createBargain } from "./bargain.ts";
import {
  clientDeadlineOf,
  stepClient,
  type ClientEffect,
  type ClientEvent,
  type ClientSession,
  type Sign,
} from "./client.ts";
import { MAX_ASKED_AGAIN, MAX_BIDDING_MS } from "./limits.ts";
import type { CallOutcome, CallRequest, Negotiator, NegotiatorOptions, Standings } from "./port.ts";
import {
  providerDeadlineOf,
  stepProvider,
  type ProviderEffect,
  type ProviderEvent,
  type ProviderSession,
} from "./provider.ts";
import { Reception } from "./reception.ts";
import {
  clientAgreementOf,
  credentialLevelOf,
  faultOfRequest,
  groundSession,
  providerAgreementOf,
  rulesRefused,
} from "./request.ts";
import { SessionStore, type Session } from "./session-store.ts";

export type { Negotiator, NegotiatorOptions } from "./port.ts";

/**
 * One libp2p request with one negotiation message, the connection included. A healthy peer answers in milliseconds; the
 * room is for a machine that is busy with many handshakes at once.
 */
const SEND_TIMEOUT_MS = 15_000;

export function createNegotiator(options: NegotiatorOptions): Negotiator {
  return new NegotiationDriver(options);
}

class NegotiationDriver implements Negotiator {
  readonly #options: NegotiatorOptions;
  readonly #clock: Clock;
  readonly #sessions: SessionStore;
  readonly #reception: Reception;
  readonly #lifetime = new AbortController();
  readonly #timers = new Map<string, () => void>();
  readonly #outcomes = new Map<Hex, (outcome: CallOutcome) => void>();
  readonly #underway = new Set<Promise<unknown>>();
  /** Our open calls, and how often each of their peers was asked again. */
  readonly #open = new Map<Hex, Map<PeerName, number>>();
  #endListening: readonly (() => void)[] = [];
  readonly #sign: Sign;

  constructor(options: NegotiatorOptions) {
    const { signer, contracts } = options;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#sessions = new SessionStore(options.store);
    this.#reception = new Reception(options, this.#sessions, {
      signal: this.#lifetime.signal,
      onClient: (callId, event) => this.#onClient(callId, event),
      onProvider: (callId, event) => this.#onProvider(callId, event),
      admit: (session, peer) => this.#applyProvider(session, peer, { kind: "start" }),
    });
    this.#sign = (struct, value) => signer.sign(typedDataDigest(struct, value, contracts));
  }

  async start(): Promise<void> {
    this.#sessions.prune(this.#clock.nowMs());
    await this.#options.transport.serve(
      NEGOTIATION_PROTOCOL,
      (frame, from, signal) => this.#reception.receive(frame, from, signal),
      { maxRequestBytes: MAX_NEGOTIATION_FRAME_BYTES, areStreamsKept: true },
    );
    this.#endListening = [
      this.#options.transport.onPeerDisconnected((peer) => this.#onMoved(peer, "lost")),
      this.#options.transport.onPeerConnected((peer) => this.#onMoved(peer, "found")),
    ];
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
    for (const end of this.#endListening) end();
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
    const isRestricted = credentialLevelOf(request.mechanism) > 0;
    const admitted = isRestricted ? { ...request, invitees: await this.#admittedOf(request, signal) } : request;
    const standings = isDocument(request.mechanism) ? await this.#standingsOf(admitted, signal) : undefined;
    signal.throwIfAborted();
    // From here on the bidding runs.
    const created = this.#createSession(admitted);
    const session = standings === undefined ? created : groundSession(created, admitted, standings);
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
    const { side } = request;
    const said = isBargaining(request.mechanism) && side ? { bargain: createBargain(side, callId) } : {};
    const blank = { bids: [], absent: [], passed: [], ...said };
    return { role: "client", phase: "called", callId, call, mechanism, spec, signature, invitees, ...blank };
  }

  /** Invitees whose operators hold the credential that the rules ask for. */
  async #admittedOf({ mechanism, invitees }: CallRequest, signal: AbortSignal): Promise<CallRequest["invitees"]> {
    const least = credentialLevelOf(mechanism);
    const agentIds = invitees.map(({ agentId }) => agentId);
    const levels = (await this.#options.credentials?.levelsOf(agentIds, signal)) ?? new Map<bigint, number>();
    const admitted = invitees.filter(({ agentId }) => (levels.get(agentId) ?? 0) >= least);
    if (admitted.length > 0) return admitted;
    throw new SuretyError("CALL_NOBODY_ADMITTED", `None of ${agentIds.length} invited agents may bid by these rules.`, {
      values: { credentialLevel: least, agentIds },
      next: "Lower admission.credentialLevel, or invite agents whose operators have presented such a credential.",
    });
  }

  async #standingsOf({ topic, invitees }: CallRequest, signal: AbortSignal): Promise<Standings> {
    const agentIds = invitees.map(({ agentId }) => agentId);
    const none = { epoch: 0, scores: new Map<bigint, bigint>() };
    return (await this.#options.standing?.standingsOf(topic, agentIds, signal)) ?? none;
  }

  // ---- steps: state to disk first, then effects -------------------------------------------------------------------

  #onClient(callId: Hex, event: ClientEvent): void {
    const known = this.#sessions.get(callId, "client");
    if (known !== undefined && !this.#lifetime.signal.aborted) this.#applyClient(known.session, event);
  }

  #applyClient(session: ClientSession, event: ClientEvent): void {
    const [next, effects] = stepClient(session, event, { nowMs: this.#clock.nowMs(), sign: this.#sign });
    if (next !== session || event.kind === "start")
      this.#sessions.put(next, "", keepUntilMsOf(next), effects.length > 0 ? "synced" : "relaxed");
    const deadlineMs = clientDeadlineOf(next);
    if (deadlineMs === undefined) this.#open.delete(next.callId);
    else if (!this.#open.has(next.callId)) this.#open.set(next.callId, new Map());
    this.#schedule(next, deadlineMs);
    for (const effect of effects) this.#runClient(next, effect);
  }

  /** Long before the bidding ends we so learn that somebody has died, or is back. */
  #onMoved(peer: PeerName, kind: "lost" | "found"): void {
    for (const [callId, asked] of this.#open) {
      const times = asked.get(peer) ?? 0;
      const invitees = this.#sessions.get(callId, "client")?.session.invitees ?? [];
      const moved = invitees.find((invitee) => invitee.peer === peer);
      if (moved === undefined || times >= MAX_ASKED_AGAIN) continue;
      if (kind === "lost") asked.set(peer, times + 1);
      this.#onClient(callId, { kind, agentId: moved.agentId });
    }
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
    // Until we have bid there is nothing that a second thought could contradict.
    const isBinding = effects.some(({ kind }) => kind !== "consider");
    if (next !== session || event.kind === "start")
      this.#sessions.put(next, peer, keepUntilMsOf(next), isBinding ? "synced" : "relaxed");
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
    const orNothing = <T>(thinking: Promise<T> | undefined) =>
      thinking?.catch((fault: unknown) => {
        if (!signal.aborted) this.#options.onFault?.(fault);
        return undefined;
      });
    const invitation = { callId, call, spec };
    if (isBargaining(rules.value)) {
      const side = await orNothing(bidder.value?.({ ...invitation, mechanism: rules.value }, signal));
      return this.#onProvider(callId, { kind: "valued", agentId, side });
    }
    const proposal = await orNothing(bidder.consider({ ...invitation, mechanism: rules.value }, signal));
    this.#onProvider(callId, { kind: "considered", agentId, salt: random(), proposal });
  }

  // ---- the world --------------------------------------------------------------------------------------------------

  #send(peer: PeerName, message: NegotiationMessage, onUndelivered: () => void): void {
    const signal = AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(SEND_TIMEOUT_MS)]);
    const sending = this.#options.transport
      .request(peer, NEGOTIATION_PROTOCOL, encodeMessage(message), {
        signal,
        maxResponseBytes: 1_024,
        isStreamKept: true,
      })
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

/** From then on call, bid and offer are refused by their own times, so that the session is no longer needed as a proof. */
function keepUntilMsOf({ call }: Session): number {
  return Math.max(call.bidByMs, call.submitBy * 1000) + MAX_BIDDING_MS;
}
