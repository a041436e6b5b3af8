import { expect } from "chai";
import { network } from "hardhat";
import { keccak256, zeroHash, type Hex } from "viem";
import { noCouplings, packScoreQuery, purposes, structTypes, topicIdOf, unpackLeaf } from "#protocol";
import { at, buildEpoch, solveHonestly, TrustGraph, type Epoch } from "./trust-graph.ts";
import {
  commit,
  deployWorld,
  EPOCH_LENGTH,
  errorNameOf,
  goTo,
  outcomeOf,
  PUBLISHER_BOND,
  record,
  registerAgents,
  sendReport,
  rowChallenge,
  sendChallenge,
  stake,
  topicRootOf,
  type World,
} from "./world.ts";

const chain = await network.create();
const AGENTS = 12;
const PUBLISHER = AGENTS + 1;
const RIVAL = AGENTS + 2;
const ROUND = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/** Epoch 2 has just begun; epoch 1 closed with two topics. */
async function closeFirstEpoch() {
  const world = await deployWorld(chain);
  await registerAgents(world, world.accounts.owner, AGENTS);
  await registerAgents(world, world.accounts.publisher, 1);
  await registerAgents(world, world.accounts.rival, 1);
  for (const agentId of ROUND) await stake(world, agentId, BigInt(agentId * 1_000));
  await stake(world, PUBLISHER, 20n * PUBLISHER_BOND);
  await stake(world, RIVAL, 20n * PUBLISHER_BOND);
  const epochs: Epoch[] = [];
  const topics = ["code_generation", "data_analysis"].map(topicIdOf).sort((a, b) => (a < b ? -1 : 1));
  for (const [n, topic] of topics.entries()) {
    const graph = new TrustGraph(topic);
    for (const k of ROUND) {
      await record(world, graph, [k, (k % AGENTS) + 1, 10 * k + n, 0]);
      await record(world, graph, [k, ((k + 4) % AGENTS) + 1, 50, 3 * k]);
    }
    epochs.push(solveHonestly(graph.close((agentId) => BigInt(agentId * 1_000))));
  }
  await goTo(world, 2n);
  const [first, second] = epochs;
  if (first === undefined || second === undefined) throw new Error("two topics");
  return { world, first, second };
}

const load = () => chain.networkHelpers.loadFixture(closeFirstEpoch);
const ofPublisher = (world: World) => ({ publisher: PUBLISHER, account: world.accounts.publisher });
const ofRival = (world: World) => ({ publisher: RIVAL, account: world.accounts.rival });

/** One unit of the dust goes to seat 5: only its row can tell. */
function forge(epoch: Epoch): Epoch {
  const scores = epoch.words.map((word) => unpackLeaf(word).score);
  return buildEpoch(epoch.snapshot, epoch.lambda, scores.with(0, at(scores, 0) - 1n).with(5, at(scores, 5) + 1n));
}

async function nameOfError(call: Promise<unknown>): Promise<string> {
  return await call.then(() => "no error", errorNameOf);
}

async function commitOutcome(world: World, topics: readonly ReturnType<typeof topicRootOf>[]): Promise<string> {
  const { account, publisher } = ofPublisher(world);
  return await nameOfError(world.epochs.simulate.commit([publisher, zeroHash, [...topics], "0x"], { account }));
}

async function scoreOf(world: World, epoch: Epoch, seat: number, query: Partial<Parameters<typeof packScoreQuery>[0]>) {
  const packed = packScoreQuery({ topic: epoch.snapshot.topic, epoch: 1, index: seat, ...query });
  return await world.epochs.read.verifyScore([packed, at(epoch.words, seat), epoch.tree.proof(seat)]);
}

