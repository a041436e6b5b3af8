import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { getAddress, type Hex } from "viem";
import { identityRegistryAbi, signerHashOf, stateGenesis, stateHeadAfter, SuretyError } from "#protocol";
import { createLogStore } from "../../node/log/log-store.ts";
import { openStore } from "../../node/store/sqlite.ts";
import type { LogFile, ProofFile, StatementFile } from "../../zk/log/messages.ts";
import { runAction, stringify, type Outcome, type Terminal } from "../cli/action.ts";
import { connect } from "../cli/network.ts";
import {
  addNetworkOptions,
  dataDirOption,
  jsonOption,
  parseAgentId,
  parseBytes32,
  parseInteger,
  parseUint,
  type CommonOptions,
} from "../cli/options.ts";
import { describeTabs, readTabPayments } from "../audit/tabs.ts";
import { anchoredHeadAt, lastProvableSeq, readAnchoredHeads } from "../proof/anchored.ts";
import { collectEntries } from "../proof/entries.ts";
import { startProver, type Prover } from "../proof/prover.ts";

interface EntriesOptions extends CommonOptions {
  readonly store: string;
  readonly agent: bigint;
  readonly log: string;
  readonly from: number;
  readonly to?: number;
  readonly out: string;
}
interface MakeOptions {
  readonly limit: bigint;
  readonly budget: bigint;
  readonly salt: bigint;
  readonly out: string;
  readonly dataDir: string;
  readonly json: boolean;
}
interface CheckOptions extends CommonOptions {
  readonly limit: bigint;
  readonly budgetCommitment: Hex;
  readonly programHash?: bigint;
}

export function proofCommand(): Command {
  const proof = new Command("proof").description(
    "prove that a log kept its rules, without showing it: each entry linked, each spend within the limit, all within the budget",
  );
  proof.addCommand(entriesCommand());
  proof.addCommand(makeCommand());
  proof.addCommand(checkCommand());
  return proof;
}

const entriesCommand = () =>
  addNetworkOptions(new Command("entries"))
    .description("write the range of a log that is to be proven: digests, and what the escrow says each receipt paid")
    .requiredOption("--store <file>", "node.sqlite of the agent's own node")
    .requiredOption("--agent <id>", "the agent's id", parseAgentId)
    .requiredOption("--log <address>", "the log")
    .option("--from <seq>", "first entry", parseInteger(0), 0)
    .option("--to <seq>", "last entry; default: the last one of the last anchored range", parseInteger(0))
    .requiredOption("-o, --out <file>", "where the range is written")
    .addOption(jsonOption())
    .action((options: EntriesOptions) =>
      runAction(options.json, async ({ signal }) => {
        const { client, deployment } = await connect(options, signal);
        const store = openStore(options.store);
        try {
          const { chainId, contracts } = deployment;
          const name = { chainId, registry: contracts.identityRegistry, log: getAddress(options.log) };
          const { log } = name;
          const heads = await readAnchoredHeads(client, deployment, log);
          const range = { fromSeq: options.from, toSeq: options.to ?? lastProvableSeq(heads) };
          const headFrom = range.fromSeq === 0 ? stateGenesis(name) : anchoredHeadAt(heads, range.fromSeq);
          const headTo = anchoredHeadAt(heads, range.toSeq + 1);
          const entries = await collectEntries(createLogStore(store), log, range, { client, deployment });
          requireAnchoredHead(headFrom, entries, headTo);
          const file = { ...name, agentId: options.agent.toString(), headFrom, entries };
          return writeJson(options.out, file satisfies LogFile, [
            `${options.out}: ${entries.length} entries of ${log}`,
          ]);
        } finally {
          store.close();
        }
      }),
    );

const makeCommand = () =>
  new Command("make")
    .description("prove a range; some minutes for each 128 entries on a busy machine")
    .argument("<range>", "file that `surety proof entries` wrote")
    .requiredOption("--limit <amount>", "most that one entry may spend, smallest unit", parseUint)
    .requiredOption("--budget <amount>", "most that all of them may spend", parseUint)
    .requiredOption("--salt <number>", "hides the budget behind its commitment; keep it", parseUint)
    .requiredOption("-o, --out <file>", "where the proof is written")
    .addOption(dataDirOption())
    .addOption(jsonOption())
    .action((range: string, options: MakeOptions) =>
      runAction(options.json, (terminal) =>
        withProver(options.dataDir, terminal, async (prover) => {
          const file = readJson<LogFile>(range, "LOG_FILE");
          const made = (await prover.ask({
            ...{ action: "make", file },
            ...{ limit: String(options.limit), budget: String(options.budget), budgetSalt: String(options.salt) },
          })) as ProofFile;
          const { statement } = made;
          return writeJson(options.out, made, [
            `${options.out}: entries ${statement.fromSeq} to ${statement.nextSeq - 1} of ${made.log.log}`,
            `publish this commitment to the budget: ${statement.budgetCommitment}`,
          ]);
        }),
      ),
    );

