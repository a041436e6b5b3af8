import { zeroHash, type Address, type Hex } from "viem";
import { accept, ignore, type Verdict } from "../errors.ts";
import type { VerifiedHeader } from "./header.ts";
import { isEnding } from "./rotation.ts";

/** An author may be heard this far ahead of what we hold; further entries are fetched in order instead of kept. */
export const MAX_OUT_OF_ORDER = 64;

/**
 * Proof of equivocation: two headers of one log, both signed by it, that no honest writer signs.
 * `same-seq`: one seq, two digests. `broken-link`: consecutive seqs, the second's `prev` is not the first's digest.
 */
export interface Fork {
  readonly kind: "same-seq" | "broken-link";
  readonly first: VerifiedHeader;
  readonly second: VerifiedHeader;
}

/** What one node knows of one log's headers. Entries up to `nextSeq - 1` are in its store. */
export interface LogState {
  readonly log: Address;
  /** The seq that the next accepted entry has. */
  readonly nextSeq: number;
  /** Digest of the last accepted entry; zero before the first. */
  readonly head: Hex;
  /** Verified entries beyond a gap, by seq: at most MAX_OUT_OF_ORDER. */
  readonly pending: ReadonlyMap<number, VerifiedHeader>;
  /** The last accepted entry rotated to another log: nothing follows it. */
  readonly isEnded: boolean;
  /** Once set, the log is dead: nothing of it is accepted any more. */
  readonly fork: Fork | undefined;
}

export interface LogStep {
  readonly state: LogState;
  /** accept: new to us, pass it on. ignore: ENTRY_KNOWN, ENTRY_TOO_FAR, LOG_FORKED, LOG_ENDED. A stranger's log is never rejected here. */
  readonly verdict: Verdict<"appended" | "held" | "fork">;
  /** To be stored, in this order. */
  readonly appended: readonly VerifiedHeader[];
  /** Evidence, the first time that a fork is seen. */
  readonly fork?: Fork;
  /** A gap: entries that somebody who sent the header should have. */
  readonly missing?: { readonly fromSeq: number; readonly count: number };
}

/** @param head the last stored entry, @param fork the stored evidence, if any: what a restarted node knows */
export function createLogState(log: Address, head?: VerifiedHeader, fork?: Fork): LogState {
  const isEnded = head !== undefined && isEnding(head.header);
  const nextSeq = head ? head.header.seq + 1 : 0;
  return { log, nextSeq, head: head?.digest ?? zeroHash, pending: new Map(), isEnded, fork };
}

/**
 * Folds one verified header into a log: in order by (seq, prev), whatever order the network gave (eq. 1-2). Pure.
 * @param heldAt reads a stored header of this log by its seq (only asked for seq < nextSeq)
 */
export function applyHeader(
  state: LogState,
  entry: VerifiedHeader,
  heldAt: (seq: number) => VerifiedHeader | undefined,
): LogStep {
  const { seq, prev } = entry.header;
  if (state.fork !== undefined) return unchanged(state, "LOG_FORKED", `log ${state.log} equivocated`);
  const rival = seq < state.nextSeq ? heldAt(seq) : state.pending.get(seq);
  if (rival !== undefined) {
    if (rival.digest === entry.digest) return unchanged(state, "ENTRY_KNOWN", `seq ${seq}`);
    return forked(state, [], { kind: "same-seq", first: rival, second: entry });
  }
  if (seq < state.nextSeq) return unchanged(state, "ENTRY_KNOWN", `seq ${seq} is not kept any more`);
  if (state.isEnded) return unchanged(state, "LOG_ENDED", `entry ${state.nextSeq - 1} ended log ${state.log}`);
  if (seq > state.nextSeq) return hold(state, entry);
  if (prev !== state.head) {
    const first = heldAt(seq - 1);
    if (first === undefined) return unchanged(state, "ENTRY_KNOWN", `seq ${seq - 1} is not kept any more`);
    return forked(state, [], { kind: "broken-link", first, second: entry });
  }
  return append(state, entry);
}

/** Takes the entry and all that waited for it. */
function append(state: LogState, entry: VerifiedHeader): LogStep {
  const appended = [entry];
  const pending = new Map(state.pending);
  let last = entry;
  for (let next = pending.get(last.header.seq + 1); next; next = pending.get(last.header.seq + 1)) {
    if (isEnding(last.header)) break;
    pending.delete(next.header.seq);
    if (next.header.prev !== last.digest) {
      return forked(advance(state, last, pending), appended, { kind: "broken-link", first: last, second: next });
    }
    appended.push(next);
    last = next;
  }
  if (isEnding(last.header)) pending.clear();
  const grown = advance(state, last, pending);
  return { state: grown, verdict: accept("appended"), appended, ...gapOf(grown) };
}

const advance = (state: LogState, last: VerifiedHeader, pending: LogState["pending"]): LogState => ({
  ...state,
  nextSeq: last.header.seq + 1,
  head: last.digest,
  pending,
  isEnded: isEnding(last.header),
});

function hold(state: LogState, entry: VerifiedHeader): LogStep {
  const { seq } = entry.header;
  const count = Math.min(seq - state.nextSeq, MAX_OUT_OF_ORDER);
  if (seq - state.nextSeq > MAX_OUT_OF_ORDER) {
    const verdict = ignore("ENTRY_TOO_FAR", `seq ${seq}, next is ${state.nextSeq}`);
    return { state, verdict, appended: [], missing: { fromSeq: state.nextSeq, count } };
  }
  const held = { ...state, pending: new Map(state.pending).set(seq, entry) };
  return { state: held, verdict: accept("held"), appended: [], ...gapOf(held) };
}

/** The entries between what is stored and the first that waits. */
function gapOf(state: LogState): Pick<LogStep, "missing"> {
  if (state.pending.size === 0) return {};
  const firstHeld = Math.min(...state.pending.keys());
  return { missing: { fromSeq: state.nextSeq, count: firstHeld - state.nextSeq } };
}

function forked(state: LogState, appended: readonly VerifiedHeader[], fork: Fork): LogStep {
  return { state: { ...state, pending: new Map(), fork }, verdict: accept("fork"), appended, fork };
}

const unchanged = (state: LogState, code: string, detail: string): LogStep => ({
  state,
  verdict: ignore(code, detail),
  appended: [],
});

/** Whether two headers prove that a log equivocated; for evidence that somebody else hands us. */
export function isFork({ kind, first, second }: Fork): boolean {
  if (first.header.log !== second.header.log || first.digest === second.digest) return false;
  const distance = second.header.seq - first.header.seq;
  return kind === "same-seq" ? distance === 0 : distance === 1 && second.header.prev !== first.digest;
}
