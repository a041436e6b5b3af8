import { zeroHash, type Hex } from "viem";
import type { BatchHeader } from "../generated/structs.ts";
import { quorumOf } from "./draw.ts";
import { noteSighting, type DoubleSigning, type Sightings } from "./evidence.ts";
import { batchRootOf, isListOf, MAX_BATCH_ENTRIES, orderEntries, type BatchEntry, type HeldEntry } from "./order.ts";
import { isWindow, lastWindowBefore, leaderSeatOf, windowAt, type WindowClock } from "./time.ts";

/** What a validator knows of its task: the seats as drawn, and which one is its own. */
export interface WindowTerms {
  readonly topic: bigint;
  readonly epoch: number;
  /** Number of validators of the epoch. */
  readonly seats: number;
  /** undefined = it watches and signs nothing. */
  readonly seat: number | undefined;
  readonly clock: WindowClock;
  /** EIP-712 digest of a batch header on this chain. */
  readonly digestOf: (header: BatchHeader) => Hex;
}

/** A batch that a quorum has signed. */
export interface Link {
  readonly digest: Hex;
  readonly header: BatchHeader;
}

interface Round {
  readonly header: BatchHeader;
  readonly digest: Hex;
  readonly entries: readonly BatchEntry[];
  readonly signatures: ReadonlyMap<number, Hex>;
  readonly isPublished: boolean;
}

/** A proposal of another that waits: for log headers that we miss, or for our own signature to be on disk. */
interface Answer {
  readonly request: number;
  readonly header: BatchHeader;
  readonly digest: Hex;
  readonly entries: readonly BatchEntry[];
  readonly missing: ReadonlySet<Hex>;
}

export interface WindowState {
  readonly terms: WindowTerms;
  /** Log headers of the topic that no batch of the chain has, as far as we know. */
  readonly pool: ReadonlyMap<Hex, HeldEntry>;
  /** Log headers of batches of the chain, by the batch's digest: the newest ones, oldest first. */
  readonly batched: ReadonlyMap<Hex, ReadonlyMap<Hex, HeldEntry>>;
  /** The newest batch with a quorum, of this epoch or one before; undefined = the topic has none yet. */
  readonly last: Link | undefined;
  /** Digest of the one header that we signed of each window, from disk. */
  readonly signed: ReadonlyMap<number, Hex>;
  readonly round: Round | undefined;
  readonly answer: Answer | undefined;
  /** The last window that was told to be skipped, or had a batch. */
  readonly settledWindow: number;
  readonly sightings: Sightings;
}

export type WindowEvent =
  /** Verified log headers of the topic, newly held. */
  | { readonly kind: "held"; readonly entries: readonly HeldEntry[] }
  /** Unix seconds of the chain. */
  | { readonly kind: "time"; readonly second: number }
  /** A seat's proposal, its signature checked; `request` names it in the answer. */
  | {
      readonly kind: "proposal";
      readonly request: number;
      readonly seat: number;
      readonly header: BatchHeader;
      readonly signature: Hex;
      readonly entries: readonly BatchEntry[];
      readonly second: number;
    }
  /** Our own signature under this header is on disk, and made. */
  | { readonly kind: "signed"; readonly digest: Hex; readonly signature: Hex }
  /** Our proposal's answer, the signature checked to be the seat's. */
  | { readonly kind: "signature"; readonly digest: Hex; readonly seat: number; readonly signature: Hex }
  /** A batch with a quorum of checked signatures, by seat, from wherever; its list, where it is known. */
  | {
      readonly kind: "sealed";
      readonly header: BatchHeader;
      readonly signatures: readonly (Hex | undefined)[];
      readonly entries: readonly BatchEntry[] | undefined;
    };

