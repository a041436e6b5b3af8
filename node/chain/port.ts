import type { Abi, Address, ContractFunctionArgs, ContractFunctionName, Hex, Log, TransactionReceipt } from "viem";
import type { BoundSigner } from "#protocol";

/** Time and timers, injected so that tests own them. */
export interface Clock {
  /** Unix milliseconds. */
  nowMs(): number;
  /** Runs once after `delayMs`. @returns cancels it */
  schedule(delayMs: number, run: () => void): () => void;
}

/** The latest block that we know, as far as anybody here needs it. */
export interface Head {
  readonly number: bigint;
  readonly hash: Hex;
  readonly parentHash: Hex;
  /** Unix seconds: the only time that contracts know. */
  readonly timestamp: number;
}

/** Heads of the chain, in the order seen. After a reorg a head's number may fall or stay: compare hashes. */
export interface Heads {
  latest(): Head;
  /** Waits for a head that differs from `seen` (by hash). @throws SuretyError CHAIN_HEADS_STOPPED, or the signal's reason */
  next(seen: Head, signal: AbortSignal): Promise<Head>;
  /** @returns removes the listener */
  subscribe(listener: (head: Head) => void): () => void;
  /** Asks the chain now instead of at the next poll. */
  refresh(signal: AbortSignal): Promise<Head>;
  /** Ends timers and sockets. Idempotent. */
  stop(): void;
}

/** Names and arguments of what changes a contract, by its generated ABI: who calls by them breaks when a signature changes. */
export type WriteName<A extends Abi> = ContractFunctionName<A, "nonpayable" | "payable">;
export type WriteArgs<A extends Abi, F extends WriteName<A>> = readonly unknown[] &
  ContractFunctionArgs<A, "nonpayable" | "payable", F>;

/** One call of a contract that changes it. */
export interface ContractCall {
  readonly abi: Abi;
  readonly address: Address;
  readonly functionName: string;
  readonly args: readonly unknown[];
  readonly valueWei?: bigint;
  /**
   * To have it happen twice would be a mistake: while an equal call is unmined, from before a restart or a reorg too, it
   * is awaited and not sent again. Default false.
   */
  readonly isOnce?: boolean;
}

export interface MinedTransaction {
  readonly hash: Hex;
  readonly blockNumber: bigint;
  readonly gasUsed: bigint;
  readonly logs: readonly Log[];
  readonly receipt: TransactionReceipt;
}

/** Sends as one account. Calls are broadcast one after another with consecutive nonces; their receipts are awaited side by side. */
export interface ChainSender {
  readonly address: Address;
  /**
   * Tries the call against the latest state, broadcasts it and waits until it is mined; raises the fee when it is not
   * mined in time. When the signal aborts, the transaction may still be mined: read the state again.
   * It is kept an eye on until it is final: a reorg that takes it back makes it be sent again if it still holds.
   * @throws SuretyError CALL_REVERTED_* with the contract's error name and arguments; TRANSACTION_REPLACED (retryable)
   * when another program used the nonce; SENDER_WITHOUT_FUNDS, SENDER_BUSY, SENDER_STOPPED, CHAIN_UNREACHABLE (retryable)
   */
  send(call: ContractCall, signal: AbortSignal): Promise<MinedTransaction>;
  /** Ends timers and looks; what is unmined stays in its store. Idempotent. */
  stop(): void;
}

/** What the stages ask the identity registry. Times are Unix seconds of the chain. */
export interface IdentityReader {
  /** Zero address: no such agent. */
  ownerOf(agentId: bigint, signal: AbortSignal): Promise<Address>;
  /** Agent of a signer, past ones included; 0n = never bound. */
  agentOfSigner(signerHash: Hex, signal: AbortSignal): Promise<bigint>;
  /** The record of a signer, past ones included. */
  signerOf(signerHash: Hex, signal: AbortSignal): Promise<BoundSigner>;
  /** The agent's commitment (BAID); zero = none. */
  commitmentOf(agentId: bigint, signal: AbortSignal): Promise<Hex>;
  /** Whether the signer speaks for this agent and purpose at that second; default the latest block's. */
  isSignerValidAt(query: SignerQuery, signal: AbortSignal): Promise<boolean>;
}

export interface SignerQuery {
  readonly agentId: bigint;
  readonly signerHash: Hex;
  /** One of `purposes` in #protocol. */
  readonly purpose: Hex;
  /** Unix seconds. */
  readonly time?: number;
}
