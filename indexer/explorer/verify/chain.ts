// The chain as the visitor's own endpoint tells it.
import { createPublicClient, http, type PublicClient } from "viem";
import type { Deployment } from "#protocol";
import type { MetaBlock } from "../api.ts";
import type { Step } from "./claims.ts";

/** An endpoint that does not answer within this time is given up. */
const RPC_TIMEOUT_MS = 30_000;

export interface Chain {
  readonly client: PublicClient;
  readonly deployment: Deployment;
}

/** @param rpcUrl of an endpoint that the visitor believes */
export function openChain(rpcUrl: string, deployment: Deployment): Chain {
  const transport = http(rpcUrl, { timeout: RPC_TIMEOUT_MS, retryCount: 1 });
  return { client: createPublicClient({ transport, cacheTime: 0 }), deployment };
}

type Plain = string | number | bigint | null | undefined;
type Comparable = Plain | readonly Plain[];

/** A statement of the server's beside the chain's own. */
export function compare(name: string, said: Comparable, actual: Comparable): Step {
  const [a, b] = [normal(said), normal(actual)];
  const detail = a === b ? b : `this server said ${a}, the chain says ${b}`;
  return { name, isOk: a === b, detail, about: "server" };
}

/** Addresses and hashes compare whatever their case; an absent value is "none" on both sides. */
function normal(value: Comparable): string {
  if (value === null || value === undefined) return "none";
  const text = typeof value === "object" ? value.map(normal).join(", ") : String(value);
  return text.startsWith("0x") ? text.toLowerCase() : text;
}

/** Whether the endpoint follows the chain that the server speaks of, and has the very block its rows are as of. */
export async function* verifyBlock({ client, deployment }: Chain, block: MetaBlock): AsyncGenerator<Step, void, void> {
  yield compare("chain", deployment.chainId, await client.getChainId());
  const actual = await client.getBlock({ blockNumber: BigInt(block.number) });
  yield compare(`block ${block.number}`, block.hash, actual.hash);
}
