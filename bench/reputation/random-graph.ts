import type { TopicGraph } from "../../node/reputation/graph.ts";

/** sfc32 of PractRand: the same sequence everywhere. @returns numbers in [0, 1) */
export function createRandom(seed: number): () => number {
  let [a, b, c, d] = [0x9e3779b9 ^ seed, (0x243f6a88 + seed * 7919) | 0, 0xb7e15162, seed | 1];
  const next = () => {
    const sum = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + sum;
    c |= 0;
    return (sum >>> 0) / 2 ** 32;
  };
  for (let k = 0; k < 20; k++) next();
  return next;
}

/** Trusted pairs of a topic, as peers' programs read them. */
export interface EdgeList {
  readonly agentCount: number;
  readonly sources: Uint32Array;
  readonly targets: Uint32Array;
  readonly weights: Uint8Array;
  /** Pre-trusted agents. */
  readonly seeds: Uint32Array;
}

/** Agents of a community deal with each other four times of five. */
const COMMUNITY = 500;
const SEED_COUNT = 20;
/** Rank by u^k: degrees follow power laws with exponents about 2.5 outwards and 2.2 inwards. */
const [OUT_POWER, IN_POWER] = [3, 6];

/** A power-law graph with communities, weights 1–100, distinct pairs: what trust among strangers looks like. */
export function createPowerLawEdges(agentCount: number, edgeCount: number, seed: number): EdgeList {
  const random = createRandom(seed);
  const places = shuffled(agentCount, random);
  const pairs = new Float64Array(edgeCount + (edgeCount >> 2));
  let distinct = 0;
  while (distinct < edgeCount) {
    for (let k = distinct; k < pairs.length; k++) {
      const rank = Math.floor(agentCount * random() ** OUT_POWER);
      const isNear = random() < 0.8;
      // A community is every COMMUNITY-th part of the ranks, so that each has its own great and small.
      const near =
        (rank % Math.ceil(agentCount / COMMUNITY)) +
        Math.ceil(agentCount / COMMUNITY) * Math.floor(COMMUNITY * random() ** IN_POWER);
      const other = isNear ? near : Math.floor(agentCount * random() ** IN_POWER);
      pairs[k] =
        other >= agentCount || other === rank ? -1 : (places[rank] as number) * 2 ** 26 + (places[other] as number);
    }
    distinct = keepDistinct(pairs);
  }
  return listOf(pairs, distinct, { agentCount, edgeCount }, random);
}

function shuffled(count: number, random: () => number): Uint32Array {
  const places = Uint32Array.from({ length: count }, (_, k) => k);
  for (let k = count - 1; k > 0; k--) {
    const other = Math.floor(random() * (k + 1));
    [places[k], places[other]] = [places[other] as number, places[k] as number];
  }
  return places;
}

/** Sorts, and moves the distinct pairs to the front. */
function keepDistinct(pairs: Float64Array): number {
  pairs.sort();
  let kept = 0;
  for (const pair of pairs) if (pair >= 0 && (kept === 0 || pairs[kept - 1] !== pair)) pairs[kept++] = pair;
  return kept;
}

function listOf(
  pairs: Float64Array,
  distinct: number,
  { agentCount, edgeCount }: { readonly agentCount: number; readonly edgeCount: number },
  random: () => number,
): EdgeList {
  const sources = new Uint32Array(edgeCount);
  const targets = new Uint32Array(edgeCount);
  let taken = 0;
  // What is too many is left out evenly: the pairs are sorted by source.
  for (let k = 0; k < distinct && taken < edgeCount; k++) {
    if (random() * (distinct - k) >= edgeCount - taken) continue;
    sources[taken] = Math.floor((pairs[k] as number) / 2 ** 26);
    targets[taken++] = (pairs[k] as number) % 2 ** 26;
  }
  const weights = Uint8Array.from(sources, () => 1 + Math.floor(random() * 100));
  const seeds = new Set<number>();
  while (seeds.size < SEED_COUNT) seeds.add(Math.floor(random() * agentCount));
  return { agentCount, sources, targets, weights, seeds: Uint32Array.from(seeds) };
}

/** In-edges by counting sort. Seats are agents, seat 0 included: peers know no dust. */
export function graphOfEdges({ agentCount, sources, targets, weights, seeds }: EdgeList, topic = 1n): TopicGraph {
  const inStart = new Uint32Array(agentCount + 1);
  for (const target of targets) inStart[target + 1] = (inStart[target + 1] as number) + 1;
  for (let seat = 0; seat < agentCount; seat++)
    inStart[seat + 1] = (inStart[seat + 1] as number) + (inStart[seat] as number);
  const next = inStart.slice(0, agentCount);
  const inSeats = new Uint32Array(sources.length);
  const inWeights = new Uint32Array(sources.length);
  const rowSums = new Uint32Array(agentCount);
  for (let k = 0; k < sources.length; k++) {
    const [source, target, weight] = [sources[k] as number, targets[k] as number, weights[k] as number];
    const edge = next[target] as number;
    next[target] = edge + 1;
    inSeats[edge] = source;
    inWeights[edge] = weight;
    rowSums[source] = (rowSums[source] as number) + weight;
  }
  const priors = new Float64Array(agentCount);
  for (const seed of seeds) priors[seed] = 1;
  const agentIds = Uint32Array.from({ length: agentCount }, (_, seat) => seat);
  return { topic, seatCount: agentCount, agentIds, inStart, inSeats, inWeights, rowSums, priors };
}
