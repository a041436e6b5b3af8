import {
  applyEntry,
  createDeclarations,
  decodeBody,
  MAX_TTL_SECONDS,
  statusOf,
  SuretyError,
  type DomainContracts,
  type Signer,
} from "#protocol";
import { zeroHash, type Hex } from "viem";
import type { Store } from "../store/port.ts";
import type { LogStore } from "./log-store.ts";
import { openLogWriter, type CheckpointPort, type OwnEntry } from "./writer.ts";

/** A rotation says where a log goes on for as long as anybody may ask. */
const ROTATION_TTL_S = MAX_TTL_SECONDS;

export interface RotateOptions {
  readonly store: Store;
  readonly logs: LogStore;
  readonly from: Signer;
  readonly to: Signer;
  readonly contracts: DomainContracts;
  /** For the old log, whose next entry may be due to be one. */
  readonly checkpoints: CheckpointPort;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

export interface RotatedLogs {
  readonly withdrawn: readonly Hex[];
  readonly ends: OwnEntry;
  readonly starts: OwnEntry;
}

/**
 * Ends one log and begins the next, each naming the other: what the old one still declares is withdrawn, its last entry names
 * the new log, and the new log's first names that entry. All of it is on disk, or none. Both keys have to be LOG signers of one
 * agent while it happens; the old one can be revoked afterwards.
 * @throws SuretyError LOG_EMPTY, LOG_ENDED, LOG_STARTED, LEASE_HELD while a node writes either log
 */
export async function rotateLog(options: RotateOptions): Promise<RotatedLogs> {
  const { store, logs, from, to, contracts, nowMs, signal } = options;
  if (logs.headOf(from.address) === undefined) throw logEmpty(from.address);
  const begun = logs.headOf(to.address);
  if (begun !== undefined) throw logStarted(to.address, begun.header.seq);
  const shared = { store, logs, contracts, nowMs, signal, peers: { fetchOwnHeaders: async () => [] } };
  const old = await openLogWriter({ ...shared, signer: from, checkpoints: options.checkpoints });
  try {
    const next = await openLogWriter({ ...shared, signer: to });
    try {
      return store.transaction(() => {
        const reason = `the log goes on as ${to.address}`;
        const withdrawn = activeOf(logs, from.address, nowMs());
        for (const target of withdrawn)
          old.append("withdraw", { target, outcome: "withdrawn", reason }, ROTATION_TTL_S);
        const ends = old.append("rotate", { role: "ends", log: to.address, head: zeroHash }, ROTATION_TTL_S);
        const head = ends.header.digest;
        const starts = next.append("rotate", { role: "starts", log: from.address, head }, ROTATION_TTL_S);
        return { withdrawn, ends, starts };
      });
    } finally {
      next.close();
    }
  } finally {
    old.close();
  }
}

/** Ids of what a log declares and has not ended. */
function activeOf(logs: LogStore, log: Hex, nowMs: number): Hex[] {
  let state = createDeclarations();
  for (const { header, body } of logs.entriesWithBody(log)) {
    const decoded = body && decodeBody(header.header.kind, body);
    if (decoded?.kind === "accept") state = applyEntry(state, { header, body: decoded.value }).state;
  }
  return [...state.byId.values()].filter((d) => statusOf(d, nowMs) === "ACTIVE").map(({ id }) => id);
}

function logEmpty(log: Hex): SuretyError {
  return new SuretyError("LOG_EMPTY", `This store has no entry of log ${log}.`, {
    values: { log },
    next: "Name the store of the agent's own node; a log without entries needs no rotation.",
  });
}

function logStarted(log: Hex, seq: number): SuretyError {
  return new SuretyError("LOG_STARTED", `Log ${log} has entries up to ${seq} already.`, {
    values: { log, seq },
    next: "Rotate to a key that has signed no entry yet: a log names the one before it in its first entry.",
  });
}
