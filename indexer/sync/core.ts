import type { Hex } from "viem";
import type { BlockBatch, BlockRef, CheckedBlock, StoredChain } from "../store/store.ts";
import { checkLinks, checkRange, type FetchedBlock, type FetchedRange } from "./checks.ts";

/**
 * Decides what an indexer does next. Pure: no clock, no network, no store. The driver carries out one action, tells what
 * it observed, and gets the next action. Every rule about reorganisations, resets and lying endpoints is here.
 */

/** Undo states are kept for this many blocks even where the chain calls them final: development chains call their head final. */
export const UNDO_BLOCKS = 128;
/** Most that can be asked for: each of these blocks is read by itself at the first start, and each past query walks over its changes. */
export const MAX_UNDO_BLOCKS = 100_000;
/** Blocks with full checks that are fetched at once: enough to hide a round trip, few enough to throw away on a reorg. */
export const WINDOW_BLOCKS = 16;
/** First, smallest and largest range of one eth_getLogs during backfill; public endpoints refuse more than 10,000 blocks. */
export const FIRST_RANGE_BLOCKS = 256;
export const MAX_RANGE_BLOCKS = 10_000;
/** A range that gave more logs than this is halved, one that gave less than a quarter is doubled: bounds memory. */
export const TARGET_RANGE_LOGS = 4_000;

/**
 * starting: stored rows not compared with the chain yet. backfilling, rebuilding: rows incomplete. live: rows equal the
 * chain as of the checkpoint. searching: the chain has left us, rows are of an orphaned branch. unsure: the endpoint's
 * chain is too short to tell. Queries are answered in `live` only.
 */
export type SyncStatus = "starting" | "backfilling" | "rebuilding" | "live" | "searching" | "unsure";

export interface SyncState {
  readonly status: SyncStatus;
  /** Last block before the deployment. */
  readonly anchorNumber: number;
  readonly chain: StoredChain | undefined;
  readonly head: BlockRef | undefined;
  readonly finalized: number;
  readonly rangeBlocks: number;
  readonly maxRangeBlocks: number;
  /** Blocks below the head whose states are kept: for undoing, and for queries of past blocks. */
  readonly undoBlocks: number;
  /** Bounds of the search for the common ancestor: the chain has `low` once that was compared, and not `high`. */
  readonly search: { readonly low: number; readonly high: number } | undefined;
  /** Failures in a row: what the driver's backoff grows with. */
  readonly failures: number;
  /** Why the last refused answer was refused. */
  readonly refusal: string | undefined;
  readonly counts: SyncCounts;
}

export interface SyncCounts {
  readonly reorgs: number;
  readonly undoneBlocks: number;
  readonly rebuilds: number;
  /** Answers that contradicted themselves or the chain so far. */
  readonly refusals: number;
  readonly failures: number;
}

export type SyncAction =
  | { readonly kind: "open" }
  | { readonly kind: "readHead" }
  | { readonly kind: "readAnchor"; readonly number: number }
  | { readonly kind: "begin"; readonly anchor: BlockRef }
  | { readonly kind: "compare"; readonly number: number }
  /** Compares the last stored block with an event at or below a number, or the anchor if there is none. */
  | { readonly kind: "compareOlder"; readonly atMost: number }
  | { readonly kind: "fetchRange"; readonly from: number; readonly to: number }
  | { readonly kind: "fetchBlocks"; readonly from: number; readonly to: number }
  | { readonly kind: "apply"; readonly batches: readonly BlockBatch[] }
  | { readonly kind: "undo"; readonly to: number }
  | { readonly kind: "wipe" }
  | { readonly kind: "waitForHead" }
  | { readonly kind: "backOff"; readonly failures: number };

