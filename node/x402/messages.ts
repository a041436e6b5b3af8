import { isHex, size, zeroAddress, zeroHash, keccak256, toHex, type Address, type Hex } from "viem";
import { accept, reject, structTypes, type Deal, type Verdict } from "#protocol";

/** Version of x402 whose headers and fields these are. */
export const X402_VERSION = 2;
/** Our payment scheme: the payment is an EIP-3009 authorization into the escrow, and the deal says when it moves on. */
export const DEAL_SCHEME = "surety-deal";
export const REQUIRED_HEADER = "payment-required";
export const SIGNATURE_HEADER = "payment-signature";
export const RESPONSE_HEADER = "payment-response";
/** Characters of one header: a payment has about 4,000, and Node's server takes 16 KiB of headers in all. */
const MAX_HEADER_LENGTH = 12_000;

/** One way to pay (x402 v2, 5.1.2). */
export interface PaymentRequirements {
  readonly scheme: string;
  /** CAIP-2. */
  readonly network: string;
  /** In the asset's smallest unit. */
  readonly amount: string;
  readonly asset: Address;
  readonly payTo: Address;
  /** For a deal: seconds from the offer to the last second of delivery. */
  readonly maxTimeoutSeconds: number;
  readonly extra: DealTerms;
}

/** What the scheme adds: the deal's fixed terms. */
export interface DealTerms {
  readonly escrow: Address;
  readonly identityRegistry: Address;
  readonly providerAgentId: string;
  readonly topic: string;
  readonly reviewPeriod: number;
  /** EIP-712 domain of the asset, for the authorization. */
  readonly assetName: string;
  readonly assetVersion: string;
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
  readonly deal: Deal;
  readonly client: { readonly signer: Hex; readonly signature: Hex };
  readonly authorization: {
    readonly payer: Address;
    readonly validAfter: bigint;
    readonly validBefore: bigint;
    readonly signature: Hex;
  };
}

export interface Settlement {
  readonly success: boolean;
  readonly errorReason?: string;
  readonly payer?: Address;
  /** Of the opening; empty if there was none. */
  readonly transaction: Hex | "";
  readonly network: string;
}

export const encodeHeader = (value: unknown): string =>
  Buffer.from(JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v))).toString("base64");

export function decodeHeader(header: string | undefined | null): Verdict<Readonly<Record<string, unknown>>> {
  if (header === undefined || header === null) return reject("X402_NO_HEADER", "the header is missing");
  if (header.length > MAX_HEADER_LENGTH) return reject("X402_HEADER_TOO_LONG", `${header.length} characters`);
  try {
    const json = JSON.parse(Buffer.from(header, "base64").toString("utf8")) as unknown;
    if (typeof json === "object" && json !== null) return accept(json as Readonly<Record<string, unknown>>);
  } catch {
    // Falls through: a stranger's header may hold anything.
  }
  return reject("X402_MALFORMED", "the header is no JSON object in base64");
}

/** What is asked for, by hash: the deal binds it, so that no payment buys another resource. */
export function specHashOf(method: string, url: string): Hex {
  return keccak256(toHex(`x402 ${method.toUpperCase()} ${url}`));
}

/** The deal that the requirements ask for. @param random 256 bits of the client's @param nowSeconds block time */
export function dealOf(
  requirements: PaymentRequirements,
  asked: { clientAgentId: bigint; specHash: Hex; random: bigint; nowSeconds: number },
): Deal {
  const { amount, asset, maxTimeoutSeconds, extra } = requirements;
  return {
    ...{
      clientAgentId: asked.clientAgentId,
      providerAgentId: BigInt(extra.providerAgentId),
      topic: BigInt(extra.topic),
    },
    ...{ token: asset, price: BigInt(amount), providerBond: 0n, clientBond: 0n },
    ...{ submitBy: asked.nowSeconds + maxTimeoutSeconds, reviewPeriod: extra.reviewPeriod },
    ...{ arbiter: zeroAddress, arbiterDeadline: 0, mechanismHash: zeroHash, certificateHash: zeroHash },
    ...{ specHash: asked.specHash, splitsRoot: zeroHash, epoch: 0, hook: zeroAddress, salt: asked.random },
  };
}

/** The payment in a decoded PAYMENT-SIGNATURE header. */
export function parsePayment(message: Readonly<Record<string, unknown>>): Verdict<DealPayment> {
  const payload = message["payload"] as Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
  try {
    const { deal, client, authorization } = payload ?? {};
    if (deal === undefined || client === undefined || authorization === undefined) throw new RangeError("payload");
    return accept({
      deal: parseDeal(deal),
      client: { signer: hexOf(client["signer"]), signature: hexOf(client["signature"]) },
      authorization: {
        payer: hexOf(authorization["payer"], 20),
        validAfter: uintOf(authorization["validAfter"], 256),
        validBefore: uintOf(authorization["validBefore"], 256),
        signature: hexOf(authorization["signature"]),
      },
    });
  } catch (error) {
    return reject("X402_MALFORMED_PAYMENT", error instanceof RangeError ? error.message : "no payment");
  }
}

function parseDeal(json: Readonly<Record<string, unknown>>): Deal {
  const fields = structTypes.Deal.map(({ name, type }) => {
    if (type === "address") return [name, hexOf(json[name], 20)];
    if (type === "bytes32") return [name, hexOf(json[name], 32)];
    const bits = Number(type.slice("uint".length));
    const value = uintOf(json[name], bits);
    return [name, bits <= 48 ? Number(value) : value];
  });
  return Object.fromEntries(fields) as Deal;
}

function hexOf(value: unknown, bytes?: number): Hex {
  if (isHex(value, { strict: true }) && (bytes === undefined || size(value) === bytes)) return value;
  throw new RangeError(`${String(value)} is no hex${bytes === undefined ? "" : ` of ${bytes} bytes`}`);
}

function uintOf(value: unknown, bits: number): bigint {
  const text = typeof value === "number" ? String(value) : value;
  if (typeof text === "string" && /^\d{1,78}$/.test(text) && BigInt(text) < 1n << BigInt(bits)) return BigInt(text);
  throw new RangeError(`${String(value)} is no uint${bits}`);
}
