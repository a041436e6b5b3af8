// A dispute and its fees, exactly as contracts/settlement/DealDisputes.sol runs them: the same checks in the same order, beside the
// life of the deal (deal-state.ts). What only the chain can know (what the arbitrator asks, whether it takes a dispute, whose signature is
// valid) comes in with the event. test/settlement/dispute-differential.test.ts runs contract and mirror side by side.
import { createDealProgress, reduceDeal, resolveByRuling, rulings } from "./deal-state.ts";
import type { Caller, DealEvent, DealProgress, Ruling } from "./deal-state.ts";
import { accept, reject, type Verdict } from "./errors.ts";
import type { Deal } from "./generated/structs.ts";

/** Where the fees of a dispute stand, in the order of the contract's enum. */
export const feeStages = ["None", "ProviderOwes", "ClientOwes", "Paid", "Created", "Ruled", "Closed"] as const;
export type FeeStage = (typeof feeStages)[number];

/** The side that owes a fee has this part of the time that is left for a ruling. */
const FEE_TIME_DIVISOR = 4;

/** Native value that one step moved, in wei: back to the sides, on to the arbitrator, and what was too much as a credit to its sender. */
export interface FeeMovement {
  readonly toClient: bigint;
  readonly toProvider: bigint;
  readonly toArbitrator: bigint;
  readonly credited: bigint;
}

const nothingMoved: FeeMovement = { toClient: 0n, toProvider: 0n, toArbitrator: 0n, credited: 0n };

/** A deal, its dispute, and what the last step moved of the fees. Fees in wei; feeBy in Unix seconds. */
export interface DisputeProgress {
  readonly life: DealProgress;
  readonly stage: FeeStage;
  readonly clientFee: bigint;
  readonly providerFee: bigint;
  /** Last second for the side that owes; from creation on, for the ruling. */
  readonly feeBy: number;
  /** What the arbitrator ruled; 0 = refused, or nothing yet. */
  readonly ruling: number;
  readonly moved: FeeMovement;
}

/** What an arbitrator makes of a dispute that it is given. */
export type Creation = "takes" | "refuses" | "repeats";

/** The arbitrator's present price in wei; null = it names none, and so is none. */
interface Priced {
  readonly cost: bigint | null;
}

/** Steps that move fees; all others are the deal's. `time` is the block's, in Unix seconds. */
export type FeeEvent = { readonly time: number } & (
  | ({ kind: "disputeWithFee"; caller: Caller; valueWei: bigint } & Priced)
  | ({ kind: "depositFee"; valueWei: bigint; isCreating: boolean; creation: Creation } & Priced)
  | ({ kind: "createDispute"; creation: Creation } & Priced)
  | { kind: "giveRuling"; isKnown: boolean; ruling: number }
  | { kind: "appeal"; isKnown: boolean; valueWei: bigint }
);
export type DisputeEvent = FeeEvent | Exclude<DealEvent, { kind: "dispute" }>;
type EventOf<K extends DisputeEvent["kind"]> = Extract<DisputeEvent, { kind: K }>;
type Step = Verdict<DisputeProgress>;

/** A deal that the chain does not know yet, without a dispute. */
export function createDisputeProgress(deal: Deal): DisputeProgress {
  return {
    ...{ life: createDealProgress(deal), stage: "None", clientFee: 0n, providerFee: 0n },
    ...{ feeBy: 0, ruling: 0, moved: nothingMoved },
  };
}

/** What the disputes' contract holds of a deal: after creation one of both fees is the arbitrator's. */
export function heldFeesOf({ stage, clientFee, providerFee }: DisputeProgress): bigint {
  return stage === "Created" || stage === "Ruled" ? clientFee : clientFee + providerFee;
}

/** One step of a deal and its dispute. Rejections carry the code of the contract's error (dealErrorCodeOf). */
export function reduceDispute(before: DisputeProgress, event: DisputeEvent): Step {
  const progress = { ...before, moved: nothingMoved };
  switch (event.kind) {
    case "disputeWithFee":
      return dispute(progress, event);
    case "depositFee":
      return depositFee(progress, event);
    case "createDispute":
      return createDispute(progress, event);
    case "giveRuling":
      return giveRuling(progress, event);
    case "appeal":
      return appeal(progress, event);
    case "rule":
      return ruleAsArbiter(progress, event);
    case "resolve":
      return resolve(progress, event);
    case "settle":
      return settle(progress, event);
    default:
      return withLife(progress, event);
  }
}

