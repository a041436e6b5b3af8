import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Hex } from "viem";
import { reject, structHash, SuretyError, type Verdict } from "#protocol";
import {
  DEAL_SCHEME,
  dealOf,
  decodeHeader,
  encodeHeader,
  parsePayment,
  REQUIRED_HEADER,
  RESPONSE_HEADER,
  SIGNATURE_HEADER,
  X402_VERSION,
  type DealPayment,
  type DealReceipt,
  type DealTerms,
  type Payment,
  type PaymentRequirements,
  type Settlement,
  type TabReceipt,
  type VoucherPayment,
} from "./messages.ts";
import { checkPaidRequest, MAX_REQUEST_BODY_BYTES, specHashOf, type PaidRequest } from "./request.ts";

/** What a payment bought. */
export interface Sold {
  readonly body: Uint8Array;
  /** Of the opening; empty for a voucher. */
  readonly transaction: Hex | "";
  readonly receipt: DealReceipt | TabReceipt;
}

/**
 * Takes payments and does the work. A stranger's fault is a verdict; a SuretyError is ours, or the work's.
 * One payment is one answer: the same payment again gets the same answer, and nothing is done anew.
 */
export interface Till {
  /** @param maxTimeoutSeconds as offered: what is left of it when the deal comes */
  sellDeal(
    payment: DealPayment,
    maxTimeoutSeconds: number,
    request: PaidRequest,
    signal: AbortSignal,
  ): Promise<Verdict<Sold>>;
  sellOnTab(
    payment: VoucherPayment,
    priceWei: bigint,
    request: PaidRequest,
    signal: AbortSignal,
  ): Promise<Verdict<Sold>>;
}

/** Something that is sold over HTTP. */
export interface PaidResource {
  /** Exact path. */
  readonly path: string;
  readonly description: string;
  readonly mimeType: string;
  /** Ways to pay, the preferred one first. */
  readonly accepts: readonly PaymentRequirements[];
}

export interface ShopOptions {
  readonly till: Till;
  readonly resources: readonly PaidResource[];
  /** Origin under which clients know the server; undefined = as each names it in its Host header. */
  readonly publicOrigin: string | undefined;
  readonly onFault: (fault: unknown) => void;
}

export interface ShopServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Payments that are worked on at once: each holds a request, an answer and some calls to the chain. */
const MAX_SALES = 64;
/** Open connections; the rest waits in the system's backlog. */
const MAX_CONNECTIONS = 512;
/** How long a client may take to send a request: the largest has 28 KB. */
const REQUEST_TIMEOUT_MS = 15_000;
/** Seconds after which a client may try again when all places are taken. */
const RETRY_AFTER_SECONDS = "2";

/**
 * Serves resources for payment (x402 v2 over HTTP): 402 with the ways to pay, 200 with the answer once one was taken,
 * 400 for what is no payment, 402 for one that pays for something else, 404, 405, 413, 500 and 503 as everywhere.
 */