describe("ReputationEpochs: commit", () => {
  it("takes a commit from the owner, from one approved, and from a LOG signer, and from nobody else", async () => {
    const { world, first } = await load();
    const { registry, accounts, epochs } = world;
    const roots = [topicRootOf(first)];
    const attempt = (account: Hex) =>
      nameOfError(epochs.simulate.commit([PUBLISHER, zeroHash, roots, "0x"], { account }));
    expect(await attempt(accounts.publisher)).to.equal("no error");
    expect(await attempt(accounts.stranger)).to.equal("ReputationEpochsNotAuthorized");
    await registry.write.approve([accounts.rival, BigInt(PUBLISHER)], { account: accounts.publisher });
    expect(await attempt(accounts.rival)).to.equal("no error");
    await bindLogSigner(world, accounts.stranger);
    expect(await attempt(accounts.stranger)).to.equal("no error");
    await registry.write.revokeSigner([BigInt(PUBLISHER), keccak256(accounts.stranger), 0], {
      account: accounts.publisher,
    });
    expect(await attempt(accounts.stranger)).to.equal("ReputationEpochsNotAuthorized");
  });

  it("locks the bond, and keeps the candidate as it was committed", async () => {
    const { world, first, second } = await load();
    const candidateId = await commit(world, [first, second], { ...ofPublisher(world), withLeaves: true });
    expect(candidateId).to.equal(1n << 32n);
    expect(await world.vault.read.lockOf([PUBLISHER, world.epochs.address])).to.equal(PUBLISHER_BOND);
    const [publisher, epoch, , fault, isReleased, openRequests] = await world.epochs.read.candidateOf([candidateId]);
    expect([publisher, epoch, fault, isReleased, openRequests]).to.deep.equal([PUBLISHER, 1, 0, false, 0]);
    const [root, multiplier, shift, leafCount, depth] = await world.epochs.read.topicOf([
      candidateId,
      second.snapshot.topic,
    ]);
    expect({ topic: second.snapshot.topic, root, multiplier, shift }).to.deep.equal(topicRootOf(second));
    expect([leafCount, depth]).to.deep.equal([second.tree.leafCount, second.tree.depth]);
    expect(await world.epochs.read.candidateCountOf([1])).to.deep.equal([1, 1]);
  });

  it("closes after a third of the epoch, and has nothing to take during epoch 1", async () => {
    const { world, first } = await load();
    const last = world.genesis + EPOCH_LENGTH + EPOCH_LENGTH / 3n - 1n;
    await world.networkHelpers.time.increaseTo(last);
    expect(await commitOutcome(world, [topicRootOf(first)])).to.equal("no error");
    await world.networkHelpers.time.increaseTo(last + 1n);
    expect(await commitOutcome(world, [topicRootOf(first)])).to.equal("ReputationEpochsCommitClosed");

    const early = await deployWorld(chain);
    await registerAgents(early, early.accounts.publisher, PUBLISHER);
    expect(await commitOutcome(early, [topicRootOf(first)])).to.equal("ReputationEpochsCommitClosed");
  });

  it("refuses topics that are none, unknown, twice, unsorted, without root or too many", async () => {
    const { world, first, second } = await load();
    const [a, b] = [topicRootOf(first), topicRootOf(second)];
    const bad = "ReputationEpochsBadTopics";
    expect(await commitOutcome(world, [])).to.equal(bad);
    expect(await commitOutcome(world, [{ ...a, topic: a.topic - 1n }])).to.equal(bad);
    expect(await commitOutcome(world, [a, a])).to.equal(bad);
    expect(await commitOutcome(world, [b, a])).to.equal(bad);
    expect(await commitOutcome(world, [{ ...a, root: zeroHash }])).to.equal(bad);
    expect(
      await commitOutcome(
        world,
        Array.from({ length: 33 }, () => a),
      ),
    ).to.equal(bad);
    expect(await commitOutcome(world, [a, b])).to.equal("no error");
  });

  it("refuses a λ outside the bounds in which chain and engine count alike", async () => {
    const { world, first } = await load();
    const root = topicRootOf(first);
    const bad = "ReputationEpochsBadLambda";
    expect(await commitOutcome(world, [{ ...root, multiplier: 0n }])).to.equal(bad);
    expect(await commitOutcome(world, [{ ...root, multiplier: 1n << 63n }])).to.equal(bad);
    expect(await commitOutcome(world, [{ ...root, shift: 85 }])).to.equal(bad);
    expect(await commitOutcome(world, [{ ...root, multiplier: (1n << 63n) - 1n, shift: 84 }])).to.equal("no error");
  });

  it("refuses a publisher whose free stake is less than the bond", async () => {
    const { world, first } = await load();
    await world.vault.write.startUnbonding([PUBLISHER, 19n * PUBLISHER_BOND + 1n], {
      account: world.accounts.publisher,
    });
    expect(await commitOutcome(world, [topicRootOf(first)])).to.equal("StakeVaultInsufficient");
  });

  it("takes eight standing candidates, and one more as soon as one is struck", async () => {
    const { world, first } = await load();
    const forged = forge(first);
    const candidateId = await commit(world, [forged], ofRival(world));
    for (let k = 0; k < 7; k++) await commit(world, [first], ofRival(world));
    expect(await commitOutcome(world, [topicRootOf(first)])).to.equal("ReputationEpochsTooManyCandidates");
    await sendChallenge(world, rowChallenge(candidateId, forged, 5));
    expect(await commitOutcome(world, [topicRootOf(first)])).to.equal("no error");
  });
});

