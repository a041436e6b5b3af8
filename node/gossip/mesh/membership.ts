import { shuffled, type Ground, type Peer } from "./ground.ts";
import type { ShardSet } from "./port.ts";
import { FAULT, MESH_SCORE } from "./score.ts";
import type { Heard } from "./seen.ts";
import { createTally, NO_SHARDS, type Tally } from "./shards.ts";
import { createStanding, type Standing } from "./standing.ts";
import { BACKOFF_SECONDS, MAX_LONELY, MAX_MISSED, MIN_OUTBOUND, STALL_MS } from "./tuning.ts";

/** While nothing changes, the mesh is looked at ever less often: up to so many intervals. */
const MAX_CALM = 16;

/** Who is in whose mesh, shard by shard: a few links each, mutual, kept up from both ends. */
export interface Membership {
  /** A peer said what it hears. */
  met(peer: Peer, nowMs: number): void;
  onGraft(peer: Peer, shards: ShardSet, isLonely: boolean, nowMs: number): void;
  onPrune(peer: Peer, shards: ShardSet, backoffSeconds: number, nowMs: number): void;
  /** Something changed that may leave a shard with too few links. */
  disturb(nowMs: number): void;
  /** A header was accepted: links that have not brought it may be silent ones. */
  passed(heard: Heard, nowMs: number): void;
  subscribe(shards: ShardSet, nowMs: number): void;
  subscribed(): ShardSet;
  maintain(nowMs: number): void;
  nextMs(): number;
}

