import { ALPHA } from "#protocol";
import type { TopicGraph } from "../graph.ts";
import { extrapolate } from "./extrapolate.ts";
import { operations } from "./kernel.ts";
import { HISTORY, type Layout } from "./layout.ts";
import type { Team } from "./team.ts";

/** α as a real number. */
export const RESTART = Number(ALPHA) / 65536;

/** How much of the residual one correction in 32-bit floats takes off: they have 24 bits, and sums lose some. */
const CORRECTION_GOAL = 2 ** -17;
/** A correction starts from a residual of about this much in all, so that what is small in it stays normal in 32 bits. */
const CORRECTION_MASS = 2 ** 60;
/** 0.85^k falls below 2^-17 after 73 sweeps; more means that rounding holds the correction up, and the next one starts. */
const MAX_CORRECTION_SWEEPS = 100;
/** Each correction takes off some five digits: more would mean that 64-bit rounding is reached, and the bound says so. */
const MAX_CORRECTIONS = 8;

export interface FloatOptions {
  /** Ends at ‖t - F(t)‖₁ ≤ this. */
  readonly residualGoal: number;
  /** By seat, any scale: where to begin, for instance the last epoch's scores. Default: the prior. */
  readonly start?: ArrayLike<number>;
  /** After each sweep: sweeps so far, and an estimate of ‖t - F(t)‖₁. */
  readonly onSweep?: (sweep: number, residual: number) => void;
}

/** Scores of a layout's rows, in its memory, before they are scaled to sum 1. */
export interface FloatResult {
  /** Σ of scores64. */
  readonly sum: number;
  /** Upper bound of ‖t - F(t)‖₁ for t = scores64 / sum, measured at exactly these scores. */
  readonly residual: number;
  readonly sweeps: { readonly single: number; readonly double: number };
}

/**
 * Solves y = (1-α)Cᵀy + p; t = y / Σy is EigenTrust with silent rows giving to the prior (Langville and Meyer 2006, ch. 8).
 *
 * Mixed-precision refinement: the residual is taken in 64-bit floats, and the correction d = (1-α)Cᵀd + r is solved in
 * 32-bit floats with extrapolation every six sweeps. What is published is the last residual in 64 bits.
 */
export async function solveFloat(
  graph: TopicGraph,
  layout: Layout,
  team: Team,
  { residualGoal, start, onSweep }: FloatOptions,
): Promise<FloatResult> {
  const views = viewsOf(layout);
  fillConstants(graph, layout, views);
  if (start === undefined) views.scores.set(views.prior);
  else for (let row = 0; row < layout.rowCount; row++) views.scores[row] = start[seatAt(layout, row)] ?? 0;
  const sweeps = { single: 0, double: 0 };
  for (let round = 0; ; round++) {
    await takeResidual(layout, views, team);
    sweeps.double++;
    const { sum, residual } = balance(views);
    // For r that sums to 0 and y = t·Y: F(t) - t = r / Y.
    const bound = residual / sum;
    onSweep?.(sweeps.single + sweeps.double, bound);
    if (bound <= residualGoal || round >= MAX_CORRECTIONS) return { sum, residual: bound, sweeps: { ...sweeps } };
    const goal = Math.max(residual * CORRECTION_GOAL, (residualGoal * sum) / 2);
    sweeps.single += await correct(layout, views, team, { residual, goal }, (sweep, left) => {
      onSweep?.(sweeps.single + sweeps.double + sweep, left / sum);
    });
  }
}

/** By seat, scaled to sum 1. */
export function readScores(layout: Layout, { sum }: FloatResult): Float64Array {
  const { scores } = viewsOf(layout);
  const bySeat = new Float64Array(layout.rowCount);
  for (let row = 0; row < layout.rowCount; row++) bySeat[seatAt(layout, row)] = (scores[row] as number) / sum;
  return bySeat;
}

export function seatAt({ seatOf }: Layout, row: number): number {
  return seatOf[row] as number;
}

type Views = ReturnType<typeof viewsOf>;

function viewsOf({ memory, addresses, paddedCount }: Layout) {
  const floats = (address: number) => new Float32Array(memory.buffer, address, paddedCount);
  const doubles = (address: number) => new Float64Array(memory.buffer, address, paddedCount);
  return {
    iterates: addresses.iterates.map(floats),
    restart32: floats(addresses.restart32),
    scale32: floats(addresses.scale32),
    gifts32: addresses.gifts32.map(floats),
    scale: doubles(addresses.scale64),
    prior: doubles(addresses.restart64),
    scores: doubles(addresses.scores64),
    gifts: doubles(addresses.gifts64),
    residual: doubles(addresses.residual64),
  };
}

