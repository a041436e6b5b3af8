import type { PeerName } from "../../transport/port.ts";
import type { Ground, Peer } from "./ground.ts";
import type { MessageId, MeshOptions } from "./port.ts";
import { FAULT } from "./score.ts";
import { noteHolder, type Heard } from "./seen.ts";
import { MAX_CHUNK_BYTES, type Frame } from "./wire.ts";

/** Bodies wanted at once; for more, the driver is sent to seek them its own way. */
const MAX_WANTS = 1_024;
/** Bodies under way, at once and from one peer: at most 2 MB in memory. */
const MAX_PULLS = 32;
export const MAX_PULLS_PER_PEER = 8;
/** A body that the driver looks for in vain is forgotten; anti-entropy takes it up again. */
const SOUGHT_MS = 60_000;
/** Bodies that wait in all queues together. */
const MAX_SERVING_BYTES = 8_388_608;
/** Peers that wait for a body which we are pulling; the next ones are told that we are busy. */
const MAX_WAITING = 64;

interface Pull {
  readonly heard: Heard;
  /** Whom to ask still, in order. */
  readonly candidates: PeerName[];
  readonly tried: Set<PeerName>;
  current: PeerName | undefined;
  dueMs: number;
  /** What has come of it; allocated with the first chunk, at the length that the header names. */
  buffer: Uint8Array | undefined;
  received: number;
  /** Since when the driver looks for it. */
  soughtMs: number | undefined;
  /** Peers that asked us for it meanwhile. */
  readonly waiting: PeerName[];
}

/** Bodies: pulled from whoever said that it has them or will have them, and served to whoever asks. */
export interface Swarm {
  want(id: MessageId, nowMs: number): void;
  /** A peer said that it has, or will have, the body of a header that we know. */
  hold(id: MessageId): void;
  held(id: MessageId, nowMs: number): void;
  offer(id: MessageId, peer: PeerName, nowMs: number): void;
  onChunk(peer: Peer, chunk: Extract<Frame, { kind: "body" }>, nowMs: number): void;
  onNone(peer: Peer, id: MessageId, isBusy: boolean, nowMs: number): void;
  onAsk(peer: Peer, id: MessageId): void;
  /** The answer to `readBody`. */
  onRead(peer: PeerName, id: MessageId, bytes: Uint8Array | undefined): void;
  gone(peer: PeerName, nowMs: number): void;
  isPullingFrom(peer: PeerName): boolean;
  advance(nowMs: number): void;
  nextMs(): number;
  readonly size: number;
}

