import { autoNAT } from "@libp2p/autonat";
import { circuitRelayServer, circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { dcutr } from "@libp2p/dcutr";
import { identifyPush } from "@libp2p/identify";
import { tcp } from "@libp2p/tcp";
import { createPuncher } from "./punch.ts";
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

/**
 * A host's transports, and what it adds to its listen addresses and services.
 * @param dialPort from which a host behind a NAT dials, so that others can meet it there
 */
export function relayParts(mode: RelayMode, dialPort: number | undefined) {
  if (mode === "off") return { transports: [tcp()], listen: [], services: {} };
  const puncher = dialPort === undefined ? undefined : createPuncher(dialPort);
  const served = {
    maxReservations: MAX_RESERVATIONS,
    defaultDataLimit: MAX_RELAYED_BYTES,
    defaultDurationLimit: MAX_RELAYED_MS,
  };
  const server = { maxInboundHopStreams: MAX_STREAMS, maxOutboundStopStreams: MAX_STREAMS, reservations: served };
  return {
    transports: [puncher?.transport ?? tcp(), circuitRelayTransport()],
    listen: mode === "use" ? [ANY_RELAY] : [],
    services: {
      // Others dial back what this node believes to be its addresses: only what they reach is announced as public.
      autoNAT: autoNAT(),
      dcutr: puncher?.service ?? dcutr(),
      // A reservation comes after the first identification: without a push the relay would never learn the new address.
      identifyPush: identifyPush(),
      ...(mode === "serve" ? { relay: circuitRelayServer(server) } : {}),
    },
  };
}
