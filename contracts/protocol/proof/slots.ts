import { encodeAbiParameters, getAddress, keccak256, numberToHex, type Address, type Hex } from "viem";
import { storageSlots } from "../generated/layouts.ts";
import { purposes } from "../identity.ts";

// Where the contracts keep what an auditor proves, and how their words are packed (most significant last declared).

/** Slot of a mapping's value (Solidity storage layout, "Mappings and Dynamic Arrays"): keccak256(key . slot). */
export function mappingSlot(slot: bigint, key: bigint | Hex): Hex {
  const word = typeof key === "bigint" ? numberToHex(key, { size: 32 }) : key;
  return keccak256(
    encodeAbiParameters([{ type: "bytes32" }, { type: "bytes32" }], [word, numberToHex(slot, { size: 32 })]),
  );
}

/** The slot after one: the second word of a struct. */
export const nextSlot = (slot: Hex): Hex => numberToHex(BigInt(slot) + 1n, { size: 32 });

export const ownerSlot = (agentId: bigint): Hex => mappingSlot(storageSlots.identityRegistry._owners, agentId);
export const changesSlot = (agentId: bigint): Hex => mappingSlot(storageSlots.identityRegistry._changes, agentId);
/** The two registries of bindings, our own agents' and the adopted ones': alike, but for where each begins. */
export type BindingsContract = "identityRegistry" | "foreignBindings";

/** First of three words: commitment, head, version. */
export const commitmentSlot = (agentId: bigint, of: BindingsContract = "identityRegistry"): Hex =>
  mappingSlot(storageSlots[of]._chains, agentId);
export const headSlot = (agentId: bigint, of?: BindingsContract): Hex => nextSlot(commitmentSlot(agentId, of));
export const versionSlot = (agentId: bigint, of?: BindingsContract): Hex => nextSlot(headSlot(agentId, of));
export const signerSlot = (signerHash: Hex, of: BindingsContract = "identityRegistry"): Hex =>
  mappingSlot(storageSlots[of]._signers, signerHash);
export const stakeSlot = (agentId: bigint): Hex => mappingSlot(storageSlots.stakeVault._stakes, agentId);
/** First of two words: the root, then epoch, leaf count, depth, candidate and what it was finalized with. */
export const finalizedSlot = (topic: bigint): Hex => mappingSlot(storageSlots.reputationEpochs._finalized, topic);

const addressKey = (address: Address): Hex => numberToHex(BigInt(address), { size: 32 });

export const operatorSlot = (agentId: bigint): Hex => mappingSlot(storageSlots.credentials.operatorOf, agentId);
export const holdingSlot = (operator: Hex): Hex => mappingSlot(storageSlots.credentials._holdings, operator);
/** First of two words of one accepted issuer: verifier160 | minLevel8, then the issuer's id. */
export function sourceSlot(index: number): Hex {
  const first = BigInt(keccak256(numberToHex(storageSlots.credentials._sources, { size: 32 })));
  return numberToHex((first + 2n * BigInt(index)) % (1n << 256n), { size: 32 });
}
/** Whether one of our two credential verifiers took a credential back. */
export const revocationSlot = (verifier: "issuerCredentials" | "semaphoreCredentials", operator: Hex): Hex =>
  mappingSlot(storageSlots[verifier].isRevoked, operator);

export const recoverySlot = (agentId: bigint): Hex => mappingSlot(storageSlots.ownerRecovery._settings, agentId);
export const pendingRecoverySlot = (agentId: bigint): Hex => mappingSlot(storageSlots.ownerRecovery._pending, agentId);

export const logTipSlot = (log: Address): Hex => mappingSlot(storageSlots.anchors._tips, addressKey(log));
/** Holds the EIP-712 struct hash of the LogAnchor that begins at this seq. */
export const logAnchorSlot = (log: Address, fromSeq: number): Hex =>
  mappingSlot(BigInt(mappingSlot(storageSlots.anchors._anchors, addressKey(log))), BigInt(fromSeq));

/** The number of a foreign agent; 0 = never adopted. */
export const adoptedIdSlot = (registry: Address, id: bigint): Hex =>
  mappingSlot(BigInt(mappingSlot(storageSlots.foreignBindings._ids, addressKey(registry))), id);
export const observedOwnerSlot = (agentId: bigint): Hex => mappingSlot(storageSlots.foreignBindings._tenures, agentId);

/** An issuer's batch of bindings: how many, and since when. */
export const batchSlot = (issuer: Address, root: Hex): Hex =>
  mappingSlot(BigInt(mappingSlot(storageSlots.anchors._batches, addressKey(issuer))), root);
/** First second (Unix) at which a binding of a batch does not count; 0 = it counts. */
export function batchRevocationSlot(issuer: Address, root: Hex, index: number): Hex {
  const ofIssuer = BigInt(mappingSlot(storageSlots.anchors._revocations, addressKey(issuer)));
  return mappingSlot(BigInt(mappingSlot(ofIssuer, root)), BigInt(index));
}

/** Bits [offset, offset + width) of a word. */
const bitsOf = (word: bigint, offset: number, width: number): bigint =>
  (word >> BigInt(offset)) & ((1n << BigInt(width)) - 1n);

export const addressOf = (word: bigint): Address => getAddress(numberToHex(bitsOf(word, 0, 160), { size: 20 }));

