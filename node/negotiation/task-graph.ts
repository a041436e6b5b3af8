import type { Hex } from "viem";
import { reject, accept, type Verdict } from "#protocol";
import type { CallFailure } from "./port.ts";

// A task as a graph of subtasks, as a pure machine: (progress, event) -> [progress, effects]. Each subtask is negotiated and
// settled by itself as soon as what it needs is done; one that fails is called again without those who failed it, and the
// others do not wait for it. What a subtask delivered, and which deal proves it, stays with it.

/** One subtask: what it needs first, by name. */
export interface Subtask {
  readonly name: string;
  readonly needs: readonly string[];
}

/** How a subtask stands. `attempts` counts the calls made for it. */
export type SubtaskState =
  | { readonly kind: "waiting" }
  | { readonly kind: "calling"; readonly attempts: number; readonly passedOver: readonly bigint[] }
  | {
      readonly kind: "working";
      readonly attempts: number;
      readonly passedOver: readonly bigint[];
      readonly providerAgentId: bigint;
      readonly dealId: Hex;
    }
  | { readonly kind: "done"; readonly providerAgentId: bigint; readonly dealId: Hex; readonly deliverableHash: Hex }
  /** Nobody is left to do it, or it was called too often. */
  | { readonly kind: "failed"; readonly code: string }
  /** Something that it needs has failed. */
  | { readonly kind: "blocked"; readonly by: string };

export interface GraphProgress {
  readonly subtasks: readonly Subtask[];
  readonly states: Readonly<Record<string, SubtaskState>>;
  readonly maxAttempts: number;
  /** Deals that failed their subtask, kept as evidence. */
  readonly failedDeals: readonly { readonly name: string; readonly dealId: Hex; readonly providerAgentId: bigint }[];
}

export type GraphEvent =
  | { readonly kind: "start" }
  | { readonly kind: "awarded"; readonly name: string; readonly providerAgentId: bigint; readonly dealId: Hex }
  /** The call ended without a deal. */
  | { readonly kind: "unanswered"; readonly name: string; readonly code: string }
  | { readonly kind: "delivered"; readonly name: string; readonly dealId: Hex; readonly deliverableHash: Hex }
  /** The deal ended without a delivery that serves: refunded, cancelled, or lost in a dispute. */
  | { readonly kind: "undelivered"; readonly name: string; readonly dealId: Hex };

export type GraphEffect =
  /** Call for bids; `inputs` are the deliverables of what the subtask needs, in the order of `needs`. */
  | {
      readonly kind: "call";
      readonly name: string;
      readonly attempt: number;
      readonly inputs: readonly Hex[];
      readonly passedOver: readonly bigint[];
    }
  /** Every subtask has ended. */
  | { readonly kind: "finish"; readonly isComplete: boolean };

/** A graph is drawn, priced and followed by one client; more subtasks than this belong in several graphs. */
export const MAX_SUBTASKS = 256;

/** There were bids, and no bidder signed: a new call asks them anew. */
const ALL_WINNERS_FAILED: CallFailure = "ALL_WINNERS_FAILED";
/** Nobody is left beside those that were passed over. A call that was withdrawn, or that nobody may answer, is not made again. */
const NOBODY_LEFT: readonly string[] = ["NO_BIDS", "NOBODY_FOUND"];

/** Judges a graph that a caller or a planner drew: names, needs that exist, no circle. */
export function checkGraph(subtasks: readonly Subtask[]): Verdict<readonly Subtask[]> {
  if (subtasks.length === 0 || subtasks.length > MAX_SUBTASKS)
    return reject("GRAPH_SIZE", `${subtasks.length} subtasks`);
  const names = new Set(subtasks.map(({ name }) => name));
  if (names.size !== subtasks.length || names.has("")) return reject("GRAPH_NAME", "a name is empty or given twice");
  for (const { name, needs } of subtasks) {
    const unknown = needs.find((need) => !names.has(need));
    if (unknown !== undefined) return reject("GRAPH_UNKNOWN_NEED", `${name} needs ${unknown}`);
    if (new Set(needs).size !== needs.length) return reject("GRAPH_NEED_TWICE", name);
  }
  const done = new Set<string>();
  for (let rest = [...subtasks]; rest.length > 0;) {
    const later = rest.filter(({ needs }) => !needs.every((need) => done.has(need)));
    if (later.length === rest.length) return reject("GRAPH_CIRCLE", later.map(({ name }) => name).join(", "));
    for (const subtask of rest) if (!later.includes(subtask)) done.add(subtask.name);
    rest = later;
  }
  return accept(subtasks);
}

/** @param subtasks as `checkGraph` accepted them */
export function createGraphProgress(subtasks: readonly Subtask[], maxAttempts: number): GraphProgress {
  const states = Object.fromEntries(subtasks.map(({ name }) => [name, { kind: "waiting" } as const]));
  return { subtasks, states, maxAttempts, failedDeals: [] };
}

