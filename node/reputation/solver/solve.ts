import { availableParallelism } from "node:os";
import type { Lambda } from "#protocol";
import type { TopicGraph } from "../graph.ts";
import { solveExact, type ExactPhase } from "./exact.ts";
import { readScores, RESTART, solveFloat, type FloatResult } from "./float.ts";
import { createLayout, releaseLayout, type Layout } from "./layout.ts";
import { createTeam, THREADED_EDGES, type Team } from "./team.ts";

/** Before the exact phase: a tenth of a unit of 2^-62 in each of a million rows. Small graphs stop at what doubles give. */
const EXACT_RESIDUAL = 1e-12;
/** Of scores that are not committed. */
export const DEFAULT_RESIDUAL = 1e-9;

export type SolvePhase = "float" | ExactPhase;

export interface SolveProgress {
  readonly topic: bigint;
  readonly phase: SolvePhase;
  readonly sweep: number;
  /** Float phase: ‖t - F(t)‖₁. Exact phases: seats that the sweep changed. */
  readonly remaining: number;
}

export interface SolveOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SolveProgress) => void;
  /** Threads that share a sweep. Default: all cores from a million edges on, else 1. The result does not depend on it. */
  readonly threadCount?: number;
  /**
   * Scores by seat to begin with, on any scale, usually the last epoch's; new seats may be missing. Real scores end within the
   * same bound whatever the start; of several exact fixed points another start may find another one.
   */
  readonly start?: ArrayLike<number>;
}

/** EigenTrust in doubles. */
export interface RealScores {
  /** By seat, sum 1. */
  readonly scores: Float64Array;
  /** ‖t - F(t)‖₁, measured at exactly these scores. */
  readonly residual: number;
  /** ‖t - t*‖₁ is at most this: residual/α, since F contracts by 1 - α. */
  readonly errorBound: number;
  readonly sweeps: FloatResult["sweeps"];
}

/** An exact fixed point of the integer map. */
export interface TopicSolution {
  /** By seat; [0] is the dust. Sum: SCORE_SUM. */
  readonly scores: BigUint64Array;
  readonly lambda: Lambda;
  readonly sweeps: FloatResult["sweeps"] & Readonly<Record<ExactPhase, number>>;
}

/**
 * EigenTrust of one topic to a residual, for analysis.
 * @param graph with at least one prior above 0
 * @throws SuretyError ENGINE_TOO_LARGE, or the signal's reason
 */
export async function solveReal(
  graph: TopicGraph,
  options: SolveOptions & { readonly residualGoal?: number } = {},
): Promise<RealScores> {
  return await withTeam(graph, options, async (layout, team) => {
    const result = await solveFloat(graph, layout, team, floatOptions(graph, options, options.residualGoal));
    const { residual, sweeps } = result;
    return { scores: readScores(layout, result), residual, errorBound: residual / RESTART, sweeps };
  });
}

/**
 * The exact scores of one topic, as they are committed: fast in floats, then exactly.
 * @param graph with at least one prior above 0
 * @throws SuretyError ENGINE_TOO_LARGE, ENGINE_DIVERGED (a fault of ours), or the signal's reason
 */
export async function solveTopic(graph: TopicGraph, options: SolveOptions = {}): Promise<TopicSolution> {
  const { onProgress } = options;
  return await withTeam(graph, options, async (layout, team) => {
    const real = await solveFloat(graph, layout, team, floatOptions(graph, options, EXACT_RESIDUAL));
    const exact = await solveExact(graph, layout, team, real, (phase, sweep, remaining) =>
      onProgress?.({ topic: graph.topic, phase, sweep, remaining }),
    );
    return { ...exact, sweeps: { ...real.sweeps, ...exact.sweeps } };
  });
}

function floatOptions(graph: TopicGraph, { onProgress, start }: SolveOptions, residualGoal = DEFAULT_RESIDUAL) {
  return {
    residualGoal,
    ...(start === undefined ? {} : { start }),
    onSweep: (sweep: number, remaining: number) =>
      onProgress?.({ topic: graph.topic, phase: "float", sweep, remaining }),
  };
}

/** Lays the graph out, lends it to the work with threads for it, and takes all back. */
export async function withTeam<T>(
  graph: TopicGraph,
  { signal, threadCount }: SolveOptions,
  work: (layout: Layout, team: Team) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const layout = createLayout(graph);
  const isLarge = graph.inSeats.length >= THREADED_EDGES;
  const team = createTeam(layout, threadCount ?? (isLarge ? availableParallelism() : 1), signal);
  try {
    return await work(layout, team);
  } finally {
    await team.close();
    releaseLayout(layout);
  }
}
