import type { Hex, PublicClient } from "viem";
import { encodeHeader, identityRegistryAbi, reputationEpochsAbi, type Deployment } from "#protocol";
import type { Bundle, BundledScore } from "./bundle.ts";
import { readEvents } from "./logs.ts";
import { proveScore, readFinalizedTopic } from "./score.ts";
import { slotsOf } from "./verify-bundle.ts";

/** What an export gives: the bundle, and the block whose hash its reader has to believe. */
export interface Export {
  readonly bundle: Bundle;
  readonly blockNumber: bigint;
  readonly blockHash: Hex;
}

/**
 * Collects header, EIP-1186 proofs and score proofs of one agent at the newest block.
 * @param topics topics whose scores to prove, default all that were ever finalized; those without a seat of the agent
 * are left out
 */
export async function exportBundle(
  client: PublicClient,
  deployment: Deployment,
  agentId: bigint,
  topics?: readonly bigint[],
): Promise<Export> {
  const block = await client.request<{ ReturnType: Record<string, unknown> }>({
    method: "eth_getBlockByNumber",
    params: ["latest", false],
  });
  const blockNumber = BigInt(block["number"] as Hex);
  const signers = await readSigners(client, deployment, agentId, blockNumber);
  const wanted = topics ?? (await readTopics(client, deployment, blockNumber));
  const scores = await readScores(client, deployment, agentId, wanted, blockNumber);
  const { identityRegistry, stakeVault, reputationEpochs } = deployment.contracts;
  const contracts = { identityRegistry, stakeVault, reputationEpochs };
  const slots = slotsOf({ agentId, signers, scores });
  const nodes = new Set<Hex>();
  for (const name of Object.keys(contracts) as (keyof typeof contracts)[]) {
    const proof = await client.getProof({ address: contracts[name], storageKeys: slots[name], blockNumber });
    for (const node of [...proof.accountProof, ...proof.storageProof.flatMap((slot) => slot.proof)]) nodes.add(node);
  }
  return {
    bundle: { contracts, agentId, signers, scores, header: encodeHeader(block), nodes: [...nodes].sort() },
    blockNumber,
    blockHash: block["hash"] as Hex,
  };
}

async function readSigners(
  client: PublicClient,
  deployment: Deployment,
  agentId: bigint,
  toBlock: bigint,
): Promise<Hex[]> {
  const bound = await readEvents(client, {
    abi: identityRegistryAbi,
    address: deployment.contracts.identityRegistry,
    eventName: "SignerBound",
    args: { agentId },
    fromBlock: BigInt(deployment.deployedAtBlock),
    toBlock,
  });
  return bound.map(({ args }) => args.signer);
}

/** Every topic of which an epoch was finalized. */
async function readTopics(client: PublicClient, deployment: Deployment, toBlock: bigint): Promise<bigint[]> {
  const finalized = await readEvents(client, {
    abi: reputationEpochsAbi,
    address: deployment.contracts.reputationEpochs,
    eventName: "TopicFinalized",
    fromBlock: BigInt(deployment.deployedAtBlock),
    toBlock,
  });
  return [...new Set(finalized.map(({ args }) => args.topic))];
}

async function readScores(
  client: PublicClient,
  deployment: Deployment,
  agentId: bigint,
  topics: readonly bigint[],
  blockNumber: bigint,
): Promise<BundledScore[]> {
  const scores: BundledScore[] = [];
  for (const topic of topics) {
    const finalized = await readFinalizedTopic(client, deployment, topic, blockNumber);
    const proven = finalized === undefined ? undefined : proveScore(finalized, Number(agentId));
    if (proven !== undefined) scores.push({ topic, index: proven.index, leaf: proven.leaf, proof: proven.proof });
  }
  return scores;
}