export type WindowEffect =
  /** Put (window, digest) on disk, synced, unless another digest is there; then sign, and tell by `signed`. */
  | { readonly kind: "sign"; readonly header: BatchHeader; readonly digest: Hex }
  /** Ask all other seats to sign. */
  | {
      readonly kind: "propose";
      readonly header: BatchHeader;
      readonly signature: Hex;
      readonly entries: readonly BatchEntry[];
    }
  | { readonly kind: "answer"; readonly request: number; readonly signature: Hex }
  | { readonly kind: "refuse"; readonly request: number; readonly code: RefusalCode }
  /** Ask the proposer for log headers that we miss; they come back as `held`. */
  | { readonly kind: "fetch"; readonly seat: number; readonly entries: readonly BatchEntry[] }
  /** Ask the proposer for the batch that its proposal follows and that we do not have; it comes back as `sealed`. */
  | { readonly kind: "catchUp"; readonly seat: number; readonly digest: Hex }
  | {
      readonly kind: "publish";
      readonly header: BatchHeader;
      readonly signatures: readonly (Hex | undefined)[];
      readonly entries: readonly BatchEntry[];
    }
  | { readonly kind: "skipped"; readonly window: number }
  | { readonly kind: "evidence"; readonly found: DoubleSigning };

export type RefusalCode =
  | "WINDOW_NOT_SEATED"
  | "WINDOW_NOT_OURS"
  | "WINDOW_NOT_LEADER"
  | "WINDOW_NOT_NOW"
  | "WINDOW_LIST"
  | "WINDOW_PREVIOUS"
  | "WINDOW_SIGNED"
  | "WINDOW_REPEATED"
  | "WINDOW_BUSY"
  | "WINDOW_MISSING";

type Step = [WindowState, WindowEffect[]];

/** Log headers that wait for a window; the oldest are dropped, and stand in their logs all the same. */
export const MAX_POOL = 8 * MAX_BATCH_ENTRIES;
/** Batches whose lists are remembered: nothing older is proposed again by an honest leader. */
const REMEMBERED_BATCHES = 64;
/** Seconds by which two validators' clocks may differ. */
const CLOCK_TOLERANCE_S = 2;

/** @param signed what is on disk of this topic: without it a validator that restarts would sign twice */
export function createWindowState(
  terms: WindowTerms,
  last: Link | undefined,
  signed: ReadonlyMap<number, Hex>,
): WindowState {
  return {
    ...{ terms, pool: new Map(), batched: new Map(), last, signed, round: undefined, answer: undefined },
    ...{ settledWindow: last?.header.window ?? 0, sightings: new Map() },
  };
}

/**
 * One validator, or one that only watches, of one topic and epoch. Collects log headers; when a window ends, its leader proposes
 * their order, the others sign it if they hold all of it and it follows what they know, and with two thirds it is published. The
 * next window's leader goes on whatever became of it.
 *
 * Safety is one rule: of a window one header is signed, and the first is on disk before its signature leaves. Two headers of a
 * window with a quorum each then have more signers in common than a third, who all signed twice. A batch whose quorum is withheld
 * until a later window has one is skipped: the chain is what the latest header names.
 */
export function stepWindow(state: WindowState, event: WindowEvent): Step {
  switch (event.kind) {
    case "held":
      return resumeAnswer(hold(state, event.entries));
    case "time":
      return onTime(state, event.second);
    case "proposal":
      return onProposal(...watchProposal(state, event), event);
    case "signed":
      return onSigned(state, event.digest, event.signature);
    case "signature":
      return onSignature(state, event);
    case "sealed":
      return onSealed(state, event);
  }
}

function onTime(state: WindowState, second: number): Step {
  const { terms } = state;
  const ended = lastWindowBefore(terms.clock, second);
  if (ended === undefined) return [state, []];
  const [patient, dropped] = dropAnswer(state, second);
  const [settled, skipped] = skipBefore(patient, ended.window);
  const effects = [...dropped, ...skipped];
  const isOver = settled.round !== undefined && settled.round.header.window < ended.window;
  const next = isOver ? { ...settled, round: undefined } : settled;
  const isLeader = terms.seat !== undefined && leaderSeatOf(ended, terms.seats) === terms.seat;
  const isDue = isLeader && ended.epoch === terms.epoch && ended.window > (next.last?.header.window ?? 0);
  if (!isDue || next.round !== undefined || next.signed.has(ended.window) || next.pool.size === 0)
    return [next, effects];
  return propose(next, ended.window, effects);
}

