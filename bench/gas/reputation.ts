import { encodeAbiParameters, encodeFunctionData, keccak256, maxUint256, pad, toHex, type Hex } from "viem";
import {
  CHUNK_DEPTH,
  CHUNK_LEAVES,
  encodePositions,
  evidenceOf,
  LeafTree,
  OWN_POSITION,
  packLeaf,
  packScoreQuery,
  purposes,
  reportCommitmentOf,
  SHARE_ONE,
  signLogHeader,
  storageSlots,
  topicIdOf,
  type LogHeader,
} from "#protocol";
import type { Result } from "../harness/report.ts";
import { EAS, ERC_8004, PROTOTYPE } from "./peers.ts";
import { deployStakes, EPOCH_LENGTH, FAR, gasResult, proofOf, PUBLISHER_BOND, type Rig, signerAt } from "./rig.ts";

/** Leaves of the measured topic, as in the design's figures. */
const LEAVES = 100_000;
/** Commits before one is measured: past the ring of slots, so that no slot is new any more. */
const WARM_EPOCHS = 6;
const TOPICS = ["a", "b", "c", "d", "e"].map(topicIdOf).sort((a, b) => (a < b ? -1 : 1));
const TOPIC = TOPICS[0] as bigint;
const PUBLISHER = 1;
/** Four topics count in the measured one. */
const COUPLINGS = {
  minClients: 1,
  maxShare: SHARE_ONE / 2,
  links: TOPICS.slice(1).map((from) => ({ to: TOPIC, from, omega: SHARE_ONE / 4 })),
};
/** Agents with rows of 50 and 200 in-neighbours. */
const PROVIDERS = [2, 3] as const;
const FIRST_CLIENT = 4;
const CLIENTS = 249;
const AGENTS = FIRST_CLIENT + CLIENTS - 1;
/** After dust and the two providers. */
const FIRST_SPREAD_SEAT = 3;
const RATING = 80;
/** Of one offence. */
const PENALTY = 1_000_000n;
const SALT = keccak256("0x5a17");
/** StakeVault's. */
const BURN_ACCOUNT = "0x000000000000000000000000000000000000dEaD";

/** A small deterministic generator: the same seats, the same multiproofs, the same gas in each run. */
function createDice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

/** Ledger, vault and epochs with a bonded publisher. The account that records stands where the escrow stands. */
async function createEpochs(rig: Rig) {
  const { viem, token, measure, tick } = rig;
  const owner = signerAt(0).address;
  const { registry, ledger, vault } = await deployStakes(rig);
  await tick();
  const epochs = await viem.deployContract("ReputationEpochs", [
    ledger.address,
    vault.address,
    registry.address,
    PUBLISHER_BOND,
    COUPLINGS,
  ]);
  await tick();
  const evidence = await viem.deployContract("LogEvidence", [registry.address]);
  await tick();
  const slasher = await viem.deployContract("EvidenceSlasher", [vault.address, evidence.address, PENALTY]);
  await measure(() => ledger.write.setRecorders([[owner]]));
  await measure(() => vault.write.setModules([[epochs.address, slasher.address]]));
  await measure(() => token.write.mint([owner, 1n << 100n]));
  await measure(() => token.write.approve([vault.address, maxUint256]));
  // Others were slashed before, here and in each snapshot: what is burned lies there already.
  await measure(() => token.write.mint([BURN_ACCOUNT, 1n]));
  for (let agent = 1; agent <= AGENTS; agent++) await measure(() => registry.write.register());
  const genesis = Number(await ledger.read.genesis());
  const startOf = (epoch: number) => genesis + (epoch - 1) * EPOCH_LENGTH;
  return { ...rig, registry, ledger, vault, epochs, slasher, owner, startOf };
}

type Epochs = Awaited<ReturnType<typeof createEpochs>>;

async function measureStake({ vault, measure }: Epochs): Promise<Result[]> {
  await measure(() => vault.write.stake([PROVIDERS[1], 5_000_000n]));
  const first = await measure(() => vault.write.stake([PUBLISHER, 8n * PUBLISHER_BOND]));
  const more = await measure(() => vault.write.stake([PUBLISHER, 8n * PUBLISHER_BOND]));
  await measure(() => vault.write.stake([PROVIDERS[0], 5_000_000n]));
  return [gasResult("stake.first", first), gasResult("stake.more", more)];
}

/**
 * Moves the topic's next seat on. 100,000 agents take no deals here: the ledger's counter of seats is set by the test chain, so
 * that the tree has its depth and the measured seats lie as far apart as in a topic of that size.
 */
