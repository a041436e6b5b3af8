import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HardhatArtifactResolver } from "@nomicfoundation/hardhat-ignition/helpers";
import { trackTransaction, wipe } from "@nomicfoundation/ignition-core";
import hre from "hardhat";
import type { EthereumProvider } from "hardhat/types/providers";
import { hexToNumber, numberToHex, type Hex } from "viem";

export type Requester = Pick<EthereumProvider, "request">;

/** A transaction that Ignition was about to send when it died: it may have gone out, or not. */
interface LostTransaction {
  readonly futureId: string;
  readonly from: Hex;
  readonly nonce: number;
}

interface JournalEntry {
  readonly type: string;
  readonly futureId?: string;
  readonly from?: Hex;
  readonly nonce?: number;
  readonly hash?: Hex;
}

interface ChainTransaction {
  readonly hash: Hex;
  readonly from: Hex;
  readonly nonce: Hex;
}

function readJournal(ignitionDir: string): JournalEntry[] {
  const path = join(ignitionDir, "journal.jsonl");
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as JournalEntry);
}

/** Hash of a transaction that this deployment saw confirmed; undefined if there is none yet. */
export function confirmedTransactionOf(ignitionDir: string): Hex | undefined {
  return readJournal(ignitionDir).find(({ type }) => type === "TRANSACTION_CONFIRM")?.hash;
}

function lostTransactionsOf(ignitionDir: string): LostTransaction[] {
  const senders = new Map<string, Hex>();
  const prepared = new Map<string, number>();
  for (const { type, futureId, from, nonce } of readJournal(ignitionDir)) {
    if (futureId === undefined) continue;
    if (type.endsWith("_EXECUTION_STATE_INITIALIZE") && from !== undefined) senders.set(futureId, from);
    if (type === "TRANSACTION_PREPARE_SEND" && nonce !== undefined) prepared.set(futureId, nonce);
    if (type === "TRANSACTION_SEND" || type === "WIPE_APPLY") prepared.delete(futureId);
  }
  return [...prepared].flatMap(([futureId, nonce]) => {
    const from = senders.get(futureId);
    return from === undefined ? [] : [{ futureId, from, nonce }];
  });
}

/**
 * Ignition refuses to go on when it died between preparing a transaction and noting its hash, and asks a person to look it
 * up. The sender's nonce tells: the transaction is found on chain and noted, or it never left and is prepared anew.
 */
export async function recoverLostTransactions(provider: Requester, ignitionDir: string): Promise<void> {
  for (const lost of lostTransactionsOf(ignitionDir)) {
    const hash = await findTransaction(provider, lost);
    if (hash === undefined) await wipe(ignitionDir, new HardhatArtifactResolver(hre.artifacts), lost.futureId);
    else await trackTransaction(ignitionDir, hash, provider);
  }
}

/** Where a sender's nonce was spent; undefined = not spent, neither mined nor waiting. */
async function findTransaction(provider: Requester, { from, nonce }: LostTransaction): Promise<Hex | undefined> {
  const countAt = async (block: string) =>
    hexToNumber((await provider.request({ method: "eth_getTransactionCount", params: [from, block] })) as Hex);
  if ((await countAt("pending")) <= nonce) return undefined;
  const isMined = (await countAt("latest")) > nonce;
  const block = isMined
    ? numberToHex(await findBlock(provider, async (n) => (await countAt(numberToHex(n))) > nonce))
    : "pending";
  const { transactions } = (await provider.request({ method: "eth_getBlockByNumber", params: [block, true] })) as {
    transactions: ChainTransaction[];
  };
  const found = transactions.find((tx) => tx.from === from.toLowerCase() && hexToNumber(tx.nonce) === nonce);
  if (found === undefined)
    throw new Error(`nonce ${nonce} of ${from} is spent, yet its transaction is not in block ${block}`);
  return found.hash;
}

/** The first block for which the predicate holds, which holds from there on: binary search. */
async function findBlock(provider: Requester, isAtOrAfter: (block: number) => Promise<boolean>): Promise<number> {
  let low = 0;
  let high = hexToNumber((await provider.request({ method: "eth_blockNumber" })) as Hex);
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (await isAtOrAfter(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
