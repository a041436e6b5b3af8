import { concat, keccak256, numberToHex, sliceHex, size, type Hex } from "viem";
import { accept, reject, SuretyError, type Verdict } from "../errors.ts";

/** What stands for an agent's code, and the number of its type. */
export const codeKinds = {
  /** sha2-256 of a manifest of files, see `manifestText`. */
  manifest: 1,
  /** Digest of an OCI image: sha2-256, or the also registered sha2-512. */
  oci: 2,
  /** Image id of a RISC Zero guest. */
  risc0: 3,
  /** Verification key hash of an SP1 program. */
  sp1: 4,
  /** Measurement of a trusted execution environment: MRENCLAVE of 32 bytes, or TDX and SEV-SNP ones of 48. */
  tee: 5,
} as const;
export type CodeKind = keyof typeof codeKinds;

const digestBytes: Readonly<Record<CodeKind, readonly number[]>> = {
  manifest: [32],
  oci: [32, 64],
  risc0: [32],
  sp1: [32],
  tee: [32, 48],
};

/** A code commitment with its type. */
export interface CodeCommitment {
  readonly kind: CodeKind;
  /** Bytes whose length the kind fixes. */
  readonly digest: Hex;
}

/** One byte of type, then the digest. @throws SuretyError CODE_DIGEST_LENGTH */
export function encodeCodeCommitment({ kind, digest }: CodeCommitment): Hex {
  if (!digestBytes[kind].includes(size(digest))) {
    throw new SuretyError("CODE_DIGEST_LENGTH", `A ${kind} digest has ${digestBytes[kind].join(" or ")} bytes.`, {
      values: { kind, length: size(digest) },
      next: "Give the whole digest, in hex, without a prefix such as sha256:.",
    });
  }
  return concat([numberToHex(codeKinds[kind], { size: 1 }), digest]).toLowerCase() as Hex;
}

/** Inverse of `encodeCodeCommitment`. Rejects CODE_KIND, CODE_DIGEST_LENGTH. */
export function decodeCodeCommitment(encoded: Hex): Verdict<CodeCommitment> {
  if (size(encoded) < 2) return reject("CODE_DIGEST_LENGTH", `${size(encoded)} bytes`);
  const number = Number(sliceHex(encoded, 0, 1));
  const kind = (Object.keys(codeKinds) as CodeKind[]).find((name) => codeKinds[name] === number);
  if (kind === undefined) return reject("CODE_KIND", `type ${number} names nothing`);
  const digest = sliceHex(encoded, 1);
  if (!digestBytes[kind].includes(size(digest)))
    return reject("CODE_DIGEST_LENGTH", `${size(digest)} bytes of ${kind}`);
  return accept({ kind, digest: digest.toLowerCase() as Hex });
}

/**
 * CP of eq. 9, the word that enters the commitment: the byte of the type, which the chain reads (`IBindings.verifyOpening`), then
 * the last 31 bytes of keccak256 over type and digest. Digests have up to 64 bytes; 248 bits of a hash collide for nobody.
 */
export function codeWordOf(code: CodeCommitment): Hex {
  const encoded = encodeCodeCommitment(code);
  return concat([sliceHex(encoded, 0, 1), sliceHex(keccak256(encoded), 1)]);
}
