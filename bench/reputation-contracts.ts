// Gas of the reputation contracts, each figure from one real transaction on a fresh chain. Run it on the production
// profile: `hardhat build --build-profile production && node bench/reputation-contracts.ts`.
// 100,000 seats are not taken one by one: the count of seats in the ledger's storage is moved forward before each new
// client, so that the in-neighbours of one row spread over the whole tree; everything else takes the usual path.
import { fileURLToPath } from "node:url";
import { network } from "hardhat";
import {
  concatHex,
  encodeAbiParameters,
  encodeFunctionData,
  hexToBytes,
  keccak256,
  numberToHex,
  stringToHex,
  type Hex,
} from "viem";
import { LeafTree, packLeaf, packScoreQuery, storageSlots, topicIdOf } from "#protocol";

/** One measured transaction. */
export interface GasFigure {
  readonly id: string;
  /** Gas used by the whole transaction. */
  readonly gas: number;
  /** Without the 21,000 of a transaction and its calldata at standard price. */
  readonly beyondBase: number;
  /** Of osaka's calldata floor (EIP-7623); equal to `gas` where it decides. */
  readonly floor: number;
}

const EPOCH_LENGTH = 86_400;
const BOND = 1_000_000n;
const LEAF_COUNT = 100_000;
const PUBLISHER = 1;
const PROVIDER = 7;
const OWN_POSITION = 0xffff;
const LAMBDA = { multiplier: 0x4a5b_6c7d_8e9f_a0b1n, shift: 40 };

/** Every leaf of a tree that no ledger stands behind: distinct bytes as real ones have, scores of the size of a mean share. */
function syntheticLeaves(count: number): bigint[] {
  const mean = (1n << 62n) / BigInt(count);
  let cum = 0n;
  return Array.from({ length: count }, (_, seat) => {
    const noise = BigInt(keccak256(numberToHex(seat + 1)));
    const score = noise % (2n * mean);
    const leaf = { agentId: seat, score, cum, prior: noise % (1n << 30n), rowSum: 1n + (noise % 5_000n) };
    cum += score;
    return packLeaf(leaf);
  });
}

async function createBench() {
  const { viem, networkHelpers } = await network.create();
  const client = await viem.getPublicClient();
  const [deployer, challenger] = await viem.getWalletClients();
  if (deployer === undefined || challenger === undefined) throw new Error("the chain has too few accounts");
  const registry = await viem.deployContract("IdentityRegistry");
  const token = await viem.deployContract("TestToken");
  const ledger = await viem.deployContract("TrustLedger", [BigInt(EPOCH_LENGTH), registry.address]);
  const vaultArgs = [token.address, registry.address, ledger.address, 2 * EPOCH_LENGTH] as const;
  const vault = await viem.deployContract("StakeVault", vaultArgs);
  const epochsArgs = [ledger.address, vault.address, registry.address, BOND] as const;
  const epochs = await viem.deployContract("ReputationEpochs", epochsArgs);
  await ledger.write.setRecorders([[deployer.account.address]]);
  await vault.write.setModules([[epochs.address]]);
  await registry.write.register([""]);
  await token.write.mint([deployer.account.address, 1n << 64n]);
  // The challenger and the burn account hold the token already: a first holding costs 17,100 more.
  await token.write.mint([challenger.account.address, 1n]);
  await token.write.mint(["0x000000000000000000000000000000000000dEaD", 1n]);
  await token.write.approve([vault.address, 1n << 64n]);
  await vault.write.stake([PUBLISHER, 1_000n * BOND]);
  const genesis = await ledger.read.genesis();

  const figures: GasFigure[] = [];
  const measure = async (id: string, sent: Promise<Hex>) => {
    const { gasUsed, transactionHash } = await client.getTransactionReceipt({ hash: await sent });
    const { input } = await client.getTransaction({ hash: transactionHash });
    const nonZero = hexToBytes(input).filter((byte) => byte !== 0).length;
    const zero = hexToBytes(input).length - nonZero;
    const gas = Number(gasUsed);
    const beyondBase = gas - 21_000 - 16 * nonZero - 4 * zero;
    figures.push({ id, gas, beyondBase, floor: 21_000 + 40 * nonZero + 10 * zero });
  };
  const goTo = (epoch: number) => networkHelpers.time.increaseTo(genesis + BigInt((epoch - 1) * EPOCH_LENGTH));
  const setSeats = async (topic: bigint, count: number) => {
    const key = [{ type: "uint64" }, { type: "uint256" }] as const;
    const slot = keccak256(encodeAbiParameters(key, [topic, storageSlots.trustLedger._seats]));
    await networkHelpers.setStorageAt(ledger.address, slot, (await ledger.read.epoch()) | (BigInt(count) << 32n));
  };
  const record = (topic: bigint, from: number, to: number) => ledger.write.record([topic, from, to, 87, 0]);
  return { client, networkHelpers, deployer, challenger, ledger, epochs, figures, measure, goTo, setSeats, record };
}

