import type { Address, Hex } from "viem";
import type { Deal, DealState, Receipt, SplitProposal, Verdict } from "#protocol";
import type { Agreement, Consent, Purchase } from "../negotiation/port.ts";
import type { PeerName } from "../transport/port.ts";

/** Does the work of a deal. A throw means that nothing is delivered; the signal aborts when it is too late. */
export interface Worker {
  perform(deal: Deal, spec: Uint8Array, signal: AbortSignal): Promise<Uint8Array>;
}

/**
 * What a client makes of a delivery. `complete`: all of the price, and a rating, -100..100; 0 rates nothing. `split`: a part
 * of it is offered to the provider; if that is not accepted before the review ends, the deal is disputed for the reason.
 * `dispute`: at once. In a deal without an arbiter there is nobody to ask: split and dispute then end in the worst rating.
 */
export type Judgement =
  | { readonly kind: "complete"; readonly rating: number }
  | { readonly kind: "split"; readonly toProviderWei: bigint; readonly rating: number; readonly reason: string }
  | { readonly kind: "dispute"; readonly reason: string };

/** Judges a delivery whose hash is the submitted one. The signal aborts when a dispute would come too late. */
export interface Assessor {
  assess(deal: Deal, spec: Uint8Array, deliverable: Uint8Array, signal: AbortSignal): Promise<Judgement>;
}

/** A split as one side proposes it. */
export interface SplitTerms {
  /** Of what is still held of the price, in the token's smallest unit. */
  readonly toProviderWei: bigint;
  readonly rating: number;
}

/** What only the agent's own program can decide while a deal is not at peace. Each answer is asked for once a question. */
export interface Counsel {
  /** True signs the other side's split; false refuses it; undefined leaves it to a person (`acceptSplit`). */
  considerSplit(deal: Deal, terms: SplitTerms, signal: AbortSignal): Promise<boolean | undefined>;
  /** Whether to deposit the arbitrator's fee in a dispute that the other side began. */
  defend(deal: Deal, costWei: bigint, signal: AbortSignal): Promise<boolean>;
  /** Whether to appeal a ruling against us. */
  appeal(deal: Deal, ruling: number, costWei: bigint, signal: AbortSignal): Promise<boolean>;
}

/** What a node tells its application as a deal goes on. Told at least once each; after a reorg perhaps again. */
export type DealStep =
  | { readonly kind: "funded"; readonly deal: DealSummary }
  | { readonly kind: "submitted"; readonly deal: DealSummary; readonly deliverableHash: Hex }
  | { readonly kind: "disputed"; readonly deal: DealSummary }
  | { readonly kind: "settled"; readonly deal: DealSummary; readonly outcome: DealOutcome };

/** Fetches deliverables by hash from the other side. What comes back has this hash, or is a verdict. */
export interface DeliverableExchange {
  fetch(peer: PeerName, deliverableHash: Hex, signal: AbortSignal): Promise<Verdict<Uint8Array>>;
}

/** Asks for the answer of a purchase again. What comes back has this hash, or is a verdict. */
export type FetchPurchase = (
  purchase: Purchase,
  deliverableHash: Hex,
  signal: AbortSignal,
) => Promise<Verdict<Uint8Array>>;

/** What a provider has for who bought over HTTP. */
export interface Delivery {
  readonly body: Uint8Array;
  /** That opened the deal; undefined if somebody else's did. */
  readonly openedBy?: Hex;
}

/** How far a dispute's fees and ruling are; as IDealDisputes' FeeStage. */
export const feeStages = ["None", "ProviderOwes", "ClientOwes", "Paid", "Created", "Ruled", "Closed"] as const;
export type FeeStage = (typeof feeStages)[number];

