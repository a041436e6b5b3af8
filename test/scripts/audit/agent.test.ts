import { ed25519 } from "@noble/curves/ed25519.js";
import { expect } from "chai";
import { bytesToHex, hexToBytes, keccak256, toHex, zeroHash, type Abi, type Hex } from "viem";
import {
  createSigner,
  ed25519PeerIdOf,
  evidenceOf,
  evidenceSlasherAbi,
  identityRegistryAbi,
  ownerRecoveryAbi,
  purposes,
  signLogHeader,
  structHash,
  tabEscrowAbi,
  testTokenAbi,
  typedDataDigest,
  uncheckedSignerOf,
  type LogHeader,
} from "#protocol";
import { auditAgent } from "../../../scripts/audit/agent.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { exportBundle } from "../../../scripts/audit/export.ts";
import { verifyBundle } from "../../../scripts/audit/verify-bundle.ts";
import { testAccount } from "../../../scripts/devnet/accounts.ts";
import type { LocalAgent } from "../../../scripts/devnet/provision.ts";
import { startLocalNetwork, writeAs, type LocalNetwork } from "../../fixtures/local-network.ts";

const DEADLINE = 2 ** 48 - 1;
const DAY = 86_400;
/** What `startLocalNetwork` deploys as the penalty. */
const PENALTY = 10_000_000n;

