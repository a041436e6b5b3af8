import { readFileSync, writeFileSync } from "node:fs";
import { Command } from "commander";
import type { Hex } from "viem";
import { SuretyError, topicIdOf } from "#protocol";
import { readBundle, writeBundle } from "../audit/bundle.ts";
import { runChecks } from "../audit/checks.ts";
import { exportBundle } from "../audit/export.ts";
import { verifyBundle } from "../audit/verify-bundle.ts";
import { runAction } from "../cli/action.ts";
import { connect } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAgentId, parseBytes32, type CommonOptions } from "../cli/options.ts";
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
  return audit;
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
