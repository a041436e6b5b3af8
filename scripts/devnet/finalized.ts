import { setTimeout as sleep } from "node:timers/promises";
import type { PublicClient } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { readFinalizedTopic, type FinalizedTopic } from "../audit/score.ts";
import { goToNextEpoch, readEpoch } from "./time.ts";

/** A local chain and its contracts. */
interface LocalGround {
  readonly rpcUrl: string;
  readonly client: PublicClient;
  readonly deployment: Deployment;
}

/** Epochs to wait for a finalized one: on a busy machine a publisher may miss the window of an epoch. */
const MAX_EPOCHS_TO_WAIT = 6n;
const POLL_MS = 250;

/**
 * Closes the running epoch of a local chain, whose clock is moved as no clock of others can be, and waits until that epoch or a later one
 * is finalized for each topic. It is committed and challenged in its own time.
 * @throws SuretyError DEVNET_NOT_FINALIZED, or the signal's reason
 */
export async function awaitFinalized(
  { rpcUrl, client, deployment }: LocalGround,
  topics: readonly bigint[],
  signal: AbortSignal,
): Promise<FinalizedTopic[]> {
  const { epoch: first } = await readEpoch(client, deployment);
  await goToNextEpoch(rpcUrl, client, deployment).catch(async (error: unknown) => {
    // The epoch closed by itself between the look at the clock and its move.
    if ((await readEpoch(client, deployment)).epoch === first) throw error;
  });
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
