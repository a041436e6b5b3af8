import { signerHashOf, purposes } from "#protocol";
import type { Address } from "viem";
import type { IdentityReader } from "./chain/port.ts";
import type { AgentPort } from "./discovery/port.ts";
import type { SignerPort } from "./gossip/gossip.ts";

/** How long an answer of the registry is believed: a revocation is seen after this at the latest. */
const BELIEVED_MS = 15_000;
/** Logs whose answers are kept. */
const MAX_LOGS = 4_096;
/** An author's clock may be this far behind the block that bound its key. */
const CLOCK_TOLERANCE_S = 120;

interface Answer<T> {
  readonly value: Promise<T>;
  readonly atMs: number;
}

/**
 * What gossip and discovery ask the identity registry of the authors they hear, remembered for a while: a busy log must
 * not cost a call for each of its headers.
 */
export function createSignerCache(identity: IdentityReader, nowMs: () => number): SignerPort & AgentPort {
  const agents = new Map<Address, Answer<bigint>>();
  const validity = new Map<string, Answer<boolean>>();

  const agentIdOf = (log: Address, signal: AbortSignal) =>
    remember(agents, log, nowMs(), () => identity.agentOfSigner(signerHashOf(log), signal));

  async function isValidAt(log: Address, time: number, signal: AbortSignal): Promise<boolean> {
    const agentId = await agentIdOf(log, signal);
    if (agentId === 0n) return false;
    const query = { agentId, signerHash: signerHashOf(log), purpose: purposes.log };
    // Within one believed span, a log's validity is asked once: signers change by transactions, not by milliseconds.
    return remember(validity, log, nowMs(), async () => {
      if (await identity.isSignerValidAt({ ...query, time }, signal)) return true;
      return identity.isSignerValidAt({ ...query, time: time + CLOCK_TOLERANCE_S }, signal);
    });
  }

  return {
    isSignerValidAt: (log, timeMs, signal) => isValidAt(log, Math.floor(timeMs / 1000), signal),
    async agentOf(log, signal) {
      return (await isValidAt(log, Math.floor(nowMs() / 1000), signal)) ? agentIdOf(log, signal) : undefined;
    },
  };
}

/** The remembered answer, or a new one; a failed one is forgotten at once, the oldest when there are too many. */
function remember<K, T>(answers: Map<K, Answer<T>>, key: K, atMs: number, ask: () => Promise<T>): Promise<T> {
  const known = answers.get(key);
  if (known !== undefined && atMs - known.atMs < BELIEVED_MS) return known.value;
  const value = ask();
  value.catch(() => answers.delete(key));
  answers.delete(key);
  answers.set(key, { value, atMs });
  const oldest = answers.keys().next();
  if (answers.size > MAX_LOGS && oldest.done !== true) answers.delete(oldest.value);
  return value;
}
