import type { Address, Hex } from "viem";
import {
  applyEntry,
  createDeclarations,
  decodeBody,
  expiresAtMs,
  kindNameOf,
  statusOf,
  type Declaration,
  type DeclarationStatus,
} from "#protocol";
import type { LogReader, StoredEntry } from "../../node/log/log-store.ts";

/** Entries read at once. */
const PAGE = 512;

export interface DeclarationLine {
  readonly id: Hex;
  readonly kind: "declare" | "intent";
  readonly status: DeclarationStatus;
  readonly name: string;
  readonly expiresAt: string;
}

/** What one log holds, as far as this store does. */
export interface LogSummary {
  readonly log: Address;
  readonly entries: number;
  readonly head: Hex;
  readonly byKind: Readonly<Record<string, number>>;
  readonly bodies: number;
  readonly isForked: boolean;
  readonly rotatedFrom: Address | undefined;
  readonly rotatedTo: Address | undefined;
  readonly declarations: readonly DeclarationLine[];
}

/** @returns undefined if the store has nothing of the log */
export function summarize(logs: LogReader, log: Address, nowMs: number): LogSummary | undefined {
  const head = logs.headOf(log);
  if (head === undefined) return undefined;
  const byKind: Record<string, number> = {};
  for (let seq = 0; seq <= head.header.seq; seq += PAGE) {
    for (const { header } of logs.range(log, seq, PAGE)) {
      const name = kindNameOf(header.kind) ?? "unknown";
      byKind[name] = (byKind[name] ?? 0) + 1;
    }
  }
  const { declarations, bodies, rotated } = foldBodies(logs, log);
  return {
    ...{ log, entries: head.header.seq + 1, head: head.digest, byKind, bodies },
    ...{ isForked: logs.forkOf(log) !== undefined, rotatedFrom: rotated.from, rotatedTo: rotated.to },
    declarations: declarations.map((declaration) => lineOf(declaration, nowMs)),
  };
}

function foldBodies(logs: LogReader, log: Address) {
  const rotated: { from?: Address; to?: Address } = {};
  let [state, bodies] = [createDeclarations(), 0];
  for (let next = 0; ;) {
    const page = logs.entriesWithBodyFrom(log, next, PAGE);
    for (const { header, body } of page.flatMap(readEntry)) {
      bodies++;
      if (body.kind === "rotate") rotated[body.body.role === "ends" ? "to" : "from"] = body.body.log;
      state = applyEntry(state, { header, body }).state;
    }
    if (page.length < PAGE) return { declarations: [...state.byId.values()], bodies, rotated };
    next = (page.at(-1)?.header.header.seq ?? next) + 1;
  }
}

function readEntry({ header, body }: StoredEntry) {
  const decoded = body && decodeBody(header.header.kind, body);
  return decoded?.kind === "accept" ? [{ header, body: decoded.value }] : [];
}

function lineOf(declaration: Declaration, nowMs: number): DeclarationLine {
  const { id, kind, latest } = declaration;
  const name = declaration.kind === "declare" ? declaration.body.name : declaration.body.topic;
  return { id, kind, status: statusOf(declaration, nowMs), name, expiresAt: isoOf(expiresAtMs(latest.header)) };
}

const isoOf = (timeMs: number): string => new Date(timeMs).toISOString();
