import { bytesToHex, hexToBytes } from "viem";
import {
  accept,
  decodeLogHeader,
  encodeLogHeader,
  expiresAtMs,
  matchBody,
  MAX_BODY_BYTES,
  MAX_HEADER_BYTES,
  messageOf,
  reject,
  schema,
  verifyLogHeader,
  type DomainContracts,
  type Verdict,
} from "#protocol";
import { protocolId, type PeerName, type Transport } from "../transport/port.ts";
import { limitRate, type RateLimits } from "../transport/rate.ts";
import type { FindFilter } from "./port.ts";
import type { ProvenEntry } from "./reading.ts";

export const FIND_PROTOCOL = protocolId("find");
/** Entries of one answer: each costs the asker a signature check. */
export const MAX_ANSWERS = 16;
/** Of one answer: some hundred bytes a declaration as they are, and one body of the largest size fits. */
const MAX_ANSWER_BYTES = 131_072;
const MAX_REQUEST_BYTES = 1_536;
const MAX_QUERY_LENGTH = 256;
/** Peers asked by one search. */
const MAX_ASKED = 4;
/** What a search waits for them. */
const ASK_BUDGET_MS = 1_500;
/** The same question is not asked again for so long; what was answered is used again. */
const REPEAT_MS = 30_000;
const MAX_QUESTIONS = 64;
/** A peer whose answer did not verify is asked nothing for so long. */
const SHUNNED_MS = 600_000;
const MAX_SHUNNED = 512;
const RATE: RateLimits = { perPeer: { perSecond: 2, burst: 20 }, total: { perSecond: 50, burst: 100 } };

const { integer, list, nullable, oneOf, record, text, uint, variableBytes } = schema;
const request = messageOf(
  "find",
  record({
    query: text(MAX_QUERY_LENGTH),
    kind: oneOf("declare", "intent"),
    topic: nullable(text(64)),
    skills: list(text(64), 4),
    maxPriceWei: nullable(uint),
    limit: integer(1, MAX_ANSWERS),
  }),
  MAX_REQUEST_BYTES,
);
const answer = messageOf(
  "find",
  list(record({ header: variableBytes(MAX_HEADER_BYTES), body: variableBytes(MAX_BODY_BYTES) }), MAX_ANSWERS),
  MAX_ANSWER_BYTES,
);
/** `/surety/find/1`: a question in words with its filter, and entries that answer it, as their authors signed them. */
export const findWire = { request, answer };

/** Whom the chain's registry knows for a question; an indexer answers, and nobody has to believe it. */
export interface DirectoryPort {
  /** @returns ids of agents that may answer, best first; empty when the indexer fails */
  agentsOf(query: string, limit: number, signal: AbortSignal): Promise<readonly bigint[]>;
}

export interface AskingOptions {
  readonly transport: Pick<Transport, "request" | "serve" | "peers">;
  readonly contracts: DomainContracts;
  /** From an agent's id to a connection. */
  readonly dialAgent: (agentId: bigint, signal: AbortSignal) => Promise<Verdict<PeerName>>;
  /** undefined = no indexer is configured. */
  readonly directory: DirectoryPort | undefined;
  readonly nowMs: () => number;
}

/** Entries that others answered with, and who pointed to them. */
export interface HeardEntry extends ProvenEntry {
  readonly source: "peer" | "directory";
}

/** Asks others what the own index does not know. What comes back was signed by its authors, or it does not come back. */
export interface Asking {
  /** @param look the own index: what it finds is answered to others */
  serve(
    look: (query: string, filter: FindFilter, signal: AbortSignal) => Promise<readonly ProvenEntry[]>,
  ): Promise<void>;
  /** Peers first, then agents that the registry names; what is verified when the budget ends counts. */
  ask(query: string, filter: FindFilter, signal: AbortSignal): Promise<readonly HeardEntry[]>;
}

