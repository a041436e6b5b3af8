import { bytesToHex, hexToBytes, isHex, size, type Address, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";
import type { BatchHeader } from "../generated/structs.ts";
import { compactSignature, recoverSigner, type Signer } from "../keys.ts";
import { typedDataDigest, type DomainContracts } from "../typed-data.ts";
import { MAX_VALIDATORS, quorumOf } from "./draw.ts";
import { MAX_BATCH_ENTRIES } from "./order.ts";

/** topic 8, window 6, previous 32, root 32, count 4. */
export const BATCH_HEADER_BYTES = 82;
const SIGNATURE_BYTES = 64;
const MAX_WINDOW = 2 ** 48 - 1;

/** A batch header with one validator's signature: 64 bytes of EIP-2098. */
export interface SignedBatch {
  readonly header: BatchHeader;
  readonly signature: Hex;
}

/** A batch header with the signatures of its epoch's validators, by seat; undefined = none. */
export interface SealedBatch {
  readonly header: BatchHeader;
  readonly signatures: readonly (Hex | undefined)[];
}

/** EIP-712 digest of a batch header: what validators sign, what the next one names, what is anchored. */
export const batchDigestOf = (header: BatchHeader, contracts: DomainContracts): Hex =>
  typedDataDigest("BatchHeader", header, contracts);

/** @throws SuretyError BATCH_INVALID */
export function signBatch(header: BatchHeader, signer: Signer, contracts: DomainContracts): SignedBatch {
  const fault = faultOf(header);
  if (fault !== undefined) throw invalid(fault);
  return { header, signature: bytesToHex(compactSignature(signer.sign(batchDigestOf(header, contracts)))) };
}

/** The canonical bytes: integers big-endian. @throws SuretyError BATCH_INVALID */
export function encodeBatchHeader(header: BatchHeader): Uint8Array {
  const fault = faultOf(header);
  if (fault !== undefined) throw invalid(fault);
  const hex = (value: bigint | number, bytes: number) => value.toString(16).padStart(2 * bytes, "0");
  const { topic, window, previous, root, count } = header;
  return hexToBytes(`0x${hex(topic, 8)}${hex(window, 6)}${previous.slice(2)}${root.slice(2)}${hex(count, 4)}`);
}

/** Exact inverse of `encodeBatchHeader`. Rejects BATCH_LENGTH, BATCH_FIELD. */
export function decodeBatchHeader(bytes: Uint8Array): Verdict<BatchHeader> {
  if (bytes.length !== BATCH_HEADER_BYTES)
    return reject("BATCH_LENGTH", `${bytes.length} bytes of ${BATCH_HEADER_BYTES}`);
  const hex = (from: number, to: number) => bytesToHex(bytes.subarray(from, to));
  const header = {
    ...{ topic: BigInt(hex(0, 8)), window: Number(hex(8, 14)), previous: hex(14, 46), root: hex(46, 78) },
    count: Number(hex(78, 82)),
  };
  const fault = faultOf(header);
  return fault === undefined ? accept(header) : reject("BATCH_FIELD", fault);
}

/** Header, number of seats, a byte whose bit k says that seat k signed, then their signatures: at most 532 bytes. @throws SuretyError BATCH_INVALID */
export function encodeSealedBatch({ header, signatures }: SealedBatch): Uint8Array {
  const given = signatures.filter((signature) => signature !== undefined);
  const isWhole = given.every((signature) => isHex(signature) && size(signature) === SIGNATURE_BYTES);
  if (signatures.length < 1 || signatures.length > MAX_VALIDATORS || !isWhole)
    throw invalid("its seats are not as drawn");
  const mask = signatures.reduce<number>((bits, signature, k) => bits | (signature === undefined ? 0 : 1 << k), 0);
  const parts = [encodeBatchHeader(header), Uint8Array.of(signatures.length, mask), ...given.map((s) => hexToBytes(s))];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Exact inverse of `encodeSealedBatch`. Rejects BATCH_LENGTH, BATCH_FIELD, BATCH_SEATS. Signatures are not checked here. */
export function decodeSealedBatch(bytes: Uint8Array): Verdict<SealedBatch> {
  const header = decodeBatchHeader(bytes.subarray(0, BATCH_HEADER_BYTES));
  if (header.kind !== "accept") return header;
  const [seats = 0, mask = 0] = bytes.subarray(BATCH_HEADER_BYTES, BATCH_HEADER_BYTES + 2);
  if (seats < 1 || seats > MAX_VALIDATORS || mask >= 1 << seats)
    return reject("BATCH_SEATS", `mask ${mask} of ${seats} seats`);
  let at = BATCH_HEADER_BYTES + 2;
  const signatures = Array.from({ length: seats }, (_, k): Hex | undefined => {
    if ((mask & (1 << k)) === 0) return undefined;
    at += SIGNATURE_BYTES;
    return bytesToHex(bytes.subarray(at - SIGNATURE_BYTES, at));
  });
  if (at !== bytes.length) return reject("BATCH_LENGTH", `${bytes.length} bytes, not ${at}`);
  return accept({ header: header.value, signatures });
}

/** Who signed a sealed batch, by seat. Rejects BATCH_QUORUM before any signature is checked, and the codes of `recoverSigner`. */
export function signersOfBatch(
  { header, signatures }: SealedBatch,
  contracts: DomainContracts,
): Verdict<(Address | undefined)[]> {
  const given = signatures.filter((signature) => signature !== undefined).length;
  const quorum = quorumOf(signatures.length);
  if (given < quorum) return reject("BATCH_QUORUM", `${given} signatures, ${quorum} needed`);
  const digest = batchDigestOf(header, contracts);
  const signers: (Address | undefined)[] = [];
  for (const signature of signatures) {
    const signer = signature === undefined ? undefined : recoverSigner(digest, signature);
    if (signer !== undefined && signer.kind !== "accept") return signer;
    signers.push(signer?.value);
  }
  return accept(signers);
}

/** First rule that the fields break, in words. */
function faultOf({ topic, window, previous, root, count }: BatchHeader): string | undefined {
  if (topic < 1n || topic >= 1n << 64n) return `topic ${topic} is no topic id`;
  if (!Number.isInteger(window) || window < 0 || window > MAX_WINDOW) return `window ${window} is no second`;
  if (![previous, root].every((word) => isHex(word) && size(word) === 32)) return "a hash has not 32 bytes";
  if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH_ENTRIES)
    return `count ${count} is not 1 to ${MAX_BATCH_ENTRIES}`;
  return undefined;
}

function invalid(fault: string): SuretyError {
  return new SuretyError("BATCH_INVALID", `This batch would be refused by every peer: ${fault}.`, {
    values: { fault },
    next: "Correct it before it is signed or sent.",
  });
}
