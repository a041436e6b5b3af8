import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { Group } from "@semaphore-protocol/group";
import { Identity } from "@semaphore-protocol/identity";
import { expect } from "chai";
import { bytesToHex, concat, hexToBigInt, keccak256, numberToHex, size, slice, type Abi, type Hex } from "viem";
import { createIdentityChain } from "../../test/identity/setup.ts";
import { groupIdOf, membershipMessageOf, operatorIdOf, scopeOf } from "../../contracts/protocol/index.ts";
import { createStopwatch } from "./cache.ts";
import { isKeyFresh } from "../generate-key.ts";
import { endProver, proveMembership, type Membership } from "../semaphore/prove.ts";

const DAY = 86_400;
const WINDOW = 3_600;
/** Order of BN254's scalar field. */
const SCALAR = 21888242871839275222246405745257275088548364400416034343698204186575808495617n;
/** Proving takes three seconds on an idle core; CI's may be busy. */
const PROVING_TIMEOUT_MS = 300_000;

const chain = await createIdentityChain();
const { viem, registry, owner, buyer, stranger: issuer } = chain;
const semaphore = await viem.deployContract("SemaphoreCredentials", [WINDOW, 30 * DAY]);
const groupId = groupIdOf(issuer.account.address);
const createScope = () =>
  viem.deployContract("Credentials", [
    registry.address,
    [{ verifier: semaphore.address, minLevel: 1, issuerId: groupId }],
  ]);
const [credentials, otherScope] = [await createScope(), await createScope()];
const scope = scopeOf(chain.domain.chainId, credentials.address, registry.address);
const contracts = { ...chain.domain, semaphoreCredentials: semaphore.address };

const people = ["ada", "bob", "eve", "dan", "fay"].map((name) => new Identity(name));
const [ada, bob] = people as [Identity, Identity];
const group = new Group(people.map(({ commitment }) => commitment));

type Scope = typeof credentials;
const present = (agentId: bigint, presentation: Hex, { to = credentials, account = owner.account.address } = {}) =>
  to.write.present([agentId, semaphore.address, groupId, presentation], { account, gas: 2_000_000n });
const publish = (root: bigint) => semaphore.write.publishRoot([root], { account: issuer.account });
const isValid = async (agentId: bigint, at: Scope = credentials) => (await at.read.credentialOf([agentId]))[4];
const refuses = (act: () => Promise<Hex>, contract: { address: Hex }, error: string, values: readonly unknown[]) =>
  viem.assertions.revertWithCustomErrorWithArgs(act(), contract as typeof semaphore, error as never, values as never);
const operatorOf = (nullifier: Hex) => operatorIdOf(scope, semaphore.address, groupId, nullifier);
const flip = (bytes: Hex, word: number): Hex => {
  const flipped = numberToHex(hexToBigInt(slice(bytes, 32 * word, 32 * word + 32)) ^ 1n, { size: 32 });
  return `0x${bytes.slice(2, 2 + 64 * word)}${flipped.slice(2)}${bytes.slice(66 + 64 * word)}`;
};

