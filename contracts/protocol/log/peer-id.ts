import { base58btc } from "multiformats/bases/base58";
import { ed25519 } from "@noble/curves/ed25519.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { hexToBytes, type Address, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";
import { addressOfPublicKey } from "../keys.ts";

// libp2p specs, peer-ids: a key that serialises to at most 42 bytes is its own peer id, as an identity multihash
// (0x00, length) of the protobuf PublicKey { Type = 2 (Secp256k1), Data = 33 bytes compressed }.
const prefix = Uint8Array.of(0x00, 0x25, 0x08, 0x02, 0x12, 0x21);
const PUBLIC_KEY_BYTES = 33;
/** 39 bytes of which the first is zero are at most 53 base58 characters; longer text is not decoded at all. */
const MAX_PEER_ID_LENGTH = 53;

/**
 * The libp2p peer id of a secp256k1 key, without libp2p: the auditor can relate an address to a peer.
 * @param publicKey compressed, 33 bytes @throws SuretyError PUBLIC_KEY_INVALID
 */
export function peerIdOf(publicKey: Uint8Array): string {
  if (publicKey.length !== PUBLIC_KEY_BYTES || !isPoint(publicKey)) {
    throw new SuretyError("PUBLIC_KEY_INVALID", "A peer id needs a compressed secp256k1 key of 33 bytes.", {
      values: { length: publicKey.length },
      next: "Give `signer.publicKey`.",
    });
  }
  return base58btc.encode(Uint8Array.from([...prefix, ...publicKey])).slice(1);
}

/** The libp2p peer id of an Ed25519 key of 32 bytes (Type = 1). @throws SuretyError PUBLIC_KEY_INVALID */
export function ed25519PeerIdOf(key: Hex): string {
  const bytes = hexToBytes(key);
  if (bytes.length !== 32) {
    throw new SuretyError("PUBLIC_KEY_INVALID", "An Ed25519 key has 32 bytes.", {
      values: { length: bytes.length },
      next: "Give the key that the registry's SignerUnchecked event names.",
    });
  }
  return base58btc.encode(Uint8Array.from([0x00, 0x24, 0x08, 0x01, 0x12, 0x20, ...bytes])).slice(1);
}

/** Whether an Ed25519 key (RFC 8032, cofactorless verification) signed a digest. The chain has no precompile for it. */
export function isEd25519Signature(digest: Hex, key: Hex, signature: Hex): boolean {
  try {
    return ed25519.verify(hexToBytes(signature), hexToBytes(digest), hexToBytes(key), { zip215: false });
  } catch {
    // Not 64 bytes, or a point that is none.
    return false;
  }
}

/** The compressed key in a peer id. Rejects PEER_ID_INVALID for every text that `peerIdOf` cannot return. */
export function publicKeyOfPeerId(peerId: string): Verdict<Uint8Array> {
  if (peerId.length > MAX_PEER_ID_LENGTH) return reject("PEER_ID_INVALID", `${peerId.length} characters`);
  let bytes: Uint8Array;
  try {
    bytes = base58btc.decode(`z${peerId}`);
  } catch {
    return reject("PEER_ID_INVALID", "not base58");
  }
  if (bytes.length !== prefix.length + PUBLIC_KEY_BYTES || !prefix.every((byte, i) => bytes[i] === byte)) {
    return reject("PEER_ID_INVALID", "not the identity multihash of a secp256k1 key");
  }
  const publicKey = bytes.slice(prefix.length);
  return isPoint(publicKey) ? accept(publicKey) : reject("PEER_ID_INVALID", "its key is not on the curve");
}

/** The Ethereum address of the key in a peer id. */
export function addressOfPeerId(peerId: string): Verdict<Address> {
  const publicKey = publicKeyOfPeerId(peerId);
  return publicKey.kind === "accept" ? accept(addressOfPublicKey(publicKey.value)) : publicKey;
}

function isPoint(publicKey: Uint8Array): boolean {
  return secp256k1.utils.isValidPublicKey(publicKey, true);
}
