import type { Hex } from "viem";
import { CHUNK_LEAVES, decodeLeaves, LeafTree, type TopicRoot } from "#protocol";
import { answeredLeaves, baseRootAt, type Candidate, type EpochBook, type FinalizedRoot } from "./book.ts";
import type { Base } from "./graph.ts";
import type { LeafExchange } from "./port.ts";

/** What an epoch's priors read: of each coupled topic the base's root, and the leaves of those that lead to another. */
function baseRootsAt(book: EpochBook, epoch: number): { root: FinalizedRoot; isSource: boolean }[] {
  const { links } = book.couplings;
  const topics = new Set(links.flatMap(({ to, from }) => [to, from]));
  return [...topics].flatMap((topic) => {
    const root = baseRootAt(book, topic, epoch);
    return root === undefined ? [] : [{ root, isSource: links.some(({ from }) => from === topic) }];
  });
}

function baseOf(finalized: FinalizedRoot, leaves: readonly bigint[] | undefined): Base {
  const { topic, root, multiplier, shift, leafCount, epoch } = finalized;
  return { topic, root, multiplier, shift, leafCount, epoch, leaves };
}

/** `seatsAt` of a topic at the close of a candidate's epoch. */
export type SeatCounts = (topic: bigint) => number;

/** Leaves that the chain itself shows of one topic: published with the commit, or chunk by chunk on request; checked. */
export function shownLeaves(
  candidate: Candidate,
  { topic, root }: TopicRoot,
  seatCountOf: SeatCounts,
): readonly bigint[] | undefined {
  const counts = candidate.topics.map((committed) => seatCountOf(committed.topic));
  const place = candidate.topics.findIndex((committed) => committed.topic === topic);
  const decoded = decodeLeaves(candidate.leaves, counts);
  const published = decoded.kind === "accept" ? decoded.value[place] : undefined;
  if (isWhole(published, root)) return published;
  // Answers were checked where they were given.
  return answeredLeaves(candidate, topic, Math.ceil((counts[place] as number) / CHUNK_LEAVES));
}

function isWhole(leaves: readonly bigint[] | undefined, root: string): boolean {
  return leaves !== undefined && leaves.length > 0 && new LeafTree(leaves).root === root;
}

/** Leaves by root, of roots that may yet become bases. */
export class LeafMemory {
  readonly #byRoot = new Map<Hex, readonly bigint[]>();

  /** @param topics with leaves that were seen to lead to their roots; others pass by */
  keep(topics: readonly { readonly root: Hex; readonly leaves: readonly bigint[] | undefined }[]): void {
    for (const { root, leaves } of topics) if (leaves !== undefined) this.#byRoot.set(root, leaves);
  }

  leavesOf(root: Hex): readonly bigint[] | undefined {
    return this.#byRoot.get(root);
  }

  /** Lets go what the book names no more: it keeps the candidates of four epochs, and three finalized roots a topic. */
  prune({ candidates, finalized }: EpochBook): void {
    const committed = [...candidates.values()].flatMap(({ topics }) => topics);
    const named = new Set([...committed, ...[...finalized.values()].flat()].map(({ root }) => root));
    for (const root of this.#byRoot.keys()) if (!named.has(root)) this.#byRoot.delete(root);
  }
}

/** Where bases are read from, at the close of an epoch. */
export interface BaseReading {
  readonly book: EpochBook;
  readonly epoch: number;
  readonly seatCountAt: (topic: bigint, epoch: number) => number;
  readonly memory?: LeafMemory;
}

/** Other nodes, for leaves that the chain does not show. */
export interface BaseAsking {
  readonly exchange: LeafExchange | undefined;
  readonly patienceMs: number;
}

/** The bases of all coupled topics; one whose leaves nobody gives is without them. */
export async function readBases(
  reading: BaseReading,
  asking: BaseAsking,
  signal: AbortSignal,
): Promise<Map<bigint, Base>> {
  const bases = new Map<bigint, Base>();
  for (const { root, isSource } of baseRootsAt(reading.book, reading.epoch)) {
    const leaves = isSource ? await readLeaves(reading, root, asking, signal) : undefined;
    bases.set(root.topic, baseOf(root, leaves));
  }
  return bases;
}

async function readLeaves(
  { memory, seatCountAt }: BaseReading,
  { root, topic, leafCount, candidate, ...lambda }: FinalizedRoot,
  { exchange, patienceMs }: BaseAsking,
  signal: AbortSignal,
): Promise<readonly bigint[] | undefined> {
  const seatCountOf: SeatCounts = (named) => seatCountAt(named, candidate.epoch);
  const known = memory?.leavesOf(root) ?? shownLeaves(candidate, { topic, root, ...lambda }, seatCountOf);
  if (known !== undefined || exchange === undefined) return known;
  const { epoch, publisher } = candidate;
  const found = await exchange.find({ root, leafCount, epoch, publisher, patienceMs }, signal);
  const chunks = Array.from({ length: Math.ceil(leafCount / CHUNK_LEAVES) }, (_, chunk) => found[chunk]);
  const whole = chunks.some((chunk) => chunk === undefined) ? undefined : chunks.flatMap((chunk) => chunk ?? []);
  memory?.keep([{ root, leaves: whole }]);
  return whole;
}
