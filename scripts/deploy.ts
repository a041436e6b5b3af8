import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { HardhatArtifactResolver } from "@nomicfoundation/hardhat-ignition/helpers";
import { deploy, DeploymentResultType, type DeploymentResult } from "@nomicfoundation/ignition-core";
import hre from "hardhat";
import type { EthereumProvider } from "hardhat/types/providers";
import { hexToNumber, isAddress, numberToHex, type Address, type Hex } from "viem";
import {
  groupIdOf,
  issuerIdOf,
  noCouplings,
  parseDeployment,
  requireCouplings,
  SuretyError,
  type Couplings,
  type Deployment,
} from "#protocol";
import { unreachable } from "../node/chain/connect.ts";
import { LOCAL_CHAIN_ID } from "./cli/network.ts";
import { confirmedTransactionOf, recoverLostTransactions, type Requester } from "./ignition/journal.ts";
import Surety, { SuretyOnToken } from "./ignition/Surety.ts";

/** What a deployment cannot change later. */
export interface DeployParameters {
  readonly epochLengthSeconds: bigint;
  /** From the start of unbonding to withdrawal. Longer than two epochs, so that no stake leaves before its slash. */
  readonly unbondingDelaySeconds: bigint;
  /** What a publisher locks for one candidate, in the token's smallest unit. */
  readonly publisherBondWei: bigint;
  /** Whose credentials and whose group count for the trust ledger, for ever; none = the account that deploys. */
  readonly credentialIssuer?: Address;
  /** The ERC-20 in which deals are paid and stake is held; none = a test token is deployed. */
  readonly token?: Address;
  /** How reputation in one topic counts in another; none = each topic stands alone. */
  readonly couplings?: Couplings;
}

/** For a public network with a token of six decimals: days for epochs, two weeks to unbond, a bond of 1,000. */
export const defaultParameters: DeployParameters = {
  epochLengthSeconds: 86_400n,
  unbondingDelaySeconds: 14n * 86_400n,
  publisherBondWei: 1_000_000_000n,
};

export interface DeployOptions {
  /** A connection of `network.create()`, in memory or to a node; its first account deploys. */
  readonly connection: { readonly provider: EthereumProvider };
  readonly parameters: DeployParameters;
  /** Holds deployment.json, Ignition's journal and what the deployment began with; by custom `.surety/<network>`. */
  readonly deploymentDir: string;
  /** Forget a deployment of a chain that no longer exists. */
  readonly isReset?: boolean;
  /** Stops before the next request to the chain; the next run takes up from there. */
  readonly signal?: AbortSignal;
}

/** What a deployment began with, written before its first transaction. */
interface Beginning {
  readonly chainId: number;
  readonly block: number;
  readonly blockHash: Hex;
  readonly parameters: Record<string, string>;
}

/** Local chains mine at once: looking often costs nothing there. */
const LOCAL_POLLING_INTERVAL_MS = 50;
/** Depth at which a block of a public network is taken as settled. */
const PUBLIC_CONFIRMATIONS = 5;
/** A challenge of epoch s ends with s + 1: stake that leaves within two epochs could dodge its slash. */
const UNBONDING_EPOCHS_MIN = 2n;
/** The vault holds its delay in 48 bits. */
const UNBONDING_DELAY_LIMIT = 1n << 48n;

/** Where the deployment file of a deployment directory lies. */
export const deploymentFileOf = (deploymentDir: string): string => join(deploymentDir, "deployment.json");

/**
 * Deploys and wires every contract by Ignition, or what an earlier run has left to do, and writes the deployment file.
 * A second run sends nothing. The contracts are built before (`hardhat build`).
 * @throws SuretyError DEPLOY_PARAMETERS_INVALID, COUPLING_UNSTABLE, COUPLING_LINK, DEPLOY_PARAMETERS_CHANGED, DEPLOY_CHAIN_CHANGED, DEPLOY_FAILED or
 * CHAIN_UNREACHABLE; the signal's reason if it fired
 */
