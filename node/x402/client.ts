import { zeroAddress, type Address, type Hex } from "viem";
import {
  accept,
  addressOfPeerId,
  contentHashOf,
  dealDigestOf,
  dealIdOf,
  dealPaymentDigestOf,
  ignore,
  recoverSigner,
  reject,
  SuretyError,
  type Deal,
  type DomainContracts,
  type Signer,
  type Verdict,
} from "#protocol";
import type { Agreement, Consent, Purchase } from "../negotiation/port.ts";
import type { Settlement } from "../settlement/driver.ts";
import { MAX_DELIVERABLE_BYTES } from "../settlement/deliverables.ts";
import type { SignedVoucher } from "../settlement/tabs/tab-machine.ts";
import type { Tabs, TabSummary } from "../settlement/tabs/tabs.ts";
import type { Transport } from "../transport/port.ts";
import {
  DEAL_SCHEME,
  dealOf,
  decodeHeader,
  encodeHeader,
  parseOffers,
  parseSettlement,
  REQUIRED_HEADER,
  RESPONSE_HEADER,
  SIGNATURE_HEADER,
  TAB_SCHEME,
  X402_VERSION,
  type DealTerms,
  type PaymentRequirements,
  type TabTerms,
} from "./messages.ts";
import { checkPaidRequest, encodePaidRequest, specHashOf, type PaidRequest } from "./request.ts";

export interface BuyerOptions {
  /** LOG signer of the client's agent, and the account that pays. */
  readonly signer: Signer;
  readonly agentId: bigint;
  readonly contracts: DomainContracts;
  /** The only asset that is paid with: a budget is in its unit. */
  readonly token: Address;
  /** Arbiters that a server may name; without an arbiter is always taken. */
  readonly arbiters: readonly Address[];
  readonly settlement: Pick<Settlement, "adopt" | "keepAnswer">;
  readonly tabs: Pick<Tabs, "open" | "tabs" | "askPrepaid">;
  readonly transport: Pick<Transport, "learnAddresses">;
  /** 256 random bits. */
  readonly random: () => bigint;
  /** Unix seconds of the chain. */
  readonly chainTime: () => number;
  readonly nowMs: () => number;
}

/** What a person wants to buy. */
export interface PurchaseRequest {
  readonly request: PaidRequest;
  /** The most that this request may cost, in the token's smallest unit. */
  readonly maxWei: bigint;
  /** How to pay; undefined = on a tab that is open for it, else by a deal, else on a new tab if a deposit is given. */
  readonly by?: "deal" | "tab";
  /** Deposit of a tab, should one be opened. */
  readonly depositWei?: bigint;
  /** Rates a deal's answer as soon as its hash is on chain; undefined leaves it to a person, and to silence. */
  readonly rating?: number;
}

/** An answer, and what was paid for it. */
export interface PaidAnswer {
  readonly body: Uint8Array;
  readonly mimeType: string;
  /** sha2-256, as the provider submits it. */
  readonly contentHash: Hex;
  /** Undefined = the server asked for no payment. */
  readonly paid?:
    | { readonly by: "deal"; readonly amountWei: bigint; readonly dealId: Hex; readonly transaction: Hex | undefined }
    | { readonly by: "tab"; readonly amountWei: bigint; readonly tabId: Hex; readonly seq: bigint };
}

export interface Buyer {
  /**
   * Asks for a resource, and pays for it where the server answers 402 (x402 v2). What is owed to us if the answer does not
   * come, the node's settlement brings back.
   * @throws SuretyError X402_REQUEST_INVALID, X402_UNREACHABLE (retryable), X402_UNPAYABLE (no offer of ours, or too dear),
   * X402_REFUSED (not served for the payment), and as Tabs does
   */
  buy(wanted: PurchaseRequest, signal: AbortSignal): Promise<PaidAnswer>;
}

/** Seconds that a tab lives, unless the server asks for more. */
const TAB_LIFE_SECONDS = 86_400;
/** A tab that ends so soon is not begun a request on. */
const TAB_MARGIN_SECONDS = 600;
/** The longest that we wait for a delivery, and the least and the most of a review. */
const MAX_DELIVERY_SECONDS = 86_400;
/** Beside the time that a deal gives: for the chain to take the opening. */
const ANSWER_MARGIN_MS = 60_000;
/** Before anything is paid, and for the answer on a tab. */
const ANSWER_TIMEOUT_MS = 60_000;

