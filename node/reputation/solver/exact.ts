import { MAX_DUST, MAX_SHIFT, SCORE_SUM, SuretyError, type Lambda } from "#protocol";
import type { TopicGraph } from "../graph.ts";
import { seatAt, type FloatResult } from "./float.ts";
import { exactModes, operations } from "./kernel.ts";
import type { Layout } from "./layout.ts";
import type { Team } from "./team.ts";

/** The scores aim at S less this: what rounding adds stays below S, and the rest is dust, within the contract's S·2^-28. */
const RESERVE = SCORE_SUM >> 30n;
/** Each phase is monotone and bounded, so that it ends; 62 bits at 0.85 a sweep take about 270. */
const MAX_SWEEPS = 20_000;
/** How often λ may be put right when the dust comes out of bounds. Small graphs with huge row sums needed one. */
const MAX_LAMBDA_ATTEMPTS = 8;
/** Largest allowed multiplier, exclusive: m·p̃ then has 111 bits on chain. */
const MULTIPLIER_LIMIT = 1n << 63n;

/** An exact fixed point of the integer map: t_j = F_j(t) for every seat j > 0, and Σ t = SCORE_SUM with the dust. */
export interface ExactResult {
  /** By seat; [0] is the dust. */
  readonly scores: BigUint64Array;
  readonly lambda: Lambda;
  readonly sweeps: { readonly descend: number; readonly ascend: number };
}

export type ExactPhase = "descend" | "ascend";

/**
 * From float scores to an exact fixed point. λ is taken once and frozen: with λ solved anew in each sweep the map cycles.
 * For fixed λ the integer map F is monotone, so that t ← min(t, F(t)) ends at the greatest vector below the start that is
 * below its own image, and t ← F(t) climbs from there to the least fixed point above it. Both are unique whatever the order
 * in which rows are visited (Cousot 1977, chaotic iteration): rows are updated in place, by any number of threads.
 *
 * Against real EigenTrust t*: the float part is within residual/α of it in L1; flooring loses less than W_i + 2 units a
 * row, so that the exact scores are within (residual + Σ(W_i + 2)/S)/α + 2^-27, dust and λ included.
 * @throws SuretyError ENGINE_DIVERGED (a fault of ours)
 */
export async function solveExact(
  graph: TopicGraph,
  layout: Layout,
  team: Team,
  start: FloatResult,
  onSweep: (phase: ExactPhase, sweep: number, changed: number) => void,
): Promise<ExactResult> {
  const { addresses: a } = layout;
  const words = wordsOf(layout);
  fillStart(layout, Number(SCORE_SUM - RESERVE) / start.sum, words.scores);
  words.restart.fill(0);
  fillPriors(graph, layout);
  await team.run(operations.divide, [a.exactScores, a.rowSums, a.exactQuotients, 0, 0, 0, 0, 0, 0]);
  await runExact(layout, team, exactModes.image);
  const priorSum = graph.priors.reduce((sum, prior) => sum + BigInt(prior), 0n);
  let lambda = lambdaFor(SCORE_SUM - RESERVE - sumOf(words.image), priorSum);
  // y·λ·Σp̃ is the real fixed point for this very λ. Flooring takes away only, so that it lies above its image nearly
  // everywhere: the descent alone arrives (1M agents, 10M edges: 38 sweeps down and 18 up, the latter for two rows, instead of 39 and 36).
  fillStart(layout, (Number(lambda.multiplier) / 2 ** lambda.shift) * Number(priorSum), words.scores);
  await team.run(operations.divide, [a.exactScores, a.rowSums, a.exactQuotients, 0, 0, 0, 0, 0, 0]);
  const sweeps = { descend: 0, ascend: 0 };
  for (let attempt = 0; attempt < MAX_LAMBDA_ATTEMPTS; attempt++) {
    await useLambda(layout, team, lambda);
    for (const phase of ["descend", "ascend"] as const) {
      sweeps[phase] += await settle(graph, layout, team, phase, (sweep, changed) => onSweep(phase, sweep, changed));
    }
    const dust = SCORE_SUM - sumOf(words.scores);
    if (dust >= 0n && dust <= MAX_DUST) return { scores: readExact(layout, dust), lambda, sweeps };
    lambda = rescale(lambda, sumOf(words.scores));
  }
  throw diverged(graph, "dust");
}

function wordsOf({ memory, addresses, paddedCount }: Layout) {
  const words = (address: number) => new Uint32Array(memory.buffer, address, 2 * paddedCount);
  const { exactScores, exactRestart, residual64 } = addresses;
  return { scores: words(exactScores), restart: words(exactRestart), image: words(residual64) };
}

