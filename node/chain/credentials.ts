import { credentialsAbi, type Deployment } from "#protocol";
import { withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";

/** Reads who answers for which agent, in the scope of a deployment, at the latest block. */
export interface CredentialReader {
  /**
   * @returns level of each agent's credential, if it counts now: not ended, renounced or revoked, and of the present owner
   * @throws SuretyError CHAIN_UNREACHABLE, or the signal's reason
   */
  levelsOf(agentIds: readonly bigint[], signal: AbortSignal): Promise<ReadonlyMap<bigint, number>>;
}

export function createCredentialReader(client: ChainClient, deployment: Deployment): CredentialReader {
  const credentials = { address: deployment.contracts.credentials, abi: credentialsAbi } as const;
  const levelOf = async (agentId: bigint) => {
    const asked = { ...credentials, functionName: "credentialOf", args: [agentId] } as const;
    const [, level, , , isValid] = await client.readContract(asked);
    return [agentId, isValid ? level : undefined] as const;
  };
  return {
    async levelsOf(agentIds, signal) {
      try {
        const levels = await withSignal(Promise.all(agentIds.map(levelOf)), signal);
        return new Map(levels.filter((entry): entry is readonly [bigint, number] => entry[1] !== undefined));
      } catch (cause) {
        signal.throwIfAborted();
        throw unreachable(cause);
      }
    },
  };
}
