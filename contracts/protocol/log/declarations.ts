import type { Hex } from "viem";
import type { Body, Declare, Intent } from "./body.ts";
import { expiresAtMs, type VerifiedHeader } from "./header.ts";

/** Declarations and intents of one log that are followed; the oldest makes room, so an author cannot grow our memory. */
export const MAX_DECLARATIONS = 256;
/** Updates and withdrawals of one log kept until what they speak of arrives. */
export const MAX_WAITING = 64;

export type DeclarationStatus = "ACTIVE" | "COMPLETE" | "WITHDRAWN" | "EXPIRED";

interface Common {
  /** Digest of the entry that declared it; what updates and withdrawals name. */
  readonly id: Hex;
  /** The entry whose content counts: the declaration itself or its newest update. */
  readonly latest: VerifiedHeader;
  readonly end: "withdrawn" | "complete" | undefined;
}
/** A capability or an intent, with its newest content. */
export type Declaration = Common &
  ({ readonly kind: "declare"; readonly body: Declare } | { readonly kind: "intent"; readonly body: Intent });

/** An entry whose body has arrived and matches its header. */
export interface LogEntry {
  readonly header: VerifiedHeader;
  readonly body: Body;
}

/** What one log declares. Bodies arrive in any order or never; the fold gives the same result for every order. */
export interface Declarations {
  readonly byId: ReadonlyMap<Hex, Declaration>;
  /** Newest update per unknown target: an update is never applied before what it updates (eq. 2). */
  readonly waiting: ReadonlyMap<Hex, LogEntry>;
  /** Withdrawals that travelled faster than what they withdraw. */
  readonly ended: ReadonlyMap<Hex, "withdrawn" | "complete">;
}

export interface DeclarationsStep {
  readonly state: Declarations;
  /** The declaration that is new or different now. */
  readonly changed?: Declaration;
  /** The declaration that made room. */
  readonly dropped?: Declaration;
}

export const createDeclarations = (): Declarations => ({ byId: new Map(), waiting: new Map(), ended: new Map() });

/** Folds one entry of the log. Kinds that declare nothing leave the state as it is. Pure. */
export function applyEntry(state: Declarations, { header, body }: LogEntry): DeclarationsStep {
  switch (body.kind) {
    case "declare":
    case "intent":
      return declare(state, { ...body, id: header.digest, latest: header, end: undefined });
    case "update":
      return update(state, body.body.target, { header, body });
    case "withdraw":
      return withdraw(state, body.body.target, body.body.outcome);
    default:
      return { state };
  }
}

export function statusOf(declaration: Declaration, nowMs: number): DeclarationStatus {
  if (declaration.end === "withdrawn") return "WITHDRAWN";
  if (declaration.end === "complete") return "COMPLETE";
  return nowMs >= expiresAtMs(declaration.latest.header) ? "EXPIRED" : "ACTIVE";
}

function declare(state: Declarations, declaration: Declaration): DeclarationsStep {
  const { id } = declaration;
  if (state.byId.has(id)) return { state };
  const waited = state.waiting.get(id);
  const current = { ...(waited ? updated(declaration, waited) : declaration), end: state.ended.get(id) };
  const byId = new Map(state.byId).set(id, current);
  const dropped = byId.size > MAX_DECLARATIONS ? oldestOf(byId) : undefined;
  if (dropped) byId.delete(dropped.id);
  const next = { byId, waiting: without(state.waiting, id), ended: without(state.ended, id) };
  return dropped ? { state: next, changed: current, dropped } : { state: next, changed: current };
}

function update(state: Declarations, target: Hex, entry: LogEntry): DeclarationsStep {
  const declaration = state.byId.get(target);
  if (declaration !== undefined) {
    const changed = updated(declaration, entry);
    if (changed === declaration) return { state };
    return { state: { ...state, byId: new Map(state.byId).set(target, changed) }, changed };
  }
  const waited = state.waiting.get(target);
  if (waited && waited.header.header.seq >= entry.header.header.seq) return { state };
  return { state: { ...state, waiting: bounded(state.waiting, target, entry) } };
}

function withdraw(state: Declarations, target: Hex, end: "withdrawn" | "complete"): DeclarationsStep {
  const declaration = state.byId.get(target);
  if (declaration === undefined) return { state: { ...state, ended: bounded(state.ended, target, end) } };
  if (declaration.end !== undefined) return { state };
  const changed = { ...declaration, end };
  return { state: { ...state, byId: new Map(state.byId).set(target, changed) }, changed };
}

/** Order by seq only: a later update wins, an earlier one that comes late changes nothing. */
function updated(declaration: Declaration, { header, body }: LogEntry): Declaration {
  if (declaration.kind !== "declare" || body.kind !== "update") return declaration;
  if (header.header.seq <= declaration.latest.header.seq) return declaration;
  const { target: _target, ...content } = body.body;
  return { ...declaration, latest: header, body: content };
}

function oldestOf(byId: ReadonlyMap<Hex, Declaration>): Declaration {
  return [...byId.values()].reduce((a, b) => (b.latest.header.seq < a.latest.header.seq ? b : a));
}

/** Sets a key; beyond MAX_WAITING the key set first goes. */
function bounded<V>(map: ReadonlyMap<Hex, V>, key: Hex, value: V): Map<Hex, V> {
  const next = new Map(map).set(key, value);
  const first = next.keys().next();
  if (next.size > MAX_WAITING && !first.done) next.delete(first.value);
  return next;
}

function without<V>(map: ReadonlyMap<Hex, V>, key: Hex): ReadonlyMap<Hex, V> {
  if (!map.has(key)) return map;
  const next = new Map(map);
  next.delete(key);
  return next;
}
