import { existsSync } from "node:fs";
import { Command } from "commander";
import type { Address } from "viem";
import {
  createSigner,
  identityRegistryAbi,
  judgeRotation,
  purposes,
  reject,
  signerHashOf,
  SuretyError,
  type DomainContracts,
  type Rotation,
  type Signer,
  type Verdict,
} from "#protocol";
import { signCheckpoint } from "../../node/log/checkpoint.ts";
import { compactLogs } from "../../node/log/compaction.ts";
import { createLogStore, type LogStore } from "../../node/log/log-store.ts";
import { rotateLog } from "../../node/log/rotate.ts";
import type { CheckpointPort } from "../../node/log/writer.ts";
import { openStore } from "../../node/store/sqlite.ts";
import type { Store } from "../../node/store/port.ts";
import { runAction } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, readDeployment, type Connection } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAddress, type CommonOptions } from "../cli/options.ts";
import { createLogChecker, type LogChecker, type LogReport } from "../logs/check.ts";
import { isFileHead, readLogFile, writeLogFile } from "../logs/file.ts";
import { summarize, type LogSummary } from "../logs/summary.ts";

interface StoreOptions {
  readonly store: string;
  readonly log?: Address;
  readonly json: boolean;
}
type ExportOptions = CommonOptions & { readonly store: string; readonly log: Address; readonly out: string };
type RotateOptions = CommonOptions & { readonly store: string; readonly keyFile: string; readonly newKeyFile: string };

/** Zero: a head from which nothing is proven. */
const NO_STATE_HEAD = `0x${"00".repeat(32)}` as const;
/** Logs that are listed. */
const MAX_LISTED = 1_000;

export function logCommand(): Command {
  const log = new Command("log").description("the signed logs in a node's store");
  for (const add of [showCommand, exportCommand, verifyCommand, compactCommand, rotateCommand]) log.addCommand(add());
  return log;
}

const storeOption = ["--store <file>", "node.sqlite of a node, running or not"] as const;

const showCommand = () =>
  new Command("show")
    .description("what a store holds: all logs, or one with what it declares")
    .requiredOption(...storeOption)
    .option("--log <address>", "one log", parseAddress)
    .addOption(jsonOption())
    .action((options: StoreOptions) =>
      runAction(options.json, async () =>
        withLogs(options.store, (logs) => {
          if (options.log === undefined) return listLogs(logs);
          const summary = summarize(logs, options.log, Date.now());
          if (summary === undefined) throw unknownLog(options.log);
          return { result: summary, lines: linesOf(summary) };
        }),
      ),
    );

const exportCommand = () =>
  addNetworkOptions(new Command("export"))
    .description("write one log to a file that `surety log verify` judges by itself")
    .requiredOption(...storeOption)
    .requiredOption("--log <address>", "the log", parseAddress)
    .requiredOption("-o, --out <file>", "where it is written")
    .addOption(jsonOption())
    .action((options: ExportOptions) =>
      runAction(options.json, async () =>
        withLogs(options.store, (logs) => {
          if (logs.headOf(options.log) === undefined) throw unknownLog(options.log);
          const counts = writeLogFile(options.out, logs, options.log, contractsOf(readDeployment(options)));
          return {
            result: { log: options.log, file: options.out, ...counts },
            lines: [`${counts.entries} entries, ${counts.bodiless} of them without a body, in ${options.out}`],
          };
        }),
      ),
    );

const verifyCommand = () =>
  new Command("verify")
    .description(
      "judge a log in a file: signatures, links, bodies, checkpoints and, with a second file, the rotation to it",
    )
    .argument("<file>", "what `surety log export` wrote")
    .argument("[next]", "the log after it")
    .addOption(jsonOption())
    .action((file: string, next: string | undefined, options: { json: boolean }) =>
      runAction(options.json, async () => {
        const checked = [await checkFile(file), ...(next === undefined ? [] : [await checkFile(next)])] as const;
        const reports = checked.map((checker) => checker.report());
        const rotation = checked[1] && rotationOf(checked[0], checked[1]);
        const isFailed =
          reports.some(({ findings }) => findings.length > 0) || (rotation?.kind ?? "accept") !== "accept";
        const result = { holds: !isFailed, logs: reports, ...(rotation === undefined ? {} : { rotation }) };
        const words =
          rotation === undefined
            ? []
            : [rotation.kind === "accept" ? "the one goes on as the other" : `no rotation: ${rotation.detail}`];
        return { result, lines: [...reports.flatMap(reportLines), ...words], isFailed };
      }),
    );

