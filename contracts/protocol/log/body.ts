import { decode, encode, code as dagCborCode } from "@ipld/dag-cbor";
import { sha256 } from "@noble/hashes/sha2.js";
import { CID } from "multiformats/cid";
import { create as createDigest } from "multiformats/hashes/digest";
import { bytesToHex, hexToBytes, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";
import type { LogHeader } from "../generated/structs.ts";
import { mechanismDocumentCodec } from "../mechanism/document/schema.ts";
import { kindNameOf, kinds, MAX_BODY_BYTES, MAX_SEQ, type KindName } from "./header.ts";
import {
  address,
  hash,
  integer,
  list,
  oneOf,
  record,
  SchemaFault,
  text,
  uint,
  variableBytes,
  type Codec,
  type ValueOf,
} from "./schema.ts";

const topic = text(64);
const skills = list(text(64), 4);
/** Where the author's node is dialled: its libp2p peer id and multiaddrs. */
const reach = { peerId: text(64), addresses: list(text(256), 8) };
const capability = {
  agentId: uint,
  name: text(128),
  description: text(8192),
  topics: list(topic, 16),
  skills,
  /** What the agent asks for, in the token's smallest unit. */
  priceWei: uint,
  token: address,
  ...reach,
};

/** What each kind of entry says. One schema a kind; dag-cbor maps with exactly these fields. */
const schemas = {
  /** A capability on offer. Its digest is the id to which updates and withdrawals point. */
  declare: record(capability),
  /** The whole new content of an earlier declaration of the same log. */
  update: record({ target: hash, ...capability }),
  /** Ends an own declaration or intent. */
  withdraw: record({ target: hash, outcome: oneOf("withdrawn", "complete"), reason: text(256) }),
  /** A task, or a call for proposals: `call` holds the signed call of contracts/protocol/negotiation, or nothing. */
  intent: record({
    agentId: uint,
    topic,
    description: text(8192),
    skills,
    reservePriceWei: uint,
    token: address,
    bidByMs: integer(0, 2 ** 48 - 1),
    call: variableBytes(8192),
    ...reach,
  }),
  /** Published rules, as they are: this body's hash is the mechanismHash of calls and deals. */
  mechanism: mechanismDocumentCodec,
  /** How a deal ended on chain, as one party says; the transaction proves it. */
  receipt: record({
    dealId: hash,
    role: oneOf("client", "provider"),
    outcome: oneOf("completed", "refunded", "cancelled", "resolved"),
    rating: integer(-100, 100),
    transaction: hash,
  }),
  /** Start-up of one instance: which commitment it runs under (BAID) and where it listens. */
  attest: record({ agentId: uint, commitment: hash, codeCommitment: variableBytes(128), configDigest: hash, ...reach }),
  /** Key rotation: the last entry of one log, and the first of the next, each naming the other. */
  rotate: record({ role: oneOf("ends", "starts"), log: address, head: hash }),
  /**
   * Merkle root over the digests of the 64 entries before it (binding/checkpoint.ts), and the block after which every later
   * entry was made. The signature over LogAnchor lets anybody anchor the root on chain; empty = the author does so itself.
   */
  checkpoint: record({
    agentId: uint,
    fromSeq: integer(0, MAX_SEQ),
    toSeq: integer(0, MAX_SEQ),
    root: hash,
    stateHead: hash,
    anchorSignature: variableBytes(65),
    blockNumber: uint,
    blockHash: hash,
  }),
} as const satisfies Record<KindName, Codec<unknown>>;

export type Bodies = { [K in KindName]: ValueOf<(typeof schemas)[K]> };
export type Declare = Bodies["declare"];
export type Update = Bodies["update"];
export type Withdraw = Bodies["withdraw"];
export type Intent = Bodies["intent"];
export type Receipt = Bodies["receipt"];
export type Attest = Bodies["attest"];
/** A body with the kind that says how to read it. */
export type Body = { [K in KindName]: { readonly kind: K; readonly body: Bodies[K] } }[KindName];

/** @throws SuretyError BODY_INVALID if others would refuse it */
export function encodeBody<K extends KindName>(kind: K, body: Bodies[K]): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = encode((schemas[kind] as Codec<Bodies[K]>).write(body));
  } catch (cause) {
    throw invalidBody(kind, "it does not encode", cause);
  }
  const verdict = decodeBody(kinds[kind], bytes);
  if (verdict.kind !== "accept") throw invalidBody(kind, verdict.detail);
  return bytes;
}

