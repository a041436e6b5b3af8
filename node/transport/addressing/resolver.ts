import type { Address } from "viem";
import { accept, addressOfPeerId, ignore, type Verdict } from "#protocol";
import type { PeerName, Transport } from "../port.ts";
import type { AddressBook } from "./book.ts";
import { askPeers } from "./exchange.ts";

/** Peers that are asked at once for a key that nobody here knows. */
const MAX_ASKED = 8;
const ASK_TIMEOUT_MS = 3_000;
const DIAL_TIMEOUT_MS = 10_000;

/** A key that speaks for an agent now, by the chain: as an account, or as the peer id of a key of another kind. */
export type Speaker =
  { readonly kind: "account"; readonly address: Address } | { readonly kind: "peer"; readonly peer: PeerName };

export interface ResolverOptions {
  readonly transport: Transport;
  readonly book: AddressBook;
  /** TRANSPORT and LOG keys that are bound to the agent now; from the chain. @throws SuretyError CHAIN_UNREACHABLE */
  readonly speakersOf: (agentId: bigint, signal: AbortSignal) => Promise<readonly Speaker[]>;
  /** Where the key's own signed log says that it listens; the last resort. */
  readonly declared: (
    address: Address,
  ) => { readonly peerId: PeerName; readonly addresses: readonly string[] } | undefined;
  readonly nowMs: () => number;
}

/** From an agent's id to a connection: chain binding → key → signed peer record → dial. */
export interface Resolver {
  /**
   * Connects to a node that holds a key of the agent; the handshake proves that it does. Ignores AGENT_UNBOUND (no key speaks
   * for it), AGENT_UNLOCATED (nobody knows where), PEER_UNREACHABLE.
   */
  dialAgent(agentId: bigint, signal: AbortSignal): Promise<Verdict<PeerName>>;
  /** The peer of a key, as far as the network knows its record; its addresses are learned. */
  locate(address: Address, signal: AbortSignal): Promise<PeerName | undefined>;
}

export function createResolver({ transport, book, speakersOf, declared, nowMs }: ResolverOptions): Resolver {
  /** Records of the keys, from whoever of our peers knows them; the newest one counts. */
  async function askOthers(wanted: readonly Address[], signal: AbortSignal): Promise<void> {
    const bounded = AbortSignal.any([signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
    const tellers = transport.peers().slice(0, MAX_ASKED);
    const asked = tellers.map(async (teller) => {
      const answer = await askPeers(teller, { wanted, limit: 0 }, { transport }, bounded);
      if (answer.kind !== "accept") return;
      // What was not asked for is no answer: a teller does not fill the book by the way.
      const own = answer.value.filter(({ address }) => address !== undefined && wanted.includes(address));
      for (const record of own) book.add(record, "resolved", teller, nowMs());
    });
    await Promise.all(asked);
  }

  const connectedAs = (address: Address): PeerName | undefined =>
    transport.peers().find((peer) => {
      const own = addressOfPeerId(peer);
      return own.kind === "accept" && own.value === address;
    });

  async function learn(address: Address): Promise<PeerName | undefined> {
    const known = book.byAddress(address);
    if (known !== undefined && (await transport.learnRecord(known.bytes)).kind === "accept") return known.peer;
    const said = declared(address);
    const key = said && addressOfPeerId(said.peerId);
    if (said === undefined || key?.kind !== "accept" || key.value !== address) return undefined;
    return (await transport.learnAddresses(said.peerId, said.addresses)).kind === "accept" ? said.peerId : undefined;
  }

  async function dialKnown(speakers: readonly Speaker[], signal: AbortSignal): Promise<Verdict<PeerName>> {
    let last: Verdict<PeerName> = ignore("AGENT_UNLOCATED", "nobody knows where a key of this agent listens");
    for (const speaker of speakers) {
      const peer = speaker.kind === "peer" ? speaker.peer : await learn(speaker.address);
      if (peer === undefined) continue;
      last = await transport.dial(peer, AbortSignal.any([signal, AbortSignal.timeout(DIAL_TIMEOUT_MS)]));
      if (last.kind === "accept") return last;
      book.failed(peer);
    }
    return last;
  }

  return {
    async dialAgent(agentId, signal) {
      const speakers = await speakersOf(agentId, signal);
      if (speakers.length === 0) return ignore("AGENT_UNBOUND", `no key speaks for agent ${agentId}`);
      const accounts = speakers.flatMap((speaker) => (speaker.kind === "account" ? [speaker.address] : []));
      const connected = accounts.map(connectedAs).find((peer) => peer !== undefined);
      if (connected !== undefined) return accept(connected);
      const first = await dialKnown(speakers, signal);
      if (first.kind === "accept" || signal.aborted) return first;
      // It may have moved: those who are connected to it hold a newer record than we do.
      await askOthers(accounts, signal);
      return dialKnown(speakers, signal);
    },
    async locate(address, signal) {
      const connected = connectedAs(address);
      if (connected !== undefined) return connected;
      await askOthers([address], signal);
      return learn(address);
    },
  };
}
