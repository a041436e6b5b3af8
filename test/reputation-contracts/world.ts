// A chain with the real registry, token, ledger, vault and epochs. The first Hardhat accounts (public test mnemonic) act;
// the recorder stands where DealEscrow stands in a deployment.
import type { network } from "hardhat";
import {
  bytesToHex,
  concat,
  decodeErrorResult,
  encodeFunctionData,
  ContractFunctionRevertedError,
  BaseError,
  numberToHex,
  parseEventLogs,
  type Hex,
} from "viem";
import {
  encodeLeaves,
  noCouplings,
  reportCommitmentOf,
  reputationEpochsAbi,
  stakeVaultAbi,
  type Couplings,
} from "#protocol";
import { at, type Epoch, type TrustGraph } from "./trust-graph.ts";

export type Chain = Awaited<ReturnType<typeof network.create>>;

export const EPOCH_LENGTH = 86_400n;
export const PUBLISHER_BOND = 5_000_000n;
export const BURN_ACCOUNT = "0x000000000000000000000000000000000000dEaD";
const OWN_POSITION = 0xffff;

/** @param couplings of the topics; none: each stands alone */
export async function deployWorld({ viem, networkHelpers }: Chain, couplings: Couplings = noCouplings) {
  const [, recorder, owner, publisher, rival, challenger, stranger] = await viem.getWalletClients();
  const registry = await viem.deployContract("IdentityRegistry");
  const token = await viem.deployContract("TestToken");
  const ledger = await viem.deployContract("TrustLedger", [EPOCH_LENGTH, registry.address]);
  const vaultArgs = [token.address, registry.address, ledger.address, Number(2n * EPOCH_LENGTH)] as const;
  const vault = await viem.deployContract("StakeVault", vaultArgs);
  const epochsArgs = [ledger.address, vault.address, registry.address, PUBLISHER_BOND, couplings] as const;
  const epochs = await viem.deployContract("ReputationEpochs", epochsArgs);
  await ledger.write.setRecorders([[account(recorder)]]);
  await vault.write.setModules([[epochs.address]]);
  await token.write.mint([account(owner), 1n << 100n]);
  await token.write.approve([vault.address, 1n << 100n], { account: account(owner) });
  const genesis = await ledger.read.genesis();
  const accounts = {
    recorder: account(recorder),
    owner: account(owner),
    publisher: account(publisher),
    rival: account(rival),
    challenger: account(challenger),
    stranger: account(stranger),
  };
  const client = await viem.getPublicClient();
  const wallet = await viem.getWalletClient(accounts.challenger);
  return {
    viem,
    networkHelpers,
    client,
    challenger: wallet,
    registry,
    token,
    ledger,
    vault,
    epochs,
    genesis,
    accounts,
  };
}

function account(wallet: { account: { address: Hex } } | undefined): Hex {
  if (wallet === undefined) throw new Error("the chain has too few accounts");
  return wallet.account.address;
}

export type World = Awaited<ReturnType<typeof deployWorld>>;

/** Registers agents for an account; ids ascend. */
export async function registerAgents(world: World, owner: Hex, count: number): Promise<void> {
  for (let k = 0; k < count; k++) await world.registry.write.register([""], { account: owner });
}

/** Stakes from the owner's purse for any agent. */
export async function stake(world: World, agentId: number, amount: bigint): Promise<void> {
  await world.vault.write.stake([agentId, amount], { account: world.accounts.owner });
}

/** Records on chain and in the graph. */
export async function record(
  world: World,
  graph: TrustGraph,
  [client, provider, satisfied, unsatisfied]: readonly [number, number, number, number],
): Promise<void> {
  await world.ledger.write.record([graph.topic, client, provider, satisfied, unsatisfied], {
    account: world.accounts.recorder,
  });
  graph.record(client, provider, satisfied, unsatisfied);
}

/** Goes to a fraction of an epoch, in twelfths of its length. */
export async function goTo(world: World, epoch: bigint, twelfths = 0n): Promise<void> {
  await world.networkHelpers.time.increaseTo(
    world.genesis + (epoch - 1n) * EPOCH_LENGTH + (EPOCH_LENGTH * twelfths) / 12n,
  );
}

export interface CommitOptions {
  readonly publisher: number;
  readonly account: Hex;
  readonly withLeaves?: boolean;
}

/** @returns the candidate's id */
export async function commit(world: World, epochs: readonly Epoch[], options: CommitOptions): Promise<bigint> {
  const leaves = options.withLeaves === true ? concat(epochs.map((e) => bytesToHex(encodeLeaves(e.words)))) : "0x";
  const hash = await world.epochs.write.commit(
    [options.publisher, numberToHex(1, { size: 32 }), epochs.map(topicRootOf), leaves],
    { account: options.account },
  );
  const { logs } = await world.client.getTransactionReceipt({ hash });
  const [committed] = parseEventLogs({ abi: world.epochs.abi, logs, eventName: "EpochCommitted" });
  return at([committed], 0)?.args.candidateId ?? 0n;
}

export function topicRootOf({ snapshot, tree, lambda }: Epoch) {
  return { topic: snapshot.topic, root: tree.root, multiplier: lambda.multiplier, shift: lambda.shift };
}

