import type { Address } from "viem";
import type { Capability } from "../application.ts";

/** What an agent's documents say of it. */
export interface AgentSelf {
  readonly agentId: bigint;
  readonly name: string;
  readonly chainId: number;
  readonly identityRegistry: Address;
  /** Of the LOG key. */
  readonly address: Address;
  readonly token: Address;
  readonly peerId: string;
  readonly addresses: readonly string[];
  readonly capabilities: readonly Capability[];
  /** Origin under which clients reach the agent; known once the server listens. */
  readonly origin: () => string;
  /** Origin of what it sells over HTTP (x402); undefined = nothing. */
  readonly shopUrl: string | undefined;
}

export const VERSION = "0.1.0";

/** ERC-8004: eip155:{chainId}:{registry}. */
export const agentRegistryOf = ({ chainId, identityRegistry }: AgentSelf): string =>
  `eip155:${chainId}:${identityRegistry}`;

export function descriptionOf({ capabilities }: AgentSelf): string {
  const offers = capabilities.map(({ name }) => name);
  const own = offers.length === 0 ? "" : ` It offers ${offers.join(", ")} over /surety/negotiate/1.`;
  return `An agent of the Surety network. It has work done by other agents under bonded deals on chain.${own}`;
}
