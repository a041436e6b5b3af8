import { setTimeout as delay } from "node:timers/promises";
import { SuretyError, type Verdict } from "#protocol";
import type { DecodedEvent, RawLog } from "../handlers/decode.ts";
import type { BlockRef, Store } from "../store/store.ts";
import type { FetchedBlock, FetchedRange } from "./checks.ts";
import { step, type Observation, type SyncAction, type SyncState } from "./core.ts";
import type { HeadWatch } from "./heads.ts";
import type { ChainReader } from "./rpc.ts";

/** Backoff after failures in a row: doubles from the first to the last of these. */
const FIRST_BACKOFF_MS = 50;
const MAX_BACKOFF_MS = 5_000;

/** Requests that one action sends at once; public endpoints throttle beyond. */
const CONCURRENT_REQUESTS = 16;

export interface DriverParts {
  readonly reader: ChainReader;
  readonly store: Store;
  readonly heads: HeadWatch;
  readonly decode: (log: RawLog) => Verdict<DecodedEvent>;
  readonly chainId: number;
  /** Names chain, deployment and schema. */
  readonly identity: string;
  /** Told of every new state, before the next action is begun. */
  readonly onState: (state: SyncState) => void;
  /** Told of what an endpoint failed with. */
  readonly onFailure: (error: unknown) => void;
  /** A head that was read longer ago is not known to be the head any more: what readers of the store are told. */
  readonly staleAfterMs: number;
}

/**
 * Carries out the core's actions one after the other until the signal aborts.
 * @throws what the store throws, and the signal's reason; what an endpoint does wrong is retried for ever
 */
export async function runSync(parts: DriverParts, first: SyncState, signal: AbortSignal): Promise<never> {
  let [state, action] = step(first, { kind: "start" });
  let told: SyncState | undefined;
  for (;;) {
    signal.throwIfAborted();
    parts.onState(state);
    await announce(parts, state, told);
    told = state;
    const observation = await perform(parts, state, action, signal);
    [state, action] = step(state, observation);
  }
}

/** Readers in other processes stop answering before rows are undone, and begin again after. */
async function announce({ store, staleAfterMs }: DriverParts, state: SyncState, told?: SyncState): Promise<void> {
  const { status, head, failures, refusal } = state;
  const isKnown = told?.status === status && told.head === head && told.failures > 0 === failures > 0;
  if (isKnown && told.chain !== undefined) return;
  await store.announce?.({ sync: status, head, isFailing: failures > 0, trouble: refusal, staleAfterMs });
}

/** Only endpoints may fail: the store's errors are ours and end the run. */
async function perform(
  parts: DriverParts,
  state: SyncState,
  action: SyncAction,
  signal: AbortSignal,
): Promise<Observation> {
  switch (action.kind) {
    case "open":
      return { kind: "opened", ...(await parts.store.open(parts.identity)) };
    case "begin":
      await parts.store.begin(action.anchor);
      return storedChain(parts.store);
    case "apply":
      for (const batch of action.batches) await parts.store.apply(batch);
      return storedChain(parts.store);
    case "undo":
      await parts.store.undoTo(action.to);
      return storedChain(parts.store);
    case "wipe":
      await parts.store.wipe();
      return { kind: "stored", chain: undefined };
    case "waitForHead":
      await parts.heads.next(signal);
      return { kind: "waited" };
    case "backOff":
      await delay(Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(action.failures - 1, 10)), undefined, {
        signal,
      });
      return { kind: "waited" };
    default:
      return askChain(parts, state, action, signal);
  }
}

async function storedChain(store: Store): Promise<Observation> {
  const snapshot = await store.snapshot();
  snapshot.close();
  return { kind: "stored", chain: snapshot.chain };
}

type ReadAction = Extract<
  SyncAction,
  { kind: "readHead" | "readAnchor" | "compare" | "compareOlder" | "fetchRange" | "fetchBlocks" }
>;

