import { bytesToBigInt, bytesToHex, concat, hexToBytes, numberToBytes, type Hex } from "viem";
import { accept, ignore, reject, type Verdict } from "../errors.ts";
import type { Bid, Call, CallCancel, Deal, Decline, Structs } from "../generated/structs.ts";
import {
  MAX_BIDS,
  MAX_CERTIFICATE_BYTES,
  MAX_MECHANISM_BYTES,
  MAX_NEGOTIATION_FRAME_BYTES,
  MAX_SPEC_BYTES,
} from "./limits.ts";
import { checkKeys, decodeStrictCborMap, encodeStrictCbor } from "./strict-cbor.ts";
import { decodeStruct, encodeStruct } from "./struct-codec.ts";

/** libp2p protocol of these messages. */
export const NEGOTIATION_PROTOCOL = "/surety/negotiate/1";

/** Client to provider: what is wanted, and under which rules. Hashes of `mechanism` and `spec` are in the call. */
export interface CallMessage {
  readonly type: "call";
  readonly call: Call;
  readonly mechanism: Uint8Array;
  readonly spec: Uint8Array;
  readonly signature: Hex;
}
/**
 * Provider to client, under rules that seal bids: its signature over a bid that it opens later. The bid's salt of 256 bits
 * hides it, its id binds it.
 */
export interface SealMessage {
  readonly type: "seal";
  readonly callId: Hex;
  readonly bidId: Hex;
  readonly providerAgentId: bigint;
  readonly signature: Hex;
}
/** Client to every sealer: these bids are sealed and no other will count; open yours. Ids ascending, 32 bytes each. */
export interface OpenMessage {
  readonly type: "open";
  readonly callId: Hex;
  readonly seals: readonly Hex[];
}
/** Provider to client. */
export interface BidMessage {
  readonly type: "bid";
  readonly bid: Bid;
  readonly signature: Hex;
}
/** Provider to client: no bid, or no deal. */
export interface DeclineMessage {
  readonly type: "decline";
  readonly decline: Decline;
  readonly signature: Hex;
}
/** Client to the winner: its signature over the Deal, and why this is the award. The deal's salt is the callId. */
export interface OfferMessage {
  readonly type: "offer";
  readonly deal: Deal;
  readonly certificate: Uint8Array;
  readonly signature: Hex;
}
/** Winner to client: its signature over the same Deal. */
export interface AcceptanceMessage {
  readonly type: "acceptance";
  readonly callId: Hex;
  readonly dealId: Hex;
  readonly signature: Hex;
}
/** Client to provider: this call ends without a deal for you. */
export interface CancelMessage {
  readonly type: "cancel";
  readonly cancel: CallCancel;
  readonly signature: Hex;
}

export type NegotiationMessage =
  | CallMessage
  | SealMessage
  | OpenMessage
  | BidMessage
  | DeclineMessage
  | OfferMessage
  | AcceptanceMessage
  | CancelMessage;

/** What each field of a message is on the wire: a struct's words, bytes of bounded length, or exactly so many bytes. */
type FieldForm =
  { struct: keyof Structs } | { maxBytes: number } | { exactBytes: number } | { maxIds: number } | { uint: 256 };

const signature = { exactBytes: 65 };
const FORMS: Record<NegotiationMessage["type"], Record<string, FieldForm>> = {
  call: {
    call: { struct: "Call" },
    mechanism: { maxBytes: MAX_MECHANISM_BYTES },
    spec: { maxBytes: MAX_SPEC_BYTES },
    signature,
  },
  seal: { callId: { exactBytes: 32 }, bidId: { exactBytes: 32 }, providerAgentId: { uint: 256 }, signature },
  open: { callId: { exactBytes: 32 }, seals: { maxIds: MAX_BIDS } },
  bid: { bid: { struct: "Bid" }, signature },
  decline: { decline: { struct: "Decline" }, signature },
  offer: { deal: { struct: "Deal" }, certificate: { maxBytes: MAX_CERTIFICATE_BYTES }, signature },
  acceptance: { callId: { exactBytes: 32 }, dealId: { exactBytes: 32 }, signature },
  cancel: { cancel: { struct: "CallCancel" }, signature },
};

