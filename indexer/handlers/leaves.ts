// What becomes of a commit's leaves: they come with it, or chunk by chunk to whoever asks for them on chain.
import { hexToBytes, numberToHex, type Hex } from "viem";
import { CHUNK_LEAVES, decodeLeaves, LeafTree, unpackLeaf } from "#protocol";
import type { Row } from "../entities.ts";
import type { EventArgs, Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** Of a standing commit; `unavailable` comes with a strike. */
export const leavesStates = ["verified", "available", "announced", "mismatch"] as const;

export const leafRequestFolds: Folds<"reputationEpochs"> = {
  LeavesRequested({ candidateId, topic, chunk, requester, fee, answerBy }, place) {
    const of = { candidate: candidateId.toString(), topic: topic.toString(), chunk: Number(chunk) };
    const asked = { requestedAt: place.timestamp, requestedTx: place.transaction };
    const request = { ...of, requester, fee, answerBy, state: "waiting", ...asked, answeredTx: null };
    return [put("leafRequests", { id: requestId({ candidateId, topic, chunk }), ...request })];
  },
  LeavesAnswered(answer, place, rows) {
    const request = rows.get("leafRequests", requestId(answer));
    if (request === undefined) return [];
    return [
      put("leafRequests", { ...request, state: "answered", answeredTx: place.transaction }),
      ...learnLeaves(request, answer.leaves, place, rows),
    ];
  },
  RequestFeeReclaimed(reclaimed, _place, rows) {
    const request = rows.get("leafRequests", requestId(reclaimed));
    return request === undefined ? [] : [put("leafRequests", { ...request, state: "reclaimed" })];
  },
};

function requestId(of: { readonly candidateId: bigint; readonly topic: bigint; readonly chunk: bigint }): string {
  return `${of.candidateId}:${of.topic}:${of.chunk}`;
}

/** The contract takes a chunk once, and only with its proof against the root: all chunks together are the root's leaves. */
function learnLeaves(
  { candidate: id, topic, chunk }: Row<"leafRequests">,
  words: readonly bigint[],
  place: EventPlace,
  rows: RowReader,
): RowChange[] {
  const root = rows.get("topicRoots", `${id}:${topic}`);
  const candidate = rows.get("candidates", id);
  // Verified already: the commit had them in its calldata.
  if (root === undefined || candidate === undefined || root.leavesState === "verified") return [];
  const knownLeafCount = root.knownLeafCount + words.length;
  const isWhole = knownLeafCount === root.leafCount;
  const verifiedTopicCount = candidate.verifiedTopicCount + Number(isWhole);
  const isVerified = verifiedTopicCount === candidate.topicCount;
  return [
    put("topicRoots", { ...root, knownLeafCount, leavesState: isWhole ? "verified" : "available" }),
    put("candidates", { ...candidate, verifiedTopicCount, leavesState: isVerified ? "verified" : "available" }),
    ...scoreRows(root, chunk * CHUNK_LEAVES, words, place),
  ];
}

/** No score is shown before every root of the commit is recomputed from the leaves that came with it. */
export function checkLeaves(
  commit: Pick<EventArgs<"reputationEpochs", "EpochCommitted">, "leaves">,
  roots: readonly Row<"topicRoots">[],
): { leavesState: string; trees: bigint[][] } {
  if (commit.leaves === "0x") return { leavesState: "announced", trees: [] };
  const leafCounts = roots.map(({ leafCount }) => leafCount);
  const decoded = decodeLeaves(hexToBytes(commit.leaves), leafCounts);
  const isVerified =
    decoded.kind === "accept" &&
    leafCounts.every((count) => count > 0) &&
    decoded.value.every((words, k) => new LeafTree(words).root === roots[k]?.root);
  return isVerified ? { leavesState: "verified", trees: decoded.value } : { leavesState: "mismatch", trees: [] };
}

/** @param first seat of the first word */
export function scoreRows(
  root: Row<"topicRoots">,
  first: number,
  words: readonly bigint[],
  place: EventPlace,
): RowChange[] {
  return words.map((word, k) => {
    const seat = first + k;
    const { agentId, score, cum, prior, rowSum } = unpackLeaf(word);
    return put("scores", {
      id: `${root.id}:${seat}`,
      candidate: root.candidate,
      topic: root.topic,
      epoch: root.epoch,
      seat,
      agent: agentKey(place, agentId),
      score,
      cum,
      prior: Number(prior),
      rowSum: Number(rowSum),
      leaf: numberToHex(word, { size: 32 }) satisfies Hex,
    });
  });
}
