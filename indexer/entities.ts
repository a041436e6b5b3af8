/**
 * Every entity that the indexer derives from the chain. This table is THE definition: the SQL tables, the row types of
 * the handlers, the GraphQL types with their filters, and the comparison of `verify` all come from it.
 */

/**
 * Kinds of column.
 * - int: at most 32 bits, a GraphQL Int. wide: at most 48 bits (Unix seconds, sums), a number here, a decimal string outside.
 * - big: up to 256 bits, a bigint here, a decimal string outside. bytes: lower-case 0x hex. text: any string. flag: boolean.
 * - decimal: a signed decimal fraction as text, at most 18 places, that compares as a number. list: strings, joined by `joinList`.
 */
export type ColumnKind = "int" | "wide" | "big" | "bytes" | "text" | "flag" | "decimal" | "list";

export interface Column {
  readonly kind: ColumnKind;
  readonly isNullable?: true;
  /** The table whose id this column holds; GraphQL follows it. */
  readonly refersTo?: string;
  /** Sorted and filtered often. Columns that refer to a table are indexed anyway. */
  readonly isIndexed?: true;
}

const int = { kind: "int" } as const;
const wide = { kind: "wide" } as const;
const big = { kind: "big" } as const;
const bytes = { kind: "bytes" } as const;
const text = { kind: "text" } as const;
const nullableWide = { kind: "wide", isNullable: true } as const;
const nullableBig = { kind: "big", isNullable: true } as const;
const nullableBytes = { kind: "bytes", isNullable: true } as const;
const nullableText = { kind: "text", isNullable: true } as const;
const flag = { kind: "flag" } as const;
const list = { kind: "list" } as const;
const indexedText = { kind: "text", isIndexed: true } as const;
const indexedBytes = { kind: "bytes", isIndexed: true } as const;
const indexedWide = { kind: "wide", isIndexed: true } as const;
const agent = { kind: "text", refersTo: "agents" } as const;
const topic = { kind: "text", refersTo: "topics" } as const;
const deal = { kind: "text", refersTo: "deals" } as const;
const candidate = { kind: "text", refersTo: "candidates" } as const;