/** A dispute as the chain shows it. Fees are in native value. */
export interface DisputeSighting {
  readonly stage: FeeStage;
  /** Last second (Unix) for the side that owes. */
  readonly feeBy: number;
  readonly clientFeeWei: bigint;
  readonly providerFeeWei: bigint;
  /** What the arbitrator asks now; undefined: the arbiter is an account that rules by itself. */
  readonly costWei: bigint | undefined;
  /** The arbitrator's own number of the dispute, once created. */
  readonly disputeId?: bigint;
  /** While a ruling can be appealed: what it is now, what an appeal costs, and the last second for it. */
  readonly appeal?: { readonly ruling: number; readonly costWei: bigint; readonly until: number };
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
  /** What the client has released in parts so far. */
  readonly releasedWei: bigint;
  /** What the provider earned and waits for its shares. */
  readonly potWei: bigint;
  /** Before opening, for a provider that brings a bond: what the escrow may take of its tokens. */
  readonly bondAllowanceWei?: bigint;
  /** From a dispute on, and after it. */
  readonly dispute?: DisputeSighting;
  /** What the disputes owe us, in native value. */
  readonly feeCreditWei: bigint;
  /** What they owe the account that pays our gas, where there is one: fees that had fallen when they were sent. */
  readonly relayFeeCreditWei: bigint;
}

/** One leaf of a deal's `splitsRoot`. */
export interface Share {
  readonly account: Address;
  readonly millionths: number;
}

/** A split that both sides have signed. */
export interface AgreedSplit {
  readonly proposal: SplitProposal;
  readonly client: Consent;
  readonly provider: Consent;
}

/** What we do to a deal on chain. */
export type ChainStep =
  | { readonly kind: "open" }
  | { readonly kind: "approveBond" }
  | { readonly kind: "submit"; readonly deliverableHash: Hex }
  | { readonly kind: "complete"; readonly rating: number }
  | { readonly kind: "releasePart"; readonly releasedWei: bigint }
  | { readonly kind: "release" }
  | { readonly kind: "refund" }
  | { readonly kind: "withdrawOffer" }
  | { readonly kind: "settle"; readonly split: AgreedSplit }
  | { readonly kind: "cancel"; readonly client: Consent; readonly provider: Consent }
  | { readonly kind: "dispute"; readonly reasonHash: Hex }
  | { readonly kind: "depositFee"; readonly feeWei: bigint }
  | { readonly kind: "createDispute" }
  | { readonly kind: "submitEvidence"; readonly evidence: string }
  | { readonly kind: "appeal"; readonly disputeId: bigint; readonly feeWei: bigint }
  | { readonly kind: "resolve" }
  | { readonly kind: "distribute"; readonly shares: readonly Share[] }
  | { readonly kind: "withdrawCredit" }
  | { readonly kind: "withdrawFeeCredit"; readonly isRelays: boolean };

/** The escrow, as one party to a deal uses it. */
export interface DealChain {
  /** Reads everything anew: nothing that was seen before is assumed to hold. @throws SuretyError CHAIN_UNREACHABLE */
  sight(agreement: Agreement, sinceBlock: bigint, signal: AbortSignal): Promise<Sighting>;
  /** Resolves when mined. @returns its transaction @throws SuretyError as ChainSender does */
  take(step: ChainStep, agreement: Agreement, signal: AbortSignal): Promise<Hex>;
  /** Signs a split for our side. */
  signSplit(proposal: SplitProposal): Consent;
  /** Signs the cancellation of a deal for our side. */
  signCancel(dealId: Hex): Consent;
  /** Whether the consent is that side's own, by the key that signed the deal. */
  isSplitConsent(proposal: SplitProposal, consent: Consent): boolean;
  isCancelConsent(dealId: Hex, consent: Consent): boolean;
  blockNumber(): bigint;
  /** Unix seconds of the chain, reckoned as in Sighting.time. */
  time(): number;
  /** Called with every new head. @returns removes the listener */
  onHead(listener: () => void): () => void;
}

/** How a deal ended for us. `Expired`: it was never funded, and cannot be any more. */
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
  /** The other side's split that waits for an answer. */
  readonly offeredSplit?: SplitTerms;
}

export type { Receipt };
