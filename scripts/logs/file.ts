import { closeSync, createReadStream, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { bytesToHex, hexToBytes, isAddress, isHex, type Address, type Hex } from "viem";
import { encodeLogHeader, SuretyError, type DomainContracts } from "#protocol";
import type { LogReader } from "../../node/log/log-store.ts";

const FORMAT = "surety-log/1";
/** Entries read from the store at once. */
const PAGE = 512;
/** A line holds a header and a body of 64 KB, in hex. */
const MAX_LINE = 140_000;

/** First line of the file: what its signatures are over. */
export interface LogFileHead {
  readonly format: typeof FORMAT;
  readonly log: Address;
  readonly chainId: number;
  readonly identityRegistry: Address;
  readonly dealEscrow: Address;
}

/** Every other line; the body is null where the store has none. */
export interface LogFileEntry {
  readonly header: Uint8Array;
  readonly body: Uint8Array | undefined;
}

/** Writes a log to a file, which appears under its name when it is whole. @returns entries, and those without a body */
export function writeLogFile(
  path: string,
  logs: LogReader,
  log: Address,
  contracts: DomainContracts,
): { readonly entries: number; readonly bodiless: number } {
  const unfinished = `${path}.part`;
  const file = openSync(unfinished, "w");
  const counts = { entries: 0, bodiless: 0 };
  try {
    const { chainId, identityRegistry, dealEscrow } = contracts;
    writeSync(file, `${JSON.stringify({ format: FORMAT, log, chainId, identityRegistry, dealEscrow })}\n`);
    for (let seq = 0; ; seq += PAGE) {
      const page = logs.range(log, seq, PAGE);
      for (const header of page) {
        const body = logs.bodyOf(header.header.bodyHash);
        if (body === undefined) counts.bodiless++;
        const line = {
          header: bytesToHex(encodeLogHeader(header)),
          body: body === undefined ? null : bytesToHex(body),
        };
        writeSync(file, `${JSON.stringify(line)}\n`);
      }
      counts.entries += page.length;
      if (page.length < PAGE) break;
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(unfinished, path);
  return counts;
}

/** Reads a log line by line; a log of any length takes the memory of one entry. @throws SuretyError LOG_FILE_INVALID */
export async function* readLogFile(path: string): AsyncGenerator<LogFileHead | LogFileEntry> {
  const lines = createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Infinity });
  let number = 0;
  for await (const line of lines) {
    number++;
    if (line.length > MAX_LINE) throw invalidFile(path, number, "it is too long");
    const value = parseLine(line);
    const read = number === 1 ? headOf(value) : entryOf(value);
    if (read === undefined) throw invalidFile(path, number, number === 1 ? "it is no head" : "it is no entry");
    yield read;
  }
  if (number === 0) throw invalidFile(path, 1, "it is missing");
}

export const isFileHead = (line: LogFileHead | LogFileEntry): line is LogFileHead => "format" in line;

function parseLine(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function headOf(value: Readonly<Record<string, unknown>>): LogFileHead | undefined {
  const { format, log, chainId, identityRegistry, dealEscrow } = value;
  const named = [log, identityRegistry, dealEscrow];
  const isHead = format === FORMAT && typeof chainId === "number" && named.every((a) => isAddress(String(a)));
  return isHead ? (value as unknown as LogFileHead) : undefined;
}

function entryOf({ header, body }: Readonly<Record<string, unknown>>): LogFileEntry | undefined {
  const isEntry = isBytes(header) && (body === null || isBytes(body));
  return isEntry ? { header: hexToBytes(header), body: body === null ? undefined : hexToBytes(body) } : undefined;
}

const isBytes = (value: unknown): value is Hex => typeof value === "string" && isHex(value) && value.length % 2 === 0;

function invalidFile(path: string, line: number, fault: string): SuretyError {
  return new SuretyError("LOG_FILE_INVALID", `Line ${line} of ${path} cannot be read as a log: ${fault}.`, {
    values: { path, line },
    next: "Write the file again with `surety log export`.",
  });
}
