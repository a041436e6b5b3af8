import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes, type Hex } from "viem";
import { SuretyError } from "../errors.ts";
import { LEAF_BYTES, writeWord } from "./leaf.ts";

/** Levels between root and leaves: ceil(log2 n). @param leafCount at least 1 */
export function depthOf(leafCount: number): number {
  if (!Number.isInteger(leafCount) || leafCount < 1 || leafCount > 2 ** 32) {
    throw new SuretyError("TREE_SIZE", `A tree cannot have ${leafCount} leaves.`, {
      values: { leafCount },
      next: "Build trees only for topics that have seats.",
    });
  }
  return 32 - Math.clz32(leafCount - 1);
}

/** Hash of an empty subtree by its height; a missing leaf is a zero word. */
const emptyHashes: Uint8Array[] = [new Uint8Array(LEAF_BYTES)];
while (emptyHashes.length <= 32) {
  const below = emptyHashes[emptyHashes.length - 1] as Uint8Array;
  emptyHashes.push(hashPair(below, below));
}

function hashPair(left: Uint8Array, right: Uint8Array): Uint8Array {
  const pair = new Uint8Array(2 * LEAF_BYTES);
  pair.set(left);
  pair.set(right, LEAF_BYTES);
  return keccak_256(pair);
}

/**
 * Merkle tree over packed leaves: position = seat, parent = keccak256(left, right), padded with zero words to a power
 * of two. A leaf is 32 bytes and a parent hashes 64, and the depth is fixed by the ledger's number of seats, so that no
 * inner node passes for a leaf.
 */
export class LeafTree {
  readonly leafCount: number;
  readonly depth: number;
  readonly root: Hex;
  /** Level 0 = leaves; each level holds its nodes one after the other, the empty ones on the right left out. */
  readonly #levels: readonly Uint8Array[];

