// A node process: reads its configuration, starts its agents, says on stdout that they are ready (one JSON line), writes
// its log to stderr (one JSON line an event), and stops on SIGINT or SIGTERM.
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { SuretyError } from "#protocol";
import { clientOnly, type Application, type CreateApplication } from "./application.ts";
import { readConfig, type AgentConfig } from "./config.ts";
import { asText, createJournal } from "./journal.ts";
import { openChain, startNode, type ChainLink, type RunningNode } from "./node.ts";

async function loadApplication({ name, application }: AgentConfig): Promise<Application> {
  if (application === undefined) return clientOnly;
  const loaded = (await import(pathToFileURL(application.module).href)) as { createApplication?: CreateApplication };
  if (typeof loaded.createApplication !== "function") {
    throw new SuretyError("USAGE_CONFIG", `${application.module} exports no createApplication.`, {
      values: { module: application.module },
      next: "Export a function createApplication({ name, options }); see node/application.ts.",
    });
  }
  return loaded.createApplication({ name, options: application.options });
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { config: { type: "string" }, "exit-with-parent": { type: "boolean", default: false } },
  });
  if (values.config === undefined) {
    throw new SuretyError("USAGE_CONFIG", "No configuration was named.", { next: "Pass --config FILE." });
  }
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  // The parent's end closes this pipe, whatever ended it: no node outlives the network that it belongs to.
  if (values["exit-with-parent"]) process.stdin.once("close", stop).resume();

  const config = readConfig(values.config);
  const nodes: RunningNode[] = [];
  let chain: ChainLink | undefined;
  try {
    chain = await openChain(config, stopping.signal);
    for (const agent of config.agents) {
      const journal = createJournal(agent.name, (line) => void process.stderr.write(`${line}\n`));
      // Agents that share a process begin with its first one, whose address nobody could configure beforehand.
      const bootstrap = agent.bootstrap.length > 0 ? agent.bootstrap : (nodes[0]?.addresses ?? []);
      const peer = { ...agent, bootstrap };
      nodes.push(
        await startNode({
          config,
          agent: peer,
          chain,
          journal,
          loadApplication: () => loadApplication(agent),
          signal: stopping.signal,
        }),
      );
    }
    const agents = nodes.map(({ name, agentId, peerId, addresses, apiUrl, shopUrl }) => ({
      ...{ name, peerId, addresses, apiUrl, shopUrl },
      agentId: agentId.toString(),
    }));
    process.stdout.write(`${JSON.stringify({ event: "ready", agents })}\n`);
    if (!stopping.signal.aborted) {
      await new Promise((resolve) => stopping.signal.addEventListener("abort", resolve, { once: true }));
    }
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    chain?.heads.stop();
    process.stdin.destroy();
  }
}

main().catch((error: unknown) => {
  const known = error instanceof SuretyError ? { code: error.code, next: error.next, values: error.values } : {};
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${JSON.stringify({ event: "failed", message, ...known }, asText)}\n`);
  process.exitCode = 3;
});
