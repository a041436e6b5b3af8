import type { Address, Hex } from "viem";
import type { AwardEvidence, BargainRules, Call, Deal, DomainContracts, Dual, Rules, Side, Signer } from "#protocol";
import type { Clock, IdentityReader } from "../chain/port.ts";
import type { Store } from "../store/port.ts";
import type { PeerName, Transport } from "../transport/port.ts";

/** An agent that is asked to bid, and where it is reached. */
export interface Invitee {
  readonly agentId: bigint;
  readonly peer: PeerName;
}

/** What a client wants. Times: `biddingMs` is a span; `submitBy` is a Unix second of the chain's clock. */
export interface CallRequest {
  readonly topic: bigint;
  /** What is to be delivered, at most MAX_SPEC_BYTES. */
  readonly spec: Uint8Array;
  /** The rules: a mechanism document, the bare parameters of a second price, or packages to bargain over with one invitee. */
  readonly mechanism: Rules;
  /** Under bargaining rules: what each package is worth to us. It is told to nobody. */
  readonly side?: Side;
  /** Under a document that states a law: the proof that its payments are the cheapest; absent = it is solved for. */
  readonly proof?: Dual;
  readonly token: Address;
  /** No award above this price, in the token's smallest unit. */
  readonly reservePrice: bigint;
  readonly biddingMs: number;
  readonly submitBy: number;
  /** Seconds. */
  readonly reviewPeriod: number;
  /** At most MAX_BIDS. */
  readonly invitees: readonly Invitee[];
}

/** A call as the provider's strategy sees it; its hashes and its signature are checked already. */
export interface Invitation {
  readonly callId: Hex;
  readonly call: Call;
  readonly mechanism: Rules;
  readonly spec: Uint8Array;
}

/** The last finalized epoch (0 = none), and `relativeScoreOf` of each agent that has one. */
export interface Standings {
  readonly epoch: number;
  readonly scores: ReadonlyMap<bigint, bigint>;
}

/** Relative scores of the last finalized epoch; the reputation stage comes later, so node.ts supplies it. */
export interface StandingPort {
  standingsOf(topic: bigint, agentIds: readonly bigint[], signal: AbortSignal): Promise<Standings>;
}

/** Who answers for an agent, as the chain holds it; node.ts supplies it. */
export interface CredentialPort {
  /** @returns level of each agent's credential, if it counts now; absent = none does */
  levelsOf(agentIds: readonly bigint[], signal: AbortSignal): Promise<ReadonlyMap<bigint, number>>;
}

/** Price: the least that the provider would accept; under a second price that is the best bid. */
export interface Proposal {
  readonly price: bigint;
  readonly quality: bigint;
}

/** The provider's strategy. `undefined` declines. */
export interface Bidder {
  consider(invitation: Invitation, signal: AbortSignal): Promise<Proposal | undefined>;
  /**
   * Under bargaining rules: what each package is worth, and from which worth on it is taken. It is told to nobody, and we
   * concede by it as the other side concedes. Absent: this agent does not bargain.
   */
  value?(invitation: Invitation & { readonly mechanism: BargainRules }, signal: AbortSignal): Promise<Side | undefined>;
}

/** One side's consent to a deal, as DealEscrow takes it. */
export interface Consent {
  /** ERC-7913 bytes: an address. */
  readonly signer: Address;
  readonly signature: Hex;
}

/** EIP-3009 authorization of a deal's payment; its nonce is the dealId. */
export interface PaymentAuthorization {
  readonly payer: Address;
  readonly validAfter: bigint;
  readonly validBefore: bigint;
  readonly signature: Hex;
}

/** A deal that was bought over HTTP, without a negotiation: its provider opens it by the client's authorization. */
export interface Purchase {
  readonly authorization: PaymentAuthorization;
  /** Client: the request whose answer is the deliverable; asked again, it is answered alike. */
  readonly request?: {
    readonly url: string;
    readonly method: string;
    readonly body: Uint8Array;
    /** Value of PAYMENT-SIGNATURE. */
    readonly payment: string;
  };
  /** Client: what an answer is rated that has the submitted hash; undefined leaves it to a person, and to silence. */
  readonly rating?: number;
}

/** A deal that both sides signed: everything that settlement needs, whichever side we are. */
export interface Agreement {
  readonly role: "client" | "provider";
  readonly callId: Hex;
  readonly dealId: Hex;
  readonly deal: Deal;
  readonly client: Consent;
  readonly provider: Consent;
  /** The other side. */
  readonly peer: PeerName;
  readonly spec: Uint8Array;
  /** Unix milliseconds of our clock. */
  readonly agreedAtMs: number;
  /** Leaves behind the deal's splitsRoot, where it has one. */
  readonly shares?: readonly { readonly account: Address; readonly millionths: number }[];
  /** Set where the deal was bought, not negotiated. The client then has no signature of the provider, which opens it. */
  readonly purchase?: Purchase;
}

/** How a call ended for the client. */
export type CallOutcome =
  | { readonly kind: "agreed"; readonly agreement: Agreement }
  | { readonly kind: "failed"; readonly callId: Hex; readonly code: CallFailure };

export type CallFailure = "NO_BIDS" | "ALL_WINNERS_FAILED" | "NO_AGREEMENT" | "WITHDRAWN";

export interface NegotiatorOptions {
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  readonly transport: Transport;
  readonly identity: IdentityReader;
  readonly store: Store;
  /** Unix seconds of the chain's latest block. */
  readonly chainTime: () => number;
  /** 256 random bits: makes calls and bids different. */
  readonly random: () => bigint;
  /** Scores by which documents admit and price bonds. Absent: nobody has a score. */
  readonly standing?: StandingPort;
  /** Credentials by which documents admit. Absent: nobody has one. */
  readonly credentials?: CredentialPort;
  /** Without one the agent bids on nothing. */
  readonly bidder?: Bidder;
  /**
   * A deal that both sides signed. Called at least once a deal, again after each restart: whoever takes it stores it
   * before it returns, and knows it by its dealId.
   */
  readonly onAgreed: (agreement: Agreement) => void;
  /** A call of ours that ended without a deal, one that was made before a restart included. */
  readonly onFailed?: (call: Call, code: CallFailure) => void;
  readonly clock?: Clock;
  /** Told of our own failures; a stranger's are verdicts. */
  readonly onFault?: (fault: unknown) => void;
}

/** Runs both sides of `/surety/negotiate/1` for one agent over a transport. */
export interface Negotiator {
  /** Serves the protocol and resumes every session of the store. */
  start(): Promise<void>;
  /** Ends timers and requests; sessions stay in the store. Idempotent. */
  stop(): Promise<void>;
  /**
   * Calls for bids and sees it through to an agreement. When the signal aborts the call is withdrawn.
   * @throws SuretyError CALL_INVALID; CALL_NOBODY_ADMITTED: no invitee has the credential that the rules ask for; NEGOTIATOR_STOPPED (retryable), the call then goes on after a restart
   */
  callForBids(request: CallRequest, signal: AbortSignal): Promise<CallOutcome>;
  /** How many calls of others we have open. */
  openSessions(): number;
  /** What shows that a deal of this call was its award, on whichever side we were; undefined once it is forgotten. */
  awardOf(callId: Hex): AwardEvidence | undefined;
}
