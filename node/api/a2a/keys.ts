import { hkdfSync } from "node:crypto";
import { p256 } from "@noble/curves/nist.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { secp256k1 } from "@noble/curves/secp256k1.js";
import { bytesToHex, hexToBytes, isAddress, type Address, type Hex } from "viem";
import { accept, recoverSigner, reject, type Signer, type Verdict } from "#protocol";

// Two JWS stand on a card (A2A §8.4). The one by the LOG key (ES256K) relates the card to the chain; few HTTP libraries know
// that curve. The other one (ES256) is what a stock client checks; its key is derived from the agent's, and the card that
// the LOG key signs names its thumbprint, so that who trusts the chain trusts both.

/** A JSON Web Key of a public key. */
export interface PublicJwk {
  readonly kty: "EC";
  readonly crv: "P-256" | "secp256k1";
  readonly x: string;
  readonly y: string;
  readonly kid: string;
  readonly alg: "ES256" | "ES256K";
  readonly use: "sig";
}

/** One signature of a flattened JWS with a detached payload. */
export interface Jws {
  readonly protected: string;
  readonly signature: string;
}

export interface CardKeys {
  readonly es256: PublicJwk;
  readonly es256k: PublicJwk;
  /** RFC 7638, of the ES256 key. */
  readonly thumbprint: string;
  /** @param jku where the keys are published */
  sign(payload: string, jku: string): [Jws, Jws];
}

const base64url = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString("base64url");

/** CAIP-10 account of the LOG key as a DID. */
export const didPkhOf = (chainId: number, address: Address): string => `did:pkh:eip155:${chainId}:${address}`;

export function createCardKeys(privateKey: Hex, signer: Signer, chainId: number): CardKeys {
  // 48 bytes: the bias of the remainder is below 2^-128 (FIPS 186-5, A.2.1). The label keeps it apart from any other use.
  const seed = hkdfSync("sha256", hexToBytes(privateKey), new Uint8Array(), "surety a2a card ES256 v1", 48);
  const order = p256.Point.Fn.ORDER;
  const scalar = (BigInt(bytesToHex(new Uint8Array(seed))) % (order - 1n)) + 1n;
  const secret = p256.Point.Fn.toBytes(scalar);
  const [x, y] = coordinatesOf(p256.getPublicKey(secret, false));
  const thumbprint = base64url(sha256(Buffer.from(JSON.stringify({ crv: "P-256", kty: "EC", x, y }))));
  const es256: PublicJwk = { kty: "EC", crv: "P-256", x, y, kid: thumbprint, alg: "ES256", use: "sig" };
  const [kx, ky] = coordinatesOf(secp256k1.Point.fromBytes(signer.publicKey).toBytes(false));
  const kid = didPkhOf(chainId, signer.address);
  const es256k: PublicJwk = { kty: "EC", crv: "secp256k1", x: kx, y: ky, kid, alg: "ES256K", use: "sig" };
  return {
    ...{ es256, es256k, thumbprint },
    sign(payload, jku) {
      const jws = (header: object, signInput: (input: Uint8Array) => Uint8Array): Jws => {
        const head = base64url(JSON.stringify(header));
        const input = Buffer.from(`${head}.${base64url(payload)}`);
        return { protected: head, signature: base64url(signInput(input)) };
      };
      return [
        jws({ alg: "ES256", kid: es256.kid, typ: "JOSE", jku }, (input) => p256.sign(input, secret)),
        jws({ alg: "ES256K", kid, typ: "JOSE", jku }, (input) =>
          hexToBytes(signer.sign(bytesToHex(sha256(input)))).subarray(0, 64),
        ),
      ];
    },
  };
}

/** The LOG key's account that signed a payload, from the signature whose header says ES256K and names it. */
export function accountOfCard(
  payload: string,
  signatures: readonly Jws[],
): Verdict<{ chainId: number; address: Address }> {
  for (const jws of signatures.slice(0, 8)) {
    const header = readHeader(jws.protected);
    const [, chainId, address] = /^did:pkh:eip155:(\d{1,15}):(0x[0-9a-fA-F]{40})$/.exec(header?.kid ?? "") ?? [];
    if (header?.alg !== "ES256K" || chainId === undefined || !isAddress(address ?? "")) continue;
    const digest = bytesToHex(sha256(Buffer.from(`${jws.protected}.${base64url(payload)}`)));
    const rs = Buffer.from(jws.signature, "base64url");
    const signers = [27, 28].map((v) => recoverSigner(digest, Uint8Array.from([...rs, v])));
    const isSigned = signers.some((signer) => signer.kind === "accept" && signer.value === address);
    if (isSigned) return accept({ chainId: Number(chainId), address: address as Address });
    return reject("CARD_SIGNATURE", `the signature of ${address} does not hold`);
  }
  return reject("CARD_UNSIGNED", "no signature names an account by did:pkh");
}

function readHeader(text: string): { alg?: string; kid?: string } | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    const { alg, kid } = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
    return typeof alg === "string" && typeof kid === "string" ? { alg, kid } : undefined;
  } catch {
    return undefined;
  }
}

function coordinatesOf(uncompressed: Uint8Array): [string, string] {
  return [base64url(uncompressed.subarray(1, 33)), base64url(uncompressed.subarray(33, 65))];
}
