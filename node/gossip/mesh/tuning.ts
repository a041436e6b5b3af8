import type { MeshTuning } from "./port.ts";

/**
 * What ships. Degree as in gossipsub's figures (6 of 5 to 8 keeps 10,000 nodes within 6 hops); the rest is what
 * `npm run bench -- gossip` shows best.
 */
export const DEFAULT_TUNING: MeshTuning = {
  mode: "eager",
  degree: 6,
  degreeLow: 5,
  degreeHigh: 8,
  eagerLinks: 3,
  eagerHops: 2,
  lateLinks: 2,
  gossipLinks: 1,
  carriesBodies: true,
  seedMargin: 2,
  announceEveryMs: 150,
  lingerMs: 10,
  headerPatienceMs: 100,
  pullTimeoutMs: 1_500,
  maintainEveryMs: 1_000,
  seenHeaders: 8_192,
  keptHeaders: 1_024,
};

/** Frames to one peer in one step: 64 KB, so that `blocked` is heard before a slow link's buffer has grown further. */
export const MAX_BURST_FRAMES = 4;
/** A peer that takes nothing for so long is cut off: its queue holds what others could have had. */
export const STALL_MS = 30_000;
/** Links in one shard with peers that say they have no other: a hub carries its leaves, up to 7 KB a header. */
export const MAX_LONELY = 32;
/** How long who was pruned from a shard's mesh stays out of it. */
export const BACKOFF_SECONDS = 15;
/** Own headers go to so many listeners beyond the mesh: who surrounds an author in the mesh does not silence it. */
export const MAX_OWN_FANOUT = 16;
/** Own headers that wait for a first listener; older ones are left to repair. */
export const MAX_UNHEARD = 64;
/** Links of our own choice that pruning leaves: who only waits for connections cannot fill a mesh. */
export const MIN_OUTBOUND = 2;
/** Senders remembered of one header: whom not to send it to, and whom to ask for its body. */
export const MAX_SENDERS = 16;

/** Unsolicited frames and bytes of one peer. Bodies that we asked for are bounded by what we asked for. */
export const FRAME_BUDGET = { perSecond: 300, burst: 1_200, maxKeys: 1_000 };
export const BYTE_BUDGET = { perSecond: 262_144, burst: 1_048_576, maxKeys: 1_000 };
/**
 * Bytes that one peer can have us send by asking: sixteen bodies of 64 KB at once, then one each half second. Who asks on
 * is blamed, since an honest node asks each body once: a flood of asks ends with its link.
 */
export const SERVE_BUDGET = { perSecond: 131_072, burst: 1_048_576, maxKeys: 1_000 };
