import { randomBytes as systemRandomBytes } from "node:crypto";
import type { Address } from "viem";
import {
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
import { createAntiEntropy } from "./anti-entropy.ts";
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
import { createRouter, type HeardHeader, type RouterEffect } from "./router.ts";
import { fetchEntries, serveLogs } from "./sync.ts";
import { MAX_RANGE } from "./wire.ts";

export { HEADERS_TOPIC } from "./dissemination.ts";

const REQUEST_TIMEOUT_MS = 10_000;
/** Older headers than this are history that a newcomer reads up on, no news for the mesh. */
const RELAY_MAX_AGE_MS = 120_000;
/** Rejected messages that a peer may cause: five at once, one a minute; beyond it the peer is cut off until it recovers. */
const FAULT_BUDGET = { perSecond: 1 / 60, burst: 5, maxKeys: 1_000 };
/** With this much work under way, a gap in the mesh starts no fetch: anti-entropy finds it again. */
const MAX_TASKS = 256;

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
  const { transport, logs, contracts, signers, nowMs, isWanted = () => true } = options;
  const onFault = options.onFault ?? (() => undefined);
  const router = createRouter(logs, contracts);
  const faults = createBudget(FAULT_BUDGET);
  const tasks = new Set<Promise<void>>();
  const stopping = new AbortController();
  const ends: (() => void)[] = [];
  const headerHeard = createEmitter<VerifiedHeader>(onFault);
  const entryHeard = createEmitter<LogEntry>(onFault);
  const forkFound = createEmitter<Fork>(onFault);
  const refused = createEmitter<Refusal>(onFault);
  const listening = createEmitter<PeerName>(onFault);

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
      spawn(() => repair.syncWith(peer));
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
        if (!isSolicited && tasks.size < MAX_TASKS)
          spawn(() => repair.fetchRange(effect.from, effect.log, effect.fromSeq));
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
    else if (isWanted(header)) dissemination.want(header, from);
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

  const repair = createAntiEntropy({
    ...{
      transport,
      logs,
      nowMs,
      requestSignal,
      bodies,
      dissemination,
      stopSignal: stopping.signal,
      onPeerFault: refuse,
    },
    ...{ isWanted, randomBytes: options.randomBytes ?? systemRandomBytes },
    ...(options.syncIntervalMs === undefined ? {} : { intervalMs: options.syncIntervalMs }),
    judge: (bytes, from) => judge({ bytes, from, isSolicited: true, nowMs: nowMs() }),
    isBusy: () => tasks.size >= MAX_TASKS,
    spawn,
  });

  function meet(peer: PeerName): void {
    bodies.connected(peer);
    repair.meet(peer);
  }

  return {
    async start() {
      await serveLogs(transport, logs, (hash, signal) => bodies.bodySoon(hash, signal));
      await repair.start();
      ends.push(
        () => repair.stop(),
        transport.onPeerConnected(meet),
        transport.onPeerDisconnected((peer) => {
          bodies.gone(peer);
          repair.gone(peer);
        }),
      );
      await dissemination.start();
      transport.peers().forEach(meet);
    },
    async stop() {
      stopping.abort();
      for (const end of ends.splice(0)) end();
      await dissemination.stop();
      await Promise.allSettled([...tasks, ...repair.running()]);
    },
    async publish({ header, headerBytes, body }) {
      headerHeard.emit(header);
      deliver(header, body, transport.peerId);
      return dissemination.publish(headerBytes);
    },
    syncWith: (peer, signal) => untilAborted(repair.syncWith(peer), signal),
    fetch: (peer, log) => repair.fetchRange(peer, log, (logs.headOf(log)?.header.seq ?? -1) + 1),
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
