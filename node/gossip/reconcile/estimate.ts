import type { ItemSet } from "./items.ts";

// How different two sets are, from a few bytes: odd sketches (Mitzenmacher, Pagh, Pham 2014) over samples of the items, each
// sample a quarter of the one before (as the strata of Eppstein et al., SIGCOMM 2011).

const LEVELS = 7;
const LEVEL_BITS = 256;
/** 224 bytes: about eighteen cells, and it saves a sequence of guesses. */
export const ESTIMATE_BYTES = (LEVELS * LEVEL_BITS) / 8;
/** A level that is fuller says little: at 0.4 the difference is some 0.8 of the bits. */
const MAX_FILL = 0.4;

/** One bit an item and level: set when an odd number of the sampled items fall on it. */
export function estimatorOf({ seeds, heads }: ItemSet): Uint8Array {
  const bytes = new Uint8Array(ESTIMATE_BYTES);
  for (let i = 0; i < heads.length; i++) {
    const seed = seeds[i] as number;
    const place = seed & (LEVEL_BITS - 1);
    const sample = seed >>> 8;
    for (let level = 0; level < LEVELS && (sample & (4 ** level - 1)) === 0; level++) {
      const at = (level * LEVEL_BITS + place) >> 3;
      bytes[at] = (bytes[at] as number) ^ (1 << (place & 7));
    }
  }
  return bytes;
}

/** Number of items in one set only, within some 20%; Infinity above about 800,000. */
export function estimateDifference(a: Uint8Array, b: Uint8Array): number {
  for (let level = 0; level < LEVELS; level++) {
    let odd = 0;
    for (let at = (level * LEVEL_BITS) >> 3; at < ((level + 1) * LEVEL_BITS) >> 3; at++) {
      for (let rest = (a[at] as number) ^ (b[at] as number); rest !== 0; rest &= rest - 1) odd++;
    }
    const fill = odd / LEVEL_BITS;
    if (fill <= MAX_FILL) return Math.round((-LEVEL_BITS / 2) * Math.log(1 - 2 * fill) * 4 ** level);
  }
  return Infinity;
}
