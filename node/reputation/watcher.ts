import { isAddressEqual, type Address } from "viem";
import { windowsOf, type EpochClock } from "#protocol";
import { chunkKey, emptyBook, openRequests, standingIn, type Candidate } from "./book.ts";
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
import type { Finding } from "./verify.ts";

/** Requests that one candidate may have open for us: what a hidden tree can cost us in fees at a time. */
export const MAX_OPEN_REQUESTS = 64;

export interface WatcherOptions {
  /** Sends the challenges and is paid for them. */
  readonly address: Address;
}

/** What an inspection said, and of how many answered chunks it knew. */
interface Inspection {
  readonly answered: number;
  readonly finding: Finding;
}

export interface WatcherState extends RoleState {
  readonly options: WatcherOptions;
  /** Epoch whose graphs and own scores are at hand; 0 = none. */
  readonly computedEpoch: number;
  /** Of the candidates of the closed epoch. */
  readonly inspections: ReadonlyMap<bigint, Inspection>;
}

export function createWatcher(clock: EpochClock, options: WatcherOptions): WatcherState {
  return { ...createRoleState(clock, emptyBook), options, computedEpoch: 0, inspections: new Map() };
}

/**
 * The watcher: checks every candidate of the closed epoch against the ledger, challenges what is wrong, asks for what is
 * hidden, strikes what stays hidden. It needs no person and has no memory of its own: the chain's events bring it back.
 */
export function stepWatcher(before: WatcherState, event: RoleEvent): [WatcherState, RoleEffect[]] {
  let state = foldRoleEvent(before, event);
  if (event.kind === "computed") {
    state = { ...state, computedEpoch: event.epoch, inspections: new Map() };
  } else if (event.kind === "inspected") {
    const { candidateId, answered, finding } = event;
    state = { ...state, inspections: new Map(state.inspections).set(candidateId, { answered, finding }) };
  } else if (event.kind !== "time" && event.kind !== "done") {
    return [state, []];
  }
  const epoch = closedEpoch(state);
  if (epoch === 0) return [state, []];
  const candidates = standingIn(state.book, epoch);
  return admit(state, [
    ...(state.computedEpoch === epoch
      ? candidates.flatMap((candidate) => candidateWishes(state, candidate))
      : [{ key: `compute:${epoch}`, kind: "compute", epoch } as const]),
    ...strikeWishes(state),
    ...reclaimWishes(state),
    // A sixth of an epoch for the publisher to do it; then anybody's root may be waiting on us.
    ...finalizeWishes(state, Math.floor(state.clock.epochLengthSeconds / 6)),
  ]);
}

/** Looks at a candidate once, and again when its last open request was answered. */
function candidateWishes(state: WatcherState, candidate: Candidate): RoleEffect[] {
  const { candidateId } = candidate;
  const inspection = state.inspections.get(candidateId);
  const open = openRequests(candidate).length;
  const answered = candidate.requests.size - open;
  if (inspection === undefined || (open === 0 && inspection.answered !== answered)) {
    return [{ key: `inspect:${candidateId}:${answered}`, kind: "inspect", candidateId, answered }];
  }
  const { finding } = inspection;
  if (finding.kind === "none") return [];
  if (finding.kind === "unavailable") return requestWishes(state, candidate, finding);
  const { challenge } = finding;
  return [{ key: `challenge:${candidateId}:${challenge.kind}`, kind: "challenge", candidateId, challenge }];
}

function requestWishes(
  { now, clock, pending }: WatcherState,
  candidate: Candidate,
  { topic, chunks }: Finding & { kind: "unavailable" },
): RoleEffect[] {
  if (now >= windowsOf(clock, candidate.epoch).requestUntil) return [];
  const { candidateId } = candidate;
  const keyOf = (chunk: number) => `request:${candidateId}:${topic}:${chunk}`;
  const underWay = chunks.filter((chunk) => pending.has(keyOf(chunk))).length;
  return chunks
    .filter((chunk) => !candidate.requests.has(chunkKey(topic, chunk)) && !pending.has(keyOf(chunk)))
    .slice(0, Math.max(MAX_OPEN_REQUESTS - openRequests(candidate).length - underWay, 0))
    .map((chunk) => ({ key: keyOf(chunk), kind: "request", candidateId, topic, chunk }));
}

/** One unanswered request strikes a candidate, whoever asked, and as long as the contract keeps it. */
function strikeWishes({ book, now }: WatcherState): RoleEffect[] {
  return [...book.candidates.values()].flatMap((candidate): RoleEffect[] => {
    const due = openRequests(candidate).find(({ answerBy }) => now > answerBy);
    if (candidate.fault !== "none" || due === undefined) return [];
    const { candidateId, topic, chunk } = due;
    return [{ key: `strike:${candidateId}`, kind: "strike", candidateId, topic, chunk }];
  });
}

function reclaimWishes({ book, options }: WatcherState): RoleEffect[] {
  return [...book.candidates.values()].flatMap((candidate): RoleEffect[] =>
    candidate.fault === "none"
      ? []
      : openRequests(candidate)
          .filter(({ requester }) => isAddressEqual(requester, options.address))
          .map(({ candidateId, topic, chunk }) => ({
            key: `reclaim:${candidateId}:${topic}:${chunk}`,
            kind: "reclaim",
            candidateId,
            topic,
            chunk,
          })),
  );
}
