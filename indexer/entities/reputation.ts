// Local trust, epochs, and the scores that they came to.
import {
  type Column,
  int,
  wide,
  big,
  bytes,
  text,
  nullableWide,
  nullableBig,
  nullableBytes,
  nullableText,
  indexedWide,
  agent,
  topic,
  candidate,
} from "./columns.ts";

export const reputationTables = {
  /** id = the topic as a decimal number. */
  topics: {
    id: text,
    /** Seats as they stand now, dust seat included. */
    seatCount: wide,
    /** Epoch in which the last seat was taken, and how many there were when it began. */
    seatEpoch: wide,
    seatCountBefore: wide,
    finalizedEpoch: nullableWide,
    finalizedCandidate: { kind: "text", isNullable: true, refersTo: "candidates" },
  },
  /** id = topic:agentId. */
  seats: { id: text, topic, agent, seat: indexedWide, epoch: wide },
  /** Sums of ratings as they stand now; id = topic:client:provider. */
  localTrusts: {
    id: text,
    topic,
    client: agent,
    provider: agent,
    satisfied: wide,
    unsatisfied: wide,
    /** max(satisfied - unsatisfied, 0). */
    weight: indexedWide,
    epoch: wide,
    updatedAt: wide,
  },
  /** id = number of the epoch that was scored. */
  epochs: { id: text, number: indexedWide, candidateCount: int, standingCount: int, finalizedTopicCount: int },
  /** id = candidateId. */
  candidates: {
    id: text,
    epoch: { kind: "text", refersTo: "epochs" },
    publisher: agent,
    closingBlockHash: bytes,
    /** standing, or struck. Whether a topic was finalized with it says topicRoots. */
    state: { kind: "text", isIndexed: true },
    /**
     * announced: the leaves are published elsewhere. verified: they are here and hash to every root. mismatch: they do
     * not. unavailable: struck because nobody could show them.
     */
    leavesState: { kind: "text", isIndexed: true },
    /** Row, Sum, Edge, Seat, Prior or Unavailable; null = not struck. */
    fault: nullableText,
    challenger: nullableBytes,
    slashed: nullableBig,
    reward: nullableBig,
    isBondReleased: { kind: "flag" },
    committedBlock: wide,
    committedAt: indexedWide,
    committedTx: bytes,
    struckTx: nullableBytes,
  },
  /** One topic of a candidate; id = candidateId:topic. */
  topicRoots: {
    id: text,
    candidate,
    topic,
    epoch: indexedWide,
    /** Position in the commit. */
    position: int,
    root: bytes,
    /** λ = multiplier / 2^shift. */
    multiplier: big,
    shift: int,
    leafCount: wide,
    leavesState: text,
    finalizedAt: nullableWide,
    finalizedTx: nullableBytes,
  },
  /** One leaf of a verified topic; id = candidateId:topic:seat. */
  scores: {
    id: text,
    candidate,
    topic,
    epoch: indexedWide,
    seat: wide,
    agent,
    /** Share of 2^62. */
    score: { kind: "big", isIndexed: true },
    cum: big,
    prior: wide,
    rowSum: wide,
    leaf: bytes,
  },
} as const satisfies Record<string, Readonly<Record<string, Column>>>;
