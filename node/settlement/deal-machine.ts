import { stringToBytes, zeroAddress, type Hex } from "viem";
import {
  contentHashOf,
  createDealProgress,
  dealLimits,
  dealStates,
  isLive,
  reduceDeal,
  type DealEvent,
  type DealProgress,
  type Receipt,
  type SplitProposal,
} from "#protocol";
import type { Agreement, Consent } from "../negotiation/port.ts";
import { disputedEffects, feesEffect, type DisputeAnswers } from "./dispute-machine.ts";
import type { AgreedSplit, ChainStep, Judgement, Share, Sighting, SplitTerms } from "./port.ts";

// One deal from agreement to receipt, as a pure machine: (record, event) -> [record, effects]. The record holds only what
// the chain cannot tell: the signatures, our own work, what we decided. Where the deal stands is read from the chain
// before each step, so that a restart, a lost receipt or a reorg needs no case of its own: the next sighting is the
// truth, and reduceDeal says what the contract will take.
//
//            client                             provider
//   Open       open                               bring the bond; withdrawOffer when not funded in time
//   Funded     wait; refund after submitBy        perform, store, submit
//   Submitted  fetch, judge; complete, offer a    wait; release when the review is over
//              split, or dispute
//   Disputed   fees, evidence, appeal, resolve: dispute-machine.ts, for both sides alike
//   ended      take back fees and credit, pay the shares, receipt, forget when deep enough
// A purchase (x402) is opened by its provider, with the client's authorization; its client waits meanwhile, and then for
// its person, unless the purchase says how to rate the answer.
// In any live state: a split or a cancellation that both have signed comes first, then a part that the client releases.

export interface DealRecord {
  readonly agreement: Agreement;
  /** No event of this deal is in an earlier block. */
  readonly sinceBlock: bigint;
  /** Chain second after which an unfunded deal is given up by its provider. */
  readonly fundBy: number;
  /** It was funded once: a reorg may take it back for a while, and then we wait for it. */
  readonly wasFunded: boolean;
  /** Provider: the bond's allowance was given once; more of it is asked for only when it does not suffice. */
  readonly hasBond?: boolean;
  /** Provider of a purchase: the transaction that opened it. */
  readonly openedBy?: Hex;
  /** Provider of a purchase: the escrow will never open it. */
  readonly isRefused?: boolean;
  /** Client of a purchase: hash of the answer that we hold. */
  readonly receivedHash?: Hex;
  /** Provider: the stored deliverable's. */
  readonly deliverableHash?: Hex;
  /** Provider: the work failed; nothing will be delivered. */
  readonly hasWorkFailed: boolean;
  /** Client: decided, whether or not the chain knows. */
  readonly judgement?: Judgement;
  /** Client: all that it wants to have released in parts. */
  readonly partWei?: bigint;
  /** A split that we propose, and whether the other side refused it. */
  readonly wish?: SplitTerms & { readonly isRefused: boolean };
  /** The other side's proposal that waits for our answer. */
  readonly offer?: { readonly proposal: SplitProposal; readonly consent: Consent };
  readonly split?: AgreedSplit;
  /** Both sides' consent to cancel, or that we ask for it. */
  readonly cancel?: { readonly client: Consent; readonly provider: Consent };
  readonly wishesCancel?: boolean;
  readonly answers: DisputeAnswers;
  /** Leaves of the deal's splitsRoot, where we know them. */
  readonly shares?: readonly Share[];
  /** Last one handed over. */
  readonly receipt?: Receipt;
  /** Steps that the application was told of. */
  readonly told: readonly Told[];
  readonly isEnded: boolean;
}

export type Told = "funded" | "submitted" | "disputed";

