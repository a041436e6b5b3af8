import type { Hex } from "viem";
import { epochAt, startOfEpoch, type Challenge, type EpochClock, type SuretyError } from "#protocol";
import {
  finalizedEpochOf,
  foldEpochEvent,
  openRequests,
  standingIn,
  type ChunkId,
  type EpochBook,
  type EpochEvent,
} from "./book.ts";
import type { ComputedTopic } from "./engine.ts";
import type { Finding } from "./verify.ts";

/** What publisher and watcher are told. Chain events come before the `time` of the block that holds them. */
export type RoleEvent =
  | EpochEvent
  /** Unix seconds of the latest block, after its events. */
  | { readonly kind: "time"; readonly timestamp: number }
  | { readonly kind: "computed"; readonly epoch: number; readonly topics: readonly ComputedTopic[] }
  | { readonly kind: "inspected"; readonly candidateId: bigint; readonly answered: number; readonly finding: Finding }
  /** An effect ended. Events that it caused on chain came before. */
  | { readonly kind: "done"; readonly key: string }
  | { readonly kind: "failed"; readonly key: string; readonly error: SuretyError };

/** What they want done. Equal keys are the same wish: it is granted once at a time. */
export type RoleEffect = { readonly key: string } & (
  | { readonly kind: "compute"; readonly epoch: number }
  | {
      readonly kind: "commit";
      readonly epoch: number;
      readonly topics: readonly ComputedTopic[];
      readonly leaves: Uint8Array;
    }
  | ({ readonly kind: "answer"; readonly leaves: readonly bigint[]; readonly proof: readonly Hex[] } & ChunkId)
  | { readonly kind: "finalize"; readonly epoch: number; readonly topics: readonly bigint[] }
  | { readonly kind: "release"; readonly candidateId: bigint }
  | { readonly kind: "inspect"; readonly candidateId: bigint; readonly answered: number }
  | { readonly kind: "challenge"; readonly candidateId: bigint; readonly challenge: Challenge }
  | ({ readonly kind: "request" } & ChunkId)
  | ({ readonly kind: "strike" } & ChunkId)
  | ({ readonly kind: "reclaim" } & ChunkId)
);

/** What both roles keep: the book, the time, and which wishes are under way. */
export interface RoleState {
  readonly clock: EpochClock;
  /** Unix seconds of the latest block; 0 before the first. */
  readonly now: number;
  readonly book: EpochBook;
  /** Keys of effects under way. */
  readonly pending: ReadonlySet<string>;
  /** Keys that failed for now: asked for again with the next block. */
  readonly cooling: ReadonlySet<string>;
  /** Keys that failed for good: not asked for again. Keys name their epoch or candidate, so that this stays small. */
  readonly refused: ReadonlySet<string>;
}

export function createRoleState(clock: EpochClock, book: EpochBook): RoleState {
  return { clock, now: 0, book, pending: new Set(), cooling: new Set(), refused: new Set() };
}

/** Refused keys that are remembered; the oldest are forgotten, and at worst fail once more. */
const MAX_REFUSED = 1_024;

/** Folds the parts of an event that both roles share. */
export function foldRoleEvent<S extends RoleState>(state: S, event: RoleEvent): S {
  switch (event.kind) {
    case "time":
      return { ...state, now: event.timestamp, cooling: new Set() };
    case "done":
      return { ...state, pending: without(state.pending, event.key) };
    case "failed": {
      const pending = without(state.pending, event.key);
      if (event.error.isRetryable) return { ...state, pending, cooling: new Set(state.cooling).add(event.key) };
      return { ...state, pending, refused: new Set([...state.refused, event.key].slice(-MAX_REFUSED)) };
    }
    case "computed":
    case "inspected":
      return state;
    default:
      return { ...state, book: foldEpochEvent(state.book, event) };
  }
}

/** Drops the wishes that are under way or were refused, and notes the others as under way. */
export function admit<S extends RoleState>(state: S, wishes: readonly RoleEffect[]): [S, RoleEffect[]] {
  const { pending, cooling, refused } = state;
  const fresh = wishes.filter(({ key }) => !pending.has(key) && !cooling.has(key) && !refused.has(key));
  if (fresh.length === 0) return [state, []];
  return [{ ...state, pending: new Set([...pending, ...fresh.map(({ key }) => key)]) }, fresh];
}

function without(keys: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const rest = new Set(keys);
  rest.delete(key);
  return rest;
}

/** The last closed epoch, 0 = none. */
export function closedEpoch({ clock, now }: RoleState): number {
  return Math.max(epochAt(clock, now) - 1, 0);
}

/**
 * Topics whose first standing candidate may be finalized by now. A candidate with unanswered requests is due to be
 * struck, so that its topics wait.
 * @param delaySeconds after the first second at which finalizing is possible
 */
export function finalizeWishes({ clock, now, book }: RoleState, delaySeconds: number): RoleEffect[] {
  const epochs = [...new Set([...book.candidates.values()].map(({ epoch }) => epoch))];
  return epochs.flatMap((epoch): RoleEffect[] => {
    if (now < startOfEpoch(clock, epoch + 2) + delaySeconds) return [];
    const first = new Map<bigint, boolean>();
    for (const candidate of standingIn(book, epoch)) {
      const isReady = openRequests(candidate).length === 0;
      for (const { topic } of candidate.topics) if (!first.has(topic)) first.set(topic, isReady);
    }
    const topics = [...first].filter(([topic, isReady]) => isReady && finalizedEpochOf(book, topic) < epoch);
    if (topics.length === 0) return [];
    const ids = topics.map(([topic]) => topic);
    return [{ key: `finalize:${epoch}:${ids.join()}`, kind: "finalize", epoch, topics: ids }];
  });
}
