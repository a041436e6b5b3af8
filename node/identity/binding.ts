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

/** An agent's code and config as they are on this machine now, under the salts of its binding file. */
export interface MeasuredBinding {
  readonly code: CodeCommitment;
  /** Undefined where the code is an image, a guest or an enclave: its digest is stated, not measured. */
  readonly files: readonly ManifestFile[] | undefined;
  readonly config: Config;
  readonly configDigest: Hex;
  readonly commitment: Hex;
}

/** @throws SuretyError as `measureCode`, `readConfigFile` and `configDigestOf` */
export async function measureBinding(
  file: Pick<BindingFile, "codeFolder" | "code" | "configFile" | "configSecret" | "userId" | "salt">,
  signal: AbortSignal,
): Promise<MeasuredBinding> {
  const { codeFolder, configFile, configSecret, userId, salt } = file;
  const files = codeFolder === undefined ? undefined : await measureCode(codeFolder, signal);
  const code = files === undefined ? file.code : manifestCommitment(files);
  const config = await readConfigFile(configFile);
  const configDigest = configDigestOf(config, configSecret);
  const commitment = commitmentOf({ codeCommitment: codeWordOf(code), configDigest, userId, salt });
  return { code, files, config, configDigest, commitment };
}

/** Part of a binding that is not what it should be. */
export interface BindingFault {
  readonly code:
    "CODE_CHANGED" | "CONFIG_CHANGED" | "COMMITMENT_OTHER" | "COMMITMENT_NONE" | "CODE_ELSEWHERE" | "OPTIONS_OTHER";
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
