import { concat, hashStruct, keccak256, hashDomain, type Address, type Hex } from "viem";
import type { Deal, Tab } from "./generated/structs.ts";
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
 * What the payer of a deal signs under EIP-3009: it moves exactly price and client's bond, to this escrow, for this deal.
 * @param tokenDomain EIP-712 domain of the token, which its eip712Domain() names
 */
export function dealPaymentDigestOf(deal: Deal, escrow: Address, window: PaymentWindow, tokenDomain: Domain): Hex {
  return authorizationDigestOf(deal.price + deal.clientBond, dealIdOf(deal), escrow, window, tokenDomain);
}

/** What the provider signs under EIP-3009 to bring its bond through DealFunding. */
export function bondPaymentDigestOf(deal: Deal, funding: Address, window: PaymentWindow, tokenDomain: Domain): Hex {
  return authorizationDigestOf(deal.providerBond, dealIdOf(deal), funding, window, tokenDomain);
}

/** What the payer of a tab's deposit signs under EIP-3009; the nonce is the tabId. */
export function tabPaymentDigestOf(
  tab: Tab,
  deposit: bigint,
  tabEscrow: Address,
  window: PaymentWindow,
  tokenDomain: Domain,
): Hex {
  return authorizationDigestOf(deposit, structHash("Tab", tab), tabEscrow, window, tokenDomain);
}

const permitTypes = {
  Permit: [
    { name: "owner", type: "address" },
    { name: "spender", type: "address" },
    { name: "value", type: "uint256" },
    { name: "nonce", type: "uint256" },
    { name: "deadline", type: "uint256" },
  ],
};

/** An allowance by signature. `deadline` is its last second (Unix), `nonce` the owner's present one at the token. */
export interface Permit {
  readonly owner: Address;
  readonly spender: Address;
  readonly value: bigint;
  readonly nonce: bigint;
  readonly deadline: bigint;
}

/** What the holder of a token signs under EIP-2612, for anybody to send. */
export const permitDigestOf = (permit: Permit, tokenDomain: Domain): Hex =>
  tokenDigestOf("Permit", permitTypes, { ...permit }, tokenDomain);

function authorizationDigestOf(
  value: bigint,
  nonce: Hex,
  to: Address,
  window: PaymentWindow,
  tokenDomain: Domain,
): Hex {
  const { payer: from, validAfter, validBefore } = window;
  const message = { from, to, value, validAfter, validBefore, nonce };
  return tokenDigestOf("ReceiveWithAuthorization", paymentTypes, message, tokenDomain);
}

function tokenDigestOf(
  primaryType: string,
  types: Record<string, { name: string; type: string }[]>,
  data: Record<string, unknown>,
  tokenDomain: Domain,
): Hex {
  return keccak256(concat(["0x1901", domainSeparatorOf(tokenDomain), hashStruct({ primaryType, types, data })]));
}

/** EIP-712 separator of a domain of these four fields, without a salt. */
export const domainSeparatorOf = (domain: Domain): Hex =>
  hashDomain({
    domain: { ...domain, chainId: BigInt(domain.chainId) } as never,
    types: { EIP712Domain: domainTypes },
  });
