import {
  CHECKPOINT_INTERVAL,
  checkpointRange,
  decodeBody,
  rangeRootOf,
  recoverSigner,
  typedDataDigest,
  type DomainContracts,
  type Structs,
} from "#protocol";
import { getAddress, type Address, type Hex } from "viem";
import type { LogReader } from "./log-store.ts";

/** A range of a log with its author's signature, as Anchors.anchorLogs takes it. */
export interface SignedAnchor {
  readonly anchor: Structs["LogAnchor"];
  readonly signature: Hex;
}

/** The contract of anchors, and whom a log speaks for; node.ts supplies both. */
export interface AnchorPort {
  /** First entry of the log that no range covers yet. */
  nextSeqOf(log: Address, signal: AbortSignal): Promise<number>;
  /** The agent for which the log's key is a LOG signer now. */
  agentOf(log: Address, signal: AbortSignal): Promise<bigint | undefined>;
  anchor(ranges: readonly SignedAnchor[], signal: AbortSignal): Promise<void>;
}

export interface AnchorerOptions {
  readonly logs: LogReader;
  readonly contracts: DomainContracts;
  readonly port: AnchorPort;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Ranges that are worth a transaction; default 8: what all share is then a few gas an entry. */
  readonly minRanges?: number;
  /** A range that waited so long is anchored alone; default one hour. */
  readonly maxWaitMs?: number;
}

/** A range costs some 50,000 gas, and a transaction may use 16,777,216 (EIP-7825). */
const MAX_RANGES = 128;
const DEFAULT_MIN_RANGES = 8;
const DEFAULT_MAX_WAIT_MS = 3_600_000;
/** Logs looked at in one round, and of one log so many ranges: a busy log must not keep the others out. */
const MAX_LOGS = 4_096;
const MAX_RANGES_PER_LOG = 16;

/**
 * Anchors the checkpoints of every log that this node holds, its own among them, in batches: whoever plays this role pays,
 * and can neither forge nor reorder a range, because each one carries its author's signature.
 */
export class Anchorer {
  readonly #options: AnchorerOptions;
  /** What the chain had anchored when it was last asked; asked again when a log has more. */
  readonly #anchored = new Map<Address, number>();

  constructor(options: AnchorerOptions) {
    this.#options = options;
  }

  /** One round. @returns ranges anchored; 0 while too few wait and none for too long */
  async anchorDue(signal: AbortSignal): Promise<number> {
    const { logs, port, nowMs } = this.#options;
    const { minRanges = DEFAULT_MIN_RANGES, maxWaitMs = DEFAULT_MAX_WAIT_MS } = this.#options;
    const due: SignedAnchor[] = [];
    let oldestMs = Infinity;
    for (const head of logs.heads(undefined, MAX_LOGS)) {
      if (due.length >= MAX_RANGES || logs.forkOf(head.log) !== undefined) continue;
      for (const { heardMs, ...range } of await this.#rangesOf(head, signal)) {
        due.push(range);
        oldestMs = Math.min(oldestMs, heardMs);
      }
    }
    const ranges = due.slice(0, MAX_RANGES);
    if (ranges.length === 0 || (ranges.length < minRanges && nowMs() - oldestMs < maxWaitMs)) return 0;
    try {
      await port.anchor(ranges, signal);
    } finally {
      // Anchored by us, or by somebody else in between: the chain knows.
      for (const { anchor } of ranges) this.#anchored.delete(getAddress(anchor.log));
    }
    return ranges.length;
  }

  /** Ranges of one log that are signed, follow what is anchored, and are what this node holds. */
  async #rangesOf(
    head: { readonly log: Address; readonly seq: number },
    signal: AbortSignal,
  ): Promise<(SignedAnchor & { heardMs: number })[]> {
    const { port } = this.#options;
    const log = getAddress(head.log);
    if (head.seq < (this.#anchored.get(log) ?? 0) + CHECKPOINT_INTERVAL) return [];
    const nextSeq = await port.nextSeqOf(log, signal);
    this.#anchored.set(log, nextSeq);
    const found: (SignedAnchor & { heardMs: number })[] = [];
    for (let seq = nextSeq + CHECKPOINT_INTERVAL; seq <= head.seq && found.length < MAX_RANGES_PER_LOG;) {
      const range = this.#readCheckpoint(head.log, seq);
      if (range === undefined) break;
      found.push(range);
      seq = range.anchor.toSeq + 1 + CHECKPOINT_INTERVAL;
    }
    // An anchor of a key that speaks for nobody any more would take all others of the batch down with it.
    const agentId = found.length === 0 ? undefined : await port.agentOf(log, signal);
    return found.filter(({ anchor }) => anchor.agentId === agentId);
  }

  /** The checkpoint at a seq, if it says what it has to and its author signed that. */
  #readCheckpoint(log: Address, seq: number): (SignedAnchor & { heardMs: number }) | undefined {
    const { logs, contracts } = this.#options;
    const [entry, range] = [logs.entryAt(log, seq), checkpointRange(seq)];
    if (entry?.body === undefined || range === undefined) return undefined;
    const decoded = decodeBody(entry.header.header.kind, entry.body);
    if (decoded.kind !== "accept" || decoded.value.kind !== "checkpoint") return undefined;
    const { agentId, fromSeq, toSeq, root, stateHead, anchorSignature } = decoded.value.body;
    const digests = logs.range(log, range.fromSeq, CHECKPOINT_INTERVAL).map(({ digest }) => digest);
    if (fromSeq !== range.fromSeq || toSeq !== range.toSeq || root !== rangeRootOf(digests)) return undefined;
    const anchor = { agentId, log: getAddress(log), fromSeq, toSeq, root, stateHead };
    const signer = recoverSigner(typedDataDigest("LogAnchor", anchor, contracts), anchorSignature);
    if (signer.kind !== "accept" || signer.value !== anchor.log) return undefined;
    return { anchor, signature: anchorSignature, heardMs: entry.heardMs };
  }
}
