import { zeroHash, type Hex } from "viem";
import {
  accept,
  batchDigestOf,
  createWindowState,
  encodeSealedBatch,
  enterEpoch,
  ignore,
  isListOf,
  isOfTopic,
  lastWindowBefore,
  orderEntries,
  signBatch,
  stepWindow,
  windowAt,
  type BatchEntry,
  type BatchHeader,
  type DomainContracts,
  type HeldEntry,
  type SealedBatch,
  type Signer,
  type Verdict,
  type VerifiedHeader,
  type WindowEffect,
  type WindowEvent,
  type WindowState,
  type WindowTerms,
} from "#protocol";
import type { LogReader } from "../log/log-store.ts";
import type { PeerName, Transport } from "../transport/port.ts";
import type { BatchStore } from "./batch-store.ts";
import type { Offence, WindowChain, WindowPeers } from "./port.ts";
import type { Seats } from "./seats.ts";
import {
  batchesTopicOf,
  decodeListedBatch,
  encodeProposal,
  encodeQuery,
  MAX_BATCH_BYTES,
  protocols,
  type ListedBatch,
  type Proposal,
} from "./wire.ts";

export interface TopicOrderOptions {
  readonly topic: bigint;
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  readonly transport: Transport;
  readonly batches: BatchStore;
  readonly logs: Pick<LogReader, "entryByDigest">;
  readonly chain: WindowChain;
  readonly peers: WindowPeers;
  readonly seats: Seats;
  /** Unix seconds of the chain. */
  readonly chainTime: () => number;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  readonly onOffence: (offence: Offence) => void;
  readonly onBatch?: (batch: ListedBatch) => void;
  readonly onSkipped?: (window: number) => void;
  readonly onFault: (fault: unknown) => void;
}

/** Often enough that a leader proposes within a twentieth of its window. */
const TICK_MS = 250;
const REQUEST_TIMEOUT_MS = 5_000;
/** Batches that a node fetches in one go when it comes back; older ones it asks for when it meets their successors. */
const MAX_CATCH_UP = 64;
/** Logs asked for at once to complete one batch; what is still missed comes by gossip's own repair. */
const MAX_LOGS_A_BATCH = 64;
/** Work under way for one topic; beyond it a stranger's message waits for its sender to try again. */
const MAX_TASKS = 64;

interface Asked {
  readonly answer: (verdict: Verdict<Hex>) => void;
  readonly from: PeerName;
}

