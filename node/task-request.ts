import { encode } from "@ipld/dag-cbor";
import {
  accept,
  decodeCanonical,
  draftMechanism,
  MAX_SPEC_BYTES,
  readMechanismDocument,
  reject,
  storedMechanismOf,
  type MechanismDocument,
  type Verdict,
} from "#protocol";
import type { Specification } from "./application.ts";
import type { TaskBargain } from "./bargaining.ts";
import { decodeRecord, encodeRecord } from "./store/records.ts";

/** What the agent's own program wants done. Amounts in the token's smallest unit. */
export interface TaskRequest {
  readonly spec: Specification;
  /** What the discovery index is asked for. */
  readonly query: string;
  readonly reservePriceWei: bigint;
  readonly valuePerQuality: bigint;
  readonly submitWithinS: number;
  /** How long bids are waited for at most; everybody who was reached ends the bidding early. */
  readonly biddingMs: number;
  readonly maxInvited: number;
  /** Least score of an invited agent, a fraction of the best one found; 0 invites agents without a score. */
  readonly minScore: number;
  /** How long a delivery can be judged; without it a minute, which is enough for a program. */
  readonly reviewPeriodS?: number;
  /** Rules of the call; absent: a sealed second price that asks for no bond. Its price, weights and times take the place of the above. */
  readonly mechanism?: MechanismDocument;
  /** Packages to bargain over with the best agent found, instead of an award by rules. */
  readonly bargain?: TaskBargain;
  /** Agents that are not invited, whatever they offer: who has failed this task before. */
  readonly excludedAgentIds?: readonly bigint[];
  /** Only these agents are invited, whatever topics they offer. */
  readonly invitedAgentIds?: readonly bigint[];
}

/** Bidders answer within a moment; a task may give them longer. */
export const DEFAULT_BIDDING_MS = 8_000;
export const REVIEW_PERIOD_S = 60;
/** Quality is promised in percent. */
const MAX_QUALITY = 100n;

/** The bytes that are hashed into call and deal. The task's id makes two equal tasks different. */
export function encodeSpecification({ topic, title, input }: Specification, id: string): Uint8Array {
  return encode({ topic, title, input, id });
}

/** What a stranger's specification says, if it is one. */
export function decodeSpecification(bytes: Uint8Array): Verdict<Specification> {
  const decoded = decodeCanonical(bytes, MAX_SPEC_BYTES);
  if (decoded.kind !== "accept") return decoded;
  const { topic, title, input } = (decoded.value ?? {}) as Record<string, unknown>;
  if (typeof topic !== "string" || typeof title !== "string" || input === undefined) {
    return reject("SPEC_SHAPE", "a specification has topic, title and input");
  }
  return accept({ topic, title, input });
}

/** When bids and delivery are due: by the rules, or as the task says, with room to open sealed bids before the work begins. */
export function timesOf({ mechanism, biddingMs, submitWithinS }: TaskRequest): {
  biddingMs: number;
  submitWithinS: number;
} {
  if (mechanism === undefined) return { biddingMs: Math.min(biddingMs, submitWithinS * 500), submitWithinS };
  return { biddingMs: mechanism.deadlines.bidWithinMs, submitWithinS: mechanism.deadlines.submitWithinS };
}

/** The rules of a task that brings none: a sealed second price. Equal tasks share one document. */
export function rulesOf(request: TaskRequest): MechanismDocument {
  if (request.mechanism !== undefined) return request.mechanism;
  const { spec, valuePerQuality, reviewPeriodS = REVIEW_PERIOD_S } = request;
  const { biddingMs, submitWithinS } = timesOf(request);
  const draft = draftMechanism({
    ...{ name: `Tasks on ${spec.topic}`, topics: [spec.topic], rule: "scored-second-price", valuePerQuality },
  });
  return {
    ...draft,
    award: { ...draft.award, maxQuality: MAX_QUALITY },
    review: { ...draft.review, periodS: reviewPeriodS },
    deadlines: {
      ...draft.deadlines,
      bidWithinMs: biddingMs,
      revealWithinMs: Math.min(biddingMs, submitWithinS * 250),
      submitWithinS,
    },
  };
}

export function encodeRequest({ mechanism, bargain, ...request }: TaskRequest): string {
  const stored = {
    ...(mechanism === undefined ? {} : { mechanism: storedMechanismOf(mechanism) }),
    ...(bargain === undefined ? {} : { bargain: encodeRecord(bargain) }),
  };
  return JSON.stringify({ ...request, ...stored }, (_, value: unknown) =>
    typeof value === "bigint" ? value.toString() : value,
  );
}

/** A request as JSON holds it: amounts are text. */
type StoredRequest = Omit<TaskRequest, "mechanism" | "bargain" | "reservePriceWei" | "valuePerQuality" | AgentLists> & {
  readonly reservePriceWei: string;
  readonly valuePerQuality: string;
  readonly mechanism?: unknown;
  readonly bargain?: string;
} & { readonly [K in AgentLists]?: readonly string[] };
type AgentLists = "excludedAgentIds" | "invitedAgentIds";

export function decodeRequest(text: string): TaskRequest {
  const { mechanism, bargain, excludedAgentIds, invitedAgentIds, ...request } = JSON.parse(text) as StoredRequest;
  const rules = mechanism === undefined ? undefined : readMechanismDocument(mechanism);
  if (rules !== undefined && rules.kind !== "accept") throw new Error(`a stored task's rules: ${rules.detail}`);
  return {
    ...request,
    ...{ reservePriceWei: BigInt(request.reservePriceWei), valuePerQuality: BigInt(request.valuePerQuality) },
    ...(rules === undefined ? {} : { mechanism: rules.value }),
    ...(bargain === undefined ? {} : { bargain: decodeRecord<TaskBargain>(bargain) }),
    ...(excludedAgentIds === undefined ? {} : { excludedAgentIds: excludedAgentIds.map(BigInt) }),
    ...(invitedAgentIds === undefined ? {} : { invitedAgentIds: invitedAgentIds.map(BigInt) }),
  };
}
