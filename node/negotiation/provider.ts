import { zeroHash, type Hex } from "viem";
import {
  awardRulesOf,
  checkBid,
  checkCertificate,
  decodeCertificate,
  decodeRules,
  ignore,
  isDocument,
  reject,
  signedBidOf,
  structHash,
  type Bid,
  type Call,
  type Deal,
  type DomainContracts,
  type NegotiationMessage,
  type Side,
  type SignedBid,
  type Verdict,
} from "#protocol";
import { answerDeal, beginBargain, offeredOutcome, type Bargain } from "./bargain.ts";
import type { Sign } from "./client.ts";
import { BID_VALID_FOR_SECONDS } from "./limits.ts";
import type { Consent, Proposal } from "./port.ts";

// The provider of one call, as a pure machine: (state, event) -> [state, effects].
//
// Where the rules seal bids, the bid goes out as its hash and signature alone, and is opened once the client has shown all
// seals; the certificate has to show the same ones.
//
//   considering --proposal--> bid --offer that checks--> accepted
//        | nothing for me      | offer that does not check: declined, and the bid stands for a true one
//        v                     v bid expired, or the client's cancel
//     declined               closed
//
// Under bargaining rules the bid is the first of several, and an offer is answered by the next one, by a signature or by leaving: bargain.ts.
//
// A session in any phase is the proof that its call was seen: a replayed call finds it and changes nothing. It is kept
// until neither the call nor the bid can be used any more.

export interface ProviderSession {
  readonly role: "provider";
  readonly phase: "considering" | "bid" | "declined" | "accepted" | "closed";
  readonly callId: Hex;
  readonly call: Call;
  readonly mechanism: Uint8Array;
  readonly spec: Uint8Array;
  readonly bid?: SignedBid;
  /** All seals of the call, as the client showed them before we opened ours. */
  readonly seals?: readonly Hex[];
  /** Where two bargain: what was said so far, and until when the client's answer counts (Unix milliseconds). */
  readonly bargain?: Bargain;
  readonly moveByMs?: number;
  readonly deal?: Deal;
  /** Of `deal`; where two bargain, before that, of the offer that our bid answers. */
  readonly dealId?: Hex;
  readonly client?: Consent;
  readonly acceptance?: Hex;
  /** Of the deal that we signed: what shows an auditor that it was the award. */
  readonly certificate?: Uint8Array;
  readonly acceptedAtMs?: number;
}

export type ProviderEvent =
  | { kind: "start" }
  | { kind: "resume" }
  | { kind: "considered"; agentId: bigint; salt: bigint; proposal: Proposal | undefined }
  /** What the packages of bargaining rules are worth to us; undefined = nothing for us. */
  | { kind: "valued"; agentId: bigint; side: Side | undefined }
  | { kind: "open"; seals: readonly Hex[] }
  | { kind: "offer"; agentId: bigint; deal: Deal; certificate: Uint8Array; consent: Consent }
  | { kind: "cancel" }
  | { kind: "tick" };

export type ProviderEffect = { kind: "consider" } | { kind: "send"; message: NegotiationMessage } | { kind: "agreed" };

export interface ProviderContext {
  readonly nowMs: number;
  /** Unix seconds of the chain's latest block. */
  readonly chainTime: number;
  readonly sign: Sign;
  readonly contracts: DomainContracts;
}

/** Reasons of a Decline; see Types.sol. */
const reasons = { notForMe: 1, terms: 3, certificate: 4, tooLate: 5 } as const;

type Step = readonly [ProviderSession, readonly ProviderEffect[]];

export function stepProvider(session: ProviderSession, event: ProviderEvent, context: ProviderContext): Step {
  switch (event.kind) {
    case "start":
      return [session, [{ kind: "consider" }]];
    case "resume":
      return resume(session, context);
    case "considered":
      return bidOrDecline(session, event, context);
    case "valued":
      return bargainOrDecline(session, event, context);
    case "open":
      return openSeal(session, event.seals);
    case "offer":
      return answerOffer(session, event, context);
    case "cancel":
      return session.phase === "accepted" ? [session, []] : [{ ...session, phase: "closed" }, []];
    case "tick":
      return tick(session, context);
  }
}

/** When the session wants a tick, in Unix milliseconds; undefined once it has ended. */
export function providerDeadlineOf({ phase, call, bid, moveByMs }: ProviderSession): number | undefined {
  if (phase === "considering") return call.bidByMs;
  if (phase === "bid" && moveByMs !== undefined) return moveByMs;
  return phase === "bid" && bid !== undefined ? bid.bid.validUntil * 1000 : undefined;
}

