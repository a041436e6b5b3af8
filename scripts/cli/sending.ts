import { formatEther, type Hex } from "viem";
import { createSigner, SuretyError } from "#protocol";
import { watchHeads } from "../../node/chain/heads.ts";
import type { ChainSender, ContractCall, Heads, MinedTransaction } from "../../node/chain/port.ts";
import { createSender } from "../../node/chain/sender.ts";
import { LOCAL_CHAIN_ID, type Connection } from "./network.ts";

/** A command waits for its own transaction only: it looks often. */
const POLL_INTERVAL_MS = 100;
/** One ETH in wei: thousands of calls. */
const LOCAL_ALLOWANCE = "0xde0b6b3a7640000";

/** Lends a sender of the key's account, with the node's nonces and fee bumps, for as long as `use` runs. */
export async function withSender<T>(
  { client }: Pick<Connection, "client">,
  key: Hex,
  signal: AbortSignal,
  use: (sender: ChainSender, heads: Heads) => Promise<T>,
): Promise<T> {
  const heads = await watchHeads({ client, pollIntervalMs: POLL_INTERVAL_MS }, signal);
  try {
    return await use(createSender({ client, heads, signer: createSigner(key) }), heads);
  } finally {
    heads.stop();
  }
}

/**
 * Sends one call as the key's account and waits until it is mined.
 * @throws SuretyError ACCOUNT_UNFUNDED, and as ChainSender.send does
 */
export async function sendCall(
  connection: Connection,
  key: Hex,
  call: ContractCall,
  signal: AbortSignal,
): Promise<MinedTransaction> {
  return withSender(connection, key, signal, async (sender) => {
    await requireFunds(connection, sender.address, call, signal);
    return sender.send(call, signal);
  });
}

/** Unix seconds that the next block will carry: a quiet local chain's latest block may be hours old. */
export async function nextBlockTime(client: Connection["client"]): Promise<number> {
  const latest = await client.getBlock();
  // Endpoints that show no pending block belong to chains that are never quiet.
  const next = await client.getBlock({ blockTag: "pending" }).catch(() => latest);
  return Number(next.timestamp > latest.timestamp ? next.timestamp : latest.timestamp);
}

/** Without ETH the chain would refuse with less of an explanation; a call that reverts is left to the sender to name. */
async function requireFunds(
  { client, rpcUrl }: Connection,
  address: Hex,
  call: ContractCall,
  signal: AbortSignal,
): Promise<void> {
  const balance = await client.getBalance({ address });
  const { maxFeePerGas } = await client.estimateFeesPerGas();
  const gas = await client.estimateContractGas({ ...call, account: address }).catch(() => 0n);
  signal.throwIfAborted();
  const needed = gas * maxFeePerGas;
  if (balance >= needed) return;
  throw new SuretyError(
    "ACCOUNT_UNFUNDED",
    `${address} has ${formatEther(balance)} ETH; the transaction costs up to ${formatEther(needed)}.`,
    {
      values: { address, balanceWei: balance, neededWei: needed },
      next:
        client.chain.id === LOCAL_CHAIN_ID
          ? `Send ETH to ${address} from one of the accounts that \`npx hardhat node\` printed, or set it there: ${setBalance(rpcUrl, address)}`
          : `Send at least ${formatEther(needed)} ETH to ${address}, then run the same command again.`,
    },
  );
}

/** The simulator's own faucet, as a line for a shell. */
function setBalance(rpcUrl: string, address: Hex): string {
  const request = { jsonrpc: "2.0", id: 1, method: "hardhat_setBalance", params: [address, LOCAL_ALLOWANCE] };
  return `curl ${rpcUrl} -H 'content-type: application/json' -d '${JSON.stringify(request)}'`;
}
