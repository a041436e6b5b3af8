import type { MeshTuning } from "./port.ts";

/**
 * What ships. Degree as in gossipsub's figures (6 of 5 to 7 keeps 10,000 nodes within 6 hops); the rest is what
 * `npm run bench -- gossip` shows best. With own choices kept, 7 instead of 8 at most cost 1,929 instead of 2,079 B a node and message
 * among 1,000 nodes, and 432 instead of 413 ms of header p99.
 */
export const DEFAULT_TUNING: MeshTuning = {
  mode: "eager",
  degree: 6,
  degreeLow: 5,
  degreeHigh: 7,
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
/**
 * Links of our own choice in a mesh, half of it: who only waits for connections, or dials us first, cannot fill it. Among 200
 * simulated nodes, 48 colocated identities that were there first kept a fifth of all headers from their target before
 * (80 % came), and none with 3; header p99 without an attack fell from 313 to 278 ms, for 7 % more bytes (at `degreeHigh` 8).
 */
export const MIN_OUTBOUND = 3;
/** Links of one subnet (/16 of IPv4, /32 of IPv6) that count as links of a mesh: more of them do not make it safer. */
export const MAX_PER_SUBNET = 2;
/**
 * A link that was silent while others brought so many headers is doubted: each header is announced to one listener more, of
 * those that are in no mesh of ours. Cold boot among two thirds of censors, 200 nodes: 83 % of headers came before,
 * 91 % with own choices, 98.5 to 99.6 % with this as well (three seeds, at `degreeHigh` 8).
 */
export const MAX_DOUBTED = 3;
/**
 * After so many it does not count, and another takes its place: it may keep headers to itself. One that merely hears all of
 * them later than we is replaced too, and no worse off.
 */
export const MAX_MISSED = 8;
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
