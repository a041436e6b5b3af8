import { accept, reject, SuretyError, type Verdict } from "../errors.ts";

/** One agent's word in an epoch's tree of one topic; IReputationEpochs fixes the layout, the seat is its position. */
export interface Leaf {
  /** uint32; 0 = the dust leaf in seat 0. */
  readonly agentId: number;
  /** uint64: the agent's share of SCORE_SUM. */
  readonly score: bigint;
  /** uint64: sum of the scores of all seats before this one. */
  readonly cum: bigint;
  /** uint48: p̃, not normalised. */
  readonly prior: bigint;
  /** uint48: W, the sum of the weights that the agent gave. */
  readonly rowSum: bigint;
}

export const LEAF_BYTES = 32;

const U48 = (1n << 48n) - 1n;
const U64 = (1n << 64n) - 1n;

/** @returns agent32 | score64 | cum64 | prior48 | rowSum48, most significant first @throws SuretyError LEAF_RANGE */
export function packLeaf(leaf: Leaf): bigint {
  const { agentId, score, cum, prior, rowSum } = leaf;
  const isInRange =
    Number.isInteger(agentId) && agentId >= 0 && agentId <= 0xffffffff && fits(score, U64) && fits(cum, U64);
  if (!isInRange || !fits(prior, U48) || !fits(rowSum, U48)) {
    throw new SuretyError("LEAF_RANGE", "A field of the leaf does not fit its width.", {
      values: { ...leaf },
      next: "Report this: the score engine keeps every field within its width.",
    });
  }
  return (BigInt(agentId) << 224n) | (score << 160n) | (cum << 96n) | (prior << 48n) | rowSum;
}

function fits(value: bigint, max: bigint): boolean {
  return value >= 0n && value <= max;
}

/** Every 256-bit word is a leaf: whether it is an honest one, the challenges decide. */
export function unpackLeaf(word: bigint): Leaf {
  return {
    agentId: Number((word >> 224n) & 0xffffffffn),
    score: (word >> 160n) & U64,
    cum: (word >> 96n) & U64,
    prior: (word >> 48n) & U48,
    rowSum: word & U48,
  };
}

/** A leaf's score alone. */
export function scoreOfLeaf(word: bigint): bigint {
  return (word >> 160n) & U64;
}

/** Packed leaves as they travel in `commit`: 32 bytes each, big-endian, in order of seat. */
export function encodeLeaves(words: readonly bigint[]): Uint8Array {
  const bytes = new Uint8Array(words.length * LEAF_BYTES);
  const view = new DataView(bytes.buffer);
  words.forEach((word, index) => writeWord(view, index * LEAF_BYTES, word));
  return bytes;
}

/**
 * Leaves of several topics, concatenated in the order of the commit's topics.
 * @param leafCounts number of leaves of each topic, from the ledger; the bytes carry no count of their own
 * @returns rejects LEAVES_LENGTH unless the bytes are exactly that many words
 */
export function decodeLeaves(bytes: Uint8Array, leafCounts: readonly number[]): Verdict<bigint[][]> {
  const expected = leafCounts.reduce((sum, count) => sum + count, 0) * LEAF_BYTES;
  if (bytes.length !== expected) return reject("LEAVES_LENGTH", `${bytes.length} bytes, not ${expected}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let offset = 0;
  const topics = leafCounts.map((count) =>
    Array.from({ length: count }, () => {
      const word = readWord(view, offset);
      offset += LEAF_BYTES;
      return word;
    }),
  );
  return accept(topics);
}

/** Writes a 256-bit word, big-endian. */
export function writeWord(view: DataView, offset: number, word: bigint): void {
  for (let k = 0; k < 4; k++) view.setBigUint64(offset + 8 * k, (word >> BigInt(192 - 64 * k)) & U64);
}

/** Reads a 256-bit word, big-endian. */
export function readWord(view: DataView, offset: number): bigint {
  let word = 0n;
  for (let k = 0; k < 4; k++) word = (word << 64n) | view.getBigUint64(offset + 8 * k);
  return word;
}
