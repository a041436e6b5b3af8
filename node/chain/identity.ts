import { parseAbi, zeroAddress } from "viem";
import { identityRegistryAbi, type Deployment } from "#protocol";
import { withSignal } from "./clock.ts";
import { unreachable, type ChainClient } from "./connect.ts";
import type { Heads, IdentityReader } from "./port.ts";
import { revertDataOf } from "./revert.ts";

/** The registry is an ERC-721; this is all of that surface that the stages ask for. */
const ownerAbi = parseAbi(["function ownerOf(uint256 agentId) view returns (address)"]);

/** Reads the identity registry of a deployment, always at the latest block. */
export function createIdentityReader(client: ChainClient, heads: Heads, deployment: Deployment): IdentityReader {
  const registry = { address: deployment.contracts.identityRegistry, abi: identityRegistryAbi } as const;
  const ask = async <T>(answer: Promise<T>, signal: AbortSignal): Promise<T> => {
    try {
      return await withSignal(answer, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw unreachable(cause);
    }
  };
  return {
    async ownerOf(agentId, signal) {
      const answer = client.readContract({ ...registry, abi: ownerAbi, functionName: "ownerOf", args: [agentId] });
      // ERC-721 reverts for an id that was never minted.
      return await ask(
        answer.catch((cause: unknown) => {
          if (revertDataOf(cause) === undefined) throw cause;
          return zeroAddress;
        }),
        signal,
      );
    },
    agentOfSigner: (signerHash, signal) =>
      ask(client.readContract({ ...registry, functionName: "agentOfSigner", args: [signerHash] }), signal),
    async signerOf(signerHash, signal) {
      const answer = client.readContract({ ...registry, functionName: "signerOf", args: [signerHash] });
      const [agentId, purpose, validFrom, validUntil, invalidFrom] = await ask(answer, signal);
      return { agentId, purpose, validFrom, validUntil, invalidFrom };
    },
    async commitmentOf(agentId, signal) {
      const answer = client.readContract({ ...registry, functionName: "commitmentOf", args: [agentId] });
      return (await ask(answer, signal))[0];
    },
    isSignerValidAt({ agentId, signerHash, purpose, time = heads.latest().timestamp }, signal) {
      const args = [agentId, signerHash, purpose, BigInt(time)] as const;
      return ask(client.readContract({ ...registry, functionName: "isSignerValidAt", args }), signal);
    },
  };
}