export const tables = {
  /** id = chainId:agentId, as agent0's subgraph has it. */
  agents: {
    id: text,
    chainId: int,
    agentId: { kind: "big", isIndexed: true },
    owner: { kind: "bytes", isIndexed: true },
    agentURI: text,
    /** Null = none set, as after a transfer. */
    agentWallet: nullableBytes,
    /** BAID (eq. 9); null = none. */
    commitment: nullableBytes,
    /** Version of the commitment; 0 = none. */
    version: big,
    /** Head of the version chain (eq. 10). */
    head: nullableBytes,
    /** The signer bound last under the present owner; null = none. */
    newestSigner: { kind: "text", isNullable: true, refersTo: "signers" },
    registeredAt: indexedWide,
    registeredTx: bytes,
    updatedAt: indexedWide,
    /** What the URI itself holds (data:); null = it is elsewhere, and nobody fetches it. */
    registrationFile: { kind: "text", isNullable: true, refersTo: "agentRegistrationFiles" },
    /** Feedback that was given and not revoked. */
    totalFeedback: { kind: "big", isIndexed: true },
    /** Last event of the agent or about it. */
    lastActivity: indexedWide,
  },
  /** A registration file that stands in the URI. id = transaction:logIndex of the event that set it. */
  agentRegistrationFiles: {
    id: text,
    agent,
    agentId: big,
    name: indexedText,
    description: text,
    image: nullableText,
    active: flag,
    x402Support: flag,
    supportedTrusts: list,
    mcpEndpoint: nullableText,
    mcpVersion: nullableText,
    mcpTools: list,
    mcpPrompts: list,
    mcpResources: list,
    a2aEndpoint: nullableText,
    a2aVersion: nullableText,
    a2aSkills: list,
    webEndpoint: nullableText,
    emailEndpoint: nullableText,
    /** Whether skills or domains of OASF are named. */
    hasOASF: flag,
    oasfSkills: list,
    oasfDomains: list,
    ens: nullableText,
    did: nullableText,
    createdAt: wide,
  },
  /** Who may act for all agents of an owner (ERC-721). id = owner:operator. */
  operatorApprovals: { id: text, owner: indexedBytes, operator: indexedBytes, isApproved: flag },
  /** id = chainId:agentId:clientAddress:feedbackIndex, as agent0's subgraph has it. */
  feedbacks: {
    id: text,
    agent,
    clientAddress: indexedBytes,
    feedbackIndex: big,
    value: { kind: "decimal", isIndexed: true },
    valueDecimals: int,
    tag1: indexedText,
    tag2: indexedText,
    endpoint: text,
    feedbackURI: text,
    feedbackHash: bytes,
    isRevoked: flag,
    /** Whether a settled deal stands behind it; what is not backed weighs nothing. */
    isBacked: flag,
    deal: { kind: "text", isNullable: true, refersTo: "deals" },
    clientAgent: { kind: "text", isNullable: true, refersTo: "agents" },
    createdAt: indexedWide,
    revokedAt: nullableWide,
    transaction: bytes,
  },
  /** id = feedback:transaction:logIndex. */
  feedbackResponses: {
    id: text,
    feedback: { kind: "text", refersTo: "feedbacks" },
    responder: indexedBytes,
    responseUri: text,
    responseHash: bytes,
    createdAt: indexedWide,
    transaction: bytes,
  },
  /** One request with its last answer; id = requestHash:agentId:validator. */
  validations: {
    id: text,
    agent,
    validatorAddress: indexedBytes,
    requestHash: indexedBytes,
    requestUri: text,
    /** 0..100; null = not answered. */
    response: { kind: "int", isNullable: true },
    responseUri: nullableText,
    responseHash: nullableBytes,
    tag: nullableText,
    answerCount: int,
    createdAt: indexedWide,
    updatedAt: indexedWide,
  },
  /** Every answer, the last one included. id = transaction:logIndex. */
  validationAnswers: {
    id: text,
    validation: { kind: "text", refersTo: "validations" },
    response: int,
    responseUri: text,
    responseHash: bytes,
    tag: text,
    createdAt: wide,
  },
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
  /** id = agent:key. */
  agentMetadatas: { id: text, agent, key: { kind: "text", isIndexed: true }, value: bytes, updatedAt: wide },
  /** id = transaction:logIndex. */
  transfers: { id: text, agent, from: bytes, to: bytes, blockNumber: indexedWide, timestamp: wide, transaction: bytes },
  /** One step of an agent's version chain; id = agent:version. */
  commitments: {
    id: text,
    agent,
    version: big,
    commitment: bytes,
    head: bytes,
    /** The owner's over BindingUpdate; empty for the first, which came with the registration. */
    signature: bytes,
    timestamp: wide,
    transaction: bytes,
  },
  /** id = signerHash. */
  signers: {
    id: text,
    agent,
    /** ERC-7913 bytes. */
    signer: bytes,
    purpose: { kind: "bytes", isIndexed: true },
    validFrom: indexedWide,
    /** First second of invalidity; 0 = no end. */
    validUntil: wide,
    /** What it signed at or after this second does not count: revoked, or its owner's tenure ended; null = neither. */
    invalidFrom: nullableWide,
    /** Its key's possession was not proven to the chain. */
    isUnchecked: { kind: "flag" },
    /** The signer that was bound before it under the same owner; null = none. */
    olderSigner: { kind: "text", isNullable: true, refersTo: "signers" },
    boundTx: bytes,
    revokedTx: nullableBytes,
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
  /** Who answers for an agent: its last credential. id = agent. It counts while the owner is the one that presented it. */
  credentials: {
    id: text,
    agent,
    /** Nullifier of the person in this deployment's scope. */
    operator: { kind: "bytes", isIndexed: true },
    owner: bytes,
    source: int,
    level: int,
    validUntil: wide,
    presentedAt: wide,
    presentedTx: bytes,
    renouncedAt: nullableWide,
  },
  /** A range of a log whose root the chain keeps. id = log:fromSeq. */
  logAnchors: {
    id: text,
    agent,
    log: { kind: "bytes", isIndexed: true },
    fromSeq: wide,
    toSeq: wide,
    root: bytes,
    stateHead: bytes,
    timestamp: indexedWide,
    transaction: bytes,
  },
  /** What guardians may do for an agent, and do. id = agent. */
  recoveries: {
    id: text,
    agent,
    /** 0 = no recovery under the owner who set it. */
    threshold: int,
    delay: wide,
    /** Set, Started, Cancelled or Executed. */
    state: { kind: "text", isIndexed: true },
    newOwner: nullableBytes,
    executableAt: nullableWide,
    /** Recoveries that were started. */
    attempts: big,
    updatedAt: indexedWide,
    transaction: bytes,
  },
  /** id = the topic as a decimal number. */
  topics: {
    id: text,
    /** Seats as they stand now, dust seat included. */
    seatCount: wide,
    /** Epoch in which the last seat was taken, and how many there were when it began. */
    seatEpoch: wide,
    seatCountBefore: wide,
    finalizedEpoch: nullableWide,
    finalizedCandidate: { kind: "text", isNullable: true, refersTo: "candidates" },
  },
  /** id = topic:agentId. */
  seats: { id: text, topic, agent, seat: indexedWide, epoch: wide },
  /** Sums of ratings as they stand now; id = topic:client:provider. */
  localTrusts: {
    id: text,
    topic,
    client: agent,
    provider: agent,
    satisfied: wide,
    unsatisfied: wide,
    /** max(satisfied - unsatisfied, 0). */
    weight: indexedWide,
    epoch: wide,
    updatedAt: wide,
  },
  /** id = number of the epoch that was scored. */
  epochs: { id: text, number: indexedWide, candidateCount: int, standingCount: int, finalizedTopicCount: int },
  /** id = candidateId. */
  candidates: {
    id: text,
    epoch: { kind: "text", refersTo: "epochs" },
    publisher: agent,
    closingBlockHash: bytes,
    /** standing, or struck. Whether a topic was finalized with it says topicRoots. */
    state: { kind: "text", isIndexed: true },
    /**
     * announced: the leaves are published elsewhere. verified: they are here and hash to every root. mismatch: they do
     * not. unavailable: struck because nobody could show them.
     */
    leavesState: { kind: "text", isIndexed: true },
    /** Row, Sum, Edge, Seat, Prior or Unavailable; null = not struck. */
    fault: nullableText,
    challenger: nullableBytes,
    slashed: nullableBig,
    reward: nullableBig,
    isBondReleased: { kind: "flag" },
    committedBlock: wide,
    committedAt: indexedWide,
    committedTx: bytes,
    struckTx: nullableBytes,
  },
  /** One topic of a candidate; id = candidateId:topic. */
  topicRoots: {
    id: text,
    candidate,
    topic,
    epoch: indexedWide,
    /** Position in the commit. */
    position: int,
    root: bytes,
    /** λ = multiplier / 2^shift. */
    multiplier: big,
    shift: int,
    leafCount: wide,
    leavesState: text,
    finalizedAt: nullableWide,
    finalizedTx: nullableBytes,
  },
  /** One leaf of a verified topic; id = candidateId:topic:seat. */
  scores: {
    id: text,
    candidate,
    topic,
    epoch: indexedWide,
    seat: wide,
    agent,
    /** Share of 2^62. */
    score: { kind: "big", isIndexed: true },
    cum: big,
    prior: wide,
    rowSum: wide,
    leaf: bytes,
  },
} as const satisfies Record<string, Readonly<Record<string, Column>>>;

export type TableName = keyof typeof tables;
export const tableNames = Object.keys(tables) as TableName[];

/** Changes whenever stored rows would no longer mean the same: an older database is then rebuilt from the chain. */
export const SCHEMA_VERSION = 4;

interface ValueOfKind {
  int: number;
  wide: number;
  big: bigint;
  bytes: string;
  text: string;
  flag: boolean;
  decimal: string;
  list: string;
}
type ValueOf<C> = C extends Column
  ? ValueOfKind[C["kind"]] | (C extends { readonly isNullable: true } ? null : never)
  : never;

/** A row of one table. */
export type Row<T extends TableName> = { readonly [K in keyof (typeof tables)[T]]: ValueOf<(typeof tables)[T][K]> };

/** Indexes over several columns, for the look-ups that one column does not narrow down. */
export const compositeIndexes: readonly { readonly table: TableName; readonly columns: readonly string[] }[] = [
  { table: "scores", columns: ["candidate", "topic", "seat"] },
  { table: "scores", columns: ["agent", "topic", "epoch"] },
];

/** Begins and ends each item of a list column; no item holds it. */
const LIST_MARK = "\u001f";

/** A list column's value: an item is contained if its marked form is. */
export function joinList(items: readonly string[]): string {
  return items.map((item) => markItem(item)).join("");
}

export function splitList(value: string): string[] {
  return value === "" ? [] : value.slice(1, -1).split(LIST_MARK + LIST_MARK);
}

export function markItem(item: string): string {
  return `${LIST_MARK}${item.replaceAll(LIST_MARK, "")}${LIST_MARK}`;
}

export type Value = number | bigint | string | boolean | null;
/** A row of whatever table, where the code is generic. */
export type AnyRow = Readonly<Record<string, Value>>;

export function columnsOf(table: TableName): Readonly<Record<string, Column>> {
  return tables[table];
}
