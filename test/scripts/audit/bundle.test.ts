import { expect } from "chai";
import fc from "fast-check";
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
  type Deployment,
} from "#protocol";
import { readAnyBundle, verifyAnyBundle } from "../../../scripts/audit/any-bundle.ts";
import { adoptedIdOf, adoptedSubject } from "../../../scripts/audit/foreign.ts";
import {
  exportForeignBundle,
  writeForeignBundle,
  type ForeignBundle,
  type ForeignExport,
} from "../../../scripts/audit/foreign-bundle.ts";
import { auditSigner } from "../../../scripts/audit/responsibility.ts";
import { testAccount } from "../../../scripts/devnet/accounts.ts";
import type { LocalAgent } from "../../../scripts/devnet/provision.ts";
import { readBundle, writeBundle } from "../../../scripts/audit/bundle.ts";
import { fails, runChecks, type Verdict } from "../../../scripts/audit/checks.ts";
import { exportBundle, type Export } from "../../../scripts/audit/export.ts";
import { auditScore } from "../../../scripts/audit/score.ts";
import { auditAgent } from "../../../scripts/audit/agent.ts";
import { auditDeal } from "../../../scripts/audit/deal.ts";
import { verifyBundle } from "../../../scripts/audit/verify-bundle.ts";
import { dealEscrowAbi } from "#protocol";
import { createAuthenticator } from "../../fixtures/authenticator.ts";
import { unnoticedFlips } from "../../fixtures/byte-flips.ts";
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