describe("zero-knowledge operator credentials, with the real prover and verifier", function () {
  this.timeout(PROVING_TIMEOUT_MS);
  let [one, two] = [0n, 0n];
  let validUntil = 0;
  let membership: Membership;

  before(async () => {
    [one, two] = [await chain.registerAgent(), await chain.registerAgent()];
    validUntil = (await chain.now()) + DAY;
    await publish(group.root);
    const signal = { scope, agentId: one, owner: owner.account.address, validUntil };
    const proved = createStopwatch();
    membership = await proveMembership(ada, group, signal, contracts);
    proved("the first membership proven");
  });

  after(endProver);

  it("stand on the key of the circuit's ceremony", () => {
    expect(isKeyFresh()).to.equal(true);
  });

  it("refuse a proof of which any word was changed", async () => {
    for (let word = 0; word < 8; word++) {
      const values = [groupId, membership.nullifier];
      await refuses(() => present(one, flip(membership.presentation, word)), semaphore, "SemaphoreBadProof", values);
    }
    const unknownRoot = membership.root ^ 1n;
    const withRoot = flip(membership.presentation, 8);
    await refuses(() => present(one, withRoot), semaphore, "SemaphoreUnknownRoot", [groupId, unknownRoot]);
    const other = numberToHex(hexToBigInt(membership.nullifier) ^ 1n, { size: 32 });
    await refuses(() => present(one, flip(membership.presentation, 9)), semaphore, "SemaphoreBadProof", [
      groupId,
      other,
    ]);
    const withEnd = flip(membership.presentation, 10);
    await refuses(() => present(one, withEnd), semaphore, "SemaphoreBadProof", [groupId, membership.nullifier]);
  });

  it("refuse a second name of the same nullifier: plus the field's order it would be another operator", async () => {
    const alias = numberToHex(hexToBigInt(membership.nullifier) + SCALAR, { size: 32 });
    const { presentation } = membership;
    const aliased = concat([slice(presentation, 0, 288), alias, slice(presentation, 320)]);
    await refuses(() => present(one, aliased), semaphore, "SemaphoreBadProof", [groupId, alias]);
  });

  it("refuse a proof for another agent, another owner and another scope", async () => {
    const values = [groupId, membership.nullifier];
    await refuses(() => present(two, membership.presentation), semaphore, "SemaphoreBadProof", values);
    const elsewhere = () => present(one, membership.presentation, { to: otherScope });
    await refuses(elsewhere, semaphore, "SemaphoreBadProof", values);
    const [seller, taker] = [owner.account.address, buyer.account.address];
    await registry.write.transferFrom([seller, taker, one], { account: owner.account });
    const bought = () => present(one, membership.presentation, { account: taker });
    await refuses(bought, semaphore, "SemaphoreBadProof", values);
    await registry.write.transferFrom([taker, seller, one], { account: buyer.account });
  });

  it("judge every proof as Semaphore's own verifier does", async () => {
    const reference = await deployReference();
    const messageOf = (agentId: bigint) =>
      membershipMessageOf({ scope, agentId, owner: owner.account.address, validUntil }, contracts);
    const accepts = async (presentation: Hex, agentId: bigint) => {
      const words = Array.from({ length: 10 }, (_, i) => hexToBigInt(slice(presentation, 32 * i, 32 * i + 32)));
      const [ax, ay, b0, b1, b2, b3, cx, cy, root, nullifier] = words as Ten;
      const hash = (value: bigint) => hexToBigInt(keccak256(numberToHex(value, { size: 32 }))) >> 8n;
      const signals = [root, nullifier, hash(messageOf(agentId)), hash(hexToBigInt(scope))];
      return reference([
        [ax, ay],
        [
          [b0, b1],
          [b2, b3],
        ],
        [cx, cy],
        signals,
        16n,
      ]);
    };
    expect(await accepts(membership.presentation, one)).to.equal(true);
    expect(await accepts(membership.presentation, two)).to.equal(false);
    for (let word = 0; word < 10; word++)
      expect(await accepts(flip(membership.presentation, word), one), `word ${word}`).to.equal(false);
  });

  it("count on chain, once", async () => {
    const { gasUsed } = await chain.mine(present(one, membership.presentation));
    console.log(`      presenting a membership: ${gasUsed} gas in the profile of the tests`);
    const operator = operatorOf(membership.nullifier);
    expect(await credentials.read.operatorOf([one])).to.equal(operator);
    expect(await isValid(one)).to.equal(true);
    const again = () => present(one, membership.presentation);
    await refuses(again, credentials, "CredentialsNotNewer", [operator, validUntil, validUntil]);
  });

  it("give one person one operator, and another person another", async () => {
    const signal = { scope, agentId: two, owner: owner.account.address, validUntil: validUntil + 60 };
    const same = await proveMembership(ada, group, signal, contracts);
    expect(same.nullifier).to.equal(membership.nullifier);
    const busy = [operatorOf(same.nullifier), one, validUntil];
    await refuses(() => present(two, same.presentation), credentials, "CredentialsOperatorBusy", busy);
    const another = await proveMembership(bob, group, signal, contracts);
    expect(another.nullifier).to.not.equal(membership.nullifier);

    group.addMember(new Identity("gus").commitment);
    await publish(group.root);
    // Its root was superseded, and counts for the window.
    await present(two, another.presentation);
    expect(await isValid(two)).to.equal(true);
  });

  it("refuse a stale root", async () => {
    const since = await semaphore.read.supersededAt([issuer.account.address, membership.root]);
    await chain.atSecond(since + WINDOW);
    const values = [groupId, membership.root, since, BigInt(since + WINDOW)];
    const longer = concat([slice(membership.presentation, 0, 320), numberToHex(validUntil + 90, { size: 32 })]);
    await refuses(() => present(one, longer), semaphore, "SemaphoreStaleRoot", values);
  });

  it("end when the issuer bans a nullifier, whosesoever it is", async () => {
    await semaphore.write.ban([scope, membership.nullifier], { account: issuer.account });
    expect([await isValid(one), await isValid(two)]).to.deep.equal([false, true]);
  });

  it("are not proven for who is not in the group", async () => {
    const signal = { scope, agentId: one, owner: owner.account.address, validUntil };
    const proving = proveMembership(new Identity("nobody"), group, signal, contracts);
    const error: unknown = await proving.catch((reason: unknown) => reason);
    expect(error).to.have.property("code", "ZK_NOT_A_MEMBER");
    expect(size(membership.presentation)).to.equal(352);
  });
});

type Ten = [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];

/** Semaphore's own verifier of 32 depths, compiled from its npm package and deployed. */
async function deployReference(): Promise<(args: readonly unknown[]) => Promise<boolean>> {
  const require = createRequire(import.meta.url);
  const solc = require("solc") as { compile: (input: string) => string };
  const base = "@semaphore-protocol/contracts/base/";
  const names = ["Constants.sol", "SemaphoreVerifier.sol", "SemaphoreVerifierKeyPts.sol"];
  const sources = Object.fromEntries(
    names.map((name) => [base + name, { content: readFileSync(require.resolve(base + name), "utf8") }]),
  );
  const outputSelection = { "*": { "*": ["abi", "evm.bytecode.object"] } };
  const settings = { optimizer: { enabled: true, runs: 200 }, outputSelection };
  const output = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings }))) as {
    contracts: Record<string, Record<string, { abi: Abi; evm: { bytecode: { object: string } } }>>;
  };
  const contract = output.contracts[`${base}SemaphoreVerifier.sol`]?.["SemaphoreVerifier"];
  if (contract === undefined) throw new Error("Semaphore's verifier did not compile");
  const bytecode = bytesToHex(Buffer.from(contract.evm.bytecode.object, "hex"));
  const hash = await owner.deployContract({ abi: contract.abi, bytecode });
  const { contractAddress } = await chain.publicClient.getTransactionReceipt({ hash });
  if (!contractAddress) throw new Error("Semaphore's verifier was not deployed");
  return (args) =>
    chain.publicClient.readContract({
      ...{ address: contractAddress, abi: contract.abi, functionName: "verifyProof", args },
    }) as Promise<boolean>;
}
