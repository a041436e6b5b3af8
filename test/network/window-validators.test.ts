import { expect } from "chai";
import { encodeFunctionData, getAddress, numberToHex, zeroHash, type Hex } from "viem";
import { batchDigestOf, reportCommitmentOf, typedDataDigest } from "#protocol";
import { errorNameOf } from "../reputation-contracts/world.ts";
import {
  BOND,
  BURN,
  createWindowWorld,
  EPOCH_LENGTH,
  rootOf,
  signerAt,
  TOPIC,
  UNBONDING_DELAY,
  WINDOW_SECONDS,
  type WindowWorld,
} from "./world.ts";

const w = await createWindowWorld(9);
const { windows, vault, token, registry, agents, networkHelpers, viem, startOf, goTo, draw, batch, sign, seal } = w;
const stranger = signerAt(5).address;
const SALT = numberToHex(9, { size: 32 });

const outcome = (call: Promise<unknown>): Promise<string> => call.then(() => "done", errorNameOf);
const stakeOf = async (agentId: number) => (await vault.read.stakeOf([agentId]))[0];
const lockOf = (agentId: number) => vault.read.lockOf([agentId, windows.address]);
/** Each test on the world as it was before. */
const fresh = () => networkHelpers.loadFixture(enlisted);

/** Nine agents enlisted in epoch 1, with 1 to 9 bonds; epoch 2 has begun. */
async function enlisted(): Promise<WindowWorld> {
  for (const { agentId } of agents) await windows.write.enlist([TOPIC, agentId, BigInt(agentId) * BOND]);
  await goTo(2);
  return w;
}

describe("WindowValidators: enlisting", () => {
  beforeEach(fresh);

  it("locks stake for each topic apart, and never more than is free", async () => {
    await windows.write.enlist([TOPIC + 1n, 1, 90n * BOND]);
    expect(await lockOf(1)).to.equal(91n * BOND);
    expect(await windows.read.enlistmentOf([TOPIC, 1])).to.deep.equal([BOND, 1n, 0]);
    expect(await outcome(windows.write.enlist([TOPIC, 1, 10n * BOND]))).to.equal("StakeVaultInsufficient");
    await windows.write.enlist([TOPIC, 1, 9n * BOND]);
    expect(await windows.read.enlistmentOf([TOPIC, 1])).to.deep.equal([10n * BOND, 1n, 0]);
  });

  it("takes a bond at least, from who speaks for the agent, for a topic", async () => {
    const other = TOPIC + 1n;
    expect(await outcome(windows.write.enlist([other, 1, BOND - 1n]))).to.equal("WindowValidatorsBelowBond");
    expect(await outcome(windows.write.enlist([0n, 1, BOND]))).to.equal("WindowValidatorsZeroTopic");
    const foreign = windows.write.enlist([other, 1, BOND], { account: stranger });
    expect(await outcome(foreign)).to.equal("WindowValidatorsNotAuthorized");
    expect(await outcome(windows.write.resign([TOPIC, 1], { account: stranger }))).to.equal(
      "WindowValidatorsNotAuthorized",
    );
  });

  it("gives the stake back after the last epoch for which the agent can be drawn and the evidence period, to the second", async () => {
    expect(await outcome(windows.write.release([TOPIC, 9]))).to.equal("WindowValidatorsNotEnlisted");
    await windows.write.resign([TOPIC, 9]);
    expect(await outcome(windows.write.resign([TOPIC, 9]))).to.equal("WindowValidatorsNotEnlisted");
    const [, , releasableAt] = await windows.read.enlistmentOf([TOPIC, 9]);
    expect(releasableAt).to.equal(startOf(4) + UNBONDING_DELAY);
    await networkHelpers.time.setNextBlockTimestamp(releasableAt - 1);
    expect(await outcome(windows.write.release([TOPIC, 9]))).to.equal("WindowValidatorsStillBound");
    await networkHelpers.time.setNextBlockTimestamp(releasableAt);
    await windows.write.release([TOPIC, 9], { account: stranger });
    expect(await lockOf(9)).to.equal(0n);
    expect(await outcome(windows.write.release([TOPIC, 9]))).to.equal("WindowValidatorsNotEnlisted");
  });

  it("lets who is leaving enlist again with what is still locked", async () => {
    await windows.write.resign([TOPIC, 4]);
    await windows.write.enlist([TOPIC, 4, 0n]);
    expect(await windows.read.enlistmentOf([TOPIC, 4])).to.deep.equal([4n * BOND, 4n, 0]);
    expect(await lockOf(4)).to.equal(4n * BOND);
  });

  it("with all places taken gives that of the least to who has more, and to nobody else", async function () {
    this.timeout(60_000);
    // 64 candidates: nine are there, 55 more agents of the same owner.
    await registry.write.register();
    for (let agentId = 10; agentId <= 66; agentId++) {
      if (agentId > 10) await registry.write.register();
      await vault.write.stake([agentId, 10n * BOND]);
      if (agentId <= 64) await windows.write.enlist([TOPIC, agentId, 2n * BOND]);
    }
    expect(await outcome(windows.write.enlist([TOPIC, 65, BOND]))).to.equal("WindowValidatorsFull");
    await windows.write.enlist([TOPIC, 65, 2n * BOND]);
    const [stake, place, releasableAt] = await windows.read.enlistmentOf([TOPIC, 1]);
    expect([stake, place]).to.deep.equal([BOND, 0n]);
    expect(releasableAt).to.be.above(0);
    expect((await windows.read.enlistmentOf([TOPIC, 65]))[1]).to.equal(1n);
    expect(await outcome(windows.write.enlist([TOPIC, 66, 2n * BOND]))).to.equal("WindowValidatorsFull");
  });
});