function fillConstants(graph: TopicGraph, layout: Layout, { scale, scale32, prior }: Views): void {
  let priorSum = 0;
  for (const p of graph.priors) priorSum += p;
  for (let row = 0; row < layout.rowCount; row++) {
    const seat = seatAt(layout, row);
    const rowSum = graph.rowSums[seat] as number;
    scale[row] = rowSum === 0 ? 0 : (1 - RESTART) / rowSum;
    prior[row] = (graph.priors[seat] as number) / priorSum;
  }
  scale32.set(scale);
}

async function takeResidual({ addresses }: Layout, { scores, scale, gifts }: Views, team: Team): Promise<void> {
  for (let row = 0; row < gifts.length; row++) gifts[row] = (scores[row] as number) * (scale[row] as number);
  const { starts, offsets, weights, gifts64, restart64, scores64, residual64 } = addresses;
  await team.run(operations.sweep64, [starts, offsets, weights, gifts64, restart64, scores64, residual64, 0, 0]);
}

/**
 * Scales y, and its residual with it, so that the residual sums to 0: with no silent rows the correction then sums to 0 as
 * well, and has no part in the slowest direction, that of y itself (71 sweeps instead of 38 on 1M agents, 10M edges).
 */
function balance({ scores, prior, residual }: Views): { sum: number; residual: number } {
  let sum = 0;
  let surplus = 0;
  for (let row = 0; row < scores.length; row++) {
    sum += scores[row] as number;
    surplus += residual[row] as number;
  }
  // Σ(p + Ay - y) = surplus and Σp = 1, so that Σ(y - Ay) = 1 - surplus, which is at least α·Σy.
  const factor = 1 / (1 - surplus);
  let left = 0;
  for (let row = 0; row < scores.length; row++) {
    const p = prior[row] as number;
    const value = ((residual[row] as number) - p) * factor + p;
    residual[row] = value;
    scores[row] = (scores[row] as number) * factor;
    left += Math.abs(value);
  }
  return { sum: sum * factor, residual: left };
}

/** Adds the solution d of d = (1-α)Cᵀd + r, as good as 32 bits make it, to the scores. @returns sweeps taken */
async function correct(
  { addresses }: Layout,
  views: Views,
  team: Team,
  { residual, goal }: { readonly residual: number; readonly goal: number },
  onSweep: (sweep: number, residual: number) => void,
): Promise<number> {
  const { iterates, restart32, scale32, gifts32 } = views;
  // A power of two: scaling rounds nothing.
  const factor = 2 ** Math.floor(Math.log2(CORRECTION_MASS / residual));
  for (let row = 0; row < restart32.length; row++) restart32[row] = (views.residual[row] as number) * factor;
  (iterates[0] as Float32Array).set(restart32);
  const give = (iterate: Float32Array) => {
    const gifts = gifts32[0] as Float32Array;
    for (let row = 0; row < gifts.length; row++) gifts[row] = (iterate[row] as number) * (scale32[row] as number);
  };
  give(iterates[0] as Float32Array);
  const { starts, offsets, weights } = addresses;
  let at = 0;
  let side = 0;
  let sweep = 0;
  while (sweep < MAX_CORRECTION_SWEEPS) {
    const [old, out] = [addresses.iterates[at] as number, addresses.iterates[at + 1] as number];
    const [from, to] = side === 0 ? addresses.gifts32 : [addresses.gifts32[1], addresses.gifts32[0]];
    const edges = [starts, offsets, weights] as const;
    const moved =
      (await team.run(operations.sweep32, [...edges, from, addresses.restart32, addresses.scale32, old, out, to])) /
      factor;
    sweep++;
    at++;
    side = 1 - side;
    onSweep(sweep, moved);
    if (moved <= goal) break;
    if (at < HISTORY - 1) continue;
    const last = iterates[at] as Float32Array;
    const first = iterates[0] as Float32Array;
    if (!extrapolate(iterates, first)) first.set(last);
    give(first);
    at = 0;
    side = 0;
  }
  const solution = iterates[at] as Float32Array;
  const { scores } = views;
  for (let row = 0; row < scores.length; row++)
    scores[row] = (scores[row] as number) + (solution[row] as number) / factor;
  return sweep;
}
