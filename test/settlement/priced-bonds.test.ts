// Bonds priced by reputation, as the escrow itself asks for them at opening: curve, scores, proofs and signatures are real.
import { expect } from "chai";
import { network } from "hardhat";
import { encodeAbiParameters, getAddress, parseEventLogs, zeroAddress, zeroHash, type Hex } from "viem";
import {
  dealDigestOf,
  dealIdOf,
  dealStates,
  encodeScoreProof,
  providerBondFor,
  purposes,
  relativeScoreOf,
  topicIdOf,
  typedDataDigest,
  unpackLeaf,
  type Deal,
  type Signer,
} from "#protocol";
import { at } from "../reputation-contracts/trust-graph.ts";
import { errorNameOf, goTo, type World } from "../reputation-contracts/world.ts";
import { signerAt } from "./fixture.ts";
import { CURVE, finalizeFirstEpoch, PRICE, TOPIC } from "./priced-world.ts";

const chain = await network.create();
const [CLIENT, PROVIDER] = [1n, 2n];
const [clientKey, providerKey] = [signerAt(12), signerAt(13)];
const FLOOR_AT_ZERO = 8n * PRICE;
const contractsOf = async ({ registry }: World, escrow: Hex) => ({
  ...{ chainId: await (await chain.viem.getPublicClient()).getChainId(), identityRegistry: registry.address },
  dealEscrow: escrow,
});

async function bindKey(world: World, agentId: bigint, signer: Signer, escrow: Hex): Promise<void> {
  const { registry, accounts } = world;
  const deadline = (await chain.networkHelpers.time.latest()) + 3_600;
  const binding = {
    ...{ agentId, owner: accounts.owner, signerHash: signer.signerHash, purpose: purposes.log },
    ...{ validFrom: 0, validUntil: 0, deadline },
  };
  const proof = signer.sign(typedDataDigest("SignerBinding", binding, await contractsOf(world, escrow)));
  await registry.write.bindSigner([agentId, signer.address, purposes.log, 0, 0, deadline, proof], {
    account: accounts.owner,
  });
}

/** An escrow whose deals ask the curve, and a client and a provider of the scored topic with a key each. */
async function createWorld() {
  const { world, curve, epoch } = await finalizeFirstEpoch(chain);
  const { registry, ledger, token } = world;
  const escrow = await chain.viem.deployContract("DealEscrow", [registry.address, ledger.address, curve.address]);
  const funding = await chain.viem.deployContract("DealFunding", [escrow.address]);
  for (const [agentId, key] of [[CLIENT, clientKey] as const, [PROVIDER, providerKey] as const]) {
    await bindKey(world, agentId, key, escrow.address);
    await token.write.mint([key.address, 1_000n * PRICE]);
    await token.write.approve([escrow.address, 2n ** 256n - 1n], { account: key.address });
    await token.write.approve([funding.address, 2n ** 256n - 1n], { account: key.address });
  }
  const seat = epoch.snapshot.agents.indexOf(Number(PROVIDER));
  const word = at(epoch.words, seat);
  const proof = encodeScoreProof(seat, word, epoch.tree.proof(seat));
  const priced = providerBondFor(CURVE, PRICE, relativeScoreOf(unpackLeaf(word).score, epoch.words.length));
  return { world, curve, epoch, escrow, funding, seat, word, proof, priced };
}

type Priced = Awaited<ReturnType<typeof createWorld>>;

let salt = 0n;
async function draft({ world }: Priced, change: Partial<Deal> = {}): Promise<Deal> {
  const submitBy = (await chain.networkHelpers.time.latest()) + 5_000;
  return {
    ...{ clientAgentId: CLIENT, providerAgentId: PROVIDER, topic: TOPIC, token: getAddress(world.token.address) },
    ...{ price: PRICE, providerBond: 0n, clientBond: 0n, submitBy, reviewPeriod: 100, arbiter: zeroAddress },
    ...{ arbiterDeadline: 0, mechanismHash: zeroHash, certificateHash: zeroHash, specHash: zeroHash },
    ...{ splitsRoot: zeroHash, epoch: 1, hook: zeroAddress, salt: ++salt },
    ...change,
  };
}

async function consentsOf({ world, escrow }: Priced, deal: Deal) {
  const digest = dealDigestOf(deal, await contractsOf(world, escrow.address));
  const consent = (signer: Signer) => ({ signer: signer.address, signature: signer.sign(digest) });
  return [consent(clientKey), consent(providerKey)] as const;
}

const byClient = { account: clientKey.address };
const open = async (world: Priced, deal: Deal, proof: Hex) =>
  world.escrow.write.openWithProof([deal, ...(await consentsOf(world, deal)), proof], byClient);
const outcome = (call: Promise<unknown>): Promise<string> => call.then(() => "opened", errorNameOf);
const stateOf = async ({ escrow }: Priced, deal: Deal) => dealStates[(await escrow.read.dealOf([dealIdOf(deal)]))[0]];

