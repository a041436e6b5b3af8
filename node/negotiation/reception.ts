import type { Hex } from "viem";
import {
  accept,
  checkCallRules,
  contentHashOf,
  decodeMessage,
  decodeRules,
  ignore,
  reject,
  signedBidOf,
  structHash,
  structHashDigest,
  type Certificate,
  type CertifiedBidder,
  type NegotiationMessage,
  type Rules,
  type Verdict,
} from "#protocol";
import { systemClock } from "../chain/clock.ts";
import type { Clock } from "../chain/port.ts";
import type { PeerName } from "../transport/port.ts";
import { Authenticator, PeerBudget } from "./authenticate.ts";
import type { ClientEvent } from "./client.ts";
import {
  MAX_BIDDING_MS,
  MAX_MESSAGES_PER_PEER_PER_MINUTE,
  MAX_OPEN_SESSIONS,
  MAX_OPEN_SESSIONS_PER_CLIENT,
} from "./limits.ts";
import type { NegotiatorOptions } from "./port.ts";
import { checkCall, checkOffer, type ProviderEvent, type ProviderSession } from "./provider.ts";
import { credentialLevelOf } from "./request.ts";
import type { SessionStore } from "./session-store.ts";

/** What a message that passed changes. */
export interface Desk {
  /** Ends with the negotiator. */
  readonly signal: AbortSignal;
  onClient(callId: Hex, event: ClientEvent): void;
  onProvider(callId: Hex, event: ProviderEvent): void;
  /** Stores a new session and begins it. */
  admit(session: ProviderSession, peer: PeerName): void;
}

/** Calls between two looks for sessions that may be forgotten. */
const PRUNE_EVERY = 256;
const DELIVERED = new Uint8Array(0);

/** Judges every frame that arrives, cheap checks first; the machines see only what passed. */
export class Reception {
  readonly #options: NegotiatorOptions;
  readonly #sessions: SessionStore;
  readonly #desk: Desk;
  readonly #clock: Clock;
  readonly #authenticator: Authenticator;
  readonly #budget = new PeerBudget(MAX_MESSAGES_PER_PEER_PER_MINUTE);
  #admitted = 0;

  constructor(options: NegotiatorOptions, sessions: SessionStore, desk: Desk) {
    this.#options = options;
    this.#sessions = sessions;
    this.#desk = desk;
    this.#clock = options.clock ?? systemClock;
    this.#authenticator = new Authenticator(options.identity, options.contracts, this.#clock);
  }

