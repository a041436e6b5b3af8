// A finalized reputation epoch with real scores, and a bond curve that reads it.
import { topicIdOf, type Curve } from "#protocol";
import { solveHonestly, TrustGraph } from "../reputation-contracts/trust-graph.ts";
import {
  commit,
  deployWorld,
  goTo,
  PUBLISHER_BOND,
  record,
  registerAgents,
  stake,
} from "../reputation-contracts/world.ts";

export const TOPIC = topicIdOf("code_generation");
export const PUBLISHER = 4;
export const PRICE = 1_000_000n;
/** λ = 1/2, four times the floor at score zero, half of the rest at the uniform share. */
export const CURVE: Curve = { slashShare: 1 << 15, factorAtZero: 4 << 16, halfScore: 1n << 16n };

/** Epoch 1 with three agents is final, and epoch 3 runs with a curve that counts. */
export async function finalizeFirstEpoch(chain: Parameters<typeof deployWorld>[0]) {
  const world = await deployWorld(chain);
  const { accounts, viem, epochs, ledger, registry } = world;
  const curve = await viem.deployContract("BondCurve", [
    epochs.address,
    ledger.address,
    registry.address,
    accounts.rival,
  ]);
  await registerAgents(world, accounts.owner, 3);
  await registerAgents(world, accounts.publisher, 1);
  await stake(world, 1, 1_000n);
  await stake(world, PUBLISHER, 4n * PUBLISHER_BOND);
  const graph = new TrustGraph(TOPIC);
  for (const rating of [[1, 2, 80, 0] as const, [2, 3, 60, 0] as const, [3, 2, 5, 0] as const]) {
    await record(world, graph, rating);
  }
  await curve.write.setCurve([TOPIC, CURVE], { account: accounts.rival });
  const epoch = solveHonestly(graph.close((agentId) => (agentId === 1 ? 1_000n : 0n)));
  await goTo(world, 2n);
  await commit(world, [epoch], { publisher: PUBLISHER, account: accounts.publisher });
  await goTo(world, 3n);
  await epochs.write.finalize([1, [TOPIC]]);
  return { world, curve, epoch };
}