describe("DealEscrow.openWithProof", () => {
  const load = () => chain.networkHelpers.loadFixture(createWorld);

  it("takes exactly the bond that the proven score is worth, and not a unit less", async () => {
    const world = await load();
    const { escrow, proof, priced } = world;
    expect(priced > 2n * PRICE && priced < FLOOR_AT_ZERO).to.equal(true);
    const low = await draft(world, { providerBond: priced - 1n });
    await chain.viem.assertions.revertWithCustomErrorWithArgs(open(world, low, proof), escrow, "DealEscrowBondTooLow", [
      priced - 1n,
      priced,
    ]);
    const deal = await draft(world, { providerBond: priced });
    await open(world, deal, proof);
    expect(await stateOf(world, deal)).to.equal("Funded");
    expect(await world.world.token.read.balanceOf([escrow.address])).to.equal(PRICE + priced);
  });

  it("asks for the bond of a newcomer where no proof comes with the deal, in every way to open", async () => {
    const world = await load();
    const { escrow, funding, priced } = world;
    const deal = await draft(world, { providerBond: priced });
    const consents = await consentsOf(world, deal);
    const direct = (payer: Hex) => ({ kind: 0, payer, authorization: "0x" as Hex });
    const paying = {
      ...{ client: direct(clientKey.address), provider: direct(providerKey.address), scoreProof: "0x" as Hex },
    };
    for (const call of [
      () => escrow.write.open([deal, ...consents], byClient),
      () => open(world, deal, "0x"),
      () => funding.write.openWith([deal, ...consents, paying], byClient),
    ]) {
      expect(await outcome(call())).to.equal("DealEscrowBondTooLow");
    }
    const whole = await draft(world, { providerBond: FLOOR_AT_ZERO });
    await escrow.write.open([whole, ...(await consentsOf(world, whole))], byClient);
    expect(await stateOf(world, whole)).to.equal("Funded");
  });

  it("carries the proof through DealFunding, whoever relays it", async () => {
    const world = await load();
    const { funding, proof, priced } = world;
    const deal = await draft(world, { providerBond: priced });
    const direct = (payer: Hex) => ({ kind: 0, payer, authorization: "0x" as Hex });
    const paying = {
      ...{ client: direct(clientKey.address), provider: direct(providerKey.address), scoreProof: proof },
    };
    await funding.write.openWith([deal, ...(await consentsOf(world, deal)), paying], {
      account: world.world.accounts.stranger,
    });
    expect(await stateOf(world, deal)).to.equal("Funded");
  });

  it("takes nobody else's proof, no forged score, no other epoch than the one both signed", async () => {
    const world = await load();
    const { epoch, seat, word, proof, priced } = world;
    const siblings = epoch.tree.proof(seat);
    const other = epoch.snapshot.agents.indexOf(3);
    const ofOther = encodeScoreProof(other, at(epoch.words, other), epoch.tree.proof(other));
    const richer = encodeScoreProof(seat, word + (1n << 160n), siblings);
    const longer = encodeScoreProof(seat, word, [...siblings, zeroHash]);
    const refused: [Partial<Deal>, Hex, string][] = [
      [{}, ofOther, "BondCurveOtherAgent"],
      [{}, richer, "ReputationEpochsScoreProof"],
      [{}, longer, "ReputationEpochsScoreProof"],
      [{ epoch: 2 }, proof, "ReputationEpochsNotFinalized"],
      [{ epoch: 0 }, proof, "ReputationEpochsNotFinalized"],
    ];
    for (const [change, given, name] of refused) {
      const deal = await draft(world, { providerBond: priced, ...change });
      expect(await outcome(open(world, deal, given))).to.equal(name);
      expect(await stateOf(world, deal)).to.equal("Open");
    }
    const garbled = encodeAbiParameters([{ type: "uint256" }], [1n]);
    const deal = await draft(world, { providerBond: priced });
    // What does not decode reverts without a name.
    expect(await open(world, deal, garbled).then(String, () => "refused")).to.equal("refused");
    expect(await stateOf(world, deal)).to.equal("Open");
  });

  it("asks nothing in topics without a curve and in none", async () => {
    const world = await load();
    for (const topic of [0n, topicIdOf("translation")]) {
      const deal = await draft(world, { topic, providerBond: 0n });
      await open(world, deal, "0x");
      expect(await stateOf(world, deal)).to.equal("Funded");
    }
  });

  it("adds what the client declared to lose, and pays the priced bond to it when delivery is late", async () => {
    const world = await load();
    const { world: w, curve, escrow, proof, priced } = world;
    await curve.write.declareExposure([CLIENT, TOPIC, w.token.address, PRICE], { account: w.accounts.owner });
    await goTo(w, 5n);
    const dearer = await draft(world, { providerBond: priced });
    expect(await outcome(open(world, dearer, proof))).to.equal("DealEscrowBondTooLow");
    const deal = await draft(world, { providerBond: 2n * priced });
    const hash = await open(world, deal, proof);
    const { logs } = await (await chain.viem.getPublicClient()).getTransactionReceipt({ hash });
    expect(parseEventLogs({ abi: escrow.abi, logs, eventName: "DealFunded" })).to.have.length(1);
    const before = await w.token.read.balanceOf([clientKey.address]);
    await chain.networkHelpers.time.increaseTo(deal.submitBy + 1);
    await escrow.write.refund([deal]);
    expect((await w.token.read.balanceOf([clientKey.address])) - before).to.equal(PRICE + 2n * priced);
  });
});
