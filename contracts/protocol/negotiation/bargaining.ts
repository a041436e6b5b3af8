import { concat, isAddress, sha256, zeroAddress, type Address, type Hex } from "viem";
import { accept, ignore, reject, type Verdict } from "../errors.ts";
import type { Call, Deal } from "../generated/structs.ts";
import { dealLimits } from "../deal-state.ts";
import { encodeStrictCbor, checkKeys } from "./strict-cbor.ts";

// Terms that two sides find by themselves: nobody awards, each offers in turn. What may be agreed on is numbered in the rules, so that an
// offer is a number, and the deal follows from it to the last field as it does from an award.

/** Rules of a call to one provider: what may be agreed on, and how long the two may talk. */
export interface BargainRules {
  readonly kind: "bargaining";
  readonly version: 1;
  /** Numbered from 0. */
  readonly packages: readonly Package[];
  /** Offers of each side. */
  readonly maxRounds: number;
  /** How long either side has for its next offer. */
  readonly moveWithinMs: number;
  /** Who rules on disputes; the zero address = nobody. */
  readonly arbiter: Address;
  /** How long after the review a ruling may take; 0 where nobody rules. */
  readonly rulingWithinS: number;
}

/** Terms that are agreed on together. */
export interface Package {
  readonly priceWei: bigint;
  /** What the provider puts up. The chain asks for the topic's curve at least. */
  readonly bondWei: bigint;
  /** Seconds by which the delivery is due before the call's `submitBy`. */
  readonly soonerS: number;
  readonly reviewPeriodS: number;
  /** What is promised beyond price and times, in words. */
  readonly promise: string;
}

/** Court of a bargaining whose disputes nobody rules on. */
export const NO_COURT = { arbiter: zeroAddress, rulingWithinS: 0 } as const;

/** What a certificate shows of an agreement that nobody awarded. */
export interface BargainGrounds {
  /** The package of the deal. */
  readonly outcome: number;
  /** Of all offers before the deal, in their order: `extendHistory`. */
  readonly history: Hex;
}

/** Four issues of three values are 81; a package takes some 20 bytes and its promise of MAX_MECHANISM_BYTES. */
export const MAX_PACKAGES = 128;
/** As many as there are packages to concede; a whole bargaining stays below what one peer may send another in a minute. */
export const MAX_BARGAIN_ROUNDS = 128;
const MAX_PROMISE_LENGTH = 256;
const MAX_MOVE_MS = 86_400_000;
const MAX_SECONDS = 2 ** 32 - 1;
const KEYS = ["kind", "version", "packages", "maxRounds", "moveWithinMs", "arbiter", "rulingWithinS"];
const AMOUNT = /^(0|[1-9][0-9]{0,38})$/;
export const BARGAIN_RULES_KIND = "bargaining";

/** Canonical bytes: a package is a list, its amounts decimal text. @throws RangeError when a follower would refuse them */
export function encodeBargainRules(rules: BargainRules): Uint8Array {
  const wire = rules.packages.map(({ priceWei, bondWei, soonerS, reviewPeriodS, promise }) => [
    ...[priceWei.toString(), bondWei.toString(), soonerS, reviewPeriodS, promise],
  ]);
  const map = { ...rules, packages: wire, arbiter: rules.arbiter.toLowerCase() };
  const verdict = readBargainRules(map);
  if (verdict.kind !== "accept") throw new RangeError(`${verdict.code}: ${verdict.detail}`);
  return encodeStrictCbor(map);
}