async function setSeatCount({ viem, chain, ledger }: Epochs, count: number, topic = TOPIC): Promise<void> {
  const slot = keccak256(
    encodeAbiParameters([{ type: "uint64" }, { type: "uint256" }], [topic, storageSlots.trustLedger._seats]),
  );
  const client = await viem.getPublicClient();
  const before = BigInt((await client.getStorageAt({ address: ledger.address, slot })) ?? "0x0");
  // Seats: epoch32, then count32 above it.
  const cleared = before & ~(0xffffffffn << 32n);
  await chain.networkHelpers.setStorageAt(
    ledger.address,
    slot,
    pad(toHex(cleared | (BigInt(count) << 32n)), { size: 32 }),
  );
}

/** Fills epoch 1: two providers with rows of 50 and 200 clients whose seats are spread over all of them. */
async function recordRows(world: Epochs): Promise<void> {
  const { ledger, measure } = world;
  const dice = createDice(11);
  const rate = (topic: bigint, client: number, provider: number) =>
    measure(() => ledger.write.record([topic, client, provider, RATING, 0]));
  // The providers take seats 1 and 2 of every topic; the first is the first in-neighbour of the second.
  for (const topic of TOPICS) await rate(topic, PROVIDERS[1], PROVIDERS[0]);
  const spread = Math.floor((LEAVES - FIRST_SPREAD_SEAT) / CLIENTS);
  for (let k = 0; k < CLIENTS; k++) {
    await setSeatCount(world, FIRST_SPREAD_SEAT + k * spread + dice(spread));
    // One in five rates the short row: with the provider above 50 of them, and 200 the long one.
    await rate(TOPIC, FIRST_CLIENT + k, k % 5 === 4 ? PROVIDERS[0] : PROVIDERS[1]);
  }
  for (const topic of TOPICS) await setSeatCount(world, LEAVES, topic);
}

/** Leaves that are wrong in every way there is, so that each challenge strikes; only agents in measured rows are told apart. */
function forgeLeaves(): bigint[] {
  const dice = createDice(13);
  return Array.from({ length: LEAVES }, (_, seat) =>
    packLeaf({
      agentId: AGENTS + 1 + seat,
      score: BigInt(1 + dice(2 ** 31)) << 14n,
      cum: BigInt(dice(2 ** 31)) << 20n,
      prior: BigInt(1 + dice(2 ** 31)),
      rowSum: BigInt(RATING),
    }),
  );
}

/** Commits each epoch what the next ones need. @returns gas of the last commits and finalization, and the last candidate */
async function measureCommits(world: Epochs, root: Hex) {
  const { epochs, measure, skipTo, startOf } = world;
  const lambda = { multiplier: 1n << 62n, shift: 40 };
  const blockHash = keccak256("0x01");
  const roots = TOPICS.map((topic) => ({ topic, root, ...lambda }));
  const commit = (count: number) =>
    measure(() => epochs.write.commit([PUBLISHER, blockHash, roots.slice(0, count), "0x"]));
  let last = { five: 0, one: 0, finalize: 0, epoch: 0 };
  for (let epoch = 2; epoch < 2 + WARM_EPOCHS; epoch++) {
    skipTo(startOf(epoch) + 1);
    const five = await commit(TOPICS.length);
    const one = await commit(1);
    const finalize = epoch < 3 ? 0 : await measure(() => epochs.write.finalize([epoch - 2, [TOPIC]]));
    if (epoch >= 3) await measure(() => epochs.write.finalize([epoch - 2, TOPICS.slice(1)]));
    last = { five, one, finalize, epoch: epoch - 1 };
  }
  return { ...last, candidateId: BigInt(last.epoch) << 32n };
}

