import type { Hex } from "viem";
import { createDealProgress, isLive, reduceDeal, type DealEvent, type DealProgress, type Receipt } from "#protocol";
import type { Agreement } from "../negotiation/port.ts";
import type { ChainStep, Sighting } from "./port.ts";

// One deal from agreement to receipt, as a pure machine: (record, event) -> [record, effects]. The record holds only what
// the chain cannot tell: the signatures, our own work, our own rating. Where the deal stands is read from the chain
// before each step, so that a restart, a lost receipt or a reorg needs no case of its own: the next sighting is the
// truth, and reduceDeal says what the contract will take.
//
//            client                      provider
//   Open       open                        wait; withdrawOffer when not funded in time
//   Funded     wait; refund after submitBy perform, store, submit
//   Submitted  fetch, assess, complete     wait; release when the review is over
//   ended      withdraw credit, receipt, forget when deep enough

export interface DealRecord {
  readonly agreement: Agreement;
  /** No event of this deal is in an earlier block. */
  readonly sinceBlock: bigint;
  /** Chain second after which an unfunded deal is given up by its provider. */
  readonly fundBy: number;
  /** It was funded once: a reorg may take it back for a while, and then we wait for it. */
  readonly wasFunded: boolean;
  /** Provider: the stored deliverable's. */
  readonly deliverableHash?: Hex;
  /** Provider: the work failed; nothing will be delivered. */
  readonly hasWorkFailed: boolean;
  /** Client: decided, whether or not the chain knows. */
  readonly rating?: number;
  /** Last one handed over. */
  readonly receipt?: Receipt;
  readonly isEnded: boolean;
}

export type DealMachineEvent =
  | { kind: "sighted"; sighting: Sighting }
  | { kind: "performed"; deliverableHash: Hex }
  | { kind: "workFailed" }
  | { kind: "assessed"; rating: number }
  | { kind: "receipted"; receipt: Receipt };

export type DealEffect =
  | { kind: "take"; step: ChainStep }
  /** Work until `deadline` (chain second) at the latest. */
  | { kind: "perform"; deadline: number }
  /** Fetch and rate until `deadline` (chain second), then rate without. */
  | { kind: "assess"; deliverableHash: Hex; deadline: number }
  | { kind: "receipt"; receipt: Receipt }
  /** Nothing before this chain second, unless a head shows otherwise; undefined: heads alone. */
  | { kind: "wait"; until: number | undefined }
  | { kind: "end"; isExpired: boolean };

/** Blocks on top of an ending before it is believed to last. */
const CONFIRMATIONS = 12n;
/** Seconds before the end of the review at which a client that could not get the deliverable says so. */
const REVIEW_MARGIN_SECONDS = 60;
/** What a client gives for a deliverable that it could not get or that has another hash. */
export const UNDELIVERED_RATING = -100;

export function createDealRecord(
  agreement: Agreement,
  { sinceBlock, fundBy }: { sinceBlock: bigint; fundBy: number },
): DealRecord {
  return { agreement, sinceBlock, fundBy, wasFunded: false, hasWorkFailed: false, isEnded: false };
}

export function stepDeal(record: DealRecord, event: DealMachineEvent): readonly [DealRecord, readonly DealEffect[]] {
  switch (event.kind) {
    case "sighted":
      return sighted(record, event.sighting);
    case "performed":
      return [{ ...record, deliverableHash: event.deliverableHash }, []];
    case "workFailed":
      return [{ ...record, hasWorkFailed: true }, []];
    case "assessed":
      // A rating is decided once: a restart between deciding and sending must not decide otherwise.
      return [{ ...record, rating: record.rating ?? event.rating }, []];
    case "receipted":
      return [{ ...record, receipt: event.receipt }, []];
  }
}

function sighted(record: DealRecord, sighting: Sighting): readonly [DealRecord, readonly DealEffect[]] {
  const wasFunded = record.wasFunded || sighting.state !== "Open";
  const next = wasFunded === record.wasFunded ? record : { ...record, wasFunded };
  if (next.isEnded) return [next, []];
  if (!isLive(sighting.state)) return closing(next, sighting);
  const { deal, role } = next.agreement;
  // Block time never falls, so a deal that was not opened by now never will be.
  if (sighting.state === "Open" && sighting.blockTime >= deal.submitBy) {
    return [{ ...next, isEnded: true }, [{ kind: "end", isExpired: true }]];
  }
  return [next, [role === "client" ? clientEffect(next, sighting) : providerEffect(next, sighting)]];
}

function clientEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { deal } = record.agreement;
  const { state, time, reviewUntil, deliverableHash } = sighting;
  if (state === "Open") {
    const consents = { client: "valid", provider: "valid" } as const;
    const open = {
      kind: "open",
      payer: sighting.payer,
      isTokenContract: true,
      received: deal.price,
      ...consents,
    } as const;
    return takeIf(record, sighting, { kind: "open" }, { time, ...open }, deal.submitBy);
  }
  if (state === "Funded") {
    return takeIf(record, sighting, { kind: "refund" }, { time, kind: "refund" }, deal.submitBy + 1);
  }
  if (record.rating !== undefined) {
    const event = {
      time,
      kind: "complete",
      caller: { isClient: true, isProvider: false },
      rating: record.rating,
    } as const;
    return takeIf(record, sighting, { kind: "complete", rating: record.rating }, event, undefined);
  }
  if (deliverableHash === undefined) return { kind: "wait", until: undefined };
  const margin = Math.min(REVIEW_MARGIN_SECONDS, Math.floor(deal.reviewPeriod / 4));
  return { kind: "assess", deliverableHash, deadline: reviewUntil - margin };
}

function providerEffect(record: DealRecord, sighting: Sighting): DealEffect {
  const { deal } = record.agreement;
  const { state, time, reviewUntil } = sighting;
  if (state === "Open") {
    const patience = record.wasFunded ? deal.submitBy : record.fundBy;
    if (record.wasFunded || time <= patience) return { kind: "wait", until: patience + 1 };
    return { kind: "take", step: { kind: "withdrawOffer" } };
  }
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
function closing(record: DealRecord, sighting: Sighting): readonly [DealRecord, readonly DealEffect[]] {
  const { ending, creditWei, blockNumber } = sighting;
  if (creditWei > 0n) return [record, [{ kind: "take", step: { kind: "withdrawCredit" } }]];
  if (ending === undefined) return [record, [{ kind: "wait", until: undefined }]];
  const receipt = receiptOf(record, sighting, ending);
  if (receipt !== undefined && !areSameReceipts(receipt, record.receipt))
    return [record, [{ kind: "receipt", receipt }]];
  if (blockNumber < ending.blockNumber + CONFIRMATIONS) return [record, [{ kind: "wait", until: undefined }]];
  return [{ ...record, isEnded: true }, [{ kind: "end", isExpired: false }]];
}

const outcomes: Partial<Record<Sighting["state"], Receipt["outcome"]>> = {
  Completed: "completed",
  Refunded: "refunded",
  Cancelled: "cancelled",
  Resolved: "resolved",
};

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
