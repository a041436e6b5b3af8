import type { Ground, Peer } from "./ground.ts";
import type { ShardSet } from "./port.ts";
import { ALL_SHARDS, createTally, NO_SHARDS, type Tally } from "./shards.ts";
import { MAX_MISSED, MAX_PER_SUBNET } from "./tuning.ts";

/** Links by shard: all that carry headers both ways, and those of them that a mesh relies on. */
export interface Standing {
  readonly links: Tally;
  /** Not more than a few of one subnet, and none that keeps silent while others bring headers. */
  readonly sound: Tally;
  readonly outbound: Tally;
  /** Shards in which a link with this peer would be sound. */
  roomFor(peer: Peer): ShardSet;
  add(peer: Peer, shards: ShardSet): void;
  /** Shards in which its link is sound. */
  soundOf(peer: Peer): ShardSet;
}

/** Nothing came of it while others brought so many headers. */
export const isSilent = ({ missed }: Peer): boolean => missed >= MAX_MISSED;

/** The mesh as it stands: own choices come first, then who has been connected longest. */
export function createStanding({ peers }: Ground): Standing {
  const [links, sound, outbound] = [createTally(), createTally(), createTally()];
  const bySubnet = new Map<string, Tally>();
  const soundOf = new Map<Peer, ShardSet>();
  const standing: Standing = {
    ...{ links, sound, outbound },
    roomFor(peer) {
      if (isSilent(peer)) return NO_SHARDS;
      return (peer.subnet === undefined ? undefined : bySubnet.get(peer.subnet)?.below(MAX_PER_SUBNET)) ?? ALL_SHARDS;
    },
    add(peer, shards) {
      const counted = shards & standing.roomFor(peer);
      links.add(shards);
      sound.add(counted);
      soundOf.set(peer, (soundOf.get(peer) ?? NO_SHARDS) | counted);
      if (peer.isOutbound) outbound.add(counted);
      if (peer.subnet === undefined) return;
      const tally = bySubnet.get(peer.subnet) ?? createTally();
      tally.add(counted);
      bySubnet.set(peer.subnet, tally);
    },
    soundOf: (peer) => soundOf.get(peer) ?? NO_SHARDS,
  };
  for (const isOutbound of [true, false])
    for (const peer of peers.values())
      if (peer.isOutbound === isOutbound && peer.meshed !== NO_SHARDS && !peer.isLonely)
        standing.add(peer, peer.meshed);
  return standing;
}