export function createAsking(options: AskingOptions): Asking {
  const { transport, nowMs } = options;
  const asked = new Map<string, { readonly atMs: number; readonly heard: HeardEntry[] }>();
  const shunned = new Map<PeerName, number>();

  async function askPeer(peer: PeerName, bytes: Uint8Array, signal: AbortSignal): Promise<ProvenEntry[]> {
    if ((shunned.get(peer) ?? 0) > nowMs()) return [];
    const limits = { signal, maxResponseBytes: MAX_ANSWER_BYTES };
    const answered = await transport.request(peer, FIND_PROTOCOL, bytes, limits);
    const verified = answered.kind === "accept" ? verifyAnswer(answered.value, options.contracts) : answered;
    if (verified.kind === "reject") bounded(shunned, peer, nowMs() + SHUNNED_MS, MAX_SHUNNED);
    if (verified.kind !== "accept") return [];
    return verified.value.filter(({ header }) => expiresAtMs(header.header) > nowMs());
  }

  async function askDirectory(query: string, bytes: Uint8Array, signal: AbortSignal): Promise<ProvenEntry[]> {
    const named = (await options.directory?.agentsOf(query, MAX_ASKED, signal)) ?? [];
    const answers = named.slice(0, MAX_ASKED).map(async (agentId) => {
      const dialled = await options.dialAgent(agentId, signal);
      return dialled.kind === "accept" ? askPeer(dialled.value, bytes, signal) : [];
    });
    return (await Promise.all(answers)).flat();
  }

  /** Fills `heard` as answers come, so that a budget that ends leaves what was there. */
  async function askAll(query: string, filter: FindFilter, heard: HeardEntry[], signal: AbortSignal): Promise<void> {
    const bytes = request.encode(questionOf(query, filter));
    const peers = transport.peers().slice(0, MAX_ASKED);
    const work = [
      ...peers.map(async (peer) => add(heard, await askPeer(peer, bytes, signal), "peer")),
      askDirectory(query, bytes, signal).then((entries) => add(heard, entries, "directory")),
    ];
    await Promise.all(work);
  }

  return {
    async serve(look) {
      const respond = async (bytes: Uint8Array, _from: PeerName, signal: AbortSignal): Promise<Verdict<Uint8Array>> => {
        const question = request.decode(bytes);
        if (question.kind !== "accept") return question;
        const { query, topic, maxPriceWei, skills, kind, limit } = question.value;
        const terms = { ...(topic === null ? {} : { topic }), ...(maxPriceWei === null ? {} : { maxPriceWei }) };
        const found = await look(query, { ...terms, kind, skills, limit, liveness: "known", scope: "local" }, signal);
        return accept(answer.encode(fitting(found)));
      };
      const limits = { maxRequestBytes: MAX_REQUEST_BYTES, maxConcurrentPerPeer: 2 };
      await transport.serve(FIND_PROTOCOL, limitRate(respond, RATE, nowMs), limits);
    },
    async ask(query, filter, signal) {
      const key = JSON.stringify(Object.values(questionOf(query, filter)).map(String));
      const known = asked.get(key);
      if (known !== undefined && nowMs() - known.atMs < REPEAT_MS) return known.heard;
      const heard: HeardEntry[] = [];
      const budget = AbortSignal.any([signal, AbortSignal.timeout(ASK_BUDGET_MS)]);
      await untilAborted(askAll(query, filter, heard, budget), budget);
      signal.throwIfAborted();
      // With nobody there to ask, the next search may find somebody.
      if (transport.peers().length > 0) bounded(asked, key, { atMs: nowMs(), heard }, MAX_QUESTIONS);
      return heard;
    },
  };
}

/** Every entry of an answer as if it had come by gossip: form, signature, body hash. One that fails makes the answer a fault. */
export function verifyAnswer(bytes: Uint8Array, contracts: DomainContracts): Verdict<ProvenEntry[]> {
  const decoded = answer.decode(bytes);
  if (decoded.kind !== "accept") return decoded;
  const entries: ProvenEntry[] = [];
  for (const { header, body } of decoded.value) {
    const entry = verifyEntry(hexToBytes(header), hexToBytes(body), contracts);
    if (entry.kind !== "accept") return reject(entry.code, entry.detail);
    entries.push(entry.value);
  }
  return accept(entries);
}

function verifyEntry(headerBytes: Uint8Array, body: Uint8Array, contracts: DomainContracts): Verdict<ProvenEntry> {
  const signed = decodeLogHeader(headerBytes);
  if (signed.kind !== "accept") return signed;
  const matched = matchBody(signed.value.header, body);
  if (matched.kind !== "accept") return matched;
  const verified = verifyLogHeader(signed.value, contracts);
  return verified.kind === "accept" ? accept({ header: verified.value, body }) : verified;
}

function questionOf(query: string, { kind = "declare", topic, skills, maxPriceWei, limit = MAX_ANSWERS }: FindFilter) {
  return {
    query: query.slice(0, MAX_QUERY_LENGTH),
    kind,
    topic: topic ?? null,
    skills: (skills ?? []).slice(0, 4),
    maxPriceWei: maxPriceWei ?? null,
    limit: Math.min(limit, MAX_ANSWERS),
  };
}

/** As many entries as one answer holds. */
function fitting(found: readonly ProvenEntry[]) {
  let bytes = 16;
  return found.slice(0, MAX_ANSWERS).flatMap(({ header, body }) => {
    const encoded = encodeLogHeader(header);
    bytes += encoded.length + body.length + 64;
    return bytes > MAX_ANSWER_BYTES ? [] : [{ header: bytesToHex(encoded), body: bytesToHex(body) }];
  });
}

function add(heard: HeardEntry[], entries: readonly ProvenEntry[], source: HeardEntry["source"]): void {
  for (const entry of entries) heard.push({ ...entry, source });
}

async function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const end = () => resolve(undefined);
  signal.addEventListener("abort", end);
  // A question that was given up fails by its signal; what it had heard until then counts.
  const ended = work.catch((fault: unknown) => {
    if (!signal.aborted) throw fault;
  });
  await Promise.race([ended, promise]);
  signal.removeEventListener("abort", end);
}

/** The one set longest ago makes room. */
function bounded<K, V>(map: Map<K, V>, key: K, value: V, max: number): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > max && oldest.done !== true) map.delete(oldest.value);
}
