import type { Hex, PublicClient } from "viem";
import { identityRegistryAbi, SuretyError, type Deployment } from "#protocol";
import { revertDataOf } from "../../node/chain/revert.ts";

/** @returns the agent's owner @throws SuretyError AGENT_UNKNOWN */
export async function requireAgent(client: PublicClient, { contracts }: Deployment, agentId: bigint): Promise<Hex> {
  const address = contracts.identityRegistry;
  try {
    return await client.readContract({ abi: identityRegistryAbi, address, functionName: "ownerOf", args: [agentId] });
  } catch (cause) {
    if (revertDataOf(cause) === undefined) throw cause;
    throw new SuretyError("AGENT_UNKNOWN", `The registry ${address} has no agent ${agentId}.`, {
      values: { agentId, address },
      next: "Check the id and the network; `surety agent register` makes an agent.",
      cause,
    });
  }
}
