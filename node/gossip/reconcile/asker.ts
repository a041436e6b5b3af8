import { accept, ignore, reject, type Verdict } from "#protocol";
import { planDifference, type Difference, type MissingLog } from "./difference.ts";
import { estimateDifference, estimatorOf } from "./estimate.ts";
import { createIdHash, type ItemSet } from "./items.ts";
import { createRangeWalk, type Range, type RangeWalk } from "./ranges.ts";
import { createDecoder, MAX_CELLS, type Decoder } from "./sketch.ts";
import {
  decodeCells,
  decodeNames,
  decodeRanges,
  encodeQuestion,
  MAX_BEHIND,
  MAX_CELLS_PER_FRAME,
  MAX_NAMES,
  type Question,
} from "./wire.ts";

/** Cells asked for before anything is known of the difference: thirty heads are found at once. */
const FIRST_CELLS = 48;
/** Cells for each estimated difference, and the share by which the next question goes beyond what did not do. */
const CELLS_PER_DIFFERENCE = 1.45;
const GROWTH = 0.2;
const MIN_CELLS = 16;
/** The estimate is within some 20%: who needs twice its cells sends us what no set gives. */
const MAX_OVERRUN = 3;
/** When more than this share of the peer's heads is news, they are read page by page. */
const COLD_SHARE = 0.5;
/** Below so many differences the sketch is cheap whatever their share. */
const COLD_MIN = 512;
/** Logs that one session fetches; the next one finds others first, because its ids are in another order. */
const MAX_MISSING = 1_024;

/** What one session found. */
export interface Outcome {
  readonly missing: readonly MissingLog[];
  /** How many heads differ, as far as found. */
  readonly differences: number;
  /** Our logs of which the peer holds less than we do. */
  readonly behind: readonly ItemSet["heads"][number][];
  /** How it was found; `ranges` when the sketch did not decode. */
  readonly method: "sketch" | "ranges";
}

export type AskerStep =
  | { readonly kind: "ask"; readonly question: Uint8Array }
  /** Most of what the peer holds is news: page through its heads. */
  | { readonly kind: "cold" }
  | { readonly kind: "done"; readonly outcome: Outcome };

/**
 * The asking side of one session, without any I/O: questions out, answers in. It ends after a bounded number of either,
 * whatever the other side answers; what an answer says is a hint where to look, and every header is judged when it comes.
 */
export interface Asker {
  start(): AskerStep;
  /** Rejects what no honest peer answers: RECONCILE_ANSWER, RANGE_ANSWER. */
  take(answer: Uint8Array): Verdict<AskerStep>;
  /** The sketch held what no set gives. */
  readonly isPoisoned: boolean;
}

type Asked = Question & { readonly salt: Uint8Array };

