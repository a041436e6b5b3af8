import type { Address, Hex } from "viem";
import {
  accept,
  addressOfPeerId,
  contentHashOf,
  ignore,
  recoverSigner,
  reject,
  signerHashOf,
  structHash,
  SuretyError,
  typedDataDigest,
  type DomainContracts,
  type Signer,
  type Tab,
  type Verdict,
  type Voucher,
} from "#protocol";
import { systemClock, withSignal } from "../../chain/clock.ts";
import type { Clock } from "../../chain/port.ts";
import type { Store } from "../../store/port.ts";
import type { PeerName, Transport } from "../../transport/port.ts";
import type { TabChain } from "./tab-chain.ts";
import {
  nextVoucher,
  stepTab,
  type ClaimPolicy,
  type ClientTab,
  type ProviderTab,
  type SignedVoucher,
  type TabRecord,
  type TabSighting,
} from "./tab-machine.ts";
import { TabStore } from "./tab-store.ts";
import {
  decodeTabMessage,
  encodeRules,
  encodeTabMessage,
  MAX_TAB_ANSWER_BYTES,
  MAX_TAB_REQUEST_BYTES,
  TAB_PROTOCOL,
  type TabMessage,
} from "./tab-wire.ts";

/** What the agent's own program does on tabs. */
export interface TabWork {
  /** Provider: the least price of a task on this topic; undefined takes no tabs on it. */
  priceOf(topic: bigint): bigint | undefined;
  /** Provider: does one task. A throw means no answer, and the task costs nothing. */
  answer(tab: Tab, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Client: rates an answer, an integer from -100 to 100; 0 rates nothing. */
  rate(tab: Tab, spec: Uint8Array, answer: Uint8Array): Promise<number>;
}

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
  readonly peer: PeerName;
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
  /** As last seen; undefined until the chain has answered. */
  readonly state: TabSighting["state"] | undefined;
  readonly depositWei: bigint;
  /** Tasks with a voucher. */
  readonly tasks: number;
  /** By the newest voucher. */
  readonly spentWei: bigint;
  /** Paid out on chain. */
  readonly claimedWei: bigint;
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
/** A shorter challenge leaves a provider too few blocks to claim in. */
const MIN_CHALLENGE_SECONDS = 60;
const REQUEST_TIMEOUT_MS = 30_000;
const RETRY_MS = 5_000;
/** Tabs of one agent; each is looked at with every head. */
const MAX_TABS = 256;

export function createTabs(options: TabsOptions): Tabs {
  return new TabDriver(options);
}

interface Live {
  isRunning: boolean;
  isDue: boolean;
  sighting?: TabSighting;
  retryAtMs: number;
  cancelTimer: () => void;
}

class TabDriver implements Tabs {
  readonly #options: TabsOptions;
  readonly #clock: Clock;
  readonly #policy: ClaimPolicy;
  readonly #store: TabStore;
  readonly #lifetime = new AbortController();
  readonly #live = new Map<Hex, Live>();
  readonly #underway = new Set<Promise<unknown>>();
  /** Tasks of one tab are asked, and answered, one at a time: a voucher counts all before it. */
  readonly #turns = new Map<Hex, Promise<unknown>>();
  readonly #closed = new Map<Hex, PromiseWithResolvers<undefined>>();
  #unsubscribe: () => void = () => undefined;

  constructor(options: TabsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#policy = { ...DEFAULT_POLICY, ...options.policy };
    this.#store = new TabStore(options.store);
  }

