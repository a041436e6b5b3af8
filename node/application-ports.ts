// The agent's own program behind the ports of the stages.
import type { Hex } from "viem";
import { bondOf, isDocument, postedPriceOf, SuretyError, topicIdOf, type Rules } from "#protocol";
import type { Application } from "./application.ts";
import { JOINT_REWARD_TOPIC, rewardDeliverableOf } from "./graphs/reward.ts";
import type { Bidder } from "./negotiation/port.ts";
import type { EvidenceBundle } from "./settlement/evidence.ts";
import type { Assessor, Counsel, DealStep, Worker } from "./settlement/port.ts";
import type { TabWork } from "./settlement/tabs/tabs.ts";
import { decodeSpecification } from "./task-request.ts";
import { decodePaidRequest } from "./x402/request.ts";

/** The application behind the ports of negotiation and settlement. */
export function adapt(application: Application): {
  bidder: Bidder;
  worker: Worker;
  assessor: Assessor;
  counsel: Partial<Counsel>;
} {
  return {
    bidder: {
      async consider({ call, mechanism, spec }) {
        const decoded = decodeSpecification(spec);
        if (decoded.kind !== "accept") return undefined;
        // A reward for what was delivered before: there is nothing to weigh, and no bond to lose.
        if (decoded.value.topic === JOINT_REWARD_TOPIC)
          return isPlainReward(mechanism) ? { price: 0n, quality: 0n } : undefined;
        const quote = await application.quote(call, mechanism, decoded.value);
        return quote === undefined ? undefined : { price: quote.priceWei, quality: quote.quality };
      },
      async value({ call, mechanism, spec }) {
        const decoded = decodeSpecification(spec);
        if (decoded.kind !== "accept") return undefined;
        return await application.value?.(call, mechanism, decoded.value);
      },
    },
    worker: {
      perform(deal, spec, signal) {
        if (deal.topic === topicIdOf(JOINT_REWARD_TOPIC)) return Promise.resolve(rewardDeliverableOf(spec));
        return serveRequest(application, spec, signal) ?? application.perform(deal, readSpecification(spec), signal);
      },
    },
    assessor: {
      async assess(deal, spec, deliverable, signal) {
        if (deal.topic === topicIdOf(JOINT_REWARD_TOPIC)) return { kind: "complete", rating: 0 };
        const judged = await application.assess(deal, readSpecification(spec), deliverable, signal);
        return typeof judged === "number" ? { kind: "complete", rating: judged } : judged;
      },
    },
    counsel: {
      considerSplit: (deal, terms, signal) =>
        application.considerSplit?.(deal, terms, signal) ?? Promise.resolve(undefined),
      ...(application.defend === undefined ? {} : { defend: application.defend.bind(application) }),
      ...(application.considerAppeal === undefined ? {} : { appeal: application.considerAppeal.bind(application) }),
    },
  };
}

/** A specification that is a request over HTTP is the shop's to answer; a negotiated one never is. */
function serveRequest(
  application: Application,
  spec: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> | undefined {
  const request = decodePaidRequest(spec);
  if (request.kind !== "accept") return undefined;
  return application.serve?.(request.value, signal) ?? Promise.reject(new Error("this agent serves no requests"));
}

const isPlainReward = (rules: Rules): boolean =>
  isDocument(rules) && rules.award.rule === "posted-price" && bondOf(rules, postedPriceOf(rules) ?? 0n, 0n) === 0n;

/** A juror's own program decides; without one, or without evidence, the juror refuses to arbitrate. */
export async function voteOf(
  application: Application,
  _dealId: Hex,
  evidence: readonly EvidenceBundle[],
  signal: AbortSignal,
): Promise<0 | 1 | 2> {
  const [bundle] = evidence;
  if (bundle === undefined || application.vote === undefined) return 0;
  return await application.vote({ deal: bundle.deal, evidence }, signal);
}

export function tabWorkOf(application: Application): TabWork {
  const priceOf = (topic: bigint) =>
    application.capabilities.find((offer) => topicIdOf(offer.topic) === topic)?.priceWei;
  const nobody = new Error("this agent answers no tasks on tabs");
  return {
    priceOf: (topic) => (application.answerTask === undefined ? undefined : priceOf(topic)),
    answer: (tab, spec, signal) => application.answerTask?.(tab, spec, signal) ?? Promise.reject(nobody),
    answerPrepaid: (_tab, spec, signal) => serveRequest(application, spec, signal) ?? Promise.reject(nobody),
    rate: (tab, spec, answer) => application.rateAnswer?.(tab, spec, answer) ?? Promise.resolve(0),
  };
}

/** The application's own listener of a step; a throw is its fault, told as such. */
export async function tellApplication(application: Application, step: DealStep): Promise<void> {
  if (step.kind === "funded") await application.onFunded?.(step);
  else if (step.kind === "submitted") await application.onSubmitted?.(step);
  else if (step.kind === "disputed") await application.onDisputed?.(step);
  else await application.onSettled?.(step);
}

function readSpecification(spec: Uint8Array) {
  const decoded = decodeSpecification(spec);
  if (decoded.kind === "accept") return decoded.value;
  throw new SuretyError("SPEC_UNREADABLE", `The deal's specification cannot be read: ${decoded.detail}.`, {
    values: { code: decoded.code },
    next: "Nothing: a provider does not bid on what it cannot read.",
  });
}
