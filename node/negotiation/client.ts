import type { Address, Hex } from "viem";
import {
  awardRulesOf,
  certifyAward,
  checkBid,
  decodeRules,
  isDocument,
  type Call,
  type Deal,
  type Decline,
  type Grounds,
  type NegotiationMessage,
  type Rules,
  type SignedBid,
  type Structs,
} from "#protocol";
import { answeredOf, callsOf, cancelsTo, offersOf, opensOf, unansweredBy, waitingOf } from "./client-messages.ts";
import { isNextBid, offerOn, type Bargain } from "./bargain.ts";
import { OFFER_TIMEOUT_MS } from "./limits.ts";
import type { CallFailure, Consent, Invitee } from "./port.ts";

// The client of one call, as a pure machine: (state, event) -> [state, effects].
//
//   called --all answered, or bidByMs--> offered --acceptance--> agreed
//    | sealed bids: the same              |  ^ decline, silence, unreachable: the next award
//    v                                    +--+--nobody left--> failed       before agreed --withdraw--> cancelled
//   opening --all opened, or openByMs--> offered
//
// Under bargaining rules called --bid--> offered --the next bid--> offered …, and nobody comes next: bargain.ts.
//
// Messages arrive authenticated: the driver has checked form, signature and registry. The state alone decides what
// counts, so that replays, strangers and latecomers change nothing.

/** Signs a struct as one of our LOG signers. Pure: RFC 6979. */
export type Sign = <K extends keyof Structs>(struct: K, value: Structs[K]) => Hex;

/** A bid that was committed to. */
export interface Sealed {
  readonly agentId: bigint;
  readonly bidId: Hex;
}

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
  readonly phase: "called" | "opening" | "offered" | "agreed" | "failed" | "cancelled";
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
  /** Agents that went away before they answered the call: nobody waits for them beside a bid, but without one they may come back. */
  readonly away?: readonly bigint[];
  /** Bids that won and came to nothing. */
  readonly passed: readonly Hex[];
  /** Under a mechanism document: what the certificate shows besides the bids. Seals are the ones of `sealed`, once closed. */
  readonly grounds?: Omit<Grounds, "seals">;
  /** Sealed bids, one an agent: of two by one agent the lower id stays, until the bidding ends. */
  readonly sealed?: readonly Sealed[];
  /** Unix milliseconds until which a sealed bid may be opened. */
  readonly openByMs?: number;
  readonly offer?: StandingOffer;
  /** Where two bargain: what was said so far. */
  readonly bargain?: Bargain;
  readonly acceptance?: Consent & { readonly atMs: number };
  readonly failure?: CallFailure;
}

export type ClientEvent =
  | { kind: "start" }
  /** After a restart: what was sent may have been lost. */
  | { kind: "resume" }
  | { kind: "seal"; sealed: Sealed }
  | { kind: "bid"; bid: SignedBid }
  | { kind: "decline"; decline: Decline }
  | { kind: "acceptance"; dealId: Hex; consent: Consent }
  | { kind: "undelivered"; agentId: bigint; type: NegotiationMessage["type"] }
  /** The connection to it has ended: what it has not answered is asked again, and a dead peer proves unreachable. */
  | { kind: "lost"; agentId: bigint }
  /** It is connected again: whom the call did not reach meanwhile is called once more. */
  | { kind: "found"; agentId: bigint }
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
    case "seal":
      return late(session, event.sealed.agentId, context) ?? award(addSeal(session, event.sealed, context), context);
    case "bid": {
      const { providerAgentId } = event.bid.bid;
      const ended = late(session, providerAgentId, context);
      if (ended !== undefined) return ended;
      return session.bargain === undefined
        ? award(addBid(session, event.bid, context), context)
        : counter(session, event.bid, context);
    }
    case "decline":
      return decline(session, event.decline, context);
    case "acceptance":
      return agree(session, event.dealId, event.consent, context);
    case "undelivered":
      return miss(session, event.agentId, event.type, context);
    case "lost":
      return lose(session, event.agentId, context);
    case "found":
      return find(session, event.agentId, context);
    case "tick":
      return tick(session, context);
    case "withdraw":
      return withdraw(session, context);
  }
}

