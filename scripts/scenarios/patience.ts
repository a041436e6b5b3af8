import { readMechanismDocument, storedMechanismOf } from "#protocol";
import type { ScenarioTask } from "./scenario.ts";

/** The same task with all of its times that much longer; rules of its own say the longer times, too. */
export function withPatience(task: ScenarioTask, factor: number): ScenarioTask {
  const { biddingMs, submitWithinS, mechanism } = task;
  return {
    ...task,
    submitWithinS: submitWithinS * factor,
    ...(biddingMs === undefined ? {} : { biddingMs: biddingMs * factor }),
    ...(mechanism === undefined ? {} : { mechanism: patientRules(mechanism, factor) }),
  };
}

function patientRules(stored: unknown, factor: number): unknown {
  const read = readMechanismDocument(stored);
  if (read.kind !== "accept") throw new Error(`a scenario's rules are none: ${read.detail}`);
  const { bidWithinMs, revealWithinMs, submitWithinS } = read.value.deadlines;
  const deadlines = {
    bidWithinMs: bidWithinMs * factor,
    revealWithinMs: revealWithinMs * factor,
    submitWithinS: submitWithinS * factor,
  };
  return storedMechanismOf({ ...read.value, deadlines: { ...read.value.deadlines, ...deadlines } });
}