/** One challenge: a function of IReputationEpochs and its arguments. */
export interface Challenge {
  readonly name: "challengeRow" | "challengeSum" | "challengeEdge" | "challengeSeat" | "challengePrior";
  readonly args: readonly unknown[];
}

export function rowChallenge(candidateId: bigint, epoch: Epoch, seat: number): Challenge {
  const { snapshot, words, tree } = epoch;
  const placed = [
    { seat, position: OWN_POSITION },
    ...at(snapshot.rows, seat).map(({ clientSeat }, position) => ({ seat: clientSeat, position })),
  ].sort((a, b) => a.seat - b.seat);
  const positions = concat(placed.map(({ position }) => numberToHex(position, { size: 2 })));
  const seats = placed.map((leaf) => leaf.seat);
  const leaves = seats.map((index) => at(words, index));
  const agentId = at(snapshot.agents, seat);
  return {
    name: "challengeRow",
    args: [candidateId, snapshot.topic, agentId, leaves, positions, tree.multiproof(seats)],
  };
}

export function leafChallenge(
  name: "challengeSeat" | "challengePrior",
  candidateId: bigint,
  { snapshot, words, tree }: Epoch,
  seat: number,
): Challenge {
  const agentId = at(snapshot.agents, seat);
  const sources = name === "challengePrior" ? [at(snapshot.sourceLeaves, seat)] : [];
  return { name, args: [candidateId, snapshot.topic, agentId, at(words, seat), tree.proof(seat), ...sources] };
}

export function sumChallenge(candidateId: bigint, { snapshot, words, tree }: Epoch, index: number): Challenge {
  const [leaf, next] = [at(words, index), at(words, index + 1)];
  return {
    name: "challengeSum",
    args: [candidateId, snapshot.topic, BigInt(index), leaf, next, tree.proof(index), tree.proof(index + 1)],
  };
}

export function edgeChallenge(candidateId: bigint, { snapshot, words, tree }: Epoch, isLast: boolean): Challenge {
  const index = isLast ? words.length - 1 : 0;
  return { name: "challengeEdge", args: [candidateId, snapshot.topic, isLast, at(words, index), tree.proof(index)] };
}

/** Every challenge that there is against the leaves of one topic. */
export function allChallenges(candidateId: bigint, epoch: Epoch): Challenge[] {
  const seats = epoch.words.map((_, seat) => seat).slice(1);
  return [
    edgeChallenge(candidateId, epoch, false),
    edgeChallenge(candidateId, epoch, true),
    ...seats.map((seat) => sumChallenge(candidateId, epoch, seat - 1)),
    ...seats.map((seat) => leafChallenge("challengeSeat", candidateId, epoch, seat)),
    ...seats.map((seat) => leafChallenge("challengePrior", candidateId, epoch, seat)),
    ...seats.map((seat) => rowChallenge(candidateId, epoch, seat)),
  ];
}

/** @returns the name of the error that a call ends in, or "struck" */
export async function outcomeOf(world: World, { name, args }: Challenge): Promise<string> {
  try {
    await world.client.simulateContract({ ...callOf(world, name, args), account: world.accounts.challenger });
    return "struck";
  } catch (error) {
    return errorNameOf(error);
  }
}

/** Reserves a challenge, and sends it in the next block. @returns hash of the transaction that strikes */
export async function sendChallenge(world: World, { name, args }: Challenge): Promise<Hex> {
  return await sendReport(world, world.accounts.challenger, name, args);
}

/** Any call of the epochs that strikes, reserved by this account one block before. */
export async function sendReport(
  { vault, epochs }: World,
  reporter: Hex,
  functionName: Challenge["name"] | "challengeLongRow" | "strikeUnavailable",
  args: readonly unknown[],
): Promise<Hex> {
  const call = encodeFunctionData({ abi: epochs.abi, functionName, args: args as never });
  const salt = numberToHex(7, { size: 32 });
  const account = { account: reporter };
  await vault.write.reserve([reportCommitmentOf({ reporter, module: epochs.address, call, salt })], account);
  return await vault.write.report([epochs.address, call, salt], account);
}

/** The arguments were built beside the name: the compiler need not relate them once more. */
function callOf(world: World, functionName: Challenge["name"], args: readonly unknown[]) {
  return { address: world.epochs.address, abi: world.epochs.abi, functionName, args: args as never };
}

/** @returns the name of the custom error that a call or a transaction reverted with; throws what is not a revert */
export function errorNameOf(error: unknown): string {
  if (!(error instanceof BaseError)) throw error;
  const reverted = error.walk((e) => e instanceof ContractFunctionRevertedError);
  if (reverted instanceof ContractFunctionRevertedError && reverted.data !== undefined) return reverted.data.errorName;
  // An error of a contract behind the called one is not in its ABI; the chain names it in its message.
  const text = `${error.message}\n${error.details}`;
  const named = /reverted with custom error '(\w+)\(/.exec(text);
  if (named?.[1] !== undefined) return named[1];
  // Instrumented for coverage, it has the bytes only.
  const bytes = /return data: (0x[0-9a-f]+)/.exec(text);
  if (bytes?.[1] === undefined) throw error;
  return decodeErrorResult({ abi: [...reputationEpochsAbi, ...stakeVaultAbi], data: bytes[1] as Hex }).errorName;
}
