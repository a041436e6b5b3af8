import { bytesToHex, hexToBytes, isHex, numberToHex, stringToBytes, type Address, type Hex } from "viem";
import {
  contentHashOf,
  readMechanismDocument,
  SuretyError,
  topicIdOf,
  writeAwardEvidence,
  type AwardEvidence,
  type MechanismDocument,
} from "#protocol";
import { readTaskBargain, type TaskBargain } from "../bargaining.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { FindFilter } from "../discovery/port.ts";
import type { Settlement } from "../settlement/driver.ts";
import { encodeEvidence, type EvidenceBundle } from "../settlement/evidence.ts";
import type { Tabs, TabSummary } from "../settlement/tabs/tabs.ts";
import type { Buyer, PaidAnswer, PurchaseRequest } from "../x402/client.ts";
import type { GraphBoard } from "../graphs/board.ts";
import type { GraphRequest, SubtaskRequest } from "../graphs/port.ts";
import { DEFAULT_BIDDING_MS, type TaskRequest } from "../task-request.ts";
import type { TaskBoard } from "../tasks.ts";
import { failure, type Answer, type Route } from "./server.ts";

/** What a node says of itself. */
export interface NodeStatus {
  readonly agentId: bigint;
  readonly name: string;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly peers: readonly string[];
  /** Offers of others and its own that it could find now. */
  readonly declarations: number;
  readonly head: { readonly number: bigint; readonly timestamp: number };
}

export interface RouteOptions {
  readonly status: (signal: AbortSignal) => Promise<NodeStatus>;
  /** Empty = healthy, else what is wrong. */
  readonly faults: () => readonly string[];
  readonly discovery: Discovery;
  readonly tasks: TaskBoard;
  readonly graphs: GraphBoard;
  readonly settlement: Settlement;
  /** What shows that the deal of a call was its award. */
  readonly awardOf: (callId: Hex) => AwardEvidence | undefined;
  readonly tabs: Tabs;
  readonly buyer: Buyer;
  /** Of new tabs, unless they name another. */
  readonly token: Address;
}

/** Routes of the local interface; node/api/README.md lists them with their shapes. */
export function createRoutes({
  status,
  faults,
  discovery,
  tasks,
  graphs,
  settlement,
  awardOf,
  tabs,
  buyer,
  token,
}: RouteOptions): Route[] {
  return [
    {
      method: "GET",
      path: "/health",
      isOpen: true,
      answer() {
        const wrong = faults();
        return { status: wrong.length === 0 ? 200 : 503, body: { isHealthy: wrong.length === 0, faults: wrong } };
      },
    },
    { method: "GET", path: "/status", answer: async ({ signal }) => ok(await status(signal)) },
    {
      method: "GET",
      path: "/find",
      answer: async ({ url, signal }) => {
        const { query, filter } = readSearch(url.searchParams);
        const found = await discovery.find(query, filter, signal);
        return ok({ found: found.map(({ evidence, ...agent }) => ({ ...agent, headerDigest: evidence.digest })) });
      },
    },
    { method: "POST", path: "/tasks", answer: ({ body }) => ({ status: 201, body: tasks.add(readTask(body)) }) },
    {
      method: "GET",
      path: "/tasks/",
      answer({ url }) {
        const task = tasks.get(url.pathname.slice("/tasks/".length));
        return task === undefined ? unknown("TASK", "task") : ok(task);
      },
    },
    { method: "POST", path: "/graphs", answer: ({ body }) => ({ status: 201, body: graphs.add(readGraph(body)) }) },
    {
      method: "GET",
      path: "/graphs/",
      answer({ url }) {
        const graph = graphs.get(url.pathname.slice("/graphs/".length));
        return graph === undefined ? unknown("GRAPH", "graph of tasks") : ok(graph);
      },
    },
    {
      method: "GET",
      path: "/awards/",
      answer({ url }) {
        const { deal } = settlement.evidenceOf(url.pathname.slice("/awards/".length) as Hex);
        const evidence = awardOf(numberToHex(deal.salt, { size: 32 }));
        // A purchase over HTTP has none: nobody was called.
        if (evidence === undefined) return unknown("AWARD", "award of a call behind this deal");
        return ok(JSON.parse(writeAwardEvidence(evidence)));
      },
    },
    { method: "GET", path: "/deals", answer: () => ok({ deals: settlement.deals() }) },
    {
      method: "GET",
      path: "/evidence/",
      answer({ url }) {
        const bundle = settlement.evidenceOf(url.pathname.slice("/evidence/".length) as Hex);
        return ok({ ...bundle, ...hexesOf(bundle), hash: contentHashOf(encodeEvidence(bundle)) });
      },
    },
    { method: "POST", path: "/deals", answer: ({ body }) => ok(changeDeal(settlement, recordOf(body))) },
    {
      method: "POST",
      path: "/pay",
      answer: async ({ body, signal }) => ok(answerOf(await buyer.buy(readPurchase(recordOf(body)), signal))),
    },
    { method: "GET", path: "/tabs", answer: () => ok({ tabs: tabs.tabs() }) },
    {
      method: "POST",
      path: "/tabs",
      answer: async ({ body, signal }) => ok(await changeTab(tabs, discovery, token, recordOf(body), signal)),
    },
  ];
}

