import { bridgedBy, budgetOf, coupledPriorOf, scoreOfLeaf, SuretyError, type Couplings } from "#protocol";
import type { Base, SourceTopic, TopicBridges, TopicGraph } from "./graph.ts";

/**
 * MG-EigenTrust's priors (arXiv 2606.17368 eq. 12), as ReputationEpochs reads them: stake, and what an agent's scores in the other
 * topics' bases add to it. Whoever commits, watches or explains takes the same graphs from here.
 * @param graphs all topics at the close of one epoch, with stakes as priors
 * @param bases by topic, as of that close
 * @returns the graphs with the priors that are committed
 * @throws SuretyError BASE_UNREADABLE, retryable, where an agent's score counts in a base whose leaves are not at hand
 */
export function coupleTopics(
  graphs: readonly TopicGraph[],
  couplings: Couplings,
  bases: ReadonlyMap<bigint, Base>,
): TopicGraph[] {
  const byTopic = new Map(graphs.map((graph) => [graph.topic, graph]));
  const seatsOf = new Map<bigint, SeatIndex>();
  return graphs.map((graph) => {
    const bridges = bridgesTo(graph, couplings, bases, byTopic);
    if (bridges === undefined) return graph;
    for (const { graph: source } of bridges.sources) {
      if (!seatsOf.has(source.topic)) seatsOf.set(source.topic, indexSeats(source));
    }
    return { ...graph, bridges, priors: priorsOf(graph, bridges, seatsOf) };
  });
}

/** undefined: nothing can be bridged, since the topic has no base, or none of its sources has one. */
function bridgesTo(
  graph: TopicGraph,
  { links, minClients, maxShare }: Couplings,
  bases: ReadonlyMap<bigint, Base>,
  byTopic: ReadonlyMap<bigint, TopicGraph>,
): TopicBridges | undefined {
  const own = bases.get(graph.topic);
  const budget = own === undefined ? 0n : budgetOf(own);
  const sources = links.flatMap(({ to, from, omega }): SourceTopic[] => {
    const [base, source] = [bases.get(from), byTopic.get(from)];
    return to === graph.topic && base !== undefined && source !== undefined ? [{ omega, graph: source, base }] : [];
  });
  if (budget === 0n || sources.length === 0) return undefined;
  return { stakes: graph.priors, budget, minClients, maxShare, sources };
}

function priorsOf(
  { agentIds, seatCount }: TopicGraph,
  bridges: TopicBridges,
  seatsOf: ReadonlyMap<bigint, SeatIndex>,
): Float64Array {
  const { stakes, maxShare, budget, sources } = bridges;
  const priors = new Float64Array(seatCount);
  for (let seat = 1; seat < seatCount; seat++) {
    const stake = stakes[seat] as number;
    if (stake === 0) continue;
    let bridged = 0n;
    for (const source of sources) {
      const sourceSeat = seatsOf.get(source.graph.topic)?.(agentIds[seat] as number) ?? 0;
      if (isCounted(source, sourceSeat, bridges)) {
        bridged += bridgedBy(scoreOfLeaf(leafAt(source, sourceSeat)), source.omega, budget);
      }
    }
    priors[seat] = bridged === 0n ? stake : Number(coupledPriorOf(BigInt(stake), bridged, maxShare));
  }
  return priors;
}

/** A score of one agent that counts elsewhere. */
export interface CountedSource {
  readonly source: SourceTopic;
  readonly seat: number;
  /** Packed. */
  readonly leaf: bigint;
}

/** The sources that count for the agent in a seat, in the order of the links: what `challengePrior` wants shown. */
export function countedSourcesOf({ bridges, agentIds }: TopicGraph, seat: number): CountedSource[] {
  if (bridges === undefined || bridges.stakes[seat] === 0) return [];
  return bridges.sources.flatMap((source) => {
    const sourceSeat = Math.max(source.graph.agentIds.indexOf(agentIds[seat] as number), 0);
    if (!isCounted(source, sourceSeat, bridges)) return [];
    return [{ source, seat: sourceSeat, leaf: leafAt(source, sourceSeat) }];
  });
}

function isCounted({ graph: { inStart }, base }: SourceTopic, seat: number, { minClients }: TopicBridges): boolean {
  if (seat === 0 || seat >= base.leafCount) return false;
  return (inStart[seat + 1] as number) - (inStart[seat] as number) >= minClients;
}

function leafAt({ base: { leaves, topic, epoch, root } }: SourceTopic, seat: number): bigint {
  if (leaves !== undefined) return leaves[seat] as bigint;
  throw new SuretyError(
    "BASE_UNREADABLE",
    `The leaves of topic ${topic} in epoch ${epoch} are needed and not at hand.`,
    {
      values: { topic, epoch, root },
      next: "They came with no commit and no answer that we read: fetch them from whoever has them, or wait for the next base.",
      isRetryable: true,
    },
  );
}

/** Seat of an agent, 0 = none. */
type SeatIndex = (agentId: number) => number;

/** Agents this many times as sparse as seats are looked up in a map instead of a table. */
const SPARSE = 16;

function indexSeats({ agentIds, seatCount }: TopicGraph): SeatIndex {
  const highest = agentIds.reduce((max, agentId) => Math.max(max, agentId), 0);
  if (highest > SPARSE * seatCount) {
    const seats = new Map(Array.from(agentIds, (agentId, seat) => [agentId, seat]));
    return (agentId) => seats.get(agentId) ?? 0;
  }
  const seats = new Uint32Array(highest + 1);
  agentIds.forEach((agentId, seat) => (seats[agentId] = seat));
  return (agentId) => seats[agentId] ?? 0;
}
