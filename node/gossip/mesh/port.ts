import type { PeerName } from "../../transport/port.ts";

/**
 * The first 20 bytes of the hash over every byte of a header, signature included, as text of 20 characters (one byte
 * each): a key for maps that costs a third of hex. 160 bits: to find a second header with the id of a given one takes
 * 2^160 hashes, and who makes two of his own with one id (2^80) only hides one of his own.
 */
export type MessageId = string;

/** A set of topic shards: bit i stands for shard i of 64. */
export type ShardSet = bigint;

/** Whether a node has the body of a header: it does not and will not, it is pulling it and will, it does. */
export type BodyState = "none" | "will" | "has";

/**
 * accept: new and valid, relay it. ignore: drop it and its copies. reject: invalid, its senders are at fault. defer: not
 * judged because of who sent it or because we were busy; the next copy, of whomever, is judged instead.
 */
export type Judgement = "accept" | "ignore" | "reject" | "defer";

/** What happened. The driver, or a simulator, tells the core. */
export type MeshEvent =
  /**
   * Frames can be sent to this peer from now on. `isGuest`: a link for single pulls, which never joins a mesh.
   * `isOutbound`: our own choice; a mesh has some of these. `subnet`: where it lies, as far as neighbours there are likely
   * one operator's; undefined where that says nothing (loopback).
   */
  | {
      readonly kind: "connected";
      readonly peer: PeerName;
      readonly isGuest?: boolean;
      readonly isOutbound?: boolean;
      readonly subnet?: string | undefined;
    }
  | { readonly kind: "disconnected"; readonly peer: PeerName }
  /** One frame as it came. The bytes are the core's from now on. */
  | { readonly kind: "frame"; readonly peer: PeerName; readonly bytes: Uint8Array }
  /** The peer's link takes nothing for now: what is said meanwhile waits in its queue. */
  | { readonly kind: "blocked"; readonly peer: PeerName }
  | { readonly kind: "writable"; readonly peer: PeerName }
  /** A header of this node, whose body it holds. It is not judged, and no queue loses it. */
  | { readonly kind: "publish"; readonly header: Uint8Array }
  /** A header that came another way (repair) and was found new, valid and recent: pass it on. */
  | { readonly kind: "relay"; readonly header: Uint8Array; readonly body: BodyState }
  /** The answer to the effect `judge`. */
  | { readonly kind: "judged"; readonly id: MessageId; readonly judgement: Judgement }
  /**
   * The body of this header is to be pulled. Before `judged`, the header is relayed with the promise to have its body.
   * For a header that the core does not hold, the answer is `seek`. `author`: its author's peer, where connected.
   */
  | { readonly kind: "want"; readonly id: MessageId; readonly author?: PeerName }
  /** The body has come another way. */
  | { readonly kind: "held"; readonly id: MessageId }
  /** The answer to `seek`, where the driver knows a connected peer to ask: the author, say. */
  | { readonly kind: "offer"; readonly id: MessageId; readonly peer: PeerName }
  /** The answer to `readBody`; undefined if the body is not there. */
  | {
      readonly kind: "bodyRead";
      readonly id: MessageId;
      readonly peer: PeerName;
      readonly bytes: Uint8Array | undefined;
    }
  /** On-chain reputation of the agent behind a peer; cut to ±MAX_REPUTATION points of score. */
  | { readonly kind: "reputation"; readonly peer: PeerName; readonly points: number }
  /** Which shards this node wants to hear. */
  | { readonly kind: "subscribe"; readonly shards: ShardSet }
  /** It is `wakeAtMs()` or later. */
  | { readonly kind: "wake" };

/** What to do, in this order. */
export type MeshEffect =
  /** At most MAX_BURST_FRAMES to one peer in one answer; the core goes on at the next `wake` unless told `blocked`. */
  | { readonly kind: "send"; readonly peer: PeerName; readonly bytes: Uint8Array }
  /** Judge this header; answer with `judged`, now or later. */
  | { readonly kind: "judge"; readonly id: MessageId; readonly header: Uint8Array; readonly from: PeerName }
  /** The bytes under the header's body hash and of its length: store and use them. */
  | { readonly kind: "body"; readonly id: MessageId; readonly bytes: Uint8Array; readonly from: PeerName }
  /** Nobody who said that he has the body is left to ask: ask the author, or whom the driver knows. Answer: `held` or `offer`. */
  | { readonly kind: "seek"; readonly id: MessageId; readonly header: Uint8Array | undefined }
  /** A peer asks for a body that this node holds; answer with `bodyRead`, now or later. */
  | { readonly kind: "readBody"; readonly id: MessageId; readonly header: Uint8Array; readonly peer: PeerName }
  /** How many peers a `publish` goes to. 0: it waits for the first who connects. */
  | { readonly kind: "published"; readonly id: MessageId; readonly peers: number }
  /** The peer listens to headers from now on. */
  | { readonly kind: "listening"; readonly peer: PeerName }
  /** A peer did what it must not: BODY_HASH, FRAME_*, …; for the log, its score has sunk already. */
  | { readonly kind: "fault"; readonly peer: PeerName; readonly code: string; readonly detail: string }
  /** The peer's score, or its silence, is beyond what is borne. The driver answers with `disconnected`. */
  | { readonly kind: "disconnect"; readonly peer: PeerName; readonly code: string };

