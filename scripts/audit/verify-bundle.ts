import { keccak256, numberToHex, type Hex } from "viem";
import {
  changesSlot,
  commitmentSlot,
  decodeFinalized,
  decodeHeader,
  decodeStake,
  finalizedSlot,
  headSlot,
  holdingSlot,
  logAnchorSlot,
  logTipSlot,
  nextSlot,
  NodeSet,
  operatorSlot,
  ownerSlot,
  pendingRecoverySlot,
  recoverySlot,
  revocationSlot,
  SCORE_SUM,
  signerSlot,
  sourceSlot,
  stakeSlot,
  storageRootOf,
  storageWordOf,
  unpackLeaf,
  verifyProof,
  versionSlot,
} from "#protocol";
import type { Bundle, BundledScore, ProvenContracts } from "./bundle.ts";
import { check, dateOf, fails, holds, type Check } from "./checks.ts";
import { logsOf, verifyIdentity, type verifierNames, type Words } from "./verify-identity.ts";

/** The bundle does not prove what a check needs. */
class Unproven extends Error {}

/** The credential of an agent, as far as its proof needs to know before it is proven; undefined = none. */
export type HeldCredential =
  | { readonly operator: Hex; readonly source: number; readonly verifier: (typeof verifierNames)[number] | undefined }
  | undefined;

/** Slots of each contract that the checks read, so that an export knows what to prove. */
export function slotsOf(
  { agentId, signers, scores, anchors }: Pick<Bundle, "agentId" | "signers" | "scores" | "anchors">,
  credential: HeldCredential,
): Record<keyof ProvenContracts, Hex[]> {
  const finalized = scores.map(({ topic }) => finalizedSlot(topic));
  const revocation = (name: (typeof verifierNames)[number]) =>
    credential?.verifier === name ? [revocationSlot(name, credential.operator)] : [];
  return {
    identityRegistry: [
      ...[ownerSlot(agentId), changesSlot(agentId)],
      ...[commitmentSlot(agentId), headSlot(agentId), versionSlot(agentId)],
      ...signers.map((signer) => signerSlot(keccak256(signer))),
    ],
    ownerRecovery: [recoverySlot(agentId), pendingRecoverySlot(agentId)],
    anchors: [...logsOf(signers).map(logTipSlot), ...anchors.map(({ log, fromSeq }) => logAnchorSlot(log, fromSeq))],
    credentials: [
      operatorSlot(agentId),
      ...(credential === undefined ? [] : [holdingSlot(credential.operator), sourceSlot(credential.source)]),
    ],
    issuerCredentials: revocation("issuerCredentials"),
    semaphoreCredentials: revocation("semaphoreCredentials"),
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
  yield check("header", hash === blockHash, `block ${number} of ${dateOf(timestamp)} hashes to ${hash}`);
  const nodes = new NodeSet(bundle.nodes);
  const words = wordsOf(bundle, nodes, stateRoot);
  try {
    yield* verifyIdentity(bundle, words, timestamp);
    const stake = decodeStake(words("stakeVault", stakeSlot(bundle.agentId)));
    yield holds("stake", `${stake} in ${bundle.contracts.stakeVault}`);
    for (const score of bundle.scores) yield verifyScore(bundle.agentId, score, words);
    // Every contract's account is proven, so that no address in the bundle is free either.
    for (const name of Object.keys(bundle.contracts)) words(name as keyof ProvenContracts);
  } catch (error) {
    if (!(error instanceof Unproven)) throw error;
    return yield fails("proof", error.message);
  }
  const isExact = nodes.visitedCount === bundle.nodes.length;
  yield check("nodes", isExact, `${nodes.visitedCount} of ${bundle.nodes.length} trie nodes were needed`);
}

/** Storage of the bundle's contracts in the proven state; throws Unproven, which ends the audit with a failed check. */
function wordsOf(
  { contracts }: Bundle,
  nodes: NodeSet,
  stateRoot: Hex,
): Words & ((name: keyof ProvenContracts) => bigint) {
  const roots = new Map<keyof ProvenContracts, Hex>();
  const rootOf = (name: keyof ProvenContracts): Hex => {
    const known = roots.get(name);
    if (known !== undefined) return known;
    const root = storageRootOf(nodes, stateRoot, contracts[name]);
    if (root.kind !== "accept") throw new Unproven(`account ${contracts[name]} (${name}): ${root.detail}`);
    roots.set(name, root.value);
    return root.value;
  };
  return (name: keyof ProvenContracts, slot?: Hex) => {
    const root = rootOf(name);
    if (slot === undefined) return 0n;
    const word = storageWordOf(nodes, root, slot);
    if (word.kind !== "accept") throw new Unproven(`slot ${slot} of ${contracts[name]} (${name}): ${word.detail}`);
    return word.value;
  };
}

function verifyScore(agentId: bigint, { topic, index, leaf, proof }: BundledScore, words: Words): Check {
  const slot = finalizedSlot(topic);
  const root = numberToHex(words("reputationEpochs", slot), { size: 32 });
  const { epoch, leafCount } = decodeFinalized(words("reputationEpochs", nextSlot(slot)));
  const { agentId: leafAgent, score } = unpackLeaf(leaf);
  const isProven = epoch !== 0 && index > 0 && verifyProof(root, leafCount, { index, word: leaf }, proof);
  const detail = `epoch ${epoch}, seat ${index}, ${score} of ${SCORE_SUM}`;
  return check(`score in topic ${topic}`, isProven && BigInt(leafAgent) === agentId, detail);
}
