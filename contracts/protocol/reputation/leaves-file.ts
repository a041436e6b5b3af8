// The leaves of one topic as a file that its Merkle root names: what travels where calldata is too small.
import { bytesToHex, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import { CHUNK_DEPTH, CHUNK_LEAVES } from "./commit.ts";
import { decodeLeaves, encodeLeaves, LEAF_BYTES } from "./leaf.ts";
import { depthOf, hashLevels, nodeAt } from "./tree.ts";

/** What names a file, both from the chain: with another number of leaves a padded tree may have the same root. */
export interface LeavesId {
  readonly root: Hex;
  readonly leafCount: number;
}

/** 4,194,304 agents in one topic: a file of 135 MB and an outline that fits one message. */
export const MAX_FILE_LEAVES = 2 ** 22;
/** Chunks that travel together, 256 KiB: what a liar can make somebody load for nothing. */
export const PIECE_CHUNKS = 32;
/** Longest outline, 512 KiB. */
export const MAX_OUTLINE_BYTES = (MAX_FILE_LEAVES / CHUNK_LEAVES) * LEAF_BYTES;
export const MAX_PIECE_BYTES = PIECE_CHUNKS * CHUNK_LEAVES * LEAF_BYTES;

/** 16 bytes of name and version, 12 zero bytes, the number of leaves as uint32: one word, so that all that follows is aligned. */
export const FILE_HEADER_BYTES = LEAF_BYTES;
const MAGIC = new TextEncoder().encode("surety-leaves/1\n");
const COUNT_OFFSET = FILE_HEADER_BYTES - 4;

/** Where the parts of a file are: header | outline (the chunks' roots) | leaves, packed as in calldata. */
export interface FileLayout {
  readonly chunkCount: number;
  readonly pieceCount: number;
  /** Height of a chunk's root over the leaves. */
  readonly chunkHeight: number;
  readonly depth: number;
  readonly outlineBytes: number;
  /** Where the leaves begin. */
  readonly leavesOffset: number;
  readonly fileBytes: number;
}

/** @param leafCount from 1 to MAX_FILE_LEAVES */
export function fileLayoutOf(leafCount: number): FileLayout {
  const depth = depthOf(leafCount);
  const chunkCount = Math.ceil(leafCount / CHUNK_LEAVES);
  const outlineBytes = chunkCount * LEAF_BYTES;
  const leavesOffset = FILE_HEADER_BYTES + outlineBytes;
  return {
    ...{
      chunkCount,
      pieceCount: Math.ceil(chunkCount / PIECE_CHUNKS),
      chunkHeight: Math.min(CHUNK_DEPTH, depth),
      depth,
    },
    ...{ outlineBytes, leavesOffset, fileBytes: leavesOffset + leafCount * LEAF_BYTES },
  };
}

/** The file's name in a folder, and the last part of its URL. */
export const fileNameOf = (root: Hex): string => `${root.toLowerCase()}.leaves`;

export function encodeFileHeader(leafCount: number): Uint8Array {
  const header = new Uint8Array(FILE_HEADER_BYTES);
  header.set(MAGIC);
  new DataView(header.buffer).setUint32(COUNT_OFFSET, leafCount);
  return header;
}

/** @returns the number of leaves that the file claims; rejects LEAVES_HEADER */
export function readFileHeader(bytes: Uint8Array): Verdict<number> {
  if (bytes.length < FILE_HEADER_BYTES) return reject("LEAVES_HEADER", `${bytes.length} bytes are no header`);
  const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(COUNT_OFFSET);
  const expected = encodeFileHeader(count);
  if (!expected.every((byte, k) => bytes[k] === byte)) return reject("LEAVES_HEADER", "not a file of leaves");
  if (count > 0 && count <= MAX_FILE_LEAVES) return accept(count);
  return reject("LEAVES_HEADER", `${count} leaves, not 1 to ${MAX_FILE_LEAVES}`);
}

/** Checks the chunks' roots against the root, so that each chunk can be checked by itself. Rejects LEAVES_OUTLINE. */
export function judgeOutline(outline: Uint8Array, { root, leafCount }: LeavesId): Verdict<Uint8Array> {
  const { outlineBytes } = fileLayoutOf(leafCount);
  if (outline.length !== outlineBytes) return reject("LEAVES_OUTLINE", `${outline.length} bytes, not ${outlineBytes}`);
  const actual = rootOfOutline(outline, leafCount);
  return actual === root ? accept(outline) : reject("LEAVES_OUTLINE", `it has the root ${actual}, not ${root}`);
}

function rootOfOutline(outline: Uint8Array, leafCount: number): Hex {
  return bytesToHex(hashTop(outline, leafCount).at(-1) as Uint8Array);
}

/** The levels from the chunks' roots up to the root, one after the other: of an outline, what a proof needs. */
export function topLevelsOf(outline: Uint8Array, leafCount: number): Uint8Array {
  return concatenate(hashTop(outline, leafCount));
}

function hashTop(outline: Uint8Array, leafCount: number): Uint8Array[] {
  const { chunkHeight, depth } = fileLayoutOf(leafCount);
  return hashLevels(outline, chunkHeight, depth);
}

/** Which leaves a piece holds. */
export function pieceRangeOf(
  leafCount: number,
  piece: number,
): { readonly firstChunk: number; readonly byteLength: number; readonly offset: number } {
  const offset = piece * MAX_PIECE_BYTES;
  const byteLength = Math.max(Math.min(leafCount * LEAF_BYTES - offset, MAX_PIECE_BYTES), 0);
  return { firstChunk: piece * PIECE_CHUNKS, byteLength, offset };
}

/**
 * Checks one piece against an outline that was judged before.
 * @returns of each chunk all its levels, leaves first, one after the other: a proof needs no hashing. Rejects LEAVES_PIECE
 */
export function judgePiece(
  bytes: Uint8Array,
  piece: number,
  outline: Uint8Array,
  leafCount: number,
): Verdict<Uint8Array[]> {
  const { firstChunk, byteLength } = pieceRangeOf(leafCount, piece);
  if (byteLength === 0 || bytes.length !== byteLength) {
    return reject("LEAVES_PIECE", `piece ${piece} has ${bytes.length} bytes, not ${byteLength}`);
  }
  const { chunkHeight } = fileLayoutOf(leafCount);
  const chunks: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; offset += CHUNK_LEAVES * LEAF_BYTES) {
    const chunk = firstChunk + chunks.length;
    const levels = hashLevels(bytes.subarray(offset, offset + CHUNK_LEAVES * LEAF_BYTES), 0, chunkHeight);
    if (bytesToHex(levels[chunkHeight] as Uint8Array) !== nodeAt(outline, chunkHeight, chunk)) {
      return reject("LEAVES_PIECE", `the leaves of chunk ${chunk} are not under the root`);
    }
    chunks.push(concatenate(levels));
  }
  return accept(chunks);
}

