// The life of a deal, exactly as contracts/settlement/DealEscrow.sol and DealDisputes.sol run it: the same checks in the same
// order, so that a node knows before it sends what the chain will say. What only the chain can know (whose signer is valid,
// what a token moved, which bond the curve asks for) comes in with the event. The fees of an ERC-792 arbitrator are a machine
// of their own, dispute-state.ts. test/settlement/differential.test.ts runs contract and mirror side by side.
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

/** How a deal came to be Resolved, in the order of the contract's enum. */
export const resolutions = ["Even", "ForClient", "ForProvider", "Agreed"] as const;
export type Resolution = (typeof resolutions)[number];

/** Rulings that an arbiter gives, in the order of their numbers (ERC-792; 0 = refused). */
export const rulings = ["Even", "ForClient", "ForProvider"] as const satisfies readonly Resolution[];
export type Ruling = (typeof rulings)[number];

/** Bounds of the contract, in seconds, rating points and the token's smallest unit. */
export const dealLimits = {
  maxReviewPeriod: 30 * 86_400,
  maxDelivery: 366 * 86_400,
  maxArbitration: 180 * 86_400,
  maxRating: 100,
  /** What a late refund and a ruling for the client add to the unsatisfied sum. */
  lateUnsatisfied: 100,
  maxLedgerAgentId: 2n ** 32n - 1n,
  maxAmount: 2n ** 128n - 1n,
} as const;

/** What both sides get when a deal ends, bonds included; parts that were released before are not. */
export interface Payout {
  readonly toProvider: bigint;
  readonly toClient: bigint;
}

/** Where one deal stands, and what its end has moved. */
export interface DealProgress {
  readonly deal: Deal;
  readonly state: DealState;
  /** Who brought price and client's bond; zero = nobody. */
  readonly payer: Address;
  /** Second (Unix) from which silence pays the provider; 0 before submission. */
  readonly reviewUntil: number;
  /** What the client has released in parts. */
  readonly released: bigint;
  /** What waits for the shares of `splitsRoot`; the rest of what the provider earns is paid at once. */
  readonly pot: bigint;
  /** How it was resolved, if it was. */
  readonly resolution: Resolution | null;
  /** The payments that ended the deal. */
  readonly payout: Payout | null;
  /** The one record in the ledger. */
  readonly trust: { readonly satisfied: number; readonly unsatisfied: number } | null;
}

/** What the chain finds of one side's signature. */
export type Consent = "valid" | "unknown-signer" | "bad-signature";

/** For whom the caller speaks at that time: as a LOG signer, owner or approved account; or what its signature is worth. */
export interface Caller {
  readonly isClient: boolean;
  readonly isProvider: boolean;
}

interface Consents {
  readonly client: Consent;
  readonly provider: Consent;
}

/** What an opening brings. */
interface Opening extends Consents {
  readonly payer: Address;
  readonly isTokenContract: boolean;
  /** What the payments added to the escrow's balance of the token, both sides together. */
  readonly received: bigint;
  /** The call's native value; 0 if absent. */
  readonly valueWei?: bigint;
  /** The least bond that the curve asks of the provider; 0 if absent. */
  readonly requiredBond?: bigint;
}

/** `time` is the block's, in Unix seconds. */
export type DealEvent = { readonly time: number } & (
  | ({ kind: "open" } & Opening)
  | { kind: "submit"; caller: Caller; deliverableHash: Hex }
  | { kind: "complete"; caller: Caller; rating: number }
  | { kind: "releasePart"; caller: Caller; released: bigint }
  | { kind: "release" }
  | { kind: "refund" }
  | ({ kind: "cancel" } & Consents)
  | ({ kind: "settle"; toProvider: bigint; rating: number; validUntil: number } & Consents)
  | { kind: "withdrawOffer"; caller: Caller }
  | { kind: "dispute"; caller: Caller }
  | { kind: "rule"; isArbiter: boolean; ruling: number }
  | { kind: "resolve" }
);
type EventOf<K extends DealEvent["kind"]> = Extract<DealEvent, { kind: K }>;

/** A deal that the chain does not know yet. */
export function createDealProgress(deal: Deal): DealProgress {
  return {
    deal,
    state: "Open",
    payer: zeroAddress,
    reviewUntil: 0,
    released: 0n,
    pot: 0n,
    resolution: null,
    payout: null,
    trust: null,
  };
}

/** The code of a contract error: DealEscrowWrongState is DEAL_WRONG_STATE. */
export function dealErrorCodeOf(errorName: string): string {
  return errorName
    .replace(/^DealEscrow/, "Deal")
    .replaceAll(/(?<!^)([A-Z])/g, "_$1")
    .toUpperCase();
}

