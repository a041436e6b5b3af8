import { HISTORY } from "./layout.ts";

/** Rows from the top that are always looked at: they carry most of the mass of a power-law graph. */
const HEAD_ROWS = 4_096;
/**
 * Beyond them every such row. To 1e-12 on 1M agents, 10M edges: 58 sweeps with all rows, 100 with every 32nd, and looking at
 * all costs as much as two sweeps each time.
 */
const SAMPLE_STEP = 4;
const SIZE = HISTORY - 1;
/** Keeps the system solvable when differences are nearly parallel. */
const RIDGE = 1e-9;

/**
 * Reduced-rank extrapolation (Eddy 1979; Sidi): the affine combination of the iterates whose step, were the map affine, is
 * shortest. The inner products are sampled.
 * @param iterates HISTORY successive iterates @param into may be one of them
 * @returns false, and nothing written, if the steps give no direction
 */
export function extrapolate(iterates: readonly Float32Array[], into: Float32Array): boolean {
  const factors = solveForOnes(gramOf(iterates));
  if (factors === undefined) return false;
  const [, x1, x2, x3, x4, x5, x6] = iterates as readonly Float32Array[] & { length: typeof HISTORY };
  const [c1, c2, c3, c4, c5, c6] = factors as [number, number, number, number, number, number];
  for (let row = 0; row < into.length; row++) {
    into[row] =
      c1 * ((x1 as Float32Array)[row] as number) +
      c2 * ((x2 as Float32Array)[row] as number) +
      c3 * ((x3 as Float32Array)[row] as number) +
      c4 * ((x4 as Float32Array)[row] as number) +
      c5 * ((x5 as Float32Array)[row] as number) +
      c6 * ((x6 as Float32Array)[row] as number);
  }
  return true;
}

/** Inner products of the steps between successive iterates. */
function gramOf(iterates: readonly Float32Array[]): Float64Array[] {
  const gram = Array.from({ length: SIZE }, () => new Float64Array(SIZE));
  const steps = new Float64Array(SIZE);
  const { length } = iterates[0] as Float32Array;
  for (let row = 0; row < length; row += row < HEAD_ROWS ? 1 : SAMPLE_STEP) {
    let before = (iterates[0] as Float32Array)[row] as number;
    for (let k = 0; k < SIZE; k++) {
      const after = (iterates[k + 1] as Float32Array)[row] as number;
      steps[k] = after - before;
      before = after;
    }
    for (let i = 0; i < SIZE; i++) {
      const line = gram[i] as Float64Array;
      for (let j = 0; j <= i; j++) line[j] = (line[j] as number) + (steps[i] as number) * (steps[j] as number);
    }
  }
  gram.forEach((line, i) => {
    for (let j = 0; j < i; j++) (gram[j] as Float64Array)[i] = line[j] as number;
  });
  return gram;
}

/** Solves G·c = 1 by elimination, then scales c to sum 1. */
function solveForOnes(gram: Float64Array[]): number[] | undefined {
  const trace = gram.reduce((sum, line, i) => sum + (line[i] as number), 0);
  if (!(trace > 0) || !Number.isFinite(trace)) return undefined;
  const rows = gram.map((line, i) => {
    const row = [...Array.from(line, (value) => value / trace), 1];
    row[i] = (row[i] as number) + RIDGE * (row[i] as number) + Number.MIN_VALUE;
    return row;
  });
  for (let column = 0; column < SIZE; column++) {
    const pivot = rows[column] as number[];
    // A Gram matrix is positive semidefinite: a pivot that is not above 0 means that the steps are dependent.
    if (!((pivot[column] as number) > 0)) return undefined;
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = (row[column] as number) / (pivot[column] as number);
      for (let k = column; k <= SIZE; k++) row[k] = (row[k] as number) - factor * (pivot[k] as number);
    }
  }
  const solution = rows.map((row, i) => (row[SIZE] as number) / (row[i] as number));
  const sum = solution.reduce((a, b) => a + b, 0);
  const factors = solution.map((value) => value / sum);
  return factors.every(Number.isFinite) ? factors : undefined;
}
