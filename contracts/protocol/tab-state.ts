// The life of a tab, exactly as contracts/settlement/TabEscrow.sol runs it: the same checks in the same order.
import { zeroAddress, type Address } from "viem";
import { accept, reject, type Verdict } from "./errors.ts";
import type { Consent } from "./deal-state.ts";
import type { Tab, Voucher } from "./generated/structs.ts";

/** States in the order of the contract's enum. */
export const tabStates = ["None", "Open", "Closing", "Closed"] as const;
export type TabState = (typeof tabStates)[number];

/** Bounds of the contract, in seconds and points. */
export const tabLimits = {
  maxLife: 366 * 86_400,
  maxChallengePeriod: 30 * 86_400,
  /** Of local trust, by one tab in one epoch. */
  maxPoints: 100,
  maxLedgerAgentId: 2n ** 32n - 1n,
} as const;

/** Points of local trust that one claim moves. */
export interface Points {
  readonly satisfied: number;
  readonly unsatisfied: number;
}

/** Where one tab stands, what its last step paid, and what it told the ledger. */
export interface TabProgress {
  readonly tab: Tab;
  readonly state: TabState;
  readonly payer: Address;
  /** Second (Unix) from which anyone closes; 0 = nobody wishes to. */
  readonly closesAt: number;
  readonly deposit: bigint;
  readonly paid: bigint;
  readonly satisfiedSum: number;
  readonly unsatisfiedSum: number;
  /** Epoch in which `points` were moved. */
  readonly epoch: number;
  readonly points: number;
  readonly paidOut: { readonly toProvider: bigint; readonly toPayer: bigint };
  readonly trust: Points;
}

/** What the chain finds of the voucher's signature and of who sends it. */
export interface ClaimFacts {
  readonly voucher: Voucher;
  readonly isOfThisTab: boolean;
  readonly isSigned: boolean;
  readonly isProvider: boolean;
  readonly isLast: boolean;
  /** Running epoch of the ledger, from 1. */
  readonly epoch: number;
}

/** `time` is the block's, in Unix seconds. `received` is what the payment added to the escrow's balance. */
export type TabEvent = { readonly time: number } & (
  | {
      kind: "open";
      isClient: boolean;
      payer: Address;
      deposit: bigint;
      isTokenContract: boolean;
      signer: Consent;
      received: bigint;
      valueWei: bigint;
    }
  | { kind: "topUp"; amount: bigint; received: bigint; valueWei: bigint }
  | ({ kind: "claim" } & ClaimFacts)
  | { kind: "startClose"; isClient: boolean }
  | { kind: "close"; isProvider: boolean }
);
type EventOf<K extends TabEvent["kind"]> = Extract<TabEvent, { kind: K }>;

/** A tab that the chain does not know yet. */
export function createTabProgress(tab: Tab): TabProgress {
  return {
    ...{ tab, state: "None", payer: zeroAddress, closesAt: 0, deposit: 0n, paid: 0n },
    ...{ satisfiedSum: 0, unsatisfiedSum: 0, epoch: 0, points: 0 },
    ...{ paidOut: { toProvider: 0n, toPayer: 0n }, trust: { satisfied: 0, unsatisfied: 0 } },
  };
}

/** One step of a tab. Rejections carry the code of the contract's error, TabEscrowWrongState being TAB_WRONG_STATE. */
export function reduceTab(progress: TabProgress, event: TabEvent): Verdict<TabProgress> {
  if (event.kind === "open") return open(progress, event);
  if (!isTabLive(progress.state)) return reject("TAB_WRONG_STATE", `the tab is ${progress.state}`);
  switch (event.kind) {
    case "topUp":
      return topUp(progress, event);
    case "claim":
      return claim(progress, event);
    case "startClose":
      return startClose(progress, event);
    case "close":
      return close(progress, event);
  }
}

/** True while the escrow holds the tab's money. */
export function isTabLive(state: TabState): boolean {
  return state === "Open" || state === "Closing";
}

/** The code of a contract error: TabEscrowWrongState is TAB_WRONG_STATE. */
export function tabErrorCodeOf(errorName: string): string {
  return errorName
    .replace(/^TabEscrow/, "Tab")
    .replaceAll(/(?<!^)([A-Z])/g, "_$1")
    .toUpperCase();
}

function open(progress: TabProgress, event: EventOf<"open">): Verdict<TabProgress> {
  const { tab } = progress;
  if (!event.isClient) return reject("TAB_NOT_PARTY", `the caller does not speak for agent ${tab.clientAgentId}`);
  if (progress.state !== "None") return reject("TAB_WRONG_STATE", `the tab is ${progress.state}`);
  const fault = faultOfTerms(tab, event) ?? faultOfMoney(tab, event.deposit, event);
  return fault ?? accept({ ...progress, state: "Open", payer: event.payer, deposit: event.deposit });
}

function topUp(progress: TabProgress, event: EventOf<"topUp">): Verdict<TabProgress> {
  if (event.amount === 0n) return reject("TAB_ZERO_DEPOSIT", "nothing is added");
  const fault = faultOfMoney(progress.tab, event.amount, event);
  return fault ?? accept({ ...progress, deposit: progress.deposit + event.amount });
}

