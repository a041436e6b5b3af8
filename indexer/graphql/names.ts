import type { TableName } from "../entities.ts";

/** GraphQL names of each table: type, root field of one (absent = ids only), lists on other types. */
export const entityNames: Record<TableName, { readonly type: string; readonly one?: string }> = {
  agents: { type: "Agent", one: "agent" },
  agentMetadatas: { type: "AgentMetadata", one: "agentMetadata" },
  agentRegistrationFiles: { type: "AgentRegistrationFile", one: "agentRegistrationFile" },
  operatorApprovals: { type: "OperatorApproval", one: "operatorApproval" },
  feedbacks: { type: "Feedback", one: "feedback" },
  feedbackResponses: { type: "FeedbackResponse", one: "feedbackResponse" },
  validations: { type: "Validation", one: "validation" },
  validationAnswers: { type: "ValidationAnswer", one: "validationAnswer" },
  jobs: { type: "Job", one: "job" },
  transfers: { type: "Transfer", one: "transfer" },
  commitments: { type: "Commitment", one: "commitment" },
  signers: { type: "Signer", one: "signer" },
  deals: { type: "Deal", one: "deal" },
  shares: { type: "Share", one: "share" },
  disputes: { type: "Dispute", one: "dispute" },
  jurors: { type: "Juror", one: "juror" },
  panelDisputes: { type: "PanelDispute", one: "panelDispute" },
  panelRounds: { type: "PanelRound", one: "panelRound" },
  jurorSeats: { type: "JurorSeat", one: "jurorSeat" },
  tabs: { type: "Tab", one: "tab" },
  tabClaims: { type: "TabClaim", one: "tabClaim" },
  slashes: { type: "Slash", one: "slash" },
  forks: { type: "Fork", one: "fork" },
  credentials: { type: "Credential", one: "credential" },
  logAnchors: { type: "LogAnchor", one: "logAnchor" },
  recoveries: { type: "Recovery", one: "recovery" },
  stakes: { type: "Stake", one: "stake" },
  topics: { type: "Topic", one: "topic" },
  seats: { type: "Seat", one: "seat" },
  localTrusts: { type: "LocalTrust", one: "localTrust" },
  epochs: { type: "Epoch", one: "epoch" },
  candidates: { type: "Candidate", one: "candidate" },
  topicRoots: { type: "TopicRoot", one: "topicRoot" },
  leafRequests: { type: "LeafRequest", one: "leafRequest" },
  // `score` asks for the proof of one agent's score instead.
  scores: { type: "Score" },
};

/** Columns under a second name, by which agent0's clients know them. */
export const columnAliases: Partial<Record<TableName, Readonly<Record<string, string>>>> = {
  agents: { createdAt: "registeredAt" },
};

/** Lists of rows that refer to a row: on type `of`, field `field` lists `table` where `column` is the row's id. */
export const backReferences: readonly {
  readonly of: TableName;
  readonly field: string;
  readonly table: TableName;
  readonly column: string;
}[] = [
  { of: "agents", field: "metadata", table: "agentMetadatas", column: "agent" },
  { of: "agents", field: "transfers", table: "transfers", column: "agent" },
  { of: "agents", field: "versions", table: "commitments", column: "agent" },
  { of: "agents", field: "signers", table: "signers", column: "agent" },
  { of: "agents", field: "dealsAsClient", table: "deals", column: "client" },
  { of: "agents", field: "dealsAsProvider", table: "deals", column: "provider" },
  { of: "agents", field: "feedbacks", table: "feedbacks", column: "agent" },
  { of: "agents", field: "validations", table: "validations", column: "agent" },
  { of: "feedbacks", field: "responses", table: "feedbackResponses", column: "feedback" },
  { of: "validations", field: "answers", table: "validationAnswers", column: "validation" },
  { of: "deals", field: "feedbacks", table: "feedbacks", column: "deal" },
  { of: "agents", field: "tabsAsClient", table: "tabs", column: "client" },
  { of: "agents", field: "tabsAsProvider", table: "tabs", column: "provider" },
  { of: "agents", field: "credentials", table: "credentials", column: "agent" },
  { of: "agents", field: "logAnchors", table: "logAnchors", column: "agent" },
  { of: "agents", field: "recoveries", table: "recoveries", column: "agent" },
  { of: "agents", field: "forks", table: "forks", column: "agent" },
  { of: "agents", field: "slashes", table: "slashes", column: "agent" },
  { of: "deals", field: "shares", table: "shares", column: "deal" },
  { of: "deals", field: "disputes", table: "disputes", column: "deal" },
  { of: "panelDisputes", field: "panelRounds", table: "panelRounds", column: "dispute" },
  { of: "panelRounds", field: "seats", table: "jurorSeats", column: "round" },
  { of: "agents", field: "jurorSeats", table: "jurorSeats", column: "agent" },
  { of: "tabs", field: "claims", table: "tabClaims", column: "tab" },
  { of: "agents", field: "stakes", table: "stakes", column: "agent" },
  { of: "agents", field: "seats", table: "seats", column: "agent" },
  { of: "agents", field: "scores", table: "scores", column: "agent" },
  { of: "topics", field: "seats", table: "seats", column: "topic" },
  { of: "topics", field: "localTrusts", table: "localTrusts", column: "topic" },
  { of: "topics", field: "roots", table: "topicRoots", column: "topic" },
  { of: "epochs", field: "candidates", table: "candidates", column: "epoch" },
  { of: "candidates", field: "topicRoots", table: "topicRoots", column: "candidate" },
  { of: "candidates", field: "leafRequests", table: "leafRequests", column: "candidate" },
  { of: "candidates", field: "scores", table: "scores", column: "candidate" },
];