describe("ReputationEpochs: leaves on request", () => {
  async function request(world: World, candidateId: bigint, topic: bigint, chunk = 0n) {
    const { baseFeePerGas } = await world.client.getBlock();
    const value = await world.epochs.read.requestFeeAt([2n * (baseFeePerGas ?? 0n)]);
    await world.epochs.write.requestLeaves([candidateId, topic, chunk], { account: world.accounts.challenger, value });
    return value;
  }

  it("pays whoever answers with the chunk, and strikes nobody for it", async () => {
    const { world, first } = await load();
    const { epochs, accounts, client } = world;
    const { topic } = first.snapshot;
    const candidateId = await commit(world, [first], ofPublisher(world));
    const fee = await request(world, candidateId, topic);
    const balance = await client.getBalance({ address: accounts.stranger });
    const wrong = first.words.with(3, at(first.words, 3) + 1n);
    const answer = (words: readonly bigint[]) =>
      [candidateId, topic, 0n, words, first.tree.subtreeProof(0, 4)] as const;
    const by = { account: accounts.stranger };
    expect(await nameOfError(epochs.simulate.answerLeaves(answer(wrong), by))).to.equal("ReputationEpochsBadProof");
    expect(await nameOfError(epochs.simulate.answerLeaves(answer(first.words.slice(1)), by))).to.equal(
      "ReputationEpochsBadProof",
    );
    const hash = await epochs.write.answerLeaves(answer(first.words), by);
    const { gasUsed, effectiveGasPrice } = await client.getTransactionReceipt({ hash });
    expect((await client.getBalance({ address: accounts.stranger })) - balance).to.equal(
      fee - gasUsed * effectiveGasPrice,
    );
    await goTo(world, 3n);
    const call = [candidateId, topic, 0n] as const;
    expect(await nameOfError(epochs.simulate.strikeUnavailable(call))).to.equal("ReputationEpochsNoRequest");
    await epochs.write.finalize([1, [topic]]);
  });

  it("strikes who withholds leaves, pays the striker, and gives the fee back to the requester alone", async () => {
    const { world, first } = await load();
    const { epochs, accounts, client, token } = world;
    const { topic } = first.snapshot;
    const candidateId = await commit(world, [first], ofPublisher(world));
    const fee = await request(world, candidateId, topic);
    const call = [candidateId, topic, 0n] as const;
    const by = { account: accounts.challenger };
    expect(await nameOfError(epochs.simulate.strikeUnavailable(call))).to.equal("ReputationEpochsAnswerNotDue");
    expect(await nameOfError(epochs.simulate.reclaimFee(call, by))).to.equal("ReputationEpochsFeeHeld");
    await goTo(world, 2n, 3n);
    const proof = first.tree.subtreeProof(0, 4);
    expect(await nameOfError(epochs.simulate.answerLeaves([...call, first.words, proof]))).to.equal(
      "ReputationEpochsAnswerTooLate",
    );
    await goTo(world, 3n);
    expect(await nameOfError(epochs.simulate.finalize([1, [topic]]))).to.equal("ReputationEpochsRequestsOpen");
    expect(await nameOfError(epochs.simulate.releaseBond([candidateId]))).to.equal("ReputationEpochsRequestsOpen");
    await sendReport(world, accounts.stranger, "strikeUnavailable", call);
    expect(await token.read.balanceOf([accounts.stranger])).to.equal(PUBLISHER_BOND / 2n);
    expect(await nameOfError(epochs.simulate.finalize([1, [topic]]))).to.equal("ReputationEpochsNoCandidate");
    expect(await nameOfError(epochs.simulate.reclaimFee(call, { account: accounts.stranger }))).to.equal(
      "ReputationEpochsNoRequest",
    );
    await epochs.write.reclaimFee(call, by);
    expect(await client.getBalance({ address: epochs.address })).to.equal(0n);
    expect(fee > 0n).to.equal(true);
    expect(await nameOfError(epochs.simulate.reclaimFee(call, by))).to.equal("ReputationEpochsNoRequest");
  });

  it("strikes a root of a tree of another depth, which nobody can open", async () => {
    const { world, first } = await load();
    const shallow = { ...first, tree: { root: at(first.tree.proof(0), 3) } };
    const roots = [{ ...topicRootOf(first), root: shallow.tree.root }];
    const { account } = ofPublisher(world);
    await world.epochs.write.commit([PUBLISHER, zeroHash, roots, "0x"], { account });
    const candidateId = 1n << 32n;
    await request(world, candidateId, first.snapshot.topic);
    await goTo(world, 2n, 3n);
    await world.epochs.write.strikeUnavailable([candidateId, first.snapshot.topic, 0n]);
    const [, , , fault] = await world.epochs.read.candidateOf([candidateId]);
    expect(fault).to.equal(6);
  });

  it("strikes an old candidate without a mark on the epoch that has its place in the ring", async () => {
    const { world, first } = await load();
    const { epochs } = world;
    await commit(world, [first], ofPublisher(world));
    const old = await commit(world, [first], ofRival(world));
    await request(world, old, first.snapshot.topic);
    // Four epochs later the places of epoch 1 are epoch 5's; of its two candidates only the first is written over.
    await goTo(world, 6n);
    expect((await commit(world, [first], ofPublisher(world))) >> 32n).to.equal(5n);
    await epochs.write.strikeUnavailable([old, first.snapshot.topic, 0n]);
    const [, , , fault] = await epochs.read.candidateOf([old]);
    expect(fault).to.equal(6);
    expect(await epochs.read.candidateCountOf([5])).to.deep.equal([1, 1]);
  });

  it("keeps the fee of a requester that takes no money, for when it does", async () => {
    const { world, first } = await load();
    const { epochs, token, networkHelpers } = world;
    const candidateId = await commit(world, [first], ofPublisher(world));
    // A contract that receives nothing: the token.
    const account = token.address;
    await networkHelpers.impersonateAccount(account);
    await networkHelpers.setBalance(account, 10n ** 18n);
    const call = [candidateId, first.snapshot.topic, 0n] as const;
    await epochs.write.requestLeaves(call, { account, value: 10n ** 17n });
    await goTo(world, 3n);
    await epochs.write.strikeUnavailable(call);
    expect(await nameOfError(epochs.simulate.reclaimFee(call, { account }))).to.equal("ReputationEpochsFeeNotPaid");
    expect(await world.client.getBalance({ address: epochs.address })).to.equal(10n ** 17n);
  });

  it("refuses requests without fee, twice, past the last chunk and after two thirds of the epoch", async () => {
    const { world, first } = await load();
    const { topic } = first.snapshot;
    const candidateId = await commit(world, [first], ofPublisher(world));
    // Sent, not simulated: in an eth_call the base fee is 0, and so is the least fee.
    const attempt = (chunk: bigint, value: bigint) =>
      nameOfError(world.epochs.write.requestLeaves([candidateId, topic, chunk], { value, gas: 500_000n }));
    expect(await attempt(0n, 0n)).to.equal("ReputationEpochsFeeTooLow");
    expect(await attempt(1n, 10n ** 18n)).to.equal("ReputationEpochsBadChunk");
    expect(await attempt((1n << 256n) - 1n, 10n ** 18n)).to.equal("ReputationEpochsBadChunk");
    await request(world, candidateId, topic);
    expect(await attempt(0n, 10n ** 18n)).to.equal("ReputationEpochsAlreadyRequested");
    await goTo(world, 2n, 8n);
    expect(await attempt(0n, 10n ** 18n)).to.equal("ReputationEpochsRequestsClosed");
  });
});

