// What agents and strangers say of agents, as ERC-8004 has it.
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
  indexedText,
  indexedBytes,
  indexedWide,
  agent,
} from "./columns.ts";

export const feedbackTables = {
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
} as const satisfies Record<string, Readonly<Record<string, Column>>>;
