import { expect } from "chai";
import { network } from "hardhat";
import { parseEventLogs, type Hex } from "viem";
import { packLeaf, topicIdOf, unpackLeaf, type Leaf } from "#protocol";
import { applyMap, at, buildEpoch, solveHonestly, TrustGraph, withWords, type Epoch } from "./trust-graph.ts";
import {
  allChallenges,
  BURN_ACCOUNT,
  commit,
  deployWorld,
  edgeChallenge,
  errorNameOf,
  goTo,
  leafChallenge,
  outcomeOf,
  PUBLISHER_BOND,
  record,
  registerAgents,
  rowChallenge,
  sendChallenge,
  stake,
  sumChallenge,
  type Challenge,
  type World,
} from "./world.ts";

const chain = await network.create();
const AGENTS = 40;
const PUBLISHER = AGENTS + 1;
const RIVAL = AGENTS + 2;
/** Faults in the contract's order. */
const faults = ["None", "Row", "Sum", "Edge", "Seat", "Prior", "Unavailable"];

/** A small deterministic generator: the graph is the same in every run. */
function createDice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

/** Epoch 1 has 40 agents and ratings in three topics, the third of another depth; epoch 2 runs and moves on already. */
async function closeFirstEpoch() {
  const world = await deployWorld(chain);
  await registerAgents(world, world.accounts.owner, AGENTS);
  await registerAgents(world, world.accounts.publisher, 1);
  await registerAgents(world, world.accounts.rival, 1);
  const dice = createDice(7);
  const stakes = new Map<number, bigint>();
  for (let agentId = 1; agentId <= AGENTS; agentId++) if (dice(10) < 7) stakes.set(agentId, BigInt(1 + dice(1 << 24)));
  // Priors saturate at 48 bits.
  stakes.set(3, 1n << 60n);
  for (const [agentId, amount] of stakes) await stake(world, agentId, amount);
  await stake(world, PUBLISHER, 10n * PUBLISHER_BOND);
  await stake(world, RIVAL, 10n * PUBLISHER_BOND);

  const sizes = [AGENTS, AGENTS - 4, 12];
  const topics = ["code_generation", "data_analysis", "creative_writing"].map(topicIdOf);
  const graphs = [...topics].sort((a, b) => (a < b ? -1 : 1)).map((topic) => new TrustGraph(topic));
  for (const [k, graph] of graphs.entries()) {
    const size = at(sizes, k);
    for (let n = 0; n < 6 * size; n++) {
      const [client, provider] = [1 + dice(size), 1 + Math.floor(dice(size) * (dice(100) / 100))];
      if (client !== provider) await record(world, graph, [client, provider, dice(101), dice(4) === 0 ? dice(60) : 0]);
    }
  }
  const epochs = graphs.map((graph) => solveHonestly(graph.close((agentId) => stakes.get(agentId) ?? 0n)));
  await goTo(world, 2n, 1n);
  // What epoch 2 brings must not move what epoch 1 closed with: ratings, newcomers, stake.
  for (const graph of graphs) {
    for (let n = 0; n < 30; n++) await record(world, graph, [1 + dice(12), 13 + dice(30), dice(101), dice(50)]);
  }
  await stake(world, 5, 12_345n);
  const [first, second, small] = epochs;
  if (first === undefined || second === undefined || small === undefined) throw new Error("three topics");
  return { world, epochs, first, second, small };
}

const ofPublisher = (world: World) => ({ publisher: PUBLISHER, account: world.accounts.publisher });

/** The epoch with one leaf changed and nothing else made to fit. */
function alterLeaf(epoch: Epoch, seat: number, change: (leaf: Leaf) => Partial<Leaf>): Epoch {
  const leaf = unpackLeaf(at(epoch.words, seat));
  return withWords(epoch, epoch.words.with(seat, packLeaf({ ...leaf, ...change(leaf) })));
}

/** The epoch with other scores, sums made to fit: only the rows can tell. */
function moveUnit(epoch: Epoch, from: number, to: number): Epoch {
  const scores = epoch.words.map((word) => unpackLeaf(word).score);
  scores[from] = at(scores, from) - 1n;
  scores[to] = at(scores, to) + 1n;
  return buildEpoch(epoch.snapshot, epoch.lambda, scores);
}

