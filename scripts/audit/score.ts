import { hexToBytes, type Hex, type PublicClient } from "viem";
import {
  decodeLeaves,
  LeafTree,
  packScoreQuery,
  reputationEpochsAbi,
  rowValue,
  SCORE_SUM,
  trustLedgerAbi,
  unpackLeaf,
  type Deployment,
  type Leaf,
} from "#protocol";
import { check, fails, holds, type Check } from "./checks.ts";
import { readEvents } from "./logs.ts";

/** A score with all that a contract needs to check it. */
export interface ProvenScore {
  readonly agentId: number;
  readonly topic: bigint;
  readonly epoch: number;
  readonly index: number;
  readonly score: bigint;
  readonly leaf: bigint;
  readonly proof: readonly Hex[];
  /** First argument of `verifyScore`. */
  readonly query: bigint;
}

/** The last finalized epoch of one topic with its published leaves, read from the chain alone. */
export interface FinalizedTopic {
  readonly topic: bigint;
  readonly epoch: number;
  readonly candidateId: bigint;
  readonly root: Hex;
  readonly leafCount: number;
  readonly multiplier: bigint;
  readonly shift: number;
  readonly transactionHash: Hex;
  /** Undefined where the publisher put the leaves elsewhere. */
  readonly leaves?: readonly bigint[];
}

/** @returns undefined when no epoch of the topic was ever finalized */
export async function readFinalizedTopic(
  client: PublicClient,
  deployment: Deployment,
  topic: bigint,
  blockNumber: bigint,
): Promise<FinalizedTopic | undefined> {
  const epochs = { abi: reputationEpochsAbi, address: deployment.contracts.reputationEpochs } as const;
  const [root, epoch, leafCount, , candidateId] = await client.readContract({
    ...epochs,
    functionName: "finalizedOf",
    args: [topic],
    blockNumber,
  });
  if (epoch === 0) return undefined;
  const range = { ...epochs, fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber };
  const [committed] = await readEvents(client, { ...range, eventName: "EpochCommitted", args: { candidateId } });
  const entry = committed?.args.topics.find((t) => t.topic === topic);
  if (committed === undefined || entry === undefined) return undefined;
  const counts = await Promise.all(
    committed.args.topics.map(async (t) => {
      if (t.topic === topic) return leafCount;
      return leafCountAt(client, deployment, t.topic, committed.blockNumber);
    }),
  );
  const decoded = decodeLeaves(hexToBytes(committed.args.leaves), counts);
  const leaves = decoded.kind === "accept" ? decoded.value[committed.args.topics.indexOf(entry)] : undefined;
  return {
    ...{ topic, epoch, candidateId, root, leafCount },
    ...{ multiplier: entry.multiplier, shift: entry.shift, transactionHash: committed.transactionHash },
    ...(leaves === undefined ? {} : { leaves }),
  };
}

/** Seats of a topic at the close of the epoch before the given block: they were taken before the commit's own epoch. */
async function leafCountAt(
  client: PublicClient,
  deployment: Deployment,
  topic: bigint,
  blockNumber: bigint,
): Promise<number> {
  const { seated, epoch } = await readSeats(client, deployment, topic, blockNumber);
  return 1 + seated.filter((seat) => seat.epoch < epoch).length;
}

async function readSeats(client: PublicClient, deployment: Deployment, topic: bigint, blockNumber: bigint) {
  const ledger = { abi: trustLedgerAbi, address: deployment.contracts.trustLedger } as const;
  const [genesis, length, block] = await Promise.all([
    client.readContract({ ...ledger, functionName: "genesis" }),
    client.readContract({ ...ledger, functionName: "epochLength" }),
    client.getBlock({ blockNumber }),
  ]);
  const range = { ...ledger, args: { topic }, fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber };
  const events = await readEvents(client, { ...range, eventName: "Seated" });
  return {
    epoch: (block.timestamp - genesis) / length + 1n,
    seated: events.map(({ args }) => ({ agentId: args.agentId, seat: args.seat, epoch: args.epoch })),
  };
}

