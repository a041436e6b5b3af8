import type { PeerName } from "../../transport/port.ts";
import { createOutbox, type Outbox } from "./outbox.ts";
import type { MeshEffect, MeshEvent, MeshOptions, MeshTuning, ShardSet } from "./port.ts";
import { createScore, CUT_SCORE, type Score } from "./score.ts";
import { createSeen, type Seen } from "./seen.ts";
import { NO_SHARDS } from "./shards.ts";
import { createTallies, type Tallies } from "./tallies.ts";
import { encodeFrame, type Frame } from "./wire.ts";

/** Scores of peers that left with faults to their name: who comes back is who left. */
const MAX_REMEMBERED = 1_000;

/** What the core knows of a connected peer. */
export interface Peer {
  readonly name: PeerName;
  readonly isGuest: boolean;
  readonly isOutbound: boolean;
  readonly subnet: string | undefined;
  readonly score: Score;
  readonly outbox: Outbox;
  /** Shards that it said it hears; none before its hello. */
  listens: ShardSet;
  /** Its hello has come. */
  isGreeted: boolean;
  /** Shards of which it is in our mesh, and we, as far as we know, in its. */
  meshed: ShardSet;
  /** Of these, it has no other link in some: it is not counted and not pruned. */
  isLonely: boolean;
  /** Headers that others brought since something came of it. */
  missed: number;
  /** Shards that one of us pruned, until when. */
  backedOff: ShardSet;
  backoffUntilMs: number;
  /** We asked it to carry us, and since when it may be asked again. */
  isClungTo: boolean;
  clingAgainMs: number;
  blockedSinceMs: number | undefined;
  /** The driver was told to disconnect it; nothing of it counts any more. */
  isCut: boolean;
}

export type Connected = Extract<MeshEvent, { kind: "connected" }>;

/** What the parts of the core share. */
export interface Ground {
  readonly tuning: MeshTuning;
  readonly random: () => number;
  readonly counts: Tallies;
  readonly peers: Map<PeerName, Peer>;
  readonly seen: Seen;
  /** Peers for whom something waits. */
  readonly waiting: Set<Peer>;
  emit(effect: MeshEffect): void;
  /** Effects since the last call. */
  collect(): MeshEffect[];
  createPeer(connected: Connected): Peer;
  /** Keeps its score, in case it comes back. */
  forget(peer: Peer): void;
  send(peer: Peer, frame: Frame): void;
  blame(peer: Peer, points: number, nowMs: number): void;
  cut(peer: Peer, code: string): void;
}

export function createGround({ random }: MeshOptions, tuning: MeshTuning): Ground {
  const counts = createTallies();
  const waiting = new Set<Peer>();
  const scores = new Map<PeerName, Score>();
  let effects: MeshEffect[] = [];
  const cut = (peer: Peer, code: string): void => {
    if (peer.isCut) return;
    peer.isCut = true;
    peer.meshed = NO_SHARDS;
    effects.push({ kind: "disconnect", peer: peer.name, code });
  };
  return {
    ...{ tuning, random, counts, waiting, cut },
    peers: new Map(),
    seen: createSeen(tuning),
    emit: (effect) => void effects.push(effect),
    collect() {
      const collected = effects;
      effects = [];
      return collected;
    },
    createPeer: ({ peer: name, isGuest = false, isOutbound = false, subnet }) => ({
      ...{ name, isGuest, isOutbound, subnet },
      ...{ score: scores.get(name) ?? createScore(), outbox: createOutbox(name, tuning, counts) },
      ...{ listens: NO_SHARDS, isGreeted: false, meshed: NO_SHARDS, isLonely: false, missed: 0 },
      ...{
        backedOff: NO_SHARDS,
        backoffUntilMs: 0,
        isClungTo: false,
        clingAgainMs: 0,
        blockedSinceMs: undefined,
        isCut: false,
      },
    }),
    forget(peer) {
      waiting.delete(peer);
      scores.delete(peer.name);
      scores.set(peer.name, peer.score);
      const oldest = scores.keys().next();
      if (scores.size > MAX_REMEMBERED && !oldest.done) scores.delete(oldest.value);
    },
    send(peer, frame) {
      if (!peer.outbox.control(encodeFrame(frame))) cut(peer, "PEER_STALLED");
      else waiting.add(peer);
    },
    blame(peer, points, nowMs) {
      peer.score.blame(points, nowMs);
      if (peer.score.at(nowMs) <= CUT_SCORE) cut(peer, "PEER_SCORE");
    },
  };
}

/** A random order of a list, which stays as it is. */
export function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const order = [...list];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order;
}