const compactCommand = () =>
  new Command("compact")
    .description(
      "drop the bodies that nobody needs any more: a week after what they declare was withdrawn, complete or expired",
    )
    .requiredOption(...storeOption)
    .option("--log <address>", "only this log", parseAddress)
    .requiredOption(
      "--own <addresses...>",
      "logs of this node's own keys: their receipts and attestations stay",
      addAddress,
    )
    .addOption(jsonOption())
    .action((options: StoreOptions & { own: readonly Address[] }) =>
      runAction(options.json, async ({ signal }) =>
        withLogs(options.store, async (logs, store) => {
          const own = new Set(options.own);
          const only = options.log === undefined ? {} : { only: options.log };
          const done = await compactLogs({ logs, own, nowMs: Date.now(), signal, ...only });
          // Pages of the file that became free are used again; only a rewrite gives them back to the disk.
          const isRewritten = done.bodies > 0 && rewrite(store);
          const words = isRewritten ? "given back to the disk" : "free for new entries";
          return {
            result: { ...done, isRewritten },
            lines: [`${done.bodies} bodies of ${done.logs} logs dropped, ${done.bytes} bytes ${words}`],
          };
        }),
      ),
    );

const rotateCommand = () =>
  addNetworkOptions(new Command("rotate"))
    .description(
      "end a log and begin the next under a new key, each naming the other; bind the new key first, revoke the old after",
    )
    .requiredOption("--store <file>", "node.sqlite of the agent's stopped node")
    .requiredOption("--key-file <path>", "key of the log that ends")
    .requiredOption("--new-key-file <path>", "key of the log that begins")
    .addOption(jsonOption())
    .action((options: RotateOptions) =>
      runAction(options.json, async ({ signal }) => {
        const connection = await connect(options, signal);
        const [from, to] = [createSigner(readKeyFile(options.keyFile)), createSigner(readKeyFile(options.newKeyFile))];
        const agentId = await requireOneAgent(connection, from, to);
        return withLogs(options.store, async (logs, store) => {
          const contracts = contractsOf(connection.deployment);
          const checkpoints = await createCheckpoints(connection, agentId, from, contracts);
          const nowMs = (): number => Date.now();
          const done = await rotateLog({ store, logs, from, to, contracts, checkpoints, nowMs, signal });
          const result = {
            ...{ agentId, from: from.address, to: to.address, withdrawn: done.withdrawn },
            ...{ ends: done.ends.header.digest, starts: done.starts.header.digest },
          };
          return {
            result,
            lines: [
              `log ${from.address} ended with entry ${done.ends.header.header.seq}; ${done.withdrawn.length} declarations withdrawn`,
              `log ${to.address} goes on from it. Start the node with ${options.newKeyFile}, then revoke the old key.`,
            ],
          };
        });
      }),
    );

const addAddress = (text: string, before: readonly Address[] = []): Address[] => [...before, parseAddress(text)];

/** Free pages are used again; only a rewrite gives them back to the disk. @returns false while a running node has the file */
function rewrite(store: Store): boolean {
  try {
    store.prepare("VACUUM").run();
    return true;
  } catch {
    return false;
  }
}

async function withLogs<T>(path: string, work: (logs: LogStore, store: Store) => T | Promise<T>): Promise<T> {
  if (!existsSync(path)) {
    throw new SuretyError("USAGE_STORE_MISSING", `There is no store at ${path}.`, {
      values: { path },
      next: "Name the node.sqlite in the node's folder of the data directory.",
    });
  }
  const store = openStore(path);
  try {
    return await work(createLogStore(store), store);
  } finally {
    store.close();
  }
}

function contractsOf({ chainId, contracts }: Connection["deployment"]): DomainContracts {
  return { chainId, ...contracts };
}

function listLogs(logs: LogStore) {
  const heads = logs.heads(undefined, MAX_LISTED);
  const forked = new Set(logs.forkedLogs());
  const listed = heads.map(({ log, seq, digest }) => ({
    log,
    entries: seq + 1,
    head: digest,
    isForked: forked.has(log),
  }));
  const lines = listed.map(({ log, entries, isForked }) => `${log}  ${entries} entries${isForked ? ", forked" : ""}`);
  return { result: { counts: logs.counts(), logs: listed }, lines: lines.length === 0 ? ["no log"] : lines };
}

