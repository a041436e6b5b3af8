import { setTimeout as sleep } from "node:timers/promises";
import type { PublicClient } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { readFinalizedTopic, type FinalizedTopic } from "../audit/score.ts";
import { readEpoch } from "./time.ts";

/** Epochs to wait for a finalized one: on a busy machine a publisher may miss the window of an epoch. */
const MAX_EPOCHS_TO_WAIT = 6n;
const POLL_MS = 250;

/**
 * Waits until an epoch that was running now, or a later one, is finalized for each topic.
 * @throws SuretyError DEVNET_NOT_FINALIZED, or the signal's reason
 */
export async function awaitFinalized(
  client: PublicClient,
  deployment: Deployment,
  topics: readonly bigint[],
  signal: AbortSignal,
): Promise<FinalizedTopic[]> {
  const { epoch: first } = await readEpoch(client, deployment);
  for (;;) {
    const blockNumber = await client.getBlockNumber();
    const read = await Promise.all(topics.map((topic) => readFinalizedTopic(client, deployment, topic, blockNumber)));
    const finalized = read.filter((topic) => topic !== undefined).filter(({ epoch }) => BigInt(epoch) >= first);
    if (finalized.length === topics.length) return finalized;
    const { epoch } = await readEpoch(client, deployment);
    if (epoch > first + MAX_EPOCHS_TO_WAIT) {
      throw new SuretyError("DEVNET_NOT_FINALIZED", `No epoch from ${first} to ${epoch} was finalized.`, {
        values: { first, epoch },
        next: "Read the publisher's log in the network's folder.",
      });
    }
    await sleep(POLL_MS, undefined, { signal });
  }
}
