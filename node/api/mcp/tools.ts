import { bytesToHex } from "viem";
import { SuretyError } from "#protocol";
import type { AgentDesk } from "../../desk/agents.ts";
import { auditAgent, auditDeal, type AuditDeskOptions } from "../../desk/audit.ts";
import type { Caller, Decision, Desk } from "../../desk/desk.ts";
import {
  amount,
  assignment,
  audited,
  flag,
  foundAgents,
  fraction,
  integer,
  listOf,
  objectOf,
  provenReputation,
  text,
  verifiedIdentity,
  type ObjectSchema,
} from "./schemas.ts";

// What a model may do with an agent. Each tool is one call of a stage of the node; what it spends is bounded by the
// configuration, whatever the model was talked into.

/** What a tool says of itself, the same over MCP and over HTTP. */
export interface ToolDescription {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: ObjectSchema;
  readonly outputSchema: ObjectSchema;
  /** Hints of MCP: whether it only reads, whether it can undo nothing, whether it reaches strangers. */
  readonly annotations: {
    readonly readOnlyHint: boolean;
    readonly destructiveHint: boolean;
    readonly openWorldHint: boolean;
  };
}

export interface Desks {
  readonly agents: AgentDesk;
  readonly orders: Desk;
  readonly audit: AuditDeskOptions;
}

/** Input that the tool's schema holds for. */
type Input = Readonly<Record<string, unknown>>;
type Run = (input: Input, desks: Desks, caller: Caller, signal: AbortSignal) => Promise<object>;

/** Seconds that a call may wait: less than the minute after which clients and proxies give up. */
const MAX_WAIT_S = 50;
const DEFAULT_WAIT_S = 20;

const reads = { readOnlyHint: true, destructiveHint: false, openWorldHint: true };
const spends = { readOnlyHint: false, destructiveHint: true, openWorldHint: true };
const agentId = amount("The agent's number in the identity registry");
const topic = text(128, "Topic of the work, as providers declare it, such as data_analysis");
const taskId = text(64, "The taskId that negotiate returned");
const waitSeconds = integer(0, MAX_WAIT_S, `How long to wait for news; ${DEFAULT_WAIT_S} without it`);

export const toolDescriptions: readonly ToolDescription[] = [
  {
    name: "find_agents",
    title: "Find agents",
    description:
      "Finds agents that offer a kind of work, best first by match, proven score and liveness. Prices are in the token's smallest unit.",
    inputSchema: objectOf(
      {
        query: text(512, "What the work is about, in words; empty lists all that pass the filters", 0),
        topic,
        minScore: fraction("Least score, a fraction of the best one found; 0 includes newcomers"),
        maxPriceWei: amount("Most expensive list price"),
        limit: integer(1, 20, "How many; 5 without it"),
      },
      ["query"],
    ),
    outputSchema: foundAgents,
    annotations: reads,
  },
  {
    name: "verify_identity",
    title: "Verify an agent's identity",
    description:
      "Checks an agent on chain and in its signed log: owner, LOG signer, declaration, peer, one history, code commitment, stake.",
    inputSchema: objectOf({ agentId }, ["agentId"]),
    outputSchema: verifiedIdentity,
    annotations: reads,
  },
  {
    name: "get_reputation",
    title: "Get an agent's proven reputation",
    description:
      "The agent's score in a topic, from the last finalized epoch, with its Merkle proof, which was checked against the chain's root.",
    inputSchema: objectOf({ agentId, topic }, ["agentId", "topic"]),
    outputSchema: provenReputation,
    annotations: reads,
  },
  {
    name: "negotiate",
    title: "Have work done",
    description:
      "Calls for bids on a task, awards it by a sealed second price, and opens a bonded deal on chain: this commits money, up to maxPriceWei and the limits of the agent's owner. Returns a taskId; follow it with settle.",
    inputSchema: objectOf(
      {
        topic,
        title: text(256, "The task in one line"),
        input: { description: "What the provider gets: any JSON value that its offer asks for" },
        query: text(512, "Words by which providers are searched; the title without it"),
        maxPriceWei: amount("The most that the work may cost, in the token's smallest unit"),
        valuePerQualityWei: amount(
          "What one percent of promised quality is worth; 0 without it: the lowest price wins",
        ),
        submitWithinSeconds: integer(5, 86_400, "When the delivery is due; 600 without it"),
        minScore: fraction("Least score of an invited agent, a fraction of the best one found"),
        maxInvited: integer(1, 16, "How many agents are invited; 8 without it"),
        review: flag("Judge the delivery yourself with settle, within ten minutes; true without it"),
        waitSeconds,
      },
      ["topic", "title", "input", "maxPriceWei"],
    ),
    outputSchema: assignment,
    annotations: spends,
  },
  {
    name: "settle",
    title: "Follow, accept or dispute a task",
    description:
      "wait: news of a task. accept: pays the delivery and rates it from -100 to 100, for good. dispute: asks the arbiter. cancel: withdraws a task that nobody has agreed to, or asks the provider to cancel.",
    inputSchema: objectOf(
      {
        taskId,
        action: { enum: ["wait", "accept", "dispute", "cancel"], description: "What to do" },
        rating: integer(-100, 100, "For accept; 0 rates nothing"),
        reason: text(1_024, "For dispute: what is wrong with the delivery"),
        waitSeconds,
      },
      ["taskId", "action"],
    ),
    outputSchema: assignment,
    annotations: spends,
  },
  {
    name: "audit",
    title: "Get evidence that anybody can check",
    description:
      "For an agentId: a bundle that proves its state against one block hash, offline. For a taskId: the signed evidence of its deal, checked.",
    inputSchema: objectOf(
      { agentId, topics: listOf(topic, 8, "Topics whose scores to prove; all finalized ones without it"), taskId },
      [],
    ),
    outputSchema: audited,
    annotations: reads,
  },
];

