import { ALPHA, SuretyError } from "#protocol";
import type { TopicGraph } from "./graph.ts";
import type { TopicSolution } from "./solver/solve.ts";

/** What one client's trust gave to a score. */
export interface Contribution {
  readonly seat: number;
  readonly agentId: number;
  /** w_ij, and W_i: of what the client gave on, this share went here. */
  readonly weight: number;
  readonly rowSum: number;
  /** The client's own score, of SCORE_SUM. */
  readonly clientScore: bigint;
  /** ((65536 - A)·w_ij·⌊t_i/W_i⌋) >> 16, of SCORE_SUM. */
  readonly part: bigint;
}

/** A score taken apart: score = fromStake + Σ parts + rounding, to the unit. */
export interface ScoreExplanation {
  readonly topic: bigint;
  readonly seat: number;
  readonly agentId: number;
  readonly score: bigint;
  /** 1 = the best of the topic. */
  readonly rank: number;
  readonly agentCount: number;
  /** (multiplier·p̃) >> shift. */
  readonly fromStake: bigint;
  /** Largest first. */
  readonly contributions: readonly Contribution[];
  /** What the parts lose by being rounded one by one; less than one unit each. */
  readonly rounding: bigint;
}

/**
 * Which clients made a score, and how much stake did: row j of the map that the contract checks, term by term.
 * @throws SuretyError EXPLAIN_NO_SEAT for the dust and for seats that the topic does not have
 */
export function explainScore(graph: TopicGraph, solution: TopicSolution, seat: number): ScoreExplanation {
  if (!Number.isInteger(seat) || seat < 1 || seat >= graph.seatCount) {
    throw new SuretyError("EXPLAIN_NO_SEAT", `The topic has no agent in seat ${seat}.`, {
      values: { seat, seatCount: graph.seatCount },
      next: "Name an agent that has dealt in this topic.",
    });
  }
  const { scores, lambda } = solution;
  const contributions: Contribution[] = [];
  for (let edge = graph.inStart[seat] as number; edge < (graph.inStart[seat + 1] as number); edge++) {
    const contribution = contributionOf(graph, scores, edge);
    if (contribution.part > 0n) contributions.push(contribution);
  }
  contributions.sort((a, b) => (a.part === b.part ? a.seat - b.seat : a.part < b.part ? 1 : -1));
  const score = scores[seat] as bigint;
  const fromStake = (lambda.multiplier * BigInt(graph.priors[seat] as number)) >> BigInt(lambda.shift);
  const rounding = contributions.reduce((left, { part }) => left - part, score - fromStake);
  let rank = 1;
  for (let other = 1; other < graph.seatCount; other++) if ((scores[other] as bigint) > score) rank++;
  const { topic, agentIds, seatCount } = graph;
  const agentId = agentIds[seat] as number;
  return { topic, seat, agentId, score, rank, agentCount: seatCount - 1, fromStake, contributions, rounding };
}

function contributionOf(graph: TopicGraph, scores: BigUint64Array, edge: number): Contribution {
  const seat = graph.inSeats[edge] as number;
  const weight = graph.inWeights[edge] as number;
  const rowSum = graph.rowSums[seat] as number;
  const clientScore = scores[seat] as bigint;
  const passedOn = rowSum === 0 ? 0n : BigInt(weight) * (clientScore / BigInt(rowSum));
  const part = ((65_536n - ALPHA) * passedOn) >> 16n;
  return { seat, agentId: graph.agentIds[seat] as number, weight, rowSum, clientScore, part };
}
