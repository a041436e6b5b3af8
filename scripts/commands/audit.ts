import { readFileSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { isHex, type Hex } from "viem";
import { parseDeployment, purposes, SuretyError, topicIdOf } from "#protocol";
import { readAnyBundle, verifyAnyBundle } from "../audit/any-bundle.ts";
import { auditBatched, type BatchEvidence } from "../audit/batch.ts";
import { writeBundle } from "../audit/bundle.ts";
import { dateOf, runChecks } from "../audit/checks.ts";
import { exportBundle } from "../audit/export.ts";
import { exportForeignBundle, writeForeignBundle } from "../audit/foreign-bundle.ts";
import { adoptedSubject } from "../audit/foreign.ts";
import { auditSigner } from "../audit/responsibility.ts";
import { runAction, type Outcome } from "../cli/action.ts";
import { connect, deploymentPath, type Connection } from "../cli/network.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseAddress,
  parseAgentId,
  parseBytes32,
  type CommonOptions,
} from "../cli/options.ts";
import { readEvidence } from "./batch.ts";
import { outcomeOf } from "./verify.ts";

export function auditCommand(): Command {
  const audit = new Command("audit").description("evidence that can be checked offline against one block hash");
  audit.addCommand(exportCommand());
  audit
    .command("verify")
    .description("check a bundle offline: no RPC, nobody to believe but the block hash")
    .argument("<bundle>", "file that `surety audit export` wrote")
    .requiredOption("--block-hash <hash>", "hash of the block, from a source that you trust", parseBytes32)
    .option("--deployment <file>", "deployment.json that you trust: the bundle has to be about its contracts")
    .addOption(jsonOption())
    .action((file: string, options: { blockHash: Hex; deployment?: string; json: boolean }) =>
      runAction(options.json, async () => {
        const bundle = readAnyBundle(readText(file));
        const { blockHash, deployment: path } = options;
        const deployment = path === undefined ? undefined : parseDeployment(readText(path));
        if (bundle.kind !== "accept") {
          throw new SuretyError(`USAGE_${bundle.code}`, `${file} is not a bundle: ${bundle.detail}.`, {
            values: { file },
            next: "Export it again with `surety audit export`; a bundle that was edited is refused.",
          });
        }
        return outcomeOf(await runChecks(`bundle ${file}`, verifyAnyBundle(bundle.value, blockHash, deployment)));
      }),
    );
  addNetworkOptions(audit.command("signer"))
    .description("whether a signer spoke for an agent at a time, and why")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<signer>", "ERC-7913 bytes, an address for a plain key, or their hash", parseSigner)
    .option("--at <time>", "ISO date or Unix seconds; default: the newest block", parseTime)
    .option("--foreign <registry>", "the agent is one of this ERC-8004 registry, which is not ours", parseAddress)
    .option("--purpose <word>", "LOG, TRANSPORT, OPERATOR or RECOVERY; default: what it was bound for", parsePurpose)
    .addOption(jsonOption())
    .action((agentId: bigint, signer: Hex, options: CommonOptions & { at?: number; purpose?: Hex; foreign?: Hex }) =>
      runAction(options.json, async ({ signal }) => {
        const { client, deployment } = await connect(options, signal);
        const { number: blockNumber, timestamp } = await client.getBlock();
        const { at: time = Number(timestamp), purpose } = options;
        const question = { signer, time, ...(purpose === undefined ? {} : { purpose }) };
        const own = { client, deployment, agentId, blockNumber };
        const subject = options.foreign === undefined ? own : await adoptedSubject(own, options.foreign);
        const when = dateOf(time);
        return outcomeOf(await runChecks(`${signer} for agent ${agentId} at ${when}`, auditSigner(subject, question)));
      }),
    );
  addNetworkOptions(audit.command("batched"))
    .description("whether an issuer's batch binds a signer to an agent at a time")
    .argument("<evidence>", "the binding's file, as `surety batch anchor` wrote it")
    .option("--at <time>", "ISO date or Unix seconds; default: the newest block", parseTime)
    .addOption(jsonOption())
    .action((file: string, options: CommonOptions & { at?: number }) =>
      runAction(options.json, async ({ signal }) => {
        const evidence = readEvidence(file);
        const { client, deployment } = await connect(options, signal);
        const { number: blockNumber, timestamp } = await client.getBlock();
        const { at: time = Number(timestamp) } = options;
        const subject = `binding ${evidence.binding.index} of ${evidence.root}`;
        return outcomeOf(await runChecks(subject, auditBatched({ client, deployment, blockNumber }, evidence, time)));
      }),
    );
  return audit;
}

interface ExportOptions extends CommonOptions {
  readonly out: string;
  readonly topic?: string[];
  readonly batched?: string[];
  readonly foreign?: Hex;
}