  async receive(frame: Uint8Array, from: PeerName, asked: AbortSignal): Promise<Verdict<Uint8Array>> {
    if (!this.#budget.take(from, this.#clock.nowMs())) return ignore("PEER_BUDGET", "too many messages this minute");
    const decoded = decodeMessage(frame);
    if (decoded.kind !== "accept") return decoded;
    const signal = AbortSignal.any([asked, this.#desk.signal]);
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
    const barred = decoded.kind === "accept" ? await this.#checkOwnCredential(decoded.value, signal) : undefined;
    if (barred !== undefined) return barred;
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
      if (seen.session.phase === "bid") this.#desk.onProvider(session.callId, { kind: "resume" });
      return ignore("CALL_SEEN", `the session is ${seen.session.phase}`);
    }
    if (this.#sessions.countOpen(session.call.clientAgentId) >= MAX_OPEN_SESSIONS_PER_CLIENT) {
      return ignore("CLIENT_BUDGET", `${MAX_OPEN_SESSIONS_PER_CLIENT} calls of this client are open`);
    }
    if (this.#sessions.countOpen() >= MAX_OPEN_SESSIONS) return ignore("BUSY", `${MAX_OPEN_SESSIONS} calls are open`);
    if (this.#admitted++ % PRUNE_EVERY === 0) this.#sessions.prune(this.#clock.nowMs());
    this.#desk.admit(session, from);
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
    const unadmitted =
      checked.kind === "accept"
        ? await this.#checkCredentials(known.session.mechanism, checked.value.bidders, signal)
        : undefined;
    if (unadmitted !== undefined) return unadmitted;
    const score =
      checked.kind === "accept"
        ? await this.#checkOwnScore(known.session, checked.value.certificate, signal)
        : undefined;
    if (score !== undefined) return score;
    const consent = { signer: signer.value, signature };
    this.#desk.onProvider(callId, { kind: "offer", agentId, deal, certificate, consent });
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

  /** Whoever calls us although the rules keep us out does not keep to them. */
  async #checkOwnCredential(rules: Rules, signal: AbortSignal): Promise<Verdict<never> | undefined> {
    const { agentId, credentials } = this.#options;
    const least = credentialLevelOf(rules);
    if (least === 0) return undefined;
    const level = (await credentials?.levelsOf([agentId], signal))?.get(agentId) ?? 0;
    if (level >= least) return undefined;
    return ignore("CREDENTIAL_TOO_LOW", `the rules ask for level ${least}, our operator's credential has ${level}`);
  }

  /** A bidder that the rules keep out may have pressed our payment. Whoever sees no credentials cannot tell. */
  async #checkCredentials(
    mechanism: Uint8Array,
    bidders: readonly CertifiedBidder[],
    signal: AbortSignal,
  ): Promise<Verdict<never> | undefined> {
    const { credentials } = this.#options;
    const rules = decodeRules(mechanism);
    const least = rules.kind === "accept" ? credentialLevelOf(rules.value) : 0;
    if (least === 0 || credentials === undefined) return undefined;
    const agentIds = bidders.map(({ agentId }) => agentId);
    const levels = await credentials.levelsOf(agentIds, signal);
    const barred = agentIds.find((agentId) => (levels.get(agentId) ?? 0) < least);
    if (barred === undefined) return undefined;
    return reject("CERTIFICATE_CREDENTIAL", `agent ${barred} has no credential of level ${least}`);
  }

  /** The seals that we are shown come from the client's own peer; the certificate is held to them. */
  #onOpen({ callId, seals }: Extract<NegotiationMessage, { type: "open" }>, from: PeerName): Verdict<unknown> {
    const known = this.#sessions.get(callId, "provider");
    if (known === undefined) return ignore("SESSION_UNKNOWN", callId);
    if (known.peer !== from) return reject("SIGNER_NOT_SENDER", "the seals were not sent by the client");
    this.#desk.onProvider(callId, { kind: "open", seals });
    return accept(undefined);
  }

  async #onSeal(
    { callId, bidId, providerAgentId, signature }: Extract<NegotiationMessage, { type: "seal" }>,
    from: PeerName,
    signal: AbortSignal,
  ): Promise<Verdict<unknown>> {
    const fault = this.#faultOfAnswer(callId, providerAgentId);
    if (fault !== undefined) return fault;
    const signer = this.#authenticator.recover(structHashDigest("Bid", bidId, this.#options.contracts), signature);
    if (signer.kind !== "accept") return signer;
    const speaks = await this.#authenticator.isSender(providerAgentId, signer.value, from, signal);
    if (speaks.kind === "accept")
      this.#desk.onClient(callId, { kind: "seal", sealed: { agentId: providerAgentId, bidId } });
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
    if (signer.kind === "accept") this.#desk.onProvider(cancel.callId, { kind: "cancel" });
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
    if (signer.kind === "accept") this.#desk.onClient(bid.callId, { kind: "bid", bid: signedBidOf(bid, signature) });
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
    if (signer.kind === "accept") this.#desk.onClient(decline.callId, { kind: "decline", decline });
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
    this.#desk.onClient(callId, { kind: "acceptance", dealId, consent: { signer: signer.value, signature } });
    return signer;
  }

  #faultOfAnswer(callId: Hex, agentId: bigint): Verdict<never> | undefined {
    const session = this.#sessions.get(callId, "client")?.session;
    if (session === undefined) return ignore("SESSION_UNKNOWN", callId);
    const isInvited = session.invitees.some((invitee) => invitee.agentId === agentId);
    return isInvited ? undefined : reject("NOT_INVITED", `agent ${agentId} was not called`);
  }
}

/** The salt of a composed deal is its callId. */
const callIdOf = (salt: bigint): Hex => `0x${salt.toString(16).padStart(64, "0")}`;
