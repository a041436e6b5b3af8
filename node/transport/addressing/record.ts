import { peerIdFromPublicKey } from "@libp2p/peer-id";
import { PeerRecord, RecordEnvelope } from "@libp2p/peer-record";
import type { Multiaddr } from "@multiformats/multiaddr";
import { accept, addressOfPeerId, reject, type Verdict } from "#protocol";
import type { Address } from "viem";
import type { PeerName } from "../port.ts";

/** An envelope with eight addresses takes about 600 bytes. */
export const MAX_RECORD_BYTES = 2_048;
/** Addresses of one peer that are dialled: more would have one record cost its readers more dials. */
export const MAX_ADDRESSES = 8;

/** A libp2p signed peer record (RFC 0003), whose signature was checked: where a peer says that it listens. */
export interface SignedRecord {
  readonly peer: PeerName;
  /** Of the peer's secp256k1 key; undefined for keys of other kinds. */
  readonly address: Address | undefined;
  /** Multiaddrs without the peer's id, at most eight. */
  readonly addresses: readonly string[];
  /** Grows with each record that the peer signs; an older one never replaces a newer one. */
  readonly seq: bigint;
  /** The envelope, as it may be passed on. */
  readonly bytes: Uint8Array;
}

/**
 * Opens what a stranger gave. Rejects RECORD_TOO_LARGE, RECORD_INVALID (no envelope, or a signature that does not hold),
 * RECORD_NOT_CANONICAL, RECORD_TYPE, RECORD_PEER (signed by another than the peer that it speaks of), RECORD_EMPTY.
 */
export async function openRecord(bytes: Uint8Array): Promise<Verdict<SignedRecord>> {
  if (bytes.length > MAX_RECORD_BYTES)
    return reject("RECORD_TOO_LARGE", `${bytes.length} bytes of ${MAX_RECORD_BYTES}`);
  try {
    const envelope = await RecordEnvelope.openAndCertify(bytes, PeerRecord.DOMAIN);
    if (!isSame(envelope.payloadType, PeerRecord.CODEC))
      return reject("RECORD_TYPE", "the envelope holds no peer record");
    // Decoded bytes that encode to others would have many forms of one record travel.
    if (!isSame(reencode(envelope), bytes)) return reject("RECORD_NOT_CANONICAL", "it re-encodes to other bytes");
    return readRecord(PeerRecord.createFromProtobuf(envelope.payload), envelope, bytes);
  } catch (cause) {
    return reject("RECORD_INVALID", cause instanceof Error ? cause.message.slice(0, 120) : "no envelope");
  }
}

function readRecord(record: PeerRecord, { publicKey }: RecordEnvelope, bytes: Uint8Array): Verdict<SignedRecord> {
  const peer = record.peerId.toString();
  if (peer !== peerIdFromPublicKey(publicKey).toString())
    return reject("RECORD_PEER", `signed by another than ${peer}`);
  const addresses = record.multiaddrs.filter((address) => isDialable(address, peer)).map(String);
  if (addresses.length === 0) return reject("RECORD_EMPTY", `${peer} names no address that could be dialled`);
  const address = addressOfPeerId(peer);
  return accept({
    ...{ peer, address: address.kind === "accept" ? address.value : undefined, bytes },
    ...{ addresses: addresses.slice(0, MAX_ADDRESSES), seq: record.seqNumber },
  });
}

/** TCP on a host, or through a relay; an address that ends in another peer's id would have us dial somebody else. */
function isDialable(address: Multiaddr, peer: PeerName): boolean {
  const parts = address.getComponents();
  const last = parts.findLast(({ name }) => name === "p2p");
  const isRelayed = parts.some(({ name }) => name === "p2p-circuit");
  const isHost = ["ip4", "ip6", "dns", "dns4", "dns6"].includes(parts[0]?.name ?? "");
  return isHost && parts.some(({ name }) => name === "tcp") && (isRelayed || last === undefined || last.value === peer);
}

const reencode = ({ publicKey, payloadType, payload, signature }: RecordEnvelope): Uint8Array =>
  new RecordEnvelope({ publicKey, payloadType, payload, signature }).marshal();

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);
