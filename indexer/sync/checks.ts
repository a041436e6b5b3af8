import type { Hex } from "viem";
import { accept, reject, type Verdict } from "#protocol";
import type { DecodedEvent, RawLog } from "../handlers/decode.ts";
import type { BlockRef, CheckedBlock, CheckedEvent } from "../store/store.ts";

/** What an endpoint said of one block. `events` holds undecodable logs as rejections, for the checks to refuse. */
export interface FetchedBlock {
  readonly ref: BlockRef;
  readonly events: readonly FetchedEvent[];
}

export interface FetchedEvent {
  readonly log: RawLog;
  readonly decoded: Verdict<DecodedEvent>;
}

/** What an endpoint said of a range. */
export interface FetchedRange {
  /** Header of the first block: it names its parent, our checkpoint. */
  readonly first: BlockRef;
  /** Blocks with logs only, ascending. */
  readonly blocks: readonly FetchedBlock[];
  /** Header of the last block, read after everything else. */
  readonly end: BlockRef;
  /** Its hash as read before: if it changed meanwhile, the logs may be of two branches. */
  readonly endHashBefore: Hex;
}

/** Whether the logs that came for a block are that block's. */
export function checkBlock({ ref, events }: FetchedBlock): Verdict<CheckedBlock> {
  let lastIndex = -1;
  const checked: CheckedEvent[] = [];
  for (const { log, decoded } of events) {
    if (log.blockHash !== ref.hash) {
      return reject("LOG_BLOCK_HASH", `a log of block ${ref.number} names ${log.blockHash}, its header is ${ref.hash}`);
    }
    if (log.blockNumber !== ref.number) return reject("LOG_BLOCK_NUMBER", `${log.blockNumber}, not ${ref.number}`);
    if (log.logIndex <= lastIndex) return reject("LOG_ORDER", `log ${log.logIndex} after ${lastIndex}`);
    if (decoded.kind === "reject") return decoded;
    lastIndex = log.logIndex;
    checked.push({ log, decoded: decoded.kind === "accept" ? decoded.value : undefined });
  }
  return accept({ ref, events: checked });
}

/** Whether the logs of a range are those of its headers, and the chain stood still meanwhile. */
export function checkRange({ blocks, end, endHashBefore }: FetchedRange): Verdict<readonly CheckedBlock[]> {
  if (end.hash !== endHashBefore) return reject("RANGE_MOVED", "the chain changed while it was read");
  const checked: CheckedBlock[] = [];
  for (const block of blocks) {
    const verdict = checkBlock(block);
    if (verdict.kind !== "accept") return verdict;
    checked.push(verdict.value);
  }
  return accept(checked);
}

/**
 * The blocks that follow a checkpoint, up to the first that does not link. None = the chain has left the checkpoint.
 * Refused = an answer contradicts itself at the first block, so that there is nothing to apply.
 */
export function checkLinks(
  checkpoint: BlockRef,
  fetched: readonly FetchedBlock[],
):
  | { readonly kind: "linked"; readonly blocks: readonly CheckedBlock[] }
  | { readonly kind: "refused"; readonly reason: string } {
  const blocks: CheckedBlock[] = [];
  let parent = checkpoint;
  for (const block of fetched) {
    if (block.ref.number !== parent.number + 1 || block.ref.parentHash !== parent.hash) break;
    const verdict = checkBlock(block);
    if (verdict.kind !== "accept")
      return blocks.length > 0
        ? { kind: "linked", blocks }
        : { kind: "refused", reason: `${verdict.code}: ${verdict.detail}` };
    blocks.push(verdict.value);
    parent = block.ref;
  }
  return { kind: "linked", blocks };
}
