/**
 * min f·s subject to G s ≥ h, s ≥ 0, with f ≥ 0. The slack basis is then dual feasible, so that the dual simplex starts
 * at once, without a phase 1. Dense and in place: implementation programs have as many rows as actions and as many
 * columns as outcomes, a handful of each.
 */
export interface CoveringProgram {
  readonly rows: number;
  readonly columns: number;
  /** rows × columns, row by row. */
  readonly matrix: Float64Array;
  readonly demands: Float64Array;
  readonly costs: Float64Array;
}

/** Which variables are basic: column j is j, the surplus of row i is columns + i. Ascending. */
export type CoveringSolution =
  | {
      readonly kind: "optimal";
      readonly basis: readonly number[];
      readonly value: number;
      readonly point: Float64Array;
    }
  | { readonly kind: "infeasible" };

/** A row short by less than this share of the largest demand counts as met; what follows is verified in integers. */
const FEASIBILITY_TOLERANCE = 1e-11;
const PIVOT_TOLERANCE = 1e-12;
/** After so many pivots for each row and column Bland's rule, which cannot cycle, takes over from the steepest row. */
const STEEP_PIVOTS = 8;

export function solveCovering(program: CoveringProgram): CoveringSolution {
  const { rows, columns } = program;
  const width = columns + 1;
  // The dictionary: each basic variable as `constant + Σ coefficient × nonbasic`; the last row is the objective.
  const table = new Float64Array((rows + 1) * width);
  let scale = 1;
  for (let i = 0; i < rows; i++) {
    const demand = program.demands[i] as number;
    table[i * width] = -demand;
    if (Math.abs(demand) > scale) scale = Math.abs(demand);
    for (let j = 0; j < columns; j++) table[i * width + 1 + j] = program.matrix[i * columns + j] as number;
  }
  for (let j = 0; j < columns; j++) table[rows * width + 1 + j] = program.costs[j] as number;

  const basic = Array.from({ length: rows }, (_, i) => columns + i);
  const nonbasic = Array.from({ length: columns }, (_, j) => j);
  const bound = -FEASIBILITY_TOLERANCE * scale;
  for (let pivots = 0; ; pivots++) {
    const isSteep = pivots < STEEP_PIVOTS * (rows + columns);
    const leaving = chooseRow(table, rows, width, bound, isSteep ? undefined : basic);
    if (leaving === -1) break;
    const entering = chooseColumn(table, rows, width, leaving, nonbasic);
    if (entering === -1) return { kind: "infeasible" };
    pivot(table, rows, width, leaving, entering);
    const left = basic[leaving] as number;
    basic[leaving] = nonbasic[entering] as number;
    nonbasic[entering] = left;
  }
  const point = new Float64Array(columns);
  for (let i = 0; i < rows; i++) {
    const variable = basic[i] as number;
    if (variable < columns) point[variable] = Math.max(0, table[i * width] as number);
  }
  return { kind: "optimal", basis: basic.sort((a, b) => a - b), value: table[rows * width] as number, point };
}

/** The most violated row; by Bland's rule, the violated row whose variable has the least index. */
function chooseRow(table: Float64Array, rows: number, width: number, bound: number, bland?: readonly number[]): number {
  let chosen = -1;
  let best = bland === undefined ? bound : Infinity;
  for (let i = 0; i < rows; i++) {
    const constant = table[i * width] as number;
    if (constant >= bound) continue;
    const key = bland === undefined ? constant : (bland[i] as number);
    if (key < best) {
      best = key;
      chosen = i;
    }
  }
  return chosen;
}

/** The dual ratio test; ties go to the variable of least index. */
function chooseColumn(table: Float64Array, rows: number, width: number, row: number, nonbasic: readonly number[]) {
  let chosen = -1;
  let best = Infinity;
  for (let j = 0; j + 1 < width; j++) {
    const coefficient = table[row * width + 1 + j] as number;
    if (coefficient <= PIVOT_TOLERANCE) continue;
    const ratio = (table[rows * width + 1 + j] as number) / coefficient;
    if (ratio < best || (ratio === best && (nonbasic[j] as number) < (nonbasic[chosen] as number))) {
      best = ratio;
      chosen = j;
    }
  }
  return chosen;
}

function pivot(table: Float64Array, rows: number, width: number, row: number, column: number): void {
  const start = row * width;
  const inverse = 1 / (table[start + 1 + column] as number);
  for (let k = 0; k < width; k++) table[start + k] = -(table[start + k] as number) * inverse;
  table[start + 1 + column] = inverse;
  for (let i = 0; i <= rows; i++) {
    if (i === row) continue;
    const factor = table[i * width + 1 + column] as number;
    if (factor === 0) continue;
    table[i * width + 1 + column] = 0;
    for (let k = 0; k < width; k++)
      table[i * width + k] = (table[i * width + k] as number) + factor * (table[start + k] as number);
  }
}
