// What follows from a deployment, for whoever serves its rows.
import { erc20Abi, type Address, type PublicClient } from "viem";
import type { Deployment } from "#protocol";
import { SCHEMA_VERSION } from "./entities.ts";
import type { ServerOptions } from "./graphql/server.ts";
import { foldedAbis, type ContractName } from "./handlers/decode.ts";
import { createSite, type ExplorerOptions } from "./site/site.ts";

interface SiteParts {
  readonly client: PublicClient;
  readonly deployment: Deployment;
  readonly explorer?: ExplorerOptions | false;
}

/** The pages, unless they are not wanted. @param client asked for the token's unit only */
export function siteOf({ client, deployment, explorer = {} }: SiteParts): Pick<ServerOptions, "site"> {
  if (explorer === false) return {};
  const readToken = () => readTokenUnit(client, deployment.contracts.token);
  return { site: createSite({ deployment, explorer, readToken }) };
}

/** @returns undefined where the token has no such functions, or the endpoint does not answer */
async function readTokenUnit(
  client: PublicClient,
  address: Address,
): Promise<{ symbol: string; decimals: number } | undefined> {
  const token = { abi: erc20Abi, address } as const;
  try {
    const [symbol, decimals] = await Promise.all([
      client.readContract({ ...token, functionName: "symbol" }),
      client.readContract({ ...token, functionName: "decimals" }),
    ]);
    return { symbol, decimals };
  } catch {
    return undefined;
  }
}

/** Names a chain and our contracts there. */
export function contractsOf({ chainId, deployedAtBlock, contracts }: Deployment): string {
  const names = Object.keys(foldedAbis) as ContractName[];
  const addresses = names.map((name) => `${name}=${contracts[name].toLowerCase()}`);
  return [`chain=${chainId}`, `from=${deployedAtBlock}`, ...addresses].join(" ");
}

/** Rows mean something only for this chain, these contracts and this schema. */
export function identityOf(deployment: Deployment): string {
  return `schema=${SCHEMA_VERSION} ${contractsOf(deployment)}`;
}
