import { readFileSync } from "node:fs";
import { dirname, isAbsolute, resolve } from "node:path";
import { isHex, type Hex } from "viem";
import { parseDeployment, SuretyError, type Deployment } from "#protocol";
import { arbiterOf, invalid, isRecord, listOf, textOf, weiOf, type ArbiterName } from "./config-fields.ts";
import { MAX_RANK } from "./reputation/publisher.ts";
import { relayModes, type RelayMode } from "./transport/addressing/relay-modes.ts";
import { parseShop, type ShopConfig } from "./shop-config.ts";

/** How an agent's headers spread; see node/gossip/dissemination.ts. */
export const disseminations = ["mesh", "gossipsub"] as const;

export const roles = ["publisher", "watcher", "anchorer", "juror"] as const;
export type Role = (typeof roles)[number];

/** A publisher among others; see PublisherOptions. */
export interface PublishingConfig {
  /** 0 commits at once; r gives way to r others first. */
  readonly rank: number;
  /** Whether bonds are taken back as soon as they may be, instead of staying for the next candidates. */
  readonly isReleasing: boolean;
}

/** One agent of a node process. */
export interface AgentConfig {
  readonly name: string;
  /** The agent's secp256k1 key: owner, LOG signer and peer id. */
  readonly key: Hex;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** Multiaddrs of peers to begin with. */
  readonly bootstrap: readonly string[];
  /** How headers reach other nodes. Both kinds of node hear one another. */
  readonly dissemination: (typeof disseminations)[number];
  /** Whether the agent is reached through relays, or relays for others; undefined = `off`. */
  readonly relay?: RelayMode;
  readonly roles: readonly Role[];
  /** Topics whose order the agent follows, and takes part in while it has a seat; default none. */
  readonly windows: readonly string[];
  /** How the role publisher is played; undefined = the agent does not play it. */
  readonly publisher: PublishingConfig | undefined;
  /** Absolute path of the binding file with which the agent's code and config are compared; undefined = none. */
  readonly bindingFile: string | undefined;
  /** Start although code or config are not the committed ones; every entry of the log says so. */
  readonly isUnbound: boolean;
  /** Whether checkpoints carry the Poseidon head from which `surety proof` proves; default yes. */
  readonly isProvable: boolean;
  /** Absolute path of a module that exports `createApplication`; undefined = an agent that only buys. */
  readonly application: { readonly module: string; readonly options: unknown } | undefined;
  /** Port of the local interface on loopback; 0 = any free one. */
  readonly apiPort: number;
  /** Where a reverse proxy shows this interface to the world, without a path; undefined = on this machine only. */
  readonly publicUrl: string | undefined;
  /** Programs of others, such as a model's, that may use the agent over MCP and A2A. */
  readonly clients: readonly ClientConfig[];
  /** Who is told of the steps of this agent's deals. */
  readonly webhooks: readonly WebhookEndpoint[];
  /** What is sold over HTTP; undefined = nothing. */
  readonly shop: ShopConfig | undefined;
  /** The most that is deposited with an arbitrator at once, in wei; undefined = the settlement's default. */
  readonly maxArbitrationFeeWei: bigint | undefined;
  /** Arbiters that a shop may name in what this agent buys over HTTP; without an arbiter is always taken. */
  readonly arbiters: readonly ArbiterName[];
  /** Key of an account that pays the gas of this agent's deals, as far as others may send for it; undefined = its own. */
  readonly gasKey: Hex | undefined;
}

/** What a client may commit the agent to, in the token's smallest unit. */
export interface SpendingLimits {
  /** Most of one task. */
  readonly maxPriceWei: bigint;
  /** Most of all tasks that were begun in the last `periodSeconds`. */
  readonly budgetWei: bigint;
  readonly periodSeconds: number;
}

/** A program that uses the agent by a token of its own, which opens nothing else. */
export interface ClientConfig {
  readonly name: string;
  readonly token: string;
  /** undefined = it looks, and spends nothing. */
  readonly spending: SpendingLimits | undefined;
}