describe("WindowValidators: a draw", () => {
  beforeEach(fresh);

  it("names a block that nobody knows yet, takes its header alone, and seats seven different agents", async () => {
    expect(await outcome(windows.write.draw([TOPIC, "0x"]))).to.equal("WindowValidatorsNotScheduled");
    await windows.write.scheduleDraw([TOPIC]);
    const [, , seedBlock] = await windows.read.drawOf([TOPIC]);
    expect(seedBlock).to.equal((await w.client.getBlockNumber()) + 4n);
    expect(await outcome(windows.write.scheduleDraw([TOPIC]))).to.equal("WindowValidatorsScheduled");
    expect(await outcome(windows.write.draw([TOPIC, "0x"]))).to.equal("WindowValidatorsSeedNotYet");
    await networkHelpers.mine(5);
    const other = await w.headerOf(seedBlock - 1n);
    expect(await outcome(windows.write.draw([TOPIC, other]))).to.equal("WindowValidatorsWrongHeader");
    const hash = await windows.write.draw([TOPIC, await w.headerOf(seedBlock)], { account: stranger });
    const drawn = await windows.read.validatorsOf([TOPIC, 2n]);
    expect(new Set(drawn).size).to.equal(7);
    expect(await outcome(windows.write.draw([TOPIC, "0x"]))).to.equal("WindowValidatorsNotScheduled");
    const { gasUsed } = await w.client.getTransactionReceipt({ hash });
    console.log(`      gas of a draw of seven out of nine, default profile: ${gasUsed}`);
  });

  it("takes the running epoch first where it has none, then the next one, and no epoch twice", async () => {
    expect((await draw()).epoch).to.equal(2);
    expect((await draw()).epoch).to.equal(3);
    expect(await outcome(windows.write.scheduleDraw([TOPIC]))).to.equal("WindowValidatorsDrawn");
    await goTo(3);
    expect((await draw()).epoch).to.equal(4);
    expect(await windows.read.validatorsOf([TOPIC, 5n])).to.deep.equal([]);
  });

  it("is blind to whoever comes, goes or adds stake in its epoch: the weights were closed before the block was named", async () => {
    const seedBlock = await w.schedule();
    const header = await w.headerOf(seedBlock);
    const snapshot = await networkHelpers.takeSnapshot();
    await windows.write.draw([TOPIC, header]);
    const expected = await windows.read.validatorsOf([TOPIC, 2n]);
    await snapshot.restore();
    for (const agentId of [1, 5, 9]) await windows.write.resign([TOPIC, agentId]);
    await windows.write.enlist([TOPIC, 9, 50n * BOND]);
    await windows.write.enlist([TOPIC, 2, 90n * BOND]);
    await networkHelpers.mine(40);
    await windows.write.draw([TOPIC, header]);
    expect(await windows.read.validatorsOf([TOPIC, 2n])).to.deep.equal(expected);
    // The next epoch's draw sees them.
    await goTo(3);
    const [ids, weights] = await windows.read.candidatesOf([TOPIC]);
    expect([ids[0], weights[0], weights[1], weights[4]]).to.deep.equal([9, 59, 92, 0]);
  });

  it("is put off to a new block, by anybody, once the old one's hash is gone", async () => {
    await w.schedule();
    await networkHelpers.mine(300, { interval: 1 });
    await windows.write.draw([TOPIC, "0x"], { account: stranger });
    const [, target, seedBlock] = await windows.read.drawOf([TOPIC]);
    expect([target, seedBlock]).to.deep.equal([2n, (await w.client.getBlockNumber()) + 4n]);
    expect(await windows.read.validatorsOf([TOPIC, 2n])).to.deep.equal([]);
  });

  it("ends with its epoch: a seed of the epoch before would be known to who enlists now", async () => {
    const seedBlock = await w.schedule();
    const header = await w.headerOf(seedBlock);
    await goTo(3);
    expect(await outcome(windows.write.draw([TOPIC, header]))).to.equal("WindowValidatorsNotScheduled");
    expect(await windows.read.drawOf([TOPIC])).to.deep.equal([0n, 3n, 0n]);
    expect((await draw()).epoch).to.equal(3);
  });

  it("of a topic without candidates seats nobody", async () => {
    const empty = TOPIC + 5n;
    const seedBlock = await w.schedule(empty);
    const header = await w.headerOf(seedBlock);
    expect(await outcome(windows.write.draw([empty, header]))).to.equal("WindowValidatorsNobody");
  });
});