export async function deploySurety(options: DeployOptions): Promise<Deployment> {
  const { parameters, deploymentDir, signal } = options;
  const provider = abortable(options.connection.provider, signal);
  requireValid(parameters);
  const chainId = await chainIdOf(provider, signal);
  await requireToken(provider, parameters.token);
  if (options.isReset === true) forget(deploymentDir);
  const beginning = await begin(provider, chainId, parameters, deploymentDir);
  const result = await runIgnition(provider, parameters, deploymentDir, chainId, signal);
  if (result.type !== DeploymentResultType.SUCCESSFUL_DEPLOYMENT) throw failureOf(result, deploymentDir);
  const addresses = Object.fromEntries(
    Object.entries(moduleOf(parameters).results).map(([name, future]) => [name, result.contracts[future.id]?.address]),
  );
  const { block } = beginning;
  const text = JSON.stringify({ chainId, deployedAtBlock: block, contracts: addresses }, null, 2);
  const deployment = parseDeployment(text);
  writeWhole(deploymentFileOf(deploymentDir), `${text}\n`);
  return deployment;
}

const moduleOf = ({ token }: DeployParameters) => (token === undefined ? Surety : SuretyOnToken);

const named = (parameters: DeployParameters): Record<string, string> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, value]: [string, unknown]) => [
      name,
      typeof value === "object"
        ? JSON.stringify(value, (_, field) => (typeof field === "bigint" ? String(field) : field) as unknown)
        : String(value as string | bigint),
    ]),
  );

function requireValid(parameters: DeployParameters): void {
  const { epochLengthSeconds, unbondingDelaySeconds, publisherBondWei, credentialIssuer, token } = parameters;
  const unbondingDelayMin = UNBONDING_EPOCHS_MIN * epochLengthSeconds;
  requireCouplings(parameters.couplings ?? noCouplings);
  const checks: [boolean, string, unknown, string][] = [
    [epochLengthSeconds > 0n, "epochLengthSeconds", epochLengthSeconds, "at least 1"],
    [
      unbondingDelaySeconds > unbondingDelayMin,
      "unbondingDelaySeconds",
      unbondingDelaySeconds,
      `above ${unbondingDelayMin}, two epochs`,
    ],
    [unbondingDelaySeconds < UNBONDING_DELAY_LIMIT, "unbondingDelaySeconds", unbondingDelaySeconds, "below 2^48"],
    [publisherBondWei > 0n, "publisherBondWei", publisherBondWei, "at least 1"],
    [credentialIssuer === undefined || isAddress(credentialIssuer), "credentialIssuer", credentialIssuer, "an address"],
    [token === undefined || isAddress(token), "token", token, "an address"],
  ];
  for (const [isValid, parameter, given, required] of checks) {
    if (isValid) continue;
    throw new SuretyError("DEPLOY_PARAMETERS_INVALID", `${parameter} is ${String(given)}, it has to be ${required}.`, {
      values: { parameter, given, required },
      next: `Give ${parameter} ${required} and deploy again; nothing has been sent.`,
    });
  }
}

async function requireToken(provider: Requester, token: Address | undefined): Promise<void> {
  if (token === undefined) return;
  const code = (await provider.request({ method: "eth_getCode", params: [token, "latest"] })) as Hex;
  if (code !== "0x") return;
  throw new SuretyError("DEPLOY_PARAMETERS_INVALID", `token is ${token}, where this chain has no contract.`, {
    values: { parameter: "token", given: token },
    next: "Give the address of an ERC-20 of this chain, or none to deploy the test token.",
  });
}

async function chainIdOf(provider: Requester, signal: AbortSignal | undefined): Promise<number> {
  try {
    return hexToNumber((await provider.request({ method: "eth_chainId" })) as Hex);
  } catch (cause) {
    signal?.throwIfAborted();
    throw unreachable(cause);
  }
}

/** Makes sure that this chain and these parameters are those with which the deployment began, or begins it. */
async function begin(
  provider: Requester,
  chainId: number,
  parameters: DeployParameters,
  deploymentDir: string,
): Promise<Beginning> {
  const path = join(deploymentDir, "beginning.json");
  if (!existsSync(path)) {
    const latest = await blockOf(provider, "latest");
    if (latest === null) throw new Error("the chain has no latest block");
    const beginning = { chainId, ...latest, parameters: named(parameters) };
    mkdirSync(deploymentDir, { recursive: true });
    writeWhole(path, `${JSON.stringify(beginning, null, 2)}\n`);
    return beginning;
  }
  const beginning = JSON.parse(readFileSync(path, "utf8")) as Beginning;
  const block = await blockOf(provider, numberToHex(beginning.block));
  const isSameChain = chainId === beginning.chainId && block?.blockHash === beginning.blockHash;
  if (!isSameChain || !(await hasConfirmed(provider, deploymentDir))) {
    throw new SuretyError(
      "DEPLOY_CHAIN_CHANGED",
      `The deployment in ${deploymentDir} is on another chain than this one.`,
      {
        values: {
          chainId,
          expectedChainId: beginning.chainId,
          block: beginning.block,
          expectedHash: beginning.blockHash,
        },
        next: "A local chain forgets when it restarts: deploy with --reset. Else name the right network.",
      },
    );
  }
  requireSame(beginning.parameters, named(parameters), deploymentDir);
  return beginning;
}

