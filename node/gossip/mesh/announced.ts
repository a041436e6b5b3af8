import type { PeerName } from "../../transport/port.ts";
import type { Ground, Peer } from "./ground.ts";
import { MESH_SCORE, FAULT } from "./score.ts";
import type { MessageId } from "./port.ts";
import type { Announcement } from "./wire.ts";

/** Headers that are announced and not here yet: 24 bytes bought each, so more would be a flood. */
const MAX_ANNOUNCED = 4_096;
/** Of one peer, asked for and not delivered. */
const MAX_ASKED_PER_PEER = 512;
const MAX_ANNOUNCERS = 4;
/** kind of an entry that takes back another: it is asked for at once. */
const WITHDRAW = 3;

interface Promised {
  readonly announcers: PeerName[];
  dueMs: number;
  asked: PeerName | undefined;
}

/** Headers that peers announced: asked for when no link brings them, of one announcer after the other. */
export interface Announced {
  hear(announcement: Announcement, peer: Peer, nowMs: number): void;
  /** The header is here. */
  arrived(id: MessageId): void;
  /** Asks for what is due and blames who did not keep its word. */
  advance(nowMs: number): void;
  nextMs(): number;
  readonly size: number;
}

export function createAnnounced(ground: Ground): Announced {
  const { peers, tuning, counts } = ground;
  // Both in the order in which they are due, because each waits for a constant time.
  const expected = new Map<MessageId, Promised>();
  const asked = new Map<MessageId, Promised>();
  const loads = new Map<PeerName, number>();

  function ask(id: MessageId, promised: Promised, nowMs: number): void {
    expected.delete(id);
    for (let name = promised.announcers.shift(); name !== undefined; name = promised.announcers.shift()) {
      const peer = peers.get(name);
      const load = loads.get(name) ?? 0;
      if (peer === undefined || peer.isCut || load >= MAX_ASKED_PER_PEER || peer.score.at(nowMs) < MESH_SCORE) continue;
      if (!peer.outbox.askHeader(id)) continue;
      ground.waiting.add(peer);
      counts.headerPulls++;
      loads.set(name, load + 1);
      asked.set(id, Object.assign(promised, { asked: name, dueMs: nowMs + tuning.pullTimeoutMs }));
      return;
    }
  }

  function release({ asked: name }: Promised): void {
    if (name === undefined) return;
    const load = (loads.get(name) ?? 1) - 1;
    if (load > 0) loads.set(name, load);
    else loads.delete(name);
  }

  return {
    hear({ id, entryKind }, peer, nowMs) {
      const known = asked.get(id) ?? expected.get(id);
      if (known !== undefined) {
        const isNews = known.announcers.length < MAX_ANNOUNCERS && !known.announcers.includes(peer.name);
        if (isNews && known.asked !== peer.name) known.announcers.push(peer.name);
        return;
      }
      if (expected.size + asked.size >= MAX_ANNOUNCED) {
        counts.droppedAnnouncements++;
        return;
      }
      const promised = { announcers: [peer.name], dueMs: nowMs + tuning.headerPatienceMs, asked: undefined };
      if (entryKind === WITHDRAW) ask(id, promised, nowMs);
      else expected.set(id, promised);
    },
    arrived(id) {
      expected.delete(id);
      const promised = asked.get(id);
      if (promised === undefined) return;
      asked.delete(id);
      release(promised);
    },
    advance(nowMs) {
      for (const [id, promised] of expected) {
        if (promised.dueMs > nowMs) break;
        ask(id, promised, nowMs);
      }
      for (const [id, promised] of asked) {
        if (promised.dueMs > nowMs) break;
        asked.delete(id);
        release(promised);
        counts.brokenPromises++;
        const liar = peers.get(promised.asked ?? "");
        if (liar !== undefined) ground.blame(liar, FAULT.brokenPromise, nowMs);
        ask(id, promised, nowMs);
      }
    },
    nextMs: () =>
      Math.min(expected.values().next().value?.dueMs ?? Infinity, asked.values().next().value?.dueMs ?? Infinity),
    get size() {
      return expected.size + asked.size;
    },
  };
}
