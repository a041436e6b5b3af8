import {
  accept,
  checkKeys,
  contentHashOf,
  decodeStrictCborMap,
  encodeStrictCbor,
  MAX_SPEC_BYTES,
  reject,
  type Verdict,
} from "#protocol";
import type { Hex } from "viem";

/** A request as it is paid for: method, whole URL and body, so that no payment buys another resource. */
export interface PaidRequest {
  readonly method: string;
  /** Absolute. */
  readonly url: string;
  readonly body: Uint8Array;
}

/** Characters of a URL: what common servers and proxies take. */
export const MAX_URL_LENGTH = 4_096;
/** Bytes of a request's body; with the URL and framing it is the specification of a deal. */
export const MAX_REQUEST_BODY_BYTES = MAX_SPEC_BYTES - MAX_URL_LENGTH - 256;
const METHODS: readonly string[] = ["GET", "POST"];
const KEYS = ["type", "method", "url", "body"];

/** The request as the specification of a deal or of a task on a tab: canonical dag-cbor. */
export function encodePaidRequest({ method, url, body }: PaidRequest): Uint8Array {
  return encodeStrictCbor({ type: "x402-request", method, url, body });
}

export const specHashOf = (request: PaidRequest): Hex => contentHashOf(encodePaidRequest(request));

/** Whether a specification is a request that was paid for, and which. */
export function decodePaidRequest(spec: Uint8Array): Verdict<PaidRequest> {
  const map = decodeStrictCborMap(spec, MAX_SPEC_BYTES);
  if (map.kind !== "accept") return map;
  const fault = checkKeys(map.value, KEYS);
  if (fault !== undefined) return fault;
  const { type, method, url, body } = map.value;
  if (type !== "x402-request") return reject("X402_REQUEST_TYPE", String(type).slice(0, 32));
  if (typeof method !== "string" || typeof url !== "string" || !(body instanceof Uint8Array)) {
    return reject("X402_REQUEST_FIELD", "method, url or body");
  }
  return checkPaidRequest({ method, url, body });
}

/** What may be asked for at all. */
export function checkPaidRequest(request: PaidRequest): Verdict<PaidRequest> {
  const { method, url, body } = request;
  if (!METHODS.includes(method)) return reject("X402_METHOD", `${method.slice(0, 16)} is not ${METHODS.join(" or ")}`);
  if (url.length > MAX_URL_LENGTH || !URL.canParse(url)) return reject("X402_URL", "too long, or no absolute URL");
  const { protocol, username, href } = new URL(url);
  if (!["http:", "https:"].includes(protocol) || username !== "" || href !== url) {
    return reject("X402_URL", "not http or https in its normal form, or with a user");
  }
  return body.length > MAX_REQUEST_BODY_BYTES
    ? reject("X402_BODY_TOO_LONG", `${body.length} bytes, at most ${MAX_REQUEST_BODY_BYTES}`)
    : accept(request);
}
