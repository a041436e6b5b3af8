import { accept, reject, type Verdict } from "#protocol";
import type { ItemId, ItemSet } from "./items.ts";

// Range-based set reconciliation (Meyer, "Range-Based Set Reconciliation", SRDS 2023): fingerprints of ranges of the sorted ids,
// split where they differ. The ids are keyed hashes, so ranges of equal prefixes hold equally many and nobody can fill one of
// them. It costs some five times the bytes of the sketch, and nothing that the other side sends can break it.

/** A range splits into sixteen: one hex digit of the tag. */
const FANOUT = 16;
const MAX_DEPTH = 8;
/** A range of at most so many ids is listed: as long as two levels of fingerprints. */
const MAX_LISTED = 24;
/** Ids of one tag that are listed at the last depth; more is a flood. */
const MAX_LEAF = 254;
/** Ranges asked about in one frame: at most 51 KB of answer while every leaf is listed. */
export const MAX_QUERIES = 256;
/** Frames of one session: enough for some three thousand differences; what is left is found in the next session. */
export const MAX_WALK_ROUNDS = 32;

/** The ids whose tag begins with `depth` hex digits of `prefix`; the rest of `prefix` is zero. */
export interface Range {
  readonly depth: number;
  readonly prefix: number;
}

/** XOR of the keyed hashes of a range's ids: 48 bits, in two numbers. */
export type Fingerprint = readonly [high: number, low: number];
export const FINGERPRINT_BYTES = 6;

/** A range as its holder describes it: its ids, or the fingerprints of its sixteen parts. */
export type RangeAnswer =
  | { readonly kind: "ids"; readonly ids: readonly ItemId[] }
  | { readonly kind: "parts"; readonly parts: readonly Fingerprint[] };

/** A set's ids in order, with the XOR of all hashes before each: any range's fingerprint is two look-ups. */
export interface SortedItems {
  answer(range: Range): RangeAnswer;
  fingerprint(range: Range): Fingerprint;
  idsIn(range: Range): readonly (ItemId & { readonly index: number })[];
}

export function sortItems({ tags, marks, checks, seeds, heads }: ItemSet): SortedItems {
  const order = Uint32Array.from(heads.keys()).sort(
    (a, b) => (tags[a] as number) - (tags[b] as number) || (marks[a] as number) - (marks[b] as number),
  );
  const [highs, lows] = [new Uint32Array(order.length + 1), new Uint32Array(order.length + 1)];
  order.forEach((i, at) => {
    highs[at + 1] = (highs[at] as number) ^ ((seeds[i] as number) & 0xffff);
    lows[at + 1] = (lows[at] as number) ^ (checks[i] as number);
  });
  /** First place whose tag is at least this. */
  const placeOf = (tag: number): number => {
    let [low, high] = [0, order.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((tags[order[middle] as number] as number) < tag) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const placesOf = (range: Range) => ({ from: placeOf(range.prefix), to: placeOf(range.prefix + widthOf(range)) });
  const idsIn = (range: Range) => {
    const { from, to } = placesOf(range);
    return Array.from(order.subarray(from, to), (index) => ({
      ...{ index, tag: tags[index] as number, mark: marks[index] as number },
    }));
  };
  const fingerprint = (range: Range): Fingerprint => {
    const { from, to } = placesOf(range);
    const xor = (sums: Uint32Array): number => ((sums[to] as number) ^ (sums[from] as number)) >>> 0;
    return [xor(highs), xor(lows)];
  };
  return {
    fingerprint,
    idsIn,
    answer(range) {
      const { from, to } = placesOf(range);
      if (to - from > MAX_LISTED && range.depth < MAX_DEPTH) {
        return { kind: "parts", parts: partsOf(range).map((part) => fingerprint(part)) };
      }
      return { kind: "ids", ids: idsIn(range).slice(0, MAX_LEAF) };
    },
  };
}

/** Tags in a range: 2³² at depth 0. */
const widthOf = ({ depth }: Range): number => 2 ** (32 - 4 * depth);

export function partsOf({ depth, prefix }: Range): Range[] {
  return Array.from({ length: FANOUT }, (_, digit) => ({
    ...{ depth: depth + 1, prefix: prefix + digit * 2 ** (28 - 4 * depth) },
  }));
}

export const isRange = ({ depth, prefix }: Range): boolean =>
  depth <= MAX_DEPTH && prefix % 2 ** (32 - 4 * depth) === 0;

/** The asking side's way through the ranges that differ. */
export interface RangeWalk {
  /** The ranges to ask about next; none when everything that differs is found, or the bound is reached. */
  next(): readonly Range[];
  /** Rejects RANGE_ANSWER where the answer is none to what was asked; nothing of it counts then. */
  take(asked: readonly Range[], answers: readonly RangeAnswer[]): Verdict<undefined>;
  readonly theirs: readonly ItemId[];
  readonly ours: readonly number[];
}

export function createRangeWalk(items: ItemSet): RangeWalk {
  const own = sortItems(items);
  const pending: Range[] = [{ depth: 0, prefix: 0 }];
  const [theirs, ours]: [ItemId[], number[]] = [[], []];
  let rounds = 0;

  function compareIds(range: Range, listed: readonly ItemId[]): void {
    const mine = own.idsIn(range);
    const named = new Set(listed.map(({ tag, mark }) => `${tag}:${mark}`));
    for (const id of listed) if (items.indexOf(id) < 0) theirs.push(id);
    for (const { tag, mark, index } of mine) if (!named.has(`${tag}:${mark}`)) ours.push(index);
  }

  function compareParts(range: Range, parts: readonly Fingerprint[]): void {
    partsOf(range).forEach((part, digit) => {
      const [high, low] = own.fingerprint(part);
      const [theirHigh, theirLow] = parts[digit] as Fingerprint;
      if (high !== theirHigh || low !== theirLow) pending.push(part);
    });
  }

  return {
    theirs,
    ours,
    next: () => (rounds++ < MAX_WALK_ROUNDS ? pending.splice(0, MAX_QUERIES) : []),
    take(asked, answers) {
      if (answers.length !== asked.length)
        return reject("RANGE_ANSWER", `${answers.length} answers of ${asked.length}`);
      const faulty = asked.findIndex((range, i) => !isAnswerTo(range, answers[i] as RangeAnswer));
      if (faulty >= 0) return reject("RANGE_ANSWER", `answer ${faulty} is none to its range`);
      asked.forEach((range, i) => {
        const answer = answers[i] as RangeAnswer;
        if (answer.kind === "ids") compareIds(range, answer.ids);
        else compareParts(range, answer.parts);
      });
      return accept(undefined);
    },
  };
}

/** Ids within the range and ascending; parts only where there are such. */
function isAnswerTo(range: Range, answer: RangeAnswer): boolean {
  if (answer.kind === "parts") return range.depth < MAX_DEPTH && answer.parts.length === FANOUT;
  const end = range.prefix + widthOf(range);
  return answer.ids.every(({ tag, mark }, i) => {
    const before = answer.ids[i - 1];
    const isLater = before === undefined || before.tag < tag || (before.tag === tag && before.mark < mark);
    return isLater && tag >= range.prefix && tag < end;
  });
}
