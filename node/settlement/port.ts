import type { Address, Hex } from "viem";
import type { Deal, DealState, Receipt, Verdict } from "#protocol";
import type { Agreement } from "../negotiation/port.ts";
import type { PeerName } from "../transport/port.ts";

/** Does the work of a deal. A throw means that nothing is delivered; the signal aborts when it is too late. */
export interface Worker {
  perform(deal: Deal, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
}

/** Rates a delivery whose hash is the submitted one: an integer, -100..100; 0 rates nothing. */
export interface Assessor {
  assess(deal: Deal, spec: Uint8Array, deliverable: Uint8Array, signal: AbortSignal): Promise<number>;
}

/** Fetches deliverables by hash from the other side. What comes back has this hash, or is a verdict. */
export interface DeliverableExchange {
  fetch(peer: PeerName, deliverableHash: Hex, signal: AbortSignal): Promise<Verdict<Uint8Array>>;
}

/** A deal as the chain shows it in its latest block. Times are Unix seconds of the chain. */
export interface Sighting {
  readonly state: DealState;
  /** Zero = not funded. */
  readonly payer: Address;
  /** 0 before submission. */
  readonly reviewUntil: number;
  /** Of the latest block: nothing on chain was later. */
  readonly blockTime: number;
  /** What the next block will say at least, as far as we can reckon. */
  readonly time: number;
  readonly blockNumber: bigint;
  /** From submission on. */
  readonly deliverableHash?: Hex;
  /** How it ended, once it has. */
  readonly ending?: { readonly transaction: Hex; readonly blockNumber: bigint; readonly rating: number };
  /** What a failed transfer left to us in the deal's token, in its smallest unit. */
  readonly creditWei: bigint;
}

/** What we do to a deal on chain. */
export type ChainStep =
  | { readonly kind: "open" }
  | { readonly kind: "submit"; readonly deliverableHash: Hex }
  | { readonly kind: "complete"; readonly rating: number }
  | { readonly kind: "release" }
  | { readonly kind: "refund" }
  | { readonly kind: "withdrawOffer" }
  | { readonly kind: "withdrawCredit" };

/** The escrow, as one party to a deal uses it. */
export interface DealChain {
  /** Reads everything anew: nothing that was seen before is assumed to hold. @throws SuretyError CHAIN_UNREACHABLE */
  sight(agreement: Agreement, sinceBlock: bigint, signal: AbortSignal): Promise<Sighting>;
  /** Resolves when mined. @throws SuretyError as ChainSender does */
  take(step: ChainStep, agreement: Agreement, signal: AbortSignal): Promise<void>;
  blockNumber(): bigint;
  /** Unix seconds of the chain, reckoned as in Sighting.time. */
  time(): number;
  /** Called with every new head. @returns removes the listener */
  onHead(listener: () => void): () => void;
}

/** How a deal ended for us. `expired`: it was never funded, and cannot be any more. */
export interface DealOutcome {
  readonly dealId: Hex;
  readonly role: Agreement["role"];
  readonly state: DealState | "Expired";
  /** As given by the client; 0 = none. */
  readonly rating: number;
  readonly transaction?: Hex;
}

/** A deal that we are party to, as far as we are with it. */
export interface DealSummary {
  readonly dealId: Hex;
  readonly role: Agreement["role"];
  readonly deal: Deal;
  /** As last seen; undefined until the chain has answered. */
  readonly state: DealState | undefined;
  readonly isEnded: boolean;
}

export type { Receipt };
