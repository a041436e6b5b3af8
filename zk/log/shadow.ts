import { Field, Poseidon } from "o1js";
import type { Hex } from "viem";
import { commit, nextShadowHead } from "./program.ts";

/** One entry of a log, as the proof sees it. */
export interface LogEntry {
  readonly seq: number;
  /** Digest of the entry's header. */
  readonly digest: Hex;
  /** What the agent paid by this entry, in the token's smallest unit; below 2^64. */
  readonly spend: bigint;
}

/** Of which log a shadow head is. */
export interface LogName {
  readonly chainId: number;
  readonly registry: Hex;
  readonly log: Hex;
}

/** 248 bits of a digest: the field has 254, and what is dropped is a byte of a hash. */
const fieldOf = (digest: Hex): Field => Field(BigInt(digest) & (2n ** 248n - 1n));

/** Head before the first entry: a head of one log is one of no other. */
export const shadowGenesis = ({ chainId, registry, log }: LogName): Field =>
  Poseidon.hash([Field(chainId), Field(BigInt(registry)), Field(BigInt(log))]);

/** Head after these entries. */
export const shadowHead = (head: Field, entries: readonly LogEntry[]): Field =>
  entries.reduce((h, { seq, spend, digest }) => nextShadowHead(h, Field(seq), Field(spend), fieldOf(digest)), head);

export const budgetCommitmentOf = (budget: bigint, salt: bigint): Field => commit(Field(budget), Field(salt));

/** A field element as the word that `anchorLog` takes. */
export const wordOf = (field: Field): Hex => `0x${field.toBigInt().toString(16).padStart(64, "0")}`;

export const digestField = fieldOf;
