import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import hre from "hardhat";
import { createSigner, identityRegistryAbi, signerHashOf, SuretyError } from "#protocol";
import type { RoleReport } from "../../node/reputation/driver.ts";
import { readBundle } from "../audit/bundle.ts";
import { runChecks } from "../audit/checks.ts";
import { verifyBundle } from "../audit/verify-bundle.ts";
import { runAction, type Outcome, type Terminal } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, networkDir } from "../cli/network.ts";
import { addNetworkOptions, dataDirOption, jsonOption, parseInteger, type CommonOptions } from "../cli/options.ts";
import { deploySurety } from "../deploy.ts";
import { buildContracts, startLocalChain } from "../devnet/chain.ts";
import { runRoles } from "../devnet/publish.ts";
import { bundlePath, importRatings, type ImportResult } from "../scenarios/rating-import.ts";
import { leavesCommand } from "../cli/leaves-commands.ts";
import { computeCommand, explainCommand } from "../cli/score-commands.ts";

interface RoleOptions extends CommonOptions {
  readonly keyFile: string;
}

interface CommitOptions extends RoleOptions {
  readonly rank: number;
}

interface ImportCommandOptions {
  readonly first: number;
  readonly topic: string;
  readonly seeds: number;
  readonly network?: string;
  readonly rpcUrl?: string;
  readonly dataDir: string;
  readonly json: boolean;
}

/** Epochs of the import's own chain: long enough that all deals fall into one; its clock is moved, not waited for. */
const IMPORT_PARAMETERS = {
  epochLengthSeconds: 86_400n,
  unbondingDelaySeconds: 7n * 86_400n,
  publisherBondWei: 1_000_000_000n,
};

export function reputationCommand(): Command {
  const reputation = new Command("reputation").description("compute, explain, commit, watch and import reputation");
  reputation.addCommand(computeCommand());
  reputation.addCommand(explainCommand());
  reputation.addCommand(leavesCommand());
  addNetworkOptions(reputation.command("commit"))
    .description("publish the next closed epoch: compute, commit, answer for the leaves; ends when it is committed")
    .requiredOption("--key-file <path>", "key of the publishing agent, whose stake is the bond")
    .option(
      "--rank <number>",
      "wait so many eighths of the time for committing, and commit if nobody else did by then",
      parseInteger(0),
      0,
    )
    .addOption(jsonOption())
    .action((options: CommitOptions) => runAction(options.json, (terminal) => commit(options, terminal)));
  addNetworkOptions(reputation.command("watch"))
    .description("recompute every epoch and challenge what is wrong, until Ctrl-C")
    .requiredOption("--key-file <path>", "key that sends the challenges and is paid for them")
    .addOption(jsonOption())
    .action((options: RoleOptions) => runAction(options.json, (terminal) => watch(options, terminal)));
  reputation
    .command("import")
    .description("replay published ratings as signed, settled deals, then commit, finalize, admit and audit")
    .argument("<file>", "ratings: source,target,weight,timestamp (or two or three columns by space)")
    .option("--first <count>", "how many ratings from the start of the file", parseInteger(1), 2_000)
    .option("--topic <name>", "topic of the deals", "bitcoin_trading")
    .option("--seeds <count>", "how many of the busiest raters are pre-trusted by a stake", parseInteger(1), 10)
    .option("-n, --network <name>", "a running local network; default: a chain of the import's own")
    .option("--rpc-url <url>", "its RPC endpoint")
    .addOption(dataDirOption())
    .addOption(jsonOption())
    .action((file: string, options: ImportCommandOptions) =>
      runAction(options.json, (terminal) => runImport(file, options, terminal)),
    );
  return reputation;
}

async function commit(options: CommitOptions, terminal: Terminal): Promise<Outcome> {
  const { deployment, rpcUrl, client } = await connect(options, terminal.signal);
  const key = readKeyFile(options.keyFile);
  const { address } = createSigner(key);
  const agentId = await client.readContract({
    abi: identityRegistryAbi,
    address: deployment.contracts.identityRegistry,
    functionName: "agentOfSigner",
    args: [signerHashOf(address)],
  });
  if (agentId === 0n) {
    throw new SuretyError("USAGE_NO_AGENT", `The key ${address} speaks for no agent.`, {
      values: { address },
      next: `Register one: surety agent register --key-file ${options.keyFile} --network ${options.network}`,
    });
  }
  const stop = new AbortController();
  const done = Promise.withResolvers<RoleReport>();
  const onReport = (report: RoleReport) => {
    terminal.progress(describe(report));
    if (report.effect.kind === "compute" && report.error === undefined)
      terminal.progress(afterComputing(report.effect));
    if (report.effect.kind === "commit" || report.error?.isRetryable === false) done.resolve(report);
  };
  const publisher = { agentId: Number(agentId), rank: options.rank, isReleasing: false };
  terminal.progress("waiting for the first third of an epoch, in which the one before it is committed");
  const running = runRoles(
    rpcUrl,
    deployment,
    { address, key },
    { publisher, onReport },
    AbortSignal.any([terminal.signal, stop.signal]),
  );
  const report = await Promise.race([done.promise, running]);
  stop.abort();
  await running;
  terminal.signal.throwIfAborted();
  if (report?.error !== undefined) throw report.error;
  const epoch = report?.effect.kind === "commit" ? report.effect.epoch : undefined;
  return { result: { epoch, publisher: agentId }, lines: [`agent ${agentId} committed epoch ${epoch}`] };
}

