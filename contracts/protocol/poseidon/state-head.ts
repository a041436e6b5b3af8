import { toHex, type Address, type Hex } from "viem";
import type { Body } from "../log/body.ts";
import { poseidonHash } from "./poseidon.ts";

/** Which log a head is of. */
export interface LogName {
  readonly chainId: number;
  readonly registry: Address;
  readonly log: Address;
}

/** An entry of a log as a compliance proof sees it. */
export interface StateEntry {
  readonly seq: number;
  /** Digest of the entry's header. */
  readonly digest: Hex;
  /** What the agent paid by this entry, in the token's smallest unit; below 2^64. */
  readonly spend: bigint;
}

/** How a deal ended when its client paid, in part at least. */
const paidOutcomes: readonly string[] = ["completed", "resolved"];
/** 248 bits of a digest: the field has 254, and what is dropped is a byte of a hash. */
const DIGEST_MASK = 2n ** 248n - 1n;
const TWO_TO_64 = 2n ** 64n;

/** A field element as the word that `anchorLog` takes. */
const wordOf = (element: bigint): Hex => toHex(element, { size: 32 });

/**
 * The deal whose price an entry spends: a client's receipt of a deal that ended in payment names one, no other entry does. A receipt that
 * a reorg made the author repeat counts again: what is proven is never less than what was paid.
 */
export function paidDealOf(entry: Body): Hex | undefined {
  if (entry.kind !== "receipt" || entry.body.role !== "client") return undefined;
  return paidOutcomes.includes(entry.body.outcome) ? entry.body.dealId : undefined;
}

/** Poseidon head before the first entry: a head of one log is one of no other. */
export const stateGenesis = ({ chainId, registry, log }: LogName): Hex =>
  wordOf(poseidonHash([BigInt(chainId), BigInt(registry), BigInt(log)]));

/** Poseidon head after these entries, as zk/log/program.ts folds them; 1.4 ms for each entry on a busy machine. */
export function stateHeadAfter(head: Hex, entries: readonly StateEntry[]): Hex {
  let current = BigInt(head);
  for (const { seq, digest, spend } of entries)
    current = poseidonHash([current, BigInt(seq) * TWO_TO_64 + spend, BigInt(digest) & DIGEST_MASK]);
  return wordOf(current);
}
