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
import type { ClaimPolicy, ProviderTab, SignedVoucher } from "./tab-machine.ts";
import { MAX_TABS, type TabTable } from "./tab-table.ts";
import { decodeTabMessage, encodeRules, MAX_TAB_ANSWER_BYTES, type TabMessage } from "./tab-wire.ts";

/** What the agent's own program does on tabs. */
export interface TabWork {
  /** Provider: the least price of a task on this topic; undefined takes no tabs on it. */
  priceOf(topic: bigint): bigint | undefined;
  /** Provider: does one task. A throw means no answer, and the task costs nothing. */
  answer(tab: Tab, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
  /** Client: rates an answer, an integer from -100 to 100; 0 rates nothing. */
  rate(tab: Tab, spec: Uint8Array, answer: Uint8Array): Promise<number>;
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
    if (message.type === "hello") return await this.#greeted(message, from, asker.value, signal);
    const tabId = message.type === "task" ? message.tabId : message.paid.voucher.tabId;
    const record = this.#table.store.get(tabId);
    if (record?.role !== "provider" || record.signer.toLowerCase() !== asker.value.toLowerCase()) {
      return ignore("TAB_UNKNOWN", "no tab of the asker has this id");
    }
    return await this.#table.inTurn(tabId, async () => {
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
    const { agentOf } = this.#options;
    const { chain } = this.#table;
    const tabId = structHash("Tab", tab);
    if (this.#table.store.get(tabId) !== undefined) return accept(new Uint8Array());
    const fault = this.#faultOfTerms(tab, rules.priceWei, contentHashOf(encodeRules(rules)), asker);
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

  #faultOfTerms(tab: Tab, priceWei: bigint, rulesHash: Hex, asker: Address): string | undefined {
    const { agentId, work, policy } = this.#options;
    const { chain } = this.#table;
    const least = work.priceOf(tab.topic);
    if (tab.providerAgentId !== agentId) return "it is somebody else's";
    if (tab.mechanismHash !== rulesHash) return "the rules have another hash";
    if (tab.signerHash !== signerHashOf(asker)) return "its vouchers are somebody else's to sign";
    if (least === undefined) return "no work on this topic is done on tabs";
    if (priceWei < least) return `a task costs ${least}`;
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
    if (signed.kind !== "accept" || signed.value.toLowerCase() !== record.signer.toLowerCase()) {
      return reject("VOUCHER_SIGNATURE", "not signed by the tab's key");
    }
    const unclaimedSince = record.unclaimedSince ?? chain.time();
    this.#table.store.put({ ...record, newest: { voucher, signature }, unclaimedSince });
    return accept(undefined);
  }

  /** Work is done against at most one unpaid task: what was answered before is in the voucher, or nothing more is done. */
  async #answer(
    { tabId, seq, spec }: Extract<TabMessage, { type: "task" }>,
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
    if (paid + priceWei > sighting.depositWei) return ignore("TAB_EXHAUSTED", `the deposit is ${sighting.depositWei}`);
    let body: Uint8Array;
    try {
      body = await withSignal(this.#options.work.answer(record.tab, spec, signal), signal);
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
