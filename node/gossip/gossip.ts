import { randomBytes as systemRandomBytes } from "node:crypto";
import type { Address } from "viem";
import {
  accept,
  decodeBody,
  encodeLogHeader,
  matchBody,
  ignore,
  type DomainContracts,
  type Fork,
  type LogEntry,
  type VerifiedHeader,
  type Verdict,
} from "#protocol";
import type { LogStore } from "../log/log-store.ts";
import type { OwnEntry } from "../log/writer.ts";
import type { PeerName, Transport } from "../transport/port.ts";
import { createBodies } from "./bodies.ts";
import { createBudget } from "../transport/budget.ts";
import {
  createGossipsubDissemination,
  type DisseminationName,
  type DisseminationOptions,
  type MeshReport,
} from "./dissemination.ts";
import { createEmitter } from "./emitter.ts";
import { createMeshDissemination } from "./mesh/driver.ts";
import type { MeshTuning } from "./mesh/port.ts";
import { createReconciler } from "./reconcile/driver.ts";
import { createRouter, type HeardHeader, type RouterEffect } from "./router.ts";
import { fetchEntries, fetchHeads, planRanges, serveLogs } from "./sync.ts";
import { MAX_HEADS, MAX_RANGE } from "./wire.ts";

export { HEADERS_TOPIC } from "./dissemination.ts";

const REQUEST_TIMEOUT_MS = 10_000;
const DEFAULT_SYNC_INTERVAL_MS = 30_000;
/**
 * After a new peer the next comparison comes soon, then after twice as long each time, up to the interval: a mesh that is
 * still forming loses what is said meanwhile, and a newcomer would miss it until the next regular comparison.
 */
const FIRST_SYNC_INTERVAL_MS = 500;
/** Older headers than this are history that a newcomer reads up on, no news for the mesh. */
const RELAY_MAX_AGE_MS = 120_000;
/** Pages of heads and rounds of ranges in one synchronisation; the next one goes on. */
const MAX_PAGES = 64;
const MAX_ROUNDS_PER_LOG = 64;
/** Bodies taken up again from the store at each synchronisation. */
const MAX_BODILESS = 512;
/** Rejected messages that a peer may cause: five at once, one a minute; beyond it the peer is cut off until it recovers. */
const FAULT_BUDGET = { perSecond: 1 / 60, burst: 5, maxKeys: 1_000 };
/** With this much work under way, a gap in the mesh starts no fetch: anti-entropy finds it again. */
const MAX_TASKS = 256;

/** A peer that did not answer now is asked again later; any other refusal is that of a peer that compares by heads only. */
const UNANSWERED = new Set(["REQUEST_ABORTED", "PEER_UNREACHABLE", "STREAM_BROKEN", "REQUEST_LIMIT", "STOPPED"]);

/** Says which logs may speak; node.ts answers from the identity registry on chain. */
export interface SignerPort {
  /** @param timeMs the time that the header claims, Unix milliseconds */
  isSignerValidAt(log: Address, timeMs: number, signal: AbortSignal): Promise<boolean>;
}

/** A judgement that went against a peer or an author, by name. */
export interface Refusal {
  readonly kind: "ignore" | "reject";
  readonly code: string;
  readonly detail: string;
  /** The peer that sent it; the log's address where only its author is at fault. */
  readonly from: string;
}

export interface GossipOptions {
  readonly transport: Transport;
  readonly logs: LogStore;
  readonly contracts: DomainContracts;
  readonly signers: SignerPort;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** Which bodies to pull; default all. */
  readonly isWanted?: (header: VerifiedHeader) => boolean;
  /** Between two comparisons, and up to twice as long; default 30,000. */
  readonly syncIntervalMs?: number;
  /** So many random bytes; default the system's. */
  readonly randomBytes?: (count: number) => Uint8Array;
  /** Default "mesh": our own router, which serves peers that only have gossipsub, too. */
  readonly dissemination?: DisseminationName;
  /** What the chain says of the agent behind a peer, in points of the mesh's score; default nothing. */
  readonly reputationOf?: (peer: PeerName, signal: AbortSignal) => Promise<number>;
  /** For the mesh; default what the benchmark shows best. */
  readonly tuning?: Partial<MeshTuning>;
  readonly onFault?: (fault: unknown) => void;
}

