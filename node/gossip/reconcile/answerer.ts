import type { Address } from "viem";
import { accept, ignore, type Verdict } from "#protocol";
import { createBudget } from "../../transport/budget.ts";
import type { PeerName } from "../../transport/port.ts";
import type { MissingLog } from "./difference.ts";
import { estimatorOf } from "./estimate.ts";
import { createItems, MAX_ITEMS, type HeadItem, type ItemSet } from "./items.ts";
import { sortItems, type SortedItems } from "./ranges.ts";
import { sipKeyOf } from "./siphash.ts";
import { createEncoder, type Encoder } from "./sketch.ts";
import { decodeQuestion, encodeCells, encodeNames, encodeRanges, type NamedLog, type Question } from "./wire.ts";

/** Sessions answered at once; the oldest is forgotten, and its peer begins again. */
export const MAX_SESSIONS = 16;
/** Heads of all sessions together, of which each holds a copy for as long as it lasts. */
const MAX_SESSION_ITEMS = 4 * MAX_ITEMS;
/** Sessions that one peer may begin: each hashes all our heads. */
const SESSION_BUDGET = { perSecond: 0.5, burst: 20, maxKeys: 1_000 };

/** A peer's session: our heads as they were when it began, under its salt. */
interface Session {
  readonly salt: string;
  readonly items: ItemSet;
  readonly encoder: Encoder;
  sorted: SortedItems | undefined;
}

export interface AnswererOptions {
  /** All heads; more than MAX_ITEMS need not be given. */
  readonly heads: () => readonly HeadItem[];
  readonly nowMs: () => number;
  /** A peer says that it holds more of these logs than we do. */
  readonly onBehind: (peer: PeerName, logs: readonly MissingLog[]) => void;
}

/** The answering side of all sessions, without any I/O. Memory is bounded by MAX_SESSIONS and the heads. */
export interface Answerer {
  /** Rejects RECONCILE_QUESTION; ignores SESSION_BUDGET, SESSION_UNKNOWN, TOO_MANY_HEADS. */
  answer(bytes: Uint8Array, from: PeerName): Verdict<Uint8Array>;
  gone(peer: PeerName): void;
}

export function createAnswerer({ heads, nowMs, onBehind }: AnswererOptions): Answerer {
  const sessions = new Map<PeerName, Session>();
  const budget = createBudget(SESSION_BUDGET);

  function begin(from: PeerName, salt: Uint8Array): Verdict<Session> {
    if (!budget.take(from, nowMs())) return ignore("SESSION_BUDGET", "too many comparisons in a short time");
    const held = heads();
    if (held.length > MAX_ITEMS) return ignore("TOO_MANY_HEADS", `${held.length} heads of ${MAX_ITEMS}`);
    const items = createItems(held, sipKeyOf(salt));
    const session = { salt: salt.toString(), items, encoder: createEncoder(items), sorted: undefined };
    sessions.delete(from);
    sessions.set(from, session);
    let total = sessions.values().reduce((sum, { items: { heads: counted } }) => sum + counted.length, 0);
    for (const [peer, old] of sessions) {
      if (peer === from || (sessions.size <= MAX_SESSIONS && total <= MAX_SESSION_ITEMS)) break;
      total -= old.items.heads.length;
      sessions.delete(peer);
    }
    return accept(session);
  }

  function sessionOf(from: PeerName, question: Question): Verdict<Session> {
    const running = sessions.get(from);
    if (running?.salt === question.salt.toString()) return accept(running);
    const isFirst = question.op === "cells" && question.from === 0;
    return isFirst ? begin(from, question.salt) : ignore("SESSION_UNKNOWN", "it was never begun, or forgotten");
  }

  return {
    answer(bytes, from) {
      const question = decodeQuestion(bytes);
      if (question.kind !== "accept") return question;
      const session = sessionOf(from, question.value);
      if (session.kind !== "accept") return session;
      if (question.value.op !== "behind") return accept(answerOf(session.value, question.value));
      onBehind(from, heldOf(session.value.items, question.value));
      return accept(new Uint8Array());
    },
    gone: (peer) => void sessions.delete(peer),
  };
}

function answerOf(session: Session, question: Exclude<Question, { op: "behind" }>): Uint8Array {
  const { items, encoder } = session;
  switch (question.op) {
    case "cells": {
      const opening = { heads: items.heads.length, estimate: estimatorOf(items) };
      const cells = encoder.cells(question.from, question.count);
      return encodeCells({ opening: question.from === 0 ? opening : undefined, cells });
    }
    case "ranges": {
      const sorted = (session.sorted ??= sortItems(items));
      return encodeRanges(question.ranges.map((range) => sorted.answer(range)));
    }
    case "names":
      return encodeNames(question.tags.flatMap((tag) => namesOf(items, tag)));
  }
}

/** Of logs that collide the last one is named: a tag has one name, and the other log is found in the next session. */
function namesOf(items: ItemSet, tag: number): NamedLog[] {
  const [i] = items.withTag(tag);
  return i === undefined ? [] : [items.heads[i] as HeadItem];
}

/** Where to go on fetching what the asker says it has more of. */
function heldOf(items: ItemSet, { tags, logs }: { tags: readonly number[]; logs: readonly Address[] }): MissingLog[] {
  const known = tags.flatMap((tag) => items.withTag(tag)).map((i) => items.heads[i] as HeadItem);
  return [...known.map(({ log, seq }) => ({ log, fromSeq: seq + 1 })), ...logs.map((log) => ({ log, fromSeq: 0 }))];
}
