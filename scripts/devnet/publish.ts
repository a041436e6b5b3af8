import type { PublicClient } from "viem";
import { SuretyError, type Deployment } from "#protocol";
import { createChainClient } from "../../node/chain/connect.ts";
import { createReputationChain } from "../../node/reputation/chain.ts";
import { ReputationDriver, type DriverOptions, type RoleReport } from "../../node/reputation/driver.ts";
import { withSender } from "../cli/sending.ts";
import type { TestAccount } from "./accounts.ts";
import { goToNextEpoch } from "./time.ts";

/** Runs reputation roles with one key until the signal aborts; used by commands, which have no node around them. */
export async function runRoles(
  rpcUrl: string,
  deployment: Deployment,
  account: TestAccount,
  options: Omit<DriverOptions, "chain">,
  signal: AbortSignal,
): Promise<void> {
  const client = createChainClient(rpcUrl, deployment.chainId);
  await withSender({ client }, account.key, signal, async (sender, heads) => {
    const chain = createReputationChain({ client, deployment, heads, sender });
    await new ReputationDriver({ chain, ...options }).run(signal);
  });
}

/**
 * Closes the running epoch of a simulated chain, publishes its scores, lets the challenge period pass and finalizes.
 * @returns the epoch
 * @throws SuretyError whatever kept the publisher from it
 */
export async function publishEpoch(
  rpcUrl: string,
  client: PublicClient,
  deployment: Deployment,
  publisher: TestAccount & { readonly agentId: bigint },
  signal: AbortSignal,
): Promise<number> {
  const stop = new AbortController();
  const committed = Promise.withResolvers<unknown>();
  const finalized = Promise.withResolvers<unknown>();
  const onReport = ({ effect, error }: RoleReport) => {
    if (error !== undefined && !error.isRetryable) {
      committed.reject(error);
      finalized.reject(error);
    } else if (error === undefined && effect.kind === "commit") committed.resolve(effect);
    else if (error === undefined && effect.kind === "finalize") finalized.resolve(effect);
  };
  finalized.promise.catch(() => undefined);
  const options = { publisher: { agentId: Number(publisher.agentId), rank: 0, isReleasing: false }, onReport };
  const epoch = (await goToNextEpoch(rpcUrl, client, deployment)) - 1;
  const running = runRoles(rpcUrl, deployment, publisher, options, AbortSignal.any([signal, stop.signal]));
  const ended = running.then(() => {
    throw new SuretyError("PUBLISHER_STOPPED", "The publisher stopped before the epoch was finalized.", {
      next: "Run the same command again.",
    });
  });
  try {
    await Promise.race([committed.promise, ended]);
    await goToNextEpoch(rpcUrl, client, deployment);
    await Promise.race([finalized.promise, ended]);
    return epoch;
  } finally {
    ended.catch(() => undefined);
    stop.abort();
    await running;
  }
}
