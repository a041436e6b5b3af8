import { createReadStream } from "node:fs";
import { join } from "node:path";
import hre from "hardhat";
import { createPublicClient, createWalletClient, http, parseEventLogs, type Hex, type PublicClient } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { SCORE_SUM, SuretyError, topicIdOf, unpackLeaf, type Deployment } from "#protocol";
import { parseRatings, planDeals, type ImportedRating } from "../../node/reputation/import.ts";
import { exportBundle } from "../audit/export.ts";
import { writeBundle } from "../audit/bundle.ts";
import { proveScore, readFinalizedTopic, type FinalizedTopic, type ProvenScore } from "../audit/score.ts";
import { BatchSender } from "../cli/batch.ts";
import { Progress } from "../cli/progress.ts";
import { agentAccount, testAccount } from "../devnet/accounts.ts";
import { publishEpoch } from "../devnet/publish.ts";
import { provisionAgents, type LocalAgent } from "../devnet/provision.ts";
import { fundImporter, PRICE, replayRatings } from "./ratings.ts";

export interface ImportOptions {
  readonly file: string;
  /** Ratings to take from the start of the file. */
  readonly first: number;
  readonly topic: string;
  /** How many of the busiest raters get a stake: EigenTrust's pre-trusted peers. */
  readonly seeds: number;
  readonly rpcUrl: string;
  readonly deployment: Deployment;
  readonly signal: AbortSignal;
  readonly progress: (line: string) => void;
}

/** What the import came to. */
export interface ImportResult {
  readonly ratings: number;
  readonly skipped: readonly string[];
  readonly agents: number;
  readonly settled: number;
  readonly epoch: number;
  readonly leafCount: number;
  readonly top: readonly { person: number; agentId: number; share: number }[];
  /** The marketplace that admitted the best agent on the proof of its score. */
  readonly marketplace: { readonly address: Hex; readonly agentId: number; readonly gasUsed: bigint };
  readonly bundle: { readonly text: string; readonly blockHash: Hex; readonly agentId: number };
  readonly seconds: number;
}

const SEED_STAKE = 1_000_000_000n;
/** The importer publishes too, and its stake has to cover the bond. */
const PUBLISHER_STAKE = 2_000_000_000n;
const TOP_COUNT = 10;
/** The marketplace asks for a thousandth of all scores. */
const ADMISSION_SCORE = SCORE_SUM / 1_000n;
/** Lines that were left out and are named; more are counted only. */
const MAX_NAMED_SKIPS = 10;

/**
 * Replays the first ratings of a published trust graph as signed, settled deals on a local chain, commits and finalizes
 * the epoch, has a marketplace admit the best agent on proof, and bundles that agent's audit. Run again after an
 * interruption, it takes up what is missing.
 */
export async function importRatings(options: ImportOptions): Promise<ImportResult> {
  const { rpcUrl, deployment, signal, progress, topic } = options;
  const startedAt = performance.now();
  const { ratings, skipped } = await readRatings(options);
  const { deals, sources } = planDeals(ratings);
  const client = createPublicClient({ transport: http(rpcUrl), cacheTime: 0 });
  const sender = new BatchSender(rpcUrl, deployment.chainId);
  progress(`${ratings.length} ratings among ${sources.length} people; ${skipped.length} lines left out`);
  const [publisher, ...agents] = await provision(options, client, sender, ratings, sources);
  if (publisher === undefined) throw new Error("provisioning gave no agents");
  const settled = await replay(options, client, sender, deals, ratings, agents);
  progress("closing the epoch: computing, committing, finalizing");
  const epoch = await publishEpoch(rpcUrl, client, deployment, publisher, signal);
  const finalized = await readFinalizedTopic(client, deployment, topicIdOf(topic), await client.getBlockNumber());
  if (finalized === undefined) throw new Error(`epoch ${epoch} of ${topic} is not finalized`);
  const best = bestOf(finalized);
  const personOf = new Map(agents.map(({ agentId }, index) => [Number(agentId), sources[index] ?? 0]));
  const winner = proveScore(finalized, best[0]?.agentId ?? 0);
  if (winner === undefined) throw new Error("the best agent has no leaf");
  const marketplace = await admit(options, client, winner);
  const { bundle, blockHash } = await exportBundle(client, deployment, BigInt(winner.agentId));
  return {
    ...{ ratings: ratings.length, skipped, agents: agents.length, settled, epoch, leafCount: finalized.leafCount },
    top: best.slice(0, TOP_COUNT).map(({ agentId, score }) => ({
      ...{ person: personOf.get(agentId) ?? 0, agentId },
      share: Number((score * 1_000_000n) / SCORE_SUM) / 1_000_000,
    })),
    marketplace,
    bundle: { text: writeBundle(bundle), blockHash, agentId: winner.agentId },
    seconds: Math.round((performance.now() - startedAt) / 1000),
  };
}

