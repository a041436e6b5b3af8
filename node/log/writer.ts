import {
  applyHeader,
  checkpointRange,
  bodyHashOf,
  createLogState,
  decodeLogHeader,
  encodeBody,
  encodeLogHeader,
  isEnding,
  kinds,
  MAX_TTL_SECONDS,
  rangeRootOf,
  signLogHeader,
  sketchOf,
  skillIdOf,
  SuretyError,
  tagsOf,
  textOf,
  verifyLogHeader,
  versionByteOf,
  type Bodies,
  type DomainContracts,
  type KindName,
  type LogHeader,
  type LogRange,
  type LogState,
  type Signer,
  type VerifiedHeader,
} from "#protocol";
import { zeroHash, type Address, type Hex } from "viem";
import type { Store } from "../store/port.ts";
import type { LogStore } from "./log-store.ts";

/** Rounds of asking peers for own entries: 64 entries each, so a log of a million entries is restored. */
const MAX_RESTORE_ROUNDS = 16_384;
/** A checkpoint is of use as long as its log is. */
const CHECKPOINT_TTL_S = MAX_TTL_SECONDS;

/** Who may know more of our own log than our disk does. */
export interface OwnLogPeers {
  /** Own headers from `fromSeq` on, as encoded by whoever holds them; from several peers, unordered, empty if none. */
  fetchOwnHeaders(log: Address, fromSeq: number, signal: AbortSignal): Promise<readonly Uint8Array[]>;
}

/** An entry that is on disk and may be sent. */
export interface OwnEntry {
  readonly header: VerifiedHeader;
  /** The canonical header, as it is gossiped. */
  readonly headerBytes: Uint8Array;
  readonly body: Uint8Array;
}

/** The only writer of one log. */
export interface LogWriter {
  readonly log: Address;
  /**
   * Signs the next entry and returns once it is on disk; only then may it be sent, so that a crash cannot make this
   * node sign the same seq twice. @throws SuretyError BODY_INVALID, HEADER_INVALID, WRITER_CLOSED, LOG_ENDED
   */
  append<K extends KindName>(kind: K, body: Bodies[K], ttlSeconds: number): OwnEntry;
  /** Gives the lease back. Idempotent. */
  close(): void;
}

/** What a checkpoint says beside its range and root. */
export interface CheckpointPort {
  /** The newest block that the author knows, and its signature over the range for whoever anchors it. */
  sign(range: LogRange & { readonly root: Hex }): Omit<Bodies["checkpoint"], keyof LogRange | "root">;
  /** A checkpoint was written before the entry that was asked for; it is on disk. */
  onCheckpoint(entry: OwnEntry): void;
}

export interface LogWriterOptions {
  readonly store: Store;
  readonly logs: LogStore;
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  readonly peers: OwnLogPeers;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
  /** Default true: the author runs what its agent committed to. */
  readonly isBound?: boolean;
  /** Writes the checkpoint of each 64 entries; default none. */
  readonly checkpoints?: CheckpointPort;
}

/**
 * Takes the lease on the signer's log and asks peers for entries that a lost or old disk lacks, before anything is
 * signed. @throws SuretyError LEASE_HELD, LOG_FORKED, LOG_BEHIND, LOG_ENDED
 */
export async function openLogWriter(options: LogWriterOptions): Promise<LogWriter> {
  const { store, signer } = options;
  const lease = store.lease(`log-${signer.address.toLowerCase()}`);
  try {
    await restoreOwnLog(options);
    requireOpen(options.logs, signer.address);
  } catch (cause) {
    lease.release();
    throw cause;
  }
  let isClosed = false;
  return {
    log: signer.address,
    append(kind, body, ttlSeconds) {
      if (isClosed) throw writerClosed(signer.address);
      requireOpen(options.logs, signer.address);
      const checkpoint = dueCheckpoint(options);
      // The entry is tried first: what others would refuse must not cost a checkpoint.
      const bytes = encodeBody(kind, body);
      if (checkpoint !== undefined)
        options.checkpoints?.onCheckpoint(write(options, "checkpoint", checkpoint, CHECKPOINT_TTL_S));
      return write(options, kind, body, ttlSeconds, bytes);
    },
    close() {
      isClosed = true;
      lease.release();
    },
  };
}

function write<K extends KindName>(
  options: LogWriterOptions,
  kind: K,
  body: Bodies[K],
  ttlSeconds: number,
  bytes = encodeBody(kind, body),
): OwnEntry {
  const { logs, signer, contracts } = options;
  const timeMs = options.nowMs();
  const content = { bodyHash: bodyHashOf(bytes), bodyLength: bytes.length, timeMs, ttl: ttlSeconds };
  const header = signLogHeader(
    { ...nextHeader(options), ...content, kind: kinds[kind], ...meaningOf(kind, body) },
    signer,
    contracts,
  );
  logs.appendOwn(header, bytes, timeMs);
  return { header, headerBytes: encodeLogHeader(header), body: bytes };
}

