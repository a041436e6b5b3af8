import type { Address, Hex } from "viem";
import { SuretyError, type DomainContracts, type Signer, type Tab, type Verdict } from "#protocol";
import { systemClock, withSignal } from "../../chain/clock.ts";
import type { Clock } from "../../chain/port.ts";
import type { Store } from "../../store/port.ts";
import type { PeerName, Transport } from "../../transport/port.ts";
import type { TabChain } from "./tab-chain.ts";
import { REQUEST_TIMEOUT_MS, TabClient } from "./tab-client.ts";
import { refused, unknownTab } from "./tab-faults.ts";
import {
  stepTab,
  type ClaimPolicy,
  type ClientTab,
  type SignedVoucher,
  type TabRecord,
  type TabSighting,
} from "./tab-machine.ts";
import { TabProvider, type TabPayment, type TabWork } from "./tab-provider.ts";
import { TabStore } from "./tab-store.ts";
import type { TabTable } from "./tab-table.ts";
import { MAX_TAB_REQUEST_BYTES, TAB_PROTOCOL } from "./tab-wire.ts";

export type { TabPayment, TabWork };

export interface TabsOptions {
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  readonly chain: TabChain;
  readonly store: Store;
  readonly transport: Transport;
  readonly work: TabWork;
  /** The LOG signer's agent, to make sure that who greets us may open the tab. */
  readonly agentOf: (address: Address, signal: AbortSignal) => Promise<bigint>;
  readonly random: () => bigint;
  readonly policy?: Partial<ClaimPolicy>;
  readonly clock?: Clock;
  readonly onFault?: (fault: unknown, tabId: Hex) => void;
}

/** What a client wants of a tab. */
export interface TabRequest {
  readonly providerAgentId: bigint;
  /** Where the provider is greeted; empty for a tab that is spent over HTTP. */
  readonly peer: PeerName;
  /** The server on which it is to be spent over HTTP. */
  readonly origin?: string;
  readonly topic: bigint;
  readonly token: Address;
  readonly priceWei: bigint;
  readonly depositWei: bigint;
  readonly lifeSeconds: number;
  readonly challengeSeconds: number;
}

export interface TabSummary {
  readonly tabId: Hex;
  readonly role: TabRecord["role"];
  readonly tab: Tab;
  readonly priceWei: bigint;
  /** Of a tab that is spent over HTTP. */
  readonly origin?: string;
  /** As last seen; undefined until the chain has answered. */
  readonly state: TabSighting["state"] | undefined;
  readonly depositWei: bigint;
  /** Tasks with a voucher. */
  readonly tasks: number;
  /** By the newest voucher. */
  readonly spentWei: bigint;
  /** Paid out on chain. */
  readonly claimedWei: bigint;
  /** One side wishes to close it: it takes no more tasks. */
  readonly isClosing: boolean;
  readonly isEnded: boolean;
}

export interface Tabs {
  start(): Promise<void>;
  /** Idempotent; resolves when nothing is under way. */
  stop(): Promise<void>;
  /** Opens a tab on chain and greets its provider. @throws SuretyError TAB_REFUSED, or as ChainSender does */
  open(request: TabRequest, signal: AbortSignal): Promise<TabSummary>;
  /** One task, one after another on a tab. @throws SuretyError TAB_UNKNOWN, TAB_EXHAUSTED, TAB_UNANSWERED (retryable) */
  ask(
    tabId: Hex,
    spec: Uint8Array,
    signal: AbortSignal,
  ): Promise<{ readonly answer: Uint8Array; readonly rating: number }>;
  /**
   * One request on a tab that is spent over HTTP; `deliver` sends the voucher with it, and gives the answer.
   * @throws as ask
   */
  askPrepaid(
    tabId: Hex,
    spec: Uint8Array,
    deliver: (paid: SignedVoucher) => Promise<Verdict<Uint8Array>>,
    signal: AbortSignal,
  ): Promise<{ readonly answer: Uint8Array; readonly rating: number; readonly paid: SignedVoucher }>;
  /** Provider: answers a request that came with its voucher. The same request and voucher again get the same answer. */
  answerPrepaid(payment: TabPayment, spec: Uint8Array, signal: AbortSignal): Promise<Verdict<Uint8Array>>;
  topUp(tabId: Hex, amountWei: bigint, signal: AbortSignal): Promise<void>;
  /** Provider: claims the newest voucher now. @throws SuretyError TAB_UNKNOWN */
  claim(tabId: Hex): void;
  /** Client: hands over the newest voucher, then ends the tab; provider: claims and closes. @throws SuretyError TAB_UNKNOWN */
  close(tabId: Hex): void;
  tabs(): TabSummary[];
  /** Resolves when the chain shows the tab closed. */
  whenClosed(tabId: Hex, signal: AbortSignal): Promise<void>;
}

