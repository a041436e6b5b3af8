import type { Address } from "viem";
import type { Fault, TopicRoot } from "#protocol";

/** Events of IReputationEpochs, decoded, in the order of the chain. */
export type EpochEvent =
  | {
      readonly kind: "committed";
      readonly candidateId: bigint;
      readonly epoch: number;
      /** Agent that answers for the candidate with its stake. */
      readonly publisher: number;
      readonly topics: readonly TopicRoot[];
      /** As in the transaction: all topics' packed leaves, or nothing. */
      readonly leaves: Uint8Array;
    }
  | {
      readonly kind: "struck";
      readonly candidateId: bigint;
      readonly fault: Fault;
      readonly challenger: Address;
      readonly rewardWei: bigint;
    }
  | ({ readonly kind: "requested"; readonly requester: Address; readonly answerBy: number } & ChunkId)
  | ({ readonly kind: "answered"; readonly leaves: readonly bigint[] } & ChunkId)
  | ({ readonly kind: "reclaimed" } & ChunkId)
  | { readonly kind: "finalized"; readonly topic: bigint; readonly epoch: number; readonly candidateId: bigint }
  | { readonly kind: "released"; readonly candidateId: bigint };

/** 256 leaves of one topic of one candidate. */
export interface ChunkId {
  readonly candidateId: bigint;
  readonly topic: bigint;
  readonly chunk: number;
}

export interface LeavesRequest extends ChunkId {
  readonly requester: Address;
  /** Last second (Unix) for an answer. */
  readonly answerBy: number;
  /** undefined: not answered. */
  readonly leaves: readonly bigint[] | undefined;
  readonly isReclaimed: boolean;
}

export interface Candidate {
  readonly candidateId: bigint;
  readonly epoch: number;
  readonly publisher: number;
  readonly topics: readonly TopicRoot[];
  readonly leaves: Uint8Array;
  readonly fault: Fault;
  readonly isReleased: boolean;
  /** By `chunkKey`. */
  readonly requests: ReadonlyMap<string, LeavesRequest>;
}

/** What the contract knows, as far as a publisher or a watcher acts upon it: the last RING_EPOCHS epochs. */
export interface EpochBook {
  /** In order of committing. */
  readonly candidates: ReadonlyMap<bigint, Candidate>;
  /** Last finalized epoch by topic. */
  readonly finalized: ReadonlyMap<bigint, number>;
}

/** The contract keeps candidates of this many epochs (RING); older ones can neither be struck nor finalized. */
export const RING_EPOCHS = 4;

export const emptyBook: EpochBook = { candidates: new Map(), finalized: new Map() };

export function chunkKey(topic: bigint, chunk: number): string {
  return `${topic}/${chunk}`;
}

/** Folds one event. Events of candidates that the book has let go change nothing. */
export function foldEpochEvent(book: EpochBook, event: EpochEvent): EpochBook {
  if (event.kind === "committed") {
    const kept = [...book.candidates].filter(([, { epoch }]) => epoch > event.epoch - RING_EPOCHS);
    const { candidateId, epoch, publisher, topics, leaves } = event;
    const fresh = { candidateId, epoch, publisher, topics, leaves, fault: "none", isReleased: false } as const;
    return { ...book, candidates: new Map([...kept, [candidateId, { ...fresh, requests: new Map() }]]) };
  }
  if (event.kind === "finalized") {
    return { ...book, finalized: new Map(book.finalized).set(event.topic, event.epoch) };
  }
  const candidate = book.candidates.get(event.candidateId);
  if (candidate === undefined) return book;
  return { ...book, candidates: new Map(book.candidates).set(event.candidateId, foldInto(candidate, event)) };
}

type CandidateEvent = Exclude<EpochEvent, { kind: "committed" | "finalized" }>;

function foldInto(candidate: Candidate, event: CandidateEvent): Candidate {
  if (event.kind === "struck") return { ...candidate, fault: event.fault };
  if (event.kind === "released") return { ...candidate, isReleased: true };
  const key = chunkKey(event.topic, event.chunk);
  const request = requestAfter(candidate.requests.get(key), event);
  return request === undefined ? candidate : { ...candidate, requests: new Map(candidate.requests).set(key, request) };
}

function requestAfter(
  before: LeavesRequest | undefined,
  event: CandidateEvent & ChunkId & { kind: "requested" | "answered" | "reclaimed" },
): LeavesRequest | undefined {
  if (event.kind === "requested") {
    const { candidateId, topic, chunk, requester, answerBy } = event;
    return { candidateId, topic, chunk, requester, answerBy, leaves: undefined, isReclaimed: false };
  }
  if (before === undefined) return undefined;
  return event.kind === "answered" ? { ...before, leaves: event.leaves } : { ...before, isReclaimed: true };
}

/** Candidates of an epoch that were not struck, in order of committing. */
export function standingIn(book: EpochBook, epoch: number): Candidate[] {
  return [...book.candidates.values()].filter((candidate) => candidate.epoch === epoch && candidate.fault === "none");
}

/** Requests that still wait for leaves. */
export function openRequests(candidate: Candidate): LeavesRequest[] {
  return [...candidate.requests.values()].filter(({ leaves, isReclaimed }) => leaves === undefined && !isReclaimed);
}

/** All leaves of a topic, if every chunk of it was asked for and answered. */
export function answeredLeaves(candidate: Candidate, topic: bigint, chunkCount: number): bigint[] | undefined {
  const leaves: bigint[] = [];
  for (let chunk = 0; chunk < chunkCount; chunk++) {
    const answer = candidate.requests.get(chunkKey(topic, chunk))?.leaves;
    if (answer === undefined) return undefined;
    leaves.push(...answer);
  }
  return leaves;
}
