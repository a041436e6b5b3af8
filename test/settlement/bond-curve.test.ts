import { expect } from "chai";
import fc from "fast-check";
import { network } from "hardhat";
import { zeroAddress, zeroHash, type Hex } from "viem";
import {
  encodeScoreProof,
  MAX_GAIN,
  providerBondFor,
  relativeScoreOf,
  topicIdOf,
  unpackLeaf,
  type Curve,
  type Deal,
} from "#protocol";
import { at } from "../reputation-contracts/trust-graph.ts";
import { errorNameOf, goTo, type World } from "../reputation-contracts/world.ts";
import { CURVE, finalizeFirstEpoch, PRICE, TOPIC } from "./priced-world.ts";

const chain = await network.create();
const NO_CURVE: Curve = { slashShare: 0, factorAtZero: 0, halfScore: 0n };

const arbitraryCurve: fc.Arbitrary<Curve> = fc.record({
  slashShare: fc.integer({ min: 1, max: 1 << 16 }),
  factorAtZero: fc.integer({ min: 1 << 16, max: 1 << 22 }),
  halfScore: fc.bigInt({ min: 1n, max: (1n << 64n) - 1n }),
});
const arbitraryGain = fc.oneof(fc.bigInt({ min: 0n, max: MAX_GAIN }), fc.bigInt({ min: 0n, max: 1_000n }));
const arbitraryScore = fc.oneof(fc.bigInt({ min: 0n, max: (1n << 48n) - 1n }), fc.bigInt({ min: 0n, max: 1n << 18n }));

