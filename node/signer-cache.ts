import type { Address } from "viem";
import { isSignerValidAt, purposes, signerHashOf, type BoundSigner } from "#protocol";
import type { IdentityReader } from "./chain/port.ts";
import type { AgentPort } from "./discovery/port.ts";
import type { SignerPort } from "./gossip/gossip.ts";

/** How long a record of the registry is believed: a revocation is seen after this at the latest. */
const BELIEVED_MS = 15_000;
/** Logs whose records are kept. */
const MAX_LOGS = 4_096;
/** An author's clock may be this far behind the block that bound its key. */
const CLOCK_TOLERANCE_S = 120;

/**
 * What gossip and discovery ask the identity registry of the authors they hear. The signer's record is remembered for a
 * while, and each header is judged by it at its own time: a busy log must not cost a call for each of its headers, and an
 * entry from before a revocation still counts when one from after it does not.
 */
export function createSignerCache(identity: IdentityReader, nowMs: () => number): SignerPort & AgentPort {
  const records = new Map<Address, { readonly record: Promise<BoundSigner>; readonly atMs: number }>();

  /** The remembered record, or a new one; a failed one is forgotten at once, the oldest when there are too many. */
  function recordOf(log: Address, signal: AbortSignal): Promise<BoundSigner> {
    const known = records.get(log);
    if (known !== undefined && nowMs() - known.atMs < BELIEVED_MS) return known.record;
    const record = identity.signerOf(signerHashOf(log), signal);
    record.catch(() => records.delete(log));
    records.delete(log);
    records.set(log, { record, atMs: nowMs() });
    const oldest = records.keys().next();
    if (records.size > MAX_LOGS && oldest.done !== true) records.delete(oldest.value);
    return record;
  }

  function isValid(record: BoundSigner, timeMs: number): boolean {
    const time = Math.floor(timeMs / 1000);
    const lagging = Math.max(time, Math.min(time + CLOCK_TOLERANCE_S, record.validFrom));
    return isSignerValidAt(record, purposes.log, lagging);
  }

  return {
    isSignerValidAt: async (log, timeMs, signal) => isValid(await recordOf(log, signal), timeMs),
    async agentOf(log, signal) {
      const record = await recordOf(log, signal);
      return isValid(record, nowMs()) ? record.agentId : undefined;
    },
  };
}
