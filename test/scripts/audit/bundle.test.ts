import { expect } from "chai";
import { fromRlp, keccak256, size, toHex, toRlp, zeroHash, type Abi, type Hex } from "viem";
import {
  anchorsAbi,
  createSigner,
  credentialsAbi,
  encodeIssuerPresentation,
  foreignBindingsAbi,
  identityRegistryAbi,
  issuerCredentialsAbi,
  issuerIdOf,
  ownerRecoveryAbi,
  peerIdOf,
  purposes,
  scopeOf,
  topicIdOf,
  typedDataDigest,
} from "#protocol";
import { adoptedSubject } from "../../../scripts/audit/foreign.ts";
import { auditSigner } from "../../../scripts/audit/responsibility.ts";
import { testAccount } from "../../../scripts/devnet/accounts.ts";
import type { LocalAgent } from "../../../scripts/devnet/provision.ts";
import { readBundle, writeBundle } from "../../../scripts/audit/bundle.ts";
import { runChecks } from "../../../scripts/audit/checks.ts";
import { exportBundle, type Export } from "../../../scripts/audit/export.ts";
import { auditScore } from "../../../scripts/audit/score.ts";
import { auditAgent } from "../../../scripts/audit/agent.ts";
import { auditDeal } from "../../../scripts/audit/deal.ts";
import { verifyBundle } from "../../../scripts/audit/verify-bundle.ts";
import { dealEscrowAbi } from "#protocol";
import { createAuthenticator } from "../../fixtures/authenticator.ts";
import { startLocalNetwork, writeAs, type LocalNetwork } from "../../fixtures/local-network.ts";
import { isNightly } from "../../fixtures/profile.ts";

const topic = topicIdOf("data_analysis");

const [FIRST, SECOND, NULLIFIER] = ["first", "second", "a person"].map((text) => keccak256(toHex(text))) as [
  Hex,
  Hex,
  Hex,
];
/** Whose credentials count is the deployer: account 0 of the test mnemonic. */
const issuer = testAccount(0);

/** Gives one agent everything that a bundle proves: two versions, a credential, recovery, and two anchored ranges. */
async function equip(world: LocalNetwork, index: number): Promise<void> {
  const { client, deployment } = world;
  const { contracts, chainId } = deployment;
  const agent = world.agents[index] as LocalAgent;
  const { agentId, signer } = agent;
  const domain = { chainId, ...contracts };
  const as = (address: Hex, abi: Abi, name: string, args: readonly unknown[]) =>
    writeAs(world, agent, address, abi, name, args);
  const deadline = Number((await client.getBlock()).timestamp) + 86_400;
  for (const [version, previous, delta] of [
    [1n, zeroHash, FIRST],
    [2n, FIRST, SECOND],
  ] as const) {
    const signature = signer.sign(
      typedDataDigest("BindingUpdate", { agentId, version, previous, delta, deadline }, domain),
    );
    const args = [agentId, version, delta, deadline, signature];
    await as(contracts.identityRegistry, identityRegistryAbi as Abi, "updateCommitment", args);
  }
  const window = { validFrom: 0, validUntil: 0, deadline };
  const passkey = await createAuthenticator(contracts.webAuthnVerifier);
  const { signer: passkeyBytes, signerHash } = passkey.created;
  const purpose = purposes.operator;
  const binding = { agentId, owner: agent.address, signerHash, purpose, ...window };
  const proof = (await passkey.sign(typedDataDigest("SignerBinding", binding, domain))).signature;
  const bound = [agentId, passkeyBytes, purpose, 0, 0, deadline, proof];
  await as(contracts.identityRegistry, identityRegistryAbi as Abi, "bindSigner", bound);
  // Its end is beyond every calendar, as the contract allows.
  const unchecked = [agentId, keccak256(toHex("an Ed25519 key")), 0, 2 ** 48 - 1, deadline, toHex(1, { size: 64 })];
  await as(contracts.identityRegistry, identityRegistryAbi as Abi, "bindUncheckedKey", unchecked);
  await as(contracts.ownerRecovery, ownerRecoveryAbi as Abi, "setRecovery", [agentId, 2, 86_400]);
  const anchor = (fromSeq: number, toSeq: number) => [agentId, fromSeq, toSeq, keccak256(toHex(fromSeq)), zeroHash];
  await as(contracts.anchors, anchorsAbi as Abi, "anchorLog", anchor(0, 63));
  await as(contracts.anchors, anchorsAbi as Abi, "anchorLog", anchor(64, 191));
  const scope = scopeOf(chainId, contracts.credentials, contracts.identityRegistry);
  const issuerId = issuerIdOf(issuer.address);
  const fields = {
    scope,
    issuerId,
    nullifier: NULLIFIER,
    agentId,
    owner: agent.address,
    level: 3,
    validUntil: deadline,
  };
  const signature = createSigner(issuer.key).sign(typedDataDigest("IssuerCredential", fields, domain));
  const presentation = encodeIssuerPresentation(fields, issuer.address, signature);
  const args = [agentId, contracts.issuerCredentials, issuerId, presentation];
  await as(contracts.credentials, credentialsAbi as Abi, "present", args);
}