export type Observation =
  | { readonly kind: "start" }
  | { readonly kind: "opened"; readonly chain: StoredChain | undefined; readonly isForeign: boolean }
  | { readonly kind: "head"; readonly head: BlockRef; readonly finalized: number }
  | { readonly kind: "anchor"; readonly anchor: BlockRef | undefined }
  /** stored: what the store has at the number; actual: what the chain has, undefined = no such block. */
  | { readonly kind: "compared"; readonly number: number; readonly stored: Hex; readonly actual: Hex | undefined }
  | { readonly kind: "comparedOlder"; readonly isSame: boolean }
  | { readonly kind: "range"; readonly range: FetchedRange }
  | { readonly kind: "blocks"; readonly blocks: readonly FetchedBlock[] }
  /** The store's chain after begin, apply, undo or wipe. */
  | { readonly kind: "stored"; readonly chain: StoredChain | undefined }
  | { readonly kind: "waited" }
  /** The endpoint failed. isRange: it was asked for a range, which may have been too large for it. */
  | { readonly kind: "failed"; readonly isRange: boolean };

export type Step = readonly [SyncState, SyncAction];

/**
 * @param deployedAtBlock first block that can hold an event
 * @param maxRangeBlocks what the endpoint allows one eth_getLogs
 * @param undoBlocks blocks whose states are kept; from UNDO_BLOCKS to MAX_UNDO_BLOCKS
 */
export function createSyncState(
  deployedAtBlock: number,
  maxRangeBlocks = MAX_RANGE_BLOCKS,
  undoBlocks = UNDO_BLOCKS,
): SyncState {
  return {
    status: "starting",
    anchorNumber: Math.max(deployedAtBlock - 1, 0),
    chain: undefined,
    head: undefined,
    finalized: 0,
    rangeBlocks: Math.min(FIRST_RANGE_BLOCKS, maxRangeBlocks),
    maxRangeBlocks,
    undoBlocks: Math.min(MAX_UNDO_BLOCKS, Math.max(UNDO_BLOCKS, undoBlocks)),
    search: undefined,
    failures: 0,
    refusal: undefined,
    counts: { reorgs: 0, undoneBlocks: 0, rebuilds: 0, refusals: 0, failures: 0 },
  };
}

/** The core: what to do after an observation. */
export function step(state: SyncState, observation: Observation): Step {
  switch (observation.kind) {
    case "start":
      return [state, { kind: "open" }];
    case "opened":
      return onOpened(state, observation.chain, observation.isForeign);
    case "waited":
      return [state, { kind: "readHead" }];
    case "head":
      return onHead(state, observation.head, observation.finalized);
    case "anchor":
      return onAnchor(state, observation.anchor);
    case "compared":
      return onCompared(state, observation);
    case "comparedOlder":
      return onComparedOlder(state, observation.isSame);
    case "range":
      return onRange(state, observation.range);
    case "blocks":
      return onBlocks(state, observation.blocks);
    case "stored":
      return onStored(state, observation.chain);
    case "failed":
      return onFailed(state, observation.isRange);
  }
}

/** Share of the way from the anchor to the head, 0..1. */
export function progressOf({ anchorNumber, chain, head }: SyncState): number {
  if (chain === undefined || head === undefined) return 0;
  const length = head.number - anchorNumber;
  return length <= 0 ? 1 : Math.min(1, Math.max(0, (chain.checkpoint.number - anchorNumber) / length));
}

function onOpened(state: SyncState, chain: StoredChain | undefined, isForeign: boolean): Step {
  if (chain !== undefined) return [{ ...state, chain }, { kind: "readHead" }];
  const status = isForeign ? "rebuilding" : "backfilling";
  return [{ ...(isForeign ? count(state, { rebuilds: 1 }) : state), status }, { kind: "readHead" }];
}

function onHead(before: SyncState, head: BlockRef, finalized: number): Step {
  const state = { ...before, head, finalized };
  const { chain, status } = state;
  if (chain === undefined) return [state, { kind: "readAnchor", number: state.anchorNumber }];
  // The stored rows are compared with the chain before anything else: at every start, and after every doubt.
  if (status === "starting" || status === "unsure")
    return [state, { kind: "compare", number: chain.checkpoint.number }];
  if (head.number < chain.checkpoint.number) return beginSearch(state);
  if (head.number === chain.checkpoint.number) {
    if (head.hash !== chain.checkpoint.hash) return beginSearch(state);
    return [{ ...succeed(state), status: "live" }, { kind: "waitForHead" }];
  }
  return fetchNext(state);
}

