import type { Hex } from "viem";
import { decodeBody, isBoundHeader, sketchOf, textOf, type Body, type LogEntry, type VerifiedHeader } from "#protocol";
import type { StoredEntry } from "../log/log-store.ts";
import type { Finding } from "./port.ts";
import { matchOf, type Query } from "./ranking.ts";

/** What an entry says, before anything is asked about its author. */
export type Unscored = Omit<Finding, "score" | "rank" | "liveness" | "isLive" | "alive">;

/** An entry with its body as bytes: what proves a finding. */
export interface ProvenEntry {
  readonly header: VerifiedHeader;
  readonly body: Uint8Array;
}

export function readEntry({ header, body }: StoredEntry): LogEntry | undefined {
  const decoded = body && decodeBody(header.header.kind, body);
  return decoded?.kind === "accept" ? { header, body: decoded.value } : undefined;
}

/**
 * The declaration as its author wrote it, read again from the bytes that prove it.
 * @param sketch of its text, if it was computed before
 * @returns undefined if the entry declares nothing
 */
export function readFinding(
  { header, body: bytes }: ProvenEntry,
  query: Query,
  source: Finding["source"],
  sketch?: Hex,
): Unscored | undefined {
  const decoded = decodeBody(header.header.kind, bytes);
  if (decoded.kind !== "accept") return undefined;
  const body = decoded.value;
  const said = contentOf(body);
  if (said === undefined) return undefined;
  const text = textOf(body);
  return {
    ...said,
    source,
    declarationId: body.kind === "update" ? body.body.target : header.digest,
    isBound: isBoundHeader(header.header),
    log: header.header.log,
    match: matchOf(query, text, sketch ?? sketchOf(text)),
    evidence: { header: { header: header.header, signature: header.signature }, digest: header.digest, body: bytes },
  };
}

type Content = Pick<
  Finding,
  "agentId" | "name" | "description" | "topics" | "skills" | "priceWei" | "token" | "peerId" | "addresses"
>;

function contentOf({ kind, body }: Body): Content | undefined {
  if (kind === "intent") {
    const { topic, reservePriceWei, call: _call, bidByMs: _bidByMs, ...rest } = body;
    return { ...rest, name: topic, topics: [topic], priceWei: reservePriceWei };
  }
  if (kind === "declare") return body;
  if (kind !== "update") return undefined;
  const { target: _target, ...content } = body;
  return content;
}
