import { readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { zeroHash, type Abi, type Hex } from "viem";
import {
  codeKinds,
  codeWordOf,
  commitmentOfDisclosure,
  configFields,
  createSigner,
  encodeCodeCommitment,
  identityRegistryAbi,
  nextHead,
  proveField,
  readDisclosure,
  SuretyError,
  typedDataDigest,
  writeDisclosure,
  type CodeCommitment,
  type CodeKind,
} from "#protocol";
import { readBindingFile } from "../../node/identity/binding-file.ts";
import { judgeBinding, measureBinding, type MeasuredBinding } from "../../node/identity/binding.ts";
import { isLeftOut } from "../../node/identity/measure.ts";
import type { Runtime } from "../../node/identity/runtime.ts";
import { check, fails, holds, runChecks, type Check } from "../audit/checks.ts";
import { runAction, type Outcome } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { createCommitment, manifestPath } from "../cli/commitment.ts";
import { connect, type Connection } from "../cli/network.ts";
import { nextBlockTime, sendCall } from "../cli/sending.ts";
import { addNetworkOptions, jsonOption, parseAgentId, parseBytes32, type CommonOptions } from "../cli/options.ts";
import { outcomeOf } from "./verify.ts";

/** Seconds for which the owner's signature over an update may be relayed. */
const UPDATE_LIFETIME_S = 600;
const DEFAULT_BINDING = join(".surety", "binding.json");

interface CommitOptions {
  readonly code: string;
  readonly codeDigest?: CodeCommitment;
  readonly config: string;
  readonly runtime: boolean;
  readonly userId: Hex;
  readonly out: string;
  readonly json: boolean;
}

export function baidCommand(): Command {
  const baid = new Command("baid").description(
    "bind an agent to its code and config: commit, update, open, prove, check",
  );
  addCommit(baid);
  addUpdate(baid);
  addOpen(baid);
  addProveField(baid);
  addCheck(baid);
  return baid;
}

function addCommit(baid: Command): void {
  baid
    .command("commit")
    .description("measure code and config, and write the commitment with fresh salts to a binding file")
    .option("--code <folder>", "folder of the agent's code; .suretyignore in it says what is left out", ".")
    .option("--code-digest <kind:hex>", "instead of a folder: oci, risc0, sp1 or tee, and its digest", parseCodeDigest)
    .requiredOption("--config <file>", `JSON with ${configFields.join(", ")}`)
    .option("--no-runtime", "say nothing of what runs the code: this package's version, its lockfile, the interpreter")
    .option(
      "--user-id <hash>",
      "who answers for the agent, e.g. a credential's nullifier; zero = nobody is named",
      parseBytes32,
      zeroHash,
    )
    .option("-o, --out <file>", "the binding file to write; it holds the salts, readable by you only", DEFAULT_BINDING)
    .addOption(jsonOption())
    .action((options: CommitOptions) => runAction(options.json, ({ signal }) => commit(options, signal)));
}

async function commit(options: CommitOptions, signal: AbortSignal): Promise<Outcome> {
  const { code: folder, codeDigest, config: configFile, userId, out } = options;
  if (codeDigest === undefined) await requireOutside(folder, out);
  // An image, a guest or an enclave has its runtime inside.
  const isRuntimeBound = options.runtime && codeDigest === undefined;
  const request = { code: codeDigest ?? folder, configFile, isRuntimeBound, userId, out };
  const measured = await createCommitment(request, signal);
  const { files, runtime, configDigest, commitment } = measured;
  const codeCommitment = encodeCodeCommitment(measured.code);
  const manifest = files === undefined ? {} : { files: files.length, manifestFile: manifestPath(out) };
  return {
    result: { commitment, codeCommitment, configDigest, runtime, bindingFile: out, ...manifest },
    lines: [
      `commitment ${commitment}`,
      `code ${codeCommitment}${files === undefined ? "" : `, ${files.length} files in ${manifestPath(out)}`}`,
      `config ${configDigest}`,
      ...(runtime === undefined ? [] : [`runtime ${describeRuntime(runtime)}`]),
      `${out} holds the salts: keep it, nothing else opens the commitment`,
      `register it: surety agent register --commitment ${commitment}`,
      `or update: surety baid update AGENT_ID --binding ${out}`,
    ],
  };
}

/** A binding file among the committed files would change what is committed by being written. */
async function requireOutside(codeFolder: string, out: string): Promise<void> {
  const path = relative(resolve(codeFolder), resolve(out)).split(sep).join("/");
  if (path.startsWith("../")) return;
  if ((await isLeftOut(codeFolder, path)) && (await isLeftOut(codeFolder, manifestPath(path)))) return;
  throw new SuretyError("USAGE_BINDING_INSIDE", `${out} would itself be part of the committed code.`, {
    values: { out, codeFolder },
    next: "Write it to the folder .surety, or name it and its .manifest in .suretyignore.",
  });
}

function addUpdate(baid: Command): void {
  addNetworkOptions(baid.command("update"))
    .description("record the commitment as the next version of the agent's chain, signed by its owner")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .option("--binding <file>", "the binding file to record", DEFAULT_BINDING)
    .requiredOption("--key-file <path>", "file of the owner's key; it signs and sends")
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions & { binding: string; keyFile: string }) =>
      runAction(options.json, async ({ signal }) => {
        const [file, key] = [readBindingFile(options.binding), readKeyFile(options.keyFile)];
        const measured = await measureBinding(file, signal);
        const connection = await connect(options, signal);
        const fault = judgeBinding(file, measured, file.commitment);
        if (fault !== undefined) {
          throw new SuretyError(`BINDING_${fault.code}`, `The binding file is not of what is here: ${fault.detail}.`, {
            values: { binding: options.binding },
            next: fault.next,
          });
        }
        const result = await updateCommitment(connection, key, { agentId, commitment: file.commitment }, signal);
        return {
          result,
          lines: [
            `agent ${agentId}, version ${result.version}: ${file.commitment}, ${result.gasUsed} gas, ${result.transactionHash}`,
          ],
        };
      }),
    );
}

