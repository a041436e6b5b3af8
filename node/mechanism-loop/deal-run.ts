// One deal from opening to end, through the state machine that mirrors DealEscrow. The two sides only choose; what a choice does, and
// whether it is allowed at that second, the machine says.
import { zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { createDealProgress, reduceDeal, type Caller, type Deal, type DealEvent, type DealProgress } from "#protocol";
import { buyerActs } from "./attack.ts";
import { nextDeparture, nextPresence, type Calendar } from "./calendar.ts";
import type { Rules } from "./clauses.ts";
import { firstError, judge, rulingNumbers } from "./court.ts";
import { lower, raise, type Blame, type LossBook } from "./losses.ts";
import type { MarketScenario, Outcome } from "./scenario.ts";

const DELIVERABLE: Hex = `0x${"01".repeat(32)}`;
const COURT: Address = `0x${"0c".repeat(20)}`;
const TOKEN: Address = `0x${"70".repeat(20)}`;
const CLIENT: Caller = { isClient: true, isProvider: false };
const PROVIDER: Caller = { isClient: false, isProvider: true };
const consents = { client: "valid", provider: "valid" } as const;
const TOPIC = 1n;
/** An attacker that snipes needs an hour to have something to hand in. */
const HASTE_S = 3_600;
const ratings = { failed: -100, partial: 20, good: 100, unjudged: 0 } as const;
const MILLION = 1_000_000;

export interface DealSide {
  readonly agentId: bigint;
  readonly isHonest: boolean;
  readonly calendar: Calendar;
}

export interface DealPlan {
  readonly timeS: number;
  readonly size: bigint;
  readonly client: DealSide;
  readonly provider: DealSide;
  readonly providerBondWei: bigint;
  readonly requiredBondWei: bigint;
  /** Undefined = never delivered. */
  readonly outcome: Outcome | undefined;
  readonly isSniping: boolean;
  readonly isContesting: boolean;
  /** Of a client that is not honest: one of buyerActs. */
  readonly buyerAct: number;
  /** Whether the client examines the delivery, as the rules draw it. */
  readonly isExamined: boolean;
  readonly drawRuling: (round: number) => number;
  /** Clauses that let this provider have this deal. */
  readonly admittedBy: readonly Blame[];
}

export interface DealResult {
  readonly progress: DealProgress;
  readonly endS: number;
  readonly clientNetWei: bigint;
  readonly providerNetWei: bigint;
  readonly examineWei: bigint;
  /** What somebody has seen the outcome to be; undefined = nobody looked. */
  readonly seen: Outcome | undefined;
  readonly juryWei: bigint;
  readonly transactions: number;
}

interface Run {
  readonly plan: DealPlan;
  readonly rules: Rules;
  readonly scenario: MarketScenario;
  readonly book: LossBook;
  progress: DealProgress;
  endS: number;
  seen: Outcome | undefined;
  clientFeesWei: bigint;
  providerFeesWei: bigint;
  examineWei: bigint;
  transactions: number;
}

export function runDeal(plan: DealPlan, rules: Rules, scenario: MarketScenario, book: LossBook): DealResult {
  const deal = dealOf(plan, rules);
  const run: Run = {
    plan,
    rules,
    scenario,
    book,
    progress: createDealProgress(deal),
    endS: plan.timeS,
    seen: undefined,
    clientFeesWei: 0n,
    providerFeesWei: 0n,
    examineWei: 0n,
    transactions: 0,
  };
  const received = deal.price + deal.clientBond + deal.providerBond;
  take(run, plan.timeS, {
    kind: "open",
    payer: TOKEN,
    isTokenContract: true,
    received,
    requiredBond: plan.requiredBondWei,
    client: "valid",
    provider: "valid",
  });
  deliver(run, deal);
  return resultOf(run, deal);
}

/** Field by field: objects joined from several were a tenth of a market's time, here and in `runDeal`. */
function dealOf({ timeS, size, client, provider, providerBondWei }: DealPlan, rules: Rules): Deal {
  const submitBy = timeS + Number(rules["deadline.submit"]);
  const reviewPeriod = Number(rules["deadline.review"]);
  const hasCourt = rules["appeal.court"] === 1n;
  return {
    clientAgentId: client.agentId,
    providerAgentId: provider.agentId,
    topic: TOPIC,
    token: TOKEN,
    price: rules["payment.good"] * size,
    providerBond: providerBondWei,
    clientBond: rules["bond.client"] * size,
    submitBy,
    reviewPeriod,
    arbiter: hasCourt ? COURT : zeroAddress,
    arbiterDeadline: hasCourt ? submitBy + reviewPeriod + Number(rules["deadline.arbitration"]) : 0,
    mechanismHash: zeroHash,
    certificateHash: zeroHash,
    specHash: zeroHash,
    splitsRoot: zeroHash,
    epoch: 0,
    hook: zeroAddress,
    salt: 0n,
  };
}

/** One step of the real machine. What it refuses leaves the deal as it was, and the caller learns it. */
function take(run: Run, time: number, event: DistributiveOmit<DealEvent, "time">): boolean {
  const verdict = reduceDeal(run.progress, { ...event, time });
  if (verdict.kind !== "accept") return false;
  run.progress = verdict.value;
  run.endS = time;
  run.transactions++;
  return true;
}
type DistributiveOmit<T, K extends keyof never> = T extends unknown ? Omit<T, K> : never;

function deliver(run: Run, deal: Deal): void {
  const { plan, scenario } = run;
  const workS = plan.provider.isHonest ? scenario.providers.workS : HASTE_S;
  const earliestS = plan.timeS + workS;
  const departureS = nextDeparture(plan.client.calendar, earliestS);
  const atS = plan.isSniping && departureS <= deal.submitBy ? departureS : earliestS;
  const isSubmitted =
    plan.outcome !== undefined && take(run, atS, { kind: "submit", caller: PROVIDER, deliverableHash: DELIVERABLE });
  if (isSubmitted) {
    if (plan.client.isHonest) reviewHonestly(run, deal);
    else actAsBuyer(run, deal);
    return;
  }
  take(run, deal.submitBy + 1, { kind: "refund" });
  if (!plan.client.isHonest) return;
  const uncovered = surplusOf(run) - deal.providerBond;
  const shared: Blame[] = plan.provider.isHonest
    ? [raise("deadline.submit")]
    : [...bondBlames, lower("deadline.submit"), ...plan.admittedBy];
  run.book.add("refund", uncovered, ...shared);
}

const bondBlames = [raise("bond.slashShare"), raise("bond.exposure"), raise("bond.least"), raise("bond.factorAtZero")];

/** What the task would have left the client with: one useless part spoils the whole. */
function surplusOf({ plan, scenario, rules }: Run): bigint {
  return (scenario.rewardsWei[2] - rules["payment.good"] * BigInt(scenario.parts)) * plan.size;
}

function reviewHonestly(run: Run, deal: Deal): void {
  const { plan, scenario, progress, book } = run;
  const outcome = plan.outcome as Outcome;
  const looksS = nextPresence(plan.client.calendar, run.endS) + scenario.clients.responseS;
  const price = deal.price;
  const unearned =
    outcome === 2 ? 0n : outcome === 1 ? price - run.rules["payment.partial"] * plan.size : price + harmOf(run);
  if (looksS >= progress.reviewUntil) {
    take(run, progress.reviewUntil, { kind: "release" });
    if (plan.isExamined) book.add("release", unearned, raise("deadline.review"), ...plan.admittedBy);
    else book.add("release", unearned, raise("review.share"), raise("deadline.review"), ...plan.admittedBy);
    return;
  }
  if (!plan.isExamined) {
    take(run, looksS, { kind: "complete", caller: CLIENT, rating: ratings.unjudged });
    book.add("complete", unearned, raise("review.share"), ...plan.admittedBy);
    return;
  }
  run.seen = outcome;
  run.examineWei = scenario.examineCostWei * plan.size;
  book.add("complete", run.examineWei, lower("review.share"));
  if (outcome === 2) take(run, looksS, { kind: "complete", caller: CLIENT, rating: ratings.good });
  else if (outcome === 1) payInPart(run, looksS);
  else answerFailure(run, looksS);
}

const harmOf = ({ plan, scenario }: Run) => -scenario.rewardsWei[0] * plan.size;

function payInPart(run: Run, timeS: number): void {
  const { plan, rules, progress, book } = run;
  const { price } = progress.deal;
  const toProvider = rules["payment.partial"] * plan.size;
  if (!plan.isContesting && toProvider < price) {
    take(run, timeS, { kind: "settle", toProvider, rating: ratings.partial, validUntil: timeS + 1, ...consents });
    return;
  }
  // A ruling over a partial delivery halves the price: worth asking for if that is more than half the fees.
  const feesWei = run.scenario.juror.feeWei * 3n;
  if (price > feesWei && toProvider < price && take(run, timeS, { kind: "dispute", caller: CLIENT })) rule(run);
  else take(run, timeS, { kind: "complete", caller: CLIENT, rating: ratings.partial });
  book.add("settle", price - toProvider, lower("payment.partial"), lower("payment.good"), raise("appeal.court"));
}

function answerFailure(run: Run, timeS: number): void {
  const { plan, rules, scenario, progress, book } = run;
  const { price, providerBond, clientBond } = progress.deal;
  const error = firstError(scenario.juror.errorMillionths);
  const feesWei = scenario.juror.feeWei * 3n;
  const hope = (1 - error) * Number(price + providerBond) - error * Number(clientBond + feesWei);
  const isDisputed = hope > Number(scenario.gasWei) && take(run, timeS, { kind: "dispute", caller: CLIENT });
  if (isDisputed) {
    rule(run);
    return;
  }
  take(run, timeS, { kind: "complete", caller: CLIENT, rating: ratings.failed });
  const remedy = rules["appeal.court"] === 0n ? [raise("appeal.court")] : [...bondBlames, lower("bond.client")];
  book.add("complete", price, ...remedy, ...plan.admittedBy);
}

function actAsBuyer(run: Run, deal: Deal): void {
  const { plan, progress, endS } = run;
  const isLate = plan.buyerAct === buyerActs.lateDispute;
  if (isLate || plan.buyerAct === buyerActs.dispute) {
    const atS = isLate ? progress.reviewUntil - 1 : endS + 1;
    if (take(run, atS, { kind: "dispute", caller: CLIENT })) {
      rule(run);
      return;
    }
  }
  if (plan.buyerAct === buyerActs.accept || plan.buyerAct === buyerActs.closeTab) {
    take(run, endS + 1, { kind: "complete", caller: CLIENT, rating: ratings.good });
    if (!plan.provider.isHonest) run.seen = 2;
    return;
  }
  take(run, progress.reviewUntil, { kind: "release" });
  run.book.add("release", lockCost(run, deal.price, deal.reviewPeriod), lower("deadline.review"));
}

/** From Disputed to Resolved: by the last panel, or halved where no ruling comes in time. */
function rule(run: Run): void {
  const { plan, rules, scenario, book } = run;
  const { deal } = run.progress;
  const trueOutcome = plan.outcome as Outcome;
  const contests = !plan.isContesting ? "nobody" : plan.client.isHonest ? "provider" : "client";
  const court = judge(rules, {
    ...{ trueOutcome, contests, errorMillionths: scenario.juror.errorMillionths },
    draw: plan.drawRuling,
  });
  const disputedS = run.endS;
  const isRuled = take(run, disputedS + court.durationS, { kind: "rule", isArbiter: true, ruling: court.ruling });
  if (!isRuled) take(run, deal.arbiterDeadline + 1, { kind: "resolve" });
  const ruling = isRuled ? court.ruling : rulingNumbers.even;
  const fees = scenario.juror.feeWei * BigInt(court.jurors);
  const clientShare = ruling === rulingNumbers.forClient ? 0n : ruling === rulingNumbers.forProvider ? fees : fees / 2n;
  run.clientFeesWei += clientShare;
  run.providerFeesWei += fees - clientShare;
  if (plan.client.isHonest) bookClientsCase(run, ruling, clientShare);
  else if (plan.provider.isHonest) bookProvidersCase(run, ruling, fees - clientShare, run.endS - disputedS);
  else return;
  if (!isRuled) book.add("rule", deal.price / 2n, raise("deadline.arbitration"), lower("appeal.maxAppeals"));
}

function bookClientsCase(run: Run, ruling: number, feesWei: bigint): void {
  const { plan, book, progress } = run;
  const { price, providerBond, clientBond } = progress.deal;
  const blames = plan.provider.isHonest ? [] : plan.admittedBy;
  if (ruling === rulingNumbers.forClient) {
    book.add("rule", surplusOf(run) - providerBond, ...bondBlames, ...blames);
    return;
  }
  const lost = ruling === rulingNumbers.forProvider ? price + clientBond : price / 2n;
  book.add("rule", lost + feesWei, raise("appeal.maxAppeals"), lower("bond.client"), ...blames);
}

function bookProvidersCase(run: Run, ruling: number, feesWei: bigint, lastedS: number): void {
  const { book, progress } = run;
  const { price, providerBond } = progress.deal;
  const lost =
    ruling === rulingNumbers.forClient ? price + providerBond : ruling === rulingNumbers.even ? price / 2n : 0n;
  book.add(
    "rule",
    lost + feesWei,
    raise("appeal.maxAppeals"),
    raise("bond.client"),
    lower("bond.exposure"),
    lower("bond.least"),
  );
  book.add(
    "rule",
    lockCost(run, price + providerBond, lastedS),
    lower("deadline.arbitration"),
    lower("appeal.maxAppeals"),
    raise("bond.client"),
  );
}

/** Cost of locked money. */
function lockCost({ scenario }: Run, amountWei: bigint, seconds: number): bigint {
  return (amountWei * scenario.capitalPpmPerDay * BigInt(seconds)) / (86_400n * BigInt(MILLION));
}

function resultOf(run: Run, deal: Deal): DealResult {
  const { plan, progress, endS, scenario, book } = run;
  if (progress.payout === null) throw new Error(`a simulated deal ended as ${progress.state}, unpaid`);
  const lastedS = endS - plan.timeS;
  const clientLock = lockCost(run, deal.price + deal.clientBond, lastedS);
  const providerLock = lockCost(run, deal.providerBond, lastedS);
  if (plan.client.isHonest) book.add("open", clientLock, lower("bond.client"), lower("deadline.review"));
  if (plan.provider.isHonest) {
    const { clientBond, providerBond } = deal;
    if (clientBond > 0n) book.add("open", lockCost(run, clientBond, lastedS), lower("bond.client"));
    if (providerBond > 0n) {
      book.add(
        "open",
        providerLock,
        lower("bond.exposure"),
        lower("bond.factorAtZero"),
        lower("bond.halfScore"),
        lower("bond.least"),
      );
    }
  }
  const { toClient, toProvider } = progress.payout;
  // Opening, and half of what follows, is sent by each side; the machine counts the steps.
  const clientGas = scenario.gasWei * BigInt(Math.ceil(run.transactions / 2));
  const providerGas = scenario.gasWei * BigInt(Math.floor(run.transactions / 2));
  return {
    progress,
    endS,
    seen: run.seen,
    examineWei: run.examineWei,
    transactions: run.transactions,
    clientNetWei: toClient - deal.price - deal.clientBond - clientLock - run.clientFeesWei - run.examineWei - clientGas,
    providerNetWei: toProvider - deal.providerBond - providerLock - run.providerFeesWei - providerGas,
    juryWei: run.clientFeesWei + run.providerFeesWei,
  };
}
