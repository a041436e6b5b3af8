import type { Address, Hex } from "viem";
import { sipHash, type SipKey } from "./siphash.ts";

/** Heads that one session compares; above it the vector of heads is paged instead. */
export const MAX_ITEMS = 131_072;
/** seq travels modulo this: a peer would have to be 8 million entries ahead to look as if it were behind. */
const SEQ_MODULUS = 0xffffff;
/** The seq of a log that forked: whatever branch a node saw first, two nodes that know of the fork agree. */
const FORKED = 0xffffff;

/** The last entry of a log, as one node holds it. */
export interface HeadItem {
  readonly log: Address;
  readonly seq: number;
  readonly digest: Hex;
  readonly isForked: boolean;
}

/**
 * An id of 64 bits: `tag` is a keyed hash of the log, `mark` is seq (24 bits) and a keyed hash of seq and digest (8 bits).
 * The key is the session's, so that nobody can make logs or entries whose ids collide, and what collides by chance in one
 * session does not in the next. The parts say which log it is and who is ahead, so that nothing has to be asked for again.
 */
export interface ItemId {
  readonly tag: number;
  readonly mark: number;
}

/** Heads under one session's key. Columns, because a hundred thousand objects would cost ten times the memory. */
export interface ItemSet {
  readonly key: SipKey;
  readonly heads: readonly HeadItem[];
  readonly tags: Uint32Array;
  readonly marks: Uint32Array;
  /** Keyed hash of the id: tells a cell of one item from a mixture. */
  readonly checks: Uint32Array;
  /** Keyed hash of the id: draws the cells that an item is in. */
  readonly seeds: Uint32Array;
  /** Indexes of the heads with this tag: one, unless two logs collide. */
  withTag(tag: number): number[];
  /** @returns -1 if it is not in the set */
  indexOf(id: ItemId): number;
}

/** @param heads at most MAX_ITEMS, one a log */
export function createItems(heads: readonly HeadItem[], key: SipKey): ItemSet {
  const column = (): Uint32Array => new Uint32Array(heads.length);
  const set = { key, heads, tags: column(), marks: column(), checks: column(), seeds: column() };
  const hash = createIdHash(key);
  const latest = new Map<number, number>();
  const before = new Int32Array(heads.length).fill(-1);
  heads.forEach((head, i) => {
    const id = hash.idOf(head);
    const [check, seed] = hash.checkOf(id.tag, id.mark);
    set.tags[i] = id.tag;
    set.marks[i] = id.mark;
    set.checks[i] = check;
    set.seeds[i] = seed;
    before[i] = latest.get(id.tag) ?? -1;
    latest.set(id.tag, i);
  });
  const withTag = (tag: number): number[] => {
    const found: number[] = [];
    for (let i = latest.get(tag) ?? -1; i >= 0; i = before[i] as number) found.push(i);
    return found;
  };
  return { ...set, withTag, indexOf: ({ tag, mark }) => withTag(tag).find((i) => set.marks[i] === mark) ?? -1 };
}

/** The keyed hashes of one session. */
export interface IdHash {
  tagOf(log: Address): number;
  idOf(head: HeadItem): ItemId;
  /** @returns check and seed of an id; the same array each time */
  checkOf(tag: number, mark: number): [check: number, seed: number];
}

export function createIdHash(key: SipKey): IdHash {
  const out = new Uint32Array(2);
  const [ofLog, ofHead, ofId] = [new Uint32Array(5), new Uint32Array(6), new Uint32Array(2)];
  const pair: [number, number] = [0, 0];
  const hashLog = (log: Address): void => {
    for (let i = 0; i < 5; i++) ofLog[i] = Number.parseInt(log.slice(2 + 8 * i, 10 + 8 * i), 16);
    sipHash(key, ofLog, out);
  };
  return {
    tagOf(log) {
      hashLog(log);
      return out[0] as number;
    },
    idOf({ log, seq, digest, isForked }) {
      hashLog(log);
      const tag = out[0] as number;
      ofHead.set(out, 0);
      ofHead[2] = isForked ? 0xffffffff : seq >>> 0;
      ofHead[3] = isForked ? 0xffffffff : Math.floor(seq / 2 ** 32);
      ofHead[4] = isForked ? 0 : Number.parseInt(digest.slice(2, 10), 16);
      ofHead[5] = isForked ? 0 : Number.parseInt(digest.slice(10, 18), 16);
      sipHash(key, ofHead, out);
      const place = isForked ? FORKED : seq % SEQ_MODULUS;
      return { tag, mark: ((place << 8) | ((out[0] as number) & 0xff)) >>> 0 };
    },
    checkOf(tag, mark) {
      ofId[0] = tag;
      ofId[1] = mark;
      sipHash(key, ofId, out);
      pair[0] = out[0] as number;
      pair[1] = out[1] as number;
      return pair;
    },
  };
}

/** How far another's head of the same log is ahead of ours; negative when it is behind; "fork" when its log is dead. */
export function lead(theirMark: number, ownMark: number): number | "fork" {
  const [their, own] = [theirMark >>> 8, ownMark >>> 8];
  if (their === FORKED) return "fork";
  // Who knows of a fork has nothing to learn from who does not.
  if (own === FORKED) return -1;
  const ahead = (their - own + SEQ_MODULUS) % SEQ_MODULUS;
  return ahead <= SEQ_MODULUS / 2 ? ahead : ahead - SEQ_MODULUS;
}
