import { arbiterOf, integerOf, invalid, isRecord, listOf, textOf, weiOf, type ArbiterName } from "./config-fields.ts";

/** A server of resources that are paid for by request (x402). */
export interface ShopConfig {
  /** Interface to listen on. */
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  /** Origin under which clients know it, as behind a proxy with TLS; undefined = as each names it. */
  readonly publicOrigin: string | undefined;
  /** Who rules on disputes about what was sold by a deal; undefined = nobody, and a client has its rating alone. */
  readonly arbiter: ArbiterName | undefined;
  /** Seconds from the end of a deal's review until the arbiter's ruling is due; not read without an arbiter. */
  readonly rulingWithinS: number;
  readonly resources: readonly ShopResource[];
}

export interface ShopResource {
  /** Exact path. */
  readonly path: string;
  /** Of the work, by name: where its ratings count. */
  readonly topic: string;
  readonly description: string;
  readonly mimeType: string;
  /** Of one request, in the token's smallest unit. */
  readonly priceWei: bigint;
  /** Ways to pay. */
  readonly by: readonly ("deal" | "tab")[];
  /** Our bond on each deal, in the token's smallest unit; undefined = what the topic's curve asks of one without a score. */
  readonly bondWei: bigint | undefined;
  /** Seconds from payment to the last second of delivery by a deal. */
  readonly deliverWithinS: number;
  /** Seconds that a client has to object to a deal's delivery; silence pays. */
  readonly reviewPeriodS: number;
}

/** All of them are offered in headers and looked through with each request. */
const MAX_RESOURCES = 64;
/** As DealEscrow allows. */
const MAX_REVIEW_S = 30 * 86_400;
/** The escrow allows 180 days from the delivery's end, the review included. */
const MAX_RULING_S = 150 * 86_400;
/** Long enough for a jury's first round and one appeal on the networks that we know. */
export const DEFAULT_RULING_S = 7 * 86_400;
/** @throws SuretyError USAGE_CONFIG */
export function parseShop(json: unknown, name: string, path: string): ShopConfig {
  if (!isRecord(json)) throw invalid(path, `the shop of ${name} is not an object`);
  const { resources, publicUrl } = json;
  if (!Array.isArray(resources) || resources.length === 0 || resources.length > MAX_RESOURCES) {
    throw invalid(path, `the resources of ${name}'s shop are not a list of 1 to ${MAX_RESOURCES}`);
  }
  const isOrigin = typeof publicUrl === "string" && /^https?:$/.test(URL.parse(publicUrl)?.protocol ?? "");
  if (publicUrl !== undefined && !isOrigin)
    throw invalid(path, `the publicUrl of ${name}'s shop is no http or https URL`);
  const parsed = resources.map((resource: unknown) => parseResource(resource, name, path));
  const paths = parsed.map((resource) => resource.path);
  const twice = paths.find((each, k) => paths.indexOf(each) < k);
  if (twice !== undefined) throw invalid(path, `two resources of ${name}'s shop have the path ${twice}`);
  return {
    host: json["host"] === undefined ? "127.0.0.1" : textOf(json, "host", path),
    port: integerOf(json, "port", [0, 65_535], 0, path),
    publicOrigin: publicUrl === undefined ? undefined : new URL(publicUrl).origin,
    arbiter:
      json["arbiter"] === undefined ? undefined : arbiterOf(json["arbiter"], `the arbiter of ${name}'s shop`, path),
    rulingWithinS: integerOf(json, "rulingWithinS", [60, MAX_RULING_S], DEFAULT_RULING_S, path),
    resources: parsed,
  };
}

function parseResource(json: unknown, name: string, path: string): ShopResource {
  if (!isRecord(json)) throw invalid(path, `a resource of ${name}'s shop is not an object`);
  const at = textOf(json, "path", path);
  if (!/^\/[\w~.%/-]*$/.test(at) || new URL(at, "http://host").pathname !== at) {
    throw invalid(path, `the path ${at} of ${name}'s shop is no absolute path without a query`);
  }
  const by = listOf(json, "by", path) ?? ["deal", "tab"];
  if (by.length === 0 || by.some((way) => way !== "deal" && way !== "tab")) {
    throw invalid(path, `a resource of ${name}'s shop is paid by "deal", "tab" or both`);
  }
  const priceWei = weiOf(json, "priceWei", path);
  if (priceWei === undefined || priceWei === 0n) throw invalid(path, `${at} of ${name}'s shop has no priceWei`);
  return {
    ...{ path: at, topic: textOf(json, "topic", path), priceWei, by: by as ShopResource["by"] },
    description: json["description"] === undefined ? "" : textOf(json, "description", path),
    mimeType: json["mimeType"] === undefined ? "application/json" : textOf(json, "mimeType", path),
    bondWei: weiOf(json, "bondWei", path),
    deliverWithinS: integerOf(json, "deliverWithinS", [10, 86_400], 300, path),
    reviewPeriodS: integerOf(json, "reviewPeriodS", [0, MAX_REVIEW_S], 3_600, path),
  };
}
