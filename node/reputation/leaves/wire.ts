import { bytesToHex, hexToBytes } from "viem";
import {
  accept,
  fileLayoutOf,
  ignore,
  MAX_FILE_LEAVES,
  MAX_OUTLINE_BYTES,
  MAX_PIECE_BYTES,
  reject,
  type LeavesId,
  type Verdict,
} from "#protocol";
import { protocolId, type Transport } from "../../transport/port.ts";
import { limitRate, type RateLimits } from "../../transport/rate.ts";
import type { LeafShelf } from "./shelf.ts";

/** Parts of a file of leaves: root, number of leaves and part there; the outline or a piece back, without an envelope. */
export const LEAVES_PROTOCOL = protocolId("leaves");
const REQUEST_BYTES = 40;
export const MAX_PART_BYTES = Math.max(MAX_OUTLINE_BYTES, MAX_PIECE_BYTES);
/** A topic of a million agents is 124 parts: one burst. Beyond, a peer costs us 8 MiB a second, all of them together 16. */
const RATE: RateLimits = { perPeer: { perSecond: 32, burst: 256 }, total: { perSecond: 64, burst: 512 } };
/** Each holds a part in memory while its asker reads it. */
const MAX_CONCURRENT = 4;

/** What is asked for: the roots of all chunks, or a piece of the leaves. */
export type LeavesPart = "outline" | number;

export interface PartRequest {
  readonly id: LeavesId;
  readonly part: LeavesPart;
}

export function encodePartRequest({ id, part }: PartRequest): Uint8Array {
  const bytes = new Uint8Array(REQUEST_BYTES);
  bytes.set(hexToBytes(id.root));
  const view = new DataView(bytes.buffer);
  view.setUint32(32, id.leafCount);
  view.setUint32(36, part === "outline" ? 0 : part + 1);
  return bytes;
}

/** Rejects LEAVES_REQUEST. */
export function decodePartRequest(bytes: Uint8Array): Verdict<PartRequest> {
  if (bytes.length !== REQUEST_BYTES) return reject("LEAVES_REQUEST", `${bytes.length} bytes, not ${REQUEST_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const [leafCount, part] = [view.getUint32(32), view.getUint32(36)];
  if (leafCount === 0 || leafCount > MAX_FILE_LEAVES) return reject("LEAVES_REQUEST", `a file of ${leafCount} leaves`);
  if (part > fileLayoutOf(leafCount).pieceCount) return reject("LEAVES_REQUEST", `part ${part} of ${leafCount} leaves`);
  const id = { root: bytesToHex(bytes.subarray(0, 32)), leafCount };
  return accept({ id, part: part === 0 ? "outline" : part - 1 });
}

/** Gives whoever asks what is on the shelf: scores are for everybody. */
export async function serveLeaves(
  transport: Pick<Transport, "serve">,
  shelf: LeafShelf,
  nowMs: () => number,
): Promise<void> {
  const respond = (request: Uint8Array): Promise<Verdict<Uint8Array>> => {
    const asked = decodePartRequest(request);
    if (asked.kind !== "accept") return Promise.resolve(asked);
    const { id, part } = asked.value;
    const bytes = part === "outline" ? shelf.outlineOf(id) : shelf.pieceOf(id, part);
    return Promise.resolve(bytes === undefined ? ignore("LEAVES_UNKNOWN", `no ${part} of ${id.root}`) : accept(bytes));
  };
  await transport.serve(LEAVES_PROTOCOL, limitRate(respond, RATE, nowMs), {
    ...{ maxRequestBytes: REQUEST_BYTES, maxConcurrentPerPeer: MAX_CONCURRENT },
  });
}
