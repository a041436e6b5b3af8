import { encodeFunctionData, keccak256, type Hex, type LocalAccount } from "viem";
import { SuretyError, type Signer } from "#protocol";
import { accountOf } from "./account.ts";
import { AccountView, type CallContent } from "./account-view.ts";
import { withoutFunds } from "./broadcast-fault.ts";
import { systemClock, withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";
import { createVolatileFlights, type FlightStore } from "./flight-store.ts";
import type { ChainSender, Clock, ContractCall, Head, Heads, MinedTransaction } from "./port.ts";
import { revertDataOf, revertErrorOf } from "./revert.ts";
import {
  createSenderState,
  findEqual,
  raiseFees,
  stepSender,
  stranded,
  unminedOf,
  type Fees,
  type Flight,
  type Form,
  type SenderEffect,
  type SenderEvent,
  type SenderRules,
} from "./sender-machine.ts";

export interface SenderOptions {
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly signer: Signer;
  /** Where unmined transactions survive a restart; without it they are left to the pool. */
  readonly flights?: FlightStore;
  readonly clock?: Clock;
  /** How long a transaction may wait in the pool before its fee is raised. Default 30 s, two blocks and a half of Ethereum. */
  readonly bumpAfterMs?: number;
  /** The most that is paid for a unit of gas. Default 500 gwei: who pays more should be a person. */
  readonly maxFeePerGasWei?: bigint;
  /** Blocks on top of a transaction before it is left alone. Default 12. */
  readonly finalityDepth?: number;
  /** Told of failures that no caller waits for. */
  readonly onFault?: (fault: unknown) => void;
}

/** Calls that wait for their turn; more means that the caller has lost control of itself. */
const MAX_QUEUED = 1_024;
/** Common pools keep 16 executable transactions an account without asking for more. */
const MAX_IN_FLIGHT = 16;
/** Block time may stand still on a quiet local chain, so a receipt is looked for at least this often. */
const RECEIPT_POLL_MS = 500;
/** Looks in a row that the chain did not answer, before who waits is told; each has been retried by the client. */
const MAX_FAILED_LOOKS = 5;
/** Tries to find a nonce that nobody else takes first. */
const MAX_ROUNDS = 8;
/** 1.125¹² is about four times the first fee: what an unknown transaction in our way may have bid. */
const MAX_OUTBIDS = 12;
const DEFAULT_MAX_FEE_WEI = 500n * 10n ** 9n;
const DEFAULT_FINALITY_DEPTH = 12;
const TRANSFER_GAS = 21_000n;

/** Sends as the signer's account. One sender a key: two would fight over nonces. */
export function createSender(options: SenderOptions): ChainSender {
  return new SerialSender(options);
}

/** A call that was tried against the latest state, and what it may cost. */
interface PreparedCall {
  readonly content: CallContent;
  readonly gas: bigint;
  readonly fees: Fees;
}

type Waiter = PromiseWithResolvers<MinedTransaction>;

class SerialSender implements ChainSender {
  readonly #options: SenderOptions;
  readonly #client: ChainClient;
  readonly #heads: Heads;
  readonly #account: LocalAccount;
  readonly #view: AccountView;
  readonly #clock: Clock;
  readonly #bumpAfterMs: number;
  readonly #rules: SenderRules;
  readonly #flights: FlightStore;
  #state: ReturnType<typeof createSenderState>;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  readonly #waiters = new Map<number, Waiter>();
  readonly #lifetime = new AbortController();
  #isLooking = false;
  #isLookDue = false;
  #failedLooks = 0;
  #cancelPoll: () => void = () => undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: SenderOptions) {
    const { client, heads, signer, clock = systemClock, bumpAfterMs = 30_000 } = options;
    this.#options = options;
    this.#client = client;
    this.#heads = heads;
    this.#account = accountOf(signer);
    this.#view = new AccountView(client, this.#account.address);
    this.#clock = clock;
    this.#bumpAfterMs = bumpAfterMs;
    this.#rules = {
      finalityDepth: BigInt(options.finalityDepth ?? DEFAULT_FINALITY_DEPTH),
      maxFeePerGasWei: options.maxFeePerGasWei ?? DEFAULT_MAX_FEE_WEI,
    };
    this.#flights = options.flights ?? createVolatileFlights();
    this.#state = createSenderState(this.#flights.all());
    this.#follow();
  }

  get address() {
    return this.#account.address;
  }

  async send(call: ContractCall, signal: AbortSignal): Promise<MinedTransaction> {
    const either = AbortSignal.any([signal, this.#lifetime.signal]);
    const { promise } = await this.#inTurn(() => this.#launch(call, either));
    this.#look();
    return await withSignal(promise, either);
  }

  stop(): void {
    this.#lifetime.abort(
      new SuretyError("SENDER_STOPPED", "Sending has stopped; what was broadcast may be mined yet.", {
        next: "Start the node again with the same store: it goes on with what is unmined.",
        isRetryable: true,
      }),
    );
    this.#cancelPoll();
    this.#unsubscribe?.();
  }

  // ---------------------------------------------------------------- launching, one at a time, in the order asked

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#queued >= MAX_QUEUED) {
      throw new SuretyError("SENDER_BUSY", `${MAX_QUEUED} calls of ${this.address} are waiting already.`, {
        next: "Try again when some of them are mined.",
        isRetryable: true,
      });
    }
    this.#queued++;
    const turn = this.#tail.then(work).finally(() => this.#queued--);
    this.#tail = turn.catch(() => undefined);
    return await turn;
  }

  /** @returns who waits for the block, once the call is broadcast: the next call need not */
  async #launch(call: ContractCall, signal: AbortSignal): Promise<Waiter> {
    signal.throwIfAborted();
    const content = contentOf(call);
    const equal = call.isOnce === true ? findEqual(this.#state, content) : undefined;
    if (equal !== undefined) return this.#waiterOf(equal.nonce);
    while (unminedOf(this.#state).length >= MAX_IN_FLIGHT) await this.#pause(this.#heads.latest(), signal);
    const prepared = { content, ...(await this.#view.prepare(content, this.#rules.maxFeePerGasWei, signal)) };
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const [nonce, mayOutbid] = await this.#claimNonce(signal);
      const waiter = await this.#tryLaunch(prepared, nonce, mayOutbid, signal);
      if (waiter !== undefined) return waiter;
    }
    throw new SuretyError("TRANSACTION_REPLACED", `Another program uses up the nonces of ${this.address}.`, {
      values: { address: this.address, functionName: call.functionName },
      next: "Run one node a key; then try again.",
      isRetryable: true,
    });
  }

  /** @returns undefined if the nonce is another program's */
  async #tryLaunch(
    { content, gas, fees }: PreparedCall,
    nonce: number,
    mayOutbid: boolean,
    signal: AbortSignal,
  ): Promise<Waiter | undefined> {
    let bid = fees;
    for (let outbids = 0; ; outbids++) {
      const form = await this.#sign({ ...content, nonce, gas }, bid);
      const bumpAtMs = this.#clock.nowMs() + this.#bumpAfterMs;
      const flight: Flight = { ...content, nonce, gas, forms: [form], bumpAtMs, misses: 0 };
      this.#step({ kind: "launched", flight });
      // A look may find it mined before the node has answered.
      const waiter = this.#waiterOf(nonce);
      const fault = await this.#view.broadcast(form, signal);
      // Without an answer it may be in the pool or not; the next look tells, and sends it again.
      if (fault === undefined || fault.kind === "known" || fault.kind === "lost") return waiter;
      this.#step({ kind: "refused", nonce });
      this.#waiters.delete(nonce);
      if (fault.kind === "funds") throw withoutFunds(this.address, fault.cause);
      if (fault.kind === "nonceUsed") return undefined;
      if (fault.kind !== "underpriced") throw unreachable(fault.cause);
      const higher = raiseFees(bid, bid, this.#rules.maxFeePerGasWei);
      if (!mayOutbid || outbids >= MAX_OUTBIDS || higher === undefined) return undefined;
      bid = higher;
    }
  }

  /**
   * The next nonce. What another program left in the pool gets as long as one of ours before a fee bump; then the lowest
   * unmined nonce is taken, which replaces it.
   */
  async #claimNonce(signal: AbortSignal): Promise<[nonce: number, mayOutbid: boolean]> {
    if (this.#state.nextNonce !== undefined) return [this.#state.nextNonce, false];
    const giveUpAtMs = this.#clock.nowMs() + this.#bumpAfterMs;
    for (;;) {
      const [count, pending] = await Promise.all([
        this.#view.countAt("latest", signal),
        this.#view.countAt("pending", signal),
      ]);
      for (const flight of stranded(this.#state, count)) {
        this.#step({ kind: "refused", nonce: flight.nonce });
        this.#reject(flight.nonce, replacedBy(flight, this.address));
      }
      const nextNonce = Math.max(count, (this.#state.flights.at(-1)?.nonce ?? -1) + 1);
      const isOutOfPatience = this.#clock.nowMs() >= giveUpAtMs;
      if (pending <= nextNonce || isOutOfPatience) {
        this.#step({ kind: "nonceKnown", nextNonce });
        return [nextNonce, pending > nextNonce];
      }
      await this.#pause(this.#heads.latest(), signal);
    }
  }

  async #sign(
    { nonce, to, calldata, valueWei, gas }: Pick<Flight, "nonce" | "to" | "calldata" | "valueWei" | "gas">,
    fees: Fees,
  ): Promise<Form> {
    const content = { nonce, to, data: calldata, value: valueWei, gas };
    const request = { type: "eip1559", chainId: this.#client.chain.id, ...content, ...fees } as const;
    const raw = await this.#account.signTransaction(request);
    return { raw, fees, hash: keccak256(raw) };
  }

  // ---------------------------------------------------------------- looking, with every head and while somebody waits

  #waiterOf(nonce: number): Waiter {
    const waiter = this.#waiters.getOrInsertComputed(nonce, () => Promise.withResolvers<MinedTransaction>());
    // Whoever asked may have gone; a rejection is then nobody's.
    waiter.promise.catch(() => undefined);
    return waiter;
  }

  /** Heads wake a sender that has something in the air, and no other. */
  #follow(): void {
    if (this.#state.flights.length === 0) {
      this.#unsubscribe?.();
      this.#unsubscribe = undefined;
    } else if (!this.#lifetime.signal.aborted) {
      this.#unsubscribe ??= this.#heads.subscribe(() => this.#look());
    }
  }

  /** Looks now, or once more when the look under way is over. */
  #look(): void {
    this.#isLookDue = true;
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#lookWhileDue().finally(() => {
      this.#isLooking = false;
      this.#cancelPoll();
      if (this.#waiters.size === 0 || this.#lifetime.signal.aborted) return;
      this.#cancelPoll = this.#clock.schedule(RECEIPT_POLL_MS, () => this.#look());
    });
  }

  async #lookWhileDue(): Promise<void> {
    while (this.#isLookDue && this.#state.flights.length > 0 && !this.#lifetime.signal.aborted) {
      this.#isLookDue = false;
      try {
        await this.#lookOnce(this.#lifetime.signal);
        this.#failedLooks = 0;
      } catch (cause) {
        if (!this.#lifetime.signal.aborted) this.#lookFailed(unreachable(cause));
      }
    }
  }

  #lookFailed(fault: unknown): void {
    this.#options.onFault?.(fault);
    if (++this.#failedLooks < MAX_FAILED_LOOKS) return;
    this.#failedLooks = 0;
    for (const nonce of [...this.#waiters.keys()]) this.#reject(nonce, fault);
  }

  async #lookOnce(signal: AbortSignal): Promise<void> {
    const headNumber = this.#heads.latest().number;
    const { count, sightings } = await this.#view.sightAll(this.#state.flights, signal);
    const effects = this.#step({ kind: "looked", look: { nowMs: this.#clock.nowMs(), headNumber, count, sightings } });
    for (const effect of effects) await this.#perform(effect, signal);
    this.#view.forgetReceipts();
  }

  #step(event: SenderEvent): readonly SenderEffect[] {
    const [state, effects] = stepSender(this.#state, event, this.#rules);
    this.#state = state;
    for (const effect of effects) {
      if (effect.kind === "save") this.#flights.put(effect.flight);
      else if (effect.kind === "forget") this.#flights.remove(effect.nonce);
    }
    this.#follow();
    return effects;
  }

  async #perform(effect: SenderEffect, signal: AbortSignal): Promise<void> {
    switch (effect.kind) {
      case "save":
      case "forget":
        return;
      case "mined":
        return await this.#settle(effect.flight, effect.hash, signal);
      case "replaced":
        return this.#reject(effect.flight.nonce, replacedBy(effect.flight, this.address));
      case "rebroadcast":
        await this.#view.broadcast(newestOf(effect.flight), signal);
        return;
      case "bump":
        return await this.#bump(effect.flight, signal);
      case "revive":
        return await this.#revive(effect.flight, signal);
      case "fill":
        return await this.#fill(effect.flight, signal);
    }
  }

  /** A bump that fails changes nothing: an earlier form may be mined yet. */
  async #bump(flight: Flight, signal: AbortSignal): Promise<void> {
    const market = await this.#view.feesOfMarket(signal);
    const fees = raiseFees(newestOf(flight).fees, market, this.#rules.maxFeePerGasWei);
    const bumpAtMs = this.#clock.nowMs() + this.#bumpAfterMs;
    if (fees === undefined) {
      this.#step({ kind: "postponed", nonce: flight.nonce, bumpAtMs });
      return;
    }
    const form = await this.#sign(flight, fees);
    this.#step({ kind: "formed", nonce: flight.nonce, form, bumpAtMs });
    await this.#view.broadcast(form, signal);
  }

  async #revive(flight: Flight, signal: AbortSignal): Promise<void> {
    const fault = await withSignal(this.#view.estimateGas(flight), signal).then(
      () => undefined,
      (cause: unknown) => cause,
    );
    signal.throwIfAborted();
    if (fault === undefined) await this.#view.broadcast(newestOf(flight), signal);
    const revertData = revertDataOf(fault);
    if (revertData !== undefined) {
      this.#reject(flight.nonce, revertErrorOf(flight.functionName, revertData, fault));
      for (const effect of this.#step({ kind: "voided", nonce: flight.nonce })) await this.#perform(effect, signal);
    }
  }

  async #fill(flight: Flight, signal: AbortSignal): Promise<void> {
    const { fees } = newestOf(flight);
    const content = {
      to: this.address,
      calldata: "0x",
      valueWei: 0n,
      gas: TRANSFER_GAS,
      functionName: "fill",
    } as const;
    const form = await this.#sign(
      { ...content, nonce: flight.nonce },
      raiseFees(fees, fees, this.#rules.maxFeePerGasWei) ?? fees,
    );
    this.#step({ kind: "filled", flight: { ...flight, ...content, forms: [...flight.forms, form] } });
    await this.#view.broadcast(form, signal);
  }

  /** Tells who waits how it ended. */
  async #settle(flight: Flight, hash: Hex, signal: AbortSignal): Promise<void> {
    const waiter = this.#waiters.get(flight.nonce);
    if (waiter === undefined) return;
    const receipt = await this.#view.receiptOf(hash, signal);
    this.#waiters.delete(flight.nonce);
    const { blockNumber, gasUsed, logs, status } = receipt;
    if (status === "success") return waiter.resolve({ hash, blockNumber, gasUsed, logs, receipt });
    const revertData = await this.#view.reasonOf(flight, blockNumber, signal);
    waiter.reject(revertErrorOf(flight.functionName, revertData));
  }

  #reject(nonce: number, fault: unknown): void {
    this.#waiters.get(nonce)?.reject(fault);
    this.#waiters.delete(nonce);
  }

  /** Until a head other than `seen`, or a little while on a chain that stands still. */
  async #pause(seen: Head, signal: AbortSignal): Promise<void> {
    const turn = new AbortController();
    const cancel = this.#clock.schedule(RECEIPT_POLL_MS, () => {
      turn.abort();
    });
    try {
      await this.#heads.next(seen, AbortSignal.any([signal, turn.signal]));
    } catch (cause) {
      signal.throwIfAborted();
      if (!turn.signal.aborted) throw cause;
    } finally {
      cancel();
    }
  }
}

const newestOf = ({ forms }: Flight): Form => forms.at(-1) as Form;

function contentOf(call: ContractCall): CallContent {
  const { address: to, functionName, valueWei = 0n } = call;
  return { to, functionName, valueWei, calldata: encodeFunctionData(call) };
}

function replacedBy({ nonce, functionName }: Flight, address: string): SuretyError {
  return new SuretyError("TRANSACTION_REPLACED", `Nonce ${nonce} of ${address} was used by another program.`, {
    values: { nonce, address, functionName },
    next: "Run one node a key; then try again.",
    isRetryable: true,
  });
}
