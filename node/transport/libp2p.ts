import { createHash } from "node:crypto";
import { privateKeyFromRaw } from "@libp2p/crypto/keys";
import { gossipsub, StrictNoSign, TopicValidatorResult, type GossipSub } from "@libp2p/gossipsub";
import { createPeerScoreParams, createTopicScoreParams } from "@libp2p/gossipsub/score";
import { identify } from "@libp2p/identify";
import type { Libp2p, PeerId, PrivateKey } from "@libp2p/interface";
import { noise } from "@libp2p/noise";
import { peerIdFromString } from "@libp2p/peer-id";
import { ping } from "@libp2p/ping";
import { yamux } from "@libp2p/yamux";
import { multiaddr, type Multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { hexToBytes, type Hex } from "viem";
import { accept, ignore, reject, SuretyError, type Verdict } from "#protocol";
import { createAddressing } from "./addressing/host.ts";
import { findFreePort } from "./addressing/punch.ts";
import { relayParts } from "./addressing/relay.ts";
import type { RelayMode } from "./addressing/relay-modes.ts";
import { createChannels } from "./channels.ts";
import type { PeerName, Transport, Validator } from "./port.ts";
import { createRequests } from "./requests.ts";

/** A frame of headers; bodies are pulled, so nothing larger is gossiped. */
export const MAX_GOSSIP_BYTES = 16_384;
/** Sockets that one node keeps; libp2p closes the least valued ones beyond it. */
const MAX_CONNECTIONS = 300;
/** Half-open handshakes: a stranger's cheapest way to cost us work. */
const MAX_PENDING_INBOUND = 64;
/** New connections a second from one host; on loopback a whole network shares the host. */
const MAX_INBOUND_PER_SECOND = { public: 10, loopback: 500 };
const STOP_TIMEOUT_MS = 5_000;

export interface Libp2pOptions {
  /** The agent's secp256k1 key, 32 bytes: address and peer id both come from it. */
  readonly privateKey: Hex | Uint8Array;
  /** Multiaddrs to listen on. Default: loopback, any free port. */
  readonly listen?: readonly string[];
  /** Multiaddrs under which others reach this node, where they differ from `listen` (NAT, container). */
  readonly announce?: readonly string[];
  /** Whether others are reached, or relayed, through circuits. Default `off`. */
  readonly relay?: RelayMode;
  /** Topics whose rejected messages count against the peer that sent them. */
  readonly topics?: readonly string[];
  /** Told of what our own responders and validators threw. */
  readonly onFault?: (fault: unknown) => void;
}

type Host = Libp2p<{ pubsub: GossipSub }>;

/** A transport over TCP with noise, yamux, identify, ping and gossipsub. Not started. */
export async function createLibp2pTransport(options: Libp2pOptions): Promise<Transport> {
  const key = typeof options.privateKey === "string" ? hexToBytes(options.privateKey) : options.privateKey;
  const privateKey = privateKeyFromRaw(key);
  const host = await createHost(options, privateKey);
  const onFault = options.onFault ?? (() => undefined);
  const stopping = new AbortController();
  const requests = createRequests({ host, onFault, stopSignal: stopping.signal, targetOf });
  return {
    peerId: host.peerId.toString(),
    async start() {
      try {
        await host.start();
      } catch (cause) {
        throw listenFailed(options.listen, cause);
      }
    },
    async stop() {
      stopping.abort();
      await Promise.race([host.stop(), timeout(STOP_TIMEOUT_MS)]);
    },
    addresses: () => host.getMultiaddrs().map(String),
    peers: () => host.getPeers().map(String),
    async dial(target, signal) {
      const parsed = targetOf(target);
      return parsed.kind === "accept" ? connect(host, parsed.value, signal) : parsed;
    },
    async learnAddresses(peer, addresses) {
      const parsed = targetOf(peer);
      if (parsed.kind !== "accept") return parsed;
      const multiaddrs = addresses.map(parseMultiaddr).filter((address) => address !== undefined);
      if (multiaddrs.length < addresses.length) return reject("PEER_NAME_INVALID", "an address is no multiaddr");
      await host.peerStore.merge(parsed.value.peer, { multiaddrs });
      return accept(peer);
    },
    async disconnect(peer) {
      const parsed = targetOf(peer);
      if (parsed.kind === "accept")
        await host.hangUp(parsed.value.peer, { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
    },
    request: requests.request,
    serve: requests.serve,
    ...createAddressing(host, privateKey, Date.now),
    ...createChannels({ host, onFault, stopSignal: stopping.signal }),
    ...createTopics(host.services.pubsub, onFault),
    ...createListeners(host),
  };
}

async function createHost(options: Libp2pOptions, privateKey: PrivateKey): Promise<Host> {
  const { listen, announce, topics } = options;
  const mode = options.relay ?? "off";
  const relay = relayParts(mode, mode === "use" ? await findFreePort() : undefined);
  const addresses = listen ?? ["/ip4/127.0.0.1/tcp/0"];
  const isLoopback = addresses.every((address) => /^\/(ip4\/127\.|ip6\/::1\/)/.test(address));
  return createLibp2p({
    start: false,
    privateKey,
    addresses: { listen: [...addresses, ...relay.listen], ...(announce ? { announce: [...announce] } : {}) },
    transports: relay.transports,
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      maxIncomingPendingConnections: MAX_PENDING_INBOUND,
      inboundConnectionThreshold: isLoopback ? MAX_INBOUND_PER_SECOND.loopback : MAX_INBOUND_PER_SECOND.public,
    },
    // A busy machine answers a ping late; TCP tells of a peer that is gone.
    connectionMonitor: { pingInterval: 30_000, abortConnectionOnPingFailure: false },
    services: {
      ...{ identify: identify(), ping: ping(), pubsub: gossipsub(gossipOptions(isLoopback, topics ?? [])) },
      ...relay.services,
    },
  });
}

function gossipOptions(isLoopback: boolean, topics: readonly string[]): Parameters<typeof gossipsub>[0] {
  // P3 and P3b punish a quiet mesh, and topics of headers are quiet (libp2p's own advice for low-rate topics).
  const topicScore = createTopicScoreParams({ meshMessageDeliveriesWeight: 0, meshFailurePenaltyWeight: 0 });
  return {
    // Entries carry their author's signature; signing the envelope too would cost 150 B and say nothing more.
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: ({ topic, data }) => createHash("sha256").update(topic).update("\0").update(data).digest(),
    allowPublishToZeroTopicPeers: true,
    ignoreDuplicatePublishError: true,
    floodPublish: true,
    doPX: false,
    maxInboundDataLength: MAX_GOSSIP_BYTES,
    scoreParams: createPeerScoreParams({
      topics: Object.fromEntries(topics.map((topic) => [topic, topicScore])),
      // All peers of a local network share one address; the default weight would silence them.
      ...(isLoopback ? { IPColocationFactorWeight: 0 } : {}),
    }),
  };
}

/** A peer id, with the address to dial it at where the text names one. */
interface Target {
  readonly peer: PeerId;
  readonly address: Multiaddr | undefined;
}

function targetOf(text: string): Verdict<Target> {
  const address = text.startsWith("/") ? parseMultiaddr(text) : undefined;
  const name = address?.getComponents().findLast((component) => component.name === "p2p")?.value ?? text;
  try {
    return accept({ peer: peerIdFromString(name), address });
  } catch {
    return ignore("PEER_NAME_INVALID", `${text.slice(0, 80)} is neither a peer id nor a multiaddr that ends in one`);
  }
}

function parseMultiaddr(text: string): Multiaddr | undefined {
  try {
    return multiaddr(text);
  } catch {
    return undefined;
  }
}

async function connect(host: Host, { peer, address }: Target, signal: AbortSignal): Promise<Verdict<PeerName>> {
  try {
    const connection = await host.dial(address ?? peer, { signal });
    return accept(connection.remotePeer.toString());
  } catch (cause) {
    if (signal.aborted) return ignore("REQUEST_ABORTED", "the dial was given up");
    const detail = cause instanceof Error ? cause.message.slice(0, 160) : "no reason given";
    return ignore("PEER_UNREACHABLE", `${peer.toString()}: ${detail}`);
  }
}

function createTopics(pubsub: GossipSub, onFault: (fault: unknown) => void): Pick<Transport, "publish" | "subscribe"> {
  return {
    async publish(topic, message) {
      const { recipients } = await pubsub.publish(topic, message);
      return recipients.length;
    },
    subscribe(topic, validator) {
      if (pubsub.topicValidators.has(topic)) {
        throw new SuretyError("TOPIC_SUBSCRIBED", `Topic ${topic} has a validator already.`, {
          values: { topic },
          next: "End the first subscription before the second.",
        });
      }
      pubsub.topicValidators.set(topic, async (from, message) =>
        gossipResultOf(await judge(validator, message.data, from.toString(), onFault)),
      );
      pubsub.subscribe(topic);
      return () => {
        pubsub.unsubscribe(topic);
        pubsub.topicValidators.delete(topic);
      };
    },
  };
}

/** Our own fault must not count against the peer. */
async function judge(
  validator: Validator,
  message: Uint8Array,
  from: PeerName,
  onFault: (fault: unknown) => void,
): Promise<Verdict<unknown>> {
  try {
    return await validator(message, from);
  } catch (fault) {
    onFault(fault);
    return ignore("VALIDATOR_FAILED", "our own fault");
  }
}

function gossipResultOf({ kind }: Verdict<unknown>): TopicValidatorResult {
  if (kind === "accept") return TopicValidatorResult.Accept;
  return kind === "ignore" ? TopicValidatorResult.Ignore : TopicValidatorResult.Reject;
}

function createListeners(host: Host): Pick<Transport, "onPeerConnected" | "onPeerDisconnected" | "onPeerSubscribed"> {
  const onPeerEvent = (type: "peer:connect" | "peer:disconnect", listener: (peer: PeerName) => void) => {
    const callback = ({ detail }: CustomEvent<PeerId>): void => listener(detail.toString());
    host.addEventListener(type, callback);
    return () => host.removeEventListener(type, callback);
  };
  return {
    onPeerConnected: (listener) => onPeerEvent("peer:connect", listener),
    onPeerDisconnected: (listener) => onPeerEvent("peer:disconnect", listener),
    onPeerSubscribed(listener) {
      const { pubsub } = host.services;
      const callback: Parameters<typeof pubsub.addEventListener<"subscription-change">>[1] = (event) => {
        if (typeof event !== "object" || !("detail" in event)) return;
        const { peerId, subscriptions } = event.detail;
        for (const { topic, subscribe } of subscriptions) if (subscribe) listener(peerId.toString(), topic);
      };
      pubsub.addEventListener("subscription-change", callback);
      return () => pubsub.removeEventListener("subscription-change", callback);
    },
  };
}

function listenFailed(listen: readonly string[] | undefined, cause: unknown): SuretyError {
  return new SuretyError("TRANSPORT_LISTEN_FAILED", "The node cannot listen on its addresses.", {
    values: { listen },
    next: "Choose addresses of this machine with a free port, or port 0.",
    cause,
  });
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
