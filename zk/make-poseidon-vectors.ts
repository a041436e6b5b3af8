// Writes test/vectors/poseidon-kimchi.json: hashes and state heads as o1js computes them, for the root project's own Poseidon.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Field, Poseidon } from "o1js";
import { keccak256, numberToHex, type Hex } from "viem";
import { shadowGenesis, shadowHead, wordOf, type LogEntry } from "./log/shadow.ts";

const path = join(import.meta.dirname, "../test/vectors/poseidon-kimchi.json");
const HASHES_A_LENGTH = 6;
const LENGTHS = [1, 2, 3, 4, 5];
/** The field's largest element among them. */
const edges = [0n, 1n, Field.ORDER - 1n, 2n ** 248n - 1n, 2n ** 64n];

const elementAt = (seed: number): bigint =>
  edges[seed % 11] ?? BigInt(keccak256(numberToHex(seed, { size: 32 }))) % Field.ORDER;
const inputOf = (length: number, round: number) =>
  Array.from({ length }, (_, i) => elementAt(1_000 * length + 10 * round + i));

const name = { chainId: 31_337, registry: numberToHex(0xa1, { size: 20 }), log: numberToHex(0xb2, { size: 20 }) };
const entries: LogEntry[] = Array.from({ length: 70 }, (_, seq) => ({
  seq,
  digest: keccak256(numberToHex(seq, { size: 32 })),
  spend: seq % 9 === 0 ? 2n ** 64n - 1n - BigInt(seq) : 0n,
}));

/** What the file has to hold. */
export function renderVectors(): string {
  const hashes = LENGTHS.flatMap((length) =>
    Array.from({ length: HASHES_A_LENGTH }, (_, round) => inputOf(length, round)),
  ).map((input) => ({ input: input.map(String), hash: Poseidon.hash(input.map(Field)).toString() }));
  const genesis = shadowGenesis(name);
  const heads: Hex[] = entries.map((_, i) => wordOf(shadowHead(genesis, entries.slice(0, i + 1))));
  const shown = entries.map(({ spend, ...entry }, i) => ({ ...entry, spend: spend.toString(), head: heads[i] }));
  return `${JSON.stringify({ source: "o1js 2.15.0", hashes, log: { name, genesis: wordOf(genesis), entries: shown } }, null, 2)}\n`;
}

if (import.meta.main) {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, renderVectors());
}
