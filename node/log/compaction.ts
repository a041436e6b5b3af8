import { setImmediate as turn } from "node:timers/promises";
import { createRetention, decodeBody, type Retention } from "#protocol";
import type { Address } from "viem";
import type { LogStore } from "./log-store.ts";

/** Entries read at once, and logs listed at once; between two pages the node does other work. */
const PAGE = 512;
/** A node compacts this often; an hour more or less of a week's retention is nothing. */
const COMPACTION_INTERVAL_MS = 6 * 3_600_000;

export interface CompactionOptions {
  readonly logs: LogStore;
  /** Logs whose receipts and attestations stay. */
  readonly own: ReadonlySet<Address>;
  /** Unix milliseconds. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
  /** Default: all. */
  readonly only?: Address;
}

export interface Compacted {
  readonly logs: number;
  readonly bodies: number;
  readonly bytes: number;
}

/**
 * Drops the bodies that nobody needs any more (contracts/protocol/log/retention.ts). Headers stay, so every log stays linked, every
 * range provable, and peers can read up on it; so do checkpoints. A log is done in one transaction: killed at any point, the
 * store is as before it or as after it. A body that a living entry shares stays.
 */
export async function compactLogs({ logs, own, nowMs, signal, only }: CompactionOptions): Promise<Compacted> {
  const done = { logs: 0, bodies: 0, bytes: 0 };
  for await (const log of only === undefined ? allLogs(logs) : [only]) {
    const retention = createRetention(own.has(log));
    await readBodies(logs, log, retention, signal);
    const spent = retention.spent(nowMs);
    if (spent.length === 0) continue;
    done.logs++;
    done.bodies += spent.length;
    done.bytes += logs.dropBodies(log, spent);
  }
  return done;
}

async function* allLogs(logs: LogStore): AsyncGenerator<Address> {
  for (let after: Address | undefined; ;) {
    const page = logs.heads(after, PAGE);
    for (const { log } of page) yield log;
    after = page.at(-1)?.log;
    if (page.length < PAGE) return;
  }
}

async function readBodies(logs: LogStore, log: Address, retention: Retention, signal: AbortSignal): Promise<void> {
  for (let next = 0; ;) {
    signal.throwIfAborted();
    const page = logs.entriesWithBodyFrom(log, next, PAGE);
    for (const { header, body } of page) {
      const decoded = body && decodeBody(header.header.kind, body);
      if (decoded?.kind === "accept") retention.add({ header, body: decoded.value });
    }
    if (page.length < PAGE) return;
    next = (page.at(-1)?.header.header.seq ?? next) + 1;
    await turn();
  }
}

/** Compacts now and then while the node runs. @returns ends it */
export function keepCompact(
  options: Pick<CompactionOptions, "logs" | "own"> & {
    readonly nowMs: () => number;
    readonly onCompacted: (compacted: Compacted) => void;
    readonly onFault: (fault: unknown) => void;
  },
): () => Promise<void> {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const timer = setInterval(() => {
    running = compactLogs({ ...options, nowMs: options.nowMs(), signal: stopping.signal })
      .then(options.onCompacted)
      .catch((fault: unknown) => (stopping.signal.aborted ? undefined : options.onFault(fault)));
  }, COMPACTION_INTERVAL_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    stopping.abort();
    await running;
  };
}