/** An HTTP endpoint of the agent's owner. */
export interface WebhookEndpoint {
  readonly url: string;
  /** At least 24 bytes, shared with the receiver. */
  readonly secret: Uint8Array;
}

/** An OpenAI-compatible `/embeddings`. */
export interface EmbedderConfig {
  readonly baseUrl: string;
  readonly model: string;
  readonly apiKey: string | undefined;
}

export interface NodeConfig {
  readonly rpcUrl: string;
  readonly deployment: Deployment;
  /** GraphQL endpoint of an indexer from which scores are asked; they are believed on proof only. */
  readonly graphqlUrl: string | undefined;
  /** A model that judges how near declarations are to a question; absent = the built-in lexical embedder alone. */
  readonly embedder?: EmbedderConfig;
  /** Bearer token of the local interfaces; undefined = one of its own for each agent, in its folder. */
  readonly apiToken: string | undefined;
  /** Blocks on top of a transaction or a deal's end before it is left alone; undefined = the stages' defaults. */
  readonly finalityDepth: number | undefined;
  /** The most that is paid for a unit of gas, in wei; undefined = the sender's default. */
  readonly maxFeePerGasWei: bigint | undefined;
  /** Where the agents keep their stores, one folder each. */
  readonly dataDir: string;
  readonly agents: readonly AgentConfig[];
}

/** Each step is posted to each endpoint. */
const MAX_WEBHOOKS = 8;
/** As Standard Webhooks asks: 192 bits. */
const MIN_SECRET_BYTES = 24;
/** Agents of one process: each has a host, a store and a few timers, 2 MB or so; beyond this, start another process. */
const MAX_AGENTS = 64;

/** Programs of one agent; each request is compared with all their tokens. */
const MAX_CLIENTS = 16;
/** 128 bits in hex or base64. */
const MIN_TOKEN_LENGTH = 22;
/** Each topic costs a round of requests every window. */
const MAX_WINDOW_TOPICS = 8;
/** Each offer's arbiter is compared with all of them. */
const MAX_ARBITERS = 16;
const DEFAULT_PERIOD_S = 86_400;
const MAX_PERIOD_S = 31_536_000;

/** Deeper than any chain reorganizes, and few enough for a node to keep all that is younger in memory. */
const MAX_FINALITY_DEPTH = 10_000;

/**
 * Reads a node's configuration file: JSON, relative paths from its own folder, keys in files of their own.
 * @throws SuretyError USAGE_CONFIG
 */
export function readConfig(path: string): NodeConfig {
  const json = readJson(path, "configuration");
  const at = (file: string) => (isAbsolute(file) ? file : resolve(dirname(path), file));
  const agents = json["agents"];
  if (!Array.isArray(agents) || agents.length === 0 || agents.length > MAX_AGENTS) {
    throw invalid(path, `agents is not a list of 1 to ${MAX_AGENTS}`);
  }
  const graphqlUrl = json["graphqlUrl"];
  const parsed = agents.map((agent) => parseAgent(agent, path, at));
  const names = parsed.map(({ name }) => name);
  const twice = names.find((name, k) => names.indexOf(name) < k);
  if (twice !== undefined) throw invalid(path, `two agents are named ${twice}, and a name is a folder`);
  // One sender a key: two would fight over its nonces.
  const keys = parsed.flatMap(({ key, gasKey }) => (gasKey === undefined ? [key] : [key, gasKey]));
  if (parsed.some(({ gasKey }) => keys.filter((key) => key === gasKey).length > 1)) {
    throw invalid(path, "a gasKeyFile holds the key of another agent or of another's gas");
  }
  return {
    rpcUrl: textOf(json, "rpcUrl", path),
    deployment: parseDeployment(readText(at(textOf(json, "deploymentFile", path)), "deployment")),
    graphqlUrl: graphqlUrl === undefined ? undefined : textOf(json, "graphqlUrl", path),
    ...(json["embedder"] === undefined ? {} : { embedder: parseEmbedder(json["embedder"], path, at) }),
    apiToken: json["apiToken"] === undefined ? undefined : textOf(json, "apiToken", path),
    finalityDepth: depthOf(json, path),
    maxFeePerGasWei: weiOf(json, "maxFeePerGasWei", path),
    dataDir: at(textOf(json, "dataDir", path)),
    agents: parsed,
  };
}