describe("ReputationEpochs: finalize and verifyScore", () => {
  it("finalizes from the second epoch after on, not a second before, and once", async () => {
    const { world, first } = await load();
    const { topic } = first.snapshot;
    const candidateId = await commit(world, [first], ofPublisher(world));
    await world.networkHelpers.time.increaseTo(world.genesis + 2n * EPOCH_LENGTH - 1n);
    const call = world.epochs.simulate.finalize;
    expect(await nameOfError(call([1, [topic]]))).to.equal("ReputationEpochsNotFinalizable");
    expect(await nameOfError(world.epochs.simulate.releaseBond([candidateId]))).to.equal("ReputationEpochsBondHeld");
    await goTo(world, 3n);
    await world.epochs.write.finalize([1, [topic]]);
    const pinned = await world.epochs.read.finalizedOf([topic]);
    expect(pinned).to.deep.equal([first.tree.root, 1, first.tree.leafCount, first.tree.depth, candidateId]);
    expect(await nameOfError(call([1, [topic]]))).to.equal("ReputationEpochsAlreadyFinalized");
    expect(await nameOfError(call([1, [topic + 1n]]))).to.equal("ReputationEpochsNoCandidate");
    expect(await nameOfError(call([0, [topic + 1n]]))).to.equal("ReputationEpochsAlreadyFinalized");
  });

  it("finalizes the second candidate after the first is struck, and releases its bond", async () => {
    const { world, first } = await load();
    const { epochs, vault } = world;
    const forged = forge(first);
    const bad = await commit(world, [forged], ofPublisher(world));
    const good = await commit(world, [first], ofRival(world));
    await sendChallenge(world, rowChallenge(bad, forged, 5));
    await goTo(world, 3n);
    await epochs.write.finalize([1, [first.snapshot.topic]]);
    const [root, , , , candidateId] = await epochs.read.finalizedOf([first.snapshot.topic]);
    expect([root, candidateId]).to.deep.equal([first.tree.root, good]);
    await epochs.write.releaseBond([good]);
    expect(await vault.read.lockOf([RIVAL, epochs.address])).to.equal(0n);
    expect(await nameOfError(epochs.simulate.releaseBond([good]))).to.equal("ReputationEpochsBondHeld");
    expect(await nameOfError(epochs.simulate.releaseBond([bad]))).to.equal("ReputationEpochsStruck");
  });

  it("finalizes a topic that the first candidate leaves out from the next one that has it", async () => {
    const { world, first, second } = await load();
    const partial = await commit(world, [first], ofPublisher(world));
    const whole = await commit(world, [first, second], ofRival(world));
    await goTo(world, 3n);
    await world.epochs.write.finalize([1, [first.snapshot.topic, second.snapshot.topic]]);
    expect((await world.epochs.read.finalizedOf([first.snapshot.topic]))[4]).to.equal(partial);
    expect((await world.epochs.read.finalizedOf([second.snapshot.topic]))[4]).to.equal(whole);
  });

  it("verifies each score of the finalized epoch, and nothing else", async () => {
    const { world, first, second } = await load();
    await commit(world, [first, second], ofPublisher(world));
    expect(await nameOfError(scoreOf(world, first, 5, {}))).to.equal("ReputationEpochsNotFinalized");
    await goTo(world, 3n);
    await world.epochs.write.finalize([1, [first.snapshot.topic, second.snapshot.topic]]);
    for (const [seat, word] of first.words.entries()) {
      const { agentId, score } = unpackLeaf(word);
      expect(await scoreOf(world, first, seat, {})).to.deep.equal([agentId, score]);
    }
    const wrongLeaf = { ...first, words: first.words.with(5, at(first.words, 5) + (1n << 160n)) };
    expect(await nameOfError(scoreOf(world, wrongLeaf, 5, {}))).to.equal("ReputationEpochsScoreProof");
    expect(await nameOfError(scoreOf(world, first, 5, { index: 4 }))).to.equal("ReputationEpochsScoreProof");
    expect(await nameOfError(scoreOf(world, first, 5, { index: 16 + 5 }))).to.equal("ReputationEpochsScoreProof");
    expect(await nameOfError(scoreOf(world, first, 5, { topic: second.snapshot.topic }))).to.equal(
      "ReputationEpochsScoreProof",
    );
    expect(await nameOfError(scoreOf(world, first, 5, { epoch: 0 }))).to.equal("ReputationEpochsNotFinalized");
    expect(await nameOfError(scoreOf(world, first, 5, { epoch: 2 }))).to.equal("ReputationEpochsNotFinalized");
    const node = {
      query: packScoreQuery({ topic: first.snapshot.topic, epoch: 1, index: 2 }),
      word: nodeAbove(first, 5),
    };
    const call = world.epochs.read.verifyScore([node.query, node.word, first.tree.proof(5).slice(1)]);
    expect(await nameOfError(call), "an inner node is no leaf").to.equal("ReputationEpochsScoreProof");
  });

  it("refuses a proof of an epoch that a later one replaced, and keeps roots when the ring comes round", async () => {
    const { world, first } = await load();
    await commit(world, [first], ofPublisher(world));
    // Nothing is recorded any more: the same epoch is honest again and again.
    for (let closed = 2n; closed <= 6n; closed++) {
      await goTo(world, closed + 1n);
      if (closed === 2n) await world.epochs.write.finalize([1, [first.snapshot.topic]]);
      await commit(world, [first], ofPublisher(world));
    }
    expect(await scoreOf(world, first, 5, {})).to.have.length(2);
    await goTo(world, 8n);
    await world.epochs.write.finalize([6, [first.snapshot.topic]]);
    expect(await nameOfError(scoreOf(world, first, 5, {}))).to.equal("ReputationEpochsNotFinalized");
    expect(await nameOfError(world.epochs.simulate.finalize([5, [first.snapshot.topic]]))).to.equal(
      "ReputationEpochsAlreadyFinalized",
    );
    expect(await nameOfError(world.epochs.simulate.finalize([2, [77n]]))).to.equal("ReputationEpochsNoCandidate");
    // Six candidates of one publisher in a ring of four: two bonds were carried over, four are locked.
    const { vault, epochs } = world;
    expect(await vault.read.lockOf([PUBLISHER, epochs.address])).to.equal(4n * PUBLISHER_BOND);
    for (let epoch = 3n; epoch <= 6n; epoch++) await epochs.write.releaseBond([epoch << 32n]);
    expect(await vault.read.lockOf([PUBLISHER, epochs.address])).to.equal(0n);
    expect(await nameOfError(epochs.simulate.releaseBond([2n << 32n]))).to.equal("ReputationEpochsNotChallengeable");
  });

  it("releases the bond of a former publisher whose slot another one takes", async () => {
    const { world, first } = await load();
    await commit(world, [first], ofPublisher(world));
    await goTo(world, 6n);
    const candidateId = await commit(world, [first], ofRival(world));
    const { vault, epochs } = world;
    expect(await vault.read.lockOf([PUBLISHER, epochs.address])).to.equal(0n);
    expect(await vault.read.lockOf([RIVAL, epochs.address])).to.equal(PUBLISHER_BOND);
    expect(await outcomeOf(world, rowChallenge(candidateId, first, 5))).to.equal("ReputationEpochsHolds");
  });
});

