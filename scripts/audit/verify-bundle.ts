import { numberToHex, type Hex } from "viem";
import {
  changesSlot,
  decodeFinalized,
  decodeStake,
  finalizedSlot,
  holdingSlot,
  logAnchorSlot,
  logTipSlot,
  nextSlot,
  operatorSlot,
  ownerSlot,
  pendingRecoverySlot,
  recoverySlot,
  revocationSlot,
  SCORE_SUM,
  sourceSlot,
  stakeSlot,
  unpackLeaf,
  verifyProof,
} from "#protocol";
import { batchSlotsOf } from "./batch.ts";
import type { Bundle, BundledScore, ProvenContract } from "./bundle.ts";
import { check, holds, type Check } from "./checks.ts";
import { verifyProven } from "./proven-state.ts";
import { bindingSlotsOf, logsOf, verifyIdentity, type AgentWords, type verifierNames } from "./verify-identity.ts";

/** The credential of an agent, as far as its proof needs to know before it is proven; undefined = none. */
export type HeldCredential =
  | { readonly operator: Hex; readonly source: number; readonly verifier: (typeof verifierNames)[number] | undefined }
  | undefined;

/** Slots of each contract that the checks read, so that an export knows what to prove. */
export function slotsOf(
  {
    agentId,
    signers,
    batched,
    scores,
    anchors,
  }: Pick<Bundle, "agentId" | "signers" | "batched" | "scores" | "anchors">,
  credential: HeldCredential,
): Record<ProvenContract, Hex[]> {
  const finalized = scores.map(({ topic }) => finalizedSlot(topic));
  const revocation = (name: (typeof verifierNames)[number]) =>
    credential?.verifier === name ? [revocationSlot(name, credential.operator)] : [];
  return {
    identityRegistry: [
      ...[ownerSlot(agentId), changesSlot(agentId)],
      ...bindingSlotsOf("identityRegistry", agentId, signers),
    ],
    ownerRecovery: [recoverySlot(agentId), pendingRecoverySlot(agentId)],
    anchors: [
      ...logsOf(signers).map(logTipSlot),
      ...anchors.map(({ log, fromSeq }) => logAnchorSlot(log, fromSeq)),
      ...batched.flatMap(batchSlotsOf),
    ],
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
export const verifyBundle = (bundle: Bundle, blockHash: Hex): Generator<Check, void, void> =>
  verifyProven(bundle, blockHash, (words, timestamp) => verifyAgent(bundle, words, timestamp));

function* verifyAgent(bundle: Bundle, words: AgentWords, timestamp: number): Generator<Check, void, void> {
  const { agentId, contracts, scores } = bundle;
  yield* verifyIdentity(bundle, words, timestamp);
  const stake = decodeStake(words("stakeVault", stakeSlot(agentId)));
  yield holds("stake", `${stake} in ${contracts.stakeVault}`);
  for (const score of scores) yield verifyScore(agentId, score, words);
}

function verifyScore(agentId: bigint, { topic, index, leaf, proof }: BundledScore, words: AgentWords): Check {
  const slot = finalizedSlot(topic);
  const root = numberToHex(words("reputationEpochs", slot), { size: 32 });
  const { epoch, leafCount } = decodeFinalized(words("reputationEpochs", nextSlot(slot)));
  const { agentId: leafAgent, score } = unpackLeaf(leaf);
  const isProven = epoch !== 0 && index > 0 && verifyProof(root, leafCount, { index, word: leaf }, proof);
  const detail = `epoch ${epoch}, seat ${index}, ${score} of ${SCORE_SUM}`;
  return check(`score in topic ${topic}`, isProven && BigInt(leafAgent) === agentId, detail);
}