function parseAgent(json: unknown, path: string, at: (file: string) => string): AgentConfig {
  if (!isRecord(json)) throw invalid(path, "an agent is not an object");
  const name = textOf(json, "name", path);
  if (!/^[\w-]{1,64}$/.test(name)) throw invalid(path, `the name ${name} is not 1 to 64 letters, digits, - or _`);
  const key = readKey(at(textOf(json, "keyFile", path)), `the key file of ${name}`, path);
  const application = json["application"];
  if (application !== undefined && !isRecord(application))
    throw invalid(path, `the application of ${name} is not an object`);
  const apiPort = json["apiPort"] ?? 0;
  if (!Number.isInteger(apiPort) || (apiPort as number) < 0 || (apiPort as number) > 65_535) {
    throw invalid(path, `the apiPort of ${name} is not a port`);
  }
  const played = parseRoles(listOf(json, "roles", path) ?? [], path);
  const isUnbound = json["unbound"] ?? false;
  if (typeof isUnbound !== "boolean") throw invalid(path, `unbound of ${name} is neither true nor false`);
  const isProvable = json["provable"] ?? true;
  if (typeof isProvable !== "boolean") throw invalid(path, `provable of ${name} is neither true nor false`);
  return {
    name,
    key,
    listen: listOf(json, "listen", path) ?? ["/ip4/127.0.0.1/tcp/0"],
    bootstrap: listOf(json, "bootstrap", path) ?? [],
    relay: parseRelay(json["relay"] ?? "off", name, path),
    dissemination: parseDissemination(json["dissemination"] ?? "mesh", name, path),
    roles: played,
    windows: parseWindows(listOf(json, "windows", path) ?? [], name, path),
    publisher: parsePublisher(json["publisher"], name, played, path),
    bindingFile: json["binding"] === undefined ? undefined : at(textOf(json, "binding", path)),
    isUnbound,
    isProvable,
    application: application && { module: at(textOf(application, "module", path)), options: application["options"] },
    apiPort: apiPort as number,
    publicUrl: parsePublicUrl(json["publicUrl"], name, path),
    clients: parseClients(json["clients"] ?? [], name, path, at),
    shop: json["shop"] === undefined ? undefined : parseShop(json["shop"], name, path),
    webhooks: parseWebhooks(json["webhooks"] ?? [], name, path, at),
    maxArbitrationFeeWei: weiOf(json, "maxArbitrationFeeWei", path),
    gasKey:
      json["gasKeyFile"] === undefined
        ? undefined
        : readKey(at(textOf(json, "gasKeyFile", path)), `the gasKeyFile of ${name}`, path),
    arbiters: parseArbiters(listOf(json, "arbiters", path) ?? ["panel"], name, path),
  };
}

function parseDissemination(json: unknown, name: string, path: string): AgentConfig["dissemination"] {
  const known = disseminations.find((dissemination) => dissemination === json);
  if (known === undefined) throw invalid(path, `the dissemination of ${name} is not ${disseminations.join(" or ")}`);
  return known;
}

/** Skills are hashed in lower case, and a header names its topics by its skills. */
function parseWindows(names: readonly string[], name: string, path: string): readonly string[] {
  if (names.length > MAX_WINDOW_TOPICS)
    throw invalid(path, `the windows of ${name} are more than ${MAX_WINDOW_TOPICS}`);
  const wrong = names.find((topic, k) => topic === "" || topic !== topic.toLowerCase() || names.indexOf(topic) < k);
  if (wrong !== undefined)
    throw invalid(path, `the windows of ${name} name ${wrong || "nothing"}, not a topic in lower case once`);
  return names;
}

