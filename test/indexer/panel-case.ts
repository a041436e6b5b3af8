// A dispute that the panel of staked jurors decides, and decides again on appeal: as an auditor of it would find it on chain.
import { maxUint256, pad, parseEventLogs, type Hex } from "viem";
import { dealIdOf } from "#protocol";
import { ballot, createPanelSteps, type Bench } from "../settlement/panel-steps.ts";
import { agentOfAccount, openDeal, type SuretyChain, type TestAgent } from "./surety-chain.ts";

/** An appeal seats seven, none of them twice. */
const JURORS = 8;
/** Of startSuretyChain's: an hour each for votes, their opening and an appeal, for two rounds. */
const RULING_WITHIN_S = 20 * 3_600;
const [FOR_CLIENT, FOR_PROVIDER] = [1, 2];

/**
 * Two of three jurors rule for the client, the provider appeals, and seven rule for the provider, one of whom never opens a vote.
 * @returns the deal that the dispute is about, and the jurors of the appeal in the order of their seats
 */
export async function disputeBeforePanel(
  chain: SuretyChain,
  [client, provider]: readonly [TestAgent, TestAgent],
): Promise<{ readonly dealId: Hex; readonly seated: readonly number[] }> {
  const { connection, deployment, disputes, escrow } = chain;
  const panel = await connection.viem.getContractAt("JurorPanel", deployment.contracts.jurorPanel);
  const owner = agentOfAccount(7).account;
  await enlist(chain, panel, owner);
  const steps = createPanelSteps(connection);
  const bench = { panel, client: await connection.viem.getPublicClient(), owner, stranger: client.account };

  const { timestamp } = await chain.client.getBlock();
  const submitBy = Number(timestamp) + 600;
  const terms = { arbiter: panel.address, submitBy, arbiterDeadline: submitBy + RULING_WITHIN_S };
  const deal = await openDeal(chain, client, provider, terms);
  await escrow.write.submit([deal, pad("0x02")], { account: provider.account });
  const fee = await panel.read.arbitrationCost(["0x"]);
  await disputes.write.dispute([deal, pad("0x03")], { account: client.account, value: fee });
  const hash = await disputes.write.depositFee([deal, true], { account: provider.account, value: fee });
  const { logs } = await chain.client.getTransactionReceipt({ hash });
  const [created] = parseEventLogs({ abi: disputes.abi, logs, eventName: "DisputeCreated" });
  const id = created?.args.disputeId ?? 0n;

  const first = await steps.draw(bench, id);
  await steps.vote(bench, id, ballot(first, [FOR_CLIENT, FOR_CLIENT, FOR_PROVIDER]));
  const value = await panel.read.appealCost([id, "0x"]);
  await disputes.write.appeal([deal, id], { account: provider.account, value });
  const seated = await steps.draw(bench, id);
  const choices = seated.map((_, k) => (k === 0 ? null : FOR_PROVIDER));
  await steps.vote(bench, id, ballot(seated, choices));
  await steps.closeAppeals(bench, id);
  await panel.write.executeRuling([id]);
  return { dealId: dealIdOf(deal), seated };
}

async function enlist(
  { registry, token, vault, client }: SuretyChain,
  panel: Bench["panel"],
  account: Hex,
): Promise<void> {
  const bond = await panel.read.jurorBond();
  await token.write.mint([account, 100n * bond], { account });
  await token.write.approve([vault.address, maxUint256], { account });
  for (let k = 0; k < JURORS; k++) {
    const hash = await registry.write.register([""], { account });
    const { logs } = await client.getTransactionReceipt({ hash });
    const [registered] = parseEventLogs({ abi: registry.abi, logs, eventName: "Registered" });
    const agentId = Number(registered?.args.agentId);
    await vault.write.stake([agentId, 3n * bond], { account });
    await panel.write.enlist([agentId, 2n * bond], { account });
  }
}
