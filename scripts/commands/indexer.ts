import { mkdirSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { createPublicClient, http, webSocket, type PublicClient } from "viem";
import {
  dropStored,
  readSubscriptions,
  runIndexer,
  runReplica,
  statusOfStored,
  verifyStored,
  type Difference,
  type ExplorerOptions,
  type StoreLocation,
} from "../../indexer/index.ts";
import { runAction, type Outcome } from "../cli/action.ts";
import { SuretyError } from "#protocol";
import { connect, networkDir, readDeployment, rpcUrlOf, type Connection } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseInteger, type CommonOptions } from "../cli/options.ts";

interface IndexerCommandOptions extends CommonOptions {
  readonly host: string;
  readonly port: number;
  readonly cors?: string[];
  readonly suggestRpc?: string;
  readonly topic?: string[];
  readonly witnessRpc?: string[];
  readonly explorer: boolean;
  readonly history?: number;
  readonly readOnly?: boolean;
  readonly webhooks?: string;
  readonly leaves?: readonly string[];
}

export function indexerCommand(): Command {
  const indexer = addNetworkOptions(new Command("indexer")).enablePositionalOptions();
  addNetworkOptions(indexer.command("verify"))
    .description("read the chain again, fold it from nothing, and compare every row that the indexer keeps")
    .addOption(jsonOption())
    .action((options: CommonOptions) => runAction(options.json, ({ signal }) => verify(options, signal)));
  addNetworkOptions(indexer.command("status"))
    .description("how far the stored rows have come, and whether the chain still has their block")
    .addOption(jsonOption())
    .action((options: CommonOptions) => runAction(options.json, ({ signal }) => status(options, signal)));
  addNetworkOptions(indexer.command("rebuild"))
    .description("drop every stored row; the next start reads the chain anew. Stop the indexer first")
    .addOption(jsonOption())
    .action((options: CommonOptions) => runAction(options.json, ({ signal }) => rebuild(options, signal)));
  return indexer
    .description("follow the chain, serve GraphQL and the explorer, until Ctrl-C")
    .addOption(new Option("--host <address>", "address to serve on").default("127.0.0.1").env("SURETY_INDEXER_HOST"))
    .addOption(
      new Option("--port <number>", "port to serve on; 0 = any free one")
        .argParser(parseInteger(0))
        .default(0)
        .env("SURETY_INDEXER_PORT"),
    )
    .option("--cors <origin...>", "web origins that may read")
    .option(
      "--read-only",
      "serve the rows that another process writes to DATABASE_URL, or a standby of it has; follow no chain",
    )
    .option("--no-explorer", "serve no pages")
    .addOption(
      new Option(
        "--suggest-rpc <url>",
        "a public chain endpoint that the pages suggest to visitors for verification",
      ).env("SURETY_SUGGEST_RPC"),
    )
    .addOption(
      new Option(
        "--witness-rpc <url...>",
        "more endpoints of the same chain: taken when the first fails, and asked for a second word on every log",
      )
        .argParser(parseUrls)
        .env("SURETY_WITNESS_RPC"),
    )
    .addOption(
      new Option("--history <blocks>", "blocks below the head whose states can be asked for, 128 to 100000")
        .argParser(parseInteger(128))
        .env("SURETY_HISTORY_BLOCKS"),
    )
    .addOption(
      new Option("--webhooks <file>", "whom to post the chain's events to, as docs/run-an-indexer.md says")
        .conflicts("readOnly")
        .env("SURETY_WEBHOOKS"),
    )
    .addOption(
      new Option(
        "--leaves <place...>",
        "folders and URLs where files of leaves lie by their root, such as a node's https://…/leaves",
      )
        .argParser(parsePlaces)
        .conflicts("readOnly")
        .env("SURETY_LEAVES"),
    )
    .option("--topic <name...>", "names of topics that the pages show instead of their hashes")
    .addOption(jsonOption())
    .action((options: IndexerCommandOptions) =>
      runAction(options.json, async ({ progress, signal }) => {
        if (options.readOnly === true) return serveRows(options, progress, signal);
        const { deployment, rpcUrl } = await connectToFirst(options, signal);
        const client = clientOf(rpcUrl);
        const witnesses = [rpcUrlOf(options), ...(options.witnessRpc ?? [])]
          .filter((url) => url !== rpcUrl)
          .map(clientOf);
        const store = locationOf(options);
        if ("folder" in store) mkdirSync(store.folder, { recursive: true });
        const { host, port } = options;
        const corsOrigins = options.cors === undefined ? {} : { corsOrigins: options.cors };
        const webhooks = options.webhooks === undefined ? [] : readSubscriptions(options.webhooks);
        const leafSources = options.leaves ?? [];
        const history = options.history === undefined ? {} : { historyBlocks: options.history };
        await runIndexer(
          {
            ...{
              client,
              witnesses,
              deployment,
              host,
              port,
              ...corsOrigins,
              ...history,
              store,
              webhooks,
              leafSources,
              explorer: explorerOf(options),
            },
            onListening: ({ graphqlUrl, url }) => {
              if (options.explorer) progress(`explorer at ${url}`);
              progress(`GraphQL at ${graphqlUrl}, state kept in ${nameOf(store)}`);
            },
          },
          signal,
        );
        return { result: { stopped: true }, lines: ["stopped; the next start goes on from here"] };
      }),
    );
}