describe("WindowValidators: the anchor of an epoch", () => {
  beforeEach(fresh);

  it("takes two thirds of the validators' signatures, in the epoch after, and a later window replaces an earlier one", async () => {
    const { epoch, seats } = await draw();
    const header = batch(epoch, 5);
    const five = seal(header, seats, (seat) => seat >= 2);
    expect(await outcome(windows.write.anchor([header, five]))).to.equal("WindowValidatorsNotAnchorable");
    await goTo(epoch + 1);
    const four = seal(header, seats, (seat) => seat >= 3);
    expect(await outcome(windows.write.anchor([header, four]))).to.equal("WindowValidatorsNoQuorum");
    const hash = await windows.write.anchor([header, five], { account: stranger });
    const digest = batchDigestOf(header, w.contracts);
    expect(await windows.read.anchorOf([TOPIC, BigInt(epoch)])).to.deep.equal([digest, header.window]);
    const [anchored] = await windows.getEvents.BatchAnchored();
    expect(anchored?.args).to.deep.include({ topic: TOPIC, epoch, digest, signers: 0b1111100n });
    const same = batch(epoch, 5, { root: rootOf("another") });
    expect(await outcome(windows.write.anchor([same, seal(same, seats)]))).to.equal("WindowValidatorsNotLater");
    const later = batch(epoch, 6, { previous: digest });
    await windows.write.anchor([later, seal(later, seats)]);
    expect((await windows.read.anchorOf([TOPIC, BigInt(epoch)]))[1]).to.equal(later.window);
    const { gasUsed } = await w.client.getTransactionReceipt({ hash });
    console.log(`      gas of an anchor with five signatures of seven, default profile: ${gasUsed}`);
  });

  it("is final when the epoch after is over", async () => {
    const { epoch, seats } = await draw();
    await goTo(epoch + 2);
    const header = batch(epoch, 5);
    expect(await outcome(windows.write.anchor([header, seal(header, seats)]))).to.equal(
      "WindowValidatorsNotAnchorable",
    );
  });

  it("counts each seat's own key only, valid in the window, with stake behind it", async () => {
    const { epoch, seats } = await draw();
    await goTo(epoch + 1);
    const header = batch(epoch, 5);
    const good = seal(header, seats);
    const refused = async (signatures: readonly Hex[]) => outcome(windows.write.anchor([header, signatures]));
    const swapped = [good[1] as Hex, good[0] as Hex, ...good.slice(2)];
    expect(await refused(swapped), "two seats swapped").to.equal("WindowValidatorsBadSignature");
    expect(await refused(good.map(() => good[0] as Hex)), "one for all").to.equal("WindowValidatorsBadSignature");
    expect(await refused(good.slice(1)), "a seat too few").to.equal("WindowValidatorsBadSignatures");
    expect(await refused([...good, good[0] as Hex])).to.equal("WindowValidatorsBadSignatures");
    const other = seal(batch(epoch, 6), seats);
    expect(await refused(other), "of another window").to.equal("WindowValidatorsBadSignature");
    const off = { ...header, window: header.window + 1 };
    expect(await outcome(windows.write.anchor([off, seal(off, seats)]))).to.equal("WindowValidatorsNoWindow");
    expect(await outcome(windows.write.anchor([{ ...header, window: 1 }, good]))).to.equal("WindowValidatorsNoWindow");
    const nowhere = { ...header, topic: TOPIC + 9n };
    expect(await outcome(windows.write.anchor([nowhere, []]))).to.equal("WindowValidatorsNoQuorum");
    // Three of seven have lost their stake: four are left, and five are needed.
    for (const seat of [0, 1, 2]) {
      const { signer } = seats[seat] as (typeof seats)[number];
      const pair = [sign(batch(epoch, 0), signer), sign(batch(epoch, 0, { count: 9 }), signer)] as const;
      await windows.write.reportDoubleSigning([...pair]);
    }
    expect(await refused(good)).to.equal("WindowValidatorsNoQuorum");
  });

  it("does not count a key from the second of its compromise on", async () => {
    const { epoch, seats } = await draw();
    const [first] = seats;
    const header = batch(epoch, 2);
    const later = batch(epoch, 60);
    await networkHelpers.time.increaseTo(startOf(epoch) + 200);
    const hash = first?.signer.signerHash ?? zeroHash;
    await registry.write.revokeSigner([BigInt(first?.agentId ?? 0), hash, startOf(epoch) + 100]);
    await goTo(epoch + 1);
    await windows.write.anchor([header, seal(header, seats)]);
    expect(await outcome(windows.write.anchor([later, seal(later, seats)]))).to.equal("WindowValidatorsBadSignature");
    await windows.write.anchor([later, seal(later, seats, (seat) => seat > 0)]);
  });
});

