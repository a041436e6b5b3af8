import { bytesToHex, getAddress, hexToBytes, isAddress, type Address, type Hex } from "viem";
import { accept, encodeLogHeader, ignore, kinds, reject, type VerifiedHeader, type Verdict } from "#protocol";
import type { LogReader } from "../log/log-store.ts";
import { protocolId, type PeerName, type Transport } from "../transport/port.ts";
import {
  entries,
  heads,
  headersPerLog,
  MAX_HEADS,
  MAX_RANGE,
  MAX_RANGES_EVIDENCE,
  MAX_RANGES_HEADERS,
  MAX_SYNC_BYTES,
  ranges,
  type Head,
} from "./wire.ts";

export const protocols = {
  heads: protocolId("heads"),
  entries: protocolId("entries"),
  ranges: protocolId("ranges"),
  reconcile: protocolId("reconcile"),
  bodies: protocolId("bodies"),
} as const;

/** A range of one log that a peer holds and we lack. */
export interface MissingRange {
  readonly log: Address;
  readonly fromSeq: number;
}

/** What to fetch after comparing a peer's heads with ours. Pure. */
export function planRanges(
  theirs: readonly Head[],
  held: Pick<LogReader, "headOf" | "entryAt" | "forkOf">,
): MissingRange[] {
  return theirs.flatMap(({ log, seq, digest, state }) => {
    if (held.forkOf(log) !== undefined) return [];
    const own = held.headOf(log);
    if (own === undefined) return [{ log, fromSeq: 0 }];
    // The same seq with another digest, or a fork that they know of: fetch from there, the evidence comes along.
    const rival = held.entryAt(log, seq)?.header.digest;
    if (rival !== undefined && rival !== digest) return [{ log, fromSeq: seq }];
    if (state === "forked") return [{ log, fromSeq: own.header.seq }];
    return seq > own.header.seq ? [{ log, fromSeq: own.header.seq + 1 }] : [];
  });
}

/** A body that this node holds, or is pulling and will hold before the signal aborts. */
export type BodySource = (hash: Hex, signal: AbortSignal) => Promise<Uint8Array | undefined>;

/** Serves what this node holds to whoever asks; every answer is bounded by a page. */
export async function serveLogs(transport: Transport, logs: LogReader, bodyOf: BodySource): Promise<void> {
  await transport.serve(protocols.heads, async (request) => answerHeads(request, logs), { maxRequestBytes: 256 });
  await transport.serve(protocols.entries, async (request) => answerEntries(request, logs), { maxRequestBytes: 256 });
  await transport.serve(protocols.ranges, async (request) => answerRanges(request, logs), { maxRequestBytes: 4_096 });
  await transport.serve(protocols.bodies, (request, _from, signal) => answerBody(request, bodyOf, signal), {
    maxRequestBytes: 32,
  });
}

function answerHeads(request: Uint8Array, logs: LogReader): Verdict<Uint8Array> {
  const asked = heads.request.decode(request);
  if (asked.kind !== "accept") return asked;
  const { after } = asked.value;
  if (after !== "0x" && !isAddress(after, { strict: false }))
    return reject("MESSAGE_SCHEMA", "heads.after is no address");
  const page = logs.heads(after === "0x" ? undefined : getAddress(after), MAX_HEADS);
  const withState = page.map((head) => ({ ...head, state: logs.forkOf(head.log) ? "forked" : "live" }) as const);
  return accept(heads.answer.encode(withState));
}

function answerEntries(request: Uint8Array, logs: LogReader): Verdict<Uint8Array> {
  const asked = entries.request.decode(request);
  if (asked.kind !== "accept") return asked;
  const { log, fromSeq, limit } = asked.value;
  const fork = logs.forkOf(log);
  const evidence = fork ? [fork.first, fork.second] : [];
  return accept(
    entries.answer.encode({ headers: encoded(logs.range(log, fromSeq, limit)), evidence: encoded(evidence) }),
  );
}

const encoded = (list: readonly VerifiedHeader[]): Hex[] => list.map((header) => bytesToHex(encodeLogHeader(header)));

/** Logs whose range holds a withdrawal come first: who cannot be told all at once is told first what no longer holds. */
function answerRanges(request: Uint8Array, logs: LogReader): Verdict<Uint8Array> {
  const asked = ranges.request.decode(request);
  if (asked.kind !== "accept") return asked;
  const isWithdrawal = ({ header }: VerifiedHeader): boolean => header.kind === kinds.withdraw;
  const found = asked.value
    .map(({ log, fromSeq }) => logs.range(log, fromSeq, headersPerLog(asked.value.length)))
    .toSorted((a, b) => Number(b.some(isWithdrawal)) - Number(a.some(isWithdrawal)));
  const evidence = asked.value.flatMap(({ log }) => {
    const fork = logs.forkOf(log);
    return fork ? [fork.first, fork.second] : [];
  });
  const [headers, proofs] = [found.flat().slice(0, MAX_RANGES_HEADERS), evidence.slice(0, MAX_RANGES_EVIDENCE)];
  return accept(ranges.answer.encode({ headers: encoded(headers), evidence: encoded(proofs) }));
}

async function answerBody(request: Uint8Array, bodyOf: BodySource, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
  if (request.length !== 32) return reject("MESSAGE_SCHEMA", "a body is asked for by its 32-byte hash");
  const body = await bodyOf(bytesToHex(request), signal);
  return body === undefined ? ignore("BODY_UNKNOWN", "not held here") : accept(body);
}

/** Asks a peer for one page of its heads. */
export async function fetchHeads(
  transport: Transport,
  peer: PeerName,
  after: Address | undefined,
  signal: AbortSignal,
): Promise<Verdict<readonly Head[]>> {
  const request = heads.request.encode({ after: after ?? "0x" });
  const answer = await transport.request(peer, protocols.heads, request, { signal, maxResponseBytes: MAX_SYNC_BYTES });
  return answer.kind === "accept" ? heads.answer.decode(answer.value) : answer;
}

/** Asks a peer for headers of one log, encoded; evidence of a fork comes last. */
export async function fetchEntries(
  transport: Transport,
  peer: PeerName,
  { log, fromSeq }: MissingRange,
  limit: number,
  signal: AbortSignal,
): Promise<Verdict<readonly Uint8Array[]>> {
  const request = entries.request.encode({ log, fromSeq, limit: Math.min(limit, MAX_RANGE) });
  const answer = await transport.request(peer, protocols.entries, request, {
    signal,
    maxResponseBytes: MAX_SYNC_BYTES,
  });
  const decoded = answer.kind === "accept" ? entries.answer.decode(answer.value) : answer;
  if (decoded.kind !== "accept") return decoded;
  return accept([...decoded.value.headers, ...decoded.value.evidence].map((header) => hexToBytes(header)));
}

/** Asks a peer for headers of many logs at once, encoded; evidence of forks comes last. @param wanted at most MAX_RANGES */
export async function fetchRanges(
  transport: Transport,
  peer: PeerName,
  wanted: readonly MissingRange[],
  signal: AbortSignal,
): Promise<Verdict<readonly Uint8Array[]>> {
  const request = ranges.request.encode(wanted.map(({ log, fromSeq }) => ({ log, fromSeq })));
  const bounds = { signal, maxResponseBytes: MAX_SYNC_BYTES };
  const answer = await transport.request(peer, protocols.ranges, request, bounds);
  const decoded = answer.kind === "accept" ? ranges.answer.decode(answer.value) : answer;
  if (decoded.kind !== "accept") return decoded;
  return accept([...decoded.value.headers, ...decoded.value.evidence].map((header) => hexToBytes(header)));
}
