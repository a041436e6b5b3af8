import type { Verdict } from "#protocol";

/** A libp2p peer id as text (`16Uiu2HA…`); `peerIdOf` and `addressOfPeerId` in #protocol relate it to an address. */
export type PeerName = string;

/** What a stranger sent, judged. Accepted messages are relayed, ignored ones are dropped, rejected ones cost the sender. */
export type Validator = (message: Uint8Array, from: PeerName) => Promise<Verdict<unknown>>;

/**
 * Answers one request. `accept(bytes)` is sent as the answer; `ignore` and `reject` travel as their code, so that the
 * asker learns why. A throw is our fault: the asker sees REMOTE_FAILED and nothing of the error, which goes to `onFault`.
 * @param signal aborts when the asker has gone, the answer is late or the transport stops
 */
export type Responder = (request: Uint8Array, from: PeerName, signal: AbortSignal) => Promise<Verdict<Uint8Array>>;

export interface ServeOptions {
  /** A longer request is refused before a byte of it is buffered. Default 64 KiB. */
  readonly maxRequestBytes?: number;
  /** Requests of one peer that are worked on at once; the next ones are refused with BUSY. Default 16. */
  readonly maxConcurrentPerPeer?: number;
  /** Default 10,000. */
  readonly timeoutMs?: number;
  /** Whether a stream may carry one request after another. Default false: it is closed after the answer. */
  readonly areStreamsKept?: boolean;
}

export interface RequestOptions {
  readonly signal: AbortSignal;
  /** A longer answer is refused before a byte of it is buffered. Default 1 MiB. */
  readonly maxResponseBytes?: number;
  /**
   * Leaves the stream open for the next request of this kind to this peer: worth it where messages come in a row, as opening one costs
   * more than a short frame. Default false. If the other side has closed it, the request goes over a new one.
   */
  readonly isStreamKept?: boolean;
}

/** An open connection. */
export interface ConnectionView {
  readonly peer: PeerName;
  /** Where the other side is seen; of an inbound connection the port is not the one on which it listens. */
  readonly address: string;
  readonly direction: "inbound" | "outbound";
  /** Through a relay, which limits how long and how much. */
  readonly isRelayed: boolean;
  /** Unix milliseconds. */
  readonly openedMs: number;
}

export interface ChannelOptions {
  /** A longer frame ends the stream before it is buffered. */
  readonly maxFrameBytes: number;
}

/** What happens on the channels of one protocol. Frames of a peer come between its `onOpen` and its `onClosed`. */
export interface ChannelEvents {
  /** Frames can be sent. @param isOutbound whether we dialled the peer */
  onOpen(peer: PeerName, isOutbound: boolean): void;
  onFrame(peer: PeerName, frame: Uint8Array): void;
  /** After `send` said false: the peer's stream takes more. */
  onWritable(peer: PeerName): void;
  onClosed(peer: PeerName): void;
  /** A connected peer does not speak the protocol. */
  onRefused(peer: PeerName): void;
  /** A peer sent a length beyond the limit; its stream was ended. */
  onOversized(peer: PeerName): void;
}

/** Frames to and from every connected peer that speaks a protocol, over streams that stay open and are opened again. */
export interface Channels {
  /** @returns false when the peer's stream is full: nothing more before `onWritable`; this frame is not lost */
  send(peer: PeerName, frame: Uint8Array): boolean;
  close(): Promise<void>;
}

/**
 * How a node reaches others. Everything that the network or a stranger can cause is a Verdict, never a throw:
 * `ignore` PEER_UNREACHABLE, PEER_NAME_INVALID, PROTOCOL_UNKNOWN, REQUEST_ABORTED, REQUEST_LIMIT, STREAM_BROKEN,
 * REMOTE_BUSY, REMOTE_FAILED, REMOTE_IGNORED, REMOTE_REJECTED (the last two with the other side's `CODE: detail` in
 * `detail`); `reject` FRAME_TOO_LARGE, FRAME_INVALID, PEER_MISMATCH.
 */
export interface Transport {
  readonly peerId: PeerName;
  /** @throws SuretyError TRANSPORT_LISTEN_FAILED */
  start(): Promise<void>;
  /** Closes every connection and port. Ends what is under way with REQUEST_ABORTED. Idempotent. */
  stop(): Promise<void>;
  /** Multiaddrs under which this node can be dialled, each ending in its peer id. Empty before `start`. */
  addresses(): string[];
  /** Peers with an open connection. */
  peers(): PeerName[];
  /**
   * @param target a multiaddr that ends in a peer id, or a peer id whose address is known
   * @returns the peer's id
   */
  dial(target: string, signal: AbortSignal): Promise<Verdict<PeerName>>;
  /** Remembers where a peer can be dialled, so that `dial` and `request` work by its id alone. */
  learnAddresses(peer: PeerName, multiaddrs: readonly string[]): Promise<Verdict<PeerName>>;
  disconnect(peer: PeerName): Promise<void>;
  connections(): ConnectionView[];
  /** This node's own signed peer record with its addresses of now, as others may pass it on. */
  record(): Promise<Uint8Array>;
  /** The signed record with which a peer identified itself; undefined if it sent none. */
  recordOf(peer: PeerName): Promise<Uint8Array | undefined>;
  /** Remembers the addresses of a signed peer record, whoever gave it. Rejects as `openRecord` does, and RECORD_OWN. */
  learnRecord(bytes: Uint8Array): Promise<Verdict<PeerName>>;
  /** A peer has said who it is and where it listens: from now on `recordOf` knows. @returns removes the listener */
  onPeerIdentified(listener: (peer: PeerName) => void): () => void;
  /** One frame there, one frame back. Dials if there is no connection. @param target as in `dial` */
  request(target: string, protocol: string, body: Uint8Array, options: RequestOptions): Promise<Verdict<Uint8Array>>;
  /** @param protocol `/surety/<name>/<major>`; one responder each @throws SuretyError PROTOCOL_SERVED */
  serve(protocol: string, responder: Responder, options?: ServeOptions): Promise<void>;
  /** One user a protocol. @param protocol `/surety/<name>/<major>` */
  openChannels(protocol: string, events: ChannelEvents, options: ChannelOptions): Promise<Channels>;
  /** @returns to how many peers it went; 0 when nobody listens */
  publish(topic: string, message: Uint8Array): Promise<number>;
  /** One validator a topic. @returns ends the subscription @throws SuretyError TOPIC_SUBSCRIBED */
  subscribe(topic: string, validator: Validator): () => void;
  /** @returns removes the listener */
  onPeerConnected(listener: (peer: PeerName) => void): () => void;
  /** @returns removes the listener */
  onPeerDisconnected(listener: (peer: PeerName) => void): () => void;
  /** A peer that began to listen to a topic; from then on `publish` reaches it. @returns removes the listener */
  onPeerSubscribed(listener: (peer: PeerName, topic: string) => void): () => void;
}

/** Name and major version of a protocol: `/surety/<name>/<major>`. */
export const protocolId = (name: string, major = 1): string => `/surety/${name}/${major}`;
