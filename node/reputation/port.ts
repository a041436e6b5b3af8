import type { Address, Hex } from "viem";
import type { EpochClock, EpochsCall, LeafTree, LeavesId } from "#protocol";
import type { EpochEvent } from "./book.ts";
import type { TrustEvent } from "./graph.ts";

/** A block, as far as the roles need it. */
export interface ReputationHead {
  readonly number: bigint;
  readonly hash: Hex;
  /** Unix seconds. */
  readonly timestamp: number;
}

/** One decoded log of the ledger, the vault or the epochs. */
export type ReputationLog =
  { readonly source: "trust"; readonly event: TrustEvent } | { readonly source: "epochs"; readonly event: EpochEvent };

/** A call of ReputationEpochs. */
export interface RoleCall extends EpochsCall {
  readonly valueWei?: bigint;
}

/** Everything that publisher and watcher want of a chain. Each call may throw a SuretyError; retryable ones are tried again. */
export interface ReputationChain {
  /** Who sends, and is paid. */
  readonly address: Address;
  /** First block that can hold an event of ours. */
  readonly firstBlock: bigint;
  clock(signal: AbortSignal): Promise<EpochClock>;
  /** @param seen waits for a head with another hash; undefined: the latest one at once */
  nextHead(seen: ReputationHead | undefined, signal: AbortSignal): Promise<ReputationHead>;
  /** The latest head, asked for now. */
  refreshHead(signal: AbortSignal): Promise<ReputationHead>;
  /** undefined: the chain has no such block (any more) */
  hashAt(blockNumber: bigint, signal: AbortSignal): Promise<Hex | undefined>;
  /** In the order of the chain, both blocks included. */
  readLogs(fromBlock: bigint, toBlock: bigint, signal: AbortSignal): Promise<ReputationLog[]>;
  /** Hash of the last block of a closed epoch, at or below the head. */
  closingHash(epoch: number, head: ReputationHead, signal: AbortSignal): Promise<Hex>;
  /** What a request costs at the latest block's base fee. */
  requestFeeWei(signal: AbortSignal): Promise<bigint>;
  /** Returns once mined. @returns block that holds it */
  send(call: RoleCall, signal: AbortSignal): Promise<bigint>;
}

/** Leaves of a committed root that came neither with the commit nor on chain. */
export interface WantedLeaves extends LeavesId {
  readonly epoch: number;
  /** Agent that committed it. */
  readonly publisher: number;
  /** How long others may be asked; 0 = give what is here. */
  readonly patienceMs: number;
}

/** By chunk of 256 leaves, each of them shown to be under the root; undefined = nobody gave it. */
export type FoundChunks = readonly (readonly bigint[] | undefined)[];

/** Leaves that travel outside the chain, in files that their root names. */
export interface LeafExchange {
  /** Keeps leaves that were computed here for whoever asks. */
  keep(epoch: number, tree: LeafTree): void;
  /** Asks others; never throws for what they do. */
  find(wanted: WantedLeaves, signal: AbortSignal): Promise<FoundChunks>;
}
