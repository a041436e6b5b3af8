import type { Hex } from "viem";
import { SuretyError, type LeavesId } from "#protocol";
import type { AnyRow, Row, TableName, Value } from "../entities.ts";
import type { DecodedEvent, RawLog } from "../handlers/decode.ts";

/** A block as the sync core remembers it. */
export interface BlockRef {
  readonly number: number;
  readonly hash: Hex;
  readonly parentHash: Hex;
  /** Unix seconds. */
  readonly timestamp: number;
}

/** A block whose logs agree with its header. */
export interface CheckedBlock {
  readonly ref: BlockRef;
  readonly events: readonly CheckedEvent[];
}

export interface CheckedEvent {
  readonly log: RawLog;
  /** Undefined = an event that the contract's ABI does not know; it is kept raw. */
  readonly decoded: DecodedEvent | undefined;
}

/** Blocks that become visible together, in one transaction. */
export interface BlockBatch {
  /** Hash of the checkpoint that this batch follows: a guard against a second writer. */
  readonly previousHash: Hex;
  /** Ascending. With `isUndoable` every block is here; otherwise those with events are enough. */
  readonly blocks: readonly CheckedBlock[];
  /** The last block that the batch covers. */
  readonly checkpoint: BlockRef;
  /** Whether the rows' former states are kept, so that the blocks can be undone. */
  readonly isUndoable: boolean;
  /** Blocks up to here will not be undone any more: their undo log is dropped. */
  readonly undoFloor: number;
  /** Last block that the chain calls final. */
  readonly finalized: number;
}

/** How far the stored rows have come. */
export interface StoredChain {
  /** Last block before the deployment; the chain is recognised by it. */
  readonly anchor: BlockRef;
  readonly checkpoint: BlockRef;
  readonly undoFloor: number;
  readonly finalized: number;
}

export type Comparison =
  "eq" | "not" | "gt" | "gte" | "lt" | "lte" | "in" | "not_in" | "contains" | "contains_nocase" | "starts_with";

export type Condition =
  | { readonly column: string; readonly comparison: Comparison; readonly value: Value | readonly Value[] }
  /** The column's value is among those that another table's rows hold. */
  | { readonly column: string; readonly among: RowSet }
  | { readonly and: readonly Condition[] }
  | { readonly or: readonly Condition[] };

/** What the rows of a table that pass hold in one column. */
export interface RowSet {
  readonly table: TableName;
  readonly column: string;
  readonly where: readonly Condition[];
}

export interface RowQuery {
  readonly table: TableName;
  readonly where: readonly Condition[];
  readonly orderBy: string;
  readonly direction: "asc" | "desc";
  readonly first: number;
  readonly skip: number;
}

/** The embedded engine answers at once, a database over a network later. */
export type Awaitable<T> = T | Promise<T>;

/** A log as it is kept, also of a block that can no more be undone. */
export interface StoredEvent extends RawLog {
  readonly timestamp: number;
}

/** Where an event stands. */
export interface EventPosition {
  readonly block: number;
  readonly logIndex: number;
}

/** Rows as of one block. */
export interface RowView {
  get<T extends TableName>(table: T, id: string): Awaitable<Row<T> | undefined>;
  find(query: RowQuery): Awaitable<readonly AnyRow[]>;
  /** How many rows pass. */
  count(query: Pick<RowQuery, "table" | "where">): Awaitable<number>;
}

/** Rows as of a block before the checkpoint: those of today, with the undo log laid over them. */
export interface PastRows extends RowView {
  /** Changes of a table since that block: what each list and count of it walks over. */
  changesOf(table: TableName): Awaitable<number>;
}

/**
 * announced: the chain names the root. available: a source gives the file, and part of it is here. verified: all of it is here and
 * hashes to the root. missing: no source has it. false: what sources gave does not hash to it. All but verified are tried again.
 */
export const leafFileStates = ["announced", "available", "verified", "missing", "false"] as const;
export type LeafFileState = (typeof leafFileStates)[number];

/** How far a file of leaves has come. A root's leaves are the same on every branch: reorganisations do not touch it. */
export interface LeafFile extends LeavesId {
  /** The newest epoch in which the root was seen. */
  readonly epoch: number;
  readonly state: LeafFileState;
  /** From the first on; each was judged before it was stored. */
  readonly knownChunks: number;
  /** Failed ones in a row. */
  readonly attempts: number;
  /** Unix seconds. */
  readonly retryAt: number;
  /** What the last attempt met. */
  readonly detail: string | null;
}

/** Files of leaves as of a snapshot. */
export interface LeafFileReader {
  leafFile(id: LeavesId): Awaitable<LeafFile | undefined>;
  /** The tree's levels from the chunks' roots up; undefined = no outline is here. */
  leafTop(id: LeavesId): Awaitable<Uint8Array | undefined>;
  /** The levels of one chunk of 256 leaves, the packed leaves first. */
  leafChunk(id: LeavesId, chunk: number): Awaitable<Uint8Array | undefined>;
  leafFileCounts(): Awaitable<Readonly<Record<LeafFileState, number>>>;
}

