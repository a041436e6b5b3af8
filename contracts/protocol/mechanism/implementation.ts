import { solveCovering } from "./dual-simplex.ts";
import { rowsOf, weigh, type Agency, type Row } from "./agency.ts";
import { ceil, compare, fraction, gcd, subtract, type Fraction } from "./fraction.ts";
import { solveExactly } from "./linear-system.ts";

/**
 * The cheapest outcome-contingent payments under which one action is a follower's best response, with the proof that
 * nothing is cheaper.
 */
export interface Implementation {
  readonly action: number;
  /** Integers, one an outcome, at least −bond. IC and IR hold exactly. */
  readonly payments: readonly bigint[];
  readonly expectedPayment: Fraction;
  /** The least expected payment of all, rational payments included. */
  readonly leastPayment: Fraction;
  /** The dual solution that proves it, in the order of `rowsOf`. */
  readonly dual: Dual;
}

/** y = numerators / denominator, all ≥ 0. */
export interface Dual {
  readonly numerators: readonly bigint[];
  readonly denominator: bigint;
}

/**
 * The least expected payment of every action as a double, for choosing among many; Infinity where no payment implements
 * the action. The program is built in doubles: turning its rows from integers took two thirds of the time.
 */
export function estimatePayments({ laws, lawUnit, costs, outside, bond, reputationWorth }: Agency): Float64Array {
  const actions = laws.length;
  const columns = reputationWorth.length;
  const unit = Number(lawUnit);
  const chances = new Float64Array(actions * columns);
  // What an action costs net of what it does for the follower's reputation.
  const nets = new Float64Array(actions);
  for (let a = 0; a < actions; a++) {
    let net = Number(costs[a]);
    for (let o = 0; o < columns; o++) {
      const chance = Number((laws[a] as readonly bigint[])[o]) / unit;
      chances[a * columns + o] = chance;
      net -= chance * Number(reputationWorth[o]);
    }
    nets[a] = net;
  }
  const floor = Number(outside) + Number(bond);
  return Float64Array.from(nets, (net, action) => {
    const law = chances.subarray(action * columns, (action + 1) * columns);
    const matrix = new Float64Array(actions * columns);
    const demands = new Float64Array(actions);
    for (let a = 0; a < actions; a++) {
      demands[a] = a === action ? net + floor : net - (nets[a] as number);
      for (let o = 0; o < columns; o++) {
        matrix[a * columns + o] = (law[o] as number) - (a === action ? 0 : (chances[a * columns + o] as number));
      }
    }
    const solved = solveCovering({ rows: actions, columns, matrix, demands, costs: law });
    return solved.kind === "optimal" ? solved.value - Number(bond) : Infinity;
  });
}

/** min Σ objective × x / unit over x ≥ 0, with Σ coefficients × x ≥ demand in each row; all in whole units. */
export interface Program {
  readonly rows: readonly Row[];
  readonly objective: readonly bigint[];
  readonly unit: bigint;
}

/** The optimum of a program: a vertex, its value, and the dual point that proves it. */
export interface ProgramOptimum {
  readonly point: readonly Fraction[];
  readonly value: Fraction;
  readonly dual: Dual;
}

/**
 * Solves in doubles and repeats the final basis in integers. What doubles got wrong shows in the exact basis: undefined is
 * returned then, as for a program without a solution.
 */
export function solveProgram(program: Program): ProgramOptimum | undefined {
  const { rows, objective, unit } = program;
  const columns = objective.length;
  const matrix = new Float64Array(rows.length * columns);
  const demands = new Float64Array(rows.length);
  rows.forEach(({ coefficients, demand }, i) => {
    demands[i] = Number(demand) / Number(unit);
    for (let o = 0; o < columns; o++) matrix[i * columns + o] = Number(coefficients[o]) / Number(unit);
  });
  const solved = solveCovering({
    ...{ rows: rows.length, columns, matrix, demands },
    costs: Float64Array.from(objective, (part) => Number(part) / Number(unit)),
  });
  return solved.kind === "optimal" ? solveBasis(program, solved.basis) : undefined;
}

/**
 * The cheapest payments for one action, rounded to units towards the follower. Undefined for an action that no payment
 * implements, or that no integer payment implements (raise the unit, or the bond).
 */
export function implementAction(agency: Agency, action: number): Implementation | undefined {
  const program = { rows: rowsOf(agency, action), objective: agency.laws[action] ?? [], unit: agency.lawUnit };
  const exact = solveProgram(program);
  if (exact === undefined) return undefined;
  const payments = roundPayments(program, exact.point)?.map((shifted) => shifted - agency.bond);
  if (payments === undefined) return undefined;
  return {
    action,
    payments,
    expectedPayment: fraction(weigh(program.objective, payments), agency.lawUnit),
    leastPayment: subtract(exact.value, fraction(agency.bond)),
    dual: exact.dual,
  };
}