async function measureChallenges(
  world: Epochs,
  words: bigint[],
  tree: LeafTree,
  candidateId: bigint,
): Promise<Result[]> {
  const { epochs, chain, ledger, token, measure } = world;
  const account = signerAt(14).address;
  await measure(() => token.write.mint([account, 1n]));
  const { networkHelpers } = chain;
  const struck = async (send: () => Promise<Hex>) => {
    const snapshot = await networkHelpers.takeSnapshot();
    const gas = await measure(send);
    await snapshot.restore();
    return gas;
  };
  /** A challenge as a watcher sends it: reserved in an earlier block, and paid. */
  const strike = async (functionName: StrikeName, args: readonly unknown[]) => {
    const call = encodeFunctionData({ abi: epochs.abi, functionName, args: args as never });
    return await struck(await reserveReport(world, epochs.address, call));
  };
  const at = (seat: number) => words[seat] as bigint;
  const row = async (provider: number) => {
    const [ownSeat, , edges] = await ledger.read.rowAt([TOPIC, provider, 0n, maxUint256]);
    const placed = [
      { seat: ownSeat, position: OWN_POSITION },
      ...edges.map((edge, position) => ({ seat: Number(edge >> 48n), position })),
    ].sort((a, b) => a.seat - b.seat);
    const seats = placed.map(({ seat }) => seat);
    const positions = encodePositions(placed.map(({ position }) => position));
    const args = [candidateId, TOPIC, provider, seats.map(at), positions, tree.multiproof(seats)] as const;
    return { inDegree: edges.length, gas: await strike("challengeRow", args) };
  };
  const [agent] = PROVIDERS;
  const [seat] = await ledger.read.nodeAt([TOPIC, agent]);
  const onSeat = [candidateId, TOPIC, agent, at(seat), tree.proof(seat)] as const;
  /** The provider holds one and the same seat in the four other topics, whose bases have the same leaves. */
  const [sourceSeat] = await ledger.read.nodeAt([TOPICS[1] as bigint, agent]);
  const sources = COUPLINGS.links.map(() => ({ leaf: at(sourceSeat), proof: tree.proof(sourceSeat) }));
  const middle = Math.floor(LEAVES / 2);
  const onSum = [
    candidateId,
    TOPIC,
    BigInt(middle),
    at(middle),
    at(middle + 1),
    tree.proof(middle),
    tree.proof(middle + 1),
  ] as const;
  const onEdge = [candidateId, TOPIC, true, at(LEAVES - 1), tree.proof(LEAVES - 1)] as const;
  const rows = [await row(PROVIDERS[0]), await row(PROVIDERS[1])];
  const rowGoals = [750_000, 2_400_000];
  const rowPeers = [720_000, 2_260_000];
  return [
    ...rows.map(({ inDegree, gas }, k) =>
      gasResult(`epochs.challenge-row.in-degree-${inDegree}`, gas, {
        goal: rowGoals[k] ?? null,
        peers: { [PROTOTYPE]: rowPeers[k] ?? 0 },
        note: "100,000 leaves, slash included",
      }),
    ),
    gasResult("epochs.challenge-seat", await strike("challengeSeat", onSeat), {
      goal: 60_000,
      peers: { [PROTOTYPE]: 52_766 },
    }),
    gasResult("epochs.challenge-sum", await strike("challengeSum", onSum), {
      goal: 70_000,
      peers: { [PROTOTYPE]: 67_450 },
    }),
    gasResult("epochs.challenge-edge", await strike("challengeEdge", onEdge)),
    gasResult("epochs.challenge-prior.5-topics", await strike("challengePrior", [...onSeat, sources]), {
      goal: 200_000,
      peers: { [`${PROTOTYPE}, 5 topics`]: 169_440 },
      note: "four sources of 100,000 leaves, read from the bases before those finalized in the same epoch",
    }),
  ];
}

type StrikeName = "challengeRow" | "challengeSeat" | "challengeSum" | "challengeEdge" | "challengePrior";

/** Reserves a report for the account that measures. @returns what sends it */
async function reserveReport({ vault, measure }: Epochs, module: Hex, call: Hex): Promise<() => Promise<Hex>> {
  const account = signerAt(14).address;
  const commitment = reportCommitmentOf({ reporter: account, module, call, salt: SALT });
  await measure(() => vault.write.reserve([commitment], { account }));
  return () => vault.write.report([module, call, SALT], { account });
}

