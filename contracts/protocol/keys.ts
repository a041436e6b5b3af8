import { secp256k1 } from "@noble/curves/secp256k1.js";
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, getAddress, hexToBytes, keccak256, type Address, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "./errors.ts";

/** One secp256k1 key: the Ethereum address and the libp2p peer id both come from it, so the address is the identity. */
export interface Signer {
  readonly address: Address;
  /** Compressed, 33 bytes. */
  readonly publicKey: Uint8Array;
  /** keccak256 of the ERC-7913 signer bytes, which for a secp256k1 key are its address. */
  readonly signerHash: Hex;
  /** Signs a 32-byte digest: 65 bytes r, s, v with low s and v in {27, 28}. */
  sign(digest: Hex): Hex;
}

/** @param privateKey 32 bytes @throws SuretyError KEY_INVALID */
export function createSigner(privateKey: Hex | Uint8Array): Signer {
  const secret = typeof privateKey === "string" ? hexToBytes(privateKey) : privateKey;
  if (!secp256k1.utils.isValidSecretKey(secret)) {
    throw new SuretyError("KEY_INVALID", "The private key is not a secp256k1 scalar of 32 bytes.", {
      next: "Give a key of 32 bytes between 1 and the group order minus 1.",
    });
  }
  const publicKey = secp256k1.getPublicKey(secret, true);
  const address = addressOfPublicKey(publicKey);
  return {
    address,
    publicKey,
    signerHash: signerHashOf(address),
    sign(digest) {
      const [recovery, ...rs] = secp256k1.sign(hexToBytes(digest), secret, { prehash: false, format: "recovered" });
      return bytesToHex(Uint8Array.from([...rs, 27 + (recovery as number)]));
    },
  };
}

/** @param publicKey compressed (33) or uncompressed (65) */
export function addressOfPublicKey(publicKey: Uint8Array): Address {
  return addressOfPoint(secp256k1.Point.fromBytes(publicKey));
}

type Point = InstanceType<typeof secp256k1.Point>;

const addressOfPoint = (point: Point): Address =>
  getAddress(bytesToHex(keccak_256(point.toBytes(false).subarray(1)).subarray(12)));

/** Hash under which the identity registry knows an account's key: keccak256 of the 20 address bytes (ERC-7913). */
export function signerHashOf(signer: Hex): Hex {
  return keccak256(signer);
}

/**
 * Recovers the address that signed a digest. One signature has one byte form: 65 bytes r, s, v with low s and
 * v in {27, 28}, or the 64 bytes of EIP-2098. A malleated copy is rejected, never a second signature.
 */
export function recoverSigner(digest: Hex, signature: Hex | Uint8Array): Verdict<Address> {
  const point = recoverPoint(digest, signature);
  return point.kind === "accept" ? accept(addressOfPoint(point.value)) : point;
}

/** The compressed key that signed a digest, under the same rules: it names the signer's peer id. */
export function recoverPublicKey(digest: Hex, signature: Hex | Uint8Array): Verdict<Uint8Array> {
  const point = recoverPoint(digest, signature);
  return point.kind === "accept" ? accept(point.value.toBytes(true)) : point;
}

function recoverPoint(digest: Hex, signature: Hex | Uint8Array): Verdict<Point> {
  const bytes = typeof signature === "string" ? hexToBytes(signature) : signature;
  const full = bytes.length === 64 ? expandCompactSignature(bytes) : bytes;
  if (full.length !== 65) return reject("SIGNATURE_LENGTH", `${bytes.length} bytes, not 64 or 65`);
  const v = full[64] as number;
  if (v !== 27 && v !== 28) return reject("SIGNATURE_V", `v is ${v}, not 27 or 28`);
  try {
    const parsed = secp256k1.Signature.fromBytes(full.subarray(0, 64), "compact");
    if (parsed.hasHighS()) return reject("SIGNATURE_HIGH_S", "s is above half the group order");
    return accept(parsed.addRecoveryBit(v - 27).recoverPublicKey(hexToBytes(digest)));
  } catch {
    return reject("SIGNATURE_INVALID", "no point recovers from it");
  }
}

/** 65 bytes to the 64 of EIP-2098. */
export function compactSignature(signature: Hex): Uint8Array {
  const bytes = hexToBytes(signature);
  const compact = bytes.slice(0, 64);
  if (bytes[64] === 28) compact[32] = (compact[32] as number) | 0x80;
  return compact;
}

/** 64 bytes of EIP-2098 to 65. */
export function expandCompactSignature(compact: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(65);
  bytes.set(compact);
  bytes[64] = 27 + ((compact[32] as number) >> 7);
  bytes[32] = (compact[32] as number) & 0x7f;
  return bytes;
}
