import { ALPHA, bridgedBy, scoreOfLeaf, SuretyError } from "#protocol";
import { countedSourcesOf } from "./coupled.ts";
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

/** What a score in another topic brought to the prior. */
export interface Bridged {
  readonly topic: bigint;
  /** Of the base that was read. */
  readonly epoch: number;
  readonly score: bigint;
  /** Q16. */
  readonly omega: number;
  /** In the stake token's smallest unit, before the cap. */
  readonly broughtWei: bigint;
}

/** A score taken apart: score = fromStake + fromBridges + Σ parts + rounding, to the unit. */
export interface ScoreExplanation {
  readonly topic: bigint;
  readonly seat: number;
  readonly agentId: number;
  readonly score: bigint;
  /** 1 = the best of the topic. */
  readonly rank: number;
  readonly agentCount: number;
  /** (multiplier·stake) >> shift. */
  readonly fromStake: bigint;
  /** What (multiplier·p̃) >> shift has beyond that: the prior's part that came from other topics. */
  readonly fromBridges: bigint;
  /** p̃ - stake, after the cap. */
  readonly bridgedWei: bigint;
  /** In the order of the links. */
  readonly bridges: readonly Bridged[];
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
  const prior = BigInt(graph.priors[seat] as number);
  const stake = BigInt((graph.bridges?.stakes ?? graph.priors)[seat] as number);
  const partOf = (amount: bigint) => (lambda.multiplier * amount) >> BigInt(lambda.shift);
  const [fromStake, fromBridges] = [partOf(stake), partOf(prior) - partOf(stake)];
  const rounding = contributions.reduce((left, { part }) => left - part, score - fromStake - fromBridges);
  let rank = 1;
  for (let other = 1; other < graph.seatCount; other++) if ((scores[other] as bigint) > score) rank++;
  const { topic, agentIds, seatCount } = graph;
  const agentId = agentIds[seat] as number;
  const own = { topic, seat, agentId, score, rank, agentCount: seatCount - 1 };
  const bridges = bridgesOf(graph, seat);
  return { ...own, fromStake, fromBridges, bridgedWei: prior - stake, bridges, contributions, rounding };
}

function bridgesOf(graph: TopicGraph, seat: number): Bridged[] {
  return countedSourcesOf(graph, seat).map(({ source: { base, omega }, leaf }) => {
    const score = scoreOfLeaf(leaf);
    const broughtWei = bridgedBy(score, omega, graph.bridges?.budget ?? 0n) >> 16n;
    return { topic: base.topic, epoch: base.epoch, score, omega, broughtWei };
  });
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
