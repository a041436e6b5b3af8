/**
 * Randomness by address: the number at (seed, a, b, c) is the same whatever was drawn before. Two runs with the same seed
 * differ only where their rules differ (common random numbers), so that a difference of losses is not luck.
 */
export type Draw = (a: number, b: number, c: number, bound: number) => number;

/** @param seed any 32 bits */
export function createDraw(seed: number): Draw {
  return (a, b, c, bound) => {
    let h = mix(seed ^ 0x9e3779b9);
    h = mix(h ^ Math.imul(a + 1, 0x85ebca6b));
    h = mix(h ^ Math.imul(b + 1, 0xc2b2ae35));
    h = mix(h ^ Math.imul(c + 1, 0x27d4eb2f));
    return Math.floor((h / 2 ** 32) * bound);
  };
}

/** The finalizer of MurmurHash3, 32 bits. */
function mix(word: number): number {
  let h = word >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A sequence drawn from one stream of a seed: whole numbers below a bound. */
export function createStream(seed: number, stream: number): (bound: number) => number {
  const draw = createDraw(seed);
  let count = 0;
  return (bound) => draw(stream, count++, 0, bound);
}
