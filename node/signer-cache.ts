import type { Address } from "viem";
import { isSignerValidAt, purposes, signerHashOf, type BoundSigner } from "#protocol";
import type { IdentityReader } from "./chain/port.ts";
import type { AgentPort } from "./discovery/port.ts";
import type { SignerPort } from "./gossip/gossip.ts";

/** How long a record of the registry is believed: a revocation is seen after this at the latest. */
const BELIEVED_MS = 15_000;
/** Logs whose records are kept, and agents whose commitments are. */
const MAX_REMEMBERED = 4_096;
/** An author's clock may be this far behind the block that bound its key. */
const CLOCK_TOLERANCE_S = 120;

/**
 * What gossip and discovery ask the identity registry of the authors they hear. The signer's record is remembered for a
 * while, and each header is judged by it at its own time: a busy log must not cost a call for each of its headers, and an
 * entry from before a revocation still counts when one from after it does not.
 */
export function createSignerCache(identity: IdentityReader, nowMs: () => number): SignerPort & AgentPort {
  const recordOf = remember(nowMs, (log: Address, signal) => identity.signerOf(signerHashOf(log), signal));
  const commitmentOf = remember(nowMs, (agentId: bigint, signal) => identity.commitmentOf(agentId, signal));

  function isValid(record: BoundSigner, timeMs: number): boolean {
    const time = Math.floor(timeMs / 1000);
    const lagging = Math.max(time, Math.min(time + CLOCK_TOLERANCE_S, record.validFrom));
    return isSignerValidAt(record, purposes.log, lagging);
  }

  return {
    commitmentOf,
    isSignerValidAt: async (log, timeMs, signal) => isValid(await recordOf(log, signal), timeMs),
    async agentOf(log, signal) {
      const record = await recordOf(log, signal);
      return isValid(record, nowMs()) ? record.agentId : undefined;
    },
  };
}

/** Asks once for a while; a failed answer is forgotten at once, the oldest when there are too many. */
function remember<K, V>(
  nowMs: () => number,
  ask: (key: K, signal: AbortSignal) => Promise<V>,
): (key: K, signal: AbortSignal) => Promise<V> {
  const answers = new Map<K, { readonly answer: Promise<V>; readonly atMs: number }>();
  return (key, signal) => {
    const known = answers.get(key);
    if (known !== undefined && nowMs() - known.atMs < BELIEVED_MS) return known.answer;
    const answer = ask(key, signal);
    answer.catch(() => answers.delete(key));
    answers.delete(key);
    answers.set(key, { answer, atMs: nowMs() });
    const oldest = answers.keys().next();
    if (answers.size > MAX_REMEMBERED && oldest.done !== true) answers.delete(oldest.value);
    return answer;
  };
}
