import { bytesToHex, getAddress, hexToBigInt, hexToBytes, type Address, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";
import type { BatchHeader } from "../generated/structs.ts";
import { MAX_SEQ } from "../log/header.ts";
import { skillIdsOf } from "../log/sketch.ts";
import { LeafTree, verifyProof } from "../reputation/tree.ts";

/** Log headers in one batch: with them the list is 57 KB and fits one frame of 64 KB. What is left comes in the next window. */
export const MAX_BATCH_ENTRIES = 1_024;
const ENTRY_BYTES = 57;

/** One log header in its batch, by place and content. */
export interface BatchEntry {
  readonly log: Address;
  readonly seq: number;
  readonly digest: Hex;
}

/** A log header as one node holds it. */
export interface HeldEntry extends BatchEntry {
  /** When this node heard it, Unix milliseconds by its own clock. */
  readonly heardMs: number;
}

/**
 * A header belongs to the topics that its tags name: a tag is the first half of a topic id, as long as the topic is
 * written in lower case (skillIdOf and topicIdOf hash the same name).
 */
export const isOfTopic = (tags: bigint, topic: bigint): boolean => skillIdsOf(tags).includes(Number(topic >> 32n));

/** By seq, then by when they were heard; a tie is broken by the digest, so that the order does not hang on a sort. */
export function orderEntries(held: readonly HeldEntry[]): BatchEntry[] {
  return held
    .toSorted((a, b) => a.seq - b.seq || a.heardMs - b.heardMs || (a.digest < b.digest ? -1 : 1))
    .slice(0, MAX_BATCH_ENTRIES)
    .map(({ log, seq, digest }) => ({ log, seq, digest }));
}

/** Whether a list may be a batch: not empty, within the bound, by seq, nothing twice. Times of others cannot be checked. */
export function isOrdered(entries: readonly BatchEntry[]): boolean {
  const isAscending = entries.every(({ seq }, k) => seq >= (entries[k - 1]?.seq ?? 0));
  const isDistinct = new Set(entries.map(({ digest }) => digest)).size === entries.length;
  return entries.length > 0 && entries.length <= MAX_BATCH_ENTRIES && isAscending && isDistinct;
}

const treeOf = (entries: readonly BatchEntry[]): LeafTree =>
  new LeafTree(entries.map(({ digest }) => hexToBigInt(digest)));

/** Merkle root of a batch: the headers' digests in their order (contracts/libraries/LeafTree.sol). @param entries at least one */
export const batchRootOf = (entries: readonly BatchEntry[]): Hex => treeOf(entries).root;

/** Siblings of one header, from the bottom: with its place they show that the batch ordered it there. */
export const membershipProof = (entries: readonly BatchEntry[], index: number): Hex[] => treeOf(entries).proof(index);

/** Whether a batch has this header digest at this place. */
export function isMember(
  { root, count }: Pick<BatchHeader, "root" | "count">,
  digest: Hex,
  index: number,
  proof: readonly Hex[],
): boolean {
  if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH_ENTRIES || !/^0x[0-9a-f]{64}$/i.test(digest))
    return false;
  return verifyProof(root, count, { index, word: hexToBigInt(digest) }, proof);
}

/** Whether a list is the one that a batch header names. */
export function isListOf({ root, count }: BatchHeader, entries: readonly BatchEntry[]): boolean {
  return entries.length === count && isOrdered(entries) && batchRootOf(entries) === root;
}

/** For each entry: log 20, seq 5, digest 32. @throws SuretyError BATCH_INVALID for a list that nobody would take */
export function encodeEntries(entries: readonly BatchEntry[]): Uint8Array {
  if (!isOrdered(entries) || entries.some(({ seq }) => !Number.isInteger(seq) || seq > MAX_SEQ)) {
    throw new SuretyError("BATCH_INVALID", "This list of log headers is in no batch's order.", {
      values: { count: entries.length },
      next: "Order them by orderEntries.",
    });
  }
  const bytes = new Uint8Array(entries.length * ENTRY_BYTES);
  entries.forEach(({ log, seq, digest }, k) => {
    const at = k * ENTRY_BYTES;
    bytes.set(hexToBytes(log), at);
    bytes.set(hexToBytes(`0x${seq.toString(16).padStart(10, "0")}`), at + 20);
    bytes.set(hexToBytes(digest), at + 25);
  });
  return bytes;
}

/** Exact inverse of `encodeEntries`. Rejects BATCH_LENGTH, BATCH_ENTRY, BATCH_ORDER. */
export function decodeEntries(bytes: Uint8Array): Verdict<BatchEntry[]> {
  const count = bytes.length / ENTRY_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH_ENTRIES) {
    return reject("BATCH_LENGTH", `${bytes.length} bytes are no list of 1 to ${MAX_BATCH_ENTRIES} entries`);
  }
  const entries = Array.from({ length: count }, (_, k): BatchEntry => {
    const part = bytes.subarray(k * ENTRY_BYTES, (k + 1) * ENTRY_BYTES);
    return {
      log: getAddress(bytesToHex(part.subarray(0, 20))),
      seq: Number(hexToBigInt(bytesToHex(part.subarray(20, 25)))),
      digest: bytesToHex(part.subarray(25)),
    };
  });
  if (entries.some(({ seq }) => seq > MAX_SEQ)) return reject("BATCH_ENTRY", `a seq is above ${MAX_SEQ}`);
  return isOrdered(entries) ? accept(entries) : reject("BATCH_ORDER", "not by seq, or a header twice");
}
