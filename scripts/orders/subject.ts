import type { Command } from "commander";
import { zeroAddress, type Hex } from "viem";
import { foreignBindingsAbi } from "#protocol";
import { adoptedDeployment, adoptedIdOf, notAdopted } from "../audit/foreign.ts";
import { requireAgent } from "../cli/agents.ts";
import type { Connection } from "../cli/network.ts";
import { parseAddress } from "../cli/options.ts";

/** What an order is about, and where it is executed. */
export interface OrderSubject {
  readonly connection: Connection;
  /** 0 where the order makes the agent, or is about all of an account's. */
  readonly agentId: bigint;
  /** Absent where there is no agent. */
  readonly owner?: Hex;
}

/** Orders that the bindings of foreign agents take, too. */
const bindingOrders: readonly string[] = ["bind", "grant", "rotate", "revoke", "update"];

/** Adds `--foreign` where the bindings of foreign agents take the order. */
export const addForeignOption = (command: Command): Command =>
  bindingOrders.includes(command.name())
    ? command.option("--foreign <registry>", "the agent is one of this registry, which is not ours", parseAddress)
    : command;

/**
 * The agent of an order, under the number and at the contract that take it.
 * @param foreign the registry that gave the id, where that is not ours; there, the owner is whom it names now
 * @throws SuretyError AGENT_UNKNOWN, FOREIGN_NOT_ADOPTED
 */
export async function subjectOf(connection: Connection, id: bigint, foreign?: Hex): Promise<OrderSubject> {
  const { client, deployment } = connection;
  if (id === 0n) return { connection, agentId: id };
  if (foreign === undefined) return { connection, agentId: id, owner: await requireAgent(client, deployment, id) };
  const agentId = await adoptedIdOf({ client, deployment }, foreign, id);
  if (agentId === 0n) throw notAdopted(foreign, id);
  // A call and no view: were the owner observed in the order's block, it would be this one.
  const { result: owner } = await client.simulateContract({
    ...{ abi: foreignBindingsAbi, address: deployment.contracts.foreignBindings, account: zeroAddress },
    ...{ functionName: "observeOwner", args: [agentId] },
  });
  return { connection: { ...connection, deployment: await adoptedDeployment(client, deployment) }, agentId, owner };
}
