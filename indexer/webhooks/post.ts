import { lookup, type LookupAddress } from "node:dns";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { webhookSignature } from "#protocol";

/** A receiver that takes longer is asked again later. */
const TIMEOUT_MS = 10_000;

/** Where a receiver may be: on the internet (default), in the operator's own network, or on this machine. */
export const webhookNetworks = ["public", "private", "loopback"] as const;
export type WebhookNetwork = (typeof webhookNetworks)[number];

export interface Receiver {
  readonly url: string;
  readonly secret: Uint8Array;
  readonly network: WebhookNetwork;
}

export interface WebhookMessage {
  /** The same for every attempt: receivers drop what they know. */
  readonly id: string;
  readonly body: string;
}

/** @returns undefined = taken (2xx), else why not, in words that may be shown to anyone */
export type PostWebhook = (
  receiver: Receiver,
  message: WebhookMessage,
  nowMs: number,
  signal: AbortSignal,
) => Promise<string | undefined>;

const loopback = ["127.0.0.0/8", "::1/128"];
const privateUse = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];
const allowed: Readonly<Record<WebhookNetwork, BlockList>> = {
  ...{ loopback: listOf(loopback), private: listOf(privateUse) },
  // Of IPv6 what is handed out as global unicast; an IPv4 address mapped into IPv6 counts as itself.
  public: listOf(["0.0.0.0/0", "2000::/3"]),
};
/** What is no one host of the internet: unspecified, link-local (cloud metadata), documentation, benchmarks, multicast, reserved, tunnels. */
const neverPublic = listOf([
  ...loopback,
  ...privateUse,
  ...["0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15"],
  ...["198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"],
]);

function listOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [address = "", bits] = subnet.split("/");
    list.addSubnet(address, Number(bits), address.includes(":") ? "ipv6" : "ipv4");
  }
  return list;
}

/** Whether a receiver of that network may have this address. */
export function isAllowedAddress(address: string, network: WebhookNetwork): boolean {
  const version = isIP(address);
  const isIn = (list: BlockList) => version !== 0 && list.check(address, version === 6 ? "ipv6" : "ipv4");
  return isIn(allowed[network]) && !(network === "public" && isIn(neverPublic));
}

/** The host of a URL as `net` knows it: an IPv6 address without its brackets. */
export const hostOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, "");

/**
 * Posts one message as Standard Webhooks has it. The address is checked as it is connected to, after the name was looked up, so
 * that a name which comes to point inside is refused; no redirect is followed, and no answer is read.
 */
export const postWebhook: PostWebhook = ({ url, secret, network }, { id, body }, nowMs, signal) => {
  const target = new URL(url);
  const host = hostOf(target);
  // A literal address is not looked up.
  if (isIP(host) !== 0 && !isAllowedAddress(host, network)) return Promise.resolve(refusalOf(network));
  const timestamp = String(Math.floor(nowMs / 1_000));
  const headers = {
    ...{ "content-type": "application/json", "content-length": Buffer.byteLength(body), "webhook-id": id },
    ...{ "webhook-timestamp": timestamp, "webhook-signature": webhookSignature(secret, id, timestamp, body) },
  };
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const limit = AbortSignal.any([signal, timeout]);
  const send = target.protocol === "https:" ? requestHttps : requestHttp;
  return new Promise((resolve) => {
    const options = { method: "POST", headers, signal: limit, agent: false, lookup: lookupIn(network) } as const;
    const sent = send(target, options, ({ statusCode = 0 }) => {
      resolve(statusCode >= 200 && statusCode < 300 ? undefined : `status ${statusCode}`);
      sent.destroy();
    });
    sent.on("error", (error: NodeJS.ErrnoException) =>
      resolve(timeout.aborted ? `no answer within ${TIMEOUT_MS / 1_000} s` : (error.code ?? error.name)),
    );
    sent.end(body);
  });
};

const refusalOf = (network: WebhookNetwork): string => `WEBHOOK_ADDRESS: the host has no ${network} address`;

function lookupIn(network: WebhookNetwork): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error !== null) return callback(error, "");
      const [first, ...others] = found.filter(({ address }) => isAllowedAddress(address, network));
      if (first === undefined) return callback(Object.assign(new Error(), { code: refusalOf(network) }), "");
      if (options.all === true) callback(null, [first, ...others]);
      else callback(null, first.address, first.family);
    });
  };
}
