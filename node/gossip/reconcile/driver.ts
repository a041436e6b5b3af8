import { accept, ignore, type Verdict } from "#protocol";
import type { Address } from "viem";
import type { LogReader } from "../../log/log-store.ts";
import type { PeerName, Transport } from "../../transport/port.ts";
import { fetchRanges, protocols } from "../sync.ts";
import { headersPerLog, MAX_RANGES, MAX_RANGES_HEADERS } from "../wire.ts";
import { createAnswerer } from "./answerer.ts";
import { createAsker, type Outcome } from "./asker.ts";
import type { MissingLog } from "./difference.ts";
import { createItems, MAX_ITEMS, type HeadItem } from "./items.ts";
import { SIP_KEY_BYTES, sipKeyOf } from "./siphash.ts";
import { MAX_ANSWER_BYTES, MAX_QUESTION_BYTES } from "./wire.ts";

/** Heads read from the store at once. */
const HEADS_PAGE = 4_096;
/** Rounds of ranges that follow one session: 64 logs each, so that a log of 64,000 entries catches up, or 4,000 logs. */
const MAX_FETCH_ROUNDS = 1_024;

export interface ReconcileOptions {
  readonly transport: Transport;
  readonly logs: LogReader;
  readonly nowMs: () => number;
  /** A signal that ends one request. */
  readonly requestSignal: () => AbortSignal;
  readonly stopSignal: AbortSignal;
  /** So many random bytes: the salt of a session. */
  readonly randomBytes: (count: number) => Uint8Array;
  /** Judges a header that was asked for, and stores it if it holds. */
  readonly judge: (bytes: Uint8Array, from: PeerName) => Promise<unknown>;
  /** Runs work in the background, unless too much is under way. */
  readonly spawn: (work: () => Promise<unknown>) => void;
  /** The peer answered what no honest one answers. */
  readonly onPeerFault: (peer: PeerName, fault: Verdict<never> & { kind: "reject" }) => void;
}

/** Runs sessions on a transport: `/surety/reconcile/1` and `/surety/ranges/1`. */
export interface Reconciler {
  serve(): Promise<void>;
  /** Compares heads with a peer. "cold": page through its heads instead. Ignores PROTOCOL_UNKNOWN of an older peer. */
  compare(peer: PeerName): Promise<Verdict<Outcome | "cold">>;
  /** Fetches headers of many logs until the peer has no more that are news. */
  fetch(peer: PeerName, missing: readonly MissingLog[]): Promise<void>;
  gone(peer: PeerName): void;
}

export function createReconciler(options: ReconcileOptions): Reconciler {
  const { transport, logs, nowMs, requestSignal, stopSignal } = options;
  const currentHeads = createHeadsReader(logs);
  const answerer = createAnswerer({
    heads: currentHeads,
    nowMs,
    onBehind: (peer, behind) => options.spawn(() => fetchAll(peer, behind)),
  });

  async function compare(peer: PeerName): Promise<Verdict<Outcome | "cold">> {
    const heads = currentHeads();
    if (heads.length > MAX_ITEMS) return accept("cold");
    const salt = options.randomBytes(SIP_KEY_BYTES);
    const asker = createAsker(createItems(heads, sipKeyOf(salt)), salt);
    let step = asker.start();
    while (step.kind === "ask") {
      const bounds = { signal: requestSignal(), maxResponseBytes: MAX_ANSWER_BYTES };
      const answer = await transport.request(peer, protocols.reconcile, step.question, bounds);
      if (stopSignal.aborted) return ignore("STOPPED", "the node is stopping");
      const taken = answer.kind === "accept" ? asker.take(answer.value) : answer;
      if (taken.kind === "reject") options.onPeerFault(peer, taken);
      if (taken.kind !== "accept") return taken;
      step = taken.value;
    }
    if (asker.isPoisoned) {
      options.onPeerFault(peer, { kind: "reject", code: "SKETCH_POISONED", detail: "its cells are of no set" });
    }
    return accept(step.kind === "cold" ? "cold" : step.outcome);
  }

  async function fetchAll(peer: PeerName, missing: readonly MissingLog[]): Promise<void> {
    let waiting = [...missing];
    for (let round = 0; round < MAX_FETCH_ROUNDS && waiting.length > 0; round++) {
      const [batch, later] = [waiting.slice(0, MAX_RANGES), waiting.slice(MAX_RANGES)];
      const answer = await fetchRanges(transport, peer, batch, requestSignal());
      if (answer.kind === "reject") options.onPeerFault(peer, answer);
      if (answer.kind !== "accept" || stopSignal.aborted) return;
      for (const bytes of answer.value) await options.judge(bytes, peer);
      if (stopSignal.aborted) return;
      waiting = [...later, ...unfinished(batch, answer.value.length)];
    }
  }

  /** What an answer may have cut off is asked for again, as long as it brings anything: a log that never grows is not. */
  function unfinished(batch: readonly MissingLog[], answered: number): MissingLog[] {
    const rest = batch.map(({ log, fromSeq }) => {
      const reached = Math.max(fromSeq, (logs.headOf(log)?.header.seq ?? -1) + 1);
      return { log, fromSeq: reached, grown: reached - fromSeq };
    });
    const isCut = answered >= MAX_RANGES_HEADERS && rest.some(({ grown }) => grown > 0);
    return rest.filter(({ grown }) => isCut || grown >= headersPerLog(batch.length));
  }

  return {
    async serve() {
      await transport.serve(protocols.reconcile, async (request, from) => answerer.answer(request, from), {
        maxRequestBytes: MAX_QUESTION_BYTES,
      });
    },
    compare,
    fetch: fetchAll,
    gone: (peer) => answerer.gone(peer),
  };
}

/** All heads, in order of their logs; one that has not changed is the same object, so that sessions share their memory. */
export function createHeadsReader(logs: LogReader): () => readonly HeadItem[] {
  let known = new Map<Address, HeadItem>();
  return () => {
    const [forked, current] = [new Set(logs.forkedLogs()), new Map<Address, HeadItem>()];
    for (let after: Address | undefined; current.size <= MAX_ITEMS;) {
      const page = logs.heads(after, HEADS_PAGE);
      for (const { log, seq, digest } of page) {
        const [before, isForked] = [known.get(log), forked.has(log)];
        const isSame = before?.digest === digest && before.isForked === isForked;
        current.set(log, isSame ? before : { log, seq, digest, isForked });
      }
      after = page.at(-1)?.log;
      if (page.length < HEADS_PAGE) break;
    }
    known = current;
    return [...current.values()];
  };
}
