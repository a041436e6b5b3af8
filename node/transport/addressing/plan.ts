import type { ConnectionView, PeerName } from "../port.ts";
import { MAX_ANCHORS, type KnownPeer } from "./book.ts";
import { LOCAL_GROUP, subnetOf } from "./subnet.ts";

/**
 * Connections that this node itself opens, to peers of its own choice: who floods it with inbound ones does not choose
 * whom it hears. Bitcoin keeps 8 to 10, gossipsub's mesh 6.
 */
export const OUTBOUND = 8;
/** Of these, in one subnet. */
const MAX_OUTBOUND_PER_SUBNET = 2;
/** Dials of one round, so that a start does not fill the machine with handshakes. */
const MAX_DIALS = 2;
/** A peer that failed n times is left alone for 2^n of these. */
const BACKOFF_MS = 5_000;
/** With fewer known peers that could be dialled, more are asked for. */
const WANTED_CANDIDATES = 2 * OUTBOUND;

/** What a round is decided by. */
export interface Situation {
  readonly connections: readonly ConnectionView[];
  /** Multiaddrs of the configuration. */
  readonly bootstrap: readonly string[];
  readonly known: readonly KnownPeer[];
  /** Last failed dial of each peer, Unix milliseconds. */
  readonly triedMs: ReadonlyMap<PeerName, number>;
  readonly nowMs: number;
}

export interface Round {
  /** Multiaddrs of the configuration that are not connected. */
  readonly bootstrap: readonly string[];
  readonly peers: readonly KnownPeer[];
  /** Connected peers to ask for more. */
  readonly askFor: readonly PeerName[];
  readonly anchors: readonly PeerName[];
}

/** Whom to dial, whom to ask, and to whom to come back after a restart. Pure. */
export function planRound({ connections, bootstrap, known, triedMs, nowMs }: Situation): Round {
  const connected = new Set(connections.map(({ peer }) => peer));
  const outbound = connections.filter(({ direction, isRelayed }) => direction === "outbound" && !isRelayed);
  const taken = countBy(outbound.map(({ address }) => subnetOf(address)));
  const candidates = known.filter(
    ({ peer, failures }) =>
      !connected.has(peer) && nowMs - (triedMs.get(peer) ?? -Infinity) >= BACKOFF_MS * 2 ** Math.min(failures, 10),
  );
  const peers: KnownPeer[] = [];
  const room = Math.min(MAX_DIALS, OUTBOUND - new Set(outbound.map(({ peer }) => peer)).size);
  for (const peer of candidates.toSorted((a, b) => Number(b.isAnchor) - Number(a.isAnchor))) {
    const subnet = subnetOf(peer.addresses[0] ?? "");
    const isFull = subnet !== LOCAL_GROUP && (taken.get(subnet) ?? 0) >= MAX_OUTBOUND_PER_SUBNET;
    if (peers.length >= room) break;
    if (isFull) continue;
    taken.set(subnet, (taken.get(subnet) ?? 0) + 1);
    peers.push(peer);
  }
  return {
    bootstrap: bootstrap.filter((address) => ![...connected].some((peer) => address.endsWith(peer))),
    peers,
    askFor: candidates.length < WANTED_CANDIDATES ? [...connected] : [],
    anchors: anchorsOf(outbound),
  };
}

/** The outbound peers that have stayed longest, each of another subnet where there are so many. */
function anchorsOf(outbound: readonly ConnectionView[]): PeerName[] {
  const oldest = outbound.toSorted((a, b) => a.openedMs - b.openedMs);
  const seen = new Set<string>();
  const isFirst = ({ address }: ConnectionView) => {
    const subnet = subnetOf(address);
    return subnet === LOCAL_GROUP || (!seen.has(subnet) && seen.add(subnet));
  };
  const first = oldest.filter(isFirst);
  return [...new Set([...first, ...oldest].map(({ peer }) => peer))].slice(0, MAX_ANCHORS);
}

function countBy(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}