async function findStrike(world: World, challenges: readonly Challenge[]): Promise<Challenge | undefined> {
  for (const challenge of challenges) if ((await outcomeOf(world, challenge)) === "struck") return challenge;
  return undefined;
}

async function expectStruckInOneTransaction(world: World, candidateId: bigint, challenge: Challenge, fault: string) {
  const { token, vault, epochs, accounts } = world;
  const [stakedBefore] = await vault.read.stakeOf([PUBLISHER]);
  const lockedBefore = await vault.read.lockOf([PUBLISHER, epochs.address]);
  const balanceBefore = await token.read.balanceOf([accounts.challenger]);
  const hash = await sendChallenge(world, challenge);
  const { logs } = await world.client.getTransactionReceipt({ hash });
  const [struck] = parseEventLogs({ abi: epochs.abi, logs, eventName: "CandidateStruck" });
  expect(struck?.args.candidateId).to.equal(candidateId);
  expect(at(faults, struck?.args.fault ?? 0)).to.equal(fault);
  const [staked] = await vault.read.stakeOf([PUBLISHER]);
  expect(stakedBefore - staked, "slashed").to.equal(PUBLISHER_BOND);
  expect(lockedBefore - (await vault.read.lockOf([PUBLISHER, epochs.address]))).to.equal(PUBLISHER_BOND);
  const paid = (await token.read.balanceOf([accounts.challenger])) - balanceBefore;
  expect(paid, "paid to the challenger").to.equal(PUBLISHER_BOND / 2n);
  expect(await token.read.balanceOf([BURN_ACCOUNT]), "burned").to.equal(PUBLISHER_BOND - paid);
  expect(await outcomeOf(world, challenge)).to.equal("ReputationEpochsStruck");
}

