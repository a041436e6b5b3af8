import type { Address, Hex, PublicClient } from "viem";
import { dealEscrowAbi, decodeBody, kinds, paidDealOf, SuretyError, type Deployment } from "#protocol";
import type { LogReader } from "../../node/log/log-store.ts";
import type { LogFile } from "../../zk/log/messages.ts";

/** Headers read at a time. */
const PAGE = 1_000;

/**
 * A log's entries as a compliance proof sees them. What an entry spends: a client's receipt of a deal that ended in payment spends the
 * deal's price, as the escrow's DealFunded says; every other entry spends nothing.
 * @throws SuretyError LOG_BODY_MISSING, LOG_RECEIPT_UNKNOWN, LOG_EMPTY
 */
export async function collectEntries(
  logs: LogReader,
  log: Address,
  range: { readonly fromSeq: number; readonly toSeq: number },
  { client, deployment }: { readonly client: PublicClient; readonly deployment: Deployment },
): Promise<LogFile["entries"]> {
  const entries: LogFile["entries"][number][] = [];
  for (let seq = range.fromSeq; seq <= range.toSeq; seq += PAGE) {
    const headers = logs.range(log, seq, Math.min(PAGE, range.toSeq - seq + 1));
    for (const { header, digest } of headers) {
      const dealId = dealOf(logs.entryAt(log, header.seq)?.body, header.kind, header.seq);
      const spend = dealId === undefined ? 0n : await priceOf(dealId, client, deployment);
      entries.push({ seq: header.seq, digest, spend: spend.toString() });
    }
    if (headers.length < PAGE) break;
  }
  if (entries.length > 0) return entries;
  throw new SuretyError("LOG_EMPTY", `This store has no entry of ${log} from ${range.fromSeq} on.`, {
    values: { log, ...range },
    next: "Name the store of the agent's own node, and a range that it has.",
  });
}

function dealOf(bytes: Uint8Array | undefined, kind: number, seq: number): Hex | undefined {
  // Only a receipt spends, and the header says its kind: a body of another kind may have been dropped.
  if (kind !== kinds.receipt) return undefined;
  if (bytes === undefined) {
    throw new SuretyError("LOG_BODY_MISSING", `The body of entry ${seq} is not in this store.`, {
      values: { seq },
      next: "Use the store of the agent's own node.",
    });
  }
  const body = decodeBody(kind, bytes);
  return body.kind === "accept" ? paidDealOf(body.value) : undefined;
}

async function priceOf(dealId: Hex, client: PublicClient, { contracts, deployedAtBlock }: Deployment): Promise<bigint> {
  const [event] = await client.getContractEvents({
    ...{ address: contracts.dealEscrow, abi: dealEscrowAbi, eventName: "DealFunded", args: { dealId } },
    ...{ fromBlock: BigInt(deployedAtBlock), strict: true },
  });
  if (event !== undefined) return event.args.deal.price;
  throw new SuretyError(
    "LOG_RECEIPT_UNKNOWN",
    `The escrow never funded deal ${dealId}, of which the log has a receipt.`,
    {
      values: { dealId },
      next: "Name the network on which the agent's deals are.",
    },
  );
}