const recordOf = (body: unknown): Record<string, unknown> => {
  if (typeof body !== "object" || body === null) throw invalid("the body", "an object");
  return body as Record<string, unknown>;
};

const hexesOf = ({ spec, deliverable, entries }: EvidenceBundle) => ({
  spec: bytesToHex(spec),
  deliverable: bytesToHex(deliverable),
  entries: entries.map(({ header, body }) => ({ header: bytesToHex(header), body: bytesToHex(body) })),
});

/** A person's decision about a deal. What it asks for is on disk when this answers; the chain follows. */
function changeDeal(settlement: Settlement, fields: Record<string, unknown>): { accepted: string } {
  const dealId = readText(fields["dealId"], "dealId") as Hex;
  const action = readText(fields["action"], "action");
  const amount = () => readAmount(fields["amountWei"], "amountWei");
  const rating = () => readNumber(fields["rating"] ?? 0, "rating", -100);
  if (action === "complete") settlement.judge(dealId, { kind: "complete", rating: rating() });
  else if (action === "dispute")
    settlement.judge(dealId, { kind: "dispute", reason: readText(fields["reason"], "reason") });
  else if (action === "part") settlement.releasePart(dealId, amount());
  else if (action === "split") settlement.proposeSplit(dealId, { toProviderWei: amount(), rating: rating() });
  else if (action === "accept-split") settlement.acceptSplit(dealId);
  else if (action === "cancel") settlement.cancel(dealId);
  else throw invalid("action", "complete, dispute, part, split, accept-split or cancel");
  return { accepted: action };
}

async function changeTab(
  tabs: Tabs,
  discovery: Discovery,
  token: Address,
  fields: Record<string, unknown>,
  signal: AbortSignal,
): Promise<unknown> {
  const action = readText(fields["action"], "action");
  if (action === "open") return await openTab(tabs, discovery, token, fields, signal);
  const tabId = readText(fields["tabId"], "tabId") as Hex;
  if (action === "ask") {
    const spec = stringToBytes(readText(fields["spec"], "spec"));
    const { answer, rating } = await tabs.ask(tabId, spec, signal);
    return { answer: bytesToHex(answer), rating };
  }
  if (action === "top-up") await tabs.topUp(tabId, readAmount(fields["amountWei"], "amountWei"), signal);
  else if (action === "claim") tabs.claim(tabId);
  else if (action === "close") tabs.close(tabId);
  else throw invalid("action", "open, ask, top-up, claim or close");
  return { accepted: action };
}

