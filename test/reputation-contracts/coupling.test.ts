// Coupled topics on the chain: what a prior reads, what it reads during an epoch in which new roots are finalized, and that
// contract and mirror decide every prior challenge alike. The priors are computed a third time in trust-graph.ts.
import { expect } from "chai";
import { network } from "hardhat";
import {
  judgeChallenge,
  packLeaf,
  SHARE_ONE,
  topicIdOf,
  unpackLeaf,
  type Couplings,
  type SourceLeaf,
  type TopicTruth,
} from "#protocol";
import { at, coupleSnapshots, solveHonestly, TrustGraph, withWords, type Epoch, type Snapshot } from "./trust-graph.ts";
import {
  allChallenges,
  commit,
  deployWorld,
  goTo,
  leafChallenge,
  outcomeOf,
  PUBLISHER_BOND,
  record,
  registerAgents,
  sendChallenge,
  stake,
  type Challenge,
  type World,
} from "./world.ts";
import { createRandom } from "../node/reputation/graphs.ts";

const AGENTS = 10;
const PUBLISHER = AGENTS + 1;
const topics = ["code_generation", "data_analysis", "creative_writing", "devops_tool_execution"]
  .map(topicIdOf)
  .sort(ascend);
const [A, B, C, D] = topics as [bigint, bigint, bigint, bigint];
/** A reads three topics, B two, C none, and D, which nobody staked deals in yet when bases are finalized, one. */
const couplings: Couplings = {
  minClients: 2,
  maxShare: SHARE_ONE / 2,
  links: [
    { to: A, from: B, omega: 20_000 },
    { to: A, from: C, omega: 30_000 },
    { to: A, from: D, omega: 15_536 },
    { to: B, from: A, omega: SHARE_ONE },
    { to: D, from: A, omega: 40_000 },
  ],
};

function ascend(a: bigint, b: bigint): number {
  return a < b ? -1 : 1;
}

type Stakes = ReadonlyMap<number, bigint>;

async function rate(world: World, graph: TrustGraph, random: () => number, count: number): Promise<void> {
  for (let k = 0; k < count; k++) {
    const [client, provider] = [1 + Math.floor(random() * AGENTS), 1 + Math.floor(random() ** 2 * AGENTS)];
    if (client !== provider) await record(world, graph, [client, provider, 1 + Math.floor(random() * 100), 0]);
  }
}

const ofPublisher = (world: World) => ({ publisher: PUBLISHER, account: world.accounts.publisher });
const byTopic = (epochs: readonly Epoch[]) => new Map(epochs.map((epoch) => [epoch.snapshot.topic, epoch]));
const closeAll = (graphs: readonly TrustGraph[], stakes: Stakes) =>
  graphs.map((graph) => graph.close((agentId) => stakes.get(agentId) ?? 0n));

/** Four epochs: 1 is finalized in 3, so it is what epoch 3 reads while it is challenged in 4; topic D begins in 2. */
async function closeThirdEpoch() {
  const chain = await network.create();
  const world = await deployWorld(chain, couplings);
  await registerAgents(world, world.accounts.owner, AGENTS);
  await registerAgents(world, world.accounts.publisher, 1);
  const random = createRandom(5);
  const stakes = new Map<number, bigint>();
  for (let agentId = 1; agentId <= AGENTS; agentId++) {
    if (agentId !== 4) stakes.set(agentId, BigInt(1_000_000 + Math.floor(random() * 4_000_000)));
  }
  // Priors saturate at 48 bits, whatever is bridged.
  stakes.set(2, (1n << 48n) - 7n);
  for (const [agentId, amount] of stakes) await stake(world, agentId, amount);
  await stake(world, PUBLISHER, 20n * PUBLISHER_BOND);
  const graphs = topics.map((topic) => new TrustGraph(topic));
  for (const graph of graphs.slice(0, 3)) await rate(world, graph, random, 22);
  const first = closeAll(graphs.slice(0, 3), stakes).map(solveHonestly);

  await goTo(world, 2n);
  const committed = await commit(world, first, ofPublisher(world));
  await rate(world, graphs[3] as TrustGraph, random, 16);
  await rate(world, graphs[1] as TrustGraph, random, 6);
  const second = closeAll(graphs, stakes).map(solveHonestly);

  await goTo(world, 3n);
  await commit(world, second, ofPublisher(world));
  await world.epochs.write.finalize([1, [A, B, C]]);
  await rate(world, graphs[0] as TrustGraph, random, 4);
  const plain = closeAll(graphs, stakes);
  const third = coupleSnapshots(plain, couplings, byTopic(first)).map(solveHonestly);
  await goTo(world, 4n);
  return { chain, world, graphs, stakes, random, committed, first, second, plain, third };
}

