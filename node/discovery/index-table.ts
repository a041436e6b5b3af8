import { expiresAtMs, sketchOf, skillIdOf, textOf, tokensOf, type Declaration } from "#protocol";
import type { Address, Hex } from "viem";
import type { Column, Store } from "../store/port.ts";
import type { FindFilter } from "./port.ts";
import type { Query } from "./ranking.ts";

/** Candidates that the database gives to the ranking: what a look-up costs stays flat however much was heard. */
const MAX_CANDIDATES = 128;
/** Of these, from one log: an agent that declares much must not crowd out the others. */
const MAX_CANDIDATES_PER_LOG = 4;
/** Words of a question that are looked up. */
const MAX_QUERY_WORDS = 32;

const migrations = [
  `CREATE TABLE discovery_declarations (
     rowid INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, log TEXT NOT NULL, kind TEXT NOT NULL, price TEXT NOT NULL,
     latest_digest TEXT NOT NULL, latest_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,
     is_ended INTEGER NOT NULL, sketch TEXT NOT NULL
   ) STRICT;
   CREATE INDEX discovery_declarations_by_log ON discovery_declarations (log);
   CREATE TABLE discovery_topics (
     declaration INTEGER NOT NULL REFERENCES discovery_declarations ON DELETE CASCADE, topic TEXT NOT NULL,
     PRIMARY KEY (topic, declaration)
   ) WITHOUT ROWID, STRICT;
   CREATE INDEX discovery_topics_by_declaration ON discovery_topics (declaration);
   CREATE TABLE discovery_skills (
     declaration INTEGER NOT NULL REFERENCES discovery_declarations ON DELETE CASCADE, skill INTEGER NOT NULL,
     PRIMARY KEY (skill, declaration)
   ) WITHOUT ROWID, STRICT;
   CREATE INDEX discovery_skills_by_declaration ON discovery_skills (declaration);
   CREATE VIRTUAL TABLE discovery_text USING fts5 (text, tokenize = 'unicode61 remove_diacritics 0');
   CREATE TABLE discovery_logs (log TEXT PRIMARY KEY, heard_ms INTEGER NOT NULL, is_forked INTEGER NOT NULL DEFAULT 0)
     WITHOUT ROWID, STRICT;`,
  `CREATE TABLE discovery_attestations (log TEXT PRIMARY KEY, seq INTEGER NOT NULL, commitment TEXT NOT NULL)
     WITHOUT ROWID, STRICT;`,
];

/** A declaration that passes the filters, before it is ranked. */
export interface Candidate {
  readonly id: Hex;
  readonly log: Address;
  readonly latestDigest: Hex;
  readonly sketch: Hex;
  /** When its log was last heard, by our clock. */
  readonly heardMs: number;
}

/** The tables by which declarations are found. */
export interface IndexTable {
  put(declaration: Declaration): void;
  remove(id: Hex): void;
  /** Whether it is known here, ended ones included. */
  has(id: Hex): boolean;
  /** A log's last sign of life. */
  hear(log: Address, nowMs: number): void;
  /** What a log attested at this seq; the last one counts, in whatever order bodies come. */
  attest(log: Address, seq: number, commitment: Hex): void;
  /** The commitment that a log attested last; undefined = it attested none. */
  attestedBy(log: Address): Hex | undefined;
  /** Nothing of a log that equivocated is found again. */
  shut(log: Address): void;
  candidates(query: Query, filter: FindFilter, nowMs: number): Candidate[];
}