export type DealMachineEvent =
  | { kind: "sighted"; sighting: Sighting }
  | { kind: "performed"; deliverableHash: Hex }
  | { kind: "workFailed" }
  | { kind: "opened"; transaction: Hex }
  | { kind: "openRefused" }
  | { kind: "received"; deliverableHash: Hex }
  | { kind: "judged"; judgement: Judgement }
  | { kind: "bondBrought" }
  | { kind: "partAsked"; releasedWei: bigint }
  | { kind: "splitAsked"; terms: SplitTerms }
  | { kind: "splitRefused" }
  | { kind: "splitOffered"; proposal: SplitProposal; consent: Consent }
  | { kind: "splitAgreed"; split: AgreedSplit }
  | { kind: "splitFailed" }
  | { kind: "cancelAsked" }
  | { kind: "cancelAgreed"; client: Consent; provider: Consent }
  | { kind: "answered"; answers: Partial<DisputeAnswers> }
  | { kind: "sharesNamed"; shares: readonly Share[] }
  | { kind: "told"; step: Told }
  | { kind: "receipted"; receipt: Receipt };

export type DealEffect =
  | { kind: "take"; step: ChainStep }
  /** Work until `deadline` (chain second) at the latest. */
  | { kind: "perform"; deadline: number }
  /** Fetch and judge until `deadline` (chain second), then judge without. */
  | { kind: "assess"; deliverableHash: Hex; deadline: number }
  /** Ask the other side to sign our split. */
  | { kind: "propose"; terms: SplitTerms }
  /** Ask the other side to sign a cancellation. */
  | { kind: "askCancel" }
  /** Ask our own program. */
  | { kind: "askDefence"; costWei: bigint }
  | { kind: "askAppeal"; ruling: number; costWei: bigint; disputeId: bigint; until: number }
  | { kind: "sendEvidence" }
  | { kind: "tell"; step: Told }
  | { kind: "receipt"; receipt: Receipt }
  /** Nothing before this chain second, unless a head shows otherwise; undefined: heads alone. */
  | { kind: "wait"; until: number | undefined }
  | { kind: "end"; isExpired: boolean };

/** Blocks on top of an ending before it is believed to last, unless the driver is told another depth. */
export const DEFAULT_FINALITY_DEPTH = 12;
/** Seconds before the end of the review at which a client must have decided: its transaction needs some blocks. */
const REVIEW_MARGIN_SECONDS = 60;
/** What a client gives for a deliverable that it could not get, or that it would dispute if there were an arbiter. */
export const UNDELIVERED_RATING = -100;
export const UNDELIVERED_REASON = "The deliverable could not be fetched before the review ended.";

export function createDealRecord(
  agreement: Agreement,
  { sinceBlock, fundBy }: { sinceBlock: bigint; fundBy: number },
): DealRecord {
  const { shares } = agreement;
  return {
    ...{ agreement, sinceBlock, fundBy, wasFunded: false, hasWorkFailed: false, isEnded: false },
    ...{ answers: { hasEvidence: false }, told: [], ...(shares === undefined ? {} : { shares }) },
  };
}

export interface DealRules {
  /** Blocks on top of an ending before the deal is forgotten. */
  readonly finalityDepth: bigint;
}

export function stepDeal(
  record: DealRecord,
  event: DealMachineEvent,
  rules: DealRules = { finalityDepth: BigInt(DEFAULT_FINALITY_DEPTH) },
): readonly [DealRecord, readonly DealEffect[]] {
  return event.kind === "sighted" ? sighted(record, event.sighting, rules) : [noted(record, event), []];
}

/** What is decided is decided once: a restart between deciding and sending must not decide otherwise. */
function noted(record: DealRecord, event: Exclude<DealMachineEvent, { kind: "sighted" }>): DealRecord {
  switch (event.kind) {
    case "performed":
      return { ...record, deliverableHash: event.deliverableHash };
    case "workFailed":
      return { ...record, hasWorkFailed: true };
    case "opened":
      return { ...record, openedBy: event.transaction };
    case "openRefused":
      return { ...record, isRefused: true };
    case "received":
      return { ...record, receivedHash: event.deliverableHash };
    case "judged":
      return record.judgement === undefined ? withJudgement(record, event.judgement) : record;
    case "bondBrought":
      return { ...record, hasBond: true };
    case "partAsked":
      return { ...record, partWei: event.releasedWei };
    case "splitAsked":
      return { ...record, wish: { ...event.terms, isRefused: false } };
    case "splitRefused":
      return record.wish === undefined ? record : { ...record, wish: { ...record.wish, isRefused: true } };
    case "splitOffered":
      return { ...record, offer: { proposal: event.proposal, consent: event.consent } };
    case "splitAgreed":
      return { ...withoutOffer(record), split: event.split };
    case "splitFailed":
      return withoutSplit(record);
    case "cancelAsked":
      return { ...record, wishesCancel: true };
    case "cancelAgreed":
      return { ...record, cancel: { client: event.client, provider: event.provider } };
    case "answered":
      return { ...record, answers: { ...record.answers, ...event.answers } };
    case "sharesNamed":
      return { ...record, shares: event.shares };
    case "told":
      return record.told.includes(event.step) ? record : { ...record, told: [...record.told, event.step] };
    case "receipted":
      return { ...record, receipt: event.receipt };
  }
}

