import type { Row } from "../entities.ts";
import type { EventArgs, Folds } from "./event-types.ts";
import { checkLeaves, leafRequestFolds, scoreRows } from "./leaves.ts";
import { seatsAtClose, topicOf } from "./local-trust.ts";
import { agentKey, put, type EventPlace, type RowReader } from "./row-change.ts";

/** Fault of IReputationEpochs.sol, by its number. */
const faultNames = ["None", "Row", "Sum", "Edge", "Seat", "Prior", "Unavailable"];

type Commit = EventArgs<"reputationEpochs", "EpochCommitted">;

export const epochFolds: Folds<"reputationEpochs"> = {
  ...leafRequestFolds,
  EpochCommitted(commit, place, rows) {
    const roots = commit.topics.map((topic, position) => rootRow(commit, topic, position, rows));
    const { leavesState, trees } = checkLeaves(commit, roots);
    const epoch = epochOf(commit.epoch, rows);
    const counted = { candidateCount: epoch.candidateCount + 1, standingCount: epoch.standingCount + 1 };
    return [
      put("epochs", { ...epoch, ...counted }),
      put("candidates", candidateRow(commit, leavesState, place)),
      ...roots.map((root, k) => put("topicRoots", { ...root, leavesState, knownLeafCount: trees[k]?.length ?? 0 })),
      ...trees.flatMap((words, k) => scoreRows(roots[k] as Row<"topicRoots">, 0, words, place)),
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
    topicCount: commit.topics.length,
    verifiedTopicCount: leavesState === "verified" ? commit.topics.length : 0,
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
    knownLeafCount: 0,
    finalizedAt: null,
    finalizedTx: null,
  };
}
