// One agent that negotiates over libp2p: real host, signatures and store. The registry is a table that all processes share, so that
// what is measured is the negotiation; a chain's answers come on top.
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { bytesToHex, zeroAddress, zeroHash, type Address } from "viem";
import { createSigner, decodeMessage, purposes, signerHashOf, type DomainContracts, type Signer } from "#protocol";
import type { IdentityReader } from "../../node/chain/port.ts";
import { createNegotiator } from "../../node/negotiation/driver.ts";
import type { Agreement, Bidder, Negotiator } from "../../node/negotiation/port.ts";
import { openStore } from "../../node/store/sqlite.ts";
import { createLibp2pTransport } from "../../node/transport/libp2p.ts";
import type { Transport } from "../../node/transport/port.ts";
import { agentAccount } from "../../scripts/devnet/accounts.ts";

export const contracts: DomainContracts = {
  chainId: 31_337,
  identityRegistry: "0x1000000000000000000000000000000000000001",
  dealEscrow: "0x1000000000000000000000000000000000000002",
};
export const TOKEN: Address = "0x1000000000000000000000000000000000000003";

/** Frames and their bytes, both directions counted once, at the party that sends. */
export interface Traffic {
  messages: number;
  bytes: number;
}

export interface Party {
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly transport: Transport;
  readonly negotiator: Negotiator;
  readonly traffic: Traffic;
  stop(): Promise<void>;
}

export interface PartyOptions {
  /** Agent `index + 1`, with the key of the public test mnemonic. */
  readonly index: number;
  /** Addresses of all agents, by index: the registry. */
  readonly registry: readonly Address[];
  /** Folder of its store, which outlives the process. */
  readonly dir: string;
  /** Known before anything is taken up that was left. */
  readonly others?: readonly { readonly peerId: string; readonly addresses: readonly string[] }[];
  readonly bidder?: Bidder;
  readonly onFailed?: (code: string) => void;
  readonly onAgreed?: (agreement: Agreement) => void;
  /** A negotiation message of this type is about to be judged, or has been sent. */
  readonly onMessage?: (type: string, direction: "received" | "sent") => void;
}

export async function startParty(options: PartyOptions): Promise<Party> {
  const { index, registry, dir, others = [], bidder, onAgreed, onFailed, onMessage } = options;
  const { key } = agentAccount(index);
  const signer = createSigner(key);
  const agentId = BigInt(index + 1);
  const traffic: Traffic = { messages: 0, bytes: 0 };
  const transport = watch(await createLibp2pTransport({ privateKey: key }), traffic, onMessage);
  await transport.start();
  for (const { peerId, addresses } of others) await transport.learnAddresses(peerId, addresses);
  const store = openStore(join(dir, `agent-${agentId}.sqlite`));
  const negotiator = createNegotiator({
    ...{ agentId, signer, contracts, transport, store },
    identity: createTable(registry),
    chainTime: () => Math.floor(Date.now() / 1000),
    random: () => BigInt(bytesToHex(randomBytes(32))),
    ...(bidder === undefined ? {} : { bidder }),
    onAgreed: (agreement) => onAgreed?.(agreement),
    onFailed: (_call, code) => onFailed?.(code),
    onFault(fault) {
      console.error(fault);
    },
  });
  await negotiator.start();
  return {
    ...{ agentId, signer, transport, negotiator, traffic },
    async stop() {
      await negotiator.stop();
      await transport.stop();
      store.close();
    },
  };
}

/** Counts what is sent, and tells of negotiation messages by their type. */
function watch(transport: Transport, traffic: Traffic, onMessage: PartyOptions["onMessage"]): Transport {
  const typeOf = (frame: Uint8Array) => {
    const message = decodeMessage(frame);
    return message.kind === "accept" ? message.value.type : "";
  };
  return {
    ...transport,
    async request(target, protocol, body, options) {
      traffic.messages++;
      traffic.bytes += body.length;
      const verdict = await transport.request(target, protocol, body, options);
      if (onMessage !== undefined) onMessage(typeOf(body), "sent");
      return verdict;
    },
    serve: (protocol, responder, options) =>
      transport.serve(
        protocol,
        (body, from, signal) => {
          if (onMessage !== undefined) onMessage(typeOf(body), "received");
          return responder(body, from, signal);
        },
        options,
      ),
  };
}

/** The identity registry as a table: agent i + 1 has the i-th key, for logs, now and always. */
function createTable(registry: readonly Address[]): IdentityReader {
  const agents = new Map(registry.map((address, index) => [signerHashOf(address), BigInt(index + 1)]));
  return {
    ownerOf: (agentId) => Promise.resolve(registry[Number(agentId) - 1] ?? zeroAddress),
    agentOfSigner: (signerHash) => Promise.resolve(agents.get(signerHash) ?? 0n),
    signerOf: (signerHash) =>
      Promise.resolve({
        ...{ agentId: agents.get(signerHash) ?? 0n, purpose: purposes.log },
        ...{ validFrom: 0, validUntil: 0, invalidFrom: 0 },
      }),
    commitmentOf: () => Promise.resolve(zeroHash),
    isSignerValidAt: ({ agentId, signerHash }) => Promise.resolve(agents.get(signerHash) === agentId),
  };
}
