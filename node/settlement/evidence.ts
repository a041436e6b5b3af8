import { bytesToHex, hexToBytes, type Hex } from "viem";
import {
  accept,
  checkKeys,
  contentHashOf,
  decodeStrictCborMap,
  dealIdOf,
  decodeStruct,
  encodeStrictCbor,
  encodeStruct,
  reject,
  type Deal,
  type Verdict,
} from "#protocol";
import type { Store } from "../store/port.ts";
import type { Agreement, Consent } from "../negotiation/port.ts";

// What one side can show of a deal: the terms that both signed, what was asked for, what was delivered, and what happened
// when. Kept from the first second on, since nobody knows beforehand which deal will be disputed.

/** One thing that happened, as this side's node saw it. */
export interface EvidenceItem {
  /** Unix milliseconds of our clock. */
  readonly atMs: number;
  readonly kind: EvidenceKind;
  /** Text for people: a code, a reason, a transaction. */
  readonly text: string;
}
export type EvidenceKind = "agreed" | "transaction" | "fetched" | "unfetched" | "judged" | "split" | "entry" | "fault";

/** A log entry of either side that bears on the deal: canonical header with its signature, and the body. */
export interface EvidenceEntry {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
}

/** Everything that one side shows, as one document with one hash. */
export interface EvidenceBundle {
  readonly dealId: Hex;
  readonly deal: Deal;
  readonly role: Agreement["role"];
  readonly client: Consent;
  readonly provider: Consent;
  readonly spec: Uint8Array;
  /** Empty = none was submitted, or it could not be had. */
  readonly deliverable: Uint8Array;
  /** What the client objects to; empty on the provider's side. */
  readonly reason: string;
  readonly items: readonly EvidenceItem[];
  readonly entries: readonly EvidenceEntry[];
}

/** Items of one deal; a driver that goes round in circles must not fill the disk. */
const MAX_ITEMS = 256;
const MAX_TEXT = 1_024;
const MAX_ENTRIES = 8;
/** A specification, a deliverable, eight log entries and the items. */
export const MAX_EVIDENCE_BYTES = 2_097_152;

const MIGRATIONS = [
  `CREATE TABLE settlement_evidence (
    deal_id TEXT NOT NULL, n INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL,
    PRIMARY KEY (deal_id, n)
  ) WITHOUT ROWID, STRICT`,
];

interface ItemRow {
  readonly at_ms: number;
  readonly kind: EvidenceKind;
  readonly text: string;
}

/** The diary of each deal, synced. */
export class EvidenceStore {
  readonly #store: Store;
  readonly #nowMs: () => number;

  constructor(store: Store, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
    store.migrate("settlement-evidence", MIGRATIONS);
  }

  /** Beyond MAX_ITEMS nothing is added: the first entries matter more than the last of a loop. */
  add(dealId: Hex, kind: EvidenceKind, text: string): void {
    const insert = this.#store.prepare(
      `INSERT INTO settlement_evidence
       SELECT ?1, count(*), ?2, ?3, ?4 FROM settlement_evidence WHERE deal_id = ?1 HAVING count(*) < ${MAX_ITEMS}`,
    );
    this.#store.transaction(() => insert.run(dealId, this.#nowMs(), kind, text.slice(0, MAX_TEXT)));
  }

  itemsOf(dealId: Hex): EvidenceItem[] {
    const sql = "SELECT at_ms, kind, text FROM settlement_evidence WHERE deal_id = ? ORDER BY n";
    const rows = this.#store.prepare<ItemRow>(sql).all(dealId);
    return rows.map(({ at_ms: atMs, kind, text }) => ({ atMs, kind, text }));
  }
}

const FIELDS = ["version", "deal", "role", "client", "provider", "spec", "deliverable", "reason", "items", "entries"];

/** @returns the canonical bytes, whose sha2-256 the evidence on chain names */
export function encodeEvidence(bundle: EvidenceBundle): Uint8Array {
  const { deal, role, client, provider, spec, deliverable, reason, items, entries } = bundle;
  const consent = ({ signer, signature }: Consent) => [hexToBytes(signer), hexToBytes(signature)];
  return encodeStrictCbor({
    version: 1,
    deal: encodeStruct("Deal", deal),
    ...{ role, client: consent(client), provider: consent(provider), spec, deliverable, reason },
    items: items.map(({ atMs, kind, text }) => [atMs, kind, text]),
    entries: entries.slice(0, MAX_ENTRIES).map(({ header, body }) => [header, body]),
  });
}

