import { randomBytes } from "node:crypto";
import { bytesToHex, zeroHash, type Hex } from "viem";
import { manifestText, type CodeCommitment } from "#protocol";
import { replaceFile, writeBindingFile } from "../../node/identity/binding-file.ts";
import { measureBinding, type MeasuredBinding } from "../../node/identity/binding.ts";
import { ownRuntime } from "../../node/identity/runtime.ts";

/** What is to be committed to, and where its salts are kept. */
export interface CommitRequest {
  /** Folder of the agent's code, or what stands for code that this machine cannot measure. */
  readonly code: string | CodeCommitment;
  readonly configFile: string;
  /** Commits to this package, its lockfile and the interpreter, too: what runs the code. */
  readonly isRuntimeBound: boolean;
  readonly userId: Hex;
  /** The binding file to write; the manifest goes beside it. */
  readonly out: string;
}

/**
 * Measures code and config, commits to them under fresh salts, and writes the binding file and the manifest.
 * @throws SuretyError as `measureBinding` and `writeBindingFile` do
 */
export async function createCommitment(
  { code, configFile, isRuntimeBound, userId, out }: CommitRequest,
  signal: AbortSignal,
): Promise<MeasuredBinding> {
  const codeFolder = typeof code === "string" ? code : undefined;
  const stated: CodeCommitment = typeof code === "string" ? { kind: "manifest", digest: zeroHash } : code;
  const runtime = isRuntimeBound ? await ownRuntime(signal) : undefined;
  const parts = { codeFolder, configFile, runtime, configSecret: randomWord(), userId, salt: randomWord() };
  const measured = await measureBinding({ ...parts, code: stated }, signal);
  const { configDigest, commitment } = measured;
  writeBindingFile(out, { ...parts, code: measured.code, configDigest, commitment });
  if (measured.files !== undefined) replaceFile(manifestPath(out), manifestText(measured.files));
  return measured;
}

const randomWord = (): Hex => bytesToHex(randomBytes(32));

/** Where the manifest of a binding file is written, in sha256sum's form. */
export const manifestPath = (bindingFile: string): string => `${bindingFile.replace(/\.json$/, "")}.manifest`;
