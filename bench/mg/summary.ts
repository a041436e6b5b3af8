import type { Outcome } from "./simulate.ts";

/** Mean over seeds, and its standard error. */
export interface Estimate {
  readonly mean: number;
  readonly error: number;
}

export type Summary = Readonly<Record<keyof Outcome, Estimate>>;

export function summarise(outcomes: readonly Outcome[]): Summary {
  const keys = Object.keys(outcomes[0] as Outcome) as (keyof Outcome)[];
  return Object.fromEntries(keys.map((key) => [key, estimate(outcomes.map((outcome) => outcome[key]))])) as Summary;
}

export function estimate(values: readonly number[]): Estimate {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, error: Math.sqrt(squares / Math.max(1, values.length - 1) / values.length) };
}
