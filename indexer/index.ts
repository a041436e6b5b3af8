import { existsSync } from "node:fs";
import { join } from "node:path";
import type { PublicClient } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { contractsOf, identityOf, siteOf } from "./deployment-parts.ts";
import type { ExplorerOptions } from "./site/site.ts";
import type { Row } from "./entities.ts";
import { leavesStates } from "./handlers/leaves.ts";
import { LeafFiles } from "./leaf-files/leaf-files.ts";
import { startServer, type IndexerServer } from "./graphql/server.ts";
import { createDecoder, foldedAbis, type ContractName } from "./handlers/decode.ts";
import { StatusBoard, type IndexerStatus } from "./status.ts";
import { createSqliteStore } from "./store/sqlite.ts";
import { createPostgresStore } from "./store/postgres.ts";
import type { Snapshot, Store } from "./store/store.ts";
import { verifyIndex, type VerifyReport } from "./verify.ts";
import { createSyncState, type SyncState } from "./sync/core.ts";
import { runSync } from "./sync/driver.ts";
import { EndpointPool, type EndpointStatus } from "./sync/endpoints.ts";
import { watchHeads } from "./sync/heads.ts";
import { createChainReader } from "./sync/rpc.ts";
import type { Subscription } from "./webhooks/subscriptions.ts";
import { Webhooks } from "./webhooks/webhooks.ts";

export { identityOf } from "./deployment-parts.ts";
export { createReplica, runReplica, type Replica, type ReplicaOptions } from "./replica.ts";
export { createPostgresStore } from "./store/postgres.ts";
export { createSqliteStore } from "./store/sqlite.ts";
export { verifyIndex, type Difference, type VerifyReport } from "./verify.ts";
export type { ExplorerOptions } from "./site/site.ts";
export type { EndpointStatus } from "./sync/endpoints.ts";
export type { IndexerStatus } from "./status.ts";
export type { Store } from "./store/store.ts";
export { readSubscriptions, type Subscription } from "./webhooks/subscriptions.ts";

/** Between two looks at the chain. A WebSocket's newHeads wake the indexer earlier. */
const DEFAULT_POLL_INTERVAL_MS = 500;
/** A head that was read longer ago than this many polls, and these milliseconds, is not known to be the head: not ready. */
const STALE_AFTER_POLLS = 20;
const STALE_AFTER_MS = 5_000;

export interface IndexerOptions {
  /** Any viem public client; a WebSocket one is told of heads at once. */
  readonly client: PublicClient;
  /** More endpoints of the same chain: asked when the first fails or stands still, and for a second word on every log. */
  readonly witnesses?: readonly PublicClient[];
  readonly deployment: Deployment;
  /** A store, or where one is. */
  readonly store: Store | StoreLocation;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0 = any free one. */
  readonly port?: number;
  readonly corsOrigins?: readonly string[];
  readonly pollIntervalMs?: number;
  /** What the explorer tells its visitors; false = serve no pages. */
  readonly explorer?: ExplorerOptions | false;
  /** Blocks that the endpoint allows one eth_getLogs. Default 10,000. */
  readonly maxRangeBlocks?: number;
  /** Blocks below the head whose states can be asked for and undone, from 128 to 100,000. Default 128. */
  readonly historyBlocks?: number;
  /** Who is told of the chain's events. */
  readonly webhooks?: readonly Subscription[];
  /** Folders and URLs where files of leaves lie by their root, for topics whose leaves fit no commit. Default none. */
  readonly leafSources?: readonly string[];
  /** Milliseconds, for freshness and the ETA only. Default Date.now. */
  readonly now?: () => number;
}

/** The folder in which the embedded engine keeps its file, or a PostgreSQL database. */
export type StoreLocation = { readonly folder: string } | { readonly databaseUrl: string };

/** An indexer in this process. */
export interface Indexer {
  /** Serves and indexes until the signal aborts or `stop`. @returns as soon as the server listens */
  start(signal?: AbortSignal): Promise<void>;
  /** Ends server and indexing; what is stored stays. */
  stop(): Promise<void>;
  /** Resolves when the indexer is ready. @throws what ended the indexing, or the signal's reason */
  ready(signal?: AbortSignal): Promise<void>;
  /** Resolves when the rows are as of that block: of that hash if one is given, of that number or a later one otherwise. */
  reached(block: { readonly number: number; readonly hash?: string }, signal?: AbortSignal): Promise<void>;
  status(): IndexerStatus;
  /** In the order given, the first client first. */
  endpoints(): EndpointStatus[];
  /** Resolves when the indexing has ended: cleanly after `stop`, with the error that ended it otherwise. */
  readonly ended: Promise<void>;
  /** @throws SuretyError INDEXER_NOT_STARTED */
  readonly graphqlUrl: string;
  /** Base URL of /health, /ready and /metrics. @throws SuretyError INDEXER_NOT_STARTED */
  readonly url: string;
}