async function readRatings({ file, first }: ImportOptions): Promise<{ ratings: ImportedRating[]; skipped: string[] }> {
  const ratings: ImportedRating[] = [];
  const skipped: string[] = [];
  const stream = createReadStream(file);
  try {
    for await (const rating of parseRatings(stream)) {
      if (rating.kind === "accept") ratings.push(rating.value);
      else if (skipped.length < MAX_NAMED_SKIPS) skipped.push(`${rating.code}: ${rating.detail}`);
      if (ratings.length === first) break;
    }
  } catch (cause) {
    if (cause instanceof SuretyError) throw cause;
    throw new SuretyError("USAGE_IMPORT_FILE", `${file} cannot be read.`, {
      values: { file },
      next: "Name a file of ratings: source,target,weight,timestamp a line.",
      cause,
    });
  } finally {
    stream.destroy();
  }
  if (ratings.length > 0) return { ratings, skipped };
  throw new SuretyError("USAGE_IMPORT_FILE", `${file} holds no rating.`, {
    values: { file, skipped },
    next: "Name a file of ratings: source,target,weight,timestamp a line.",
  });
}

/** @returns the publisher, then the people in the order of their first appearance */
async function provision(
  { deployment, seeds, signal }: ImportOptions,
  client: PublicClient,
  sender: BatchSender,
  ratings: readonly ImportedRating[],
  sources: readonly number[],
): Promise<LocalAgent[]> {
  const given = new Map<number, number>();
  for (const { source } of ratings) given.set(source, (given.get(source) ?? 0) + 1);
  const busiest = [...given].sort(([a, x], [b, y]) => y - x || a - b).slice(0, seeds);
  const seeded = new Set(busiest.map(([person]) => person));
  const endowments = [PUBLISHER_STAKE, ...sources.map((person) => (seeded.has(person) ? SEED_STAKE : 0n))].map(
    (stake, index) => ({ account: agentAccount(index), uri: "", tokens: 0n, stake }),
  );
  const { timestamp } = await client.getBlock();
  const bar = new Progress("register", endowments.length);
  const onProgress = (count: number) => bar.update(count);
  return provisionAgents(sender, deployment, endowments, { now: Number(timestamp), signal, onProgress });
}

async function replay(
  { deployment, topic, signal }: ImportOptions,
  client: PublicClient,
  sender: BatchSender,
  deals: ReturnType<typeof planDeals>["deals"],
  ratings: readonly ImportedRating[],
  agents: readonly LocalAgent[],
): Promise<number> {
  const importer = testAccount(0);
  await fundImporter(sender, deployment, importer, PRICE * BigInt(deals.length), signal);
  const bar = new Progress("settle", deals.length);
  const planned = deals.map(({ clientIndex, providerIndex, rating }, index) => ({
    line: ratings[index]?.line ?? 0,
    client: agents[clientIndex] as LocalAgent,
    provider: agents[providerIndex] as LocalAgent,
    rating,
  }));
  const importing = { ratings: planned, topic: topicIdOf(topic), importer };
  return replayRatings(sender, client, deployment, importing, { signal, onProgress: (count) => bar.update(count) });
}

/** Agents by falling score, without the dust. */
function bestOf({ leaves = [] }: FinalizedTopic): { agentId: number; score: bigint }[] {
  return leaves
    .slice(1)
    .map((word) => unpackLeaf(word))
    .sort((a, b) => (a.score === b.score ? a.agentId - b.agentId : a.score > b.score ? -1 : 1));
}

/** Deploys the example marketplace and has it admit an agent on the proof of its score. */
async function admit(
  { rpcUrl, deployment }: ImportOptions,
  client: PublicClient,
  { query, leaf, proof, topic, agentId }: ProvenScore,
): Promise<ImportResult["marketplace"]> {
  const { abi, bytecode } = await hre.artifacts.readArtifact("ScoreGate");
  const account = privateKeyToAccount(testAccount(0).key);
  const wallet = createWalletClient({ account, transport: http(rpcUrl) });
  const args = [deployment.contracts.reputationEpochs, topic, ADMISSION_SCORE] as const;
  const deployedBy = await wallet.deployContract({ abi, bytecode: bytecode, args, chain: null });
  const { contractAddress } = await client.waitForTransactionReceipt({ hash: deployedBy });
  if (contractAddress === null || contractAddress === undefined) throw new Error("the marketplace was not deployed");
  const call = { abi, address: contractAddress, functionName: "admit", args: [query, leaf, proof] } as const;
  const hash = await wallet.writeContract({ ...call, chain: null });
  const receipt = await client.waitForTransactionReceipt({ hash });
  const [admitted] = parseEventLogs({ abi, eventName: "Admitted", logs: receipt.logs });
  if (receipt.status !== "success" || admitted === undefined)
    throw new Error("the marketplace did not admit the agent");
  return { address: contractAddress, agentId, gasUsed: receipt.gasUsed };
}

/** Where the import leaves what it wrote. */
export const bundlePath = (dir: string): string => join(dir, "best.bundle.json");