describe("surety verify agent, of agents that did wrong or are in danger", () => {
  let world: LocalNetwork;
  let domain: LocalNetwork["deployment"]["contracts"] & { chainId: number };

  before(async function () {
    this.timeout(120_000);
    world = await startLocalNetwork(4);
    domain = { chainId: world.deployment.chainId, ...world.deployment.contracts };
  });
  after(() => world.stop());

  const agentAt = (index: number): LocalAgent => {
    const agent = world.agents[index];
    if (agent === undefined) throw new Error(`the network has ${world.agents.length} agents`);
    return agent;
  };
  const audit = ({ agentId }: LocalAgent) => runChecks("agent", auditAgent(world.client, world.deployment, agentId));
  const lastOf = async (agent: LocalAgent) => {
    const { isOk, checks } = await audit(agent);
    return [isOk, checks.at(-1)?.name, checks.at(-1)?.detail] as const;
  };
  const latest = async () => Number((await world.client.getBlock()).timestamp);
  const inRegistry = (agent: LocalAgent, name: string, args: readonly unknown[]) =>
    writeAs(world, agent, domain.identityRegistry, identityRegistryAbi as Abi, name, args);
  const inSlasher = (name: string, args: readonly unknown[]) =>
    writeAs(world, agentAt(1), domain.evidenceSlasher, evidenceSlasherAbi as Abi, name, args);

  it("adds up what its tabs paid, by the escrow's claims, for the client and not for the provider", async function () {
    this.timeout(60_000);
    const [client, provider] = [agentAt(2), agentAt(3)];
    const escrow = domain.tabEscrow;
    const now = await latest();
    const tab = {
      ...{ clientAgentId: client.agentId, providerAgentId: provider.agentId, topic: 0n, token: domain.token },
      ...{ mechanismHash: zeroHash, signerHash: client.signer.signerHash, expiry: now + 30 * DAY },
      ...{ challengePeriod: DAY, salt: 1n },
    };
    const write = (agent: LocalAgent, address: Hex, abi: Abi, name: string, args: readonly unknown[]) =>
      writeAs(world, agent, address, abi, name, args);
    await write(client, domain.token, testTokenAbi as Abi, "mint", [client.address, 1_000n]);
    await write(client, domain.token, testTokenAbi as Abi, "approve", [escrow, 1_000n]);
    await write(client, escrow, tabEscrowAbi as Abi, "open", [tab, 1_000n]);
    for (const [seq, paid] of [
      [1n, 300n],
      [2n, 420n],
    ] as const) {
      const voucher = { tabId: structHash("Tab", tab), seq, paid, satisfied: 0, unsatisfied: 0 };
      const signature = client.signer.sign(typedDataDigest("Voucher", voucher, domain));
      const args = [tab, voucher, client.address, signature, false];
      await write(provider, escrow, tabEscrowAbi as Abi, "claim", args);
    }
    const lineOf = async (agent: LocalAgent) =>
      (await audit(agent)).checks.find(({ name }) => name === "tabs")?.detail.split(";")[0];
    expect(await lineOf(client)).to.equal(`1 opened as a client, 2 claims paid 420 of ${domain.token}`);
    expect(await lineOf(provider)).to.equal("none opened as a client");
  });

  it("fails an agent whose two headers of one seq cost it stake, names the transaction", async function () {
    this.timeout(60_000);
    const agent = agentAt(0);
    expect(await lastOf(agent)).to.deep.equal([true, "forks", "none was punished"]);
    const time = await latest();
    const headerOf = (body: string): LogHeader => ({
      ...{ version: 1, kind: 1, log: agent.address, seq: 7, prev: keccak256("0x02"), bodyHash: keccak256(toHex(body)) },
      ...{ bodyLength: 4, timeMs: time * 1_000, ttl: 60, tags: 0n, sketch: zeroHash },
    });
    const signed = ["this", "that"].map((body) => evidenceOf(signLogHeader(headerOf(body), agent.signer, domain)));
    const fork = await inSlasher("reportEquivocation", signed);
    const forked = `${PENALTY} for two histories of its log in ${fork}`;
    expect(await lastOf(agent)).to.deep.equal([false, "forks", `its own signatures cost it ${forked}`]);
    expect(await lastOf(agentAt(1)), "the reporter").to.deep.equal([true, "forks", "none was punished"]);
  });

  it("names the Ed25519 peer whose key proves the claim, and fails the agent that claims it without", async function () {
    this.timeout(60_000);
    const secret = hexToBytes(keccak256(toHex("an Ed25519 key of a test")));
    const key = bytesToHex(ed25519.getPublicKey(secret));
    const peer = `${ed25519PeerIdOf(key)}, Ed25519, not checked on chain`;
    const [honest, liar] = [agentAt(1), agentAt(2)];
    const proofOf = ({ agentId, address }: LocalAgent): Hex => {
      const binding = {
        ...{ agentId, owner: address, signerHash: keccak256(uncheckedSignerOf(agentId, key)) },
        ...{ purpose: purposes.transport, validFrom: 0, validUntil: 0, deadline: DEADLINE },
      };
      return bytesToHex(ed25519.sign(hexToBytes(typedDataDigest("SignerBinding", binding, domain)), secret));
    };
    const proof = proofOf(honest);
    await inRegistry(honest, "bindUncheckedKey", [honest.agentId, key, 0, 0, DEADLINE, proof]);
    const { isOk, checks } = await audit(honest);
    expect(isOk).to.equal(true);
    const peers = checks.filter(({ name }) => name === "peer").map(({ detail }) => detail);
    expect(peers).to.have.length(2);
    expect(peers[1]).to.equal(`${peer}, its proof is the key's`);
    // The honest agent's proof names that agent: it is nobody else's.
    await inRegistry(liar, "bindUncheckedKey", [liar.agentId, key, 0, 0, DEADLINE, proof]);
    const [passes, name, detail] = await lastOf(liar);
    expect([passes, name]).to.deep.equal([false, "peer"]);
    expect(detail).to.include(`${peer}, and its proof is not the key's`);
  });

  it("fails an agent that its guardians are handing over, with an endpoint and offline, until its owner cancels", async function () {
    this.timeout(60_000);
    const [agent, guardian, newOwner] = [agentAt(3), createSigner(testAccount(9).key), testAccount(8).address];
    const { agentId, address } = agent;
    const inRecovery = (name: string, args: readonly unknown[]) =>
      writeAs(world, agent, domain.ownerRecovery, ownerRecoveryAbi as Abi, name, args);
    const offline = async () => {
      const { bundle, blockHash } = await exportBundle(world.client, world.deployment, agentId);
      const { isOk, checks } = await runChecks("bundle", verifyBundle(bundle, blockHash));
      const recovery = checks.find(({ name }) => name === "recovery");
      return [isOk, checks.at(-1)?.name, recovery?.detail] as const;
    };
    const binding = {
      ...{ agentId, owner: address, signerHash: guardian.signerHash, purpose: purposes.recovery },
      ...{ validFrom: 0, validUntil: 0, deadline: DEADLINE },
    };
    const proof = guardian.sign(typedDataDigest("SignerBinding", binding, domain));
    await inRegistry(agent, "bindSigner", [agentId, guardian.address, purposes.recovery, 0, 0, DEADLINE, proof]);
    await inRecovery("setRecovery", [agentId, 1, DAY]);
    const none = `by 1 guardians after ${DAY} s; none under way`;
    expect(await offline()).to.deep.equal([true, "nodes", none]);

    const change = { agentId, owner: address, newOwner, attempt: 0n, deadline: DEADLINE };
    const signature = guardian.sign(typedDataDigest("OwnerChange", change, domain));
    await inRecovery("startRecovery", [agentId, newOwner, DEADLINE, [{ signer: guardian.address, signature }]]);
    const executableAt = (await latest()) + DAY;
    const handed = `guardians hand it to ${newOwner} from ${executableAt} on`;
    expect(await offline()).to.deep.equal([false, "recovery", handed]);
    expect((await lastOf(agent)).slice(0, 2)).to.deep.equal([false, "recovery"]);

    await inRecovery("cancelRecovery", [agentId]);
    expect(await offline()).to.deep.equal([true, "nodes", none]);
    expect((await lastOf(agent)).slice(0, 2)).to.deep.equal([true, "forks"]);
  });
});