/** Files of leaves, which no log holds: they are kept over `wipe`, since the chain cannot give them again. */
export interface LeafFileStore {
  read(id: LeavesId): Promise<LeafFile | undefined>;
  top(id: LeavesId): Promise<Uint8Array | undefined>;
  /** @param top as judged; undefined = as it was */
  write(file: LeafFile, top?: Uint8Array): Promise<void>;
  /** Stores chunks from `first` on, and how far the file has come with them, in one transaction. */
  writeChunks(file: LeafFile, first: number, chunks: readonly Uint8Array[]): Promise<void>;
  /** Drops the files of the oldest epochs until at most so many leaves are stored. */
  prune(maxLeaves: number): Promise<void>;
}

/** The rows as of one block, however long the reader takes and whatever is written meanwhile. */
export interface Snapshot extends RowView, LeafFileReader {
  /** What the rows were folded for, as `Store.open` was told; undefined before the first `open`. */
  readonly identity: string | undefined;
  readonly chain: StoredChain | undefined;
  /** Undefined where no other process could have written. */
  readonly writer?: HeardWord | undefined;
  /** A block from the undo floor to the checkpoint; undefined = it is not among them. */
  block(by: { readonly number: number } | { readonly hash: string }): Awaitable<BlockRef | undefined>;
  /** Events after a position, in their order, up to a block. */
  events(after: EventPosition, upTo: number, first: number): Awaitable<readonly StoredEvent[]>;
  /** Whether a block of that hash has events here: then it is of the branch that is indexed. */
  hasEventsOf(block: Pick<BlockRef, "number" | "hash">): Awaitable<boolean>;
  /** @param number of a block from the undo floor to the checkpoint: below, nothing is known of what rows were */
  asOf(number: number): PastRows;
  /** All rows of a table in order of id, for comparisons. */
  scan(table: TableName): Iterable<AnyRow> | AsyncIterable<AnyRow>;
  close(): void;
}

/** What the process that writes last said of the chain, for processes that only read its rows. */
export interface WriterWord {
  /** A SyncStatus. Rows are answered for in `live` only. */
  readonly sync: string;
  readonly head: BlockRef | undefined;
  /** Whether its endpoint failed it last. */
  readonly isFailing: boolean;
  readonly trouble: string | undefined;
  /** A head that was read longer ago is not known to be the head any more. */
  readonly staleAfterMs: number;
}

/** The word as a reader finds it: with its age, and with what happened since the schema was made. */
export interface HeardWord extends WriterWord {
  /** Since the head was read, by the database's clock. */
  readonly headAgeMs: number | undefined;
  readonly reorgs: number;
  readonly undoneBlocks: number;
  readonly rebuilds: number;
}

/** Where rows live. Every writing call is atomic: after a kill at any point, all of it is there or nothing. */
export interface Store {
  /**
   * @param identity names chain, deployment and schema; rows of another identity are dropped
   * @returns the stored chain, undefined when there is none; `isForeign` when rows of another identity were dropped
   */
  open(identity: string): Promise<{ readonly chain: StoredChain | undefined; readonly isForeign: boolean }>;
  /** Starts an empty chain at its anchor. */
  begin(anchor: BlockRef): Promise<void>;
  /** Hash of a block that can be returned to: from the undo floor to the checkpoint. */
  hashAt(number: number): Promise<Hex | undefined>;
  /** The last block with an event at or below a number, however old. */
  eventBlockUpTo(number: number): Promise<Pick<BlockRef, "number" | "hash"> | undefined>;
  /** @throws SuretyError STORE_SECOND_WRITER when the checkpoint is not the one that the batch follows */
  apply(batch: BlockBatch): Promise<void>;
  /** Undoes every block above `number`, which is not below the undo floor. */
  undoTo(number: number): Promise<BlockRef>;
  /** Drops every row, event and block. */
  wipe(): Promise<void>;
  /** Tells processes that only read; absent where there are none. Committed before the next step is taken. */
  announce?(word: WriterWord): Promise<void>;
  /** How far a webhook has come, kept over `wipe` and a power cut. */
  readCursor(name: string): Promise<string | undefined>;
  /** After `readCursor`. */
  writeCursor(name: string, text: string): Promise<void>;
  readonly leafFiles: LeafFileStore;
  snapshot(): Awaitable<Snapshot>;
  close(): Promise<void>;
}

/** Somebody else writes to the same rows. @param batch undefined = it holds the writer's lock */
export function secondWriter(chain: StoredChain | undefined, batch: BlockBatch | undefined): SuretyError {
  return new SuretyError("STORE_SECOND_WRITER", "Another indexer writes to these rows.", {
    values: { stored: chain?.checkpoint, expected: batch?.previousHash },
    next: "Stop the other indexer, or give this one a folder or schema of its own.",
  });
}

/** A database that repeats another's rows would refuse the first block. */
export function onStandby(): SuretyError {
  return new SuretyError("STORE_STANDBY", "The database is a standby: it repeats another's rows and takes none.", {
    next: "Write to its primary; over a standby, serve with `surety indexer --read-only`.",
  });
}

export function notUndoable(number: number, chain: StoredChain | undefined): SuretyError {
  return new SuretyError("STORE_NOT_UNDOABLE", `The store cannot return to block ${number}.`, {
    values: { number, undoFloor: chain?.undoFloor, checkpoint: chain?.checkpoint.number },
    next: "Report this: the sync core asks only for blocks from the undo floor on.",
  });
}
