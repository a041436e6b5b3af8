import { bytesToHex, concat, getAddress, hexToBytes, slice, zeroHash, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";
import type { LogHeader } from "../generated/structs.ts";
import { compactSignature, recoverSigner, type Signer } from "../keys.ts";
import { typedDataDigest, type DomainContracts } from "../typed-data.ts";

/** A longer frame is no header; the longest canonical one is 215 bytes. */
export const MAX_HEADER_BYTES = 256;
/** Bodies are pulled whole, so one body must fit a frame and a peer's memory budget. */
export const MAX_BODY_BYTES = 65_536;
/** seq travels as a varint of at most 5 bytes: 35 bits. */
export const MAX_SEQ = 2 ** 35 - 1;
/** ttl is a uint24: at most 194 days. */
export const MAX_TTL_SECONDS = 2 ** 24 - 1;
export const LOG_VERSION = 1;
/**
 * Set in the version byte by an author whose code or config is not the committed one, or who never committed to any: the
 * low seven bits are the version. A flag in every header, so that no entry is read without it, and under the signature.
 */
export const UNBOUND_FLAG = 0x80;
/** What an author writes into the version byte. */
export const versionByteOf = (isBound: boolean): number => (isBound ? LOG_VERSION : LOG_VERSION | UNBOUND_FLAG);
/** Whether the author claims to run what its agent committed to. Its start-up attestation says what that is. */
export const isBoundHeader = ({ version }: LogHeader): boolean => (version & UNBOUND_FLAG) === 0;

/** What an entry says; the number is the header's `kind`. */
export const kinds = {
  declare: 1,
  update: 2,
  withdraw: 3,
  intent: 4,
  mechanism: 5,
  receipt: 6,
  // 7 was a bridge's summary of reputation; see this folder's README.
  attest: 8,
  rotate: 9,
  checkpoint: 10,
} as const;
export type KindName = keyof typeof kinds;
const kindNames = new Map<number, KindName>(Object.entries(kinds).map(([name, number]) => [number, name as KindName]));

/** @returns undefined for a number that names no kind */
export const kindNameOf = (kind: number): KindName | undefined => kindNames.get(kind);

/** A header and the log's signature over its digest: 64 bytes of EIP-2098. */
export interface SignedHeader {
  readonly header: Readonly<LogHeader>;
  readonly signature: Hex;
}

/** A header whose signature was checked: the log's signer did sign this digest. */
export interface VerifiedHeader extends SignedHeader {
  readonly digest: Hex;
}

/** A signed header as `ILogEvidence` judges it: the signature's two words beside it. */
export function evidenceOf({ header, signature }: SignedHeader) {
  return { header, r: slice(signature, 0, 32), vs: slice(signature, 32, 64) };
}

/** The signature that evidence carries: 64 bytes of EIP-2098. */
export const signatureIn = ({ r, vs }: { readonly r: Hex; readonly vs: Hex }): Hex => concat([r, vs]);

/** EIP-712 digest of a header: what the log signs, what `prev` of the next entry names, what a contract can judge. */
export function headerDigest(header: LogHeader, contracts: DomainContracts): Hex {
  return typedDataDigest("LogHeader", header, contracts);
}

/** @throws SuretyError HEADER_INVALID if the header is not one that others would accept */
export function signLogHeader(header: LogHeader, signer: Signer, contracts: DomainContracts): VerifiedHeader {
  const fault = faultOf(header) ?? (getAddress(header.log) === signer.address ? undefined : "log is not the signer");
  if (fault !== undefined) throw invalidHeader(fault, header);
  const digest = headerDigest(header, contracts);
  return { header, digest, signature: bytesToHex(compactSignature(signer.sign(digest))) };
}

/**
 * The canonical bytes: version 1, kind 1, log 20, seq varint ≤ 5, prev 32, bodyHash 32, bodyLength varint ≤ 4,
 * timeMs 6, ttl 3, tags 16, sketch 32, signature 64; integers big-endian, varints LEB128 of minimal length.
 * @throws SuretyError HEADER_INVALID
 */
export function encodeLogHeader({ header, signature }: SignedHeader): Uint8Array {
  const fault = faultOf(header);
  if (fault !== undefined) throw invalidHeader(fault, header);
  const parts = [
    Uint8Array.of(header.version, header.kind),
    hexToBytes(header.log),
    varint(header.seq),
    hexToBytes(header.prev),
    hexToBytes(header.bodyHash),
    varint(header.bodyLength),
    bigEndian(BigInt(header.timeMs), 6),
    bigEndian(BigInt(header.ttl), 3),
    bigEndian(header.tags, 16),
    hexToBytes(header.sketch),
    hexToBytes(signature),
  ];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * Exact inverse of `encodeLogHeader`: any accepted bytes re-encode to themselves, so one header has one byte form and one
 * message id. Rejects HEADER_TOO_LARGE, HEADER_TRUNCATED, HEADER_TRAILING, HEADER_VARINT, HEADER_FIELD. The signature
 * is not checked here: it costs a thousand times more than the rest and is checked last (`verifyLogHeader`).
 */
export function decodeLogHeader(bytes: Uint8Array): Verdict<SignedHeader> {
  if (bytes.length > MAX_HEADER_BYTES)
    return reject("HEADER_TOO_LARGE", `${bytes.length} bytes of ${MAX_HEADER_BYTES}`);
  const cursor = { bytes, at: 0, fault: undefined as Fault | undefined };
  const header: LogHeader = {
    version: Number(readInteger(cursor, 1)),
    kind: Number(readInteger(cursor, 1)),
    log: bytesToHex(readBytes(cursor, 20)),
    seq: readVarint(cursor, 5),
    prev: bytesToHex(readBytes(cursor, 32)),
    bodyHash: bytesToHex(readBytes(cursor, 32)),
    bodyLength: readVarint(cursor, 4),
    timeMs: Number(readInteger(cursor, 6)),
    ttl: Number(readInteger(cursor, 3)),
    tags: readInteger(cursor, 16),
    sketch: bytesToHex(readBytes(cursor, 32)),
  };
  const signature = bytesToHex(readBytes(cursor, 64));
  if (cursor.fault !== undefined) return reject(cursor.fault.code, cursor.fault.detail);
  if (cursor.at !== bytes.length) return reject("HEADER_TRAILING", `${bytes.length - cursor.at} bytes after the end`);
  const fault = faultOf(header);
  if (fault !== undefined) return reject("HEADER_FIELD", fault);
  return accept({ header: { ...header, log: getAddress(header.log) }, signature });
}

/** Checks that the log's own key signed the header. Rejects HEADER_SIGNER and the codes of `recoverSigner`. */
export function verifyLogHeader(signed: SignedHeader, contracts: DomainContracts): Verdict<VerifiedHeader> {
  const digest = headerDigest(signed.header, contracts);
  const signer = recoverSigner(digest, signed.signature);
  if (signer.kind !== "accept") return signer;
  if (signer.value !== getAddress(signed.header.log)) {
    return reject("HEADER_SIGNER", `signed by ${signer.value}, not by log ${signed.header.log}`);
  }
  return accept({ ...signed, digest });
}

/** Unix milliseconds from which a declaration or intent with this header has expired. */
export const expiresAtMs = (header: LogHeader): number => header.timeMs + header.ttl * 1000;

/** First rule that the fields break, in words; undefined when every receiver would accept them. */
function faultOf(header: LogHeader): string | undefined {
  if (header.version !== LOG_VERSION && header.version !== (LOG_VERSION | UNBOUND_FLAG)) {
    return `version is ${header.version}, not ${LOG_VERSION}`;
  }
  if (!kindNames.has(header.kind)) return `kind ${header.kind} names nothing`;
  if (!isWithin(header.seq, MAX_SEQ)) return `seq ${header.seq} is not within ${MAX_SEQ}`;
  if ((header.seq === 0) !== (header.prev === zeroHash)) return "prev is zero exactly for the first entry";
  if (!isWithin(header.bodyLength, MAX_BODY_BYTES) || header.bodyLength === 0) {
    return `bodyLength ${header.bodyLength} is not in 1…${MAX_BODY_BYTES}`;
  }
  if (!isWithin(header.timeMs, 2 ** 48 - 1)) return `timeMs ${header.timeMs} is not a uint48`;
  if (!isWithin(header.ttl, MAX_TTL_SECONDS)) return `ttl ${header.ttl} is not a uint24`;
  if (header.tags < 0n || header.tags >= 1n << 128n) return "tags is not a uint128";
  return undefined;
}

const isWithin = (value: number, max: number): boolean => Number.isInteger(value) && value >= 0 && value <= max;

function invalidHeader(fault: string, header: LogHeader): SuretyError {
  return new SuretyError("HEADER_INVALID", `This log header would be refused by every peer: ${fault}.`, {
    values: { header },
    next: "Correct the field before signing.",
  });
}

interface Fault {
  readonly code: string;
  readonly detail: string;
}
/** Reading goes on after a fault with zeros, so that the decoder is straight-line code; the first fault decides. */
interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
  fault: Fault | undefined;
}

function readBytes(cursor: Cursor, length: number): Uint8Array {
  const end = cursor.at + length;
  if (end > cursor.bytes.length) {
    cursor.fault ??= { code: "HEADER_TRUNCATED", detail: `${cursor.bytes.length} bytes end before byte ${end}` };
    return new Uint8Array(length);
  }
  const read = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return read;
}

function readInteger(cursor: Cursor, length: number): bigint {
  return BigInt(bytesToHex(readBytes(cursor, length)));
}

function readVarint(cursor: Cursor, maxBytes: number): number {
  let value = 0;
  for (let i = 0; i < maxBytes; i++) {
    const byte = readBytes(cursor, 1)[0] as number;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte >= 0x80) continue;
    if (byte === 0 && i > 0) cursor.fault ??= { code: "HEADER_VARINT", detail: "a varint has a needless last byte" };
    return value;
  }
  cursor.fault ??= { code: "HEADER_VARINT", detail: `a varint is longer than ${maxBytes} bytes` };
  return 0;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Uint8Array.from([...bytes, rest]);
}

function bigEndian(value: bigint, length: number): Uint8Array {
  return hexToBytes(`0x${value.toString(16).padStart(2 * length, "0")}`);
}
