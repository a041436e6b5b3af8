import { mkdirSync } from "node:fs";
import { Command } from "commander";
import { createPublicClient, http, webSocket } from "viem";
import { runIndexer } from "../../indexer/index.ts";
import { runAction } from "../cli/action.ts";
import { connect, networkDir } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseInteger, type CommonOptions } from "../cli/options.ts";

interface IndexerCommandOptions extends CommonOptions {
  readonly host: string;
  readonly port: number;
  readonly cors?: string[];
}

export function indexerCommand(): Command {
  return addNetworkOptions(new Command("indexer"))
    .description("follow the chain and serve GraphQL, until Ctrl-C")
    .option("--host <address>", "address to serve on", "127.0.0.1")
    .option("--port <number>", "port to serve on; 0 = any free one", parseInteger(0), 0)
    .option("--cors <origin...>", "web origins that may read")
    .addOption(jsonOption())
    .action((options: IndexerCommandOptions) =>
      runAction(options.json, async ({ progress, signal }) => {
        const { deployment, rpcUrl } = await connect(options, signal);
        // newHeads over a WebSocket, where the endpoint has one, tell of a block at once.
        const transport = rpcUrl.startsWith("ws") ? webSocket(rpcUrl) : http(rpcUrl);
        const client = createPublicClient({ transport, cacheTime: 0 });
        const folder = networkDir(options);
        mkdirSync(folder, { recursive: true });
        const { host, port } = options;
        const corsOrigins = options.cors === undefined ? {} : { corsOrigins: options.cors };
        await runIndexer(
          {
            ...{ client, deployment, host, port, ...corsOrigins, store: { folder } },
            onListening: (indexer) => progress(`GraphQL at ${indexer.graphqlUrl}, state kept in ${folder}`),
          },
          signal,
        );
        return { result: { stopped: true }, lines: ["stopped; the next start goes on from here"] };
      }),
    );
}
