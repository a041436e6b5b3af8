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
  typedDataDigest,
  type DomainContracts,
  type Tab,
  type Verdict,
  type Voucher,
} from "#protocol";
import { withSignal } from "../../chain/clock.ts";
import type { PeerName } from "../../transport/port.ts";
import type { ClaimPolicy, ProviderTab, SignedVoucher, TabRules } from "./tab-machine.ts";
import { MAX_TABS, type TabTable } from "./tab-table.ts";
import { decodeTabMessage, encodeRules, MAX_TAB_ANSWER_BYTES, type TabMessage } from "./tab-wire.ts";

/** What the agent's own program does on tabs. */
export interface TabWork {
  /** Provider: the least price of a task on this topic; undefined takes no tabs on it. */
  priceOf(topic: bigint): bigint | undefined;
  /** Provider: does one task. A throw means no answer, and the task costs nothing. */
  answer(tab: Tab, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Provider: answers a request over HTTP, whose price was checked. Absent: there are none. */
  answerPrepaid?(tab: Tab, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Client: rates an answer, an integer from -100 to 100; 0 rates nothing. */
  rate(tab: Tab, spec: Uint8Array, answer: Uint8Array): Promise<number>;
}

/** What comes with a request over HTTP: the terms, and a voucher that pays for all before it and for itself. */
export interface TabPayment {
  readonly tab: Tab;
  /** Of one request here. */
  readonly priceWei: bigint;
  /** The tab's key. */
  readonly signer: Address;
  readonly paid: SignedVoucher;
}

export interface TabProviderOptions {
  readonly table: TabTable;
  readonly agentId: bigint;
  readonly contracts: DomainContracts;
  readonly work: Omit<TabWork, "rate">;
  readonly policy: ClaimPolicy;
  /** The LOG signer's agent, to make sure that who greets us may open the tab. */
  readonly agentOf: (address: Address, signal: AbortSignal) => Promise<bigint>;
  readonly onFault?: (fault: unknown, tabId: Hex) => void;
}

/** A shorter challenge leaves a provider too few blocks to claim in. */
const MIN_CHALLENGE_SECONDS = 60;

/** Works on tabs: greets those who open them, answers tasks, keeps the vouchers. */
export class TabProvider {
  readonly #options: TabProviderOptions;
  readonly #table: TabTable;

  constructor(options: TabProviderOptions) {
    this.#options = options;
    this.#table = options.table;
  }

  async respond(bytes: Uint8Array, from: PeerName, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    const decoded = decodeTabMessage(bytes);
    if (decoded.kind !== "accept") return decoded;
    const asker = addressOfPeerId(from);
    if (asker.kind !== "accept") return asker;
    const message = decoded.value;
    const { work } = this.#options;
    if (message.type === "hello") {
      const { tab, rules } = message;
      const terms = { tab, rules, leastWei: work.priceOf(tab.topic) };
      return await this.#table.inTurn(structHash("Tab", tab), () => this.#admit(terms, from, asker.value, signal));
    }
    const tabId = message.type === "task" ? message.tabId : message.paid.voucher.tabId;
    const record = this.#table.store.get(tabId);
    if (record?.role !== "provider" || !isSameAddress(record.signer, asker.value)) {
      return ignore("TAB_UNKNOWN", "no tab of the asker has this id");
    }
    return await this.#table.inTurn(tabId, async () => {
      const paid = message.paid === undefined ? accept(undefined) : this.#takeVoucher(tabId, message.paid);
      if (paid.kind !== "accept") return paid;
      return message.type === "voucher"
        ? accept(new Uint8Array())
        : await this.#answer(message, work.answer.bind(work), signal);
    });
  }

