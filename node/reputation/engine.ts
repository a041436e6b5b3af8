import type { Hex } from "viem";
import { LeafTree, packLeaf } from "#protocol";
import type { TopicGraph } from "./graph.ts";
import { solveTopic, type SolveOptions as TopicOptions, type SolveProgress as TopicProgress } from "./solver/solve.ts";

export { solveTopic, type TopicSolution } from "./solver/solve.ts";

export type SolvePhase = TopicProgress["phase"] | "tree";

export type SolveProgress = Omit<TopicProgress, "phase"> & { readonly phase: SolvePhase };

/** Every publisher starts from the prior: with one start the same graph gives the same root everywhere. */
export type SolveOptions = Omit<TopicOptions, "onProgress" | "start"> & {
  readonly onProgress?: (progress: SolveProgress) => void;
};

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