/** The body of the checkpoint that has to stand at the next seq, if one has to. */
function dueCheckpoint({ logs, signer, checkpoints }: LogWriterOptions): Bodies["checkpoint"] | undefined {
  const range = checkpointRange((logs.headOf(signer.address)?.header.seq ?? -1) + 1);
  if (range === undefined || checkpoints === undefined) return undefined;
  const entries = logs.range(signer.address, range.fromSeq, range.toSeq - range.fromSeq + 1);
  const root = rangeRootOf(entries.map(({ digest }) => digest));
  return { ...range, root, ...checkpoints.sign({ ...range, root }) };
}

function nextHeader({
  logs,
  signer,
  isBound = true,
}: LogWriterOptions): Pick<LogHeader, "version" | "log" | "seq" | "prev"> {
  const { nextSeq, head } = createLogState(signer.address, logs.headOf(signer.address));
  return { version: versionByteOf(isBound), log: signer.address, seq: nextSeq, prev: head };
}

/** What lets others judge relevance before they pull the body. */
function meaningOf<K extends KindName>(kind: K, body: Bodies[K]): Pick<LogHeader, "tags" | "sketch"> {
  // Topics first: whoever orders or shards headers by topic reads no body.
  const topics = "topics" in body ? body.topics : "topic" in body ? [body.topic] : [];
  const skills = "skills" in body ? body.skills : [];
  const named = new Map([...topics, ...skills].map((name) => [skillIdOf(name), name]));
  return { tags: tagsOf([...named.values()]), sketch: sketchOf(textOf({ kind, body })) };
}

/** Folds what peers hold of our log into our own copy, until they have nothing new. */
async function restoreOwnLog(options: LogWriterOptions): Promise<void> {
  const { logs, signer, peers, signal } = options;
  const log = signer.address;
  for (let round = 0; round < MAX_RESTORE_ROUNDS; round++) {
    signal.throwIfAborted();
    const before = logs.headOf(log);
    // The last own entry is asked for again: a peer that holds another one shows that this disk is an old copy.
    const heard = await peers.fetchOwnHeaders(log, before?.header.seq ?? 0, signal);
    const state = foldOwn(heard, options);
    if (state.fork !== undefined) throw logForked(log, state.fork.second.header.seq);
    if (state.head !== (before?.digest ?? zeroHash)) continue;
    if (state.pending.size > 0) throw logBehind(log, state);
    return;
  }
}

/** Synchronous from reading the head to the last write: gossip may store entries of this log too. */
function foldOwn(heard: readonly Uint8Array[], { logs, signer, contracts, nowMs }: LogWriterOptions): LogState {
  const log = signer.address;
  let state = createLogState(log, logs.headOf(log), logs.forkOf(log));
  for (const bytes of heard) {
    const decoded = decodeLogHeader(bytes);
    const verified = decoded.kind === "accept" ? verifyLogHeader(decoded.value, contracts) : decoded;
    // A peer can invent neither an entry of ours nor a gap: what we did not sign is passed over.
    if (verified.kind !== "accept" || verified.value.header.log !== log) continue;
    const step = applyHeader(state, verified.value, (seq) => logs.entryAt(log, seq)?.header);
    for (const header of step.appended) logs.restoreOwn(header, nowMs());
    if (step.fork !== undefined) logs.addFork(step.fork);
    state = step.state;
  }
  return state;
}

/** @throws SuretyError LOG_ENDED */
function requireOpen(logs: LogStore, log: Address): void {
  const head = logs.headOf(log);
  if (head === undefined || !isEnding(head.header)) return;
  throw new SuretyError("LOG_ENDED", `Log ${log} ended with entry ${head.header.seq}, which names the log after it.`, {
    values: { log, seq: head.header.seq },
    next: "Start the node with the key of the log that it names.",
  });
}

function logForked(log: Address, seq: number): SuretyError {
  return new SuretyError("LOG_FORKED", `Log ${log} has two different entries at seq ${seq}, both signed by its key.`, {
    values: { log, seq },
    next: "Bind a new LOG signer to the agent and revoke this one; anybody who holds both entries can have it slashed.",
  });
}

function logBehind(log: Address, { nextSeq, pending }: LogState): SuretyError {
  const newest = Math.max(...pending.keys());
  return new SuretyError("LOG_BEHIND", `Peers hold entry ${newest} of log ${log}, but none gave entry ${nextSeq}.`, {
    values: { log, nextSeq, newest },
    next: "Connect to more peers and start again: writing now would fork the log.",
    isRetryable: true,
  });
}

function writerClosed(log: Address): SuretyError {
  return new SuretyError("WRITER_CLOSED", `The writer of log ${log} was closed.`, { next: "Open the writer again." });
}