const DEFAULT_POLICY: ClaimPolicy = { valueWei: 2n ** 96n, ageSeconds: 86_400, marginSeconds: 300 };
const RETRY_MS = 5_000;

export function createTabs(options: TabsOptions): Tabs {
  return new TabDriver(options);
}

const endingOf = ({ state, depositWei, paidWei }: TabSighting) => ({ state, depositWei, paidWei });

interface Live {
  isRunning: boolean;
  isDue: boolean;
  sighting?: TabSighting;
  retryAtMs: number;
  cancelTimer: () => void;
}

class TabDriver implements Tabs, TabTable {
  readonly #options: TabsOptions;
  readonly #clock: Clock;
  readonly #policy: ClaimPolicy;
  readonly #client: TabClient;
  readonly #provider: TabProvider;
  readonly #lifetime = new AbortController();
  readonly #live = new Map<Hex, Live>();
  readonly #underway = new Set<Promise<unknown>>();
  readonly #turns = new Map<Hex, Promise<unknown>>();
  readonly #closed = new Map<Hex, PromiseWithResolvers<undefined>>();
  readonly #watchers = new Set<{ tabId: Hex; check: (sighting: TabSighting) => void }>();
  #unsubscribe: () => void = () => undefined;
  readonly store: TabStore;
  readonly chain: TabChain;
  readonly lifetime: AbortSignal;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#policy = { ...DEFAULT_POLICY, ...options.policy };
    this.store = new TabStore(options.store);
    this.chain = options.chain;
    this.lifetime = this.#lifetime.signal;
    this.#client = new TabClient({ ...options, table: this });
    this.#provider = new TabProvider({ ...options, table: this, policy: this.#policy });
  }

  async start(): Promise<void> {
    const { transport } = this.#options;
    await transport.serve(TAB_PROTOCOL, (bytes, from, signal) => this.#provider.respond(bytes, from, signal), {
      maxRequestBytes: MAX_TAB_REQUEST_BYTES,
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    for (const record of this.store.all()) if (!record.isEnded) this.track(record.tabId);
    this.#unsubscribe = this.chain.onHead(() => {
      for (const [tabId, live] of this.#live) if (this.#clock.nowMs() >= live.retryAtMs) this.wake(tabId);
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe();
    this.#lifetime.abort(
      new SuretyError("TABS_STOPPED", "Tabs have stopped; they go on when the node starts again.", {
        next: "Start the node again with the same store, before the tabs' deadlines.",
        isRetryable: true,
      }),
    );
    for (const live of this.#live.values()) live.cancelTimer();
    await Promise.allSettled([...this.#underway, ...this.#turns.values()]);
  }

  async open(request: TabRequest, signal: AbortSignal): Promise<TabSummary> {
    return this.#summaryOf(await this.#client.open(request, signal));
  }

  ask(tabId: Hex, spec: Uint8Array, signal: AbortSignal) {
    return this.#client.ask(tabId, spec, signal);
  }

  askPrepaid(...args: Parameters<Tabs["askPrepaid"]>) {
    return this.#client.askPrepaid(...args);
  }

  answerPrepaid(payment: TabPayment, spec: Uint8Array, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    return this.#provider.answerPrepaid(payment, spec, AbortSignal.any([signal, this.#lifetime.signal]));
  }

  topUp(tabId: Hex, amountWei: bigint, signal: AbortSignal): Promise<void> {
    return this.#client.topUp(tabId, amountWei, signal);
  }

  close(tabId: Hex): void {
    this.wishClose(tabId);
  }

  claim(tabId: Hex): void {
    const record = this.tabOf(tabId);
    if (record.role !== "provider") throw refused(tabId, "only its provider claims");
    this.store.put({ ...record, wishesClaim: true });
    this.wake(tabId);
  }

  tabs(): TabSummary[] {
    return this.store.all().map((record) => this.#summaryOf(record));
  }

  async whenClosed(tabId: Hex, signal: AbortSignal): Promise<void> {
    if (this.tabOf(tabId).isEnded) return;
    const { promise } = this.#closed.getOrInsertComputed(tabId, () => Promise.withResolvers<undefined>());
    await withSignal(promise, AbortSignal.any([signal, this.#lifetime.signal]));
  }

  #summaryOf(record: TabRecord): TabSummary {
    const { tabId, role, tab, rules, newest, isEnded } = record;
    const sighting = this.sightingOf(tabId) ?? record.ending;
    return {
      ...{ tabId, role, tab, priceWei: rules.priceWei, state: sighting?.state, isEnded },
      ...(record.role === "client" && record.origin !== undefined ? { origin: record.origin } : {}),
      depositWei: sighting?.depositWei ?? (record.role === "client" ? record.depositWei : 0n),
      tasks: Number(newest?.voucher.seq ?? 0n),
      spentWei: newest?.voucher.paid ?? 0n,
      isClosing: record.wishesClose || sighting?.state === "Closing",
      claimedWei: sighting?.paidWei ?? 0n,
    };
  }

  // ---------------------------------------------------------------- what both sides share

  get size(): number {
    return this.#live.size;
  }

  tabOf(tabId: Hex): TabRecord {
    const record = this.store.get(tabId);
    if (record === undefined) throw unknownTab(tabId);
    return record;
  }

  clientTab(tabId: Hex): ClientTab {
    const record = this.tabOf(tabId);
    if (record.role === "client") return record;
    throw refused(tabId, "only its client spends on it");
  }

  sightingOf(tabId: Hex): TabSighting | undefined {
    return this.#live.get(tabId)?.sighting;
  }

  wishClose(tabId: Hex): void {
    this.store.put({ ...this.tabOf(tabId), wishesClose: true });
    this.wake(tabId);
  }

  async inTurn<T>(tabId: Hex, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(tabId) ?? Promise.resolve()).then(work);
    const over = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(tabId, over);
    // Strangers name tabs that do not exist: whose turns are over is forgotten.
    void over.then(() => this.#turns.get(tabId) === over && this.#turns.delete(tabId));
    return await turn;
  }

  track(tabId: Hex): void {
    if (this.#live.has(tabId)) return;
    this.#live.set(tabId, { isRunning: false, isDue: false, retryAtMs: 0, cancelTimer: () => undefined });
    this.wake(tabId);
  }

  wake(tabId: Hex): void {
    const live = this.#live.get(tabId);
    if (live === undefined || this.#lifetime.signal.aborted) return;
    live.isDue = true;
    if (live.isRunning) return;
    live.isRunning = true;
    const running = this.#run(tabId, live).finally(() => {
      live.isRunning = false;
      this.#underway.delete(running);
      // A wish that came after the last look.
      if (live.isDue && live.retryAtMs <= this.#clock.nowMs()) this.wake(tabId);
    });
    this.#underway.add(running);
  }

  async until(tabId: Hex, isSo: (sighting: TabSighting) => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const watcher = { tabId, check: (sighting: TabSighting) => isSo(sighting) && resolve(undefined) };
    this.#watchers.add(watcher);
    try {
      await withSignal(promise, AbortSignal.any([signal, this.#lifetime.signal]));
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  // ---------------------------------------------------------------- looking

  async #run(tabId: Hex, live: Live): Promise<void> {
    try {
      while (live.isDue && !this.#lifetime.signal.aborted) {
        live.isDue = false;
        if (await this.#advance(tabId, live)) live.isDue = true;
        live.retryAtMs = 0;
      }
    } catch (fault) {
      if (this.#lifetime.signal.aborted) return;
      this.#options.onFault?.(fault, tabId);
      live.isDue = false;
      live.retryAtMs = this.#clock.nowMs() + RETRY_MS;
      this.#wakeAfter(tabId, live, RETRY_MS);
    }
  }

  async #advance(tabId: Hex, live: Live): Promise<boolean> {
    const { chain, lifetime: signal } = this;
    const sighting = await chain.sight(this.tabOf(tabId), signal);
    live.sighting = sighting;
    this.#notify(tabId, sighting);
    const effect = stepTab(this.tabOf(tabId), sighting, this.#policy);
    switch (effect.kind) {
      case "take":
        if (effect.step.kind === "startClose") await this.inTurn(tabId, () => this.#client.flush(tabId, signal));
        await chain.take(effect.step, this.tabOf(tabId), signal);
        if (effect.step.kind === "claim") this.#provider.claimed(tabId, effect.step.signed.voucher);
        return true;
      case "wait":
        if (effect.until !== undefined) {
          this.#wakeAfter(tabId, live, Math.max(effect.until - chain.time(), 1) * 1000);
        }
        return false;
      case "end":
        this.store.put({ ...this.tabOf(tabId), isEnded: true, ending: endingOf(sighting) });
        live.cancelTimer();
        this.#live.delete(tabId);
        this.#closed.get(tabId)?.resolve(undefined);
        this.#closed.delete(tabId);
        return false;
    }
  }

  #notify(tabId: Hex, sighting: TabSighting): void {
    for (const watcher of this.#watchers) if (watcher.tabId === tabId) watcher.check(sighting);
  }

  #wakeAfter(tabId: Hex, live: Live, delayMs: number): void {
    live.cancelTimer();
    if (this.#lifetime.signal.aborted) return;
    live.cancelTimer = this.#clock.schedule(delayMs, () => this.wake(tabId));
  }
}
