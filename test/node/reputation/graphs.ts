// Random graphs for the tests of the score engine, from a seed: a failure names the seed that shows it again.
import { MAX_PRIOR, MAX_ROW_SUM, rowValue, SCORE_SUM, type Lambda } from "#protocol";
import { graphsAtClose, type TopicGraph, type TrustEvent } from "../../../node/reputation/graph.ts";

/** xorshift32: the same sequence everywhere. @returns numbers in [0, 1) */
export function createRandom(seed: number): () => number {
  let state = (seed * 2654435761 + 0x9e3779b9) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Weight from client to provider, by agent id. */
export type Edge = readonly [client: number, provider: number, weight: number];

/** Agents 1…agentCount take seats in order; every edge is one record. */
export function eventsOf(
  agentCount: number,
  edges: readonly Edge[],
  stakes: readonly number[],
  topic = 1n,
): TrustEvent[] {
  const epoch = 1;
  return [
    ...Array.from({ length: agentCount }, (_, k) => ({
      kind: "seated" as const,
      topic,
      agentId: k + 1,
      seat: k + 1,
      epoch,
    })),
    ...edges.map(([client, provider, weight]) => ({
      kind: "recorded" as const,
      topic,
      client,
      provider,
      satisfied: weight,
      unsatisfied: 0,
      weight,
      epoch,
    })),
    ...stakes.map((stake, k) => ({ kind: "stake" as const, agentId: k + 1, stakeWei: BigInt(stake), epoch })),
  ];
}

export function graphOf(agentCount: number, edges: readonly Edge[], stakes: readonly number[]): TopicGraph {
  return graphsAtClose(eventsOf(agentCount, edges, stakes), 1)[0] as TopicGraph;
}

/** Any shape that the ledger can reach: sizes, densities, weights up to saturation, silent rows, few or huge priors. */
export function randomGraph(seed: number, maxAgents = 60): TopicGraph {
  const random = createRandom(seed);
  const upTo = (max: number) => Math.floor(random() * (max + 1));
  const agentCount = 1 + upTo(maxAgents - 1);
  const maxWeight = 2 ** upTo(24);
  const silent = random();
  const budgets = Array.from({ length: agentCount }, () => (random() < silent * 0.8 ? 0 : Number(MAX_ROW_SUM)));
  const edges = new Map<string, Edge>();
  for (let k = upTo(agentCount * 12); k > 0; k--) {
    const client = 1 + upTo(agentCount - 1);
    const provider = 1 + Math.floor(random() ** 2 * agentCount);
    const weight = Math.min(upTo(maxWeight), budgets[client - 1] as number);
    if (client === provider || weight === 0 || edges.has(`${client},${provider}`)) continue;
    budgets[client - 1] = (budgets[client - 1] as number) - weight;
    edges.set(`${client},${provider}`, [client, provider, weight]);
  }
  const share = random();
  const maxStake = 2 ** upTo(48);
  const stakes = Array.from({ length: agentCount }, () => (random() < share ? upTo(maxStake) : 0));
  if (!stakes.some((stake) => stake > 0)) stakes[0] = 1 + upTo(maxStake - 1);
  return graphOf(
    agentCount,
    [...edges.values()],
    stakes.map((stake) => Math.min(stake, Number(MAX_PRIOR))),
  );
}

/** Rows of a vector of scores that are not F_j, straight from the definition in bigints. The dust seat is no row. */
export function wrongRows(graph: TopicGraph, scores: readonly bigint[], lambda: Lambda): number[] {
  const wrong: number[] = [];
  for (let seat = 1; seat < graph.seatCount; seat++) {
    const edges = [];
    for (let edge = graph.inStart[seat] as number; edge < (graph.inStart[seat + 1] as number); edge++) {
      const client = graph.inSeats[edge] as number;
      edges.push({
        weight: BigInt(graph.inWeights[edge] as number),
        score: scores[client] as bigint,
        rowSum: BigInt(graph.rowSums[client] as number),
      });
    }
    if (rowValue(edges, lambda, BigInt(graph.priors[seat] as number)) !== scores[seat]) wrong.push(seat);
  }
  return wrong;
}

/** EigenTrust as Kamvar et al. write it, dense and slow: silent rows give to the prior. @returns scores that sum to 1 */
export function denseEigenTrust(graph: TopicGraph, alpha: number): number[] {
  const n = graph.seatCount;
  const priorSum = graph.priors.reduce((a, b) => a + b, 0);
  const prior = Array.from(graph.priors, (p) => p / priorSum);
  const matrix = Array.from({ length: n }, (_, client) => {
    const row = Array<number>(n).fill(0);
    if (graph.rowSums[client] === 0) return prior;
    for (let seat = 0; seat < n; seat++) {
      for (let edge = graph.inStart[seat] as number; edge < (graph.inStart[seat + 1] as number); edge++) {
        if (graph.inSeats[edge] !== client) continue;
        row[seat] = (graph.inWeights[edge] as number) / (graph.rowSums[client] as number);
      }
    }
    return row;
  });
  let scores = prior;
  for (let k = 0; k < 400; k++) {
    scores = prior.map(
      (p, seat) =>
        alpha * p + (1 - alpha) * scores.reduce((sum, s, client) => sum + s * (matrix[client]?.[seat] ?? 0), 0),
    );
  }
  return scores;
}

export function toReal(scores: Iterable<bigint>): number[] {
  return Array.from(scores, (score) => Number(score) / Number(SCORE_SUM));
}
