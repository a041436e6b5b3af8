import type { Journal } from "./journal.ts";
import type { Anchorer } from "./log/anchorer.ts";

/** How often an anchorer looks for checkpoints that are due. */
const ANCHOR_INTERVAL_MS = 30_000;

/** Anchors the checkpoints of the logs that this node holds. @returns ends it */
export function startAnchoring(anchorer: Anchorer, journal: Journal): () => Promise<void> {
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let isRunning = false;
  const timer = setInterval(() => {
    if (isRunning) return;
    isRunning = true;
    running = anchorer
      .anchorDue(stopping.signal)
      .then((ranges) => (ranges > 0 ? journal.note("anchored", { ranges }) : undefined))
      .catch((fault: unknown) => (stopping.signal.aborted ? undefined : journal.fault("anchorer", fault)))
      .finally(() => (isRunning = false));
  }, ANCHOR_INTERVAL_MS);
  return async () => {
    clearInterval(timer);
    stopping.abort();
    await running;
  };
}