type Bench = Awaited<ReturnType<typeof createBench>>;

async function measureRecords({ measure, record, goTo }: Bench): Promise<void> {
  const topic = topicIdOf("code_review_security");
  await measure("record: both agents new", record(topic, 1, 2));
  await record(topic, 3, 4);
  await record(topic, 5, 2);
  await measure("record: new pair of known agents", record(topic, 3, 2));
  await measure("record: new pair, provider's first in-neighbour", record(topic, 4, 1));
  await measure("record: known pair, same epoch", record(topic, 1, 2));
  await goTo(2);
  await measure("record: known pair, later epoch", record(topic, 1, 2));
  await measure("record: new pair of known agents, later epoch", record(topic, 4, 2));
}

const fiveTopics = [1n, 2n, 3n, 4n, 5n].map((n) => topicIdOf(`topic ${n}`)).sort((a, b) => (a < b ? -1 : 1));

/** In epochs 3 to 12: the ring's slots are new in the first four, then rewritten. */
async function measureCommits({ epochs, measure, record, goTo }: Bench): Promise<void> {
  for (const topic of fiveTopics) await record(topic, 1, 2);
  const commit = (count: number) => {
    const topics = fiveTopics.slice(0, count).map((topic) => ({ topic, root: hash(`root ${topic}`), ...LAMBDA }));
    return epochs.write.commit([PUBLISHER, hash("closing block"), topics, "0x"]);
  };
  await goTo(3);
  await measure("commit: 5 topics, first time", commit(5));
  for (let epoch = 4; epoch < 7; epoch++) {
    await goTo(epoch);
    await commit(5);
  }
  await goTo(7);
  await measure("commit: 5 topics, steady", commit(5));
  await goTo(8);
  await measure("commit: 1 topic, steady", commit(1));
}

/** One row of a tree of LEAF_COUNT leaves: the provider and in-neighbours at seats all over the tree. */
async function seatRow({ setSeats, record, ledger }: Bench, topic: bigint, inDegree: number) {
  const step = Math.floor((LEAF_COUNT - 2) / inDegree);
  const clients = Array.from({ length: inDegree }, (_, k) => ({ agentId: 1_000 + k, seat: 2 + k * step + (k % 7) }));
  for (const { agentId, seat } of clients) {
    await setSeats(topic, seat);
    await record(topic, agentId, PROVIDER);
  }
  await setSeats(topic, LEAF_COUNT);
  const [ownSeat] = await ledger.read.nodeAt([topic, PROVIDER]);
  const placed = [
    ...clients.map(({ seat }, position) => ({ seat, position })),
    { seat: ownSeat, position: OWN_POSITION },
  ].sort((a, b) => a.seat - b.seat);
  return { ownSeat, placed };
}

