import { concat, encodeAbiParameters, keccak256, stringToHex, type Hex } from "viem";

/** Purposes of a signer: left-aligned ASCII words, as in IBindings. */
export const purposes = {
  log: stringToHex("LOG", { size: 32 }),
  transport: stringToHex("TRANSPORT", { size: 32 }),
  operator: stringToHex("OPERATOR", { size: 32 }),
  recovery: stringToHex("RECOVERY", { size: 32 }),
} as const;

/** What a BAID commitment opens to. */
export interface CommitmentOpening {
  /** CP: `codeWordOf` a typed code commitment (binding/code.ts). */
  readonly codeCommitment: Hex;
  readonly configDigest: Hex;
  readonly userId: Hex;
  readonly salt: Hex;
}

/** baid = H(CP, H(Config), userId, salt) (arXiv 2606.17368 eq. 9), over abi.encode of four words. */
export function commitmentOf({ codeCommitment, configDigest, userId, salt }: CommitmentOpening): Hex {
  const word = { type: "bytes32" } as const;
  return keccak256(encodeAbiParameters([word, word, word, word], [codeCommitment, configDigest, userId, salt]));
}

/** Head of the version chain (eq. 10): C(v+1) = H(C(v), delta, H(signature)); C(1) is the first commitment itself. */
export function nextHead(head: Hex, delta: Hex, signature: Hex): Hex {
  return keccak256(concat([head, delta, keccak256(signature)]));
}

/** What the registry keeps of one signer. Times are Unix seconds of the chain. */
export interface BoundSigner {
  /** 0n = never bound. */
  readonly agentId: bigint;
  /** One of `purposes`. */
  readonly purpose: Hex;
  readonly validFrom: number;
  /** First second of invalidity; 0 = no end. */
  readonly validUntil: number;
  /** First second from which what it signed does not count; 0 = not revoked. */
  readonly invalidFrom: number;
}

/** Whether the signer spoke for its agent and this purpose at that second, as IBindings.isSignerValidAt judges. */
export function isSignerValidAt(signer: BoundSigner, purpose: Hex, time: number): boolean {
  const { agentId, validFrom, validUntil, invalidFrom } = signer;
  if (agentId === 0n || signer.purpose !== purpose || time < validFrom) return false;
  return (validUntil === 0 || time < validUntil) && (invalidFrom === 0 || time < invalidFrom);
}
