import { getAddress, isAddress, isHex, size, zeroAddress, zeroHash, type Address, type Hex } from "viem";
import { accept, reject, structTypes, type Deal, type Structs, type Tab, type Verdict, type Voucher } from "#protocol";
import type { PaymentAuthorization } from "../negotiation/port.ts";

/** Version of x402 whose headers and fields these are. */
export const X402_VERSION = 2;
/** The payment is an EIP-3009 authorization into the escrow, and the deal says when it moves on. */
export const DEAL_SCHEME = "surety-deal";
/** The payment is a cumulative voucher on a tab, as in x402's batch-settlement: redeemed later, many at once. */
export const TAB_SCHEME = "surety-tab";
export const REQUIRED_HEADER = "payment-required";
export const SIGNATURE_HEADER = "payment-signature";
export const RESPONSE_HEADER = "payment-response";
/** Characters of one header: a payment has about 4,000, and Node's server takes 16 KiB of headers in all. */
export const MAX_HEADER_LENGTH = 12_000;
/** Ways to pay that are looked at in one answer. */
const MAX_ACCEPTS = 16;
/** Multiaddrs of a provider that are looked at. */
export const MAX_ADDRESSES = 8;

/** One way to pay (x402 v2, 5.1.2). */
export interface PaymentRequirements<Extra = DealTerms | TabTerms> {
  readonly scheme: string;
  /** CAIP-2. */
  readonly network: string;
  /** In the asset's smallest unit. */
  readonly amount: string;
  readonly asset: Address;
  readonly payTo: Address;
  /** For a deal: seconds from the offer to the last second of delivery. */
  readonly maxTimeoutSeconds: number;
  readonly extra: Extra;
}

/** What both schemes add. */
interface CommonTerms {
  /** DealEscrow or TabEscrow. */
  readonly escrow: Address;
  readonly identityRegistry: Address;
  readonly providerAgentId: string;
  readonly topic: string;
  /** The provider's node, for what is beside the request: splits, cancellations, evidence. */
  readonly peer?: { readonly id: string; readonly addresses: readonly string[] };
}

/** What `surety-deal` adds: the deal's fixed terms. */
export interface DealTerms extends CommonTerms {
  /** LOG signer that will sign for the provider. */
  readonly providerSigner: Address;
  readonly reviewPeriod: number;
  /** In the asset's smallest unit. */
  readonly providerBond: string;
  readonly arbiter: Address;
  /** Seconds from submitBy to the arbiter's deadline; 0 without an arbiter. */
  readonly arbiterSeconds: number;
  /** EIP-712 domain of the asset, for the authorization; named as in x402's `exact`. */
  readonly name: string;
  readonly version: string;
}

/** What `surety-tab` adds: the least that a tab has to be. `amount` is the price of each request on it. */
export interface TabTerms extends CommonTerms {
  readonly minLifeSeconds: number;
  readonly minChallengeSeconds: number;
}

export interface Resource {
  readonly url: string;
  readonly description?: string;
  readonly mimeType?: string;
}

export interface PaymentRequired {
  readonly x402Version: number;
  readonly error?: string;
  readonly resource: Resource;
  readonly accepts: readonly PaymentRequirements[];
}

/** The client's consent to the deal and its payment. */
export interface DealPayment {
  readonly scheme: typeof DEAL_SCHEME;
  readonly deal: Deal;
  readonly client: { readonly signer: Address; readonly signature: Hex };
  readonly authorization: PaymentAuthorization;
}

/** A tab's terms, its key, and a voucher for all requests so far and this one. */
export interface VoucherPayment {
  readonly scheme: typeof TAB_SCHEME;
  readonly tab: Tab;
  readonly signer: Address;
  readonly voucher: Voucher;
  readonly signature: Hex;
}

export type Payment = DealPayment | VoucherPayment;

/** x402 v2, 5.3. */
export interface Settlement {
  readonly success: boolean;
  readonly errorReason?: string;
  readonly payer?: Address;
  /** Of the opening; empty if there was none, and for a voucher. */
  readonly transaction: Hex | "";
  readonly network: string;
  readonly extra?: DealReceipt | TabReceipt;
}

export interface DealReceipt {
  readonly dealId: Hex;
  /** The provider's consent to the deal, as the escrow has seen it. */
  readonly provider: { readonly signer: Address; readonly signature: Hex };
}

export interface TabReceipt {
  readonly tabId: Hex;
  readonly seq: string;
  /** By the newest voucher, this request included. */
  readonly paid: string;
}