/** When the session wants a tick, in Unix milliseconds; undefined once it has ended. */
export function clientDeadlineOf({ phase, call, offer, openByMs }: ClientSession): number | undefined {
  if (phase === "called") return call.bidByMs;
  if (phase === "opening") return openByMs;
  return phase === "offered" ? offer?.expiresAtMs : undefined;
}

function rulesOf(session: ClientSession): Rules {
  const verdict = decodeRules(session.mechanism);
  if (verdict.kind !== "accept") throw new Error(`our own mechanism does not decode: ${verdict.detail}`);
  return verdict.value;
}

function resume(session: ClientSession, context: ClientContext): Step {
  if (session.phase === "agreed") return [session, [{ kind: "agreed" }]];
  if (session.phase === "called" && context.nowMs <= session.call.bidByMs) return [session, callsOf(session)];
  if (session.phase === "opening" && context.nowMs <= (session.openByMs ?? 0)) return [session, opensOf(session)];
  if (session.phase === "offered" && session.offer !== undefined && context.nowMs <= session.offer.expiresAtMs) {
    return [session, offersOf(session)];
  }
  return tick(session, context);
}

/** Its process may be starting again: it holds our call and goes on where it was. */
function lose(session: ClientSession, agentId: bigint, context: ClientContext): Step {
  const asked = unansweredBy(session, agentId, context);
  const { phase, away = [] } = session;
  if (phase !== "called" || asked.length === 0 || away.includes(agentId)) return [session, asked];
  return [{ ...session, away: [...away, agentId] }, asked];
}

/** It may never have heard of the call, and then nothing but the call brings its bid. */
function find(session: ClientSession, agentId: bigint, context: ClientContext): Step {
  const { phase, away = [], absent, bargain } = session;
  if (phase === "offered" && bargain !== undefined) return [session, unansweredBy(session, agentId, context)];
  if (phase !== "called" || !away.includes(agentId) || !absent.includes(agentId)) return [session, []];
  const next = { ...session, absent: absent.filter((id) => id !== agentId) };
  return [next, unansweredBy(next, agentId, context)];
}

/** Whoever answers a call that has ended, from before a restart perhaps, is told so: it need not keep its bid any longer. */
function late(session: ClientSession, agentId: bigint, context: ClientContext): Step | undefined {
  const { phase, offer } = session;
  const hasEnded = phase === "agreed" || phase === "failed" || phase === "cancelled";
  if (!hasEnded) return undefined;
  const isWinner = phase === "agreed" && offer?.deal.providerAgentId === agentId;
  return [session, isWinner ? [] : cancelsTo(session, [agentId], context)];
}

/** A seal counts if it is in time and invited. */
function addSeal(session: ClientSession, given: Sealed, { nowMs }: ClientContext): ClientSession {
  const { phase, call, invitees, sealed = [] } = session;
  if (phase !== "called" || nowMs > call.bidByMs || !awardRulesOf(rulesOf(session)).isSealed) return session;
  if (!invitees.some(({ agentId }) => agentId === given.agentId)) return session;
  const earlier = sealed.find(({ agentId }) => agentId === given.agentId);
  if (earlier !== undefined && earlier.bidId <= given.bidId) return session;
  return { ...session, sealed: [...sealed.filter((other) => other !== earlier), given] };
}

/**
 * A bid counts if it is in time, invited, within the rules and, where bids are sealed, the one that its agent sealed. Of two
 * open bids by one agent the lower id stays, in any order.
 */
function addBid(session: ClientSession, bid: SignedBid, { nowMs }: ClientContext): ClientSession {
  const { phase, call, callId, invitees, bids, sealed = [], openByMs = 0 } = session;
  const agentId = bid.bid.providerAgentId;
  const { isSealed } = awardRulesOf(rulesOf(session));
  const isDue = isSealed ? phase === "opening" && nowMs <= openByMs : phase === "called" && nowMs <= call.bidByMs;
  if (!isDue || !invitees.some((invitee) => invitee.agentId === agentId)) return session;
  if (isSealed && !sealed.some((seal) => seal.agentId === agentId && seal.bidId === bid.bidId)) return session;
  if (checkBid(call, callId, rulesOf(session), bid.bid).kind !== "accept") return session;
  const earlier = bids.find((other) => other.bid.providerAgentId === agentId);
  if (earlier !== undefined && earlier.bidId <= bid.bidId) return session;
  return { ...session, bids: [...bids.filter((other) => other !== earlier), bid] };
}

