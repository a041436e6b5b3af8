import { getAddress, keccak256, type Address, type Hex } from "viem";
import { ed25519PeerIdOf, isSignerValidAt, purposes, type Deployment } from "#protocol";
import { createBoundSigners, MAX_SIGNERS } from "./bound-signers.ts";
import type { ChainClient } from "./connect.ts";
import type { Heads, IdentityReader } from "./port.ts";

/** A key that speaks for an agent: an account, or an Ed25519 key by its peer id. */
export type ChainSpeaker =
  { readonly kind: "account"; readonly address: Address } | { readonly kind: "peer"; readonly peer: string };

export interface SpeakerReader {
  /** LOG and TRANSPORT keys that speak for an agent at the latest block, the newest first. @throws SuretyError CHAIN_UNREACHABLE */
  speakersOf(agentId: bigint, signal: AbortSignal): Promise<readonly ChainSpeaker[]>;
}

/**
 * @param signersOf bytes of signers that somebody else, such as an indexer, names for an agent; each is judged by the chain.
 * Where there is nobody, the registry's events are read.
 */
export function createSpeakerReader(
  client: ChainClient,
  heads: Heads,
  deployment: Deployment,
  identity: Pick<IdentityReader, "signerOf">,
  signersOf?: (agentId: bigint, signal: AbortSignal) => Promise<readonly Hex[] | undefined>,
): SpeakerReader {
  const bound = createBoundSigners({
    ...{ client, registry: deployment.contracts.identityRegistry, firstBlock: BigInt(deployment.deployedAtBlock) },
  });
  async function boundSigners(agentId: bigint, signal: AbortSignal): Promise<readonly Hex[]> {
    const named = await signersOf?.(agentId, signal);
    if (named !== undefined && named.length > 0) return [...new Set(named)].reverse().slice(0, MAX_SIGNERS);
    return bound.of(agentId, heads.latest().number, signal);
  }

  return {
    async speakersOf(agentId, signal) {
      const signers = await boundSigners(agentId, signal);
      const records = await Promise.all(signers.map((signer) => identity.signerOf(keccak256(signer), signal)));
      const { timestamp } = heads.latest();
      const speaks = (i: number) =>
        records[i]?.agentId === agentId &&
        [purposes.log, purposes.transport].some((purpose) => isSignerValidAt(records[i] as never, purpose, timestamp));
      return signers.filter((_, i) => speaks(i)).flatMap(speakerOf);
    },
  };
}

/** ERC-7913 bytes: 20 of an account; 20 zeros, the agent's id and 32 of an Ed25519 key (`uncheckedSignerOf`). Others have no peer id. */
function speakerOf(signer: Hex): ChainSpeaker[] {
  const bytes = (signer.length - 2) / 2;
  if (bytes === 20) return [{ kind: "account", address: getAddress(signer) }];
  const isEd25519 = bytes === 84 && BigInt(signer.slice(0, 42)) === 0n;
  return isEd25519 ? [{ kind: "peer", peer: ed25519PeerIdOf(`0x${signer.slice(-64)}`) }] : [];
}
