import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { dirname, resolve } from "node:path";
import type { Abi } from "viem";
import { MIN_WEBHOOK_SECRET_BYTES, SuretyError } from "#protocol";
import { foldedAbis, type ContractName, type DecodedEvent } from "../handlers/decode.ts";
import { hostOf, isAllowedAddress, webhookNetworks, type Receiver, type WebhookNetwork } from "./post.ts";

/** Each has a query of its own at every new block. */
const MAX_SUBSCRIPTIONS = 16;
/** Each event is compared with every rule. */
const MAX_RULES = 32;

/** What an event has to be; what is absent may be anything. */
export interface EventRule {
  readonly contract?: ContractName | undefined;
  readonly events?: readonly string[] | undefined;
  /** Arguments that have to be equal, as decimal or hex text. */
  readonly args: Readonly<Record<string, string>>;
}

export interface Subscription extends Receiver {
  /** Names its cursor. */
  readonly name: string;
  /** Events that pass one of them are told; none = every event. */
  readonly rules: readonly EventRule[];
  /** unsafe = as soon as it is indexed, with notices of reorganisations; finalized = once the chain calls it final. */
  readonly finality: "unsafe" | "finalized";
  /** The first block that is told of; undefined = what comes after the subscription was first seen. */
  readonly fromBlock?: number | undefined;
}

export function isWanted({ rules }: Pick<Subscription, "rules">, event: DecodedEvent): boolean {
  return rules.length === 0 || rules.some((rule) => passes(rule, event));
}

function passes({ contract, events, args }: EventRule, event: DecodedEvent): boolean {
  if (contract !== undefined && contract !== event.contract) return false;
  if (events !== undefined && !events.includes(event.name)) return false;
  return Object.entries(args).every(([name, text]) => {
    const value = event.args[name] as string | number | bigint | boolean | object | undefined;
    // Lists and structs equal no text.
    return value !== undefined && typeof value !== "object" && String(value).toLowerCase() === text.toLowerCase();
  });
}

/**
 * Reads the operator's file: a list of `{ name, url, secretFile, rules, finality, fromBlock, network }`.
 * @throws SuretyError WEBHOOKS_INVALID, which says what is wrong
 */
export function readSubscriptions(path: string): Subscription[] {
  try {
    const json: unknown = JSON.parse(readFileSync(path, "utf8"));
    const read = listOf(json, MAX_SUBSCRIPTIONS, "the file").map((one) => parseSubscription(one, dirname(path)));
    if (new Set(read.map(({ name }) => name)).size < read.length) throw new Error("two have the same name");
    return read;
  } catch (cause) {
    throw new SuretyError("WEBHOOKS_INVALID", `${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
      values: { path },
      next: "See docs/run-an-indexer.md for the form of the file.",
      cause,
    });
  }
}

const subscriptionKeys = ["name", "url", "secretFile", "rules", "finality", "fromBlock", "network"];

function parseSubscription(json: unknown, folder: string): Subscription {
  const known = recordOf(json, subscriptionKeys, "a subscription");
  const { name, url, secretFile, rules = [], finality = "unsafe", fromBlock, network = "public" } = known;
  if (typeof name !== "string" || !/^[\w-]{1,64}$/.test(name)) throw new Error("a name is of letters, digits, _ and -");
  if (finality !== "unsafe" && finality !== "finalized") throw new Error(`${name}: finality is unsafe or finalized`);
  if (fromBlock !== undefined && !(Number.isSafeInteger(fromBlock) && (fromBlock as number) >= 0))
    throw new Error(`${name}: fromBlock is the number of a block`);
  const where = webhookNetworks.find((one) => one === network);
  if (where === undefined) throw new Error(`${name}: network is ${webhookNetworks.join(", ")}`);
  return {
    ...{ name, finality, fromBlock: fromBlock as number | undefined, network: where },
    url: parseUrl(name, url, where),
    secret: readSecret(name, secretFile, folder),
    rules: listOf(rules, MAX_RULES, `rules of ${name}`).map((rule) => parseRule(name, rule)),
  };
}

function readSecret(name: string, file: unknown, folder: string): Uint8Array {
  if (typeof file !== "string") throw new Error(`${name} has no secretFile`);
  const secret = new TextEncoder().encode(readFileSync(resolve(folder, file), "utf8").trim());
  if (secret.length >= MIN_WEBHOOK_SECRET_BYTES) return secret;
  throw new Error(`the secret of ${name} has ${secret.length} bytes, not ${MIN_WEBHOOK_SECRET_BYTES} or more`);
}

function parseUrl(name: string, url: unknown, network: WebhookNetwork): string {
  const target = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
  const isPlain = target?.protocol === "http:" && network !== "public";
  if (target === undefined || !(target.protocol === "https:" || isPlain) || target.username + target.password !== "")
    throw new Error(`${name}: the url is https without a user; http only where the network is private or loopback`);
  const host = hostOf(target);
  if (isIP(host) !== 0 && !isAllowedAddress(host, network))
    throw new Error(`${name}: ${host} is no ${network} address`);
  return target.href;
}

function parseRule(name: string, json: unknown): EventRule {
  const { contract, events, args = {} } = recordOf(json, ["contract", "events", "args"], `a rule of ${name}`);
  const contracts = Object.keys(foldedAbis) as ContractName[];
  const named = contracts.filter((one) => contract === undefined || one === contract);
  if (named.length === 0) throw new Error(`${name}: there is no contract ${String(contract)}`);
  const shapes = named.flatMap((one) => (foldedAbis[one] as Abi).filter((entry) => entry.type === "event"));
  const wanted = events === undefined ? undefined : listOf(events, shapes.length, `events of ${name}`).map(String);
  const strange = wanted?.find((event) => !shapes.some((shape) => shape.name === event));
  if (strange !== undefined) throw new Error(`${name}: there is no event ${strange}`);
  const inputs = shapes.filter((shape) => wanted?.includes(shape.name) ?? true).flatMap((shape) => shape.inputs);
  const compared = Object.entries(recordOf(args, undefined, `args of ${name}`)).map(([argument, value]) => {
    if (!inputs.some((input) => input.name === argument)) throw new Error(`${name}: there is no argument ${argument}`);
    if (typeof value !== "string") throw new Error(`${name}: ${argument} is compared with a text`);
    return [argument, value] as const;
  });
  return { contract: contract as ContractName | undefined, events: wanted, args: Object.fromEntries(compared) };
}

function listOf(json: unknown, max: number, what: string): readonly unknown[] {
  if (Array.isArray(json) && json.length <= max) return json;
  throw new Error(`${what}: expected a list of at most ${max}`);
}

/** @param keys that it may have; undefined = any */
function recordOf(json: unknown, keys: readonly string[] | undefined, what: string): Readonly<Record<string, unknown>> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) throw new Error(`${what} is an object`);
  const strange = Object.keys(json).find((key) => keys?.includes(key) === false);
  if (strange !== undefined) throw new Error(`${what} has no ${strange}`);
  return json as Readonly<Record<string, unknown>>;
}