/** @throws when a value exceeds its type or bound: our own fault, never a stranger's */
export function encodeMessage(message: NegotiationMessage): Uint8Array {
  const fields = message as unknown as Record<string, unknown>;
  const wire = Object.entries(FORMS[message.type]).map(([name, form]) => [name, encodeField(form, fields[name])]);
  const frame = encodeStrictCbor({ type: message.type, ...(Object.fromEntries(wire) as object) });
  if (frame.length > MAX_NEGOTIATION_FRAME_BYTES) throw new RangeError(`A frame of ${frame.length} bytes is too long.`);
  return frame;
}

/** Judges one frame by its form alone; signatures and sense come later. A type of a later version is ignored. */
export function decodeMessage(frame: Uint8Array): Verdict<NegotiationMessage> {
  const map = decodeStrictCborMap(frame, MAX_NEGOTIATION_FRAME_BYTES);
  if (map.kind !== "accept") return map;
  const type = map.value["type"];
  if (typeof type !== "string") return reject("MESSAGE_TYPE", "type is not a string");
  if (!Object.hasOwn(FORMS, type)) return ignore("MESSAGE_TYPE_UNKNOWN", type.slice(0, 32));
  const forms = FORMS[type as NegotiationMessage["type"]];
  const keyFault = checkKeys(map.value, ["type", ...Object.keys(forms)]);
  if (keyFault !== undefined) return keyFault;
  const message: Record<string, unknown> = { type };
  for (const [name, form] of Object.entries(forms)) {
    const field = decodeField(name, form, map.value[name]);
    if (field.kind !== "accept") return field;
    message[name] = field.value;
  }
  return accept(message as unknown as NegotiationMessage);
}

function encodeField(form: FieldForm, value: unknown): Uint8Array {
  if ("struct" in form) return encodeStruct(form.struct, value as never);
  if ("uint" in form) return numberToBytes(value as bigint, { size: 32 });
  if ("maxIds" in form) return encodeIds(form.maxIds, value as readonly Hex[]);
  const bytes = "exactBytes" in form ? hexToBytes(value as Hex) : (value as Uint8Array);
  const isWithin = "exactBytes" in form ? bytes.length === form.exactBytes : bytes.length <= form.maxBytes;
  if (!isWithin) throw new RangeError(`A field of ${bytes.length} bytes does not fit its form.`);
  return bytes;
}

/** Ids one after the other, ascending: one list has one byte form. */
function encodeIds(maxIds: number, ids: readonly Hex[]): Uint8Array {
  if (ids.length > maxIds) throw new RangeError(`${ids.length} ids, at most ${maxIds}`);
  return hexToBytes(concat([...ids].sort()));
}

function decodeIds(name: string, maxIds: number, bytes: Uint8Array): Verdict<readonly Hex[]> {
  if (bytes.length % 32 !== 0 || bytes.length > 32 * maxIds)
    return reject("FIELD_LENGTH", `${name} has ${bytes.length} bytes, not 32 for each of at most ${maxIds}`);
  const ids = Array.from({ length: bytes.length / 32 }, (_, i) => bytesToHex(bytes.subarray(32 * i, 32 * i + 32)));
  const isAscending = ids.every((id, i) => i === 0 || (ids[i - 1] as Hex) < id);
  return isAscending ? accept(ids) : reject("FIELD_ORDER", `${name} is not in ascending order`);
}

function decodeField(name: string, form: FieldForm, value: unknown): Verdict<unknown> {
  if (!(value instanceof Uint8Array)) return reject("FIELD_TYPE", `${name} is not bytes`);
  if ("struct" in form) return decodeStruct(form.struct, value);
  if ("maxIds" in form) return decodeIds(name, form.maxIds, value);
  if ("uint" in form)
    return value.length === 32 ? accept(bytesToBigInt(value)) : reject("FIELD_LENGTH", `${name} is not 32 bytes`);
  if ("exactBytes" in form) {
    return value.length === form.exactBytes
      ? accept(bytesToHex(value))
      : reject("FIELD_LENGTH", `${name} has ${value.length} bytes, not ${form.exactBytes}`);
  }
  return value.length <= form.maxBytes
    ? accept(value)
    : reject("FIELD_LENGTH", `${name} has ${value.length} bytes, at most ${form.maxBytes}`);
}