/** The packed leaves of a chunk whose levels `judgePiece` gave. */
export function leavesOfChunk(levels: Uint8Array, leafCount: number, chunk: number): Uint8Array {
  return levels.subarray(0, leavesInChunk(leafCount, chunk) * LEAF_BYTES);
}

function leavesInChunk(leafCount: number, chunk: number): number {
  return Math.min(leafCount - chunk * CHUNK_LEAVES, CHUNK_LEAVES);
}

/** One leaf's proof. @param levels of its chunk, @param top from the chunks' roots up, both as they are stored; @param seat below the number of leaves */
export function proofFromLevels(seat: number, levels: Uint8Array, top: Uint8Array, leafCount: number): Hex[] {
  const { chunkHeight, depth, chunkCount } = fileLayoutOf(leafCount);
  const chunk = Math.floor(seat / CHUNK_LEAVES);
  const inChunk = { bytes: levels, nodeCount: leavesInChunk(leafCount, chunk), from: 0, to: chunkHeight };
  const above = { bytes: top, nodeCount: chunkCount, from: chunkHeight, to: depth };
  return [...siblingsIn(inChunk, seat % CHUNK_LEAVES), ...siblingsIn(above, chunk)];
}

interface StoredLevels {
  /** Levels one after the other, the lowest first. */
  readonly bytes: Uint8Array;
  /** Of the lowest level. */
  readonly nodeCount: number;
  readonly from: number;
  readonly to: number;
}

function siblingsIn({ bytes, nodeCount, from, to }: StoredLevels, index: number): Hex[] {
  const siblings: Hex[] = [];
  let [offset, count] = [0, nodeCount];
  for (let height = from; height < to; height++) {
    const end = offset + count * LEAF_BYTES;
    siblings.push(nodeAt(bytes.subarray(offset, end), height, (index >>> (height - from)) ^ 1));
    [offset, count] = [end, Math.ceil(count / 2)];
  }
  return siblings;
}

/** The roots of all chunks of leaves in order of seat. */
export function outlineOf(leaves: Uint8Array): Uint8Array {
  const { chunkHeight } = fileLayoutOf(leaves.length / LEAF_BYTES);
  return (hashLevels(leaves, 0, chunkHeight)[chunkHeight] as Uint8Array).slice();
}

/** A whole file. @param words packed leaves in order of seat, 1 to MAX_FILE_LEAVES of them */
export function encodeLeavesFile(words: readonly bigint[]): Uint8Array {
  const leaves = encodeLeaves(words);
  return concatenate([encodeFileHeader(words.length), outlineOf(leaves), leaves]);
}

/** A file that agrees with itself: nobody but the chain says whether its root is a committed one. */
export interface LeavesFile extends LeavesId {
  readonly words: readonly bigint[];
}

/**
 * Reads a whole file. Nothing in it is believed: length and every hash have to agree.
 * @param expected what the chain says; undefined: the root is computed, and to be compared with the chain
 * @returns rejects LEAVES_HEADER, LEAVES_COUNT, LEAVES_LENGTH, LEAVES_OUTLINE, LEAVES_PIECE
 */
export function decodeLeavesFile(bytes: Uint8Array, expected?: LeavesId): Verdict<LeavesFile> {
  const count = readFileHeader(bytes);
  if (count.kind !== "accept") return count;
  const leafCount = count.value;
  if (expected !== undefined && expected.leafCount !== leafCount) {
    return reject("LEAVES_COUNT", `it holds ${leafCount} leaves, not ${expected.leafCount}`);
  }
  const { leavesOffset, fileBytes, pieceCount } = fileLayoutOf(leafCount);
  if (bytes.length !== fileBytes) return reject("LEAVES_LENGTH", `${bytes.length} bytes, not ${fileBytes}`);
  const outline = bytes.subarray(FILE_HEADER_BYTES, leavesOffset);
  const judged = judgeOutline(outline, expected ?? { root: rootOfOutline(outline, leafCount), leafCount });
  if (judged.kind !== "accept") return judged;
  for (let piece = 0; piece < pieceCount; piece++) {
    const { offset, byteLength } = pieceRangeOf(leafCount, piece);
    const start = leavesOffset + offset;
    const verdict = judgePiece(bytes.subarray(start, start + byteLength), piece, outline, leafCount);
    if (verdict.kind !== "accept") return verdict;
  }
  const words = decodeLeaves(bytes.subarray(leavesOffset), [leafCount]);
  if (words.kind !== "accept") return words;
  return accept({ root: rootOfOutline(outline, leafCount), leafCount, words: words.value[0] as bigint[] });
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