/** The other side's next offer. The last one again, from after a restart, gets our answer again. */
function counter(session: ClientSession, bid: SignedBid, context: ClientContext): Step {
  if (session.phase === "offered" && session.offer?.bidId === bid.bidId) return resume(session, context);
  if (!isNextBid(session, bid, context.nowMs)) return [session, []];
  const next = offerOn(session, bid, context);
  return next === undefined ? fail({ ...session, bids: [bid] }, "NO_AGREEMENT", context) : [next, offersOf(next)];
}

/** Ends the bidding, or the opening of what was sealed, once everybody has answered or the time is up. */
function award(session: ClientSession, context: ClientContext): Step {
  const { phase, call, invitees, bids, sealed = [], openByMs = 0 } = session;
  if (phase === "opening") {
    const opened = new Set([...session.absent, ...bids.map(({ bid }) => bid.providerAgentId)]);
    const isComplete = sealed.every(({ agentId }) => opened.has(agentId));
    return isComplete || context.nowMs > openByMs ? offerNext(session, context) : [session, []];
  }
  if (phase !== "called") return [session, []];
  const answered = answeredOf(session);
  const isComplete = invitees.every(({ agentId }) => answered.has(agentId));
  const isBidless = bids.length === 0 && sealed.length === 0;
  const mayBid = isBidless && session.away !== undefined && session.away.length > 0;
  if ((!isComplete || mayBid) && context.nowMs <= call.bidByMs) return [session, []];
  return awardRulesOf(rulesOf(session)).isSealed ? openSeals(session, context) : offerNext(session, context);
}

/** From here on no bid is added: every sealer is shown all seals, and opens its own. */
function openSeals(session: ClientSession, context: ClientContext): Step {
  const rules = rulesOf(session);
  if ((session.sealed ?? []).length === 0) return fail(session, "NO_BIDS", context);
  const withinMs = isDocument(rules) ? rules.deadlines.revealWithinMs : 0;
  const next: ClientSession = { ...session, phase: "opening", openByMs: context.nowMs + withinMs };
  return [next, opensOf(next)];
}

function offerNext(session: ClientSession, context: ClientContext): Step {
  const { nowMs, sign } = context;
  const expired = session.bids.filter(({ bid }) => bid.validUntil * 1000 < nowMs).map(({ bidId }) => bidId);
  const passed = [...new Set([...session.passed, ...expired])];
  const certified = certifyAward(session.call, rulesOf(session), { bids: session.bids, passed, ...groundsOf(session) });
  if (certified === undefined)
    return fail({ ...session, passed }, session.bids.length === 0 ? "NO_BIDS" : "ALL_WINNERS_FAILED", context);
  const { winner, deal, dealId, certificate } = certified;
  const expiresAtMs = Math.min(nowMs + OFFER_TIMEOUT_MS, winner.bid.validUntil * 1000);
  const offer = { deal, dealId, bidId: winner.bidId, certificate, signature: sign("Deal", deal), expiresAtMs };
  const next: ClientSession = { ...session, phase: "offered", passed, offer };
  return [next, offersOf(next)];
}

function groundsOf({ grounds, sealed = [], bids }: ClientSession): { grounds?: Grounds } {
  if (grounds === undefined) return {};
  const bidders = new Set(bids.map(({ bid }) => bid.providerAgentId));
  const standings = grounds.standings.filter(({ agentId }) => bidders.has(agentId));
  return { grounds: { ...grounds, standings, seals: sealed.map(({ bidId }) => bidId) } };
}

