// Cards as a node makes and signs them, judged by the auditor on a chain: forged, borrowed and stale ones.
import { expect } from "chai";
import { network } from "hardhat";
import { keccak256, type Hex } from "viem";
import { createSigner, peerIdOf, purposes, typedDataDigest, type Deployment } from "#protocol";
import { createCard, createLegacyCard } from "../../../node/api/a2a/card.ts";
import { createCardKeys } from "../../../node/api/a2a/keys.ts";
import type { AgentSelf } from "../../../node/api/self.ts";
import { AgentCard } from "@a2a-js/sdk";
import { auditCard } from "../../../scripts/audit/card.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";

const { viem, networkHelpers } = await network.create();
const client = await viem.getPublicClient();
const [owner] = await viem.getWalletClients();
const registry = await viem.deployContract("IdentityRegistry");
const chainId = await client.getChainId();
const deployment = {
  chainId,
  contracts: { identityRegistry: registry.address, dealEscrow: registry.address },
} as unknown as Deployment;
const FAR = 2 ** 48 - 1;

type Json = Record<string, unknown>;

describe("surety verify card", () => {
  const key = keccak256("0xca");
  const signer = createSigner(key);
  let agentId = 0n;

  before(async () => {
    agentId = await bind(signer);
  });

  async function bind(log: ReturnType<typeof createSigner>): Promise<bigint> {
    const holder = owner?.account.address as Hex;
    const statement = { agentId: 0n, owner: holder, signerHash: log.signerHash, purpose: purposes.log };
    const window = { validFrom: 0, validUntil: 0, deadline: FAR };
    const contracts = { chainId, ...deployment.contracts };
    const proof = log.sign(typedDataDigest("SignerBinding", { ...statement, ...window }, contracts));
    const binding = { commitment: `0x${"00".repeat(32)}`, signer: log.address, ...window, proof } as const;
    await registry.write.registerBound(["", binding]);
    return registry.read.agentOfSigner([log.signerHash]);
  }

  const selfOf = (id: bigint, by = signer): AgentSelf => ({
    ...{ agentId: id, name: "ada", chainId, identityRegistry: registry.address, address: by.address },
    ...{ token: registry.address, peerId: peerIdOf(by.publicKey), addresses: ["/ip4/127.0.0.1/tcp/4001"] },
    ...{ capabilities: [], origin: () => "https://ada.example", shopUrl: undefined },
  });
  /** What the node serves, and its key set. */
  async function served(self: AgentSelf, secret = key, isLegacy = false): Promise<{ card: Json; keys: string }> {
    const keys = createCardKeys(secret, createSigner(secret), chainId);
    const card = createCard(self, keys);
    const shown = isLegacy ? await createLegacyCard(card, self, keys) : AgentCard.toJSON(card);
    return {
      card: JSON.parse(JSON.stringify(shown)) as Json,
      keys: JSON.stringify({ keys: [keys.es256, keys.es256k] }),
    };
  }
  const judge = async (card: unknown, keys: string | undefined) => {
    const verdict = await runChecks("card", auditCard(client, deployment, { card: JSON.stringify(card), keys }));
    return verdict.isOk ? "holds" : (verdict.checks.at(-1)?.name ?? "nothing");
  };

  for (const [version, isLegacy] of [
    ["1.0", false],
    ["0.3", true],
  ] as const) {
    it(`holds for a card of A2A ${version} as the agent signs it, and for none with a changed leaf`, async () => {
      const { card, keys } = await served(selfOf(agentId), key, isLegacy);
      expect(await judge(card, keys)).to.equal("holds");
      expect(await judge(card, undefined)).to.equal("holds");
      const { signatures, ...content } = card;
      let count = 0;
      for (const changed of changedCopies(content)) {
        expect(await judge({ ...changed, signatures }, keys), JSON.stringify(changed)).to.not.equal("holds");
        count++;
      }
      expect(count).to.be.greaterThan(20);
      expect(await judge({ ...content, more: "1", signatures }, keys)).to.equal("log key");
    });
  }

  it("names what is forged: registry, agent, key, peer, card key", async () => {
    const { card, keys } = await served(selfOf(agentId));
    expect(await judge("a card", keys)).to.equal("form");
    expect(await judge({ ...card, capabilities: {} }, keys)).to.equal("form");
    expect(await judge({ ...card, signatures: [] }, keys)).to.equal("log key");
    const elsewhere = await served({ ...selfOf(agentId), identityRegistry: owner?.account.address as Hex });
    expect(await judge(elsewhere.card, elsewhere.keys)).to.equal("registry");
    const other = await served(selfOf(agentId + 1n));
    expect(await judge(other.card, other.keys), "of another agent").to.equal("agent");
    const strangerKey = keccak256("0xcb");
    const stranger = await served(selfOf(agentId, createSigner(strangerKey)), strangerKey);
    expect(await judge(stranger.card, stranger.keys), "by a key that nobody bound").to.equal("agent");
    const borrowed = await served(selfOf(agentId), strangerKey);
    expect(await judge(borrowed.card, borrowed.keys), "signed by another key than it names").to.equal("log key");
    const lured = await served({ ...selfOf(agentId), peerId: peerIdOf(createSigner(strangerKey).publicKey) });
    expect(await judge(lured.card, lured.keys)).to.equal("peer");
    expect(await judge(card, stranger.keys), "with another's key set").to.equal("card key");
    expect(await judge(card, "[]")).to.equal("card key");
  });

  it("fails once the key is revoked", async () => {
    const leaving = keccak256("0xcc");
    const id = await bind(createSigner(leaving));
    const { card, keys } = await served(selfOf(id, createSigner(leaving)), leaving);
    expect(await judge(card, keys)).to.equal("holds");
    await registry.write.revokeSigner([id, createSigner(leaving).signerHash, 0]);
    await networkHelpers.mine();
    expect(await judge(card, keys)).to.equal("signer");
  });
});

/** Copies of a value, each with one leaf changed. */
function* changedCopies(value: Json): Generator<Json> {
  for (const [name, item] of Object.entries(value)) {
    for (const changed of changesOf(item)) yield { ...value, [name]: changed };
  }
}

function* changesOf(value: unknown): Generator {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      for (const changed of changesOf(item)) yield value.with(index, changed);
    }
  } else if (typeof value === "object" && value !== null) yield* changedCopies(value as Json);
  else if (typeof value === "boolean") yield !value;
  else if (typeof value === "number") yield value + 1;
  else if (typeof value === "string" && value !== "") yield `${value}~`;
}