/** An API process beside the one that writes. */
async function serveRows(
  options: IndexerCommandOptions,
  progress: (line: string) => void,
  signal: AbortSignal,
): Promise<Outcome> {
  const location = locationOf(options);
  if (!("databaseUrl" in location)) {
    throw new SuretyError("INDEXER_NEEDS_DATABASE", "Only rows in PostgreSQL are served by more than one process.", {
      next: "Set DATABASE_URL to the writer's database, or to a standby of it.",
    });
  }
  const { host, port } = options;
  await runReplica(
    {
      ...{ client: clientOf(rpcUrlOf(options)), deployment: readDeployment(options), ...location, host, port },
      ...(options.cors === undefined ? {} : { corsOrigins: options.cors }),
      explorer: explorerOf(options),
      onListening: ({ url }) => progress(`GraphQL at ${url}/graphql, read from ${nameOf(location)}`),
    },
    signal,
  );
  return { result: { stopped: true }, lines: ["stopped"] };
}

/** The first of the named endpoints that answers for the deployment's chain. @throws as connect, of the last one */
async function connectToFirst(options: IndexerCommandOptions, signal: AbortSignal): Promise<Connection> {
  const [first, ...others] = [rpcUrlOf(options), ...(options.witnessRpc ?? [])] as [string, ...string[]];
  let connecting = connect({ ...options, rpcUrl: first }, signal);
  for (const rpcUrl of others) {
    connecting = connecting.catch((fault: unknown) => {
      // A wrong chain is the operator's to mend; one that is down today is what the others are for.
      if (!(fault instanceof SuretyError) || fault.code !== "CHAIN_UNREACHABLE") throw fault;
      return connect({ ...options, rpcUrl }, signal);
    });
  }
  return connecting;
}

/** commander argument parser: URLs of endpoints, one or several in one text, as an environment variable holds them. */
function parseUrls(text: string, before: readonly string[] = []): readonly string[] {
  const urls = text.split(/\s+/).filter((url) => url !== "");
  const wrong = urls.find((url) => !/^(https?|wss?):$/.test(URL.parse(url)?.protocol ?? ""));
  if (wrong !== undefined) throw new InvalidArgumentError("Expected URLs of endpoints (http, https, ws or wss).");
  return [...before, ...urls];
}

/** commander argument parser: folders and URLs, one or several in one text, as an environment variable holds them. */
function parsePlaces(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(/\s+/).filter((place) => place !== "")];
}

/** newHeads over a WebSocket, where the endpoint has one, tell of a block at once. */
function clientOf(url: string): PublicClient {
  return createPublicClient({ transport: url.startsWith("ws") ? webSocket(url) : http(url), cacheTime: 0 });
}

/** The endpoint that the indexer reads from may carry a key in its URL: only a named one is shown to visitors. */
function explorerOf({ explorer, suggestRpc, topic: topics = [] }: IndexerCommandOptions): ExplorerOptions | false {
  if (!explorer) return false;
  return suggestRpc === undefined ? { topics } : { topics, rpcUrl: suggestRpc };
}

/** PostgreSQL where DATABASE_URL names one (an argument would show its password to every user of the machine), else the network's folder. */
function locationOf(options: CommonOptions): StoreLocation {
  const databaseUrl = process.env["DATABASE_URL"];
  return databaseUrl === undefined || databaseUrl === "" ? { folder: networkDir(options) } : { databaseUrl };
}

const nameOf = (location: StoreLocation): string =>
  "folder" in location ? location.folder : "the database of DATABASE_URL";

async function status(options: CommonOptions, signal: AbortSignal): Promise<Outcome> {
  const { client, deployment } = await connect(options, signal);
  const stored = await statusOfStored(client, deployment, locationOf(options));
  const { block, hash, head, finalized, undoFloor, isOnChain, leaves, leavesWaiting, leafFiles } = stored;
  return {
    result: stored,
    isFailed: !isOnChain,
    lines: [
      `rows as of block ${block} of ${head} (${hash})`,
      `final up to ${finalized}, can be undone down to ${undoFloor}`,
      isOnChain ? "the chain has that block" : "the chain has another block there: start the indexer, which undoes it",
      `leaves of standing commits: ${Object.entries(leaves)
        .map(([state, count]) => `${count} ${state}`)
        .join(", ")}`,
      `files of leaves: ${Object.entries(leafFiles)
        .map(([state, count]) => `${count} ${state}`)
        .join(", ")}`,
      ...leavesWaiting.map(
        ({ id, answerBy }) => `  chunk ${id} waits for an answer until ${new Date(answerBy * 1_000).toISOString()}`,
      ),
    ],
  };
}

async function rebuild(options: CommonOptions, signal: AbortSignal): Promise<Outcome> {
  const { deployment } = await connect(options, signal);
  const location = locationOf(options);
  await dropStored(deployment, location);
  return {
    result: { dropped: true },
    lines: [`dropped the rows in ${nameOf(location)}; start \`surety indexer\` to read them anew`],
  };
}

async function verify(options: CommonOptions, signal: AbortSignal): Promise<Outcome> {
  const { client, deployment } = await connect(options, signal);
  const report = await verifyStored(client, deployment, locationOf(options), signal);
  const { block, hash, eventCount, rowCount, differenceCount, differences } = report;
  return {
    result: report,
    isFailed: differenceCount > 0,
    lines: [
      `${rowCount} rows as of block ${block} (${hash}), compared with ${eventCount} events`,
      ...differences.map(describe),
      differenceCount === 0 ? "every row is what the chain says" : `${differenceCount} rows differ from the chain`,
    ],
  };
}

function describe({ table, id, stored, expected }: Difference): string {
  if (stored === undefined) return `  ${table} ${id}: missing`;
  if (expected === undefined) return `  ${table} ${id}: the chain knows no such row`;
  const columns = Object.keys(expected).filter((name) => stored[name] !== expected[name]);
  return `  ${table} ${id}: ${columns.map((name) => `${name} is ${stored[name]}, not ${expected[name]}`).join("; ")}`;
}
