import { expect } from "chai";
import { encodeAbiParameters, keccak256, parseEventLogs, zeroAddress, type Address, type Hex } from "viem";
import { purposes, typedDataDigest, type Structs } from "#protocol";
import { accountOf, createIdentityChain, keyOf, p256KeyOf, type AnySigner } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, recovery, owner, stranger, buyer } = chain;
const ownerKey = keyOf(chain.ownerSigner);
const verifier = await chain.viem.deployContract("P256Verifier");
const FAR = 2 ** 48 - 1;
const DAY = 86_400;
const gas = 2_000_000n;
const newOwner = buyer.account.address;
let seed = 0x9a4dn;

async function bindGuardian(agentId: bigint, key: AnySigner, ownedBy: Address = owner.account.address) {
  const binding = chain.bindingOf(key, agentId, { purpose: purposes.recovery, owner: ownedBy });
  const proof = key.sign(chain.bindingDigest(binding));
  const args = [agentId, key.bytes, purposes.recovery, 0, 0, FAR, proof] as const;
  await chain.mine(registry.write.bindSigner(args, { account: ownedBy, gas }));
  return key;
}

/** An agent with three guardians, of which two recover it after a day: a plain key, a P-256 key, a 2-of-2 account. */
async function guardedAgent() {
  const agentId = await chain.registerAgent();
  const members = [keyOf(chain.newSigner()), keyOf(chain.newSigner())];
  const multi = await chain.viem.deployContract("MultiSigner", [members.map(({ bytes }) => bytes), 2n]);
  const sorted = members.toSorted((a, b) => (a.signerHash < b.signerHash ? -1 : 1));
  const multiKey = accountOf(multi.address, {
    sign: (digest) =>
      encodeAbiParameters(
        [{ type: "bytes[]" }, { type: "bytes[]" }],
        [sorted.map(({ bytes }) => bytes), sorted.map((key) => key.sign(digest))],
      ),
  });
  const guardians = [keyOf(chain.newSigner()), p256KeyOf(verifier.address, ++seed), multiKey];
  for (const guardian of guardians) await bindGuardian(agentId, guardian);
  await chain.mine(recovery.write.setRecovery([agentId, 2, DAY]));
  return { agentId, guardians: guardians as [AnySigner, AnySigner, AnySigner] };
}

const changeOf = (agentId: bigint, fields: Partial<Structs["OwnerChange"]> = {}): Structs["OwnerChange"] => ({
  ...{ agentId, owner: owner.account.address, newOwner, attempt: 0n, deadline: FAR },
  ...fields,
});

const votesOf = (change: Structs["OwnerChange"], guardians: readonly AnySigner[]) =>
  guardians
    .toSorted((a, b) => (a.signerHash < b.signerHash ? -1 : 1))
    .map((key) => ({
      signer: key.bytes,
      signature: key.sign(typedDataDigest("OwnerChange", change, chain.domain)),
    }));

/** Anybody delivers the votes. */
const start = (change: Structs["OwnerChange"], votes: readonly { signer: Hex; signature: Hex }[]) =>
  recovery.write.startRecovery([change.agentId, change.newOwner, change.deadline, votes], {
    account: stranger.account.address,
    gas,
  });
const execute = (agentId: bigint) =>
  recovery.write.executeRecovery([agentId], { account: stranger.account.address, gas });