  /** @param words packed leaves in order of seat, at least one @throws SuretyError TREE_SIZE */
  constructor(words: readonly bigint[]) {
    this.leafCount = words.length;
    this.depth = depthOf(words.length);
    const leaves = new Uint8Array(words.length * LEAF_BYTES);
    const view = new DataView(leaves.buffer);
    words.forEach((word, index) => writeWord(view, index * LEAF_BYTES, word));
    this.#levels = hashLevels(leaves, 0, this.depth);
    this.root = bytesToHex(this.#levels[this.depth] as Uint8Array);
  }

  /** Real nodes of one height, one after the other; height 0 = the packed leaves. */
  levelAt(height: number): Uint8Array {
    return (this.#levels[height] as Uint8Array).slice();
  }

  /** Siblings of one leaf from the bottom to the top, `depth` of them. @throws SuretyError TREE_INDEX */
  proof(index: number): Hex[] {
    this.#checkIndices([index]);
    return Array.from({ length: this.depth }, (_, height) => this.#node(height, (index >>> height) ^ 1));
  }

  /**
   * Siblings that the given leaves do not derive themselves, level by level from the left.
   * @param indices ascending, without repetition @throws SuretyError TREE_INDEX
   */
  multiproof(indices: readonly number[]): Hex[] {
    this.#checkIndices(indices);
    const proof: Hex[] = [];
    let known = indices;
    for (let height = 0; height < this.depth; height++) {
      const parents: number[] = [];
      for (let k = 0; k < known.length; k++) {
        const index = known[k] as number;
        if (index % 2 === 0 && known[k + 1] === index + 1) k++;
        else proof.push(this.#node(height, index ^ 1));
        parents.push(index >>> 1);
      }
      known = parents;
    }
    return proof;
  }

  /** The path above an aligned block of 2^height leaves, from the block's root upwards. */
  subtreeProof(block: number, height: number): Hex[] {
    this.#checkIndices([block * 2 ** height]);
    return Array.from({ length: this.depth - height }, (_, k) => this.#node(height + k, (block >>> k) ^ 1));
  }

  #node(height: number, index: number): Hex {
    return nodeAt(this.#levels[height] as Uint8Array, height, index);
  }

  #checkIndices(indices: readonly number[]): void {
    const isValid = indices.every(
      (index, k) => Number.isInteger(index) && index >= 0 && index < this.leafCount && index > (indices[k - 1] ?? -1),
    );
    if (isValid && indices.length > 0) return;
    throw new SuretyError("TREE_INDEX", "Leaf positions are ascending, distinct and below the number of leaves.", {
      values: { indices, leafCount: this.leafCount },
      next: "Ask for seats of this topic and epoch.",
    });
  }
}

/**
 * The levels over a row of nodes, that row first.
 * @param nodes real nodes of `fromHeight`, the empty ones on the right left out
 */
export function hashLevels(nodes: Uint8Array, fromHeight: number, toHeight: number): Uint8Array[] {
  const levels = [nodes];
  for (let height = fromHeight; height < toHeight; height++) {
    levels.push(hashLevel(levels[height - fromHeight] as Uint8Array, height));
  }
  return levels;
}

/** One node of a level, the empty ones on the right included. */
export function nodeAt(level: Uint8Array, height: number, index: number): Hex {
  const offset = index * LEAF_BYTES;
  if (offset >= level.length) return bytesToHex(emptyHashes[height] as Uint8Array);
  return bytesToHex(level.subarray(offset, offset + LEAF_BYTES));
}

function hashLevel(below: Uint8Array, height: number): Uint8Array {
  const pairBytes = 2 * LEAF_BYTES;
  const parentCount = Math.ceil(below.length / pairBytes);
  const level = new Uint8Array(parentCount * LEAF_BYTES);
  const last = new Uint8Array(pairBytes);
  for (let k = 0; k < parentCount; k++) {
    let pair = below.subarray(k * pairBytes, (k + 1) * pairBytes);
    if (pair.length < pairBytes) {
      last.set(pair);
      last.set(emptyHashes[height] as Uint8Array, LEAF_BYTES);
      pair = last;
    }
    level.set(keccak_256(pair), k * LEAF_BYTES);
  }
  return level;
}

/** A packed leaf at its position. */
export interface PlacedLeaf {
  readonly index: number;
  readonly word: bigint;
}

/** Folds one leaf with its siblings. Malformed siblings fold to a root that matches nothing. */
export function rootOfProof(leaf: PlacedLeaf, proof: readonly Hex[]): Hex {
  let node = wordBytes(leaf.word);
  proof.forEach((sibling, height) => {
    const other = hexToBytes(sibling);
    const isLeft = Math.floor(leaf.index / 2 ** height) % 2 === 0;
    node = isLeft ? hashPair(node, other) : hashPair(other, node);
  });
  return bytesToHex(node);
}

/** @param leafCount from the ledger or the finalized root: it fixes the depth */
export function verifyProof(root: Hex, leafCount: number, leaf: PlacedLeaf, proof: readonly Hex[]): boolean {
  if (!isPlaced(leaf, leafCount) || proof.length !== depthOf(leafCount) || !proof.every(isWord)) return false;
  return rootOfProof(leaf, proof) === root;
}

/** Verifies what `multiproof` made. @param leaves ascending by index, without repetition */
export function verifyMultiproof(
  root: Hex,
  leafCount: number,
  leaves: readonly PlacedLeaf[],
  proof: readonly Hex[],
): boolean {
  const isAscending = leaves.every((leaf, k) => isPlaced(leaf, leafCount) && leaf.index > (leaves[k - 1]?.index ?? -1));
  if (leaves.length === 0 || !isAscending || !proof.every(isWord)) return false;
  let known = leaves.map(({ index, word }) => ({ index, node: wordBytes(word) }));
  let used = 0;
  for (let height = depthOf(leafCount); height > 0; height--) {
    const parents: typeof known = [];
    for (let k = 0; k < known.length; k++) {
      const { index, node } = known[k] as (typeof known)[number];
      const next = known[k + 1];
      const isPair = index % 2 === 0 && next?.index === index + 1;
      const sibling = isPair ? next.node : proof[used++];
      if (sibling === undefined) return false;
      const other = typeof sibling === "string" ? hexToBytes(sibling) : sibling;
      parents.push({ index: index >>> 1, node: index % 2 === 0 ? hashPair(node, other) : hashPair(other, node) });
      if (isPair) k++;
    }
    known = parents;
  }
  return used === proof.length && bytesToHex((known[0] as (typeof known)[number]).node) === root;
}

function isPlaced({ index, word }: PlacedLeaf, leafCount: number): boolean {
  return Number.isInteger(index) && index >= 0 && index < leafCount && word >= 0n && word >> 256n === 0n;
}

function isWord(hex: Hex): boolean {
  return /^0x[0-9a-fA-F]{64}$/.test(hex);
}

function wordBytes(word: bigint): Uint8Array {
  const bytes = new Uint8Array(LEAF_BYTES);
  writeWord(new DataView(bytes.buffer), 0, word);
  return bytes;
}
