import type { IncomingMessage, ServerResponse } from "node:http";
import { keccak256, type Address, type Hex } from "viem";
import {
  dealDigestOf,
  reject,
  structHash,
  type Deal,
  type DomainContracts,
  type Signer,
  type Verdict,
} from "#protocol";
import {
  DEAL_SCHEME,
  dealOf,
  decodeHeader,
  encodeHeader,
  parsePayment,
  REQUIRED_HEADER,
  RESPONSE_HEADER,
  SIGNATURE_HEADER,
  specHashOf,
  X402_VERSION,
  type DealPayment,
  type PaymentRequirements,
  type Settlement,
} from "./messages.ts";

/** What the paywall needs of the chain; the provider's own account sends. */
export interface DealRelay {
  /** Opens the deal with both consents and the client's authorization, and waits until it is mined. @throws if refused */
  open(payment: DealPayment, provider: { signer: Hex; signature: Hex }, signal: AbortSignal): Promise<Hex>;
  /** Delivers: the hash of what is answered. */
  submit(deal: Deal, deliverableHash: Hex, signal: AbortSignal): Promise<Hex>;
  /** Block time in seconds (Unix). */
  now(signal: AbortSignal): Promise<number>;
}

export interface PaywallOptions {
  readonly relay: DealRelay;
  readonly contracts: DomainContracts;
  /** LOG signer of the provider's agent. */
  readonly signer: Signer;
  readonly payTo: Address;
  /** What one request costs, and under which terms; `payTo` and the rest of the message are the paywall's. */
  readonly offer: Omit<PaymentRequirements, "scheme" | "network" | "payTo">;
  readonly description: string;
  /** The work. Called once a paid deal. */
  readonly perform: (request: IncomingMessage, deal: Deal, signal: AbortSignal) => Promise<Uint8Array>;
  readonly mimeType: string;
}

/** Seconds that a client's clock, or the block it read, may be apart from ours. */
const CLOCK_TOLERANCE_SECONDS = 60;

/** A request handler that answers 402 with a deal, and the work once the deal is funded (x402 v2). */
export function createPaywall(options: PaywallOptions) {
  const { contracts, offer } = options;
  const network = `eip155:${contracts.chainId}`;
  const requirements: PaymentRequirements = { scheme: DEAL_SCHEME, network, payTo: options.payTo, ...offer };

  function demand(response: ServerResponse, url: string, error: string, settlement?: Settlement): void {
    const resource = { url, description: options.description, mimeType: options.mimeType };
    const required = { x402Version: X402_VERSION, error, resource, accepts: [requirements], extensions: {} };
    response.setHeader(REQUIRED_HEADER, encodeHeader(required));
    if (settlement !== undefined) response.setHeader(RESPONSE_HEADER, encodeHeader(settlement));
    response.writeHead(402, { "content-type": "application/json" }).end("{}");
  }

  return async (request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host ?? "localhost"}`).href;
    const header = request.headers[SIGNATURE_HEADER];
    if (typeof header !== "string") {
      demand(response, url, "PAYMENT-SIGNATURE header is required");
      return;
    }
    const payment = await judge(options, requirements, request.method ?? "GET", url, header, signal);
    if (payment.kind !== "accept") {
      const isMalformed = payment.code.startsWith("X402_MALFORMED") || payment.code === "X402_HEADER_TOO_LONG";
      if (isMalformed) response.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify(payment));
      else demand(response, url, payment.code, { success: false, errorReason: payment.code, transaction: "", network });
      return;
    }
    await settle(payment.value, url, request, response, signal);
  };

  async function settle(
    payment: DealPayment,
    url: string,
    request: IncomingMessage,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const { deal, authorization } = payment;
    const signature = options.signer.sign(dealDigestOf(deal, contracts));
    let transaction: Hex;
    try {
      transaction = await options.relay.open(payment, { signer: options.signer.address, signature }, signal);
    } catch {
      // The escrow refuses what was opened before: one payment is one answer.
      const errorReason = "X402_PAYMENT_REFUSED";
      demand(response, url, errorReason, { success: false, errorReason, transaction: "", network });
      return;
    }
    const work = await options.perform(request, deal, signal);
    await options.relay.submit(deal, keccak256(work), signal);
    const settlement: Settlement = { success: true, transaction, network, payer: authorization.payer };
    response.setHeader(RESPONSE_HEADER, encodeHeader(settlement));
    response.writeHead(200, { "content-type": options.mimeType }).end(work);
  }
}

/** Whether a payment pays for this request: the deal is the offered one but for what is the client's to choose. */
async function judge(
  { relay }: PaywallOptions,
  requirements: PaymentRequirements,
  method: string,
  url: string,
  header: string,
  signal: AbortSignal,
): Promise<Verdict<DealPayment>> {
  const message = decodeHeader(header);
  if (message.kind !== "accept") return message;
  const payment = parsePayment(message.value);
  if (payment.kind !== "accept") return payment;
  const { deal } = payment.value;
  const asked = { clientAgentId: deal.clientAgentId, specHash: specHashOf(method, url), random: deal.salt };
  const nowSeconds = await relay.now(signal);
  const isTimely = Math.abs(deal.submitBy - nowSeconds - requirements.maxTimeoutSeconds) <= CLOCK_TOLERANCE_SECONDS;
  if (!isTimely)
    return reject("X402_STALE", `submitBy ${deal.submitBy} is not now + ${requirements.maxTimeoutSeconds}`);
  const expected = { ...dealOf(requirements, { ...asked, nowSeconds }), submitBy: deal.submitBy };
  if (structHash("Deal", deal) !== structHash("Deal", expected)) {
    return reject("X402_OTHER_TERMS", "the deal is not the offered one for this request");
  }
  return payment;
}
