import { keccak256, toHex, zeroAddress, zeroHash, type Abi, type Hex, type PublicClient } from "viem";
import { dealEscrowAbi, structHash, testTokenAbi, typedDataDigest, type Deal, type Deployment } from "#protocol";
import { readEvents } from "../audit/logs.ts";
import { writeOf, type BatchSender, type Write } from "../cli/batch.ts";
import type { TestAccount } from "../devnet/accounts.ts";
import type { LocalAgent } from "../devnet/provision.ts";

/** One rating to replay as a settled deal. */
export interface Rating {
  /** Number of its line in the file, from 1: the deal's salt, so that a second run finds what the first one settled. */
  readonly line: number;
  readonly client: LocalAgent;
  readonly provider: LocalAgent;
  /** -100..100 without 0. */
  readonly rating: number;
}

/** Every rating settles a deal of one smallest unit: what counts is the rating. */
export const PRICE = 1n;
const DELIVERY_S = 30 * 24 * 3_600;
const REVIEW_S = 24 * 3_600;
/** Deals that go through the three steps together, so that an interruption loses little. */
const CHUNK = 100;

/** Gas limits, with room. Completing leaves the escrow what it demands before it records trust (DealEscrowLowGas). */
const gasOf = { token: 200_000n, open: 400_000n, submit: 150_000n, complete: 450_000n };

/**
 * Replays ratings as deals that both agents sign, in the order of the file: the importer opens and pays, the provider
 * delivers, the client completes and rates. Deals that an earlier run settled are left out.
 * @returns how many deals this run settled
 */
export async function replayRatings(
  sender: BatchSender,
  client: PublicClient,
  deployment: Deployment,
  { ratings, topic, importer }: { ratings: readonly Rating[]; topic: bigint; importer: TestAccount },
  { signal, onProgress }: { signal: AbortSignal; onProgress: (count: number) => void },
): Promise<number> {
  const known = await readKnownDeals(client, deployment, topic, importer);
  const { timestamp } = await client.getBlock();
  let settled = 0;
  for (let start = 0; start < ratings.length; start += CHUNK) {
    const chunk = ratings.slice(start, start + CHUNK).map((rating) => {
      const earlier = known.get(BigInt(rating.line));
      return {
        rating,
        deal: earlier?.deal ?? dealOf(deployment, rating, topic, Number(timestamp)),
        state: earlier?.state ?? 0,
      };
    });
    const step = (before: number, write: (deal: Deal, rating: Rating) => Write) =>
      sender.send(
        chunk.filter(({ state }) => state < before).map(({ deal, rating }) => write(deal, rating)),
        signal,
      );
    await step(1, (deal, rating) => openingOf(deployment, importer, deal, rating));
    await step(2, (deal, rating) => submissionOf(deployment, deal, rating));
    await step(3, (deal, rating) => completionOf(deployment, deal, rating));
    settled += chunk.filter(({ state }) => state < 3).length;
    onProgress(Math.min(start + CHUNK, ratings.length));
  }
  return settled;
}

/** Mints what the importer pays for its deals with the test token, and lets the escrow take it. */
export function fundImporter(
  sender: BatchSender,
  { contracts }: Deployment,
  importer: TestAccount,
  amountWei: bigint,
  signal: AbortSignal,
): Promise<void> {
  const token = { abi: testTokenAbi as Abi, to: contracts.token, gas: gasOf.token };
  const writes = [
    writeOf(importer, { ...token, functionName: "mint", args: [importer.address, amountWei] }),
    writeOf(importer, { ...token, functionName: "approve", args: [contracts.dealEscrow, amountWei] }),
  ];
  return sender.send(writes, signal);
}

/** Deals that the importer opened before, by salt, with their terms and the contract's state (1 funded … 3 completed). */
async function readKnownDeals(
  client: PublicClient,
  { contracts, deployedAtBlock }: Deployment,
  topic: bigint,
  importer: TestAccount,
): Promise<Map<bigint, { deal: Deal; state: number }>> {
  const escrow = { abi: dealEscrowAbi, address: contracts.dealEscrow } as const;
  const range = { ...escrow, fromBlock: BigInt(deployedAtBlock), toBlock: await client.getBlockNumber() };
  const funded = await readEvents(client, { ...range, eventName: "DealFunded" });
  const own = funded.filter(({ args }) => args.deal.topic === topic && args.payer === importer.address);
  const known = new Map<bigint, { deal: Deal; state: number }>();
  for (const { args } of own) {
    const [state] = await client.readContract({ ...escrow, functionName: "dealOf", args: [args.dealId] });
    known.set(args.deal.salt, { deal: args.deal, state });
  }
  return known;
}

function dealOf({ contracts }: Deployment, { line, client, provider }: Rating, topic: bigint, now: number): Deal {
  return {
    clientAgentId: client.agentId,
    providerAgentId: provider.agentId,
    topic,
    token: contracts.token,
    price: PRICE,
    providerBond: 0n,
    clientBond: 0n,
    submitBy: now + DELIVERY_S,
    reviewPeriod: REVIEW_S,
    arbiter: zeroAddress,
    arbiterDeadline: 0,
    mechanismHash: zeroHash,
    certificateHash: zeroHash,
    specHash: keccak256(toHex(`rating of line ${line}`)),
    splitsRoot: zeroHash,
    epoch: 0,
    hook: zeroAddress,
    salt: BigInt(line),
  };
}

function escrowWrite(
  { contracts }: Deployment,
  account: TestAccount,
  functionName: "open" | "submit" | "complete",
  args: readonly unknown[],
): Write {
  const call = { abi: dealEscrowAbi as Abi, to: contracts.dealEscrow, functionName, args, gas: gasOf[functionName] };
  return writeOf(account, call);
}

function openingOf(deployment: Deployment, importer: TestAccount, deal: Deal, { client, provider }: Rating): Write {
  const digest = typedDataDigest("Deal", deal, { chainId: deployment.chainId, ...deployment.contracts });
  const party = (agent: LocalAgent) => ({ signer: agent.address, signature: agent.signer.sign(digest) });
  return escrowWrite(deployment, importer, "open", [deal, party(client), party(provider)]);
}

function submissionOf(deployment: Deployment, deal: Deal, { provider }: Rating): Write {
  const deliverableHash: Hex = keccak256(structHash("Deal", deal));
  return escrowWrite(deployment, provider, "submit", [deal, deliverableHash]);
}

function completionOf(deployment: Deployment, deal: Deal, { client, rating }: Rating): Write {
  return escrowWrite(deployment, client, "complete", [deal, rating]);
}
