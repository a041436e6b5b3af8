import type { Hex } from "viem";
import { SuretyError } from "../errors.ts";
import { leafHash, merkleProof, merkleRoot, rootFromProof } from "./merkle.ts";

/** Entries of one range: an anchor of one range then costs each entry a sixty-fourth of a transaction. */
export const CHECKPOINT_INTERVAL = 64;

/** Consecutive entries of one log. */
export interface LogRange {
  readonly fromSeq: number;
  /** Inclusive. */
  readonly toSeq: number;
}

/**
 * The range of which the entry at this seq is the checkpoint: entries whose seq is a multiple of 64, but the first, are
 * checkpoints of the 64 entries before them. Where they stand is thereby fixed, and a missing one is seen.
 */
export function checkpointRange(seq: number): LogRange | undefined {
  if (seq === 0 || seq % CHECKPOINT_INTERVAL !== 0) return undefined;
  return { fromSeq: seq - CHECKPOINT_INTERVAL, toSeq: seq - 1 };
}

/**
 * Merkle root over the digests of a range's headers, in order of seq. A digest names chain, log and seq, so that a leaf
 * fits at one place of one log. @throws SuretyError MERKLE_SIZE
 */
export const rangeRootOf = (digests: readonly Hex[]): Hex => merkleRoot(digests.map(leafHash));

/** Proves that an entry is in a range. @throws SuretyError RANGE_SEQ, MERKLE_SIZE */
export function proveEntry(digests: readonly Hex[], fromSeq: number, seq: number): Hex[] {
  if (seq < fromSeq || seq >= fromSeq + digests.length) {
    throw new SuretyError("RANGE_SEQ", `Entry ${seq} is not in the range of ${digests.length} from ${fromSeq}.`, {
      values: { seq, fromSeq, length: digests.length },
      next: "Name an entry of the range.",
    });
  }
  return merkleProof(digests.map(leafHash), seq - fromSeq);
}

/** Whether an entry with this digest stands at this seq of the anchored range. */
export function isEntryInRange(
  root: Hex,
  { fromSeq, toSeq }: LogRange,
  entry: { readonly seq: number; readonly digest: Hex },
  proof: readonly Hex[],
): boolean {
  const place = { index: entry.seq - fromSeq, leafCount: toSeq - fromSeq + 1 };
  return rootFromProof(leafHash(entry.digest), place, proof) === root;
}
