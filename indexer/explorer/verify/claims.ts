// What the server said, as the pages got it: what `verify` compares with the chain.
import type { Hex } from "viem";

/** One thing that was established, or found not to hold. */
export interface Step {
  readonly name: string;
  readonly isOk: boolean;
  readonly detail: string;
  /** server: what this server said is compared with the chain. chain: the chain's own facts are re-derived. */
  readonly about: "server" | "chain";
}

export interface SignerClaim {
  /** signerHash. */
  readonly id: Hex;
  readonly signer: Hex;
  readonly purpose: Hex;
  readonly validFrom: string;
  readonly validUntil: string;
  readonly invalidFrom: string | null;
  readonly isUnchecked: boolean;
  readonly boundTx: Hex;
  readonly revokedTx: Hex | null;
}

export interface AgentClaim {
  /** chainId:agentId. */
  readonly id: string;
  readonly agentId: string;
  readonly owner: Hex;
  readonly agentURI: string;
  readonly agentWallet: Hex | null;
  readonly commitment: Hex | null;
  readonly version: string;
  readonly head: Hex | null;
  readonly signers: readonly SignerClaim[];
  readonly credentials: readonly {
    readonly operator: Hex;
    readonly level: number;
    readonly validUntil: string;
    readonly renouncedAt: string | null;
  }[];
  readonly stakes: readonly {
    readonly staked: string;
    readonly locked: string;
    readonly unbonding: string;
    readonly withdrawableAt: string;
    readonly slashed: string;
  }[];
}

export interface ScoreClaim {
  readonly agentId: string;
  readonly topic: string;
  /** The score that the page shows. */
  readonly shown: string;
  readonly score: string;
  readonly prior: string;
  readonly epoch: string;
  readonly root: Hex;
  readonly index: string;
  readonly leaf: Hex;
  readonly leafCount: string;
  readonly proof: readonly Hex[];
  readonly publishedIn: Hex;
}

/** All leaves of a topic's finalized epoch, as they were listed. */
export interface TopicClaim {
  readonly topic: string;
  readonly epoch: string;
  readonly root: Hex;
  readonly leafCount: string;
  readonly leaves: readonly {
    readonly seat: string;
    readonly agent: string;
    readonly score: string;
    readonly leaf: Hex;
  }[];
}

export interface DealClaim {
  readonly id: Hex;
  readonly client: { readonly id: string } | null;
  readonly provider: { readonly id: string } | null;
  readonly topic: string;
  readonly token: Hex;
  readonly price: string;
  readonly providerBond: string;
  readonly clientBond: string;
  readonly submitBy: string;
  readonly reviewPeriod: string;
  readonly arbiter: Hex;
  readonly arbiterDeadline: string;
  readonly mechanismHash: Hex;
  readonly certificateHash: Hex;
  readonly specHash: Hex;
  readonly splitsRoot: Hex;
  readonly epoch: string;
  readonly hook: Hex;
  readonly salt: string;
  readonly state: string;
  readonly payer: Hex;
  readonly fundedTx: Hex;
  readonly deliverableHash: Hex | null;
  readonly submittedTx: Hex | null;
  readonly endedTx: Hex | null;
  readonly payee: Hex | null;
  readonly payout: string | null;
  readonly released: string;
  readonly rating: number | null;
}

export interface ForkClaim {
  /** offenceId. */
  readonly id: Hex;
  readonly agent: { readonly id: string } | null;
  readonly offence: string;
  readonly taken: string;
  readonly transaction: Hex;
}