async function measureChallenges(bench: Bench): Promise<void> {
  const { client, epochs, measure, goTo, networkHelpers, deployer, challenger } = bench;
  const words = syntheticLeaves(LEAF_COUNT);
  const broken = 7_777;
  words[broken] = wordAt(words, broken) + (1n << 96n);
  const tree = new LeafTree(words);
  const rows = [];
  for (const inDegree of [50, 100, 200]) {
    const topic = topicIdOf(`in-degree ${inDegree}`);
    rows.push({ inDegree, topic, ...(await seatRow(bench, topic, inDegree)) });
  }
  rows.sort((a, b) => (a.topic < b.topic ? -1 : 1));
  await goTo(9);
  const topics = rows.map(({ topic }) => ({ topic, root: tree.root, ...LAMBDA }));
  await epochs.write.commit([PUBLISHER, hash("closing block"), topics, "0x"]);
  const candidateId = 8n << 32n;
  const standing = await networkHelpers.takeSnapshot();
  const from = { account: challenger.account.address };
  const strike = async (id: string, send: () => Promise<Hex>) => {
    await measure(id, send());
    await standing.restore();
  };
  for (const { inDegree, topic, placed } of rows) {
    const seats = placed.map(({ seat }) => seat);
    const positions = concatHex(placed.map(({ position }) => numberToHex(position, { size: 2 })));
    const leaves = seats.map((seat) => wordAt(words, seat));
    await strike(`row challenge, in-degree ${inDegree}`, () =>
      epochs.write.challengeRow([candidateId, topic, PROVIDER, leaves, positions, tree.multiproof(seats)], from),
    );
  }
  const [{ topic, ownSeat } = { topic: 0n, ownSeat: 0 }] = rows;
  const own = [candidateId, topic, PROVIDER, wordAt(words, ownSeat), tree.proof(ownSeat)] as const;
  await strike("seat challenge", () => epochs.write.challengeSeat(own, from));
  await strike("prior challenge", () => epochs.write.challengePrior(own, from));
  const index = broken - 1;
  const [leaf, next] = [wordAt(words, index), wordAt(words, broken)];
  const sum = [candidateId, topic, BigInt(index), leaf, next, tree.proof(index), tree.proof(broken)] as const;
  await strike("sum challenge", () => epochs.write.challengeSum(sum, from));
  const last = LEAF_COUNT - 1;
  const edge = [candidateId, topic, true, wordAt(words, last), tree.proof(last)] as const;
  await strike("edge challenge", () => epochs.write.challengeEdge(edge, from));

  const { baseFeePerGas } = await client.getBlock();
  const value = await epochs.read.requestFeeAt([2n * (baseFeePerGas ?? 0n)]);
  await measure("request for 256 leaves", epochs.write.requestLeaves([candidateId, topic, 3n], { ...from, value }));
  const chunk = words.slice(768, 1_024);
  const path = tree.subtreeProof(3, 8);
  await measure("answer with 256 leaves", epochs.write.answerLeaves([candidateId, topic, 3n, chunk, path]));

  await goTo(10);
  await measure("finalize 1 topic", epochs.write.finalize([8, [topic]]));
  const query = packScoreQuery({ topic, epoch: 8, index: 54_321 });
  const args = [query, wordAt(words, 54_321), tree.proof(54_321)] as const;
  const data = encodeFunctionData({ abi: epochs.abi, functionName: "verifyScore", args });
  await measure("verifyScore, depth 17", deployer.sendTransaction({ to: epochs.address, data }));
  await measure("release a bond", epochs.write.releaseBond([candidateId]));
}

function hash(text: string): Hex {
  return keccak256(stringToHex(text));
}

function wordAt(words: readonly bigint[], index: number): bigint {
  const word = words[index];
  if (word === undefined) throw new Error(`no leaf ${index}`);
  return word;
}

/** Measures all figures on a chain of its own. */
export async function measureReputationContracts(): Promise<readonly GasFigure[]> {
  const bench = await createBench();
  await measureRecords(bench);
  await measureCommits(bench);
  await measureChallenges(bench);
  return bench.figures;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.table(await measureReputationContracts());
