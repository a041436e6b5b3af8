// The official package takes 0.5 s and 20 MB to load (measured 2026-11-21 on a loaded machine): only a node that is asked
// for MCP imports this file.
import { fromJsonSchema, McpServer, type CallToolResult } from "@modelcontextprotocol/server";
import { SuretyError } from "#protocol";
import { UNTRUSTED_NOTICE } from "../../desk/untrusted.ts";
import { toolDescriptions } from "./tools.ts";

/** Calls a tool. @throws SuretyError */
export type CallTool = (
  name: string,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
) => Promise<Record<string, unknown>>;

const INSTRUCTIONS =
  "An agent of the Surety network: find other agents, check who they are and how they have done, have work done by them " +
  "under bonded deals on chain, and get evidence of it. Usual order: find_agents, verify_identity, get_reputation, " +
  `negotiate, settle, audit. ${UNTRUSTED_NOTICE} Spending is bounded by the agent's owner, not by this conversation.`;

/** Compiled once: a schema takes milliseconds, and over HTTP each request has a server of its own. */
const tools = toolDescriptions.map(({ inputSchema, outputSchema, ...rest }) => ({
  ...rest,
  inputSchema: fromJsonSchema<Record<string, unknown>>(inputSchema as never),
  outputSchema: fromJsonSchema<Record<string, unknown>>(outputSchema as never),
}));

/** An MCP server with the tools of an agent. */
export function createMcpServer(call: CallTool): McpServer {
  const server = new McpServer({ name: "surety", version: "0.1.0" }, { instructions: INSTRUCTIONS });
  for (const { name, ...config } of tools) {
    server.registerTool(name, config, async (input, { mcpReq }) => await answer(name, input, call, mcpReq.signal));
  }
  return server;
}

/** Whether an input holds for a tool's schema; undefined: there is no such tool. */
export async function checkInput(
  name: string,
  input: unknown,
): Promise<{ readonly faults: readonly string[] } | undefined> {
  const tool = tools.find((candidate) => candidate.name === name);
  const checked = await tool?.inputSchema["~standard"].validate(input);
  return checked && { faults: checked.issues?.map(({ message }) => message) ?? [] };
}

async function answer(
  name: string,
  input: Record<string, unknown>,
  call: CallTool,
  signal: AbortSignal,
): Promise<CallToolResult> {
  try {
    const structuredContent = await call(name, input, signal);
    // A bundle is for a verifier, not for a context window: the text leaves it out.
    const { bundle: _bundle, ...rest } = structuredContent;
    return { structuredContent, content: [{ type: "text", text: JSON.stringify(rest) }] };
  } catch (error) {
    if (!(error instanceof SuretyError)) throw error;
    const { code, message, next, isRetryable } = error;
    return {
      isError: true,
      content: [{ type: "text", text: JSON.stringify({ error: { code, message, next, isRetryable } }) }],
    };
  }
}
