import type { PeerName } from "../../transport/port.ts";
import { createBudget } from "../../transport/budget.ts";
import { createAnnounced } from "./announced.ts";
import { createGround, shuffled, type Connected, type Ground, type Peer } from "./ground.ts";
import { createMembership } from "./membership.ts";
import { peekHeader } from "./peek.ts";
import type { BodyState, Judgement, Mesh, MeshEvent, MeshOptions, MessageId } from "./port.ts";
import { CUT_SCORE, FAULT, MESH_SCORE } from "./score.ts";
import { noteSender, type Heard } from "./seen.ts";
import { ALL_SHARDS, NO_SHARDS } from "./shards.ts";
import { createSwarm } from "./swarm.ts";
import {
  BYTE_BUDGET,
  DEFAULT_TUNING,
  FRAME_BUDGET,
  MAX_DOUBTED,
  MAX_OWN_FANOUT,
  MAX_UNHEARD,
  SERVE_BUDGET,
} from "./tuning.ts";
import { decodeFrame, isBodyFrame, ID_BYTES, type Announcement, type Frame, type PushedHeader } from "./wire.ts";

/** Headers at the judge at once; further ones are dropped and come again by repair. */
const MAX_JUDGING = 1_024;

/** The mean number of hops follows about so many headers. */
const HOPS_MEMORY = 16;

