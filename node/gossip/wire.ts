import { MAX_HEADER_BYTES, MAX_SEQ, messageOf, schema, type Message } from "#protocol";

/** Heads in one answer; more are asked for page by page. About 46 KB. */
export const MAX_HEADS = 512;
/** Headers in one answer: 16 KB, the bound of a batch. */
export const MAX_RANGE = 64;
/** Logs that one request names, and headers of all of them in its answer: 47 KB, and 7 KB of evidence. */
export const MAX_RANGES = 64;
export const MAX_RANGES_HEADERS = 216;
export const MAX_RANGES_EVIDENCE = 32;
/** Headers of one log in an answer about many: 64 alone, 7 of each of 64, so that none keeps the others out. */
export const headersPerLog = (logs: number): number => Math.min(MAX_RANGE, Math.ceil((2 * MAX_RANGES_HEADERS) / logs));
/** Largest frame of these protocols. */
export const MAX_SYNC_BYTES = 65_536;

const { address, hash, integer, list, oneOf, record, variableBytes } = schema;

const headsRequest = record({ after: variableBytes(20) });
const headsAnswer = list(
  record({ log: address, seq: integer(0, MAX_SEQ), digest: hash, state: oneOf("live", "forked") }),
  MAX_HEADS,
);
const entriesRequest = record({ log: address, fromSeq: integer(0, MAX_SEQ), limit: integer(1, MAX_RANGE) });
const header = variableBytes(MAX_HEADER_BYTES);
const entriesAnswer = record({ headers: list(header, MAX_RANGE), evidence: list(header, 2) });
const rangesRequest = list(record({ log: address, fromSeq: integer(0, MAX_SEQ) }), MAX_RANGES);
const rangesAnswer = record({ headers: list(header, MAX_RANGES_HEADERS), evidence: list(header, MAX_RANGES_EVIDENCE) });

/** Last entry of one log, as a peer holds it. */
export type Head = schema.ValueOf<typeof headsAnswer>[number];

/** Canonical dag-cbor, at most 64 KB. */
const message = <T>(name: string, codec: schema.Codec<T>): Message<T> => messageOf(name, codec, MAX_SYNC_BYTES);

/** `/surety/heads/1`: which logs a peer holds, and how far; `after` is the last address of the page before, or empty. */
export const heads = { request: message("heads", headsRequest), answer: message("heads", headsAnswer) };
/** `/surety/entries/1`: headers of one log from a seq on, and the two headers that prove its fork, if there is one. */
export const entries = { request: message("entries", entriesRequest), answer: message("entries", entriesAnswer) };
/** `/surety/ranges/1`: headers of many logs at once, those with a withdrawal first; each log's own stay in order. */
export const ranges = { request: message("ranges", rangesRequest), answer: message("ranges", rangesAnswer) };
