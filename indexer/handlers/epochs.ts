import { hexToBytes, numberToHex, type Hex } from "viem";
import { decodeLeaves, LeafTree, unpackLeaf } from "#protocol";
import type { Row } from "../entities.ts";
import type { EventArgs, Folds } from "./event-types.ts";
import { seatsAtClose, topicOf } from "./local-trust.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

/** Fault of IReputationEpochs.sol, by its number. */
const faultNames = ["None", "Row", "Sum", "Edge", "Seat", "Prior", "Unavailable"];

type Commit = EventArgs<"reputationEpochs", "EpochCommitted">;

export const epochFolds: Folds<"reputationEpochs"> = {
  EpochCommitted(commit, place, rows) {
    const roots = commit.topics.map((topic, position) => rootRow(commit, topic, position, rows));
    const { leavesState, trees } = checkLeaves(commit, roots);
    const epoch = epochOf(commit.epoch, rows);
    const counted = { candidateCount: epoch.candidateCount + 1, standingCount: epoch.standingCount + 1 };
    return [
      put("epochs", { ...epoch, ...counted }),
      put("candidates", candidateRow(commit, leavesState, place)),
      ...roots.map((root) => put("topicRoots", { ...root, leavesState })),
      ...trees.flatMap((words, k) => scoreRows(roots[k] as Row<"topicRoots">, words, place)),
    ];
  },
  CandidateStruck({ candidateId, fault, challenger, slashed, reward }, place, rows) {
    const candidate = rows.get("candidates", candidateId.toString());
    if (candidate === undefined) return [];
    const epoch = epochOf(Number(candidate.epoch), rows);
    const faultName = faultNames[fault] ?? `Fault ${fault}`;
    const leavesState = faultName === "Unavailable" ? "unavailable" : candidate.leavesState;
    return [
      put("epochs", { ...epoch, standingCount: epoch.standingCount - 1 }),
      put("candidates", {
        ...candidate,
        ...{ state: "struck", leavesState, fault: faultName, challenger, slashed, reward },
        struckTx: place.transaction,
      }),
    ];
  },
  TopicFinalized({ topic, epoch, candidateId }, place, rows) {
    const topicRow = topicOf(topic.toString(), rows);
    const root = rows.get("topicRoots", `${candidateId}:${topic}`);
    const epochRow = epochOf(epoch, rows);
    return [
      put("topics", { ...topicRow, finalizedEpoch: epoch, finalizedCandidate: candidateId.toString() }),
      put("epochs", { ...epochRow, finalizedTopicCount: epochRow.finalizedTopicCount + 1 }),
      ...(root === undefined
        ? []
        : [put("topicRoots", { ...root, finalizedAt: place.timestamp, finalizedTx: place.transaction })]),
    ];
  },
  BondReleased({ candidateId }, _place, rows) {
    const candidate = rows.get("candidates", candidateId.toString());
    return candidate === undefined ? [] : [put("candidates", { ...candidate, isBondReleased: true })];
  },
};

function epochOf(epoch: number, rows: RowReader): Row<"epochs"> {
  const fresh = { id: String(epoch), number: epoch, candidateCount: 0, standingCount: 0, finalizedTopicCount: 0 };
  return rows.get("epochs", String(epoch)) ?? fresh;
}

function candidateRow(commit: Commit, leavesState: string, place: EventPlace): Row<"candidates"> {
  return {
    id: commit.candidateId.toString(),
    epoch: String(commit.epoch),
    publisher: agentKey(place, commit.publisher),
    closingBlockHash: commit.closingBlockHash,
    state: "standing",
    leavesState,
    fault: null,
    challenger: null,
    slashed: null,
    reward: null,
    isBondReleased: false,
    committedBlock: place.blockNumber,
    committedAt: place.timestamp,
    committedTx: place.transaction,
    struckTx: null,
  };
}

function rootRow(
  { candidateId, epoch }: Commit,
  { topic, root, multiplier, shift }: Commit["topics"][number],
  position: number,
  rows: RowReader,
): Row<"topicRoots"> {
  return {
    id: `${candidateId}:${topic}`,
    candidate: candidateId.toString(),
    topic: topic.toString(),
    epoch,
    position,
    root,
    multiplier,
    shift,
    leafCount: seatsAtClose(topicOf(topic.toString(), rows), epoch),
    leavesState: "announced",
    finalizedAt: null,
    finalizedTx: null,
  };
}

/** No score is shown before every root of the commit is recomputed from the leaves that came with it. */
function checkLeaves(commit: Commit, roots: readonly Row<"topicRoots">[]): { leavesState: string; trees: bigint[][] } {
  if (commit.leaves === "0x") return { leavesState: "announced", trees: [] };
  const leafCounts = roots.map(({ leafCount }) => leafCount);
  const decoded = decodeLeaves(hexToBytes(commit.leaves), leafCounts);
  const isVerified =
    decoded.kind === "accept" &&
    leafCounts.every((count) => count > 0) &&
    decoded.value.every((words, k) => new LeafTree(words).root === roots[k]?.root);
  return isVerified ? { leavesState: "verified", trees: decoded.value } : { leavesState: "mismatch", trees: [] };
}

function scoreRows(root: Row<"topicRoots">, words: readonly bigint[], place: EventPlace): RowChange[] {
  return words.map((word, seat) => {
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
