import { contentHashOf, divideByShares, draftMechanism, fractions, type MechanismDocument } from "#protocol";
import type { Hex } from "viem";
import type { GraphProgress } from "../negotiation/task-graph.ts";
import type { TaskRequest } from "../task-request.ts";
import type { GraphRequest, RewardShare, SubtaskRequest } from "./port.ts";

/** Topic of the deal that pays a joint reward. Every node takes and delivers it by itself: there is nothing to do but to be paid. */
export const JOINT_REWARD_TOPIC = "joint_reward";

const { add, fraction, zero } = fractions;
const WHOLE = 1_000_000n;
const REVIEW_S = 60;
const BID_WITHIN_MS = 8_000;
const SUBMIT_WITHIN_S = 3_600;

/** Where a provider's part goes: the account whose key signed its deal. */
export interface Receipt {
  readonly agentId: bigint;
  readonly account: Hex;
}

/**
 * Each provider's Shapley value of the game in which a coalition is worth what the subtasks add whose whole chain of needs it
 * delivered. That is a sum of unanimity games, so each subtask's worth is shared equally by the distinct providers of
 * its chain: the closed form, for any number of players. Only receipts count: `receiptOf` gives who was paid for a subtask.
 */
export function attributeGraph(
  { subtasks }: GraphRequest,
  receiptOf: (name: string) => Receipt,
): readonly RewardShare[] {
  const players = new Map(subtasks.map(({ name }) => [receiptOf(name).agentId, receiptOf(name)]));
  const values = new Map([...players.keys()].map((agentId) => [agentId, zero]));
  for (const subtask of subtasks) {
    const worth = worthOf(subtask, subtasks);
    if (worth === 0n) continue;
    const team = new Set(chainOf(subtask.name, subtasks).map((name) => receiptOf(name).agentId));
    for (const agentId of team)
      values.set(agentId, add(values.get(agentId) ?? zero, fraction(worth, BigInt(team.size))));
  }
  const ranked = [...players.values()].sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  const parts = divideByShares(
    WHOLE,
    ranked.map(({ agentId }) => values.get(agentId) ?? zero),
  );
  return ranked
    .map(({ agentId, account }, i) => ({ agentId, account, millionths: Number(parts[i]) }))
    .filter(({ millionths }) => millionths > 0);
}

/** What the subtask's delivery adds, by its own word or by its place in the graph. */
export function worthOf({ name, worth }: SubtaskRequest, subtasks: readonly SubtaskRequest[]): bigint {
  const isSink = !subtasks.some(({ needs }) => needs.includes(name));
  return worth ?? (isSink ? 1n : 0n);
}

/** A subtask and everything that it needs, however far back. */
export function chainOf(name: string, subtasks: readonly SubtaskRequest[]): readonly string[] {
  const chain = new Set([name]);
  for (const member of chain)
    for (const need of subtasks.find((subtask) => subtask.name === member)?.needs ?? []) chain.add(need);
  return [...chain];
}

/** One deal with the largest sharer, whose price is the reward and whose splitsRoot pays every share. */
export function rewardTaskOf(
  graphId: string,
  { rewardWei }: GraphRequest,
  { failedDeals, states }: GraphProgress,
  shares: readonly RewardShare[],
): TaskRequest {
  const lead = shares.reduce((best, share) => (share.millionths > best.millionths ? share : best));
  const deals = Object.entries(states).flatMap(([name, state]) =>
    state.kind === "done" ? [{ name, dealId: state.dealId, deliverableHash: state.deliverableHash }] : [],
  );
  return {
    spec: {
      topic: JOINT_REWARD_TOPIC,
      title: `Joint reward of graph ${graphId}`,
      input: { graphId, deals, failed: failedDeals.map(({ dealId }) => dealId) },
    },
    ...{ query: "", reservePriceWei: rewardWei, valuePerQuality: 0n, maxInvited: 1, minScore: 0 },
    ...{ biddingMs: BID_WITHIN_MS, submitWithinS: SUBMIT_WITHIN_S },
    mechanism: rewardRulesOf(rewardWei, shares),
    invitedAgentIds: [lead.agentId],
  };
}

function rewardRulesOf(priceWei: bigint, shares: readonly RewardShare[]): MechanismDocument {
  const draft = draftMechanism({ name: "Joint reward", topics: [JOINT_REWARD_TOPIC], rule: "posted-price", priceWei });
  const named = shares.map(({ account, millionths }) => ({ account, millionths }));
  return {
    ...draft,
    purpose:
      "Pays those without whom a graph of tasks would not have been done, by their Shapley values over settled deals.",
    split: { rule: "fixed", shares: named },
    review: { ...draft.review, periodS: REVIEW_S },
    deadlines: { ...draft.deadlines, bidWithinMs: BID_WITHIN_MS, submitWithinS: SUBMIT_WITHIN_S },
  };
}

/** What the lead delivers for the reward: the hash of the deals that it names. */
export const rewardDeliverableOf = (spec: Uint8Array): Uint8Array => new TextEncoder().encode(contentHashOf(spec));