function withLife(progress: DisputeProgress, event: DealEvent): Step {
  const verdict = reduceDeal(progress.life, event);
  return verdict.kind === "accept" ? accept({ ...progress, life: verdict.value }) : verdict;
}

function dispute(progress: DisputeProgress, event: EventOf<"disputeWithFee">): Step {
  const { time, caller, valueWei, cost } = event;
  const verdict = withLife(progress, { kind: "dispute", time, caller });
  if (verdict.kind !== "accept") return verdict;
  const price = cost ?? 0n;
  if (valueWei < price) return reject("DEAL_DISPUTES_FEE_TOO_LOW", `${valueWei} wei of ${price}`);
  const moved = { ...nothingMoved, credited: valueWei - price };
  if (cost === null) return accept({ ...verdict.value, moved });
  const feeBy = feeByOf(progress, time);
  return accept({ ...verdict.value, clientFee: cost, stage: cost === 0n ? "Paid" : "ProviderOwes", feeBy, moved });
}

function depositFee(progress: DisputeProgress, event: EventOf<"depositFee">): Step {
  const { stage, feeBy, clientFee, providerFee } = progress;
  const { time, valueWei, isCreating } = event;
  const fault = faultOfDisputed(progress);
  if (fault) return fault;
  if (stage !== "ClientOwes" && stage !== "ProviderOwes") return wrongStage(stage);
  if (time > feeBy) return reject("DEAL_DISPUTES_TOO_LATE", `the fee was due at ${feeBy}`);
  const isClient = stage === "ClientOwes";
  const [own, other] = isClient ? [clientFee, providerFee] : [providerFee, clientFee];
  // An arbitrator that has fallen silent costs what the other side has deposited.
  const cost = event.cost ?? other;
  const owed = cost > own ? cost - own : 0n;
  if (valueWei < owed) return reject("DEAL_DISPUTES_FEE_TOO_LOW", `${valueWei} wei of ${owed}`);
  const fees = isClient ? { clientFee: clientFee + owed } : { providerFee: providerFee + owed };
  const next: FeeStage = other >= cost ? "Paid" : isClient ? "ProviderOwes" : "ClientOwes";
  const paid: DisputeProgress = {
    ...{ ...progress, ...fees, stage: next, feeBy: next === "Paid" ? feeBy : feeByOf(progress, time) },
    moved: { ...nothingMoved, credited: valueWei - owed },
  };
  return isCreating && next === "Paid" ? create(paid, event) : accept(paid);
}

function createDispute(progress: DisputeProgress, event: EventOf<"createDispute">): Step {
  const { arbiterDeadline } = progress.life.deal;
  const fault = faultOfDisputed(progress);
  if (fault) return fault;
  if (progress.stage !== "Paid") return wrongStage(progress.stage);
  if (event.time > arbiterDeadline) return reject("DEAL_DISPUTES_TOO_LATE", `a ruling was due at ${arbiterDeadline}`);
  return create(progress, event);
}

/** What was deposited beyond the cost, which has fallen, goes back. A creation that fails undoes the whole call. */
function create(progress: DisputeProgress, { cost, creation }: Priced & { creation: Creation }): Step {
  const { clientFee, providerFee, moved } = progress;
  const least = clientFee < providerFee ? clientFee : providerFee;
  if (cost === null || least < cost) return reject("DEAL_DISPUTES_FEE_TOO_LOW", `${least} wei of ${String(cost)}`);
  if (creation === "refuses") return reject("DEAL_ARBITRATOR_REFUSED", "the arbitrator takes no dispute");
  if (creation === "repeats") return reject("DEAL_DISPUTES_UNKNOWN_DISPUTE", "the arbitrator gave that dispute before");
  return accept({
    ...{ ...progress, stage: "Created", clientFee: cost, providerFee: cost },
    feeBy: progress.life.deal.arbiterDeadline,
    moved: { ...moved, toArbitrator: cost, toClient: clientFee - cost, toProvider: providerFee - cost },
  });
}