const steps: {
  readonly [K in DealEvent["kind"]]: (progress: DealProgress, event: EventOf<K>) => Verdict<DealProgress>;
} = {
  ...{ open, submit, complete, releasePart, release, refund },
  ...{ cancel, settle, withdrawOffer, dispute, rule, resolve },
};

/**
 * One step of a deal. Rejections carry the code of the contract's error (dealErrorCodeOf). `rule` and `resolve` are those of
 * an arbiter that rules by its own call; of an ERC-792 arbitrator see dispute-state.ts.
 */
export function reduceDeal(progress: DealProgress, event: DealEvent): Verdict<DealProgress> {
  // The table relates each kind to its own event, which TypeScript cannot follow through an index.
  const step = steps[event.kind] as (progress: DealProgress, event: DealEvent) => Verdict<DealProgress>;
  return step(progress, event);
}

function open(progress: DealProgress, event: EventOf<"open">): Verdict<DealProgress> {
  const { deal } = progress;
  const fault =
    faultOfState(progress, "Open") ??
    faultOfTerms(deal, event) ??
    faultOfConsents(deal, event) ??
    faultOfBond(deal, event) ??
    faultOfMoney(deal, event);
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
  const fault = faultOfState(progress, "Submitted") ?? faultOfRating(rating) ?? faultOfClient(progress, caller);
  return fault ?? accept(endByProvider(progress, rating));
}

function releasePart(progress: DealProgress, { caller, released }: EventOf<"releasePart">): Verdict<DealProgress> {
  const { state, deal } = progress;
  if (state !== "Funded" && state !== "Submitted") return reject("DEAL_NOT_LIVE", `the deal is ${state}`);
  const fault = faultOfClient(progress, caller);
  if (fault) return fault;
  if (released <= progress.released || released >= deal.price) {
    return reject("DEAL_BAD_PART", `${released} is not in ${progress.released + 1n}..${deal.price - 1n}`);
  }
  const earned = released - progress.released;
  return accept({ ...progress, released, pot: progress.pot + potOf(deal, earned) });
}

function release(progress: DealProgress, { time }: EventOf<"release">): Verdict<DealProgress> {
  const fault = faultOfState(progress, "Submitted");
  if (fault) return fault;
  if (time < progress.reviewUntil) return reject("DEAL_TOO_EARLY", `review lasts until ${progress.reviewUntil}`);
  return accept(endByProvider(progress, 0));
}

function refund(progress: DealProgress, { time }: EventOf<"refund">): Verdict<DealProgress> {
  const { submitBy, clientBond, providerBond } = progress.deal;
  const fault = faultOfState(progress, "Funded");
  if (fault) return fault;
  if (time <= submitBy) return reject("DEAL_TOO_EARLY", `the provider may submit until ${submitBy}`);
  const toClient = heldOf(progress) + clientBond + providerBond;
  return accept(end(progress, "Refunded", 0n, { toProvider: 0n, toClient }, -dealLimits.lateUnsatisfied));
}

function cancel(progress: DealProgress, event: EventOf<"cancel">): Verdict<DealProgress> {
  const { state, deal } = progress;
  if (state !== "Open" && !isHeld(state)) return reject("DEAL_NOT_LIVE", `the deal is ${state}`);
  const fault = faultOfConsents(deal, event);
  if (fault) return fault;
  if (state === "Open") return accept({ ...progress, state: "Cancelled" });
  const payout = { toProvider: deal.providerBond, toClient: heldOf(progress) + deal.clientBond };
  return accept(end(progress, "Cancelled", 0n, payout, 0));
}

function settle(progress: DealProgress, event: EventOf<"settle">): Verdict<DealProgress> {
  const { time, toProvider, rating, validUntil } = event;
  const { deal, state } = progress;
  if (time > validUntil) return reject("DEAL_DISPUTES_TOO_LATE", `the proposal was valid until ${validUntil}`);
  const fault = faultOfRating(rating) ?? faultOfConsents(deal, event);
  if (fault) return fault;
  if (!isHeld(state)) return reject("DEAL_NOT_LIVE", `the deal is ${state}`);
  const held = heldOf(progress);
  if (toProvider > held) return reject("DEAL_BAD_SPLIT", `${toProvider} is more than ${held}`);
  return accept(resolveAs(progress, "Agreed", toProvider, rating));
}

