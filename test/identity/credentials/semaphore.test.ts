import { readFileSync } from "node:fs";
import { expect } from "chai";
import { concat, numberToHex, pad, parseEventLogs, slice, toHex, type Hex } from "viem";
import { groupIdOf, operatorIdOf, scopeOf } from "#protocol";
import { createIdentityChain } from "../setup.ts";

/** A real proof, for these very contracts and this very second: `npm run vector --prefix zk` makes it. */
interface Vector {
  readonly root: string;
  readonly nullifier: Hex;
  readonly validUntil: number;
  readonly presentation: Hex;
}
const vector = JSON.parse(
  readFileSync(new URL("../../vectors/semaphore-membership.json", import.meta.url), "utf8"),
) as Vector;

const DAY = 86_400;
const [WINDOW, LIFETIME] = [3_600, 30 * DAY];
const chain = await createIdentityChain();
const { viem, registry, owner, stranger: issuer } = chain;
const semaphore = await viem.deployContract("SemaphoreCredentials", [WINDOW, LIFETIME]);
const groupId = groupIdOf(issuer.account.address);
const source = { verifier: semaphore.address, minLevel: 1, issuerId: groupId };
const credentials = await viem.deployContract("Credentials", [registry.address, [source]]);
const scope = scopeOf(chain.domain.chainId, credentials.address, registry.address);
const root = BigInt(vector.root);

const present = (agentId: bigint, presentation: Hex, issuerId = groupId) =>
  credentials.write.present([agentId, semaphore.address, issuerId, presentation], {
    account: owner.account,
    gas: 2_000_000n,
  });
const publish = (value: bigint) => semaphore.write.publishRoot([value], { account: issuer.account });
const refuses = (act: () => Promise<Hex>, error: string, values: readonly unknown[]) =>
  viem.assertions.revertWithCustomErrorWithArgs(act(), semaphore, error as never, values as never);
const withWord = (index: number, value: bigint): Hex =>
  concat([
    slice(vector.presentation, 0, 32 * index),
    numberToHex(value, { size: 32 }),
    ...(index === 10 ? [] : [slice(vector.presentation, 32 * index + 32)]),
  ]);

describe("credentials by membership, where no prover is installed", () => {
  before(async () => {
    expect(await chain.registerAgent()).to.equal(1n);
    await chain.time.increaseTo(vector.validUntil - DAY);
  });

  it("know no root that the issuer did not publish, and no issuer by a second name", async () => {
    await refuses(() => present(1n, vector.presentation), "SemaphoreUnknownRoot", [groupId, root]);
    const { logs } = await chain.mine(publish(root));
    const [event] = parseEventLogs({ abi: semaphore.abi, logs });
    expect(event?.args).to.deep.include({ root, previous: 0n });
    await refuses(() => publish(root), "SemaphoreRootUnchanged", [issuer.account.address, root]);
    await refuses(() => publish(0n), "SemaphoreZeroRoot", [issuer.account.address]);
    // The upper bytes of an issuer's name are zero, or one issuer would have many names and a person many operators.
    const alias = slice(concat([toHex(1, { size: 1 }), slice(groupId, 1)]), 0, 32);
    const aliased = await viem.deployContract("Credentials", [registry.address, [{ ...source, issuerId: alias }]]);
    await refuses(
      () => aliased.write.present([1n, semaphore.address, alias, vector.presentation]),
      "SemaphoreUnknownRoot",
      [alias, root],
    );
  });

  it("have one length and no end beyond their lifetime", async () => {
    await refuses(() => present(1n, slice(vector.presentation, 0, 351)), "CredentialMalformed", [351n, 352n]);
    await refuses(() => present(1n, pad(vector.presentation, { size: 353, dir: "right" })), "CredentialMalformed", [
      353n,
      352n,
    ]);
    const at = (await chain.now()) + 10;
    await chain.atSecond(at);
    const late = BigInt(at + LIFETIME);
    await refuses(() => present(1n, withWord(10, late + 1n)), "SemaphoreTooLong", [Number(late) + 1, late]);
  });

  it("refuse what is no proof of exactly this", async () => {
    const end = withWord(10, BigInt(vector.validUntil + 1));
    await refuses(() => present(1n, end), "SemaphoreBadProof", [groupId, vector.nullifier]);
    const nullifier = numberToHex(BigInt(vector.nullifier) ^ 1n, { size: 32 });
    await refuses(() => present(1n, withWord(9, BigInt(nullifier))), "SemaphoreBadProof", [groupId, nullifier]);
    for (const value of [0n, 2n ** 256n - 1n])
      await refuses(() => present(1n, withWord(1, value)), "SemaphoreBadProof", [groupId, vector.nullifier]);
  });

  it("count with a real proof, in a prepared scope as in any, also while its root's window lasts", async () => {
    await publish(root + 1n);
    const args = [1n, semaphore.address, groupId, vector.presentation] as const;
    const gasOf = () => credentials.estimateGas.present(args, { account: owner.account });
    const unprepared = await gasOf();
    const other = toHex("another scope", { size: 32 });
    for (const prepared of [scope, scope, other]) await semaphore.write.prepareScope([prepared]);
    expect(unprepared - (await gasOf()) > 3_000n, "prepared in vain").to.equal(true);
    const end = withWord(10, BigInt(vector.validUntil + 1));
    await refuses(() => present(1n, end), "SemaphoreBadProof", [groupId, vector.nullifier]);
    await chain.mine(present(1n, vector.presentation));
    const operator = operatorIdOf(scope, semaphore.address, groupId, vector.nullifier);
    expect(await credentials.read.credentialOf([1n])).to.deep.equal([operator, 1, vector.validUntil, 0, true]);
  });

  it("end with a ban, which is final, and which only the issuer's own people feel", async () => {
    const operator = operatorIdOf(scope, semaphore.address, groupId, vector.nullifier);
    await semaphore.write.ban([scope, vector.nullifier], { account: owner.account });
    expect((await credentials.read.credentialOf([1n]))[4]).to.equal(true);
    await semaphore.write.ban([scope, vector.nullifier], { account: issuer.account });
    expect((await credentials.read.credentialOf([1n]))[4]).to.equal(false);
    const again = () => semaphore.write.ban([scope, vector.nullifier], { account: issuer.account });
    await refuses(again, "CredentialRevoked", [operator]);
    await refuses(() => present(1n, vector.presentation), "CredentialRevoked", [operator]);
  });

  it("refuse a root whose window is over, and take it again when it is current", async () => {
    const since = await semaphore.read.supersededAt([issuer.account.address, root]);
    await chain.atSecond(since + WINDOW);
    const values = [groupId, root, since, BigInt(since + WINDOW)];
    await refuses(() => present(1n, vector.presentation), "SemaphoreStaleRoot", values);
    await publish(root);
    expect(await semaphore.read.rootOf([issuer.account.address])).to.equal(root);
  });
});
