import type { Address, Hex } from "viem";
import type { BatchHeader, DoubleSigning, WindowClock } from "#protocol";
import type { PeerName } from "../transport/port.ts";

/** The state of a topic's draws (IWindowValidators.drawOf). */
export interface DrawState {
  readonly drawnEpoch: number;
  readonly nextEpoch: number;
  /** 0n = none is scheduled in the running epoch. */
  readonly seedBlock: bigint;
}

/** What the role asks of the chain. Reads fail with SuretyError CHAIN_UNREACHABLE, which a retry mends. */
export interface WindowChain {
  readonly clock: WindowClock;
  /** Agents by seat; empty = none were drawn, so far. */
  validatorsOf(topic: bigint, epoch: number, signal: AbortSignal): Promise<readonly number[]>;
  drawOf(topic: bigint, signal: AbortSignal): Promise<DrawState>;
  /** Whether the agent is enlisted for the topic. */
  isCandidate(topic: bigint, agentId: number, signal: AbortSignal): Promise<boolean>;
  /** First second of the last anchored window of an epoch; 0 = none. */
  anchoredWindowOf(topic: bigint, epoch: number, signal: AbortSignal): Promise<number>;
  scheduleDraw(topic: bigint, signal: AbortSignal): Promise<void>;
  draw(topic: bigint, seedBlock: bigint, signal: AbortSignal): Promise<void>;
  anchor(header: BatchHeader, signatures: readonly (Hex | undefined)[], signal: AbortSignal): Promise<void>;
}

/** Whom a key speaks for, and how to fetch logs and reach agents; node.ts supplies them. */
export interface WindowPeers {
  /** The agent for which this key is a LOG signer now. */
  agentOf(signer: Address, signal: AbortSignal): Promise<bigint | undefined>;
  /** Fetches what a peer has more of a log; it comes in as any header does. */
  fetchLog(peer: PeerName, log: Address, signal: AbortSignal): Promise<void>;
  /** A peer of an agent that is not connected; undefined = none is known. */
  reach(agentId: bigint, signal: AbortSignal): Promise<PeerName | undefined>;
}

/** Evidence with the agent that it is against. */
export interface Offence extends DoubleSigning {
  readonly agentId: number;
}
