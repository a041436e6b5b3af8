import { autoNAT } from "@libp2p/autonat";
import { circuitRelayServer, circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { dcutr } from "@libp2p/dcutr";
import { identifyPush } from "@libp2p/identify";
import type { RelayMode } from "./relay-modes.ts";

/** Peers that may be reached through this node at once; each keeps one connection open. */
const MAX_RESERVATIONS = 64;
/** One relayed connection: a negotiation and its deliverable, no stream of everything. */
const MAX_RELAYED_BYTES = 2n ** 22n;
const MAX_RELAYED_MS = 600_000;
/** Streams of one relayed connection that are being opened at once. */
const MAX_STREAMS = 32;

/** Listen address of whoever wants to be reached over any relay that it finds. */
const ANY_RELAY = "/p2p-circuit";

/** What a host adds to its own transports, listen addresses and services. */
export function relayParts(mode: RelayMode) {
  if (mode === "off") return { transports: [], listen: [], services: {} };
  const served = {
    maxReservations: MAX_RESERVATIONS,
    defaultDataLimit: MAX_RELAYED_BYTES,
    defaultDurationLimit: MAX_RELAYED_MS,
  };
  const server = { maxInboundHopStreams: MAX_STREAMS, maxOutboundStopStreams: MAX_STREAMS, reservations: served };
  return {
    transports: [circuitRelayTransport()],
    listen: mode === "use" ? [ANY_RELAY] : [],
    services: {
      // Others dial back what this node believes to be its addresses: only what they reach is announced as public.
      autoNAT: autoNAT(),
      dcutr: dcutr(),
      // A reservation comes after the first identification: without a push the relay would never learn the new address.
      identifyPush: identifyPush(),
      ...(mode === "serve" ? { relay: circuitRelayServer(server) } : {}),
    },
  };
}