/**
 * Strict: at most 64 KB, canonical dag-cbor (what does not re-encode to the same bytes is rejected), and the schema of
 * its kind. Rejects BODY_TOO_LARGE, BODY_ENCODING, BODY_NOT_CANONICAL, BODY_KIND, BODY_SCHEMA.
 */
export function decodeBody(kind: number, bytes: Uint8Array): Verdict<Body> {
  const name = kindNameOf(kind);
  if (name === undefined) return reject("BODY_KIND", `kind ${kind} names nothing`);
  const stored = decodeCanonical(bytes);
  if (stored.kind !== "accept") return stored;
  try {
    return accept({ kind: name, body: schemas[name].read(stored.value, name) } as Body);
  } catch (cause) {
    if (cause instanceof SchemaFault) return reject("BODY_SCHEMA", cause.message);
    throw cause;
  }
}

/** dag-cbor in its one canonical form. Every wire message of ours that is not fixed binary goes through here. */
export function decodeCanonical(bytes: Uint8Array, maxBytes = MAX_BODY_BYTES): Verdict<unknown> {
  if (bytes.length > maxBytes) return reject("BODY_TOO_LARGE", `${bytes.length} bytes of ${maxBytes}`);
  let stored: unknown;
  let again: Uint8Array;
  try {
    stored = decode(bytes);
    again = encode(stored);
  } catch (cause) {
    return reject("BODY_ENCODING", cause instanceof Error ? cause.message.slice(0, 120) : "not dag-cbor");
  }
  const isSame = again.length === bytes.length && again.every((byte, i) => byte === bytes[i]);
  return isSame ? accept(stored) : reject("BODY_NOT_CANONICAL", "it re-encodes to other bytes");
}

/** sha2-256, the header's bodyHash. */
export const bodyHashOf = (bytes: Uint8Array): Hex => bytesToHex(sha256(bytes));

/** Whether these are the very bytes that the header names. Rejects BODY_LENGTH, BODY_HASH. */
export function matchBody(header: LogHeader, bytes: Uint8Array): Verdict<Uint8Array> {
  if (bytes.length !== header.bodyLength) {
    return reject("BODY_LENGTH", `${bytes.length} bytes, the header says ${header.bodyLength}`);
  }
  const found = bodyHashOf(bytes);
  return found === header.bodyHash
    ? accept(bytes)
    : reject("BODY_HASH", `${found}, the header says ${header.bodyHash}`);
}

/** CIDv1 (dag-cbor, sha2-256) of a body, under which any IPFS client can find it. */
export function cidOf(bodyHash: Hex): string {
  return CID.createV1(dagCborCode, createDigest(0x12, hexToBytes(bodyHash))).toString();
}

function invalidBody(kind: KindName, detail: string, cause?: unknown): SuretyError {
  return new SuretyError("BODY_INVALID", `This ${kind} body would be refused by every peer: ${detail}.`, {
    values: { kind, detail },
    next: "Correct the body before appending it.",
    cause,
  });
}

/** The words of a body by which it is found: what the sketch and the full-text index are made of. */
export function textOf<K extends KindName>({ kind, body }: { readonly kind: K; readonly body: Bodies[K] }): string {
  const entry = { kind, body } as Body;
  switch (entry.kind) {
    case "declare":
    case "update":
      return [entry.body.name, entry.body.description, ...entry.body.topics, ...entry.body.skills].join("\n");
    case "intent":
      return [entry.body.topic, entry.body.description, ...entry.body.skills].join("\n");
    case "mechanism":
      return [entry.body.name, entry.body.purpose, ...entry.body.admission.topics].join("\n");
    default:
      return "";
  }
}