/** The word of the parent of a seat's leaf. */
function nodeAbove(epoch: Epoch, seat: number): bigint {
  // The parent is its sibling's sibling: level 1 of the proof of the leaf two away.
  return BigInt(at(epoch.tree.proof(seat ^ 2), 1));
}

/** Binds an account as a LOG signer of the publisher's agent. */
async function bindLogSigner({ registry, accounts, viem, client, networkHelpers }: World, signer: Hex) {
  const wallet = await viem.getWalletClient(signer);
  const deadline = (await networkHelpers.time.latest()) + 3_600;
  const signature = await wallet.signTypedData({
    domain: {
      name: "ERC8004IdentityRegistry",
      version: "1",
      chainId: await client.getChainId(),
      verifyingContract: registry.address,
    },
    types: { SignerBinding: structTypes.SignerBinding },
    primaryType: "SignerBinding",
    message: {
      agentId: BigInt(PUBLISHER),
      owner: accounts.publisher,
      signerHash: keccak256(signer),
      purpose: purposes.log,
      validFrom: 0,
      validUntil: 0,
      deadline,
    },
  });
  await registry.write.bindSigner([BigInt(PUBLISHER), signer, purposes.log, 0, 0, deadline, signature], {
    account: accounts.publisher,
  });
}

describe("ReputationEpochs: what it never heard of", () => {
  const load = () => chain.networkHelpers.loadFixture(closeFirstEpoch);

  it("is answered with zeros, struck by nobody, and no part of a row", async () => {
    const { world, first } = await load();
    const unknown = (99n << 32n) + 1n;
    const { topic } = first.snapshot;
    expect(await world.epochs.read.candidateOf([unknown])).to.deep.equal([0, 0, 0, 0, false, 0]);
    expect(await world.epochs.read.topicOf([unknown, topic])).to.deep.equal([zeroHash, 0n, 0, 0, 0]);
    const candidateId = await commit(world, [first], { publisher: PUBLISHER, account: world.accounts.publisher });
    const addNothing = world.epochs.simulate.addRowPart([candidateId, topic, 1, [], "0x", []]);
    expect(await addNothing.then(() => "added", errorNameOf)).to.equal("ReputationEpochsBadChallenge");
  });

  it("is not built for publishers without a bond", async () => {
    const { world } = await load();
    const args = [world.ledger.address, world.vault.address, world.registry.address, 0n, noCouplings] as const;
    await world.viem.assertions.revertWithCustomError(
      world.viem.deployContract("ReputationEpochs", args),
      world.epochs,
      "ReputationEpochsZeroBond",
    );
  });
});