async function askChain(
  parts: DriverParts,
  state: SyncState,
  action: ReadAction,
  signal: AbortSignal,
): Promise<Observation> {
  const { reader } = parts;
  // Read before the chain is asked, so that only the endpoint can fail below.
  const stored = await storedBlock(parts, state, action);
  try {
    switch (action.kind) {
      case "readHead": {
        if (state.head === undefined) await requireChain(parts, signal);
        const [head, finalized] = await Promise.all([reader.head(signal), reader.finalized(signal)]);
        return { kind: "head", head, finalized };
      }
      case "readAnchor":
        return { kind: "anchor", anchor: await reader.header(action.number, signal) };
      case "compare": {
        const actual = (await reader.header(action.number, signal))?.hash;
        return { kind: "compared", number: action.number, stored: (stored as StoredBlock).hash, actual };
      }
      case "compareOlder": {
        const { number, hash } = stored as StoredBlock;
        return { kind: "comparedOlder", isSame: (await reader.header(number, signal))?.hash === hash };
      }
      case "fetchRange":
        return { kind: "range", range: await fetchRange(parts, action.from, action.to, signal) };
      case "fetchBlocks":
        return { kind: "blocks", blocks: await fetchBlocks(parts, action.from, action.to, signal) };
    }
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SuretyError) throw error;
    parts.onFailure(error);
    return { kind: "failed", isRange: action.kind === "fetchRange" };
  }
}

async function requireChain({ reader, chainId }: DriverParts, signal: AbortSignal): Promise<void> {
  const actual = await reader.chainId(signal);
  if (actual === chainId) return;
  throw new SuretyError(
    "INDEXER_WRONG_CHAIN",
    `The endpoint serves chain ${actual}, the deployment is on ${chainId}.`,
    {
      values: { actual, expected: chainId },
      next: "Give the RPC URL of the deployment's chain.",
    },
  );
}

type StoredBlock = Pick<BlockRef, "number" | "hash">;

/** What the store has of the block that an action compares; undefined for other actions. */
async function storedBlock(
  { store }: DriverParts,
  { chain }: SyncState,
  action: ReadAction,
): Promise<StoredBlock | undefined> {
  if (action.kind === "compareOlder") return (await store.eventBlockUpTo(action.atMost)) ?? chain?.anchor;
  if (action.kind !== "compare") return undefined;
  const hash = await store.hashAt(action.number);
  if (hash !== undefined) return { number: action.number, hash };
  throw new SuretyError("STORE_BLOCK_MISSING", `The store does not know block ${action.number}, which can be undone.`, {
    values: { number: action.number, chain },
    next: "Delete the indexer's database: it is rebuilt from the chain.",
  });
}

async function fetchBlocks(parts: DriverParts, from: number, to: number, signal: AbortSignal): Promise<FetchedBlock[]> {
  const numbers = Array.from({ length: to - from + 1 }, (_, k) => from + k);
  const fetched = await Promise.all(numbers.map((number) => fetchBlock(parts, number, signal)));
  // The chain may have become shorter meanwhile: what comes before the gap is still good.
  const gap = fetched.indexOf(undefined);
  return (gap === -1 ? fetched : fetched.slice(0, gap)) as FetchedBlock[];
}

async function fetchBlock(
  { reader, decode }: DriverParts,
  number: number,
  signal: AbortSignal,
): Promise<FetchedBlock | undefined> {
  const ref = await reader.header(number, signal);
  if (ref === undefined) return undefined;
  const logs = await reader.logsOfBlock(ref, signal);
  return { ref, events: logs.map((log) => ({ log, decoded: decode(log) })) };
}

async function fetchRange(parts: DriverParts, from: number, to: number, signal: AbortSignal): Promise<FetchedRange> {
  const { reader, decode } = parts;
  const endBefore = await existing(reader, to, signal);
  const [first, logs] = await Promise.all([existing(reader, from, signal), reader.logsOfRange(from, to, signal)]);
  const byBlock = Map.groupBy(logs, (log) => log.blockNumber);
  const refs = await mapBounded([...byBlock.keys()], (number) => existing(reader, number, signal));
  const blocks = refs.map((ref) => ({
    ref,
    events: (byBlock.get(ref.number) as RawLog[]).map((log) => ({ log, decoded: decode(log) })),
  }));
  const end = await existing(reader, to, signal);
  return { first, blocks, end, endHashBefore: endBefore.hash };
}

async function existing(reader: ChainReader, number: number, signal: AbortSignal): Promise<BlockRef> {
  const header = await reader.header(number, signal);
  if (header === undefined) throw new Error(`block ${number} has vanished`);
  return header;
}

/** Maps with a bounded number of calls under way. */
async function mapBounded<T, R>(items: readonly T[], map: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let k = 0; k < items.length; k += CONCURRENT_REQUESTS) {
    results.push(...(await Promise.all(items.slice(k, k + CONCURRENT_REQUESTS).map(map))));
  }
  return results;
}
