import { bytesToHex, hexToBytes, type Hex } from "viem";
import {
  accept,
  BATCH_HEADER_BYTES,
  decodeBatchHeader,
  decodeEntries,
  decodeSealedBatch,
  encodeBatchHeader,
  encodeEntries,
  encodeSealedBatch,
  MAX_BATCH_ENTRIES,
  reject,
  type BatchEntry,
  type SealedBatch,
  type SignedBatch,
  type Verdict,
} from "#protocol";
import { protocolId } from "../transport/port.ts";

export const protocols = {
  /** A leader's proposal; the answer is the validator's signature. */
  window: protocolId("window"),
  /** A batch with its list, by topic and digest; the zero digest asks for the newest. */
  batch: protocolId("batch"),
} as const;

const SIGNATURE_BYTES = 64;
const ENTRIES_BYTES = 57 * MAX_BATCH_ENTRIES;
const MAX_SEALED_BYTES = BATCH_HEADER_BYTES + 2 + 7 * SIGNATURE_BYTES;
/** Of a proposal: header, signature, list. */
export const MAX_PROPOSAL_BYTES = BATCH_HEADER_BYTES + SIGNATURE_BYTES + ENTRIES_BYTES;
/** Of a batch with its list. */
export const MAX_BATCH_BYTES = 2 + MAX_SEALED_BYTES + ENTRIES_BYTES;
export const QUERY_BYTES = 40;

/** Pubsub topic on which a topic's batch headers are published. */
export const batchesTopicOf = (topic: bigint): string => `/surety/batches/1/${topic.toString(16).padStart(16, "0")}`;

export interface Proposal extends SignedBatch {
  readonly entries: readonly BatchEntry[];
}

/** A sealed batch with its list. */
export interface ListedBatch extends SealedBatch {
  readonly entries: readonly BatchEntry[];
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export const encodeProposal = ({ header, signature, entries }: Proposal): Uint8Array =>
  join([encodeBatchHeader(header), hexToBytes(signature), encodeEntries(entries)]);

/** Rejects BATCH_LENGTH, BATCH_FIELD, BATCH_ENTRY, BATCH_ORDER. */
export function decodeProposal(bytes: Uint8Array): Verdict<Proposal> {
  const header = decodeBatchHeader(bytes.subarray(0, BATCH_HEADER_BYTES));
  if (header.kind !== "accept") return header;
  const signed = BATCH_HEADER_BYTES + SIGNATURE_BYTES;
  const entries = decodeEntries(bytes.subarray(signed));
  if (entries.kind !== "accept") return entries;
  const signature = bytesToHex(bytes.subarray(BATCH_HEADER_BYTES, signed));
  return accept({ header: header.value, signature, entries: entries.value });
}

export function encodeListedBatch(batch: ListedBatch): Uint8Array {
  const sealed = encodeSealedBatch(batch);
  return join([Uint8Array.of(sealed.length >> 8, sealed.length & 0xff), sealed, encodeEntries(batch.entries)]);
}

/** Rejects BATCH_LENGTH, BATCH_FIELD, BATCH_SEATS, BATCH_ENTRY, BATCH_ORDER. */
export function decodeListedBatch(bytes: Uint8Array): Verdict<ListedBatch> {
  const [high = 0, low = 0] = bytes;
  const end = 2 + high * 256 + low;
  if (bytes.length < 2 || end - 2 > MAX_SEALED_BYTES)
    return reject("BATCH_LENGTH", `${end - 2} bytes of a sealed batch`);
  const sealed = decodeSealedBatch(bytes.subarray(2, end));
  if (sealed.kind !== "accept") return sealed;
  const entries = decodeEntries(bytes.subarray(end));
  return entries.kind === "accept" ? accept({ ...sealed.value, entries: entries.value }) : entries;
}

export const encodeQuery = (topic: bigint, digest: Hex): Uint8Array =>
  hexToBytes(`0x${topic.toString(16).padStart(16, "0")}${digest.slice(2)}`);

/** Rejects BATCH_LENGTH. */
export function decodeQuery(bytes: Uint8Array): Verdict<{ readonly topic: bigint; readonly digest: Hex }> {
  if (bytes.length !== QUERY_BYTES) return reject("BATCH_LENGTH", `${bytes.length} bytes of ${QUERY_BYTES}`);
  return accept({ topic: BigInt(bytesToHex(bytes.subarray(0, 8))), digest: bytesToHex(bytes.subarray(8)) });
}