/** ⌊y·factor⌋: two 32-bit words, because bigints take ten times as long here. */
function fillStart({ memory, addresses, paddedCount }: Layout, factor: number, words: Uint32Array): void {
  const scores = new Float64Array(memory.buffer, addresses.scores64, paddedCount);
  const scale = factor * 2 ** -32;
  for (let row = 0; row < paddedCount; row++) {
    // Corrections leave a score that is nothing a little below it.
    const scaled = Math.max(0, (scores[row] as number) * scale);
    const high = Math.floor(scaled);
    words[2 * row] = Math.floor((scaled - high) * 2 ** 32);
    words[2 * row + 1] = high;
  }
}

/** Whole priors, exact in doubles, where the float phase had their shares. */
function fillPriors(graph: TopicGraph, layout: Layout): void {
  const priors = new Float64Array(layout.memory.buffer, layout.addresses.restart64, layout.paddedCount);
  for (let row = 0; row < layout.rowCount; row++) priors[row] = graph.priors[seatAt(layout, row)] as number;
}

async function runExact({ addresses: a }: Layout, team: Team, mode: number): Promise<number> {
  const edges = [a.starts, a.offsets, a.weights] as const;
  return await team.run(operations.exact, [
    ...edges,
    a.exactQuotients,
    a.exactRestart,
    a.exactScores,
    a.rowSums,
    a.residual64,
    mode,
  ]);
}

async function useLambda({ addresses }: Layout, team: Team, { multiplier, shift }: Lambda): Promise<void> {
  const low = Number(multiplier & 0xffffffffn) | 0;
  const high = Number(multiplier >> 32n) | 0;
  const { restart64, exactRestart } = addresses;
  await team.run(operations.spread, [restart64, exactRestart, low, high, shift, 0, 0, 0, 0]);
}

/** Repeats one monotone step until nothing changes. @returns sweeps taken */
async function settle(
  graph: TopicGraph,
  layout: Layout,
  team: Team,
  phase: ExactPhase,
  onSweep: (sweep: number, changed: number) => void,
): Promise<number> {
  const mode = phase === "descend" ? exactModes.lower : exactModes.follow;
  for (let sweep = 1; sweep <= MAX_SWEEPS; sweep++) {
    const changed = await runExact(layout, team, mode);
    onSweep(sweep, changed);
    if (changed === 0) return sweep;
  }
  throw diverged(graph, phase);
}

/** λ = m/2^shift with m = ⌊rest·2^shift / Σ p̃⌋, for the largest shift that keeps m below 2^63. */
function lambdaFor(rest: bigint, priorSum: bigint): Lambda {
  let shift = 0;
  while ((rest << BigInt(shift + 1)) / priorSum < MULTIPLIER_LIMIT && shift < MAX_SHIFT) shift++;
  return { multiplier: (rest << BigInt(shift)) / priorSum, shift };
}

/** Scores grow in proportion to λ. */
function rescale({ multiplier, shift }: Lambda, sum: bigint): Lambda {
  const scaled = (multiplier * (SCORE_SUM - RESERVE)) / sum;
  return scaled >> 63n === 0n ? { multiplier: scaled, shift } : { multiplier: scaled >> 1n, shift: shift - 1 };
}

/** Σ of 64-bit numbers in words; blocks of 2^20 words keep each partial sum below 2^53. */
function sumOf(words: Uint32Array): bigint {
  let sum = 0n;
  for (let start = 0; start < words.length; start += 2 ** 20) {
    let low = 0;
    let high = 0;
    const end = Math.min(start + 2 ** 20, words.length);
    for (let k = start; k < end; k += 2) {
      low += words[k] as number;
      high += words[k + 1] as number;
    }
    sum += (BigInt(high) << 32n) + BigInt(low);
  }
  return sum;
}

function readExact(layout: Layout, dust: bigint): BigUint64Array {
  const { scores: words } = wordsOf(layout);
  const scores = new BigUint64Array(layout.rowCount);
  const bySeat = new Uint32Array(scores.buffer);
  for (let row = 0; row < layout.rowCount; row++) {
    const seat = seatAt(layout, row);
    bySeat[2 * seat] = words[2 * row] as number;
    bySeat[2 * seat + 1] = words[2 * row + 1] as number;
  }
  scores[0] = dust;
  return scores;
}

function diverged(graph: TopicGraph, phase: string): SuretyError {
  return new SuretyError("ENGINE_DIVERGED", "The exact sweeps did not end in a fixed point.", {
    values: { topic: graph.topic, seatCount: graph.seatCount, edgeCount: graph.inSeats.length, phase },
    next: "Report this with the graph: the map is monotone, so this is a fault of the engine.",
  });
}