/** Signs and sends the next version of an agent's chain (eq. 10). @throws SuretyError BINDING_UNCHANGED, as `sendCall` */
export async function updateCommitment(
  connection: Connection,
  key: Hex,
  { agentId, commitment }: { agentId: bigint; commitment: Hex },
  signal: AbortSignal,
): Promise<{ agentId: bigint; version: bigint; commitment: Hex; head: Hex; transactionHash: Hex; gasUsed: bigint }> {
  const { client, deployment } = connection;
  const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
  const read = { ...registry, functionName: "commitmentOf", args: [agentId] } as const;
  const [current, version, previous] = await client.readContract(read);
  if (current === commitment) {
    throw new SuretyError("BINDING_UNCHANGED", `Version ${version} of agent ${agentId} is this commitment already.`, {
      values: { agentId, version, commitment },
      next: "Nothing: the chain holds it.",
    });
  }
  const deadline = (await nextBlockTime(client)) + UPDATE_LIFETIME_S;
  const update = { agentId, version: version + 1n, previous, delta: commitment, deadline };
  const domain = { chainId: deployment.chainId, ...deployment.contracts };
  const signature = createSigner(key).sign(typedDataDigest("BindingUpdate", update, domain));
  const args = [agentId, update.version, commitment, deadline, signature];
  const call = { ...registry, abi: identityRegistryAbi as Abi, functionName: "updateCommitment", args };
  const { hash, gasUsed } = await sendCall(connection, key, call, signal);
  const head = version === 0n ? commitment : nextHead(previous, commitment, signature);
  return { agentId, version: update.version, commitment, head, transactionHash: hash, gasUsed };
}

function addOpen(baid: Command): void {
  addNetworkOptions(baid.command("open"))
    .description("show what the agent's commitment opens to, checked by the contract; it gives away the salt")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .option("--binding <file>", "the binding file that opens it", DEFAULT_BINDING)
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions & { binding: string }) =>
      runAction(options.json, async ({ signal }) => {
        const { code, configDigest, userId, salt } = readBindingFile(options.binding);
        const { client, deployment } = await connect(options, signal);
        const cp = codeWordOf(code);
        const isOk = await client.readContract({
          ...{ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry },
          functionName: "verifyOpening",
          args: [agentId, cp, configDigest, userId, salt],
        });
        const opening = { codeCommitment: encodeCodeCommitment(code), cp, configDigest, userId, salt };
        return {
          result: { agentId, isOk, ...opening },
          isFailed: !isOk,
          lines: [
            ...Object.entries(opening).map(([name, value]) => `${name} ${value}`),
            isOk ? `opens the commitment of agent ${agentId}` : `does not open the commitment of agent ${agentId}`,
          ],
        };
      }),
    );
}

function addProveField(baid: Command): void {
  baid
    .command("prove-field")
    .description("disclose one field of the config with its proof; the other fields stay hidden")
    .argument("<field>", `a field of the config, such as ${configFields.at(-1)}`)
    .option("--binding <file>", "the binding file of the config", DEFAULT_BINDING)
    .requiredOption("-o, --out <file>", "where the proof is written")
    .addOption(jsonOption())
    .action((field: string, options: { binding: string; out: string; json: boolean }) =>
      runAction(options.json, async ({ signal }) => {
        const file = readBindingFile(options.binding);
        const measured = await measureBinding(file, signal);
        // Changed code is no obstacle here, so that this one digest decides.
        if (measured.configDigest !== file.configDigest) {
          const fault = judgeBinding({ ...file, code: measured.code }, measured, file.commitment);
          throw new SuretyError("BINDING_CONFIG_CHANGED", `Only the committed config has a proof: ${fault?.detail}.`, {
            values: { binding: options.binding },
            next: fault?.next ?? "Restore the config.",
          });
        }
        const { code, userId, salt } = file;
        const proof = { field: proveField(measured.config, file.configSecret, field), code, userId, salt };
        const text = writeDisclosure(proof);
        writeFileSync(options.out, text);
        return {
          result: {
            field,
            value: proof.field.value,
            file: options.out,
            bytes: text.length,
            commitment: file.commitment,
          },
          lines: [
            `${options.out}: ${field} = ${JSON.stringify(proof.field.value)}, ${text.length} bytes`,
            `check it: surety baid check AGENT_ID --proof ${options.out}`,
          ],
        };
      }),
    );
}