function withdrawOffer(progress: DealProgress, { caller }: EventOf<"withdrawOffer">): Verdict<DealProgress> {
  const fault = faultOfState(progress, "Open");
  if (fault) return fault;
  if (!caller.isClient && !caller.isProvider) return reject("DEAL_NOT_PARTY", "the caller speaks for neither side");
  return accept({ ...progress, state: "Cancelled" });
}

function dispute(progress: DealProgress, { time, caller }: EventOf<"dispute">): Verdict<DealProgress> {
  const { deal, reviewUntil } = progress;
  if (!caller.isClient) return reject("DEAL_DISPUTES_NOT_PARTY", `the caller is not agent ${deal.clientAgentId}`);
  const fault = faultOfState(progress, "Submitted");
  if (fault) return fault;
  if (deal.arbiter === zeroAddress) return reject("DEAL_NO_ARBITER", "the deal has no arbiter");
  if (time >= reviewUntil) return reject("DEAL_TOO_LATE", `the review ended at ${reviewUntil}`);
  return accept({ ...progress, state: "Disputed" });
}

function rule(progress: DealProgress, { time, isArbiter, ruling }: EventOf<"rule">): Verdict<DealProgress> {
  const { arbiterDeadline } = progress.deal;
  if (!isArbiter) return reject("DEAL_DISPUTES_NOT_ARBITER", "the caller is not the deal's arbiter");
  if (time > arbiterDeadline) return reject("DEAL_DISPUTES_TOO_LATE", `a ruling was due at ${arbiterDeadline}`);
  const resolution = rulings[ruling];
  if (resolution === undefined) return reject("DEAL_DISPUTES_BAD_RULING", `ruling ${ruling}`);
  return faultOfState(progress, "Disputed") ?? accept(resolveByRuling(progress, resolution));
}

function resolve(progress: DealProgress, { time }: EventOf<"resolve">): Verdict<DealProgress> {
  const { state, deal } = progress;
  if (state !== "Disputed") return reject("DEAL_DISPUTES_WRONG_STAGE", `the deal is ${state}`);
  if (time <= deal.arbiterDeadline) return reject("DEAL_DISPUTES_TOO_EARLY", `a ruling may come until it`);
  return accept(resolveByRuling(progress, "Even"));
}

/** True while money or a signature may still move the deal by the parties alone. */
export function isLive(state: DealState): boolean {
  return state === "Open" || isHeld(state);
}

/** True while the escrow holds the deal's money. */
export function isHeld(state: DealState): boolean {
  return state === "Funded" || state === "Submitted" || state === "Disputed";
}

/** What the escrow still holds of the price. */
export function heldOf({ deal, released }: Pick<DealProgress, "deal" | "released">): bigint {
  return deal.price - released;
}

/** The end of a disputed deal by a ruling: who lost loses its bond to the other side; half each, the odd unit the provider's. */
export function resolveByRuling(progress: DealProgress, ruling: Ruling): DealProgress {
  const held = heldOf(progress);
  const earned = { Even: held - held / 2n, ForClient: 0n, ForProvider: held }[ruling];
  return resolveAs(progress, ruling, earned, ruling === "ForClient" ? -dealLimits.lateUnsatisfied : 0);
}

function resolveAs(progress: DealProgress, resolution: Resolution, earned: bigint, rating: number): DealProgress {
  const { clientBond, providerBond } = progress.deal;
  const payout = {
    toProvider:
      earned + (resolution === "ForClient" ? 0n : providerBond) + (resolution === "ForProvider" ? clientBond : 0n),
    toClient:
      heldOf(progress) -
      earned +
      (resolution === "ForClient" ? providerBond : 0n) +
      (resolution === "ForProvider" ? 0n : clientBond),
  };
  return { ...end(progress, "Resolved", earned, payout, rating), resolution };
}

function endByProvider(progress: DealProgress, rating: number): DealProgress {
  const { providerBond, clientBond } = progress.deal;
  const held = heldOf(progress);
  return end(progress, "Completed", held, { toProvider: held + providerBond, toClient: clientBond }, rating);
}

type EndState = "Completed" | "Refunded" | "Cancelled" | "Resolved";

/** @param earned of the price, by the provider: with splits it waits in the pot */
function end(progress: DealProgress, state: EndState, earned: bigint, payout: Payout, rating: number): DealProgress {
  const { deal, pot } = progress;
  const trust = { satisfied: Math.max(rating, 0), unsatisfied: Math.max(-rating, 0) };
  return {
    ...progress,
    state,
    payout,
    pot: pot + potOf(deal, earned),
    trust: deal.topic === 0n || rating === 0 ? null : trust,
  };
}