function giveRuling(progress: DisputeProgress, { time, isKnown, ruling }: EventOf<"giveRuling">): Step {
  if (!isKnown) return reject("DEAL_DISPUTES_UNKNOWN_DISPUTE", "the arbitrator has no such dispute of this deal");
  if (progress.stage !== "Created") return wrongStage(progress.stage);
  if (time > progress.feeBy) return reject("DEAL_DISPUTES_TOO_LATE", `a ruling was due at ${progress.feeBy}`);
  // More than there are choices is no choice.
  return accept({ ...progress, stage: "Ruled", ruling: ruling < rulings.length ? ruling : 0 });
}

function appeal(progress: DisputeProgress, { isKnown, valueWei }: EventOf<"appeal">): Step {
  const fault = faultOfDisputed(progress);
  if (fault) return fault;
  if (!isKnown) return reject("DEAL_DISPUTES_UNKNOWN_DISPUTE", "the arbitrator has no such dispute of this deal");
  return accept({ ...progress, moved: { ...nothingMoved, toArbitrator: valueWei } });
}

function ruleAsArbiter(progress: DisputeProgress, event: EventOf<"rule">): Step {
  // Who has an arbitrator's fee in the pot waits for the arbitrator.
  if (event.isArbiter && progress.stage !== "None") return wrongStage(progress.stage);
  return withLife(progress, event);
}

function settle(progress: DisputeProgress, event: EventOf<"settle">): Step {
  const verdict = withLife(progress, event);
  return verdict.kind === "accept" ? accept(closeFees(verdict.value, undefined)) : verdict;
}

function resolve(progress: DisputeProgress, { time }: EventOf<"resolve">): Step {
  const { life, stage, ruling } = progress;
  if (life.state !== "Disputed") {
    if (stage === "None" || stage === "Closed") return wrongStage(stage);
    return accept(closeFees(progress, undefined));
  }
  if (stage === "Ruled") return accept(endBy(progress, rulings[ruling] ?? "Even"));
  const isOwed = stage === "ProviderOwes" || stage === "ClientOwes";
  const last = isOwed ? progress.feeBy : life.deal.arbiterDeadline;
  if (time <= last) return reject("DEAL_DISPUTES_TOO_EARLY", `not before ${last + 1}`);
  if (!isOwed) return accept(endBy(progress, "Even"));
  return accept(endBy(progress, stage === "ProviderOwes" ? "ForClient" : "ForProvider"));
}

const endBy = (progress: DisputeProgress, ruling: Ruling): DisputeProgress => ({
  ...closeFees(progress, ruling),
  life: resolveByRuling(progress.life, ruling),
});

/** Before creation each side has its own back; after it one fee is left: the winner's, or half each, the odd wei the provider's. */
function closeFees(progress: DisputeProgress, ruling: Ruling | undefined): DisputeProgress {
  const { stage, clientFee, providerFee } = progress;
  if (stage === "None") return progress;
  let [toClient, toProvider] = [clientFee, providerFee];
  if (stage === "Created" || stage === "Ruled") {
    toClient = ruling === "ForClient" ? clientFee : ruling === "ForProvider" ? 0n : clientFee / 2n;
    toProvider = clientFee - toClient;
  }
  return {
    ...{ ...progress, stage: "Closed", clientFee: 0n, providerFee: 0n, feeBy: 0 },
    moved: { ...nothingMoved, toClient, toProvider },
  };
}

const feeByOf = ({ life }: DisputeProgress, time: number): number =>
  time + Math.floor((life.deal.arbiterDeadline - time) / FEE_TIME_DIVISOR);

function faultOfDisputed({ life }: DisputeProgress): ReturnType<typeof reject> | undefined {
  return life.state === "Disputed" ? undefined : reject("DEAL_WRONG_STATE", `the deal is ${life.state}`);
}

const wrongStage = (stage: FeeStage) => reject("DEAL_DISPUTES_WRONG_STAGE", `the fees are ${stage}`);