interface CheckOptions extends CommonOptions {
  readonly binding: string;
  readonly proof?: string;
}

function addCheck(baid: Command): void {
  addNetworkOptions(baid.command("check"))
    .description("whether code and config here are the committed ones, or whether a disclosed field is a committed one")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .option("--binding <file>", "the binding file of what is here", DEFAULT_BINDING)
    .option("--proof <file>", "instead: a file that `surety baid prove-field` wrote")
    .addOption(jsonOption())
    .action((agentId: bigint, options: CheckOptions) =>
      runAction(options.json, async ({ signal }) => {
        const subject = options.proof === undefined ? options.binding : options.proof;
        const checks =
          options.proof === undefined
            ? checkBinding(agentId, options, signal)
            : checkProof(agentId, readText(options.proof), options, signal);
        return outcomeOf(await runChecks(`${subject} and agent ${agentId}`, checks));
      }),
    );
}

async function* checkBinding(
  agentId: bigint,
  options: CheckOptions,
  signal: AbortSignal,
): AsyncGenerator<Check, void, void> {
  const file = readBindingFile(options.binding);
  const onChain = await readCommitment(await connect(options, signal), agentId);
  const measured = await measureBinding(file, signal);
  const fault = judgeBinding(file, measured, onChain);
  const found: readonly (readonly [name: string, code: string, detail: string])[] = [
    ["code", "CODE_CHANGED", describeCode(measured)],
    ["runtime", "RUNTIME_CHANGED", measured.runtime === undefined ? "not bound" : describeRuntime(measured.runtime)],
    ["config", "CONFIG_CHANGED", `${Object.keys(measured.config).length} fields, ${measured.configDigest}`],
    ["recorded", "COMMITMENT_NONE", `the chain holds ${onChain}`],
    ["commitment", "COMMITMENT_OTHER", measured.commitment],
  ];
  for (const [name, code, detail] of found) {
    if (fault?.code === code) return yield fails(name, `${fault.detail}. ${fault.next}`);
    yield holds(name, detail);
  }
}

const describeRuntime = ({ package: name, version, code, interpreter }: Runtime): string =>
  `${name} ${version}, ${code}, on ${interpreter}`;

function describeCode({ code, files }: MeasuredBinding): string {
  const digest = `${code.kind} ${code.digest}`;
  return files === undefined ? `${digest}, stated and not measured` : `${digest}, ${files.length} files`;
}

async function* checkProof(
  agentId: bigint,
  text: string,
  options: CheckOptions,
  signal: AbortSignal,
): AsyncGenerator<Check, void, void> {
  const read = readDisclosure(text);
  if (read.kind !== "accept") return yield fails("form", read.detail);
  const { field, code } = read.value;
  yield holds("form", `discloses ${field.name}, field ${field.place.index + 1} of ${field.place.leafCount}`);
  const onChain = await readCommitment(await connect(options, signal), agentId);
  const opened = commitmentOfDisclosure(read.value);
  yield check(
    "commitment",
    opened === onChain && opened !== zeroHash,
    `leads to ${opened}, the chain holds ${onChain}`,
  );
  yield holds("code", `${code.kind} ${code.digest}`);
  yield holds(field.name, JSON.stringify(field.value));
}

async function readCommitment({ client, deployment }: Connection, agentId: bigint): Promise<Hex> {
  const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
  const [commitment] = await client.readContract({ ...registry, functionName: "commitmentOf", args: [agentId] });
  return commitment;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new SuretyError("USAGE_PROOF_MISSING", `${path} cannot be read.`, {
      values: { path },
      next: "Name a file that `surety baid prove-field` wrote.",
      cause,
    });
  }
}

/** commander argument parser: the code commitment of what this machine cannot measure. */
function parseCodeDigest(text: string): CodeCommitment {
  const [, kind, digits] = /^(oci|risc0|sp1|tee):(?:sha256:|sha512:|0x)?([0-9a-fA-F]+)$/.exec(text) ?? [];
  if (kind === undefined || digits === undefined || !(kind in codeKinds)) {
    throw new InvalidArgumentError("Expected oci, risc0, sp1 or tee, a colon and hex digits.");
  }
  const code = { kind: kind as CodeKind, digest: `0x${digits.toLowerCase()}` as const };
  try {
    encodeCodeCommitment(code);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  return code;
}
