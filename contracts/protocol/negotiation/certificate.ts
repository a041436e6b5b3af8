import { bytesToHex, hexToBytes, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import type { Bid } from "../generated/structs.ts";
import { structHash } from "../typed-data.ts";
import { MAX_ACTIONS, MAX_OUTCOMES } from "../mechanism/agency.ts";
import type { Dual } from "../mechanism/implementation.ts";
import { MAX_PACKAGES, type BargainGrounds } from "./bargaining.ts";
import { MAX_BIDS, MAX_CERTIFICATE_BYTES } from "./limits.ts";
import { checkKeys, decodeStrictCborMap, encodeStrictCbor } from "./strict-cbor.ts";
import { decodeStruct, encodeStruct } from "./struct-codec.ts";

/** A bid with its id (EIP-712 struct hash) and the 65-byte signature of a LOG signer of the provider. */
export interface SignedBid {
  readonly bid: Bid;
  readonly bidId: Hex;
  readonly signature: Hex;
}

/** Why an award is the award: every bid that counted, and which winners before this one were passed over. */
export interface Certificate {
  /** In ascending order of bidId, one an agent. */
  readonly bids: readonly SignedBid[];
  /** Bids that won before and whose bidder declined or fell silent, ascending. */
  readonly passed: readonly Hex[];
  /** What an award under a mechanism document shows besides; absent under bare parameters. */
  readonly grounds?: Grounds;
  /** What an agreement shows that two found by themselves; its one bid is the provider's last offer. */
  readonly bargain?: BargainGrounds;
}

/** The relative score of a bidder in the call's topic (`relativeScoreOf`), by which its bond is reckoned. */
export interface Standing {
  readonly agentId: bigint;
  readonly relativeScore: bigint;
}

export interface Grounds {
  /** Ids of all bids that were sealed, ascending: fixed before the first was opened. Empty where bids are open. */
  readonly seals: readonly Hex[];
  /** Ascending by agent; whoever is not named has score 0. */
  readonly standings: readonly Standing[];
  /** The finalized epoch that the scores are of; 0 = none. */
  readonly epoch: number;
  /** The dual that proves the payments optimal; null where the rules state no law. */
  readonly proof: Dual | null;
}

export function signedBidOf(bid: Bid, signature: Hex): SignedBid {
  return { bid, bidId: structHash("Bid", bid), signature };
}

/** Canonical bytes, whatever order the bids came in; their sha2-256 is the deal's certificateHash. */
export function encodeCertificate({ bids, passed, grounds, bargain }: Certificate): Uint8Array {
  const entries = [...bids].sort(byBidId).map(({ bid, signature }) => ({
    bid: encodeStruct("Bid", bid),
    signature: hexToBytes(signature),
  }));
  const shown = { bids: entries, passed: bytesOf(passed) };
  if (bargain !== undefined) {
    const { outcome, history } = bargain;
    return encodeStrictCbor({ version: 3, ...shown, outcome, history: hexToBytes(history) });
  }
  return encodeStrictCbor(
    grounds === undefined ? { version: 1, ...shown } : { version: 2, ...shown, ...wireOf(grounds) },
  );
}

const bytesOf = (ids: readonly Hex[]) => [...ids].sort().map((id) => hexToBytes(id));

/** Amounts are decimal text, because dag-cbor's integers end at 64 bits. */
function wireOf({ seals, standings, epoch, proof }: Grounds): object {
  const ranked = [...standings].sort((a, b) => (a.agentId < b.agentId ? -1 : a.agentId > b.agentId ? 1 : 0));
  const entries = ranked.map(({ agentId, relativeScore }) => [agentId.toString(), relativeScore.toString()]);
  const dual = proof && { numerators: proof.numerators.map(String), denominator: proof.denominator.toString() };
  return { seals: bytesOf(seals), standings: entries, epoch, proof: dual };
}

/** Judges the form: canonical order, no bid and no bidder twice, every passed bid among the bids. Not the signatures. */
export function decodeCertificate(bytes: Uint8Array): Verdict<Certificate> {
  const map = decodeStrictCborMap(bytes, MAX_CERTIFICATE_BYTES);
  if (map.kind !== "accept") return map;
  const { version, bids, passed } = map.value;
  if (version !== 1 && version !== 2 && version !== 3)
    return reject("CERTIFICATE_VERSION", "version is none of 1, 2 and 3");
  const keyFault = checkKeys(map.value, ["version", "bids", "passed", ...EXTRAS[version]]);
  if (keyFault !== undefined) return keyFault;
  if (!Array.isArray(bids) || bids.length > MAX_BIDS)
    return reject("CERTIFICATE_BIDS", `bids is not a list of at most ${MAX_BIDS}`);
  const signed: SignedBid[] = [];
  for (const entry of bids) {
    const decoded = decodeEntry(entry);
    if (decoded.kind !== "accept") return decoded;
    signed.push(decoded.value);
  }
  if (!isAscending(signed.map(({ bidId }) => bidId)))
    return reject("CERTIFICATE_ORDER", "bids are not in ascending order");
  if (new Set(signed.map(({ bid }) => bid.providerAgentId)).size !== signed.length) {
    return reject("CERTIFICATE_BIDDER_TWICE", "one agent has two bids");
  }
  const ids = decodePassed(passed, signed);
  if (ids.kind !== "accept") return ids;
  const shown = { bids: signed, passed: ids.value };
  if (version === 1) return accept(shown);
  if (version === 3) return decodeBargain(map.value, shown);
  const grounds = decodeGrounds(map.value, signed);
  return grounds.kind === "accept" ? accept({ ...shown, grounds: grounds.value }) : grounds;
}

/** Fields of each version beside bids and those passed over. */
const EXTRAS = { 1: [], 2: ["seals", "standings", "epoch", "proof"], 3: ["outcome", "history"] } as const;

function decodeBargain(map: Readonly<Record<string, unknown>>, shown: Certificate): Verdict<Certificate> {
  const { outcome, history } = map;
  if (shown.bids.length !== 1 || shown.passed.length !== 0)
    return reject("CERTIFICATE_BIDS", "an agreement shows the provider's last offer alone");
  if (!Number.isInteger(outcome) || (outcome as number) < 0 || (outcome as number) >= MAX_PACKAGES)
    return reject("CERTIFICATE_OUTCOME", `outcome is not below ${MAX_PACKAGES}`);
  if (!(history instanceof Uint8Array) || history.length !== 32)
    return reject("CERTIFICATE_HISTORY", "history is not 32 bytes");
  return accept({ ...shown, bargain: { outcome: outcome as number, history: bytesToHex(history) } });
}

/** A dual has a number an action and one a split outcome. */
const MAX_DUAL_ENTRIES = MAX_ACTIONS + MAX_OUTCOMES;

function decodeGrounds(map: Readonly<Record<string, unknown>>, bids: readonly SignedBid[]): Verdict<Grounds> {
  const { seals, standings, epoch, proof } = map;
  const ids = idsOf(seals);
  if (ids === undefined) return reject("CERTIFICATE_SEALS", `seals is not a list of at most ${MAX_BIDS} ids`);
  if (!isAscending(ids)) return reject("CERTIFICATE_ORDER", "seals are not in ascending order");
  if (!Number.isInteger(epoch) || (epoch as number) < 0 || (epoch as number) >= 2 ** 32)
    return reject("CERTIFICATE_EPOCH", "epoch is not 32 bits");
  const scores = standingsOf(standings);
  if (scores === undefined || scores.length > bids.length)
    return reject("CERTIFICATE_STANDINGS", "standings are not ascending pairs of agent and score, one a bid at most");
  const dual = proof === null ? null : dualOf(proof);
  if (dual === undefined) return reject("CERTIFICATE_PROOF", "proof is neither null nor a dual in decimals");
  return accept({ seals: ids, standings: scores, epoch: epoch as number, proof: dual });
}

function idsOf(stored: unknown): readonly Hex[] | undefined {
  if (!Array.isArray(stored) || stored.length > MAX_BIDS) return undefined;
  const isId = (id: unknown): id is Uint8Array => id instanceof Uint8Array && id.length === 32;
  return stored.every(isId) ? stored.map((id) => bytesToHex(id)) : undefined;
}

function standingsOf(stored: unknown): readonly Standing[] | undefined {
  if (!Array.isArray(stored)) return undefined;
  const standings: Standing[] = [];
  for (const entry of stored as unknown[]) {
    if (!Array.isArray(entry) || entry.length !== 2 || !entry.every((text) => isDecimal(text))) return undefined;
    const [agentId, relativeScore] = entry.map((text) => BigInt(text as string)) as [bigint, bigint];
    const before = standings.at(-1);
    if (relativeScore >= 2n ** 64n || (before !== undefined && before.agentId >= agentId)) return undefined;
    standings.push({ agentId, relativeScore });
  }
  return standings;
}

function dualOf(stored: unknown): Dual | undefined {
  if (typeof stored !== "object" || stored === null) return undefined;
  const { numerators, denominator, ...rest } = stored as Record<string, unknown>;
  if (!Array.isArray(numerators) || numerators.length > MAX_DUAL_ENTRIES || Object.keys(rest).length > 0)
    return undefined;
  const parts = [...(numerators as unknown[]), denominator];
  if (!parts.every((part) => isDecimal(part, MAX_DUAL_DIGITS))) return undefined;
  return { numerators: numerators.map((part) => BigInt(part as string)), denominator: BigInt(denominator as string) };
}

/** Of 4096 bits, the most that the proof's check takes. */
const MAX_DUAL_DIGITS = 1_234;
const isDecimal = (text: unknown, maxDigits = 78): boolean =>
  typeof text === "string" && text.length <= maxDigits && /^(0|[1-9][0-9]*)$/.test(text);

function decodeEntry(entry: unknown): Verdict<SignedBid> {
  if (entry === null || typeof entry !== "object") return reject("CERTIFICATE_BID", "a bid is not a map");
  const map = entry as Record<string, unknown>;
  const keyFault = checkKeys(map, ["bid", "signature"]);
  if (keyFault !== undefined) return keyFault;
  const { bid, signature } = map;
  if (!(bid instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== 65) {
    return reject("CERTIFICATE_BID", "a bid or its signature is not bytes of the right length");
  }
  const decoded = decodeStruct("Bid", bid);
  return decoded.kind === "accept" ? accept(signedBidOf(decoded.value, bytesToHex(signature))) : decoded;
}

function decodePassed(passed: unknown, bids: readonly SignedBid[]): Verdict<readonly Hex[]> {
  if (!Array.isArray(passed) || passed.length > bids.length)
    return reject("CERTIFICATE_PASSED", "passed is not a list of bids");
  const known = new Set(bids.map(({ bidId }) => bidId));
  const ids = passed.map((id) => (id instanceof Uint8Array ? bytesToHex(id) : "0x"));
  if (!ids.every((id) => known.has(id))) return reject("CERTIFICATE_PASSED", "a passed bid is not among the bids");
  return isAscending(ids) ? accept(ids) : reject("CERTIFICATE_ORDER", "passed bids are not in ascending order");
}

const isAscending = (ids: readonly Hex[]) => ids.every((id, i) => i === 0 || (ids[i - 1] as Hex) < id);

function byBidId(a: SignedBid, b: SignedBid): number {
  return a.bidId < b.bidId ? -1 : a.bidId > b.bidId ? 1 : 0;
}