/**
 * `eager`: each accepted header goes to all mesh links, unless it has come farther than most: then to `lateLinks` of
 * them, and the others get a 24-byte announcement. `hybrid`: to all of them within `eagerHops` of its author, where
 * few have it, and beyond to `eagerLinks` of them, the others being told. Who is told pulls what it lacks.
 */
export type MeshMode = "eager" | "hybrid";

/** What the benchmark turns. Times are in milliseconds. */
export interface MeshTuning {
  readonly mode: MeshMode;
  /** Mesh links a shard: aimed at, at least, at most. */
  readonly degree: number;
  readonly degreeLow: number;
  readonly degreeHigh: number;
  readonly eagerLinks: number;
  readonly eagerHops: number;
  /** `eager`: links of a node that hears a header later than most headers come, and whose neighbours mostly have it. */
  readonly lateLinks: number;
  /** Random listeners outside of the mesh that get an announcement of each header, in both modes. */
  readonly gossipLinks: number;
  /**
   * Whether a node that does not want a body pulls it for a neighbour that asks, from whom the header came: so a body
   * follows its header's way instead of a dial of its author, which takes four round trips.
   */
  readonly carriesBodies: boolean;
  /**
   * Nodes so many hops nearer to the author than headers travel on average pull the body in any case: few, since each
   * hop has as many times the nodes as a node has links, and on the way of all others.
   */
  readonly seedMargin: number;
  /** Announcements to a peer wait so long for others to share their frame. */
  readonly announceEveryMs: number;
  /** A header waits so long for others if the peer was sent a frame just before; else it goes at once. */
  readonly lingerMs: number;
  /** After an announcement, the header is waited for so long before it is asked for. */
  readonly headerPatienceMs: number;
  /** What was asked for is waited for so long before another is asked; a body that will be had, twice as long. */
  readonly pullTimeoutMs: number;
  readonly maintainEveryMs: number;
  /** Headers remembered, to know copies; the last `keptHeaders` with their bytes, to hand them out. */
  readonly seenHeaders: number;
  readonly keptHeaders: number;
}

export interface MeshOptions {
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** sha2-256. A simulator may give a cheaper one of 32 bytes. */
  readonly hash: (bytes: Uint8Array) => Uint8Array;
  /** Default all. */
  readonly shards?: ShardSet;
  readonly tuning?: Partial<MeshTuning>;
}

/** Since the start; frames and bytes as the core made or took them, without the link's own framing. */
export interface MeshCounts {
  readonly framesIn: number;
  readonly framesOut: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly headersIn: number;
  readonly duplicates: number;
  readonly headersOut: number;
  readonly announcementsIn: number;
  readonly announcementsOut: number;
  readonly headerPulls: number;
  readonly bodyPulls: number;
  readonly bodiesIn: number;
  readonly bodiesOut: number;
  readonly brokenPromises: number;
  readonly droppedFrames: number;
  readonly droppedAnnouncements: number;
  readonly droppedHeaders: number;
}

/** A connected peer, as the core sees it. */
export interface MeshPeerView {
  readonly peer: PeerName;
  /** Shards of which both are in one another's mesh. */
  readonly meshed: ShardSet;
  readonly listens: ShardSet;
  readonly score: number;
  readonly queuedHeaders: number;
  readonly queuedAnnouncements: number;
  readonly queuedBytes: number;
  readonly isBlocked: boolean;
}

/**
 * Spreads headers and bodies among connected peers. Without any I/O, clock or timer: `handle` takes what happened and
 * says what to do; the same code runs on libp2p and in the simulator. The state is changed in place.
 */
export interface Mesh {
  /** @param nowMs never less than in the call before */
  handle(event: MeshEvent, nowMs: number): MeshEffect[];
  /** When to call `handle` with `wake` at the latest; Infinity while there is nothing to wait for. */
  wakeAtMs(): number;
  idOf(header: Uint8Array): MessageId;
  counts(): MeshCounts;
  /** How much the core remembers: each is bounded. */
  held(): { readonly headers: number; readonly announced: number; readonly bodies: number };
  peers(nowMs: number): MeshPeerView[];
}
