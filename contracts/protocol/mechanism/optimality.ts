import { accept, reject, type Verdict } from "../errors.ts";
import { checkAgency, rowsOf, weigh, type Agency } from "./agency.ts";
import { compare, fraction, subtract, zero, type Fraction } from "./fraction.ts";
import { dualBound, isDualFeasible, isImplementedBy, type Dual, type Implementation } from "./implementation.ts";

/**
 * The mechanism certificate: what a leader shows a follower, so that the follower sees in rationals, without solving
 * anything, that the payments make the action its best response and that no cheaper payments would.
 */
export interface OptimalityCertificate {
  readonly action: number;
  readonly payments: readonly bigint[];
  readonly dual: Dual;
}

/** What the check found: the payments cost `gap` more than the least possible, in units of the token. */
export interface Optimality {
  readonly expectedPayment: Fraction;
  readonly leastPayment: Fraction;
  readonly gap: Fraction;
}

/** A dual beyond this many bits is no vertex of a program within `checkAgency`'s bounds worth checking. */
export const MAX_DUAL = 2n ** 4096n;

export function certifyImplementation({ action, payments, dual }: Implementation): OptimalityCertificate {
  return { action, payments, dual };
}

/**
 * The follower's check, O(actions × outcomes) products: limited liability, participation, incentive compatibility, and
 * weak duality. `maxGap` is how much rounding to whole units may cost in expectation.
 */
export function checkOptimality(
  agency: Agency,
  { action, payments, dual }: OptimalityCertificate,
  maxGap: Fraction,
): Verdict<Optimality> {
  const formed = checkAgency(agency);
  if (formed.kind !== "accept") return formed;
  const law = agency.laws[action];
  if (law === undefined || !Number.isInteger(action))
    return reject("OPTIMALITY_ACTION", `there is no action ${action}`);
  if (payments.length !== law.length) return reject("OPTIMALITY_PAYMENTS", `${payments.length} payments`);
  if (dual.denominator > MAX_DUAL || dual.numerators.some((y) => y > MAX_DUAL)) {
    return reject("OPTIMALITY_DUAL_SIZE", "a dual value has more than 4096 bits");
  }
  const rows = rowsOf(agency, action);
  if (!isImplementedBy(rows, agency.bond, payments)) {
    return reject("OPTIMALITY_NOT_IMPLEMENTED", `the payments do not make action ${action} a best response`);
  }
  if (!isDualFeasible(rows, law, dual)) return reject("OPTIMALITY_DUAL", "the dual point is not feasible");
  const expectedPayment = fraction(weigh(law, payments), agency.lawUnit);
  const leastPayment = subtract(dualBound(rows, dual, agency.lawUnit), fraction(agency.bond));
  const gap = subtract(expectedPayment, leastPayment);
  if (compare(gap, zero) < 0) return reject("OPTIMALITY_GAP", "weak duality fails: the law unit or the dual is wrong");
  if (compare(gap, maxGap) > 0) {
    return reject("OPTIMALITY_GAP", `up to ${gap.numerator}/${gap.denominator} above the proven least payment`);
  }
  return accept({ expectedPayment, leastPayment, gap });
}
