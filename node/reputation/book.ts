import type { Address } from "viem";
import { noCouplings, SuretyError, type Couplings, type Fault, type TopicRoot } from "#protocol";

/** Events of IReputationEpochs, decoded, in the order of the chain. */
export type EpochEvent =
  /** At construction. */
  | { readonly kind: "coupled"; readonly couplings: Couplings }
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
  | {
      readonly kind: "finalized";
      readonly topic: bigint;
      readonly epoch: number;
      readonly candidateId: bigint;
      readonly leafCount: number;
      /** Epoch in which it was. */
      readonly finalizedIn: number;
    }
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
  /** By topic, the last one first; of several in one epoch the last one only. */
  readonly finalized: ReadonlyMap<bigint, readonly FinalizedRoot[]>;
  readonly couplings: Couplings;
}

/** A root that was finalized. */
export interface FinalizedRoot extends TopicRoot {
  readonly epoch: number;
  readonly leafCount: number;
  readonly finalizedIn: number;
  /** As it stood then, with the leaves that it showed. */
  readonly candidate: Candidate;
}

/** The running epoch's, the one before as its base, and one more for an epoch that ended while it was computed. */
const KEPT_FINALIZED = 3;

/** The contract keeps candidates of this many epochs (RING); older ones can neither be struck nor finalized. */
export const RING_EPOCHS = 4;

export const emptyBook: EpochBook = { candidates: new Map(), finalized: new Map(), couplings: noCouplings };

export function chunkKey(topic: bigint, chunk: number): string {
  return `${topic}/${chunk}`;
}

/** Folds one event. Events of candidates that the book has let go change nothing. */
export function foldEpochEvent(book: EpochBook, event: EpochEvent): EpochBook {
  if (event.kind === "committed") {
    const kept = [...book.candidates].filter(([, candidate]) => hasOtherPlace(candidate, event));
    const { candidateId, epoch, publisher, topics, leaves } = event;
    const fresh = { candidateId, epoch, publisher, topics, leaves, fault: "none", isReleased: false } as const;
    return { ...book, candidates: new Map([...kept, [candidateId, { ...fresh, requests: new Map() }]]) };
  }
  if (event.kind === "coupled") return { ...book, couplings: event.couplings };
  if (event.kind === "finalized") return withFinalized(book, event);
  const candidate = book.candidates.get(event.candidateId);
  if (candidate === undefined) return book;
  return { ...book, candidates: new Map(book.candidates).set(event.candidateId, foldInto(candidate, event)) };
}

/** As in the contract: an epoch's place in the ring is its own until the first commit of one that has the same. */
function hasOtherPlace(candidate: Candidate, { epoch }: { readonly epoch: number }): boolean {
  return candidate.epoch === epoch || candidate.epoch % RING_EPOCHS !== epoch % RING_EPOCHS;
}

function withFinalized(book: EpochBook, event: EpochEvent & { kind: "finalized" }): EpochBook {
  const { topic, epoch, leafCount, finalizedIn } = event;
  const candidate = book.candidates.get(event.candidateId);
  const root = candidate?.topics.find((committed) => committed.topic === topic);
  if (candidate === undefined || root === undefined) {
    throw new SuretyError(
      "BOOK_GAP",
      `A root was finalized whose commit was not read: candidate ${event.candidateId}.`,
      {
        values: { candidateId: event.candidateId, topic, epoch },
        next: "Read the events of ReputationEpochs again from the deployment's first block.",
      },
    );
  }
  const { multiplier, shift } = root;
  const fresh = { topic, root: root.root, multiplier, shift, epoch, leafCount, finalizedIn, candidate };
  const before = (book.finalized.get(topic) ?? []).filter((other) => other.finalizedIn !== finalizedIn);
  const kept = [fresh, ...before].slice(0, KEPT_FINALIZED);
  return { ...book, finalized: new Map(book.finalized).set(topic, kept) };
}

/** The last finalized epoch of a topic; 0 = none. */
export function finalizedEpochOf(book: EpochBook, topic: bigint): number {
  return book.finalized.get(topic)?.[0]?.epoch ?? 0;
}

/**
 * What an epoch's priors read of a topic: the last root that had been finalized when the epoch closed; undefined: none had been.
 * @throws SuretyError DRIVER_EPOCH_PAST when that is so long ago that the book has let it go
 */
export function baseRootAt(book: EpochBook, topic: bigint, epoch: number): FinalizedRoot | undefined {
  const known = book.finalized.get(topic) ?? [];
  const found = known.find(({ finalizedIn }) => finalizedIn <= epoch);
  if (found !== undefined || known.length < KEPT_FINALIZED) return found;
  throw new SuretyError("DRIVER_EPOCH_PAST", `The base of epoch ${epoch} was let go.`, {
    values: { epoch, topic },
    next: "Nothing: only the last closed epoch is computed.",
  });
}

type CandidateEvent = Exclude<EpochEvent, { kind: "coupled" | "committed" | "finalized" }>;

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