function propose(state: WindowState, window: number, effects: WindowEffect[]): Step {
  const { terms, last, pool } = state;
  const entries = orderEntries([...pool.values()]);
  const content = { previous: last?.digest ?? zeroHash, root: batchRootOf(entries), count: entries.length };
  const header: BatchHeader = { topic: terms.topic, window, ...content };
  const digest = terms.digestOf(header);
  const round: Round = { header, digest, entries, signatures: new Map(), isPublished: false };
  return [
    { ...state, round, signed: remember(state.signed, window, digest) },
    [...effects, { kind: "sign", header, digest }],
  ];
}

/** Tells of each window that has passed without a batch, once its time for one is over. */
function skipBefore(state: WindowState, window: number): Step {
  const { terms, settledWindow } = state;
  const skipped = lastWindowBefore(terms.clock, window);
  if (skipped === undefined || skipped.window <= settledWindow || skipped.epoch !== terms.epoch) return [state, []];
  const isFirst = settledWindow === 0;
  const effects: WindowEffect[] = isFirst ? [] : [{ kind: "skipped", window: skipped.window }];
  return [{ ...state, settledWindow: skipped.window }, effects];
}

type Proposal = Extract<WindowEvent, { kind: "proposal" }>;

/** A validator's signature is remembered as soon as it can mean anything: of this topic and epoch, and of no window to come. */
function watchProposal(state: WindowState, proposal: Proposal): Step {
  const { header, seat, second } = proposal;
  return isWatched(state, header) && header.window <= second ? watch(state, seat, proposal) : [state, []];
}

const isWatched = ({ terms }: WindowState, { topic, window }: BatchHeader): boolean =>
  topic === terms.topic && isWindow(terms.clock, window) && windowAt(terms.clock, window).epoch === terms.epoch;

function onProposal(state: WindowState, before: WindowEffect[], proposal: Proposal): Step {
  const { request, seat, header, entries } = proposal;
  const digest = state.terms.digestOf(header);
  const effects = [...before];
  const isAgain = state.signed.get(header.window) === digest;
  const refusal = refusalOf(state, proposal, isAgain);
  const refused = (code: RefusalCode, more: WindowEffect[] = []): Step => {
    return [state, [...effects, ...more, { kind: "refuse", request, code }]];
  };
  if (refusal === "WINDOW_PREVIOUS" && header.previous !== zeroHash)
    return refused(refusal, [{ kind: "catchUp", seat, digest: header.previous }]);
  if (refusal !== undefined) return refused(refusal);
  // An earlier window's, that still waits: its leader has no use for it any more.
  if (state.answer !== undefined)
    effects.push({ kind: "refuse", request: state.answer.request, code: "WINDOW_MISSING" });
  const missing = new Set(entries.filter((entry) => !state.pool.has(entry.digest)).map((entry) => entry.digest));
  const next = { ...state, answer: { request, header, digest, entries, missing: isAgain ? new Set<Hex>() : missing } };
  if (next.answer.missing.size === 0) return sign(next, isAgain, effects);
  const wanted = entries.filter((entry) => missing.has(entry.digest));
  return [next, [...effects, { kind: "fetch", seat, entries: wanted }]];
}

