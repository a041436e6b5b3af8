import { hexToNumber, numberToHex, zeroHash, type Address, type Hex, type PublicClient } from "viem";
import type { RawLog } from "../handlers/decode.ts";
import type { BlockRef } from "../store/store.ts";

/** What the driver asks of a chain. Every call rejects when the signal aborts. */
export interface ChainReader {
  chainId(signal: AbortSignal): Promise<number>;
  head(signal: AbortSignal): Promise<BlockRef>;
  /** Number of the last final block; 0 where the chain has no such tag. */
  finalized(signal: AbortSignal): Promise<number>;
  /** @returns undefined = no such block */
  header(number: number, signal: AbortSignal): Promise<BlockRef | undefined>;
  logsOfRange(from: number, to: number, signal: AbortSignal): Promise<RawLog[]>;
  /** Fails if the endpoint does not know the block, instead of answering that it has no logs. */
  logsOfBlock(block: Pick<BlockRef, "number" | "hash">, signal: AbortSignal): Promise<RawLog[]>;
}

interface RpcHeader {
  readonly number: Hex;
  readonly hash: Hex;
  readonly parentHash: Hex;
  readonly timestamp: Hex;
}

interface RpcLog {
  readonly blockNumber: Hex;
  readonly blockHash: Hex;
  readonly transactionHash: Hex;
  readonly logIndex: Hex;
  readonly address: Hex;
  readonly topics: readonly Hex[];
  readonly data: Hex;
}

/** Reads a chain through a viem client, whatever its transport. @param addresses contracts whose logs are wanted */
export function createChainReader(client: PublicClient, addresses: readonly Address[]): ChainReader {
  // Requests go out as they are: viem's formatters would turn each log's words into bigints and back.
  const request = client.request as (
    call: { method: string; params?: unknown },
    options: { signal: AbortSignal; dedupe: boolean },
  ) => Promise<unknown>;
  const ask = async (method: string, params: unknown[], signal: AbortSignal) => {
    signal.throwIfAborted();
    return abortable(request({ method, params }, { signal, dedupe: false }), signal);
  };
  const block = async (tag: string, signal: AbortSignal) =>
    (await ask("eth_getBlockByNumber", [tag, false], signal)) as RpcHeader | null;
  // Hardhat leaves parentHash zero in the blocks that hardhat_mine skips over, which no hash ever is: their parent is
  // the block before, read after them, so that a branch which changed in between does not link.
  const withParent = async (ref: BlockRef, signal: AbortSignal): Promise<BlockRef> => {
    if (ref.parentHash !== zeroHash || ref.number === 0) return ref;
    const parent = await block(numberToHex(ref.number - 1), signal);
    return parent === null ? ref : { ...ref, parentHash: parent.hash };
  };
  const logs = async (filter: object, signal: AbortSignal) =>
    ((await ask("eth_getLogs", [{ ...filter, address: addresses }], signal)) as RpcLog[]).map(readLog).sort(byPlace);
  return {
    chainId: async (signal) => hexToNumber((await ask("eth_chainId", [], signal)) as Hex),
    head: async (signal) => {
      const head = await block("latest", signal);
      if (head === null) throw new Error("the endpoint has no latest block");
      return withParent(readHeader(head), signal);
    },
    finalized: async (signal) => {
      // Chains without finality answer null or refuse the tag; a failing endpoint is found out by the next request.
      const header = await block("finalized", signal).catch(() => {
        signal.throwIfAborted();
        return null;
      });
      return header === null ? 0 : hexToNumber(header.number);
    },
    header: async (number, signal) => {
      const header = await block(numberToHex(number), signal);
      if (header === null) return undefined;
      if (hexToNumber(header.number) !== number) throw new Error(`asked for block ${number}, got ${header.number}`);
      return withParent(readHeader(header), signal);
    },
    logsOfRange: (from, to, signal) => logs({ fromBlock: numberToHex(from), toBlock: numberToHex(to) }, signal),
    logsOfBlock: ({ hash }, signal) => logs({ blockHash: hash }, signal),
  };
}

function readHeader({ number, hash, parentHash, timestamp }: RpcHeader): BlockRef {
  return { number: hexToNumber(number), hash, parentHash, timestamp: hexToNumber(timestamp) };
}

function readLog(log: RpcLog): RawLog {
  return {
    blockNumber: hexToNumber(log.blockNumber),
    blockHash: log.blockHash,
    transactionHash: log.transactionHash,
    logIndex: hexToNumber(log.logIndex),
    address: log.address.toLowerCase() as Hex,
    topics: log.topics,
    payload: log.data,
  };
}

function byPlace(a: RawLog, b: RawLog): number {
  return a.blockNumber - b.blockNumber || a.logIndex - b.logIndex;
}

/** Transports that ignore the signal (WebSocket) must not keep a stopped indexer waiting. */
function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
