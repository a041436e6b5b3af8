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

/**
 * @throws SuretyError PROOF_NOT_ANCHORED where no anchored range ends before this entry, PROOF_HEAD_MISSING where one does but
 * was anchored without a Poseidon head
 */
export function anchoredHeadAt(heads: ReadonlyMap<number, Hex>, nextSeq: number): Hex {
  const head = heads.get(nextSeq);
  if (head === undefined) {
    throw new SuretyError("PROOF_NOT_ANCHORED", `No range that the log anchored ends before entry ${nextSeq}.`, {
      values: { nextSeq, anchored: [...heads.keys()] },
      next: "Prove a range that begins at the log's first entry or after an anchor, and ends at an anchor.",
    });
  }
  if (BigInt(head) !== 0n) return head;
  const proven = [...heads].filter(([, known]) => BigInt(known) !== 0n).map(([seq]) => seq);
  throw new SuretyError(
    "PROOF_HEAD_MISSING",
    `The log anchored the range before entry ${nextSeq} without a Poseidon head (its stateHead is zero).`,
    {
      values: { nextSeq, anchoredWithHead: proven },
      next: "Prove between anchors that have one. A node writes heads unless its configuration says `provable: false`; it writes none while a body or a deal of its log is missing from its store.",
    },
  );
}

/** The last entry that can end a proof. @throws SuretyError PROOF_NOT_ANCHORED */
export function lastProvableSeq(heads: ReadonlyMap<number, Hex>): number {
  const ends = [...heads].filter(([, head]) => BigInt(head) !== 0n).map(([nextSeq]) => nextSeq);
  if (ends.length > 0) return Math.max(...ends) - 1;
  throw new SuretyError("PROOF_NOT_ANCHORED", "The log has no anchor with a Poseidon head yet.", {
    values: { anchored: [...heads.keys()] },
    next: "Wait until a node with the role anchorer has anchored a checkpoint of it (every 64 entries).",
  });
}