  async answerPrepaid(
    { tab, priceWei, signer, paid }: TabPayment,
    spec: Uint8Array,
    signal: AbortSignal,
  ): Promise<Verdict<Uint8Array>> {
    const tabId = structHash("Tab", tab);
    const { voucher } = paid;
    if (voucher.tabId !== tabId) return reject("VOUCHER_TAB", "it is of another tab");
    if (tab.signerHash !== signerHashOf(signer)) return reject("TAB_TERMS", "its vouchers are somebody else's to sign");
    // Whoever sees a voucher on its way is no party to the tab, but its bearer may have the answer that it paid for.
    const signed = recoverSigner(typedDataDigest("Voucher", voucher, this.#options.contracts), paid.signature);
    if (signed.kind !== "accept" || !isSameAddress(signed.value, signer)) {
      return reject("VOUCHER_SIGNATURE", "not signed by the tab's key");
    }
    const seq = Number(voucher.seq);
    if (voucher.paid !== voucher.seq * priceWei) {
      return reject("VOUCHER_AMOUNT", `${voucher.paid} for ${voucher.seq} requests at ${priceWei}`);
    }
    return await this.#table.inTurn(tabId, async () => {
      const admitted = await this.#admit({ tab, rules: { priceWei }, leastWei: priceWei }, "", signer, signal);
      if (admitted.kind !== "accept") return admitted;
      const { answered } = this.#table.store.get(tabId) as ProviderTab;
      if (seq > answered + 1) return ignore("TAB_SEQ", `the next request is ${answered + 1}`);
      const taken = this.#takeVoucher(tabId, paid);
      if (taken.kind !== "accept") return taken;
      const { work } = this.#options;
      if (work.answerPrepaid === undefined) return ignore("TAB_NO_ANSWER", "nothing is sold over HTTP here");
      return await this.#answer({ tabId, seq, spec }, work.answerPrepaid.bind(work), signal);
    });
  }

