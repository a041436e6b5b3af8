import { concat, keccak256, numberToHex, type Hex } from "viem";
import { SuretyError } from "../errors.ts";

// The tree of RFC 9162 (Certificate Transparency 2), section 2.1, over keccak256: a tree of n leaves splits at the
// largest power of two below n. Leaves are hashed after 0x00, inner nodes after 0x01 (no second preimage), and the root
// after 0x02 with the number of leaves, so that a proof has exactly one length and a root is never a node.

const LEAF = "0x00";
const NODE = "0x01";
const ROOT = "0x02";
/** Far above any config or range; a proof is then at most 32 hashes. */
const MAX_LEAVES = 2 ** 32;

/** Hash of what a leaf holds. */
export const leafHash = (content: Hex): Hex => keccak256(concat([LEAF, content]));
const nodeHash = (left: Hex, right: Hex): Hex => keccak256(concat([NODE, left, right]));
const rootHash = (top: Hex, leafCount: number): Hex =>
  keccak256(concat([ROOT, numberToHex(leafCount, { size: 4 }), top]));

/** Place of a leaf in a tree. */
export interface LeafPlace {
  /** From 0. */
  readonly index: number;
  readonly leafCount: number;
}

/** @param leaves hashes by `leafHash`, at least one @throws SuretyError MERKLE_SIZE */
export function merkleRoot(leaves: readonly Hex[]): Hex {
  checkSize(leaves.length);
  return rootHash(topOf(leaves, 0, leaves.length), leaves.length);
}

/** Siblings from the leaf's side to the top. @throws SuretyError MERKLE_SIZE, MERKLE_INDEX */
export function merkleProof(leaves: readonly Hex[], index: number): Hex[] {
  checkSize(leaves.length);
  if (!Number.isInteger(index) || index < 0 || index >= leaves.length) {
    throw new SuretyError("MERKLE_INDEX", `A tree of ${leaves.length} leaves has no leaf ${index}.`, {
      values: { index, leafCount: leaves.length },
      next: "Name a leaf that the tree has.",
    });
  }
  const proof: Hex[] = [];
  let [from, to] = [0, leaves.length];
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    if (index < middle) {
      proof.push(topOf(leaves, middle, to));
      to = middle;
    } else {
      proof.push(topOf(leaves, from, middle));
      from = middle;
    }
  }
  return proof.reverse();
}

/** The root to which a leaf and its proof lead; undefined when the proof has not the one length that its place needs. */
export function rootFromProof(leaf: Hex, { index, leafCount }: LeafPlace, proof: readonly Hex[]): Hex | undefined {
  if (!Number.isInteger(index) || index < 0 || !Number.isInteger(leafCount)) return undefined;
  if (index >= leafCount || leafCount > MAX_LEAVES) return undefined;
  const turns = turnsOf(index, leafCount);
  if (turns.length !== proof.length) return undefined;
  const top = turns.reduce((hash, isLeft, level) => {
    const sibling = proof[level] as Hex;
    return isLeft ? nodeHash(hash, sibling) : nodeHash(sibling, hash);
  }, leaf);
  return rootHash(top, leafCount);
}

/** From the leaf up: whether the path comes from the left. */
function turnsOf(index: number, leafCount: number): boolean[] {
  const turns: boolean[] = [];
  let [from, to] = [0, leafCount];
  while (to - from > 1) {
    const middle = from + splitOf(to - from);
    turns.push(index < middle);
    if (index < middle) to = middle;
    else from = middle;
  }
  return turns.reverse();
}

function topOf(leaves: readonly Hex[], from: number, to: number): Hex {
  if (to - from === 1) return leaves[from] as Hex;
  const middle = from + splitOf(to - from);
  return nodeHash(topOf(leaves, from, middle), topOf(leaves, middle, to));
}

/** Largest power of two below n. @param n at least 2 */
const splitOf = (n: number): number => 2 ** (31 - Math.clz32(n - 1));

function checkSize(leafCount: number): void {
  if (leafCount >= 1 && leafCount <= MAX_LEAVES) return;
  throw new SuretyError("MERKLE_SIZE", `A tree cannot have ${leafCount} leaves.`, {
    values: { leafCount },
    next: `Give 1 to ${MAX_LEAVES} leaves.`,
  });
}
