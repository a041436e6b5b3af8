import { priorOf, SuretyError, type BaseRoot } from "#protocol";

/** `Seated` and `Recorded` of ITrustLedger, and the events of IStakeVault that carry a stake, each in its epoch. */
export type TrustEvent =
  | {
      readonly kind: "seated";
      readonly topic: bigint;
      readonly agentId: number;
      readonly seat: number;
      readonly epoch: number;
    }
  | {
      readonly kind: "recorded";
      readonly topic: bigint;
      readonly client: number;
      readonly provider: number;
      /** The pair's sums and weight after the record, saturated by the ledger. */
      readonly satisfied: number;
      readonly unsatisfied: number;
      readonly weight: number;
      readonly epoch: number;
    }
  | {
      readonly kind: "stake";
      readonly agentId: number;
      /** After the event. */
      readonly stakeWei: bigint;
      readonly epoch: number;
    };

/** Local trust of one topic at the close of an epoch. Arrays are indexed by seat; seat 0 is dust. */
export interface TopicGraph {
  readonly topic: bigint;
  /** Seats, dust included: `seatsAt`. */
  readonly seatCount: number;
  readonly agentIds: Uint32Array;
  /** In-edges of seat j are [inStart[j], inStart[j + 1]), in the ledger's order of listing; a weight may be 0. */
  readonly inStart: Uint32Array;
  readonly inSeats: Uint32Array;
  readonly inWeights: Uint32Array;
  /** W, at most MAX_ROW_SUM. */
  readonly rowSums: Uint32Array;
  /** p̃, at most MAX_PRIOR, exact in a double: the stakes, until `coupleTopics` adds what reputation elsewhere brings. */
  readonly priors: Float64Array;
  /** What the priors were made of; undefined: of stakes alone. */
  readonly bridges?: TopicBridges;
}

/** What the priors of an epoch read of a topic: the last root that had been finalized when the epoch closed. */
export interface Base extends BaseRoot {
  readonly topic: bigint;
  readonly epoch: number;
  /** Packed, in order of seat; undefined: they were shown to us nowhere. */
  readonly leaves: readonly bigint[] | undefined;
}

/** A topic whose scores count in another. */
export interface SourceTopic {
  /** Q16. */
  readonly omega: number;
  /** At the close of the same epoch. */
  readonly graph: TopicGraph;
  readonly base: Base;
}

export interface TopicBridges {
  /** min(stake, MAX_PRIOR) by seat. */
  readonly stakes: Float64Array;
  /** `budgetOf` the topic's own base, above 0. */
  readonly budget: bigint;
  readonly minClients: number;
  /** Q16. */
  readonly maxShare: number;
  /** In the order of the links; those that have a base. */
  readonly sources: readonly SourceTopic[];
}

interface TopicState {
  readonly agentIds: number[];
  /** Of each seat, the epoch in which it was taken: they ascend. */
  readonly seatedIn: number[];
  readonly seatOf: Map<number, number>;
  /** By provider's seat: weight by client's seat. A Map iterates in order of insertion, which is the ledger's listing. */
  readonly inEdges: Map<number, number>[];
  readonly rowSums: number[];
}

/**
 * The ledger and the stakes, folded from their events. One graph is a fold over the events of all epochs up to and
 * including its own, in the order of the chain: what comes later is refused once a later epoch was taken in.
 */
export class TrustFold {
  readonly #topics = new Map<bigint, TopicState>();
  readonly #stakes = new Map<number, bigint>();
  #epoch = 0;

  /** Epoch of the last event taken in; 0 = none. */
  get epoch(): number {
    return this.#epoch;
  }

  /** @throws SuretyError GRAPH_ORDER when an event is missing or out of order: the chain reader skipped something */
  apply(event: TrustEvent): void {
    if (event.epoch < this.#epoch) throw outOfOrder(event);
    this.#epoch = event.epoch;
    if (event.kind === "stake") this.#stakes.set(event.agentId, event.stakeWei);
    else if (event.kind === "seated") this.#seat(event);
    else this.#record(event);
  }

  /** @returns one graph for each topic that has seats, ascending by topic, as on chain */
  graphs(): TopicGraph[] {
    const topics = [...this.#topics.keys()].sort((a, b) => (a < b ? -1 : 1));
    return topics.map((topic) => this.#graph(topic, this.#topics.get(topic) as TopicState));
  }

  /** `seatsAt` at the close of an epoch that was taken in. */
  seatCountAt(topic: bigint, epoch: number): number {
    const seatedIn = this.#topics.get(topic)?.seatedIn ?? [];
    let count = seatedIn.length;
    while (count > 0 && (seatedIn[count - 1] as number) > epoch) count--;
    return count === 1 ? 0 : count;
  }

  #seat(event: TrustEvent & { kind: "seated" }): void {
    const state = this.#topics.get(event.topic) ?? createTopicState();
    if (event.seat !== state.agentIds.length || state.seatOf.has(event.agentId)) throw outOfOrder(event);
    this.#topics.set(event.topic, state);
    state.seatOf.set(event.agentId, event.seat);
    state.agentIds.push(event.agentId);
    state.seatedIn.push(event.epoch);
    state.inEdges.push(new Map());
    state.rowSums.push(0);
  }

  #record(event: TrustEvent & { kind: "recorded" }): void {
    const state = this.#topics.get(event.topic);
    const client = state?.seatOf.get(event.client);
    const provider = state?.seatOf.get(event.provider);
    if (state === undefined || client === undefined || provider === undefined) throw outOfOrder(event);
    const inEdges = state.inEdges[provider] as Map<number, number>;
    const before = inEdges.get(client);
    // The ledger lists a client when its weight first exceeds 0, and never takes it off the list again.
    if (before === undefined && event.weight === 0) return;
    inEdges.set(client, event.weight);
    state.rowSums[client] = (state.rowSums[client] as number) + event.weight - (before ?? 0);
  }

  #graph(topic: bigint, state: TopicState): TopicGraph {
    const seatCount = state.agentIds.length;
    const edgeCount = state.inEdges.reduce((sum, row) => sum + row.size, 0);
    const inStart = new Uint32Array(seatCount + 1);
    const inSeats = new Uint32Array(edgeCount);
    const inWeights = new Uint32Array(edgeCount);
    let edge = 0;
    state.inEdges.forEach((row, seat) => {
      for (const [client, weight] of row) {
        inSeats[edge] = client;
        inWeights[edge++] = weight;
      }
      inStart[seat + 1] = edge;
    });
    return {
      topic,
      seatCount,
      agentIds: Uint32Array.from(state.agentIds),
      inStart,
      inSeats,
      inWeights,
      rowSums: Uint32Array.from(state.rowSums),
      priors: Float64Array.from(state.agentIds, (agentId) => Number(priorOf(this.#stakes.get(agentId) ?? 0n))),
    };
  }
}

/** With the dust seat only. */
function createTopicState(): TopicState {
  return { agentIds: [0], seatedIn: [0], seatOf: new Map(), inEdges: [new Map<number, number>()], rowSums: [0] };
}

function outOfOrder(event: TrustEvent): SuretyError {
  return new SuretyError("GRAPH_ORDER", "A ledger event does not follow from the ones before it.", {
    values: { ...event },
    next: "Read the events of the ledger and the vault again from the deployment's first block.",
  });
}

/** The graphs at the close of an epoch, from all events in the order of the chain; later ones are left out. */
export function graphsAtClose(events: Iterable<TrustEvent>, epoch: number): TopicGraph[] {
  const fold = new TrustFold();
  for (const event of events) {
    if (event.epoch <= epoch) fold.apply(event);
  }
  return fold.graphs();
}