describe("WindowValidators: double-signing", () => {
  beforeEach(fresh);
  const left = (epoch: number) => batch(epoch, 3, { root: rootOf("left") });
  const right = (epoch: number) => batch(epoch, 3, { root: rootOf("right"), count: 4 });

  it("takes all that the validator has at stake in the topic in one transaction, and pays half to who reserved it", async () => {
    const { epoch, seats } = await draw();
    const [{ agentId, signer } = { agentId: 0, signer: signerAt(0) }] = seats;
    const args = [sign(left(epoch), signer), sign(right(epoch), signer)] as const;
    expect(await windows.read.digestOf([left(epoch)])).to.equal(
      typedDataDigest("BatchHeader", left(epoch), w.contracts),
    );
    const call = encodeFunctionData({ abi: windows.abi, functionName: "reportDoubleSigning", args });
    const commitment = reportCommitmentOf({ reporter: stranger, module: windows.address, call, salt: SALT });
    await vault.write.reserve([commitment], { account: stranger });
    const [burned, staked] = [await token.read.balanceOf([BURN]), await stakeOf(agentId)];
    const hash = await vault.write.report([windows.address, call, SALT], { account: stranger });
    const taken = BigInt(agentId) * BOND;
    const [event] = await windows.getEvents.DoubleSigned();
    expect(event?.args).to.deep.include({
      ...{ agentId, reporter: getAddress(stranger), topic: TOPIC, window: left(epoch).window, taken },
    });
    expect(await stakeOf(agentId)).to.equal(staked - taken);
    expect(await token.read.balanceOf([stranger])).to.equal(taken / 2n);
    expect((await token.read.balanceOf([BURN])) - burned).to.equal(taken - taken / 2n);
    expect([await lockOf(agentId), (await windows.read.enlistmentOf([TOPIC, agentId]))[1]]).to.deep.equal([0n, 0n]);
    const { gasUsed } = await w.client.getTransactionReceipt({ hash });
    console.log(`      gas of a reserved report of double-signing, default profile: ${gasUsed}`);
  });

  it("punishes a window once, by whatever pair shows it, and stake that comes later is not for it", async () => {
    const { epoch, seats } = await draw();
    const [{ agentId, signer } = { agentId: 0, signer: signerAt(0) }] = seats;
    const [a, b] = [sign(left(epoch), signer), sign(right(epoch), signer)];
    const burned = await token.read.balanceOf([BURN]);
    await windows.write.reportDoubleSigning([a, b], { account: stranger });
    expect((await token.read.balanceOf([BURN])) - burned, "unreserved: all is burned").to.equal(BigInt(agentId) * BOND);
    await windows.write.enlist([TOPIC, agentId, BOND]);
    const third = sign(batch(epoch, 3, { count: 8 }), signer);
    for (const pair of [
      [b, a],
      [a, third],
    ] as const) {
      expect(await outcome(windows.write.reportDoubleSigning([...pair]))).to.equal("WindowValidatorsPaid");
    }
    // Another window is another offence, and without stake there is nothing to take.
    const again = [sign(batch(epoch, 4), signer), sign(batch(epoch, 4, { count: 9 }), signer)] as const;
    await windows.write.reportDoubleSigning([...again]);
    const more = [sign(batch(epoch, 5), signer), sign(batch(epoch, 5, { count: 9 }), signer)] as const;
    expect(await outcome(windows.write.reportDoubleSigning([...more]))).to.equal("WindowValidatorsNothingAtStake");
  });

  it("is one agent's, whatever keys it has: a seat is no second vote for a second key", async () => {
    const { epoch, seats } = await draw();
    const [{ agentId, signer } = { agentId: 0, signer: signerAt(0) }] = seats;
    const second = await w.bindKey(agentId, 40);
    await networkHelpers.time.increaseTo(startOf(epoch) + 500);
    const at = Math.floor(480 / WINDOW_SECONDS);
    const pair = [sign(batch(epoch, at), signer), sign(batch(epoch, at, { count: 9 }), second)] as const;
    await windows.write.reportDoubleSigning([...pair]);
    expect(await lockOf(agentId)).to.equal(0n);
  });

  it("reaches who is leaving until its stake is released, and no stake of other topics", async () => {
    const { epoch, seats } = await draw();
    const [{ agentId, signer } = { agentId: 0, signer: signerAt(0) }] = seats;
    await windows.write.enlist([TOPIC + 1n, agentId, 20n * BOND]);
    await windows.write.resign([TOPIC, agentId]);
    const [, , releasableAt] = await windows.read.enlistmentOf([TOPIC, agentId]);
    await networkHelpers.time.increaseTo(releasableAt - 10);
    await windows.write.reportDoubleSigning([sign(left(epoch), signer), sign(right(epoch), signer)]);
    expect(await lockOf(agentId)).to.equal(20n * BOND);
  });

  it("reverts on what is none: it costs the reporter its gas, and the accused nothing", async () => {
    const { epoch, seats } = await draw();
    const [one, two] = seats as [(typeof seats)[number], (typeof seats)[number]];
    const idle = agents.find(({ agentId }) => !seats.some((seat) => seat.agentId === agentId)) ?? one;
    const a = sign(left(epoch), one.signer);
    const pairs = [
      [[a, sign({ ...right(epoch), window: left(epoch).window + WINDOW_SECONDS }, one.signer)], "OtherWindow"],
      [[a, sign({ ...right(epoch), topic: TOPIC + 1n }, one.signer)], "OtherWindow"],
      [[a, a], "SameHeader"],
      [[a, { header: left(epoch), signature: one.signer.sign(batchDigestOf(left(epoch), w.contracts)) }], "SameHeader"],
      [[a, sign(right(epoch), two.signer)], "OtherAgent"],
      [[a, { header: right(epoch), signature: "0x1234" }], "NotAnswerable"],
      [[sign(left(epoch), signerAt(3)), sign(right(epoch), signerAt(3))], "NotAnswerable"],
      [[sign(left(epoch), idle.signer), sign(right(epoch), idle.signer)], "NotValidator"],
      [[sign(left(epoch + 5), one.signer), sign(right(epoch + 5), one.signer)], "NotValidator"],
    ] as const;
    for (const [pair, name] of pairs) {
      const [first, second] = pair;
      expect(await outcome(windows.write.reportDoubleSigning([first, second]))).to.equal(`WindowValidators${name}`);
    }
    expect(await lockOf(one.agentId)).to.equal(BigInt(one.agentId) * BOND);
  });

  it("is not undone by a revocation that is dated back, and reaches back no further than the evidence period", async () => {
    const { epoch, seats } = await draw();
    const [one, two] = seats as [(typeof seats)[number], (typeof seats)[number]];
    await networkHelpers.time.increaseTo(startOf(epoch) + 500);
    for (const { agentId, signer } of [one, two]) {
      await registry.write.revokeSigner([BigInt(agentId), signer.signerHash, startOf(epoch) + 1]);
    }
    const pairOf = ({ signer }: typeof one) => [sign(left(epoch), signer), sign(right(epoch), signer)] as const;
    await windows.write.reportDoubleSigning([...pairOf(one)]);
    const after = batch(epoch, Math.floor(600 / WINDOW_SECONDS));
    const late = [sign(after, two.signer), sign({ ...after, count: 9 }, two.signer)] as const;
    expect(await outcome(windows.write.reportDoubleSigning([...late]))).to.equal("WindowValidatorsNotAnswerable");
    await networkHelpers.time.increase(UNBONDING_DELAY + EPOCH_LENGTH);
    expect(await outcome(windows.write.reportDoubleSigning([...pairOf(two)]))).to.equal("WindowValidatorsTooLate");
  });

  it("is judged nowhere without a bond or a window", async () => {
    for (const terms of [
      [0n, 5n],
      [BOND, 0n],
      [BOND, BigInt(EPOCH_LENGTH) + 1n],
    ] as const) {
      const deployed = viem.deployContract("WindowValidators", [vault.address, ...terms]);
      expect(await outcome(deployed)).to.equal("WindowValidatorsBadTerms");
    }
  });
});
