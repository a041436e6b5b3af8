import { Command } from "commander";
import type { Hex } from "viem";
import { foreignBindingsAbi } from "#protocol";
import { runAction } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAddress, parseAgentId, type CommonOptions } from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";
import { adoptedIdOf } from "../audit/foreign.ts";
import { subjectOf } from "./subject.ts";

interface AdoptionOptions extends CommonOptions {
  readonly keyFile: string;
}

/** What anybody may do for an agent of another registry: give it a number here, and have its present owner seen. */
export const adoptionCommands = (): Command[] => [adoptCommand(), observeCommand()];

const addForeignArguments = (command: Command): Command =>
  addNetworkOptions(command)
    .argument("<registry>", "the ERC-8004 or ERC-721 registry that the agent is of", parseAddress)
    .argument("<agentId>", "the agent's id there", parseAgentId)
    .requiredOption("--key-file <path>", "file of the key that sends and pays; anybody may")
    .addOption(jsonOption());

const adoptCommand = () =>
  addForeignArguments(new Command("adopt"))
    .description("give an agent of another registry a number here, under which keys and versions are bound to it")
    .action((registry: Hex, id: bigint, options: AdoptionOptions) =>
      runAction(options.json, async ({ signal }) => {
        const connection = await connect(options, signal);
        const address = connection.deployment.contracts.foreignBindings;
        const call = { abi: foreignBindingsAbi, address, functionName: "adopt", args: [registry, id] } as const;
        const { hash, gasUsed } = await sendCall(connection, readKeyFile(options.keyFile), call, signal);
        const agentId = await adoptedIdOf(connection, registry, id);
        return {
          result: { registry, foreignId: id, agentId, transactionHash: hash, gasUsed },
          lines: [
            `agent ${id} of ${registry} has the number ${agentId} here, ${gasUsed} gas, ${hash}`,
            `then its owner binds keys: surety agent grant ${id} --foreign ${registry} --new-key-file KEY --key-file OWNER`,
          ],
        };
      }),
    );

const observeCommand = () =>
  addForeignArguments(new Command("observe"))
    .description("have the owner that another registry names now seen here: a former owner's keys end")
    .action((registry: Hex, id: bigint, options: AdoptionOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { connection, agentId, owner } = await subjectOf(await connect(options, signal), id, registry);
        const address = connection.deployment.contracts.foreignBindings;
        const call = { abi: foreignBindingsAbi, address, functionName: "observeOwner", args: [agentId] } as const;
        const { hash, gasUsed } = await sendCall(connection, readKeyFile(options.keyFile), call, signal);
        return {
          result: { registry, foreignId: id, agentId, owner, transactionHash: hash, gasUsed },
          lines: [`agent ${id} of ${registry} is ${owner}'s, ${gasUsed} gas, ${hash}`],
        };
      }),
    );
