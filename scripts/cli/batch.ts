import { SuretyError } from "#protocol";
import { unreachable } from "../../node/chain/connect.ts";
import { encodeFunctionData, type Abi, type Address, type Hex } from "viem";
import { signTransaction } from "viem/accounts";

/** Requests of one JSON-RPC batch: larger ones gain nothing on a local chain, and endpoints bound them. */
const BATCH_SIZE = 100;
/** Milliseconds between two looks for receipts on a chain that does not mine at once. */
const RECEIPT_POLL_MS = 200;
/** Looks for receipts before the chain counts as stuck: a minute. */
const MAX_RECEIPT_POLLS = 300;

interface RpcAnswer {
  readonly id: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string; readonly data?: unknown };
}

/** One JSON-RPC batch, its answers in the order of the requests. @throws SuretyError CHAIN_UNREACHABLE or RPC_FAILED */
async function requestBatch(
  rpcUrl: string,
  requests: readonly { method: string; params: readonly unknown[] }[],
  signal: AbortSignal,
): Promise<unknown[]> {
  const body = JSON.stringify(requests.map((request, id) => ({ jsonrpc: "2.0", id, ...request })));
  const headers = { "content-type": "application/json" };
  const response = await fetch(rpcUrl, { method: "POST", headers, body, signal }).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw unreachable(cause, rpcUrl);
  });
  const answers = ((await response.json()) as RpcAnswer[]).sort((a, b) => a.id - b.id);
  return answers.map(({ id, result, error }) => {
    if (error === undefined) return result;
    throw new SuretyError("RPC_FAILED", `${requests[id]?.method}: ${error.message}`, {
      values: { method: requests[id]?.method, data: error.data },
      next: "Look at the message; the transactions before this one are mined.",
    });
  });
}

/** A contract call of one account. */
export interface Write {
  readonly key: Hex;
  readonly from: Address;
  readonly to: Address;
  readonly data: Hex;
  readonly gas: bigint;
}

export function writeOf(
  { key, address }: { key: Hex; address: Address },
  call: { abi: Abi; to: Address; functionName: string; args: readonly unknown[]; gas: bigint },
): Write {
  const data = encodeFunctionData({ abi: call.abi, functionName: call.functionName, args: call.args });
  return { key, from: address, to: call.to, data, gas: call.gas };
}

/** Sends many transactions of many accounts in JSON-RPC batches, in order, and waits until each is mined. */
export class BatchSender {
  readonly #rpcUrl: string;
  readonly #chainId: number;
  readonly #nonces = new Map<Address, number>();

  constructor(rpcUrl: string, chainId: number) {
    this.#rpcUrl = rpcUrl;
    this.#chainId = chainId;
  }

  /** A method for each parameter list, batched. */
  async ask(method: string, paramLists: readonly (readonly unknown[])[], signal: AbortSignal): Promise<unknown[]> {
    const answers: unknown[] = [];
    for (const chunk of chunksOf(paramLists)) {
      answers.push(
        ...(await requestBatch(
          this.#rpcUrl,
          chunk.map((params) => ({ method, params })),
          signal,
        )),
      );
    }
    return answers;
  }

  /**
   * @param onProgress told the number of mined transactions after each batch
   * @throws SuretyError TRANSACTION_REVERTED, RPC_FAILED, CHAIN_UNREACHABLE
   */
  async send(writes: readonly Write[], signal: AbortSignal, onProgress?: (count: number) => void): Promise<void> {
    let mined = 0;
    for (const chunk of chunksOf(writes)) {
      await this.#learnNonces(chunk, signal);
      const [gasPrice] = (await this.ask("eth_gasPrice", [[]], signal)) as [Hex];
      const raw = await Promise.all(chunk.map((write) => this.#sign(write, 2n * BigInt(gasPrice))));
      const hashes = (await this.ask(
        "eth_sendRawTransaction",
        raw.map((tx) => [tx]),
        signal,
      )) as Hex[];
      await this.#awaitReceipts(hashes, signal);
      mined += chunk.length;
      onProgress?.(mined);
    }
  }

  async #learnNonces(writes: readonly Write[], signal: AbortSignal): Promise<void> {
    const unknown = [...new Set(writes.map(({ from }) => from))].filter((from) => !this.#nonces.has(from));
    const counts = await this.ask(
      "eth_getTransactionCount",
      unknown.map((from) => [from, "pending"]),
      signal,
    );
    unknown.forEach((from, index) => this.#nonces.set(from, Number(counts[index])));
  }

  #sign({ key, from, to, data, gas }: Write, maxFeePerGas: bigint): Promise<Hex> {
    const nonce = this.#nonces.get(from) ?? 0;
    this.#nonces.set(from, nonce + 1);
    const transaction = { chainId: this.#chainId, type: "eip1559", nonce, to, data, gas, maxFeePerGas } as const;
    return signTransaction({ privateKey: key, transaction });
  }

  async #awaitReceipts(hashes: readonly Hex[], signal: AbortSignal): Promise<void> {
    let missing = [...hashes];
    for (let poll = 0; missing.length > 0; poll++) {
      if (poll > 0) await new Promise((resolve) => setTimeout(resolve, RECEIPT_POLL_MS));
      signal.throwIfAborted();
      const receipts = await this.ask(
        "eth_getTransactionReceipt",
        missing.map((hash) => [hash]),
        signal,
      );
      const reverted = missing.find((_, index) => (receipts[index] as { status: Hex } | null)?.status === "0x0");
      if (reverted !== undefined || poll === MAX_RECEIPT_POLLS) {
        throw new SuretyError(
          reverted === undefined ? "TRANSACTION_PENDING" : "TRANSACTION_REVERTED",
          reverted === undefined ? "Transactions stay unmined." : `Transaction ${reverted} was mined and reverted.`,
          {
            values: { hash: reverted ?? missing[0] },
            next: "Look at the transaction, then run the same command again.",
          },
        );
      }
      missing = missing.filter((_, index) => receipts[index] === null);
    }
  }
}

function* chunksOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += BATCH_SIZE) yield items.slice(start, start + BATCH_SIZE);
}
