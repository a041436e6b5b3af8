import { hexToBytes } from "viem";
import { accept, decodeSealedBatch, ignore, topicIdOf, type VerifiedHeader } from "#protocol";
import type { Heads } from "../chain/port.ts";
import type { Store } from "../store/port.ts";
import { createBatchStore } from "./batch-store.ts";
import { createSeats, type Seats } from "./seats.ts";
import { TopicOrder, type TopicOrderOptions } from "./topic-order.ts";
import { Upkeep, type UpkeepOptions } from "./upkeep.ts";
import {
  batchesTopicOf,
  decodeProposal,
  decodeQuery,
  encodeListedBatch,
  MAX_PROPOSAL_BYTES,
  protocols,
  QUERY_BYTES,
  type ListedBatch,
} from "./wire.ts";

export interface WindowsOptions
  extends
    Omit<TopicOrderOptions, "topic" | "batches" | "seats" | "onBatch" | "onSkipped">,
    Pick<UpkeepOptions, "onStep"> {
  /** Names of topics, in lower case as skills are. */
  readonly topics: readonly string[];
  readonly store: Store;
  readonly heads: Heads;
  readonly onBatch?: (topic: bigint, batch: ListedBatch) => void;
  readonly onSkipped?: (topic: bigint, window: number) => void;
}

/** The order of some topics. Nothing runs for others. */
export interface Windows {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Every verified log header of gossip. */
  hear(header: VerifiedHeader): void;
  /** The newest batch of a topic with its list; undefined = none is known. */
  newest(topic: bigint): ListedBatch | undefined;
}

/** Pubsub topics of the batches of these topics. */
export const windowTopics = (names: readonly string[]): string[] =>
  names.map((name) => batchesTopicOf(topicIdOf(name)));

/** The role of a window validator, and of whoever follows the order of a topic. */
export function createWindows(options: WindowsOptions): Windows {
  const { store, transport, chain, heads, chainTime, onFault } = options;
  const batches = createBatchStore(store);
  const topics = options.topics.map(topicIdOf);
  const seatsOf = new Map<bigint, Seats>(topics.map((topic) => [topic, createSeats({ ...options, topic })]));
  const orders = new Map(
    topics.map((topic) => {
      const seats = seatsOf.get(topic) as Seats;
      const told = {
        onBatch: (batch: ListedBatch) => options.onBatch?.(topic, batch),
        onSkipped: (window: number) => options.onSkipped?.(topic, window),
      };
      return [topic, new TopicOrder({ ...options, topic, batches, seats, ...told })];
    }),
  );
  const { agentId, onStep } = options;
  const upkeep = new Upkeep({
    ...{ topics, agentId, chain, batches, heads, chainTime, onFault, seatsOf: (topic) => seatsOf.get(topic) as Seats },
    ...(onStep === undefined ? {} : { onStep }),
  });
  const ends: (() => void)[] = [];

  async function serve(): Promise<void> {
    await transport.serve(
      protocols.window,
      async (request, from, signal) => {
        const proposal = decodeProposal(request);
        if (proposal.kind !== "accept") return proposal;
        const order = orders.get(proposal.value.header.topic);
        if (order === undefined) return ignore("WINDOW_TOPIC", "not followed here");
        const answer = await order.answer(proposal.value, from, signal);
        return answer.kind === "accept" ? accept(hexToBytes(answer.value)) : answer;
      },
      { maxRequestBytes: MAX_PROPOSAL_BYTES, maxConcurrentPerPeer: topics.length },
    );
    await transport.serve(
      protocols.batch,
      (request) => {
        const query = decodeQuery(request);
        if (query.kind !== "accept") return Promise.resolve(query);
        const { topic, digest } = query.value;
        const isNewest = BigInt(digest) === 0n;
        const batch = isNewest ? batches.newest(topic)?.batch : batches.byDigest(topic, digest);
        if (batch === undefined) return Promise.resolve(ignore("BATCH_UNKNOWN", "not held here"));
        return Promise.resolve(accept(encodeListedBatch(batch)));
      },
      { maxRequestBytes: QUERY_BYTES },
    );
  }

  function listen(topic: bigint, order: TopicOrder): void {
    const subscription = transport.subscribe(batchesTopicOf(topic), async (message, from) => {
      const sealed = decodeSealedBatch(message);
      return sealed.kind === "accept" ? order.judge(sealed.value, from) : sealed;
    });
    const meeting = transport.onPeerSubscribed((peer, name) => {
      if (name === batchesTopicOf(topic)) order.catchUp(peer);
    });
    ends.push(subscription, meeting);
    order.start();
  }

  return {
    async start() {
      await serve();
      for (const [topic, order] of orders) listen(topic, order);
      upkeep.start();
    },
    async stop() {
      for (const end of ends.splice(0)) end();
      await Promise.all([upkeep.stop(), ...orders.values().map((order) => order.stop())]);
    },
    hear(header) {
      for (const order of orders.values()) order.hear(header);
    },
    newest: (topic) => batches.newest(topic)?.batch,
  };
}
