import { createTestClient, http, type PublicClient } from "viem";
import { trustLedgerAbi, type Deployment } from "#protocol";

/** The ledger's clock. */
export async function readEpoch(client: PublicClient, deployment: Deployment) {
  const ledger = { abi: trustLedgerAbi, address: deployment.contracts.trustLedger } as const;
  const [genesis, length, { timestamp }] = await Promise.all([
    client.readContract({ ...ledger, functionName: "genesis" }),
    client.readContract({ ...ledger, functionName: "epochLength" }),
    client.getBlock(),
  ]);
  return { genesis, length, epoch: (timestamp - genesis) / length + 1n };
}

/** Moves a simulated chain to the first second of its next epoch. @returns that epoch */
export async function goToNextEpoch(rpcUrl: string, client: PublicClient, deployment: Deployment): Promise<number> {
  const { genesis, length, epoch } = await readEpoch(client, deployment);
  const simulator = createTestClient({ mode: "hardhat", transport: http(rpcUrl) });
  await simulator.setNextBlockTimestamp({ timestamp: genesis + epoch * length });
  await simulator.mine({ blocks: 1 });
  return Number(epoch) + 1;
}
