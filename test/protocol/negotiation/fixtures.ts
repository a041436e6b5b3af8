import fc from "fast-check";
import { toHex } from "viem";
import {
  contentHashOf,
  createSigner,
  encodeMechanism,
  signedBidOf,
  structHash,
  topicIdOf,
  typedDataDigest,
  type Bid,
  type Call,
  type DomainContracts,
  type Mechanism,
  type SignedBid,
  type Signer,
} from "#protocol";

/** Addresses of no real contract: the pure core only signs under them. */
export const contracts: DomainContracts = {
  chainId: 31_337,
  identityRegistry: toHex(1n, { size: 20 }),
  dealEscrow: toHex(2n, { size: 20 }),
};

export const mechanism: Mechanism = {
  kind: "scored-second-price",
  version: 1,
  valuePerQuality: 10n,
  minQuality: 0n,
  maxQuality: 100n,
};

export const spec = new TextEncoder().encode("Translate the attached page into French.");

export function callOf(overrides: Partial<Call> = {}): Call {
  return {
    clientAgentId: 1n,
    topic: topicIdOf("translation"),
    specHash: contentHashOf(spec),
    mechanismHash: contentHashOf(encodeMechanism(mechanism)),
    token: toHex(3n, { size: 20 }),
    reservePrice: 1_000n,
    bidByMs: 1_800_000_000_000,
    submitBy: 1_800_000_600,
    reviewPeriod: 300,
    salt: 7n,
    ...overrides,
  };
}

/** Signers of test agents 1, 2, …: scalars of no secrecy whatever. */
export function signerOf(agentId: bigint): Signer {
  return createSigner(toHex(agentId, { size: 32 }));
}

export function bidOf(call: Call, providerAgentId: bigint, overrides: Partial<Bid> = {}): Bid {
  return {
    callId: structHash("Call", call),
    providerAgentId,
    price: 100n,
    quality: 50n,
    validUntil: 1_800_000_300,
    salt: 0n,
    ...overrides,
  };
}

export function signBid(bid: Bid): SignedBid {
  return signedBidOf(bid, signerOf(bid.providerAgentId).sign(typedDataDigest("Bid", bid, contracts)));
}

/** Bids whose signatures play no part: for the award's arithmetic only. */
export const unsigned = (bid: Bid): SignedBid => signedBidOf(bid, `0x${"00".repeat(65)}`);

/** Distinct bidders 2, 3, … with any price up to the reserve and any allowed quality. */
export const rivals = (reservePrice: bigint) =>
  fc
    .array(fc.record({ price: fc.bigInt(0n, reservePrice), quality: fc.bigInt(0n, 100n) }), {
      minLength: 1,
      maxLength: 8,
    })
    .map((list) => list.map((terms, i) => ({ ...terms, providerAgentId: BigInt(i) + 2n })));
