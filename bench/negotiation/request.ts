import { createHash, randomBytes } from "node:crypto";
import { draftMechanism, topicIdOf, type MechanismDocument } from "#protocol";
import type { CallRequest, Invitee } from "../../node/negotiation/port.ts";
import { TOKEN } from "./party.ts";

export const TOPIC = "bench";
/** No bid of a benchmark is above it. */
export const RESERVE = 1_000_000n;
/** So long that no call of a benchmark ends by it: what ends a bidding early is measured. */
const BIDDING_MS = 60_000;

/** A second price; sealed, as `surety mechanism new` drafts it unless more time is given to open bids, or with open bids. */
export function createRules(isSealed: boolean, revealWithinMs?: number): MechanismDocument {
  const draft = draftMechanism({ name: "Benchmark", topics: [TOPIC], rule: "scored-second-price" });
  const { award, deadlines } = draft;
  if (isSealed) return revealWithinMs === undefined ? draft : { ...draft, deadlines: { ...deadlines, revealWithinMs } };
  return { ...draft, award: { ...award, isSealed }, deadlines: { ...deadlines, revealWithinMs: 0 } };
}

/** @param head the first bytes of the specification; the rest makes each call another one */
export function createRequest(
  rules: MechanismDocument,
  invitees: readonly Invitee[],
  { head = [0, 0], reservePrice = RESERVE }: { head?: readonly number[]; reservePrice?: bigint } = {},
): CallRequest {
  const body = createHash("sha256").update(randomBytes(32)).digest();
  return {
    topic: topicIdOf(TOPIC),
    spec: Uint8Array.from([...head, ...body]),
    ...{ mechanism: rules, token: TOKEN, reservePrice, invitees },
    ...{ biddingMs: BIDDING_MS, reviewPeriod: rules.review.periodS },
    submitBy: Math.floor(Date.now() / 1000) + 3_600,
  };
}

/** 0 of none. */
export const medianOf = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
export const round = (value: number, digits = 1): number => Math.round(value * 10 ** digits) / 10 ** digits;