const withoutOffer = ({ offer: _, ...record }: DealRecord): DealRecord => record;
const withoutSplit = ({ split: _, ...record }: DealRecord): DealRecord => record;

function withJudgement(record: DealRecord, judgement: Judgement): DealRecord {
  if (judgement.kind !== "split" || record.wish !== undefined) return { ...record, judgement };
  const { toProviderWei, rating } = judgement;
  return { ...record, judgement, wish: { toProviderWei, rating, isRefused: false } };
}

function sighted(
  record: DealRecord,
  sighting: Sighting,
  rules: DealRules,
): readonly [DealRecord, readonly DealEffect[]] {
  const wasFunded = record.wasFunded || sighting.state !== "Open";
  const next = wasFunded === record.wasFunded ? record : { ...record, wasFunded };
  if (next.isEnded) return [next, []];
  if (!isUnderWay(sighting)) return closing(next, sighting, rules);
  // Block time never falls, so a deal that was not opened by now never will be.
  const isOver = sighting.blockTime >= next.agreement.deal.submitBy || next.isRefused === true;
  if (sighting.state === "Open" && isOver) {
    return [{ ...next, isEnded: true }, [{ kind: "end", isExpired: true }]];
  }
  const news = newsOf(next, sighting);
  return [next, [...news, ...liveEffects(next, sighting)]];
}

const isUnderWay = ({ state }: Sighting): boolean => isLive(state) || state === "Disputed";

/** Steps that the application has not been told of, in their order. */
function newsOf({ told }: DealRecord, { state }: Sighting): DealEffect[] {
  const reached = { Funded: 1, Submitted: 2, Disputed: 3 }[state as string] ?? 0;
  const steps = (["funded", "submitted", "disputed"] as const).slice(0, reached);
  return steps.filter((step) => !told.includes(step)).map((step) => ({ kind: "tell", step }));
}

function liveEffects(record: DealRecord, sighting: Sighting): DealEffect[] {
  const { role, purchase } = record.agreement;
  if (sighting.state === "Open") {
    if (purchase !== undefined) return [purchaseEffect(record, sighting)];
    return [role === "client" ? openEffect(record, sighting) : offeringEffect(record, sighting)];
  }
  const { split, cancel, wish, wishesCancel = false } = record;
  if (cancel !== undefined) return [{ kind: "take", step: { kind: "cancel", ...cancel } }];
  if (split !== undefined && sighting.time <= split.proposal.validUntil) {
    return [{ kind: "take", step: { kind: "settle", split } }];
  }
  const asks: DealEffect[] = [
    ...(wishesCancel ? [{ kind: "askCancel" } as const] : []),
    ...(wish?.isRefused === false ? [{ kind: "propose", terms: wish } as const] : []),
  ];
  if (sighting.state === "Disputed") return [...asks, ...disputedEffects(record, sighting)];
  return [...asks, role === "client" ? clientEffect(record, sighting) : providerEffect(record, sighting)];
}

function openEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { deal } = record.agreement;
  const consents = { client: "valid", provider: "valid" } as const;
  const ofClient = deal.price + deal.clientBond;
  // A native bond comes out of the provider's credit, not with the call.
  const money =
    deal.token === zeroAddress
      ? { received: 0n, valueWei: ofClient }
      : { received: ofClient + deal.providerBond, valueWei: 0n };
  const open = { kind: "open", payer: sighting.payer, isTokenContract: true, ...consents, ...money } as const;
  const event: DealEvent = { time: sighting.time, ...open };
  return takeIf(record, sighting, { kind: "open" }, event, deal.submitBy);
}

/** The provider brings its bond, then opens; the client has paid by its signature, and waits. */
function purchaseEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { role, deal } = record.agreement;
  if (role === "client") return { kind: "wait", until: deal.submitBy };
  return lacksBond(record, sighting) ? { kind: "take", step: { kind: "approveBond" } } : openEffect(record, sighting);
}

function lacksBond({ agreement, hasBond }: DealRecord, { bondAllowanceWei = 0n }: Sighting): boolean {
  const { providerBond } = agreement.deal;
  return providerBond > 0n && (bondAllowanceWei < providerBond || hasBond !== true);
}

function offeringEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { deal } = record.agreement;
  const patience = record.wasFunded ? deal.submitBy : record.fundBy;
  if (!record.wasFunded && sighting.time > patience) return { kind: "take", step: { kind: "withdrawOffer" } };
  if (lacksBond(record, sighting)) return { kind: "take", step: { kind: "approveBond" } };
  return { kind: "wait", until: patience + 1 };
}

function clientEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { deal } = record.agreement;
  const { state, time, reviewUntil, deliverableHash, releasedWei } = sighting;
  const { partWei = 0n, judgement } = record;
  if (partWei > releasedWei && partWei < deal.price) {
    return { kind: "take", step: { kind: "releasePart", releasedWei: partWei } };
  }
  if (state === "Funded") {
    return takeIf(record, sighting, { kind: "refund" }, { time, kind: "refund" }, deal.submitBy + 1);
  }
  const decideBy = reviewUntil - reviewMarginOf(deal.reviewPeriod);
  if (judgement !== undefined) return judgedEffect(record, judgement, sighting, decideBy);
  if (deliverableHash === undefined || record.receivedHash === deliverableHash) {
    return { kind: "wait", until: undefined };
  }
  return { kind: "assess", deliverableHash, deadline: decideBy };
}

/** Seconds before the end of a review at which the client's decision is due; a quarter of short ones. */
export const reviewMarginOf = (reviewPeriod: number): number =>
  Math.min(REVIEW_MARGIN_SECONDS, Math.floor(reviewPeriod / 4));

function judgedEffect(record: DealRecord, judgement: Judgement, sighting: Sighting, decideBy: number): DealEffect {
  const { deal } = record.agreement;
  if (judgement.kind === "complete") return completeEffect(record, sighting, judgement.rating);
  const mayWait = judgement.kind === "split" && record.wish?.isRefused === false && sighting.time < decideBy;
  if (mayWait) return { kind: "wait", until: decideBy };
  // Nobody rules on this deal: what is left to a client is its rating.
  if (deal.arbiter === zeroAddress) {
    return completeEffect(record, sighting, judgement.kind === "split" ? judgement.rating : UNDELIVERED_RATING);
  }
  if (sighting.time >= sighting.reviewUntil) return { kind: "wait", until: undefined };
  return { kind: "take", step: { kind: "dispute", reasonHash: contentHashOf(stringToBytes(judgement.reason)) } };
}

function completeEffect(record: DealRecord, sighting: Sighting, rating: number): DealEffect {
  const caller = { isClient: true, isProvider: false };
  const event = { time: sighting.time, kind: "complete", caller, rating } as const;
  return takeIf(record, sighting, { kind: "complete", rating }, event, undefined);
}

function providerEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { deal } = record.agreement;
  const { state, time, reviewUntil } = sighting;
  if (state === "Submitted") {
    return takeIf(record, sighting, { kind: "release" }, { time, kind: "release" }, reviewUntil);
  }
  const { deliverableHash } = record;
  if (deliverableHash !== undefined) {
    const event = { time, kind: "submit", caller: { isClient: false, isProvider: true }, deliverableHash } as const;
    return takeIf(record, sighting, { kind: "submit", deliverableHash }, event, undefined);
  }
  const isPossible = !record.hasWorkFailed && time <= deal.submitBy;
  return isPossible ? { kind: "perform", deadline: deal.submitBy } : { kind: "wait", until: undefined };
}