const checkCommand = () =>
  addNetworkOptions(new Command("check"))
    .description("check proofs against the heads that the log anchored on chain, and against the rules you name")
    .argument(
      "<proofs...>",
      "files that `surety proof make` wrote; the first check compiles, the others take a second each",
    )
    .requiredOption("--limit <amount>", "most that one entry may spend, smallest unit", parseUint)
    .requiredOption("--budget-commitment <word>", "the agent's commitment to its budget", parseBytes32)
    .option(
      "--program-hash <number>",
      "hash of the program's verification key; default: that of this source",
      parseUint,
    )
    .addOption(jsonOption())
    .action((files: string[], options: CheckOptions) =>
      runAction(options.json, async (terminal) => {
        const connection = await connect(options, terminal.signal);
        // What is not anchored is refused here, before a prover is needed: compiling takes minutes.
        const anchored = new Map<string, Anchored>();
        for (const file of files)
          anchored.set(file, await anchoredEnds(readJson<ProofFile>(file, "PROOF_FILE"), connection));
        return withProver(options.dataDir, terminal, async (prover) => {
          const verdicts: { file: string; fault: string | null; programHash: string }[] = [];
          for (const [file, { proof, ends }] of anchored) {
            const rules = { limit: String(options.limit), budgetCommitment: options.budgetCommitment };
            const statement: StatementFile = { ...ends, ...rules };
            const programHash = options.programHash?.toString();
            const answer = (await prover.ask({
              ...{ action: "check", file: proof, statement },
              ...(programHash === undefined ? {} : { programHash }),
            })) as { fault: string | null; programHash: string };
            verdicts.push({ file, ...answer });
          }
          const tabs = await tabsOf(anchored.values(), connection);
          return {
            result: { verdicts, tabs },
            lines: [
              ...verdicts.map(({ file, fault }) =>
                fault === null ? `holds    ${file}` : `REFUSED  ${file}: ${fault}`,
              ),
              ...tabs.map(({ agentId, detail }) => `beside   tabs of agent ${agentId}: ${detail}`),
            ],
            isFailed: verdicts.some(({ fault }) => fault !== null),
          };
        });
      }),
    );

/** A proof beside what it has to be about. */
interface Anchored {
  readonly proof: ProofFile;
  /** Both ends as the chain has them; the head before a log's first entry follows from the log's name. */
  readonly ends: Pick<StatementFile, "headFrom" | "fromSeq" | "nextSeq" | "headTo">;
}

/**
 * The ends of a proof are the log's anchors, its rules the caller's. Only the range is taken from the file.
 * @throws SuretyError PROOF_NOT_ANCHORED, PROOF_HEAD_MISSING
 */
async function anchoredEnds(
  proof: ProofFile,
  { client, deployment }: Awaited<ReturnType<typeof connect>>,
): Promise<Anchored> {
  const { chainId, contracts } = deployment;
  const log = getAddress(proof.log.log);
  const heads = await readAnchoredHeads(client, deployment, log);
  const { fromSeq, nextSeq } = proof.statement;
  const genesis = () => stateGenesis({ chainId, registry: contracts.identityRegistry, log });
  const headFrom = fromSeq === 0 ? genesis() : anchoredHeadAt(heads, fromSeq);
  return { proof, ends: { headFrom, fromSeq, headTo: anchoredHeadAt(heads, nextSeq), nextSeq } };
}

/** What the agents of the logs paid by tabs: their logs do not say it, so no proof counts it, and the chain does. */
async function tabsOf(
  proofs: Iterable<Anchored>,
  { client, deployment }: Awaited<ReturnType<typeof connect>>,
): Promise<{ agentId: bigint; detail: string }[]> {
  const blockNumber = await client.getBlockNumber();
  const agents = new Set<bigint>();
  for (const { proof } of proofs) {
    const args = [signerHashOf(getAddress(proof.log.log))] as const;
    const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
    agents.add(await client.readContract({ ...registry, functionName: "agentOfSigner", args }));
  }
  const subjects = [...agents].map((agentId) => ({ client, deployment, agentId, blockNumber }));
  return Promise.all(
    subjects.map(async (subject) => ({
      agentId: subject.agentId,
      detail: describeTabs(await readTabPayments(subject)),
    })),
  );
}

/** What is anchored has to be the head of these very entries: else the proof would be of something else, after minutes of work. */
function requireAnchoredHead(headFrom: Hex, entries: LogFile["entries"], anchored: Hex): void {
  const spends = entries.map(({ seq, digest, spend }) => ({ seq, digest, spend: BigInt(spend) }));
  const found = stateHeadAfter(headFrom, spends);
  if (found === anchored) return;
  throw new SuretyError("PROOF_HEAD_DIFFERS", "The anchored Poseidon head is not the one of these entries.", {
    values: { found, anchored, fromSeq: entries[0]?.seq },
    next: "The log's key signed that head over other spends or entries: prove a range that lies outside.",
  });
}

async function withProver(
  dataDir: string,
  { signal, progress }: Terminal,
  use: (prover: Prover) => Promise<Outcome>,
): Promise<Outcome> {
  const prover = startProver({ cacheDir: join(dataDir, "zk-cache"), signal, progress });
  try {
    return await use(prover);
  } finally {
    await prover.close();
  }
}

function writeJson(path: string, file: unknown, lines: readonly string[]): Outcome {
  writeFileSync(path, `${stringify(file)}\n`);
  return { result: file, lines };
}

function readJson<T>(path: string, code: string): T {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (cause) {
    throw new SuretyError(`USAGE_${code}`, `${path} cannot be read as JSON.`, {
      values: { path },
      next: "Name a file that `surety proof` wrote.",
      cause,
    });
  }
}
