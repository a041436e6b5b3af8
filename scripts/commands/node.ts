import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { SuretyError } from "#protocol";
import { roles } from "../../node/config.ts";
import { runAction } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, deploymentPath, networkDir } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseInteger, type CommonOptions } from "../cli/options.ts";

const mainPath = fileURLToPath(new URL("../../node/main.ts", import.meta.url));

interface NodeCommandOptions extends CommonOptions {
  readonly config?: string;
  readonly keyFile?: string;
  readonly name: string;
  readonly listen?: string[];
  readonly bootstrap?: string[];
  readonly role?: string[];
  readonly app?: string;
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
    .option("--app <module>", "module that exports createApplication; default: an agent that only buys")
    .option("--api-port <number>", "port of the local interface; 0 = any free one", parseInteger(0), 0)
    .option("--graphql-url <url>", "an indexer to ask for scores; they are believed on proof only")
    .addOption(jsonOption())
    .action((options: NodeCommandOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { rpcUrl, endpoints } = await connect(options);
        const config = options.config ?? writeConfig(options, rpcUrl, endpoints.graphqlUrl);
        const code = await runNode(config, signal);
        if (code !== 0 && !signal.aborted) {
          throw new SuretyError("NODE_FAILED", `The node ended with exit code ${code}.`, {
            values: { config, code },
            next: "Read the last line of its log above.",
          });
        }
        return { result: { stopped: true }, lines: ["stopped"] };
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
  const { name, listen, bootstrap, role, app, apiPort } = options;
  const agent = {
    ...{ name, keyFile: resolve(options.keyFile), apiPort },
    ...(listen === undefined ? {} : { listen }),
    ...(bootstrap === undefined ? {} : { bootstrap }),
    ...(role === undefined ? {} : { roles: role }),
    ...(app === undefined ? {} : { application: { module: resolve(app), options: {} } }),
  };
  const config = {
    ...{ rpcUrl, deploymentFile: resolve(deploymentPath(options)), dataDir: join(dir, "nodes"), agents: [agent] },
    ...(indexer === undefined ? {} : { graphqlUrl: indexer }),
  };
  const path = join(dir, `node-${name}.json`);
  writeFileSync(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
  return path;
}

/** The node in a process of its own, with this terminal; it ends when this command does. */
async function runNode(config: string, signal: AbortSignal): Promise<number> {
  const child = spawn(process.execPath, [mainPath, "--config", config, "--exit-with-parent"], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await new Promise((resolve_) => child.once("exit", (code) => resolve_(code ?? 1)));
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
