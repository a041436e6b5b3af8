import { concat, encodeAbiParameters, keccak256, numberToHex, pad, size, type Address, type Hex } from "viem";
import { typedDataDigest, type DomainContracts } from "./typed-data.ts";
import type { IssuerCredential, OperatorSignal } from "./generated/structs.ts";

const word = { type: "bytes32" } as const;

/** How IssuerCredentials names an issuer. @param issuer ERC-7913 bytes: an address, or a verifier and its key */
export const issuerIdOf = (issuer: Hex): Hex => keccak256(issuer);

/** How SemaphoreCredentials names an issuer: the account that publishes its group's roots. */
export const groupIdOf = (issuer: Address): Hex => pad(issuer.toLowerCase() as Hex, { size: 32 });

/** Where a credential counts: `Credentials.scope()`. */
export function scopeOf(chainId: number, credentials: Address, registry: Address): Hex {
  const types = [{ type: "uint256" }, { type: "address" }, { type: "address" }] as const;
  return keccak256(encodeAbiParameters(types, [BigInt(chainId), credentials, registry]));
}

/**
 * The one name of a person in one scope, as the contracts compute it. It is the `userId` of a BAID commitment (eq. 9).
 * @param verifier the contract that checks credentials of this kind
 * @param nullifier the person's pseudonym with that issuer and scope
 */
export function operatorIdOf(scope: Hex, verifier: Address, issuerId: Hex, nullifier: Hex): Hex {
  return keccak256(
    encodeAbiParameters([word, { type: "address" }, word, word], [scope, verifier, issuerId, nullifier]),
  );
}

/** What `Credentials.present` takes for an issuer's signed credential. */
export function encodeIssuerPresentation(credential: IssuerCredential, issuer: Hex, signature: Hex): Hex {
  const { nullifier, level, validUntil } = credential;
  const words = [BigInt(level), BigInt(validUntil), BigInt(size(issuer))].map((n) => numberToHex(n, { size: 32 }));
  return concat([nullifier, ...words, issuer, signature]);
}

/** A Semaphore proof of depth 16; the numbers are those of the library's JSON. */
export interface MembershipProof {
  /** Eight coordinates, as Semaphore packs them. */
  readonly points: readonly (string | bigint)[];
  readonly root: string | bigint;
  readonly nullifier: string | bigint;
}

/** What `Credentials.present` takes for a proof of membership. @param validUntil the end that its message signs */
export function encodeMembershipPresentation(proof: MembershipProof, validUntil: number): Hex {
  const numbers = [...proof.points, proof.root, proof.nullifier, BigInt(validUntil)];
  return concat(numbers.map((n) => numberToHex(BigInt(n), { size: 32 })));
}

/** The message that a proof of membership signs, as a number. */
export const membershipMessageOf = (signal: OperatorSignal, contracts: DomainContracts): bigint =>
  BigInt(typedDataDigest("OperatorSignal", signal, contracts));