const potOf = ({ splitsRoot }: Deal, earned: bigint): bigint => (splitsRoot === zeroHash ? 0n : earned);

type Fault = ReturnType<typeof reject> | undefined;

function faultOfState({ state }: DealProgress, required: DealState): Fault {
  return state === required ? undefined : reject("DEAL_WRONG_STATE", `the deal is ${state}, not ${required}`);
}

function faultOfRating(rating: number): Fault {
  return Math.abs(rating) > dealLimits.maxRating ? reject("DEAL_BAD_RATING", `rating ${rating}`) : undefined;
}

function faultOfClient({ deal }: DealProgress, { isClient }: Caller): Fault {
  return isClient ? undefined : reject("DEAL_NOT_PARTY", `the caller does not speak for agent ${deal.clientAgentId}`);
}

function faultOfTerms(deal: Deal, { time, isTokenContract }: EventOf<"open">): Fault {
  const latest = time + dealLimits.maxDelivery;
  if (deal.price === 0n) return reject("DEAL_ZERO_PRICE", "the price is zero");
  if ((deal.price | deal.providerBond | deal.clientBond) > dealLimits.maxAmount) {
    return reject("DEAL_AMOUNT_TOO_LARGE", `an amount is above ${dealLimits.maxAmount}`);
  }
  if (deal.token !== zeroAddress && !isTokenContract) return reject("DEAL_BAD_TOKEN", `${deal.token} has no code`);
  if (deal.submitBy <= time || deal.submitBy > latest) {
    return reject("DEAL_BAD_SUBMIT_BY", `submitBy ${deal.submitBy} is not in ${time + 1}..${latest}`);
  }
  if (deal.reviewPeriod > dealLimits.maxReviewPeriod) {
    return reject("DEAL_BAD_REVIEW_PERIOD", `${deal.reviewPeriod} s is more than ${dealLimits.maxReviewPeriod}`);
  }
  if (deal.clientAgentId === deal.providerAgentId) return reject("DEAL_SELF_DEAL", `agent ${deal.clientAgentId}`);
  return faultOfLedgerIds(deal) ?? faultOfArbiterDeadline(deal);
}

function faultOfLedgerIds(deal: Deal): Fault {
  const tooLarge = [deal.clientAgentId, deal.providerAgentId].find((id) => id > dealLimits.maxLedgerAgentId);
  if (deal.topic === 0n || tooLarge === undefined) return undefined;
  return reject("DEAL_AGENT_ID_TOO_LARGE", `agent ${tooLarge} has no seat in the ledger`);
}

function faultOfArbiterDeadline({ arbiter, arbiterDeadline, submitBy, reviewPeriod }: Deal): Fault {
  const reviewEnd = submitBy + reviewPeriod;
  const [min, max] = arbiter === zeroAddress ? [0, 0] : [reviewEnd + 1, reviewEnd + dealLimits.maxArbitration];
  if (arbiterDeadline >= min && arbiterDeadline <= max) return undefined;
  return reject("DEAL_BAD_ARBITER_DEADLINE", `${arbiterDeadline} is not in ${min}..${max}`);
}

function faultOfConsents(deal: Deal, { client, provider }: Consents): Fault {
  return faultOfConsent(deal.clientAgentId, client) ?? faultOfConsent(deal.providerAgentId, provider);
}

function faultOfConsent(agentId: bigint, consent: Consent): Fault {
  if (consent === "unknown-signer") return reject("DEAL_INVALID_SIGNER", `not a LOG signer of agent ${agentId} now`);
  if (consent === "bad-signature") return reject("DEAL_BAD_SIGNATURE", `not signed by agent ${agentId}`);
  return undefined;
}

function faultOfBond({ providerBond }: Deal, { requiredBond = 0n }: EventOf<"open">): Fault {
  if (providerBond >= requiredBond) return undefined;
  return reject("DEAL_BOND_TOO_LOW", `${providerBond} is below the ${requiredBond} that the score asks for`);
}

function faultOfMoney(deal: Deal, { received, valueWei = 0n }: EventOf<"open">): Fault {
  const isNative = deal.token === zeroAddress;
  const expected = deal.price + deal.clientBond;
  const value = isNative ? expected : 0n;
  if (valueWei !== value) return reject("DEAL_WRONG_VALUE", `${valueWei} wei came with the call, not ${value}`);
  if (isNative || received === expected + deal.providerBond) return undefined;
  return reject("DEAL_SHORTFALL", `${received} of ${expected + deal.providerBond} came in`);
}