/** Every value in JSON, by what holds it; long lists by their first entries alone. */
function placesIn(json: object): [holder: Record<string, unknown>, key: string][] {
  return Object.entries(json)
    .slice(0, 12)
    .flatMap(([key, value]) => [
      [json as Record<string, unknown>, key] as [Record<string, unknown>, string],
      ...(typeof value === "object" && value !== null ? placesIn(value as object) : []),
    ]);
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

  it("names contracts that are not the deployment's, and says where nobody compared them", async () => {
    const read = readAnyBundle(text);
    if (read.kind !== "accept") throw new Error(read.detail);
    const { deployment } = world;
    const judge = (meant?: Deployment) => runChecks("bundle", verifyAnyBundle(read.value, exported.blockHash, meant));
    expect((await judge(deployment)).checks.filter(({ isOk, isUnproven }) => !isOk || isUnproven)).to.deep.equal([]);
    const open = await judge();
    expect([open.isOk, open.checks[0]?.name, open.checks[0]?.isUnproven]).to.deep.equal([true, "contracts", true]);
    const contracts = { ...deployment.contracts, anchors: deployment.contracts.token };
    const other = await judge({ ...deployment, contracts });
    expect([other.isOk, other.checks.length, other.checks[0]?.name]).to.deep.equal([false, 1, "contracts"]);
    expect(other.checks[0]?.detail).to.include(`anchors is ${deployment.contracts.token} there`);
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
    // Every byte in the nightly profile; else every twelfth, from another one on each time: all of them take most of a minute.
    const passes = async (changed: string) => (await verdictOf(changed)).isOk;
    expect(await unnoticedFlips(text, isNightly ? 1 : 12, passes)).to.deep.equal([]);
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

  describe("of an agent of another registry", () => {
    /** Any ERC-721 is one to the bindings of foreign agents, ours too. */
    let registry: Hex;
    let agent: LocalAgent;
    let foreign: ForeignExport;
    const log = createSigner(keccak256(toHex("a foreign agent's log")));

    before(async () => {
      const { contracts, chainId } = world.deployment;
      registry = contracts.identityRegistry;
      agent = world.agents[3] as LocalAgent;
      const as = (name: string, args: readonly unknown[]) =>
        writeAs(world, agent, contracts.foreignBindings, foreignBindingsAbi as Abi, name, args);
      // Another one first: the number here is not the id there.
      await as("adopt", [registry, 1n]);
      await as("adopt", [registry, agent.agentId]);
      const agentId = await adoptedIdOf(world, registry, agent.agentId);
      const window = { validFrom: 0, validUntil: 0, deadline: 2 ** 48 - 1 };
      const binding = { agentId, owner: agent.address, signerHash: log.signerHash, purpose: purposes.log, ...window };
      const domain = { ...contracts, chainId, identityRegistry: contracts.foreignBindings };
      const proof = log.sign(typedDataDigest("SignerBinding", binding, domain));
      await as("bindSigner", [agentId, log.address, purposes.log, 0, 0, window.deadline, proof]);
      const update = { agentId, version: 1n, previous: zeroHash, delta: FIRST, deadline: window.deadline };
      const signature = agent.signer.sign(typedDataDigest("BindingUpdate", update, domain));
      await as("updateCommitment", [agentId, 1n, FIRST, window.deadline, signature]);
      foreign = await exportForeignBundle(world.client, world.deployment, registry, agent.agentId);
    });

    const judge = async (bundleText: string, blockHash = foreign.blockHash): Promise<Verdict> => {
      const read = readAnyBundle(bundleText);
      return await runChecks(
        "bundle",
        read.kind === "accept" ? read.value.verify(blockHash) : [fails(read.code, read.detail)],
      );
    };
    const lastOf = async (bundle: ForeignBundle) => {
      const { isOk, checks } = await judge(writeForeignBundle(bundle));
      return [isOk, checks.at(-1)?.name];
    };

    it("judges its signer by the bindings that it has here", async () => {
      const { client, deployment } = world;
      const { number: blockNumber, timestamp } = await client.getBlock();
      const subject = { client, deployment, agentId: agent.agentId, blockNumber };
      const question = { signer: log.address, time: Number(timestamp) };
      const isSigner = async (about: typeof subject) => (await runChecks("signer", auditSigner(about, question))).isOk;
      expect(await isSigner(await adoptedSubject(subject, registry))).to.equal(true);
      expect(await isSigner(subject), "our own registry knows nothing of it").to.equal(false);
      const never = await adoptedSubject({ ...subject, agentId: 99n }, registry);
      expect(await isSigner(never), "never adopted").to.equal(false);
    });

    it("proves its number, versions and signers offline, and says that its owner there is not proven", async () => {
      const { isOk, checks } = await judge(writeForeignBundle(foreign.bundle));
      expect(isOk, JSON.stringify(checks)).to.equal(true);
      const names = ["adopted", "owner seen", "owner there", "version chain", `signer ${log.address.toLowerCase()}`];
      expect(checks.map(({ name }) => name)).to.deep.equal(["header", ...names, "nodes"]);
      expect(checks.filter(({ isUnproven }) => isUnproven).map(({ name }) => name)).to.deep.equal(["owner there"]);
      const detailOf = (name: string) => checks.find((found) => found.name === name)?.detail;
      expect(detailOf("adopted")).to.include("has the number 2 here");
      expect(detailOf("owner seen")).to.include(agent.address);
      expect(detailOf("version chain")).to.include(`version 1, commitment ${FIRST}`);
      expect(detailOf(names[4] as string)).to.match(/^agent 2, log, valid, /);
    });

    it("passes no bundle of it of which one byte was changed, and none of another id, registry or signer", async function () {
      this.timeout(300_000);
      const passes = async (changed: string) => (await judge(changed)).isOk;
      const text = writeForeignBundle(foreign.bundle);
      // What is claimed stands before the header: each byte of it, whatever the profile.
      const claims = text.slice(0, text.indexOf('"header"'));
      const rest = text.slice(claims.length);
      expect(await unnoticedFlips(claims, 1, (head) => passes(head + rest))).to.deep.equal([]);
      expect(await unnoticedFlips(rest, isNightly ? 1 : 12, (tail) => passes(claims + tail))).to.deep.equal([]);

      const { bundle } = foreign;
      // Nodes of the bundle may prove the absence of other slots, too.
      const { token } = world.deployment.contracts;
      const stranger = agent.address.toLowerCase() as Hex;
      const more = [...bundle.signers, stranger];
      for (const [change, name] of [
        [{ foreignId: 1n }, "adopted"],
        [{ registry: token }, "adopted"],
        [{ signers: more }, `signer ${stranger}`],
      ] as const) {
        const [isOk, last] = await lastOf({ ...bundle, ...change });
        expect(isOk).to.equal(false);
        expect(last).to.be.oneOf(["proof", "nodes", name]);
      }
      const other = await world.client.getBlock({ blockNumber: 1n });
      const { isOk, checks } = await judge(text, other.hash);
      expect([isOk, checks.at(-1)?.name]).to.deep.equal([false, "header"]);
      expect((await judge(text.replace("foreign/1", "foreign/2"))).checks[0]?.name).to.equal("BUNDLE_SHAPE");
    });

    it("answers whatever a stranger puts in the place of anything in a bundle, and passes none of it", async function () {
      this.timeout(120_000);
      const originals = [
        { text, hash: exported.blockHash },
        { text: writeForeignBundle(foreign.bundle), hash: foreign.blockHash },
      ];
      // What the form lets through most often, and what breaks programs.
      const huge = (2n ** 256n - 1n).toString();
      const likely = fc.constantFrom<unknown>(
        "0x",
        `0x${"ff".repeat(32)}`,
        `0x${"00".repeat(20)}`,
        huge,
        "0",
        0,
        -1,
        1e21,
      );
      const values = fc.oneof(likely, fc.jsonValue({ maxDepth: 2 }));
      const draw = fc.tuple(fc.constantFrom(...originals), fc.nat(), values);
      const property = fc.asyncProperty(draw, async ([{ text: original, hash }, at, value]) => {
        const json = JSON.parse(original) as object;
        const places = placesIn(json);
        const [holder, key] = places[at % places.length] as (typeof places)[number];
        // A list left out is another claim, which may hold.
        holder[key] = Array.isArray(value) && value.length === 0 ? 0 : value;
        const changed = `${JSON.stringify(json, null, 2)}\n`;
        expect((await judge(changed, hash)).isOk && changed !== original).to.equal(false);
      });
      await fc.assert(property, { numRuns: isNightly ? 5_000 : 200 });
    });

    it("ends its keys in the bundle once it was seen to have changed hands, and is never exported unadopted", async () => {
      const { client, deployment } = world;
      const { contracts } = deployment;
      const heir = world.agents[4] as LocalAgent;
      const move = [agent.address, heir.address, agent.agentId];
      await writeAs(world, agent, registry, identityRegistryAbi as Abi, "transferFrom", move);
      const unseen = await exportForeignBundle(client, deployment, registry, agent.agentId);
      expect([unseen.ownerSeen, unseen.ownerThere]).to.deep.equal([agent.address, heir.address]);
      await writeAs(world, agent, contracts.foreignBindings, foreignBindingsAbi as Abi, "observeOwner", [2n]);
      const seen = await exportForeignBundle(client, deployment, registry, agent.agentId);
      const { isOk, checks } = await judge(writeForeignBundle(seen.bundle), seen.blockHash);
      expect(isOk).to.equal(true);
      expect(checks.find(({ name }) => name === "owner seen")?.detail)
        .to.include(heir.address)
        .and.include("after 1 ");
      expect(checks.find(({ name }) => name.startsWith("signer"))?.detail).to.include("a former owner's");
      const never = await exportForeignBundle(client, deployment, registry, 99n).catch((error: unknown) => error);
      expect(never).to.include({ code: "FOREIGN_NOT_ADOPTED" });
    });
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
