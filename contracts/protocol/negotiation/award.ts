import { zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { Bid, Call, Deal } from "../generated/structs.ts";
import { recoverSigner } from "../keys.ts";
import { structHash, typedDataDigest, type DomainContracts } from "../typed-data.ts";
import { decodeCertificate, encodeCertificate, type Certificate, type SignedBid } from "./certificate.ts";
import { MAX_BIDS } from "./limits.ts";
import type { Mechanism } from "./mechanism.ts";
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
export function scoreOf(mechanism: Mechanism, bid: Bid): bigint {
  return mechanism.valuePerQuality * bid.quality - bid.price;
}

/** Whether a bid takes part, by the call and its rules alone: it must stand at least until the bidding ends. */
export function checkBid(call: Call, callId: Hex, mechanism: Mechanism, bid: Bid): Verdict<Bid> {
  if (bid.callId !== callId) return reject("BID_OTHER_CALL", `for call ${bid.callId}`);
  if (bid.providerAgentId === 0n || bid.providerAgentId === call.clientAgentId) {
    return reject("BID_BIDDER", `agent ${bid.providerAgentId} cannot bid on this call`);
  }
  if (bid.price > call.reservePrice) return reject("BID_ABOVE_RESERVE", `${bid.price} is above ${call.reservePrice}`);
  if (bid.quality < mechanism.minQuality || bid.quality > mechanism.maxQuality) {
    return reject("BID_QUALITY", `${bid.quality} is not in ${mechanism.minQuality}..${mechanism.maxQuality}`);
  }
  if (bid.validUntil * 1000 < call.bidByMs) return reject("BID_EXPIRES_EARLY", `valid until ${bid.validUntil}`);
  return accept(bid);
}

/** The best of the bids that were not passed over, and its payment; undefined if none is left. Depends on no order. */
export function chooseAward(call: Call, mechanism: Mechanism, { bids, passed }: Certificate): Award | undefined {
  const ranked = bids
    .filter(({ bidId }) => !passed.includes(bidId))
    .map((signed) => ({ signed, score: scoreOf(mechanism, signed.bid) }))
    .sort((a, b) => (a.score !== b.score ? (a.score > b.score ? -1 : 1) : a.signed.bidId < b.signed.bidId ? -1 : 1));
  const [best, runnerUp] = ranked;
  if (best === undefined) return undefined;
  if (runnerUp === undefined) return { winner: best.signed, payment: call.reservePrice };
  const indifferent = mechanism.valuePerQuality * best.signed.bid.quality - runnerUp.score;
  return { winner: best.signed, payment: indifferent < call.reservePrice ? indifferent : call.reservePrice };
}

/**
 * The deal that an award becomes, every field of it: nothing is left to choose, so the follower composes it again and
 * compares. The salt is the callId: it binds the deal to the call, and two awards of one call never share a dealId.
 */
export function composeDeal(call: Call, { winner, payment }: Award, certificateHash: Hex): Deal {
  return {
    clientAgentId: call.clientAgentId,
    providerAgentId: winner.bid.providerAgentId,
    topic: call.topic,
    token: call.token,
    price: payment,
    providerBond: 0n,
    clientBond: 0n,
    submitBy: call.submitBy,
    reviewPeriod: call.reviewPeriod,
    arbiter: zeroAddress,
    arbiterDeadline: 0,
    mechanismHash: call.mechanismHash,
    certificateHash,
    specHash: call.specHash,
    splitsRoot: zeroHash,
    epoch: 0,
    hook: zeroAddress,
    salt: BigInt(structHash("Call", call)),
  };
}

/** The leader's side: the award among these bids, its certificate and its deal; undefined if no bid is left. */
export function certifyAward(call: Call, mechanism: Mechanism, given: Certificate): CertifiedAward | undefined {
  const award = chooseAward(call, mechanism, given);
  if (award === undefined) return undefined;
  const certificate = encodeCertificate(given);
  const deal = composeDeal(call, award, contentHashOf(certificate));
  return { ...award, certificate, deal, dealId: structHash("Deal", deal) };
}

/**
 * The follower's side, before it signs: the certificate is what the deal cites, every bid in it takes part and is
 * signed, and the award under the published rules is this deal to the last field. What it cannot show: bids that the
 * leader left out (that can only raise the payment) and bidders that the leader invented; whether the signers speak for
 * their agents is for the identity registry, hence the list of bidders.
 */
export function checkCertificate(
  call: Call,
  mechanism: Mechanism,
  certificate: Uint8Array,
  deal: Deal,
  contracts: DomainContracts,
): Verdict<{ award: Award; bidders: readonly CertifiedBidder[] }> {
  const certificateHash = contentHashOf(certificate);
  if (deal.certificateHash !== certificateHash)
    return reject("CERTIFICATE_HASH", `the deal cites ${deal.certificateHash}`);
  const decoded = decodeCertificate(certificate);
  if (decoded.kind !== "accept") return decoded;
  const award = chooseAward(call, mechanism, decoded.value);
  if (award === undefined) return reject("CERTIFICATE_NO_AWARD", "no bid is left to be awarded");
  if (structHash("Deal", composeDeal(call, award, certificateHash)) !== structHash("Deal", deal)) {
    return reject("CERTIFICATE_OTHER_DEAL", "the award under the published rules is another deal");
  }
  const bidders = checkBids(call, mechanism, decoded.value, contracts);
  return bidders.kind === "accept" ? accept({ award, bidders: bidders.value }) : bidders;
}

function checkBids(
  call: Call,
  mechanism: Mechanism,
  { bids }: Certificate,
  contracts: DomainContracts,
): Verdict<readonly CertifiedBidder[]> {
  const callId = structHash("Call", call);
  const bidders: CertifiedBidder[] = [];
  for (const { bid, signature } of bids.slice(0, MAX_BIDS)) {
    const checked = checkBid(call, callId, mechanism, bid);
    if (checked.kind !== "accept") return checked;
    const signer = recoverSigner(typedDataDigest("Bid", bid, contracts), signature);
    if (signer.kind !== "accept") return signer;
    bidders.push({ agentId: bid.providerAgentId, signer: signer.value });
  }
  return accept(bidders);
}