function fail(session: ClientSession, code: CallFailure, context: ClientContext): Step {
  const { offer: _ended, ...rest } = session;
  const waiting = waitingOf(session);
  return [
    { ...rest, phase: "failed", failure: code },
    [...cancelsTo(session, waiting, context), { kind: "failed", code }],
  ];
}

function decline(session: ClientSession, given: Decline, context: ClientContext): Step {
  if (BigInt(given.dealId) === 0n) {
    if (session.phase !== "called") return [session, []];
    const { away, ...rest } = session;
    const left = away?.filter((agentId) => agentId !== given.providerAgentId) ?? [];
    return markAbsent({ ...rest, ...(left.length === 0 ? {} : { away: left }) }, given.providerAgentId, context);
  }
  if (session.phase === "offered" && given.dealId === session.offer?.dealId) return passOver(session, context);
  return [session, []];
}

function miss(session: ClientSession, agentId: bigint, type: NegotiationMessage["type"], context: ClientContext): Step {
  if (session.phase === "called" && type === "call") return markAbsent(session, agentId, context);
  if (session.phase === "opening" && type === "open") return dropSeal(session, agentId, context);
  const isWinner = session.offer?.deal.providerAgentId === agentId;
  // Of two that bargain the other one may be starting again: there is nobody else to turn to before its time is over.
  if (session.phase === "offered" && session.bargain !== undefined) return [session, []];
  if (session.phase === "offered" && type === "offer" && isWinner) return passOver(session, context);
  return [session, []];
}

/** A bid that was made stays: its bidder signed it, and may be asked to keep it. */
function markAbsent(session: ClientSession, agentId: bigint, context: ClientContext): Step {
  if (session.absent.includes(agentId)) return award(session, context);
  return award({ ...session, absent: [...session.absent, agentId] }, context);
}

/** Its bid stays shut: nobody waits for it, and the certificate shows the seal. */
function dropSeal(session: ClientSession, agentId: bigint, context: ClientContext): Step {
  if (session.absent.includes(agentId)) return [session, []];
  return award({ ...session, absent: [...session.absent, agentId] }, context);
}

/** The standing offer came to nothing: tell its bidder, ask the next. Without the payer's money it opens nothing. */
function passOver(session: ClientSession, context: ClientContext): Step {
  const { offer } = session;
  if (offer === undefined) return [session, []];
  if (session.bargain !== undefined) return fail(session, "NO_AGREEMENT", context);
  const [next, effects] = offerNext({ ...session, passed: [...session.passed, offer.bidId] }, context);
  return [next, [...cancelsTo(session, [offer.deal.providerAgentId], context), ...effects]];
}

function agree(session: ClientSession, dealId: Hex, consent: Consent, context: ClientContext): Step {
  const { phase, offer } = session;
  if (phase !== "offered" || offer === undefined || offer.dealId !== dealId) return [session, []];
  if (context.nowMs > offer.expiresAtMs) return tick(session, context);
  const others = waitingOf(session).filter((agentId) => agentId !== offer.deal.providerAgentId);
  const next: ClientSession = { ...session, phase: "agreed", acceptance: { ...consent, atMs: context.nowMs } };
  return [next, [{ kind: "agreed" }, ...cancelsTo(session, others, context)]];
}

function tick(session: ClientSession, context: ClientContext): Step {
  if (session.phase === "called" || session.phase === "opening") return award(session, context);
  const isLate = session.phase === "offered" && context.nowMs > (session.offer?.expiresAtMs ?? 0);
  return isLate ? passOver(session, context) : [session, []];
}

function withdraw(session: ClientSession, context: ClientContext): Step {
  if (!["called", "opening", "offered"].includes(session.phase)) return [session, []];
  const everybody = session.invitees.map(({ agentId }) => agentId).filter((id) => !session.absent.includes(id));
  const next: ClientSession = { ...session, phase: "cancelled", failure: "WITHDRAWN" };
  return [next, [...cancelsTo(session, everybody, context), { kind: "failed", code: "WITHDRAWN" }]];
}

/** The agreement of a session that has come to one. */
export function clientConsentOf(session: ClientSession, signer: Address): Consent | undefined {
  return session.offer === undefined ? undefined : { signer, signature: session.offer.signature };
}
