import type { Address, Hex } from "viem";
import {
  certifyAward,
  checkBid,
  decodeMechanism,
  type Call,
  type CallCancel,
  type Deal,
  type Decline,
  type Mechanism,
  type NegotiationMessage,
  type SignedBid,
  type Structs,
} from "#protocol";
import { OFFER_TIMEOUT_MS } from "./limits.ts";
import type { CallFailure, Consent, Invitee } from "./port.ts";

// The client of one call, as a pure machine: (state, event) -> [state, effects].
//
//   called --all answered, or bidByMs--> offered --acceptance--> agreed
//                                         |  ^ decline, silence, unreachable: the next award
//                                         +--+--nobody left--> failed       called | offered --withdraw--> cancelled
//
// Messages arrive authenticated: the driver has checked form, signature and registry. The state alone decides what
// counts, so that replays, strangers and latecomers change nothing.

/** Signs a struct as one of our LOG signers. Pure: RFC 6979. */
export type Sign = <K extends keyof Structs>(struct: K, value: Structs[K]) => Hex;

export interface StandingOffer {
  readonly deal: Deal;
  readonly dealId: Hex;
  readonly bidId: Hex;
  readonly certificate: Uint8Array;
  readonly signature: Hex;
  /** Unix milliseconds after which the next bidder is asked. */
  readonly expiresAtMs: number;
}

export interface ClientSession {
  readonly role: "client";
  readonly phase: "called" | "offered" | "agreed" | "failed" | "cancelled";
  readonly callId: Hex;
  readonly call: Call;
  readonly mechanism: Uint8Array;
  readonly spec: Uint8Array;
  readonly signature: Hex;
  readonly invitees: readonly Invitee[];
  /** One an agent. */
  readonly bids: readonly SignedBid[];
  /** Agents that declined the call or could not be reached. */
  readonly absent: readonly bigint[];
  /** Bids that won and came to nothing. */
  readonly passed: readonly Hex[];
  readonly offer?: StandingOffer;
  readonly acceptance?: Consent & { readonly atMs: number };
  readonly failure?: CallFailure;
}

export type ClientEvent =
  | { kind: "start" }
  /** After a restart: what was sent may have been lost. */
  | { kind: "resume" }
  | { kind: "bid"; bid: SignedBid }
  | { kind: "decline"; decline: Decline }
  | { kind: "acceptance"; dealId: Hex; consent: Consent }
  | { kind: "undelivered"; agentId: bigint; type: NegotiationMessage["type"] }
  | { kind: "tick" }
  | { kind: "withdraw" };

export type ClientEffect =
  | { kind: "send"; to: Invitee; message: NegotiationMessage }
  | { kind: "agreed" }
  | { kind: "failed"; code: CallFailure };

export interface ClientContext {
  readonly nowMs: number;
  readonly sign: Sign;
}

type Step = readonly [ClientSession, readonly ClientEffect[]];

export function stepClient(session: ClientSession, event: ClientEvent, context: ClientContext): Step {
  switch (event.kind) {
    case "start":
      return [session, session.phase === "called" ? callsOf(session) : []];
    case "resume":
      return resume(session, context);
    case "bid":
      return award(addBid(session, event.bid, context), context);
    case "decline":
      return decline(session, event.decline, context);
    case "acceptance":
      return agree(session, event.dealId, event.consent, context);
    case "undelivered":
      return miss(session, event.agentId, event.type, context);
    case "tick":
      return tick(session, context);
    case "withdraw":
      return withdraw(session, context);
  }
}

/** When the session wants a tick, in Unix milliseconds; undefined once it has ended. */
export function clientDeadlineOf({ phase, call, offer }: ClientSession): number | undefined {
  if (phase === "called") return call.bidByMs;
  return phase === "offered" ? offer?.expiresAtMs : undefined;
}

function mechanismOf(session: ClientSession): Mechanism {
  const verdict = decodeMechanism(session.mechanism);
  if (verdict.kind !== "accept") throw new Error(`our own mechanism does not decode: ${verdict.detail}`);
  return verdict.value;
}

function callsOf(session: ClientSession): ClientEffect[] {
  const { call, mechanism, spec, signature, invitees, bids, absent } = session;
  const answered = new Set([...absent, ...bids.map(({ bid }) => bid.providerAgentId)]);
  const message = { type: "call", call, mechanism, spec, signature } as const;
  return invitees.filter(({ agentId }) => !answered.has(agentId)).map((to) => ({ kind: "send", to, message }));
}

function resume(session: ClientSession, context: ClientContext): Step {
  if (session.phase === "agreed") return [session, [{ kind: "agreed" }]];
  if (session.phase === "called" && context.nowMs <= session.call.bidByMs) return [session, callsOf(session)];
  if (session.phase === "offered" && session.offer !== undefined && context.nowMs <= session.offer.expiresAtMs) {
    return [session, offersOf(session)];
  }
  return tick(session, context);
}

/** A bid counts if it is in time, invited and within the rules. Of two by one agent the lower id stays, in any order. */
function addBid(session: ClientSession, bid: SignedBid, { nowMs }: ClientContext): ClientSession {
  const { phase, call, callId, invitees, bids } = session;
  const agentId = bid.bid.providerAgentId;
  if (phase !== "called" || nowMs > call.bidByMs) return session;
  if (!invitees.some((invitee) => invitee.agentId === agentId)) return session;
  if (checkBid(call, callId, mechanismOf(session), bid.bid).kind !== "accept") return session;
  const earlier = bids.find((other) => other.bid.providerAgentId === agentId);
  if (earlier !== undefined && earlier.bidId <= bid.bidId) return session;
  return { ...session, bids: [...bids.filter((other) => other !== earlier), bid] };
}