export function createBuyer(options: BuyerOptions): Buyer {
  return {
    async buy(wanted, signal) {
      const checked = checkPaidRequest(wanted.request);
      if (checked.kind !== "accept") throw requestInvalid(`${checked.code}: ${checked.detail}`);
      const { request } = wanted;
      const first = await ask(request, undefined, ANSWER_TIMEOUT_MS, signal);
      if (first.status !== 402) return await readAnswer(first, request.url);
      await first.body?.cancel();
      const message = decodeHeader(first.headers.get(REQUIRED_HEADER));
      const offers = message.kind === "accept" ? parseOffers(message.value) : [];
      return await payOne(options, wanted, offers, signal);
    },
  };
}

async function payOne(
  options: BuyerOptions,
  wanted: PurchaseRequest,
  offers: readonly PaymentRequirements[],
  signal: AbortSignal,
): Promise<PaidAnswer> {
  const payable = offers.filter((offer) => isPayable(options, wanted, offer));
  const deal = payable.find(({ scheme }) => scheme === DEAL_SCHEME) as PaymentRequirements<DealTerms> | undefined;
  const onTab = payable.find(({ scheme }) => scheme === TAB_SCHEME) as PaymentRequirements<TabTerms> | undefined;
  const { by, depositWei } = wanted;
  const open = onTab && by !== "deal" ? openTabFor(options, onTab, wanted.request) : undefined;
  if (onTab !== undefined && open !== undefined) return await payOnTab(options, onTab, open, wanted, signal);
  if (deal !== undefined && by !== "tab") return await payByDeal(options, deal, wanted, signal);
  if (onTab !== undefined && by !== "deal" && depositWei !== undefined) {
    const opened = await openTab(options, onTab, wanted.request, depositWei, signal);
    return await payOnTab(options, onTab, opened, wanted, signal);
  }
  throw unpayable(wanted, offers, onTab !== undefined && by !== "deal");
}

/** Ours to pay: this chain, contracts that we know, the budget's token, a price within it, terms that bind us to nobody. */
function isPayable(
  { contracts, token, arbiters }: BuyerOptions,
  { maxWei }: PurchaseRequest,
  offer: PaymentRequirements,
) {
  const { scheme, network, amount, asset, maxTimeoutSeconds, extra } = offer;
  // An escrow that the server names is the server's: only one that the payer knows gets its money.
  const escrow =
    scheme === DEAL_SCHEME ? contracts.dealEscrow : scheme === TAB_SCHEME ? contracts.tabEscrow : undefined;
  const isHere =
    network === `eip155:${contracts.chainId}` &&
    isSame(extra.escrow, escrow) &&
    isSame(extra.identityRegistry, contracts.identityRegistry) &&
    isSame(asset, token);
  const price = BigInt(amount);
  if (!isHere || price === 0n || price > maxWei || maxTimeoutSeconds > MAX_DELIVERY_SECONDS) return false;
  if (scheme === TAB_SCHEME) return true;
  const { arbiter } = extra as DealTerms;
  return arbiter === zeroAddress || arbiters.some((known) => isSame(known, arbiter));
}

const isSame = (a: string, b: string | undefined): boolean => a.toLowerCase() === b?.toLowerCase();

// ---------------------------------------------------------------- by a deal

async function payByDeal(
  options: BuyerOptions,
  offer: PaymentRequirements<DealTerms>,
  wanted: PurchaseRequest,
  signal: AbortSignal,
): Promise<PaidAnswer> {
  const { agentId, random, chainTime, settlement, signer, contracts } = options;
  const { request } = wanted;
  const asked = { clientAgentId: agentId, specHash: specHashOf(request), random: random(), nowSeconds: chainTime() };
  const deal = dealOf(offer, asked);
  const dealId = dealIdOf(deal);
  const authorization = authorize(deal, offer, options);
  const client = { signer: signer.address, signature: signer.sign(dealDigestOf(deal, contracts)) };
  const payment = headerOf(offer, request, { deal, client, authorization });
  const purchase: Purchase = {
    ...{ authorization, request: { ...request, payment } },
    ...(wanted.rating === undefined ? {} : { rating: wanted.rating }),
  };
  await learnPeer(options, offer);
  // On disk before it is sent: should nothing come back, the money does.
  settlement.adopt(agreementOf(options, offer, { deal, dealId, client, purchase }, request));
  const response = await ask(request, payment, offer.maxTimeoutSeconds * 1000 + ANSWER_MARGIN_MS, signal);
  const answer = await readAnswer(response, request.url, dealId);
  const { transaction, extra } = parseSettlement(response.headers.get(RESPONSE_HEADER));
  settlement.keepAnswer(dealId, answer.body, consentOf(extra, deal, offer, contracts));
  return { ...answer, paid: { by: "deal", amountWei: deal.price, dealId, transaction } };
}