/** False if the chain does not know what this deployment saw confirmed: two local chains may begin with the same block. */
async function hasConfirmed(provider: Requester, deploymentDir: string): Promise<boolean> {
  const hash = confirmedTransactionOf(join(deploymentDir, "ignition"));
  if (hash === undefined) return true;
  return (await provider.request({ method: "eth_getTransactionReceipt", params: [hash] })) !== null;
}

function requireSame(before: Record<string, string>, now: Record<string, string>, deploymentDir: string): void {
  for (const parameter of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (before[parameter] === now[parameter]) continue;
    throw new SuretyError(
      "DEPLOY_PARAMETERS_CHANGED",
      `${parameter} was ${before[parameter]} and is ${now[parameter]} now.`,
      {
        values: { parameter, before: before[parameter], now: now[parameter], deploymentDir },
        next: "What is deployed cannot change: deploy with the same parameters, or anew with --reset.",
      },
    );
  }
}

async function blockOf(provider: Requester, tag: string): Promise<{ block: number; blockHash: Hex } | null> {
  const block = (await provider.request({ method: "eth_getBlockByNumber", params: [tag, false] })) as {
    number: Hex;
    hash: Hex;
  } | null;
  return block === null ? null : { block: hexToNumber(block.number), blockHash: block.hash };
}

async function runIgnition(
  provider: Requester,
  parameters: DeployParameters,
  deploymentDir: string,
  chainId: number,
  signal: AbortSignal | undefined,
): Promise<DeploymentResult> {
  const { epochLengthSeconds, unbondingDelaySeconds, publisherBondWei, token, couplings = noCouplings } = parameters;
  const accounts = (await provider.request({ method: "eth_accounts" })) as Address[];
  const issuer = parameters.credentialIssuer ?? accounts[0];
  if (issuer === undefined) throw deployFailed("the network has no account", deploymentDir);
  const ignitionModule = moduleOf(parameters);
  const isLocal = chainId === LOCAL_CHAIN_ID;
  const ignitionDir = join(deploymentDir, "ignition");
  try {
    await recoverLostTransactions(provider, ignitionDir);
    return await deploy({
      provider,
      ignitionModule,
      artifactResolver: new HardhatArtifactResolver(hre.artifacts),
      deploymentDir: ignitionDir,
      deploymentParameters: {
        [ignitionModule.id]: {
          epochLength: epochLengthSeconds,
          unbondingDelay: unbondingDelaySeconds,
          publisherBond: publisherBondWei,
          couplings: { ...couplings, links: couplings.links.map((link) => ({ ...link })) },
          issuerId: issuerIdOf(issuer),
          groupId: groupIdOf(issuer),
          ...(token === undefined ? {} : { token }),
        },
      },
      accounts,
      config: isLocal
        ? { blockPollingInterval: LOCAL_POLLING_INTERVAL_MS, requiredConfirmations: 1 }
        : { requiredConfirmations: PUBLIC_CONFIRMATIONS },
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw deployFailed(cause instanceof Error ? cause.message : String(cause), deploymentDir, cause);
  }
}

/** What Ignition reports instead of a deployment, as one error. */
function failureOf(result: DeploymentResult, deploymentDir: string): SuretyError {
  return deployFailed(
    JSON.stringify(result, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)),
    deploymentDir,
  );
}

function deployFailed(detail: string, deploymentDir: string, cause?: unknown): SuretyError {
  return new SuretyError("DEPLOY_FAILED", `The deployment stopped: ${detail}`, {
    values: { detail, deploymentDir },
    next: "Mend the cause and deploy again: it goes on where it stopped.",
    isRetryable: true,
    cause,
  });
}

/** A provider that sends nothing once the signal has fired: between two requests a deployment can always be taken up. */
function abortable(provider: Requester, signal: AbortSignal | undefined): Requester {
  return {
    request: async (request) => {
      signal?.throwIfAborted();
      return provider.request(request) as Promise<unknown>;
    },
  };
}

function forget(deploymentDir: string): void {
  for (const name of ["ignition", "beginning.json", "deployment.json"]) {
    rmSync(join(deploymentDir, name), { recursive: true, force: true });
  }
}

/** Writes a file as a whole or not at all. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
