import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import {
  decodeMechanismDocument,
  encodeMechanismDocument,
  MAX_MECHANISM_BYTES,
  readMechanismDocument,
  storedMechanismOf,
  SuretyError,
  type Dual,
  type MechanismDocument,
} from "#protocol";
import { stringify } from "./action.ts";

/** JSON of a document is a few times its canonical bytes; more is no mechanism. */
const MAX_FILE_BYTES = 16 * MAX_MECHANISM_BYTES;

/**
 * Reads rules from a file: JSON as people write it, or the canonical bytes as a log carries them.
 * @throws SuretyError USAGE_MECHANISM with the field at fault
 */
export function readMechanismFile(path: string): MechanismDocument {
  const bytes = readBytes(path);
  const isJson = /^\s*\{/.test(bytes.subarray(0, 64).toString("utf8"));
  const verdict = isJson ? readMechanismDocument(parse(path, bytes.toString("utf8"))) : decodeMechanismDocument(bytes);
  if (verdict.kind === "accept") return verdict.value;
  throw new SuretyError("USAGE_MECHANISM", `${path} is no mechanism: ${verdict.detail}.`, {
    values: { path, code: verdict.code, detail: verdict.detail },
    next: "Correct the field, or begin with `surety mechanism new`.",
  });
}

/**
 * Writes rules to a file: canonical bytes where it ends in .cbor, JSON elsewhere.
 * @param isNew a file that is there already is left alone
 * @throws SuretyError USAGE_FILE_EXISTS, FILE_UNWRITABLE, MECHANISM_INVALID
 */
export function writeMechanismFile(path: string, document: MechanismDocument, isNew = false): void {
  const bytes = encodeMechanismDocument(document);
  write(path, path.endsWith(".cbor") ? bytes : `${stringify(storedMechanismOf(document))}\n`, isNew);
}

/** The proof that an offer carries, as a file beside the rules: which rules, and the dual point. */
export interface ProofFile {
  readonly mechanismHash: string;
  readonly dual: Dual;
}

export function writeProofFile(path: string, proof: ProofFile): void {
  write(path, `${stringify(proof)}\n`, false);
}

/** @throws SuretyError USAGE_PROOF */
export function readProofFile(path: string): ProofFile {
  const json = parse(path, readBytes(path).toString("utf8")) as Partial<Record<"mechanismHash" | "dual", unknown>>;
  const { numerators, denominator } = (json.dual ?? {}) as { numerators?: unknown; denominator?: unknown };
  const isList = Array.isArray(numerators) && [...(numerators as unknown[]), denominator].every(isInteger);
  if (typeof json.mechanismHash !== "string" || !isList) {
    throw new SuretyError("USAGE_PROOF", `${path} holds no proof of a mechanism.`, {
      values: { path },
      next: "Write one with `surety mechanism solve FILE --proof PROOF`.",
    });
  }
  const dual = {
    numerators: numerators.map((part) => BigInt(part as string)),
    denominator: BigInt(denominator as string),
  };
  return { mechanismHash: json.mechanismHash, dual };
}

/** 4096 bits of the check, in decimal digits. */
const isInteger = (value: unknown): boolean => typeof value === "string" && /^\d{1,1300}$/.test(value);

function readBytes(path: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new SuretyError("USAGE_FILE", `${path} cannot be read.`, {
      values: { path },
      next: "Check the path; `surety mechanism new FILE` writes a first draft.",
      cause,
    });
  }
  if (bytes.length <= MAX_FILE_BYTES) return bytes;
  throw new SuretyError("USAGE_FILE", `${path} has ${bytes.length} bytes, at most ${MAX_FILE_BYTES}.`, {
    values: { path, bytes: bytes.length },
    next: "Name the file of a mechanism.",
  });
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SuretyError("USAGE_JSON", `${path} is not JSON.`, {
      values: { path },
      next: cause instanceof Error ? `Mend it: ${cause.message}.` : "Mend it.",
      cause,
    });
  }
}

function write(path: string, content: string | Uint8Array, isNew: boolean): void {
  try {
    const file = openSync(path, isNew ? "wx" : "w");
    writeFileSync(file, content);
    closeSync(file);
  } catch (cause) {
    const isThere = (cause as { code?: string }).code === "EEXIST";
    throw new SuretyError(
      isThere ? "USAGE_FILE_EXISTS" : "FILE_UNWRITABLE",
      `${path} ${isThere ? "is there already" : "cannot be written"}.`,
      {
        values: { path },
        next: isThere ? "Name another file, or add --force." : "Check the folder and its permissions.",
        cause,
      },
    );
  }
}
