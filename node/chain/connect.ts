import { createPublicClient, defineChain, http, type Chain, type PublicClient, type Transport } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { withSignal } from "./clock.ts";

/** viem's client of one chain. Anything that it can read, any stage can read; it sends nothing. */
export type ChainClient = PublicClient<Transport, Chain>;

/** An answer of an RPC server that takes longer is given up, and asked for again twice. */
const RPC_TIMEOUT_MS = 10_000;
const RPC_RETRIES = 2;

/** A client for a URL (http or https) or for any transport of viem. No cache: a reader decides what is fresh. */
export function createChainClient(rpc: string | Transport, chainId: number): ChainClient {
  const chain = defineChain({
    id: chainId,
    name: `chain ${chainId}`,
    nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
    rpcUrls: { default: { http: typeof rpc === "string" ? [rpc] : [] } },
  });
  const transport = typeof rpc === "string" ? http(rpc, { timeout: RPC_TIMEOUT_MS, retryCount: RPC_RETRIES }) : rpc;
  return createPublicClient({ chain, transport, cacheTime: 0 });
}

/**
 * The client of a deployment, once it has answered for itself: the chain is the deployment's, and code stands where the
 * escrow should be.
 * @throws SuretyError CHAIN_UNREACHABLE (retryable), CHAIN_WRONG_ID, CHAIN_NOT_DEPLOYED
 */
export async function connectChain(
  rpc: string | Transport,
  deployment: Deployment,
  signal: AbortSignal,
): Promise<ChainClient> {
  const client = createChainClient(rpc, deployment.chainId);
  const address = deployment.contracts.dealEscrow;
  const answers = Promise.all([client.getChainId(), client.getCode({ address })]);
  const [chainId, code] = await withSignal(answers, signal).catch((cause: unknown) => {
    throw unreachable(cause, typeof rpc === "string" ? rpc : undefined);
  });
  if (chainId !== deployment.chainId) {
    throw new SuretyError(
      "CHAIN_WRONG_ID",
      `The endpoint serves chain ${chainId}, the deployment is on ${deployment.chainId}.`,
      {
        values: { given: chainId, expected: deployment.chainId },
        next: "Name the endpoint (--rpc-url, rpcUrl) and the deployment (--network, deploymentFile) of the same chain.",
      },
    );
  }
  if (code === undefined) {
    throw new SuretyError("CHAIN_NOT_DEPLOYED", `There is no contract at ${address} on chain ${chainId}.`, {
      values: { address, chainId },
      next: "A local chain forgets when it restarts: run `surety deploy --reset` again. Else name the right endpoint.",
    });
  }
  return client;
}

/** An RPC failure that is no revert, as our error; an error of ours and an abort stay what they are. */
export function unreachable(cause: unknown, url?: string): unknown {
  if (cause instanceof SuretyError || (cause instanceof Error && cause.name === "AbortError")) return cause;
  const detail = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
  return new SuretyError("CHAIN_UNREACHABLE", `No chain answers${url === undefined ? "" : ` at ${url}`}: ${detail}`, {
    values: { detail, ...(url === undefined ? {} : { url }) },
    next: "Start the chain (`npx hardhat node` or `surety devnet`), or name another endpoint: --rpc-url, SURETY_RPC_URL, rpcUrl.",
    isRetryable: true,
    cause,
  });
}