export function createAsker(items: ItemSet, salt: Uint8Array): Asker {
  const decoder: Decoder = createDecoder(items);
  let walk: RangeWalk | undefined;
  let asked: Asked | undefined;
  let received = 0;
  let limit = FIRST_CELLS;
  let isPoisoned = false;
  let missing: MissingLog[] = [];
  let behind: ItemSet["heads"][number][] = [];
  let found: Difference = { theirs: [], ours: [] };
  let rest: Asked[] = [];

  function ask(question: Asked): AskerStep {
    asked = question;
    return { kind: "ask", question: encodeQuestion(question) };
  }

  function askCells(count: number): AskerStep {
    const bounded = Math.min(Math.max(count, MIN_CELLS), MAX_CELLS_PER_FRAME, Math.max(MIN_CELLS, limit - received));
    return ask({ salt, op: "cells", from: received, count: Math.min(bounded, MAX_CELLS - received) });
  }

  function takeCells(bytes: Uint8Array, question: { from: number; count: number }): Verdict<AskerStep> {
    const answer = decodeCells(bytes, question);
    if (answer.kind !== "accept") return answer;
    const { opening, cells } = answer.value;
    received += question.count;
    const decoding = decoder.add(cells);
    if (decoding === "done") return accept(conclude(decoder));
    if (decoding === "poisoned") isPoisoned = true;
    if (isPoisoned) return accept(walkOn());
    if (opening === undefined) {
      return accept(received >= limit ? walkOn() : askCells(Math.ceil(received * GROWTH)));
    }
    const differences = estimateDifference(opening.estimate, estimatorOf(items));
    if (differences > Math.max(COLD_MIN, COLD_SHARE * opening.heads)) return accept({ kind: "cold" });
    limit = Math.min(MAX_CELLS, MAX_OVERRUN * differences + 256);
    return accept(askCells(Math.ceil(CELLS_PER_DIFFERENCE * differences) - received));
  }

  function walkOn(): AskerStep {
    walk ??= createRangeWalk(items);
    const ranges = walk.next();
    return ranges.length === 0 ? conclude(walk) : ask({ salt, op: "ranges", ranges });
  }

  function takeRanges(bytes: Uint8Array, ranges: readonly Range[]): Verdict<AskerStep> {
    const answers = decodeRanges(bytes);
    if (answers.kind !== "accept") return answers;
    const taken = (walk as RangeWalk).take(ranges, answers.value);
    return taken.kind === "accept" ? accept(walkOn()) : taken;
  }

  /** The difference is known: which logs we do not know by name has to be asked, what the peer lacks to be told. */
  function conclude({ theirs, ours }: Difference): AskerStep {
    found = { theirs: [...theirs], ours: [...ours] };
    const plan = planDifference(items, found);
    const headOf = (i: number): ItemSet["heads"][number] => items.heads[i] as ItemSet["heads"][number];
    missing = plan.missing.slice(0, MAX_MISSING);
    behind = [...plan.behind, ...plan.untold].map(headOf);
    const tags = plan.behind.slice(0, MAX_BEHIND).map((i) => items.tags[i] as number);
    const logs = plan.untold.slice(0, MAX_BEHIND - tags.length).map((i) => headOf(i).log);
    rest = tags.length + logs.length === 0 ? [] : [{ salt, op: "behind", tags, logs }];
    const unknown = plan.unknown.slice(0, MAX_MISSING - missing.length);
    for (let at = unknown.length; at > 0; at -= MAX_NAMES) {
      rest.push({ salt, op: "names", tags: unknown.slice(Math.max(0, at - MAX_NAMES), at) });
    }
    return next();
  }

  function next(): AskerStep {
    const question = rest.pop();
    if (question !== undefined) return ask(question);
    const method = walk === undefined ? "sketch" : "ranges";
    return { kind: "done", outcome: { missing, behind, differences: found.theirs.length + found.ours.length, method } };
  }

  /** A name counts only for a tag that was asked for: else a peer could send us after any log. */
  function takeNames(bytes: Uint8Array, tags: readonly number[]): Verdict<AskerStep> {
    const names = decodeNames(bytes);
    if (names.kind !== "accept") return names;
    const hash = createIdHash(items.key);
    const wanted = new Set(tags);
    for (const { log } of names.value) {
      const tag = hash.tagOf(log);
      if (!wanted.delete(tag)) return reject("RECONCILE_ANSWER", `log ${log} was not asked for, or is named twice`);
      const own = items.withTag(tag).find((i) => items.heads[i]?.log === log);
      missing.push({ log, fromSeq: own === undefined ? 0 : (items.heads[own] as ItemSet["heads"][number]).seq + 1 });
    }
    return accept(next());
  }

  return {
    start: () => askCells(FIRST_CELLS),
    take(bytes) {
      switch (asked?.op) {
        case "cells":
          return takeCells(bytes, asked);
        case "ranges":
          return takeRanges(bytes, asked.ranges);
        case "names":
          return takeNames(bytes, asked.tags);
        case "behind":
          return accept(next());
        case undefined:
          return ignore("RECONCILE_ANSWER", "nothing was asked");
      }
    },
    get isPoisoned() {
      return isPoisoned;
    },
  };
}