  async start(): Promise<void> {
    const { transport, chain } = this.#options;
    await transport.serve(TAB_PROTOCOL, (bytes, from, signal) => this.#respond(bytes, from, signal), {
      maxRequestBytes: MAX_TAB_REQUEST_BYTES,
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    for (const record of this.#store.all()) if (!record.isEnded) this.#track(record.tabId);
    this.#unsubscribe = chain.onHead(() => {
      for (const [tabId, live] of this.#live) if (this.#clock.nowMs() >= live.retryAtMs) this.#wake(tabId);
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

  // ---------------------------------------------------------------- client

  async open(request: TabRequest, signal: AbortSignal): Promise<TabSummary> {
    const { agentId, signer, chain, random } = this.#options;
    if (this.#live.size >= MAX_TABS) throw tooManyTabs();
    const rules = { priceWei: request.priceWei };
    const tab: Tab = {
      ...{
        clientAgentId: agentId,
        providerAgentId: request.providerAgentId,
        topic: request.topic,
        token: request.token,
      },
      ...{ mechanismHash: contentHashOf(encodeRules(rules)), signerHash: signerHashOf(signer.address) },
      ...{ expiry: chain.time() + request.lifeSeconds, challengePeriod: request.challengeSeconds, salt: random() },
    };
    const tabId = structHash("Tab", tab);
    const record: ClientTab = {
      ...{ role: "client", tabId, tab, rules, peer: request.peer, signer: signer.address },
      ...{ depositWei: request.depositWei, isFlushed: true, wishesClose: false, isEnded: false },
    };
    this.#store.put(record);
    this.#track(tabId);
    await this.#until(tabId, (sighting) => sighting.state !== "None", signal);
    const hello = await this.#request(record.peer, { type: "hello", tab, rules }, signal);
    if (hello.kind !== "accept") {
      this.close(tabId);
      throw refused(tabId, `${hello.code}: ${hello.detail}`);
    }
    return this.#summaryOf(this.#store.get(tabId) as TabRecord);
  }

  ask(tabId: Hex, spec: Uint8Array, signal: AbortSignal) {
    return this.#inTurn(tabId, () => this.#askNow(tabId, spec, AbortSignal.any([signal, this.#lifetime.signal])));
  }

  async #askNow(tabId: Hex, spec: Uint8Array, signal: AbortSignal) {
    const record = this.#clientTab(tabId);
    const { rules, newest, peer, tab } = record;
    const seq = Number(newest?.voucher.seq ?? 0n) + 1;
    const depositWei = this.#live.get(tabId)?.sighting?.depositWei ?? record.depositWei;
    if ((newest?.voucher.paid ?? 0n) + rules.priceWei > depositWei) throw exhausted(tabId, depositWei);
    if (record.wishesClose) throw refused(tabId, "it is being closed");
    const task = { type: "task", tabId, seq, spec, ...(newest === undefined ? {} : { paid: newest }) } as const;
    const answer = await this.#request(peer, task, signal);
    if (answer.kind !== "accept") throw unanswered(tabId, seq, `${answer.code}: ${answer.detail}`);
    const rating = await this.#rate(tab, spec, answer.value);
    // On disk before anybody sees it: a restart must not promise less than was promised.
    const signed = this.#sign(nextVoucher(tabId, newest?.voucher, rules.priceWei, rating));
    this.#store.put({ ...this.#clientTab(tabId), newest: signed, isFlushed: false });
    return { answer: answer.value, rating };
  }

  async #rate(tab: Tab, spec: Uint8Array, answer: Uint8Array): Promise<number> {
    try {
      const rating = await this.#options.work.rate(tab, spec, answer);
      return Number.isInteger(rating) && Math.abs(rating) <= 100 ? rating : 0;
    } catch (fault) {
      this.#options.onFault?.(fault, structHash("Tab", tab));
      return 0;
    }
  }

  #sign(voucher: Voucher): SignedVoucher {
    const { signer, contracts } = this.#options;
    return { voucher, signature: signer.sign(typedDataDigest("Voucher", voucher, contracts)) };
  }

  async topUp(tabId: Hex, amountWei: bigint, signal: AbortSignal): Promise<void> {
    await this.#options.chain.topUp(this.#clientTab(tabId), amountWei, signal);
    this.#wake(tabId);
  }

  close(tabId: Hex): void {
    const record = this.#tabOf(tabId);
    this.#store.put({ ...record, wishesClose: true });
    this.#wake(tabId);
  }

  /** The provider gets what it is owed before the client ends the tab; if it is away, the challenge period is its chance. */
  async #flush(tabId: Hex, signal: AbortSignal): Promise<void> {
    const record = this.#tabOf(tabId);
    if (record.role !== "client" || record.isFlushed || record.newest === undefined) return;
    const { newest, peer } = record;
    const answer = await this.#request(peer, { type: "voucher", paid: newest }, signal);
    if (answer.kind !== "accept") return;
    const after = this.#clientTab(tabId);
    this.#store.put({ ...after, isFlushed: after.newest?.voucher.seq === newest.voucher.seq });
  }

  // ---------------------------------------------------------------- provider

  claim(tabId: Hex): void {
    const record = this.#tabOf(tabId);
    if (record.role !== "provider") throw refused(tabId, "only its provider claims");
    this.#store.put({ ...record, wishesClaim: true });
    this.#wake(tabId);
  }

  async #respond(bytes: Uint8Array, from: PeerName, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    const decoded = decodeTabMessage(bytes);
    if (decoded.kind !== "accept") return decoded;
    const asker = addressOfPeerId(from);
    if (asker.kind !== "accept") return asker;
    const message = decoded.value;
    if (message.type === "hello") return await this.#greeted(message, from, asker.value, signal);
    const tabId = message.type === "task" ? message.tabId : message.paid.voucher.tabId;
    const record = this.#store.get(tabId);
    if (record?.role !== "provider" || record.signer.toLowerCase() !== asker.value.toLowerCase()) {
      return ignore("TAB_UNKNOWN", "no tab of the asker has this id");
    }
    return await this.#inTurn(tabId, async () => {
      const paid = message.paid === undefined ? accept(undefined) : this.#takeVoucher(tabId, message.paid);
      if (paid.kind !== "accept") return paid;
      return message.type === "voucher" ? accept(new Uint8Array()) : await this.#answer(message, signal);
    });
  }

  async #greeted(
    { tab, rules }: Extract<TabMessage, { type: "hello" }>,
    peer: PeerName,
    asker: Address,
    signal: AbortSignal,
  ): Promise<Verdict<Uint8Array>> {
    const { chain, agentOf } = this.#options;
    const tabId = structHash("Tab", tab);
    if (this.#store.get(tabId) !== undefined) return accept(new Uint8Array());
    const fault = this.#faultOfTerms(tab, rules.priceWei, contentHashOf(encodeRules(rules)), asker);
    if (fault !== undefined) return reject("TAB_TERMS", fault);
    if ((await agentOf(asker, signal)) !== tab.clientAgentId) return reject("TAB_CLIENT", "the asker is another agent");
    const record: ProviderTab = {
      ...{ role: "provider", tabId, tab, rules, peer, signer: asker, answered: 0 },
      ...{ wishesClaim: false, wishesClose: false, isEnded: false },
    };
    const sighting = await chain.sight(record, signal);
    if (sighting.state !== "Open") return ignore("TAB_NOT_OPEN", `the tab is ${sighting.state}`);
    if (this.#live.size >= MAX_TABS) return ignore("TAB_BUSY", `${MAX_TABS} tabs are open`);
    this.#store.put(record);
    this.#track(tabId);
    return accept(new Uint8Array());
  }

  #faultOfTerms(tab: Tab, priceWei: bigint, rulesHash: Hex, asker: Address): string | undefined {
    const { agentId, work, chain } = this.#options;
    const least = work.priceOf(tab.topic);
    if (tab.providerAgentId !== agentId) return "it is somebody else's";
    if (tab.mechanismHash !== rulesHash) return "the rules have another hash";
    if (tab.signerHash !== signerHashOf(asker)) return "its vouchers are somebody else's to sign";
    if (least === undefined) return "no work on this topic is done on tabs";
    if (priceWei < least) return `a task costs ${least}`;
    if (tab.challengePeriod < MIN_CHALLENGE_SECONDS) return `the challenge period is under ${MIN_CHALLENGE_SECONDS} s`;
    return tab.expiry <= chain.time() + 2 * this.#policy.marginSeconds ? "it expires too soon" : undefined;
  }

  /** A voucher that pays more than the newest one, and is all that a claim will need; on disk when this returns. */
  #takeVoucher(tabId: Hex, { voucher, signature }: SignedVoucher): Verdict<undefined> {
    const { contracts, chain } = this.#options;
    const record = this.#store.get(tabId) as ProviderTab;
    const before = record.newest?.voucher;
    if (before !== undefined && voucher.paid <= before.paid) return accept(undefined);
    if (voucher.tabId !== tabId) return reject("VOUCHER_TAB", "it is of another tab");
    const owed = BigInt(record.answered) * record.rules.priceWei;
    if (voucher.paid < owed) return reject("VOUCHER_TOO_LOW", `${voucher.paid} of ${owed}`);
    const isGrowing =
      voucher.satisfied >= (before?.satisfied ?? 0) && voucher.unsatisfied >= (before?.unsatisfied ?? 0);
    if (!isGrowing) return reject("VOUCHER_SHRUNK", "a rating sum is below an earlier one");
    const depositWei = this.#live.get(tabId)?.sighting?.depositWei;
    if (depositWei !== undefined && voucher.paid > depositWei)
      return reject("VOUCHER_UNCOVERED", `the deposit is ${depositWei}`);
    const signed = recoverSigner(typedDataDigest("Voucher", voucher, contracts), signature);
    if (signed.kind !== "accept" || signed.value.toLowerCase() !== record.signer.toLowerCase()) {
      return reject("VOUCHER_SIGNATURE", "not signed by the tab's key");
    }
    const unclaimedSince = record.unclaimedSince ?? chain.time();
    this.#store.put({ ...record, newest: { voucher, signature }, unclaimedSince });
    return accept(undefined);
  }

  /** Work is done against at most one unpaid task: what was answered before is in the voucher, or nothing more is done. */
  async #answer(
    { tabId, seq, spec }: Extract<TabMessage, { type: "task" }>,
    signal: AbortSignal,
  ): Promise<Verdict<Uint8Array>> {
    const record = this.#store.get(tabId) as ProviderTab;
    const specHash = contentHashOf(spec);
    if (seq === record.answered && specHash === record.lastSpecHash) {
      const known = this.#store.answerOf(tabId);
      if (known !== undefined) return accept(known.body);
    }
    const { priceWei } = record.rules;
    if (seq !== record.answered + 1) return ignore("TAB_SEQ", `the next task is ${record.answered + 1}`);
    const paid = record.newest?.voucher.paid ?? 0n;
    if (paid < BigInt(record.answered) * priceWei)
      return ignore("TAB_UNPAID", `${record.answered} tasks are answered, ${paid} is paid`);
    const sighting = this.#live.get(tabId)?.sighting ?? (await this.#options.chain.sight(record, signal));
    if (sighting.state !== "Open" || record.wishesClose) return ignore("TAB_NOT_OPEN", "it takes no more tasks");
    if (paid + priceWei > sighting.depositWei) return ignore("TAB_EXHAUSTED", `the deposit is ${sighting.depositWei}`);
    let body: Uint8Array;
    try {
      body = await withSignal(this.#options.work.answer(record.tab, spec, signal), signal);
    } catch (fault) {
      this.#options.onFault?.(fault, tabId);
      return ignore("TAB_NO_ANSWER", "the work failed");
    }
    if (body.length > MAX_TAB_ANSWER_BYTES) return ignore("TAB_NO_ANSWER", "the answer is too long");
    const after = this.#store.get(tabId) as ProviderTab;
    this.#store.putAnswer({ ...after, answered: seq, lastSpecHash: specHash }, body);
    this.#wake(tabId);
    return accept(body);
  }

  // ---------------------------------------------------------------- both

  tabs(): TabSummary[] {
    return this.#store.all().map((record) => this.#summaryOf(record));
  }

  async whenClosed(tabId: Hex, signal: AbortSignal): Promise<void> {
    if (this.#tabOf(tabId).isEnded) return;
    const { promise } = this.#closed.getOrInsertComputed(tabId, () => Promise.withResolvers<undefined>());
    await withSignal(promise, AbortSignal.any([signal, this.#lifetime.signal]));
  }

  #summaryOf(record: TabRecord): TabSummary {
    const { tabId, role, tab, rules, newest, isEnded } = record;
    const sighting = this.#live.get(tabId)?.sighting;
    return {
      ...{ tabId, role, tab, priceWei: rules.priceWei, state: sighting?.state, isEnded },
      depositWei: sighting?.depositWei ?? (record.role === "client" ? record.depositWei : 0n),
      tasks: Number(newest?.voucher.seq ?? 0n),
      spentWei: newest?.voucher.paid ?? 0n,
      claimedWei: sighting?.paidWei ?? 0n,
    };
  }

  #tabOf(tabId: Hex): TabRecord {
    const record = this.#store.get(tabId);
    if (record === undefined) throw unknownTab(tabId);
    return record;
  }

  #clientTab(tabId: Hex): ClientTab {
    const record = this.#tabOf(tabId);
    if (record.role === "client") return record;
    throw refused(tabId, "only its client spends on it");
  }

  async #request(peer: PeerName, message: TabMessage, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const options = { signal: limit, maxResponseBytes: MAX_TAB_ANSWER_BYTES };
    return await this.#options.transport.request(peer, TAB_PROTOCOL, encodeTabMessage(message), options);
  }

  async #inTurn<T>(tabId: Hex, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(tabId) ?? Promise.resolve()).then(work);
    this.#turns.set(
      tabId,
      turn.catch(() => undefined),
    );
    return await turn;
  }

  #track(tabId: Hex): void {
    if (this.#live.has(tabId)) return;
    this.#live.set(tabId, { isRunning: false, isDue: false, retryAtMs: 0, cancelTimer: () => undefined });
    this.#wake(tabId);
  }

  #wake(tabId: Hex): void {
    const live = this.#live.get(tabId);
    if (live === undefined || this.#lifetime.signal.aborted) return;
    live.isDue = true;
    if (live.isRunning) return;
    live.isRunning = true;
    const running = this.#run(tabId, live).finally(() => {
      live.isRunning = false;
      this.#underway.delete(running);
    });
    this.#underway.add(running);
  }

  async #run(tabId: Hex, live: Live): Promise<void> {
    try {
      while (live.isDue && !this.#lifetime.signal.aborted) {
        live.isDue = false;
        if (await this.#advance(tabId, live)) live.isDue = true;
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
    const { chain } = this.#options;
    const { signal } = this.#lifetime;
    const sighting = await chain.sight(this.#tabOf(tabId), signal);
    live.sighting = sighting;
    this.#notify(tabId, sighting);
    const effect = stepTab(this.#tabOf(tabId), sighting, this.#policy);
    switch (effect.kind) {
      case "take":
        if (effect.step.kind === "startClose") await this.#inTurn(tabId, () => this.#flush(tabId, signal));
        await chain.take(effect.step, this.#tabOf(tabId), signal);
        if (effect.step.kind === "claim") this.#claimed(tabId, effect.step.signed.voucher);
        return true;
      case "wait":
        if (effect.until !== undefined) {
          this.#wakeAfter(tabId, live, Math.max(effect.until - chain.time(), 1) * 1000);
        }
        return false;
      case "end":
        this.#store.put({ ...this.#tabOf(tabId), isEnded: true });
        live.cancelTimer();
        this.#live.delete(tabId);
        this.#closed.get(tabId)?.resolve(undefined);
        this.#closed.delete(tabId);
        return false;
    }
  }

  /** Vouchers that came meanwhile begin an age of their own. */
  #claimed(tabId: Hex, { paid }: Voucher): void {
    const { unclaimedSince, ...record } = this.#store.get(tabId) as ProviderTab;
    const isRest = (record.newest?.voucher.paid ?? 0n) > paid;
    const age = isRest && unclaimedSince !== undefined ? { unclaimedSince: this.#options.chain.time() } : {};
    this.#store.put({ ...record, ...age, wishesClaim: false });
  }

  readonly #watchers = new Set<{ tabId: Hex; check: (sighting: TabSighting) => void }>();

  #notify(tabId: Hex, sighting: TabSighting): void {
    for (const watcher of this.#watchers) if (watcher.tabId === tabId) watcher.check(sighting);
  }

  async #until(tabId: Hex, isSo: (sighting: TabSighting) => boolean, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const watcher = { tabId, check: (sighting: TabSighting) => isSo(sighting) && resolve(undefined) };
    this.#watchers.add(watcher);
    try {
      await withSignal(promise, AbortSignal.any([signal, this.#lifetime.signal]));
    } finally {
      this.#watchers.delete(watcher);
    }
  }

  #wakeAfter(tabId: Hex, live: Live, delayMs: number): void {
    live.cancelTimer();
    if (this.#lifetime.signal.aborted) return;
    live.cancelTimer = this.#clock.schedule(delayMs, () => this.#wake(tabId));
  }
}

function unknownTab(tabId: Hex): SuretyError {
  return new SuretyError("TAB_UNKNOWN", `No tab ${tabId} is known here.`, {
    values: { tabId },
    next: "List the tabs with `surety tab show`.",
  });
}

function refused(tabId: Hex, detail: string): SuretyError {
  return new SuretyError("TAB_REFUSED", `Tab ${tabId} does not allow it: ${detail}.`, {
    values: { tabId, detail },
    next: "Look at the tab with `surety tab show`; a tab that its provider refused is closed and its deposit returns.",
  });
}

function exhausted(tabId: Hex, depositWei: bigint): SuretyError {
  return new SuretyError("TAB_EXHAUSTED", `The deposit of ${depositWei} on tab ${tabId} does not cover another task.`, {
    values: { tabId, depositWei },
    next: "Add to the deposit, or open another tab.",
  });
}

function unanswered(tabId: Hex, seq: number, detail: string): SuretyError {
  return new SuretyError("TAB_UNANSWERED", `Task ${seq} on tab ${tabId} was not answered: ${detail}.`, {
    values: { tabId, seq, detail },
    next: "Ask again: nothing was paid for it. If the provider stays away, close the tab.",
    isRetryable: true,
  });
}

function tooManyTabs(): SuretyError {
  return new SuretyError("TABS_BUSY", `${MAX_TABS} tabs are open already.`, { next: "Close some of them first." });
}