function onAnchor(state: SyncState, anchor: BlockRef | undefined): Step {
  // A chain without the block before the deployment is not the one that we were told of, or not yet.
  return anchor === undefined ? [state, { kind: "waitForHead" }] : [state, { kind: "begin", anchor }];
}

/** Fetches what comes after the checkpoint: a range where nothing can be undone any more, else single blocks. */
function fetchNext(state: SyncState): Step {
  const { chain, head } = state as SyncState & { chain: StoredChain; head: BlockRef };
  const from = chain.checkpoint.number + 1;
  const floor = undoFloorOf(state);
  if (from <= floor) return [state, { kind: "fetchRange", from, to: Math.min(floor, from + state.rangeBlocks - 1) }];
  return [state, { kind: "fetchBlocks", from, to: Math.min(head.number, from + WINDOW_BLOCKS - 1) }];
}

/** Blocks up to here are settled: the chain calls them final, and they are old enough for a chain that says so too early. */
function undoFloorOf({ head, finalized, anchorNumber, undoBlocks }: SyncState): number {
  return Math.max(anchorNumber, Math.min(finalized, (head as BlockRef).number - undoBlocks));
}

function onRange(state: SyncState, range: FetchedRange): Step {
  const { chain } = state as SyncState & { chain: StoredChain };
  const verdict = checkRange(range);
  if (verdict.kind !== "accept") return refuse(state, `${verdict.code}: ${verdict.detail}`);
  // Below the undo floor nothing may have changed; if it has, the search finds out how deep.
  if (range.first.parentHash !== chain.checkpoint.hash) return beginSearch(state);
  const batch = batchOf(state, verdict.value, range.end, false, chain.checkpoint.hash);
  const logCount = verdict.value.reduce((sum, { events }) => sum + events.length, 0);
  const rangeBlocks = adaptRange(state, logCount);
  return [
    { ...state, rangeBlocks },
    { kind: "apply", batches: [batch] },
  ];
}

function adaptRange({ rangeBlocks, maxRangeBlocks }: SyncState, logCount: number): number {
  if (logCount > TARGET_RANGE_LOGS) return Math.max(1, rangeBlocks >> 1);
  return logCount * 4 < TARGET_RANGE_LOGS ? Math.min(maxRangeBlocks, rangeBlocks * 2) : rangeBlocks;
}

function onBlocks(state: SyncState, blocks: readonly FetchedBlock[]): Step {
  const { chain } = state as SyncState & { chain: StoredChain };
  const links = checkLinks(chain.checkpoint, blocks);
  if (links.kind === "refused") return refuse(state, links.reason);
  if (links.blocks.length === 0) return beginSearch(state);
  let previousHash = chain.checkpoint.hash;
  // One transaction a block: whoever reads sees whole blocks, and each can be undone.
  const batches = links.blocks.map((block) => {
    const batch = batchOf(state, [block], block.ref, true, previousHash);
    previousHash = block.ref.hash;
    return batch;
  });
  return [state, { kind: "apply", batches }];
}

function batchOf(
  state: SyncState,
  blocks: readonly CheckedBlock[],
  checkpoint: BlockRef,
  isUndoable: boolean,
  previousHash: Hex,
): BlockBatch {
  // A range ends at blocks that cannot be undone; a block moves the floor up behind it.
  const undoFloor = isUndoable ? Math.min(undoFloorOf(state), checkpoint.number) : checkpoint.number;
  return {
    previousHash,
    blocks,
    checkpoint,
    isUndoable,
    undoFloor,
    finalized: Math.min(state.finalized, checkpoint.number),
  };
}

function onStored(before: SyncState, chain: StoredChain | undefined): Step {
  // An undone branch is gone: the rows are the chain's again.
  const state = {
    ...succeed(before),
    chain,
    status: before.status === "searching" ? ("live" as const) : before.status,
  };
  if (chain === undefined || state.head === undefined) return [state, { kind: "readHead" }];
  if (chain.checkpoint.number < state.head.number) return fetchNext(state);
  return [state, { kind: "readHead" }];
}

