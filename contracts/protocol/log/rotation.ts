import type { Address } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { LogHeader } from "../generated/structs.ts";
import type { LogEntry } from "./declarations.ts";
import { kinds } from "./header.ts";

/**
 * Whether this entry ends its log: a ROTATE anywhere but at the beginning. The header alone says so, so that a node knows it
 * without the body; nothing is accepted after it.
 */
export const isEnding = ({ kind, seq }: LogHeader): boolean => kind === kinds.rotate && seq > 0;

/** One log that goes on as another. */
export interface Rotation {
  readonly from: Address;
  readonly to: Address;
}

/**
 * Whether one log goes on as another: the last entry of the one names the other, whose first entry names the one and the digest
 * of that last entry. Each is under its own key, so neither key alone can claim the other's history. That both keys speak for
 * one agent, the chain says. Rejects ROTATION_PLACE, ROTATION_NAMES, ROTATION_HEAD.
 */
export function judgeRotation(ends: LogEntry, starts: LogEntry): Verdict<Rotation> {
  const [last, first] = [ends.body, starts.body];
  const [from, to] = [ends.header.header, starts.header.header];
  const isPlaced =
    last.kind === "rotate" && first.kind === "rotate" && last.body.role === "ends" && first.body.role === "starts";
  if (!isPlaced || !isEnding(from) || to.seq !== 0) {
    return reject("ROTATION_PLACE", "a rotation ends one log and is the first entry of the next");
  }
  if (last.body.log !== to.log || first.body.log !== from.log || from.log === to.log) {
    return reject(
      "ROTATION_NAMES",
      `log ${from.log} goes on as ${last.body.log}, ${to.log} comes from ${first.body.log}`,
    );
  }
  return first.body.head === ends.header.digest
    ? accept({ from: from.log, to: to.log })
    : reject("ROTATION_HEAD", `the next log begins after ${first.body.head}, not after ${ends.header.digest}`);
}
