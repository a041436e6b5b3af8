import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { Hex } from "viem";
import {
  readAwardEvidence,
  readDisclosure,
  SuretyError,
  topicIdOf,
  type AwardEvidence,
  type Disclosure,
  type Verdict as ProtocolVerdict,
} from "#protocol";
import { auditAgent } from "../audit/agent.ts";
import { auditCard } from "../audit/card.ts";
import { runChecks, type Check, type Verdict } from "../audit/checks.ts";
import { auditDeal } from "../audit/deal.ts";
import { auditForeignAgent } from "../audit/foreign.ts";
import { auditScore } from "../audit/score.ts";
import { runAction, type Outcome } from "../cli/action.ts";
import { readCard } from "../cli/card-source.ts";
import { connect, type Connection } from "../cli/network.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseAddress,
  parseAgentId,
  parseBytes32,
  parseUint,
  type CommonOptions,
} from "../cli/options.ts";

/** A verdict as the terminal shows it: a line for each check, the first failure last; what stays unproven is named again. */
export function outcomeOf(verdict: Verdict): Outcome {
  const unproven = verdict.checks.filter(({ isUnproven }) => isUnproven).map(({ name }) => name);
  const remains = unproven.length === 0 ? "" : `; NOT PROVEN: ${unproven.join(", ")}`;
  return {
    result: { ...verdict, unproven },
    isFailed: !verdict.isOk,
    lines: [
      ...verdict.checks.map((check) => `${markOf(check)}  ${check.name}: ${check.detail}`),
      `${verdict.subject}: ${verdict.isOk ? "everything checked holds" : "does not hold"}${remains}`,
    ],
  };
}

const markOf = ({ isOk, isUnproven }: Check): string => (isUnproven ? "----" : isOk ? "ok  " : "FAIL");

interface Evidence<T> {
  readonly code: string;
  /** What the file fails to do: "discloses nothing". */
  readonly fault: string;
  /** The command whose file is meant. */
  readonly writer: string;
  readonly read: (text: string) => ProtocolVerdict<T>;
}

const disclosures: Evidence<Disclosure> = {
  ...{ code: "USAGE_DISCLOSURE", fault: "discloses nothing", writer: "surety baid prove-field" },
  read: readDisclosure,
};
const awards: Evidence<AwardEvidence> = {
  ...{ code: "USAGE_AWARD", fault: "shows no award", writer: "surety deal award DEALID --out FILE" },
  read: readAwardEvidence,
};

function readEvidence<T>({ code, fault, writer, read }: Evidence<T>, file: string): T {
  const invalid = (detail: string, cause?: unknown) =>
    new SuretyError(code, `${file} ${fault}: ${detail}.`, {
      values: { file },
      next: `Name a file that \`${writer}\` wrote, unchanged.`,
      cause,
    });
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw invalid("it cannot be read", cause);
  }
  const evidence = read(text);
  if (evidence.kind !== "accept") throw invalid(evidence.detail);
  return evidence.value;
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
    .description(
      "owner, signers, credential, code and config, version chain, peer ids, recovery, anchors, stake, forks",
    )
    .argument("<agentId>", "the agent's id", parseAgentId)
    .option("--disclosed <file...>", "fields of its config that you were handed (`surety baid prove-field`)")
    .addOption(
      new Option(
        "--foreign <registry>",
        "the agent is one of this registry, which is not ours: adoption, owner and keys",
      )
        .argParser(parseAddress)
        .conflicts("disclosed"),
    )
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions & { disclosed?: string[]; foreign?: Hex }) => {
      const { foreign, disclosed = [] } = options;
      const fields = disclosed.map((file) => readEvidence(disclosures, file));
      return verify(options, `agent ${agentId}`, ({ client, deployment }) =>
        foreign === undefined
          ? auditAgent(client, deployment, agentId, fields)
          : auditForeignAgent(client, deployment, foreign, agentId),
      );
    });
  addNetworkOptions(verifyAll.command("card"))
    .description("whether an A2A agent card is the word of an agent on chain: registry, agent, both keys, peer id")
    .argument("<card>", "the agent's origin (http…), or a file with its card")
    .option("--keys <file>", "its key set (/.well-known/jwks.json); default: of the same origin")
    .addOption(jsonOption())
    .action((source: string, options: CommonOptions & { keys?: string }) =>
      runAction(options.json, async ({ signal }) => {
        const evidence = await readCard(source, options.keys, signal);
        const { client, deployment } = await connect(options, signal);
        return outcomeOf(await runChecks(`card ${source}`, auditCard(client, deployment, evidence)));
      }),
    );
  addNetworkOptions(verifyAll.command("deal"))
    .description("terms, both signatures, state and payout of a deal")
    .argument("<dealId>", "the deal's id", parseBytes32)
    .option("--award <file>", "check the award behind the deal's hashes, too: rules, bids, proof (`surety deal award`)")
    .addOption(jsonOption())
    .action((dealId: Hex, options: CommonOptions & { award?: string }) => {
      return verify(options, `deal ${dealId}`, ({ client, deployment }) =>
        auditDeal(
          client,
          deployment,
          dealId,
          options.award === undefined ? undefined : readEvidence(awards, options.award),
        ),
      );
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
