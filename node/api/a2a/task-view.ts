import { Role, TaskState, type Artifact, type Message, type Part, type TaskStatus } from "@a2a-js/sdk";
import type { Assignment } from "../../desk/desk.ts";
import { UNTRUSTED_NOTICE } from "../../desk/untrusted.ts";

// A task of the node as A2A shows it: state, words of ours about it, and what there is to have.

const JSON_TYPE = "application/json";

export const textPart = (value: string): Part => ({
  ...{ content: { $case: "text", value }, mediaType: "text/plain", filename: "", metadata: {} },
});

export const dataPart = (value: object): Part => ({
  ...{ content: { $case: "data", value: plain(value) }, mediaType: JSON_TYPE, filename: "", metadata: {} },
});

const plain = (value: object): unknown =>
  JSON.parse(JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)));

export function stateOf({ state, isReviewOpen }: Assignment): TaskState {
  if (isReviewOpen) return TaskState.TASK_STATE_INPUT_REQUIRED;
  if (state === "searching") return TaskState.TASK_STATE_SUBMITTED;
  if (state === "settled") return TaskState.TASK_STATE_COMPLETED;
  if (state === "cancelled") return TaskState.TASK_STATE_CANCELED;
  return state === "failed" || state === "refunded" ? TaskState.TASK_STATE_FAILED : TaskState.TASK_STATE_WORKING;
}

/** @param ids of the A2A task, not of the node's */
export function statusOf(seen: Assignment, ids: { taskId: string; contextId: string }): TaskStatus {
  return { state: stateOf(seen), message: say(wordsOf(seen), ids), timestamp: new Date().toISOString() };
}

export function say(text: string, { taskId, contextId }: { taskId: string; contextId: string }): Message {
  return {
    ...{ messageId: crypto.randomUUID(), taskId, contextId, role: Role.ROLE_AGENT, parts: [textPart(text)] },
    ...{ metadata: {}, extensions: [], referenceTaskIds: [] },
  };
}

function wordsOf({ state, dealState, isReviewOpen, reason, providerAgentId, priceWei }: Assignment): string {
  if (isReviewOpen)
    return "Delivered. Judge it: { accept: true, rating } or { dispute: reason }; silence accepts it unrated.";
  if (state === "searching") return "Looking for providers.";
  if (state === "negotiating") return "Calling for bids.";
  if (state === "settling")
    return `Agent ${providerAgentId} agreed for ${priceWei}; the deal is ${dealState ?? "signed"}.`;
  if (state === "settled") return `Settled with agent ${providerAgentId} for ${priceWei}.`;
  return reason === null ? `The task is ${state}.` : `The task is ${state}: ${reason}.`;
}

/** The delivery once there is one, and the receipt once it ended with a deal. */
export function artifactsOf(seen: Assignment): Artifact[] {
  const { delivery, dealId, isEnded, providerAgentId, priceWei, rating, state, token } = seen;
  const delivered = delivery === null ? [] : [artifactOf("delivery", UNTRUSTED_NOTICE, delivery)];
  if (!isEnded || dealId === null) return delivered;
  const receipt = { dealId, providerAgentId, priceWei, token, rating, state };
  return [...delivered, artifactOf("receipt", "How the deal ended, as the escrow holds it.", receipt)];
}

const artifactOf = (name: string, description: string, value: object): Artifact => ({
  ...{ artifactId: name, name, description, parts: [dataPart(value)], metadata: {}, extensions: [] },
});
