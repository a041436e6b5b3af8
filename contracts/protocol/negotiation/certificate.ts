import { bytesToHex, hexToBytes, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { Bid } from "../generated/structs.ts";
import { structHash } from "../typed-data.ts";
import { MAX_BIDS, MAX_CERTIFICATE_BYTES } from "./limits.ts";
import { checkKeys, decodeStrictCborMap, encodeStrictCbor } from "./strict-cbor.ts";
import { decodeStruct, encodeStruct } from "./struct-codec.ts";

/** A bid with its id (EIP-712 struct hash) and the 65-byte signature of a LOG signer of the provider. */
export interface SignedBid {
  readonly bid: Bid;
  readonly bidId: Hex;
  readonly signature: Hex;
}

/** Why an award is the award: every bid that counted, and which winners before this one were passed over. */
export interface Certificate {
  /** In ascending order of bidId, one an agent. */
  readonly bids: readonly SignedBid[];
  /** Bids that won before and whose bidder declined or fell silent, ascending. */
  readonly passed: readonly Hex[];
}

export function signedBidOf(bid: Bid, signature: Hex): SignedBid {
  return { bid, bidId: structHash("Bid", bid), signature };
}

/** Canonical bytes, whatever order the bids came in; their sha2-256 is the deal's certificateHash. */
export function encodeCertificate({ bids, passed }: Certificate): Uint8Array {
  const entries = [...bids].sort(byBidId).map(({ bid, signature }) => ({
    bid: encodeStruct("Bid", bid),
    signature: hexToBytes(signature),
  }));
  return encodeStrictCbor({ version: 1, bids: entries, passed: [...passed].sort().map((id) => hexToBytes(id)) });
}

/** Judges the form: canonical order, no bid and no bidder twice, every passed bid among the bids. Not the signatures. */
export function decodeCertificate(bytes: Uint8Array): Verdict<Certificate> {
  const map = decodeStrictCborMap(bytes, MAX_CERTIFICATE_BYTES);
  if (map.kind !== "accept") return map;
  const keyFault = checkKeys(map.value, ["version", "bids", "passed"]);
  if (keyFault !== undefined) return keyFault;
  const { version, bids, passed } = map.value;
  if (version !== 1) return reject("CERTIFICATE_VERSION", "version is not 1");
  if (!Array.isArray(bids) || bids.length > MAX_BIDS)
    return reject("CERTIFICATE_BIDS", `bids is not a list of at most ${MAX_BIDS}`);
  const signed: SignedBid[] = [];
  for (const entry of bids) {
    const decoded = decodeEntry(entry);
    if (decoded.kind !== "accept") return decoded;
    signed.push(decoded.value);
  }
  if (!isAscending(signed.map(({ bidId }) => bidId)))
    return reject("CERTIFICATE_ORDER", "bids are not in ascending order");
  if (new Set(signed.map(({ bid }) => bid.providerAgentId)).size !== signed.length) {
    return reject("CERTIFICATE_BIDDER_TWICE", "one agent has two bids");
  }
  const ids = decodePassed(passed, signed);
  return ids.kind === "accept" ? accept({ bids: signed, passed: ids.value }) : ids;
}

function decodeEntry(entry: unknown): Verdict<SignedBid> {
  if (entry === null || typeof entry !== "object") return reject("CERTIFICATE_BID", "a bid is not a map");
  const map = entry as Record<string, unknown>;
  const keyFault = checkKeys(map, ["bid", "signature"]);
  if (keyFault !== undefined) return keyFault;
  const { bid, signature } = map;
  if (!(bid instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== 65) {
    return reject("CERTIFICATE_BID", "a bid or its signature is not bytes of the right length");
  }
  const decoded = decodeStruct("Bid", bid);
  return decoded.kind === "accept" ? accept(signedBidOf(decoded.value, bytesToHex(signature))) : decoded;
}

function decodePassed(passed: unknown, bids: readonly SignedBid[]): Verdict<readonly Hex[]> {
  if (!Array.isArray(passed) || passed.length > bids.length)
    return reject("CERTIFICATE_PASSED", "passed is not a list of bids");
  const known = new Set(bids.map(({ bidId }) => bidId));
  const ids = passed.map((id) => (id instanceof Uint8Array ? bytesToHex(id) : "0x"));
  if (!ids.every((id) => known.has(id))) return reject("CERTIFICATE_PASSED", "a passed bid is not among the bids");
  return isAscending(ids) ? accept(ids) : reject("CERTIFICATE_ORDER", "passed bids are not in ascending order");
}

const isAscending = (ids: readonly Hex[]) => ids.every((id, i) => i === 0 || (ids[i - 1] as Hex) < id);

function byBidId(a: SignedBid, b: SignedBid): number {
  return a.bidId < b.bidId ? -1 : a.bidId > b.bidId ? 1 : 0;
}
