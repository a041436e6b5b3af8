import { relative, resolve, sep } from "node:path";
import { zeroHash, type Hex } from "viem";
import {
  codeWordOf,
  commitmentOf,
  configDigestOf,
  encodeCodeCommitment,
  manifestCommitment,
  SuretyError,
  type CodeCommitment,
  type Config,
  type ManifestFile,
} from "#protocol";
import type { BindingFile } from "./binding-file.ts";
import { measureCode, readConfigFile } from "./measure.ts";
import { ownRuntime, RUNTIME_FIELD, runtimeDifference, type Runtime } from "./runtime.ts";

/** An agent's code and config as they are on this machine now, under the salts of its binding file. */
export interface MeasuredBinding {
  readonly code: CodeCommitment;
  /** Undefined where the code is an image, a guest or an enclave: its digest is stated, not measured. */
  readonly files: readonly ManifestFile[] | undefined;
  /** As committed to: with the runtime, where the commitment names one. */
  readonly config: Config;
  readonly runtime: Runtime | undefined;
  readonly configDigest: Hex;
  readonly commitment: Hex;
}

/**
 * @param file its runtime is what was committed; the one of this process is measured and takes its place in the config
 * @throws SuretyError CONFIG_RUNTIME; as `measureCode`, `readConfigFile` and `configDigestOf`
 */
export async function measureBinding(
  file: Pick<BindingFile, "codeFolder" | "code" | "configFile" | "configSecret" | "userId" | "salt" | "runtime">,
  signal: AbortSignal,
): Promise<MeasuredBinding> {
  const { codeFolder, configFile, configSecret, userId, salt } = file;
  const files = codeFolder === undefined ? undefined : await measureCode(codeFolder, signal);
  const code = files === undefined ? file.code : manifestCommitment(files);
  const runtime = file.runtime === undefined ? undefined : await ownRuntime(signal);
  const config = withRuntime(await readConfigFile(configFile), runtime, configFile);
  const configDigest = configDigestOf(config, configSecret);
  const commitment = commitmentOf({ codeCommitment: codeWordOf(code), configDigest, userId, salt });
  return { code, files, config, runtime, configDigest, commitment };
}

function withRuntime(config: Config, runtime: Runtime | undefined, configFile: string): Config {
  if (runtime === undefined) return config;
  if (Object.hasOwn(config, RUNTIME_FIELD)) {
    throw new SuretyError(
      "CONFIG_RUNTIME",
      `${configFile} has a field ${RUNTIME_FIELD}, which is measured and not stated.`,
      {
        values: { configFile },
        next: "Rename that field, or commit with --no-runtime.",
      },
    );
  }
  return { ...config, [RUNTIME_FIELD]: { ...runtime } };
}

/** Part of a binding that is not what it should be. */
export interface BindingFault {
  readonly code:
    | "CODE_CHANGED"
    | "RUNTIME_CHANGED"
    | "CONFIG_CHANGED"
    | "COMMITMENT_OTHER"
    | "COMMITMENT_NONE"
    | "CODE_ELSEWHERE"
    | "OPTIONS_OTHER";
  readonly detail: string;
  readonly next: string;
}

/** First thing that differs between what is here, what the file says was committed, and what the chain holds. */
export function judgeBinding(file: BindingFile, measured: MeasuredBinding, onChain: Hex): BindingFault | undefined {
  const update = "commit what is here (`surety baid commit`) and record it (`surety baid update`)";
  const [committed, found] = [encodeCodeCommitment(file.code), encodeCodeCommitment(measured.code)];
  if (committed !== found) {
    const detail = `the code is ${found}, committed was ${committed}`;
    return {
      code: "CODE_CHANGED",
      detail,
      next: `Run sha256sum -c on the manifest beside the binding file to see which file differs; restore it, or ${update}.`,
    };
  }
  const { runtime } = measured;
  const changed = file.runtime && runtime ? runtimeDifference(file.runtime, runtime) : undefined;
  if (changed !== undefined) {
    return {
      code: "RUNTIME_CHANGED",
      detail: `what runs the code is another: ${changed}`,
      next: `Run the committed version of it, or ${update}.`,
    };
  }
  if (file.configDigest !== measured.configDigest) {
    const detail = `the config's digest is ${measured.configDigest}, committed was ${file.configDigest}`;
    return {
      code: "CONFIG_CHANGED",
      detail,
      next: `Restore ${file.configFile} and the files that it refers to, or ${update}.`,
    };
  }
  if (onChain === zeroHash) {
    return {
      code: "COMMITMENT_NONE",
      detail: "the chain holds no commitment of the agent",
      next: "Record it: `surety baid update`.",
    };
  }
  if (measured.commitment === onChain) return undefined;
  const detail = `this is ${measured.commitment}, the chain holds ${onChain}`;
  return {
    code: "COMMITMENT_OTHER",
    detail,
    next: "Name the binding file of the agent's newest version, or record this one: `surety baid update`.",
  };
}

/** Whether a module that is about to be loaded stands in the manifest. */
export function isCommittedModule({ files }: MeasuredBinding, codeFolder: string, module: string): boolean {
  const path = relative(resolve(codeFolder), resolve(module)).split(sep).join("/");
  return files?.some((file) => file.path === path) === true;
}

export function bindingError({ code, detail, next }: BindingFault, agentId: bigint): SuretyError {
  return new SuretyError(`NODE_${code}`, `Agent ${agentId} does not run what it committed to: ${detail}.`, {
    values: { agentId, detail },
    next: `${next} To run all the same, marked as unbound in every entry, pass --unbound.`,
  });
}
