import type { Address } from "viem";
import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { addressOfPeerId, type Verdict } from "#protocol";
import type { Heads } from "../chain/port.ts";
import type { MeshReport } from "../gossip/dissemination.ts";
import type { Meter } from "../gossip/meter.ts";
import type { LogReader } from "../log/log-store.ts";
import type { ConnectionSource } from "../transport/addressing/keeper.ts";
import type { PeerName, Transport } from "../transport/port.ts";
import { failure, type Answer, type Route } from "./server.ts";

/** Sightings of one answer; who is behind asks again. */
const MAX_SIGHTINGS = 500;

export interface NetworkViewOptions {
  readonly transport: Pick<Transport, "peerId" | "addresses" | "peers" | "connections">;
  readonly logs: Pick<LogReader, "counts">;
  readonly meter: Meter;
  readonly heads: Pick<Heads, "latest">;
  /** Links and queues of the mesh; undefined where gossipsub spreads the headers. */
  readonly mesh: () => MeshReport | undefined;
  /** The agent for which a log's key speaks now, by the chain. */
  readonly agentOf: (log: Address, signal: AbortSignal) => Promise<bigint | undefined>;
  /** How a connected peer came to be one. */
  readonly sourceOf: (peer: PeerName) => ConnectionSource;
  /** From an agent's id to a connection. */
  readonly dialAgent: (agentId: bigint, signal: AbortSignal) => Promise<Verdict<PeerName>>;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}

/** A peer with an open connection. */
interface PeerView {
  readonly peerId: string;
  /** Whose key the peer id is; undefined: no agent's that the chain knows. */
  readonly agentId: bigint | undefined;
  readonly connectedSeconds: number;
  /** Where it came from: the configuration, an earlier run, another peer's list, a search for its agent, or it dialled us. */
  readonly source: ConnectionSource;
  readonly direction: "inbound" | "outbound" | undefined;
  readonly address: string | undefined;
  readonly isRelayed: boolean;
  /** Undefined: no peer of the mesh. */
  readonly mesh: MeshLink | undefined;
}

interface MeshLink {
  /** Shards in which we push to one another. */
  readonly shards: number;
  readonly score: number;
  readonly queuedHeaders: number;
  readonly queuedBytes: number;
}

/** The mesh in a line. */
interface MeshSummary {
  /** Peers that push headers to us and we to them. */
  readonly links: number;
  readonly listeners: number;
  readonly queuedBytes: number;
  readonly isBridging: boolean;
  readonly counts: MeshReport["counts"];
}

/** The network as one node sees it, for people (`surety network`) and for Prometheus. */
export function createNetworkRoutes(options: NetworkViewOptions): Route[] {
  const { transport, logs, meter } = options;
  const registry = createRegistry(options);
  return [
    {
      method: "GET",
      path: "/network",
      answer: async ({ signal }) => ({
        status: 200,
        body: {
          ...{ peerId: transport.peerId, addresses: transport.addresses() },
          peers: await viewPeers(options, signal),
          ...{ held: logs.counts(), seen: meter.counts(), mesh: summaryOf(options.mesh()) },
        },
      }),
    },
    {
      method: "POST",
      path: "/network/dial",
      answer: async ({ body, signal }) => {
        const { agentId } = (body ?? {}) as { agentId?: unknown };
        if (typeof agentId !== "string" || !/^\d{1,78}$/.test(agentId)) {
          return failure(422, "REQUEST_INVALID", "agentId has to be a decimal integer as text");
        }
        const dialled = await options.dialAgent(BigInt(agentId), signal);
        if (dialled.kind !== "accept") return failure(404, dialled.code, dialled.detail);
        return { status: 200, body: { agentId, peerId: dialled.value, ...viewConnection(transport, dialled.value) } };
      },
    },
    {
      method: "GET",
      path: "/network/sightings",
      answer({ url }): Answer {
        const after = url.searchParams.get("after") ?? "0";
        if (!/^\d{1,15}$/.test(after)) return failure(422, "REQUEST_INVALID", "after has to be a number of a sighting");
        return { status: 200, body: { sightings: meter.sightingsAfter(Number(after), MAX_SIGHTINGS) } };
      },
    },
    {
      method: "GET",
      path: "/metrics",
      answer: async () => ({ status: 200, text: await registry.metrics(), contentType: registry.contentType }),
    },
  ];
}

function viewConnection(transport: NetworkViewOptions["transport"], peer: PeerName) {
  const open = transport.connections().filter((connection) => connection.peer === peer);
  // A direct one, where hole punching has replaced the relayed one.
  const { direction, address, isRelayed = false } = open.find((connection) => !connection.isRelayed) ?? open[0] ?? {};
  return { direction, address, isRelayed };
}