  async #admit(
    { tab, rules, leastWei }: { tab: Tab; rules: TabRules; leastWei: bigint | undefined },
    peer: PeerName,
    asker: Address,
    signal: AbortSignal,
  ): Promise<Verdict<Uint8Array>> {
    const { agentOf } = this.#options;
    const { chain } = this.#table;
    const tabId = structHash("Tab", tab);
    const known = this.#table.store.get(tabId);
    if (known !== undefined) {
      const isOurs = known.role === "provider" && known.rules.priceWei === rules.priceWei;
      return isOurs
        ? accept(new Uint8Array())
        : reject("TAB_TERMS", `a task on this tab costs ${known.rules.priceWei}`);
    }
    const fault = this.#faultOfTerms(tab, rules, leastWei, asker);
    if (fault !== undefined) return reject("TAB_TERMS", fault);
    if ((await agentOf(asker, signal)) !== tab.clientAgentId) return reject("TAB_CLIENT", "the asker is another agent");
    const record: ProviderTab = {
      ...{ role: "provider", tabId, tab, rules, peer, signer: asker, answered: 0 },
      ...{ wishesClaim: false, wishesClose: false, isEnded: false },
    };
    const sighting = await chain.sight(record, signal);
    if (sighting.state !== "Open") return ignore("TAB_NOT_OPEN", `the tab is ${sighting.state}`);
    if (this.#table.size >= MAX_TABS) return ignore("TAB_BUSY", `${MAX_TABS} tabs are open`);
    this.#table.store.put(record);
    this.#table.track(tabId);
    return accept(new Uint8Array());
  }

  #faultOfTerms(tab: Tab, rules: TabRules, least: bigint | undefined, asker: Address): string | undefined {
    const { agentId, policy } = this.#options;
    const { chain } = this.#table;
    if (tab.providerAgentId !== agentId) return "it is somebody else's";
    if (tab.mechanismHash !== contentHashOf(encodeRules(rules))) return "the rules have another hash";
    if (tab.signerHash !== signerHashOf(asker)) return "its vouchers are somebody else's to sign";
    if (least === undefined) return "no work on this topic is done on tabs";
    if (rules.priceWei < least) return `a task costs ${least}`;
    if (tab.challengePeriod < MIN_CHALLENGE_SECONDS) return `the challenge period is under ${MIN_CHALLENGE_SECONDS} s`;
    return tab.expiry <= chain.time() + 2 * policy.marginSeconds ? "it expires too soon" : undefined;
  }

  /** A voucher that pays more than the newest one, and is all that a claim will need; on disk when this returns. */
  #takeVoucher(tabId: Hex, { voucher, signature }: SignedVoucher): Verdict<undefined> {
    const { contracts } = this.#options;
    const { chain } = this.#table;
    const record = this.#table.store.get(tabId) as ProviderTab;
    const before = record.newest?.voucher;
    if (before !== undefined && voucher.paid <= before.paid) return accept(undefined);
    if (voucher.tabId !== tabId) return reject("VOUCHER_TAB", "it is of another tab");
    const owed = BigInt(record.answered) * record.rules.priceWei;
    if (voucher.paid < owed) return reject("VOUCHER_TOO_LOW", `${voucher.paid} of ${owed}`);
    const isGrowing =
      voucher.satisfied >= (before?.satisfied ?? 0) && voucher.unsatisfied >= (before?.unsatisfied ?? 0);
    if (!isGrowing) return reject("VOUCHER_SHRUNK", "a rating sum is below an earlier one");
    const depositWei = this.#table.sightingOf(tabId)?.depositWei;
    if (depositWei !== undefined && voucher.paid > depositWei)
      return reject("VOUCHER_UNCOVERED", `the deposit is ${depositWei}`);
    const signed = recoverSigner(typedDataDigest("Voucher", voucher, contracts), signature);
    if (signed.kind !== "accept" || !isSameAddress(signed.value, record.signer)) {
      return reject("VOUCHER_SIGNATURE", "not signed by the tab's key");
    }
    const unclaimedSince = record.unclaimedSince ?? chain.time();
    this.#table.store.put({ ...record, newest: { voucher, signature }, unclaimedSince });
    return accept(undefined);
  }

  /** Work is done against at most one unpaid task: what was answered before is in the voucher, or nothing more is done. */
  async #answer(
    { tabId, seq, spec }: Pick<Extract<TabMessage, { type: "task" }>, "tabId" | "seq" | "spec">,
    answer: TabWork["answer"],
    signal: AbortSignal,
  ): Promise<Verdict<Uint8Array>> {
    const record = this.#table.store.get(tabId) as ProviderTab;
    const specHash = contentHashOf(spec);
    if (seq === record.answered && specHash === record.lastSpecHash) {
      const known = this.#table.store.answerOf(tabId);
      if (known !== undefined) return accept(known.body);
    }
    const { priceWei } = record.rules;
    if (seq !== record.answered + 1) return ignore("TAB_SEQ", `the next task is ${record.answered + 1}`);
    const paid = record.newest?.voucher.paid ?? 0n;
    if (paid < BigInt(record.answered) * priceWei)
      return ignore("TAB_UNPAID", `${record.answered} tasks are answered, ${paid} is paid`);
    const sighting = this.#table.sightingOf(tabId) ?? (await this.#table.chain.sight(record, signal));
    if (sighting.state !== "Open" || record.wishesClose) return ignore("TAB_NOT_OPEN", "it takes no more tasks");
    const owed = BigInt(seq) * priceWei;
    if (owed > sighting.depositWei) return ignore("TAB_EXHAUSTED", `the deposit is ${sighting.depositWei}`);
    let body: Uint8Array;
    try {
      body = await withSignal(answer(record.tab, spec, signal), signal);
    } catch (fault) {
      this.#options.onFault?.(fault, tabId);
      return ignore("TAB_NO_ANSWER", "the work failed");
    }
    if (body.length > MAX_TAB_ANSWER_BYTES) return ignore("TAB_NO_ANSWER", "the answer is too long");
    const after = this.#table.store.get(tabId) as ProviderTab;
    this.#table.store.putAnswer({ ...after, answered: seq, lastSpecHash: specHash }, body);
    this.#table.wake(tabId);
    return accept(body);
  }

  /** Vouchers that came meanwhile begin an age of their own. */
  claimed(tabId: Hex, { paid }: Voucher): void {
    const { unclaimedSince, ...record } = this.#table.store.get(tabId) as ProviderTab;
    const isRest = (record.newest?.voucher.paid ?? 0n) > paid;
    const age = isRest && unclaimedSince !== undefined ? { unclaimedSince: this.#table.chain.time() } : {};
    this.#table.store.put({ ...record, ...age, wishesClaim: false });
  }
}

const isSameAddress = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();
