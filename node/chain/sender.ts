import { encodeFunctionData, type Hex, type LocalAccount, type TransactionReceipt } from "viem";
import { SuretyError, type Signer } from "#protocol";
import { accountOf } from "./account.ts";
import { systemClock, withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";
import type { ChainSender, Clock, ContractCall, Head, Heads, MinedTransaction } from "./port.ts";
import { revertDataOf, revertErrorOf } from "./revert.ts";

export interface SenderOptions {
  readonly client: ChainClient;
  readonly heads: Heads;
  readonly signer: Signer;
  readonly clock?: Clock;
  /** How long a transaction may wait in the pool before its fee is raised. Default 30 s, two blocks and a half of Ethereum. */
  readonly bumpAfterMs?: number;
}

/** Calls that wait for their turn; more means that the caller has lost control of itself. */
const MAX_QUEUED = 1_024;
/** Common pools keep 16 executable transactions an account without asking for more. */
const MAX_IN_FLIGHT = 16;
/** 1.25⁶ is about four times the first fee: who pays more should be a person. */
const MAX_BUMPS = 6;
/** Pools want at least 10% more for a replacement. */
const BUMP_PERCENT = 125n;
/** The state may move between estimate and block; a quarter covers a few cold slots. What is not used is not paid. */
const GAS_MARGIN_PERCENT = 125n;
/** Block time may stand still on a quiet local chain, so a receipt is looked for at least this often. */
const RECEIPT_POLL_MS = 500;

/** Sends as the signer's account. One sender a key: two would fight over nonces. */
export function createSender(options: SenderOptions): ChainSender {
  return new SerialSender(options);
}

interface Fees {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** A nonce of ours in flight, with the hash of every form in which it was broadcast. */
interface InFlight {
  readonly call: ContractCall;
  readonly calldata: Hex;
  readonly nonce: number;
  readonly gas: bigint;
  fees: Fees;
  readonly hashes: Hex[];
}

class SerialSender implements ChainSender {
  readonly #client: ChainClient;
  readonly #heads: Heads;
  readonly #account: LocalAccount;
  readonly #clock: Clock;
  readonly #bumpAfterMs: number;
  #tail: Promise<unknown> = Promise.resolve();
  #queued = 0;
  /** Undefined: ask the chain, as after a start or after a nonce was refused. */
  #nextNonce: number | undefined;
  readonly #inFlight = new Set<Promise<unknown>>();

  constructor({ client, heads, signer, clock = systemClock, bumpAfterMs = 30_000 }: SenderOptions) {
    this.#client = client;
    this.#heads = heads;
    this.#account = accountOf(signer);
    this.#clock = clock;
    this.#bumpAfterMs = bumpAfterMs;
  }

  get address() {
    return this.#account.address;
  }

  async send(call: ContractCall, signal: AbortSignal): Promise<MinedTransaction> {
    const { mined } = await this.#inTurn(() => this.#broadcastNext(call, signal));
    return await withSignal(mined, signal);
  }

  /** One at a time, in the order asked. */
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

  /** @returns once the call is broadcast; `mined` settles later, so that the next call need not wait for the block */
  async #broadcastNext(call: ContractCall, signal: AbortSignal): Promise<{ mined: Promise<MinedTransaction> }> {
    signal.throwIfAborted();
    while (this.#inFlight.size >= MAX_IN_FLIGHT) await withSignal(Promise.race(this.#inFlight), signal);
    this.#nextNonce ??= await this.#recoverNonce(signal);
    const calldata = encodeFunctionData(call);
    const [gas, fees] = await this.#prepare(call, calldata, signal);
    const entry: InFlight = { call, calldata, nonce: this.#nextNonce, gas, fees, hashes: [] };
    await this.#broadcast(entry, signal);
    this.#nextNonce = entry.nonce + 1;
    const mined = this.#awaitMined(entry, signal);
    const settled = mined.then(
      () => undefined,
      () => undefined,
    );
    this.#inFlight.add(settled);
    void settled.then(() => this.#inFlight.delete(settled));
    return { mined };
  }

  /**
   * The next nonce after a start: transactions of an earlier life may still be in the pool. They get as long as one of
   * ours before a fee bump; then the lowest unmined nonce is taken again, which replaces them.
   */
  async #recoverNonce(signal: AbortSignal): Promise<number> {
    const countAt = (blockTag: "latest" | "pending") =>
      this.#ask(() => this.#client.getTransactionCount({ address: this.address, blockTag }), signal);
    const giveUpAtMs = this.#clock.nowMs() + this.#bumpAfterMs;
    for (;;) {
      const [mined, pending] = await Promise.all([countAt("latest"), countAt("pending")]);
      if (pending <= mined || this.#clock.nowMs() >= giveUpAtMs) return mined;
      await this.#pause(this.#heads.latest(), signal);
    }
  }

  async #prepare(call: ContractCall, data: Hex, signal: AbortSignal): Promise<[gas: bigint, fees: Fees]> {
    const request = { account: this.address, to: call.address, data, value: call.valueWei ?? 0n };
    try {
      const estimates = Promise.all([this.#client.estimateGas(request), this.#client.estimateFeesPerGas()]);
      const [gas, { maxFeePerGas, maxPriorityFeePerGas }] = await withSignal(estimates, signal);
      return [(gas * GAS_MARGIN_PERCENT) / 100n, { maxFeePerGas, maxPriorityFeePerGas }];
    } catch (cause) {
      signal.throwIfAborted();
      const revertData = revertDataOf(cause);
      throw revertData === undefined ? unreachable(cause) : revertErrorOf(call.functionName, revertData, cause);
    }
  }

  async #broadcast(entry: InFlight, signal: AbortSignal): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const { call, calldata, gas, fees } = entry;
      const serialized = await this.#account.signTransaction({
        type: "eip1559",
        chainId: this.#client.chain.id,
        ...{ nonce: entry.nonce, to: call.address, data: calldata, value: call.valueWei ?? 0n, gas },
        ...fees,
      });
      try {
        const hash = await withSignal(this.#client.sendRawTransaction({ serializedTransaction: serialized }), signal);
        entry.hashes.push(hash);
        return;
      } catch (cause) {
        signal.throwIfAborted();
        const text = cause instanceof Error ? cause.message.toLowerCase() : "";
        // Replacing what an earlier life left in the pool, at a fee that we cannot know: raise ours until it is taken.
        if (text.includes("underpriced") && attempt < MAX_BUMPS) {
          entry.fees = raise(entry.fees);
        } else if (text.includes("already known") && entry.hashes.length > 0) {
          return;
        } else {
          this.#nextNonce = undefined;
          throw unreachable(cause);
        }
      }
    }
  }

  async #awaitMined(entry: InFlight, signal: AbortSignal): Promise<MinedTransaction> {
    let bumpAtMs = this.#clock.nowMs() + this.#bumpAfterMs;
    let bumps = 0;
    for (;;) {
      const seen = this.#heads.latest();
      const receipt = await this.#findReceipt(entry, signal);
      if (receipt !== undefined) return await this.#judge(entry, receipt, signal);
      if (this.#clock.nowMs() >= bumpAtMs && bumps < MAX_BUMPS) {
        bumps++;
        entry.fees = raise(entry.fees);
        // A fee bump that fails changes nothing: the earlier form may be mined yet.
        await this.#broadcast(entry, signal).catch(() => {
          signal.throwIfAborted();
        });
        bumpAtMs = this.#clock.nowMs() + this.#bumpAfterMs;
      }
      await this.#pause(seen, signal);
    }
  }

  async #findReceipt(entry: InFlight, signal: AbortSignal): Promise<TransactionReceipt | undefined> {
    // Count before receipts: if the nonce was used by then, one of our forms has a receipt, or none ever will.
    const count = await this.#ask(() => this.#client.getTransactionCount({ address: this.address }), signal);
    for (const hash of entry.hashes) {
      const receipt = await this.#ask(
        () =>
          this.#client.getTransactionReceipt({ hash }).catch((cause: unknown) => {
            if (cause instanceof Error && cause.name === "TransactionReceiptNotFoundError") return undefined;
            throw cause;
          }),
        signal,
      );
      if (receipt !== undefined) return receipt;
    }
    if (count <= entry.nonce) return undefined;
    this.#nextNonce = undefined;
    throw new SuretyError(
      "TRANSACTION_REPLACED",
      `Nonce ${entry.nonce} of ${this.address} was used by another program.`,
      {
        values: { nonce: entry.nonce, address: this.address, functionName: entry.call.functionName },
        next: "Run one node a key; then try again.",
        isRetryable: true,
      },
    );
  }

  async #judge(entry: InFlight, receipt: TransactionReceipt, signal: AbortSignal): Promise<MinedTransaction> {
    const { transactionHash: hash, blockNumber, gasUsed, logs, status } = receipt;
    if (status === "success") return { hash, blockNumber, gasUsed, logs, receipt };
    // A receipt has no reason: run the call again on the state that its block left. What stood in its way is there
    // still, unless a later transaction of the same block removed it; then the reason stays unknown.
    const { call, calldata: data } = entry;
    const replay = this.#client.call({ account: this.address, to: call.address, data, blockNumber });
    const revertData = await withSignal(replay, signal).then(
      () => "0x" as const,
      (cause: unknown) => revertDataOf(cause) ?? "0x",
    );
    throw revertErrorOf(call.functionName, revertData);
  }

  async #ask<T>(question: () => Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await withSignal(question(), signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
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

const raise = ({ maxFeePerGas, maxPriorityFeePerGas }: Fees): Fees => ({
  maxFeePerGas: (maxFeePerGas * BUMP_PERCENT) / 100n + 1n,
  maxPriorityFeePerGas: (maxPriorityFeePerGas * BUMP_PERCENT) / 100n + 1n,
});