/**
 * IdentityRegistry.Changes: wallet160 | isWalletChanged8 | uriRevision24 | tenure24 | tenureSince40, least significant first.
 * @returns the wallet, or undefined where it is still the owner
 */
export const decodeWallet = (word: bigint): Address | undefined =>
  bitsOf(word, 160, 8) === 0n ? undefined : addressOf(word);

/** Second part of IdentityRegistry.Changes: how often the agent changed hands, and the second (Unix) of the last time. */
export const decodeTenure = (word: bigint): { readonly tenure: number; readonly since: number } => ({
  tenure: Number(bitsOf(word, 192, 24)),
  since: Number(bitsOf(word, 216, 40)),
});

/** VersionChain.Chain, third word: version64. */
export const decodeVersion = (word: bigint): bigint => bitsOf(word, 0, 64);

/** Purposes by their index in Signers.sol, from 1. */
const UNCHECKED_INDEX = 5;
const purposeNames = Object.keys(purposes) as (keyof typeof purposes)[];

export interface SignerRecord {
  readonly agentId: bigint;
  /** The owner's tenure in which it was bound; where the agent's is a later one, the signer has ended. */
  readonly tenure: number;
  /** Undefined for an index that this version does not know. */
  readonly purpose: keyof typeof purposes | undefined;
  /** Bound without a proof that the chain could check. */
  readonly isUnchecked: boolean;
  readonly validFrom: number;
  /** 0 = no end. */
  readonly validUntil: number;
  /** 0 = not revoked. */
  readonly invalidFrom: number;
  /** Second (Unix) at which the revocation was recorded; 0 = not revoked. */
  readonly revokedAt: number;
}

/**
 * SignerRecord: agentId56 | tenure24 | purposeIndex8 | validFrom48 | validUntil48 | invalidFrom48 | backdatedBy24, least
 * significant first.
 */
export function decodeSignerRecord(word: bigint): SignerRecord {
  const index = Number(bitsOf(word, 80, 8));
  const isUnchecked = index === UNCHECKED_INDEX;
  const invalidFrom = Number(bitsOf(word, 184, 48));
  return {
    agentId: bitsOf(word, 0, 56),
    tenure: Number(bitsOf(word, 56, 24)),
    purpose: isUnchecked ? "transport" : purposeNames[index - 1],
    isUnchecked,
    validFrom: Number(bitsOf(word, 88, 48)),
    validUntil: Number(bitsOf(word, 136, 48)),
    invalidFrom,
    revokedAt: invalidFrom === 0 ? 0 : invalidFrom + Number(bitsOf(word, 232, 24)),
  };
}

/** StakeVault.Stake: epoch32 | current112 | previous112, least significant first. */
export const decodeStake = (word: bigint): bigint => bitsOf(word, 32, 112);

/** Credentials.Holding: owner160 | validUntil48 | agentId32 | source8 | level8, least significant first. */
export const decodeHolding = (word: bigint) => ({
  /** Zero = renounced. */
  owner: addressOf(word),
  validUntil: Number(bitsOf(word, 160, 48)),
  agentId: bitsOf(word, 208, 32),
  source: Number(bitsOf(word, 240, 8)),
  level: Number(bitsOf(word, 248, 8)),
});

/** OwnerRecovery.Setting: threshold8 | delay32 | tenure24 | attempt64, least significant first. */
export const decodeRecovery = (word: bigint) => ({
  threshold: Number(bitsOf(word, 0, 8)),
  delay: Number(bitsOf(word, 8, 32)),
  tenure: Number(bitsOf(word, 40, 24)),
});

/** OwnerRecovery.Pending: newOwner160 | executableAt48 | tenure24, least significant first. */
export const decodePendingRecovery = (word: bigint) => ({
  newOwner: addressOf(word),
  executableAt: Number(bitsOf(word, 160, 48)),
  tenure: Number(bitsOf(word, 208, 24)),
});

/** Anchors.LogTip: nextSeq40 | anchoredAt48, least significant first. */
export const decodeLogTip = (word: bigint) => ({
  nextSeq: Number(bitsOf(word, 0, 40)),
  anchoredAt: Number(bitsOf(word, 40, 48)),
});

/** ForeignBindings.Tenure: owner160 | tenure24 | since40, least significant first; what the foreign registry said last. */
export const decodeObservedOwner = (word: bigint) => ({
  owner: addressOf(word),
  tenure: Number(bitsOf(word, 160, 24)),
  since: Number(bitsOf(word, 184, 40)),
});

/** Anchors.Batch: count32 | anchoredAt48, least significant first. A count of 0 = never anchored. */
export const decodeBatch = (word: bigint) => ({
  count: Number(bitsOf(word, 0, 32)),
  anchoredAt: Number(bitsOf(word, 32, 48)),
});

/** Anchors._revocations: 48 bits. */
export const decodeBatchRevocation = (word: bigint): number => Number(bitsOf(word, 0, 48));

/**
 * Second word of ReputationEpochs.FinalizedTopic: epoch32 | leafCount32 | depth8 | candidateId64 | multiplier64 | shift8 |
 * finalizedIn32, least significant first.
 */
export function decodeFinalized(word: bigint): { epoch: number; leafCount: number; depth: number } {
  return {
    epoch: Number(bitsOf(word, 0, 32)),
    leafCount: Number(bitsOf(word, 32, 32)),
    depth: Number(bitsOf(word, 64, 8)),
  };
}
