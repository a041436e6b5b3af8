import { mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve } from "node:path";
import { isHex, size, type Hex } from "viem";
import { decodeCodeCommitment, encodeCodeCommitment, SuretyError, type CodeCommitment } from "#protocol";
import { readRuntime, type Runtime } from "./runtime.ts";

/** What opens an agent's commitment. Whoever reads it can open any field of the config. */
export interface BindingFile {
  /** Folder of which `code` is the manifest; undefined where the code is an image, a guest or an enclave. */
  readonly codeFolder: string | undefined;
  readonly code: CodeCommitment;
  readonly configFile: string;
  /** What runs the code, a field of the committed config; undefined where the commitment says nothing of it. */
  readonly runtime: Runtime | undefined;
  readonly configDigest: Hex;
  /** From which the salt of each field comes. */
  readonly configSecret: Hex;
  readonly userId: Hex;
  readonly salt: Hex;
  /** baid (eq. 9) of the above. */
  readonly commitment: Hex;
}

const FORMAT = "surety-binding/1";

/**
 * Writes a binding file that its user alone can read; paths in it are relative to its own folder.
 * @throws SuretyError USAGE_BINDING_EXISTS: without its salt an earlier commitment can never be opened again
 */
export function writeBindingFile(path: string, binding: BindingFile): void {
  const at = (target: string) => relative(dirname(resolve(path)), resolve(target)) || ".";
  const { codeFolder, code, configFile, ...rest } = binding;
  const json = {
    format: FORMAT,
    ...(codeFolder === undefined ? {} : { codeFolder: at(codeFolder) }),
    codeCommitment: encodeCodeCommitment(code),
    configFile: at(configFile),
    ...rest,
  };
  mkdirSync(dirname(resolve(path)), { recursive: true });
  const isNew = writeExclusive(path, `${JSON.stringify(json, null, 2)}\n`);
  if (isNew) return;
  throw new SuretyError("USAGE_BINDING_EXISTS", `${path} exists already.`, {
    values: { path },
    next: "Name another file with --out: a binding file is never overwritten, because nothing else opens its commitment.",
  });
}

function writeExclusive(path: string, text: string): boolean {
  try {
    writeFileSync(path, text, { mode: 0o600, flag: "wx" });
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw cause;
  }
}

/** Replaces a file at once: a reader sees the old text or the new one. */
export function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** @throws SuretyError USAGE_BINDING_MISSING, USAGE_BINDING_READABLE, USAGE_BINDING_INVALID */
export function readBindingFile(path: string): BindingFile {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new SuretyError("USAGE_BINDING_MISSING", `There is no readable binding file at ${path}.`, {
      values: { path },
      next: "Write one with `surety baid commit`.",
      cause,
    });
  }
  const mode = statSync(path).mode & 0o777;
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw new SuretyError("USAGE_BINDING_READABLE", `Others on this machine can read the binding file ${path}.`, {
      values: { path, mode: mode.toString(8) },
      next: `Run chmod 600 ${path}; if anyone may have read its salts, commit anew and update.`,
    });
  }
  return parse(json, path);
}

function parse(json: unknown, path: string): BindingFile {
  const invalid = (field: string) =>
    new SuretyError("USAGE_BINDING_INVALID", `${path} is not a binding file: ${field} is missing or malformed.`, {
      values: { path, field },
      next: "Use the file that `surety baid commit` wrote, unchanged.",
    });
  if (typeof json !== "object" || json === null) throw invalid("format");
  const fields = json as Record<string, unknown>;
  if (fields["format"] !== FORMAT) throw invalid("format");
  const word = (field: string): Hex => {
    const value = fields[field];
    if (typeof value !== "string" || !isHex(value) || value.length !== 66) throw invalid(field);
    return value;
  };
  const at = (field: string): string => {
    const value = fields[field];
    if (typeof value !== "string" || value === "") throw invalid(field);
    return isAbsolute(value) ? value : resolve(dirname(resolve(path)), value);
  };
  const encoded = fields["codeCommitment"];
  if (typeof encoded !== "string" || !isHex(encoded) || size(encoded) < 1) throw invalid("codeCommitment");
  const code = decodeCodeCommitment(encoded);
  if (code.kind !== "accept") throw invalid("codeCommitment");
  const isManifest = code.value.kind === "manifest";
  const runtime = fields["runtime"] === undefined ? undefined : readRuntime(fields["runtime"]);
  if (fields["runtime"] !== undefined && runtime === undefined) throw invalid("runtime");
  return {
    codeFolder: isManifest ? at("codeFolder") : undefined,
    code: code.value,
    configFile: at("configFile"),
    runtime,
    configDigest: word("configDigest"),
    configSecret: word("configSecret"),
    userId: word("userId"),
    salt: word("salt"),
    commitment: word("commitment"),
  };
}
