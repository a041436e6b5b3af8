import { accept, reject, type Verdict } from "../../errors.ts";
import { weigh } from "../agency.ts";
import { add, ceil, compare, fraction, subtract, toNumber, zero, type Fraction } from "../fraction.ts";
import { solveProgram, type Dual } from "../implementation.ts";
import { enforceableProgramOf, faultOfPayments, type EnforceableProgram } from "./enforce.ts";
import type { MechanismDocument, OutcomeClause } from "./schema.ts";
import { agencyOf, paymentsOf, postedPriceOf } from "./terms.ts";

/** Rules with the cheapest payments that the escrow can make for one action, and the proof of it. */
export interface SolvedMechanism {
  readonly document: MechanismDocument;
  readonly dual: Dual;
  readonly expectedPayment: Fraction;
  readonly leastPayment: Fraction;
  /** What the leader expects to keep. */
  readonly surplus: Fraction;
}

/**
 * Fills in the payments of rules that state a law: for one action, or for the action that leaves the leader most. The bond is
 * the document's least one. Payments are whole units, rounded towards the follower and verified again in integers.
 * Rejects SOLVE_NO_AGENCY, SOLVE_NO_PRICE, SOLVE_ACTION, SOLVE_INFEASIBLE.
 */
export function solveMechanism(document: MechanismDocument, action?: number): Verdict<SolvedMechanism> {
  const { agency: clause, outcomes, award } = document;
  if (clause === null) return reject("SOLVE_NO_AGENCY", "the rules state no actions and no law to solve for");
  if (award.rule !== "posted-price" || !outcomes.some(({ settlement }) => settlement === "complete"))
    return reject("SOLVE_NO_PRICE", "payments are solved for a posted price, paid by an outcome that completes");
  if (action !== undefined && clause.actions[action] === undefined)
    return reject("SOLVE_ACTION", `there is no action ${action} of ${clause.actions.length}`);
  const candidates = action === undefined ? clause.actions.map((_, k) => k) : [action];
  let best: SolvedMechanism | undefined;
  for (const candidate of candidates) {
    const solved = solveFor(document, candidate);
    if (solved !== undefined && (best === undefined || compare(solved.surplus, best.surplus) > 0)) best = solved;
  }
  const sought = action === undefined ? "any action" : `"${clause.actions[action]?.name ?? action}"`;
  return best === undefined
    ? reject("SOLVE_INFEASIBLE", `no payments that the escrow can make implement ${sought}; a larger bond may`)
    : accept(best);
}

function solveFor(document: MechanismDocument, target: number): SolvedMechanism | undefined {
  const agency = agencyOf(document, document.bond.leastWei);
  if (agency === undefined || document.agency === null) return undefined;
  const program = enforceableProgramOf(document, agency, target);
  const exact = solveProgram(program);
  if (exact === undefined) return undefined;
  for (const point of [exact.point, raisedPoint(document, program, target)]) {
    if (point === undefined) continue;
    const priced = withPayments(document, program, point.map(ceil), target);
    const amounts = { priceWei: postedPriceOf(priced) ?? 0n, bondWei: agency.bond };
    const payments = paymentsOf(priced, amounts);
    if (amounts.priceWei === 0n || faultOfPayments(agency, target, payments) !== undefined) continue;
    const law = agency.laws[target] as readonly bigint[];
    const expectedPayment = fraction(weigh(law, payments), agency.lawUnit);
    const rewards = document.outcomes.map(({ rewardWei }) => rewardWei);
    const surplus = subtract(fraction(weigh(law, rewards), agency.lawUnit), expectedPayment);
    return {
      document: priced,
      dual: exact.dual,
      expectedPayment,
      leastPayment: add(exact.value, program.constant),
      surplus,
    };
  }
  return undefined;
}

/**
 * Rounded up, each payment grows by less than a unit, so that a row loses less than the sum of the law's negative differences:
 * the program whose demands are higher by that much keeps its rows after rounding.
 */
function raisedPoint(document: MechanismDocument, program: EnforceableProgram, target: number) {
  const laws = document.agency?.actions.map(({ law }) => law) ?? [];
  const law = laws[target] ?? [];
  const losses = [0n, ...laws.filter((_, k) => k !== target).map((other) => lossOf(law, other))];
  const rows = program.rows.map(({ coefficients, demand }, i) => ({
    coefficients,
    demand: demand + 2n * (losses[i] ?? 0n) + (i < losses.length ? 0n : 2n),
  }));
  return solveProgram({ ...program, rows })?.point;
}

function lossOf(law: readonly bigint[], other: readonly bigint[]): bigint {
  return law.reduce((sum, part, o) => {
    const difference = part - (other[o] as bigint);
    return difference < 0n ? sum - difference : sum;
  }, 0n);
}

function withPayments(
  document: MechanismDocument,
  { columns }: EnforceableProgram,
  amounts: readonly bigint[],
  target: number,
): MechanismDocument {
  // A delivery that pays nothing is no deal on chain: a free action is paid one unit.
  const price = amounts[0] === 0n ? 1n : (amounts[0] as bigint);
  const outcomes = document.outcomes.map((outcome, o) => ({ ...outcome, payment: paymentOf(outcome, columns[o]) }));
  return { ...document, outcomes, agency: document.agency && { ...document.agency, target } };

  function paymentOf({ settlement }: OutcomeClause, column: number | undefined): OutcomeClause["payment"] {
    if (settlement === "refund" || settlement === "ruling-client") return { unit: "bond", amount: -1_000_000n };
    if (column === undefined) return { unit: "wei", amount: 0n };
    if (settlement === "ruling-even") return { unit: "price", amount: 500_000n };
    if (settlement === "ruling-provider") return { unit: "wei", amount: price + document.bond.clientBondWei };
    return { unit: "wei", amount: column === 0 ? price : (amounts[column] as bigint) };
  }
}

/** For people: a fraction with as many digits as they read. */
export const approximate = (value: Fraction): string =>
  compare(value, zero) === 0 ? "0" : toNumber(value).toLocaleString("en", { maximumFractionDigits: 6 });