function claim(progress: TabProgress, event: EventOf<"claim">): Verdict<TabProgress> {
  const { tab, paid, deposit, satisfiedSum, unsatisfiedSum, paidOut, trust } = progress;
  const { voucher } = event;
  if (!event.isProvider) return reject("TAB_NOT_PARTY", `the caller does not speak for agent ${tab.providerAgentId}`);
  if (!event.isOfThisTab) return reject("TAB_FOREIGN_VOUCHER", voucher.tabId);
  if (!event.isSigned) return reject("TAB_BAD_VOUCHER_SIGNATURE", "not signed by the tab's key");
  if (voucher.paid <= paid) return reject("TAB_STALE_VOUCHER", `${paid} is paid already`);
  if (voucher.paid > deposit) return reject("TAB_EXCEEDS_DEPOSIT", `${voucher.paid} of ${deposit}`);
  if (voucher.satisfied < satisfiedSum || voucher.unsatisfied < unsatisfiedSum) {
    return reject("TAB_SHRUNK_RATINGS", `below ${satisfiedSum} and ${unsatisfiedSum}`);
  }
  const rated = { satisfied: voucher.satisfied - satisfiedSum, unsatisfied: voucher.unsatisfied - unsatisfiedSum };
  const moved = progress.epoch === event.epoch ? progress.points : 0;
  const counted = tab.topic === 0n ? { satisfied: 0, unsatisfied: 0 } : countPoints(rated, moved);
  const isRated = tab.topic !== 0n && rated.satisfied + rated.unsatisfied > 0;
  const claimed: TabProgress = {
    ...{ ...progress, paid: voucher.paid, satisfiedSum: voucher.satisfied, unsatisfiedSum: voucher.unsatisfied },
    ...(isRated ? { epoch: event.epoch, points: moved + counted.satisfied + counted.unsatisfied } : {}),
    paidOut: { ...paidOut, toProvider: paidOut.toProvider + voucher.paid - paid },
    trust: {
      satisfied: trust.satisfied + counted.satisfied,
      unsatisfied: trust.unsatisfied + counted.unsatisfied,
    },
  };
  return accept(event.isLast ? closed(claimed) : claimed);
}

/** What counts of the ratings of one claim: at most what the tab has left of its points in the epoch, in proportion. */
export function countPoints({ satisfied, unsatisfied }: Points, moved: number): Points {
  const total = satisfied + unsatisfied;
  const left = tabLimits.maxPoints - moved;
  if (total <= left) return { satisfied, unsatisfied };
  // The product of a sum below 2^32 and at most 100 is exact.
  const counted = Math.floor((satisfied * left) / total);
  return { satisfied: counted, unsatisfied: left - counted };
}

function startClose(progress: TabProgress, { time, isClient }: EventOf<"startClose">): Verdict<TabProgress> {
  const { tab, closesAt } = progress;
  if (!isClient) return reject("TAB_NOT_PARTY", `the caller does not speak for agent ${tab.clientAgentId}`);
  if (closesAt !== 0) return reject("TAB_WRONG_STATE", "the tab is Closing");
  return accept({ ...progress, state: "Closing", closesAt: time + tab.challengePeriod });
}

function close(progress: TabProgress, { time, isProvider }: EventOf<"close">): Verdict<TabProgress> {
  const { tab, closesAt } = progress;
  const opensToAll = closesAt === 0 ? tab.expiry + 1 : Math.min(closesAt, tab.expiry + 1);
  if (time < opensToAll && !isProvider) return reject("TAB_TOO_EARLY", `the provider may claim until ${opensToAll}`);
  return accept(closed(progress));
}

function closed(progress: TabProgress): TabProgress {
  const { deposit, paid, paidOut } = progress;
  return { ...progress, state: "Closed", paidOut: { ...paidOut, toPayer: paidOut.toPayer + deposit - paid } };
}

type Fault = ReturnType<typeof reject> | undefined;

function faultOfTerms(tab: Tab, { time, deposit, isTokenContract, signer }: EventOf<"open">): Fault {
  const latest = time + tabLimits.maxLife;
  if (deposit === 0n) return reject("TAB_ZERO_DEPOSIT", "the deposit is zero");
  if (tab.token !== zeroAddress && !isTokenContract) return reject("TAB_BAD_TOKEN", `${tab.token} has no code`);
  if (tab.expiry <= time || tab.expiry > latest) {
    return reject("TAB_BAD_EXPIRY", `expiry ${tab.expiry} is not in ${time + 1}..${latest}`);
  }
  if (tab.challengePeriod > tabLimits.maxChallengePeriod) {
    return reject("TAB_BAD_CHALLENGE_PERIOD", `${tab.challengePeriod} s is more than ${tabLimits.maxChallengePeriod}`);
  }
  if (tab.clientAgentId === tab.providerAgentId) return reject("TAB_SELF_TAB", `agent ${tab.clientAgentId}`);
  const tooLarge = [tab.clientAgentId, tab.providerAgentId].find((id) => id > tabLimits.maxLedgerAgentId);
  if (tab.topic !== 0n && tooLarge !== undefined) return reject("TAB_AGENT_ID_TOO_LARGE", `agent ${tooLarge}`);
  if (signer !== "valid") return reject("TAB_INVALID_SIGNER", `not a LOG signer of agent ${tab.clientAgentId} now`);
  return undefined;
}

function faultOfMoney(tab: Tab, expected: bigint, money: { received: bigint; valueWei: bigint }): Fault {
  const value = tab.token === zeroAddress ? expected : 0n;
  if (money.valueWei !== value) return reject("TAB_WRONG_VALUE", `${money.valueWei} wei came, not ${value}`);
  if (tab.token === zeroAddress || money.received === expected) return undefined;
  return reject("TAB_SHORTFALL", `${money.received} of ${expected} came in`);
}
