import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createPublicClient, http, type PublicClient } from "viem";
import { parseDeployment, SuretyError, type Deployment } from "#protocol";

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
}

export interface Connection {
  readonly client: PublicClient;
  readonly deployment: Deployment;
  readonly rpcUrl: string;
  readonly endpoints: Endpoints;
}

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
 * @throws SuretyError RPC_UNREACHABLE, WRONG_CHAIN or NOT_DEPLOYED
 */
export async function connect(options: NetworkOptions): Promise<Connection> {
  const deployment = readDeployment(options);
  const rpcUrl = rpcUrlOf(options);
  const client = createPublicClient({ transport: http(rpcUrl, { retryCount: 1 }) });
  const chainId = await client.getChainId().catch((cause: unknown) => {
    throw new SuretyError("RPC_UNREACHABLE", `No chain answers at ${rpcUrl}.`, {
      values: { rpcUrl },
      next: "Start the chain (`npx hardhat node` or `surety devnet`) or name another with --rpc-url.",
      cause,
      isRetryable: true,
    });
  });
  if (chainId !== deployment.chainId) {
    throw new SuretyError("WRONG_CHAIN", `${rpcUrl} is chain ${chainId}, the deployment is on ${deployment.chainId}.`, {
      values: { chainId, expected: deployment.chainId },
      next: "Name the right chain with --rpc-url or the right deployment with --network.",
    });
  }
  const code = await client.getCode({ address: deployment.contracts.identityRegistry });
  if (code === undefined) {
    throw new SuretyError("NOT_DEPLOYED", "The chain has no contract at the deployment's identity registry.", {
      values: { address: deployment.contracts.identityRegistry },
      next: `A local chain forgets when it restarts: run \`surety deploy --network ${options.network}\` again.`,
    });
  }
  return { client, deployment, rpcUrl, endpoints: readEndpoints(options) };
}
