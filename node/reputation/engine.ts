import { setImmediate as nextTurn } from "node:timers/promises";
import type { Hex } from "viem";
import { LeafTree, MAX_DUST, packLeaf, SCORE_SUM, SuretyError, type Lambda } from "#protocol";
import {
  createShares,
  ExactMap,
  lowerTo,
  moveTo,
  shareAt,
  sharesOf,
  shrinkLambda,
  sumOf,
  type Shares,
} from "./exact.ts";
import type { TopicGraph } from "./graph.ts";
import { PowerIteration } from "./power.ts";

/** The float solve ends here: below it, the exact sweeps are as fast. */
export const RESIDUAL_GOAL = 1e-12;
/** 0.85^k falls below 1e-12 after 170 sweeps; a solve that needs more is held up by rounding, and the exact part goes on. */
const MAX_FLOAT_SWEEPS = 400;
/** Exact sweeps in which λ still follows; after them it is frozen, since a λ that keeps moving makes the map cycle. */
const FREE_SWEEPS = 10;
/** Each phase is monotone and bounded, so that it ends; 62 bits at 0.85 a sweep take about 270. */
const MAX_EXACT_SWEEPS = 20_000;
/** How often λ may be put right when the dust comes out of bounds. Small graphs with huge row sums needed one. */
const MAX_LAMBDA_ATTEMPTS = 8;
/** Seats and edges that are visited before other work in the process gets a turn: some 10 ms. */
const VISITS_PER_TURN = 2_000_000;

export type SolvePhase = "float" | "free" | "descend" | "ascend" | "tree";

export interface SolveProgress {
  readonly topic: bigint;
  readonly phase: SolvePhase;
  readonly sweep: number;
  /** Float phase: ‖x - F(x)‖₁. Exact phases: seats that the sweep changed. */
  readonly remaining: number;
}

export interface SolveOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: SolveProgress) => void;
}

/** An exact fixed point of the integer map: t_j = F_j(t) for every seat j > 0, and Σ t = SCORE_SUM with the dust. */
export interface TopicSolution {
  /** By seat; [0] is the dust. */
  readonly scores: BigUint64Array;
  readonly lambda: Lambda;
  readonly sweeps: Readonly<Record<"float" | "free" | "descend" | "ascend", number>>;
}

/** One topic of an epoch, ready to be committed. */
export interface ComputedTopic {
  readonly topic: bigint;
  readonly root: Hex;
  readonly multiplier: bigint;
  readonly shift: number;
  /** Packed, in order of seat. */
  readonly leaves: readonly bigint[];
  readonly tree: LeafTree;
}

/**
 * Scores every topic that has stake behind it: a topic whose priors are all 0 has no EigenTrust and is left out.
 * The result depends on the graphs alone: no random start, no thread order, IEEE arithmetic without transcendentals.
 * @param graphs as at the close of one epoch, ascending by topic
 * @throws SuretyError ENGINE_DIVERGED (a fault of ours), or the signal's reason
 */
export async function computeEpoch(
  graphs: readonly TopicGraph[],
  options: SolveOptions = {},
): Promise<ComputedTopic[]> {
  const computed: ComputedTopic[] = [];
  for (const graph of graphs) {
    if (!hasPrior(graph)) continue;
    const solution = await solveTopic(graph, options);
    const leaves = leavesOf(graph, solution.scores);
    options.onProgress?.({ topic: graph.topic, phase: "tree", sweep: 0, remaining: graph.seatCount });
    const tree = new LeafTree(leaves);
    const { multiplier, shift } = solution.lambda;
    computed.push({ topic: graph.topic, root: tree.root, multiplier, shift, leaves, tree });
  }
  return computed;
}

export function hasPrior(graph: TopicGraph): boolean {
  return graph.priors.some((prior) => prior > 0);
}

/**
 * Solves in floats to RESIDUAL_GOAL, then exactly. For fixed λ the integer map F is monotone, so that t ← min(t, F(t))
 * ends below its image and t ← F(t) then climbs to an exact fixed point.
 *
 * Against real EigenTrust t*: the float part is within residual/α of it in L1 (power.ts); flooring loses less than
 * W_i + 2 units a row, so that the exact scores are within (residual + Σ(W_i + 2)/S) / α + 2^-27, dust and λ included.
 * @param graph with at least one prior above 0
 */
