import type { PublicClient } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { columnsOf, tableNames, type AnyRow, type TableName } from "./entities.ts";
import { createDecoder, foldedAbis, type ContractName } from "./handlers/decode.ts";
import { foldEvent } from "./handlers/fold.ts";
import { RowBuffer } from "./store/row-buffer.ts";
import type { Snapshot } from "./store/store.ts";
import { createChainReader, type ChainReader } from "./sync/rpc.ts";

/** Blocks of one eth_getLogs; halved when the endpoint refuses. */
const VERIFY_RANGE_BLOCKS = 2_000;
/** Differences that are listed; the count goes on. */
const MAX_DIFFERENCES = 100;

export interface Difference {
  readonly table: TableName;
  readonly id: string;
  /** Undefined = the indexer lacks the row. */
  readonly stored: AnyRow | undefined;
  /** Undefined = the chain knows no such row. */
  readonly expected: AnyRow | undefined;
}

export interface VerifyReport {
  readonly block: number;
  readonly hash: string;
  readonly eventCount: number;
  readonly rowCount: number;
  readonly differenceCount: number;
  /** The first of them. */
  readonly differences: readonly Difference[];
}

/**
 * Compares every row of a snapshot with the chain: reads all logs up to the snapshot's block again, folds them from
 * nothing, and lists what differs.
 * @throws SuretyError VERIFY_BRANCH when the chain does not have the snapshot's block (any more)
 */
export async function verifyIndex(
  client: PublicClient,
  deployment: Deployment,
  snapshot: Snapshot,
  signal: AbortSignal = new AbortController().signal,
): Promise<VerifyReport> {
  const block = snapshot.chain?.checkpoint;
  if (block === undefined) {
    throw new SuretyError("VERIFY_EMPTY", "The store holds no rows to verify.", { next: "Run the indexer first." });
  }
  const names = Object.keys(foldedAbis) as ContractName[];
  const reader = createChainReader(
    client,
    names.map((name) => deployment.contracts[name]),
  );
  await requireBlock(reader, block, signal);
  const { expected, eventCount } = await refold(reader, deployment, block.number, signal);
  // The chain must not have moved while it was read.
  await requireBlock(reader, block, signal);
  return { block: block.number, hash: block.hash, eventCount, ...(await compare(expected, snapshot)) };
}

type Rows = Map<TableName, Map<string, AnyRow>>;

/** Folds all logs of a deployment up to a block from nothing. */
export async function refold(
  reader: ChainReader,
  deployment: Deployment,
  lastBlock: number,
  signal: AbortSignal,
): Promise<{ expected: Rows; eventCount: number }> {
  const decode = createDecoder(deployment.contracts);
  const rows = new RowBuffer(() => undefined);
  const timestamps = new Map<number, number>();
  let eventCount = 0;
  let rangeBlocks = VERIFY_RANGE_BLOCKS;
  for (let from = deployment.deployedAtBlock; from <= lastBlock;) {
    const to = Math.min(lastBlock, from + rangeBlocks - 1);
    const logs = await reader.logsOfRange(from, to, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (rangeBlocks === 1) throw error;
      return undefined;
    });
    if (logs === undefined) {
      rangeBlocks >>= 1;
      continue;
    }
    for (const log of logs) {
      const { blockNumber, logIndex, transactionHash: transaction } = log;
      const timestamp = timestamps.get(blockNumber) ?? (await reader.header(blockNumber, signal))?.timestamp ?? 0;
      timestamps.set(blockNumber, timestamp);
      const decoded = decode(log);
      if (decoded.kind !== "accept") continue;
      eventCount++;
      const place = { chainId: deployment.chainId, blockNumber, timestamp, transaction, logIndex };
      for (const change of foldEvent(decoded.value, place, rows)) rows.put(change);
    }
    timestamps.clear();
    from = to + 1;
  }
  return { expected: groupRows(rows), eventCount };
}

function groupRows(rows: RowBuffer): Rows {
  const grouped: Rows = new Map(tableNames.map((table) => [table, new Map<string, AnyRow>()]));
  for (const { table, id, row } of rows.changed()) grouped.get(table)?.set(id, row);
  return grouped;
}

async function compare(
  expected: Rows,
  snapshot: Snapshot,
): Promise<Omit<VerifyReport, "block" | "hash" | "eventCount">> {
  const differences: Difference[] = [];
  let [rowCount, differenceCount] = [0, 0];
  const differ = (difference: Difference) => {
    if (++differenceCount <= MAX_DIFFERENCES) differences.push(difference);
  };
  for (const [table, rows] of expected) {
    for await (const stored of snapshot.scan(table)) {
      rowCount++;
      const id = stored["id"] as string;
      const row = rows.get(id);
      rows.delete(id);
      if (row === undefined || !isSameRow(table, stored, row)) differ({ table, id, stored, expected: row });
    }
    for (const [id, row] of rows) differ({ table, id, stored: undefined, expected: row });
  }
  return { rowCount, differenceCount, differences };
}

function isSameRow(table: TableName, a: AnyRow, b: AnyRow): boolean {
  return Object.keys(columnsOf(table)).every((name) => a[name] === b[name]);
}

async function requireBlock(
  reader: ChainReader,
  block: { readonly number: number; readonly hash: string },
  signal: AbortSignal,
): Promise<void> {
  const actual = await reader.header(block.number, signal);
  if (actual?.hash === block.hash) return;
  throw new SuretyError("VERIFY_BRANCH", `The chain's block ${block.number} is not the one of the stored rows.`, {
    values: { number: block.number, stored: block.hash, actual: actual?.hash },
    next: "Let the indexer catch up with the chain, then verify again.",
  });
}
