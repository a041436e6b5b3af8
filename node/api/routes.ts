import { SuretyError } from "#protocol";
import type { Discovery } from "../discovery/discovery.ts";
import type { FindFilter } from "../discovery/port.ts";
import type { Settlement } from "../settlement/driver.ts";
import { DEFAULT_BIDDING_MS, type TaskBoard, type TaskRequest } from "../tasks.ts";
import type { Answer, Route } from "./server.ts";

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
  readonly settlement: Settlement;
}

/** Routes of the local interface; node/api/README.md lists them with their shapes. */
export function createRoutes({ status, faults, discovery, tasks, settlement }: RouteOptions): Route[] {
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
        return task === undefined ? { status: 404, body: { error: { code: "TASK_UNKNOWN" } } } : ok(task);
      },
    },
    { method: "GET", path: "/deals", answer: () => ok({ deals: settlement.deals() }) },
  ];
}

const ok = (body: unknown): Answer => ({ status: 200, body });

function invalid(field: string, expected: string): SuretyError {
  return new SuretyError("REQUEST_INVALID", `${field} is not ${expected}.`, {
    values: { field, expected },
    next: "Correct the field and ask again.",
  });
}

function readSearch(parameters: URLSearchParams): { query: string; filter: FindFilter } {
  const number = (name: string) => (parameters.has(name) ? readNumber(parameters.get(name), name) : undefined);
  const [topic, price] = [parameters.get("topic"), parameters.get("maxPriceWei")];
  const [minScore, limit] = [number("minScore"), number("limit")];
  return {
    query: parameters.get("query") ?? "",
    filter: {
      ...(topic === null ? {} : { topic }),
      ...(minScore === undefined ? {} : { minScore }),
      ...(price === null ? {} : { maxPriceWei: readAmount(price, "maxPriceWei") }),
      ...(limit === undefined ? {} : { limit }),
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
  };
}

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