/** What a stranger's bytes say, if they are a bundle of the named hash. */
export function decodeEvidence(bytes: Uint8Array, hash: Hex): Verdict<EvidenceBundle> {
  if (contentHashOf(bytes) !== hash) return reject("EVIDENCE_HASH", `the bytes do not hash to ${hash}`);
  const map = decodeStrictCborMap(bytes, MAX_EVIDENCE_BYTES);
  if (map.kind !== "accept") return map;
  const fault = checkKeys(map.value, FIELDS);
  if (fault !== undefined) return fault;
  const { version, deal, role, spec, deliverable, reason } = map.value;
  if (version !== 1) return reject("EVIDENCE_VERSION", `version ${String(version)}`);
  const terms = deal instanceof Uint8Array ? decodeStruct("Deal", deal) : reject("EVIDENCE_SHAPE", "deal is not bytes");
  if (terms.kind !== "accept") return terms;
  const [client, provider] = [readConsent(map.value["client"]), readConsent(map.value["provider"])];
  const [items, entries] = [readItems(map.value["items"]), readEntries(map.value["entries"])];
  if (
    (role !== "client" && role !== "provider") ||
    !(spec instanceof Uint8Array && deliverable instanceof Uint8Array) ||
    typeof reason !== "string" ||
    client === undefined ||
    provider === undefined ||
    items === undefined ||
    entries === undefined
  ) {
    return reject("EVIDENCE_SHAPE", "a field has another type");
  }
  const dealId = dealIdOf(terms.value);
  return accept({ dealId, deal: terms.value, role, client, provider, spec, deliverable, reason, items, entries });
}

function readConsent(value: unknown): Consent | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  const [signer, signature] = value as unknown[];
  if (!(signer instanceof Uint8Array && signer.length === 20 && signature instanceof Uint8Array)) return undefined;
  return { signer: bytesToHex(signer), signature: bytesToHex(signature) };
}

function readItems(value: unknown): EvidenceItem[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_ITEMS) return undefined;
  const items = value.map((item: unknown) => {
    const [atMs, kind, text] = Array.isArray(item) ? (item as unknown[]) : [];
    const isItem = typeof atMs === "number" && typeof kind === "string" && typeof text === "string";
    return isItem ? { atMs, kind: kind as EvidenceKind, text } : undefined;
  });
  return items.every((item) => item !== undefined) ? items : undefined;
}

function readEntries(value: unknown): EvidenceEntry[] | undefined {
  if (!Array.isArray(value) || value.length > MAX_ENTRIES) return undefined;
  const entries = value.map((entry: unknown) => {
    const [header, body] = Array.isArray(entry) ? (entry as unknown[]) : [];
    return header instanceof Uint8Array && body instanceof Uint8Array ? { header, body } : undefined;
  });
  return entries.every((entry) => entry !== undefined) ? entries : undefined;
}

/** What stands on chain of a bundle: ERC-1497's JSON, small enough for an event, with the name under which it is served. */
export function evidenceNoticeOf(hash: Hex, { role, reason }: EvidenceBundle, peer: string): string {
  const description = reason === "" ? `What the ${role} shows.` : reason.slice(0, 256);
  return JSON.stringify({
    name: `surety ${role}`,
    description,
    fileHash: hash,
    fileURI: `/surety/evidence/1/${peer}/${hash}`,
  });
}

/** Where a notice says that the bundle is. */
export function readEvidenceNotice(text: string): Verdict<{ readonly peer: string; readonly hash: Hex }> {
  const match = /"\/surety\/evidence\/1\/(?<peer>\w{10,64})\/(?<hash>0x[0-9a-f]{64})"/.exec(text);
  const { peer, hash } = match?.groups ?? {};
  if (peer === undefined || hash === undefined) return reject("EVIDENCE_NOTICE", "it names no bundle");
  return accept({ peer, hash: hash as Hex });
}
