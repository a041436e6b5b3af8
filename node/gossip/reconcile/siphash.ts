/** A key of 128 bits as four little-endian words. */
export type SipKey = Uint32Array;

export const SIP_KEY_BYTES = 16;

export function sipKeyOf(bytes: Uint8Array): SipKey {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SIP_KEY_BYTES);
  return Uint32Array.from([0, 4, 8, 12], (at) => view.getUint32(at, true));
}

const word = (words: Uint32Array, at: number): number => words[at] as number;

/**
 * SipHash-2-4 (Aumasson and Bernstein 2012) of a message of whole 32-bit words, little-endian: a keyed hash of short inputs
 * that nobody can steer without the key. In halves of 32 bits, because 64-bit BigInt arithmetic is some fifty times slower here.
 * @param out receives the low and the high half
 */
export function sipHash(key: SipKey, words: Uint32Array, out: Uint32Array): void {
  let [a0, a1] = [word(key, 0) ^ 0x70736575, word(key, 1) ^ 0x736f6d65];
  let [b0, b1] = [word(key, 2) ^ 0x6e646f6d, word(key, 3) ^ 0x646f7261];
  let [c0, c1] = [word(key, 0) ^ 0x6e657261, word(key, 1) ^ 0x6c796765];
  let [d0, d1] = [word(key, 2) ^ 0x79746573, word(key, 3) ^ 0x74656462];
  const count = words.length;
  const blocks = (count >> 1) + 1;
  // The last turn is the finalisation: no message, four rounds.
  for (let block = 0; block <= blocks; block++) {
    const isFinal = block === blocks;
    const at = 2 * block;
    const m0 = at < count ? word(words, at) : 0;
    const m1 = at + 1 < count ? word(words, at + 1) : block === blocks - 1 ? ((4 * count) & 0xff) << 24 : 0;
    if (isFinal) c0 ^= 0xff;
    else {
      d0 ^= m0;
      d1 ^= m1;
    }
    for (let round = isFinal ? 4 : 2; round > 0; round--) {
      // a += b; b = b <<< 13 ^ a; a <<<= 32
      let low = (a0 + b0) | 0;
      a1 = (a1 + b1 + (low >>> 0 < a0 >>> 0 ? 1 : 0)) | 0;
      a0 = low;
      low = ((b0 << 13) | (b1 >>> 19)) ^ a0;
      let high = ((b1 << 13) | (b0 >>> 19)) ^ a1;
      b0 = low;
      b1 = high;
      low = a0;
      a0 = a1;
      a1 = low;
      // c += d; d = d <<< 16 ^ c
      low = (c0 + d0) | 0;
      c1 = (c1 + d1 + (low >>> 0 < c0 >>> 0 ? 1 : 0)) | 0;
      c0 = low;
      low = ((d0 << 16) | (d1 >>> 16)) ^ c0;
      high = ((d1 << 16) | (d0 >>> 16)) ^ c1;
      d0 = low;
      d1 = high;
      // a += d; d = d <<< 21 ^ a
      low = (a0 + d0) | 0;
      a1 = (a1 + d1 + (low >>> 0 < a0 >>> 0 ? 1 : 0)) | 0;
      a0 = low;
      low = ((d0 << 21) | (d1 >>> 11)) ^ a0;
      high = ((d1 << 21) | (d0 >>> 11)) ^ a1;
      d0 = low;
      d1 = high;
      // c += b; b = b <<< 17 ^ c; c <<<= 32
      low = (c0 + b0) | 0;
      c1 = (c1 + b1 + (low >>> 0 < c0 >>> 0 ? 1 : 0)) | 0;
      c0 = low;
      low = ((b0 << 17) | (b1 >>> 15)) ^ c0;
      high = ((b1 << 17) | (b0 >>> 15)) ^ c1;
      b0 = low;
      b1 = high;
      low = c0;
      c0 = c1;
      c1 = low;
    }
    if (!isFinal) {
      a0 ^= m0;
      a1 ^= m1;
    }
  }
  out[0] = a0 ^ b0 ^ c0 ^ d0;
  out[1] = a1 ^ b1 ^ c1 ^ d1;
}
