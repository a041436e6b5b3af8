import { keccak256, type Hex } from "viem";
import {
  dealDigestOf,
  dealIdOf,
  dealPaymentDigestOf,
  SuretyError,
  type Deal,
  type DomainContracts,
  type Signer,
} from "#protocol";
import {
  DEAL_SCHEME,
  dealOf,
  decodeHeader,
  encodeHeader,
  REQUIRED_HEADER,
  RESPONSE_HEADER,
  SIGNATURE_HEADER,
  specHashOf,
  X402_VERSION,
  type PaymentRequired,
  type PaymentRequirements,
} from "./messages.ts";

export interface PayerOptions {
  /** LOG signer of the client's agent, and the account that pays. */
  readonly signer: Signer;
  readonly clientAgentId: bigint;
  readonly contracts: DomainContracts;
  /** The most that one request may cost, in the asset's smallest unit. */
  readonly maxAmount: bigint;
  /** 256 random bits. */
  readonly random: () => bigint;
  /** Block time in seconds (Unix). */
  readonly now: (signal: AbortSignal) => Promise<number>;
  readonly fetch?: typeof fetch;
}

/** An answer that was paid for; `deal` is what to complete, with a rating, or to leave to silence. */
export interface PaidAnswer {
  readonly body: Uint8Array;
  readonly deliverableHash: Hex;
  /** Undefined = the server asked for no payment. */
  readonly deal?: Deal;
  readonly transaction?: Hex;
}

/**
 * Fetches a resource, and pays for it by a deal where the server answers 402 (x402 v2).
 * @throws SuretyError X402_UNPAYABLE (no offer of ours, or too dear), X402_REFUSED (not served for the payment)
 */
export async function fetchPaying(url: string, options: PayerOptions, signal: AbortSignal): Promise<PaidAnswer> {
  const send = options.fetch ?? fetch;
  const first = await send(url, { signal });
  if (first.status !== 402) return readAnswer(first, url);
  const offer = offerOf(first, url, options);
  const deal = dealOf(offer, {
    ...{ clientAgentId: options.clientAgentId, specHash: specHashOf("GET", new URL(url).href) },
    ...{ random: options.random(), nowSeconds: await options.now(signal) },
  });
  const header = encodeHeader({ x402Version: X402_VERSION, accepted: offer, payload: payFor(deal, offer, options) });
  const answer = await readAnswer(await send(url, { signal, headers: { [SIGNATURE_HEADER]: header } }), url);
  return { ...answer, deal };
}

function payFor(deal: Deal, offer: PaymentRequirements, { signer, contracts }: PayerOptions) {
  const { assetName: name, assetVersion: version } = offer.extra;
  const window = { payer: signer.address, validAfter: 0n, validBefore: BigInt(deal.submitBy) };
  const domain = { name, version, chainId: contracts.chainId, verifyingContract: deal.token };
  const signature = signer.sign(dealPaymentDigestOf(deal, contracts.dealEscrow, window, domain));
  return {
    deal,
    client: { signer: signer.address, signature: signer.sign(dealDigestOf(deal, contracts)) },
    authorization: { ...window, signature, nonce: dealIdOf(deal) },
  };
}

/** The offer to take: our scheme, this chain, the escrow that we know, within the budget. */
function offerOf(response: Response, url: string, options: PayerOptions): PaymentRequirements {
  const message = decodeHeader(response.headers.get(REQUIRED_HEADER));
  const accepts = message.kind === "accept" ? (message.value as unknown as PaymentRequired).accepts : [];
  const { chainId, dealEscrow, identityRegistry } = options.contracts;
  const isSame = (a: unknown, b: string) => typeof a === "string" && a.toLowerCase() === b.toLowerCase();
  const offer = (Array.isArray(accepts) ? (accepts as readonly PaymentRequirements[]) : []).find(
    ({ scheme, network, amount, extra }) =>
      scheme === DEAL_SCHEME &&
      network === `eip155:${chainId}` &&
      /^\d{1,78}$/.test(amount) &&
      BigInt(amount) <= options.maxAmount &&
      // An escrow that the server names is the server's: only the one that the payer knows gets its money.
      isSame(extra.escrow, dealEscrow) &&
      isSame(extra.identityRegistry, identityRegistry),
  );
  if (offer !== undefined) return offer;
  throw new SuretyError("X402_UNPAYABLE", `${url} asks for no payment that may be made.`, {
    values: { url, maxAmount: options.maxAmount, accepts },
    next: "Raise the budget, or pay by another scheme.",
  });
}

async function readAnswer(response: Response, url: string): Promise<PaidAnswer> {
  if (!response.ok) {
    const settled = decodeHeader(response.headers.get(RESPONSE_HEADER));
    const reason = settled.kind === "accept" ? settled.value["errorReason"] : undefined;
    throw new SuretyError("X402_REFUSED", `${url} answered ${response.status} to the payment.`, {
      values: { url, status: response.status, reason },
      next: "Nothing was paid unless the deal is on chain; if it is, it is refunded after submitBy.",
    });
  }
  const body = new Uint8Array(await response.arrayBuffer());
  const settled = decodeHeader(response.headers.get(RESPONSE_HEADER));
  const transaction = settled.kind === "accept" ? (settled.value["transaction"] as Hex) : undefined;
  return { body, deliverableHash: keccak256(body), ...(transaction === undefined ? {} : { transaction }) };
}
