import { MAX_ROW_SUM } from "#protocol";
import type { TopicGraph } from "./graph.ts";
import type { ImportedRating } from "./import.ts";

/** A published list of ratings as one topic, without a chain: what the ledger would hold after those deals. */
export interface RatingGraph {
  readonly graph: TopicGraph;
  /** Who of the file sits in each seat; [0] = nobody, the dust. */
  readonly people: readonly number[];
}

/** Seats of a graph are found by client · this + provider; a topic has fewer seats. */
const PAIR_BASE = 2 ** 26;
/** Stake of everybody who is pre-trusted: only the proportion counts. */
const SEED_STAKE = 1_000_000;

/**
 * Adds up the ratings of each pair as TrustLedger does: weight = max(satisfied - unsatisfied, 0), row sums saturate.
 * @param seedCount this many of the busiest raters are pre-trusted, as `surety reputation import` has it; 0 = everybody alike
 */
export function createRatingGraph(ratings: Iterable<ImportedRating>, seedCount: number): RatingGraph {
  const seatOf = new Map<number, number>();
  const people = [-1];
  const balances = new Map<number, number>();
  const givenCounts = [0];
  const seat = (person: number): number => {
    let found = seatOf.get(person);
    if (found === undefined) {
      found = people.push(person) - 1;
      seatOf.set(person, found);
      givenCounts.push(0);
    }
    return found;
  };
  for (const { source, target, rating } of ratings) {
    const [client, provider] = [seat(source), seat(target)];
    const pair = client * PAIR_BASE + provider;
    balances.set(pair, (balances.get(pair) ?? 0) + rating);
    givenCounts[client] = (givenCounts[client] as number) + 1;
  }
  return { graph: graphOf(balances, people, priorsOf(givenCounts, seedCount)), people };
}

function priorsOf(givenCounts: readonly number[], seedCount: number): Float64Array {
  if (seedCount === 0) return Float64Array.from(givenCounts, (_, seat) => (seat === 0 ? 0 : SEED_STAKE));
  const busiest = givenCounts
    .map((count, seat) => ({ count, seat }))
    .slice(1)
    .sort((a, b) => b.count - a.count || a.seat - b.seat)
    .slice(0, seedCount);
  const priors = new Float64Array(givenCounts.length);
  for (const { seat } of busiest) priors[seat] = SEED_STAKE;
  return priors;
}

function graphOf(balances: ReadonlyMap<number, number>, people: readonly number[], priors: Float64Array): TopicGraph {
  const seatCount = people.length;
  const edges = [...balances].filter(([, balance]) => balance > 0);
  const inStart = new Uint32Array(seatCount + 1);
  for (const [pair] of edges) inStart[(pair % PAIR_BASE) + 1] = (inStart[(pair % PAIR_BASE) + 1] as number) + 1;
  for (let seat = 0; seat < seatCount; seat++)
    inStart[seat + 1] = (inStart[seat + 1] as number) + (inStart[seat] as number);
  const next = inStart.slice(0, seatCount);
  const inSeats = new Uint32Array(edges.length);
  const inWeights = new Uint32Array(edges.length);
  const rowSums = new Uint32Array(seatCount);
  for (const [pair, balance] of edges) {
    const [client, provider] = [Math.floor(pair / PAIR_BASE), pair % PAIR_BASE];
    const edge = next[provider] as number;
    next[provider] = edge + 1;
    const weight = Math.min(balance, Number(MAX_ROW_SUM) - (rowSums[client] as number));
    inSeats[edge] = client;
    inWeights[edge] = weight;
    rowSums[client] = (rowSums[client] as number) + weight;
  }
  const agentIds = Uint32Array.from(people, (_, seat) => seat);
  return { topic: 1n, seatCount, agentIds, inStart, inSeats, inWeights, rowSums, priors };
}
