import { setTimeout as delay } from "node:timers/promises";
import type { PublicClient } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { identityOf, siteOf } from "./deployment-parts.ts";
import { startServer, type IndexerServer } from "./graphql/server.ts";
import type { ExplorerOptions } from "./site/site.ts";
import { READY_LAG_BLOCKS, StatusSource, type IndexerStatus } from "./status.ts";
import { createPostgresStore } from "./store/postgres.ts";
import type { Snapshot, Store } from "./store/store.ts";
import type { SyncStatus } from "./sync/core.ts";

/** Between two looks at what the writer has committed. A standby takes no NOTIFY, so that all replicas look. */
const DEFAULT_POLL_INTERVAL_MS = 200;

export interface ReplicaOptions {
  /** Asked for the token's unit, for the pages; no block is read from it. */
  readonly client: PublicClient;
  readonly deployment: Deployment;
  /** The database that an indexer writes, or a standby of it. */
  readonly databaseUrl: string;
  readonly host?: string;
  readonly port?: number;
  readonly corsOrigins?: readonly string[];
  readonly pollIntervalMs?: number;
  readonly explorer?: ExplorerOptions | false;
}

/** An API process over the rows that another process writes. */
export interface Replica {
  /** Serves until the signal aborts or `stop`. @returns as soon as the server listens, whether the database answers or not */
  start(signal?: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  /** Resolves when a status satisfies the predicate. @throws the signal's reason */
  until(predicate: (status: IndexerStatus) => boolean, signal?: AbortSignal): Promise<void>;
  status(): IndexerStatus;
  /** Resolves when the replica has stopped. */
  readonly ended: Promise<void>;
  /** @throws SuretyError INDEXER_NOT_STARTED */
  readonly url: string;
}

/**
 * Creates an API process that never writes: the database itself refuses it. Each query is answered from a snapshot whose rows the
 * writer vouched for in that same snapshot; while it undoes, rebuilds or makes sure, the answer is 503, as from the writer itself.
 * When the writer dies, its last rows are answered on, `/ready` is 503, and `_meta { headAgeSeconds }` grows.
 */
export function createReplica(options: ReplicaOptions): Replica {
  const { deployment, databaseUrl: url } = options;
  const store = createPostgresStore({ url, chainId: deployment.chainId, isReadOnly: true });
  const board = new ReplicaBoard(store, identityOf(deployment));
  const stopping = new AbortController();
  const ended = Promise.withResolvers<undefined>();
  let server: IndexerServer | undefined;

  async function run(signal: AbortSignal): Promise<void> {
    await board.follow(options.pollIntervalMs ?? DEFAULT_POLL_INTERVAL_MS, signal);
    await server?.close();
    await store.close();
    ended.resolve(undefined);
  }

  return {
    async start(signal = new AbortController().signal) {
      const parts = { status: () => board.read(), statusOf: board.statusOf, watch: board.watch };
      const endpoints = { status: () => [], unwitnessed: 0 };
      server = await startServer({ ...options, ...siteOf(options), ...parts, store, endpoints });
      void run(AbortSignal.any([signal, stopping.signal]));
    },
    async stop() {
      stopping.abort();
      await (server === undefined ? store.close() : ended.promise);
    },
    until: (predicate, signal = new AbortController().signal) => board.until(predicate, signal),
    status: () => board.read(),
    ended: ended.promise,
    get url() {
      if (server !== undefined) return server.url;
      throw new SuretyError("INDEXER_NOT_STARTED", "The replica does not serve yet.", { next: "Await start() first." });
    },
  };
}

/** Runs a replica until the signal aborts; for a command's main function. */
export async function runReplica(
  options: ReplicaOptions & { readonly onListening?: (replica: Replica) => void },
  signal: AbortSignal,
): Promise<void> {
  const replica = createReplica(options);
  await replica.start(signal);
  options.onListening?.(replica);
  await replica.ended;
}

const unknown: IndexerStatus = {
  ...{ sync: "starting", isServing: false, isReady: false, checkpoint: undefined, head: undefined, finalized: 0 },
  ...{ headAgeMs: undefined, progress: 0, etaSeconds: undefined, trouble: undefined, fatal: undefined },
  counts: { reorgs: 0, undoneBlocks: 0, rebuilds: 0, refusals: 0, failures: 0 },
};

/** What the database last said. */
class ReplicaBoard extends StatusSource {
  readonly #store: Pick<Store, "snapshot">;
  readonly #identity: string;
  #status = unknown;

  constructor(store: Pick<Store, "snapshot">, identity: string) {
    super();
    this.#store = store;
    this.#identity = identity;
  }

  read(): IndexerStatus {
    return this.#status;
  }

  readonly statusOf = (snapshot: Snapshot): IndexerStatus => statusOfSnapshot(snapshot, this.#identity);

  /** Looks until the signal aborts. */
  async follow(intervalMs: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#look();
      await delay(intervalMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    try {
      const snapshot = await this.#store.snapshot();
      const status = this.statusOf(snapshot);
      snapshot.close();
      this.#status = status;
    } catch (error) {
      // Queries hold all connections: they find out for themselves.
      if (error instanceof SuretyError && error.code === "STORE_BUSY") return;
      const trouble = error instanceof Error ? error.message : String(error);
      this.#status = { ...this.#status, isServing: false, isReady: false, trouble };
    }
    this.tell();
  }
}

/** What the writer vouched for when it committed these rows. */
function statusOfSnapshot({ identity, chain, writer }: Snapshot, expected: string): IndexerStatus {
  if (writer === undefined) return { ...unknown, trouble: "no indexer has written to the database yet" };
  const { sync, head, headAgeMs = Infinity, isFailing, staleAfterMs, reorgs, undoneBlocks, rebuilds } = writer;
  const isOurs = identity === expected;
  const isServing = isOurs && sync === "live" && chain !== undefined;
  const isNear = chain !== undefined && head !== undefined && chain.checkpoint.number >= head.number - READY_LAG_BLOCKS;
  return {
    ...{ sync: sync as SyncStatus, isServing, checkpoint: chain?.checkpoint, head, headAgeMs: writer.headAgeMs },
    isReady: isServing && isNear && !isFailing && headAgeMs <= staleAfterMs,
    finalized: chain?.finalized ?? 0,
    progress: progressIn(chain, head?.number),
    etaSeconds: undefined,
    trouble: isOurs ? writer.trouble : "the rows are of another deployment or version: run the writer's version here",
    fatal: undefined,
    counts: { reorgs, undoneBlocks, rebuilds, refusals: 0, failures: 0 },
  };
}

function progressIn(chain: Snapshot["chain"], head: number | undefined): number {
  if (chain === undefined || head === undefined) return 0;
  const { anchor, checkpoint } = chain;
  return head <= anchor.number ? 1 : Math.min(1, (checkpoint.number - anchor.number) / (head - anchor.number));
}
