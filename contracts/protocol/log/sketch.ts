import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, keccak256, toHex, type Hex } from "viem";

/** Features beyond these do not change a sketch: hashing stays bounded whatever text a stranger sends. */
const MAX_TOKENS = 512;
const SKETCH_BITS = 256;
/** A whole word says more than one of its trigrams, which only make "translate" and "translation" near. */
const WORD_WEIGHT = 3;
const TRIGRAM_WEIGHT = 1;

/** Lower-case words of letters and digits, in order, at most 512. The index and the sketch cut text the same way. */
export function tokensOf(text: string): string[] {
  const words = text
    .normalize("NFKC")
    .toLowerCase()
    .matchAll(/[\p{L}\p{N}]+/gu);
  return [...words.take(MAX_TOKENS)].map((match) => match[0].slice(0, 64));
}

/**
 * 256-bit SimHash (Charikar 2002) over hashed words and their trigrams: the built-in embedder, lexical and without a
 * model. Texts that share words are near in Hamming distance; an empty text has the zero sketch.
 */
export function sketchOf(text: string): Hex {
  const sums = new Int32Array(SKETCH_BITS);
  for (const word of tokensOf(text)) {
    addFeature(sums, `w:${word}`, WORD_WEIGHT);
    const padded = `^${word}$`;
    for (let i = 0; i + 3 <= padded.length; i++) addFeature(sums, `t:${padded.slice(i, i + 3)}`, TRIGRAM_WEIGHT);
  }
  const sketch = new Uint8Array(SKETCH_BITS / 8);
  sums.forEach((sum, bit) => {
    if (sum > 0) sketch[bit >> 3] = (sketch[bit >> 3] as number) | (0x80 >> (bit & 7));
  });
  return bytesToHex(sketch);
}

function addFeature(sums: Int32Array, feature: string, weight: number): void {
  const hash = sha256(new TextEncoder().encode(feature));
  for (let bit = 0; bit < SKETCH_BITS; bit++) {
    const isSet = ((hash[bit >> 3] as number) & (0x80 >> (bit & 7))) !== 0;
    sums[bit] = (sums[bit] as number) + (isSet ? weight : -weight);
  }
}

/** Bits in which two sketches differ, 0…256; 128 is the distance of unrelated texts. */
export function hammingDistance(a: Hex, b: Hex): number {
  let distance = 0;
  for (let rest = BigInt(a) ^ BigInt(b); rest > 0n; rest >>= 32n) {
    let word = Number(rest & 0xffffffffn);
    for (; word !== 0; word = (word & (word - 1)) >>> 0) distance++;
  }
  return distance;
}

/** Estimate of the cosine between two texts from their sketches, 0…1: cos(π d / 256), negative values cut to 0. */
export function sketchSimilarity(a: Hex, b: Hex): number {
  return Math.max(0, Math.cos((Math.PI * hammingDistance(a, b)) / SKETCH_BITS));
}

/**
 * uint32 id of a skill: the first four bytes of keccak256 of its lower-case name. The OASF taxonomy assigns numbers;
 * until it is vendored, the hash of its name stands in, so that any two nodes agree on the id without a table.
 */
export function skillIdOf(name: string): number {
  return Number.parseInt(keccak256(toHex(name.trim().toLowerCase())).slice(2, 10), 16);
}

/** The `tags` of a header: the first four skills, most significant first, zero where there are fewer. */
export function tagsOf(skills: readonly string[]): bigint {
  return [0, 1, 2, 3].reduce((tags, i) => {
    const skill = skills[i];
    return (tags << 32n) | (skill === undefined ? 0n : BigInt(skillIdOf(skill)));
  }, 0n);
}

/** The skill ids in a header's tags, without the zeros. */
export function skillIdsOf(tags: bigint): number[] {
  return [96n, 64n, 32n, 0n].map((shift) => Number((tags >> shift) & 0xffffffffn)).filter((id) => id !== 0);
}
