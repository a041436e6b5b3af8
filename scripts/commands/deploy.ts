import { existsSync, readFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { Address } from "viem";
import { SuretyError, type Couplings } from "#protocol";
import { runAction } from "../cli/action.ts";
import { parseCouplings } from "../couplings.ts";
import { deploymentPath, networkDir, rpcUrlOf } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAddress, parseUint, type CommonOptions } from "../cli/options.ts";
import { defaultParameters, deploySurety } from "../deploy.ts";
import { buildContracts } from "../devnet/chain.ts";

interface DeployCommandOptions extends CommonOptions {
  readonly epochLength: bigint;
  readonly unbondingDelay: bigint;
  readonly publisherBond: bigint;
  readonly credentialIssuer?: Address;
  readonly token?: Address;
  readonly couplings?: string;
  readonly reset: boolean;
}

/** commander prints a default as JSON, which has no bigint: it is given as text. */
function uintOption(flags: string, description: string, byDefault: bigint): Option {
  return new Option(flags, description).argParser(parseUint).default(byDefault, byDefault.toString());
}

export function deployCommand(): Command {
  const { epochLengthSeconds, unbondingDelaySeconds, publisherBondWei } = defaultParameters;
  return addNetworkOptions(new Command("deploy"))
    .description("deploy every contract, or what an earlier run left to do; a second run sends nothing")
    .addOption(uintOption("--epoch-length <seconds>", "length of a reputation epoch", epochLengthSeconds))
    .addOption(
      uintOption("--unbonding-delay <seconds>", "from unbonding to withdrawal of stake", unbondingDelaySeconds),
    )
    .addOption(uintOption("--publisher-bond <amount>", "bond of one candidate, smallest unit", publisherBondWei))
    .option(
      "--credential-issuer <address>",
      "whose operator credentials count for the trust ledger, for ever; default: the deploying account",
      parseAddress,
    )
    .option("--token <address>", "ERC-20 with EIP-3009 for deals and stake; default: a test token", parseAddress)
    .option(
      "--couplings <file>",
      "how reputation in one topic counts in another, for ever: JSON of topic names and similarities; default: not at all",
    )
    .option("--reset", "forget a deployment of a chain that no longer exists", false)
    .addOption(jsonOption())
    .addHelpText(
      "after",
      "\nNetworks are those of hardhat.config.ts: localhost (`npx hardhat node`), or remote, whose URL and key are read from" +
        "\nHardhat's keystore: npx hardhat keystore set SURETY_RPC_URL, npx hardhat keystore set SURETY_DEPLOYER_KEY",
    )
    .action((options: DeployCommandOptions) =>
      runAction(options.json, async ({ progress, signal }) => {
        const couplings = options.couplings === undefined ? undefined : readCouplings(options.couplings);
        progress("compiling");
        await buildContracts();
        const connection = await openNetwork(options);
        const isKnown = !options.reset && existsSync(deploymentPath(options));
        try {
          progress(`deploying to ${options.network}`);
          const deployment = await deploySurety({
            connection,
            deploymentDir: networkDir(options),
            isReset: options.reset,
            signal,
            parameters: {
              epochLengthSeconds: options.epochLength,
              unbondingDelaySeconds: options.unbondingDelay,
              publisherBondWei: options.publisherBond,
              ...(options.credentialIssuer === undefined ? {} : { credentialIssuer: options.credentialIssuer }),
              ...(options.token === undefined ? {} : { token: options.token }),
              ...(couplings === undefined ? {} : { couplings }),
            },
          });
          return {
            result: deployment,
            lines: [
              `${isKnown ? "was deployed before, nothing was sent:" : "deployed"} on chain ${deployment.chainId} from block ${deployment.deployedAtBlock}`,
              ...Object.entries(deployment.contracts).map(([name, address]) => `  ${name.padEnd(20)} ${address}`),
            ],
          };
        } finally {
          await connection.close();
        }
      }),
    );
}

function readCouplings(file: string): Couplings {
  if (existsSync(file)) return parseCouplings(readFileSync(file, "utf8"));
  throw new SuretyError("USAGE_FILE_MISSING", `There is no file at ${file}.`, {
    values: { file },
    next: "Name a JSON file of couplings.",
  });
}

/** A connection to a network of hardhat.config.ts; --rpc-url takes the place of an http network's own. */
async function openNetwork(options: DeployCommandOptions) {
  const { network } = await import("hardhat");
  const url = options.network === "localhost" ? rpcUrlOf(options) : options.rpcUrl;
  try {
    return await network.create({
      network: options.network,
      ...(url === undefined ? {} : { override: { url } }),
    });
  } catch (cause) {
    const detail = cause instanceof Error ? (cause.message.split("\n").at(-1) ?? "") : String(cause);
    throw new SuretyError("USAGE_NETWORK", `Hardhat does not open the network ${options.network}: ${detail.trim()}`, {
      values: { network: options.network, detail },
      next: "Name localhost or a network of hardhat.config.ts, and a URL by --rpc-url; remote takes SURETY_RPC_URL and SURETY_DEPLOYER_KEY from Hardhat's keystore.",
      cause,
    });
  }
}