/** Ends the bidding once everybody has answered or the time is up, and makes the first offer. */
function award(session: ClientSession, context: ClientContext): Step {
  if (session.phase !== "called") return [session, []];
  const answered = new Set([...session.absent, ...session.bids.map(({ bid }) => bid.providerAgentId)]);
  const isComplete = session.invitees.every(({ agentId }) => answered.has(agentId));
  if (!isComplete && context.nowMs <= session.call.bidByMs) return [session, []];
  return offerNext(session, context);
}

function offerNext(session: ClientSession, context: ClientContext): Step {
  const { nowMs, sign } = context;
  const expired = session.bids.filter(({ bid }) => bid.validUntil * 1000 < nowMs).map(({ bidId }) => bidId);
  const passed = [...new Set([...session.passed, ...expired])];
  const certified = certifyAward(session.call, mechanismOf(session), { bids: session.bids, passed });
  if (certified === undefined)
    return fail({ ...session, passed }, session.bids.length === 0 ? "NO_BIDS" : "ALL_WINNERS_FAILED");
  const { winner, deal, dealId, certificate } = certified;
  const expiresAtMs = Math.min(nowMs + OFFER_TIMEOUT_MS, winner.bid.validUntil * 1000);
  const offer = { deal, dealId, bidId: winner.bidId, certificate, signature: sign("Deal", deal), expiresAtMs };
  const next: ClientSession = { ...session, phase: "offered", passed, offer };
  return [next, offersOf(next)];
}

function offersOf(session: ClientSession): ClientEffect[] {
  const { offer } = session;
  const to = session.invitees.find(({ agentId }) => agentId === offer?.deal.providerAgentId);
  if (offer === undefined || to === undefined) return [];
  const { deal, certificate, signature } = offer;
  return [{ kind: "send", to, message: { type: "offer", deal, certificate, signature } }];
}

function fail(session: ClientSession, code: CallFailure): Step {
  const { offer: _ended, ...rest } = session;
  return [{ ...rest, phase: "failed", failure: code }, [{ kind: "failed", code }]];
}

function decline(session: ClientSession, given: Decline, context: ClientContext): Step {
  if (session.phase === "called" && BigInt(given.dealId) === 0n)
    return markAbsent(session, given.providerAgentId, context);
  if (session.phase === "offered" && given.dealId === session.offer?.dealId) return passOver(session, context);
  return [session, []];
}

function miss(session: ClientSession, agentId: bigint, type: NegotiationMessage["type"], context: ClientContext): Step {
  if (session.phase === "called" && type === "call") return markAbsent(session, agentId, context);
  const isWinner = session.offer?.deal.providerAgentId === agentId;
  if (session.phase === "offered" && type === "offer" && isWinner) return passOver(session, context);
  return [session, []];
}

/** A bid that was made stays: its bidder signed it, and may be asked to keep it. */
function markAbsent(session: ClientSession, agentId: bigint, context: ClientContext): Step {
  if (session.absent.includes(agentId)) return [session, []];
  return award({ ...session, absent: [...session.absent, agentId] }, context);
}

/** The standing offer came to nothing: tell its bidder, ask the next. Without the payer's money it opens nothing. */
function passOver(session: ClientSession, context: ClientContext): Step {
  const { offer } = session;
  if (offer === undefined) return [session, []];
  const [next, effects] = offerNext({ ...session, passed: [...session.passed, offer.bidId] }, context);
  return [next, [...cancelsTo(session, [offer.deal.providerAgentId], context), ...effects]];
}

function agree(session: ClientSession, dealId: Hex, consent: Consent, context: ClientContext): Step {
  const { phase, offer } = session;
  if (phase !== "offered" || offer === undefined || offer.dealId !== dealId) return [session, []];
  if (context.nowMs > offer.expiresAtMs) return tick(session, context);
  const others = session.bids.map(({ bid }) => bid.providerAgentId).filter((id) => id !== offer.deal.providerAgentId);
  const next: ClientSession = { ...session, phase: "agreed", acceptance: { ...consent, atMs: context.nowMs } };
  return [next, [{ kind: "agreed" }, ...cancelsTo(session, others, context)]];
}

function tick(session: ClientSession, context: ClientContext): Step {
  if (session.phase === "called") return award(session, context);
  const isLate = session.phase === "offered" && context.nowMs > (session.offer?.expiresAtMs ?? 0);
  return isLate ? passOver(session, context) : [session, []];
}

function withdraw(session: ClientSession, context: ClientContext): Step {
  if (session.phase !== "called" && session.phase !== "offered") return [session, []];
  const everybody = session.invitees.map(({ agentId }) => agentId).filter((id) => !session.absent.includes(id));
  const next: ClientSession = { ...session, phase: "cancelled", failure: "WITHDRAWN" };
  return [next, [...cancelsTo(session, everybody, context), { kind: "failed", code: "WITHDRAWN" }]];
}

function cancelsTo(session: ClientSession, agentIds: readonly bigint[], { sign }: ClientContext): ClientEffect[] {
  const cancel: CallCancel = { callId: session.callId };
  const receivers = session.invitees.filter(({ agentId }) => agentIds.includes(agentId));
  if (receivers.length === 0) return [];
  const message = { type: "cancel", cancel, signature: sign("CallCancel", cancel) } as const;
  return receivers.map((to) => ({ kind: "send", to, message }));
}

/** The agreement of a session that has come to one. */
export function clientConsentOf(session: ClientSession, signer: Address): Consent | undefined {
  return session.offer === undefined ? undefined : { signer, signature: session.offer.signature };
}