describe("ReputationEpochs: challenges", () => {
  const load = () => chain.networkHelpers.loadFixture(closeFirstEpoch);

  it("refuses every challenge there is against an honest epoch, whatever the running epoch records", async () => {
    const { world, epochs } = await load();
    const candidateId = await commit(world, epochs, ofPublisher(world));
    for (const epoch of epochs) {
      for (const challenge of allChallenges(candidateId, epoch)) {
        expect(await outcomeOf(world, challenge), challenge.name).to.equal("ReputationEpochsHolds");
      }
    }
    const [, , , fault] = await world.epochs.read.candidateOf([candidateId]);
    expect(fault).to.equal(0);
  });

  it("agrees with the ledger on seats, row sums and rows of the closed epoch", async () => {
    const { world, epochs } = await load();
    for (const { snapshot } of epochs) {
      expect(await world.ledger.read.seatsAt([snapshot.topic])).to.equal(snapshot.agents.length);
      for (const [seat, agentId] of snapshot.agents.entries()) {
        if (seat === 0) continue;
        const [ledgerSeat, inDegree, edges] = await world.ledger.read.rowAt([snapshot.topic, agentId, 0n, 1n << 32n]);
        expect([ledgerSeat, inDegree]).to.deep.equal([seat, at(snapshot.rows, seat).length]);
        const expected = at(snapshot.rows, seat).map((e) => (BigInt(e.clientSeat) << 48n) | e.weight);
        expect(edges).to.deep.equal(expected);
        const [, rowSum] = await world.ledger.read.nodeAt([snapshot.topic, agentId]);
        expect(BigInt(rowSum)).to.equal(at(snapshot.rowSums, seat));
      }
    }
  });

  const forgeries: { what: string; fault: string; forge: (epoch: Epoch) => Epoch }[] = [
    { what: "a score with sums made to fit", fault: "Row", forge: (e) => moveUnit(e, 0, 9) },
    { what: "two scores against each other", fault: "Row", forge: (e) => moveUnit(e, 4, 9) },
    { what: "a score alone", fault: "Sum", forge: (e) => alterLeaf(e, 9, ({ score }) => ({ score: score + 1n })) },
    { what: "the last score alone", fault: "Edge", forge: (e) => alterLeaf(e, e.words.length - 1, plusOneScore) },
    { what: "a running sum", fault: "Sum", forge: (e) => alterLeaf(e, 9, ({ cum }) => ({ cum: cum + 1n })) },
    { what: "a prior", fault: "Prior", forge: (e) => alterLeaf(e, 9, ({ prior }) => ({ prior: prior + 1n })) },
    { what: "a saturated prior", fault: "Prior", forge: (e) => alterLeaf(e, seatOf(e, 3), minusOnePrior) },
    { what: "a row sum", fault: "Seat", forge: (e) => alterLeaf(e, 9, ({ rowSum }) => ({ rowSum: rowSum + 1n })) },
    { what: "an agent", fault: "Seat", forge: (e) => alterLeaf(e, 9, ({ agentId }) => ({ agentId: agentId + 1 })) },
    { what: "the dust's agent", fault: "Edge", forge: (e) => alterLeaf(e, 0, () => ({ agentId: 1 })) },
    { what: "the dust's prior", fault: "Edge", forge: (e) => alterLeaf(e, 0, () => ({ prior: 1n })) },
    { what: "the dust's row sum", fault: "Edge", forge: (e) => alterLeaf(e, 0, () => ({ rowSum: 1n })) },
    { what: "λ's shift", fault: "Row", forge: (e) => ({ ...e, lambda: { ...e.lambda, shift: e.lambda.shift + 1 } }) },
    { what: "λ's multiplier, as soon as any row differs", fault: "Row", forge: forgeMultiplier },
  ];
  for (const { what, fault, forge } of forgeries) {
    it(`strikes in one transaction who forges ${what} by one unit`, async () => {
      const { world, first, second } = await load();
      const forged = forge(second);
      const candidateId = await commit(world, [first, forged], ofPublisher(world));
      const challenges = allChallenges(candidateId, forged);
      const strike = await findStrike(world, challenges);
      if (strike === undefined) throw new Error("no challenge strikes");
      await expectStruckInOneTransaction(world, candidateId, strike, fault);
    });
  }

  it("strikes who fills the dust seat beyond what rounding leaves", async () => {
    const { world, first } = await load();
    const scores = first.words.map((word) => unpackLeaf(word).score);
    const [from, room] = [9, (1n << 34n) + 1n - at(scores, 0)];
    scores[0] = at(scores, 0) + room;
    scores[from] = at(scores, from) - room;
    const forged = buildEpoch(first.snapshot, first.lambda, scores);
    const candidateId = await commit(world, [forged], ofPublisher(world));
    await expectStruckInOneTransaction(world, candidateId, edgeChallenge(candidateId, forged, false), "Edge");
  });

  it("strikes in one transaction who commits another topic's root", async () => {
    const { world, first, second } = await load();
    const mixedUp = { ...first, words: second.words, tree: second.tree };
    const candidateId = await commit(world, [mixedUp], ofPublisher(world));
    const strike = await findStrike(
      world,
      second.words
        .map((_, seat) => seat)
        .slice(1)
        .map((seat) => leafChallenge("challengeSeat", candidateId, mixedUp, seat)),
    );
    if (strike === undefined) throw new Error("no challenge strikes");
    await expectStruckInOneTransaction(world, candidateId, strike, "Seat");
  });

  it("refuses what does not prove anything", async () => {
    const { world, first } = await load();
    const candidateId = await commit(world, [first], ofPublisher(world));
    const seat = first.snapshot.rows.findIndex((row) => row.length > 2);
    const row = rowChallenge(candidateId, first, seat);
    const [id, topic, agentId, leaves, positions, proof] = row.args as [bigint, bigint, number, bigint[], Hex, Hex[]];
    const call = (...args: unknown[]) => outcomeOf(world, { name: "challengeRow", args });
    const shorter = proof.slice(1);
    expect(await call(id, topic, agentId, leaves, positions, shorter)).to.equal("ReputationEpochsBadProof");
    expect(await call(id, topic, agentId, leaves, positions, [...proof, at(proof, 0)])).to.equal(
      "ReputationEpochsBadProof",
    );
    expect(await call(id, topic, agentId, leaves.with(0, at(leaves, 0) + 1n), positions, proof)).to.equal(
      "ReputationEpochsBadProof",
    );
    expect(await call(id, topic, agentId, leaves.slice(1), positions, proof)).to.equal("ReputationEpochsBadChallenge");
    expect(await call(id, topic, agentId, leaves.toReversed(), positions, proof)).to.equal("ReputationEpochsBadProof");
    const reversed: Hex = `0x${(positions.slice(2).match(/.{4}/g) ?? []).reverse().join("")}`;
    expect(await call(id, topic, agentId, leaves, reversed, proof)).to.equal("ReputationEpochsBadProof");
    expect(await call(id, topic, agentId, leaves, "0x", proof)).to.equal("ReputationEpochsBadProof");
    expect(await call(id, topic, 4_000_000, leaves, positions, proof)).to.equal("ReputationEpochsBadChallenge");
    expect(await call(id, topic + 1n, agentId, leaves, positions, proof)).to.equal("ReputationEpochsUnknownTopic");
    expect(await call(id + 1n, topic, agentId, leaves, positions, proof)).to.equal("ReputationEpochsNotChallengeable");
    expect(await call(id + (4n << 32n), topic, agentId, leaves, positions, proof)).to.equal(
      "ReputationEpochsNotChallengeable",
    );
    const [sum, last] = [sumChallenge(candidateId, first, 0), first.words.length - 1];
    for (const index of [BigInt(last), (1n << 256n) - 1n]) {
      expect(await outcomeOf(world, { ...sum, args: sum.args.with(2, index) })).to.equal("ReputationEpochsBadProof");
    }
  });

  it("does not let a newcomer of the running epoch be challenged", async () => {
    const { world, small } = await load();
    const candidateId = await commit(world, [small], ofPublisher(world));
    const newcomer = 20;
    const [seat] = await world.ledger.read.nodeAt([small.snapshot.topic, newcomer]);
    expect(seat).to.be.at.least(small.snapshot.agents.length);
    const args = [candidateId, small.snapshot.topic, newcomer, at(small.words, 1), small.tree.proof(1)];
    for (const [name, sources] of [
      ["challengeSeat", []],
      ["challengePrior", [[]]],
    ] as const) {
      for (const agentId of [newcomer, RIVAL]) {
        const challenge = { name, args: [...args.with(2, agentId), ...sources] };
        expect(await outcomeOf(world, challenge), `agent ${agentId}`).to.equal("ReputationEpochsBadChallenge");
      }
    }
  });

  it("hears no challenge after the epoch that follows has ended", async () => {
    const { world, first } = await load();
    const candidateId = await commit(world, [moveUnit(first, 0, 9)], ofPublisher(world));
    const strike = await findStrike(world, allChallenges(candidateId, moveUnit(first, 0, 9)));
    if (strike === undefined) throw new Error("no challenge strikes");
    await goTo(world, 3n);
    expect(await outcomeOf(world, strike)).to.equal("ReputationEpochsNotChallengeable");
  });

  it("strikes a row of 120 in-neighbours in one transaction, and in parts", async () => {
    const world = await deployWorld(chain);
    const inDegree = 120;
    await registerAgents(world, world.accounts.publisher, inDegree + 2);
    const [provider, publisher] = [inDegree + 1, inDegree + 2];
    await stake(world, publisher, 2n * PUBLISHER_BOND);
    await stake(world, 1, 1_000n);
    const graph = new TrustGraph(topicIdOf("code_generation"));
    for (let client = 1; client <= inDegree; client++) {
      await record(world, graph, [client, provider, client, 0]);
      await record(world, graph, [client, (client % inDegree) + 1, 2 * client, 0]);
    }
    const stakes = new Map([
      [1, 1_000n],
      [publisher, 2n * PUBLISHER_BOND],
    ]);
    const honest = solveHonestly(graph.close((agentId) => stakes.get(agentId) ?? 0n));
    const seat = seatOf(honest, provider);
    const forged = moveUnit(honest, 0, seat);
    await goTo(world, 2n);
    const options = { publisher, account: world.accounts.publisher };
    const [good, bad] = [await commit(world, [honest], options), await commit(world, [forged], options)];
    expect(await outcomeOf(world, rowChallenge(good, honest, seat))).to.equal("ReputationEpochsHolds");
    expect(await outcomeOf(world, rowChallenge(bad, forged, seat))).to.equal("struck");

    const refusedPart = async (size: number, change: (leaf: bigint) => bigint) => {
      const part = partOf(honest, seat, 0, size);
      const args = [good, graph.topic, provider, part.leaves.map(change), part.positions, part.proof] as const;
      return await world.epochs.simulate.addRowPart(args).then(() => "added", errorNameOf);
    };
    expect(await refusedPart(3, (leaf) => leaf)).to.equal("added");
    expect(await refusedPart(3, (leaf) => leaf + 1n), "leaves of no root").to.equal("ReputationEpochsBadProof");
    expect(await refusedPart(0, (leaf) => leaf), "nothing").to.equal("ReputationEpochsBadChallenge");
    const twice = partOf(honest, seat, 0, inDegree + 1);
    const beyond = [...twice.leaves, at(twice.leaves, 0)];
    const tooLong = world.epochs.simulate.addRowPart([
      ...[good, graph.topic, provider],
      ...[beyond, twice.positions, twice.proof],
    ] as never);
    expect(await tooLong.then(() => "added", errorNameOf), "more than the row").to.equal(
      "ReputationEpochsBadChallenge",
    );

    for (const [candidateId, epoch] of [
      [good, honest],
      [bad, forged],
    ] as const) {
      await addRowInParts(world, candidateId, epoch, seat, 50);
      const args = [candidateId, graph.topic, provider, at(epoch.words, seat), epoch.tree.proof(seat)] as const;
      const options = { account: world.accounts.challenger };
      const outcome = await world.epochs.simulate.challengeLongRow(args, options).then(() => "struck", errorNameOf);
      expect(outcome).to.equal(candidateId === good ? "ReputationEpochsHolds" : "struck");
    }
    const early = [bad, graph.topic, provider, at(forged.words, seat), forged.tree.proof(seat)] as const;
    const stranger = { account: world.accounts.stranger };
    const refused = await world.epochs.simulate.challengeLongRow(early, stranger).then(() => "struck", errorNameOf);
    expect(refused, "parts belong to who added them").to.equal("ReputationEpochsBadChallenge");
    await sendChallenge(world, rowChallenge(bad, forged, seat));
    const [, , , fault] = await world.epochs.read.candidateOf([bad]);
    expect(faults[fault]).to.equal("Row");
  });
});