async function watch(options: RoleOptions, terminal: Terminal): Promise<Outcome> {
  const { deployment, rpcUrl } = await connect(options, terminal.signal);
  const key = readKeyFile(options.keyFile);
  let challenges = 0;
  const onReport = (report: RoleReport) => {
    if (report.effect.kind === "challenge" && report.error === undefined) challenges++;
    terminal.progress(describe(report));
  };
  const { address } = createSigner(key);
  terminal.progress("watching; Ctrl-C ends it");
  await runRoles(rpcUrl, deployment, { address, key }, { isWatching: true, onReport }, terminal.signal).catch(
    (error: unknown) => {
      // Ctrl-C is how watching ends, at whatever request it comes.
      if (!terminal.signal.aborted) throw error;
    },
  );
  return { result: { challenges }, lines: [`stopped after ${challenges} challenges`] };
}

function afterComputing({ epoch }: { readonly epoch: number }): string {
  return `epoch ${epoch} is computed; topics without ratings, or that another committed alike, leave nothing to commit: then the next epoch is waited for`;
}

function describe({ role, effect, error }: RoleReport): string {
  return error === undefined
    ? `${role}: ${effect.key}`
    : `${role}: ${effect.key} failed, ${error.message} ${error.next}`;
}

async function runImport(file: string, options: ImportCommandOptions, terminal: Terminal): Promise<Outcome> {
  const { first, topic, seeds } = options;
  const target = await openTarget(options, terminal);
  try {
    const { progress, signal } = terminal;
    const { rpcUrl, deployment, dir } = target;
    const result = await importRatings({ file, first, topic, seeds, rpcUrl, deployment, signal, progress });
    mkdirSync(dir, { recursive: true });
    const path = bundlePath(dir);
    writeFileSync(path, result.bundle.text);
    const bundle = readBundle(result.bundle.text);
    if (bundle.kind !== "accept") throw new Error(bundle.detail);
    const verdict = await runChecks(path, verifyBundle(bundle.value, result.bundle.blockHash));
    const { text: _, ...evidence } = result.bundle;
    return {
      result: { ...result, bundle: { ...evidence, path, isOk: verdict.isOk } },
      isFailed: !verdict.isOk,
      lines: linesOf(result, path, verdict.isOk),
    };
  } finally {
    await target.close();
  }
}

/** The running network that was named, or a chain of the import's own that ends with it. */
async function openTarget(options: ImportCommandOptions, { progress, signal }: Terminal) {
  const { dataDir, network } = options;
  if (network !== undefined) {
    const named = { network, dataDir, ...(options.rpcUrl === undefined ? {} : { rpcUrl: options.rpcUrl }) };
    const { rpcUrl, deployment } = await connect(named, signal);
    return { rpcUrl, deployment, dir: networkDir(named), close: () => Promise.resolve() };
  }
  progress("compiling and starting a chain for the import");
  await buildContracts();
  const chain = await startLocalChain();
  const dir = join(dataDir, "import");
  const connection = await hre.network.create({ network: "localhost", override: { url: chain.rpcUrl } });
  const parameters = IMPORT_PARAMETERS;
  const deployment = await deploySurety({ connection, deploymentDir: dir, isReset: true, parameters, signal }).catch(
    async (error: unknown) => {
      await chain.stop();
      throw error;
    },
  );
  await connection.close();
  return { rpcUrl: chain.rpcUrl, deployment, dir, close: () => chain.stop() };
}

function linesOf(result: ImportResult, path: string, isOk: boolean): string[] {
  const { ratings, agents, settled, epoch, leafCount, top, marketplace, bundle, skipped, seconds } = result;
  return [
    ...skipped.map((line) => `left out: ${line}`),
    `${settled} of ${ratings} ratings settled as deals among ${agents} agents in ${seconds} s`,
    `epoch ${epoch} finalized with ${leafCount} leaves; the best:`,
    ...top.map(
      ({ person, agentId, share }, rank) =>
        `  ${rank + 1}. person ${person} (agent ${agentId}): ${(share * 100).toFixed(3)} %`,
    ),
    `marketplace ${marketplace.address} admitted agent ${marketplace.agentId} on proof for ${marketplace.gasUsed} gas`,
    `${path} ${isOk ? "holds" : "DOES NOT HOLD"} offline: surety audit verify ${path} --block-hash ${bundle.blockHash}`,
  ];
}
