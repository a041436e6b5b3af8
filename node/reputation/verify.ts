import {
  CHUNK_LEAVES,
  encodePositions,
  judgeChallenge,
  LeafTree,
  MAX_DUST,
  OWN_POSITION,
  rowValue,
  SCORE_SUM,
  SuretyError,
  unpackLeaf,
  type AgentTruth,
  type Challenge,
  type Leaf,
  type RowLeaves,
  type SourceLeaf,
  type TopicRoot,
  type TopicTruth,
} from "#protocol";
import { countedSourcesOf } from "./coupled.ts";
import type { TopicGraph } from "./graph.ts";

/** In-edges that one transaction proves: the prototype's 200 cost 2.26M gas at 100k leaves, of osaka's 16.7M. */
export const MAX_ROW_EDGES_PER_CALL = 400;
/** Common clients refuse transactions above 128 KiB; a row of few edges in a deep tree stays below by the bound above. */
export const MAX_CALL_WORDS = 3_700;

/** What a watcher found wrong with one topic of a candidate. */
export type Finding =
  | { readonly kind: "none" }
  | { readonly kind: "challenge"; readonly challenge: Challenge }
  /** Nobody can check what nobody can read: these chunks have to be asked for. */
  | { readonly kind: "unavailable"; readonly topic: bigint; readonly chunks: readonly number[] };

/** One topic of a candidate. `leaves`: as published, undefined where they are not. */
export interface ClaimedTopic extends TopicRoot {
  readonly leaves: readonly bigint[] | undefined;
}

/** From the cheapest to the dearest on chain (measured in the prototype: 53k, 53k, 67k, 60k, from 100k gas). */
const costOrder: readonly (Challenge["kind"] | "unavailable")[] = [
  "edge",
  "seat",
  "sum",
  "prior",
  "row",
  "longRow",
  "unavailable",
];

/**
 * Checks a candidate against the ledger, row by row: not against our own scores, since any exact fixed point is honest.
 * @param graphs all topics at the close of the candidate's epoch, coupled
 * @returns the cheapest challenge that strikes it, as the mirror of the contract confirms
 * @throws SuretyError VERIFY_GRAPH_MISSING when the candidate names a topic that we have not read
 */
export function findFault(claimed: readonly ClaimedTopic[], graphs: readonly TopicGraph[]): Finding {
  let best: Finding = { kind: "none" };
  for (const topic of claimed) {
    const graph = graphs.find((candidate) => candidate.topic === topic.topic);
    if (graph === undefined) {
      throw new SuretyError("VERIFY_GRAPH_MISSING", `Topic ${topic.topic} of the candidate is not in our ledger.`, {
        values: { topic: topic.topic },
        next: "Read the ledger up to the close of the epoch, then check again.",
        isRetryable: true,
      });
    }
    const finding = findTopicFault(topic, graph);
    if (costOf(finding) < costOf(best)) best = finding;
  }
  return best;
}

function costOf(finding: Finding): number {
  if (finding.kind === "none") return costOrder.length;
  return costOrder.indexOf(finding.kind === "challenge" ? finding.challenge.kind : "unavailable");
}

export function findTopicFault(claimed: ClaimedTopic, graph: TopicGraph): Finding {
  const { topic, leaves } = claimed;
  const tree = leaves?.length === graph.seatCount ? new LeafTree(leaves) : undefined;
  if (leaves === undefined || tree?.root !== claimed.root) {
    const chunkCount = Math.ceil(graph.seatCount / CHUNK_LEAVES);
    return { kind: "unavailable", topic, chunks: Array.from({ length: chunkCount }, (_, chunk) => chunk) };
  }
  const parsed = leaves.map(unpackLeaf);
  const prove = createProver(claimed, graph, leaves, tree);
  const challenge =
    findEdge(parsed, prove) ??
    findSeat(parsed, graph, prove) ??
    findSum(parsed, prove) ??
    findPrior(parsed, graph, prove) ??
    findRow(parsed, claimed, graph, prove);
  if (challenge === undefined) return { kind: "none" };
  const verdict = judgeChallenge(claimed, truthOf(graph), challenge);
  if (verdict.kind === "accept") return { kind: "challenge", challenge };
  throw new SuretyError("VERIFY_UNPROVEN", "A fault was found that our own challenge does not prove.", {
    values: { topic, challenge: challenge.kind, code: verdict.code, detail: verdict.detail },
    next: "Report this: the finder and the contract's mirror disagree.",
  });
}

type Prover = ReturnType<typeof createProver>;

function createProver({ topic }: TopicRoot, graph: TopicGraph, words: readonly bigint[], tree: LeafTree) {
  const leafAt = (index: number) => ({ leaf: words[index] as bigint, proof: tree.proof(index) });
  const onAgent = (seat: number) => ({ topic, agentId: graph.agentIds[seat] as number, ...leafAt(seat) });
  const rowLeaves = (placed: { seat: number; position: number }[]): RowLeaves => {
    const ordered = placed.toSorted((a, b) => a.seat - b.seat);
    return {
      leaves: ordered.map(({ seat }) => words[seat] as bigint),
      positions: encodePositions(ordered.map(({ position }) => position)),
      proof: tree.multiproof(ordered.map(({ seat }) => seat)),
    };
  };
  return { topic, leafAt, onAgent, rowLeaves };
}

