import { bytesToHex, getAddress, hexToBytes, type Address } from "viem";
import { accept, MAX_SEQ, reject, type Verdict } from "#protocol";
import { ESTIMATE_BYTES } from "./estimate.ts";
import type { ItemId } from "./items.ts";
import { FINGERPRINT_BYTES, isRange, MAX_QUERIES, type Range, type RangeAnswer } from "./ranges.ts";
import { SIP_KEY_BYTES } from "./siphash.ts";
import { CELL_BYTES, MAX_CELLS } from "./sketch.ts";

// `/surety/reconcile/1`. Fixed binary, big-endian: a session is a handful of frames, and field names would double them.
//   question = op 1, salt 16, then
//     1 cells   from 4, count 2                        → [from = 0: heads 4, estimate 224], cells of 12
//     2 ranges  (depth 1, prefix 4)…                   → per range: 255 and 16 fingerprints of 6, or n and n ids of 8
//     3 names   tag 4 …                                → (log 20, seq 5)…
//     4 behind  count 2, tag 4 …, log 20 …             → nothing

/** Cells in one answer: 49 KB. */
export const MAX_CELLS_PER_FRAME = 4_096;
export const MAX_NAMES = 512;
/** Logs that a peer is told to lack, at most: the rest is told by the next session. */
export const MAX_BEHIND = 512;
export const MAX_QUESTION_BYTES = 1 + SIP_KEY_BYTES + 2 + 20 * MAX_BEHIND;
export const MAX_ANSWER_BYTES = 65_536;

/** What the asking side wants to know; `salt` names the session and keys its ids. */
export type Question = { readonly salt: Uint8Array } & (
  | { readonly op: "cells"; readonly from: number; readonly count: number }
  | { readonly op: "ranges"; readonly ranges: readonly Range[] }
  | { readonly op: "names"; readonly tags: readonly number[] }
  /** Logs of which the asking side holds more: by tag where both know it, else by address. */
  | { readonly op: "behind"; readonly tags: readonly number[]; readonly logs: readonly Address[] }
);

export interface CellsAnswer {
  /** Only with the first cells. */
  readonly opening: { readonly heads: number; readonly estimate: Uint8Array } | undefined;
  readonly cells: Uint32Array;
}

export interface NamedLog {
  readonly log: Address;
  readonly seq: number;
}

const ops = { cells: 1, ranges: 2, names: 3, behind: 4 } as const;
const PREFIX_BYTES = 1 + SIP_KEY_BYTES;
const RANGE_BYTES = 5;
const NAME_BYTES = 25;
const PARTS_MARK = 255;

export function encodeQuestion(question: Question): Uint8Array {
  const { salt, op } = question;
  return Uint8Array.from([ops[op], ...salt, ...bodyOf(question)]);
}

function bodyOf(question: Question): readonly number[] {
  switch (question.op) {
    case "cells":
      return [...uint(question.from, 4), ...uint(question.count, 2)];
    case "ranges":
      return question.ranges.flatMap(({ depth, prefix }) => [depth, ...uint(prefix, 4)]);
    case "names":
      return question.tags.flatMap((tag) => uint(tag, 4));
    case "behind": {
      const logs = question.logs.flatMap((log) => [...hexToBytes(log)]);
      return [...uint(question.tags.length, 2), ...question.tags.flatMap((tag) => uint(tag, 4)), ...logs];
    }
  }
}

/** Exact inverse of `encodeQuestion`. Rejects RECONCILE_QUESTION. */
export function decodeQuestion(bytes: Uint8Array): Verdict<Question> {
  if (bytes.length < PREFIX_BYTES) return faulty("question", "it ends before its body");
  const salt = bytes.slice(1, PREFIX_BYTES);
  const body = bytes.subarray(PREFIX_BYTES);
  switch (bytes[0]) {
    case ops.cells:
      return decodeCellsQuestion(salt, body);
    case ops.ranges: {
      const ranges = chunks(body, RANGE_BYTES).map((chunk) => ({
        depth: chunk[0] as number,
        prefix: read(chunk, 1, 4),
      }));
      if (!isWhole(body, RANGE_BYTES, 1, MAX_QUERIES)) return faulty("question", `${body.length} bytes of ranges`);
      return ranges.every(isRange) ? accept({ salt, op: "ranges", ranges }) : faulty("question", "a range is none");
    }
    case ops.names:
      if (!isWhole(body, 4, 1, MAX_NAMES)) return faulty("question", `${body.length} bytes of tags`);
      return accept({ salt, op: "names", tags: tagsIn(body) });
    case ops.behind:
      return decodeBehind(salt, body);
    default:
      return faulty("question", `op ${bytes[0]} is none`);
  }
}

function decodeCellsQuestion(salt: Uint8Array, body: Uint8Array): Verdict<Question> {
  if (body.length !== 6) return faulty("question", `${body.length} bytes of 6`);
  const [from, count] = [read(body, 0, 4), read(body, 4, 2)];
  const isBounded = count >= 1 && count <= MAX_CELLS_PER_FRAME && from + count <= MAX_CELLS;
  return isBounded ? accept({ salt, op: "cells", from, count }) : faulty("question", `cells ${from} + ${count}`);
}

