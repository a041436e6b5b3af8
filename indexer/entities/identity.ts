// Agents, who speaks for them, and who answers for them.
import {
  type Column,
  int,
  wide,
  big,
  bytes,
  text,
  nullableWide,
  nullableBytes,
  nullableText,
  flag,
  list,
  indexedText,
  indexedBytes,
  indexedWide,
  agent,
} from "./columns.ts";

export const identityTables = {
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
} as const satisfies Record<string, Readonly<Record<string, Column>>>;
