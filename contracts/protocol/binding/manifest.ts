import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, stringToBytes, type Hex } from "viem";
import { SuretyError } from "../errors.ts";
import type { CodeCommitment } from "./code.ts";

/** A file of an agent's code. */
export interface ManifestFile {
  /** Relative, with slashes, as `manifestText` allows it. */
  readonly path: string;
  readonly sha256: Hex;
}

/** A program of more files is an image: commit to its OCI digest. */
export const MAX_MANIFEST_FILES = 200_000;
/** What Linux allows of a path. */
const MAX_PATH_BYTES = 4_096;

/**
 * The text of a manifest: `sha256sum`'s own lines, sorted by the bytes of their paths. In the code's folder,
 * `find . -type f | sed 's|^\./||' | LC_ALL=C sort | xargs -d '\n' sha256sum` prints the same, less what is ignored.
 * @throws SuretyError MANIFEST_EMPTY, MANIFEST_TOO_LARGE, MANIFEST_PATH or MANIFEST_TWICE
 */
export function manifestText(files: readonly ManifestFile[]): string {
  if (files.length === 0) throw invalid("MANIFEST_EMPTY", "it has no file", {});
  if (files.length > MAX_MANIFEST_FILES)
    throw invalid("MANIFEST_TOO_LARGE", `it has more than ${MAX_MANIFEST_FILES} files`, {});
  for (const { path } of files) {
    const fault = pathFaultOf(path);
    if (fault !== undefined) throw invalid("MANIFEST_PATH", `the path ${JSON.stringify(path)} ${fault}`, { path });
  }
  const sorted = files
    .map((file) => ({ ...file, bytes: stringToBytes(file.path) }))
    .sort((a, b) => compare(a.bytes, b.bytes));
  const twice = sorted.find(({ path }, at) => sorted[at - 1]?.path === path);
  if (twice !== undefined) throw invalid("MANIFEST_TWICE", `${twice.path} stands in it twice`, { path: twice.path });
  return sorted.map((file) => `${file.sha256.slice(2).toLowerCase()}  ${file.path}\n`).join("");
}

/** The commitment to a manifest: sha2-256 of its text. @throws SuretyError as `manifestText` */
export function manifestCommitment(files: readonly ManifestFile[]): CodeCommitment {
  return { kind: "manifest", digest: bytesToHex(sha256(stringToBytes(manifestText(files)))) };
}

/**
 * Why a path cannot stand in a manifest: sha256sum would escape it, two systems would read it differently, or it leads
 * out of the folder. Undefined when it can.
 */
export function pathFaultOf(path: string): string | undefined {
  if (!path.isWellFormed()) return "is not Unicode";
  if (stringToBytes(path).length > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`;
  if (/[\p{Cc}\\]/u.test(path)) return "holds a control character or a backslash";
  const steps = path.split("/");
  return steps.some((step) => step === "" || step === "." || step === "..") ? "is not relative and plain" : undefined;
}

/** Byte order: UTF-16 order differs from it beyond the basic plane, and LC_ALL=C sorts by bytes. */
function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function invalid(code: string, fault: string, values: Record<string, unknown>): SuretyError {
  return new SuretyError(code, `This manifest cannot be committed to: ${fault}.`, {
    values,
    next: "Rename the file or leave it out by a line in .suretyignore.",
  });
}
