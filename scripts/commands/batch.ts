import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { isHex, keccak256, size, type Abi, type Hex } from "viem";
import { anchorsAbi, createBindingBatch, createSigner, purposes, SuretyError, type BatchedBinding } from "#protocol";
import { readBatchEvidence, writeBatchEvidence, type BatchEvidence } from "../audit/batch.ts";
import { runAction } from "../cli/action.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, type CommonOptions } from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";

/** Leaves of one file and one root; the contract takes 2^32. */
const MAX_BINDINGS = 100_000;

interface AnchorOptions extends CommonOptions {
  readonly keyFile: string;
  readonly out: string;
}

export function batchCommand(): Command {
  const batch = new Command("batch").description("bind many agents' signers by one root, and end one of them alone");
  addNetworkOptions(batch.command("anchor"))
    .description("anchor the root of a batch as its issuer, and write each holder's evidence")
    .argument(
      "<bindings>",
      "JSON: a list of { agentId, signer, purpose, validFrom?, validUntil? }; signer as ERC-7913 bytes",
    )
    .requiredOption("--key-file <path>", "file of the issuer's key; it signs and sends")
    .requiredOption("-o, --out <folder>", "where the evidence is written, one file for each binding")
    .addOption(jsonOption())
    .action((path: string, options: AnchorOptions) =>
      runAction(options.json, async ({ signal }) => {
        const [bindings, key] = [readBindings(path), readKeyFile(options.keyFile)];
        const made = createBindingBatch(bindings);
        const { root, count } = made;
        const issuer = createSigner(key).address;
        const connection = await connect(options, signal);
        const { hash, gasUsed } = await sendCall(
          connection,
          key,
          callOf(connection, "anchorBindings", [root, count]),
          signal,
        );
        mkdirSync(options.out, { recursive: true });
        for (const [index, binding] of bindings.entries()) {
          const evidence = { issuer, root, binding: { index, ...binding }, proof: made.proofOf(index) };
          writeFileSync(join(options.out, `${index}.json`), writeBatchEvidence(evidence));
        }
        return {
          result: { issuer, root, count, folder: options.out, transactionHash: hash, gasUsed },
          lines: [
            `${count} bindings of ${issuer} under ${root}: ${gasUsed} gas, ${hash}`,
            `give each holder its file of ${options.out}; who gets one runs: surety audit batched FILE`,
          ],
        };
      }),
    );
  addNetworkOptions(batch.command("revoke"))
    .description("end one binding of a batch now, as its issuer or as the agent's owner; the others stay")
    .argument("<evidence>", "the binding's file")
    .requiredOption("--key-file <path>", "file of the key that signs and sends")
    .addOption(jsonOption())
    .action((path: string, options: CommonOptions & { keyFile: string }) =>
      runAction(options.json, async ({ signal }) => {
        const { issuer, root, binding, proof } = readEvidence(path);
        const connection = await connect(options, signal);
        const call = callOf(connection, "revokeBatched", [issuer, root, binding, proof]);
        const { hash, gasUsed } = await sendCall(connection, readKeyFile(options.keyFile), call, signal);
        return {
          result: { issuer, root, index: binding.index, transactionHash: hash, gasUsed },
          lines: [`binding ${binding.index} of ${root} ends now: ${gasUsed} gas, ${hash}`],
        };
      }),
    );
  return batch;
}

const callOf = (
  { deployment }: Awaited<ReturnType<typeof connect>>,
  functionName: string,
  args: readonly unknown[],
) => ({
  ...{ abi: anchorsAbi as Abi, address: deployment.contracts.anchors, functionName, args },
});

/** @throws SuretyError USAGE_BATCH_EVIDENCE */
export function readEvidence(path: string): BatchEvidence {
  const read = readBatchEvidence(readText(path));
  if (read.kind === "accept") return read.value;
  throw new SuretyError("USAGE_BATCH_EVIDENCE", `${path} shows no binding of a batch: ${read.detail}.`, {
    values: { path },
    next: "Name a file that `surety batch anchor` wrote, unchanged.",
  });
}

function readBindings(path: string): Omit<BatchedBinding, "index">[] {
  const invalid = (detail: string, cause?: unknown) =>
    new SuretyError("USAGE_BATCH_FILE", `${path} is no list of bindings: ${detail}.`, {
      values: { path },
      next: 'Write [{ "agentId": "1", "signer": "0x…", "purpose": "log" }, …].',
      cause,
    });
  let json: unknown;
  try {
    json = JSON.parse(readText(path));
  } catch (cause) {
    if (cause instanceof SuretyError) throw cause;
    throw invalid("it is not JSON", cause);
  }
  if (!Array.isArray(json) || json.length === 0 || json.length > MAX_BINDINGS) {
    throw invalid(`it has not 1 to ${MAX_BINDINGS} entries`);
  }
  return json.map((entry: unknown, index) => {
    const binding = bindingOf(entry);
    if (binding === undefined) throw invalid(`entry ${index} is malformed`);
    return binding;
  });
}

function bindingOf(entry: unknown): Omit<BatchedBinding, "index"> | undefined {
  const { agentId, signer, purpose, validFrom = 0, validUntil = 0 } = (entry ?? {}) as Record<string, unknown>;
  const word = Object.entries(purposes).find(([name]) => name === purpose)?.[1];
  const isSigner = typeof signer === "string" && isHex(signer) && signer.length % 2 === 0 && size(signer) >= 20;
  if (!/^[1-9]\d{0,76}$/.test(String(agentId)) || !isSigner || word === undefined) return undefined;
  if (!isSecond(validFrom) || !isSecond(validUntil)) return undefined;
  const signerHash: Hex = keccak256(signer);
  return { agentId: BigInt(String(agentId)), signerHash, purpose: word, validFrom, validUntil };
}

const isSecond = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 48;

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new SuretyError("USAGE_BATCH_MISSING", `${path} cannot be read.`, {
      values: { path },
      next: "Name a file that is there.",
      cause,
    });
  }
}