/** The chain seems to have left our checkpoint. The undo floor is asked first: without it nothing can be saved. */
function beginSearch(state: SyncState): Step {
  const { chain } = state as SyncState & { chain: StoredChain };
  const search = { low: chain.undoFloor, high: chain.checkpoint.number + 1 };
  // Rows that were answered for may be of an orphaned branch; no others are answered for anyway.
  const status = state.status === "live" ? "searching" : state.status;
  return [
    { ...state, status, search },
    { kind: "compare", number: search.low },
  ];
}

function onCompared(state: SyncState, { number, stored, actual }: Observation & { kind: "compared" }): Step {
  const { chain, search } = state as SyncState & { chain: StoredChain };
  const isSame = stored === actual;
  if (search === undefined) {
    if (!isSame) return beginSearch(state);
    const settled = { ...state, status: "backfilling" as const };
    return number < (state.head as BlockRef).number ? fetchNext(settled) : [settled, { kind: "readHead" }];
  }
  if (number === chain.undoFloor && !isSame) return onFloorLost(state, actual);
  return narrow(state, isSame ? { ...search, low: number } : { ...search, high: number });
}

/** The undo floor is not on the chain: another history, or a chain that is too short to tell. Older blocks tell which. */
function onFloorLost(state: SyncState, actual: Hex | undefined): Step {
  if (actual !== undefined) return startOver(state);
  return [
    { ...state, search: undefined },
    { kind: "compareOlder", atMost: (state.head as BlockRef).number },
  ];
}

/** A short chain that has our older blocks may only lag behind: nobody is answered until it is long enough to compare. */
function onComparedOlder(state: SyncState, isSame: boolean): Step {
  return isSame ? [{ ...state, status: "unsure" }, { kind: "waitForHead" }] : startOver(state);
}

function narrow(state: SyncState, search: NonNullable<SyncState["search"]>): Step {
  if (search.high - search.low > 1) {
    return [
      { ...state, search },
      { kind: "compare", number: Math.floor((search.low + search.high) / 2) },
    ];
  }
  const { chain } = state as SyncState & { chain: StoredChain };
  const found = { ...state, search: undefined };
  const undoneBlocks = chain.checkpoint.number - search.low;
  // The checkpoint is on the chain after all: the endpoint had told two stories.
  if (undoneBlocks === 0)
    return refuse(found, "CHECKPOINT_MOVED: the next block does not link to a block that the chain has");
  return [count(found, { reorgs: 1, undoneBlocks }), { kind: "undo", to: search.low }];
}

/** History changed below what can be undone: everything is read again. */
function startOver(state: SyncState): Step {
  const fresh = { ...count(state, { rebuilds: 1 }), status: "rebuilding" as const };
  return [{ ...fresh, chain: undefined, search: undefined }, { kind: "wipe" }];
}

function refuse(state: SyncState, refusal: string): Step {
  const refused = { ...count(state, { refusals: 1 }), failures: state.failures + 1, refusal };
  return [refused, { kind: "backOff", failures: refused.failures }];
}

function onFailed(state: SyncState, isRange: boolean): Step {
  const rangeBlocks = isRange ? Math.max(1, state.rangeBlocks >> 1) : state.rangeBlocks;
  const failed = { ...count(state, { failures: 1 }), rangeBlocks, failures: state.failures + 1, search: undefined };
  return [failed, { kind: "backOff", failures: failed.failures }];
}

/** Only what was stored, or found equal, ends a row of failures: an endpoint that lies of logs may be right of heads. */
function succeed(state: SyncState): SyncState {
  return state.failures === 0 ? state : { ...state, failures: 0, refusal: undefined };
}

function count(state: SyncState, added: Partial<SyncCounts>): SyncState {
  const counts: Record<keyof SyncCounts, number> = { ...state.counts };
  for (const [name, more] of Object.entries(added)) counts[name as keyof SyncCounts] += more;
  return { ...state, counts };
}