async function revoke(world: LocalNetwork, index: number): Promise<void> {
  const { chainId, contracts } = world.deployment;
  const scope = scopeOf(chainId, contracts.credentials, contracts.identityRegistry);
  const revocation = { scope, issuerId: issuerIdOf(issuer.address), nullifier: NULLIFIER };
  const digest = typedDataDigest("CredentialRevocation", revocation, { chainId, ...contracts });
  const args = [issuer.address, scope, NULLIFIER, createSigner(issuer.key).sign(digest)];
  const agent = world.agents[index] as LocalAgent;
  await writeAs(world, agent, contracts.issuerCredentials, issuerCredentialsAbi as Abi, "revoke", args);
}

describe("the auditor", function () {
  this.timeout(120_000);
  let world: LocalNetwork;
  let exported: Export;
  let text: string;

  before(async function () {
    this.timeout(300_000);
    world = await startLocalNetwork(5);
    await world.rate(topic, [
      [0, 1, 100],
      [0, 2, 40],
      [1, 2, 90],
      [3, 1, 10],
      [2, 4, -50],
    ]);
    await world.finalizeEpoch();
    await equip(world, 1);
    exported = await exportBundle(world.client, world.deployment, 2n);
    text = writeBundle(exported.bundle);
  });
  after(() => world?.stop());

  const verdictOf = (bundleText: string) => {
    const bundle = readBundle(bundleText);
    if (bundle.kind !== "accept") return Promise.resolve({ isOk: false, checks: [] });
    return runChecks("bundle", verifyBundle(bundle.value, exported.blockHash));
  };

  it("proves owner, signer, stake and score of an agent offline from a block hash", async () => {
    const verdict = await verdictOf(text);
    expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
    expect(exported.bundle.scores).to.have.length(1);
    // A plain key, a passkey, and an Ed25519 key that the chain did not check.
    expect(exported.bundle.signers.map((signer) => size(signer))).to.deep.equal([20, 84, 84]);
    const details = verdict.checks.filter(({ name }) => name.startsWith("signer")).map(({ detail }) => detail);
    expect(details.map((detail) => detail.split(", ").slice(1, 3))).to.deep.equal([
      ...[
        ["log", "valid"],
        ["operator", "valid"],
        ["transport", "valid"],
      ],
    ]);
    expect(verdict.checks.map(({ name }) => name)).to.deep.equal([
      "header",
      "owner",
      "wallet",
      "version chain",
      ...exported.bundle.signers.map((signer) => `signer ${signer}`),
      "credential",
      "recovery",
      "anchors",
      "stake",
      `score in topic ${topic}`,
      "nodes",
    ]);
  });

  it("proves credential, recovery, version and anchors as the chain holds them", async () => {
    const { checks } = await verdictOf(text);
    const detailOf = (name: string) => checks.find((found) => found.name === name)?.detail;
    expect(detailOf("version chain")).to.include(`version 2, commitment ${SECOND}`);
    expect(detailOf("credential")).to.match(/^operator 0x[0-9a-f]{64}, level 3, until \d+, by 0x\w+: valid$/);
    expect(detailOf("recovery")).to.equal("by 2 guardians after 86400 s; none under way");
    expect(detailOf("anchors")).to.include(": 192 entries, the last 2 ranges proven");
  });

  it("fails once the issuer has revoked the credential, or where an anchored range is missing or forged", async () => {
    const lastOf = async ({ bundle, blockHash }: Export) => {
      const { isOk, checks } = await runChecks("bundle", verifyBundle(bundle, blockHash));
      return [isOk, checks.at(-1)?.name];
    };
    const { bundle, blockHash } = exported;
    const [first, second] = bundle.anchors;
    if (first === undefined || second === undefined) throw new Error("the bundle has no anchors");
    const without = (anchors: Export["bundle"]["anchors"]) => lastOf({ ...exported, bundle: { ...bundle, anchors } });
    expect(await without([first])).to.deep.equal([false, "anchors"]);
    expect(await without([])).to.deep.equal([false, "anchors"]);
    expect(await without([first, { ...second, root: first.root }])).to.deep.equal([false, "anchors"]);
    expect(await without([second])).to.deep.equal([false, "nodes"]);
    const stranger = { ...second, log: world.agents[0]?.address ?? second.log };
    expect(await without([first, second, stranger])).to.deep.equal([false, "anchors"]);
    expect(await lastOf({ ...exported, blockHash })).to.deep.equal([true, "nodes"]);
    await revoke(world, 1);
    expect(await lastOf(await exportBundle(world.client, world.deployment, 2n))).to.deep.equal([false, "credential"]);
    const verdict = await runChecks("agent", auditAgent(world.client, world.deployment, 2n));
    expect([verdict.isOk, verdict.checks.at(-1)?.name]).to.deep.equal([false, "credential"]);
  });

  it("refuses the bundle against another block hash", async () => {
    const bundle = readBundle(text);
    if (bundle.kind !== "accept") throw new Error(bundle.detail);
    const other = await world.client.getBlock({ blockNumber: 1n });
    const { isOk, checks } = await runChecks("bundle", verifyBundle(bundle.value, other.hash));
    expect([isOk, checks.at(-1)?.name]).to.deep.equal([false, "header"]);
  });

  it("names a forged header of a second that no calendar has, and does not stumble over it", async () => {
    const TIMESTAMP = 11;
    const fields = fromRlp(exported.bundle.header, "hex") as Hex[];
    const header = toRlp(fields.with(TIMESTAMP, toHex(2 ** 48 - 1)));
    const forged = { ...exported.bundle, header };
    const { isOk, checks } = await runChecks("bundle", verifyBundle(forged, exported.blockHash));
    expect([isOk, checks.length, checks.at(-1)?.name]).to.deep.equal([false, 1, "header"]);
    expect(checks[0]?.detail).to.include(`second ${2 ** 48 - 1}`);
  });

  it("passes no bundle of which one byte was changed", async function () {
    this.timeout(300_000);
    // Every byte in the nightly profile; else every sixth, from another one on each time: all of them take most of a minute.
    const stride = isNightly ? 1 : 6;
    const passed: number[] = [];
    for (let index = Math.floor(Math.random() * stride); index < text.length; index += stride) {
      const code = text.charCodeAt(index);
      // A neighbouring hex digit or decimal where there is one, so that the change is not caught by the form alone.
      const changed = String.fromCharCode(/[0-8a-e]/.test(text[index] as string) ? code + 1 : code ^ 1);
      const verdict = await verdictOf(text.slice(0, index) + changed + text.slice(index + 1));
      if (verdict.isOk) passed.push(index);
    }
    expect(passed).to.deep.equal([]);
  });

  it("re-derives a score from the ledger's events and the published leaves", async () => {
    const claim = { agentId: Number(world.agents[1]?.agentId), topic };
    const verdict = await runChecks("score", auditScore(world.client, world.deployment, claim));
    expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
    expect(verdict.checks.at(-1)?.name).to.equal("contract");
    const lie = { ...claim, claimed: 1n };
    const refuted = await runChecks("score", auditScore(world.client, world.deployment, lie));
    expect([refuted.isOk, refuted.checks.at(-1)?.name]).to.deep.equal([false, "claim"]);
  });

  it("says of an agent, line by line, what the chain says, and names the peer that its key is", async () => {
    const verdict = await runChecks("agent", auditAgent(world.client, world.deployment, 1n));
    expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
    const lines = new Map(verdict.checks.map(({ name, detail }) => [name, detail]));
    const key = world.agents[0];
    if (key === undefined) throw new Error("the network has no agent");
    expect([...lines.keys()]).to.deep.equal([
      ...["owner", "wallet", `signer ${key.address.toLowerCase()}`, "credential", "code and config", "version chain"],
      ...["peer", "recovery", "tabs", "stake", "forks"],
    ]);
    expect(lines.get("peer")).to.include(peerIdOf(key.signer.publicKey));
  });

  it("judges a signer at a time by its window, its revocation and the contract", async () => {
    const { client, deployment, agents } = world;
    const { number: blockNumber, timestamp } = await client.getBlock();
    const [first, second] = agents as [LocalAgent, LocalAgent];
    const last = async (agentId: bigint, question: Parameters<typeof auditSigner>[1]) => {
      const { isOk, checks } = await runChecks(
        "signer",
        auditSigner({ client, deployment, agentId, blockNumber }, question),
      );
      return [isOk, checks.at(-1)?.name];
    };
    const time = Number(timestamp);
    expect(await last(1n, { signer: first.address, time })).to.deep.equal([true, "contract"]);
    expect(await last(1n, { signer: first.signer.signerHash, time })).to.deep.equal([true, "contract"]);
    expect(await last(1n, { signer: first.address, time: 1 })).to.deep.equal([false, "begun"]);
    expect(await last(1n, { signer: second.address, time })).to.deep.equal([false, "bound"]);
    expect(await last(1n, { signer: world.deployment.contracts.token, time })).to.deep.equal([false, "bound"]);
    expect(await last(1n, { signer: first.address, time, purpose: purposes.operator })).to.deep.equal([
      false,
      "purpose",
    ]);
    const { identityRegistry } = deployment.contracts;
    await writeAs(world, first, identityRegistry, identityRegistryAbi as Abi, "revokeSigner", [
      1n,
      first.signer.signerHash,
      0,
    ]);
    const after = await client.getBlock();
    const judged = async (at: number) => {
      const subject = { client, deployment, agentId: 1n, blockNumber: after.number };
      const { isOk, checks } = await runChecks("signer", auditSigner(subject, { signer: first.address, time: at }));
      return [isOk, checks.at(-1)?.name];
    };
    expect(await judged(Number(after.timestamp))).to.deep.equal([false, "not revoked"]);
    expect(await judged(Number(after.timestamp) - 1)).to.deep.equal([true, "contract"]);
  });

  it("judges the signer of an agent of another registry by the bindings that it has here", async () => {
    const { client, deployment } = world;
    const { contracts, chainId } = deployment;
    // To the bindings of foreign agents, our registry is one like any other.
    const foreign = contracts.identityRegistry;
    const agent = world.agents[3] as LocalAgent;
    const as = (name: string, args: readonly unknown[]) =>
      writeAs(world, agent, contracts.foreignBindings, foreignBindingsAbi as Abi, name, args);
    const log = createSigner(keccak256(toHex("a foreign agent's log")));
    await as("adopt", [foreign, agent.agentId]);
    const number = { abi: foreignBindingsAbi, address: contracts.foreignBindings, functionName: "idOf" } as const;
    const agentId = await client.readContract({ ...number, args: [foreign, agent.agentId] });
    const window = { validFrom: 0, validUntil: 0, deadline: 2 ** 48 - 1 };
    const binding = { agentId, owner: agent.address, signerHash: log.signerHash, purpose: purposes.log, ...window };
    const domain = { ...contracts, chainId, identityRegistry: contracts.foreignBindings };
    const proof = log.sign(typedDataDigest("SignerBinding", binding, domain));
    await as("bindSigner", [agentId, log.address, purposes.log, 0, 0, window.deadline, proof]);
    const { number: blockNumber, timestamp } = await client.getBlock();
    const subject = { client, deployment, agentId: agent.agentId, blockNumber };
    const question = { signer: log.address, time: Number(timestamp) };
    const judge = async (about: typeof subject) => (await runChecks("signer", auditSigner(about, question))).isOk;
    expect(await judge(await adoptedSubject(subject, foreign))).to.equal(true);
    expect(await judge(subject), "our own registry knows nothing of it").to.equal(false);
    expect(await judge(await adoptedSubject({ ...subject, agentId: 1n }, foreign)), "never adopted").to.equal(false);
  });

  it("re-derives an agent and each of its deals", async () => {
    expect(await runChecks("agent", auditAgent(world.client, world.deployment, 3n))).to.include({ isOk: true });
    expect(await runChecks("agent", auditAgent(world.client, world.deployment, 99n))).to.include({ isOk: false });
    const funded = await world.client.getContractEvents({
      abi: dealEscrowAbi,
      address: world.deployment.contracts.dealEscrow,
      eventName: "DealFunded",
      fromBlock: 0n,
      strict: true,
    });
    expect(funded).to.have.length(5);
    for (const { args } of funded) {
      const verdict = await runChecks("deal", auditDeal(world.client, world.deployment, args.dealId));
      expect(verdict.checks.filter(({ isOk }) => !isOk)).to.deep.equal([]);
      expect(verdict.checks.map(({ name }) => name)).to.include.members([
        "client signature",
        "provider signature",
        "payout",
      ]);
    }
  });
});