function readKey(file: string, what: string, path: string): Hex {
  const key = readText(file, "key").trim();
  if (!isHex(key) || key.length !== 66) throw invalid(path, `${what} does not hold 0x and 64 hex digits`);
  return key;
}

function parseArbiters(names: readonly string[], name: string, path: string): ArbiterName[] {
  if (names.length > MAX_ARBITERS) throw invalid(path, `the arbiters of ${name} are more than ${MAX_ARBITERS}`);
  return names.map((arbiter) => arbiterOf(arbiter, `an arbiter of ${name}`, path));
}

function parsePublicUrl(json: unknown, name: string, path: string): string | undefined {
  if (json === undefined) return undefined;
  const url = typeof json === "string" && URL.canParse(json) ? new URL(json) : undefined;
  if (url === undefined || !["http:", "https:"].includes(url.protocol) || url.href !== `${url.origin}/`) {
    throw invalid(path, `the publicUrl of ${name} is not an http or https URL without a path`);
  }
  return url.origin;
}

function parseClients(json: unknown, name: string, path: string, at: (file: string) => string): ClientConfig[] {
  if (!Array.isArray(json) || json.length > MAX_CLIENTS) {
    throw invalid(path, `the clients of ${name} are not a list of at most ${MAX_CLIENTS}`);
  }
  const clients = json.map((entry: unknown): ClientConfig => {
    if (!isRecord(entry)) throw invalid(path, `a client of ${name} is not an object`);
    const client = textOf(entry, "name", path);
    if (!/^[\w-]{1,64}$/.test(client) || client === "owner") {
      throw invalid(
        path,
        `the client ${client} of ${name} is not named by 1 to 64 letters, digits, - or _, or is "owner"`,
      );
    }
    const token = readText(at(textOf(entry, "tokenFile", path)), "client token").trim();
    if (token.length < MIN_TOKEN_LENGTH) {
      throw invalid(
        path,
        `the token of the client ${client} has ${token.length} characters, not ${MIN_TOKEN_LENGTH} or more`,
      );
    }
    return { name: client, token, spending: parseSpending(entry["spending"], client, path) };
  });
  for (const field of ["name", "token"] as const) {
    if (new Set(clients.map((client) => client[field])).size < clients.length) {
      throw invalid(path, `two clients of ${name} have the same ${field}`);
    }
  }
  return clients;
}

/** No limit is guessed: who may spend says how much. */
function parseSpending(json: unknown, client: string, path: string): SpendingLimits | undefined {
  if (json === undefined) return undefined;
  if (!isRecord(json)) throw invalid(path, `the spending of the client ${client} is not an object`);
  const [maxPriceWei, budgetWei] = [weiOf(json, "maxPriceWei", path), weiOf(json, "budgetWei", path)];
  const periodSeconds = json["periodSeconds"] ?? DEFAULT_PERIOD_S;
  if (maxPriceWei === undefined || budgetWei === undefined) {
    throw invalid(path, `the spending of the client ${client} lacks maxPriceWei or budgetWei`);
  }
  if (!Number.isInteger(periodSeconds) || (periodSeconds as number) < 1 || (periodSeconds as number) > MAX_PERIOD_S) {
    throw invalid(path, `periodSeconds of the client ${client} is not an integer from 1 to ${MAX_PERIOD_S}`);
  }
  return { maxPriceWei, budgetWei, periodSeconds: periodSeconds as number };
}

