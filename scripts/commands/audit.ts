import { readFileSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError } from "commander";
import { isHex, type Hex } from "viem";
import { purposes, SuretyError, topicIdOf } from "#protocol";
import { auditBatched } from "../audit/batch.ts";
import { readBundle, writeBundle } from "../audit/bundle.ts";
import { dateOf, runChecks } from "../audit/checks.ts";
import { exportBundle } from "../audit/export.ts";
import { adoptedSubject } from "../audit/foreign.ts";
import { auditSigner } from "../audit/responsibility.ts";
import { verifyBundle } from "../audit/verify-bundle.ts";
import { runAction } from "../cli/action.ts";
import { connect } from "../cli/network.ts";
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
  addNetworkOptions(audit.command("export"))
    .description("write everything that proves an agent's state: header, account, storage and score proofs")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("-o, --out <file>", "where the bundle is written")
    .option("--topic <name...>", "topics whose scores to prove; default: all that were finalized")
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions & { out: string; topic?: string[] }) =>
      runAction(options.json, async ({ signal }) => {
        const { client, deployment } = await connect(options, signal);
        const topics = options.topic?.map(topicIdOf);
        const { bundle, blockNumber, blockHash } = await exportBundle(client, deployment, agentId, topics);
        const text = writeBundle(bundle);
        writeFileSync(options.out, text);
        return {
          result: { file: options.out, bytes: text.length, agentId, blockNumber, blockHash },
          lines: [
            `${options.out}: agent ${agentId} at block ${blockNumber}, ${bundle.scores.length} scores, ${text.length} bytes`,
            `check it offline: surety audit verify ${options.out} --block-hash ${blockHash}`,
          ],
        };
      }),
    );
  audit
    .command("verify")
    .description("check a bundle offline: no RPC, nobody to believe but the block hash")
    .argument("<bundle>", "file that `surety audit export` wrote")
    .requiredOption("--block-hash <hash>", "hash of the block, from a source that you trust", parseBytes32)
    .addOption(jsonOption())
    .action((file: string, options: { blockHash: Hex; json: boolean }) =>
      runAction(options.json, async () => {
        const bundle = readBundle(readText(file));
        if (bundle.kind !== "accept") {
          throw new SuretyError(`USAGE_${bundle.code}`, `${file} is not a bundle: ${bundle.detail}.`, {
            values: { file },
            next: "Export it again with `surety audit export`; a bundle that was edited is refused.",
          });
        }
        return outcomeOf(await runChecks(`bundle ${file}`, verifyBundle(bundle.value, options.blockHash)));
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
      next: "Name a file that `surety audit export` wrote.",
      cause,
    });
  }
}
