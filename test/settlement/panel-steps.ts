// The steps that every test of a JurorPanel takes: draw by the seed block's header, seal and open votes, wait.
import type { network } from "hardhat";
import { encodeAbiParameters, keccak256, numberToHex, type Address, type Hex } from "viem";
import { encodeHeader } from "#protocol";

type Connection = Awaited<ReturnType<typeof network.create>>;
const panelAt = ({ viem }: Connection, address: Address) => viem.getContractAt("JurorPanel", address);

/** A panel whose jurors are all of one owner; anybody opens votes. */
export interface Bench {
  readonly panel: Awaited<ReturnType<typeof panelAt>>;
  readonly client: Awaited<ReturnType<Connection["viem"]["getPublicClient"]>>;
  readonly owner: Address;
  readonly stranger: Address;
}

export const SALT = numberToHex(77, { size: 32 });

/** As `commitVote` takes it. */
export const commitmentOf = (id: bigint, round: number, agent: number, choice: number): Hex =>
  keccak256(
    encodeAbiParameters(
      [{ type: "uint256" }, { type: "uint256" }, { type: "uint32" }, { type: "uint256" }, { type: "bytes32" }],
      [id, BigInt(round), agent, BigInt(choice), SALT],
    ),
  );

/** RLP of a block's header. */
export async function headerOf({ client }: Pick<Bench, "client">, blockNumber: bigint): Promise<Hex> {
  const block = await client.request({
    method: "eth_getBlockByNumber",
    params: [numberToHex(blockNumber), false],
  });
  return encodeHeader(block as unknown as Record<string, unknown>);
}

/** The votes of jurors in their order: a choice, null = sealed and never opened, undefined = silent. */
export const ballot = (jurors: readonly number[], choices: readonly (number | null | undefined)[]) =>
  new Map(jurors.flatMap((agent, k) => (choices[k] === undefined ? [] : [[agent, choices[k] ?? null] as const])));

/** The steps on one chain. */
export function createPanelSteps({ networkHelpers }: Connection) {
  const lastRoundOf = async ({ panel }: Bench, id: bigint) => Number((await panel.read.disputeOf([id]))[2]) - 1;

  /** Mines up to the seed block, and draws. @returns the jurors */
  async function draw(bench: Bench, id: bigint): Promise<readonly number[]> {
    const { panel, client } = bench;
    const round = BigInt(await lastRoundOf(bench, id));
    const [, seedBlock] = await panel.read.roundOf([id, round]);
    const missing = Number(seedBlock - (await client.getBlockNumber()));
    if (missing > 0) await networkHelpers.mine(missing);
    await panel.write.draw([id, await headerOf(bench, seedBlock)]);
    return (await panel.read.roundOf([id, round]))[0];
  }

  /** Commits and reveals; null = commits and does not reveal. Ends at the end of revealing. */
  async function vote(bench: Bench, id: bigint, votes: ReadonlyMap<number, number | null>): Promise<void> {
    const { panel, owner, stranger } = bench;
    const round = await lastRoundOf(bench, id);
    const [, , commitUntil, revealUntil] = await panel.read.roundOf([id, BigInt(round)]);
    for (const [agent, choice] of votes) {
      await panel.write.commitVote([id, agent, commitmentOf(id, round, agent, choice ?? 1)], { account: owner });
    }
    await networkHelpers.time.increaseTo(commitUntil);
    for (const [agent, choice] of votes) {
      if (choice !== null) await panel.write.revealVote([id, agent, BigInt(choice), SALT], { account: stranger });
    }
    await networkHelpers.time.increaseTo(revealUntil);
  }

  /** Goes to the end of the last round's time for appeals. */
  async function closeAppeals(bench: Bench, id: bigint): Promise<void> {
    const round = BigInt(await lastRoundOf(bench, id));
    await networkHelpers.time.increaseTo((await bench.panel.read.roundOf([id, round]))[4]);
  }

  return { draw, vote, closeAppeals };
}