function summaryOf(report: MeshReport | undefined): MeshSummary | undefined {
  if (report === undefined) return undefined;
  const { peers, counts, isBridging } = report;
  return {
    links: peers.filter(({ meshed }) => meshed !== 0n).length,
    listeners: peers.filter(({ listens }) => listens !== 0n).length,
    queuedBytes: peers.reduce((sum, { queuedBytes }) => sum + queuedBytes, 0),
    isBridging,
    counts,
  };
}

function linksOf(report: MeshReport | undefined): Map<string, MeshLink> {
  const links = report?.peers.map(({ peer, meshed, score, queuedHeaders, queuedBytes }): [string, MeshLink] => {
    const shards = [...meshed.toString(2)].filter((bit) => bit === "1").length;
    return [peer, { shards, score: Math.round(score * 10) / 10, queuedHeaders, queuedBytes }];
  });
  return new Map(links);
}

function viewPeers(options: NetworkViewOptions, signal: AbortSignal): Promise<PeerView[]> {
  const { transport, meter, agentOf, sourceOf, nowMs } = options;
  const links = linksOf(options.mesh());
  return Promise.all(
    transport.peers().map(async (peerId) => {
      const address = addressOfPeerId(peerId);
      const agentId = address.kind === "accept" ? await agentOf(address.value, signal) : undefined;
      const since = meter.connectedSince(peerId) ?? nowMs();
      const connectedSeconds = Math.round((nowMs() - since) / 1000);
      const how = { source: sourceOf(peerId), ...viewConnection(transport, peerId), mesh: links.get(peerId) };
      return { peerId, agentId: agentId || undefined, connectedSeconds, ...how };
    }),
  );
}

/** Counts of the mesh, by the name under which they are scraped. */
const MESH_COUNTERS: Readonly<Record<string, readonly [keyof MeshReport["counts"], string]>> = {
  bytes_in: ["bytesIn", "Bytes of frames that peers of the mesh sent"],
  bytes_out: ["bytesOut", "Bytes of frames sent to peers of the mesh"],
  headers_in: ["headersIn", "Headers that links of the mesh brought, copies too"],
  duplicates: ["duplicates", "Headers that were here already"],
  announcements_in: ["announcementsIn", "Headers that were announced"],
  bodies_in: ["bodiesIn", "Bodies that links of the mesh brought"],
  bodies_out: ["bodiesOut", "Bodies given to peers of the mesh"],
  broken_promises: ["brokenPromises", "What was announced and not delivered"],
  dropped_frames: ["droppedFrames", "Frames of peers beyond their budget"],
  dropped_headers: ["droppedHeaders", "Headers that a slow peer lost"],
  dropped_announcements: ["droppedAnnouncements", "Announcements that a slow peer lost"],
};

/** Values are read when they are scraped, so that nothing is kept twice. */
function createRegistry({ transport, logs, meter, heads, mesh, nowMs }: NetworkViewOptions): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      ...{ name: `surety_node_${name}`, help, registers },
      collect() {
        this.set(read());
      },
    });
  const counter = (name: string, help: string, read: () => number) =>
    new Counter({
      ...{ name: `surety_node_${name}_total`, help, registers },
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  gauge("peers", "Peers with an open connection", () => transport.peers().length);
  gauge("logs", "Logs that this node holds", () => logs.counts().logs);
  gauge("log_entries", "Entries of all logs that this node holds", () => logs.counts().entries);
  gauge("bodies_missing", "Entries whose body is still to be pulled", () => logs.counts().bodiless);
  gauge("forked_logs", "Logs that were found to say two things", () => logs.counts().forks);
  gauge("head_block", "Newest block that this node knows", () => Number(heads.latest().number));
  gauge("head_age_seconds", "Age of that block", () => Math.max(0, nowMs() / 1000 - heads.latest().timestamp));
  const summary = () => summaryOf(mesh());
  gauge("mesh_links", "Peers that push headers to us and we to them", () => summary()?.links ?? 0);
  gauge("mesh_queued_bytes", "Bytes that wait for peers of the mesh", () => summary()?.queuedBytes ?? 0);
  gauge("mesh_bridging", "Whether peers without the mesh are served by gossipsub", () =>
    summary()?.isBridging ? 1 : 0,
  );
  for (const [name, [field, help]] of Object.entries(MESH_COUNTERS)) {
    counter(`mesh_${name}`, help, () => summary()?.counts[field] ?? 0);
  }
  counter("headers", "Headers taken since the start", () => meter.counts().headers);
  counter("bodies", "Bodies taken since the start", () => meter.counts().bodies);
  counter("connections", "Connections opened since the start", () => meter.counts().connections);
  new Counter({
    ...{
      name: "surety_node_refused_messages_total",
      help: "Messages that were not taken, by verdict and code",
      registers,
    },
    labelNames: ["verdict", "code"] as const,
    collect() {
      this.reset();
      const { ignored, rejected } = meter.counts();
      for (const [verdict, counts] of Object.entries({ ignored, rejected })) {
        for (const [code, count] of Object.entries(counts)) this.inc({ verdict, code }, count);
      }
    },
  });
  return registry;
}