/** Finds the agent's leaf and its proof in the published leaves. */
export function proveScore(finalized: FinalizedTopic, agentId: number): ProvenScore | undefined {
  const { leaves = [], topic, epoch } = finalized;
  const index = leaves.findIndex((word, seat) => seat > 0 && unpackLeaf(word).agentId === agentId);
  const leaf = leaves[index];
  if (leaf === undefined) return undefined;
  const proof = new LeafTree(leaves).proof(index);
  const { score } = unpackLeaf(leaf);
  return { agentId, topic, epoch, index, score, leaf, proof, query: packScoreQuery({ topic, epoch, index }) };
}

/** A score, re-derived from the ledger's events and the published leaves, with no node and no indexer. */
export async function* auditScore(
  client: PublicClient,
  deployment: Deployment,
  { agentId, topic, claimed }: { agentId: number; topic: bigint; claimed?: bigint },
): AsyncGenerator<Check, void, void> {
  const blockNumber = await client.getBlockNumber();
  const finalized = await readFinalizedTopic(client, deployment, topic, blockNumber);
  if (finalized === undefined) return yield fails("finalized", `no epoch of topic ${topic} is finalized yet`);
  const { epoch, root, leafCount, leaves } = finalized;
  yield holds("finalized", `epoch ${epoch}, root ${root}, ${leafCount} leaves, ${finalized.transactionHash}`);
  if (leaves === undefined) return yield fails("leaves", "the commit carries no leaves; ask its publisher for them");
  const computedRoot = new LeafTree(leaves).root;
  yield check("leaves", computedRoot === root, `the published leaves hash to ${computedRoot}`);
  const proven = proveScore(finalized, agentId);
  if (proven === undefined) return yield fails("leaf", `agent ${agentId} has no seat in this topic and epoch`);
  yield holds("leaf", `seat ${proven.index}, score ${proven.score} of ${SCORE_SUM}`);
  if (claimed !== undefined) yield check("claim", claimed === proven.score, `claimed ${claimed}`);
  yield* auditRow(client, deployment, finalized, proven, blockNumber);
  const [onChainAgent, onChainScore] = await client.readContract({
    abi: reputationEpochsAbi,
    address: deployment.contracts.reputationEpochs,
    functionName: "verifyScore",
    args: [proven.query, proven.leaf, proven.proof],
    blockNumber,
  });
  const isSame = onChainAgent === agentId && onChainScore === proven.score;
  yield check("contract", isSame, `verifyScore answers agent ${onChainAgent}, score ${onChainScore}`);
}

/** F_j from the weights that the ledger emitted until the epoch closed, and the scores of the raters' leaves. */
async function* auditRow(
  client: PublicClient,
  deployment: Deployment,
  finalized: FinalizedTopic,
  proven: ProvenScore,
  blockNumber: bigint,
): AsyncGenerator<Check, void, void> {
  const leaves = (finalized.leaves ?? []).map(unpackLeaf);
  const { seated } = await readSeats(client, deployment, finalized.topic, blockNumber);
  const own = seated.find(({ agentId }) => agentId === proven.agentId);
  yield check("seat", own?.seat === proven.index, `the ledger gave the agent seat ${own?.seat}`);
  const events = await readEvents(client, {
    abi: trustLedgerAbi,
    address: deployment.contracts.trustLedger,
    eventName: "Recorded",
    args: { topic: finalized.topic, provider: proven.agentId },
    fromBlock: BigInt(deployment.deployedAtBlock),
    toBlock: blockNumber,
  });
  const weights = new Map<number, number>();
  for (const { args } of events) if (args.epoch <= BigInt(finalized.epoch)) weights.set(args.client, args.weight);
  const raters = new Map(leaves.map((leaf): [number, Leaf] => [leaf.agentId, leaf]));
  const edges = [...weights].map(([client_, weight]) => {
    const { score = 0n, rowSum = 0n } = raters.get(client_) ?? {};
    return { weight: BigInt(weight), score, rowSum };
  });
  const { score = 0n, prior = 0n } = leaves[proven.index] ?? {};
  const expected = rowValue(edges, finalized, prior);
  yield check("row", expected === score, `${edges.length} raters and a prior of ${prior} give ${expected}`);
}
