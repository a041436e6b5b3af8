import { Command } from "commander";
import type { Abi, Hex } from "viem";
import { createSigner, jurorPanelAbi, stakeVaultAbi, SuretyError, testTokenAbi } from "#protocol";
import { requireAgent } from "../cli/agents.ts";
import { runAction, type Outcome, type Terminal } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, type Connection } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAgentId, parseAmount, type CommonOptions } from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";

interface PayerOptions extends CommonOptions {
  readonly keyFile: string;
}

export function stakeCommand(): Command {
  const stake = new Command("stake").description(
    "an agent's accountability stake: add, unbond, withdraw, put behind a juror's seats, show",
  );
  addNetworkOptions(stake.command("add"))
    .description("add to an agent's stake; whoever has the key pays, the allowance is given on the way")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<amount>", "how much, in the token's smallest unit", parseAmount)
    .requiredOption("--key-file <path>", "key of the account that pays")
    .addOption(jsonOption())
    .action((agentId: bigint, amount: bigint, options: PayerOptions) =>
      runAction(options.json, (terminal) => addStake(agentId, amount, options, terminal)),
    );
  addNetworkOptions(stake.command("unbond"))
    .description("take free stake out of use; it can be withdrawn after the vault's delay")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<amount>", "how much, in the token's smallest unit", parseAmount)
    .requiredOption("--key-file <path>", "key of the agent's owner, or of whom it has approved")
    .addOption(jsonOption())
    .action((agentId: bigint, amount: bigint, options: PayerOptions) =>
      runAction(options.json, ({ signal }) => change("startUnbonding", [agentId, amount], options, signal)),
    );
  addNetworkOptions(stake.command("withdraw"))
    .description("pay unbonded stake to the agent's owner, once its delay is over")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("--key-file <path>", "key of any account that pays the gas")
    .addOption(jsonOption())
    .action((agentId: bigint, options: PayerOptions) =>
      runAction(options.json, ({ signal }) => change("withdraw", [agentId], options, signal)),
    );
  const jury = [
    ["enlist", "put free stake behind seats on the juror panel, for a node with the role juror"],
    ["discharge", "take stake back from the juror panel, as far as no seat holds it"],
  ] as const;
  for (const [action, description] of jury) {
    addNetworkOptions(stake.command(action))
      .description(description)
      .argument("<agentId>", "the agent's id", parseAgentId)
      .argument("<amount>", "how much, in the token's smallest unit", parseAmount)
      .requiredOption("--key-file <path>", "key of the agent's owner, or of whom it has approved")
      .addOption(jsonOption())
      .action((agentId: bigint, amount: bigint, options: PayerOptions) =>
        runAction(options.json, ({ signal }) => changeSeats(action, agentId, amount, options, signal)),
      );
  }
  addNetworkOptions(stake.command("show"))
    .description("an agent's stake: all, locked, unbonding, and what counts for reputation")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions) =>
      runAction(options.json, async ({ signal }) => {
        const connection = await connect(options, signal);
        await requireAgent(connection.client, connection.deployment, agentId);
        return outcomeOf(await readStake(connection, agentId));
      }),
    );
  return stake;
}

async function addStake(
  agentId: bigint,
  amount: bigint,
  options: PayerOptions,
  { signal, progress }: Terminal,
): Promise<Outcome> {
  const key = readKeyFile(options.keyFile);
  const connection = await connect(options, signal);
  const { client, deployment } = connection;
  const { stakeVault, token: address } = deployment.contracts;
  const payer = createSigner(key).address;
  await requireAgent(client, deployment, agentId);
  const token = { abi: testTokenAbi, address } as const;
  const balance = await client.readContract({ ...token, functionName: "balanceOf", args: [payer] });
  if (balance < amount) {
    throw new SuretyError("TOKEN_INSUFFICIENT", `${payer} has ${balance} of the token ${address}, not ${amount}.`, {
      values: { payer, balance, amount, token: address },
      next: `Get more of it; on a local chain: surety token mint ${amount - balance} --to ${payer} --key-file ${options.keyFile}`,
    });
  }
  const allowance = await client.readContract({ ...token, functionName: "allowance", args: [payer, stakeVault] });
  if (allowance < amount) {
    progress(`letting the vault ${stakeVault} take ${amount}`);
    const approve = { abi: testTokenAbi as Abi, address, functionName: "approve", args: [stakeVault, amount] };
    await sendCall(connection, key, approve, signal);
  }
  return sendAndShow(connection, key, "stake", [agentId, amount], signal);
}