export function createSwarm(ground: Ground, hash: MeshOptions["hash"]): Swarm {
  const { peers, tuning, counts, seen } = ground;
  const pulls = new Map<MessageId, Pull>();
  /** Pulls that are under way, and how many of each peer. */
  const active = new Set<Pull>();
  const loads = new Map<PeerName, number>();
  /** Pulls with nobody to ask now. */
  const idle = new Set<Pull>();
  let lookAgainMs = Infinity;

  function begin(heard: Heard): Pull {
    const pull: Pull = {
      ...{ heard, candidates: [...heard.holders], tried: new Set(), current: undefined, dueMs: Infinity },
      ...{ buffer: undefined, received: 0, soughtMs: undefined, waiting: [] },
    };
    heard.body = "will";
    pulls.set(heard.id, pull);
    return pull;
  }

  /** Asks the first candidate that has a place; seeks where nobody is left. */
  function ask(pull: Pull, nowMs: number): void {
    idle.delete(pull);
    pull.candidates.splice(0, Infinity, ...pull.candidates.filter((name) => peers.get(name)?.isCut === false));
    if (pull.candidates.length === 0) return seek(pull, nowMs);
    const at = pull.candidates.findIndex((name) => (loads.get(name) ?? 0) < MAX_PULLS_PER_PEER);
    if (at < 0 || active.size >= MAX_PULLS) return void idle.add(pull);
    const [name] = pull.candidates.splice(at, 1) as [PeerName];
    pull.tried.add(name);
    Object.assign(pull, {
      current: name,
      dueMs: nowMs + patienceFor(pull.heard, name),
      buffer: undefined,
      received: 0,
    });
    active.add(pull);
    loads.set(name, (loads.get(name) ?? 0) + 1);
    counts.bodyPulls++;
    ground.send(peers.get(name) as Peer, { kind: "askBody", id: pull.heard.id });
  }

  /** Who will have it pulls it first. */
  const patienceFor = (heard: Heard, name: PeerName): number =>
    (heard.holders[0] === name ? 1 : 2) * tuning.pullTimeoutMs;

  function seek(pull: Pull, nowMs: number): void {
    if (pull.soughtMs !== undefined) return;
    pull.soughtMs = nowMs;
    lookAgainMs = Math.min(lookAgainMs, nowMs + tuning.pullTimeoutMs);
    ground.emit({ kind: "seek", id: pull.heard.id, header: pull.heard.header });
  }

  /** What is sought in vain for a while is asked of who has said meanwhile that he has it; at last it is given up. */
  function lookAgain(nowMs: number): void {
    lookAgainMs = Infinity;
    for (const pull of [...pulls.values()]) {
      if (pull.soughtMs === undefined || pull.current !== undefined) continue;
      if (nowMs - pull.soughtMs >= SOUGHT_MS) abandon(pull, nowMs);
      else {
        lookAgainMs = nowMs + tuning.pullTimeoutMs;
        if (pull.candidates.length > 0) ask(pull, nowMs);
      }
    }
  }

  function abandon(pull: Pull, nowMs: number): void {
    pull.heard.body = "none";
    end(pull, nowMs);
    for (const name of pull.waiting) give(peers.get(name), pull.heard.id, undefined);
  }

  function release(pull: Pull): void {
    const { current } = pull;
    if (current === undefined) return;
    const load = (loads.get(current) ?? 1) - 1;
    if (load > 0) loads.set(current, load);
    else loads.delete(current);
    Object.assign(pull, { current: undefined, dueMs: Infinity, buffer: undefined });
    active.delete(pull);
  }

  /** The next in turn for this body, and for those that waited for a place. */
  function goOn(pull: Pull | undefined, nowMs: number): void {
    if (pull !== undefined) ask(pull, nowMs);
    for (const other of [...idle]) {
      if (active.size >= MAX_PULLS) return;
      ask(other, nowMs);
    }
  }

  function end(pull: Pull, nowMs: number): void {
    release(pull);
    pulls.delete(pull.heard.id);
    idle.delete(pull);
    goOn(undefined, nowMs);
  }

  function complete(pull: Pull, bytes: Uint8Array, peer: Peer, nowMs: number): void {
    const { heard } = pull;
    if (!isSame(hash(bytes), heard.glimpse?.bodyHash)) {
      release(pull);
      ground.emit({ kind: "fault", peer: peer.name, code: "BODY_HASH", detail: `${bytes.length} other bytes` });
      ground.blame(peer, FAULT.falseBody, nowMs);
      return goOn(pull, nowMs);
    }
    heard.body = "has";
    counts.bodiesIn++;
    end(pull, nowMs);
    ground.emit({ kind: "body", id: heard.id, bytes, from: peer.name });
    for (const name of pull.waiting) give(peers.get(name), heard.id, bytes);
  }

  function give(peer: Peer | undefined, id: MessageId, bytes: Uint8Array | undefined): void {
    if (peer === undefined || peer.isCut) return;
    if (bytes === undefined) ground.send(peer, { kind: "noBody", id, isBusy: false });
    else if (servingBytes() > MAX_SERVING_BYTES || !peer.outbox.body(id, bytes))
      ground.send(peer, { kind: "noBody", id, isBusy: true });
    ground.waiting.add(peer);
  }

  const servingBytes = (): number => ground.waiting.values().reduce((sum, { outbox }) => sum + outbox.bodyBytes(), 0);

  return {
    want(id, nowMs) {
      const heard = seen.get(id);
      if (pulls.has(id)) return;
      // Where we think that it is here, the driver has lost it.
      if (heard?.glimpse === undefined || heard.body === "has" || pulls.size >= MAX_WANTS) {
        return ground.emit({ kind: "seek", id, header: heard?.header });
      }
      ask(begin(heard), nowMs);
    },
    hold(id) {
      const pull = pulls.get(id);
      if (pull === undefined) return;
      for (const name of pull.heard.holders)
        if (!pull.tried.has(name) && !pull.candidates.includes(name)) pull.candidates.push(name);
    },
    held(id, nowMs) {
      const heard = seen.get(id);
      if (heard !== undefined) heard.body = "has";
      const pull = pulls.get(id);
      if (pull === undefined) return;
      end(pull, nowMs);
      for (const peer of pull.waiting) read(pull.heard, peer);
    },
    offer(id, name, nowMs) {
      const pull = pulls.get(id);
      if (pull === undefined || pull.tried.has(name) || pull.candidates.includes(name)) return;
      noteHolder(pull.heard, name, "has");
      pull.candidates.push(name);
      pull.soughtMs = undefined;
      if (pull.current === undefined) ask(pull, nowMs);
    },
    onChunk(peer, { id, total, offset, bytes }, nowMs) {
      const pull = pulls.get(id);
      if (pull === undefined || pull.current !== peer.name) {
        // Late: asked of it once, and given up for another.
        if (pull?.tried.has(peer.name) !== true && seen.get(id)?.body !== "has")
          ground.blame(peer, FAULT.unasked, nowMs);
        return;
      }
      if (total !== pull.heard.glimpse?.bodyLength || offset !== pull.received || !isWhole(bytes, offset, total)) {
        release(pull);
        ground.emit({ kind: "fault", peer: peer.name, code: "BODY_LENGTH", detail: `${offset} of ${total} bytes` });
        ground.blame(peer, FAULT.falseBody, nowMs);
        return goOn(pull, nowMs);
      }
      pull.buffer ??= new Uint8Array(total);
      pull.buffer.set(bytes, offset);
      pull.received += bytes.length;
      pull.dueMs = nowMs + tuning.pullTimeoutMs;
      if (pull.received === total) complete(pull, pull.buffer, peer, nowMs);
    },
    onNone(peer, id, isBusy, nowMs) {
      const pull = pulls.get(id);
      if (pull === undefined || pull.current !== peer.name) return;
      if (!isBusy) {
        counts.brokenPromises++;
        ground.blame(peer, FAULT.brokenPromise, nowMs);
      }
      release(pull);
      goOn(pull, nowMs);
    },
    onAsk(peer, id) {
      const heard = seen.get(id);
      if (heard?.body === "has" && peer.outbox.hasPlace()) return read(heard, peer.name);
      const pull = pulls.get(id);
      if (pull === undefined) return ground.send(peer, { kind: "noBody", id, isBusy: heard?.body === "has" });
      if (pull.waiting.includes(peer.name)) return;
      if (pull.waiting.length < MAX_WAITING) pull.waiting.push(peer.name);
      else ground.send(peer, { kind: "noBody", id, isBusy: true });
    },
    isPullingFrom: (name) => loads.has(name),
    onRead: (name, id, bytes) => give(peers.get(name), id, bytes),
    gone(name, nowMs) {
      for (const pull of [...active]) {
        if (pull.current !== name) continue;
        release(pull);
        ask(pull, nowMs);
      }
      goOn(undefined, nowMs);
    },
    advance(nowMs) {
      for (const pull of [...active]) {
        if (pull.dueMs > nowMs) continue;
        const liar = peers.get(pull.current ?? "");
        counts.brokenPromises++;
        if (liar !== undefined) ground.blame(liar, FAULT.brokenPromise, nowMs);
        release(pull);
        goOn(pull, nowMs);
      }
      if (nowMs >= lookAgainMs) lookAgain(nowMs);
    },
    nextMs: () => active.values().reduce((next, { dueMs }) => Math.min(next, dueMs), lookAgainMs),
    get size() {
      return pulls.size;
    },
  };

  /** The driver reads the body, where it is not in memory any more. */
  function read({ id, header }: Heard, peer: PeerName): void {
    if (header !== undefined) return ground.emit({ kind: "readBody", id, header, peer });
    const asker = peers.get(peer);
    if (asker !== undefined) ground.send(asker, { kind: "noBody", id, isBusy: false });
  }
}

/** Chunks are full but for the last: crumbs would hold a place for as long as their sender likes. */
const isWhole = (chunk: Uint8Array, offset: number, total: number): boolean =>
  chunk.length === Math.min(MAX_CHUNK_BYTES, total - offset);

const isSame = (a: Uint8Array, b: Uint8Array | undefined): boolean =>
  b !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
