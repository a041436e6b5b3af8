import type { MeshTuning } from "../../node/gossip/mesh/port.ts";
import { averageSpreads, Arrivals, type Spread } from "./arrivals.ts";
import { cheapHash, createEntry } from "./entries.ts";
import type { Ledger, LinkModel } from "./network.ts";
import { Repair } from "./repair.ts";
import { CLASSES, REPAIR, Swarm } from "./swarm.ts";
import { createTopology } from "./topology.ts";
import { drawPublications, isInterested, killShare } from "./workload.ts";

/** Meshes form before anything is published. */
export const SETTLE_MS = 6_000;
/** The last message's header and body have so long. */
const TAIL_MS = 4_000;

export interface MeshRunOptions {
  readonly nodeCount: number;
  readonly seed: number;
  readonly links: LinkModel;
  /** Connections of a node; its meshes are chosen among them. */
  readonly connections: number;
  readonly tuning?: Partial<MeshTuning>;
  readonly bodyBytes: number;
  readonly f: number;
  readonly messageCount: number;
  /** Publications in the whole network. */
  readonly perSecond: number;
  /** Nodes that die silently once the meshes have formed. */
  readonly deadShare: number;
  /** Rounds of anti-entropy after the last publication; each node compares with two peers in each. */
  readonly repairRounds: number;
  readonly signal?: AbortSignal;
}

export interface MeshOutcome {
  readonly headers: Spread;
  readonly bodies: Spread;
  /** All that was sent from the first publication on, upkeep included, by node and message. */
  readonly bytesPerNodeMessage: number;
  /** The same without TCP's and IP's headers: what sockets count. */
  readonly streamBytesPerNodeMessage: number;
  readonly bytesByClass: Readonly<Record<string, number>>;
  /** Upkeep of a node without any message, bytes a second. */
  readonly idleBytesPerSecond: number;
  /** Shares of the expected headers, and of the expected bodies, before anti-entropy and after each round. */
  readonly headerCoverage: readonly number[];
  readonly bodyCoverage: readonly number[];
  /** Of anti-entropy, by node and round. */
  readonly repairBytesPerNode: number;
  readonly ledger: Ledger;
  readonly events: number;
}

/** Within which the sessions of one round begin, and how long a round has. */
const ROUND_MS = 2_000;
const ROUND_TAIL_MS = 3_000;

/** Runs the dissemination core of every node on the simulated links. */
export async function runMesh(options: MeshRunOptions): Promise<MeshOutcome> {
  const { nodeCount, messageCount, f } = options;
  const wants = (message: number, node: number) => isInterested(message, node, f);
  const headers = new Arrivals(nodeCount);
  const bodies = new Arrivals(nodeCount);
  const swarm = new Swarm({ ...options, wants, headers, bodies });
  const { network } = swarm;
  swarm.connectAll(createTopology(nodeCount, options.connections, network.random));
  await network.run(SETTLE_MS - 2_000, options.signal);
  const beforeIdle = network.ledger.sentBytes;
  await network.run(SETTLE_MS, options.signal);
  const idle = network.ledger.sentBytes - beforeIdle;
  killShare(network, options.deadShare);
  const before = {
    all: network.ledger.sentBytes,
    stream: network.ledger.sentStreamBytes,
    byClass: Float64Array.from(network.bytesByClass),
  };
  const publications = drawPublications(network, { count: messageCount, perSecond: options.perSecond, fromMs: 0 });
  publications.forEach(({ author, atMs }, message) => {
    const entry = createEntry({ author, seq: message, bodyBytes: options.bodyBytes }, cheapHash);
    network.after(atMs, () => swarm.publish(author, message, entry));
  });
  await network.run(SETTLE_MS + publications.at(-1)!.atMs + TAIL_MS, options.signal);
  const { sentBytes: sent, sentStreamBytes: stream } = network.ledger;
  const byClass = Float64Array.from(network.bytesByClass);
  const spreadOf = (arrivals: Arrivals, isExpected: (message: number, node: number) => boolean) =>
    averageSpreads(
      publications.map((_, id) => arrivals.spreadOf(id, (node) => !network.isDead(node) && isExpected(id, node))),
    );
  const spreads = () => ({ headers: spreadOf(headers, () => true), bodies: spreadOf(bodies, wants) });
  const early = spreads();
  const coverage = [early];
  const repair = new Repair(swarm, { headers, messageCount, wants, seed: options.seed, trafficClass: REPAIR });
  for (let round = 0; round < options.repairRounds; round++) {
    repair.round(ROUND_MS);
    await network.run(network.nowMs + ROUND_MS + ROUND_TAIL_MS, options.signal);
    coverage.push(spreads());
  }
  const count = nodeCount * messageCount;
  const shareOf = ({ reached, expected }: Spread) => reached / Math.max(1, expected);
  return {
    ...early,
    bytesPerNodeMessage: (sent - before.all) / count,
    streamBytesPerNodeMessage: (stream - before.stream) / count,
    bytesByClass: Object.fromEntries(CLASSES.map((name, k) => [name, (byClass[k]! - before.byClass[k]!) / count])),
    idleBytesPerSecond: idle / 2 / nodeCount,
    headerCoverage: coverage.map(({ headers: spread }) => shareOf(spread)),
    bodyCoverage: coverage.map(({ bodies: spread }) => shareOf(spread)),
    repairBytesPerNode: network.bytesByClass[REPAIR]! / nodeCount / Math.max(1, options.repairRounds),
    ledger: network.ledger,
    events: network.eventCount,
  };
}