/** Events that do not fit the state (late, repeated, of another deal) change nothing: they are the network at work. */
export function reduceGraph(
  progress: GraphProgress,
  event: GraphEvent,
): readonly [GraphProgress, readonly GraphEffect[]] {
  if (isFinished(progress)) return [progress, []];
  const changed = event.kind === "start" ? progress : applyTo(progress, event);
  if (changed === undefined) return [progress, []];
  const blocked = block(changed);
  const [called, calls] = callReady(blocked, event);
  const effects: GraphEffect[] = [...calls];
  if (isFinished(called)) effects.push({ kind: "finish", isComplete: isComplete(called) });
  return [called, effects];
}

export const isFinished = ({ states }: GraphProgress) =>
  Object.values(states).every(({ kind }) => kind === "done" || kind === "failed" || kind === "blocked");

export const isComplete = ({ states }: GraphProgress) => Object.values(states).every(({ kind }) => kind === "done");

function applyTo(progress: GraphProgress, event: Exclude<GraphEvent, { kind: "start" }>): GraphProgress | undefined {
  const state = progress.states[event.name];
  switch (event.kind) {
    case "awarded": {
      if (state?.kind !== "calling") return undefined;
      const { providerAgentId, dealId } = event;
      return setState(progress, event.name, { ...state, kind: "working", providerAgentId, dealId });
    }
    case "unanswered": {
      if (state?.kind !== "calling") return undefined;
      const { attempts, passedOver } = state;
      // Who failed it before, by a crash perhaps, is asked again where nobody else is left; any other call has no other answer.
      const isLeft = event.code === ALL_WINNERS_FAILED || (passedOver.length > 0 && NOBODY_LEFT.includes(event.code));
      const next: SubtaskState =
        isLeft && attempts < progress.maxAttempts
          ? { kind: "calling", attempts: attempts + 1, passedOver: [] }
          : { kind: "failed", code: event.code };
      return setState(progress, event.name, next);
    }
    case "delivered": {
      if (state?.kind !== "working" || state.dealId !== event.dealId) return undefined;
      const { providerAgentId, dealId } = state;
      return setState(progress, event.name, {
        kind: "done",
        providerAgentId,
        dealId,
        deliverableHash: event.deliverableHash,
      });
    }
    case "undelivered": {
      if (state?.kind !== "working" || state.dealId !== event.dealId) return undefined;
      const { providerAgentId, dealId, attempts } = state;
      const passedOver = [...state.passedOver, providerAgentId];
      const failedDeals = [...progress.failedDeals, { name: event.name, dealId, providerAgentId }];
      const next: SubtaskState =
        attempts < progress.maxAttempts
          ? { kind: "calling", attempts: attempts + 1, passedOver }
          : { kind: "failed", code: "GRAPH_ATTEMPTS" };
      return setState({ ...progress, failedDeals }, event.name, next);
    }
  }
}

/** What needs a subtask that has failed, or that is blocked itself, is blocked by it. */
function block(progress: GraphProgress): GraphProgress {
  let current = progress;
  for (let isSettled = false; !isSettled;) {
    isSettled = true;
    for (const { name, needs } of current.subtasks) {
      if (current.states[name]?.kind !== "waiting") continue;
      const by = needs.find((need) => ["failed", "blocked"].includes(current.states[need]?.kind ?? ""));
      if (by === undefined) continue;
      current = setState(current, name, { kind: "blocked", by });
      isSettled = false;
    }
  }
  return current;
}

/** Calls for every subtask whose needs are done, and again for the one that has just failed. */
function callReady(progress: GraphProgress, event: GraphEvent): readonly [GraphProgress, readonly GraphEffect[]] {
  const calls: GraphEffect[] = [];
  let current = progress;
  for (const { name, needs } of progress.subtasks) {
    const state = current.states[name];
    const inputs = needs
      .map((need) => current.states[need])
      .flatMap((s) => (s?.kind === "done" ? [s.deliverableHash] : []));
    if (state?.kind === "waiting" && inputs.length === needs.length) {
      current = setState(current, name, { kind: "calling", attempts: 1, passedOver: [] });
      calls.push({ kind: "call", name, attempt: 1, inputs, passedOver: [] });
    } else if (state?.kind === "calling" && isCalledAgain(event, name)) {
      calls.push({ kind: "call", name, attempt: state.attempts, inputs, passedOver: state.passedOver });
    }
  }
  return [current, calls];
}

const isCalledAgain = (event: GraphEvent, name: string): boolean =>
  (event.kind === "undelivered" || event.kind === "unanswered") && event.name === name;

function setState(progress: GraphProgress, name: string, state: SubtaskState): GraphProgress {
  return { ...progress, states: { ...progress.states, [name]: state } };
}
