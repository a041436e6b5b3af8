import type { Address, Hex, PublicClient } from "viem";
import { anchorsAbi, SuretyError, type Deployment } from "#protocol";
import { readEvents } from "../audit/logs.ts";

/** The Poseidon heads that a log anchored, by the seq after the range. */
export async function readAnchoredHeads(
  client: PublicClient,
  { contracts, deployedAtBlock }: Deployment,
  log: Address,
): Promise<ReadonlyMap<number, Hex>> {
  const events = await readEvents(client, {
    ...{ abi: anchorsAbi, address: contracts.anchors, eventName: "LogAnchored", args: { log } },
    ...{ fromBlock: BigInt(deployedAtBlock), toBlock: await client.getBlockNumber() },
  });
  return new Map(events.map(({ args }) => [args.toSeq + 1, args.stateHead]));
}

/** @throws SuretyError PROOF_NOT_ANCHORED where the log anchored no head after this entry */
export function anchoredHeadAt(heads: ReadonlyMap<number, Hex>, nextSeq: number): Hex {
  const head = heads.get(nextSeq);
  if (head !== undefined && BigInt(head) !== 0n) return head;
  throw new SuretyError("PROOF_NOT_ANCHORED", `The log has anchored no Poseidon head before entry ${nextSeq}.`, {
    values: { nextSeq, anchored: [...heads.keys()] },
    next: "Prove a range that begins at the log's first entry or after an anchor, and ends at an anchor.",
  });
}
