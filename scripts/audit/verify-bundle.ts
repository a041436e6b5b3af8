import { keccak256, numberToHex, zeroAddress, type Address, type Hex } from "viem";
import {
  addressOf,
  changesSlot,
  commitmentSlot,
  decodeFinalized,
  decodeHeader,
  decodeSignerRecord,
  decodeStake,
  decodeTenure,
  decodeVersion,
  decodeWallet,
  finalizedSlot,
  headSlot,
  nextSlot,
  NodeSet,
  ownerSlot,
  SCORE_SUM,
  signerSlot,
  stakeSlot,
  storageRootOf,
  storageWordOf,
  unpackLeaf,
  verifyProof,
  versionSlot,
} from "#protocol";
import type { Bundle, BundledScore } from "./bundle.ts";
import { check, fails, holds, type Check } from "./checks.ts";

/** Storage of one contract in the proven state; throws Unproven, which ends the audit with a failed check. */
type Words = (slot: Hex) => bigint;

/** The bundle does not prove what a check needs. */
class Unproven extends Error {}

/** Slots of each contract that the checks read, so that an export knows what to prove. */
export function slotsOf(
  bundle: Pick<Bundle, "agentId" | "signers" | "scores">,
): Record<keyof Bundle["contracts"], Hex[]> {
  const { agentId, signers, scores } = bundle;
  const finalized = scores.map(({ topic }) => finalizedSlot(topic));
  return {
    identityRegistry: [
      ...[ownerSlot(agentId), changesSlot(agentId)],
      ...[commitmentSlot(agentId), headSlot(agentId), versionSlot(agentId)],
      ...signers.map((signer) => signerSlot(keccak256(signer))),
    ],
    stakeVault: [stakeSlot(agentId)],
    reputationEpochs: [...new Set(finalized)].flatMap((slot) => [slot, nextSlot(slot)]),
  };
}

/**
 * Checks a bundle offline: from the block hash to the state root, from there to each contract's storage, and from its
 * words to what they say of the agent. Nothing but the hash is trusted, and no byte of the bundle is free.
 * @param blockHash of a block that the auditor believes, from any source
 */
export function* verifyBundle(bundle: Bundle, blockHash: Hex): Generator<Check, void, void> {
  const header = decodeHeader(bundle.header);
  if (header.kind !== "accept") return yield fails("header", header.detail);
  const { hash, number, stateRoot, timestamp } = header.value;
  const when = new Date(timestamp * 1000).toISOString();
  yield check("header", hash === blockHash, `block ${number} of ${when} hashes to ${hash}`);
  const nodes = new NodeSet(bundle.nodes);
  try {
    const { identityRegistry, stakeVault, reputationEpochs } = bundle.contracts;
    yield* verifyIdentity(bundle, storageOf(nodes, stateRoot, identityRegistry), timestamp);
    const stake = decodeStake(storageOf(nodes, stateRoot, stakeVault)(stakeSlot(bundle.agentId)));
    yield holds("stake", `${stake} in ${stakeVault}`);
    const epochs = storageOf(nodes, stateRoot, reputationEpochs);
    for (const score of bundle.scores) yield verifyScore(bundle.agentId, score, epochs);
  } catch (error) {
    if (!(error instanceof Unproven)) throw error;
    return yield fails("proof", error.message);
  }
  const isExact = nodes.visitedCount === bundle.nodes.length;
  yield check("nodes", isExact, `${nodes.visitedCount} of ${bundle.nodes.length} trie nodes were needed`);
}

function storageOf(nodes: NodeSet, stateRoot: Hex, address: Address): Words {
  const root = storageRootOf(nodes, stateRoot, address);
  if (root.kind !== "accept") throw new Unproven(`account ${address}: ${root.detail}`);
  return (slot) => {
    const word = storageWordOf(nodes, root.value, slot);
    if (word.kind !== "accept") throw new Unproven(`slot ${slot} of ${address}: ${word.detail}`);
    return word.value;
  };
}

function* verifyIdentity({ agentId, signers }: Bundle, words: Words, timestamp: number): Generator<Check, void, void> {
  const owner = addressOf(words(ownerSlot(agentId)));
  yield check("owner", owner !== zeroAddress, owner === zeroAddress ? `agent ${agentId} does not exist` : owner);
  const changes = words(changesSlot(agentId));
  yield holds("wallet", decodeWallet(changes) ?? owner);
  const { tenure } = decodeTenure(changes);
  const commitment = words(commitmentSlot(agentId));
  const head = words(headSlot(agentId));
  const version = decodeVersion(words(versionSlot(agentId)));
  // At version 1 the commitment is the head, and neither version nor head is stored.
  const current = commitment === 0n ? 0n : version === 0n ? 1n : version;
  const isConsistent = version === 0n ? head === 0n : head !== 0n && version > 1n && commitment !== 0n;
  const shown = numberToHex(version === 0n ? commitment : head, { size: 32 });
  yield check(
    "version chain",
    isConsistent,
    current === 0n ? "no code commitment" : `version ${current}, head ${shown}`,
  );
  for (const signer of signers) {
    const record = decodeSignerRecord(words(signerSlot(keccak256(signer))));
    const isOfAgent = record.agentId === agentId && record.purpose !== undefined;
    const isEnded = record.validUntil !== 0 && timestamp >= record.validUntil;
    const isRevoked = record.invalidFrom !== 0 && timestamp >= record.invalidFrom;
    // Signers end with the tenure of the owner who bound them; when that was, the agent's transfers tell.
    const isFormer = record.tenure !== tenure;
    const state = isFormer
      ? "a former owner's"
      : isRevoked
        ? "revoked"
        : isEnded
          ? "ended"
          : timestamp < record.validFrom
            ? "not yet valid"
            : "valid";
    const window = `from ${record.validFrom} to ${record.validUntil || "no end"}`;
    yield check(`signer ${signer}`, isOfAgent, `agent ${record.agentId}, ${record.purpose}, ${state}, ${window}`);
  }
}

function verifyScore(agentId: bigint, { topic, index, leaf, proof }: BundledScore, words: Words): Check {
  const slot = finalizedSlot(topic);
  const root = numberToHex(words(slot), { size: 32 });
  const { epoch, leafCount } = decodeFinalized(words(nextSlot(slot)));
  const { agentId: leafAgent, score } = unpackLeaf(leaf);
  const isProven = epoch !== 0 && index > 0 && verifyProof(root, leafCount, { index, word: leaf }, proof);
  const detail = `epoch ${epoch}, seat ${index}, ${score} of ${SCORE_SUM}`;
  return check(`score in topic ${topic}`, isProven && BigInt(leafAgent) === agentId, detail);
}