/** Judges a decoded map, by its form alone. */
export function readBargainRules(map: Readonly<Record<string, unknown>>): Verdict<BargainRules> {
  const { kind, version, packages, maxRounds, moveWithinMs, arbiter, rulingWithinS } = map;
  if (kind !== BARGAIN_RULES_KIND || version !== 1) return ignore("MECHANISM_UNKNOWN", "rules of a later version");
  const keyFault = checkKeys(map, KEYS);
  if (keyFault !== undefined) return keyFault;
  if (!isWhole(maxRounds, 1, MAX_BARGAIN_ROUNDS)) return reject("BARGAIN_ROUNDS", `not 1 to ${MAX_BARGAIN_ROUNDS}`);
  if (!isWhole(moveWithinMs, 1, MAX_MOVE_MS)) return reject("BARGAIN_TIME", `not 1 to ${MAX_MOVE_MS} ms`);
  if (typeof arbiter !== "string" || !isAddress(arbiter) || arbiter !== arbiter.toLowerCase())
    return reject("BARGAIN_ARBITER", "no address in lower case");
  const isRuled = arbiter !== zeroAddress;
  if (!isWhole(rulingWithinS, isRuled ? 1 : 0, isRuled ? dealLimits.maxArbitration : 0))
    return reject("BARGAIN_RULING", isRuled ? `not 1 to ${dealLimits.maxArbitration} s` : "0 where nobody rules");
  if (!Array.isArray(packages) || packages.length < 1 || packages.length > MAX_PACKAGES)
    return reject("BARGAIN_PACKAGES", `not a list of 1 to ${MAX_PACKAGES}`);
  const read = packages.map(readPackage);
  const known = read.filter((entry) => entry !== undefined);
  if (known.length < read.length) return reject("BARGAIN_PACKAGE", `package ${read.indexOf(undefined)} is malformed`);
  return accept({ kind, version, packages: known, maxRounds, moveWithinMs, arbiter, rulingWithinS });
}

function readPackage(stored: unknown): Package | undefined {
  if (!Array.isArray(stored) || stored.length !== 5) return undefined;
  const [price, bond, soonerS, reviewPeriodS, promise] = stored as unknown[];
  const [priceWei, bondWei] = [readAmount(price), readAmount(bond)];
  if (priceWei === undefined || bondWei === undefined) return undefined;
  if (!isWhole(soonerS, 0, MAX_SECONDS) || !isWhole(reviewPeriodS, 0, dealLimits.maxReviewPeriod)) return undefined;
  if (typeof promise !== "string" || promise.length > MAX_PROMISE_LENGTH) return undefined;
  return { priceWei, bondWei, soonerS, reviewPeriodS, promise };
}

function readAmount(text: unknown): bigint | undefined {
  if (typeof text !== "string" || !AMOUNT.test(text)) return undefined;
  const amount = BigInt(text);
  return amount > dealLimits.maxAmount ? undefined : amount;
}

const isWhole = (value: unknown, least: number, most: number): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most;

/** Whether every package could become a deal of this call. */
export function checkBargainCall(call: Call, rules: BargainRules): Verdict<BargainRules> {
  const dear = rules.packages.findIndex(({ priceWei }) => priceWei > call.reservePrice);
  if (dear >= 0) return reject("RULES_RESERVE", `package ${dear} costs more than the reserve of ${call.reservePrice}`);
  const early = rules.packages.findIndex(({ soonerS }) => (call.submitBy - soonerS) * 1_000 <= call.bidByMs);
  if (early >= 0) return reject("RULES_SOONER", `package ${early} is due before the bargaining ends`);
  return accept(rules);
}

/** The fields of a deal that its package decides, beside the price. */
export function bargainedTermsOf(
  call: Call,
  { packages, arbiter, rulingWithinS }: BargainRules,
  outcome: number,
): Pick<Deal, "submitBy" | "reviewPeriod" | "providerBond" | "arbiter" | "arbiterDeadline"> {
  const { soonerS = 0, reviewPeriodS = call.reviewPeriod, bondWei = 0n } = packages[outcome] ?? {};
  const submitBy = call.submitBy - soonerS;
  const arbiterDeadline = arbiter === zeroAddress ? 0 : submitBy + reviewPeriodS + rulingWithinS;
  return { submitBy, reviewPeriod: reviewPeriodS, providerBond: bondWei, arbiter, arbiterDeadline };
}

/**
 * What both sides have said, as one hash: h(0) is the callId, and each offer adds its id, a bidId or a dealId, in turn. Two that hold the
 * same hash have seen the same offers in the same order.
 */
export const extendHistory = (history: Hex, offerId: Hex): Hex => sha256(concat([history, offerId]));
