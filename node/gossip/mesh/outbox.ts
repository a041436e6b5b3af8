import type { PeerName } from "../../transport/port.ts";
import type { MeshTuning, MessageId } from "./port.ts";
import type { Heard } from "./seen.ts";
import { firstShard } from "./shards.ts";
import type { Tallies } from "./tallies.ts";
import { MAX_BURST_FRAMES } from "./tuning.ts";
import {
  ANNOUNCEMENT_BYTES,
  encodeFrame,
  MAX_ANNOUNCEMENTS,
  MAX_CHUNK_BYTES,
  MAX_FRAME_BYTES,
  MAX_IDS,
  type PushedHeader,
} from "./wire.ts";

/** Frames of one kind or another that are small and must arrive; a peer that lets so many wait is stuck. */
const MAX_CONTROL = 512;
/** Headers of others: 55 KB. Beyond half of it, announcements are given up; beyond it, the oldest of them. */
const MAX_RELAYED = 256;
/** Own headers wait. An author says one a second, so this is a quarter of an hour; the peer is cut off before. */
const MAX_OWN = 1_024;
const MAX_ASKED = MAX_IDS;
/** Bodies that wait for one peer. */
const MAX_BODIES = 8;
/** kind of an entry that takes back another: it goes first. */
const WITHDRAW = 3;

interface BodyOnItsWay {
  readonly id: MessageId;
  readonly bytes: Uint8Array;
  offset: number;
}

/** What waits for one peer. Every queue is bounded; who is slow loses announcements first, then others' headers. */
export interface Outbox {
  /** @returns false when the peer is stuck */
  control(frame: Uint8Array): boolean;
  header(heard: Heard): void;
  announce(heard: Heard, nowMs: number): void;
  askHeader(id: MessageId): boolean;
  /** @returns false when too many wait already */
  body(id: MessageId, bytes: Uint8Array): boolean;
  /** Whether one more body may wait. */
  hasPlace(): boolean;
  /** Bytes of bodies that wait. */
  bodyBytes(): number;
  /** Frames that are due, at most MAX_BURST_FRAMES. */
  take(nowMs: number): Uint8Array[];
  /** When the next frame is due; Infinity when nothing waits. */
  readyAtMs(): number;
  sizes(): { readonly headers: number; readonly announcements: number; readonly bytes: number };
}

export function createOutbox(peer: PeerName, tuning: MeshTuning, counts: Tallies): Outbox {
  const control: Uint8Array[] = [];
  const own: Heard[] = [];
  const relayed: Heard[] = [];
  const announced: Heard[] = [];
  const asked: MessageId[] = [];
  const bodies: BodyOnItsWay[] = [];
  let headersSentMs = -Infinity;
  let announceAtMs = Infinity;

  /** As many headers as fit one frame; those that the peer has sent us meanwhile are left out. */
  function headersFrame(nowMs: number): Uint8Array | undefined {
    if (nowMs < headersSentMs + tuning.lingerMs && own.length + relayed.length < MAX_RELAYED / 4) return undefined;
    const pushed: PushedHeader[] = [];
    let room = MAX_FRAME_BYTES - 2;
    for (const queue of [own, relayed]) {
      let taken = 0;
      for (const { header, hops, body, senders } of queue) {
        if (header !== undefined && !senders.includes(peer)) {
          if (room < header.length + 2) break;
          room -= header.length + 2;
          pushed.push({ bytes: header, hops, body });
        }
        taken++;
      }
      queue.splice(0, taken);
    }
    if (pushed.length === 0) return undefined;
    headersSentMs = nowMs;
    counts.headersOut += pushed.length;
    return encodeFrame({ kind: "headers", headers: pushed });
  }

  function announceFrame(nowMs: number): Uint8Array | undefined {
    if (nowMs < announceAtMs) return undefined;
    const news = announced.splice(0, MAX_ANNOUNCEMENTS).filter(({ senders }) => !senders.includes(peer));
    if (announced.length === 0) announceAtMs = Infinity;
    if (news.length === 0) return undefined;
    counts.announcementsOut += news.length;
    const announcements = news.map(({ id, glimpse, body }) => ({
      ...{ id, body, shard: firstShard(glimpse?.shards ?? 1n), entryKind: glimpse?.entryKind ?? 0 },
    }));
    return encodeFrame({ kind: "announce", announcements });
  }

  function askFrame(): Uint8Array | undefined {
    return asked.length === 0 ? undefined : encodeFrame({ kind: "askHeaders", ids: asked.splice(0) });
  }

  function chunkFrame(): Uint8Array | undefined {
    const [first] = bodies;
    if (first === undefined) return undefined;
    const { id, bytes, offset } = first;
    const chunk = bytes.subarray(offset, offset + MAX_CHUNK_BYTES);
    first.offset += chunk.length;
    if (first.offset >= bytes.length) {
      bodies.shift();
      counts.bodiesOut++;
    }
    return encodeFrame({ kind: "body", id, total: bytes.length, offset, bytes: chunk });
  }

  const nextFrame = (nowMs: number): Uint8Array | undefined =>
    control.shift() ?? headersFrame(nowMs) ?? askFrame() ?? announceFrame(nowMs) ?? chunkFrame();

  return {
    control(frame) {
      if (control.length >= MAX_CONTROL) return false;
      control.push(frame);
      return true;
    },
    header(heard) {
      const queue = heard.isOwn ? own : relayed;
      if (queue.includes(heard)) return;
      if (heard.glimpse?.entryKind === WITHDRAW) queue.unshift(heard);
      else queue.push(heard);
      if (queue.length <= (heard.isOwn ? MAX_OWN : MAX_RELAYED)) return;
      queue.shift();
      counts.droppedHeaders++;
    },
    announce(heard, nowMs) {
      if (relayed.length > MAX_RELAYED / 2) {
        counts.droppedAnnouncements += announced.splice(0).length + 1;
        announceAtMs = Infinity;
        return;
      }
      if (announced.length === 0) announceAtMs = nowMs + tuning.announceEveryMs;
      announced.push(heard);
      if (announced.length <= MAX_ANNOUNCEMENTS) return;
      announced.shift();
      counts.droppedAnnouncements++;
    },
    askHeader(id) {
      if (asked.length >= MAX_ASKED) return false;
      asked.push(id);
      return true;
    },
    body(id, bytes) {
      if (bodies.length >= MAX_BODIES) return false;
      bodies.push({ id, bytes, offset: 0 });
      return true;
    },
    hasPlace: () => bodies.length < MAX_BODIES,
    bodyBytes: () => bodies.reduce((sum, { bytes, offset }) => sum + bytes.length - offset, 0),
    take(nowMs) {
      const frames: Uint8Array[] = [];
      while (frames.length < MAX_BURST_FRAMES) {
        const frame = nextFrame(nowMs);
        if (frame === undefined) break;
        frames.push(frame);
      }
      return frames;
    },
    readyAtMs() {
      if (control.length + asked.length + bodies.length > 0) return -Infinity;
      const headersAtMs = own.length + relayed.length > 0 ? headersSentMs + tuning.lingerMs : Infinity;
      return Math.min(headersAtMs, announceAtMs);
    },
    sizes: () => ({
      headers: own.length + relayed.length,
      announcements: announced.length,
      bytes:
        control.reduce((sum, frame) => sum + frame.length, 0) +
        [...own, ...relayed].reduce((sum, { header }) => sum + (header?.length ?? 0), 0) +
        ANNOUNCEMENT_BYTES * announced.length +
        bodies.reduce((sum, { bytes, offset }) => sum + bytes.length - offset, 0),
    }),
  };
}