function linesOf({
  log,
  entries,
  bodies,
  byKind,
  isForked,
  rotatedFrom,
  rotatedTo,
  declarations,
}: LogSummary): string[] {
  const kinds = Object.entries(byKind).map(([kind, count]) => `${kind} ${count}`);
  return [
    `log           ${log}${isForked ? ", forked: its key signed two entries at one seq" : ""}`,
    `entries       ${entries}, ${bodies} with their body: ${kinds.join(", ")}`,
    ...(rotatedFrom === undefined ? [] : [`comes from    ${rotatedFrom}`]),
    ...(rotatedTo === undefined ? [] : [`goes on as    ${rotatedTo}`]),
    ...declarations.map(({ id, kind, status, name }) => `${status.padEnd(13)} ${kind} ${name} (${id})`),
  ];
}

async function checkFile(path: string): Promise<LogChecker> {
  let checker: LogChecker | undefined;
  for await (const line of readLogFile(path)) {
    if (isFileHead(line)) checker = createLogChecker(line.log, line);
    else checker?.add(line);
  }
  return checker as LogChecker;
}

function rotationOf(first: LogChecker, second: LogChecker): Verdict<Rotation> {
  const [{ ends }, { starts }] = [first.rotations(), second.rotations()];
  if (ends !== undefined && starts !== undefined) return judgeRotation(ends, starts);
  return reject(
    "ROTATION_MISSING",
    ends === undefined ? "the first log has not ended" : "the second begins a log of its own",
  );
}

function reportLines({ log, entries, bodies, checkpoints, rotatedFrom, rotatedTo, findings }: LogReport): string[] {
  return [
    `log ${log}: ${entries} entries linked and signed, ${bodies} bodies as signed, ${checkpoints} checkpoints as computed`,
    ...(rotatedFrom === undefined ? [] : [`  it says that it comes from ${rotatedFrom}`]),
    ...(rotatedTo === undefined ? [] : [`  it says that it goes on as ${rotatedTo}`]),
    ...findings.map(({ seq, code, detail }) => `  entry ${seq}: ${code}: ${detail}`),
  ];
}

/** Both keys have to be LOG signers of one agent now. @throws SuretyError ROTATION_AGENTS */
async function requireOneAgent({ client, deployment }: Connection, from: Signer, to: Signer): Promise<bigint> {
  const identity = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
  const { timestamp } = await client.getBlock();
  const [old, next] = await Promise.all(
    [from, to].map(async ({ address }) => {
      const signerHash = signerHashOf(address);
      const agentId = await client.readContract({ ...identity, functionName: "agentOfSigner", args: [signerHash] });
      const args = [agentId, signerHash, purposes.log, timestamp] as const;
      const isValid = await client.readContract({ ...identity, functionName: "isSignerValidAt", args });
      return isValid ? agentId : undefined;
    }),
  );
  if (old !== undefined && old === next) return old;
  throw new SuretyError("ROTATION_AGENTS", "The two keys are not LOG signers of one agent at this time.", {
    values: { from: from.address, fromAgent: old, to: to.address, toAgent: next },
    next: "Bind the new key to the agent as a LOG signer first, and revoke the old one only after the rotation.",
  });
}

/** A checkpoint that falls on the way is without a Poseidon head: only a running node knows what its deals paid. */
async function createCheckpoints(
  { client }: Connection,
  agentId: bigint,
  signer: Signer,
  contracts: DomainContracts,
): Promise<CheckpointPort> {
  const block = await client.getBlock();
  return {
    sign: (range) =>
      signCheckpoint(
        { agentId, log: signer.address, ...range, stateHead: NO_STATE_HEAD },
        { signer, contracts, block: { number: block.number, hash: block.hash } },
      ),
    onCheckpoint: () => undefined,
  };
}

function unknownLog(log: Address): SuretyError {
  return new SuretyError("LOG_UNKNOWN", `This store has no entry of log ${log}.`, {
    values: { log },
    next: "See `surety log show --store FILE` for the logs that it has.",
  });
}