function refusalOf(state: WindowState, proposal: Proposal, isAgain: boolean): RefusalCode | undefined {
  const { terms, last, signed, answer } = state;
  const { seat, header, entries, second } = proposal;
  if (terms.seat === undefined) return "WINDOW_NOT_SEATED";
  if (header.topic !== terms.topic || !isWindow(terms.clock, header.window)) return "WINDOW_NOT_OURS";
  const place = windowAt(terms.clock, header.window);
  if (place.epoch !== terms.epoch) return "WINDOW_NOT_OURS";
  if (leaderSeatOf(place, terms.seats) !== seat || seat === terms.seat) return "WINDOW_NOT_LEADER";
  const latest = windowAt(terms.clock, place.end).end + CLOCK_TOLERANCE_S;
  if (second < place.end - CLOCK_TOLERANCE_S || second >= latest) return "WINDOW_NOT_NOW";
  if (!isListOf(header, entries)) return "WINDOW_LIST";
  // INVARIANT: of a window one header is signed, whatever else is asked for.
  if (signed.has(header.window) && !isAgain) return "WINDOW_SIGNED";
  if (header.window <= (last?.header.window ?? 0) || header.previous !== (last?.digest ?? zeroHash))
    return "WINDOW_PREVIOUS";
  if (entries.some(({ digest }) => isBatched(state, digest))) return "WINDOW_REPEATED";
  // One at a time: a leader has one proposal a window, and windows follow one another.
  return answer !== undefined && answer.header.window >= header.window ? "WINDOW_BUSY" : undefined;
}

/** What a proposer did not give us in its window's time, we do not sign. */
function dropAnswer(state: WindowState, second: number): Step {
  const { answer, terms } = state;
  if (answer === undefined || answer.missing.size === 0) return [state, []];
  const { end } = windowAt(terms.clock, answer.header.window);
  if (second < windowAt(terms.clock, end).end) return [state, []];
  return [{ ...state, answer: undefined }, [{ kind: "refuse", request: answer.request, code: "WINDOW_MISSING" }]];
}

function resumeAnswer(state: WindowState): Step {
  const { answer } = state;
  if (answer === undefined || answer.missing.size === 0) return [state, []];
  const missing = new Set([...answer.missing].filter((digest) => !state.pool.has(digest)));
  const next = { ...state, answer: { ...answer, missing } };
  return missing.size > 0 ? [next, []] : sign(next, false, []);
}

/** Asks for our signature, unless something was signed or sealed while headers were fetched. */
function sign(state: WindowState, isAgain: boolean, effects: WindowEffect[]): Step {
  const { answer, last, pool } = state;
  if (answer === undefined) return [state, effects];
  const { request, header, digest, entries } = answer;
  const known = state.signed.get(header.window);
  const refuse = (code: RefusalCode): Step => {
    return [{ ...state, answer: undefined }, [...effects, { kind: "refuse", request, code }]];
  };
  if (known !== undefined && known !== digest) return refuse("WINDOW_SIGNED");
  if (header.previous !== (last?.digest ?? zeroHash)) return refuse("WINDOW_PREVIOUS");
  // The root holds digests alone: that they stand where the list says, only who holds the log headers can see.
  const isHeld = ({ digest: held, log, seq }: BatchEntry) => pool.get(held)?.log === log && pool.get(held)?.seq === seq;
  if (!isAgain && !entries.every(isHeld)) return refuse("WINDOW_LIST");
  const signed = remember(state.signed, header.window, digest);
  return [{ ...state, signed }, [...effects, { kind: "sign", header, digest }]];
}

function onSigned(state: WindowState, digest: Hex, signature: Hex): Step {
  const { round, answer, terms } = state;
  if (answer?.digest === digest) {
    return [{ ...state, answer: undefined }, [{ kind: "answer", request: answer.request, signature }]];
  }
  if (round?.digest !== digest || terms.seat === undefined) return [state, []];
  const { header, entries } = round;
  const next = { ...state, round: { ...round, signatures: new Map(round.signatures).set(terms.seat, signature) } };
  const [published, effects] = publish(next);
  return [published, [{ kind: "propose", header, signature, entries }, ...effects]];
}

function onSignature(state: WindowState, event: Extract<WindowEvent, { kind: "signature" }>): Step {
  const { round } = state;
  if (round === undefined || round.digest !== event.digest || round.isPublished) return [state, []];
  const [watched, effects] = watch(state, event.seat, { header: round.header, signature: event.signature });
  const signatures = new Map(round.signatures).set(event.seat, event.signature);
  const [next, more] = publish({ ...watched, round: { ...round, signatures } });
  return [next, [...effects, ...more]];
}