function authorize(deal: Deal, { extra }: PaymentRequirements<DealTerms>, { signer, contracts }: BuyerOptions) {
  const { name, version } = extra;
  // Both bounds are exclusive; after submitBy the escrow would not open the deal anyway.
  const window = { payer: signer.address, validAfter: 0n, validBefore: BigInt(deal.submitBy) + 1n };
  const domain = { name, version, chainId: contracts.chainId, verifyingContract: deal.token };
  return { ...window, signature: signer.sign(dealPaymentDigestOf(deal, contracts.dealEscrow, window, domain)) };
}

function agreementOf(
  { nowMs }: BuyerOptions,
  { extra }: PaymentRequirements<DealTerms>,
  signed: { deal: Deal; dealId: Hex; client: Consent; purchase: Purchase },
  request: PaidRequest,
): Agreement {
  return {
    ...{ role: "client", callId: signed.dealId, ...signed, spec: encodePaidRequest(request), agreedAtMs: nowMs() },
    // Its signature comes with the answer; until then nothing here needs it.
    ...{ provider: { signer: extra.providerSigner, signature: "0x" }, peer: extra.peer?.id ?? "" },
  };
}

/** Where the provider's node is, if it is the one whose key will sign. */
async function learnPeer({ transport }: BuyerOptions, { extra }: PaymentRequirements<DealTerms>): Promise<void> {
  const { peer, providerSigner } = extra;
  if (peer === undefined) return;
  const address = addressOfPeerId(peer.id);
  if (address.kind === "accept" && isSame(address.value, providerSigner)) {
    await transport.learnAddresses(peer.id, peer.addresses).catch(() => undefined);
  }
}

/** The provider's consent that came with the answer, if it is one. */
function consentOf(
  extra: Readonly<Record<string, unknown>>,
  deal: Deal,
  { extra: { providerSigner: signer } }: PaymentRequirements<DealTerms>,
  contracts: DomainContracts,
): Consent | undefined {
  const { signature } = (extra["provider"] ?? {}) as { signature?: unknown };
  if (typeof signature !== "string" || !/^0x[0-9a-f]{130}$/i.test(signature)) return undefined;
  const recovered = recoverSigner(dealDigestOf(deal, contracts), signature as Hex);
  return recovered.kind === "accept" && isSame(recovered.value, signer)
    ? { signer, signature: signature as Hex }
    : undefined;
}

// ---------------------------------------------------------------- on a tab

/** A tab of ours for this server and price that covers another request and does not end soon. */
function openTabFor(
  { tabs, chainTime }: BuyerOptions,
  { amount, extra }: PaymentRequirements<TabTerms>,
  { url }: PaidRequest,
): TabSummary | undefined {
  const price = BigInt(amount);
  return tabs
    .tabs()
    .find(
      ({ role, origin, tab, priceWei, spentWei, depositWei, isClosing, isEnded }) =>
        role === "client" &&
        origin === new URL(url).origin &&
        tab.providerAgentId === BigInt(extra.providerAgentId) &&
        tab.topic === BigInt(extra.topic) &&
        tab.expiry > chainTime() + TAB_MARGIN_SECONDS &&
        priceWei === price &&
        spentWei + price <= depositWei &&
        !isClosing &&
        !isEnded,
    );
}

async function openTab(
  { tabs }: BuyerOptions,
  { amount, asset, extra }: PaymentRequirements<TabTerms>,
  { url }: PaidRequest,
  depositWei: bigint,
  signal: AbortSignal,
): Promise<TabSummary> {
  const lifeSeconds = Math.max(TAB_LIFE_SECONDS, extra.minLifeSeconds + TAB_MARGIN_SECONDS);
  return await tabs.open(
    {
      ...{ providerAgentId: BigInt(extra.providerAgentId), peer: "", origin: new URL(url).origin },
      ...{ topic: BigInt(extra.topic), token: asset, priceWei: BigInt(amount), depositWei },
      ...{ lifeSeconds, challengeSeconds: extra.minChallengeSeconds },
    },
    signal,
  );
}

async function payOnTab(
  { tabs, signer }: BuyerOptions,
  offer: PaymentRequirements<TabTerms>,
  { tabId, tab, priceWei }: TabSummary,
  { request }: PurchaseRequest,
  signal: AbortSignal,
): Promise<PaidAnswer> {
  let mimeType = "";
  const deliver = async ({ voucher, signature }: SignedVoucher): Promise<Verdict<Uint8Array>> => {
    const payment = headerOf(offer, request, { tab, signer: signer.address, voucher, signature });
    const answer = await readAnswer(await ask(request, payment, ANSWER_TIMEOUT_MS, signal), request.url);
    mimeType = answer.mimeType;
    return accept(answer.body);
  };
  const { answer, paid } = await tabs.askPrepaid(tabId, encodePaidRequest(request), deliver, signal);
  const { seq } = paid.voucher;
  return {
    body: answer,
    mimeType,
    contentHash: contentHashOf(answer),
    paid: { by: "tab", amountWei: priceWei, tabId, seq },
  };
}

