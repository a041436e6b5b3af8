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
/** Bodies that are under way for others alone, and bytes of those that came, kept for the next who asks. */
const MAX_CARRIED = 64;
const MAX_CARRIED_BYTES = 524_288;
/** Peers that wait for a body which we are pulling; the next ones are told that we are busy. */
const MAX_WAITING = 64;

interface Pull {
  readonly heard: Heard;
  /** For ourselves, and not for a neighbour alone. */
  isWanted: boolean;
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
  want(id: MessageId, author: PeerName | undefined, nowMs: number): void;
  /** Pulls a body that others will ask for. */
  carry(heard: Heard, nowMs: number): boolean;
  /** A peer said that it has, or will have, the body of a header that we know. */
  hold(id: MessageId): void;
  held(id: MessageId, nowMs: number): void;
  offer(id: MessageId, peer: PeerName, nowMs: number): void;
  onChunk(peer: Peer, chunk: Extract<Frame, { kind: "body" }>, nowMs: number): void;
  onNone(peer: Peer, id: MessageId, isBusy: boolean, nowMs: number): void;
  onAsk(peer: Peer, id: MessageId, nowMs: number): void;
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

  /** Bodies of others that were asked for, the oldest first. */
  const carried = new Map<MessageId, Uint8Array>();
  let carriedBytes = 0;
  let carrying = 0;

  /**
   * Whom a header came from first asked nobody who came later, so that no circle of nodes waits for itself: what is
   * pulled for others is asked of that one alone, and for ourselves after those who had promised it before we decided.
   */
  function begin(heard: Heard, isWanted: boolean): Pull {
    const first = tuning.carriesBodies ? heard.senders.slice(0, 1) : [];
    const candidates = isWanted ? [...new Set([...heard.holders, ...first])] : first;
    if (!isWanted) carrying++;
    const pull: Pull = {
      ...{ heard, isWanted, candidates, tried: new Set(), current: undefined, dueMs: Infinity },
      ...{ buffer: undefined, received: 0, soughtMs: undefined, waiting: [] },
    };
    heard.body = "will";
    pulls.set(heard.id, pull);
    return pull;
  }

  /** Asks the first candidate that has a place; seeks where nobody is left. */
  function ask(pull: Pull, nowMs: number): void {
    idle.delete(pull);
    pull.candidates.splice(0, Infinity, ...pull.candidates.filter((name) => isAskable(pull, name)));
    if (pull.candidates.length === 0) return pull.isWanted ? seek(pull, nowMs) : abandon(pull, nowMs);
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

  /** Who waits for us has nothing to give. */
  const isAskable = ({ waiting }: Pull, name: PeerName): boolean =>
    peers.get(name)?.isCut === false && !waiting.includes(name);

  /** Who will have it, or carries it, pulls it first. */
  const patienceFor = (heard: Heard, name: PeerName): number =>
    (heard.holders[0] === name ? 1 : 2) * tuning.pullTimeoutMs;

  /** Blames who said that it has the body, or will: nobody else promised anything. */
  function breakPromise({ heard }: Pull, name: PeerName | undefined, nowMs: number): void {
    const peer = peers.get(name ?? "");
    if (peer === undefined || !heard.holders.includes(peer.name)) return;
    counts.brokenPromises++;
    ground.blame(peer, FAULT.brokenPromise, nowMs);
  }

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
        const isLate = nowMs - pull.soughtMs >= 2 * tuning.pullTimeoutMs;
        if (isLate && pull.candidates.length > 0) ask(pull, nowMs);
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
    if (pulls.delete(pull.heard.id) && !pull.isWanted) carrying--;
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
    if (pull.isWanted) ground.emit({ kind: "body", id: heard.id, bytes, from: peer.name });
    else keep(heard, bytes);
    for (const name of pull.waiting) give(peers.get(name), heard.id, bytes);
  }

  function keep(heard: Heard, bytes: Uint8Array): void {
    carried.set(heard.id, bytes);
    carriedBytes += bytes.length;
    for (const [id, oldest] of carried) {
      if (carriedBytes <= MAX_CARRIED_BYTES) return;
      drop(id, oldest);
      const forgotten = seen.get(id);
      if (forgotten !== undefined) forgotten.body = "none";
    }
  }

  function drop(id: MessageId, bytes: Uint8Array): void {
    carried.delete(id);
    carriedBytes -= bytes.length;
  }

  function give(peer: Peer | undefined, id: MessageId, bytes: Uint8Array | undefined): void {
    if (peer === undefined || peer.isCut) return;
    if (bytes === undefined) ground.send(peer, { kind: "noBody", id, isBusy: false });
    else if (servingBytes() > MAX_SERVING_BYTES || !peer.outbox.body(id, bytes))
      ground.send(peer, { kind: "noBody", id, isBusy: true });
    ground.waiting.add(peer);
  }

  function carry(heard: Heard, nowMs: number): boolean {
    if (!tuning.carriesBodies || heard.status === "rejected" || heard.glimpse === undefined) return false;
    if (heard.senders.length === 0 || carrying >= MAX_CARRIED || pulls.size >= MAX_WANTS) return false;
    if (!pulls.has(heard.id)) ask(begin(heard, false), nowMs);
    return true;
  }

  const servingBytes = (): number => ground.waiting.values().reduce((sum, { outbox }) => sum + outbox.bodyBytes(), 0);

  return {
    want(id, author, nowMs) {
      const heard = seen.get(id);
      const running = pulls.get(id);
      if (running !== undefined) {
        if (!running.isWanted) carrying--;
        running.isWanted = true;
        return;
      }
      const here = carried.get(id);
      if (here !== undefined) {
        drop(id, here);
        return ground.emit({ kind: "body", id, bytes: here, from: heard?.senders[0] ?? "" });
      }
      if (heard !== undefined && author !== undefined) noteHolder(heard, author, "has");
      // Where we think that it is here, the driver has lost it.
      if (heard?.glimpse === undefined || heard.body === "has" || pulls.size >= MAX_WANTS) {
        return ground.emit({ kind: "seek", id, header: heard?.header });
      }
      ask(begin(heard, true), nowMs);
    },
    carry,
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
      // The driver was sent for it: whoever else was asked meanwhile had promised it long before.
      release(pull);
      pull.candidates.unshift(name);
      pull.soughtMs = undefined;
      ask(pull, nowMs);
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
      if (!isBusy) breakPromise(pull, peer.name, nowMs);
      release(pull);
      goOn(pull, nowMs);
    },
    onAsk(peer, id, nowMs) {
      const heard = seen.get(id);
      const here = carried.get(id);
      if (here !== undefined) return give(peer, id, here);
      if (heard?.body === "none" && heard.status === "accepted" && heard.senders[0] !== peer.name) carry(heard, nowMs);
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
        breakPromise(pull, pull.current, nowMs);
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