const exportCommand = () =>
  addNetworkOptions(new Command("export"))
    .description("write everything that proves an agent's state: header, account, storage and score proofs")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("-o, --out <file>", "where the bundle is written")
    .option("--topic <name...>", "topics whose scores to prove; default: all that were finalized")
    .option("--batched <file...>", "bindings of it in an issuer's batch, to prove too (files of `surety batch anchor`)")
    .addOption(
      new Option(
        "--foreign <registry>",
        "the agent is one of this registry, which is not ours: what is bound to it here",
      )
        .argParser(parseAddress)
        .conflicts(["topic", "batched"]),
    )
    .addOption(jsonOption())
    .action((agentId: bigint, options: ExportOptions) =>
      runAction(options.json, async ({ signal }) => {
        const evidence = (options.batched ?? []).map((file) => readBatchedOf(agentId, file));
        const connection = await connect(options, signal);
        return options.foreign === undefined
          ? await exportOwn(connection, agentId, evidence, options)
          : await exportForeign(connection, agentId, options.foreign, options);
      }),
    );

async function exportOwn(
  { client, deployment }: Connection,
  agentId: bigint,
  batched: readonly BatchEvidence[],
  options: ExportOptions,
): Promise<Outcome> {
  const { out, topic } = options;
  const choice = { topics: topic?.map(topicIdOf), batched };
  const { bundle, blockNumber, blockHash } = await exportBundle(client, deployment, agentId, choice);
  const text = writeBundle(bundle);
  writeFileSync(out, text);
  const holding = `${bundle.scores.length} scores, ${batched.length} batched bindings, ${text.length} bytes`;
  return {
    result: { file: out, bytes: text.length, agentId, blockNumber, blockHash },
    lines: [`${out}: agent ${agentId} at block ${blockNumber}, ${holding}`, offlineLine(options, blockHash)],
  };
}

async function exportForeign(
  { client, deployment }: Connection,
  foreignId: bigint,
  registry: Hex,
  options: ExportOptions,
): Promise<Outcome> {
  const { out } = options;
  const exported = await exportForeignBundle(client, deployment, registry, foreignId);
  const { bundle, blockNumber, blockHash, agentId, ownerSeen, ownerThere } = exported;
  const text = writeForeignBundle(bundle);
  writeFileSync(out, text);
  const owner =
    ownerThere === ownerSeen
      ? `its owner there, ${ownerThere}, is the one seen here; the bundle proves only the latter`
      : `WARNING: ${registry} names ${ownerThere ?? "no owner"}, here ${ownerSeen} was seen last: \`surety agent observe\` first`;
  const subject = `agent ${foreignId} of ${registry}, ${agentId} here, at block ${blockNumber}`;
  return {
    result: {
      file: out,
      bytes: text.length,
      registry,
      foreignId,
      agentId,
      ownerSeen,
      ownerThere,
      blockNumber,
      blockHash,
    },
    lines: [`${out}: ${subject}, ${text.length} bytes`, owner, offlineLine(options, blockHash)],
  };
}

const offlineLine = (options: ExportOptions, blockHash: Hex): string =>
  `check it offline: surety audit verify ${options.out} --block-hash ${blockHash} --deployment ${deploymentPath(options)}`;

/** @throws SuretyError USAGE_BATCH_EVIDENCE, USAGE_BATCH_AGENT */
function readBatchedOf(agentId: bigint, file: string): BatchEvidence {
  const evidence = readEvidence(file);
  if (evidence.binding.agentId === agentId) return evidence;
  throw new SuretyError("USAGE_BATCH_AGENT", `${file} binds a signer to agent ${evidence.binding.agentId}.`, {
    values: { file, agentId: evidence.binding.agentId, asked: agentId },
    next: `Name files of bindings of agent ${agentId}, or export the other agent.`,
  });
}

/** commander argument parser: a signer's bytes or their hash. */
function parseSigner(text: string): Hex {
  if (!isHex(text) || text.length % 2 !== 0 || text.length < 42) {
    throw new InvalidArgumentError("Expected 20 bytes of an address or more, in hex.");
  }
  return text.toLowerCase() as Hex;
}

/** commander argument parser: a second since 1970, or a date with its time zone. */
function parseTime(text: string): number {
  const seconds = /^\d{1,15}$/.test(text) ? Number(text) : Math.floor(Date.parse(text) / 1000);
  const isDated = /^\d{4}-\d{2}-\d{2}(T[\d:.]+(Z|[+-]\d{2}:\d{2}))?$/.test(text);
  if (!Number.isSafeInteger(seconds) || !(isDated || /^\d+$/.test(text))) {
    throw new InvalidArgumentError("Expected Unix seconds, or a date such as 2026-11-21T08:00:00Z.");
  }
  return seconds;
}

/** commander argument parser: the word of a purpose. */
function parsePurpose(text: string): Hex {
  const purpose = Object.entries(purposes).find(([name]) => name === text.toLowerCase())?.[1];
  if (purpose === undefined) throw new InvalidArgumentError("Expected LOG, TRANSPORT, OPERATOR or RECOVERY.");
  return purpose;
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new SuretyError("USAGE_BUNDLE_MISSING", `${file} cannot be read.`, {
      values: { file },
      next: "Name a file that is there: a bundle of `surety audit export`, a deployment of `surety deploy`.",
      cause,
    });
  }
}