function findEdge(leaves: readonly Leaf[], prove: Prover): Challenge | undefined {
  const first = leaves[0] as Leaf;
  const last = leaves[leaves.length - 1] as Leaf;
  const isClean = first.agentId === 0 && first.cum === 0n && first.prior === 0n && first.rowSum === 0n;
  if (!isClean || first.score > MAX_DUST) {
    return { kind: "edge", topic: prove.topic, isLast: false, ...prove.leafAt(0) };
  }
  if (last.cum + last.score === SCORE_SUM) return undefined;
  return { kind: "edge", topic: prove.topic, isLast: true, ...prove.leafAt(leaves.length - 1) };
}

function findSeat(leaves: readonly Leaf[], graph: TopicGraph, prove: Prover): Challenge | undefined {
  for (let seat = 1; seat < leaves.length; seat++) {
    const { agentId, rowSum } = leaves[seat] as Leaf;
    if (agentId === graph.agentIds[seat] && rowSum === BigInt(graph.rowSums[seat] as number)) continue;
    return { kind: "seat", ...prove.onAgent(seat) };
  }
  return undefined;
}

function findSum(leaves: readonly Leaf[], prove: Prover): Challenge | undefined {
  for (let index = 0; index + 1 < leaves.length; index++) {
    const { cum, score } = leaves[index] as Leaf;
    if (cum + score === leaves[index + 1]?.cum) continue;
    const { leaf: nextLeaf, proof: nextProof } = prove.leafAt(index + 1);
    return { kind: "sum", topic: prove.topic, index, ...prove.leafAt(index), nextLeaf, nextProof };
  }
  return undefined;
}

function findPrior(leaves: readonly Leaf[], graph: TopicGraph, prove: Prover): Challenge | undefined {
  for (let seat = 1; seat < leaves.length; seat++) {
    if (leaves[seat]?.prior === BigInt(graph.priors[seat] as number)) continue;
    return { kind: "prior", ...prove.onAgent(seat), sources: sourceLeavesOf(graph, seat) };
  }
  return undefined;
}

function sourceLeavesOf(graph: TopicGraph, seat: number): SourceLeaf[] {
  return countedSourcesOf(graph, seat).map(({ source, seat: sourceSeat, leaf }) => ({
    leaf,
    proof: new LeafTree(source.base.leaves ?? []).proof(sourceSeat),
  }));
}

/** Of all wrong rows the one with the fewest in-edges. Row sums and priors were checked before. */
function findRow(leaves: readonly Leaf[], claimed: TopicRoot, graph: TopicGraph, prove: Prover): Challenge | undefined {
  let best: { seat: number; inDegree: number } | undefined;
  for (let seat = 1; seat < leaves.length; seat++) {
    const { score, prior } = leaves[seat] as Leaf;
    const inDegree = (graph.inStart[seat + 1] as number) - (graph.inStart[seat] as number);
    if (best !== undefined && inDegree >= best.inDegree) continue;
    if (rowValue(inEdgesOf(graph, leaves, seat), claimed, prior) !== score) best = { seat, inDegree };
  }
  return best === undefined ? undefined : proveRow(graph, best.seat, prove);
}

function* inEdgesOf(graph: TopicGraph, leaves: readonly Leaf[], seat: number) {
  const end = graph.inStart[seat + 1] as number;
  for (let edge = graph.inStart[seat] as number; edge < end; edge++) {
    const { score, rowSum } = leaves[graph.inSeats[edge] as number] as Leaf;
    yield { weight: BigInt(graph.inWeights[edge] as number), score, rowSum };
  }
}

function proveRow(graph: TopicGraph, seat: number, prove: Prover): Challenge {
  const neighbours = [...graph.inSeats.subarray(graph.inStart[seat], graph.inStart[seat + 1])];
  const agentId = graph.agentIds[seat] as number;
  const placed = neighbours.map((neighbour, position) => ({ seat: neighbour, position }));
  if (neighbours.length <= MAX_ROW_EDGES_PER_CALL) {
    const row = prove.rowLeaves([...placed, { seat, position: OWN_POSITION }]);
    if (row.leaves.length + row.proof.length <= MAX_CALL_WORDS) {
      return { kind: "row", topic: prove.topic, agentId, ...row };
    }
  }
  // A quarter of the bound: 100 leaves of a tree of depth 32 have at most 3,200 siblings.
  const partLength = MAX_ROW_EDGES_PER_CALL / 4;
  const parts = Array.from({ length: Math.ceil(placed.length / partLength) }, (_, k) =>
    prove.rowLeaves(
      placed.slice(k * partLength, (k + 1) * partLength).map(({ seat: at }, position) => ({ seat: at, position })),
    ),
  );
  return { kind: "longRow", parts, ...prove.onAgent(seat) };
}

/** The ledger's answers for one topic, out of its folded events. */
export function truthOf(graph: TopicGraph): TopicTruth {
  return {
    leafCount: graph.seatCount,
    budget: graph.bridges?.budget ?? 0n,
    maxShare: graph.bridges?.maxShare ?? 0,
    agent: (agentId) => {
      const seat = agentId === 0 ? -1 : graph.agentIds.indexOf(agentId);
      return seat < 0 ? undefined : agentTruthOf(graph, seat);
    },
  };
}

function agentTruthOf(graph: TopicGraph, seat: number): AgentTruth {
  const start = graph.inStart[seat] as number;
  return {
    seat,
    rowSum: BigInt(graph.rowSums[seat] as number),
    stakeWei: BigInt((graph.bridges?.stakes ?? graph.priors)[seat] as number),
    sources: countedSourcesOf(graph, seat).map(({ source: { omega, base }, seat: at }) => ({ omega, base, seat: at })),
    inEdges: Array.from({ length: (graph.inStart[seat + 1] as number) - start }, (_, k) => ({
      seat: graph.inSeats[start + k] as number,
      weight: BigInt(graph.inWeights[start + k] as number),
    })),
  };
}
