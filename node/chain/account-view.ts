import type { Address, Hex, TransactionReceipt } from "viem";
import { classifyBroadcastFault, withoutFunds } from "./broadcast-fault.ts";
import { withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";
import { revertDataOf, revertErrorOf } from "./revert.ts";
import { capFees, type Fees, type Flight, type FlightSighting, type Form, type Inclusion } from "./sender-machine.ts";

/** What a transaction does, whatever its nonce and fees. */
export type CallContent = Pick<Flight, "to" | "calldata" | "valueWei" | "functionName">;

/** The state may move between estimate and block; a quarter covers a few cold slots. What is not used is not paid. */
const GAS_MARGIN_PERCENT = 125n;

/** One account as the chain shows it to its sender: nonces, fees, what became of its transactions. Decides nothing. */
export class AccountView {
  readonly #client: ChainClient;
  readonly #address: Address;
  readonly #receipts = new Map<Hex, TransactionReceipt>();

  constructor(client: ChainClient, address: Address) {
    this.#client = client;
    this.#address = address;
  }

  countAt(blockTag: "latest" | "pending", signal: AbortSignal): Promise<number> {
    return this.#ask(this.#client.getTransactionCount({ address: this.#address, blockTag }), signal);
  }

  feesOfMarket(signal: AbortSignal): Promise<Fees> {
    return this.#ask(this.#client.estimateFeesPerGas(), signal);
  }

  /** Tries a call against the latest state. @throws SuretyError CALL_REVERTED_*, SENDER_WITHOUT_FUNDS, CHAIN_UNREACHABLE */
  async prepare(
    content: CallContent,
    maxFeePerGasWei: bigint,
    signal: AbortSignal,
  ): Promise<{ gas: bigint; fees: Fees }> {
    const estimates = Promise.all([this.estimateGas(content), this.#client.estimateFeesPerGas()]);
    try {
      const [gas, { maxFeePerGas, maxPriorityFeePerGas }] = await withSignal(estimates, signal);
      const fees = capFees({ maxFeePerGas, maxPriorityFeePerGas }, maxFeePerGasWei);
      return { gas: (gas * GAS_MARGIN_PERCENT) / 100n, fees };
    } catch (cause) {
      signal.throwIfAborted();
      throw this.#refusalOf(content.functionName, cause);
    }
  }

  /** Nodes refuse to try what the account cannot pay, some of them in the words of a revert. */
  #refusalOf(functionName: string, cause: unknown): unknown {
    const revertData = revertDataOf(cause);
    if (revertData !== undefined && revertData !== "0x") return revertErrorOf(functionName, revertData, cause);
    if (classifyBroadcastFault(cause) === "funds") return withoutFunds(this.#address, cause);
    return revertData === undefined ? unreachable(cause) : revertErrorOf(functionName, revertData, cause);
  }

  estimateGas({ to, calldata, valueWei }: Pick<Flight, "to" | "calldata" | "valueWei">): Promise<bigint> {
    return this.#client.estimateGas({ account: this.#address, to, data: calldata, value: valueWei });
  }

  /** @returns why the node did not take it; undefined: it did */
  async broadcast({ raw }: Form, signal: AbortSignal) {
    try {
      await withSignal(this.#client.sendRawTransaction({ serializedTransaction: raw }), signal);
      return undefined;
    } catch (cause) {
      signal.throwIfAborted();
      return { kind: classifyBroadcastFault(cause), cause };
    }
  }

  /** Where each flight is. Receipts that are found are kept until `forgetReceipts`. */
  async sightAll(
    flights: readonly Flight[],
    signal: AbortSignal,
  ): Promise<{ count: number; sightings: Map<number, FlightSighting> }> {
    // Count before receipts: if a nonce was used by then, one of our forms has a receipt, or none ever will.
    const count = await this.countAt("latest", signal);
    const areMinedStill = await this.#areMinedStill(flights, signal);
    const sightings = new Map<number, FlightSighting>();
    for (const flight of flights) {
      if (flight.mined !== undefined && areMinedStill) {
        sightings.set(flight.nonce, { receipt: flight.mined, isPooled: false });
      } else {
        sightings.set(flight.nonce, await this.#sight(flight, count, signal));
      }
    }
    return { count, sightings };
  }

  async receiptOf(hash: Hex, signal: AbortSignal): Promise<TransactionReceipt> {
    return this.#receipts.get(hash) ?? (await this.#ask(this.#client.getTransactionReceipt({ hash }), signal));
  }

  forgetReceipts(): void {
    this.#receipts.clear();
  }

  /** A receipt has no reason: the call is run again on the state that its block left. @returns revert data */
  async reasonOf(
    { to, calldata: data, valueWei: value }: Flight,
    blockNumber: bigint,
    signal: AbortSignal,
  ): Promise<Hex> {
    // What stood in its way is there still, unless a later transaction of the same block removed it.
    const replay = this.#client.call({ account: this.#address, to, data, value, blockNumber });
    return await withSignal(replay, signal).then(
      () => "0x" as const,
      (cause: unknown) => revertDataOf(cause) ?? "0x",
    );
  }

  /** One question for all: while the newest block with one of ours stands, the older ones do. */
  async #areMinedStill(flights: readonly Flight[], signal: AbortSignal): Promise<boolean> {
    const mined = flights.flatMap((flight) => flight.mined ?? []);
    const newest = mined.reduce<Inclusion | undefined>(
      (best, each) => (best === undefined || each.blockNumber > best.blockNumber ? each : best),
      undefined,
    );
    if (newest === undefined) return true;
    const reading = this.#client.getBlock({ blockNumber: newest.blockNumber }).catch((cause: unknown) => {
      if (cause instanceof Error && cause.name === "BlockNotFoundError") return undefined;
      throw cause;
    });
    return (await this.#ask(reading, signal))?.hash === newest.blockHash;
  }

  async #sight({ nonce, forms }: Flight, count: number, signal: AbortSignal): Promise<FlightSighting> {
    for (const { hash } of forms.toReversed()) {
      if (count > nonce) {
        const receipt = await this.#ask(this.#findReceipt(hash), signal);
        if (receipt === undefined) continue;
        this.#receipts.set(hash, receipt);
        const { blockNumber, blockHash } = receipt;
        return { receipt: { hash, blockNumber, blockHash }, isPooled: false };
      }
      if (await this.#ask(this.#isKnown(hash), signal)) return { isPooled: true };
    }
    return { isPooled: false };
  }

  #findReceipt(hash: Hex): Promise<TransactionReceipt | undefined> {
    return this.#client.getTransactionReceipt({ hash }).catch((cause: unknown) => {
      if (cause instanceof Error && cause.name === "TransactionReceiptNotFoundError") return undefined;
      throw cause;
    });
  }

  async #isKnown(hash: Hex): Promise<boolean> {
    const reading = this.#client.getTransaction({ hash }).catch((cause: unknown) => {
      if (cause instanceof Error && cause.name === "TransactionNotFoundError") return undefined;
      throw cause;
    });
    return (await reading) !== undefined;
  }

  async #ask<T>(answer: Promise<T>, signal: AbortSignal): Promise<T> {
    try {
      return await withSignal(answer, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  }
}
