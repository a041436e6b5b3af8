import {
  decodeBody,
  kinds,
  paidDealOf,
  stateGenesis,
  stateHeadAfter,
  type Bodies,
  type DomainContracts,
  type LogRange,
  type StateEntry,
} from "#protocol";
import { zeroHash, type Address, type Hex } from "viem";
import type { LogReader } from "./log-store.ts";

/**
 * Entries that are hashed at most where the checkpoint before has no head: half a minute on a busy machine, in which the node does nothing
 * else. A longer log that began without heads goes on without.
 */
const MAX_BACKLOG = 16_384;
const MAX_SPEND = 2n ** 64n;

export interface StateHeadOptions {
  readonly logs: LogReader;
  readonly contracts: DomainContracts;
  /** What a deal's client pays, in the token's smallest unit; undefined = this node does not know the deal. */
  readonly priceOf: (dealId: Hex) => bigint | undefined;
}

/**
 * Poseidon head of an own log after a range, from which `surety proof` proves: continued from the checkpoint before the range, or from
 * the log's beginning. Zero, which anchors as "none", where an entry's body or a deal's price is not known here, or the backlog is too long.
 * @param range as `checkpointRange` gives it: its first entry is the checkpoint before, unless it is the log's first
 */
export function stateHeadOf(log: Address, range: LogRange, options: StateHeadOptions): Hex {
  const { logs, contracts } = options;
  const before = range.fromSeq === 0 ? undefined : checkpointAt(logs, log, range.fromSeq)?.stateHead;
  const isContinued = before !== undefined && before !== zeroHash;
  const fromSeq = isContinued ? range.fromSeq : 0;
  if (range.toSeq - fromSeq >= MAX_BACKLOG) return zeroHash;
  const entries = stateEntriesOf(log, { fromSeq, toSeq: range.toSeq }, options);
  if (entries === undefined) return zeroHash;
  const genesis = () => stateGenesis({ chainId: contracts.chainId, registry: contracts.identityRegistry, log });
  return stateHeadAfter(isContinued ? before : genesis(), entries);
}

function checkpointAt(logs: LogReader, log: Address, seq: number): Bodies["checkpoint"] | undefined {
  const entry = logs.entryAt(log, seq);
  if (entry?.body === undefined) return undefined;
  const decoded = decodeBody(entry.header.header.kind, entry.body);
  return decoded.kind === "accept" && decoded.value.kind === "checkpoint" ? decoded.value.body : undefined;
}

/** The range as the circuit sees it; undefined if anything of it is unknown here. */
function stateEntriesOf(
  log: Address,
  { fromSeq, toSeq }: LogRange,
  { logs, priceOf }: StateHeadOptions,
): StateEntry[] | undefined {
  const entries: StateEntry[] = [];
  for (let seq = fromSeq; seq <= toSeq; seq++) {
    const entry = logs.entryAt(log, seq);
    if (entry === undefined) return undefined;
    // Only a receipt spends, and the header says its kind: a body of another kind may have been dropped.
    const isReceipt = entry.header.header.kind === kinds.receipt;
    const decoded = entry.body && decodeBody(entry.header.header.kind, entry.body);
    if (isReceipt && decoded?.kind !== "accept") return undefined;
    const dealId = isReceipt && decoded?.kind === "accept" ? paidDealOf(decoded.value) : undefined;
    const spend = dealId === undefined ? 0n : priceOf(dealId);
    if (spend === undefined || spend >= MAX_SPEND) return undefined;
    entries.push({ seq, digest: entry.header.digest, spend });
  }
  return entries;
}
