import { accept, reject, type Verdict } from "../../errors.ts";
import { rowsOf, weigh, type Agency, type Row } from "../agency.ts";
import { add, compare, fraction, subtract, zero, type Fraction } from "../fraction.ts";
import { dualBound, isDualFeasible, isImplementedBy, type Dual, type Program } from "../implementation.ts";
import { MAX_DUAL, type Optimality } from "../optimality.ts";
import type { MechanismDocument, OutcomeClause } from "./schema.ts";
import { agencyOf, paymentsOf, type DealAmounts } from "./terms.ts";

// The implementation program over payments that the escrow can make. It knows one price: what completes and what an arbiter
// rules for the provider pay the whole of it, an even ruling half; a refund and a ruling for the client cost the bond; a
// signed split pays anything up to the price. So the price is one variable, each split another, everything else a constant.

/** What an outcome pays: a constant, or halves of one variable of the program, and a constant. */
interface EnforcedPayment {
  readonly constant: bigint;
  readonly column?: number;
  /** 2 = the whole variable, 1 = half of it. */
  readonly halves: bigint;
}

/** The follower's program under the escrow's rules, and how to read it. */
export interface EnforceableProgram extends Program {
  /** Expected value of the constants: added to the program's value, it is the expected payment. */
  readonly constant: Fraction;
  /** The column of each outcome; undefined = its payment is a constant. */
  readonly columns: readonly (number | undefined)[];
}

/** Rows count in halves, because an even ruling pays half of the price. */
const HALVES = 2n;

function enforcedPayment(
  { settlement }: OutcomeClause,
  split: number,
  { bond }: MechanismDocument,
  bondWei: bigint,
): EnforcedPayment {
  switch (settlement) {
    case "complete":
      return { constant: 0n, column: 0, halves: 2n };
    case "ruling-provider":
      return { constant: bond.clientBondWei, column: 0, halves: 2n };
    case "ruling-even":
      return { constant: 0n, column: 0, halves: 1n };
    case "split":
      return { constant: 0n, column: split, halves: 2n };
    case "refund":
    case "ruling-client":
      return { constant: -bondWei, halves: 0n };
    case "cancel":
    case "none":
      return { constant: 0n, halves: 0n };
  }
}

/**
 * The program of one action: rows of `rowsOf` without the bond's shift, as payments below zero are constants here, then one
 * row a split, which pays at most the price.
 */
export function enforceableProgramOf(document: MechanismDocument, agency: Agency, action: number): EnforceableProgram {
  const splits = document.outcomes.filter(({ settlement }) => settlement === "split");
  const width = 1 + splits.length;
  const payments = document.outcomes.map((outcome) =>
    enforcedPayment(outcome, 1 + splits.indexOf(outcome), document, agency.bond),
  );
  const combine = (coefficients: readonly bigint[]): bigint[] => {
    const columns = Array.from({ length: width }, () => 0n);
    for (const [o, { column, halves }] of payments.entries())
      if (column !== undefined) columns[column] = (columns[column] as bigint) + halves * (coefficients[o] as bigint);
    return columns;
  };
  const constants = payments.map(({ constant }) => constant);
  const rows: Row[] = rowsOf({ ...agency, bond: 0n }, action).map(({ coefficients, demand }) => ({
    coefficients: combine(coefficients),
    demand: HALVES * (demand - weigh(coefficients, constants)),
  }));
  for (let split = 1; split < width; split++) {
    const coefficients = Array.from({ length: width }, (_, k) => (k === 0 ? HALVES : k === split ? -HALVES : 0n));
    rows.push({ coefficients, demand: 0n });
  }
  const law = agency.laws[action] as readonly bigint[];
  return {
    ...{ rows, objective: combine(law), unit: HALVES * agency.lawUnit },
    constant: fraction(weigh(law, constants), agency.lawUnit),
    columns: payments.map(({ column }) => column),
  };
}

/** Why payments do not make an action the follower's best response: it would stay away, or do something else. */
export type PaymentFault =
  | { readonly kind: "bond"; readonly outcome: number }
  | { readonly kind: "participation"; readonly short: Fraction }
  | { readonly kind: "incentive"; readonly other: number; readonly short: Fraction };

/** The first row that given payments break, exactly; undefined if the action is a best response worth taking part for. */
export function faultOfPayments(agency: Agency, action: number, payments: readonly bigint[]): PaymentFault | undefined {
  const beyond = payments.findIndex((payment) => payment < -agency.bond);
  if (beyond >= 0) return { kind: "bond", outcome: beyond };
  const rows = rowsOf({ ...agency, bond: 0n }, action);
  const others = agency.laws.map((_, k) => k).filter((k) => k !== action);
  for (const [i, { coefficients, demand }] of rows.entries()) {
    const short = demand - weigh(coefficients, payments);
    if (short <= 0n) continue;
    const missing = fraction(short, agency.lawUnit);
    return i === 0
      ? { kind: "participation", short: missing }
      : { kind: "incentive", other: others[i - 1] as number, short: missing };
  }
  return undefined;
}

/**
 * The follower's check before it signs, O(actions × outcomes) products: with the price and the bond of this very deal the target
 * action is its best response, and no payments that the escrow can make would do it for less than `maxGapWei` below.
 * Rejects PROOF_ABSENT, PROOF_DUAL_SIZE, PROOF_NOT_IMPLEMENTED, PROOF_DUAL, PROOF_GAP.
 */
export function checkMechanismProof(
  document: MechanismDocument,
  amounts: DealAmounts,
  dual: Dual | undefined,
): Verdict<Optimality | undefined> {
  const agency = agencyOf(document, amounts.bondWei);
  if (agency === undefined || document.agency === null) return accept(undefined);
  if (dual === undefined) return reject("PROOF_ABSENT", "the rules state a law, and the offer proves nothing of it");
  if (dual.denominator > MAX_DUAL || dual.numerators.some((y) => y > MAX_DUAL))
    return reject("PROOF_DUAL_SIZE", "a dual value has more than 4096 bits");
  const { target, maxGapWei } = document.agency;
  const payments = paymentsOf(document, amounts);
  if (!isImplementedBy(rowsOf(agency, target), agency.bond, payments))
    return reject("PROOF_NOT_IMPLEMENTED", `these payments do not make action ${target} a best response`);
  const program = enforceableProgramOf(document, agency, target);
  if (!isDualFeasible(program.rows, program.objective, dual))
    return reject("PROOF_DUAL", "the dual point is not feasible");
  const expectedPayment = fraction(weigh(agency.laws[target] as readonly bigint[], payments), agency.lawUnit);
  const leastPayment = add(dualBound(program.rows, dual, program.unit), program.constant);
  const gap = subtract(expectedPayment, leastPayment);
  if (compare(gap, zero) < 0) return reject("PROOF_GAP", "the escrow cannot make these payments");
  if (compare(gap, fraction(maxGapWei)) > 0)
    return reject(
      "PROOF_GAP",
      `up to ${gap.numerator}/${gap.denominator} above the proven least, ${maxGapWei} allowed`,
    );
  return accept({ expectedPayment, leastPayment, gap });
}
