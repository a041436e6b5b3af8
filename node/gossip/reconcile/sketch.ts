import { createIdHash, type ItemId, type ItemSet } from "./items.ts";

// Rateless invertible Bloom look-up table: Yang, Gilad, Alizadeh, "Practical Rateless Set Reconciliation", SIGCOMM 2024.
// Cell i holds the XOR of the ids that are mapped to it, and of their checks; an item is in cell i with probability
// 1 / (1 + i / 2) (§4.1), so that any prefix of about 1.35–1.7 times the difference decodes it. The paper's count is left out:
// whether a lone id is ours or theirs says our own set.

/** Words of a cell: tag, mark, check. */
const CELL_WORDS = 3;
export const CELL_BYTES = 4 * CELL_WORDS;
/** Cells of one session, 196 KB: a difference of some eleven thousand; above it ranges are compared. */
export const MAX_CELLS = 16_384;

/** The next cell of an item after `index` (§4.2): the mapping is skipped through, not drawn cell by cell. */
function nextIndex(index: number, random: number): number {
  // Never 0, or an item would stay in its cell; never 1, or its jump would have no end.
  const r = (random + 0.5) / 2 ** 32;
  return index + Math.ceil((index + 1.5) * (1 / Math.sqrt(1 - r) - 1));
}

/** Draw number `turn` of an item's generator: a Weyl sequence through the finaliser of MurmurHash3. */
function draw(seed: number, check: number, turn: number): number {
  let x = (seed + Math.imul(turn, 0x9e3779b9)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13) ^ check, 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/** Items on their way through the cells: each one's next cell and turn. */
interface Walk {
  readonly tags: Uint32Array;
  readonly marks: Uint32Array;
  readonly checks: Uint32Array;
  readonly seeds: Uint32Array;
  readonly next: Uint32Array;
  readonly turns: Uint32Array;
}

/** Adds item `i` to each of its cells below `end`; `cells` begin with cell `start`. */
function walkItem(walk: Walk, i: number, cells: Uint32Array, start: number, end: number, touched?: number[]): void {
  const [tag, mark, check] = [walk.tags[i] as number, walk.marks[i] as number, walk.checks[i] as number];
  let index = walk.next[i] as number;
  let turn = walk.turns[i] as number;
  while (index < end) {
    const at = CELL_WORDS * (index - start);
    cells[at] = (cells[at] as number) ^ tag;
    cells[at + 1] = (cells[at + 1] as number) ^ mark;
    cells[at + 2] = (cells[at + 2] as number) ^ check;
    touched?.push(index);
    index = nextIndex(index, draw(walk.seeds[i] as number, check, ++turn));
  }
  // A jump may lead beyond 32 bits; no session gets there.
  walk.next[i] = Math.min(index, 0xffffffff);
  walk.turns[i] = turn;
}

/** The endless sequence of cells of one set. */
export interface Encoder {
  /** The cells from `from` on; what was once made stays, so that a question that is asked again has the same answer. */
  cells(from: number, count: number): Uint32Array;
}

export function createEncoder(items: ItemSet): Encoder {
  const { tags, marks, checks, seeds, heads } = items;
  const walk = {
    tags,
    marks,
    checks,
    seeds,
    next: new Uint32Array(heads.length),
    turns: new Uint32Array(heads.length),
  };
  let made = new Uint32Array(0);
  return {
    cells(from, count) {
      const [start, end] = [made.length / CELL_WORDS, Math.min(from + count, MAX_CELLS)];
      if (end > start) {
        const grown = new Uint32Array(end * CELL_WORDS);
        grown.set(made);
        for (let i = 0; i < heads.length; i++) walkItem(walk, i, grown, 0, end);
        made = grown;
      }
      return made.slice(from * CELL_WORDS, end * CELL_WORDS);
    },
  };
}

/** `poisoned`: what no set gives, as an id that comes out twice, or cells that stay when the first is empty. */
export type Decoding = "more" | "done" | "poisoned";

/** Subtracts our own cells from another's and takes out what is alone in a cell, until nothing is left. */
export interface Decoder {
  /** The next cells of the other side, in order. Work and memory are bounded by the number of cells. */
  add(theirs: Uint32Array): Decoding;
  /** Ids that only the other side has, as far as decoded. */
  readonly theirs: readonly ItemId[];
  /** Indexes of our items that the other side lacks. */
  readonly ours: readonly number[];
}

export function createDecoder(items: ItemSet): Decoder {
  const own = createEncoder(items);
  const hash = createIdHash(items.key);
  const column = (): Uint32Array => new Uint32Array(MAX_CELLS);
  const peeled = {
    tags: column(),
    marks: column(),
    checks: column(),
    seeds: column(),
    next: column(),
    turns: column(),
  };
  const seen = new Set<string>();
  const [theirs, ours]: [ItemId[], number[]] = [[], []];
  let cells = new Uint32Array(0);

  /** Takes one id out of all cells so far; later cells are freed of it when they come. */
  function peel(tag: number, mark: number, [check, seed]: [number, number], queue: number[]): boolean {
    const [name, at] = [`${tag}:${mark}`, seen.size];
    if (seen.has(name) || at >= cells.length / CELL_WORDS) return false;
    seen.add(name);
    const mine = items.indexOf({ tag, mark });
    if (mine < 0) theirs.push({ tag, mark });
    else ours.push(mine);
    peeled.tags[at] = tag;
    peeled.marks[at] = mark;
    peeled.checks[at] = check;
    peeled.seeds[at] = seed;
    walkItem(peeled, at, cells, 0, cells.length / CELL_WORDS, queue);
    return true;
  }

  function settle(queue: number[]): Decoding {
    for (let index = queue.pop(); index !== undefined; index = queue.pop()) {
      const at = CELL_WORDS * index;
      const [tag, mark, check] = [cells[at] as number, cells[at + 1] as number, cells[at + 2] as number];
      if (tag === 0 && mark === 0 && check === 0) continue;
      const hashes = hash.checkOf(tag, mark);
      if (hashes[0] === check && !peel(tag, mark, hashes, queue)) return "poisoned";
    }
    // Every item is in cell 0: when it is empty, the difference is complete (§4.3), and the others have to be empty too.
    if (cells[0] !== 0 || cells[1] !== 0 || cells[2] !== 0) return "more";
    return cells.every((value) => value === 0) ? "done" : "poisoned";
  }

  return {
    theirs,
    ours,
    add(incoming) {
      const start = cells.length / CELL_WORDS;
      const count = Math.min(incoming.length / CELL_WORDS, MAX_CELLS - start);
      const grown = new Uint32Array((start + count) * CELL_WORDS);
      grown.set(cells);
      own.cells(start, count).forEach((value, i) => (grown[cells.length + i] = value ^ (incoming[i] as number)));
      cells = grown;
      for (let i = 0; i < seen.size; i++) walkItem(peeled, i, cells, 0, start + count);
      return settle(Array.from({ length: count }, (_, i) => start + i));
    },
  };
}
