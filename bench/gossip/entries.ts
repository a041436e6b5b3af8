// What is published: headers of the real size and form, whose bodies are found under their hash.
import { bytesToHex, zeroHash, type Hex } from "viem";
import {
  createSigner,
  encodeLogHeader,
  kinds,
  signLogHeader,
  skillIdOf,
  tagsOf,
  type DomainContracts,
  type LogHeader,
  type Signer,
} from "#protocol";
import type { ShardSet } from "../../node/gossip/mesh/port.ts";
import { shardsOf } from "../../node/gossip/mesh/shards.ts";

/** The simulator's chain: nobody looks anything up on it. */
export const simulatedContracts: DomainContracts = {
  chainId: 31_337,
  identityRegistry: "0x1000000000000000000000000000000000000001",
  dealEscrow: "0x1000000000000000000000000000000000000002",
};

/** What all entries are about: everybody listens to its shard, and to no other. */
const SKILL = "simulation";
export const ENTRY_SHARDS: ShardSet = shardsOf([skillIdOf(SKILL)]);

/** An entry as it travels. */
export interface Entry {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
}

/** Keys count up from here; they are worth nothing anywhere. */
const FIRST_KEY = 0x5eed_0000;
const signers = new Map<number, Signer>();

function signerOf(author: number): Signer {
  let signer = signers.get(author);
  if (signer === undefined) {
    const key: Hex = `0x${(FIRST_KEY + author).toString(16).padStart(64, "0")}`;
    signers.set(author, (signer = createSigner(key)));
  }
  return signer;
}

/**
 * A signed declaration of `author`. All entries name one skill, and so lie in one shard.
 * @param hash of bodies, as the run's cores have it
 */
export function createEntry(
  { author, seq, bodyBytes }: { readonly author: number; readonly seq: number; readonly bodyBytes: number },
  hash: (bytes: Uint8Array) => Uint8Array,
  fields: Partial<LogHeader> = {},
): Entry {
  const signer = signerOf(author);
  const body = fillBody(author * 131 + seq, bodyBytes);
  const header: LogHeader = {
    version: 1,
    kind: kinds.declare,
    log: signer.address,
    seq,
    prev: seq === 0 ? zeroHash : bytesToHex(fillBody(seq, 32)),
    bodyHash: bytesToHex(hash(body)),
    bodyLength: bodyBytes,
    timeMs: 1_795_000_000_000,
    ttl: 3_600,
    tags: tagsOf([SKILL]),
    sketch: bytesToHex(fillBody(author, 32)),
    ...fields,
  };
  return { header: encodeLogHeader(signLogHeader(header, signer, simulatedContracts)), body };
}

function fillBody(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed + 1) | 0;
  for (let k = 0; k < length; k++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    bytes[k] = state >>> 24;
  }
  return bytes;
}

/**
 * 32 bytes that depend on all of the input, a hundred times cheaper than sha2-256: two sums of 32 bits, mixed out. Nobody forges
 * in a simulation what an attack does not plan.
 */
export function cheapHash(bytes: Uint8Array): Uint8Array {
  let [a, b] = [0x9e3779b9 ^ bytes.length, 0x85ebca6b];
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193);
    b = Math.imul((b << 5) ^ (b >>> 27) ^ byte, 0x27d4eb2f);
  }
  const hash = new Uint8Array(32);
  for (let k = 0; k < 32; k++) {
    a = Math.imul(a ^ (a >>> 15) ^ b, 0x2c1b3c6d);
    b = Math.imul(b ^ (b >>> 13) ^ a, 0x297a2d39);
    hash[k] = (a ^ b) >>> 24;
  }
  return hash;
}
