import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { mkdirSync, writeFileSync } from "node:fs";
import { extname, join, resolve } from "node:path";
import { Command } from "commander";
import { SuretyError } from "#protocol";
import { roles } from "../../node/config.ts";
import { runAction } from "../cli/action.ts";
import type { ReadyAgent } from "../devnet/child.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, deploymentPath, networkDir } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseInteger, parseJson, type CommonOptions } from "../cli/options.ts";

// Beside this file: TypeScript in a clone, JavaScript where the package is installed.
const mainPath = join(import.meta.dirname, `../../node/main${extname(import.meta.filename)}`);

interface NodeCommandOptions extends CommonOptions {
  readonly config?: string;
  readonly keyFile?: string;
  readonly name: string;
  readonly listen?: string[];
  readonly bootstrap?: string[];
  readonly role?: string[];
  readonly publisherRank?: number;
  readonly releaseBonds: boolean;
  readonly app?: string;
  readonly appOptions?: unknown;
  readonly binding?: string;
  readonly unbound: boolean;
  readonly shop?: unknown;
  readonly apiPort: number;
  readonly graphqlUrl?: string;
}

export function nodeCommand(): Command {
  return addNetworkOptions(new Command("node"))
    .description("run an agent's node until Ctrl-C: log, gossip, discovery, negotiation, settlement, reputation roles")
    .option("--config <file>", "a configuration file instead of the options below (see node/README.md)")
    .option("--key-file <path>", "file of the agent's key")
    .option("--name <name>", "the agent's name in logs and folders", "agent")
    .option("--listen <multiaddr...>", "where to listen; default: loopback, any free port")
    .option("--bootstrap <multiaddr...>", "peers to begin with")
    .option("--role <role...>", `reputation roles to play: ${roles.join(", ")}`)
    .option("--publisher-rank <rank>", "a publisher gives way to so many others, 0 to 7", parseInteger(0))
    .option("--release-bonds", "a publisher takes its bonds back as soon as it may", false)
    .option(
      "--binding <file>",
      "the agent's binding file (`surety baid commit`): code and config have to be the committed ones",
    )
    .option("--unbound", "start in spite of a difference, marked as unbound in every entry of the log", false)
    .option("--app <module>", "module that exports createApplication; default: an agent that only buys")
    .option("--app-options <json>", "what that module is started with", parseJson)
    .option("--shop <json>", "what is sold over HTTP (x402): the field shop of node/README.md", parseJson)
    .option("--api-port <number>", "port of the local interface; 0 = any free one", parseInteger(0), 0)
    .option("--graphql-url <url>", "an indexer to ask for scores; they are believed on proof only")
    .addOption(jsonOption())
    .action((options: NodeCommandOptions) =>
      runAction(options.json, async ({ signal, progress }) => {
        const { rpcUrl, endpoints } = await connect(options, signal);
        const config = options.config ?? writeConfig(options, rpcUrl, endpoints.graphqlUrl);
        const { agents, failure, code } = await runNode(config, signal, progress);
        if (!signal.aborted && code !== 0) throw failureOf(failure, config, code);
        return { result: { stopped: true, agents }, lines: ["stopped"] };
      }),
    );
}

function writeConfig(options: NodeCommandOptions, rpcUrl: string, graphqlUrl: string | undefined): string {
  if (options.keyFile === undefined) {
    throw new SuretyError("USAGE_KEY_MISSING", "A node needs its agent's key.", {
      next: "Pass --key-file FILE, or --config FILE; `surety agent key` creates a key, `surety agent register` its agent.",
    });
  }
  readKeyFile(options.keyFile);
  const dir = resolve(networkDir(options));
  mkdirSync(dir, { recursive: true });
  const indexer = options.graphqlUrl ?? graphqlUrl;
  const { name, listen, bootstrap, role, app, appOptions = {}, apiPort, publisherRank, releaseBonds } = options;
  const isTuned = publisherRank !== undefined || releaseBonds;
  const { binding, unbound, shop } = options;
  const agent = {
    ...{ name, keyFile: resolve(options.keyFile), apiPort },
    ...(listen === undefined ? {} : { listen }),
    ...(bootstrap === undefined ? {} : { bootstrap }),
    ...(role === undefined ? {} : { roles: role }),
    ...(isTuned ? { publisher: { rank: publisherRank, isReleasing: releaseBonds } } : {}),
    ...(binding === undefined ? {} : { binding: resolve(binding) }),
    ...(unbound ? { unbound } : {}),
    ...(shop === undefined ? {} : { shop }),
    ...(app === undefined ? {} : { application: { module: resolve(app), options: appOptions } }),
  };
  const config = {
    ...{ rpcUrl, deploymentFile: resolve(deploymentPath(options)), dataDir: join(dir, "nodes"), agents: [agent] },
    ...(indexer === undefined ? {} : { graphqlUrl: indexer }),
  };
  const path = join(dir, `node-${name}.json`);
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  return path;
}

/** How a node's process ended. */
interface NodeEnd {
  readonly agents: readonly ReadyAgent[];
  /** The last line of its log, if that says why it failed. */
  readonly failure: Record<string, unknown> | undefined;
  readonly code: number;
}

/** The node in a process of its own, its log on this stderr; it ends when this command does. */
async function runNode(config: string, signal: AbortSignal, progress: (line: string) => void): Promise<NodeEnd> {
  const child = spawn(process.execPath, [mainPath, "--config", config, "--exit-with-parent"], { stdio: "pipe" });
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  try {
    return await follow(child, progress);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function follow(child: ChildProcess, progress: (line: string) => void): Promise<NodeEnd> {
  let agents: readonly ReadyAgent[] = [];
  let failure: Record<string, unknown> | undefined;
  linesOf(child.stdout, (line) => {
    ({ agents } = JSON.parse(line) as { agents: ReadyAgent[] });
    for (const agent of agents) progress(describe(agent));
  });
  linesOf(child.stderr, (line) => {
    if (line.startsWith('{"event":"failed"')) failure = JSON.parse(line) as Record<string, unknown>;
    else progress(line);
  });
  return new Promise((resolve_, reject_) => {
    child.once("error", reject_);
    child.once("close", (code) => resolve_({ agents, failure, code: code ?? 1 }));
  });
}

function linesOf(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  if (stream !== null) createInterface({ input: stream }).on("line", onLine);
}

function describe({ name, agentId, addresses, apiUrl, shopUrl }: ReadyAgent): string {
  const shop = shopUrl === undefined ? "" : `; sells over HTTP at ${shopUrl}`;
  const local = `  local interface ${apiUrl}${shop}; Ctrl-C ends it`;
  return [`agent ${agentId}, ${name}, listens on`, ...addresses, local].join("\n  ");
}

function failureOf(failure: Record<string, unknown> | undefined, config: string, exitCode: number): SuretyError {
  const { code, message, next, values } = failure ?? {};
  const textOr = (value: unknown, otherwise: string) => (typeof value === "string" ? value : otherwise);
  return new SuretyError(textOr(code, "NODE_FAILED"), textOr(message, `The node ended with exit code ${exitCode}.`), {
    values: { config, exitCode, ...(typeof values === "object" ? values : {}) },
    next: textOr(next, "Read the last line of its log above."),
  });
}