describe("providerBondFor", () => {
  it("covers the gain for every curve and score: slashShare·bond >= gain·2^16", () => {
    fc.assert(
      fc.property(arbitraryCurve, arbitraryGain, arbitraryScore, (curve, gain, score) => {
        expect(BigInt(curve.slashShare) * providerBondFor(curve, gain, score) >= gain << 16n).to.equal(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("never rises with the score, never falls with the gain, and ends between floor and factor", () => {
    fc.assert(
      fc.property(arbitraryCurve, arbitraryGain, arbitraryScore, arbitraryScore, (curve, gain, a, b) => {
        const [low, high] = a < b ? [a, b] : [b, a];
        const [poor, rich] = [providerBondFor(curve, gain, low), providerBondFor(curve, gain, high)];
        expect(rich <= poor).to.equal(true);
        if (gain > 0n) expect(providerBondFor(curve, gain - 1n, low) <= poor).to.equal(true);
        const floor = ((gain << 16n) + BigInt(curve.slashShare) - 1n) / BigInt(curve.slashShare);
        expect(rich >= floor && poor << 16n < floor * BigInt(curve.factorAtZero) + (1n << 16n)).to.equal(true);
      }),
      { numRuns: 2_000 },
    );
  });

  it("asks for nothing without a curve, and refuses a gain that no contract would price", () => {
    expect(providerBondFor(NO_CURVE, MAX_GAIN + 1n, 0n)).to.equal(0n);
    expect(() => providerBondFor(CURVE, MAX_GAIN + 1n, 0n))
      .to.throw()
      .with.property("code", "BOND_GAIN_TOO_MUCH");
  });
});

function dealOf(world: World, change: Partial<Deal> = {}): Deal {
  return {
    ...{ clientAgentId: 1n, providerAgentId: 2n, topic: TOPIC, token: world.token.address, price: PRICE, epoch: 1 },
    ...{ providerBond: 0n, clientBond: 0n, submitBy: 0, reviewPeriod: 0, arbiter: zeroAddress, arbiterDeadline: 0 },
    ...{ mechanismHash: zeroHash, certificateHash: zeroHash, specHash: zeroHash, splitsRoot: zeroHash },
    ...{ hook: zeroAddress, salt: 0n },
    ...change,
  };
}

describe("BondCurve", () => {
  const createWorld = () => finalizeFirstEpoch(chain);
  const load = () => chain.networkHelpers.loadFixture(createWorld);

  it("computes what its mirror computes, on any curve, gain and score", async () => {
    const { curve } = await load();
    await fc.assert(
      fc.asyncProperty(arbitraryCurve, arbitraryGain, arbitraryScore, async (any, gain, score) => {
        expect(await curve.read.bondFor([any, gain, score])).to.equal(providerBondFor(any, gain, score));
      }),
      { numRuns: 100 },
    );
    expect(await curve.read.bondFor([NO_CURVE, MAX_GAIN + 1n, 0n])).to.equal(0n);
    expect(await curve.read.bondFor([CURVE, MAX_GAIN + 1n, 0n]).then(String, errorNameOf)).to.equal("BondCurveTooMuch");
  });

  it("asks less of who proves a score, and the most of who proves none", async () => {
    const { world, curve, epoch } = await load();
    const bonds: bigint[] = [];
    for (const [seat, agentId] of epoch.snapshot.agents.entries()) {
      if (seat === 0) continue;
      const word = at(epoch.words, seat);
      const proof = encodeScoreProof(seat, word, epoch.tree.proof(seat));
      const deal = dealOf(world, { providerAgentId: BigInt(agentId), clientAgentId: 99n });
      const bond = await curve.read.requiredProviderBond([deal, proof]);
      const relative = relativeScoreOf(unpackLeaf(word).score, epoch.words.length);
      expect(bond).to.equal(providerBondFor(CURVE, PRICE, relative));
      bonds.push(bond);
    }
    const none = await curve.read.requiredProviderBond([dealOf(world), "0x"]);
    expect(none).to.equal(8n * PRICE);
    for (const bond of bonds) expect(bond < none && bond >= 2n * PRICE).to.equal(true);
  });

  it("takes no proof but the provider's own, of the deal's epoch, under the finalized root", async () => {
    const { world, curve, epoch } = await load();
    const seat = epoch.snapshot.agents.indexOf(2);
    const word = at(epoch.words, seat);
    const siblings = epoch.tree.proof(seat);
    const good = encodeScoreProof(seat, word, siblings);
    const refusal = (deal: Deal, proof: Hex) =>
      curve.read.requiredProviderBond([deal, proof]).then((bond) => String(bond), errorNameOf);
    expect(await refusal(dealOf(world, { providerAgentId: 3n }), good)).to.equal("BondCurveOtherAgent");
    expect(await refusal(dealOf(world, { providerAgentId: 2n ** 32n + 2n }), good)).to.equal("BondCurveOtherAgent");
    for (const epochId of [0, 2]) {
      expect(await refusal(dealOf(world, { epoch: epochId }), good)).to.equal("ReputationEpochsNotFinalized");
    }
    const richer = encodeScoreProof(seat, word + (1n << 160n), siblings);
    const elsewhere = encodeScoreProof(seat === 1 ? 2 : 1, word, siblings);
    const longer = encodeScoreProof(seat, word, [...siblings, zeroHash]);
    for (const forged of [richer, elsewhere, longer]) {
      expect(await refusal(dealOf(world), forged)).to.equal("ReputationEpochsScoreProof");
    }
  });

  it("asks for nothing in topic 0 and in a topic without a curve", async () => {
    const { world, curve } = await load();
    for (const topic of [0n, topicIdOf("translation")]) {
      expect(await curve.read.requiredProviderBond([dealOf(world, { topic }), "0x"])).to.equal(0n);
    }
  });

  it("adds what the client declared to lose, a whole epoch after it was declared", async () => {
    const { world, curve } = await load();
    const { accounts, token } = world;
    const exposure = 250_000n;
    const bond = () => curve.read.requiredProviderBond([dealOf(world), "0x"]);
    const declare = (account: Hex, amount: bigint) =>
      curve.write.declareExposure([1n, TOPIC, token.address, amount], { account });
    expect(await declare(accounts.stranger, 1n).catch(errorNameOf)).to.equal("BondCurveNotAuthorized");
    const inNoTopic = curve.write.declareExposure([1n, 0n, token.address, 1n], { account: accounts.owner });
    expect(await inNoTopic.catch(errorNameOf)).to.equal("BondCurveZeroTopic");
    await declare(accounts.owner, exposure);
    expect(await curve.read.exposureOf([1n, TOPIC, token.address])).to.deep.equal([0n, exposure, 5n]);
    await goTo(world, 4n, 11n);
    expect(await bond()).to.equal(8n * PRICE);
    await goTo(world, 5n);
    expect(await bond()).to.equal(8n * (PRICE + exposure));
    // A second declaration leaves the first in force until it counts itself.
    await declare(accounts.owner, 7n);
    expect(await curve.read.exposureOf([1n, TOPIC, token.address])).to.deep.equal([exposure, 7n, 7n]);
    expect(await bond()).to.equal(8n * (PRICE + exposure));
    const other = dealOf(world, { token: accounts.stranger });
    expect(await curve.read.requiredProviderBond([other, "0x"]), "of another token").to.equal(8n * PRICE);
    const priceless = dealOf(world, { price: MAX_GAIN });
    const refused = await curve.read.requiredProviderBond([priceless, "0x"]).then(String, errorNameOf);
    expect(refused).to.equal("BondCurveTooMuch");
  });

  it("is governed by one account, with a whole epoch's notice, within bounds", async () => {
    const { world, curve } = await load();
    const { accounts } = world;
    const governor = { account: accounts.rival };
    expect(await curve.write.setCurve([TOPIC, CURVE], { account: accounts.owner }).catch(errorNameOf)).to.equal(
      "BondCurveNotGovernor",
    );
    expect(await curve.write.setCurve([0n, CURVE], governor).catch(errorNameOf)).to.equal("BondCurveZeroTopic");
    for (const bad of [
      { slashShare: 0 },
      { slashShare: (1 << 16) + 1 },
      { factorAtZero: (1 << 16) - 1 },
      { factorAtZero: (1 << 22) + 1 },
      { halfScore: 0n },
    ]) {
      expect(await curve.write.setCurve([TOPIC, { ...CURVE, ...bad }], governor).catch(errorNameOf)).to.equal(
        "BondCurveBadCurve",
      );
    }
    const bond = () => curve.read.requiredProviderBond([dealOf(world), "0x"]);
    const dearer = { ...CURVE, factorAtZero: 8 << 16 };
    await goTo(world, 3n, 11n);
    await curve.write.setCurve([TOPIC, { ...CURVE, factorAtZero: 2 << 16 }], governor);
    // Taken back before it counted: the new one waits anew.
    await world.viem.assertions.emitWithArgs(curve.write.setCurve([TOPIC, dearer], governor), curve, "CurveSet", [
      TOPIC,
      dearer,
      5n,
    ]);
    const [now, next, nextFrom] = await curve.read.curveOf([TOPIC]);
    expect([now, next, nextFrom]).to.deep.equal([CURVE, dearer, 5n]);
    await goTo(world, 4n, 11n);
    expect(await bond()).to.equal(8n * PRICE);
    await goTo(world, 5n);
    expect(await bond()).to.equal(16n * PRICE);
    await curve.write.setCurve([TOPIC, NO_CURVE], governor);
    expect(await bond()).to.equal(16n * PRICE);
    await goTo(world, 7n);
    expect(await bond()).to.equal(0n);
  });
});
