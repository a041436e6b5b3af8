import type { Rules } from "./clauses.ts";

/** Outcomes of a delivery, worst first: useless, usable in part, as agreed. */
export const outcomes = ["failed", "partial", "good"] as const;
export type Outcome = 0 | 1 | 2;

/** Laws are in millionths. */
export const LAW_UNIT = 1_000_000n;

/** One way to work. Costs are per unit of a task's size; outcomes follow by `law`. */
export interface Action {
  readonly name: string;
  readonly costWei: bigint;
  readonly law: readonly [number, number, number];
}

/**
 * A market in which a mechanism is tried: who is in it, what they can and want, and what an attacker has. All money is in the
 * smallest unit of a token with 6 decimals; amounts "per size" multiply with a task's size.
 */
export interface MarketScenario {
  readonly name: string;
  readonly title: string;
  /** A round is a day: every honest client posts its tasks once. */
  readonly rounds: number;
  readonly roundsPerEpoch: number;
  /** Sizes of tasks and how often they come. */
  readonly sizes: readonly { readonly size: number; readonly weight: number }[];
  readonly tasksPerClient: number;
  /** Parts of one task, done by different providers; the task is worth what its worst part makes of it. */
  readonly parts: number;
  readonly clients: {
    readonly count: number;
    readonly stakeWei: bigint;
    readonly budgetWei: bigint;
    /** Once in seven days a client is away for so long, and otherwise looks at a delivery after `responseS`. */
    readonly awayS: number;
    readonly responseS: number;
  };
  readonly providers: {
    readonly incumbents: number;
    /** Join later, without any history. */
    readonly newcomers: number;
    readonly stakeWei: bigint;
    readonly capitalWei: bigint;
    /** First is to do nothing, last is what the leader wants. */
    readonly actions: readonly Action[];
    readonly outsideWei: bigint;
    readonly workS: number;
    readonly awayS: number;
    /** Deals with good receipts that an incumbent brings along, and the size of the largest. */
    readonly pastDeals: number;
    readonly pastSize: number;
  };
  /** What an outcome is worth to the client, per size, for the whole task. `failed` is what an unnoticed failure costs. */
  readonly rewardsWei: readonly [failed: bigint, partial: bigint, good: bigint];
  readonly examineCostWei: bigint;
  /** Per transaction, whoever sends it; and per voucher signed and checked. */
  readonly gasWei: bigint;
  readonly voucherWei: bigint;
  /** Cost of locked money, in millionths a day. */
  readonly capitalPpmPerDay: bigint;
  /** What a credential of each level costs its holder. */
  readonly credentialWei: readonly [bigint, bigint, bigint, bigint];
  readonly juror: { readonly errorMillionths: number; readonly feeWei: bigint };
  /** Tasks that run by tab instead of by deal, in hundredths, and the units of one. */
  readonly tabs: { readonly shareHundredths: number; readonly units: number };
  readonly attacker: {
    readonly budgetWei: bigint;
    /** Identities at once, clients and providers together. */
    readonly identities: number;
    /** Incumbents that can be turned. */
    readonly turncoats: number;
  };
  /** The rules in force before the loop starts. */
  readonly initial: Rules;
}