/** What the mirror knows of one topic, out of the reference. */
function truthOf(snapshot: Snapshot, snapshots: readonly Snapshot[], bases: ReadonlyMap<bigint, Epoch>): TopicTruth {
  const own = bases.get(snapshot.topic);
  const budget = own === undefined ? 0n : ((9_830n << 46n) << BigInt(own.lambda.shift)) / own.lambda.multiplier;
  const agent = (agentId: number) => {
    const seat = snapshot.agents.indexOf(agentId);
    const counted = couplings.links.flatMap(({ to, from, omega }) => {
      const [source, base] = [snapshots.find(({ topic }) => topic === from), bases.get(from)];
      const there = source?.agents.indexOf(agentId) ?? -1;
      const isIn = to === snapshot.topic && base !== undefined && there > 0 && there < base.words.length;
      if (!isIn || at(source?.rows ?? [], there).length < couplings.minClients) return [];
      return [{ omega, seat: there, base: { ...base.lambda, root: base.tree.root, leafCount: base.words.length } }];
    });
    const stakeWei = at(snapshot.priors, seat);
    const inEdges = at(snapshot.rows, seat).map(({ clientSeat, weight }) => ({ seat: clientSeat, weight }));
    const sources = stakeWei === 0n || budget === 0n ? [] : counted;
    return { seat, rowSum: at(snapshot.rowSums, seat), stakeWei, sources, inEdges };
  };
  return { leafCount: snapshot.agents.length, budget, maxShare: couplings.maxShare, agent };
}

const errorOf = new Map([
  ["CHALLENGE_HOLDS", "ReputationEpochsHolds"],
  ["CHALLENGE_BAD", "ReputationEpochsBadChallenge"],
  ["CHALLENGE_PROOF", "ReputationEpochsBadProof"],
]);

