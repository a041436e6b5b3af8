import { ignore } from "#protocol";
import { createBudget, type BudgetLimits } from "./budget.ts";
import type { Responder } from "./port.ts";

export interface RateLimits {
  /** Of one peer. */
  readonly perPeer: Omit<BudgetLimits, "maxKeys">;
  /** Of all peers together: what answering costs us at most, whoever asks. */
  readonly total: Omit<BudgetLimits, "maxKeys">;
}

/** Peers whose budget is remembered; no more than a host connects to. */
const MAX_PEERS = 512;

/** A responder that ignores whoever asks too often (RATE_LIMIT), before a byte of the request is looked at. */
export function limitRate(responder: Responder, { perPeer, total }: RateLimits, nowMs: () => number): Responder {
  const peers = createBudget({ ...perPeer, maxKeys: MAX_PEERS });
  const all = createBudget({ ...total, maxKeys: 1 });
  return async (request, from, signal) => {
    const now = nowMs();
    // The peer's own budget first: a flooder empties its own and leaves the common one to the others.
    if (!peers.take(from, now)) return ignore("RATE_LIMIT", `more than ${perPeer.perSecond} requests a second`);
    if (!all.take("", now)) return ignore("RATE_LIMIT", "this node answers as many as it can");
    return responder(request, from, signal);
  };
}