/** The core of dissemination; see the port. */
export function createMesh(options: MeshOptions): Mesh {
  const tuning = { ...DEFAULT_TUNING, ...options.tuning };
  const ground = createGround(options, tuning);
  const { peers, seen, counts } = ground;
  const membership = createMembership(ground, options.shards ?? ALL_SHARDS);
  const announced = createAnnounced(ground);
  const swarm = createSwarm(ground, options.hash);
  const frames = createBudget(FRAME_BUDGET);
  const bytes = createBudget(BYTE_BUDGET);
  const served = createBudget(SERVE_BUDGET);
  const unheard: Heard[] = [];
  const judging = new Set<MessageId>();
  /** Hops that headers have come on average, as far as this node has heard. */
  let meanHops = 0;
  let hopsHeard = 0;

  const idOf = (header: Uint8Array): MessageId => String.fromCharCode(...options.hash(header).subarray(0, ID_BYTES));

  function step(event: MeshEvent, nowMs: number): void {
    switch (event.kind) {
      case "connected":
        return connect(event, nowMs);
      case "disconnected":
        return disconnect(event.peer, nowMs);
      case "frame":
        return receive(event.peer, event.bytes, nowMs);
      case "blocked":
      case "writable": {
        const peer = peers.get(event.peer);
        if (peer === undefined) return;
        if (event.kind === "writable") peer.blockedSinceMs = undefined;
        else peer.blockedSinceMs ??= nowMs;
        return;
      }
      case "publish":
        return publish(event.header, nowMs);
      case "relay":
        return passOn(event.header, event.body, nowMs);
      case "judged":
        return judged(event.id, event.judgement, nowMs);
      case "want":
        return swarm.want(event.id, event.author, nowMs);
      case "held":
        return swarm.held(event.id, nowMs);
      case "offer":
        return swarm.offer(event.id, event.peer, nowMs);
      case "bodyRead":
        return swarm.onRead(event.peer, event.id, event.bytes);
      case "reputation":
        return peers.get(event.peer)?.score.repute(event.points);
      case "subscribe":
        return membership.subscribe(event.shards, nowMs);
      case "wake":
        return;
    }
  }

  function connect(event: Connected, nowMs: number): void {
    if (peers.has(event.peer)) return;
    const peer = ground.createPeer(event);
    peers.set(event.peer, peer);
    if (peer.score.at(nowMs) <= CUT_SCORE) return ground.cut(peer, "PEER_SCORE");
    if (peer.isGuest) return;
    ground.send(peer, { kind: "hello", shards: membership.subscribed(), extensions: [] });
    membership.disturb(nowMs);
  }

  function disconnect(name: PeerName, nowMs: number): void {
    const peer = peers.get(name);
    if (peer === undefined) return;
    peers.delete(name);
    ground.forget(peer);
    swarm.gone(name, nowMs);
    membership.disturb(nowMs);
  }

  /** Budgets come first: whatever a peer sends, the work that it causes is bounded before its bytes are looked at. */
  function receive(name: PeerName, frame: Uint8Array, nowMs: number): void {
    const peer = peers.get(name);
    if (peer === undefined || peer.isCut) return;
    counts.framesIn++;
    counts.bytesIn += frame.length;
    // What we asked for is bounded by our asking.
    const isAsked = isBodyFrame(frame) && swarm.isPullingFrom(name);
    if (!isAsked && (!frames.take(name, nowMs) || !bytes.take(name, nowMs, frame.length))) {
      counts.droppedFrames++;
      return ground.blame(peer, FAULT.excess, nowMs);
    }
    const decoded = decodeFrame(frame);
    if (decoded.kind === "accept") return take(peer, decoded.value, frame.length, nowMs);
    if (decoded.kind === "ignore") return;
    ground.emit({ kind: "fault", peer: name, code: decoded.code, detail: decoded.detail });
    ground.blame(peer, FAULT.invalid, nowMs);
  }

  function take(peer: Peer, frame: Frame, length: number, nowMs: number): void {
    switch (frame.kind) {
      case "hello":
        return greet(peer, frame.shards, nowMs);
      case "graft":
        return membership.onGraft(peer, frame.shards, frame.isLonely, nowMs);
      case "prune":
        return membership.onPrune(peer, frame.shards, frame.backoffSeconds, nowMs);
      case "headers":
        for (const pushed of frame.headers) hear(peer, pushed, length, nowMs);
        return;
      case "announce":
        for (const announcement of frame.announcements) learn(peer, announcement, nowMs);
        return;
      case "askHeaders":
        for (const id of frame.ids) serveHeader(peer, id, nowMs);
        return;
      case "askBody":
        return serveBody(peer, frame.id, nowMs);
      case "body":
        return swarm.onChunk(peer, frame, nowMs);
      case "noBody":
        return swarm.onNone(peer, frame.id, frame.isBusy, nowMs);
    }
  }

  function greet(peer: Peer, shards: bigint, nowMs: number): void {
    const isFirst = !peer.isGreeted;
    peer.listens = shards;
    peer.isGreeted = true;
    membership.met(peer, nowMs);
    if (!isFirst) return;
    ground.emit({ kind: "listening", peer: peer.name });
    for (const heard of unheard.splice(0)) push(peer, heard);
  }

  function hear(peer: Peer, pushed: PushedHeader, frameLength: number, nowMs: number): void {
    const id = idOf(pushed.bytes);
    peer.missed = 0;
    counts.headersIn++;
    announced.arrived(id);
    const known = seen.get(id);
    if (known !== undefined) return hearAgain(peer, known, pushed.body, nowMs);
    const glimpse = peekHeader(pushed.bytes);
    if (judging.size >= MAX_JUDGING || (glimpse && (glimpse.shards & membership.subscribed()) === NO_SHARDS)) return;
    // A view of a batch would keep all of it in memory.
    const header = frameLength > 2 * pushed.bytes.length ? pushed.bytes.slice() : pushed.bytes;
    const heard = remember(header, id, { hops: pushed.hops + 1, isOwn: false, status: "judging", body: "none" });
    noteSender(heard, peer.name, pushed.body);
    judging.add(id);
    ground.emit({ kind: "judge", id, header, from: peer.name });
  }

  function hearAgain(peer: Peer, heard: Heard, body: BodyState, nowMs: number): void {
    counts.duplicates++;
    noteSender(heard, peer.name, body);
    if (body !== "none") swarm.hold(heard.id);
    if (heard.status === "rejected") ground.blame(peer, FAULT.invalid, nowMs);
  }

  function remember(
    header: Uint8Array,
    id: MessageId,
    fields: Pick<Heard, "hops" | "isOwn" | "status" | "body">,
  ): Heard {
    const heard: Heard = { id, header, glimpse: peekHeader(header), senders: [], holders: [], ...fields };
    seen.add(heard);
    return heard;
  }

  function learn(peer: Peer, announcement: Announcement, nowMs: number): void {
    counts.announcementsIn++;
    peer.missed = 0;
    const { id, shard, body } = announcement;
    const known = seen.get(id);
    if (known === undefined) {
      if ((membership.subscribed() >> BigInt(shard)) & 1n) announced.hear(announcement, peer, nowMs);
      return;
    }
    noteSender(known, peer.name, body);
    if (body !== "none") swarm.hold(id);
  }

  function judged(id: MessageId, judgement: Judgement, nowMs: number): void {
    const heard = seen.get(id);
    judging.delete(id);
    if (heard?.status !== "judging") return;
    if (judgement === "defer") return seen.forget(id);
    if (judgement === "accept") {
      heard.status = "accepted";
      peers.get(heard.senders[0] ?? "")?.score.credit(nowMs);
      if (heard.body === "none" && heard.hops <= meanHops - tuning.seedMargin) swarm.carry(heard, nowMs);
      hopsHeard = Math.min(HOPS_MEMORY, hopsHeard + 1);
      meanHops += (heard.hops - meanHops) / hopsHeard;
      membership.passed(heard, nowMs);
      return void relay(heard, nowMs);
    }
    heard.status = judgement === "ignore" ? "ignored" : "rejected";
    if (judgement === "ignore") return;
    for (const name of heard.senders) {
      const sender = peers.get(name);
      if (sender !== undefined) ground.blame(sender, FAULT.invalid, nowMs);
    }
  }

  function publish(header: Uint8Array, nowMs: number): void {
    const id = idOf(header);
    if (seen.get(id)?.isOwn === true) return;
    seen.forget(id);
    const heard = remember(header, id, { hops: 0, isOwn: true, status: "accepted", body: "has" });
    const count = relay(heard, nowMs);
    if (count === 0) unheard.splice(0, unheard.length, ...unheard.slice(1 - MAX_UNHEARD), heard);
    ground.emit({ kind: "published", id, peers: count });
  }

  function passOn(header: Uint8Array, body: BodyState, nowMs: number): void {
    const id = idOf(header);
    const known = seen.get(id);
    if (known?.status === "accepted") return;
    judging.delete(id);
    const heard = known ?? remember(header, id, { hops: 0, isOwn: false, status: "accepted", body });
    heard.status = "accepted";
    relay(heard, nowMs);
  }

  /** To all mesh links, or to some of them and announced to the others. @returns how many get the header itself */
  function relay(heard: Heard, nowMs: number): number {
    const shards = heard.glimpse?.shards ?? 1n;
    const listeners = [...peers.values()].filter(
      (peer) => !peer.isCut && (peer.listens & shards) !== NO_SHARDS && !heard.senders.includes(peer.name),
    );
    const linked = shuffled(
      listeners.filter(({ meshed }) => (meshed & shards) !== NO_SHARDS),
      ground.random,
    );
    const others = shuffled(
      listeners.filter(({ meshed }) => (meshed & shards) === NO_SHARDS),
      ground.random,
    );
    const links = heard.isOwn ? linked.length : eagerLinksOf(heard);
    const fanout = heard.isOwn
      ? others.filter(({ score }) => score.at(nowMs) >= MESH_SCORE).slice(0, MAX_OWN_FANOUT)
      : [];
    const receivers = [...linked.slice(0, links), ...fanout];
    for (const peer of receivers) push(peer, heard);
    // Where links keep silent, some of those who hear nothing else of us may have no better ones.
    const doubted = linked.filter(({ missed }) => missed >= MAX_DOUBTED).length;
    const told = heard.isOwn ? [] : others.slice(0, tuning.gossipLinks + doubted);
    for (const peer of [...linked.slice(links), ...told]) {
      peer.outbox.announce(heard, nowMs);
      ground.waiting.add(peer);
    }
    return receivers.length;
  }

  function eagerLinksOf({ hops }: Heard): number {
    if (tuning.mode === "hybrid") return hops < tuning.eagerHops ? Infinity : tuning.eagerLinks;
    return hops > meanHops ? tuning.lateLinks : Infinity;
  }

  function push(peer: Peer, heard: Heard): void {
    peer.outbox.header(heard);
    ground.waiting.add(peer);
  }

  function serveHeader(peer: Peer, id: MessageId, nowMs: number): void {
    const heard = seen.get(id);
    if (heard?.status !== "accepted" || heard.header === undefined) return;
    if (served.take(peer.name, nowMs, heard.header.length)) push(peer, heard);
    else ground.blame(peer, FAULT.excess, nowMs);
  }

  function serveBody(peer: Peer, id: MessageId, nowMs: number): void {
    const length = seen.get(id)?.glimpse?.bodyLength ?? 0;
    if (served.take(peer.name, nowMs, 1 + length)) return swarm.onAsk(peer, id, nowMs);
    ground.blame(peer, FAULT.excess, nowMs);
    ground.send(peer, { kind: "noBody", id, isBusy: true });
  }

  function flush(nowMs: number): void {
    for (const peer of ground.waiting) {
      if (peer.blockedSinceMs !== undefined) continue;
      for (const frame of peer.isCut ? [] : peer.outbox.take(nowMs)) {
        counts.framesOut++;
        counts.bytesOut += frame.length;
        ground.emit({ kind: "send", peer: peer.name, bytes: frame });
      }
      if (peer.isCut || peer.outbox.readyAtMs() === Infinity) ground.waiting.delete(peer);
    }
  }

  return {
    handle(event, nowMs) {
      step(event, nowMs);
      announced.advance(nowMs);
      swarm.advance(nowMs);
      membership.maintain(nowMs);
      flush(nowMs);
      return ground.collect();
    },
    wakeAtMs: () => Math.min(announced.nextMs(), swarm.nextMs(), membership.nextMs(), nextSendMs(ground)),
    idOf,
    counts: () => ({ ...counts }),
    held: () => ({ headers: seen.size, announced: announced.size, bodies: swarm.size }),
    peers: (nowMs) => [...peers.values()].map((peer) => viewOf(peer, nowMs)),
  };
}

/** When something can be sent to a peer that takes it. */
function nextSendMs({ waiting }: Ground): number {
  let next = Infinity;
  for (const { blockedSinceMs, outbox } of waiting)
    if (blockedSinceMs === undefined) next = Math.min(next, outbox.readyAtMs());
  return next;
}

function viewOf(
  { name, meshed, listens, score, outbox, blockedSinceMs }: Peer,
  nowMs: number,
): ReturnType<Mesh["peers"]>[number] {
  const { headers, announcements, bytes } = outbox.sizes();
  return {
    ...{ peer: name, meshed, listens, score: score.at(nowMs), isBlocked: blockedSinceMs !== undefined },
    ...{ queuedHeaders: headers, queuedAnnouncements: announcements, queuedBytes: bytes },
  };
}
