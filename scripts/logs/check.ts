import type { Address, Hex } from "viem";
import {
  applyHeader,
  CHECKPOINT_INTERVAL,
  checkpointRange,
  createLogState,
  decodeBody,
  decodeLogHeader,
  isEnding,
  kindNameOf,
  matchBody,
  rangeRootOf,
  verifyLogHeader,
  type Body,
  type DomainContracts,
  type LogEntry,
  type LogState,
  type VerifiedHeader,
  type Verdict,
} from "#protocol";
import type { LogFileEntry } from "./file.ts";

/** Findings that are listed; a file that is wrong throughout is wrong after a hundred. */
const MAX_FINDINGS = 100;

/** What does not hold of an entry. */
export interface LogFinding {
  readonly seq: number;
  readonly code: string;
  readonly detail: string;
}

export interface LogReport {
  readonly log: Address;
  readonly entries: number;
  readonly bodies: number;
  readonly byKind: Readonly<Record<string, number>>;
  /** Checkpoints whose root is that of the entries before them, of those whose body is here. */
  readonly checkpoints: number;
  readonly head: Hex;
  /** Where it comes from and goes on, as it says itself. */
  readonly rotatedFrom: Address | undefined;
  readonly rotatedTo: Address | undefined;
  readonly findings: readonly LogFinding[];
}

/** Judges a log by its own bytes: each signature, link, body, checkpoint and rotation. In order of seq, memory of 64 entries. */
export interface LogChecker {
  add(entry: LogFileEntry): void;
  report(): LogReport;
  /** The rotation with which it begins and the one with which it ends, if they were judged. */
  rotations(): { readonly starts?: LogEntry; readonly ends?: LogEntry };
}

export function createLogChecker(log: Address, contracts: DomainContracts): LogChecker {
  const digests: Hex[] = [];
  const byKind: Record<string, number> = {};
  const findings: LogFinding[] = [];
  const rotations: { starts?: LogEntry; ends?: LogEntry } = {};
  let [bodies, checkpoints] = [0, 0];
  let last: VerifiedHeader | undefined;
  let state: LogState = createLogState(log);

  const find = (seq: number, code: string, detail: string): void => {
    if (findings.length < MAX_FINDINGS) findings.push({ seq, code, detail });
  };

  /** The next header of the log; undefined, and found, if it is none. */
  function takeHeader(bytes: Uint8Array): VerifiedHeader | undefined {
    const verified = verifyHeader(bytes, contracts);
    if (verified.kind !== "accept") {
      find(state.nextSeq, verified.code, verified.detail);
      return undefined;
    }
    const { header } = verified.value;
    if (header.log !== log) {
      find(header.seq, "LOG_OTHER", `it is of log ${header.log}`);
      return undefined;
    }
    const step = applyHeader(state, verified.value, (seq) => (seq === last?.header.seq ? last : undefined));
    if (step.fork !== undefined) find(header.seq, "LOG_FORKED", "it does not follow the entry before it");
    else if (step.verdict.kind !== "accept") find(header.seq, step.verdict.code, step.verdict.detail);
    else if (header.seq !== state.nextSeq) find(header.seq, "LOG_GAP", `entry ${state.nextSeq} is missing`);
    else {
      state = step.state;
      last = verified.value;
      return verified.value;
    }
    return undefined;
  }

  function takeBody(entry: VerifiedHeader, bytes: Uint8Array): void {
    const { seq, kind } = entry.header;
    const matched = matchBody(entry.header, bytes);
    const body = matched.kind === "accept" ? decodeBody(kind, bytes) : matched;
    if (body.kind !== "accept") return find(seq, body.code, body.detail);
    bodies++;
    judge(entry, body.value);
  }

  function judge(header: VerifiedHeader, { kind, body }: Body): void {
    const { seq } = header.header;
    if (kind === "rotate") {
      const isPlaced = (body.role === "ends") === isEnding(header.header);
      if (isPlaced) rotations[body.role] = { header, body: { kind, body } };
      else find(seq, "ROTATION_PLACE", `a rotation that ${body.role} a log stands at entry ${seq}`);
    }
    if (kind !== "checkpoint") return;
    const range = checkpointRange(seq);
    const isRight =
      range?.fromSeq === body.fromSeq && range.toSeq === body.toSeq && body.root === rangeRootOf(digests.slice(0, -1));
    if (isRight) checkpoints++;
    else find(seq, "CHECKPOINT_ROOT", `it names ${body.fromSeq}…${body.toSeq} and another root than theirs`);
  }

  return {
    add({ header, body }) {
      const entry = takeHeader(header);
      if (entry === undefined) return;
      const name = kindNameOf(entry.header.kind) ?? "unknown";
      byKind[name] = (byKind[name] ?? 0) + 1;
      // The entries of a range, and the one that may be its checkpoint.
      digests.splice(0, digests.length - CHECKPOINT_INTERVAL);
      digests.push(entry.digest);
      if (body !== undefined) takeBody(entry, body);
    },
    report: () => ({
      ...{ log, entries: state.nextSeq, bodies, byKind, checkpoints, head: state.head },
      ...{ rotatedFrom: logIn(rotations.starts), rotatedTo: logIn(rotations.ends), findings },
    }),
    rotations: () => rotations,
  };
}

const logIn = (entry: LogEntry | undefined): Address | undefined =>
  entry?.body.kind === "rotate" ? entry.body.body.log : undefined;

function verifyHeader(bytes: Uint8Array, contracts: DomainContracts): Verdict<VerifiedHeader> {
  const decoded = decodeLogHeader(bytes);
  return decoded.kind === "accept" ? verifyLogHeader(decoded.value, contracts) : decoded;
}
