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
     * announced: the leaves did not come with the commit. available: some were answered on chain to whoever asked.
     * verified: all are here, and hash to every root. mismatch: what came does not. unavailable: struck because nobody
     * could show them. All but the last can still become verified: by an answer to each `leafRequests` that anyone pays for.
     */
    leavesState: { kind: "text", isIndexed: true },
    topicCount: int,
    /** Topics whose leaves are all here. */
    verifiedTopicCount: int,
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
    /** How many of its leaves are here. */
    knownLeafCount: wide,
    finalizedAt: nullableWide,
    finalizedTx: nullableBytes,
  },
  /** 256 leaves of a topic that somebody asked for on chain; id = candidateId:topic:chunk. */
  leafRequests: {
    id: text,
    candidate,
    topic,
    chunk: wide,
    requester: bytes,
    /** What its answer earns, in wei. */
    fee: big,
    /** Unix seconds; later the candidate can be struck as unavailable. */
    answerBy: indexedWide,
    /** waiting, answered, or reclaimed: the requester took the fee back. */
    state: { kind: "text", isIndexed: true },
    requestedAt: wide,
    requestedTx: bytes,
    answeredTx: nullableBytes,
  },
  /** One leaf, shown to hash to its topic's root; id = candidateId:topic:seat. */
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
