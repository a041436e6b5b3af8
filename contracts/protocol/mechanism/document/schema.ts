import { getAddress, isAddress, type Address, type Hex } from "viem";
import { accept, ignore, reject, SuretyError, type Verdict } from "../../errors.ts";
import { flag, int, integer, list, nullable, oneOf, record, SchemaFault, text, uint } from "../../log/schema.ts";
import type { Codec, ValueOf } from "../../log/schema.ts";
import { MAX_MECHANISM_BYTES } from "../../negotiation/limits.ts";
import { contentHashOf, decodeStrictCborMap, encodeStrictCbor } from "../../negotiation/strict-cbor.ts";
import { MAX_ACTIONS, MAX_OUTCOMES } from "../agency.ts";

// The leader's published rules, clause by clause (arXiv 2606.17368 eq. 16–19). Its canonical dag-cbor is the body of a log
// entry, so that one hash is the entry's bodyHash, the call's and the deal's mechanismHash. Every field is always there, and
// the stored value is plain JSON: amounts are decimal text, addresses are text, so that a file of it reads as it is hashed.

/** Unix seconds and spans are read up to 2^53; what the chain's uint48 cannot hold is for the linter to name. */
const span = integer(0, Number.MAX_SAFE_INTEGER);
const word = text(64);

const addressText: Codec<Address> = {
  write: (value) => value.toLowerCase(),
  read(stored, path) {
    if (typeof stored === "string" && isAddress(stored, { strict: false }) && stored === stored.toLowerCase())
      return getAddress(stored);
    throw new SchemaFault(`${path} is not an address in lower case`);
  },
};

/** Who sees which outcome it was. What nobody sees binds nobody. */
export const outcomeObservers = ["chain", "client", "arbiter", "nobody"] as const;
/** By which end of the deal the escrow pays an outcome; `none` = the escrow knows no such payment. */
export const outcomeSettlements = [
  "complete",
  "refund",
  "ruling-client",
  "ruling-provider",
  "ruling-even",
  "split",
  "cancel",
  "none",
] as const;
/** Faults that rules speak of; the linter says which of them anybody can prove. */
export const penalizedFaults = [
  "late",
  "ruled-against",
  "equivocation",
  "unopened-bid",
  "declined-award",
  "collusive-rating",
] as const;

/** Of 1,000,000. */
const millionths = integer(0, 1_000_000);

const admission = record({
  /** Topics of the deals that may cite these rules. */
  topics: list(word, 16),
  /** Least level of the credential of the provider's operator; 0 = none is asked for. */
  credentialLevel: integer(0, 255),
  /** Least relative score in the deal's topic, in 1/2^16 of its uniform share (`relativeScoreOf`); 0 admits newcomers. */
  minScore: uint,
});

const award = record({
  /** posted-price: the payment of the completing outcome, to the best quality. scored-second-price: Che 1993, by bids. */
  rule: oneOf("scored-second-price", "posted-price"),
  /** What one unit of quality is worth to the leader, in the token's smallest unit. */
  valuePerQuality: uint,
  minQuality: uint,
  maxQuality: uint,
  /** Bids are committed to by their hash before any is opened. */
  isSealed: flag,
  /** Sealed bids that may stay unopened before the follower refuses the award. */
  maxUnopened: integer(0, 128),
});

const outcome = record({
  name: word,
  observer: oneOf(...outcomeObservers),
  settlement: oneOf(...outcomeSettlements),
  /** What the provider gets beyond its own bond: an amount, or millionths of the awarded price or of its bond. */
  payment: record({ unit: oneOf("wei", "price", "bond"), amount: int }),
  /** r_o: what the outcome is worth to the leader, in the token's smallest unit. */
  rewardWei: int,
  /** κδ_o: what the change of reputation that follows is worth to the provider. */
  reputationWorthWei: int,
});

const action = record({
  name: word,
  costWei: uint,
  /** Chance of each outcome in parts of `lawUnit`. */
  law: list(uint, MAX_OUTCOMES),
});

const agency = record({
  actions: list(action, MAX_ACTIONS),
  lawUnit: uint,
  /** Index of the action that the payments implement. */
  target: integer(0, MAX_ACTIONS - 1),
  /** What the provider has for sure if it does not take part. */
  outsideWei: int,
  /** How much more than the least possible the payments may cost in expectation: what rounding to units takes. */
  maxGapWei: uint,
});

