import { hexToBytes, type Address, type Hex } from "viem";
import { addressOfPeerId, MAX_BODY_BYTES, type VerifiedHeader } from "#protocol";
import type { LogStore } from "../log/log-store.ts";
import type { PeerName, Transport } from "../transport/port.ts";
import { createEmitter } from "./emitter.ts";
import { createPuller, type PullerEffect, type PullerEvent } from "./puller.ts";
import { protocols } from "./sync.ts";

/** How long a peer that asks for a body which we are pulling ourselves waits for it. */
const BODY_PATIENCE_MS = 5_000;

export interface BodiesOptions {
  readonly transport: Transport;
  readonly logs: LogStore;
  readonly stopSignal: AbortSignal;
  readonly requestSignal: () => AbortSignal;
  /** Runs work in the background. */
  readonly spawn: (work: () => Promise<unknown>) => void;
  /** A body arrived and is stored. */
  readonly onBody: (header: VerifiedHeader, bytes: Uint8Array, from: PeerName) => void;
  /** The header names a length that its body has not. */
  readonly onVoid: (header: VerifiedHeader, detail: string) => void;
  readonly onPeerFault: (peer: PeerName, code: string, detail: string) => void;
  readonly onFault: (fault: unknown) => void;
  /** Whether a body comes another way, without the puller. */
  readonly isOnItsWay: (hash: Hex) => boolean;
}

/** Runs the puller on a transport. */
export interface Bodies {
  /** Pulls the body of a header, from its author where connected, else from who announced it. */
  want(header: VerifiedHeader, from: PeerName | undefined): void;
  /** The connected peer whose key writes this log. */
  authorOf(log: Address): PeerName | undefined;
  /** A body that came another way; its hash and length were checked. */
  take(header: VerifiedHeader, bytes: Uint8Array, from: PeerName): void;
  holds(peer: PeerName, log: Address, seq: number): void;
  connected(peer: PeerName): void;
  gone(peer: PeerName): void;
  /** For whoever pulls from us: waits for a body that is on its way, because headers are relayed before their bodies. */
  bodySoon(hash: Hex, signal: AbortSignal): Promise<Uint8Array | undefined>;
}

export function createBodies(options: BodiesOptions): Bodies {
  const { transport, logs, stopSignal } = options;
  const puller = createPuller();
  const arrived = createEmitter<Hex>(options.onFault);
  /** Connected peers by the address of their key: an author's own peer has its bodies for certain. */
  const authors = new Map<Address, PeerName>();

  function pull(event: PullerEvent): void {
    for (const effect of puller.step(event)) perform(effect);
  }

  function perform(effect: PullerEffect): void {
    switch (effect.kind) {
      case "pull":
        options.spawn(() => fetchBody(effect.peer, effect.header));
        break;
      case "stranded":
        pull({ kind: "offer", digest: effect.header.digest, peers: transport.peers() });
        break;
      case "void":
        options.onVoid(effect.header, effect.detail);
        break;
      case "fault":
        options.onPeerFault(effect.peer, effect.code, effect.detail);
        break;
      case "body":
        keep(effect.header, effect.bytes, effect.peer);
    }
  }

  function keep(header: VerifiedHeader, bytes: Uint8Array, from: PeerName): void {
    const { bodyHash } = header.header;
    logs.addBody(bodyHash, bytes);
    arrived.emit(bodyHash);
    options.onBody(header, bytes, from);
  }

  async function fetchBody(peer: PeerName, header: VerifiedHeader): Promise<void> {
    const bounds = { signal: options.requestSignal(), maxResponseBytes: MAX_BODY_BYTES };
    const answer = await transport.request(peer, protocols.bodies, hexToBytes(header.header.bodyHash), bounds);
    if (!stopSignal.aborted) pull({ kind: "answer", digest: header.digest, peer, answer });
  }

  return {
    want(header, from) {
      const author = authors.get(header.header.log);
      if (author !== undefined) pull({ kind: "want", header, from: author });
      pull({ kind: "want", header, from });
    },
    authorOf: (log) => authors.get(log),
    take(header, bytes, from) {
      pull({ kind: "drop", digest: header.digest });
      keep(header, bytes, from);
    },
    holds(peer, log, seq) {
      if (puller.size > 0) pull({ kind: "holds", peer, log, seq });
    },
    connected(peer) {
      const address = addressOfPeerId(peer);
      if (address.kind === "accept") authors.set(address.value, peer);
    },
    gone(peer) {
      for (const [address, name] of authors) if (name === peer) authors.delete(address);
      pull({ kind: "gone", peer });
    },
    async bodySoon(hash, signal) {
      if (logs.hasBody(hash) || !(puller.has(hash) || options.isOnItsWay(hash))) return logs.bodyOf(hash);
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const bounded = AbortSignal.any([signal, stopSignal, AbortSignal.timeout(BODY_PATIENCE_MS)]);
      bounded.addEventListener("abort", () => resolve(undefined));
      const end = arrived.on((other) => {
        if (other === hash) resolve(undefined);
      });
      await promise;
      end();
      return stopSignal.aborted ? undefined : logs.bodyOf(hash);
    },
  };
}
