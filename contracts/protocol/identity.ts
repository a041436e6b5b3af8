import {
  concat,
  encodeAbiParameters,
  keccak256,
  numberToHex,
  stringToHex,
  zeroAddress,
  zeroHash,
  type Hex,
} from "viem";

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

/**
 * Signer bytes of an Ed25519 key, whose proof the chain cannot check: 20 zero bytes, the agent's id, the key.
 * @param key 32 bytes
 */
export const uncheckedSignerOf = (agentId: bigint, key: Hex): Hex =>
  concat([zeroAddress, numberToHex(agentId, { size: 32 }), key]);

/** One version of an agent's commitment, as `CommitmentUpdated` tells it. */
export interface CommitmentVersion {
  readonly agentId: bigint;
  /** From 1. */
  readonly version: bigint;
  readonly commitment: Hex;
  readonly head: Hex;
}

/** Leaf of a version in its agent's history (IBindings.historyOf). */
export function versionLeafOf({ agentId, version, commitment, head }: CommitmentVersion): Hex {
  const words = [{ type: "uint256" }, { type: "uint64" }, { type: "bytes32" }, { type: "bytes32" }] as const;
  return keccak256(encodeAbiParameters(words, [agentId, version, commitment, head]));
}

const hashPair = (left: Hex, right: Hex): Hex => keccak256(concat([left, right]));

/** Levels of one mountain, leaves first; `leaves` is a power of two long. */
function mountainOf(leaves: readonly Hex[]): readonly (readonly Hex[])[] {
  const levels: (readonly Hex[])[] = [leaves];
  for (let level = leaves; level.length > 1;) {
    level = Array.from({ length: level.length / 2 }, (_, i) => hashPair(level[2 * i] as Hex, level[2 * i + 1] as Hex));
    levels.push(level);
  }
  return levels;
}

/** First leaf and size of each mountain of a range, largest first: one for each bit of its length. */
function mountainsOf(count: number): { readonly first: number; readonly size: number }[] {
  const mountains: { first: number; size: number }[] = [];
  for (let [rest, first] = [count, 0]; rest > 0;) {
    const size = 2 ** Math.floor(Math.log2(rest));
    mountains.push({ first, size });
    [rest, first] = [rest - size, first + size];
  }
  return mountains;
}

/** Root of a Merkle mountain range, as MountainRange.sol has it: H(count, bag), the bag folding peaks from the smallest. */
export function mountainRangeRoot(leaves: readonly Hex[]): Hex {
  const peaks = mountainsOf(leaves.length).map(({ first, size }) => {
    return mountainOf(leaves.slice(first, first + size)).at(-1)?.[0] as Hex;
  });
  const bag = peaks.reduceRight<Hex>((folded, peak) => hashPair(peak, folded), zeroHash);
  return hashPair(numberToHex(leaves.length, { size: 32 }), bag);
}

/** Siblings from a leaf to its mountain's peak, as IBindings.verifyVersion takes them; undefined = no such leaf. */
export function mountainRangeProof(leaves: readonly Hex[], index: number): Hex[] | undefined {
  const mountain = mountainsOf(leaves.length).find(({ first, size }) => index >= first && index < first + size);
  if (mountain === undefined) return undefined;
  const levels = mountainOf(leaves.slice(mountain.first, mountain.first + mountain.size));
  const local = index - mountain.first;
  // The neighbour at each level but the peak's own.
  return levels.slice(0, -1).map((level, height) => level[Math.floor(local / 2 ** height) ^ 1] as Hex);
}

/**
 * What an A2A card says beyond A2A: which agent on chain it is, by which keys, and where and for what it is hired. A name, not a
 * place: there is no page behind it.
 */
export const CARD_EXTENSION = "urn:surety:a2a:agent:1";