/** The only URLs that a node posts to: https anywhere, http on this machine alone. */
function parseWebhooks(json: unknown, name: string, path: string, at: (file: string) => string): WebhookEndpoint[] {
  if (!Array.isArray(json) || json.length > MAX_WEBHOOKS) {
    throw invalid(path, `the webhooks of ${name} are not a list of at most ${MAX_WEBHOOKS}`);
  }
  return json.map((entry: unknown) => {
    if (!isRecord(entry)) throw invalid(path, `a webhook of ${name} is not an object`);
    const url = textOf(entry, "url", path);
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    const isLocal = ["127.0.0.1", "[::1]", "localhost"].includes(parsed?.hostname ?? "");
    const isAllowed = parsed?.protocol === "https:" || (parsed?.protocol === "http:" && isLocal);
    if (!isAllowed || parsed?.username !== "") {
      throw invalid(path, `the webhook ${url} of ${name} is no https URL, nor an http URL on this machine`);
    }
    const secret = new TextEncoder().encode(readText(at(textOf(entry, "secretFile", path)), "webhook secret").trim());
    if (secret.length < MIN_SECRET_BYTES) {
      throw invalid(path, `the webhook secret of ${name} has ${secret.length} bytes, not ${MIN_SECRET_BYTES} or more`);
    }
    return { url, secret };
  });
}

/** Questions and strangers' texts go there: https, or http on this machine. */
function parseEmbedder(json: unknown, path: string, at: (file: string) => string): EmbedderConfig {
  if (!isRecord(json)) throw invalid(path, "embedder is not an object");
  const baseUrl = textOf(json, "baseUrl", path);
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  const isLocal = ["127.0.0.1", "[::1]", "localhost"].includes(url?.hostname ?? "");
  if (url?.protocol !== "https:" && !(url?.protocol === "http:" && isLocal)) {
    throw invalid(path, `the embedder's baseUrl ${baseUrl} is no https URL, nor an http URL on this machine`);
  }
  const keyFile = json["keyFile"] === undefined ? undefined : at(textOf(json, "keyFile", path));
  const apiKey = keyFile === undefined ? undefined : readText(keyFile, "embedder key").trim();
  return { baseUrl, model: textOf(json, "model", path), apiKey };
}

function parseRelay(json: unknown, name: string, path: string): RelayMode {
  const mode = relayModes.find((known) => known === json);
  if (mode === undefined) throw invalid(path, `relay of ${name} is none of ${relayModes.join(", ")}`);
  return mode;
}

function parseRoles(names: readonly string[], path: string): Role[] {
  const unknown = names.find((name) => !(roles as readonly string[]).includes(name));
  if (unknown !== undefined) throw invalid(path, `${unknown} is no role; roles are ${roles.join(", ")}`);
  return names as Role[];
}

function parsePublisher(
  json: unknown,
  name: string,
  played: readonly Role[],
  path: string,
): PublishingConfig | undefined {
  if (json !== undefined && !isRecord(json)) throw invalid(path, `the publisher of ${name} is not an object`);
  if (!played.includes("publisher")) {
    if (json === undefined) return undefined;
    throw invalid(path, `${name} says how it publishes, but its roles lack publisher`);
  }
  const { rank = 0, isReleasing = false } = json ?? {};
  if (!Number.isInteger(rank) || (rank as number) < 0 || (rank as number) > MAX_RANK) {
    throw invalid(path, `the publisher's rank of ${name} is not an integer from 0 to ${MAX_RANK}`);
  }
  if (typeof isReleasing !== "boolean") throw invalid(path, `isReleasing of ${name} is not true or false`);
  return { rank: rank as number, isReleasing };
}

function readText(path: string, what: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new SuretyError("USAGE_CONFIG", `The ${what} file ${path} cannot be read.`, {
      values: { path },
      next: "Check the path in the node's configuration; relative paths start from its folder.",
      cause,
    });
  }
}

function readJson(path: string, what: string): Record<string, unknown> {
  const text = readText(path, what);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, "it is not JSON", cause);
  }
  if (!isRecord(json)) throw invalid(path, "it is not an object");
  return json;
}

/** Zero would have a reorg take back what was called final. */
function depthOf(json: Record<string, unknown>, path: string): number | undefined {
  const depth = json["finalityDepth"];
  if (depth === undefined) return undefined;
  if (Number.isInteger(depth) && (depth as number) > 0 && (depth as number) <= MAX_FINALITY_DEPTH) {
    return depth as number;
  }
  throw invalid(path, `finalityDepth is not an integer from 1 to ${MAX_FINALITY_DEPTH}`);
}