function decodeBehind(salt: Uint8Array, body: Uint8Array): Verdict<Question> {
  const count = body.length < 2 ? 0 : read(body, 0, 2);
  const logBytes = body.length - 2 - 4 * count;
  if (body.length < 2 || logBytes < 0 || logBytes % 20 !== 0 || count + logBytes / 20 > MAX_BEHIND) {
    return faulty("question", `${body.length} bytes of logs with ${count} tags`);
  }
  const tags = tagsIn(body.subarray(2, 2 + 4 * count));
  return accept({ salt, op: "behind", tags, logs: chunks(body.subarray(2 + 4 * count), 20).map(addressIn) });
}

export function encodeCells({ opening, cells }: CellsAnswer): Uint8Array {
  const head = opening === undefined ? [] : [...uint(opening.heads, 4), ...opening.estimate];
  const bytes = new Uint8Array(head.length + 4 * cells.length);
  bytes.set(head);
  const view = new DataView(bytes.buffer, head.length);
  cells.forEach((word, i) => view.setUint32(4 * i, word));
  return bytes;
}

/** @param asked the question: its answer has exactly one length. Rejects RECONCILE_ANSWER */
export function decodeCells(
  bytes: Uint8Array,
  asked: { readonly from: number; readonly count: number },
): Verdict<CellsAnswer> {
  const head = asked.from === 0 ? 4 + ESTIMATE_BYTES : 0;
  const length = head + CELL_BYTES * asked.count;
  if (bytes.length !== length) return faulty("answer", `${bytes.length} bytes of ${length}`);
  const opening = head === 0 ? undefined : { heads: read(bytes, 0, 4), estimate: bytes.slice(4, head) };
  const view = new DataView(bytes.buffer, bytes.byteOffset + head);
  return accept({ opening, cells: Uint32Array.from({ length: 3 * asked.count }, (_, i) => view.getUint32(4 * i)) });
}

export function encodeRanges(answers: readonly RangeAnswer[]): Uint8Array {
  return Uint8Array.from(
    answers.flatMap((answer) =>
      answer.kind === "parts"
        ? [PARTS_MARK, ...answer.parts.flatMap(([high, low]) => [...uint(high, 2), ...uint(low, 4)])]
        : [answer.ids.length, ...answer.ids.flatMap(({ tag, mark }) => [...uint(tag, 4), ...uint(mark, 4)])],
    ),
  );
}

/** Rejects RECONCILE_ANSWER. Whether the answers fit what was asked, the walk judges. */
export function decodeRanges(bytes: Uint8Array): Verdict<RangeAnswer[]> {
  const answers: RangeAnswer[] = [];
  for (let at = 0; at < bytes.length;) {
    const mark = bytes[at++] as number;
    const width = mark === PARTS_MARK ? FINGERPRINT_BYTES : 8;
    const end = at + (mark === PARTS_MARK ? 16 : mark) * width;
    if (end > bytes.length || answers.length >= MAX_QUERIES)
      return faulty("answer", "ranges end early, or are too many");
    const items = chunks(bytes.subarray(at, end), width);
    if (mark === PARTS_MARK)
      answers.push({ kind: "parts", parts: items.map((item) => [read(item, 0, 2), read(item, 2, 4)]) });
    else answers.push({ kind: "ids", ids: items.map(idIn) });
    at = end;
  }
  return accept(answers);
}

export function encodeNames(names: readonly NamedLog[]): Uint8Array {
  return Uint8Array.from(names.flatMap(({ log, seq }) => [...hexToBytes(log), ...uint(seq, 5)]));
}

/** Rejects RECONCILE_ANSWER. */
export function decodeNames(bytes: Uint8Array): Verdict<NamedLog[]> {
  if (!isWhole(bytes, NAME_BYTES, 0, MAX_NAMES)) return faulty("answer", `${bytes.length} bytes of names`);
  const names = chunks(bytes, NAME_BYTES).map((chunk) => ({ log: addressIn(chunk), seq: read(chunk, 20, 5) }));
  return names.every(({ seq }) => seq <= MAX_SEQ) ? accept(names) : faulty("answer", "a seq is over its bound");
}

const faulty = (what: "question" | "answer", detail: string): Verdict<never> =>
  reject(`RECONCILE_${what.toUpperCase()}`, detail);

function uint(value: number, length: number): number[] {
  return Array.from({ length }, (_, i) => Math.floor(value / 256 ** (length - 1 - i)) % 256);
}

function read(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = at; i < at + length; i++) value = value * 256 + (bytes[i] as number);
  return value;
}

const isWhole = (bytes: Uint8Array, width: number, min: number, max: number): boolean =>
  bytes.length % width === 0 && bytes.length >= min * width && bytes.length <= max * width;

const chunks = (bytes: Uint8Array, width: number): Uint8Array[] =>
  Array.from({ length: Math.floor(bytes.length / width) }, (_, i) => bytes.subarray(i * width, (i + 1) * width));

const tagsIn = (bytes: Uint8Array): number[] => chunks(bytes, 4).map((chunk) => read(chunk, 0, 4));
const idIn = (bytes: Uint8Array): ItemId => ({ tag: read(bytes, 0, 4), mark: read(bytes, 4, 4) });
const addressIn = (bytes: Uint8Array): Address => getAddress(bytesToHex(bytes.subarray(0, 20)));