/** The primal and the dual point of a basis, in rationals; undefined if it is not optimal after all. */
function solveBasis({ rows, objective, unit }: Program, basis: readonly number[]): ProgramOptimum | undefined {
  const columns = objective.length;
  const inBasis = basis.filter((variable) => variable < columns);
  const surplus = new Set(basis.filter((variable) => variable >= columns).map((variable) => variable - columns));
  const tight = rows.map((_, i) => i).filter((i) => !surplus.has(i));
  if (inBasis.length !== tight.length) return undefined;
  const square = tight.map((i) => inBasis.map((o) => (rows[i] as Row).coefficients[o] as bigint));
  const primal = solveExactly(
    square,
    tight.map((i) => (rows[i] as Row).demand),
  );
  const transposed = inBasis.map((o) => tight.map((i) => (rows[i] as Row).coefficients[o] as bigint));
  const dualPoint = solveExactly(
    transposed,
    inBasis.map((o) => objective[o] as bigint),
  );
  if (primal === undefined || dualPoint === undefined) return undefined;

  const point = Array.from({ length: columns }, () => 0n);
  inBasis.forEach((o, k) => (point[o] = primal.numerators[k] as bigint));
  const numerators = rows.map(() => 0n);
  tight.forEach((i, k) => (numerators[i] = dualPoint.numerators[k] as bigint));
  const isPrimalFeasible =
    point.every((s) => s >= 0n) &&
    rows.every(({ coefficients, demand }) => weigh(coefficients, point) >= demand * primal.denominator);
  const dual = reduce(numerators, dualPoint.denominator);
  if (!isPrimalFeasible || !isDualFeasible(rows, objective, dual)) return undefined;
  const value = fraction(weigh(objective, point), unit * primal.denominator);
  return { point: point.map((numerator) => fraction(numerator, primal.denominator)), dual, value };
}

/** Gᵀy ≤ f and y ≥ 0. */
export function isDualFeasible(
  rows: readonly Row[],
  law: readonly bigint[],
  { numerators, denominator }: Dual,
): boolean {
  if (denominator <= 0n || numerators.length !== rows.length || numerators.some((y) => y < 0n)) return false;
  return law.every((part, o) => {
    let sum = 0n;
    for (let i = 0; i < rows.length; i++)
      sum += (numerators[i] as bigint) * ((rows[i] as Row).coefficients[o] as bigint);
    return sum <= part * denominator;
  });
}

/** hᵀy: no payments that implement the action cost less in expectation (weak duality), bond included. */
export function dualBound(rows: readonly Row[], { numerators, denominator }: Dual, lawUnit: bigint): Fraction {
  const sum = rows.reduce((total, { demand }, i) => total + demand * (numerators[i] as bigint), 0n);
  return fraction(sum, denominator * lawUnit);
}

/** Whether payments by outcome make the action a best response and worth taking part, within the bond; exactly. */
export function isImplementedBy(rows: readonly Row[], bond: bigint, payments: readonly bigint[]): boolean {
  const shifted = payments.map((payment) => payment + bond);
  return (
    shifted.every((s) => s >= 0n) && rows.every(({ coefficients, demand }) => weigh(coefficients, shifted) >= demand)
  );
}

/**
 * Whole units that keep every row. Rounding all payments up adds less than one unit to each, so a row loses less than
 * the sum of its negative coefficients: the program with demands raised by that much, rounded up, keeps the rows as they
 * are. Undefined where the raised program has no solution: the token's unit is too coarse for these costs then.
 */
function roundPayments(program: Program, point: readonly Fraction[]): readonly bigint[] | undefined {
  if (point.every(({ denominator }) => denominator === 1n)) return point.map(ceil);
  const rows = program.rows.map(({ coefficients, demand }) => ({
    coefficients,
    demand: coefficients.reduce((sum, part) => (part < 0n ? sum - part : sum), demand),
  }));
  return solveProgram({ ...program, rows })?.point.map(ceil);
}

function reduce(numerators: readonly bigint[], denominator: bigint): Dual {
  let divisor = denominator;
  for (const numerator of numerators) divisor = gcd(divisor, numerator < 0n ? -numerator : numerator);
  return { numerators: numerators.map((numerator) => numerator / divisor), denominator: denominator / divisor };
}

/** What an action is worth to the leader under its cheapest payments. */
export const surplusOf = (reward: Fraction, { expectedPayment }: Implementation) => subtract(reward, expectedPayment);

/** The best of a follower's actions for the leader; ties go to the lower action. Undefined if none beats `floor`. */
export function chooseAction(agency: Agency, rewards: readonly bigint[], floor: Fraction): Implementation | undefined {
  let best: { readonly implementation: Implementation; readonly surplus: Fraction } | undefined;
  for (const [action, law] of agency.laws.entries()) {
    const implementation = implementAction(agency, action);
    if (implementation === undefined) continue;
    const surplus = surplusOf(fraction(weigh(law, rewards), agency.lawUnit), implementation);
    if (compare(surplus, best?.surplus ?? floor) > 0) best = { implementation, surplus };
  }
  return best?.implementation;
}