/** Two headers of one log and seq, signed by the publisher's LOG key, in one report. */
async function measureEvidence(world: Epochs): Promise<Result[]> {
  const { registry, slasher, vault, chainId, owner, measure, now } = world;
  const signer = signerAt(11);
  const proof = proofOf(world, BigInt(PUBLISHER), owner, signer);
  const bound = [BigInt(PUBLISHER), signer.address, purposes.log, 0, 0, FAR, proof] as const;
  await measure(() => registry.write.bindSigner(bound));
  const contracts = { chainId, identityRegistry: registry.address, dealEscrow: registry.address };
  const headerOf = (body: Hex) => {
    const header: LogHeader = {
      ...{ version: 1, kind: 1, log: signer.address, seq: 7, prev: keccak256("0x07"), bodyHash: keccak256(body) },
      ...{ bodyLength: 300, timeMs: now() * 1000, ttl: 3_600, tags: 0n, sketch: keccak256(`${body}00`) },
    };
    return evidenceOf(signLogHeader(header, signer, contracts));
  };
  const args = [headerOf("0x01"), headerOf("0x02")] as const;
  const call = encodeFunctionData({ abi: slasher.abi, functionName: "reportEquivocation", args });
  const reserve = await measure(() => vault.write.reserve([keccak256("0xc0")]));
  const report = await measure(await reserveReport(world, slasher.address, call));
  return [
    gasResult("stake.reserve-report", reserve),
    gasResult("stake.slash-equivocation", report, {
      goal: 120_000,
      note: "reserved, reporter paid, the rest burned; reporter and burn account hold tokens already",
    }),
  ];
}

/** Unavailable leaves: one chunk asked for and shown. */
async function measureAvailability(
  world: Epochs,
  words: bigint[],
  tree: LeafTree,
  candidateId: bigint,
): Promise<Result[]> {
  const { epochs, viem, measure } = world;
  const account = signerAt(14).address;
  const { baseFeePerGas } = await (await viem.getPublicClient()).getBlock();
  // The fee follows the base fee of the block that comes, which moves by an eighth at most.
  const value = await epochs.read.requestFeeAt([2n * (baseFeePerGas ?? 0n)]);
  const chunk = 3;
  const on = [candidateId, TOPIC, BigInt(chunk)] as const;
  const leaves = words.slice(chunk * CHUNK_LEAVES, (chunk + 1) * CHUNK_LEAVES);
  const request = await measure(() => epochs.write.requestLeaves(on, { account, value }));
  const answer = await measure(() => epochs.write.answerLeaves([...on, leaves, tree.subtreeProof(chunk, CHUNK_DEPTH)]));
  return [gasResult("epochs.request-leaves", request), gasResult("epochs.answer-256-leaves", answer)];
}

async function measureVerification(world: Epochs, words: bigint[], tree: LeafTree, epoch: number): Promise<number> {
  const { epochs, viem, measure } = world;
  const index = Math.floor(LEAVES / 3);
  const query = packScoreQuery({ topic: TOPIC, epoch, index });
  const args = [query, words[index] as bigint, tree.proof(index)] as const;
  const to = epochs.address;
  const calldata = encodeFunctionData({ abi: epochs.abi, functionName: "verifyScore", args });
  const wallet = await viem.getWalletClient(signerAt(13).address);
  return measure(() => wallet.sendTransaction({ to, data: calldata }));
}

/** Stake, commits, challenges and score checks, on a topic of 100,000 seats. */
export async function measureReputation(rig: Rig): Promise<Result[]> {
  const world = await createEpochs(rig);
  const stakes = await measureStake(world);
  await recordRows(world);
  const words = forgeLeaves();
  const tree = new LeafTree(words);
  const committed = await measureCommits(world, tree.root);
  const challenges = await measureChallenges(world, words, tree, committed.candidateId);
  const evidence = await measureEvidence(world);
  const availability = await measureAvailability(world, words, tree, committed.candidateId);
  world.skipTo(world.startOf(committed.epoch + 2));
  const finalize = await world.measure(() => world.epochs.write.finalize([committed.epoch, [TOPIC]]));
  const released = await world.measure(() => world.epochs.write.releaseBond([committed.candidateId]));
  const verification = await measureVerification(world, words, tree, committed.epoch);
  return [
    ...stakes,
    gasResult("epochs.commit.1-topic", committed.one, {
      goal: 50_000,
      peers: { [PROTOTYPE]: 46_110, [`${EAS} timestamp`]: 45_869 },
      note: "steady state: slots and bond of an earlier epoch are used again",
    }),
    gasResult("epochs.commit.5-topics", committed.five, {
      goal: 50_000 + 4 * 13_000,
      peers: { [PROTOTYPE]: 95_310 },
      note: "as above",
    }),
    gasResult("epochs.finalize.1-topic", finalize),
    gasResult("epochs.verify-score", verification, {
      goal: 45_000,
      peers: { [PROTOTYPE]: 44_590, [`${ERC_8004} getSummary over 500 clients`]: 4_670_000 },
      note: "100,000 leaves, whole transaction",
    }),
    gasResult("epochs.release-bond", released),
    ...challenges,
    ...availability,
    ...evidence,
  ];
}