const bond = record({
  /** Whatever the score, not less. */
  leastWei: uint,
  /** Governed as BondCurve.sol; slashShare 0 = none. Shares and factors in 1/2^16. */
  curve: record({
    slashShare: integer(0, 2 ** 32 - 1),
    factorAtZero: integer(0, 2 ** 32 - 1),
    halfScore: uint,
  }),
  /** What the client stands to lose beyond the price. */
  exposureWei: uint,
  /** G_max: the most that a provider gains by a fault that can be proven. λ·q_min has to reach it. */
  maxGainWei: uint,
  clientBondWei: uint,
});

const penalty = record({
  fault: oneOf(...penalizedFaults),
  from: oneOf("bond", "stake"),
  /** Share of bond or stake that the fault costs. */
  millionths,
  /** Added to the unsatisfied sum of the pair. */
  unsatisfied: integer(0, 100),
});

export const mechanismDocumentCodec = record({
  kind: oneOf("surety-mechanism"),
  version: integer(1, 1),
  name: text(128),
  purpose: text(1_024),
  admission,
  award,
  /** Worst first for the provider's record; the law of an action follows this order. */
  outcomes: list(outcome, MAX_OUTCOMES),
  /** The hidden action whose payments these are; null = the rules pay by bids and state no law. */
  agency: nullable(agency),
  bond,
  deadlines: record({
    bidWithinMs: span,
    /** After the bidding, for opening sealed bids; 0 where bids are open. */
    revealWithinMs: span,
    /** From the call to the last second of delivery. */
    submitWithinS: span,
    /** Unix second after which nobody calls under these rules; 0 = none. */
    validUntil: span,
  }),
  review: record({ periodS: span, onSilence: oneOf("pays-provider", "refunds-client") }),
  split: record({
    /** provider: all to it. fixed: the shares below. shapley: by attribution of the joint reward over receipts. */
    rule: oneOf("provider", "fixed", "shapley"),
    shares: list(record({ account: addressText, millionths }), 128),
  }),
  penalties: list(penalty, 16),
  appeal: record({
    /** Who rules on a dispute; zero = nobody, and then there is no dispute. */
    arbiter: addressText,
    court: oneOf("none", "person", "erc792"),
    /** Seconds for a ruling, after the latest end of review. */
    withinS: span,
    /** Rulings of an ERC-792 court that may be appealed. */
    maxAppeals: integer(0, 16),
  }),
  /** How the leader turns receipts into laws: learning.ts. */
  evidence: record({ fullPriceWei: uint, priceFactor: uint, errorMillionths: millionths }),
});

/** A leader's published rules. Amounts in the token's smallest unit. */
export type MechanismDocument = ValueOf<typeof mechanismDocumentCodec>;
export type OutcomeClause = MechanismDocument["outcomes"][number];
export type AgencyClause = NonNullable<MechanismDocument["agency"]>;
/** A clause of a document, by its field. */
export type ClauseName = Exclude<keyof MechanismDocument, "kind" | "version" | "name" | "purpose">;

export const clauseNames = [
  "admission",
  "award",
  "outcomes",
  "agency",
  "bond",
  "deadlines",
  "review",
  "split",
  "penalties",
  "appeal",
  "evidence",
] as const satisfies readonly ClauseName[];

export const MECHANISM_DOCUMENT_KIND = "surety-mechanism";

/** Canonical bytes: the body of the log entry that publishes it. @throws SuretyError MECHANISM_INVALID if a follower would refuse it */
export function encodeMechanismDocument(document: MechanismDocument): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = encodeStrictCbor(mechanismDocumentCodec.write(document));
  } catch (cause) {
    throw invalid("it does not encode", cause);
  }
  const verdict = decodeMechanismDocument(bytes);
  if (verdict.kind !== "accept") throw invalid(`${verdict.code}: ${verdict.detail}`);
  return bytes;
}

/** What a deal made under these rules carries as mechanismHash, and the log entry as bodyHash. */
export function mechanismHashOf(document: MechanismDocument): Hex {
  return contentHashOf(encodeMechanismDocument(document));
}

/**
 * Strict: bounded, canonical, exactly the fields of the schema, and what every reader relies on: laws that are laws, names
 * given once, a range that is one. Rejects CBOR_*, MECHANISM_SCHEMA, MECHANISM_RANGE, MECHANISM_OUTCOMES, MECHANISM_AGENCY; a later version
 * is ignored with MECHANISM_UNKNOWN.
 */