export async function solveTopic(graph: TopicGraph, options: SolveOptions = {}): Promise<TopicSolution> {
  const turns = createTurns(graph, options);
  const start = await solveFloat(graph, turns);
  const map = new ExactMap(graph);
  const scores = sharesOf(start.scores);
  const image = createShares(graph.seatCount);
  for (let sweep = 1; sweep <= FREE_SWEEPS; sweep++) {
    map.passOn(scores, image);
    map.useLambda(map.lambdaFor(image));
    map.addRestart(image);
    await turns.end("free", sweep, moveTo(scores, image));
  }
  map.passOn(scores, image);
  let lambda = shrinkLambda(map.lambdaFor(image));
  const sweeps = { float: start.sweepCount, free: FREE_SWEEPS, descend: 0, ascend: 0 };
  for (let attempt = 0; attempt < MAX_LAMBDA_ATTEMPTS; attempt++) {
    map.useLambda(lambda);
    sweeps.descend += await settle(map, scores, image, "descend", turns);
    sweeps.ascend += await settle(map, scores, image, "ascend", turns);
    const dust = SCORE_SUM - sumOf(scores);
    if (dust >= 0n && dust <= MAX_DUST) return { scores: scoresWithDust(scores, dust), lambda, sweeps };
    lambda = rescaleLambda(lambda, sumOf(scores));
  }
  throw diverged(graph, "dust");
}

export function leavesOf(graph: TopicGraph, scores: BigUint64Array): bigint[] {
  let cum = 0n;
  return Array.from(scores, (score, seat) => {
    const word = packLeaf({
      agentId: graph.agentIds[seat] as number,
      score,
      cum,
      prior: BigInt(graph.priors[seat] as number),
      rowSum: BigInt(graph.rowSums[seat] as number),
    });
    cum += score;
    return word;
  });
}

async function solveFloat(graph: TopicGraph, turns: Turns): Promise<{ scores: Float64Array; sweepCount: number }> {
  const iteration = new PowerIteration(graph);
  for (let sweepCount = 1; sweepCount <= MAX_FLOAT_SWEEPS; sweepCount++) {
    const residual = iteration.sweep();
    await turns.end("float", sweepCount, residual);
    if (residual <= RESIDUAL_GOAL) return { scores: iteration.scores, sweepCount };
  }
  return { scores: iteration.scores, sweepCount: MAX_FLOAT_SWEEPS };
}

/** Repeats one monotone step until nothing changes. @returns sweeps taken */
async function settle(
  map: ExactMap,
  scores: Shares,
  image: Shares,
  phase: "descend" | "ascend",
  turns: Turns,
): Promise<number> {
  const step = phase === "descend" ? lowerTo : moveTo;
  for (let sweep = 1; sweep <= MAX_EXACT_SWEEPS; sweep++) {
    map.apply(scores, image);
    const changed = step(scores, image);
    await turns.end(phase, sweep, changed);
    if (changed === 0) return sweep;
  }
  throw diverged(turns.graph, phase);
}

/** Scores grow in proportion to λ: aims at a dust of S·2^-30. */
function rescaleLambda({ multiplier, shift }: Lambda, sum: bigint): Lambda {
  const scaled = (multiplier * (SCORE_SUM - (SCORE_SUM >> 30n))) / sum;
  return scaled >> 63n === 0n ? { multiplier: scaled, shift } : { multiplier: scaled >> 1n, shift: shift - 1 };
}

function scoresWithDust(scores: Shares, dust: bigint): BigUint64Array {
  const words = new BigUint64Array(scores.high.length);
  for (let seat = 1; seat < words.length; seat++) words[seat] = shareAt(scores, seat);
  words[0] = dust;
  return words;
}

/** Lets the process breathe, reports, and stops when told. */
interface Turns {
  readonly graph: TopicGraph;
  end(phase: SolvePhase, sweep: number, remaining: number): Promise<void>;
}

function createTurns(graph: TopicGraph, { signal, onProgress }: SolveOptions): Turns {
  signal?.throwIfAborted();
  const visitsPerSweep = graph.seatCount + graph.inSeats.length;
  let visits = 0;
  return {
    graph,
    async end(phase, sweep, remaining) {
      onProgress?.({ topic: graph.topic, phase, sweep, remaining });
      visits += visitsPerSweep;
      if (visits < VISITS_PER_TURN) return;
      visits = 0;
      await nextTurn();
      signal?.throwIfAborted();
    },
  };
}

function diverged(graph: TopicGraph, phase: string): SuretyError {
  return new SuretyError("ENGINE_DIVERGED", "The exact sweeps did not end in a fixed point.", {
    values: { topic: graph.topic, seatCount: graph.seatCount, edgeCount: graph.inSeats.length, phase },
    next: "Report this with the graph: the map is monotone, so this is a fault of the engine.",
  });
}
