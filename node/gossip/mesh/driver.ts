import { createHash, randomInt } from "node:crypto";
import { bytesToHex, type Hex } from "viem";
import { encodeLogHeader, type VerifiedHeader, type Verdict } from "#protocol";
import { protocolId, type Channels, type PeerName } from "../../transport/port.ts";
import { LOCAL_GROUP, subnetOf } from "../../transport/addressing/subnet.ts";
import { createBridge, type Dissemination, type DisseminationOptions } from "../dissemination.ts";
import { createMesh } from "./mesh.ts";
import { peekHeader } from "./peek.ts";
import type { Judgement, MeshEffect, MeshEvent, MeshTuning, MessageId } from "./port.ts";
import { MAX_FRAME_BYTES } from "./wire.ts";

export const MESH_PROTOCOL = protocolId("mesh");
/** As many wants as the core has, and as many again that the puller has; the oldest are taken up again by repair. */
const MAX_WANTED = 2_048;
/** What `randomInt` gives at most. */
const RANDOM_RANGE = 2 ** 47;
/** Scores change with epochs. */
const REWEIGH_MS = 600_000;
/** setTimeout takes no more. */
const MAX_DELAY_MS = 2 ** 31 - 1;
/** Refusals that say something of the sender or of us, and nothing of the header. */
const DEFERRED: ReadonlySet<string> = new Set(["PEER_SHUNNED", "PEER_BUDGET", "STOPPED"]);

export interface MeshDriverOptions extends DisseminationOptions {
  readonly tuning?: Partial<MeshTuning>;
  /** Milliseconds that only grow; default the process's own. */
  readonly elapsedMs?: () => number;
}

interface Wanted {
  readonly header: VerifiedHeader;
  readonly from: PeerName | undefined;
  /** The mesh gave up; it is asked for elsewhere. */
  isSought: boolean;
}