export const encodeHeader = (value: unknown): string =>
  Buffer.from(JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v))).toString("base64");

type Json = Readonly<Record<string, unknown>>;

export function decodeHeader(header: string | undefined | null): Verdict<Json> {
  if (header === undefined || header === null) return reject("X402_NO_HEADER", "the header is missing");
  if (header.length > MAX_HEADER_LENGTH) return reject("X402_HEADER_TOO_LONG", `${header.length} characters`);
  try {
    const json = JSON.parse(Buffer.from(header, "base64").toString("utf8")) as unknown;
    if (isRecord(json)) return accept(json);
  } catch {
    // Falls through: a stranger's header may hold anything.
  }
  return reject("X402_MALFORMED", "the header is no JSON object in base64");
}

/** The deal that the requirements ask for. @param random 256 bits of the client's @param nowSeconds block time */
export function dealOf(
  { amount, asset, maxTimeoutSeconds, extra }: PaymentRequirements<DealTerms>,
  asked: { clientAgentId: bigint; specHash: Hex; random: bigint; nowSeconds: number },
): Deal {
  const submitBy = asked.nowSeconds + maxTimeoutSeconds;
  const { arbiter, arbiterSeconds, reviewPeriod } = extra;
  return {
    clientAgentId: asked.clientAgentId,
    providerAgentId: BigInt(extra.providerAgentId),
    topic: BigInt(extra.topic),
    ...{ token: asset, price: BigInt(amount), providerBond: BigInt(extra.providerBond), clientBond: 0n },
    ...{ submitBy, reviewPeriod, arbiter, arbiterDeadline: arbiter === zeroAddress ? 0 : submitBy + arbiterSeconds },
    ...{ mechanismHash: zeroHash, certificateHash: zeroHash, specHash: asked.specHash, splitsRoot: zeroHash },
    ...{ epoch: 0, hook: zeroAddress, salt: asked.random },
  };
}

/** The payment in a decoded PAYMENT-SIGNATURE header. */
export function parsePayment(message: Json): Verdict<Payment> {
  if (message["x402Version"] !== X402_VERSION) return reject("X402_MALFORMED_VERSION", `not version ${X402_VERSION}`);
  try {
    const payload = recordOf(message["payload"], "payload");
    const { scheme } = recordOf(message["accepted"], "accepted");
    if (scheme === DEAL_SCHEME) return accept(parseDealPayment(payload));
    if (scheme === TAB_SCHEME) return accept(parseVoucherPayment(payload));
    return reject("X402_SCHEME", `${String(scheme).slice(0, 32)} is not taken here`);
  } catch (error) {
    if (error instanceof RangeError) return reject("X402_MALFORMED_PAYMENT", error.message);
    throw error;
  }
}

function parseDealPayment(payload: Json): DealPayment {
  const client = recordOf(payload["client"], "client");
  const authorization = recordOf(payload["authorization"], "authorization");
  return {
    scheme: DEAL_SCHEME,
    deal: parseStruct("Deal", recordOf(payload["deal"], "deal")),
    client: { signer: addressOf(client["signer"]), signature: hexOf(client["signature"], 65) },
    authorization: {
      payer: addressOf(authorization["payer"]),
      validAfter: uintOf(authorization["validAfter"], 256),
      validBefore: uintOf(authorization["validBefore"], 256),
      signature: hexOf(authorization["signature"]),
    },
  };
}

function parseVoucherPayment(payload: Json): VoucherPayment {
  return {
    scheme: TAB_SCHEME,
    tab: parseStruct("Tab", recordOf(payload["tab"], "tab")),
    signer: addressOf(payload["signer"]),
    voucher: parseStruct("Voucher", recordOf(payload["voucher"], "voucher")),
    signature: hexOf(payload["signature"], 65),
  };
}

function parseStruct<K extends "Deal" | "Tab" | "Voucher">(name: K, json: Json): Structs[K] {
  const fields = structTypes[name].map(({ name: field, type }: { name: string; type: string }) => {
    if (type === "address") return [field, addressOf(json[field])];
    if (type === "bytes32") return [field, hexOf(json[field], 32)];
    const bits = Number(type.slice("uint".length));
    const value = uintOf(json[field], bits);
    return [field, bits <= 48 ? Number(value) : value];
  });
  return Object.fromEntries(fields) as Structs[K];
}

