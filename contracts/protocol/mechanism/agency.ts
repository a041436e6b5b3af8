import { accept, reject, type Verdict } from "../errors.ts";
import { fraction, type Fraction } from "./fraction.ts";

/**
 * One follower's hidden action (arXiv 2606.17368 eq. 18–19; Holmström 1979): it chooses an action that nobody sees, and
 * an outcome that everybody sees follows by the action's law. All money is in the token's smallest unit.
 */
export interface Agency {
  /** laws[action][outcome] in parts of `lawUnit`; each row sums to it. */
  readonly laws: readonly (readonly bigint[])[];
  readonly lawUnit: bigint;
  /** What an action costs the follower, and the only thing about it that is private. */
  readonly costs: readonly bigint[];
  /** What the follower has for sure if it does not take part. */
  readonly outside: bigint;
  /** What the follower can lose: no payment is below −bond. */
  readonly bond: bigint;
  /** κδ: what the change of reputation that follows an outcome is worth to the follower. */
  readonly reputationWorth: readonly bigint[];
}

/** Enough for every rule document within MAX_MECHANISM_BYTES; bounds what a stranger makes us compute. */
export const MAX_ACTIONS = 32;
export const MAX_OUTCOMES = 32;
/** Money and law units of at most 128 bits keep each sum of products within 512. */
const MAX_AMOUNT = 2n ** 128n;

/** Judges the form of a stranger's agency: sizes, ranges, and that every law is one. */
export function checkAgency(agency: Agency): Verdict<Agency> {
  const { laws, lawUnit, costs, reputationWorth, bond, outside } = agency;
  const outcomes = reputationWorth.length;
  if (laws.length === 0 || laws.length > MAX_ACTIONS || costs.length !== laws.length) {
    return reject("AGENCY_ACTIONS", `${laws.length} laws and ${costs.length} costs; at most ${MAX_ACTIONS} of each`);
  }
  if (outcomes === 0 || outcomes > MAX_OUTCOMES) return reject("AGENCY_OUTCOMES", `${outcomes} outcomes`);
  if (lawUnit <= 0n || lawUnit > MAX_AMOUNT) return reject("AGENCY_LAW_UNIT", `${lawUnit}`);
  for (const [action, law] of laws.entries()) {
    if (law.length !== outcomes) return reject("AGENCY_LAW_LENGTH", `action ${action} has ${law.length} outcomes`);
    if (law.some((part) => part < 0n)) return reject("AGENCY_LAW_NEGATIVE", `action ${action}`);
    const total = law.reduce((sum, part) => sum + part, 0n);
    if (total !== lawUnit) return reject("AGENCY_LAW_SUM", `action ${action} sums to ${total}, not ${lawUnit}`);
  }
  const amounts = [...costs, ...reputationWorth, bond, outside];
  if (amounts.some((amount) => amount > MAX_AMOUNT || amount < -MAX_AMOUNT)) {
    return reject("AGENCY_AMOUNT", "an amount is beyond 2^128");
  }
  return bond < 0n ? reject("AGENCY_BOND", `the bond ${bond} is negative`) : accept(agency);
}

/** Σ law × worth, still to be divided by the law unit. */
export function weigh(law: readonly bigint[], worths: readonly bigint[]): bigint {
  let sum = 0n;
  for (let o = 0; o < law.length; o++) sum += (law[o] as bigint) * (worths[o] as bigint);
  return sum;
}

/** The expected value of something paid by outcome, under one action. */
export function expectationOf({ laws, lawUnit }: Agency, action: number, worths: readonly bigint[]): Fraction {
  return fraction(weigh(laws[action] ?? [], worths), lawUnit);
}

/** One row of the implementation program times the law unit: Σ coefficients × s ≥ demand, for s = t + bond ≥ 0. */
export interface Row {
  readonly coefficients: readonly bigint[];
  readonly demand: bigint;
}

/**
 * The program's rows for one action: first participation, then incentive compatibility against every other action in
 * ascending order. The shift by the bond leaves IC rows alone, because laws sum to the same unit.
 */
export function rowsOf(agency: Agency, action: number): readonly Row[] {
  const { laws, lawUnit, costs, outside, bond, reputationWorth } = agency;
  const law = laws[action] as readonly bigint[];
  const cost = costs[action] as bigint;
  const rows: Row[] = [{ coefficients: law, demand: (cost + outside + bond) * lawUnit - weigh(law, reputationWorth) }];
  for (const [other, otherLaw] of laws.entries()) {
    if (other === action) continue;
    const coefficients = law.map((part, o) => part - (otherLaw[o] as bigint));
    const gain = (cost - (costs[other] as bigint)) * lawUnit;
    rows.push({ coefficients, demand: gain - weigh(coefficients, reputationWorth) });
  }
  return rows;
}
