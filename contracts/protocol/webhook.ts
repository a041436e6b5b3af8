import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** As Standard Webhooks asks: 192 bits. */
export const MIN_WEBHOOK_SECRET_BYTES = 24;

/** Signs as Standard Webhooks does: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`. What a receiver computes to compare. */
export function webhookSignature(secret: Uint8Array, id: string, timestamp: string, body: string): string {
  const mac = hmac(sha256, secret, new TextEncoder().encode(`${id}.${timestamp}.${body}`));
  return `v1,${btoa(String.fromCharCode(...mac))}`;
}
