// One tab from its deposit to its closing, through the state machine that mirrors TabEscrow: units of a resource, paid ahead by vouchers.
import { zeroHash, type Address } from "viem";
import { createTabProgress, reduceTab, type Tab, type TabEvent, type TabProgress, type Voucher } from "#protocol";
import { nextDeparture, nextPresence } from "./calendar.ts";
import type { Rules } from "./clauses.ts";
import { lower, raise, type Blame, type LossBook } from "./losses.ts";
import type { DealSide } from "./deal-run.ts";
import type { MarketScenario } from "./scenario.ts";

const TOKEN: Address = `0x${"70".repeat(20)}`;
const UNIT_S = 3_600;
/** Ratings of a whole tab: its contract counts at most 100 points an epoch. */
const POINTS = 100;
/** Long enough that expiry decides nothing here. */
const LIFE_S = 60 * 86_400;

export interface TabPlan {
  readonly timeS: number;
  readonly size: bigint;
  readonly client: DealSide;
  readonly provider: DealSide;
  /** The provider takes the first voucher and is gone. */
  readonly isAbandoned: boolean;
  /** A client that is not honest closes the tab as soon as the provider has left. */
  readonly isClosedEarly: boolean;
  readonly admittedBy: readonly Blame[];
}

export interface TabResult {
  readonly progress: TabProgress;
  readonly endS: number;
  readonly unitsServed: number;
  readonly units: number;
  readonly clientNetWei: bigint;
  readonly providerNetWei: bigint;
}

interface Run {
  readonly plan: TabPlan;
  readonly unitPriceWei: bigint;
  progress: TabProgress;
  endS: number;
  transactions: number;
}

export function runTab(plan: TabPlan, rules: Rules, scenario: MarketScenario, book: LossBook): TabResult {
  const { units } = scenario.tabs;
  const unitPriceWei = (rules["payment.good"] * plan.size) / BigInt(units);
  const deposit = unitPriceWei * BigInt(units);
  const run: Run = {
    plan,
    unitPriceWei,
    progress: createTabProgress(tabOf(plan, rules)),
    endS: plan.timeS,
    transactions: 0,
  };
  take(run, plan.timeS, {
    ...{ kind: "open", isClient: true, payer: TOKEN, deposit, isTokenContract: true, signer: "valid" },
    ...{ received: deposit, valueWei: 0n },
  });
  const ahead = Math.min(units, Number(rules["tab.unitsPerVoucher"]));
  const unitsServed = plan.isAbandoned ? 0 : units;
  const vouchers = plan.isAbandoned ? 1 : Math.ceil(units / ahead);
  if (plan.isAbandoned) abandon(run, rules, scenario, book, ahead);
  else if (plan.isClosedEarly) closeEarly(run, rules, scenario, book);
  else {
    const claimS = nextPresence(plan.provider.calendar, plan.timeS + units * UNIT_S);
    take(run, claimS, claimOf(run, units, true));
  }
  const voucherCost = scenario.voucherWei * BigInt(vouchers);
  const lock = (deposit * scenario.capitalPpmPerDay * BigInt(run.endS - plan.timeS)) / (86_400n * 1_000_000n);
  if (plan.client.isHonest) {
    book.add("voucher", voucherCost * 2n, raise("tab.unitsPerVoucher"));
    book.add("open", lock, lower("tab.challengePeriod"));
  }
  const { toProvider, toPayer } = run.progress.paidOut;
  const gas = scenario.gasWei * BigInt(run.transactions);
  return {
    ...{ progress: run.progress, endS: run.endS, units, unitsServed },
    clientNetWei: toPayer - deposit - lock - voucherCost - gas / 2n,
    providerNetWei: toProvider - voucherCost - gas / 2n,
  };
}

/** The provider claims the one voucher that it has; the client sees nothing come, and closes after the challenge period. */
function abandon(run: Run, rules: Rules, scenario: MarketScenario, book: LossBook, ahead: number): void {
  const { plan, unitPriceWei } = run;
  take(run, plan.timeS + 1, claimOf(run, ahead, false));
  const noticedS = nextPresence(plan.client.calendar, plan.timeS + UNIT_S) + scenario.clients.responseS;
  take(run, noticedS, { kind: "startClose", isClient: true });
  take(run, noticedS + Number(rules["tab.challengePeriod"]), { kind: "close", isProvider: false });
  if (plan.client.isHonest) {
    book.add("voucher", unitPriceWei * BigInt(ahead), lower("tab.unitsPerVoucher"), ...plan.admittedBy);
  }
}

/** Everything is served and nothing claimed yet, when the client wishes to close in the provider's absence. */
function closeEarly(run: Run, rules: Rules, scenario: MarketScenario, book: LossBook): void {
  const { plan, unitPriceWei } = run;
  const { units } = scenario.tabs;
  const awayS = nextDeparture(plan.provider.calendar, plan.timeS + (units - 1) * UNIT_S);
  take(run, awayS, { kind: "startClose", isClient: true });
  const backS = nextPresence(plan.provider.calendar, awayS);
  const closesS = awayS + Number(rules["tab.challengePeriod"]);
  if (closesS < backS) take(run, closesS, { kind: "close", isProvider: false });
  if (take(run, Math.max(backS, awayS + 1), claimOf(run, units, true))) return;
  if (plan.provider.isHonest) book.add("close", unitPriceWei * BigInt(units), raise("tab.challengePeriod"));
}

function tabOf({ timeS, client, provider }: TabPlan, rules: Rules): Tab {
  return {
    ...{ clientAgentId: client.agentId, providerAgentId: provider.agentId, topic: 1n, token: TOKEN },
    ...{ mechanismHash: zeroHash, signerHash: zeroHash, expiry: timeS + LIFE_S },
    ...{ challengePeriod: Number(rules["tab.challengePeriod"]), salt: 0n },
  };
}

function claimOf({ unitPriceWei, progress }: Run, units: number, isLast: boolean): DistributiveOmit<TabEvent, "time"> {
  const voucher: Voucher = {
    ...{ tabId: zeroHash, seq: 1n, paid: unitPriceWei * BigInt(units) },
    // The client rates what it has got, in the voucher that it signs last.
    ...{ satisfied: isLast ? POINTS : 0, unsatisfied: 0 },
  };
  return {
    ...{ kind: "claim", voucher, isOfThisTab: true, isSigned: true, isProvider: true, isLast },
    epoch: Math.floor(progress.tab.expiry / 86_400),
  };
}

type DistributiveOmit<T, K extends keyof never> = T extends unknown ? Omit<T, K> : never;

function take(run: Run, time: number, event: DistributiveOmit<TabEvent, "time">): boolean {
  const verdict = reduceTab(run.progress, { ...event, time });
  if (verdict.kind !== "accept") return false;
  run.progress = verdict.value;
  run.endS = time;
  run.transactions++;
  return true;
}
