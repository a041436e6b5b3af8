import { bytesToBigInt, bytesToHex, hexToBytes, numberToBytes, type Hex } from "viem";
import {
  accept,
  addressOfPeerId,
  checkKeys,
  decodeStrictCborMap,
  encodeStrictCbor,
  ignore,
  reject,
  type SplitProposal,
  type Verdict,
} from "#protocol";
import type { PeerName, Transport } from "../transport/port.ts";

/** libp2p protocol: one side's signature over a split or a cancellation there, the other's back. */
export const CONSENT_PROTOCOL = "/surety/consent/1";
/** A split with its signature has 160 bytes or so. */
const MAX_REQUEST_BYTES = 512;
const SIGNATURE_BYTES = 65;

/** What one side asks the other to sign as well. */
export type ConsentRequest =
  | { readonly type: "split"; readonly proposal: SplitProposal; readonly signature: Hex }
  | { readonly type: "cancel"; readonly dealId: Hex; readonly signature: Hex };

/** Answers with our own signature; `ignore` CONSENT_PENDING leaves it to a person, `reject` CONSENT_REFUSED is final. */
export type ConsentResponder = (request: ConsentRequest, from: Hex, signal: AbortSignal) => Promise<Verdict<Hex>>;

export async function askConsent(
  transport: Transport,
  peer: PeerName,
  request: ConsentRequest,
  signal: AbortSignal,
): Promise<Verdict<Hex>> {
  const options = { signal, maxResponseBytes: SIGNATURE_BYTES };
  const answer = await transport.request(peer, CONSENT_PROTOCOL, encodeRequest(request), options);
  if (answer.kind !== "accept") return answer;
  return answer.value.length === SIGNATURE_BYTES
    ? accept(bytesToHex(answer.value))
    : reject("CONSENT_LENGTH", `${answer.value.length} bytes, not ${SIGNATURE_BYTES}`);
}

export async function serveConsents(transport: Transport, respond: ConsentResponder): Promise<void> {
  await transport.serve(
    CONSENT_PROTOCOL,
    async (bytes, from, signal) => {
      const request = decodeRequest(bytes);
      if (request.kind !== "accept") return request;
      const asker = addressOfPeerId(from);
      if (asker.kind !== "accept") return asker;
      const answer = await respond(request.value, asker.value, signal);
      return answer.kind === "accept" ? accept(hexToBytes(answer.value)) : answer;
    },
    { maxRequestBytes: MAX_REQUEST_BYTES },
  );
}

function encodeRequest(request: ConsentRequest): Uint8Array {
  const signature = hexToBytes(request.signature);
  if (request.type === "cancel")
    return encodeStrictCbor({ type: "cancel", dealId: hexToBytes(request.dealId), signature });
  const { dealId, toProvider, rating, validUntil } = request.proposal;
  const amount = numberToBytes(toProvider, { size: 32 });
  return encodeStrictCbor({
    type: "split",
    dealId: hexToBytes(dealId),
    toProvider: amount,
    rating,
    validUntil,
    signature,
  });
}

function decodeRequest(bytes: Uint8Array): Verdict<ConsentRequest> {
  const map = decodeStrictCborMap(bytes, MAX_REQUEST_BYTES);
  if (map.kind !== "accept") return map;
  const { type, dealId, signature, toProvider, rating, validUntil } = map.value;
  if (type !== "split" && type !== "cancel") return ignore("MESSAGE_TYPE_UNKNOWN", String(type).slice(0, 32));
  const split = type === "split" ? ["toProvider", "rating", "validUntil"] : [];
  const fault = checkKeys(map.value, ["type", "dealId", "signature", ...split]);
  if (fault !== undefined) return fault;
  const [id, proof] = [hexOf(dealId, 32), hexOf(signature, SIGNATURE_BYTES)];
  if (id === undefined || proof === undefined) return reject("FIELD_LENGTH", "dealId or signature");
  if (type === "cancel") return accept({ type, dealId: id, signature: proof });
  const isSplit =
    toProvider instanceof Uint8Array &&
    toProvider.length === 32 &&
    isIntegerIn(rating, -100, 100) &&
    isIntegerIn(validUntil, 0, 2 ** 48 - 1);
  if (!isSplit) return reject("FIELD_RANGE", "toProvider, rating or validUntil");
  const proposal = { dealId: id, toProvider: bytesToBigInt(toProvider), rating, validUntil };
  return accept({ type, proposal, signature: proof });
}

const isIntegerIn = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max;

function hexOf(value: unknown, length: number): Hex | undefined {
  return value instanceof Uint8Array && value.length === length ? bytesToHex(value) : undefined;
}