/** The step, if the contract would take it at the sighting's time; else a wait. */
function takeIf(
  record: DealRecord,
  sighting: Sighting,
  step: ChainStep,
  event: DealEvent,
  until: number | undefined,
): DealEffect {
  const isAllowed = reduceDeal(progressOf(record, sighting), event).kind === "accept";
  return isAllowed ? { kind: "take", step } : { kind: "wait", until };
}

function progressOf({ agreement }: DealRecord, { state, payer, reviewUntil }: Sighting): DealProgress {
  return { ...createDealProgress(agreement.deal), state, payer, reviewUntil };
}

/** The chain shows an end: take what is left to us, say so, and watch it until no reorg is to be expected. */
function closing(
  record: DealRecord,
  sighting: Sighting,
  { finalityDepth }: DealRules,
): readonly [DealRecord, readonly DealEffect[]] {
  const { ending, blockNumber } = sighting;
  const leftover = leftoverStep(record, sighting);
  if (leftover !== undefined) return [record, [{ kind: "take", step: leftover }]];
  if (ending === undefined) return [record, [{ kind: "wait", until: undefined }]];
  const receipt = receiptOf(record, sighting, ending);
  if (receipt !== undefined && !areSameReceipts(receipt, record.receipt))
    return [record, [{ kind: "receipt", receipt }]];
  if (blockNumber < ending.blockNumber + finalityDepth) return [record, [{ kind: "wait", until: undefined }]];
  return [{ ...record, isEnded: true }, [{ kind: "end", isExpired: false }]];
}

function leftoverStep(record: DealRecord, sighting: Sighting): ChainStep | undefined {
  const { creditWei, feeCreditWei, relayFeeCreditWei, potWei } = sighting;
  const fees = feesEffect(sighting);
  if (fees !== undefined) return fees;
  if (potWei > 0n && record.shares !== undefined) return { kind: "distribute", shares: record.shares };
  if (creditWei > 0n) return { kind: "withdrawCredit" };
  if (relayFeeCreditWei > 0n) return { kind: "withdrawFeeCredit", isRelays: true };
  return feeCreditWei > 0n ? { kind: "withdrawFeeCredit", isRelays: false } : undefined;
}

const outcomes: Partial<Record<Sighting["state"], Receipt["outcome"]>> = {
  Completed: "completed",
  Refunded: "refunded",
  Cancelled: "cancelled",
  Resolved: "resolved",
};

/** How the deal ended, as far as its receipt says. */
export const stateOfReceipt = (receipt: Receipt | undefined): Sighting["state"] | undefined =>
  receipt && dealStates.find((state) => outcomes[state] === receipt.outcome);

/** An offer that was withdrawn before anybody paid is no deal that ended: it has no receipt. */
function receiptOf(
  { agreement }: DealRecord,
  { state, payer }: Sighting,
  { rating, transaction }: NonNullable<Sighting["ending"]>,
): Receipt | undefined {
  const outcome = outcomes[state];
  if (outcome === undefined || BigInt(payer) === 0n) return undefined;
  return { dealId: agreement.dealId, role: agreement.role, outcome, rating, transaction };
}

function areSameReceipts(a: Receipt, b: Receipt | undefined): boolean {
  return a.outcome === b?.outcome && a.rating === b.rating && a.transaction === b.transaction;
}

/** Whether an application may answer so. */
export function isJudgement(judgement: Judgement, price: bigint): boolean {
  if (judgement.kind === "dispute") return true;
  const { rating } = judgement;
  const isRating = Number.isInteger(rating) && Math.abs(rating) <= dealLimits.maxRating;
  return (
    isRating && (judgement.kind === "complete" || (judgement.toProviderWei >= 0n && judgement.toProviderWei <= price))
  );
}