/** Creates an indexer of one deployment on one chain. Nothing runs before `start`. */
export function createIndexer(options: IndexerOptions): Indexer {
  const { client, deployment, pollIntervalMs = DEFAULT_POLL_INTERVAL_MS } = options;
  const store = "open" in options.store ? options.store : createStoreAt(options.store, deployment);
  const first = createSyncState(deployment.deployedAtBlock, options.maxRangeBlocks, options.historyBlocks);
  const endpoints = createEndpoints(options);
  const staleAfterMs = Math.max(STALE_AFTER_MS, pollIntervalMs * STALE_AFTER_POLLS);
  const board = new StatusBoard(first, options.now ?? Date.now, staleAfterMs);
  const decode = createDecoder(deployment.contracts);
  const webhooks = new Webhooks({
    ...{ store, subscriptions: options.webhooks ?? [], chainId: deployment.chainId, decode },
    ...{ deployment: contractsOf(deployment), now: options.now ?? Date.now },
    ...{ status: () => board.read(), until: (predicate, signal) => board.until(predicate, signal) },
  });
  const leafFiles = new LeafFiles({
    ...{ store, sources: options.leafSources ?? [], now: options.now ?? Date.now },
    ...{ status: () => board.read(), until: (predicate, signal) => board.until(predicate, signal) },
  });
  const stopping = new AbortController();
  const ended = Promise.withResolvers<undefined>();
  // Whoever does not ask for `ended` finds the error in status().fatal.
  ended.promise.catch(() => {});
  let server: IndexerServer | undefined;
  let hasStarted = false;

  async function index(signal: AbortSignal): Promise<void> {
    const heads = watchHeads(client, pollIntervalMs);
    try {
      const parts = {
        ...{ reader: endpoints, store, heads, decode },
        ...{ chainId: deployment.chainId, identity: identityOf(deployment), staleAfterMs },
        onState: (state: SyncState) => board.set(state),
        onFailure: (error: unknown) => board.fail(error),
      };
      await runSync(parts, first, signal);
    } finally {
      heads.close();
    }
  }

  async function end(): Promise<void> {
    await server?.close();
    await store.close();
    const { fatal } = board.read();
    if (fatal === undefined) ended.resolve(undefined);
    else ended.reject(fatal);
  }

  const startedServer = () => {
    if (server !== undefined) return server;
    throw new SuretyError("INDEXER_NOT_STARTED", "The indexer does not serve yet.", { next: "Await start() first." });
  };
  const forever = new AbortController().signal;
  return {
    async start(signal = forever) {
      if (hasStarted) throw new SuretyError("INDEXER_STARTED", "An indexer starts once.", { next: "Create another." });
      hasStarted = true;
      server = await startServer({
        ...options,
        ...siteOf(options),
        store,
        status: () => board.read(),
        statusOf: () => board.read(),
        endpoints,
        watch: board.watch,
        webhooks: () => webhooks.status(),
      });
      const running = AbortSignal.any([signal, stopping.signal]);
      const parts = [index(running), webhooks.run(running), leafFiles.run(running)].map((part) =>
        part.catch((error: unknown) => {
          if (!running.aborted) board.end(error instanceof Error ? error : new Error(String(error)));
          // What ends one ends the other.
          stopping.abort();
        }),
      );
      void Promise.all(parts).then(end);
    },
    async stop() {
      stopping.abort();
      if (hasStarted) await ended.promise.catch(() => {});
      else await store.close();
    },
    ready: (signal = forever) => board.until(({ isReady }) => isReady, signal),
    reached: ({ number, hash }, signal = forever) =>
      board.until(({ isServing, checkpoint }) => {
        if (!isServing || checkpoint === undefined) return false;
        return hash === undefined ? checkpoint.number >= number : checkpoint.hash === hash;
      }, signal),
    status: () => board.read(),
    endpoints: () => endpoints.status(),
    ended: ended.promise,
    get graphqlUrl() {
      return `${startedServer().url}/graphql`;
    },
    get url() {
      return startedServer().url;
    },
  };
}

function createEndpoints({ client, witnesses = [], deployment }: IndexerOptions): EndpointPool {
  const names = Object.keys(foldedAbis) as ContractName[];
  const addresses = names.map((name) => deployment.contracts[name]);
  const endpoints = [client, ...witnesses].map((one, k) => ({
    name: nameOfEndpoint(one, k),
    reader: createChainReader(one, addresses),
  }));
  return new EndpointPool(endpoints, deployment.chainId, () => performance.now());
}

/** The host alone: paths and users of an endpoint's URL are often its key. */
function nameOfEndpoint({ transport }: PublicClient, index: number): string {
  const url: unknown = transport["url"];
  const host = typeof url === "string" && URL.canParse(url) ? new URL(url).host : "";
  return `${index + 1} ${host}`.trimEnd();
}

/** Runs an indexer until the signal aborts; for a command's main function. @throws what ended the indexing */
export async function runIndexer(
  options: IndexerOptions & { readonly onListening?: (indexer: Indexer) => void },
  signal: AbortSignal,
): Promise<void> {
  const indexer = createIndexer(options);
  await indexer.start(signal);
  options.onListening?.(indexer);
  await indexer.ended;
}

