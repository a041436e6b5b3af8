import type { BlockRef } from "./store/store.ts";
import { progressOf, type SyncState, type SyncStatus } from "./sync/core.ts";

/** Blocks that a ready indexer may be behind the head it saw: one is being applied, one was just announced. */
export const READY_LAG_BLOCKS = 2;

/** What an indexer says of itself at one moment. */
export interface IndexerStatus {
  readonly sync: SyncStatus;
  /** Rows are complete and of the chain's own branch: queries are answered. */
  readonly isServing: boolean;
  /** Serving, at the head, and the endpoint answered lately. */
  readonly isReady: boolean;
  readonly checkpoint: BlockRef | undefined;
  readonly head: BlockRef | undefined;
  /** Since that head was read: it grows while the endpoint, or the process that writes, is silent. */
  readonly headAgeMs: number | undefined;
  readonly finalized: number;
  /** 0..1 from the deployment to the head. */
  readonly progress: number;
  /** Seconds until the backfill is done at the pace so far; undefined = not backfilling, or too early to tell. */
  readonly etaSeconds: number | undefined;
  /** Why the endpoint's last answer was not used. */
  readonly trouble: string | undefined;
  /** What ended the indexing for good. */
  readonly fatal: Error | undefined;
  readonly counts: SyncState["counts"];
}

/** How far rows are behind the chain: blocks below the last head that is known, and how long ago that head was read. */
export function lagOf({ checkpoint, head, headAgeMs }: IndexerStatus): {
  readonly behindBlocks: number | undefined;
  readonly headAgeSeconds: number | undefined;
} {
  const isKnown = checkpoint !== undefined && head !== undefined;
  return {
    behindBlocks: isKnown ? Math.max(0, head.number - checkpoint.number) : undefined,
    headAgeSeconds: headAgeMs === undefined ? undefined : Math.max(0, Math.floor(headAgeMs / 1_000)),
  };
}

/** Tells of each new status, and lets others wait for one. */
export abstract class StatusSource {
  readonly #waiters = new Set<() => void>();

  abstract read(): IndexerStatus;

  protected tell(): void {
    for (const look of [...this.#waiters]) look();
  }

  /** Tells of every new status until it is called off. */
  readonly watch = (tell: (status: IndexerStatus) => void): (() => void) => {
    const look = () => tell(this.read());
    this.#waiters.add(look);
    return () => this.#waiters.delete(look);
  };

  /** Resolves when a status satisfies the predicate. @throws the fatal error, or the signal's reason */
  async until(predicate: (status: IndexerStatus) => boolean, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const settled = Promise.withResolvers<undefined>();
    const check = () => {
      const status = this.read();
      if (status.fatal !== undefined) settled.reject(status.fatal);
      else if (predicate(status)) settled.resolve(undefined);
    };
    const abort = () => settled.reject(signal.reason as Error);
    this.#waiters.add(check);
    signal.addEventListener("abort", abort, { once: true });
    check();
    await settled.promise.finally(() => {
      this.#waiters.delete(check);
      signal.removeEventListener("abort", abort);
    });
  }
}

/** Keeps what the sync loop last said, with the times that make it fresh or stale. */
export class StatusBoard extends StatusSource {
  readonly #now: () => number;
  readonly #staleAfterMs: number;
  #state: SyncState;
  #headAtMs = -Infinity;
  #backfill: { readonly atMs: number; readonly progress: number } | undefined;
  #trouble: string | undefined;
  #fatal: Error | undefined;

  /** @param staleAfterMs a head that was read longer ago is not known to be the head any more */
  constructor(first: SyncState, now: () => number, staleAfterMs: number) {
    super();
    this.#state = first;
    this.#now = now;
    this.#staleAfterMs = staleAfterMs;
  }

  set(state: SyncState): void {
    if (state.head !== this.#state.head) this.#headAtMs = this.#now();
    this.#state = state;
    if (state.failures === 0) this.#trouble = undefined;
    const isBackfilling = state.status === "backfilling" || state.status === "rebuilding";
    if (!isBackfilling) this.#backfill = undefined;
    else this.#backfill ??= { atMs: this.#now(), progress: progressOf(state) };
    this.tell();
  }

  fail(error: unknown): void {
    this.#trouble = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
  }

  end(error: Error): void {
    this.#fatal = error;
    this.tell();
  }

  read(): IndexerStatus {
    const { status, chain, head, failures, refusal, counts } = this.#state;
    const isServing = status === "live" && this.#fatal === undefined;
    const isNear =
      chain !== undefined && head !== undefined && chain.checkpoint.number >= head.number - READY_LAG_BLOCKS;
    const headAgeMs = this.#now() - this.#headAtMs;
    const isFresh = headAgeMs <= this.#staleAfterMs;
    return {
      sync: status,
      isServing,
      isReady: isServing && isNear && isFresh && failures === 0,
      checkpoint: chain?.checkpoint,
      head,
      headAgeMs: head === undefined ? undefined : headAgeMs,
      finalized: chain?.finalized ?? 0,
      progress: progressOf(this.#state),
      etaSeconds: this.#eta(),
      trouble: refusal ?? this.#trouble,
      fatal: this.#fatal,
      counts,
    };
  }

  #eta(): number | undefined {
    const progress = progressOf(this.#state);
    if (this.#backfill === undefined || progress <= this.#backfill.progress) return undefined;
    const pace = (progress - this.#backfill.progress) / (this.#now() - this.#backfill.atMs);
    return Number.isFinite(pace) ? Math.ceil((1 - progress) / pace / 1000) : undefined;
  }
}