export function decodeMechanismDocument(bytes: Uint8Array): Verdict<MechanismDocument> {
  const map = decodeStrictCborMap(bytes, MAX_MECHANISM_BYTES);
  return map.kind === "accept" ? readMechanismDocument(map.value) : map;
}

/** The same judgement over the stored value, which is plain JSON: what `surety mechanism` reads from a file. */
export function readMechanismDocument(stored: unknown): Verdict<MechanismDocument> {
  const { kind, version } = (stored ?? {}) as Readonly<Record<string, unknown>>;
  // Rules that we do not know are no fault of the sender: a later version speaks them.
  if (kind !== MECHANISM_DOCUMENT_KIND || (typeof version === "number" && version > 1)) {
    return ignore("MECHANISM_UNKNOWN", `${String(kind).slice(0, 32)} ${String(version).slice(0, 8)}`);
  }
  try {
    return checkSense(mechanismDocumentCodec.read(stored, "mechanism"));
  } catch (cause) {
    if (cause instanceof SchemaFault) return reject("MECHANISM_SCHEMA", cause.message);
    throw cause;
  }
}

/** The stored value of a document: plain JSON, the form in which people write and read it. */
export function storedMechanismOf(document: MechanismDocument): unknown {
  return mechanismDocumentCodec.write(document);
}

/** Money and law units of at most 128 bits keep every sum of products within 512; scores within 193 bits and a sign. */
const MAX_AMOUNT = 2n ** 128n - 1n;
const MAX_QUALITY = 2n ** 64n - 1n;

function checkSense(document: MechanismDocument): Verdict<MechanismDocument> {
  const { award: rules, outcomes, agency: model, bond: collateral } = document;
  if (rules.minQuality > rules.maxQuality || rules.maxQuality > MAX_QUALITY)
    return reject("MECHANISM_RANGE", `qualities ${rules.minQuality}..${rules.maxQuality}`);
  if (collateral.curve.halfScore > MAX_QUALITY) return reject("MECHANISM_RANGE", "halfScore is beyond 64 bits");
  const amounts = [
    ...[rules.valuePerQuality, collateral.leastWei, collateral.exposureWei, collateral.maxGainWei],
    ...[collateral.clientBondWei, document.evidence.fullPriceWei, document.evidence.priceFactor],
    ...outcomes.flatMap(({ payment, rewardWei, reputationWorthWei }) => [
      payment.amount,
      rewardWei,
      reputationWorthWei,
    ]),
    ...(model === null ? [] : [model.outsideWei, model.maxGapWei, ...model.actions.map(({ costWei }) => costWei)]),
  ];
  if (amounts.some((amount) => amount > MAX_AMOUNT || amount < -MAX_AMOUNT))
    return reject("MECHANISM_RANGE", "an amount is beyond 2^128");
  if (outcomes.length === 0 || new Set(outcomes.map(({ name }) => name)).size !== outcomes.length)
    return reject("MECHANISM_OUTCOMES", "there is none, or two have one name");
  return model === null ? accept(document) : checkAgencyClause(document, model);
}

function checkAgencyClause(document: MechanismDocument, model: AgencyClause): Verdict<MechanismDocument> {
  const { actions, lawUnit, target } = model;
  if (actions[target] === undefined) return reject("MECHANISM_AGENCY", `target ${target} of ${actions.length} actions`);
  if (lawUnit === 0n || lawUnit > MAX_AMOUNT) return reject("MECHANISM_AGENCY", `lawUnit ${lawUnit}`);
  if (new Set(actions.map(({ name }) => name)).size !== actions.length)
    return reject("MECHANISM_AGENCY", "two actions have one name");
  for (const { name, law } of actions) {
    if (law.length !== document.outcomes.length)
      return reject("MECHANISM_AGENCY", `${name} has ${law.length} chances for ${document.outcomes.length} outcomes`);
    const total = law.reduce((sum, part) => sum + part, 0n);
    if (total !== lawUnit) return reject("MECHANISM_AGENCY", `the law of ${name} sums to ${total}, not ${lawUnit}`);
  }
  return accept(document);
}

function invalid(detail: string, cause?: unknown): SuretyError {
  return new SuretyError("MECHANISM_INVALID", `Every follower would refuse this mechanism: ${detail}.`, {
    values: { detail },
    next: "Correct the clause; `surety mechanism check FILE` names every fault.",
    cause,
  });
}