const runs: Readonly<Record<string, Run>> = {
  find_agents: (input, { agents }, _caller, signal) =>
    agents.find(
      {
        query: input["query"] as string,
        limit: (input["limit"] as number | undefined) ?? 5,
        ...optional("topic", input["topic"] as string | undefined),
        ...optional("minScore", input["minScore"] as number | undefined),
        ...optional("maxPriceWei", wei(input["maxPriceWei"])),
      },
      signal,
    ),
  verify_identity: (input, { agents }, _caller, signal) => agents.verify(idOf(input["agentId"]), signal),
  get_reputation: (input, { agents }, _caller, signal) =>
    agents.reputation(idOf(input["agentId"]), input["topic"] as string, signal),
  async negotiate(input, { orders }, caller, signal) {
    const ordered = orders.order(
      {
        ...{ topic: input["topic"] as string, title: input["title"] as string, input: input["input"] },
        maxPriceWei: wei(input["maxPriceWei"]) ?? 0n,
        isReviewed: input["review"] !== false,
        ...optional("query", input["query"] as string | undefined),
        ...optional("valuePerQualityWei", wei(input["valuePerQualityWei"])),
        ...optional("submitWithinSeconds", input["submitWithinSeconds"] as number | undefined),
        ...optional("minScore", input["minScore"] as number | undefined),
        ...optional("maxInvited", input["maxInvited"] as number | undefined),
      },
      caller,
    );
    return await orders.wait(ordered.taskId, caller, waitOf(input, signal));
  },
  async settle(input, { orders }, caller, signal) {
    const id = input["taskId"] as string;
    if (input["action"] !== "wait") orders.decide(id, decisionOf(input), caller);
    return await orders.wait(id, caller, waitOf(input, signal));
  },
  async audit(input, { orders, audit }, caller, signal) {
    if ((input["agentId"] === undefined) === (input["taskId"] === undefined)) throw noSubject();
    if (input["agentId"] !== undefined) {
      const exported = await auditAgent(audit, idOf(input["agentId"]), input["topics"] as string[] | undefined);
      return { ...exported, verifyWith: `surety audit verify FILE --block-hash ${exported.blockHash}` };
    }
    const { dealId, bundle, bytes, hash, state } = orders.evidence(input["taskId"] as string, caller);
    const checks = await auditDeal(audit, bundle, signal);
    return {
      ...{ kind: "deal", dealId, dealState: state ?? null, holds: checks.every(({ holds }) => holds), checks, hash },
      bundle: bytesToHex(bytes),
      verifyWith:
        "sha256 of the bytes is `hash`; DealEscrow and both signatures are checked as in docs/architecture.md, walk 2",
    };
  },
};

/** @throws SuretyError of the stage that refuses; a name without a tool is TOOL_UNKNOWN */
export async function runTool(
  name: string,
  input: Input,
  desks: Desks,
  caller: Caller,
  signal: AbortSignal,
): Promise<Record<string, unknown>> {
  const run = Object.hasOwn(runs, name) ? runs[name] : undefined;
  if (run === undefined) throw unknownTool(name);
  const answer = await run(input, desks, caller, signal);
  return JSON.parse(JSON.stringify(answer, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v))) as Record<
    string,
    unknown
  >;
}

const optional = <K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } =>
  value === undefined ? {} : ({ [key]: value } as { [P in K]?: T });

const wei = (value: unknown): bigint | undefined => (typeof value === "string" ? BigInt(value) : undefined);

function idOf(value: unknown): bigint {
  const id = BigInt(value as string);
  if (id > 0n && id < 2n ** 256n) return id;
  throw new SuretyError("AGENT_UNKNOWN", `No agent has the number ${id}.`, { next: "Take an agentId of find_agents." });
}

function waitOf(input: Input, signal: AbortSignal): AbortSignal {
  const seconds = (input["waitSeconds"] as number | undefined) ?? DEFAULT_WAIT_S;
  return AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
}

function decisionOf({ action, rating, reason }: Input): Decision {
  if (action === "cancel") return { action };
  if (action === "accept") return { action, rating: (rating as number | undefined) ?? 0 };
  if (typeof reason === "string") return { action: "dispute", reason };
  throw new SuretyError("REASON_MISSING", "A dispute needs a reason.", {
    next: "Say in `reason` what is wrong with the delivery.",
  });
}

const noSubject = () =>
  new SuretyError("AUDIT_SUBJECT", "Name either an agentId or a taskId.", { next: "Give exactly one of them." });

const unknownTool = (name: string) =>
  new SuretyError("TOOL_UNKNOWN", `There is no tool ${name.slice(0, 64)}.`, {
    next: `Use one of ${toolDescriptions.map((tool) => tool.name).join(", ")}.`,
  });
