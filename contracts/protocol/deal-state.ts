// The life of a deal, exactly as contracts/settlement/DealEscrow.sol runs it: the same checks in the same order, so that a
// node knows before it sends what the chain will say. What only the chain can know (whose signer is valid, what a token
// moved) comes in with the event. test/settlement/differential.test.ts runs both side by side.
import { zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { accept, reject, type Verdict } from "./errors.ts";
import type { Deal } from "./generated/structs.ts";

/** States in the order of the contract's enum. */
export const dealStates = [
  "Open",
  "Funded",
  "Submitted",
  "Completed",
  "Refunded",
  "Disputed",
  "Resolved",
  "Cancelled",
] as const;
export type DealState = (typeof dealStates)[number];

/** Bounds of the contract, in seconds and rating points. */
export const dealLimits = {
  maxReviewPeriod: 30 * 86_400,
  maxDelivery: 366 * 86_400,
  maxRating: 100,
  lateUnsatisfied: 100,
  maxLedgerAgentId: 2n ** 32n - 1n,
} as const;

/** Where one deal stands, and what its end has moved. */
export interface DealProgress {
  readonly deal: Deal;
  readonly state: DealState;
  /** Who funded it; zero = nobody. */
  readonly payer: Address;
  /** Second (Unix) from which silence pays the provider; 0 before submission. */
  readonly reviewUntil: number;
  /** The one payment that ended the deal. */
  readonly payout: { readonly to: "provider" | "payer"; readonly amount: bigint } | null;
  /** The one record in the ledger. */
  readonly trust: { readonly satisfied: number; readonly unsatisfied: number } | null;
}

/** What the chain finds of one side's signature. */
export type Consent = "valid" | "unknown-signer" | "bad-signature";

/** For whom the caller speaks at that time: as a LOG signer, owner or approved account. */
export interface Caller {
  readonly isClient: boolean;
  readonly isProvider: boolean;
}

interface Consents {
  readonly client: Consent;
  readonly provider: Consent;
}

/** `time` is the block's, in Unix seconds. `received` is what the payment added to the escrow's balance. */
export type DealEvent = { readonly time: number } & (
  | ({ kind: "open"; payer: Address; isTokenContract: boolean; received: bigint } & Consents)
  | { kind: "submit"; caller: Caller; deliverableHash: Hex }
  | { kind: "complete"; caller: Caller; rating: number }
  | { kind: "release" }
  | { kind: "refund" }
  | ({ kind: "cancel" } & Consents)
  | { kind: "withdrawOffer"; caller: Caller }
);
type EventOf<K extends DealEvent["kind"]> = Extract<DealEvent, { kind: K }>;

/** A deal that the chain does not know yet. */
export function createDealProgress(deal: Deal): DealProgress {
  return { deal, state: "Open", payer: zeroAddress, reviewUntil: 0, payout: null, trust: null };
}

/** The code of a contract error: DealEscrowWrongState is DEAL_WRONG_STATE. */
export function dealErrorCodeOf(errorName: string): string {
  return errorName
    .replace(/^DealEscrow/, "Deal")
    .replaceAll(/(?<!^)([A-Z])/g, "_$1")
    .toUpperCase();
}

/** One step of a deal. Rejections carry the code of the contract's error (dealErrorCodeOf). */
export function reduceDeal(progress: DealProgress, event: DealEvent): Verdict<DealProgress> {
  switch (event.kind) {
    case "open":
      return open(progress, event);
    case "submit":
      return submit(progress, event);
    case "complete":
      return complete(progress, event);
    case "release":
      return release(progress, event);
    case "refund":
      return refund(progress, event);
    case "cancel":
      return cancel(progress, event);
    case "withdrawOffer":
      return withdrawOffer(progress, event);
  }
}

function open(progress: DealProgress, event: EventOf<"open">): Verdict<DealProgress> {
  const { deal } = progress;
  const fault =
    faultOfState(progress, "Open") ??
    faultOfTerms(deal, event) ??
    faultOfConsents(deal, event) ??
    (event.received === deal.price
      ? undefined
      : reject("DEAL_SHORTFALL", `${event.received} of ${deal.price} came in`));
  return fault ?? accept({ ...progress, state: "Funded", payer: event.payer });
}

function submit(progress: DealProgress, { time, caller, deliverableHash }: EventOf<"submit">): Verdict<DealProgress> {
  const { submitBy, reviewPeriod, providerAgentId } = progress.deal;
  const fault = faultOfState(progress, "Funded");
  if (fault) return fault;
  if (deliverableHash === zeroHash) return reject("DEAL_ZERO_DELIVERABLE", "the deliverable's hash is zero");
  if (time > submitBy) return reject("DEAL_TOO_LATE", `submitBy ${submitBy} is before ${time}`);
  if (!caller.isProvider) return reject("DEAL_NOT_PARTY", `the caller does not speak for agent ${providerAgentId}`);
  return accept({ ...progress, state: "Submitted", reviewUntil: time + reviewPeriod });
}

function complete(progress: DealProgress, { caller, rating }: EventOf<"complete">): Verdict<DealProgress> {
  const fault = faultOfState(progress, "Submitted");
  if (fault) return fault;
  if (Math.abs(rating) > dealLimits.maxRating) return reject("DEAL_BAD_RATING", `rating ${rating}`);
  if (!caller.isClient) {
    return reject("DEAL_NOT_PARTY", `the caller does not speak for agent ${progress.deal.clientAgentId}`);
  }
  return accept(endWith(progress, "Completed", rating));
}

function release(progress: DealProgress, { time }: EventOf<"release">): Verdict<DealProgress> {
  const fault = faultOfState(progress, "Submitted");
  if (fault) return fault;
  if (time < progress.reviewUntil) return reject("DEAL_TOO_EARLY", `review lasts until ${progress.reviewUntil}`);
  return accept(endWith(progress, "Completed", 0));
}

function refund(progress: DealProgress, { time }: EventOf<"refund">): Verdict<DealProgress> {
  const { submitBy } = progress.deal;
  const fault = faultOfState(progress, "Funded");
  if (fault) return fault;
  if (time <= submitBy) return reject("DEAL_TOO_EARLY", `the provider may submit until ${submitBy}`);
  return accept(endWith(progress, "Refunded", -dealLimits.lateUnsatisfied));
}

function cancel(progress: DealProgress, event: EventOf<"cancel">): Verdict<DealProgress> {
  if (!isLive(progress.state)) return reject("DEAL_NOT_LIVE", `the deal is ${progress.state}`);
  const fault = faultOfConsents(progress.deal, event);
  if (fault) return fault;
  if (progress.state === "Open") return accept({ ...progress, state: "Cancelled" });
  return accept(endWith(progress, "Cancelled", 0));
}

function withdrawOffer(progress: DealProgress, { caller }: EventOf<"withdrawOffer">): Verdict<DealProgress> {
  const fault = faultOfState(progress, "Open");
  if (fault) return fault;
  if (!caller.isClient && !caller.isProvider) return reject("DEAL_NOT_PARTY", "the caller speaks for neither side");
  return accept({ ...progress, state: "Cancelled" });
}

/** True while money or a signature may still move the deal. */
export function isLive(state: DealState): boolean {
  return state === "Open" || state === "Funded" || state === "Submitted";
}

function endWith(progress: DealProgress, state: "Completed" | "Refunded" | "Cancelled", rating: number): DealProgress {
  const { price, topic } = progress.deal;
  const trust = { satisfied: Math.max(rating, 0), unsatisfied: Math.max(-rating, 0) };
  return {
    ...progress,
    state,
    payout: { to: state === "Completed" ? "provider" : "payer", amount: price },
    trust: topic === 0n || rating === 0 ? null : trust,
  };
}

type Fault = ReturnType<typeof reject> | undefined;

function faultOfState({ state }: DealProgress, required: DealState): Fault {
  return state === required ? undefined : reject("DEAL_WRONG_STATE", `the deal is ${state}, not ${required}`);
}

function faultOfTerms(deal: Deal, { time, isTokenContract }: EventOf<"open">): Fault {
  const latest = time + dealLimits.maxDelivery;
  if (deal.price === 0n) return reject("DEAL_ZERO_PRICE", "the price is zero");
  if (!isTokenContract) return reject("DEAL_BAD_TOKEN", `${deal.token} has no code`);
  if (deal.submitBy <= time || deal.submitBy > latest) {
    return reject("DEAL_BAD_SUBMIT_BY", `submitBy ${deal.submitBy} is not in ${time + 1}..${latest}`);
  }
  if (deal.reviewPeriod > dealLimits.maxReviewPeriod) {
    return reject("DEAL_BAD_REVIEW_PERIOD", `${deal.reviewPeriod} s is more than ${dealLimits.maxReviewPeriod}`);
  }
  if (deal.clientAgentId === deal.providerAgentId) return reject("DEAL_SELF_DEAL", `agent ${deal.clientAgentId}`);
  return faultOfLedgerIds(deal) ?? faultOfUnsupported(deal);
}

function faultOfLedgerIds(deal: Deal): Fault {
  const tooLarge = [deal.clientAgentId, deal.providerAgentId].find((id) => id > dealLimits.maxLedgerAgentId);
  if (deal.topic === 0n || tooLarge === undefined) return undefined;
  return reject("DEAL_AGENT_ID_TOO_LARGE", `agent ${tooLarge} has no seat in the ledger`);
}

/** Terms that the struct has and this escrow does not run. */
const unsupportedTerms = ["providerBond", "clientBond", "arbiter", "arbiterDeadline", "splitsRoot", "hook"] as const;

function faultOfUnsupported(deal: Deal): Fault {
  const term = unsupportedTerms.find((name) => BigInt(deal[name]) !== 0n);
  return term === undefined ? undefined : reject("DEAL_UNSUPPORTED_TERM", term);
}

function faultOfConsents(deal: Deal, { client, provider }: Consents): Fault {
  return faultOfConsent(deal.clientAgentId, client) ?? faultOfConsent(deal.providerAgentId, provider);
}

function faultOfConsent(agentId: bigint, consent: Consent): Fault {
  if (consent === "unknown-signer") return reject("DEAL_INVALID_SIGNER", `not a LOG signer of agent ${agentId} now`);
  if (consent === "bad-signature") return reject("DEAL_BAD_SIGNATURE", `not signed by agent ${agentId}`);
  return undefined;
}
