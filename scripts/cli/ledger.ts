import type { Hex } from "viem";
import { SuretyError, trustLedgerAbi, type Deployment } from "#protocol";
import type { ChainClient } from "../../node/chain/connect.ts";
import { readBases } from "../../node/reputation/bases.ts";
import { emptyBook, foldEpochEvent, type EpochEvent } from "../../node/reputation/book.ts";
import { decodeReputationLog } from "../../node/reputation/chain.ts";
import { coupleTopics } from "../../node/reputation/coupled.ts";
import type { Opinion } from "../../node/reputation/risk.ts";
import { TrustFold, type TopicGraph, type TrustEvent } from "../../node/reputation/graph.ts";

/** One record of the ledger: a settled deal, or a late refund. */
export interface DealRecord {
  readonly topic: bigint;
  readonly client: number;
  readonly provider: number;
  /** The pair's sums and weight after it. */
  readonly satisfied: number;
  readonly unsatisfied: number;
  readonly weight: number;
  readonly epoch: number;
  readonly transactionHash: Hex;
}

export interface LedgerState {
  /** Last epoch that is contained. */
  readonly epoch: number;
  readonly epochLengthSeconds: number;
  readonly graphs: readonly TopicGraph[];
  readonly deals: readonly DealRecord[];
}

/** What common endpoints answer in one request. */
const BLOCKS_PER_REQUEST = 10_000n;

/**
 * Local trust, and the priors that are committed for it, from the chain's own events, with the transactions that made them.
 * @param epoch the last one to take in; undefined = all that happened so far, the running epoch included
 */
export async function readLedger(
  client: ChainClient,
  { contracts, deployedAtBlock }: Deployment,
  epoch: number | undefined,
  signal: AbortSignal,
): Promise<LedgerState> {
  const ledger = { abi: trustLedgerAbi, address: contracts.trustLedger } as const;
  const running = await client.readContract({ ...ledger, functionName: "epoch" });
  const epochLengthSeconds = Number(await client.readContract({ ...ledger, functionName: "epochLength" }));
  const until = epoch ?? Number(running);
  const fold = new TrustFold();
  let book = emptyBook;
  const deals: DealRecord[] = [];
  const head = await client.getBlockNumber();
  for (let fromBlock = BigInt(deployedAtBlock); fromBlock <= head; fromBlock += BLOCKS_PER_REQUEST) {
    signal.throwIfAborted();
    const last = fromBlock + BLOCKS_PER_REQUEST - 1n;
    const toBlock = last < head ? last : head;
    const { trustLedger, stakeVault, reputationEpochs } = contracts;
    const logs = await client.getLogs({ address: [trustLedger, stakeVault, reputationEpochs], fromBlock, toBlock });
    for (const log of logs) {
      const decoded = decodeReputationLog(log, contracts);
      if (decoded?.source === "epochs" && isBefore(decoded.event, until)) book = foldEpochEvent(book, decoded.event);
      if (decoded?.source !== "trust" || decoded.event.epoch > until) continue;
      fold.apply(decoded.event);
      if (isRecord(decoded.event)) deals.push({ ...decoded.event, transactionHash: log.transactionHash });
    }
  }
  const seatCountAt = (topic: bigint, closed: number) => fold.seatCountAt(topic, closed);
  const bases = await readBases({ book, epoch: until, seatCountAt }, { exchange: undefined, patienceMs: 0 }, signal);
  return { epoch: until, epochLengthSeconds, graphs: coupleTopics(fold.graphs(), book.couplings, bases), deals };
}

/** What came after the close plays no part in what the epoch's priors read. */
function isBefore(event: EpochEvent, epoch: number): boolean {
  if (event.kind === "finalized") return event.finalizedIn <= epoch;
  return event.kind !== "committed" || event.epoch < epoch;
}

function isRecord(event: TrustEvent): event is TrustEvent & { readonly kind: "recorded" } {
  return event.kind === "recorded";
}

/** @throws SuretyError TOPIC_UNKNOWN */
export function graphOfTopic({ graphs, epoch }: LedgerState, topic: bigint, name: string): TopicGraph {
  const graph = graphs.find((candidate) => candidate.topic === topic);
  if (graph !== undefined) return graph;
  throw new SuretyError("TOPIC_UNKNOWN", `Nobody has dealt in topic "${name}" by epoch ${epoch}.`, {
    values: { topic, name, epoch },
    next: "Check the topic's spelling, or take a later epoch.",
  });
}

/**
 * What each record of a topic said of its provider: praise if the pair's satisfied sum rose, a complaint if the other did. Ages
 * are whole epochs before the last one that was read.
 */
export function opinionsOf(
  { deals, epoch: last, epochLengthSeconds }: LedgerState,
  { topic, agentIds }: TopicGraph,
): (Opinion & { readonly provider: number })[] {
  const seats = new Map(Array.from(agentIds, (agentId, seat) => [agentId, seat]));
  const before = new Map<string, DealRecord>();
  return deals.flatMap((deal) => {
    if (deal.topic !== topic) return [];
    const pair = `${deal.client}-${deal.provider}`;
    const known = before.get(pair);
    before.set(pair, deal);
    const isComplaint = deal.unsatisfied > (known?.unsatisfied ?? 0);
    // A row that is full saturates: such praise is recorded, and moves nothing.
    if (!isComplaint && deal.satisfied <= (known?.satisfied ?? 0)) return [];
    const [client, provider] = [seats.get(deal.client) as number, seats.get(deal.provider) as number];
    return [{ client, provider, isPraise: !isComplaint, ageSeconds: (last - deal.epoch) * epochLengthSeconds }];
  });
}