/** With two thirds of the signatures the round is a batch: the first quorum is published, later signatures add nothing. */
function publish(state: WindowState): Step {
  const { round, terms } = state;
  if (round === undefined || round.signatures.size < quorumOf(terms.seats)) return [state, []];
  const { header, digest, entries } = round;
  const signatures = Array.from({ length: terms.seats }, (_, seat) => round.signatures.get(seat));
  const next = extend({ ...state, round: { ...round, isPublished: true } }, { header, digest }, entries);
  return [next, [{ kind: "publish", header, signatures, entries }]];
}

function onSealed(state: WindowState, event: Extract<WindowEvent, { kind: "sealed" }>): Step {
  const { header, signatures, entries } = event;
  let next = state;
  const effects: WindowEffect[] = [];
  if (header.topic !== state.terms.topic) return [state, []];
  for (const [seat, signature] of signatures.entries()) {
    if (signature === undefined || !isWatched(state, header)) continue;
    const [watched, found] = watch(next, seat, { header, signature });
    effects.push(...found);
    next = watched;
  }
  // An older window's batch came too late: later ones do not name it.
  if (header.window <= (next.last?.header.window ?? 0)) return [next, effects];
  return [extend(next, { header, digest: next.terms.digestOf(header) }, entries ?? []), effects];
}

/** Makes a batch the newest of the chain. What it does not follow is no part of the chain, and its log headers wait again. */
function extend(state: WindowState, link: Link, entries: readonly BatchEntry[]): WindowState {
  const isNext = state.last === undefined || link.header.previous === state.last.digest;
  const orphaned = isNext ? undefined : state.last?.digest;
  const pool = new Map(state.pool);
  for (const [digest, entry] of (orphaned === undefined ? undefined : state.batched.get(orphaned)) ?? [])
    pool.set(digest, entry);
  const taken = new Map(entries.map((entry) => [entry.digest, pool.get(entry.digest) ?? { ...entry, heardMs: 0 }]));
  for (const { digest } of entries) pool.delete(digest);
  const kept = [...state.batched].filter(([digest]) => digest !== orphaned);
  const batched = new Map([...kept, [link.digest, taken] as const].slice(-REMEMBERED_BATCHES));
  const settledWindow = Math.max(state.settledWindow, link.header.window);
  return { ...state, pool, batched, last: link, settledWindow };
}

function hold(state: WindowState, entries: readonly HeldEntry[]): WindowState {
  const fresh = entries.filter(({ digest }) => !isBatched(state, digest) && !state.pool.has(digest));
  if (fresh.length === 0) return state;
  const all = [...state.pool, ...fresh.map((entry) => [entry.digest, entry] as const)];
  return { ...state, pool: new Map(all.slice(-MAX_POOL)) };
}

const isBatched = ({ batched }: WindowState, digest: Hex): boolean => batched.values().some((list) => list.has(digest));

/** The same node in the next epoch: other seats, the same chain, pool and disk. */
export function enterEpoch(state: WindowState, terms: WindowTerms): WindowState {
  return { ...state, terms, round: undefined, answer: undefined, sightings: new Map() };
}

function watch(
  state: WindowState,
  seat: number,
  seen: { readonly header: BatchHeader; readonly signature: Hex },
): Step {
  const { header, signature } = seen;
  const [sightings, found] = noteSighting(state.sightings, { seat, header, signature });
  return [{ ...state, sightings }, found === undefined ? [] : [{ kind: "evidence", found }]];
}

/** The disk keeps them all; of windows that are long over nothing is asked any more (WINDOW_NOT_NOW). */
function remember(signed: ReadonlyMap<number, Hex>, window: number, digest: Hex): ReadonlyMap<number, Hex> {
  return new Map([...signed, [window, digest] as const].slice(-REMEMBERED_BATCHES));
}
