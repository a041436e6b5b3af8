// The state of a market and the moves of its money.
import type { Genes } from "./attack.ts";
import type { Calendar } from "./calendar.ts";
import type { Rules } from "./clauses.ts";
import type { DealSide } from "./deal-run.ts";
import { createDraw, type Draw } from "./draw.ts";
import type { Standpoint } from "./eligibility.ts";
import { LossBook } from "./losses.ts";
import type { Action, MarketScenario, Outcome } from "./scenario.ts";
import { Standing } from "./standing.ts";

/** Any second far from zero: the machines take Unix time. */
export const START_S = 1_800_000_000;
export const DAY_S = 86_400;
export const WEEK_S = 7 * DAY_S;
/** Parts of one task stay below it: keys of draws are made with them. */
export const MAX_PARTS = 8;
/** Second of a day on which the n-th thing of a market happens; they spread over it. */
export const SPREAD_S = 420;
/** Tasks of the attacker are numbered apart from honest ones, whose draws stay as they are. */
export const WASH_TASKS = 1_000_000;
export const FALSE_TASKS = 2_000_000;
/** Streams of the draw. */
export const streams = {
  size: 1,
  outcome: 2,
  pick: 3,
  review: 4,
  ruling: 5,
  past: 6,
  tab: 7,
  calendar: 8,
  wash: 9,
} as const;

export interface Agent extends DealSide {
  readonly seat: number;
  readonly isIncumbent: boolean;
  /** Money that is free; attackers share one purse instead. */
  freeWei: bigint;
  utilityWei: bigint;
  goodDeals: number;
  isMarked: boolean;
}

export interface Lock {
  readonly endS: number;
  readonly agent: Agent;
  readonly amountWei: bigint;
}

export interface Market {
  readonly scenario: MarketScenario;
  readonly rules: Rules;
  readonly attack: Genes;
  readonly draw: Draw;
  readonly standing: Standing;
  readonly book: LossBook;
  readonly clients: Agent[];
  readonly providers: Agent[];
  readonly buyers: Agent[];
  /** By seat, then by size and kind of task. */
  readonly standpoints: Map<number, Standpoint>[];
  readonly joining: Map<number, Map<bigint, boolean>>;
  nextUnlockS: number;
  locks: Lock[];
  pending: { readonly endS: number; apply: () => void }[];
  purseWei: bigint;
  legitWei: bigint;
  firstBestWei: bigint;
  taskCount: number;
  washCount: number;
  falseCount: number;
  deals: number;
  newcomerDeals: number;
  betrayed: number;
  unmatched: number;
}

export function createMarket(scenario: MarketScenario, rules: Rules, attack: Genes, seed: number): Market {
  return {
    ...{ scenario, rules, attack, draw: createDraw(seed), standing: new Standing(), book: new LossBook() },
    ...{ clients: [], providers: [], buyers: [], locks: [], pending: [] },
    ...{ standpoints: [], joining: new Map(), nextUnlockS: Infinity },
    ...{ purseWei: scenario.attacker.budgetWei, legitWei: 0n, firstBestWei: 0n },
    ...{ taskCount: 0, washCount: 0, falseCount: 0, deals: 0, newcomerDeals: 0, betrayed: 0, unmatched: 0 },
  };
}

export function admit(
  market: Market,
  isHonest: boolean,
  options: { stakeWei: bigint; freeWei: bigint; awayS: number; isIncumbent?: boolean },
): Agent {
  const seat = market.standing.admit(options.stakeWei);
  const calendar: Calendar = { awayFromS: market.draw(streams.calendar, seat, 0, WEEK_S), awayS: options.awayS };
  return {
    ...{ seat, agentId: BigInt(seat), isHonest, calendar, isIncumbent: options.isIncumbent ?? false },
    ...{ freeWei: options.freeWei, utilityWei: 0n, goodDeals: 0, isMarked: false },
  };
}

export interface Task {
  readonly number: number;
  readonly timeS: number;
  readonly size: number;
  readonly isTab: boolean;
}

export const targetAction = ({ providers }: MarketScenario) =>
  providers.actions[providers.actions.length - 1] as Action;

export function outcomeAt({ law }: Action, drawn: number): Outcome {
  return drawn < law[0] ? 0 : drawn < law[0] + law[1] ? 1 : 2;
}

export function applyPending(market: Market, timeS: number): void {
  const due = market.pending.filter(({ endS }) => endS <= timeS);
  if (due.length === 0) return;
  market.pending = market.pending.filter(({ endS }) => endS > timeS);
  for (const { apply } of due) apply();
}

export function unlock(market: Market, timeS: number): void {
  if (timeS < market.nextUnlockS) return;
  const due = market.locks.filter(({ endS }) => endS <= timeS);
  market.locks = market.locks.filter(({ endS }) => endS > timeS);
  market.nextUnlockS = market.locks.reduce((first, { endS }) => Math.min(first, endS), Infinity);
  for (const { agent, amountWei } of due) {
    if (agent.isHonest || agent.isIncumbent) agent.freeWei += amountWei;
    else market.purseWei += amountWei;
  }
}

/** Turncoats use their own capital, other identities the purse. */
export const freeOf = (market: Market, agent: Agent) =>
  agent.isHonest || agent.isIncumbent ? agent.freeWei : market.purseWei;

export function lock(market: Market, agent: Agent, amountWei: bigint, endS: number): void {
  if (agent.isHonest || agent.isIncumbent) agent.freeWei -= amountWei;
  else market.purseWei -= amountWei;
  market.locks.push({ endS, agent, amountWei });
  market.nextUnlockS = Math.min(market.nextUnlockS, endS);
}

export function pay(market: Market, agent: Agent, amountWei: bigint): void {
  agent.utilityWei += amountWei;
  if (agent.isHonest || agent.isIncumbent) agent.freeWei += amountWei;
  else market.purseWei += amountWei;
}
