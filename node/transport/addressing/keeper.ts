import type { PeerName, Transport } from "../port.ts";
import type { AddressBook, PeerSource } from "./book.ts";
import { askPeers, MAX_RECORDS, serveExchange, type ExchangeOptions } from "./exchange.ts";
import { planRound } from "./plan.ts";
import { openRecord } from "./record.ts";

const DEFAULT_ROUND_MS = 5_000;
/** One dial or question; TCP itself would wait for minutes. */
const DIAL_TIMEOUT_MS = 10_000;
/** One peer is asked for peers this often. */
const ASK_INTERVAL_MS = 600_000;
/** Peers of the book that one round looks at. */
const CANDIDATES = 64;
const MAX_PER_SUBNET = 4;
/** Peers whose last question and last failed dial are remembered. */
const MAX_REMEMBERED = 2_048;

export interface KeeperOptions extends ExchangeOptions {
  readonly transport: Transport;
  readonly book: AddressBook;
  /** Multiaddrs of the configuration. */
  readonly bootstrap: readonly string[];
  /** Default 5,000. */
  readonly roundMs?: number;
  /** 0 to 1, for the order in which known peers are tried: who told of many does not decide it. */
  readonly random: () => number;
  readonly onFault: (fault: unknown) => void;
}

/** How a connected peer came to be one. */
export type ConnectionSource = PeerSource | "anchor";

/** Keeps the node in the network: dials what is configured, comes back to its anchors, and finds peers of its own. */
export interface Keeper {
  /** Serves `/surety/peers/1`, dials the configured peers and the anchors of the last run, and waits for the first answer of each. */
  start(signal: AbortSignal): Promise<void>;
  /** One round now; they run by themselves after `start`. */
  round(signal: AbortSignal): Promise<void>;
  sourceOf(peer: PeerName): ConnectionSource;
  stop(): Promise<void>;
}

export function createKeeper(options: KeeperOptions): Keeper {
  const { transport, book, bootstrap, nowMs, onFault } = options;
  const stopping = new AbortController();
  const tasks = new Set<Promise<unknown>>();
  const ends: (() => void)[] = [];
  const askedMs = new Map<PeerName, number>();
  const triedMs = new Map<PeerName, number>();
  const dialled = new Map<PeerName, ConnectionSource>();
  let timer: NodeJS.Timeout | undefined;

  function spawn(work: Promise<unknown>): void {
    const task = work.catch((fault: unknown) => (stopping.signal.aborted ? undefined : onFault(fault)));
    tasks.add(task);
    void task.finally(() => tasks.delete(task));
  }
  const bounded = (signal: AbortSignal): AbortSignal =>
    AbortSignal.any([signal, stopping.signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]);

  async function dial(target: string, peer: PeerName, source: ConnectionSource, signal: AbortSignal): Promise<void> {
    const verdict = await transport.dial(target, bounded(signal));
    if (stopping.signal.aborted) return;
    if (verdict.kind === "accept") return remember(dialled, peer, source);
    remember(triedMs, peer, nowMs());
    book.failed(peer);
  }

  /** What a peer says of itself when it connects, signed; it replaces what others told. */
  async function meet(peer: PeerName): Promise<void> {
    const bytes = await transport.recordOf(peer);
    const opened = bytes && (await openRecord(bytes));
    if (stopping.signal.aborted || opened?.kind !== "accept" || opened.value.peer !== peer) return;
    const source = dialled.get(peer) ?? "inbound";
    book.add(opened.value, source === "anchor" ? "exchange" : source, peer, nowMs());
    // Whoever dialled us has not shown that it can be dialled: it is no peer to tell others of.
    if (transport.connections().some((open) => open.peer === peer && open.direction === "outbound")) {
      book.reached(peer, nowMs());
    }
  }

  async function askFor(teller: PeerName, signal: AbortSignal): Promise<void> {
    remember(askedMs, teller, nowMs());
    const answer = await askPeers(teller, { wanted: [], limit: MAX_RECORDS }, options, bounded(signal));
    if (answer.kind !== "accept" || stopping.signal.aborted) return;
    for (const record of answer.value) book.add(record, "exchange", teller, nowMs());
  }

  async function round(signal: AbortSignal): Promise<void> {
    const sampled = book.sample(CANDIDATES, MAX_PER_SUBNET, "all").map((peer) => ({ peer, place: options.random() }));
    const shuffled = sampled.toSorted((a, b) => a.place - b.place).map(({ peer }) => peer);
    const known = [...book.anchors(), ...shuffled];
    const connections = transport.connections();
    const plan = planRound({ connections, bootstrap, known: uniqueOf(known), triedMs, nowMs: nowMs() });
    if (plan.anchors.length > 0) book.setAnchors(plan.anchors);
    const due = plan.askFor.filter((peer) => nowMs() - (askedMs.get(peer) ?? -Infinity) >= ASK_INTERVAL_MS);
    await Promise.all([
      ...plan.bootstrap.map((address) => dial(address, peerOf(address), "bootstrap", signal)),
      ...plan.peers.map(async ({ peer, bytes, source, isAnchor }) => {
        await transport.learnRecord(bytes);
        await dial(peer, peer, isAnchor ? "anchor" : source, signal);
      }),
      ...due.map((peer) => askFor(peer, signal)),
    ]);
  }

  function roundLater(): void {
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => spawn(round(stopping.signal).finally(roundLater)), options.roundMs ?? DEFAULT_ROUND_MS);
    timer.unref();
  }

  return {
    async start(signal) {
      await serveExchange(options);
      ends.push(transport.onPeerIdentified((peer) => spawn(meet(peer))));
      await round(signal);
      roundLater();
    },
    round,
    sourceOf: (peer) => dialled.get(peer) ?? "inbound",
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      for (const end of ends.splice(0)) end();
      await Promise.allSettled(tasks);
    },
  };
}

const peerOf = (address: string): PeerName => address.slice(address.lastIndexOf("/") + 1);

function uniqueOf<T extends { readonly peer: PeerName }>(peers: readonly T[]): T[] {
  const seen = new Set<PeerName>();
  return peers.filter(({ peer }) => !seen.has(peer) && seen.add(peer));
}

/** The one set longest ago makes room. */
function remember<V>(map: Map<PeerName, V>, peer: PeerName, value: V): void {
  map.delete(peer);
  map.set(peer, value);
  const oldest = map.keys().next();
  if (map.size > MAX_REMEMBERED && oldest.done !== true) map.delete(oldest.value);
}
