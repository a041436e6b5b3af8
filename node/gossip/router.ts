import {
  applyHeader,
  createLogState,
  decodeLogHeader,
  headerDigest,
  ignore,
  verifyLogHeader,
  type DomainContracts,
  type Fork,
  type LogState,
  type SignedHeader,
  type VerifiedHeader,
  type Verdict,
} from "#protocol";
import type { Address } from "viem";
import type { LogReader } from "../log/log-store.ts";
import type { PeerName } from "../transport/port.ts";
import { createBudget } from "../transport/budget.ts";

/** How far an author's clock may run ahead of ours. */
export const CLOCK_TOLERANCE_MS = 120_000;
/** What one author may say: one entry a second, twenty at once. */
const AUTHOR_BUDGET = { perSecond: 1, burst: 20, maxKeys: 10_000 };
/** Signature checks that one peer can cause: about 1.3 ms each, so at most a seventh of one core. */
const PEER_BUDGET = { perSecond: 100, burst: 400, maxKeys: 1_000 };
/** Logs with entries beyond a gap, 64 each: at most 16,384 headers of 1 KB in memory. */
const MAX_GAPPED_LOGS = 256;

/** A header as it came in. `isSolicited`: we asked for it, so our own bounded request is its budget. */
export interface HeardHeader {
  readonly bytes: Uint8Array;
  readonly from: PeerName;
  readonly isSolicited: boolean;
  readonly nowMs: number;
}

/** What the caller has to do, in this order. */
export type RouterEffect =
  | { readonly kind: "store"; readonly headers: readonly VerifiedHeader[]; readonly from: PeerName }
  | { readonly kind: "evidence"; readonly fork: Fork; readonly from: PeerName }
  | {
      readonly kind: "fetch";
      readonly log: Address;
      readonly fromSeq: number;
      readonly count: number;
      readonly from: PeerName;
    };

export interface RouterStep {
  /** accept: pass the header on to others. */
  readonly verdict: Verdict<"appended" | "held" | "fork">;
  readonly effects: readonly RouterEffect[];
}

/** What the router reads of what is stored. */
export type HeldLogs = Pick<LogReader, "headOf" | "entryAt" | "forkOf">;

/**
 * Judges headers, without any I/O: the same code runs on libp2p, in the simulator and in tests. Checks go from cheap
 * to dear: size, decoding, clock, budget (`admit`), then the caller asks whether the log is known, then duplicate and
 * signature (`conclude`). An author's budget is charged only after its signature, or anybody could spend it.
 */
export interface Router {
  /** Everything that costs less than a look-up. Rejects HEADER_*, ignores HEADER_FUTURE, PEER_BUDGET, AUTHOR_BUDGET. */
  admit(heard: HeardHeader): Verdict<SignedHeader>;
  /** @param isSignerValid whether the chain lets this log speak at the header's time */
  conclude(signed: SignedHeader, isSignerValid: boolean, heard: HeardHeader): RouterStep;
}

export function createRouter(held: HeldLogs, contracts: DomainContracts): Router {
  const authors = createBudget(AUTHOR_BUDGET);
  const peers = createBudget(PEER_BUDGET);
  const gaps = new Map<Address, LogState["pending"]>();
  return {
    admit({ bytes, from, isSolicited, nowMs }) {
      const decoded = decodeLogHeader(bytes);
      if (decoded.kind !== "accept") return decoded;
      const { log, timeMs } = decoded.value.header;
      if (timeMs > nowMs + CLOCK_TOLERANCE_MS) return ignore("HEADER_FUTURE", `${timeMs - nowMs} ms ahead`);
      if (isSolicited) return decoded;
      if (!authors.has(log, nowMs)) return ignore("AUTHOR_BUDGET", `log ${log} says too much`);
      if (!peers.take(from, nowMs)) return ignore("PEER_BUDGET", `peer ${from} sends too much`);
      return decoded;
    },
    conclude(signed, isSignerValid, heard) {
      const { log, seq, timeMs } = signed.header;
      if (!isSignerValid) return dropped("SIGNER_UNKNOWN", `log ${log} speaks for no agent at ${timeMs}`);
      // A twin with another signature must not cost a signature check again and again.
      const twin = held.entryAt(log, seq)?.header.digest ?? gaps.get(log)?.get(seq)?.digest;
      if (twin !== undefined && twin === headerDigest(signed.header, contracts))
        return dropped("ENTRY_KNOWN", `seq ${seq}`);
      const verified = verifyLogHeader(signed, contracts);
      if (verified.kind !== "accept") return { verdict: verified, effects: [] };
      if (!heard.isSolicited && !authors.take(log, heard.nowMs))
        return dropped("AUTHOR_BUDGET", `log ${log} says too much`);
      return fold(verified.value, heard.from);
    },
  };

  function fold(header: VerifiedHeader, from: PeerName): RouterStep {
    const { log } = header.header;
    const state = { ...createLogState(log, held.headOf(log), held.forkOf(log)), pending: gaps.get(log) ?? new Map() };
    const step = applyHeader(state, header, (seq) => held.entryAt(log, seq)?.header);
    rememberGap(log, step.state.pending);
    const effects: RouterEffect[] = [];
    if (step.appended.length > 0) effects.push({ kind: "store", headers: step.appended, from });
    if (step.fork) effects.push({ kind: "evidence", fork: step.fork, from });
    if (step.missing) effects.push({ kind: "fetch", log, ...step.missing, from });
    return { verdict: step.verdict, effects };
  }

  function rememberGap(log: Address, pending: LogState["pending"]): void {
    gaps.delete(log);
    if (pending.size > 0) gaps.set(log, pending);
    const oldest = gaps.keys().next();
    if (gaps.size > MAX_GAPPED_LOGS && !oldest.done) gaps.delete(oldest.value);
  }
}

const dropped = (code: string, detail: string): RouterStep => ({ verdict: ignore(code, detail), effects: [] });
