import { accept, ignore, reject, type Verdict } from "../errors.ts";
import type { Call, Deal } from "../generated/structs.ts";
import {
  encodeMechanismDocument,
  MECHANISM_DOCUMENT_KIND,
  readMechanismDocument,
  type MechanismDocument,
} from "../mechanism/document/schema.ts";
import { isSound, lintMechanism } from "../mechanism/document/lint.ts";
import { bondOf, postedPriceOf } from "../mechanism/document/terms.ts";
import { dealLimits } from "../deal-state.ts";
import { rootOfShares } from "../shares.ts";
import { topicIdOf } from "../topic.ts";
import { zeroAddress, zeroHash } from "viem";
import {
  BARGAIN_RULES_KIND,
  checkBargainCall,
  encodeBargainRules,
  readBargainRules,
  type BargainRules,
} from "./bargaining.ts";
import { MAX_MECHANISM_BYTES } from "./limits.ts";
import { decodeMechanism, encodeMechanism, type Mechanism } from "./mechanism.ts";
import { areEqualBytes, decodeStrictCborMap } from "./strict-cbor.ts";

/** What a call may cite: a whole mechanism document, the bare parameters of a second price, or packages that two bargain over. */
export type Rules = Mechanism | MechanismDocument | BargainRules;

/** How the award is made, whichever form the rules have. */
export type AwardRules = MechanismDocument["award"];

export const isDocument = (rules: Rules): rules is MechanismDocument => rules.kind === MECHANISM_DOCUMENT_KIND;

export const isBargaining = (rules: Rules): rules is BargainRules => rules.kind === BARGAIN_RULES_KIND;

export function awardRulesOf(rules: Rules): AwardRules {
  if (isDocument(rules)) return rules.award;
  if (isBargaining(rules)) {
    // What a bid offers is the number of a package; nobody weighs it for the other side.
    const range = { valuePerQuality: 0n, minQuality: 0n, maxQuality: BigInt(rules.packages.length - 1) };
    return { rule: "posted-price", ...range, isSealed: false, maxUnopened: 0 };
  }
  const { valuePerQuality, minQuality, maxQuality } = rules;
  return { rule: "scored-second-price", valuePerQuality, minQuality, maxQuality, isSealed: false, maxUnopened: 0 };
}

/** Canonical bytes, whose hash is in the call and in the deal. @throws SuretyError MECHANISM_INVALID */
export function encodeRules(rules: Rules): Uint8Array {
  if (isBargaining(rules)) return encodeBargainRules(rules);
  return isDocument(rules) ? encodeMechanismDocument(rules) : encodeMechanism(rules);
}

/** Rules of a call as they came: strict, bounded; a form that we do not know is ignored. */
export function decodeRules(bytes: Uint8Array): Verdict<Rules> {
  const known = decodedRules.find((entry) => areEqualBytes(entry.bytes, bytes));
  if (known !== undefined) return known.rules;
  const rules = readRules(bytes);
  if (rules.kind !== "accept") return rules;
  if (decodedRules.length >= MAX_DECODED) decodedRules.shift();
  decodedRules.push({ bytes: bytes.slice(), rules });
  return rules;
}

/** Documents of different leaders that one agent deals under at a time, each at most MAX_MECHANISM_BYTES. */
const MAX_DECODED = 8;
/** Either side of a call reads its rules half a dozen times: from memory, each costs a comparison of bytes. */
const decodedRules: { readonly bytes: Uint8Array; readonly rules: Verdict<Rules> }[] = [];

function readRules(bytes: Uint8Array): Verdict<Rules> {
  const map = decodeStrictCborMap(bytes, MAX_MECHANISM_BYTES);
  if (map.kind !== "accept") return map;
  if (map.value["kind"] === BARGAIN_RULES_KIND) return readBargainRules(map.value);
  return map.value["kind"] === MECHANISM_DOCUMENT_KIND ? readMechanismDocument(map.value) : decodeMechanism(bytes);
}

/** Whether a call keeps to the rules that it cites, and whether they are fit to be signed. What a follower asks before it bids. */
export function checkCallRules(call: Call, rules: Rules): Verdict<Rules> {
  if (isBargaining(rules)) return checkBargainCall(call, rules);
  if (!isDocument(rules)) return accept(rules);
  const { admission, award, deadlines, review } = rules;
  if (!admission.topics.some((topic) => topicIdOf(topic) === call.topic))
    return reject("RULES_TOPIC", `the rules do not govern topic ${call.topic}`);
  if (call.reviewPeriod !== review.periodS)
    return reject("RULES_REVIEW", `the call reviews for ${call.reviewPeriod} s, the rules say ${review.periodS}`);
  if (deadlines.validUntil > 0 && call.bidByMs > deadlines.validUntil * 1000)
    return ignore("RULES_EXPIRED", `the rules end at ${deadlines.validUntil}`);
  if (call.reservePrice > dealLimits.maxAmount) return reject("RULES_RESERVE", "the reserve is beyond 2^128 - 1");
  if (award.rule === "posted-price" && call.reservePrice !== postedPriceOf(rules))
    return reject("RULES_RESERVE", `the call names ${call.reservePrice}, the rules post ${postedPriceOf(rules)}`);
  const findings = lintMechanism(rules);
  const worst = findings.find(({ isWarning }) => !isWarning);
  return isSound(findings) || worst === undefined
    ? accept(rules)
    : reject("RULES_UNSOUND", `${worst.code} at ${worst.path}: ${worst.reason}`);
}

/** The fields of a deal that follow from the rules and not from the call alone. */
export type RuledTerms = Pick<
  Deal,
  "providerBond" | "clientBond" | "arbiter" | "arbiterDeadline" | "splitsRoot" | "epoch"
>;

/** Of bare parameters, and of a deal that nobody ruled. */
export const plainTerms: RuledTerms = {
  ...{ providerBond: 0n, clientBond: 0n, arbiter: zeroAddress, arbiterDeadline: 0, splitsRoot: zeroHash, epoch: 0 },
};

/** @param standing the provider's relative score, and the finalized epoch that it is of; 0 and 0 for a newcomer */
export function ruledTermsOf(
  call: Call,
  rules: Rules,
  priceWei: bigint,
  standing: { readonly relativeScore: bigint; readonly epoch: number },
): RuledTerms {
  if (!isDocument(rules)) return plainTerms;
  const { appeal, bond, split } = rules;
  const isNobody = appeal.arbiter === zeroAddress;
  return {
    providerBond: bondOf(rules, priceWei, standing.relativeScore),
    clientBond: bond.clientBondWei,
    arbiter: appeal.arbiter,
    arbiterDeadline: isNobody ? 0 : call.submitBy + call.reviewPeriod + appeal.withinS,
    splitsRoot: split.rule === "fixed" ? rootOfShares(split.shares) : zeroHash,
    epoch: standing.epoch,
  };
}
