import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import type { GossipCounts, Sighting } from "../../node/gossip/meter.ts";
import type { LogCounts } from "../../node/log/log-store.ts";
import { runAction } from "../cli/action.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";
import { parseUint } from "../cli/options.ts";
import { findCommand } from "./find.ts";

/** How a peer is connected, and where it came from. */
interface PeerReport {
  readonly peerId: string;
  readonly agentId?: string;
  readonly connectedSeconds: number;
  readonly source: string;
  readonly direction?: string;
  readonly address?: string;
  readonly isRelayed: boolean;
  /** Absent for a peer that does not speak the mesh. */
  readonly mesh?: { readonly shards: number; readonly score: number; readonly queuedHeaders: number };
}

/** The network as a node answers; 256-bit numbers are decimal text. */
interface NetworkReport {
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly peers: readonly PeerReport[];
  readonly held: LogCounts;
  readonly seen: GossipCounts;
  /** Absent where gossipsub spreads the headers. */
  readonly mesh?: MeshSummary;
}

interface MeshSummary {
  readonly links: number;
  readonly listeners: number;
  readonly queuedBytes: number;
  readonly isBridging: boolean;
  readonly counts: Readonly<Record<string, number>>;
}

/** Between two looks at what a node saw. */
const POLL_MS = 500;

export function networkCommand(): Command {
  const network = new Command("network").description("the network as a running node sees it");
  addNodeOptions(network.command("status"))
    .description("what the node holds, took and refused")
    .action((options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const report = await askNode<NetworkReport>("/network", options, signal);
        return { result: report, lines: linesOf(report) };
      }),
    );
  addNodeOptions(network.command("peers"))
    .description("who is connected, for which agent it speaks, and where it came from")
    .action((options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { peers } = await askNode<NetworkReport>("/network", options, signal);
        const lines = peers.map(
          ({ peerId, agentId, connectedSeconds, source, direction, address, isRelayed, mesh }) =>
            `${agentId === undefined ? "no agent  " : `agent ${agentId.padStart(4)}`}  ${peerId}  for ${connectedSeconds} s  ` +
            `${source}, ${direction ?? "closing"}${isRelayed ? " over a relay" : ""}  ${address ?? ""}${linkOf(mesh)}`,
        );
        return { result: { peers }, lines: lines.length === 0 ? ["nobody is connected"] : lines };
      }),
    );
  addNodeOptions(network.command("dial"))
    .description("connect to an agent by its id: chain binding, signed peer record, dial")
    .argument("<agentId>", "the agent", parseUint)
    .action((agentId: bigint, options: NodeOptions) =>
      runAction(options.json, async ({ signal }) => {
        const asked = { agentId: agentId.toString() };
        const { peerId, address } = await askNode<PeerReport>("/network/dial", options, signal, asked);
        return { result: { ...asked, peerId, address }, lines: [`agent ${agentId}  ${peerId}  ${address ?? ""}`] };
      }),
    );
  network.addCommand(findCommand());
  addNodeOptions(network.command("watch"))
    .description("every header, body, peer and refusal as the node sees it, until Ctrl-C")
    .action((options: NodeOptions) =>
      runAction(options.json, async ({ signal, progress }) => {
        const seen = await follow(options, signal, progress);
        return { result: { seen }, lines: [`${seen} sightings`] };
      }),
    );
  return network;
}

function linkOf(mesh: PeerReport["mesh"]): string {
  if (mesh === undefined) return "  no mesh";
  const waiting = mesh.queuedHeaders > 0 ? `, ${mesh.queuedHeaders} headers wait` : "";
  return `  mesh in ${mesh.shards} of 64 shards, score ${mesh.score}${waiting}`;
}

function meshLineOf(mesh: MeshSummary | undefined): string {
  if (mesh === undefined) return "mesh        none: headers spread by gossipsub";
  const bridge = mesh.isBridging ? "; gossipsub beside it, for peers without it" : "";
  return `mesh        ${mesh.links} links of ${mesh.listeners} listeners, ${mesh.queuedBytes} bytes wait${bridge}`;
}

function linesOf({ peerId, addresses, peers, held, seen, mesh }: NetworkReport): string[] {
  const refused = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .toSorted(([, a], [, b]) => b - a)
      .map(([code, count]) => `${code} ${count}`)
      .join(", ") || "nothing";
  return [
    `peer id     ${peerId}`,
    ...addresses.map((address) => `listens at  ${address}`),
    `peers       ${peers.length} connected, ${seen.connections} connections since the start`,
    meshLineOf(mesh),
    `logs        ${held.logs} with ${held.entries} entries, ${held.bodiless} bodies to pull, ${held.forks} forked`,
    `took        ${seen.headers} headers and ${seen.bodies} bodies since the start`,
    `ignored     ${refused(seen.ignored)}`,
    `rejected    ${refused(seen.rejected)}`,
  ];
}

/** Prints sightings as they come. @returns how many, once it is interrupted */
async function follow(options: NodeOptions, signal: AbortSignal, print: (line: string) => void): Promise<number> {
  let [last, count] = [0, 0];
  while (!signal.aborted) {
    const path = `/network/sightings?after=${last}`;
    const { sightings } = await askNode<{ sightings: Sighting[] }>(path, options, signal).catch((error: unknown) => {
      if (signal.aborted) return { sightings: [] };
      throw error;
    });
    for (const sighting of sightings) print(describe(sighting));
    count += sightings.length;
    last = sightings.at(-1)?.number ?? last;
    if (sightings.length === 0) await sleep(POLL_MS, undefined, { signal }).catch(() => undefined);
  }
  return count;
}

function describe({ timeMs, event, peer, log, seq, kind, code }: Sighting): string {
  const what = log === undefined ? (peer ?? "") : `${log} ${seq}`;
  return [new Date(timeMs).toISOString(), event.padEnd(12), kind ?? code ?? "", what].filter(Boolean).join("  ");
}
