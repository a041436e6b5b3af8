import {
  CHUNK_DEPTH,
  CHUNK_LEAVES,
  encodeLeaves,
  LEAF_BYTES,
  MAX_TOPICS,
  startOfEpoch,
  windowsOf,
  type EpochClock,
} from "#protocol";
import { emptyBook, openRequests, standingIn, type Candidate, type LeavesRequest } from "./book.ts";
import type { ComputedTopic } from "./engine.ts";
import {
  admit,
  closedEpoch,
  createRoleState,
  finalizeWishes,
  foldRoleEvent,
  type RoleEffect,
  type RoleEvent,
  type RoleState,
} from "./roles.ts";

/** Common clients refuse transactions above 128 KiB; what is larger is committed without its leaves, which are answered. */
export const MAX_LEAVES_BYTES = 120_000;
/** A publisher of rank r waits r eighths of the window for those before it: eight have a place in the window. */
export const MAX_RANK = 7;

export interface PublisherOptions {
  /** Agent whose stake is the bond. */
  readonly agentId: number;
  /** 0 commits at once; r gives way to r others, and commits when none of them stands with the right roots. */
  readonly rank: number;
  /** Whether bonds are taken back as soon as they may be. A steady publisher leaves them for its next candidates. */
  readonly isReleasing: boolean;
  /** Leaves of a commit that are larger do not come with it. Default MAX_LEAVES_BYTES, which is also the most. */
  readonly maxLeavesBytes?: number;
}

export interface PublisherState extends RoleState {
  readonly options: PublisherOptions;
  /** Our own result for the closed epoch. */
  readonly computed: { readonly epoch: number; readonly topics: readonly ComputedTopic[] } | undefined;
}

export function createPublisher(clock: EpochClock, options: PublisherOptions): PublisherState {
  return { ...createRoleState(clock, emptyBook), options, computed: undefined };
}

/**
 * The publisher: computes each closed epoch, commits what no standing candidate has, answers for its leaves, finalizes.
 * It has no memory of its own: after a restart the chain's events bring it to the same state.
 */
export function stepPublisher(before: PublisherState, event: RoleEvent): [PublisherState, RoleEffect[]] {
  let state = foldRoleEvent(before, event);
  if (event.kind === "computed") state = { ...state, computed: { epoch: event.epoch, topics: event.topics } };
  // Events of a block are history until its time is known: decisions wait for it.
  if (event.kind !== "time" && event.kind !== "computed" && event.kind !== "done") return [state, []];
  if (closedEpoch(state) === 0) return [state, []];
  return admit(state, [
    ...computeWish(state),
    ...commitWishes(state),
    ...answerWishes(state),
    ...finalizeWishes(state, 0),
    ...releaseWishes(state),
  ]);
}

function computeWish(state: PublisherState): RoleEffect[] {
  const epoch = closedEpoch(state);
  return state.computed?.epoch === epoch ? [] : [{ key: `compute:${epoch}`, kind: "compute", epoch }];
}

function commitWishes(state: PublisherState): RoleEffect[] {
  const { computed, now, clock, book, options } = state;
  const epoch = closedEpoch(state);
  if (computed?.epoch !== epoch) return [];
  const opensAt = startOfEpoch(clock, epoch + 1);
  const { commitUntil } = windowsOf(clock, epoch);
  const turnAt = opensAt + Math.floor(((commitUntil - opensAt) * Math.min(options.rank, MAX_RANK)) / (MAX_RANK + 1));
  if (now < turnAt || now >= commitUntil) return [];
  const standing = standingIn(book, epoch);
  const missing = computed.topics.filter((topic) => !standing.some((candidate) => hasSame(candidate, topic)));
  const maxBytes = Math.min(options.maxLeavesBytes ?? MAX_LEAVES_BYTES, MAX_LEAVES_BYTES);
  return batchesOf(missing, maxBytes).map((topics) => ({
    key: `commit:${epoch}:${topics.map(({ topic }) => topic).join()}`,
    kind: "commit",
    epoch,
    topics,
    leaves: publishedLeaves(topics, maxBytes),
  }));
}

function hasSame(candidate: Candidate, { topic, root, multiplier, shift }: ComputedTopic): boolean {
  return candidate.topics.some(
    (other) => other.topic === topic && other.root === root && other.multiplier === multiplier && other.shift === shift,
  );
}

/** Candidates that fit a transaction each; topics ascend within one, as they came. */
function batchesOf(topics: readonly ComputedTopic[], maxBytes: number): ComputedTopic[][] {
  const batches: ComputedTopic[][] = [];
  let size = Infinity;
  for (const topic of topics) {
    const bytes = topic.leaves.length * LEAF_BYTES;
    const batch = batches[batches.length - 1];
    if (batch === undefined || batch.length === MAX_TOPICS || size + bytes > maxBytes) {
      batches.push([topic]);
      size = bytes;
    } else {
      batch.push(topic);
      size += bytes;
    }
  }
  return batches;
}

function publishedLeaves(topics: readonly ComputedTopic[], maxBytes: number): Uint8Array {
  const words = topics.flatMap(({ leaves }) => leaves);
  return words.length * LEAF_BYTES > maxBytes ? new Uint8Array() : encodeLeaves(words);
}

/** Our own candidates' leaves at once; another's with the same root when half of its time is over, for the fee. */
function answerWishes(state: PublisherState): RoleEffect[] {
  const { computed, now, clock, book, options } = state;
  const epoch = closedEpoch(state);
  if (computed?.epoch !== epoch) return [];
  const patience = Math.floor(clock.epochLengthSeconds / 12);
  return standingIn(book, epoch).flatMap((candidate) =>
    openRequests(candidate).flatMap((request) => {
      const isOurs = candidate.publisher === options.agentId;
      if (now > request.answerBy || (!isOurs && now < request.answerBy - patience)) return [];
      const topic = computed.topics.find((own) => own.topic === request.topic && hasSame(candidate, own));
      return topic === undefined ? [] : [answerWish(request, topic)];
    }),
  );
}

function answerWish({ candidateId, topic, chunk }: LeavesRequest, { leaves, tree }: ComputedTopic): RoleEffect {
  return {
    key: `answer:${candidateId}:${topic}:${chunk}`,
    kind: "answer",
    candidateId,
    topic,
    chunk,
    leaves: leaves.slice(chunk * CHUNK_LEAVES, (chunk + 1) * CHUNK_LEAVES),
    proof: tree.subtreeProof(chunk, Math.min(CHUNK_DEPTH, tree.depth)),
  };
}

function releaseWishes({ options, book, now, clock }: PublisherState): RoleEffect[] {
  if (!options.isReleasing) return [];
  return [...book.candidates.values()]
    .filter(
      (candidate) =>
        candidate.publisher === options.agentId &&
        candidate.fault === "none" &&
        !candidate.isReleased &&
        openRequests(candidate).length === 0 &&
        now >= startOfEpoch(clock, candidate.epoch + 2),
    )
    .map(({ candidateId }) => ({ key: `release:${candidateId}`, kind: "release", candidateId }));
}
