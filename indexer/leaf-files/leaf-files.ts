import { setTimeout as delay } from "node:timers/promises";
import type { Hex } from "viem";
import { MAX_FILE_LEAVES, SuretyError, type LeavesId } from "#protocol";
import type { Row } from "../entities.ts";
import type { IndexerStatus } from "../status.ts";
import type { Condition, LeafFile, Store } from "../store/store.ts";
import { afterAttempt, announced, bestOf, type Outcome } from "./core.ts";
import { download } from "./download.ts";
import { LeafJudge } from "./judge.ts";
import { createFileSource, type FileSource } from "./sources.ts";

/** Epochs whose roots are looked for, from the newest on; what nobody had for so long, nobody has. */
const SOUGHT_EPOCHS = 64;
/** Roots that are looked for at once, the newest first. */
const MAX_SOUGHT = 256;
/** Leaves that are stored in all, with their trees 1 GiB; the oldest epochs go first. */
export const MAX_STORED_LEAVES = 2 ** 24;
/** A piece of 256 KiB comes in time at 9 KB a second. */
const PART_TIMEOUT_MS = 30_000;
/** Timers of Node end at 2^31 ms; a clock that was set back must not keep us asleep for so long. */
const MAX_SLEEP_MS = 60_000;
const MIN_SLEEP_MS = 100;

export interface LeafFilesParts {
  readonly store: Pick<Store, "snapshot" | "leafFiles">;
  /** Folders and URLs, in the order in which they are asked. */
  readonly sources: readonly string[];
  readonly status: () => IndexerStatus;
  /** Resolves when a status satisfies the predicate. @throws what ended the indexing, or the signal's reason */
  readonly until: (predicate: (status: IndexerStatus) => boolean, signal: AbortSignal) => Promise<void>;
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly partTimeoutMs?: number;
}

/**
 * Fetches the leaves of committed roots that came without them, in the background: one file at a time, judged in a worker
 * thread. Which roots are sought follows from the rows as they stand; what was fetched belongs to the root, on every branch.
 */
export class LeafFiles {
  readonly #parts: LeafFilesParts;
  readonly #sources: readonly FileSource[];

  /** @throws SuretyError LEAVES_SOURCE */
  constructor(parts: LeafFilesParts) {
    this.#parts = parts;
    this.#sources = parts.sources.map(createFileSource);
  }

  /** Works until the signal aborts. @throws what the store throws, or what ended the indexing */
  async run(signal: AbortSignal): Promise<void> {
    if (this.#sources.length === 0) return;
    try {
      for (;;) {
        await this.#parts.until(({ isServing }) => isServing, signal);
        const rows = rowsOf(this.#parts.status());
        const nextS = await this.#round(signal).catch(retrySoon);
        await this.#rest(rows, nextS, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Tries what is due. @returns when the next one is, Unix seconds */
  async #round(signal: AbortSignal): Promise<number> {
    const { store, now } = this.#parts;
    const judge = new LeafJudge();
    let nextS = Infinity;
    try {
      for (const { id, epoch } of await this.#sought()) {
        const known = (await store.leafFiles.read(id)) ?? announced(id, epoch);
        if (known.state === "verified") continue;
        const isDue = known.retryAt <= Math.floor(now() / 1_000);
        const file = isDue
          ? await this.#pursue({ ...known, epoch: Math.max(epoch, known.epoch) }, judge, signal)
          : known;
        if (file.state !== "verified") nextS = Math.min(nextS, file.retryAt);
      }
    } finally {
      await judge.close();
    }
    return nextS;
  }

  async #pursue(first: LeafFile, judge: LeafJudge, signal: AbortSignal): Promise<LeafFile> {
    const { store, now, partTimeoutMs = PART_TIMEOUT_MS } = this.#parts;
    await store.leafFiles.write(first);
    const outcomes: Outcome[] = [];
    let file = first;
    for (const source of this.#sources) {
      const attempt = await download(file, source, { store: store.leafFiles, judge, partTimeoutMs }, signal);
      file = attempt.file;
      outcomes.push(attempt.outcome);
      if (attempt.outcome.kind === "verified") break;
    }
    const after = afterAttempt(file, bestOf(outcomes), Math.floor(now() / 1_000));
    await store.leafFiles.write(after);
    await store.leafFiles.prune(MAX_STORED_LEAVES);
    return after;
  }

  /** Roots of candidates that stand whose leaves the chain does not have, the newest first. */
  async #sought(): Promise<readonly { readonly id: LeavesId; readonly epoch: number }[]> {
    const snapshot = await this.#parts.store.snapshot();
    try {
      const newest = { table: "topicRoots", where: [], orderBy: "epoch", direction: "desc", skip: 0 } as const;
      const [last] = (await snapshot.find({ ...newest, first: 1 })) as readonly Row<"topicRoots">[];
      if (last === undefined) return [];
      const where: Condition[] = [
        { column: "epoch", comparison: "gt", value: last.epoch - SOUGHT_EPOCHS },
        { column: "leavesState", comparison: "not", value: "verified" },
        { column: "leafCount", comparison: "gt", value: 0 },
        { column: "leafCount", comparison: "lte", value: MAX_FILE_LEAVES },
        { column: "candidate", among: { table: "candidates", column: "id", where: standing } },
      ];
      const roots = (await snapshot.find({ ...newest, where, first: MAX_SOUGHT })) as readonly Row<"topicRoots">[];
      return roots.map(({ root, leafCount, epoch }) => ({ id: { root: root as Hex, leafCount }, epoch }));
    } finally {
      snapshot.close();
    }
  }

  /** Until the rows are others, or something is due. */
  async #rest(rows: string | undefined, nextS: number, signal: AbortSignal): Promise<void> {
    const { until, now } = this.#parts;
    const waking = new AbortController();
    const either = AbortSignal.any([signal, waking.signal]);
    const waitMs = Math.min(Math.max(nextS * 1_000 - now(), MIN_SLEEP_MS), MAX_SLEEP_MS);
    const waits = [until((status) => rowsOf(status) !== rows, either), delay(waitMs, undefined, { signal: either })];
    for (const wait of waits) wait.catch(() => undefined);
    await Promise.race(waits).finally(() => waking.abort());
  }
}

/** All snapshots are taken: queries come first. */
function retrySoon(error: unknown): number {
  if (error instanceof SuretyError && error.isRetryable) return 0;
  throw error;
}

const standing: readonly Condition[] = [{ column: "state", comparison: "eq", value: "standing" }];

const rowsOf = ({ isServing, checkpoint }: IndexerStatus): string => `${isServing} ${checkpoint?.hash}`;
