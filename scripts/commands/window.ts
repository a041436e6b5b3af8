import { Command } from "commander";
import type { Abi, Hex } from "viem";
import { topicIdOf, trustLedgerAbi, windowValidatorsAbi } from "#protocol";
import { requireAgent } from "../cli/agents.ts";
import { runAction, type Outcome } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, type Connection } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAgentId, parseAmount, type CommonOptions } from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";

interface SenderOptions extends CommonOptions {
  readonly keyFile: string;
}

/** Who orders a topic's headers: staked agents, some of whom are drawn for each epoch. A node with `windows` does the work. */
export function windowCommand(): Command {
  const window = new Command("window").description(
    "the validators of a topic's order: put stake behind a place, leave it, get the stake back, show who is drawn",
  );
  addNetworkOptions(window.command("enlist"))
    .description("lock free stake of an agent for a topic, or more of it; counts in draws from the next epoch on")
    .argument("<topic>", "name of the topic")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<amount>", "how much, in the token's smallest unit; at least a bond in all", parseAmount)
    .requiredOption("--key-file <path>", "key of the agent's owner, or of whom it has approved")
    .addOption(jsonOption())
    .action((topic: string, agentId: bigint, amount: bigint, options: SenderOptions) =>
      runAction(options.json, ({ signal }) => change("enlist", topic, [agentId, amount], options, signal)),
    );
  addNetworkOptions(window.command("resign"))
    .description("leave a topic's candidates; the agent may still be drawn for the next epoch")
    .argument("<topic>", "name of the topic")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("--key-file <path>", "key of the agent's owner, or of whom it has approved")
    .addOption(jsonOption())
    .action((topic: string, agentId: bigint, options: SenderOptions) =>
      runAction(options.json, ({ signal }) => change("resign", topic, [agentId], options, signal)),
    );
  addNetworkOptions(window.command("release"))
    .description("unlock the stake of an agent that has left, once nothing can be held against it any more")
    .argument("<topic>", "name of the topic")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("--key-file <path>", "key of any account that pays the gas")
    .addOption(jsonOption())
    .action((topic: string, agentId: bigint, options: SenderOptions) =>
      runAction(options.json, ({ signal }) => change("release", topic, [agentId], options, signal)),
    );
  addNetworkOptions(window.command("show"))
    .description("a topic's candidates with their weights, and who is drawn for the running epoch")
    .argument("<topic>", "name of the topic")
    .addOption(jsonOption())
    .action((topic: string, options: CommonOptions) =>
      runAction(options.json, async ({ signal }) => outcomeOf(await readOrder(await connect(options, signal), topic))),
    );
  return window;
}

async function change(
  functionName: "enlist" | "resign" | "release",
  topic: string,
  args: readonly [agentId: bigint, amount?: bigint],
  options: SenderOptions,
  signal: AbortSignal,
): Promise<Outcome> {
  const key = readKeyFile(options.keyFile);
  const connection = await connect(options, signal);
  const [agentId, ...amount] = args;
  await requireAgent(connection.client, connection.deployment, agentId);
  const address = connection.deployment.contracts.windowValidators;
  const contractArgs = [topicIdOf(topic), Number(agentId), ...amount];
  const call = { abi: windowValidatorsAbi as Abi, address, functionName, args: contractArgs };
  const { hash, gasUsed } = await sendCall(connection, key, call, signal);
  return outcomeOf(await readOrder(connection, topic, agentId), { transactionHash: hash, gasUsed });
}

interface OrderView {
  readonly topic: string;
  readonly topicId: bigint;
  /** Of the chain's clock; who is drawn for it, by seat. */
  readonly epoch: bigint;
  readonly validators: readonly number[];
  /** Who was enlisted when the epoch began, with the weight in its draw: whole bonds. */
  readonly candidates: readonly { readonly agentId: number; readonly weight: number }[];
  readonly bondWei: bigint;
  /** Of the agent that was asked about. releasableAt: Unix seconds, 0 = it has not left. */
  readonly enlistment?: { readonly agentId: bigint; readonly enlistedWei: bigint; readonly releasableAt: number };
}

async function readOrder({ client, deployment }: Connection, topic: string, agentId?: bigint): Promise<OrderView> {
  const validators = { abi: windowValidatorsAbi, address: deployment.contracts.windowValidators } as const;
  const topicId = topicIdOf(topic);
  const clock = { abi: trustLedgerAbi, address: deployment.contracts.trustLedger } as const;
  const epoch = await client.readContract({ ...clock, functionName: "epoch" });
  const [drawn, [agentIds, weights], bondWei, enlistment] = await Promise.all([
    client.readContract({ ...validators, functionName: "validatorsOf", args: [topicId, epoch] }),
    client.readContract({ ...validators, functionName: "candidatesOf", args: [topicId] }),
    client.readContract({ ...validators, functionName: "bond" }),
    agentId === undefined
      ? undefined
      : client.readContract({ ...validators, functionName: "enlistmentOf", args: [topicId, Number(agentId)] }),
  ]);
  const candidates = agentIds.flatMap((id, place) => (id === 0 ? [] : [{ agentId: id, weight: weights[place] ?? 0 }]));
  const order = { topic, topicId, epoch, validators: drawn, candidates, bondWei };
  if (agentId === undefined || enlistment === undefined) return order;
  const [enlistedWei, , releasableAt] = enlistment;
  return { ...order, enlistment: { agentId, enlistedWei, releasableAt } };
}

function outcomeOf(order: OrderView, sent: { transactionHash?: Hex; gasUsed?: bigint } = {}): Outcome {
  const { topic, epoch, validators, candidates, bondWei, enlistment } = order;
  return {
    result: { ...order, ...sent },
    lines: [
      `${topic} in epoch ${epoch}`,
      `  validators  ${validators.length === 0 ? "none are drawn" : validators.join(", ")}`,
      `  candidates  ${candidates.map(({ agentId, weight }) => `${agentId} (${weight})`).join(", ") || "none"}`,
      `  a bond      ${bondWei}`,
      ...(enlistment === undefined ? [] : [lineOf(enlistment)]),
      ...(sent.transactionHash === undefined ? [] : [`${sent.transactionHash}, ${sent.gasUsed} gas`]),
    ],
  };
}

function lineOf({ agentId, enlistedWei, releasableAt }: NonNullable<OrderView["enlistment"]>): string {
  const left = releasableAt === 0 ? "" : `, to release from ${new Date(releasableAt * 1000).toISOString()} on`;
  return `  agent ${agentId} has ${enlistedWei} at stake in it${left}`;
}
