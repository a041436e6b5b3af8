// Who trusts whom, in groups that trust each other: what a ring of accomplices looks like from outside. Pure.
import { UndirectedGraph } from "graphology";
import { louvain } from "./libraries.ts";

/** Trust that one agent earned from another: satisfied less unsatisfied. */
export interface TrustEdge {
  readonly from: string;
  readonly to: string;
  readonly weight: number;
}

/** Agents that deal with each other more than with the rest. */
export interface Cluster {
  readonly members: readonly string[];
  /** Trust from member to member. */
  readonly inside: number;
  /** Trust that its members earned from others. */
  readonly earnedOutside: number;
  /** Share of what its members earned that came from members: 1 = nobody else ever trusted them. */
  readonly closedness: number;
}

/** The groups get the same numbers for the same edges: the order of chance is fixed. */
const SEED = 0x5ee7;

/** Groups of two and more by modularity (Louvain), the largest first; and which group an agent is in. */
export function clustersOf(edges: readonly TrustEdge[]): {
  clusters: Cluster[];
  clusterOf: ReadonlyMap<string, number>;
} {
  const groups = Map.groupBy(Object.entries(communitiesOf(edges)), ([, group]) => group);
  const sorted = [...groups.values()]
    .map((members) => members.map(([agent]) => agent).sort((a, b) => Number(a) - Number(b)))
    .filter((members) => members.length > 1)
    .sort((a, b) => b.length - a.length || Number(a[0]) - Number(b[0]));
  const clusterOf = new Map(sorted.flatMap((members, k) => members.map((agent) => [agent, k] as const)));
  const sums = sorted.map(() => ({ inside: 0, earnedOutside: 0 }));
  for (const { from, to, weight } of edges) {
    const sum = sums[clusterOf.get(to) ?? -1];
    if (sum !== undefined) sum[clusterOf.get(from) === clusterOf.get(to) ? "inside" : "earnedOutside"] += weight;
  }
  const clusters = sums.map((sum, k) => ({
    ...sum,
    members: sorted[k] as readonly string[],
    closedness: sum.inside === 0 ? 0 : sum.inside / (sum.inside + sum.earnedOutside),
  }));
  return { clusters, clusterOf };
}

function communitiesOf(edges: readonly TrustEdge[]): Record<string, number> {
  const graph = new UndirectedGraph<object, { weight: number }>();
  for (const { from, to, weight } of edges) {
    if (from === to) continue;
    graph.mergeNode(from);
    graph.mergeNode(to);
    graph.updateUndirectedEdge(from, to, (before) => ({ weight: (before.weight ?? 0) + weight }));
  }
  if (graph.size === 0) return {};
  return louvain(graph, { rng: createRandom(), getEdgeWeight: "weight" });
}

/** mulberry32, in [0, 1). */
function createRandom(): () => number {
  let state = SEED;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
