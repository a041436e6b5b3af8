import { encodeAbiParameters, encodeFunctionData, keccak256, maxUint256, toHex, zeroAddress, type Hex } from "viem";
import { dealIdOf, encodeHeader, reportCommitmentOf, type Deal } from "#protocol";
import type { Result } from "../harness/report.ts";
import { createMarket } from "./deals.ts";
import { EPOCH_LENGTH, gasResult, PUBLISHER_BOND, signerAt, type Rig } from "./rig.ts";

const JUROR_BOND = 1_000_000n;
const JUROR_FEE = 10n ** 15n;
const PERIOD = 3_600;
const JURORS = 5;
const SEATS = 3;
/** Fixed, so that each run draws the same jurors in as many attempts. */
const RANDOMNESS = 7;
const FOR_CLIENT = 1n;
const SALT = keccak256("0x5a17");
/** Agents of the market's four accounts come first. */
const FIRST_JUROR = 5;
/** Accounts of the public test mnemonic: four of the market, who accuses, and who owns the jurors. */
const [MARKET, ACCUSER, JURY] = [9, signerAt(14).address, signerAt(15).address];

/** A market of its own whose arbiter is a panel of bonded jurors, and whose providers' stake answers for its rulings. */
async function createCourt(rig: Rig) {
  const { viem, token, tick, measure } = rig;
  await tick();
  const registry = await viem.deployContract("IdentityRegistry");
  const market = await createMarket({ ...rig, registry }, MARKET);
  const escrow = await viem.getContractAt("DealEscrow", market.escrow);
  const disputes = await viem.getContractAt("DealDisputes", await escrow.read.disputes());
  await tick();
  const vaultArgs = [token.address, registry.address, await escrow.read.ledger(), 3 * EPOCH_LENGTH] as const;
  const vault = await viem.deployContract("StakeVault", vaultArgs);
  await tick();
  const panelArgs = [vault.address, zeroAddress, JUROR_BOND, JUROR_FEE, PERIOD] as const;
  const panel = await viem.deployContract("JurorPanel", panelArgs);
  await tick();
  const slasherArgs = [vault.address, disputes.address, panel.address, PUBLISHER_BOND, PUBLISHER_BOND] as const;
  const slasher = await viem.deployContract("RulingSlasher", slasherArgs);
  await measure(() => vault.write.setModules([[panel.address, slasher.address]]));
  for (const account of [ACCUSER, JURY]) {
    await measure(() => token.write.mint([account, 1n << 64n]));
    for (const spender of [vault.address, slasher.address])
      await measure(() => token.write.approve([spender, maxUint256], { account }));
  }
  const jury = { account: JURY };
  let enlisting = 0;
  for (let agentId = FIRST_JUROR; agentId < FIRST_JUROR + JURORS; agentId++) {
    await measure(() => registry.write.register({ account: JURY }));
    await measure(() => vault.write.stake([agentId, 9n * JUROR_BOND], jury));
    enlisting = await measure(() => panel.write.enlist([agentId, 9n * JUROR_BOND], jury));
  }
  const provider = Number(market.provider.agentId);
  await measure(() => vault.write.stake([provider, 9n * PUBLISHER_BOND], jury));
  return { ...rig, market, disputes, vault, panel, slasher, enlisting };
}

type Court = Awaited<ReturnType<typeof createCourt>>;

/** Goes to the seed block, and draws by its header. */
async function draw({ viem, chain, panel, tick, measure }: Court, id: bigint): Promise<number> {
  const client = await viem.getPublicClient();
  const [, seedBlock] = await panel.read.roundOf([id, 0n]);
  await chain.networkHelpers.setPrevRandao(RANDOMNESS);
  while ((await client.getBlockNumber()) < seedBlock) {
    await tick();
    await chain.networkHelpers.mine();
    await chain.networkHelpers.setPrevRandao(RANDOMNESS);
  }
  const block = await client.request({ method: "eth_getBlockByNumber", params: [toHex(seedBlock), false] });
  const header = encodeHeader(block as unknown as Record<string, unknown>);
  return measure(() => panel.write.draw([id, header]));
}

