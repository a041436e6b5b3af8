import type { Address, Hex } from "viem";
import { accept, type VerifiedHeader, type Verdict } from "#protocol";
import type { PeerName, Transport } from "../transport/port.ts";
import type { MeshCounts, MeshPeerView } from "./mesh/port.ts";

/** The topic of all headers, where they travel by gossipsub. */
export const HEADERS_TOPIC = "/surety/headers/1";
/** Own headers that wait for a first listener; older ones are left to repair. */
const MAX_UNHEARD = 64;

/** How headers reach others: by our own mesh, or by stock gossipsub. A node of the mesh speaks to both kinds. */
export type DisseminationName = "mesh" | "gossipsub";

/** What dissemination needs of the node. */
export interface DisseminationOptions {
  readonly transport: Transport;
  /** From bytes to verdict: what it accepts is relayed. Stores and announces on the way, so `want` may come before it resolves. */
  readonly judge: (bytes: Uint8Array, from: PeerName) => Promise<Verdict<unknown>>;
  /** The peer hears our headers from now on. */
  readonly onListening: (peer: PeerName) => void;
  /** A body that was wanted; its hash and length are the header's. */
  readonly onBody: (header: VerifiedHeader, bytes: Uint8Array, from: PeerName) => void;
  /** Nobody in the mesh is left to ask for a body. @param from who sent the header */
  readonly onSeek: (header: VerifiedHeader, from: PeerName | undefined) => void;
  readonly bodyOf: (hash: Hex) => Uint8Array | undefined;
  /** The connected peer whose key writes this log. */
  readonly authorOf: (log: Address) => PeerName | undefined;
  /** Points of score for what the chain says of the agent behind a peer; the mesh bounds them. */
  readonly reputationOf: (peer: PeerName) => Promise<number>;
  /** A peer did what it must not. */
  readonly onPeerFault: (peer: PeerName, code: string, detail: string) => void;
  readonly onFault: (fault: unknown) => void;
}

/** The mesh as people see it. */
export interface MeshReport {
  readonly counts: MeshCounts;
  readonly peers: readonly MeshPeerView[];
  /** Whether peers without the mesh are served by gossipsub, too. */
  readonly isBridging: boolean;
}

export interface Dissemination {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** An own header, encoded. @returns number of peers it went to; with 0 it waits for the first listener */
  publish(bytes: Uint8Array): Promise<number>;
  /** A header that came by repair and is recent. */
  relay(bytes: Uint8Array): Promise<unknown>;
  /** The body of a stored header is to be pulled; ends in `onBody`, or in `onSeek`. */
  want(header: VerifiedHeader, from: PeerName | undefined): void;
  /** A body came another way. */
  hold(header: VerifiedHeader): void;
  /** Whether a body with this hash is being pulled in the mesh. */
  isPulling(hash: Hex): boolean;
  report(): MeshReport | undefined;
}

/** Headers by stock gossipsub; bodies are sought among peers. */
export function createGossipsubDissemination(options: DisseminationOptions): Dissemination {
  const { transport, judge, onFault } = options;
  const ends: (() => void)[] = [];
  const unheard: Uint8Array[] = [];

  /** An own header that reaches nobody waits for the next peer that subscribes: repair only pulls, and may come late. */
  async function publish(bytes: Uint8Array): Promise<number> {
    const count = await transport.publish(HEADERS_TOPIC, bytes);
    if (count === 0) unheard.splice(0, unheard.length, ...unheard.slice(1 - MAX_UNHEARD), bytes);
    return count;
  }

  return {
    start() {
      ends.push(
        transport.subscribe(HEADERS_TOPIC, judge),
        transport.onPeerSubscribed((peer, topic) => {
          if (topic !== HEADERS_TOPIC) return;
          options.onListening(peer);
          for (const bytes of unheard.splice(0)) publish(bytes).catch(onFault);
        }),
      );
      return Promise.resolve();
    },
    stop() {
      for (const end of ends.splice(0)) end();
      return Promise.resolve();
    },
    publish,
    relay: (bytes) => transport.publish(HEADERS_TOPIC, bytes),
    want: options.onSeek,
    hold: () => undefined,
    isPulling: () => false,
    report: () => undefined,
  };
}

/**
 * Gossipsub for those peers that speak nothing else: listened to while such a peer is connected, and not otherwise, or
 * every header would travel twice between nodes of the mesh.
 */
export interface Bridge {
  /** The peer speaks the mesh, or does not. */
  speaksMesh(peer: PeerName, isSpeaking: boolean): void;
  gone(peer: PeerName): void;
  readonly isOpen: boolean;
  send(bytes: Uint8Array): Promise<number>;
  stop(): void;
}

export function createBridge(
  { transport, judge, onListening }: Pick<DisseminationOptions, "transport" | "judge" | "onListening">,
  /** A header that came by gossipsub was accepted. */
  onHeader: (bytes: Uint8Array) => void,
): Bridge {
  const subscribers = new Set<PeerName>();
  const strangers = new Set<PeerName>();
  let endSubscription: (() => void) | undefined;

  async function validate(bytes: Uint8Array, from: PeerName): Promise<Verdict<unknown>> {
    const verdict = await judge(bytes, from);
    if (verdict.kind !== "accept") return verdict;
    onHeader(bytes);
    return accept(undefined);
  }

  function look(): void {
    const isNeeded = strangers.values().some((peer) => subscribers.has(peer));
    if (isNeeded) endSubscription ??= transport.subscribe(HEADERS_TOPIC, validate);
    else {
      endSubscription?.();
      endSubscription = undefined;
    }
  }

  /** A peer becomes a listener of the bridge once both are known of it, in whichever order. */
  function meet(peer: PeerName, isNews: boolean): void {
    look();
    if (isNews && strangers.has(peer) && subscribers.has(peer)) onListening(peer);
  }

  const endSubscribed = transport.onPeerSubscribed((peer, topic) => {
    if (topic !== HEADERS_TOPIC) return;
    const isNews = !subscribers.has(peer);
    subscribers.add(peer);
    meet(peer, isNews);
  });

  return {
    speaksMesh(peer, isSpeaking) {
      const isNews = !isSpeaking && !strangers.has(peer);
      if (isSpeaking) strangers.delete(peer);
      else strangers.add(peer);
      meet(peer, isNews);
    },
    gone(peer) {
      subscribers.delete(peer);
      strangers.delete(peer);
      look();
    },
    get isOpen() {
      return endSubscription !== undefined;
    },
    send: (bytes) => (endSubscription === undefined ? Promise.resolve(0) : transport.publish(HEADERS_TOPIC, bytes)),
    stop() {
      endSubscribed();
      endSubscription?.();
      endSubscription = undefined;
    },
  };
}
