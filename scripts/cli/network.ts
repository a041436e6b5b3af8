import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDeployment, SuretyError, type Deployment } from "#protocol";
import { connectChain, type ChainClient } from "../../node/chain/connect.ts";

/** Options that say which chain and which deployment a command speaks to. */
export interface NetworkOptions {
  readonly network: string;
  readonly rpcUrl?: string;
  readonly dataDir: string;
}

/** What a running local network tells other commands of itself. */
export interface Endpoints {
  readonly rpcUrl?: string;
  readonly graphqlUrl?: string;
  readonly nodeUrl?: string;
  readonly nodeToken?: string;
  /** An agent that a client may use, and the client's token. */
  readonly clientUrl?: string;
  readonly clientToken?: string;
}

export interface Connection {
  readonly client: ChainClient;
  readonly deployment: Deployment;
  readonly rpcUrl: string;
  readonly endpoints: Endpoints;
}

/** Chain id of every Hardhat chain. */
export const LOCAL_CHAIN_ID = 31_337;
/** Where `npx hardhat node` listens unless told otherwise: the one fixed port of this project, and only looked at. */
const HARDHAT_NODE_URL = "http://127.0.0.1:8545";

export const networkDir = (options: NetworkOptions): string => join(options.dataDir, options.network);
export const deploymentPath = (options: NetworkOptions): string => join(networkDir(options), "deployment.json");
export const endpointsPath = (options: NetworkOptions): string => join(networkDir(options), "endpoints.json");

/** @throws SuretyError DEPLOYMENT_MISSING or DEPLOYMENT_INVALID */
export function readDeployment(options: NetworkOptions): Deployment {
  const path = deploymentPath(options);
  try {
    return parseDeployment(readFileSync(path, "utf8"));
  } catch (cause) {
    if (cause instanceof SuretyError) throw cause;
    throw new SuretyError("DEPLOYMENT_MISSING", `There is no deployment file at ${path}.`, {
      values: { path },
      next: `Deploy with \`surety deploy --network ${options.network}\`, or start \`surety devnet\` and use --network devnet.`,
      cause,
    });
  }
}

export function readEndpoints(options: NetworkOptions): Endpoints {
  try {
    return JSON.parse(readFileSync(endpointsPath(options), "utf8")) as Endpoints;
  } catch {
    return {};
  }
}

/** The RPC endpoint: the option, the environment, what the running network wrote, or Hardhat's default. */
export function rpcUrlOf(options: NetworkOptions): string {
  return options.rpcUrl ?? readEndpoints(options).rpcUrl ?? process.env["SURETY_RPC_URL"] ?? HARDHAT_NODE_URL;
}

/**
 * Connects and makes sure that this is the chain of the deployment.
 * @throws SuretyError DEPLOYMENT_MISSING, DEPLOYMENT_INVALID, and as connectChain does
 */
export async function connect(options: NetworkOptions, signal: AbortSignal): Promise<Connection> {
  const deployment = readDeployment(options);
  const rpcUrl = rpcUrlOf(options);
  const client = await connectChain(rpcUrl, deployment, signal);
  return { client, deployment, rpcUrl, endpoints: readEndpoints(options) };
}
