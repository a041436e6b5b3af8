import { kindNameOf } from "#protocol";
import type { Gossip } from "./gossip.ts";
import type { PeerName, Transport } from "../transport/port.ts";

/** Occurrences that are remembered for whoever watches; older ones are counted only. */
export const MAX_REMEMBERED = 1_000;
/** Codes are ours, but a peer may hand on its own in an answer: beyond so many, they count as "OTHER". */
const MAX_CODES = 128;

/** Something that this node saw of the network. */
export interface Sighting {
  /** From 1 upwards without a gap, since the node started. */
  readonly number: number;
  /** Unix milliseconds, by this node's clock. */
  readonly timeMs: number;
  readonly event: "connected" | "disconnected" | "header" | "body" | "fork" | "ignored" | "rejected";
  /** Who sent it or came and went; absent for what an author did. */
  readonly peer?: PeerName;
  readonly log?: string;
  readonly seq?: number;
  /** Of the entry: declare, intent, receipt, … */
  readonly kind?: string;
  /** Why something was ignored or rejected. */
  readonly code?: string;
}

export interface GossipCounts {
  readonly headers: number;
  readonly bodies: number;
  readonly forks: number;
  readonly connections: number;
  /** By code. */
  readonly ignored: Readonly<Record<string, number>>;
  readonly rejected: Readonly<Record<string, number>>;
}

/** What came by since the start: counted for programs, remembered a while for people. */
export interface Meter {
  counts(): GossipCounts;
  /** Sightings after that number, oldest first; older ones than MAX_REMEMBERED are gone. */
  sightingsAfter(number: number, limit: number): readonly Sighting[];
  /** When the connection to a peer was opened, Unix milliseconds. */
  connectedSince(peer: PeerName): number | undefined;
  stop(): void;
}

type Observed = Pick<Gossip, "onHeader" | "onEntry" | "onFork" | "onRefusal">;
type Connected = Pick<Transport, "peers" | "onPeerConnected" | "onPeerDisconnected">;

/** Observes; changes nothing. @param nowMs Unix milliseconds */
export function createMeter(gossip: Observed, transport: Connected, nowMs: () => number): Meter {
  const remembered: Sighting[] = [];
  const totals = { headers: 0, bodies: 0, forks: 0, connections: 0 };
  const refusals = { ignored: new Map<string, number>(), rejected: new Map<string, number>() };
  const since = new Map<PeerName, number>(transport.peers().map((peer) => [peer, nowMs()]));
  let number = 0;

  function see(event: Sighting["event"], what: Omit<Sighting, "number" | "timeMs" | "event">): void {
    remembered.push({ number: ++number, timeMs: nowMs(), event, ...what });
    if (remembered.length > MAX_REMEMBERED) remembered.shift();
  }

  function countRefusal(counts: Map<string, number>, code: string): void {
    const name = counts.has(code) || counts.size < MAX_CODES ? code : "OTHER";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }

  const ends = [
    gossip.onHeader(({ header: { log, seq, kind } }) => {
      totals.headers++;
      see("header", { log, seq, kind: kindNameOf(kind) ?? String(kind) });
    }),
    gossip.onEntry(({ header: { header }, body }) => {
      totals.bodies++;
      see("body", { log: header.log, seq: header.seq, kind: body.kind });
    }),
    gossip.onFork(({ first }) => {
      totals.forks++;
      see("fork", { log: first.header.log, seq: first.header.seq });
    }),
    gossip.onRefusal(({ kind, code, from }) => {
      const event = kind === "ignore" ? "ignored" : "rejected";
      countRefusal(refusals[event], code);
      see(event, { peer: from, code });
    }),
    transport.onPeerConnected((peer) => {
      totals.connections++;
      since.set(peer, nowMs());
      see("connected", { peer });
    }),
    transport.onPeerDisconnected((peer) => {
      since.delete(peer);
      see("disconnected", { peer });
    }),
  ];

  return {
    counts: () => ({
      ...totals,
      ignored: Object.fromEntries(refusals.ignored),
      rejected: Object.fromEntries(refusals.rejected),
    }),
    sightingsAfter(after, limit) {
      const oldest = remembered[0]?.number ?? number + 1;
      return remembered.slice(Math.max(0, after + 1 - oldest)).slice(0, limit);
    },
    connectedSince: (peer) => since.get(peer),
    stop: () => ends.splice(0).forEach((end) => end()),
  };
}
