import { bytesToHex, getAddress, hexToBytes, numberToBytes, type Address, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { Alive } from "../generated/structs.ts";
import { compactSignature, recoverSigner, type Signer } from "../keys.ts";
import { typedDataDigest, type DomainContracts } from "../typed-data.ts";

/** Bytes of a challenge: nonce 32, block hash 32, asked 6. Who asks is whose connection it comes over. */
export const ALIVE_CHALLENGE_BYTES = 70;
/** Bytes of an answer: the signature in the form of EIP-2098. */
export const ALIVE_SIGNATURE_BYTES = 64;

/** What an asker draws: a nonce of its own, the newest block that it knows, and its time. */
export type AliveChallenge = Pick<Alive, "nonce" | "blockHash" | "askedMs">;

/** A log's signed answer, which anybody can check: the log and the asker are in it. */
export interface AliveProof {
  readonly alive: Readonly<Alive>;
  readonly signature: Hex;
}

export function encodeAliveChallenge({ nonce, blockHash, askedMs }: AliveChallenge): Uint8Array {
  const bytes = new Uint8Array(ALIVE_CHALLENGE_BYTES);
  bytes.set(hexToBytes(nonce));
  bytes.set(hexToBytes(blockHash), 32);
  bytes.set(numberToBytes(askedMs, { size: 6 }), 64);
  return bytes;
}

/** Exact inverse of `encodeAliveChallenge`. Rejects CHALLENGE_LENGTH. */
export function decodeAliveChallenge(bytes: Uint8Array): Verdict<AliveChallenge> {
  if (bytes.length !== ALIVE_CHALLENGE_BYTES) {
    return reject("CHALLENGE_LENGTH", `${bytes.length} bytes, not ${ALIVE_CHALLENGE_BYTES}`);
  }
  const askedMs = Number(BigInt(bytesToHex(bytes.subarray(64))));
  return accept({
    nonce: bytesToHex(bytes.subarray(0, 32)),
    blockHash: bytesToHex(bytes.subarray(32, 64)),
    askedMs,
  });
}

/** Answers a challenge of `asker` as the log of this signer. */
export function signAlive(
  challenge: AliveChallenge,
  asker: Address,
  signer: Signer,
  contracts: DomainContracts,
): AliveProof {
  const alive = { log: signer.address, asker, ...challenge };
  const digest = typedDataDigest("Alive", alive, contracts);
  return { alive, signature: bytesToHex(compactSignature(signer.sign(digest))) };
}

/**
 * Whether the log's own key gave this answer; needs no network. How old it is, is for the reader to judge: `askedMs` is the
 * asker's word, while the time of block `blockHash` on chain is nobody's.
 * Rejects ALIVE_SIGNER, and as `recoverSigner` does.
 */
export function verifyAlive(proof: AliveProof, contracts: DomainContracts): Verdict<AliveProof> {
  const signer = recoverSigner(typedDataDigest("Alive", proof.alive, contracts), proof.signature);
  if (signer.kind !== "accept") return signer;
  const { log } = proof.alive;
  return signer.value === getAddress(log)
    ? accept(proof)
    : reject("ALIVE_SIGNER", `signed by ${signer.value}, not by log ${log}`);
}
