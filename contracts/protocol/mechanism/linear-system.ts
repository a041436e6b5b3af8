/** x = numerators / denominator with denominator > 0. */
export interface ExactPoint {
  readonly numerators: readonly bigint[];
  readonly denominator: bigint;
}

/**
 * Solves a square system in integers by fraction-free elimination (Bareiss, Mathematics of Computation 22, 1968): every
 * division is exact, so entries stay as short as minors. Undefined if the matrix is singular.
 */
export function solveExactly(matrix: readonly (readonly bigint[])[], right: readonly bigint[]): ExactPoint | undefined {
  const size = matrix.length;
  const rows = matrix.map((row, i) => [...row, right[i] as bigint]);
  let previous = 1n;
  for (let k = 0; k < size; k++) {
    const found = rows.findIndex((row, i) => i >= k && row[k] !== 0n);
    if (found === -1) return undefined;
    [rows[k], rows[found]] = [rows[found] as bigint[], rows[k] as bigint[]];
    const pivotRow = rows[k] as bigint[];
    const pivot = pivotRow[k] as bigint;
    for (let i = 0; i < size; i++) {
      if (i === k) continue;
      const row = rows[i] as bigint[];
      const factor = row[k] as bigint;
      for (let j = 0; j <= size; j++)
        row[j] = (pivot * (row[j] as bigint) - factor * (pivotRow[j] as bigint)) / previous;
    }
    previous = pivot;
  }
  const sign = previous < 0n ? -1n : 1n;
  return { numerators: rows.map((row) => sign * (row[size] as bigint)), denominator: sign * previous };
}
