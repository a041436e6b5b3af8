import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import type { Hex } from "viem";
import {
  decodeLeavesFile,
  encodeLeavesFile,
  fileLayoutOf,
  fileNameOf,
  MAX_FILE_LEAVES,
  reputationEpochsAbi,
  SuretyError,
  topicIdOf,
  unpackLeaf,
} from "#protocol";
import { computeEpoch } from "../../node/reputation/engine.ts";
import { runAction, type Outcome, type Terminal } from "./action.ts";
import { graphOfTopic, readLedger } from "./ledger.ts";
import { connect } from "./network.ts";
import { addNetworkOptions, jsonOption, parseInteger, type CommonOptions } from "./options.ts";

interface ExportOptions extends CommonOptions {
  readonly topic: string;
  readonly epoch: number;
  readonly out: string;
}

interface CheckOptions extends CommonOptions {
  readonly topic?: string;
  readonly root?: string;
  readonly top: number;
}

/** `surety reputation leaves`. */
export function leavesCommand(): Command {
  const leaves = new Command("leaves").description("leaves of a topic as a file that its root names");
  addNetworkOptions(leaves.command("export"))
    .description("compute a closed epoch's leaves of one topic from the chain alone, and write <root>.leaves")
    .requiredOption("--topic <name>", "topic of the ledger")
    .requiredOption("--epoch <number>", "the ledger at the close of this epoch", parseInteger(1))
    .option("-o, --out <folder>", "where to write it", ".")
    .addOption(jsonOption())
    .action((options: ExportOptions) => runAction(options.json, (terminal) => exportLeaves(options, terminal)));
  addNetworkOptions(leaves.command("check"))
    .description("recompute every hash of a file, and compare its root with one or with the chain's")
    .argument("<file>", "a file of leaves")
    .option("--root <hash>", "the root that it has to have")
    .option("--topic <name>", "it has to be the topic's last finalized one, by the network's own chain")
    .option("--top <count>", "how many of the best to print", parseInteger(0), 10)
    .addOption(jsonOption())
    .action((file: string, options: CheckOptions) =>
      runAction(options.json, (terminal) => checkLeaves(file, options, terminal)),
    );
  return leaves;
}

async function exportLeaves(options: ExportOptions, { signal }: Terminal): Promise<Outcome> {
  const { topic: name, epoch, out } = options;
  const { client, deployment } = await connect(options, signal);
  const ledger = await readLedger(client, deployment, epoch, signal);
  const graph = graphOfTopic(ledger, topicIdOf(name), name);
  const [computed] = await computeEpoch([graph], { signal });
  if (computed === undefined || computed.leaves.length > MAX_FILE_LEAVES) {
    throw new SuretyError("LEAVES_NONE", `Epoch ${epoch} has no leaves of ${name} that fit a file.`, {
      values: { topic: name, epoch, leafCount: computed?.leaves.length ?? 0 },
      next: "Take a topic with stake behind it.",
    });
  }
  mkdirSync(out, { recursive: true });
  const path = join(out, fileNameOf(computed.root));
  const bytes = encodeLeavesFile(computed.leaves);
  writeFileSync(path, bytes);
  const leafCount = computed.leaves.length;
  return {
    result: { path, root: computed.root, leafCount, bytes: bytes.length, topic: graph.topic, epoch },
    lines: [`${path}: ${leafCount} leaves, ${bytes.length} bytes`, `root ${computed.root}`],
  };
}

async function checkLeaves(file: string, options: CheckOptions, { signal }: Terminal): Promise<Outcome> {
  const expected = await expectedRoot(options, signal);
  const judged = decodeLeavesFile(readBounded(file), expected.id);
  if (judged.kind !== "accept") {
    const { code, detail } = judged;
    return {
      result: { file, holds: false, code, detail },
      isFailed: true,
      lines: [`DOES NOT HOLD: ${code}, ${detail}`],
    };
  }
  const { root, leafCount, words } = judged.value;
  const isSame = expected.root === undefined || expected.root === root;
  const best = words
    .map(unpackLeaf)
    .filter(({ agentId }) => agentId !== 0)
    .toSorted((a, b) => (a.score === b.score ? a.agentId - b.agentId : a.score > b.score ? -1 : 1))
    .slice(0, options.top)
    .map(({ agentId, score }) => ({ agentId, score }));
  return {
    result: { file, holds: isSame, root, leafCount, best },
    isFailed: !isSame,
    lines: [
      isSame
        ? `holds: ${leafCount} leaves under root ${root}`
        : `DOES NOT HOLD: its root is ${root}, not ${expected.root}`,
      ...(expected.root === undefined
        ? ["whether that root is a committed one, only the chain says: give --root or --topic"]
        : []),
      ...best.map(({ agentId, score }, rank) => `  ${rank + 1}. agent ${agentId}: ${score} of 2^62`),
    ],
  };
}

interface Expected {
  readonly root: Hex | undefined;
  readonly id: { readonly root: Hex; readonly leafCount: number } | undefined;
}

async function expectedRoot(options: CheckOptions, signal: AbortSignal): Promise<Expected> {
  if (options.topic === undefined) return { root: options.root?.toLowerCase() as Hex | undefined, id: undefined };
  const { client, deployment } = await connect(options, signal);
  const [root, epoch, leafCount] = await client.readContract({
    abi: reputationEpochsAbi,
    address: deployment.contracts.reputationEpochs,
    functionName: "finalizedOf",
    args: [topicIdOf(options.topic)],
  });
  if (epoch !== 0) return { root, id: { root, leafCount } };
  throw new SuretyError("LEAVES_NOT_FINALIZED", `No epoch of ${options.topic} is finalized.`, {
    values: { topic: options.topic },
    next: "Compare the file with a committed root: --root HASH.",
  });
}

/** A file of another kind is not loaded for its size. */
function readBounded(file: string): Uint8Array {
  if (!existsSync(file)) {
    throw new SuretyError("USAGE_FILE_MISSING", `There is no file at ${file}.`, {
      values: { file },
      next: "Name a file that ends in .leaves.",
    });
  }
  const max = fileLayoutOf(MAX_FILE_LEAVES).fileBytes;
  const { size } = statSync(file);
  if (size <= max) return readFileSync(file);
  throw new SuretyError("LEAVES_TOO_LARGE", `${file} has ${size} bytes, more than any file of leaves.`, {
    values: { file, size, max },
    next: "Name a file that ends in .leaves.",
  });
}
