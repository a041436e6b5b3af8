import type { Hex } from "viem";
import type { LogEntry } from "./declarations.ts";
import { expiresAtMs, kindNameOf, type KindName, type VerifiedHeader } from "./header.ts";

/** How long after its end an entry's body is kept: who was offline for a week still learns why a declaration is gone. */
export const RETENTION_MS = 7 * 86_400_000;
/** Declarations of one log that are followed at once; of the rest nothing is dropped. */
const MAX_FOLLOWED = 65_536;

/** Bodies that proofs need for ever: what a range holds, what a log spent, where it goes on. */
const lasting: readonly KindName[] = ["checkpoint", "rotate"];
/** Of an own log also what shows to others what was agreed and paid. */
const lastingOfOwn: readonly KindName[] = ["receipt", "mechanism", "attest"];
const declaring: readonly KindName[] = ["declare", "update", "intent", "withdraw"];

/** Whether a body need not be pulled any more. Not so a declaration: a later update may have renewed it. */
export function isStale({ header }: VerifiedHeader, nowMs: number): boolean {
  const kind = kindNameOf(header.kind);
  if (kind === undefined || lasting.includes(kind) || kind === "declare" || kind === "withdraw") return false;
  return nowMs >= expiresAtMs(header) + RETENTION_MS;
}

interface Followed {
  /** Its declaration, updates and withdrawal so far. */
  readonly seqs: number[];
  latest: VerifiedHeader;
  latestSeq: number;
  endedAtMs: number | undefined;
}

/**
 * Says which bodies of one log nobody needs: fed in order of seq, asked once at the end. A declaration that is withdrawn,
 * complete or expired goes with its updates and its withdrawal, a week after; an update goes as soon as a newer one is here.
 * A declaration's own body stays as long as an update of it counts, because an update is never applied before it (eq. 2).
 */
export interface Retention {
  add(entry: LogEntry): void;
  /** In order of seq. */
  spent(nowMs: number): number[];
}

/** @param isOwn what the log agreed, was paid and attested stays: `surety proof` needs it */
export function createRetention(isOwn: boolean): Retention {
  const followed = new Map<Hex, Followed>();
  const superseded: number[] = [];
  const others: VerifiedHeader[] = [];

  function follow({ header, body }: LogEntry): void {
    const { seq, timeMs } = header.header;
    if (body.kind === "declare" || body.kind === "intent") {
      if (followed.size >= MAX_FOLLOWED) return;
      followed.set(header.digest, { seqs: [seq], latest: header, latestSeq: seq, endedAtMs: undefined });
    } else if (body.kind === "update" || body.kind === "withdraw") {
      const target = followed.get(body.body.target);
      // Of what is not here nothing can be said.
      if (target === undefined) return;
      if (body.kind === "withdraw") {
        target.seqs.push(seq);
        target.endedAtMs ??= timeMs;
        return;
      }
      // The declaration itself stays; the update before this one does not count any more.
      if (target.latestSeq !== target.seqs[0]) superseded.push(target.latestSeq);
      target.seqs.push(seq);
      target.latest = header;
      target.latestSeq = seq;
    }
  }

  return {
    add(entry) {
      if (declaring.includes(entry.body.kind)) follow(entry);
      else if (!lasting.includes(entry.body.kind) && !(isOwn && lastingOfOwn.includes(entry.body.kind))) {
        others.push(entry.header);
      }
    },
    spent(nowMs) {
      const seqs = new Set(superseded);
      for (const { seqs: all, latest, endedAtMs } of followed.values()) {
        const overMs = Math.min(endedAtMs ?? Infinity, expiresAtMs(latest.header));
        if (nowMs >= overMs + RETENTION_MS) for (const seq of all) seqs.add(seq);
      }
      for (const { header } of others) if (nowMs >= expiresAtMs(header) + RETENTION_MS) seqs.add(header.seq);
      return [...seqs].sort((a, b) => a - b);
    },
  };
}