describe("recovery of a lost agent", () => {
  it("hands it to the new owner after the delay, to the second, by any two of three guardians of any kind", async () => {
    for (const pick of [
      [0, 1],
      [1, 2],
      [0, 2],
    ] as const) {
      const { agentId, guardians } = await guardedAgent();
      const { signer: log } = await chain.bindFresh(agentId);
      const change = changeOf(agentId);
      const { timestamp, logs } = await chain.mine(
        start(change, votesOf(change, [guardians[pick[0]], guardians[pick[1]]])),
      );
      const [started] = parseEventLogs({ abi: recovery.abi, logs, eventName: "RecoveryStarted" });
      expect(started?.args).to.deep.include({ agentId, attempt: 0n, tenure: 0, executableAt: timestamp + DAY });
      const [pendingOwner, executableAt] = await recovery.read.pendingOf([agentId]);
      expect([pendingOwner.toLowerCase(), executableAt]).to.deep.equal([newOwner, timestamp + DAY]);
      await chain.atSecond(timestamp + DAY - 1);
      await chain.refuses(
        () => execute(agentId),
        "RecoveryTooEarly",
        [agentId, timestamp + DAY, BigInt(timestamp + DAY - 1)],
        recovery,
      );
      await chain.atSecond(timestamp + DAY);
      await chain.mine(execute(agentId));
      expect((await registry.read.ownerOf([agentId])).toLowerCase()).to.equal(newOwner);
      // The lost owner's keys end with its tenure, and so does its choice of guardians.
      expect((await registry.read.signerOf([log.signerHash]))[4]).to.equal(timestamp + DAY);
      expect(await recovery.read.recoveryOf([agentId])).to.deep.equal([0, 0, 1n]);
      await chain.refuses(() => execute(agentId), "RecoveryNotStarted", [agentId], recovery);
    }
  });

  it("is cancelled by the owner at any time before, by transaction or by signature, and cannot be replayed", async () => {
    const { agentId, guardians } = await guardedAgent();
    const change = changeOf(agentId);
    const votes = votesOf(change, guardians.slice(0, 2));
    const { timestamp } = await chain.mine(start(change, votes));
    await chain.atSecond(timestamp + 2 * DAY);
    await chain.mine(recovery.write.cancelRecovery([agentId]));
    await chain.refuses(() => execute(agentId), "RecoveryNotStarted", [agentId], recovery);
    // The same votes name an attempt that is over.
    const stale = votes[0]?.signer as Hex;
    await chain.refuses(() => start(change, votes), "RecoveryBadVote", [agentId, keccak256(stale)], recovery);
    const second = changeOf(agentId, { attempt: 1n });
    await chain.mine(start(second, votesOf(second, guardians.slice(1, 3))));
    const consent = chain.consent(ownerKey, "RecoveryCancel", { agentId });
    const relayed = { account: stranger.account.address, gas };
    const { logs } = await chain.mine(recovery.write.cancelRecoveryWithSignature([agentId, consent], relayed));
    expect(parseEventLogs({ abi: recovery.abi, logs }).map(({ eventName }) => eventName)).to.deep.equal([
      "NonceUsed",
      "RecoveryCancelled",
    ]);
    expect(await recovery.read.pendingOf([agentId])).to.deep.equal([zeroAddress, 0]);
  });

  it("ends when the owner hands the agent over in the delay: the buyer is nobody's to recover", async () => {
    const { agentId, guardians } = await guardedAgent();
    const change = changeOf(agentId);
    const { timestamp } = await chain.mine(start(change, votesOf(change, guardians.slice(0, 2))));
    await registry.write.transferFrom([owner.account.address, stranger.account.address, agentId]);
    await chain.atSecond(timestamp + DAY);
    await chain.refuses(() => execute(agentId), "RecoveryNotStarted", [agentId], recovery);
    const after = changeOf(agentId, { owner: stranger.account.address, attempt: 1n });
    const votes = votesOf(after, guardians.slice(0, 2));
    await chain.refuses(() => start(after, votes), "RecoveryNotSet", [agentId], recovery);
    // With a threshold of its own, the buyer still has none of the seller's guardians.
    await chain.mine(recovery.write.setRecovery([agentId, 2, DAY], { account: stranger.account.address }));
    const former = [agentId, keccak256(votes[0]?.signer as Hex)];
    await chain.refuses(() => start(after, votes), "RecoveryNotGuardian", former, recovery);
  });

  it("takes a later start in place of an earlier one, and begins the delay anew", async () => {
    const { agentId, guardians } = await guardedAgent();
    const first = changeOf(agentId);
    const { timestamp } = await chain.mine(start(first, votesOf(first, guardians.slice(0, 2))));
    const second = changeOf(agentId, { newOwner: stranger.account.address, attempt: 1n });
    await chain.atSecond(timestamp + 1_000);
    await chain.mine(start(second, votesOf(second, guardians.slice(0, 2))));
    const [pendingOwner, executableAt] = await recovery.read.pendingOf([agentId]);
    expect([pendingOwner.toLowerCase(), executableAt]).to.deep.equal([
      stranger.account.address,
      timestamp + 1_000 + DAY,
    ]);
  });

  it("refuses too few and too many votes, a double vote, a stranger's, another purpose's, a revoked guardian's", async () => {
    const { agentId, guardians } = await guardedAgent();
    const change = changeOf(agentId);
    const votes = votesOf(change, guardians);
    const attempt = (given: readonly { signer: Hex; signature: Hex }[]) => () => start(change, given);
    await chain.refuses(attempt([]), "RecoveryTooFewVotes", [agentId, 0n, 2n], recovery);
    await chain.refuses(attempt(votes.slice(0, 1)), "RecoveryTooFewVotes", [agentId, 1n, 2n], recovery);
    await chain.refuses(attempt(votes), "RecoveryTooFewVotes", [agentId, 3n, 2n], recovery);
    const [low, high] = votes.slice(0, 2) as [{ signer: Hex; signature: Hex }, { signer: Hex; signature: Hex }];
    const hashOf = ({ signer }: { signer: Hex }) => keccak256(signer);
    const unordered = (a: { signer: Hex }, b: { signer: Hex }) => [hashOf(a), hashOf(b)];
    await chain.refuses(attempt([low, low]), "RecoveryVotesUnordered", unordered(low, low), recovery);
    await chain.refuses(attempt([high, low]), "RecoveryVotesUnordered", unordered(high, low), recovery);
    const { signer: log } = await chain.bindFresh(agentId);
    for (const other of [keyOf(chain.newSigner()), keyOf(log), ownerKey]) {
      const pair = votesOf(change, [guardians[0], other]);
      const refused = [agentId, other.signerHash];
      await chain.refuses(attempt(pair), "RecoveryNotGuardian", refused, recovery);
    }
    await chain.mine(registry.write.revokeSigner([agentId, guardians[0].signerHash, 0]));
    const revoked = votesOf(change, [guardians[0], guardians[1]]);
    await chain.refuses(attempt(revoked), "RecoveryNotGuardian", [agentId, guardians[0].signerHash], recovery);
  });

  it("refuses votes over another change, and an impossible new owner, a late vote, an agent without recovery", async () => {
    const { agentId, guardians } = await guardedAgent();
    const change = changeOf(agentId);
    for (const fields of [
      { agentId: agentId + 1n },
      { owner: stranger.account.address },
      { newOwner: stranger.account.address },
      { attempt: 1n },
      { deadline: FAR - 1 },
    ]) {
      const votes = votesOf(changeOf(agentId, fields), guardians.slice(0, 2));
      const refused = [agentId, keccak256(votes[0]?.signer as Hex)];
      await chain.refuses(() => start(change, votes), "RecoveryBadVote", refused, recovery);
    }
    for (const impossible of [zeroAddress, owner.account.address]) {
      const bad = changeOf(agentId, { newOwner: impossible });
      const votes = votesOf(bad, guardians.slice(0, 2));
      const same = (value: unknown) => String(value).toLowerCase() === impossible;
      await chain.refuses(() => start(bad, votes), "RecoveryBadNewOwner", [agentId, same], recovery);
    }
    const deadline = (await chain.now()) + 10;
    const late = changeOf(agentId, { deadline });
    const votes = votesOf(late, guardians.slice(0, 2));
    await chain.atSecond(deadline + 1);
    await chain.refuses(() => start(late, votes), "RecoveryExpired", [deadline, BigInt(deadline + 1)], recovery);
    const bare = changeOf(await chain.registerAgent());
    await chain.refuses(() => start(bare, []), "RecoveryNotSet", [bare.agentId], recovery);
  });

  it("is asked for by the owner or whom it approved, within bounds, by transaction or by signature", async () => {
    const agentId = await chain.registerAgent();
    const set =
      (threshold: number, delay: number, account: Hex = owner.account.address) =>
      () =>
        recovery.write.setRecovery([agentId, threshold, delay], { account, gas });
    const strange = [agentId, (value: unknown) => String(value).toLowerCase() === stranger.account.address];
    await chain.refuses(set(1, DAY, stranger.account.address), "RecoveryNotAuthorized", strange, recovery);
    await chain.refuses(set(33, DAY), "RecoveryBadThreshold", [33, 32], recovery);
    await chain.refuses(set(1, DAY - 1), "RecoveryBadDelay", [DAY - 1, DAY, 90 * DAY], recovery);
    await chain.refuses(set(1, 90 * DAY + 1), "RecoveryBadDelay", [90 * DAY + 1, DAY, 90 * DAY], recovery);
    await chain.refuses(set(0, DAY), "RecoveryBadDelay", [DAY, 0, 0], recovery);
    await chain.mine(set(32, 90 * DAY)());
    expect(await recovery.read.recoveryOf([agentId])).to.deep.equal([32, 90 * DAY, 0n]);
    const consent = chain.consent(ownerKey, "RecoverySetting", { agentId, threshold: 3, delay: 2 * DAY });
    const relayed = { account: stranger.account.address, gas };
    await chain.mine(recovery.write.setRecoveryWithSignature([agentId, 3, 2 * DAY, consent], relayed));
    expect(await recovery.read.recoveryOf([agentId])).to.deep.equal([3, 2 * DAY, 0n]);
    await chain.mine(set(0, 0)());
    expect(await recovery.read.recoveryOf([agentId])).to.deep.equal([0, 0, 0n]);
  });
});
