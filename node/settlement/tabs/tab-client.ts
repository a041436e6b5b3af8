import type { Hex } from "viem";
import {
  contentHashOf,
  signerHashOf,
  structHash,
  typedDataDigest,
  type DomainContracts,
  type Signer,
  type Tab,
  type Verdict,
  type Voucher,
} from "#protocol";
import type { PeerName, Transport } from "../../transport/port.ts";
import { exhausted, refused, tooManyTabs, unanswered } from "./tab-faults.ts";
import { nextVoucher, type ClientTab, type SignedVoucher } from "./tab-machine.ts";
import type { TabWork } from "./tab-provider.ts";
import { MAX_TABS, type TabTable } from "./tab-table.ts";
import { encodeRules, encodeTabMessage, MAX_TAB_ANSWER_BYTES, TAB_PROTOCOL, type TabMessage } from "./tab-wire.ts";
import type { TabRequest } from "./tabs.ts";

export interface TabClientOptions {
  readonly table: TabTable;
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  readonly transport: Transport;
  readonly work: Pick<TabWork, "rate">;
  readonly random: () => bigint;
  readonly onFault?: (fault: unknown, tabId: Hex) => void;
}

export const REQUEST_TIMEOUT_MS = 30_000;

/** Spends on tabs: opens them, asks for tasks, signs what was answered. */
export class TabClient {
  readonly #options: TabClientOptions;
  readonly #table: TabTable;

  constructor(options: TabClientOptions) {
    this.#options = options;
    this.#table = options.table;
  }

  async open(request: TabRequest, signal: AbortSignal): Promise<ClientTab> {
    const { agentId, signer, random } = this.#options;
    const { store, chain } = this.#table;
    if (this.#table.size >= MAX_TABS) throw tooManyTabs(MAX_TABS);
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
      ...(request.origin === undefined ? {} : { origin: request.origin }),
      ...{ depositWei: request.depositWei, isFlushed: true, wishesClose: false, isEnded: false },
    };
    store.put(record);
    this.#table.track(tabId);
    await this.#table.until(tabId, (sighting) => sighting.state !== "None", signal);
    // Over HTTP the first request brings the terms.
    if (request.origin !== undefined) return this.#table.clientTab(tabId);
    const hello = await this.#greet(record, signal);
    if (hello.kind !== "accept") {
      this.#table.wishClose(tabId);
      throw refused(tabId, `${hello.code}: ${hello.detail}`);
    }
    return this.#table.clientTab(tabId);
  }

  /** Tells the provider of a tab; to tell it twice changes nothing. */
  async #greet({ peer, tab, rules }: ClientTab, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    return await this.#request(peer, { type: "hello", tab, rules }, signal);
  }

  ask(tabId: Hex, spec: Uint8Array, signal: AbortSignal) {
    return this.#table.inTurn(tabId, () => this.#askNow(tabId, spec, AbortSignal.any([signal, this.#table.lifetime])));
  }

  async #askNow(tabId: Hex, spec: Uint8Array, signal: AbortSignal) {
    const record = this.#table.clientTab(tabId);
    const { rules, newest, peer, tab, origin } = record;
    if (origin !== undefined) throw refused(tabId, `it is spent over HTTP, at ${origin}`);
    const seq = Number(newest?.voucher.seq ?? 0n) + 1;
    const depositWei = this.#table.sightingOf(tabId)?.depositWei ?? record.depositWei;
    if ((newest?.voucher.paid ?? 0n) + rules.priceWei > depositWei) throw exhausted(tabId, depositWei);
    if (record.wishesClose) throw refused(tabId, "it is being closed");
    // The process may have died between the opening and the greeting.
    if (newest === undefined) {
      const hello = await this.#greet(record, signal);
      if (hello.kind !== "accept") throw unanswered(tabId, seq, `${hello.code}: ${hello.detail}`);
    }
    const task = { type: "task", tabId, seq, spec, ...(newest === undefined ? {} : { paid: newest }) } as const;
    const answer = await this.#request(peer, task, signal);
    if (answer.kind !== "accept") throw unanswered(tabId, seq, `${answer.code}: ${answer.detail}`);
    const rating = await this.#rate(tab, spec, answer.value);
    // On disk before anybody sees it: a restart must not promise less than was promised.
    const signed = this.#sign(nextVoucher(tabId, newest?.voucher, rules.priceWei, rating));
    this.#table.store.put({ ...this.#table.clientTab(tabId), newest: signed, isFlushed: false });
    return { answer: answer.value, rating };
  }

  askPrepaid(
    tabId: Hex,
    spec: Uint8Array,
    deliver: (paid: SignedVoucher) => Promise<Verdict<Uint8Array>>,
    signal: AbortSignal,
  ) {
    return this.#table.inTurn(tabId, async () => {
      signal.throwIfAborted();
      const paid = this.#prepay(tabId);
      const answer = await deliver(paid);
      if (answer.kind !== "accept") {
        throw unanswered(tabId, Number(paid.voucher.seq), `${answer.code}: ${answer.detail}`);
      }
      const rating = await this.#rate(this.#table.clientTab(tabId).tab, spec, answer.value);
      this.#table.store.put({ ...this.#table.clientTab(tabId), isPending: false, heldRating: rating });
      return { answer: answer.value, rating, paid };
    });
  }

  /** The voucher of the next request, on disk; one whose request was not answered is used again. */
  #prepay(tabId: Hex): SignedVoucher {
    const record = this.#table.clientTab(tabId);
    const { rules, newest, heldRating = 0 } = record;
    if (record.origin === undefined) throw refused(tabId, "it is not spent over HTTP");
    if (record.wishesClose) throw refused(tabId, "it is being closed");
    if (record.isPending === true && newest !== undefined) return newest;
    const depositWei = this.#table.sightingOf(tabId)?.depositWei ?? record.depositWei;
    if ((newest?.voucher.paid ?? 0n) + rules.priceWei > depositWei) throw exhausted(tabId, depositWei);
    const signed = this.#sign(nextVoucher(tabId, newest?.voucher, rules.priceWei, heldRating));
    this.#table.store.put({ ...record, newest: signed, isPending: true, heldRating: 0 });
    return signed;
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
    await this.#table.chain.topUp(this.#table.clientTab(tabId), amountWei, signal);
    this.#table.wake(tabId);
  }

  /** The provider gets what it is owed before the client ends the tab; if it is away, the challenge period is its chance. */
  async flush(tabId: Hex, signal: AbortSignal): Promise<void> {
    const record = this.#table.tabOf(tabId);
    if (record.role !== "client" || record.isFlushed || record.newest === undefined) return;
    const { newest, peer } = record;
    const answer = await this.#request(peer, { type: "voucher", paid: newest }, signal);
    if (answer.kind !== "accept") return;
    const after = this.#table.clientTab(tabId);
    this.#table.store.put({ ...after, isFlushed: after.newest?.voucher.seq === newest.voucher.seq });
  }

  async #request(peer: PeerName, message: TabMessage, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const options = { signal: limit, maxResponseBytes: MAX_TAB_ANSWER_BYTES };
    return await this.#options.transport.request(peer, TAB_PROTOCOL, encodeTabMessage(message), options);
  }
}
