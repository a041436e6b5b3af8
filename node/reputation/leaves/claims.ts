import { isAddressEqual, type Address } from "viem";
import { CHUNK_LEAVES, windowsOf, type EpochClock } from "#protocol";
import { chunkKey, type Candidate } from "../book.ts";
import type { TopicGraph } from "../graph.ts";
import type { LeafExchange } from "../port.ts";
import type { ClaimedTopic, Finding } from "../verify.ts";

/** Ten minutes, or a twelfth of an epoch if that is less: peers are asked first, but who pays on chain must still be in time. */
const MAX_PATIENCE_S = 600;

/** How long peers may be asked, at a block's time (Unix seconds); at most half of what is left of the window. */
export function patienceMsAt(clock: EpochClock, epoch: number, now: number): number {
  const { requestUntil, challengeUntil } = windowsOf(clock, epoch);
  const leftS = Math.max((now < requestUntil ? requestUntil : challengeUntil) - now, 0);
  return 1_000 * Math.min(MAX_PATIENCE_S, clock.epochLengthSeconds / 12, leftS / 2);
}

/** A candidate as far as its leaves are known, and which chunks nobody gave. */
export interface CompletedClaims {
  readonly claimed: readonly ClaimedTopic[];
  /** A request for leaves, without the chunks that are here already. */
  narrow(finding: Finding): Finding;
}

export interface ClaimsToComplete {
  readonly candidate: Candidate;
  readonly claimed: readonly ClaimedTopic[];
  readonly graphs: readonly TopicGraph[];
  /** Our account: once it has paid for a chunk of a topic on chain, the peers were asked before. */
  readonly requester: Address;
  readonly patienceMs: number;
}

/** Takes from other nodes what came neither with the commit nor in answers on chain. */
export async function completeClaims(
  { candidate, claimed, graphs, requester, patienceMs: patience }: ClaimsToComplete,
  exchange: LeafExchange,
  signal: AbortSignal,
): Promise<CompletedClaims> {
  const missing = new Map<bigint, readonly number[]>();
  const completed: ClaimedTopic[] = [];
  for (const topic of claimed) {
    const leafCount = graphs.find((graph) => graph.topic === topic.topic)?.seatCount ?? 0;
    if (topic.leaves !== undefined || leafCount === 0) {
      completed.push(topic);
      continue;
    }
    const { epoch, publisher, requests } = candidate;
    const own = [...requests.values()].filter((request) => isAddressEqual(request.requester, requester));
    const patienceMs = own.some((request) => request.topic === topic.topic) ? 0 : patience;
    const wanted = { root: topic.root, leafCount, epoch, publisher, patienceMs };
    const found = await exchange.find(wanted, signal);
    const chunks = Array.from(
      { length: Math.ceil(leafCount / CHUNK_LEAVES) },
      (_, chunk) => found[chunk] ?? requests.get(chunkKey(topic.topic, chunk))?.leaves,
    );
    const gaps = chunks.flatMap((chunk, k) => (chunk === undefined ? [k] : []));
    missing.set(topic.topic, gaps);
    completed.push(gaps.length > 0 ? topic : { ...topic, leaves: chunks.flatMap((chunk) => chunk ?? []) });
  }
  return {
    claimed: completed,
    narrow(finding) {
      const gaps = finding.kind === "unavailable" ? missing.get(finding.topic) : undefined;
      return finding.kind === "unavailable" && gaps !== undefined && gaps.length > 0
        ? { ...finding, chunks: gaps }
        : finding;
    },
  };
}
