import type { McpHttpHandler } from "@modelcontextprotocol/server";
import { SuretyError } from "#protocol";
import type { Caller } from "../../desk/desk.ts";
import { failure, type Exchange, type JsonAnswer, type Mount } from "../server.ts";
import { toWebRequest, writeJson, writeWebResponse } from "../web.ts";
import { runTool, toolDescriptions, type Desks } from "./tools.ts";

/** Streams of one client that stay open to hear of changed tools; these tools never change. */
const MAX_SUBSCRIPTIONS = 4;
/** Faults of an input that are named; the first ones say enough. */
const MAX_FAULTS = 4;

/** `/mcp`: streamable HTTP, of 2026-07-28 and of the revisions before it. `/tools`: the same tools as plain JSON. */
export function createToolMounts(desks: Desks, onFault: (fault: unknown) => void): Mount[] {
  /** One a caller, of whom the configuration has a few. */
  const handlers = new Map<string, Promise<McpHttpHandler>>();
  const handlerOf = (caller: Caller) =>
    handlers.getOrInsertComputed(caller.name, () => createHandler(caller, desks, onFault));
  return [
    {
      path: "/mcp",
      async serve(exchange) {
        const handler = await handlerOf(known(exchange.caller));
        const answer = await handler.fetch(toWebRequest(exchange));
        await writeWebResponse(exchange.response, answer, exchange.signal);
      },
    },
    {
      path: "/tools",
      async serve({ response }) {
        writeJson(response, { status: 200, body: { tools: toolDescriptions } });
      },
    },
    { path: "/tools/", serve: async (exchange) => writeJson(exchange.response, await serveTool(exchange, desks)) },
  ];
}

async function createHandler(caller: Caller, desks: Desks, onFault: (fault: unknown) => void): Promise<McpHttpHandler> {
  const [{ createMcpHandler }, { createMcpServer }] = await Promise.all([
    import("@modelcontextprotocol/server"),
    import("./server.ts"),
  ]);
  return createMcpHandler(() => createMcpServer((name, input, signal) => runTool(name, input, desks, caller, signal)), {
    onerror: onFault,
    maxSubscriptions: MAX_SUBSCRIPTIONS,
  });
}

async function serveTool({ request, url, body, caller, signal }: Exchange, desks: Desks): Promise<JsonAnswer> {
  if (request.method !== "POST") return failure(405, "METHOD_WRONG", "call a tool by POST");
  const name = url.pathname.slice("/tools/".length);
  const { checkInput } = await import("./server.ts");
  const input = parse(body);
  const checked = input && (await checkInput(name, input));
  if (input === undefined) return failure(400, "BODY_NOT_JSON", "the body is not a JSON object");
  if (checked === undefined) return failure(404, "TOOL_UNKNOWN", "there is no such tool");
  const { faults } = checked;
  if (faults.length > 0) return failure(422, "INPUT_INVALID", faults.slice(0, MAX_FAULTS).join("; "));
  return { status: 200, body: await runTool(name, input, desks, known(caller), signal) };
}

function parse(body: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString("utf8"));
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function known(caller: Caller | undefined): Caller {
  if (caller !== undefined) return caller;
  throw new SuretyError("TOKEN_WRONG", "The request names no client.", { next: "Send the client's token." });
}
