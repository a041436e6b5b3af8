// Jobs, deals, tabs, disputes, and the stake behind them.
import {
  type Column,
  int,
  wide,
  big,
  bytes,
  text,
  nullableWide,
  nullableBig,
  nullableBytes,
  nullableText,
  indexedText,
  indexedBytes,
  indexedWide,
  agent,
  deal,
} from "./columns.ts";

export const settlementTables = {
  /** ERC-8183. id = jobId. */
  jobs: {
    id: text,
    client: indexedBytes,
    /** Null = not named yet. */
    provider: { kind: "bytes", isNullable: true, isIndexed: true },
    evaluator: indexedBytes,
    budget: big,
    expiredAt: wide,
    /** Open, Funded, Submitted, Completed, Rejected or Expired. */
    status: indexedText,
    deliverable: nullableBytes,
    reason: nullableBytes,
    createdAt: indexedWide,
    updatedAt: wide,
  },
  /** id = dealId. Terms are those of the Deal struct. */
  deals: {
    id: text,
    client: agent,
    provider: agent,
    topic: big,
    token: bytes,
    price: { kind: "big", isIndexed: true },
    providerBond: big,
    clientBond: big,
    submitBy: wide,
    reviewPeriod: wide,
    arbiter: bytes,
    arbiterDeadline: wide,
    mechanismHash: bytes,
    certificateHash: bytes,
    specHash: bytes,
    splitsRoot: bytes,
    epoch: wide,
    hook: bytes,
    salt: big,
    /** Funded, Submitted, Completed, Refunded, Disputed, Resolved or Cancelled. */
    state: { kind: "text", isIndexed: true },
    payer: bytes,
    fundedAt: indexedWide,
    fundedTx: bytes,
    deliverableHash: nullableBytes,
    reviewUntil: nullableWide,
    submittedAt: nullableWide,
    submittedTx: nullableBytes,
    endedAt: nullableWide,
    endedTx: nullableBytes,
    /** Of the price, released before the end. */
    released: big,
    /** What the provider earned and its shares have not got yet. */
    undistributed: big,
    /** Who got the money: the provider's payee or the payer. */
    payee: nullableBytes,
    payout: nullableBig,
    /** Of a resolved deal: Even, ForClient, ForProvider or Agreed, and what went back to the payer. */
    resolution: nullableText,
    returned: nullableBig,
    /** -100..100; 0 = ended without a rating; null = neither completed nor resolved. */
    rating: { kind: "int", isNullable: true },
    /** The ledger refused the record: the money moved all the same. */
    isTrustSkipped: { kind: "flag" },
    /** Calls of the hook that failed. */
    hookFailures: int,
  },
  /** What a share of a deal's earnings got. id = transaction:logIndex. */
  shares: {
    id: text,
    deal,
    account: { kind: "bytes", isIndexed: true },
    amount: big,
    timestamp: wide,
    transaction: bytes,
  },
  /** id = dealId. Fees are in native value. */
  disputes: {
    id: text,
    deal,
    arbiter: { kind: "bytes", isIndexed: true },
    reasonHash: bytes,
    /** None = the arbiter charges nothing and rules by itself; ProviderOwes, ClientOwes, Paid, Created, Ruled or Closed. */
    stage: { kind: "text", isIndexed: true },
    clientFee: big,
    providerFee: big,
    /** Last second for the side that owes, or for the ruling once the dispute is created. */
    feeBy: wide,
    /** At the arbitrator; null = not created there. */
    disputeId: nullableBig,
    appeals: int,
    /** 0 refused, 1 for the client, 2 for the provider; null = none. */
    ruling: { kind: "int", isNullable: true },
    returnedToClient: nullableBig,
    returnedToProvider: nullableBig,
    startedAt: indexedWide,
    startedTx: bytes,
    ruledAt: nullableWide,
    ruledTx: nullableBytes,
  },
  /** An agent in the panel of staked jurors. id = agent. */
  jurors: { id: text, agent, enlisted: { kind: "big", isIndexed: true }, bonds: big, updatedAt: wide },
  /** A dispute at the panel. id = the panel's disputeId. */
  panelDisputes: {
    id: text,
    arbitrable: { kind: "bytes", isIndexed: true },
    rounds: int,
    /** 0 = refused; null = not ruled yet. */
    ruling: { kind: "int", isNullable: true },
    /** False = no round had a quorum. */
    isDecided: { kind: "flag" },
    /** The arbitrable refused the ruling when it was delivered first. */
    isRefused: { kind: "flag" },
    createdAt: indexedWide,
    createdTx: bytes,
    ruledAt: nullableWide,
  },
  /** id = disputeId:round. */
  panelRounds: {
    id: text,
    dispute: { kind: "text", refersTo: "panelDisputes" },
    number: int,
    /** Jurors that were asked for, and that were drawn. */
    size: int,
    drawn: int,
    seedBlock: big,
    payer: bytes,
    fees: big,
    commitUntil: nullableWide,
    revealUntil: nullableWide,
    appealUntil: nullableWide,
    /** Jurors that voted with the ruling; null = not settled. */
    coherent: { kind: "int", isNullable: true },
    feesPaid: nullableBig,
    bondsPaid: nullableBig,
  },
  /** id = disputeId:round:agentId. */
  jurorSeats: {
    id: text,
    round: { kind: "text", refersTo: "panelRounds" },
    agent,
    commitment: nullableBytes,
    /** Null = not revealed. */
    choice: { kind: "int", isNullable: true },
  },
  /** id = tabId. Terms are those of the Tab struct. */
  tabs: {
    id: text,
    client: agent,
    provider: agent,
    topic: big,
    token: bytes,
    mechanismHash: bytes,
    signerHash: bytes,
    expiry: wide,
    challengePeriod: wide,
    salt: big,
    /** Open, Closing or Closed. */
    state: { kind: "text", isIndexed: true },
    payer: bytes,
    deposit: big,
    /** What the provider has claimed so far, with the sums of ratings of the last voucher and its number of tasks. */
    paid: big,
    seq: wide,
    satisfiedSum: wide,
    unsatisfiedSum: wide,
    /** First second at which anyone may close; null = nobody wishes to. */
    closesAt: nullableWide,
    /** What went back to the payer. */
    returned: nullableBig,
    isTrustSkipped: { kind: "flag" },
    openedAt: indexedWide,
    openedTx: bytes,
    closedAt: nullableWide,
    closedTx: nullableBytes,
  },
  /** One voucher that was claimed. id = transaction:logIndex. */
  tabClaims: {
    id: text,
    tab: { kind: "text", refersTo: "tabs" },
    payee: bytes,
    amount: big,
    seq: wide,
    /** Points of local trust that it moved. */
    satisfied: wide,
    unsatisfied: wide,
    timestamp: indexedWide,
    transaction: bytes,
  },
  /** id = agent. Amounts in the stake token's smallest unit. */
  stakes: {
    id: text,
    agent,
    staked: { kind: "big", isIndexed: true },
    locked: big,
    unbonding: big,
    withdrawableAt: wide,
    slashed: big,
    updatedAt: wide,
  },
  /** Stake that a module took. id = transaction:logIndex. */
  slashes: {
    id: text,
    agent,
    module: { kind: "bytes", isIndexed: true },
    reporter: bytes,
    amount: big,
    /** Of it, from what was unbonding. */
    fromUnbonding: big,
    reward: big,
    timestamp: indexedWide,
    transaction: bytes,
  },
  /** An agent that signed two things where it may sign one, as it was shown to the chain. id = offenceId. */
  forks: {
    id: text,
    agent,
    /** Equivocation: two headers of one seq of its log. DoubleSigning: two batch headers of one window. */
    offence: { kind: "text", isIndexed: true },
    reporter: bytes,
    /** Stake that it cost so far. */
    taken: big,
    /** Whose calldata holds both headers. */
    transaction: bytes,
    timestamp: indexedWide,
  },
} as const satisfies Record<string, Readonly<Record<string, Column>>>;
