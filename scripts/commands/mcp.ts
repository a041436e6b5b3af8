import { Command } from "commander";
import { SuretyError } from "#protocol";
import { runAction } from "../cli/action.ts";
import { readEndpoints } from "../cli/network.ts";
import { addNodeOptions, askNode, type NodeOptions } from "../cli/node-api.ts";

interface McpOptions extends NodeOptions {
  readonly node?: string;
}

export function mcpCommand(): Command {
  return addNodeOptions(new Command("mcp"))
    .description("serve an agent's tools to an MCP client over stdin and stdout, until that ends")
    .option("--node <url>", "the same as --node-url")
    .action((options: McpOptions) =>
      // stdout is the protocol's: what a command prints would be read as a message.
      runAction(false, async ({ signal, progress }) => {
        const nodeOptions = optionsOf(options);
        const { tools } = await askNode<{ tools: unknown[] }>("/tools", nodeOptions, signal);
        progress(`serving ${tools.length} tools of ${nodeOptions.nodeUrl ?? "the running network's node"} over stdio`);
        await serve(nodeOptions, signal);
        return { result: {}, lines: [] };
      }),
    );
}

/** The node that was named, else the running network's agent for clients: its client token spends within limits. */
function optionsOf(options: McpOptions): NodeOptions {
  const { clientUrl, clientToken } = readEndpoints(options);
  const nodeUrl = options.node ?? options.nodeUrl ?? clientUrl;
  const nodeToken = options.nodeToken ?? process.env["SURETY_NODE_TOKEN"] ?? clientToken;
  return {
    ...options,
    ...(nodeUrl === undefined ? {} : { nodeUrl }),
    ...(nodeToken === undefined ? {} : { nodeToken }),
  };
}

/** Every call goes to the node, which alone knows who asks and what may be spent. */
async function serve(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const [{ serveStdio, StdioServerTransport }, { createMcpServer }] = await Promise.all([
    import("@modelcontextprotocol/server/stdio"),
    import("../../node/api/mcp/server.ts"),
  ]);
  const transport = new StdioServerTransport();
  const { promise: ended, resolve } = Promise.withResolvers<undefined>();
  const handle = serveStdio(
    () =>
      createMcpServer((name, input, asked) =>
        askNode<Record<string, unknown>>(`/tools/${name}`, options, AbortSignal.any([signal, asked]), input).catch(
          (error: unknown) => {
            throw error instanceof SuretyError ? error : unexpected(error);
          },
        ),
      ),
    { transport },
  );
  process.stdin.once("close", () => resolve(undefined));
  process.stdin.once("end", () => resolve(undefined));
  signal.addEventListener("abort", () => resolve(undefined), { once: true });
  await ended;
  await handle.close();
}

const unexpected = (cause: unknown) =>
  new SuretyError("NODE_ANSWER_UNREADABLE", "The node answered with something else than JSON.", {
    next: "Check that --node names a Surety node of this version.",
    cause,
  });
