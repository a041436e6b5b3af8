import type { LeavesId } from "#protocol";
import type { LeafFile } from "../store/store.ts";

/** Delays after failures double from the first to the last: a file may come an epoch later, from a source that was away. */
const FIRST_RETRY_S = 5;
const MAX_RETRY_S = 600;

/** What became of one attempt at all sources. */
export type Outcome =
  | { readonly kind: "verified" }
  /** A source gave part of it, and then nothing more. */
  | { readonly kind: "broken"; readonly detail: string }
  /** A source gave what does not hash to the root. */
  | { readonly kind: "false"; readonly detail: string }
  | { readonly kind: "missing"; readonly detail: string };

/** Of several sources the one that came furthest says what the file's state is. */
const order: readonly Outcome["kind"][] = ["verified", "broken", "false", "missing"];

export function bestOf(outcomes: readonly Outcome[]): Outcome {
  const none: Outcome = { kind: "missing", detail: "no source is configured" };
  return outcomes.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))[0] ?? none;
}

/** A file that was never tried. @param epoch in which its root was committed */
export function announced({ root, leafCount }: LeavesId, epoch: number): LeafFile {
  return { root, leafCount, epoch, state: "announced", knownChunks: 0, attempts: 0, retryAt: 0, detail: null };
}

/** The file after an attempt. @param nowS Unix seconds */
export function afterAttempt(file: LeafFile, outcome: Outcome, nowS: number): LeafFile {
  if (outcome.kind === "verified") return { ...file, state: "verified", attempts: 0, retryAt: 0, detail: null };
  const attempts = file.attempts + 1;
  const retryAt = nowS + Math.min(FIRST_RETRY_S * 2 ** Math.min(attempts - 1, 20), MAX_RETRY_S);
  return { ...file, state: stateAfter(outcome.kind, file), attempts, retryAt, detail: outcome.detail };
}

function stateAfter(kind: Exclude<Outcome["kind"], "verified">, { knownChunks }: LeafFile): LeafFile["state"] {
  if (kind === "false") return "false";
  // What is here stays here, though nobody has the rest just now.
  return kind === "broken" || knownChunks > 0 ? "available" : "missing";
}