/** All jurors vote for the client. @returns the gas of the last vote's two transactions */
async function vote({ panel, measure, skipTo }: Court, id: bigint) {
  const [jurors, , commitUntil, revealUntil] = await panel.read.roundOf([id, 0n]);
  if (jurors.length !== SEATS) throw new Error(`${jurors.length} jurors were drawn instead of ${SEATS}`);
  let [commit, reveal] = [0, 0];
  for (const juror of jurors) {
    const envelope = keccak256(
      encodeAbiParameters(
        [{ type: "uint256" }, { type: "uint256" }, { type: "uint32" }, { type: "uint256" }, { type: "bytes32" }],
        [id, 0n, juror, FOR_CLIENT, SALT],
      ),
    );
    commit = await measure(() => panel.write.commitVote([id, juror, envelope], { account: JURY }));
  }
  skipTo(commitUntil);
  for (const juror of jurors)
    reveal = await measure(() => panel.write.revealVote([id, juror, FOR_CLIENT, SALT], { account: JURY }));
  skipTo(revealUntil);
  return { commit, reveal };
}

/** Reserves the report of a final ruling. @returns what sends it */
async function reserveReport({ slasher, vault, measure }: Court, deal: Deal): Promise<() => Promise<Hex>> {
  const call = encodeFunctionData({ abi: slasher.abi, functionName: "punish", args: [deal] });
  const commitment = reportCommitmentOf({ reporter: ACCUSER, module: slasher.address, call, salt: SALT });
  await measure(() => vault.write.reserve([commitment], { account: ACCUSER }));
  return () => vault.write.report([slasher.address, call, SALT], { account: ACCUSER });
}

/** One deal from its delivery to the slash: accused before the ruling is final, or reported after it. */
async function runDispute(court: Court, isAccused: boolean) {
  const { market, disputes, panel, slasher, measure, skipTo } = court;
  const { client, provider } = market;
  const plain = market.draft(client, provider, 0n);
  const deal = { ...plain, arbiter: panel.address, arbiterDeadline: plain.submitBy + 20 * PERIOD };
  await market.openAsClient(deal, client, provider);
  await market.submit(deal, provider);
  const value = BigInt(SEATS) * JUROR_FEE;
  const paying = ({ signer }: typeof client) => ({ account: signer.address, value });
  const open = await measure(() => disputes.write.dispute([deal, keccak256("0x01")], paying(client)));
  const create = await measure(() => disputes.write.depositFee([deal, true], paying(provider)));
  const [created] = await panel.getEvents.DisputeCreation();
  const id = created?.args._disputeID ?? 0n;
  const drawing = await draw(court, id);
  const votes = await vote(court, id);
  const by = { account: ACCUSER };
  const accuse = isAccused ? await measure(() => slasher.write.accuse([deal, id], by)) : 0;
  skipTo((await panel.read.roundOf([id, 0n]))[4]);
  const execute = await measure(() => panel.write.executeRuling([id]));
  const slash = isAccused
    ? await measure(() => slasher.write.conclude([dealIdOf(deal)], by))
    : await measure(await reserveReport(court, deal));
  const resolve = await measure(() => disputes.write.resolve([deal]));
  const settle = await measure(() => panel.write.settle([id, 0n]));
  return { open, create, drawing, ...votes, accuse, execute, slash, resolve, settle };
}

/** A dispute before the default panel of three jurors, and what it costs the provider's stake. */
export async function measureRulings(rig: Rig): Promise<Result[]> {
  const court = await createCourt(rig);
  // Others were ruled upon before: no account of money, no credit is new any more.
  await runDispute(court, true);
  const accused = await runDispute(court, true);
  const reported = await runDispute(court, false);
  return [
    gasResult("panel.enlist", court.enlisting),
    gasResult("panel.dispute", accused.open, { note: "the client's, with the jurors' fee" }),
    gasResult("panel.create", accused.create, { note: "the provider's fee, which brings the dispute to the panel" }),
    gasResult("panel.draw.3-jurors", accused.drawing, { note: "the seed block's header included" }),
    gasResult("panel.commit-vote", accused.commit),
    gasResult("panel.reveal-vote", accused.reveal),
    gasResult("panel.execute-ruling", accused.execute),
    gasResult("panel.resolve", accused.resolve, { note: "for the client: the deal's money and the fee" }),
    gasResult("panel.settle.3-jurors", accused.settle),
    gasResult("ruling.accuse", accused.accuse, { note: "freezes the penalty on the accuser's bond" }),
    gasResult("ruling.conclude.slashed", accused.slash, { note: "accuser paid, the rest burned, its bond returned" }),
    gasResult("ruling.punish", reported.slash, { note: "by the final ruling alone, reserved, reporter paid" }),
  ];
}