export function createMembership(ground: Ground, initialShards: ShardSet): Membership {
  const { peers, tuning, random } = ground;
  let mine = initialShards;
  let maintainAtMs = Infinity;
  let calm = 1;

  const backoffOf = (peer: Peer, nowMs: number): ShardSet => (nowMs < peer.backoffUntilMs ? peer.backedOff : NO_SHARDS);
  const isFit = (peer: Peer, nowMs: number): boolean =>
    !peer.isGuest && !peer.isCut && peer.listens !== NO_SHARDS && peer.score.at(nowMs) >= MESH_SCORE;

  function tallyOf(isCounted: (peer: Peer) => boolean): Tally {
    const tally = createTally();
    for (const peer of peers.values()) if (isCounted(peer)) tally.add(peer.meshed);
    return tally;
  }
  /** Shards in which we hear and have no link at all. */
  const deaf = (): ShardSet => mine & tallyOf(() => true).below(1);

  function join(peer: Peer, shards: ShardSet, isLonely: boolean): void {
    peer.meshed |= shards;
    ground.send(peer, { kind: "graft", shards, isLonely });
  }

  function leave(peer: Peer, shards: ShardSet, nowMs: number): void {
    peer.meshed &= ~shards;
    if (peer.meshed === NO_SHARDS) peer.isLonely = false;
    backOff(peer, shards, BACKOFF_SECONDS, nowMs);
    ground.send(peer, { kind: "prune", shards, backoffSeconds: BACKOFF_SECONDS });
  }

  function backOff(peer: Peer, shards: ShardSet, seconds: number, nowMs: number): void {
    peer.backedOff = backoffOf(peer, nowMs) | shards;
    peer.backoffUntilMs = Math.max(peer.backoffUntilMs, nowMs + 1000 * Math.min(seconds, BACKOFF_SECONDS));
  }

  /**
   * Raises shards with fewer sound links than `low` to `degree`, by peers that share links already, so that frames are shared
   * too; by own choices where those are fewer than a mesh has. Where only others are to be had, by them up to `low`.
   */
  function fill(candidates: readonly Peer[], low: number, degree: number, nowMs: number): void {
    const standing = createStanding(ground);
    const { links, sound, outbound } = standing;
    const wanting = mine & sound.below(low);
    const steps: [isTaken: (peer: Peer) => boolean, open: () => ShardSet, isSound: boolean][] = [
      [({ isOutbound }) => isOutbound, () => mine & outbound.below(MIN_OUTBOUND), true],
      [() => true, () => wanting & sound.below(degree), true],
      [() => true, () => wanting & links.below(low), false],
    ];
    for (const [isTaken, open, isSound] of steps)
      for (const peer of candidates) {
        const lacking = open();
        if (lacking === NO_SHARDS) break;
        const free = lacking & peer.listens & ~peer.meshed & ~backoffOf(peer, nowMs);
        const chosen = isSound ? free & standing.roomFor(peer) : free;
        if (chosen === NO_SHARDS || !isTaken(peer) || !isFit(peer, nowMs)) continue;
        join(peer, chosen, false);
        standing.add(peer, chosen);
      }
  }

  /** Shards without a link whose candidates all refused: somebody has to carry us. */
  function cling(nowMs: number): void {
    let alone = deaf();
    for (const peer of alone === NO_SHARDS ? [] : shuffled([...peers.values()], random)) {
      const chosen = alone & peer.listens;
      if (chosen === NO_SHARDS || nowMs < peer.clingAgainMs || !isFit(peer, nowMs)) continue;
      join(peer, chosen, true);
      peer.isClungTo = true;
      alone &= ~chosen;
    }
  }

  /**
   * Lowers shards with more links than `degreeHigh` to `degree`: those that are not sound go first, then the worst, by chance
   * where they are alike; some of our own choice stay.
   */
  function thin(nowMs: number): void {
    const standing = createStanding(ground);
    let excess = mine & ~standing.links.below(tuning.degreeHigh + 1);
    if (excess === NO_SHARDS) return;
    const ranked = [...peers.values()]
      .filter(({ meshed, isLonely }) => meshed !== NO_SHARDS && !isLonely)
      .map((peer) => ({
        peer,
        isSound: standing.soundOf(peer) !== NO_SHARDS,
        rank: peer.score.at(nowMs) + random(),
      }))
      .toSorted((a, b) => Number(a.isSound) - Number(b.isSound) || a.rank - b.rank);
    let outbound = ranked.filter(({ peer, isSound }) => peer.isOutbound && isSound).length;
    for (const { peer, isSound } of ranked) {
      excess &= ~tallyOf(({ isLonely }) => !isLonely).below(tuning.degree + 1);
      const shards = excess & peer.meshed;
      if (shards === NO_SHARDS || (isSound && peer.isOutbound && outbound-- <= MIN_OUTBOUND)) continue;
      leave(peer, shards, nowMs);
    }
  }

  /** Shards in which a peer may graft: those with a place; of a full mesh those where its link is sound and others are not. */
  function openTo(peer: Peer, standing: Standing): ShardSet {
    const { links, sound } = standing;
    return links.below(tuning.degreeHigh) | (sound.below(tuning.degreeHigh) & standing.roomFor(peer));
  }

  function expel(nowMs: number): boolean {
    let isChanged = false;
    for (const peer of peers.values()) {
      if (peer.blockedSinceMs !== undefined && nowMs - peer.blockedSinceMs > STALL_MS) ground.cut(peer, "PEER_STALLED");
      if (peer.meshed === NO_SHARDS || peer.score.at(nowMs) >= MESH_SCORE) continue;
      leave(peer, peer.meshed, nowMs);
      isChanged = true;
    }
    return isChanged;
  }

  function disturb(nowMs: number): void {
    calm = 1;
    maintainAtMs = Math.min(maintainAtMs, nowMs + tuning.maintainEveryMs * (0.5 + random()));
  }

  return {
    met(peer, nowMs) {
      peer.meshed &= peer.listens;
      // The first links are made at once; the rest at leisure, when there is a choice.
      fill([peer], tuning.degreeLow, tuning.degreeLow, nowMs);
      disturb(nowMs);
    },
    onGraft(peer, shards, isLonely, nowMs) {
      // Who asks for a shard hears it, should its hello come later.
      peer.listens |= shards;
      const standing = createStanding(ground);
      const isEarly = !isLonely && (shards & backoffOf(peer, nowMs)) !== NO_SHARDS;
      if (isEarly) ground.blame(peer, FAULT.excess, nowMs);
      const open = mine & (isLonely ? tallyOf((other) => other.isLonely).below(MAX_LONELY) : openTo(peer, standing));
      const taken = isEarly || !isFit(peer, nowMs) ? NO_SHARDS : shards & (open | peer.meshed);
      peer.meshed |= taken;
      if (isLonely && taken !== NO_SHARDS) peer.isLonely = true;
      const refused = shards & ~taken;
      if (refused !== NO_SHARDS) leave(peer, refused, nowMs);
    },
    onPrune(peer, shards, backoffSeconds, nowMs) {
      peer.meshed &= ~shards;
      backOff(peer, shards, backoffSeconds, nowMs);
      // Who does not carry us is not asked again at once: two that refuse each other would do nothing else.
      if (peer.isClungTo) peer.clingAgainMs = nowMs + 1000 * BACKOFF_SECONDS;
      peer.isClungTo = false;
      if (deaf() !== NO_SHARDS) {
        fill(shuffled([...peers.values()], random), tuning.degreeLow, tuning.degree, nowMs);
        cling(nowMs);
      }
      disturb(nowMs);
    },
    disturb,
    passed({ glimpse, senders }, nowMs) {
      const shards = glimpse?.shards ?? 1n;
      for (const peer of peers.values()) {
        if ((peer.meshed & shards) === NO_SHARDS || peer.isLonely || senders.includes(peer.name)) continue;
        if (peer.missed++ === MAX_MISSED) disturb(nowMs);
      }
    },
    subscribe(shards, nowMs) {
      const left = mine & ~shards;
      mine = shards;
      for (const peer of peers.values()) {
        if (!peer.isGuest) ground.send(peer, { kind: "hello", shards: mine, extensions: [] });
        if ((peer.meshed & left) !== NO_SHARDS) leave(peer, peer.meshed & left, nowMs);
      }
      disturb(nowMs);
    },
    subscribed: () => mine,
    maintain(nowMs) {
      if (nowMs < maintainAtMs) return;
      const before = [...peers.values()].map(({ meshed }) => meshed);
      expel(nowMs);
      thin(nowMs);
      const order = shuffled([...peers.values()], random);
      const isLinked = ({ meshed }: Peer): number => (meshed === NO_SHARDS ? 1 : 0);
      fill(
        order.toSorted((a, b) => isLinked(a) - isLinked(b)),
        tuning.degreeLow,
        tuning.degree,
        nowMs,
      );
      cling(nowMs);
      const isCalm = [...peers.values()].every(({ meshed }, i) => meshed === before[i]);
      calm = isCalm ? Math.min(MAX_CALM, 2 * calm) : 1;
      maintainAtMs = peers.size === 0 ? Infinity : nowMs + tuning.maintainEveryMs * calm * (0.75 + random() / 2);
    },
    nextMs: () => maintainAtMs,
  };
}
