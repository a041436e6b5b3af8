import { Command } from "commander";
import type { Hex } from "viem";
import { topicIdOf } from "#protocol";
import { auditAgent } from "../audit/agent.ts";
import { runChecks, type Check, type Verdict } from "../audit/checks.ts";
import { auditDeal } from "../audit/deal.ts";
import { auditScore } from "../audit/score.ts";
import { runAction, type Outcome } from "../cli/action.ts";
import { connect, type Connection } from "../cli/network.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseAgentId,
  parseBytes32,
  parseUint,
  type CommonOptions,
} from "../cli/options.ts";

/** A verdict as the terminal shows it: a line for each check, the first failure last. */
export function outcomeOf(verdict: Verdict): Outcome {
  return {
    result: verdict,
    isFailed: !verdict.isOk,
    lines: [
      ...verdict.checks.map(({ name, isOk, detail }) => `${isOk ? "ok  " : "FAIL"}  ${name}: ${detail}`),
      `${verdict.subject}: ${verdict.isOk ? "everything checked holds" : "does not hold"}`,
    ],
  };
}

async function verify(
  options: CommonOptions,
  subject: string,
  audit: (connection: Connection) => AsyncIterable<Check>,
): Promise<void> {
  await runAction(options.json, async ({ signal }) =>
    outcomeOf(await runChecks(subject, audit(await connect(options, signal)))),
  );
}

export function verifyCommand(): Command {
  const verifyAll = new Command("verify").description("re-derive a claim from the chain, with no node and no indexer");
  addNetworkOptions(verifyAll.command("agent"))
    .description("owner, signers and their validity, version chain, stake")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions) => {
      return verify(options, `agent ${agentId}`, ({ client, deployment }) => auditAgent(client, deployment, agentId));
    });
  addNetworkOptions(verifyAll.command("deal"))
    .description("terms, both signatures, state and payout of a deal")
    .argument("<dealId>", "the deal's id", parseBytes32)
    .addOption(jsonOption())
    .action((dealId: Hex, options: CommonOptions) => {
      return verify(options, `deal ${dealId}`, ({ client, deployment }) => auditDeal(client, deployment, dealId));
    });
  addNetworkOptions(verifyAll.command("score"))
    .description("an agent's score in the last finalized epoch: root, leaf, row and the contract's own answer")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("--topic <name>", "topic of the score")
    .option("--claimed <score>", "the score that somebody showed you, of 2^62", parseUint)
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions & { topic: string; claimed?: bigint }) => {
      const claim = {
        agentId: Number(agentId),
        topic: topicIdOf(options.topic),
        ...(options.claimed === undefined ? {} : { claimed: options.claimed }),
      };
      return verify(options, `score of agent ${agentId} in ${options.topic}`, ({ client, deployment }) =>
        auditScore(client, deployment, claim),
      );
    });
  return verifyAll;
}