/** The offers in a decoded PAYMENT-REQUIRED header that are of ours; what is not well formed is left out. */
export function parseOffers(message: Json): PaymentRequirements[] {
  const accepts: unknown = message["accepts"];
  if (!Array.isArray(accepts)) return [];
  return accepts.slice(0, MAX_ACCEPTS).flatMap((offer: unknown) => {
    try {
      return [parseOffer(recordOf(offer, "offer"))];
    } catch (error) {
      if (error instanceof RangeError) return [];
      throw error;
    }
  });
}

function parseOffer(json: Json): PaymentRequirements {
  const extra = recordOf(json["extra"], "extra");
  const scheme = textOf(json["scheme"], "scheme");
  const common = {
    escrow: addressOf(extra["escrow"]),
    identityRegistry: addressOf(extra["identityRegistry"]),
    providerAgentId: uintOf(extra["providerAgentId"], 32).toString(),
    topic: uintOf(extra["topic"], 64).toString(),
    ...(extra["peer"] === undefined ? {} : { peer: parsePeer(recordOf(extra["peer"], "peer")) }),
  };
  return {
    ...{ scheme, network: textOf(json["network"], "network") },
    ...{ amount: uintOf(json["amount"], 96).toString(), asset: addressOf(json["asset"]) },
    ...{ payTo: addressOf(json["payTo"]), maxTimeoutSeconds: Number(uintOf(json["maxTimeoutSeconds"], 32)) },
    extra: scheme === TAB_SCHEME ? { ...common, ...parseTabTerms(extra) } : { ...common, ...parseDealTerms(extra) },
  };
}

function parsePeer({ id, addresses }: Json): { id: string; addresses: string[] } {
  const known: readonly unknown[] = Array.isArray(addresses) ? addresses : [];
  return { id: textOf(id, "peer.id"), addresses: known.slice(0, MAX_ADDRESSES).map((each) => textOf(each, "address")) };
}

const parseTabTerms = (extra: Json) => ({
  minLifeSeconds: Number(uintOf(extra["minLifeSeconds"], 32)),
  minChallengeSeconds: Number(uintOf(extra["minChallengeSeconds"], 32)),
});

const parseDealTerms = (extra: Json) => ({
  providerSigner: addressOf(extra["providerSigner"]),
  reviewPeriod: Number(uintOf(extra["reviewPeriod"], 32)),
  providerBond: uintOf(extra["providerBond"], 96).toString(),
  arbiter: addressOf(extra["arbiter"]),
  arbiterSeconds: Number(uintOf(extra["arbiterSeconds"], 32)),
  name: textOf(extra["name"], "name"),
  version: textOf(extra["version"], "version"),
});

/** What a server says of the settlement; undefined fields where it says nothing of use. */
export function parseSettlement(header: string | null): { errorReason?: string; transaction?: Hex; extra: Json } {
  const message = decodeHeader(header);
  if (message.kind !== "accept") return { extra: {} };
  const { errorReason, transaction, extra } = message.value;
  return {
    ...(typeof errorReason === "string" ? { errorReason: errorReason.slice(0, 128) } : {}),
    ...(isHex(transaction, { strict: true }) && size(transaction) === 32 ? { transaction } : {}),
    extra: isRecord(extra) ? extra : {},
  };
}

const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function recordOf(value: unknown, field: string): Json {
  if (isRecord(value)) return value;
  throw new RangeError(`${field} is no object`);
}

function textOf(value: unknown, field: string): string {
  if (typeof value === "string" && value.length > 0 && value.length <= 128) return value;
  throw new RangeError(`${field} is no text of 1 to 128 characters`);
}

/** In its checksummed form: viem encodes no other with capitals in it. */
function addressOf(value: unknown): Address {
  if (typeof value === "string" && isAddress(value, { strict: false })) return getAddress(value);
  throw new RangeError(`${String(value).slice(0, 64)} is no address`);
}

/** Of any length up to a signature of a contract wallet, unless told another. */
function hexOf(value: unknown, bytes?: number): Hex {
  const isSized = (hex: Hex) => (bytes === undefined ? size(hex) <= 1_024 : size(hex) === bytes);
  if (isHex(value, { strict: true }) && value.length % 2 === 0 && isSized(value)) return value;
  throw new RangeError(`${String(value).slice(0, 80)} is no hex${bytes === undefined ? "" : ` of ${bytes} bytes`}`);
}

function uintOf(value: unknown, bits: number): bigint {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text === "string" && /^\d{1,78}$/.test(text) && BigInt(text) < 1n << BigInt(bits)) return BigInt(text);
  throw new RangeError(`${String(value).slice(0, 80)} is no uint${bits}`);
}