/** The provider is found by its declaration, as any other; the tab is opened on chain before this answers. */
async function openTab(
  tabs: Tabs,
  discovery: Discovery,
  token: Address,
  fields: Record<string, unknown>,
  signal: AbortSignal,
): Promise<TabSummary> {
  const providerAgentId = readAmount(fields["providerAgentId"], "providerAgentId");
  const topic = readText(fields["topic"], "topic");
  const found = await discovery.find("", { topic, limit: 100, liveness: "known" }, signal);
  const provider = found.find(({ agentId }) => agentId === providerAgentId);
  if (provider === undefined) throw invalid("providerAgentId", `an agent whose offer on ${topic} is known here`);
  const priceWei = fields["priceWei"] === undefined ? provider.priceWei : readAmount(fields["priceWei"], "priceWei");
  return await tabs.open(
    {
      ...{ providerAgentId, peer: provider.peerId, topic: topicIdOf(topic), token, priceWei },
      depositWei: readAmount(fields["depositWei"], "depositWei"),
      lifeSeconds: readNumber(fields["lifeSeconds"] ?? 86_400, "lifeSeconds", 1),
      challengeSeconds: readNumber(fields["challengeSeconds"] ?? 3_600, "challengeSeconds", 1),
    },
    signal,
  );
}

const answerOf = ({ body, ...answer }: PaidAnswer) => ({ ...answer, body: bytesToHex(body) });

function readPurchase(fields: Record<string, unknown>): PurchaseRequest {
  const { by, depositWei, rating, body } = fields;
  if (by !== undefined && by !== "deal" && by !== "tab") throw invalid("by", "deal or tab");
  if (body !== undefined && !isHex(body, { strict: true })) throw invalid("body", "hex");
  const url = readText(fields["url"], "url");
  const method = fields["method"] === undefined ? "GET" : readText(fields["method"], "method");
  const points = rating === undefined ? undefined : readNumber(rating, "rating", -100);
  if (points !== undefined && (!Number.isInteger(points) || points > 100)) {
    throw invalid("rating", "an integer from -100 to 100");
  }
  return {
    request: { method, url: URL.parse(url)?.href ?? url, body: hexToBytes(body ?? "0x") },
    maxWei: readAmount(fields["maxWei"], "maxWei"),
    ...(by === undefined ? {} : { by }),
    ...(depositWei === undefined ? {} : { depositWei: readAmount(depositWei, "depositWei") }),
    ...(points === undefined ? {} : { rating: points }),
  };
}

const ok = (body: unknown): Answer => ({ status: 200, body });

const unknown = (name: string, what: string): Answer =>
  failure(404, `${name}_UNKNOWN`, `No ${what} is known here.`, "Check the id, and ask the node that it was made by.");

function invalid(field: string, expected: string): SuretyError {
  return new SuretyError("REQUEST_INVALID", `${field} is not ${expected}.`, {
    values: { field, expected },
    next: "Correct the field and ask again.",
  });
}

function readSearch(parameters: URLSearchParams): { query: string; filter: FindFilter } {
  const number = (name: string) => (parameters.has(name) ? readNumber(parameters.get(name), name) : undefined);
  const [topic, price] = [parameters.get("topic"), parameters.get("maxPriceWei")];
  const [minScore, limit, maxAgeMs] = [number("minScore"), number("limit"), number("maxAgeMs")];
  return {
    query: parameters.get("query") ?? "",
    filter: {
      ...(topic === null ? {} : { topic }),
      ...(minScore === undefined ? {} : { minScore }),
      ...(price === null ? {} : { maxPriceWei: readAmount(price, "maxPriceWei") }),
      ...(limit === undefined ? {} : { limit }),
      ...(maxAgeMs === undefined ? {} : { maxAgeMs }),
    },
  };
}

