import { getAddress, type Hex, type PublicClient } from "viem";
import {
  anchorsAbi,
  credentialsAbi,
  decodeHolding,
  holdingSlot,
  identityRegistryAbi,
  reputationEpochsAbi,
  type Deployment,
} from "#protocol";
import type { BatchEvidence } from "./batch.ts";
import {
  provenContractNames,
  type Bundle,
  type BundledAnchor,
  type BundledScore,
  type ProvenContracts,
} from "./bundle.ts";
import { readEvents } from "./logs.ts";
import { proveState, readBlock, type Exported } from "./proven-state.ts";
import { proveScore, readFinalizedTopic } from "./score.ts";
import { slotsOf, type HeldCredential } from "./verify-bundle.ts";
import { logsOf, verifierNames } from "./verify-identity.ts";

/** Ranges of a log that a bundle proves: the newest, which are the ones that a reader holds entries of. */
const MAX_RANGES = 64;

/** What an export of one of our agents gives. */
export type Export = Exported<Bundle>;

/** What beyond the agent's own state a bundle proves. */
export interface ExportChoice {
  /** Topics whose scores to prove, default all that were ever finalized; those without a seat of the agent are left out. */
  readonly topics?: readonly bigint[] | undefined;
  /** Bindings of the agent in batches, as their holders keep them. */
  readonly batched?: readonly BatchEvidence[];
}

/** Collects header, EIP-1186 proofs, batched bindings and score proofs of one agent at the newest block. */
export async function exportBundle(
  client: PublicClient,
  deployment: Deployment,
  agentId: bigint,
  { topics, batched = [] }: ExportChoice = {},
): Promise<Export> {
  const { block, number: blockNumber, hash: blockHash } = await readBlock(client);
  const signers = await readSigners(client, deployment, { agentId, blockNumber });
  const wanted = topics ?? (await readTopics(client, deployment, blockNumber));
  const scores = await readScores(client, deployment, agentId, wanted, blockNumber);
  const anchors = await readAnchors(client, deployment, signers, { agentId, blockNumber });
  const contracts = Object.fromEntries(
    provenContractNames.map((name) => [name, deployment.contracts[name]]),
  ) as unknown as ProvenContracts;
  const credential = await readCredential(client, deployment, { agentId, blockNumber });
  const claims = { agentId, signers, batched, scores, anchors };
  const state = await proveState(client, block, contracts, slotsOf(claims, credential));
  return { bundle: { ...claims, ...state }, blockNumber, blockHash };
}

interface At {
  readonly agentId: bigint;
  readonly blockNumber: bigint;
}

/** The last ranges of each log, in order. */
async function readAnchors(
  client: PublicClient,
  deployment: Deployment,
  signers: readonly Hex[],
  { agentId, blockNumber }: At,
): Promise<BundledAnchor[]> {
  const anchored = await readEvents(client, {
    ...{ abi: anchorsAbi, address: deployment.contracts.anchors, eventName: "LogAnchored", args: { agentId } },
    ...{ fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber },
  });
  return logsOf(signers).flatMap((log) =>
    anchored
      .filter(({ args }) => args.log.toLowerCase() === log.toLowerCase())
      .slice(-MAX_RANGES)
      .map(({ args: { fromSeq, toSeq, root, stateHead } }) => ({ log, fromSeq, toSeq, root, stateHead })),
  );
}

async function readCredential(
  client: PublicClient,
  { contracts }: Deployment,
  { agentId, blockNumber }: At,
): Promise<HeldCredential> {
  const credentials = { abi: credentialsAbi, address: contracts.credentials, blockNumber } as const;
  const operator = await client.readContract({ ...credentials, functionName: "operatorOf", args: [agentId] });
  if (BigInt(operator) === 0n) return undefined;
  const holding = await client.getStorageAt({
    address: contracts.credentials,
    slot: holdingSlot(operator),
    blockNumber,
  });
  const { source } = decodeHolding(BigInt(holding ?? "0x0"));
  const { verifier } = await client.readContract({ ...credentials, functionName: "sourceAt", args: [BigInt(source)] });
  return { operator, source, verifier: verifierNames.find((name) => contracts[name] === getAddress(verifier)) };
}

/** ERC-7913 bytes of every signer that was ever bound to an agent, by the deployment's registry. */
export async function readSigners(
  client: PublicClient,
  deployment: Deployment,
  { agentId, blockNumber }: At,
): Promise<Hex[]> {
  const bound = await readEvents(client, {
    ...{ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry, eventName: "SignerBound" },
    ...{ args: { agentId }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber },
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
