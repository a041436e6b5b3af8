import { hexToBigInt, keccak256, slice, toHex } from "viem";

/** A topic on chain is the first eight bytes of keccak256 of its name; 0 names none. */
export function topicIdOf(name: string): bigint {
  return hexToBigInt(slice(keccak256(toHex(name)), 0, 8));
}