export function createIndexTable(store: Store): IndexTable {
  store.migrate("discovery", migrations);
  const rowOf = store.prepare<{ rowid: number; latest_digest: Hex; is_ended: number }>(
    "SELECT rowid, latest_digest, is_ended FROM discovery_declarations WHERE id = ?",
  );
  const removeRow = store.prepare("DELETE FROM discovery_declarations WHERE rowid = ?");
  const removeText = store.prepare("DELETE FROM discovery_text WHERE rowid = ?");
  const insert = store.prepare(
    `INSERT INTO discovery_declarations (id, log, kind, price, latest_digest, latest_ms, expires_ms, is_ended, sketch)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertText = store.prepare("INSERT INTO discovery_text (rowid, text) VALUES (?, ?)");
  const insertTopic = store.prepare("INSERT OR IGNORE INTO discovery_topics (topic, declaration) VALUES (?, ?)");
  const insertSkill = store.prepare("INSERT OR IGNORE INTO discovery_skills (skill, declaration) VALUES (?, ?)");
  const hear = store.prepare(
    `INSERT INTO discovery_logs (log, heard_ms) VALUES (?, ?)
     ON CONFLICT (log) DO UPDATE SET heard_ms = MAX(heard_ms, excluded.heard_ms)`,
  );
  const shut = store.prepare(
    `INSERT INTO discovery_logs (log, heard_ms, is_forked) VALUES (?, 0, 1)
     ON CONFLICT (log) DO UPDATE SET is_forked = 1`,
  );

  const attest = store.prepare(
    `INSERT INTO discovery_attestations VALUES (?, ?, ?)
     ON CONFLICT (log) DO UPDATE SET seq = excluded.seq, commitment = excluded.commitment WHERE excluded.seq >= seq`,
  );
  const attested = store.prepare<{ commitment: Hex }>("SELECT commitment FROM discovery_attestations WHERE log = ?");

  function remove(id: Hex): void {
    const row = rowOf.get(id);
    if (row === undefined) return;
    removeText.run(row.rowid);
    removeRow.run(row.rowid);
  }

  function add(declaration: Declaration): void {
    const { id, latest, end } = declaration;
    const text = textOf(declaration);
    const numbers = [latest.header.timeMs, expiresAtMs(latest.header), end === undefined ? 0 : 1] as const;
    const { kind, price, topics } = termsOf(declaration);
    insert.run(id, latest.header.log, kind, paddedPrice(price), latest.digest, ...numbers, sketchOf(text));
    const rowid = rowOf.get(id)?.rowid as number;
    insertText.run(rowid, tokensOf(text).join(" "));
    for (const topic of topics) insertTopic.run(topic, rowid);
    for (const skill of declaration.body.skills) insertSkill.run(skillIdOf(skill), rowid);
  }

  return {
    put(declaration) {
      const row = rowOf.get(declaration.id);
      const isEnded = declaration.end === undefined ? 0 : 1;
      if (row?.latest_digest === declaration.latest.digest && row.is_ended === isEnded) return;
      store.transaction(() => {
        remove(declaration.id);
        add(declaration);
      }, "relaxed");
    },
    has: (id) => rowOf.get(id) !== undefined,
    remove: (id) => store.transaction(() => remove(id), "relaxed"),
    hear: (log, nowMs) => store.transaction(() => hear.run(log, nowMs), "relaxed"),
    attest: (log, seq, commitment) => store.transaction(() => attest.run(log, seq, commitment), "relaxed"),
    attestedBy: (log) => attested.get(log)?.commitment,
    shut: (log) => store.transaction(() => shut.run(log), "relaxed"),
    candidates(query, filter, nowMs) {
      const { sql, values } = selectOf(query, filter, nowMs);
      return store.prepare<Candidate>(sql).all(...values);
    },
  };
}

function termsOf(declaration: Declaration): { kind: string; price: bigint; topics: readonly string[] } {
  const { kind, body } = declaration;
  if (kind === "declare") return { kind, price: body.priceWei, topics: body.topics };
  return { kind, price: body.reservePriceWei, topics: [body.topic] };
}

/** uint256 as 78 digits, so that text order is number order. */
const paddedPrice = (price: bigint): string => price.toString().padStart(78, "0");

/** One of a few statement texts: the filter decides which conditions there are, its values are bound. */
function selectOf(query: Query, filter: FindFilter, nowMs: number): { sql: string; values: Column[] } {
  const conditions = ["d.kind = ?", "d.is_ended = 0", "d.expires_ms > ?", "COALESCE(l.is_forked, 0) = 0"];
  const values: Column[] = [filter.kind ?? "declare", nowMs];
  const where = (condition: string, ...bound: Column[]): void => {
    conditions.push(condition);
    values.push(...bound);
  };
  if (filter.topic !== undefined) {
    where("EXISTS (SELECT 1 FROM discovery_topics t WHERE t.topic = ? AND t.declaration = d.rowid)", filter.topic);
  }
  if (filter.skills !== undefined && filter.skills.length > 0) {
    const ids = JSON.stringify(filter.skills.map(skillIdOf));
    where(
      `EXISTS (SELECT 1 FROM discovery_skills s WHERE s.declaration = d.rowid
         AND s.skill IN (SELECT value FROM json_each(?)))`,
      ids,
    );
  }
  if (filter.maxPriceWei !== undefined) where("d.price <= ?", paddedPrice(filter.maxPriceWei));
  const isWorded = query.tokens.length > 0;
  // Quoted tokens of letters and digits: nothing of a stranger's question is FTS syntax.
  if (isWorded)
    where(
      "discovery_text MATCH ?",
      query.tokens
        .slice(0, MAX_QUERY_WORDS)
        .map((t) => `"${t}"`)
        .join(" OR "),
    );
  const sql = `WITH passed AS MATERIALIZED (
      SELECT d.id, d.log, d.latest_digest, d.sketch, COALESCE(l.heard_ms, d.latest_ms) AS heard_ms,
        ${isWorded ? "discovery_text.rank" : "-COALESCE(l.heard_ms, d.latest_ms)"} AS place
      FROM discovery_declarations d
      ${isWorded ? "JOIN discovery_text ON discovery_text.rowid = d.rowid" : ""}
      LEFT JOIN discovery_logs l ON l.log = d.log
      WHERE ${conditions.join(" AND ")}
    ), numbered AS (
      SELECT *, ROW_NUMBER() OVER (PARTITION BY log ORDER BY place, id) AS number FROM passed
    )
    SELECT id, log, latest_digest AS latestDigest, sketch, heard_ms AS heardMs FROM numbered
    WHERE number <= ${MAX_CANDIDATES_PER_LOG} ORDER BY place, id LIMIT ${MAX_CANDIDATES}`;
  return { sql, values };
}