/**
 * Compares every row that an indexer keeps with the chain. An indexer may run there meanwhile.
 * @throws SuretyError INDEX_MISSING, INDEX_FOREIGN, and as verifyIndex does
 */
export async function verifyStored(
  client: PublicClient,
  deployment: Deployment,
  location: StoreLocation,
  signal: AbortSignal,
): Promise<VerifyReport> {
  return readStored(deployment, location, (snapshot) => verifyIndex(client, deployment, snapshot, signal));
}

/** How far an indexer's rows have come, and whether the chain still has the block that they are as of. */
export interface StoredStatus {
  readonly block: number;
  readonly hash: string;
  readonly finalized: number;
  /** Blocks up to here cannot be undone any more. */
  readonly undoFloor: number;
  readonly head: number;
  /** False = the chain was reorganised since; a running indexer undoes those rows. */
  readonly isOnChain: boolean;
  /** Epoch commits that stand, by what became of their leaves. */
  readonly leaves: Readonly<Record<string, number>>;
  /** Requests for leaves that wait for an answer, the most urgent first, at most 20. */
  readonly leavesWaiting: readonly { readonly id: string; readonly answerBy: number }[];
  /** Files of leaves, by what became of them. */
  readonly leafFiles: Readonly<Record<string, number>>;
}

const MAX_WAITING_SHOWN = 20;

async function leavesIn(snapshot: Snapshot): Promise<Pick<StoredStatus, "leaves" | "leavesWaiting" | "leafFiles">> {
  const equal = (column: string, value: string) => ({ column, comparison: "eq", value }) as const;
  const counts = leavesStates.map(async (state) => {
    const where = [equal("state", "standing"), equal("leavesState", state)];
    return [state, await snapshot.count({ table: "candidates", where })] as const;
  });
  const waiting = await snapshot.find({
    ...{ table: "leafRequests", where: [equal("state", "waiting")], orderBy: "answerBy", direction: "asc" },
    ...{ first: MAX_WAITING_SHOWN, skip: 0 },
  });
  return {
    leaves: Object.fromEntries(await Promise.all(counts)),
    leafFiles: await snapshot.leafFileCounts(),
    leavesWaiting: (waiting as readonly Row<"leafRequests">[]).map(({ id, answerBy }) => ({ id, answerBy })),
  };
}

/** @throws SuretyError INDEX_MISSING, INDEX_FOREIGN */
export async function statusOfStored(
  client: PublicClient,
  deployment: Deployment,
  location: StoreLocation,
): Promise<StoredStatus> {
  return readStored(deployment, location, async (snapshot) => {
    const { chain } = snapshot;
    if (chain === undefined) throw indexMissing("nothing is stored yet");
    const { number: block, hash } = chain.checkpoint;
    const head = Number(await client.getBlockNumber());
    const actual = block > head ? undefined : await client.getBlock({ blockNumber: BigInt(block) });
    const { finalized, undoFloor } = chain;
    return { block, hash, finalized, undoFloor, head, isOnChain: actual?.hash === hash, ...(await leavesIn(snapshot)) };
  });
}

/** Drops every row, so that the next start reads the chain anew. @throws SuretyError STORE_SECOND_WRITER (PostgreSQL) */
export async function dropStored(deployment: Deployment, location: StoreLocation): Promise<void> {
  const store = createStoreAt(location, deployment);
  try {
    await store.open(identityOf(deployment));
    await store.wipe();
  } finally {
    await store.close();
  }
}

async function readStored<T>(
  deployment: Deployment,
  location: StoreLocation,
  read: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const where = "folder" in location ? pathIn(location.folder) : "the database";
  if ("folder" in location && !existsSync(where)) throw indexMissing(`there is no ${where}`);
  const store = createStoreAt(location, deployment);
  try {
    const snapshot = await store.snapshot();
    const identity = identityOf(deployment);
    if (snapshot.identity === undefined) throw indexMissing(`${where} holds no index`);
    if (snapshot.identity !== identity) {
      throw new SuretyError("INDEX_FOREIGN", `The index in ${where} is of another deployment or schema.`, {
        values: { where, stored: snapshot.identity, expected: identity },
        next: "Start `surety indexer` on this network: it drops those rows and reads the chain anew.",
      });
    }
    return await read(snapshot).finally(() => snapshot.close());
  } finally {
    await store.close();
  }
}

function indexMissing(detail: string): SuretyError {
  return new SuretyError("INDEX_MISSING", `There is no index: ${detail}.`, {
    values: { detail },
    next: "Run `surety indexer` on this network first, or name the right one.",
  });
}

const pathIn = (folder: string): string => join(folder, "indexer.sqlite");

function createStoreAt(location: StoreLocation, { chainId }: Deployment): Store {
  if ("folder" in location) return createSqliteStore({ path: pathIn(location.folder), chainId });
  return createPostgresStore({ url: location.databaseUrl, chainId });
}