export async function startShop(
  options: ShopOptions,
  { port, host }: { readonly port: number; readonly host: string },
): Promise<ShopServer> {
  const stopping = new AbortController();
  const shop = new Shop(options);
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("the client has gone")));
    void shop.respond(request, response, AbortSignal.any([gone.signal, stopping.signal]));
  });
  server.maxConnections = MAX_CONNECTIONS;
  await listen(server, port, host);
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${bound}`,
    async stop() {
      stopping.abort(new Error("the server has stopped"));
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, rejectListen) => {
    server.once("error", (cause) =>
      rejectListen(
        new SuretyError("SHOP_LISTEN_FAILED", `The shop cannot listen on ${host}, port ${port}.`, {
          values: { host, port },
          next: "Let the system choose a free port (0), or stop what holds this one.",
          cause,
        }),
      ),
    );
    server.listen(port, host, resolve);
  });
}

class Shop {
  readonly #options: ShopOptions;
  #sales = 0;

  constructor(options: ShopOptions) {
    this.#options = options;
  }

  async respond(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    try {
      await this.#answer(request, response, signal);
    } catch (fault) {
      if (signal.aborted) return void response.destroy();
      this.#options.onFault(fault);
      const code = fault instanceof SuretyError ? fault.code : "UNEXPECTED";
      if (!response.headersSent) refuse(response, 500, code, "the answer failed on our side");
    }
  }

  async #answer(message: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const origin = this.#options.publicOrigin ?? `http://${message.headers.host ?? "localhost"}`;
    const target = message.url ?? "/";
    const url = URL.canParse(target, origin) ? new URL(target, origin) : undefined;
    const resource = this.#options.resources.find(({ path }) => path === url?.pathname);
    // An absolute target may name another origin than the one that is served.
    if (url === undefined || resource === undefined || url.origin !== new URL(origin).origin) {
      return refuse(response, 404, "X402_RESOURCE_UNKNOWN", "nothing is sold here");
    }
    const body = await readBody(message);
    if (body === undefined) {
      return refuse(response, 413, "X402_BODY_TOO_LONG", `more than ${MAX_REQUEST_BODY_BYTES} bytes`);
    }
    url.hash = "";
    const checked = checkPaidRequest({ method: message.method ?? "GET", url: url.href, body });
    if (checked.kind !== "accept") {
      return refuse(response, checked.code === "X402_METHOD" ? 405 : 400, checked.code, checked.detail);
    }
    await this.#sell(resource, checked.value, message.headers[SIGNATURE_HEADER], response, signal);
  }

  async #sell(
    resource: PaidResource,
    request: PaidRequest,
    header: string | string[] | undefined,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const demand = (error: string, settlement?: Settlement) =>
      demandPayment(response, resource, request.url, error, settlement);
    if (typeof header !== "string") return demand("PAYMENT-SIGNATURE header is required");
    const message = decodeHeader(header);
    const payment = message.kind === "accept" ? parsePayment(message.value) : message;
    if (payment.kind !== "accept") return refuse(response, 400, payment.code, payment.detail);
    if (this.#sales >= MAX_SALES) {
      response.setHeader("retry-after", RETRY_AFTER_SECONDS);
      return refuse(response, 503, "X402_BUSY", `${MAX_SALES} payments are under way`);
    }
    this.#sales++;
    try {
      const network = resource.accepts[0]?.network ?? "";
      const sold = await this.#take(resource, payment.value, request, signal);
      if (sold.kind !== "accept") {
        return demand(sold.detail, { success: false, errorReason: sold.code, transaction: "", network });
      }
      const { body, transaction, receipt } = sold.value;
      const settlement: Settlement = {
        success: true,
        transaction,
        network,
        payer: payerOf(payment.value),
        extra: receipt,
      };
      response.setHeader(RESPONSE_HEADER, encodeHeader(settlement));
      response.writeHead(200, { "content-type": resource.mimeType }).end(body);
    } finally {
      this.#sales--;
    }
  }

  async #take(
    { accepts }: PaidResource,
    payment: Payment,
    request: PaidRequest,
    signal: AbortSignal,
  ): Promise<Verdict<Sold>> {
    const { till } = this.#options;
    const offer = accepts.find(({ scheme }) => scheme === payment.scheme);
    if (offer === undefined) return reject("X402_SCHEME", `${payment.scheme} is not taken for this resource`);
    if (payment.scheme !== DEAL_SCHEME) return await till.sellOnTab(payment, BigInt(offer.amount), request, signal);
    if (!isOffered(payment, offer as PaymentRequirements<DealTerms>, request)) {
      return reject("X402_OTHER_TERMS", "the deal is not the offered one for this request");
    }
    return await till.sellDeal(payment, offer.maxTimeoutSeconds, request, signal);
  }
}

/** Whether a payment pays for this request: the deal is the offered one but for what is the client's to choose. */
function isOffered({ deal }: DealPayment, offer: PaymentRequirements<DealTerms>, request: PaidRequest): boolean {
  const asked = { clientAgentId: deal.clientAgentId, specHash: specHashOf(request), random: deal.salt };
  const expected = dealOf(offer, { ...asked, nowSeconds: deal.submitBy - offer.maxTimeoutSeconds });
  return structHash("Deal", deal) === structHash("Deal", expected);
}

const payerOf = (payment: Payment) => (payment.scheme === DEAL_SCHEME ? payment.authorization.payer : payment.signer);

function demandPayment(
  response: ServerResponse,
  { accepts, description, mimeType }: PaidResource,
  url: string,
  error: string,
  settlement?: Settlement,
): void {
  const required = {
    x402Version: X402_VERSION,
    error,
    resource: { url, description, mimeType },
    accepts,
    extensions: {},
  };
  response.setHeader(REQUIRED_HEADER, encodeHeader(required));
  if (settlement !== undefined) response.setHeader(RESPONSE_HEADER, encodeHeader(settlement));
  response.writeHead(402, { "content-type": "application/json" }).end("{}");
}

function refuse(response: ServerResponse, status: number, code: string, detail: string): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error: { code, detail } }));
}

/** @returns undefined if it is too long */
async function readBody(request: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_REQUEST_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
