import { concat, hashStruct, keccak256, hashDomain, type Address, type Hex } from "viem";
import type { Deal } from "./generated/structs.ts";
import { structHash, typedDataDigest, type Domain, type DomainContracts } from "./typed-data.ts";

/** EIP-712 struct hash of a deal: its id on every chain, and the nonce of its EIP-3009 payment. */
export function dealIdOf(deal: Deal): Hex {
  return structHash("Deal", deal);
}

/** What both parties sign to open a deal. */
export function dealDigestOf(deal: Deal, contracts: DomainContracts): Hex {
  return typedDataDigest("Deal", deal, contracts);
}

/** What both parties sign to cancel a deal. */
export function dealCancelDigestOf(dealId: Hex, contracts: DomainContracts): Hex {
  return typedDataDigest("DealCancel", { dealId }, contracts);
}

/** The terms of a deal's EIP-3009 payment that its payer chooses: seconds (Unix), both exclusive. */
export interface PaymentWindow {
  readonly payer: Address;
  readonly validAfter: bigint;
  readonly validBefore: bigint;
}

const paymentTypes = {
  ReceiveWithAuthorization: [
    { name: "from", type: "address" },
    { name: "to", type: "address" },
    { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" },
    { name: "validBefore", type: "uint256" },
    { name: "nonce", type: "bytes32" },
  ],
};

const domainTypes = [
  { name: "name", type: "string" },
  { name: "version", type: "string" },
  { name: "chainId", type: "uint256" },
  { name: "verifyingContract", type: "address" },
];

/**
 * What the payer of a deal signs under EIP-3009: it moves exactly the price, to this escrow, for this deal.
 * @param tokenDomain EIP-712 domain of the token, which its eip712Domain() names
 */
export function dealPaymentDigestOf(deal: Deal, escrow: Address, window: PaymentWindow, tokenDomain: Domain): Hex {
  const separator = hashDomain({
    domain: { ...tokenDomain, chainId: BigInt(tokenDomain.chainId) } as never,
    types: { EIP712Domain: domainTypes },
  });
  const message = hashStruct({
    primaryType: "ReceiveWithAuthorization",
    types: paymentTypes,
    data: {
      from: window.payer,
      to: escrow,
      value: deal.price,
      validAfter: window.validAfter,
      validBefore: window.validBefore,
      nonce: dealIdOf(deal),
    },
  });
  return keccak256(concat(["0x1901", separator, message]));
}
