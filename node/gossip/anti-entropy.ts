import type { Address } from "viem";
import { accept, ignore, type VerifiedHeader, type Verdict } from "#protocol";
import type { LogStore } from "../log/log-store.ts";
import type { PeerName, Transport } from "../transport/port.ts";
import type { Bodies } from "./bodies.ts";
import type { Dissemination } from "./dissemination.ts";
import { createReconciler } from "./reconcile/driver.ts";
import { fetchEntries, fetchHeads, planRanges } from "./sync.ts";
import { MAX_HEADS, MAX_RANGE } from "./wire.ts";

const DEFAULT_SYNC_INTERVAL_MS = 30_000;
/**
 * After a new peer the next comparison comes soon, then after twice as long each time, up to the interval: a mesh that is
 * still forming loses what is said meanwhile, and a newcomer would miss it until the next regular comparison.
 */
const FIRST_SYNC_INTERVAL_MS = 500;
/** Pages of heads and rounds of ranges in one synchronisation; the next one goes on. */
const MAX_PAGES = 64;
const MAX_ROUNDS_PER_LOG = 64;
/** Bodies taken up again from the store at each synchronisation. */
const MAX_BODILESS = 512;
/** A peer that did not answer now is asked again later; any other refusal is that of a peer that compares by heads only. */
const UNANSWERED = new Set(["REQUEST_ABORTED", "PEER_UNREACHABLE", "STREAM_BROKEN", "REQUEST_LIMIT", "STOPPED"]);

export interface AntiEntropyOptions {
  readonly transport: Transport;
  readonly logs: LogStore;
  readonly bodies: Pick<Bodies, "holds">;
  readonly dissemination: Pick<Dissemination, "want">;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Between two comparisons, and up to twice as long; default 30,000. */
  readonly intervalMs?: number;
  readonly isWanted: (header: VerifiedHeader) => boolean;
  /** For a header that we asked a peer for. */
  readonly judge: (bytes: Uint8Array, from: PeerName) => Promise<unknown>;
  /** Too much is under way to take up what can wait. */
  readonly isBusy: () => boolean;
  readonly spawn: (work: () => Promise<unknown>) => void;
  readonly requestSignal: () => AbortSignal;
  readonly stopSignal: AbortSignal;
  readonly onPeerFault: (peer: PeerName, fault: Verdict<never> & { kind: "reject" }) => void;
}

/** Repairs what pushing missed: compares logs with peers, when they connect and again and again, and fetches what is news. */
export interface AntiEntropy {
  start(): Promise<void>;
  stop(): void;
  /** A peer has connected. */
  meet(peer: PeerName): void;
  gone(peer: PeerName): void;
  /** One comparison with a peer at a time; who asks meanwhile waits for the same one. */
  syncWith(peer: PeerName): Promise<Verdict<PeerName>>;
  /** Headers of one log from `fromSeq` on, until the peer has no more that are news. */
  fetchRange(peer: PeerName, log: Address, fromSeq: number): Promise<void>;
  /** Comparisons under way. */
  running(): Iterable<Promise<unknown>>;
}

export function createAntiEntropy(options: AntiEntropyOptions): AntiEntropy {
  const { transport, logs, bodies, dissemination, nowMs, randomBytes, isWanted, judge, isBusy, spawn } = options;
  const { requestSignal, stopSignal, onPeerFault, intervalMs = DEFAULT_SYNC_INTERVAL_MS } = options;
  const syncing = new Map<PeerName, Promise<Verdict<PeerName>>>();
  let turn = 0;
  let nextSync: NodeJS.Timeout | undefined;

  /** Headers of one log from `fromSeq` on, until the peer has no more that are news. */
  async function fetchRange(peer: PeerName, log: Address, fromSeq: number): Promise<void> {
    for (let round = 0, next = fromSeq; round < MAX_ROUNDS_PER_LOG; round++) {
      const range = await fetchEntries(transport, peer, { log, fromSeq: next }, MAX_RANGE, requestSignal());
      if (range.kind === "reject") return onPeerFault(peer, range);
      if (range.kind !== "accept" || stopSignal.aborted) return;
      for (const bytes of range.value) await judge(bytes, peer);
      const reached = (logs.headOf(log)?.header.seq ?? -1) + 1;
      if (range.value.length < MAX_RANGE || reached <= next) return;
      next = reached;
    }
  }

  const reconciler = createReconciler({
    ...{ transport, logs, nowMs, requestSignal, randomBytes, stopSignal, judge, onPeerFault },
    spawn: (work) => (isBusy() ? undefined : spawn(work)),
  });

  /** By the difference alone where the peer can; by all heads with an older peer, and where most of them are news. */
  async function sync(peer: PeerName): Promise<Verdict<PeerName>> {
    const compared = await reconciler.compare(peer);
    if (stopSignal.aborted) return ignore("STOPPED", "the node is stopping");
    if (compared.kind === "reject") return compared;
    if (compared.kind === "ignore") return UNANSWERED.has(compared.code) ? compared : syncByHeads(peer);
    if (compared.value === "cold") return syncByHeads(peer);
    const { missing, behind } = compared.value;
    await reconciler.fetch(peer, missing);
    const lacking = new Set(behind.map(({ log }) => log));
    for (const header of logs.bodiless(MAX_BODILESS)) {
      if (isWanted(header)) dissemination.want(header, undefined);
      // What does not differ, and what was just fetched, the peer holds.
      if (!lacking.has(header.header.log)) bodies.holds(peer, header.header.log, header.header.seq);
    }
    return accept(peer);
  }

  async function syncByHeads(peer: PeerName): Promise<Verdict<PeerName>> {
    let after: Address | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer = await fetchHeads(transport, peer, after, requestSignal());
      if (answer.kind === "reject") onPeerFault(peer, answer);
      if (answer.kind !== "accept") return answer;
      if (stopSignal.aborted) return ignore("STOPPED", "the node is stopping");
      for (const { log, fromSeq } of planRanges(answer.value, logs)) await fetchRange(peer, log, fromSeq);
      for (const header of logs.bodiless(MAX_BODILESS)) if (isWanted(header)) dissemination.want(header, undefined);
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
    spawn(() => syncOnce(peer));
    syncLater(FIRST_SYNC_INTERVAL_MS);
  }

  /**
   * One peer by turn, so that each is compared with within as many rounds, and one by chance, so that nobody can foresee whom
   * to keep from us; after up to twice the interval, or all nodes would compare at once.
   */
  function syncLater(delayMs: number): void {
    clearTimeout(nextSync);
    if (stopSignal.aborted) return;
    const [draw = 0, chance = 0] = randomBytes(2);
    nextSync = setTimeout(
      () => {
        const peers = transport.peers();
        const byTurn = peers[turn++ % Math.max(1, peers.length)];
        const others = peers.filter((peer) => peer !== byTurn);
        const byChance = others[chance % Math.max(1, others.length)];
        for (const peer of [byTurn, byChance]) if (peer !== undefined) spawn(() => syncOnce(peer));
        syncLater(Math.min(2 * delayMs, intervalMs));
      },
      delayMs * (1 + draw / 256),
    );
    nextSync.unref();
  }

  return {
    async start() {
      await reconciler.serve();
      syncLater(intervalMs);
    },
    stop: () => clearTimeout(nextSync),
    meet,
    gone: (peer) => reconciler.gone(peer),
    syncWith: syncOnce,
    fetchRange,
    running: () => syncing.values(),
  };
}