describe("ReputationEpochs: coupled topics", function () {
  this.timeout(120_000);
  let scene: Awaited<ReturnType<typeof closeThirdEpoch>>;
  let start: { restore(): Promise<void> };
  before(async () => {
    scene = await closeThirdEpoch();
  });
  beforeEach(async () => {
    start = await scene.chain.networkHelpers.takeSnapshot();
  });
  afterEach(() => start.restore());
  after(() => scene.chain.close());

  /** Commits one topic with the prior at a seat changed, and nothing else made to fit. */
  const commitForged = async (epoch: Epoch, seat: number, prior: bigint) => {
    const word = packLeaf({ ...unpackLeaf(at(epoch.words, seat)), prior });
    const forged = withWords(epoch, epoch.words.with(seat, word));
    return { forged, candidateId: await commit(scene.world, [forged], ofPublisher(scene.world)) };
  };

  it("names its couplings, and as bases what had been finalized before the epoch began", async () => {
    const { world, first } = scene;
    const { epochs } = world;
    expect(await epochs.read.couplingsOf([A])).to.deep.equal({ ...couplings, links: couplings.links.slice(0, 3) });
    expect((await epochs.read.couplingsOf([C])).links).to.deep.equal([]);
    for (const { snapshot, tree, lambda } of first) {
      const { multiplier, shift } = lambda;
      const base = [tree.root, 1, tree.leafCount, tree.depth, multiplier, shift];
      expect(await epochs.read.baseOf([snapshot.topic])).to.deep.equal(base);
    }
    expect((await epochs.read.baseOf([D]))[1], "never finalized").to.equal(0);
  });

  it("refuses every challenge against honest priors, bridged and not, before and after new roots are finalized", async () => {
    const { world, third, plain, second } = scene;
    const bridged = third.flatMap(({ snapshot }, k) =>
      snapshot.priors.filter((prior, seat) => prior > at(at(plain, k).priors, seat)),
    );
    expect(bridged.length, "priors above the stake").to.be.above(8);
    const candidateId = await commit(world, third, ofPublisher(world));
    const expectAllHold = async () => {
      for (const epoch of third) {
        for (const challenge of allChallenges(candidateId, epoch)) {
          expect(await outcomeOf(world, challenge), challenge.name).to.equal("ReputationEpochsHolds");
        }
      }
    };
    await expectAllHold();
    // Epoch 2 is finalized while epoch 3 is challenged: what epoch 3 read stays what it was.
    await world.epochs.write.finalize([2, topics]);
    expect((await world.epochs.read.finalizedOf([A]))[1]).to.equal(2);
    expect((await world.epochs.read.baseOf([A]))[1]).to.equal(1);
    expect((await world.epochs.read.baseOf([D]))[1]).to.equal(0);
    await expectAllHold();
    await goTo(world, 5n);
    for (const { snapshot, tree } of second) {
      expect((await world.epochs.read.baseOf([snapshot.topic])).slice(0, 2)).to.deep.equal([tree.root, 2]);
    }
    // Epoch 3 is finalized in 5, too, and again the base waits for the next epoch.
    await world.epochs.write.finalize([3, topics]);
    expect((await world.epochs.read.baseOf([A]))[1]).to.equal(2);
    await goTo(world, 6n);
    expect((await world.epochs.read.baseOf([A]))[1]).to.equal(3);
  });

  it("keeps the base although two epochs are finalized one after the other in the same third epoch", async () => {
    const { world, third } = scene;
    await commit(world, third, ofPublisher(world));
    await goTo(world, 5n);
    for (const epoch of [2, 3]) {
      await world.epochs.write.finalize([epoch, topics]);
      expect((await world.epochs.read.finalizedOf([A]))[1]).to.equal(epoch);
      expect((await world.epochs.read.baseOf([A]))[1]).to.equal(1);
    }
    await goTo(world, 6n);
    expect((await world.epochs.read.baseOf([A]))[1]).to.equal(3);
  });

  it("strikes a prior for a unit above or below, for the stake alone, and for a bridge that does not count", async () => {
    const { world, third, plain } = scene;
    let [ignored, saturated, silent] = [0, 0, 0];
    for (const [k, epoch] of third.entries()) {
      const { priors, agents, sourceLeaves } = epoch.snapshot;
      for (const [seat, prior] of priors.entries()) {
        const alone = at(at(plain, k).priors, seat);
        if (seat === 0 || (prior === alone && seat % 3 !== 0 && agents[seat] !== 4 && agents[seat] !== 2)) continue;
        const claims = new Set([prior + 1n, prior - 1n, alone, alone + alone / 2n]);
        for (const claim of claims) {
          if (claim < 0n || claim >= 1n << 48n || claim === prior) continue;
          if (claim === alone) ignored++;
          const undo = await scene.chain.networkHelpers.takeSnapshot();
          const { forged, candidateId } = await commitForged(epoch, seat, claim);
          const challenge = leafChallenge("challengePrior", candidateId, forged, seat);
          expect(await outcomeOf(world, challenge), `topic ${k}, seat ${seat}, ${claim}`).to.equal("struck");
          await undo.restore();
        }
        if (prior === (1n << 48n) - 1n) saturated++;
        if (agents[seat] === 4) {
          expect([prior, at(sourceLeaves, seat)]).to.deep.equal([0n, []]);
          silent++;
        }
      }
    }
    expect(ignored, "that ignore the bridge").to.be.above(8);
    expect(saturated, "at 48 bits").to.be.above(0);
    expect(silent, "without stake").to.be.above(0);
  });

  it("takes one bond for a prior that ignores the bridge, in one transaction", async () => {
    const { world, third, plain } = scene;
    const epoch = at(third, topics.indexOf(A));
    const seat = epoch.snapshot.sourceLeaves.findIndex((leaves) => leaves.length === 2);
    const alone = at(at(plain, topics.indexOf(A)).priors, seat);
    const { forged, candidateId } = await commitForged(epoch, seat, alone);
    const [before] = await world.vault.read.stakeOf([PUBLISHER]);
    await sendChallenge(world, leafChallenge("challengePrior", candidateId, forged, seat));
    const [, , , fault] = await world.epochs.read.candidateOf([candidateId]);
    expect(fault).to.equal(5);
    expect(before - (await world.vault.read.stakeOf([PUBLISHER]))[0]).to.equal(PUBLISHER_BOND);
  });

  it("wants exactly the leaves that count, each proven at the agent's own seat; and the mirror decides alike", async () => {
    const { world, third, plain, first } = scene;
    const candidateId = await commit(world, third, ofPublisher(world));
    const outcomes = new Map<string, number>();
    const bases = byTopic(first);
    for (const [k, epoch] of third.entries()) {
      const { topic, agents, sourceLeaves } = epoch.snapshot;
      const truth = truthOf(at(plain, k), plain, bases);
      const committed = { topic, root: epoch.tree.root, ...epoch.lambda };
      for (let seat = 1; seat < agents.length; seat++) {
        const { name, args } = leafChallenge("challengePrior", candidateId, epoch, seat);
        const shown = at(sourceLeaves, seat);
        const [head, ...tail] = shown;
        const other = at(bases.get(C)?.words ?? [], 1);
        const stray: SourceLeaf = { leaf: other, proof: bases.get(C)?.tree.proof(1) ?? [] };
        const variants: (readonly SourceLeaf[])[] = [shown, [...shown, stray], shown.slice(1), shown.toReversed()];
        if (head !== undefined) {
          variants.push(
            [{ ...head, leaf: head.leaf + (1n << 160n) }, ...tail],
            [{ ...head, proof: head.proof.slice(1) }, ...tail],
          );
          variants.push([stray, ...tail]);
        }
        for (const sources of variants) {
          const challenge: Challenge = { name, args: [...args.slice(0, 5), sources] };
          const outcome = await outcomeOf(world, challenge);
          const [leaf, proof] = [at(epoch.words, seat), epoch.tree.proof(seat)];
          const agentId = at(agents, seat);
          const verdict = judgeChallenge(committed, truth, { kind: "prior", topic, agentId, leaf, proof, sources });
          const mirrored = verdict.kind === "accept" ? "struck" : errorOf.get(verdict.code);
          expect(outcome, `topic ${k}, seat ${seat}, ${sources.length} leaves`).to.equal(mirrored);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
      }
    }
    expect([...outcomes.keys()].sort()).to.deep.equal([...errorOf.values()].sort());
    for (const [outcome, count] of outcomes) expect(count, outcome).to.be.above(20);
  });
});