function resume(session: ProviderSession, context: ProviderContext): Step {
  const [next] = tick(session, context);
  if (next.phase === "considering") return [next, [{ kind: "consider" }]];
  if (next.phase === "bid") return [next, bidsOf(next)];
  if (next.phase === "accepted") return [next, [{ kind: "agreed" }, ...acceptancesOf(next)]];
  return [next, []];
}

function bidOrDecline(
  session: ProviderSession,
  { agentId, salt, proposal }: Extract<ProviderEvent, { kind: "considered" }>,
  context: ProviderContext,
): Step {
  if (session.phase !== "considering") return [session, []];
  const { callId, call } = session;
  if (context.nowMs > call.bidByMs) return [{ ...session, phase: "closed" }, []];
  const mechanism = decodeRules(session.mechanism);
  const openMs =
    mechanism.kind === "accept" && isDocument(mechanism.value) ? mechanism.value.deadlines.revealWithinMs : 0;
  const validUntil = Math.ceil((call.bidByMs + openMs) / 1000) + BID_VALID_FOR_SECONDS;
  const bid: Bid | undefined = proposal && { callId, providerAgentId: agentId, ...pick(proposal), validUntil, salt };
  if (
    mechanism.kind !== "accept" ||
    bid === undefined ||
    checkBid(call, callId, mechanism.value, bid).kind !== "accept"
  ) {
    return [{ ...session, phase: "declined" }, [declineOf(session, agentId, zeroHash, reasons.notForMe, context)]];
  }
  const next: ProviderSession = { ...session, phase: "bid", bid: signedBidOf(bid, context.sign("Bid", bid)) };
  return [next, bidsOf(next)];
}

function bargainOrDecline(
  session: ProviderSession,
  { agentId, side }: Extract<ProviderEvent, { kind: "valued" }>,
  context: ProviderContext,
): Step {
  if (session.phase !== "considering") return [session, []];
  if (context.nowMs > session.call.bidByMs) return [{ ...session, phase: "closed" }, []];
  const next = beginBargain(session, agentId, side, context);
  if (next !== undefined) return [next, bidsOf(next)];
  return [{ ...session, phase: "declined" }, [declineOf(session, agentId, zeroHash, reasons.notForMe, context)]];
}

const pick = ({ price, quality }: Proposal) => ({ price, quality });

/**
 * Signs the deal if it is the award of this call to this bid, to the last field, and can still be delivered. Signs one
 * deal a call: the same offer again gets the same answer, another one none.
 */
function answerOffer(
  session: ProviderSession,
  { agentId, deal, certificate, consent }: Extract<ProviderEvent, { kind: "offer" }>,
  context: ProviderContext,
): Step {
  const dealId = structHash("Deal", deal);
  if (session.phase === "accepted") return [session, session.dealId === dealId ? acceptancesOf(session) : []];
  if (session.phase !== "bid") return [session, []];
  // What our last bid has answered already gets the same answer.
  if (session.bargain !== undefined && session.dealId === dealId) return [session, bidsOf(session)];
  const fault = checkOffer(session, deal, certificate, context);
  if (fault.kind !== "accept") {
    const reason = fault.code === "OFFER_TOO_LATE" ? reasons.tooLate : reasons.certificate;
    return [session, [declineOf(session, agentId, dealId, reason, context)]];
  }
  const outcome = session.bargain && offeredOutcome(session, certificate);
  const answer = outcome === undefined ? "agree" : answerDeal(session, { agentId, dealId, outcome }, context);
  if (answer === undefined) {
    return [{ ...session, phase: "declined" }, [declineOf(session, agentId, dealId, reasons.terms, context)]];
  }
  if (answer !== "agree") return [answer, bidsOf(answer)];
  const acceptance = context.sign("Deal", deal);
  const next: ProviderSession = {
    ...session,
    phase: "accepted",
    ...{ deal, dealId, certificate, client: consent, acceptance, acceptedAtMs: context.nowMs },
  };
  return [next, [{ kind: "agreed" }, ...acceptancesOf(next)]];
}