/** The order of one topic: follows its batches, and takes part in them while the agent has a seat. Runs the machine of #protocol. */
export class TopicOrder {
  readonly #options: TopicOrderOptions;
  readonly #lifetime = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #asked = new Map<number, Asked>();
  /** Who sent the last proposal of a seat: it has what it proposed. */
  readonly #proposers = new Map<number, PeerName>();
  #state: WindowState;
  #agents: readonly number[] = [];
  #heard: HeldEntry[] = [];
  #nextRequest = 0;
  #isEntering = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: TopicOrderOptions) {
    this.#options = options;
    const { topic, batches } = options;
    this.#state = createWindowState(this.#termsOf(0, []), batches.newest(topic), batches.signed(topic));
  }

  /** The newest batch that is known. */
  get last(): WindowState["last"] {
    return this.#state.last;
  }

  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS);
    this.#timer.unref();
    this.tick();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#lifetime.abort(new DOMException("the windows stop", "AbortError"));
    for (const { answer } of this.#asked.values()) answer(ignore("STOPPED", "the node is stopping"));
    await Promise.allSettled(this.#tasks);
  }

  /** Looks at the clock: gossip's headers go in, windows end, epochs begin. */
  tick(): void {
    const { chain, chainTime } = this.#options;
    const second = chainTime();
    this.#flush();
    const ended = lastWindowBefore(chain.clock, second);
    const { epoch } = ended ?? windowAt(chain.clock, Math.max(second, chain.clock.genesis));
    // An epoch's machine stays until a window of the next one is over: its last window is proposed after it.
    if (epoch > this.#state.terms.epoch || this.#agents.length === 0) this.#enter(epoch);
    if (epoch === this.#state.terms.epoch) this.#step({ kind: "time", second });
  }

  /** A verified log header came in, of whatever topic. */
  hear({ header, digest }: VerifiedHeader): void {
    if (!isOfTopic(header.tags, this.#options.topic)) return;
    this.#heard.push({ log: header.log, seq: header.seq, digest, heardMs: this.#options.nowMs() });
    // A proposal that waits for it is answered at once; else headers come in together.
    if (this.#state.answer?.missing.has(digest) === true) this.#flush();
  }

  /** A leader asks for our signature. */
  async answer(proposal: Proposal, from: PeerName, signal: AbortSignal): Promise<Verdict<Hex>> {
    const { seats, chainTime } = this.#options;
    if (this.#tasks.size >= MAX_TASKS) return ignore("WINDOW_BUSY", "too much is under way");
    const seat = await seats.signerSeat(proposal, AbortSignal.any([signal, this.#lifetime.signal]));
    if (seat.kind !== "accept") return seat;
    if (this.#lifetime.signal.aborted) return ignore("STOPPED", "the node is stopping");
    this.tick();
    const request = this.#nextRequest++;
    const { promise, resolve } = Promise.withResolvers<Verdict<Hex>>();
    this.#asked.set(request, { answer: resolve, from });
    this.#proposers.set(seat.value, from);
    signal.addEventListener("abort", () => resolve(ignore("WINDOW_MISSING", "the asker has gone")), { once: true });
    const { header, signature, entries } = proposal;
    this.#step({ kind: "proposal", request, seat: seat.value, header, signature, entries, second: chainTime() });
    return promise.finally(() => this.#asked.delete(request));
  }

  /** A batch header of the mesh: judged here, followed in the background. */
  async judge(sealed: SealedBatch, from: PeerName): Promise<Verdict<unknown>> {
    const { topic, contracts, batches, seats, chainTime } = this.#options;
    const { header } = sealed;
    if (header.topic !== topic) return ignore("BATCH_TOPIC", "of another topic");
    if (header.window > chainTime()) return ignore("BATCH_FUTURE", `window ${header.window} has not begun`);
    if (batches.byDigest(topic, batchDigestOf(header, contracts)) !== undefined)
      return ignore("BATCH_KNOWN", "held here");
    if (this.#tasks.size >= MAX_TASKS) return ignore("WINDOW_BUSY", "too much is under way");
    const checked = await seats.checkSealed(sealed, this.#bounded());
    if (checked.kind === "accept") this.#spawn(() => this.#follow(sealed, from));
    return checked;
  }

  /** Asks a peer for what it has of the topic's order; for a node that comes back, or meets a new peer. */
  catchUp(peer: PeerName): void {
    if (this.#tasks.size < MAX_TASKS) this.#spawn(() => this.#fetchBatch(peer, zeroHash));
  }

  #termsOf(epoch: number, agents: readonly number[]): WindowTerms {
    const { topic, agentId, contracts, chain } = this.#options;
    const seat = agents.indexOf(Number(agentId));
    const digestOf = (header: BatchHeader) => batchDigestOf(header, contracts);
    return { topic, epoch, seats: agents.length, seat: seat < 0 ? undefined : seat, clock: chain.clock, digestOf };
  }

  /** Asks who sits in an epoch; one without validators is asked again, for a draw may come late. */
  #enter(epoch: number): void {
    if (this.#isEntering) return;
    this.#isEntering = true;
    this.#spawn(async () => {
      try {
        const agents = await this.#options.seats.of(epoch, this.#bounded());
        if (epoch < this.#state.terms.epoch || this.#lifetime.signal.aborted) return;
        this.#agents = agents;
        for (const { answer } of this.#asked.values()) answer(ignore("WINDOW_NOT_NOW", "its epoch is over"));
        this.#state = enterEpoch(this.#state, this.#termsOf(epoch, agents));
      } finally {
        this.#isEntering = false;
      }
    });
  }

  #flush(): void {
    const entries = this.#heard;
    if (entries.length === 0) return;
    this.#heard = [];
    this.#step({ kind: "held", entries });
  }

  #step(event: WindowEvent): void {
    if (this.#lifetime.signal.aborted) return;
    const [state, effects] = stepWindow(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: WindowEffect): void {
    switch (effect.kind) {
      case "sign":
        return this.#sign(effect.header, effect.digest);
      case "propose":
        for (const seat of this.#agents.keys()) {
          if (seat !== this.#state.terms.seat) this.#spawn(() => this.#propose(seat, effect));
        }
        return;
      case "answer":
        return this.#asked.get(effect.request)?.answer(accept(effect.signature));
      case "refuse":
        return this.#asked.get(effect.request)?.answer(ignore(effect.code, "not signed here"));
      case "fetch":
        return this.#withProposer(effect.seat, (peer) => this.#fetchEntries(effect.entries, peer));
      case "catchUp":
        return this.#withProposer(effect.seat, (peer) => this.#fetchBatch(peer, effect.digest));
      case "publish":
        this.#keep(effect);
        return this.#spawn(() => this.#publish(effect));
      case "skipped":
        return this.#options.onSkipped?.(effect.window);
      case "evidence":
        return this.#options.onOffence({ ...effect.found, agentId: this.#agents[effect.found.seat] ?? 0 });
    }
  }

  #withProposer(seat: number, work: (peer: PeerName) => Promise<void>): void {
    const peer = this.#proposers.get(seat);
    if (peer !== undefined) this.#spawn(() => work(peer));
  }

  /** INVARIANT: what is on disk of a window is the one header of it that this key ever signs. */
  #sign(header: BatchHeader, digest: Hex): void {
    const { batches, signer, contracts } = this.#options;
    if (!batches.claim(header, digest)) return;
    const { signature } = signBatch(header, signer, contracts);
    this.#step({ kind: "signed", digest, signature });
  }

  async #propose(seat: number, { header, signature, entries }: Proposal): Promise<void> {
    const { seats, transport, contracts } = this.#options;
    const peer = await seats.peerOf(this.#state.terms.epoch, seat, this.#bounded());
    if (peer === undefined) return;
    const body = encodeProposal({ header, signature, entries });
    const asked = { signal: this.#bounded(), maxResponseBytes: 64 };
    const answer = await transport.request(peer, protocols.window, body, asked);
    if (answer.kind !== "accept") {
      // It knows a later batch than we do.
      if (answer.detail.startsWith("WINDOW_PREVIOUS")) await this.#fetchBatch(peer, zeroHash);
      return;
    }
    const given: Hex = `0x${Buffer.from(answer.value).toString("hex")}`;
    const from = await seats.signerSeat({ header, signature: given }, this.#bounded());
    if (from.kind !== "accept" || from.value !== seat) return;
    this.#step({ kind: "signature", digest: batchDigestOf(header, contracts), seat, signature: given });
  }

  async #publish(batch: SealedBatch): Promise<void> {
    const { topic, transport } = this.#options;
    await transport.publish(batchesTopicOf(topic), encodeSealedBatch(batch));
  }

  /** What we hold of a list goes in at once; the rest is asked for, log by log. */
  async #fetchEntries(entries: readonly BatchEntry[], peer: PeerName): Promise<void> {
    const { logs, peers } = this.#options;
    const isMissed = ({ digest }: BatchEntry) => logs.entryByDigest(digest) === undefined;
    const wanted = [...new Set(entries.filter(isMissed).map(({ log }) => log))].slice(0, MAX_LOGS_A_BATCH);
    for (const log of wanted) await peers.fetchLog(peer, log, this.#bounded());
    const held = entries.flatMap(({ digest }): HeldEntry[] => {
      const entry = logs.entryByDigest(digest);
      if (entry === undefined || !isOfTopic(entry.header.header.tags, this.#options.topic)) return [];
      const { log, seq } = entry.header.header;
      return [{ log, seq, digest, heardMs: entry.heardMs }];
    });
    this.#step({ kind: "held", entries: held });
  }

  /** Fetches a batch, and those before it that we miss; they are followed from the oldest on. */
  async #fetchBatch(peer: PeerName, digest: Hex): Promise<void> {
    const chain: ListedBatch[] = [];
    for (let wanted = digest; chain.length < MAX_CATCH_UP;) {
      const batch = await this.#request(peer, wanted);
      if (batch === undefined) break;
      chain.push(batch);
      wanted = batch.header.previous;
      if (wanted === zeroHash || this.#isBehind(batch.header)) break;
    }
    for (const batch of chain.reverse()) await this.#take(batch, peer);
  }

  /** Whether what a batch follows is held here, or is older than all that we follow. */
  #isBehind({ previous, window }: BatchHeader): boolean {
    const { topic, batches } = this.#options;
    return batches.byDigest(topic, previous) !== undefined || window <= (this.#state.last?.header.window ?? 0);
  }

  async #request(peer: PeerName, digest: Hex): Promise<ListedBatch | undefined> {
    const { topic, transport, contracts, seats, chainTime } = this.#options;
    const asked = { signal: this.#bounded(), maxResponseBytes: MAX_BATCH_BYTES };
    const answer = await transport.request(peer, protocols.batch, encodeQuery(topic, digest), asked);
    const batch = answer.kind === "accept" ? decodeListedBatch(answer.value) : answer;
    if (batch.kind !== "accept") return undefined;
    const { header, entries } = batch.value;
    const isAsked = digest === zeroHash || batchDigestOf(header, contracts) === digest;
    if (!isAsked || header.topic !== topic || header.window > chainTime() || !isListOf(header, entries))
      return undefined;
    const checked = await seats.checkSealed(batch.value, this.#bounded());
    return checked.kind === "accept" ? batch.value : undefined;
  }

  /** A batch header of the mesh: its list is ours, if we hold the same in the same order, else it is asked for. */
  async #follow(sealed: SealedBatch, from: PeerName): Promise<void> {
    const { header } = sealed;
    this.#flush();
    const own = orderEntries([...this.#state.pool.values()]).slice(0, header.count);
    const isNext = header.previous === (this.#state.last?.digest ?? zeroHash);
    if (isNext && isListOf(header, own)) return this.#take({ ...sealed, entries: own }, from);
    await this.#fetchBatch(from, batchDigestOf(header, this.#options.contracts));
  }

  async #take(batch: ListedBatch, peer: PeerName): Promise<void> {
    this.#keep(batch);
    this.#step({ ...batch, kind: "sealed" });
    await this.#fetchEntries(batch.entries, peer);
  }

  #keep({ header, signatures, entries }: ListedBatch): void {
    const { batches, contracts, topic, onBatch } = this.#options;
    const digest = batchDigestOf(header, contracts);
    if (batches.byDigest(topic, digest) !== undefined) return;
    batches.keep(digest, { header, signatures, entries });
    onBatch?.({ header, signatures, entries });
  }

  #bounded(): AbortSignal {
    return AbortSignal.any([this.#lifetime.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
  }

  /** Runs in the background; `stop` waits for it. */
  #spawn(work: () => Promise<void>): void {
    if (this.#lifetime.signal.aborted) return;
    const task = work().catch((fault: unknown) => {
      if (!this.#lifetime.signal.aborted) this.#options.onFault(fault);
    });
    this.#tasks.add(task);
    void task.finally(() => this.#tasks.delete(task));
  }
}