// ---------------------------------------------------------------- HTTP

/** Fetches the answer of a deal again. What comes back has the submitted hash, or is a verdict. */
export async function fetchPurchase(
  { request }: Purchase,
  deliverableHash: Hex,
  signal: AbortSignal,
): Promise<Verdict<Uint8Array>> {
  if (request === undefined) return reject("X402_NO_REQUEST", "the purchase names no request");
  try {
    const { body } = await readAnswer(await ask(request, request.payment, ANSWER_TIMEOUT_MS, signal), request.url);
    const given = contentHashOf(body);
    if (given !== deliverableHash) return reject("DELIVERABLE_HASH", `it has ${given}, not ${deliverableHash}`);
    return accept(body);
  } catch (fault) {
    signal.throwIfAborted();
    return ignore("X402_NOT_SERVED", fault instanceof Error ? fault.message : String(fault));
  }
}

const headerOf = (accepted: PaymentRequirements, { url }: PaidRequest, payload: object): string =>
  encodeHeader({ x402Version: X402_VERSION, resource: { url }, accepted, payload, extensions: {} });

async function ask(
  { url, method, body }: PaidRequest,
  payment: string | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Response> {
  const init: RequestInit = {
    ...{ method, redirect: "manual", signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) },
    ...(payment === undefined ? {} : { headers: { [SIGNATURE_HEADER]: payment } }),
    ...(method === "GET" ? {} : { body: new Uint8Array(body) }),
  };
  try {
    return await fetch(url, init);
  } catch (cause) {
    signal.throwIfAborted();
    throw new SuretyError("X402_UNREACHABLE", `${url} gave no answer.`, {
      values: { url },
      next: "Check the address, and try again. What was paid for and not delivered comes back after its deadline.",
      cause,
      isRetryable: true,
    });
  }
}

async function readAnswer(response: Response, url: string, dealId?: Hex): Promise<Omit<PaidAnswer, "paid">> {
  if (!response.ok) throw await refused(response, url, dealId);
  const body = await readBounded(response, url);
  const mimeType = (response.headers.get("content-type") ?? "application/octet-stream").slice(0, 128);
  return { body, mimeType, contentHash: contentHashOf(body) };
}

async function readBounded(response: Response, url: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_DELIVERABLE_BYTES) {
      throw new SuretyError("X402_ANSWER_TOO_LONG", `${url} answers more than ${MAX_DELIVERABLE_BYTES} bytes.`, {
        values: { url },
        next: "Object to the delivery with `surety deal dispute`, or close the tab.",
      });
    }
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function requestInvalid(detail: string): SuretyError {
  return new SuretyError("X402_REQUEST_INVALID", `This cannot be asked for: ${detail}.`, {
    values: { detail },
    next: "Give an http or https URL, the method GET or POST, and a body of at most 28 KB.",
  });
}

function unpayable({ request, maxWei }: PurchaseRequest, offers: readonly PaymentRequirements[], needsTab: boolean) {
  const asked = offers.map(({ scheme, amount, network }) => `${scheme} ${amount} on ${network}`).join(", ");
  return new SuretyError(
    "X402_UNPAYABLE",
    `${request.url} asks for no payment that may be made: ${asked || "none is known"}.`,
    {
      values: { url: request.url, maxWei, offers: asked },
      next: needsTab
        ? "Open a tab for it with --deposit."
        : "Raise --max if it is too dear; a token, escrow or scheme that this node does not know it cannot pay.",
    },
  );
}

async function refused(response: Response, url: string, dealId: Hex | undefined): Promise<SuretyError> {
  await response.body?.cancel();
  const { errorReason } = parseSettlement(response.headers.get(RESPONSE_HEADER));
  const reason = errorReason === undefined ? "" : `, ${errorReason}`;
  return new SuretyError("X402_REFUSED", `${url} answered ${response.status}${reason}.`, {
    values: { url, status: response.status, reason: errorReason, ...(dealId === undefined ? {} : { dealId }) },
    next:
      dealId === undefined
        ? "Nothing was paid. Ask the server's owner, or try again."
        : "Nothing is lost: a deal that the server did not open takes no money, and one that it does not deliver is refunded.",
  });
}