/** Runs the mesh core on the transport's channels, and gossipsub beside it for peers that have no mesh. */
export function createMeshDissemination(options: MeshDriverOptions): Dissemination {
  const { transport, onFault } = options;
  const elapsedMs = options.elapsedMs ?? (() => performance.now());
  const mesh = createMesh({
    random: () => randomInt(RANDOM_RANGE) / RANDOM_RANGE,
    hash: (bytes) => createHash("sha256").update(bytes).digest(),
    ...(options.tuning ? { tuning: options.tuning } : {}),
  });
  const wanted = new Map<MessageId, Wanted>();
  const published = new Map<MessageId, (peers: number) => void>();
  const events: MeshEvent[] = [];
  let channels: Channels | undefined;
  let endDisconnected: (() => void) | undefined;
  let wake: NodeJS.Timeout | undefined;
  let reweigh: NodeJS.Timeout | undefined;
  let isTelling = false;
  let isStopped = false;
  const bridge = createBridge(options, (header) => tell({ kind: "relay", header, body: "none" }));

  /** One event after the other, also where an effect causes the next: the frames of a peer stay in their order. */
  function tell(event: MeshEvent): void {
    events.push(event);
    if (isTelling || isStopped) return;
    isTelling = true;
    try {
      for (let next = events.shift(); next !== undefined; next = events.shift()) {
        for (const effect of mesh.handle(next, elapsedMs())) perform(effect);
      }
    } finally {
      isTelling = false;
    }
    schedule();
  }

  function schedule(): void {
    clearTimeout(wake);
    const atMs = mesh.wakeAtMs();
    if (isStopped || atMs === Infinity) return;
    const delayMs = Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(atMs - elapsedMs())));
    wake = setTimeout(() => {
      try {
        tell({ kind: "wake" });
      } catch (fault) {
        onFault(fault);
      }
    }, delayMs);
    wake.unref();
  }

  function perform(effect: MeshEffect): void {
    switch (effect.kind) {
      case "send":
        if (channels?.send(effect.peer, effect.bytes) === false) events.push({ kind: "blocked", peer: effect.peer });
        return;
      case "judge":
        return void judge(effect.id, effect.header, effect.from);
      case "body":
        return take(effect.id, effect.bytes, effect.from);
      case "seek":
        return seek(wanted.get(effect.id));
      case "readBody":
        events.push({ kind: "bodyRead", id: effect.id, peer: effect.peer, bytes: bodyOf(effect.header) });
        return;
      case "published":
        return published.get(effect.id)?.(effect.peers);
      case "listening":
        return options.onListening(effect.peer);
      case "fault":
        return options.onPeerFault(effect.peer, effect.code, effect.detail);
      case "disconnect":
        options.onPeerFault(effect.peer, effect.code, "cut off by the mesh");
        return void transport.disconnect(effect.peer).catch(onFault);
    }
  }

  async function judge(id: MessageId, header: Uint8Array, from: PeerName): Promise<void> {
    let judgement: Judgement = "defer";
    try {
      judgement = judgementOf(await options.judge(header, from));
    } catch (fault) {
      if (!isStopped) onFault(fault);
    }
    tell({ kind: "judged", id, judgement });
    if (judgement === "accept" && bridge.isOpen) bridge.send(header).catch(onFault);
  }

  /** What the chain says of a peer; silence of the chain changes nothing. */
  async function weigh(peer: PeerName): Promise<void> {
    try {
      tell({ kind: "reputation", peer, points: await options.reputationOf(peer) });
    } catch (fault) {
      if (!isStopped) onFault(fault);
    }
  }

  function take(id: MessageId, bytes: Uint8Array, from: PeerName): void {
    const want = wanted.get(id);
    wanted.delete(id);
    if (want !== undefined) options.onBody(want.header, bytes, from);
  }

  function seek(want: Wanted | undefined): void {
    if (want === undefined) return;
    want.isSought = true;
    options.onSeek(want.header, want.from);
  }

  function bodyOf(header: Uint8Array): Uint8Array | undefined {
    const glimpse = peekHeader(header);
    return glimpse && options.bodyOf(bytesToHex(glimpse.bodyHash));
  }

  async function publish(header: Uint8Array): Promise<number> {
    const id = mesh.idOf(header);
    const { promise, resolve } = Promise.withResolvers<number>();
    published.set(id, resolve);
    tell({ kind: "publish", header });
    // A header that was published before is not published again.
    if (!isTelling) resolve(0);
    const count = await promise;
    published.delete(id);
    return count + (await bridge.send(header));
  }

  /** Peers of one machine or household are not told apart by it, nor is one that is gone again. */
  function subnetOfPeer(peer: PeerName): string | undefined {
    const address = transport.connections().find((connection) => connection.peer === peer)?.address;
    const subnet = address === undefined ? LOCAL_GROUP : subnetOf(address);
    return subnet === LOCAL_GROUP ? undefined : subnet;
  }

  const idOf = (header: VerifiedHeader): MessageId => mesh.idOf(encodeLogHeader(header));

  return {
    async start() {
      endDisconnected = transport.onPeerDisconnected((peer) => bridge.gone(peer));
      reweigh = setInterval(() => {
        for (const { peer } of mesh.peers(elapsedMs())) void weigh(peer);
      }, REWEIGH_MS);
      reweigh.unref();
      channels = await transport.openChannels(
        MESH_PROTOCOL,
        {
          onOpen(peer, isOutbound) {
            bridge.speaksMesh(peer, true);
            tell({ kind: "connected", peer, isOutbound, subnet: subnetOfPeer(peer) });
            void weigh(peer);
          },
          onFrame: (peer, bytes) => tell({ kind: "frame", peer, bytes }),
          onWritable: (peer) => tell({ kind: "writable", peer }),
          onClosed: (peer) => tell({ kind: "disconnected", peer }),
          onRefused: (peer) => bridge.speaksMesh(peer, false),
          onOversized: (peer) => options.onPeerFault(peer, "FRAME_TOO_LARGE", `more than ${MAX_FRAME_BYTES} bytes`),
        },
        { maxFrameBytes: MAX_FRAME_BYTES },
      );
    },
    async stop() {
      isStopped = true;
      clearTimeout(wake);
      clearInterval(reweigh);
      endDisconnected?.();
      bridge.stop();
      for (const resolve of published.values()) resolve(0);
      await channels?.close();
    },
    publish,
    relay(header) {
      tell({ kind: "relay", header, body: "none" });
      return bridge.send(header);
    },
    want(header, from) {
      const id = idOf(header);
      const known = wanted.get(id);
      if (known !== undefined) return known.isSought ? seek(known) : undefined;
      wanted.set(id, { header, from, isSought: false });
      const oldest = wanted.keys().next();
      if (wanted.size > MAX_WANTED && !oldest.done) wanted.delete(oldest.value);
      const author = options.authorOf(header.header.log);
      tell({ kind: "want", id, ...(author === undefined ? {} : { author }) });
    },
    hold(header) {
      const id = idOf(header);
      wanted.delete(id);
      tell({ kind: "held", id });
    },
    isPulling: (hash: Hex) => wanted.values().some(({ header }) => header.header.bodyHash === hash),
    report: () => ({ counts: mesh.counts(), peers: mesh.peers(elapsedMs()), isBridging: bridge.isOpen }),
  };
}

function judgementOf(verdict: Verdict<unknown>): Judgement {
  if (verdict.kind === "ignore" && DEFERRED.has(verdict.code)) return "defer";
  return verdict.kind;
}