async function change(
  functionName: "startUnbonding" | "withdraw",
  args: readonly [agentId: bigint, amount?: bigint],
  options: PayerOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const key = readKeyFile(options.keyFile);
  const connection = await connect(options, signal);
  await requireAgent(connection.client, connection.deployment, args[0]);
  return sendAndShow(connection, key, functionName, args, signal);
}

async function changeSeats(
  functionName: "enlist" | "discharge",
  agentId: bigint,
  amount: bigint,
  options: PayerOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const key = readKeyFile(options.keyFile);
  const connection = await connect(options, signal);
  await requireAgent(connection.client, connection.deployment, agentId);
  const address = connection.deployment.contracts.jurorPanel;
  const call = { abi: jurorPanelAbi as Abi, address, functionName, args: [Number(agentId), amount] };
  const { hash, gasUsed } = await sendCall(connection, key, call, signal);
  return outcomeOf(await readStake(connection, agentId), { transactionHash: hash, gasUsed });
}

async function sendAndShow(
  connection: Connection,
  key: Hex,
  functionName: string,
  args: readonly [agentId: bigint, amount?: bigint | undefined],
  signal: AbortSignal,
): Promise<Outcome> {
  const address = connection.deployment.contracts.stakeVault;
  const call = { abi: stakeVaultAbi as Abi, address, functionName, args };
  const { hash, gasUsed } = await sendCall(connection, key, call, signal);
  return outcomeOf(await readStake(connection, args[0]), { transactionHash: hash, gasUsed });
}

interface StakeView {
  readonly agentId: bigint;
  readonly token: Hex;
  readonly stakedWei: bigint;
  readonly lockedWei: bigint;
  /** What may be unbonded now. */
  readonly freeWei: bigint;
  readonly unbondingWei: bigint;
  /** Unix seconds; 0 = nothing unbonds. */
  readonly withdrawableAt: number;
  /** At the close of the last epoch: the prior of reputation. */
  readonly countedWei: bigint;
  /** Locked behind seats on the juror panel, and what one seat puts at stake. */
  readonly enlistedWei: bigint;
  readonly seatWei: bigint;
}

async function readStake({ client, deployment }: Connection, agentId: bigint): Promise<StakeView> {
  const vault = { abi: stakeVaultAbi, address: deployment.contracts.stakeVault } as const;
  const panel = { abi: jurorPanelAbi, address: deployment.contracts.jurorPanel } as const;
  const args = [Number(agentId)] as const;
  const [[stakedWei, lockedWei, unbondingWei, withdrawableAt], countedWei, [enlistedWei], seatWei] = await Promise.all([
    client.readContract({ ...vault, functionName: "stakeOf", args }),
    client.readContract({ ...vault, functionName: "stakeAt", args }),
    client.readContract({ ...panel, functionName: "jurorOf", args }),
    client.readContract({ ...panel, functionName: "jurorBond" }),
  ]);
  const { token } = deployment.contracts;
  const freeWei = stakedWei - lockedWei;
  const terms = { stakedWei, lockedWei, freeWei, unbondingWei, withdrawableAt, countedWei, enlistedWei, seatWei };
  return { agentId, token, ...terms };
}

function outcomeOf(stake: StakeView, sent: { transactionHash?: Hex; gasUsed?: bigint } = {}): Outcome {
  const { agentId, token, stakedWei, lockedWei, freeWei, unbondingWei, withdrawableAt, countedWei } = stake;
  const { enlistedWei, seatWei } = stake;
  const when = withdrawableAt === 0 ? "" : `, to withdraw from ${new Date(withdrawableAt * 1000).toISOString()} on`;
  return {
    result: { ...stake, ...sent },
    lines: [
      `agent ${agentId}, in the smallest unit of ${token}`,
      `  stake      ${stakedWei}: ${lockedWei} locked, ${freeWei} free`,
      `  unbonding  ${unbondingWei}${when}`,
      `  counted    ${countedWei}, as it stood at the close of the last epoch`,
      ...(enlistedWei === 0n ? [] : [`  as juror   ${enlistedWei}, of which a seat holds ${seatWei}`]),
      ...(sent.transactionHash === undefined ? [] : [`${sent.transactionHash}, ${sent.gasUsed} gas`]),
    ],
  };
}