/** Spreads own headers, judges and relays those of others, pulls bodies, and repairs what was missed. */
export interface Gossip {
  start(): Promise<void>;
  /** Ends what is under way; nothing touches the store after it resolves. */
  stop(): Promise<void>;
  /** Sends an own entry, which the writer has put on disk. @returns number of peers it went to */
  publish(entry: OwnEntry): Promise<number>;
  /** Compares logs with a peer and fetches what is missing here; also runs on connect and periodically. */
  syncWith(peer: PeerName, signal: AbortSignal): Promise<Verdict<PeerName>>;
  /** Fetches from a peer what is news here of one log. */
  fetch(peer: PeerName, log: Address): Promise<void>;
  /** For the log's writer at its start. */
  fetchOwnHeaders(log: Address, fromSeq: number, signal: AbortSignal): Promise<readonly Uint8Array[]>;
  /** A verified header was stored, in the order of its log. @returns removes the listener */
  onHeader(listener: (header: VerifiedHeader) => void): () => void;
  /** A stored header's body has arrived (own entries included). @returns removes the listener */
  onEntry(listener: (entry: LogEntry) => void): () => void;
  onFork(listener: (fork: Fork) => void): () => void;
  onRefusal(listener: (refusal: Refusal) => void): () => void;
  /** A peer that hears our headers from now on. @returns removes the listener */
  onListening(listener: (peer: PeerName) => void): () => void;
  /** Links and queues of the mesh; undefined where gossipsub spreads the headers. */
  mesh(): MeshReport | undefined;
}