function readTask(body: unknown): TaskRequest {
  if (typeof body !== "object" || body === null) throw invalid("the body", "an object");
  const fields = body as Record<string, unknown>;
  const spec = (fields["spec"] ?? {}) as Record<string, unknown>;
  if (spec["input"] === undefined) throw invalid("spec.input", "there");
  return {
    spec: {
      topic: readText(spec["topic"], "spec.topic"),
      title: readText(spec["title"], "spec.title"),
      input: spec["input"],
    },
    query: readText(fields["query"], "query"),
    reservePriceWei: readAmount(fields["reservePriceWei"], "reservePriceWei"),
    valuePerQuality: readAmount(fields["valuePerQuality"] ?? "0", "valuePerQuality"),
    submitWithinS: readNumber(fields["submitWithinS"], "submitWithinS", 1),
    biddingMs: readNumber(fields["biddingMs"] ?? DEFAULT_BIDDING_MS, "biddingMs", 1),
    maxInvited: readNumber(fields["maxInvited"] ?? 8, "maxInvited", 1),
    minScore: readNumber(fields["minScore"] ?? 0, "minScore"),
    ...(fields["mechanism"] === undefined ? {} : { mechanism: readRules(fields["mechanism"]) }),
    ...(fields["bargain"] === undefined ? {} : { bargain: readBargain(fields) }),
    ...(fields["excludedAgentIds"] === undefined ? {} : { excludedAgentIds: readIds(fields["excludedAgentIds"]) }),
  };
}

/** A graph as `surety task run` posts it; whether it is one is for the board to say. */
function readGraph(body: unknown): GraphRequest {
  const { subtasks, maxAttempts, rewardWei } = recordOf(body);
  if (!Array.isArray(subtasks)) throw invalid("subtasks", "a list");
  return {
    subtasks: subtasks.map((subtask: unknown, i) => readSubtask(recordOf(subtask), `subtasks[${i}]`)),
    maxAttempts: readNumber(maxAttempts ?? 3, "maxAttempts", 1),
    rewardWei: readAmount(rewardWei ?? "0", "rewardWei"),
  };
}

function readSubtask({ name, needs, worth, ...task }: Record<string, unknown>, field: string): SubtaskRequest {
  const named = needs ?? [];
  if (!Array.isArray(named) || !named.every((need) => typeof need === "string")) {
    throw invalid(`${field}.needs`, "a list of names");
  }
  return {
    ...{ name: readText(name, `${field}.name`), needs: named, task: readTask(task) },
    ...(worth === undefined ? {} : { worth: readAmount(worth, `${field}.worth`) }),
  };
}

/** A mechanism document as its file holds it. */
function readRules(value: unknown): MechanismDocument {
  const verdict = readMechanismDocument(value);
  if (verdict.kind === "accept") return verdict.value;
  throw invalid("mechanism", `a mechanism document (${verdict.detail})`);
}

function readBargain({ bargain, mechanism }: Record<string, unknown>): TaskBargain {
  if (mechanism !== undefined) throw invalid("bargain", "there beside a mechanism: a task has one or the other");
  const verdict = readTaskBargain(bargain);
  if (verdict.kind === "accept") return verdict.value;
  throw invalid("bargain", `packages to bargain over (${verdict.code}: ${verdict.detail})`);
}

function readIds(value: unknown): bigint[] {
  if (!Array.isArray(value) || value.length > MAX_EXCLUDED)
    throw invalid("excludedAgentIds", `at most ${MAX_EXCLUDED} agent ids`);
  return value.map((id, i) => readAmount(id, `excludedAgentIds[${i}]`));
}

/** An exclusion list is grown by failures; beyond this, nobody is left to invite. */
const MAX_EXCLUDED = 64;

function readText(value: unknown, field: string): string {
  if (typeof value !== "string" || value === "") throw invalid(field, "a text");
  return value;
}

function readNumber(value: unknown, field: string, min = 0): number {
  const number = typeof value === "string" && value !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number) || number < min) {
    throw invalid(field, `a number from ${min} on`);
  }
  return number;
}

function readAmount(value: unknown, field: string): bigint {
  if (typeof value !== "string" || !/^\d{1,78}$/.test(value)) throw invalid(field, "a decimal integer as text");
  return BigInt(value);
}
