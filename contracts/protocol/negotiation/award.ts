import { zeroAddress, type Address, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { Bid, Call, Deal } from "../generated/structs.ts";
import { recoverSigner } from "../keys.ts";
import { structHash, typedDataDigest, type DomainContracts } from "../typed-data.ts";
import { decodeCertificate, encodeCertificate, type Certificate, type SignedBid } from "./certificate.ts";
import { MAX_BIDS } from "./limits.ts";
import { checkMechanismProof } from "../mechanism/document/enforce.ts";
import { postedPriceOf } from "../mechanism/document/terms.ts";
import { bargainedTermsOf, type BargainRules } from "./bargaining.ts";
import {
  awardRulesOf,
  isBargaining,
  isDocument,
  plainTerms,
  ruledTermsOf,
  type RuledTerms,
  type Rules,
} from "./rules.ts";
import { contentHashOf } from "./strict-cbor.ts";

// The scored second price over integers: a second-score auction with contracted quality (Che, RAND 24:4, 1993). The
// winner is paid the highest price at which it would still have won, so its own price decides whether it wins and never
// what it gets: bidding the cost of the offered quality is a dominant strategy. The reserve is such a price, too.

/** Who provides, and for how much. */
export interface Award {
  readonly winner: SignedBid;
  /** In the token's smallest unit: at least the winner's price, at most the call's reserve. */
  readonly payment: bigint;
}

/** An award with the deal to be signed and the evidence for it. */
export interface CertifiedAward extends Award {
  readonly certificate: Uint8Array;
  readonly deal: Deal;
  readonly dealId: Hex;
}

/** A bidder of a certificate, for the check against the identity registry. */
export interface CertifiedBidder {
  readonly agentId: bigint;
  readonly signer: Address;
}

/** What a bid is worth to the leader, in the token's smallest unit. May be negative. */
export function scoreOf(rules: Rules, bid: Bid): bigint {
  const { rule, valuePerQuality } = awardRulesOf(rules);
  // Under a posted price what a bidder asks decides nothing.
  return valuePerQuality * bid.quality - (rule === "posted-price" ? 0n : bid.price);
}

/** The score by which a bidder is admitted and its bond reckoned; 0 if the certificate names none. */
export function relativeScoreIn({ grounds }: Certificate, agentId: bigint): bigint {
  return grounds?.standings.find((standing) => standing.agentId === agentId)?.relativeScore ?? 0n;
}

/** Whether a bid takes part, by the call and its rules alone: it must stand at least until the bidding ends. */
export function checkBid(call: Call, callId: Hex, rules: Rules, bid: Bid): Verdict<Bid> {
  const { minQuality, maxQuality } = awardRulesOf(rules);
  if (bid.callId !== callId) return reject("BID_OTHER_CALL", `for call ${bid.callId}`);
  if (bid.providerAgentId === 0n || bid.providerAgentId === call.clientAgentId) {
    return reject("BID_BIDDER", `agent ${bid.providerAgentId} cannot bid on this call`);
  }
  if (bid.price > call.reservePrice) return reject("BID_ABOVE_RESERVE", `${bid.price} is above ${call.reservePrice}`);
  if (bid.quality < minQuality || bid.quality > maxQuality) {
    return reject("BID_QUALITY", `${bid.quality} is not in ${minQuality}..${maxQuality}`);
  }
  const offered = isBargaining(rules) ? rules.packages[Number(bid.quality)] : undefined;
  if (offered !== undefined && bid.price !== offered.priceWei)
    return reject("BID_OTHER_PRICE", `package ${bid.quality} costs ${offered.priceWei}`);
  if (bid.validUntil * 1000 < call.bidByMs) return reject("BID_EXPIRES_EARLY", `valid until ${bid.validUntil}`);
  return accept(bid);
}

/** The best of the bids that were admitted and not passed over, and its payment; undefined if none is left. Depends on no order. */
export function chooseAward(call: Call, rules: Rules, certificate: Certificate): Award | undefined {
  if (isBargaining(rules)) return agreedAward(rules, certificate);
  const { rule, valuePerQuality } = awardRulesOf(rules);
  const minScore = isDocument(rules) ? rules.admission.minScore : 0n;
  const ranked = certificate.bids
    .filter(({ bidId, bid }) => {
      return !certificate.passed.includes(bidId) && relativeScoreIn(certificate, bid.providerAgentId) >= minScore;
    })
    .map((signed) => ({ signed, score: scoreOf(rules, signed.bid) }))
    .sort((a, b) => (a.score !== b.score ? (a.score > b.score ? -1 : 1) : a.signed.bidId < b.signed.bidId ? -1 : 1));
  const [best, runnerUp] = ranked;
  if (best === undefined) return undefined;
  const posted = rule === "posted-price" && isDocument(rules) ? postedPriceOf(rules) : undefined;
  if (posted !== undefined) return { winner: best.signed, payment: posted };
  if (runnerUp === undefined) return { winner: best.signed, payment: call.reservePrice };
  const indifferent = valuePerQuality * best.signed.bid.quality - runnerUp.score;
  return { winner: best.signed, payment: indifferent < call.reservePrice ? indifferent : call.reservePrice };
}

/** Two that agreed on a package have their award; whose offer it was makes no difference to the deal. */
function agreedAward({ packages }: BargainRules, { bids, bargain }: Certificate): Award | undefined {
  const [winner] = bids;
  const agreed = bargain && packages[bargain.outcome];
  return winner && agreed && { winner, payment: agreed.priceWei };
}

/**
 * The deal that an award becomes, every field of it: nothing is left to choose, so the follower composes it again and
 * compares. The salt is the callId: it binds the deal to the call, and two awards of one call never share a dealId.
 */
export function composeDeal(
  call: Call,
  { winner, payment }: Award,
  certificateHash: Hex,
  terms: RuledTerms & Partial<Deal> = plainTerms,
): Deal {
  return {
    clientAgentId: call.clientAgentId,
    providerAgentId: winner.bid.providerAgentId,
    topic: call.topic,
    token: call.token,
    price: payment,
    submitBy: call.submitBy,
    reviewPeriod: call.reviewPeriod,
    mechanismHash: call.mechanismHash,
    certificateHash,
    specHash: call.specHash,
    hook: zeroAddress,
    salt: BigInt(structHash("Call", call)),
    ...terms,
  };
}

/** The terms that the rules give this award: bonds by the winner's score, arbiter, shares. */
function termsOf(
  call: Call,
  rules: Rules,
  { winner, payment }: Award,
  certificate: Certificate,
): RuledTerms & Partial<Deal> {
  if (isBargaining(rules))
    return { ...plainTerms, ...bargainedTermsOf(call, rules, certificate.bargain?.outcome ?? 0) };
  const relativeScore = relativeScoreIn(certificate, winner.bid.providerAgentId);
  return ruledTermsOf(call, rules, payment, { relativeScore, epoch: certificate.grounds?.epoch ?? 0 });
}

/** The leader's side: the award among these bids, its certificate and its deal; undefined if no bid is left. */
export function certifyAward(call: Call, rules: Rules, given: Certificate): CertifiedAward | undefined {
  const award = chooseAward(call, rules, given);
  if (award === undefined) return undefined;
  const certificate = encodeCertificate(given);
  const deal = composeDeal(call, award, contentHashOf(certificate), termsOf(call, rules, award, given));
  return { ...award, certificate, deal, dealId: structHash("Deal", deal) };
}

/**
 * The follower's side, before it signs: the certificate is what the deal cites, every bid in it takes part and is
 * signed, the award under the published rules is this deal to the last field, and its payments are proven to make the
 * sought action the best response at least cost. What it cannot show: bids that the leader left out (that can only raise
 * the payment) and bidders that the leader invented; whether the signers speak for their agents is for the identity
 * registry, hence the list of bidders.
 */
export function checkCertificate(
  call: Call,
  rules: Rules,
  certificate: Uint8Array,
  deal: Deal,
  contracts: DomainContracts,
): Verdict<{ award: Award; bidders: readonly CertifiedBidder[]; certificate: Certificate }> {
  const certificateHash = contentHashOf(certificate);
  if (deal.certificateHash !== certificateHash)
    return reject("CERTIFICATE_HASH", `the deal cites ${deal.certificateHash}`);
  const decoded = decodeCertificate(certificate);
  if (decoded.kind !== "accept") return decoded;
  const fault = faultOfGrounds(rules, decoded.value);
  if (fault !== undefined) return fault;
  const award = chooseAward(call, rules, decoded.value);
  if (award === undefined) return reject("CERTIFICATE_NO_AWARD", "no bid is left to be awarded");
  const composed = composeDeal(call, award, certificateHash, termsOf(call, rules, award, decoded.value));
  if (structHash("Deal", composed) !== structHash("Deal", deal)) {
    return reject("CERTIFICATE_OTHER_DEAL", "the award under the published rules is another deal");
  }
  if (isDocument(rules)) {
    const amounts = { priceWei: deal.price, bondWei: deal.providerBond };
    const proven = checkMechanismProof(rules, amounts, decoded.value.grounds?.proof ?? undefined);
    if (proven.kind !== "accept") return proven;
  }
  const bidders = checkBids(call, rules, decoded.value, contracts);
  return bidders.kind === "accept" ? accept({ award, bidders: bidders.value, certificate: decoded.value }) : bidders;
}

/** Grounds belong to documents; sealed bids were all sealed before one was opened, and few stayed shut. */
function faultOfGrounds(rules: Rules, { bids, grounds, bargain }: Certificate): Verdict<never> | undefined {
  if (isDocument(rules) !== (grounds !== undefined) || isBargaining(rules) !== (bargain !== undefined))
    return reject("CERTIFICATE_VERSION", "the certificate is not of the rules' form");
  const { isSealed, maxUnopened } = awardRulesOf(rules);
  const seals = new Set(grounds?.seals);
  if (!isSealed)
    return seals.size === 0 ? undefined : reject("CERTIFICATE_SEALS", "bids are open, and seals are named");
  const unsealed = bids.find(({ bidId }) => !seals.has(bidId));
  if (unsealed !== undefined) return reject("CERTIFICATE_UNSEALED", `bid ${unsealed.bidId} was not sealed in time`);
  const unopened = seals.size - bids.length;
  return unopened <= maxUnopened
    ? undefined
    : reject("CERTIFICATE_UNOPENED", `${unopened} bids stayed sealed, ${maxUnopened} may`);
}

function checkBids(
  call: Call,
  rules: Rules,
  { bids }: Certificate,
  contracts: DomainContracts,
): Verdict<readonly CertifiedBidder[]> {
  const callId = structHash("Call", call);
  const bidders: CertifiedBidder[] = [];
  for (const { bid, signature } of bids.slice(0, MAX_BIDS)) {
    const checked = checkBid(call, callId, rules, bid);
    if (checked.kind !== "accept") return checked;
    const signer = recoverSigner(typedDataDigest("Bid", bid, contracts), signature);
    if (signer.kind !== "accept") return signer;
    bidders.push({ agentId: bid.providerAgentId, signer: signer.value });
  }
  return accept(bidders);
}