export function createGossip(options: GossipOptions): Gossip {
  const { transport, logs, contracts, signers, nowMs } = options;
  const onFault = options.onFault ?? (() => undefined);
  const router = createRouter(logs, contracts);
  const faults = createBudget(FAULT_BUDGET);
  const tasks = new Set<Promise<void>>();
  const syncing = new Map<PeerName, Promise<Verdict<PeerName>>>();
  const stopping = new AbortController();
  const ends: (() => void)[] = [];
  const headerHeard = createEmitter<VerifiedHeader>(onFault);
  const entryHeard = createEmitter<LogEntry>(onFault);
  const forkFound = createEmitter<Fork>(onFault);
  const refused = createEmitter<Refusal>(onFault);
  const randomBytes = options.randomBytes ?? systemRandomBytes;
  const listening = createEmitter<PeerName>(onFault);
  const syncIntervalMs = options.syncIntervalMs ?? DEFAULT_SYNC_INTERVAL_MS;
  let turn = 0;
  let nextSync: NodeJS.Timeout | undefined;

  /** Runs in the background; `stop` waits for it. */
  function spawn(work: () => Promise<unknown>): void {
    if (stopping.signal.aborted) return;
    const task = work().then(
      () => undefined,
      (fault: unknown) => {
        if (!stopping.signal.aborted) onFault(fault);
      },
    );
    tasks.add(task);
    void task.finally(() => tasks.delete(task));
  }

  const requestSignal = (): AbortSignal => AbortSignal.any([stopping.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);

  const bodies = createBodies({
    transport,
    logs,
    stopSignal: stopping.signal,
    requestSignal,
    spawn,
    onBody(header, bytes, from) {
      dissemination.hold(header);
      deliver(header, bytes, from);
    },
    isOnItsWay: (hash) => dissemination.isPulling(hash),
    onVoid: (header, detail) => refused.emit({ kind: "reject", code: "BODY_LENGTH", detail, from: header.header.log }),
    onPeerFault: (peer, code, detail) => refuse(peer, { kind: "reject", code, detail }),
    onFault,
  });

  const disseminationOptions: DisseminationOptions = {
    ...{ transport, onFault },
    judge: (bytes, from) => judge({ bytes, from, isSolicited: false, nowMs: nowMs() }),
    onListening(peer) {
      // What either side published between the connection and now reached nobody.
      spawn(() => syncOnce(peer));
      listening.emit(peer);
    },
    onBody: (header, bytes, from) => bodies.take(header, bytes, from),
    onSeek: (header, from) => bodies.want(header, from),
    bodyOf: (hash) => logs.bodyOf(hash),
    authorOf: (log) => bodies.authorOf(log),
    reputationOf: (peer) => options.reputationOf?.(peer, requestSignal()) ?? Promise.resolve(0),
    onPeerFault: (peer, code, detail) => refuse(peer, { kind: "reject", code, detail }),
  };
  const dissemination =
    options.dissemination === "gossipsub"
      ? createGossipsubDissemination(disseminationOptions)
      : createMeshDissemination({ ...disseminationOptions, ...(options.tuning ? { tuning: options.tuning } : {}) });

  /** From frame to verdict: what the mesh relays is what this accepts. */
  async function judge(heard: HeardHeader): Promise<Verdict<unknown>> {
    if (!faults.has(heard.from, heard.nowMs))
      return ignore("PEER_SHUNNED", `${heard.from} sent too much that was wrong`);
    const verdict = await route(heard);
    if (verdict.kind === "reject") refuse(heard.from, verdict);
    else if (verdict.kind === "ignore") refused.emit({ ...verdict, from: heard.from });
    return verdict;
  }

  async function route(heard: HeardHeader): Promise<Verdict<unknown>> {
    const admitted = router.admit(heard);
    if (admitted.kind !== "accept") return admitted;
    const { log, timeMs } = admitted.value.header;
    const isValid = await signers.isSignerValidAt(log, timeMs, requestSignal());
    if (stopping.signal.aborted) return ignore("STOPPED", "the node is stopping");
    const { verdict, effects } = router.conclude(admitted.value, isValid, heard);
    for (const effect of effects) perform(effect, heard.isSolicited);
    return verdict;
  }

  function perform(effect: RouterEffect, isSolicited: boolean): void {
    switch (effect.kind) {
      case "store":
        logs.addHeaders(effect.headers, nowMs());
        for (const header of effect.headers) announce(header, effect.from);
        if (isSolicited) effect.headers.forEach(relay);
        break;
      case "evidence":
        logs.addFork(effect.fork);
        forkFound.emit(effect.fork);
        break;
      case "fetch":
        // A range that we asked for goes on by itself; only news of the mesh starts a fetch.
        if (!isSolicited && tasks.size < MAX_TASKS) spawn(() => fetchRange(effect.from, effect.log, effect.fromSeq));
    }
  }

  /**
   * What was fetched and is recent goes on to the mesh: whoever joined while it was said would else wait for its own
   * repair, and whoever sits behind that one for another. Each node relays a header once, when it first stores it.
   */
  function relay(header: VerifiedHeader): void {
    if (nowMs() - header.header.timeMs > RELAY_MAX_AGE_MS) return;
    spawn(() => dissemination.relay(encodeLogHeader(header)));
  }

  function announce(header: VerifiedHeader, from: PeerName): void {
    headerHeard.emit(header);
    const { bodyHash } = header.header;
    const body = logs.bodyOf(bodyHash);
    if (body !== undefined) deliver(header, body, from);
    else if (options.isWanted?.(header) ?? true) dissemination.want(header, from);
  }

  /** The bytes are the author's own: if they do not decode, the author is at fault and not who sent them. */
  function deliver(header: VerifiedHeader, bytes: Uint8Array, from: PeerName): void {
    const matched = matchBody(header.header, bytes);
    const body = matched.kind === "accept" ? decodeBody(header.header.kind, bytes) : matched;
    if (body.kind === "accept") entryHeard.emit({ header, body: body.value });
    else refused.emit({ ...body, from });
  }

  function refuse(peer: PeerName, { kind, code, detail }: Omit<Refusal, "from">): void {
    refused.emit({ kind, code, detail, from: peer });
    faults.take(peer, nowMs());
    if (!faults.has(peer, nowMs())) spawn(() => transport.disconnect(peer));
  }

  /** Headers of one log from `fromSeq` on, until the peer has no more that are news. */
  async function fetchRange(peer: PeerName, log: Address, fromSeq: number): Promise<void> {
    for (let round = 0, next = fromSeq; round < MAX_ROUNDS_PER_LOG; round++) {
      const range = await fetchEntries(transport, peer, { log, fromSeq: next }, MAX_RANGE, requestSignal());
      if (range.kind === "reject") return refuse(peer, range);
      if (range.kind !== "accept" || stopping.signal.aborted) return;
      for (const bytes of range.value) await judge({ bytes, from: peer, isSolicited: true, nowMs: nowMs() });
      const reached = (logs.headOf(log)?.header.seq ?? -1) + 1;
      if (range.value.length < MAX_RANGE || reached <= next) return;
      next = reached;
    }
  }

  const reconciler = createReconciler({
    ...{ transport, logs, nowMs, requestSignal, randomBytes, stopSignal: stopping.signal },
    judge: (bytes, from) => judge({ bytes, from, isSolicited: true, nowMs: nowMs() }),
    spawn: (work) => (tasks.size < MAX_TASKS ? spawn(work) : undefined),
    onPeerFault: refuse,
  });

  /** By the difference alone where the peer can; by all heads with an older peer, and where most of them are news. */
  async function sync(peer: PeerName): Promise<Verdict<PeerName>> {
    const compared = await reconciler.compare(peer);
    if (stopping.signal.aborted) return ignore("STOPPED", "the node is stopping");
    if (compared.kind === "reject") return compared;
    if (compared.kind === "ignore") return UNANSWERED.has(compared.code) ? compared : syncByHeads(peer);
    if (compared.value === "cold") return syncByHeads(peer);
    const { missing, behind } = compared.value;
    await reconciler.fetch(peer, missing);
    const lacking = new Set(behind.map(({ log }) => log));
    for (const header of logs.bodiless(MAX_BODILESS)) {
      if (options.isWanted?.(header) ?? true) dissemination.want(header, undefined);
      // What does not differ, and what was just fetched, the peer holds.
      if (!lacking.has(header.header.log)) bodies.holds(peer, header.header.log, header.header.seq);
    }
    return accept(peer);
  }

  async function syncByHeads(peer: PeerName): Promise<Verdict<PeerName>> {
    let after: Address | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer = await fetchHeads(transport, peer, after, requestSignal());
      if (answer.kind === "reject") refuse(peer, answer);
      if (answer.kind !== "accept") return answer;
      if (stopping.signal.aborted) return ignore("STOPPED", "the node is stopping");
      for (const { log, fromSeq } of planRanges(answer.value, logs)) await fetchRange(peer, log, fromSeq);
      for (const header of logs.bodiless(MAX_BODILESS))
        if (options.isWanted?.(header) ?? true) dissemination.want(header, undefined);
      for (const { log, seq } of answer.value) bodies.holds(peer, log, seq);
      after = answer.value.at(-1)?.log;
      if (answer.value.length < MAX_HEADS) return accept(peer);
    }
    return accept(peer);
  }

  /** One synchronisation with a peer at a time; who asks meanwhile waits for the same one. */
  function syncOnce(peer: PeerName): Promise<Verdict<PeerName>> {
    let running = syncing.get(peer);
    if (running === undefined) {
      running = sync(peer).finally(() => syncing.delete(peer));
      syncing.set(peer, running);
    }
    return running;
  }

  function meet(peer: PeerName): void {
    bodies.connected(peer);
    spawn(() => syncOnce(peer));
    syncLater(FIRST_SYNC_INTERVAL_MS);
  }

  /**
   * One peer by turn, so that each is compared with within as many rounds, and one by chance, so that nobody can foresee whom
   * to keep from us; after up to twice the interval, or all nodes would compare at once.
   */
  function syncLater(delayMs: number): void {
    clearTimeout(nextSync);
    if (stopping.signal.aborted) return;
    const [draw = 0, chance = 0] = randomBytes(2);
    nextSync = setTimeout(
      () => {
        const peers = transport.peers();
        const byTurn = peers[turn++ % Math.max(1, peers.length)];
        const others = peers.filter((peer) => peer !== byTurn);
        const byChance = others[chance % Math.max(1, others.length)];
        for (const peer of [byTurn, byChance]) if (peer !== undefined) spawn(() => syncOnce(peer));
        syncLater(Math.min(2 * delayMs, syncIntervalMs));
      },
      delayMs * (1 + draw / 256),
    );
    nextSync.unref();
  }

  return {
    async start() {
      await serveLogs(transport, logs, (hash, signal) => bodies.bodySoon(hash, signal));
      await reconciler.serve();
      syncLater(syncIntervalMs);
      ends.push(
        () => clearTimeout(nextSync),
        transport.onPeerConnected(meet),
        transport.onPeerDisconnected((peer) => {
          bodies.gone(peer);
          reconciler.gone(peer);
        }),
      );
      await dissemination.start();
      transport.peers().forEach(meet);
    },
    async stop() {
      stopping.abort();
      for (const end of ends.splice(0)) end();
      await dissemination.stop();
      await Promise.allSettled([...tasks, ...syncing.values()]);
    },
    async publish({ header, headerBytes, body }) {
      headerHeard.emit(header);
      deliver(header, body, transport.peerId);
      return dissemination.publish(headerBytes);
    },
    syncWith: (peer, signal) => untilAborted(syncOnce(peer), signal),
    fetch: (peer, log) => fetchRange(peer, log, (logs.headOf(log)?.header.seq ?? -1) + 1),
    async fetchOwnHeaders(log, fromSeq, signal) {
      const bounded = AbortSignal.any([signal, requestSignal()]);
      const asked = transport
        .peers()
        .map((peer) => fetchEntries(transport, peer, { log, fromSeq }, MAX_RANGE, bounded));
      const answers = await Promise.all(asked);
      return answers.flatMap((answer) => (answer.kind === "accept" ? answer.value : []));
    },
    onHeader: (listener) => headerHeard.on(listener),
    onEntry: (listener) => entryHeard.on(listener),
    onFork: (listener) => forkFound.on(listener),
    onRefusal: (listener) => refused.on(listener),
    onListening: (listener) => listening.on(listener),
    mesh: () => dissemination.report(),
  };
}

async function untilAborted<T>(work: Promise<Verdict<T>>, signal: AbortSignal): Promise<Verdict<T>> {
  const { promise, resolve } = Promise.withResolvers<Verdict<T>>();
  const giveUp = (): void => resolve(ignore("REQUEST_ABORTED", "given up by the caller"));
  signal.addEventListener("abort", giveUp);
  if (signal.aborted) giveUp();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}