/** In-neighbours of a seat from one on, with their leaves, as `addRowPart` takes them. */
function partOf({ snapshot, words, tree }: Epoch, seat: number, from: number, size: number) {
  const part = at(snapshot.rows, seat)
    .slice(from, from + size)
    .map(({ clientSeat }, position) => ({ clientSeat, position }));
  part.sort((a, b) => a.clientSeat - b.clientSeat);
  const seats = part.map(({ clientSeat }) => clientSeat);
  const positions: Hex = `0x${part.map(({ position }) => position.toString(16).padStart(4, "0")).join("")}`;
  return { leaves: seats.map((index) => at(words, index)), positions, proof: size === 0 ? [] : tree.multiproof(seats) };
}

async function addRowInParts(world: World, candidateId: bigint, epoch: Epoch, seat: number, size: number) {
  const { topic, agents, rows } = epoch.snapshot;
  for (let from = 0; from < at(rows, seat).length; from += size) {
    const { leaves, positions, proof } = partOf(epoch, seat, from, size);
    await world.epochs.write.addRowPart([candidateId, topic, at(agents, seat), leaves, positions, proof], {
      account: world.accounts.challenger,
    });
  }
}

function seatOf(epoch: Epoch, agentId: number): number {
  return epoch.snapshot.agents.indexOf(agentId);
}

function plusOneScore({ score }: Leaf): Partial<Leaf> {
  return { score: score + 1n };
}

function minusOnePrior({ prior }: Leaf): Partial<Leaf> {
  return { prior: prior - 1n };
}

/** A multiplier that alters no row alters no score: there is nothing to catch. The least one that does is caught. */
function forgeMultiplier(epoch: Epoch): Epoch {
  const scores = epoch.words.map((word) => unpackLeaf(word).score);
  for (let delta = 1n; ; delta++) {
    const lambda = { ...epoch.lambda, multiplier: epoch.lambda.multiplier - delta };
    const altered = applyMap(epoch.snapshot, lambda, scores);
    if (altered.some((value, seat) => seat > 0 && value !== scores[seat])) return { ...epoch, lambda };
  }
}
