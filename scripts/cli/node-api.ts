import type { Command } from "commander";
import { SuretyError } from "#protocol";
import { readEndpoints } from "./network.ts";
import { addNetworkOptions, jsonOption, type CommonOptions } from "./options.ts";

/** Options of every command that asks a running node. */
export interface NodeOptions extends CommonOptions {
  readonly nodeUrl?: string;
  readonly nodeToken?: string;
}

/** What each of these commands has beside its own arguments. */
export function addNodeOptions(command: Command): Command {
  return addNetworkOptions(command, "devnet")
    .option("--node-url <url>", "local interface of the node; default: the running network's")
    .option("--node-token <token>", "its token; default: the running network's, or $SURETY_NODE_TOKEN")
    .addOption(jsonOption());
}

/** The local interface of a node. */
export interface NodeInterface {
  readonly url: string;
  readonly token: string;
}

/** The interface that the options name, or that of the running network. @throws SuretyError USAGE_NODE_MISSING */
function interfaceOf(options: NodeOptions): NodeInterface {
  const endpoints = readEndpoints(options);
  const url = options.nodeUrl ?? endpoints.nodeUrl;
  const token = options.nodeToken ?? process.env["SURETY_NODE_TOKEN"] ?? endpoints.nodeToken;
  if (url !== undefined && token !== undefined) return { url, token };
  throw new SuretyError("USAGE_NODE_MISSING", "No node was named, and none runs for this network.", {
    next: "Name the agent's node with --node-url and --node-token: it prints its URL, and keeps the token in the file api-token of its data folder.",
  });
}

/** As askInterface, of the node that the options name. @throws SuretyError USAGE_NODE_MISSING, and as askInterface */
export async function askNode<T>(
  path: string,
  options: NodeOptions,
  signal: AbortSignal,
  body?: Readonly<Record<string, unknown>>,
): Promise<T> {
  return askInterface(interfaceOf(options), path, signal, body);
}

/**
 * Asks the local interface of a node: GET, or POST with a body, whose 256-bit numbers go as decimal text.
 * @throws SuretyError NODE_UNREACHABLE, NODE_FOREIGN, and the node's own codes; the signal's reason
 */
export async function askInterface<T>(
  { url: nodeUrl, token }: NodeInterface,
  path: string,
  signal: AbortSignal,
  body?: unknown,
): Promise<T> {
  const request = body === undefined ? {} : { method: "POST", body: JSON.stringify(body, asText) };
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(`${nodeUrl}${path}`, { ...request, headers, signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new SuretyError("NODE_UNREACHABLE", `No node answers at ${nodeUrl}.`, {
      values: { nodeUrl },
      next: "Start the node, or name another with --node-url; its log says why it ended.",
      cause,
      isRetryable: true,
    });
  });
  const answer = (await response.json().catch((cause: unknown) => {
    signal.throwIfAborted();
    throw new SuretyError("NODE_FOREIGN", `What answers at ${nodeUrl} is no node of Surety.`, {
      values: { nodeUrl, status: response.status },
      next: "Name the node's local interface with --node-url: the node prints it when it starts.",
      cause,
    });
  })) as T & { error?: NodeError };
  if (response.ok) return answer;
  const { code = "NODE_REFUSED", message = `status ${response.status}`, next, values } = answer.error ?? {};
  throw new SuretyError(code, message, {
    values: { nodeUrl, path, status: response.status, ...values },
    next: next ?? "Look at the node's log.",
  });
}

const asText = (_: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);

interface NodeError {
  readonly code?: string;
  readonly message?: string;
  readonly next?: string;
  readonly values?: Record<string, unknown>;
}
