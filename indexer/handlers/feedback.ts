import { formatUnits } from "viem";
import type { Row } from "../entities.ts";
import type { Folds } from "./event-types.ts";
import { agentKey, put, type EventPlace, type RowChange, type RowReader } from "./row-change.ts";

export const feedbackFolds: Folds<"feedbackRegistry"> = {
  NewFeedback(args, place, rows) {
    const { agentId, clientAddress, feedbackIndex, value, valueDecimals } = args;
    const { tag1, tag2, endpoint, feedbackURI, feedbackHash } = args;
    const agent = agentKey(place, agentId);
    const feedback = put("feedbacks", {
      ...{ id: feedbackKey(place, agentId, clientAddress, feedbackIndex), agent, clientAddress, feedbackIndex },
      ...{ value: formatUnits(value, valueDecimals), valueDecimals, tag1, tag2, endpoint, feedbackURI, feedbackHash },
      ...{ isRevoked: false, isBacked: false, deal: null, clientAgent: null },
      ...{ createdAt: place.timestamp, revokedAt: null, transaction: place.transaction },
    });
    return [feedback, ...touchAgent(rows, agent, place, 1n)];
  },
  // Comes right after its NewFeedback.
  FeedbackBacked({ dealId, agentId, clientAgentId, clientAddress, feedbackIndex }, place, rows) {
    const clientAgent = agentKey(place, clientAgentId);
    const step = { isBacked: true, deal: dealId, clientAgent };
    return moveFeedback(rows, feedbackKey(place, agentId, clientAddress, feedbackIndex), step);
  },
  FeedbackRevoked({ agentId, clientAddress, feedbackIndex }, place, rows) {
    const step = { isRevoked: true, revokedAt: place.timestamp };
    return [
      ...moveFeedback(rows, feedbackKey(place, agentId, clientAddress, feedbackIndex), step),
      ...touchAgent(rows, agentKey(place, agentId), place, -1n),
    ];
  },
  ResponseAppended({ agentId, clientAddress, feedbackIndex, responder, responseURI, responseHash }, place, rows) {
    const feedback = feedbackKey(place, agentId, clientAddress, feedbackIndex);
    const response = put("feedbackResponses", {
      ...{ id: `${feedback}:${place.transaction}:${place.logIndex}`, feedback, responder },
      ...{ responseUri: responseURI, responseHash, createdAt: place.timestamp, transaction: place.transaction },
    });
    return [response, ...touchAgent(rows, agentKey(place, agentId), place, 0n)];
  },
};

/** id of a feedback as agent0's subgraph has it. */
function feedbackKey(place: EventPlace, agentId: bigint, client: string, index: bigint): string {
  return `${agentKey(place, agentId)}:${client}:${index}`;
}

function moveFeedback(rows: RowReader, id: string, step: Partial<Row<"feedbacks">>): RowChange[] {
  const feedback = rows.get("feedbacks", id);
  return feedback === undefined ? [] : [put("feedbacks", { ...feedback, ...step })];
}

/** Feedback is activity of the agent it is about, but no change of the agent. */
function touchAgent(rows: RowReader, id: string, place: EventPlace, given: bigint): RowChange[] {
  const agent = rows.get("agents", id);
  if (agent === undefined) return [];
  const totalFeedback = agent.totalFeedback + given;
  return [put("agents", { ...agent, totalFeedback, lastActivity: place.timestamp })];
}
