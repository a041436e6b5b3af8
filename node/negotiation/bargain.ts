import type { Hex } from "viem";
import {
  answerOffer,
  certifyAward,
  checkBid,
  decodeCertificate,
  decodeRules,
  extendHistory,
  isBargaining,
  signedBidOf,
  type BargainRules,
  type Bid,
  type Side,
  type SignedBid,
} from "#protocol";
import type { ClientContext, ClientSession } from "./client.ts";
import { BID_VALID_FOR_SECONDS } from "./limits.ts";
import type { ProviderContext, ProviderSession } from "./provider.ts";

// Bargaining in turns, for both sides' machines. The provider's offer is a bid on a package, the client's is a deal that it has signed, so
// that the last word of either is one that the rest of the protocol knows: the provider signs the deal, once.
//
//   call → bid 1 → offer 1 → bid 2 → offer 2 → … → acceptance | decline | cancel
//
// The salt of a bid is its round. Each offer carries the hash of everything said before it, so that a replay, or an offer out of its turn,
// is the next one of no history.

/** What one side remembers: its own worths, and both sides' offers in their order. */
export interface Bargain {
  readonly side: Side;
  readonly mine: readonly number[];
  readonly theirs: readonly number[];
  /** `extendHistory` over all offers so far, our last one included; the callId before the first. */
  readonly history: Hex;
}

export const createBargain = (side: Side, callId: Hex): Bargain => ({ side, mine: [], theirs: [], history: callId });

/** Rules of a session that bargains; undefined if it does not. */
export function bargainRulesOf({ mechanism }: { readonly mechanism: Uint8Array }): BargainRules | undefined {
  const rules = decodeRules(mechanism);
  return rules.kind === "accept" && isBargaining(rules.value) ? rules.value : undefined;
}

/** What this side says to an offer; undefined = it leaves. At the last round it only agrees. */
function moveOf({ side, mine, theirs }: Bargain, { maxRounds }: BargainRules, heard?: number) {
  const move = answerOffer(side, mine, theirs, heard);
  const isOver = mine.length >= maxRounds && move.kind === "offer";
  return move.kind === "leave" || isOver ? undefined : move;
}

// ---- client ---------------------------------------------------------------------------------------------------------

/** Whether a bid is the next one of this bargaining: in time, in its turn, on a package, by who was called. */
export function isNextBid(session: ClientSession, { bid }: SignedBid, nowMs: number): boolean {
  const { phase, call, callId, bargain, offer, invitees } = session;
  const rules = bargainRulesOf(session);
  if (bargain === undefined || rules === undefined || nowMs > call.bidByMs) return false;
  const isTurn = phase === "called" || (phase === "offered" && nowMs <= (offer?.expiresAtMs ?? 0));
  if (!isTurn || bid.salt !== BigInt(bargain.theirs.length + 1)) return false;
  const isInvited = invitees.some(({ agentId }) => agentId === bid.providerAgentId);
  return isInvited && checkBid(call, callId, rules, bid).kind === "accept";
}

/** The session with our answer to the next bid as its standing offer; undefined = we leave. */
export function offerOn(session: ClientSession, signed: SignedBid, context: ClientContext): ClientSession | undefined {
  const { call, bargain } = session;
  const rules = bargainRulesOf(session);
  if (bargain === undefined || rules === undefined) return undefined;
  const heard = Number(signed.bid.quality);
  const move = moveOf(bargain, rules, heard);
  if (move === undefined) return undefined;
  const before = extendHistory(bargain.history, signed.bidId);
  const grounds = { outcome: move.outcome, history: before };
  const certified = certifyAward(call, rules, { bids: [signed], passed: [], bargain: grounds });
  if (certified === undefined) return undefined;
  const { deal, dealId, certificate } = certified;
  const expiresAtMs = Math.min(context.nowMs + rules.moveWithinMs, signed.bid.validUntil * 1_000);
  const offer = { deal, dealId, bidId: signed.bidId, certificate, signature: context.sign("Deal", deal), expiresAtMs };
  const said = { mine: [...bargain.mine, move.outcome], theirs: [...bargain.theirs, heard] };
  const history = extendHistory(before, dealId);
  return { ...session, phase: "offered", bids: [signed], offer, bargain: { ...bargain, ...said, history } };
}

// ---- provider -------------------------------------------------------------------------------------------------------

/** The session with our first offer; undefined = no package is worth it. */
export function beginBargain(
  session: ProviderSession,
  agentId: bigint,
  side: Side | undefined,
  context: ProviderContext,
): ProviderSession | undefined {
  const rules = bargainRulesOf(session);
  if (side === undefined || rules?.packages.length !== side.worths.length) return undefined;
  const bargain = createBargain(side, session.callId);
  const move = moveOf(bargain, rules);
  return move?.kind === "offer" ? bidOn({ ...session, bargain }, agentId, move.outcome, rules, context) : undefined;
}

/** What the client's offer is an offer of, and whether it goes on where we are; undefined if not. */
export function offeredOutcome({ bargain }: ProviderSession, certificate: Uint8Array): number | undefined {
  const shown = decodeCertificate(certificate);
  const grounds = shown.kind === "accept" ? shown.value.bargain : undefined;
  return grounds !== undefined && grounds.history === bargain?.history ? grounds.outcome : undefined;
}

/** Our word on an offer that was checked: to sign it, the session with our next bid, or undefined to leave. */
export function answerDeal(
  session: ProviderSession,
  { agentId, dealId, outcome }: { readonly agentId: bigint; readonly dealId: Hex; readonly outcome: number },
  context: ProviderContext,
): "agree" | ProviderSession | undefined {
  const { bargain } = session;
  const rules = bargainRulesOf(session);
  if (bargain === undefined || rules === undefined) return undefined;
  const move = moveOf(bargain, rules, outcome);
  if (move === undefined) return undefined;
  if (move.kind === "agree") return "agree";
  const heard = { theirs: [...bargain.theirs, outcome], history: extendHistory(bargain.history, dealId) };
  return bidOn({ ...session, dealId, bargain: { ...bargain, ...heard } }, agentId, move.outcome, rules, context);
}

function bidOn(
  session: ProviderSession,
  providerAgentId: bigint,
  outcome: number,
  { packages, moveWithinMs }: BargainRules,
  { nowMs, sign }: ProviderContext,
): ProviderSession {
  const { call, callId, bargain } = session;
  if (bargain === undefined) throw new Error("no bargaining to bid in");
  const bid: Bid = {
    ...{ callId, providerAgentId, quality: BigInt(outcome), salt: BigInt(bargain.mine.length + 1) },
    price: packages[outcome]?.priceWei ?? 0n,
    validUntil: Math.ceil(call.bidByMs / 1_000) + BID_VALID_FOR_SECONDS,
  };
  const signed = signedBidOf(bid, sign("Bid", bid));
  const said = { mine: [...bargain.mine, outcome], history: extendHistory(bargain.history, signed.bidId) };
  return { ...session, phase: "bid", bid: signed, moveByMs: nowMs + moveWithinMs, bargain: { ...bargain, ...said } };
}