/** Everything about an offer that needs no registry: rules, certificate, terms, our own bid, time. */
export function checkOffer(
  session: ProviderSession,
  deal: Deal,
  certificate: Uint8Array,
  { nowMs, chainTime, contracts }: Pick<ProviderContext, "nowMs" | "chainTime" | "contracts">,
): ReturnType<typeof checkCertificate> {
  const { call, bid, bargain, moveByMs } = session;
  const mechanism = decodeRules(session.mechanism);
  if (mechanism.kind !== "accept") return mechanism;
  if (bid === undefined) return reject("OFFER_WITHOUT_BID", "we made no bid on this call");
  const shown = decodeCertificate(certificate);
  if (session.seals !== undefined && shown.kind === "accept") {
    const isSame = shown.value.grounds?.seals.join() === session.seals.join();
    if (!isSame) return reject("OFFER_OTHER_SEALS", "the certificate names other seals than we were shown");
  }
  if (bargain !== undefined && offeredOutcome(session, certificate) === undefined)
    return ignore("OFFER_OTHER_HISTORY", "the offer is not the next one after our last bid");
  if (nowMs > (moveByMs ?? bid.bid.validUntil * 1000) || chainTime >= deal.submitBy) {
    return reject("OFFER_TOO_LATE", "our bid has expired, or the time for delivery is over");
  }
  const checked = checkCertificate(call, mechanism.value, certificate, deal, contracts);
  if (checked.kind !== "accept") return checked;
  const { bidId } = checked.value.award.winner;
  return bidId === bid.bidId ? checked : reject("OFFER_OTHER_BID", `it awards ${bidId}, our bid is ${bid.bidId}`);
}

function tick(session: ProviderSession, { nowMs }: ProviderContext): Step {
  const deadline = providerDeadlineOf(session);
  return deadline !== undefined && nowMs > deadline ? [{ ...session, phase: "closed" }, []] : [session, []];
}

/** Opens our bid once, to one list of seals, and only if ours is among them. The same list again gets the same answer. */
function openSeal(session: ProviderSession, seals: readonly Hex[]): Step {
  const { phase, bid } = session;
  if (phase !== "bid" || bid === undefined || !isSealedFor(session) || !seals.includes(bid.bidId)) return [session, []];
  if (session.seals !== undefined && session.seals.join() !== seals.join()) return [session, []];
  const next = { ...session, seals };
  return [next, bidsOf(next)];
}

function isSealedFor({ mechanism }: ProviderSession): boolean {
  const rules = decodeRules(mechanism);
  return rules.kind === "accept" && awardRulesOf(rules.value).isSealed;
}

function bidsOf(session: ProviderSession): ProviderEffect[] {
  const { bid, seals, callId } = session;
  if (bid === undefined) return [];
  if (seals === undefined && isSealedFor(session)) {
    const { bidId, signature } = bid;
    const { providerAgentId } = bid.bid;
    return [{ kind: "send", message: { type: "seal", callId, bidId, providerAgentId, signature } }];
  }
  return [{ kind: "send", message: { type: "bid", bid: bid.bid, signature: bid.signature } }];
}

function acceptancesOf({ callId, dealId, acceptance }: ProviderSession): ProviderEffect[] {
  if (dealId === undefined || acceptance === undefined) return [];
  return [{ kind: "send", message: { type: "acceptance", callId, dealId, signature: acceptance } }];
}

function declineOf(
  { callId }: ProviderSession,
  providerAgentId: bigint,
  dealId: Hex,
  reason: number,
  { sign }: ProviderContext,
): ProviderEffect {
  const decline = { callId, dealId, providerAgentId, reason };
  return { kind: "send", message: { type: "decline", decline, signature: sign("Decline", decline) } };
}

/** What a call must be before we spend a thought on it. */
export function checkCall(
  call: Call,
  agentId: bigint,
  { nowMs, chainTime, maxBiddingMs }: { nowMs: number; chainTime: number; maxBiddingMs: number },
): Verdict<Call> {
  if (call.clientAgentId === agentId) return reject("CALL_OWN", "the call is our own");
  if (call.bidByMs > nowMs + maxBiddingMs) return reject("CALL_TOO_FAR", `bidding until ${call.bidByMs}`);
  if (call.bidByMs < nowMs) return { kind: "ignore", code: "CALL_EXPIRED", detail: `bidding ended at ${call.bidByMs}` };
  if (call.submitBy <= chainTime)
    return { kind: "ignore", code: "CALL_EXPIRED", detail: `delivery by ${call.submitBy}` };
  return { kind: "accept", value: call };
}
