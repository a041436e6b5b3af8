import type { Connection, Libp2p, PeerId, Stream } from "@libp2p/interface";
import { lpStream, type LengthPrefixedStream } from "@libp2p/utils";
import type { Multiaddr } from "@multiformats/multiaddr";
import { ignore, reject, SuretyError, type Verdict } from "#protocol";
import { busyFrame, decodeAnswer, encodeAnswer, failedFrame, MAX_REASON_BYTES } from "./frame.ts";
import { KEPT_MS, KeptStreams, type KeptStream } from "./kept-streams.ts";
import type { PeerName, RequestOptions, Responder, ServeOptions, Transport } from "./port.ts";

const DEFAULT_MAX_REQUEST_BYTES = 65_536;
const DEFAULT_MAX_RESPONSE_BYTES = 1_048_576;
const DEFAULT_MAX_CONCURRENT = 16;
const DEFAULT_TIMEOUT_MS = 10_000;
/** Own requests to one peer that are under way at once; more means that we are stuck, not that we should queue. */
const MAX_OUTGOING_PER_PEER = 64;
/** Streams that a peer may open beyond what is worked on: they are answered with BUSY instead of a reset. */
const BUSY_STREAMS = 16;
/** One yamux window: what a peer can have sent of an oversized frame before it reads that the frame is refused. */
const FRAME_OVERHEAD_BYTES = 262_144;

export interface RequestsOptions {
  readonly host: Libp2p;
  readonly onFault: (fault: unknown) => void;
  readonly stopSignal: AbortSignal;
  readonly targetOf: (text: string) => Verdict<{ readonly peer: PeerId; readonly address: Multiaddr | undefined }>;
}

/** How long a stream waits for its next request. */
const IDLE_MS = 2 * KEPT_MS;

/** One frame there, one frame back, over a stream of its own or one that is kept for the next request. */
export function createRequests(options: RequestsOptions): Pick<Transport, "request" | "serve"> {
  const { host, stopSignal, targetOf } = options;
  const outgoing = createQuota();
  const kept = new KeptStreams(() => performance.now());
  const served = new Set<string>();
  return {
    async request(target, protocol, body, requestOptions) {
      const parsed = targetOf(target);
      if (parsed.kind !== "accept") return parsed;
      const { peer, address } = parsed.value;
      if (!outgoing.take(peer.toString(), MAX_OUTGOING_PER_PEER)) {
        return ignore("REQUEST_LIMIT", `${MAX_OUTGOING_PER_PEER} requests to ${peer.toString()} are under way`);
      }
      try {
        const signal = AbortSignal.any([requestOptions.signal, stopSignal]);
        const asked = { ...requestOptions, signal };
        const open = () => openStream(host, address ?? peer, protocol, asked);
        return await exchange(open, body, asked, kept, `${peer.toString()} ${protocol}`);
      } finally {
        outgoing.give(peer.toString());
      }
    },
    async serve(protocol, responder, serveOptions = {}) {
      if (served.has(protocol)) {
        throw new SuretyError("PROTOCOL_SERVED", `Protocol ${protocol} has a responder already.`, {
          values: { protocol },
          next: "Give the new responder another name or major version.",
        });
      }
      served.add(protocol);
      const limit = serveOptions.maxConcurrentPerPeer ?? DEFAULT_MAX_CONCURRENT;
      const incoming = createQuota();
      await host.handle(
        protocol,
        async (stream, connection) => answer(stream, connection, incoming, limit, responder, serveOptions, options),
        { maxInboundStreams: limit + BUSY_STREAMS, runOnLimitedConnection: true },
      );
    },
  };
}

async function openStream(
  host: Libp2p,
  target: PeerId | Multiaddr,
  protocol: string,
  { signal, maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES }: RequestOptions,
): Promise<KeptStream> {
  const stream = await host.dialProtocol(target, protocol, {
    ...{ signal, maxOutboundStreams: MAX_OUTGOING_PER_PEER },
    // One frame there and back fits a relayed connection, which else carries nothing but identification.
    runOnLimitedConnection: true,
  });
  // A refusal's reason may be longer than the answer that was hoped for.
  return { stream, frames: framesOf(stream, 1 + Math.max(maxResponseBytes, MAX_REASON_BYTES)) };
}

async function exchange(
  open: () => Promise<KeptStream>,
  body: Uint8Array,
  { signal, maxResponseBytes = DEFAULT_MAX_RESPONSE_BYTES, isStreamKept = false }: RequestOptions,
  kept: KeptStreams,
  name: string,
): Promise<Verdict<Uint8Array>> {
  const key = `${name} ${maxResponseBytes}`;
  let used = isStreamKept ? kept.take(key) : undefined;
  try {
    const answered = used === undefined ? undefined : await askAgain(used, body, signal);
    if (answered === undefined) {
      used = undefined;
      used = await open();
    }
    const asked = used as KeptStream;
    const frame = answered ?? (await ask(asked.frames, body, signal));
    if (isStreamKept) kept.give(key, asked);
    else await asked.stream.close({ signal });
    const verdict = decodeAnswer(frame);
    if (verdict.kind !== "accept" || verdict.value.length <= maxResponseBytes) return verdict;
    return reject("FRAME_TOO_LARGE", `an answer of ${verdict.value.length} bytes of at most ${maxResponseBytes}`);
  } catch (cause) {
    used?.stream.abort(cause instanceof Error ? cause : new Error("request failed"));
    return verdictOf(cause, signal, used !== undefined);
  }
}

async function ask(frames: KeptStream["frames"], body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  await frames.write(body, { signal });
  return (await frames.read({ signal })).subarray();
}

/** @returns undefined where the other side had closed the stream: whoever closes instead of answering has not read the request */
async function askAgain(
  { stream, frames }: KeptStream,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    return await ask(frames, body, signal);
  } catch (cause) {
    if (signal.aborted || !(cause instanceof Error) || cause.name !== "UnexpectedEOFError") throw cause;
    stream.abort(cause);
    return undefined;
  }
}

/** What the network did, by name. */
function verdictOf(cause: unknown, signal: AbortSignal, isConnected: boolean): Verdict<never> {
  if (signal.aborted) return ignore("REQUEST_ABORTED", reasonOf(signal.reason));
  const name = cause instanceof Error ? cause.name : "";
  switch (name) {
    case "InvalidDataLengthError":
    case "InvalidDataLengthLengthError":
    case "StreamBufferError":
      return reject("FRAME_TOO_LARGE", reasonOf(cause));
    case "UnexpectedPeerError":
      return reject("PEER_MISMATCH", reasonOf(cause));
    case "UnsupportedProtocolError":
      return ignore("PROTOCOL_UNKNOWN", reasonOf(cause));
    default:
      return ignore(isConnected ? "STREAM_BROKEN" : "PEER_UNREACHABLE", reasonOf(cause));
  }
}

/** Serves one stream; whatever a stranger does with it ends here. */
async function answer(
  stream: Stream,
  connection: Connection,
  incoming: Quota,
  limit: number,
  responder: Responder,
  { maxRequestBytes = DEFAULT_MAX_REQUEST_BYTES, timeoutMs = DEFAULT_TIMEOUT_MS, areStreamsKept = false }: ServeOptions,
  { stopSignal, onFault }: RequestsOptions,
): Promise<void> {
  const from = connection.remotePeer.toString();
  const gone = new AbortController();
  stream.addEventListener("close", () => gone.abort());
  const within = (ms: number) => AbortSignal.any([gone.signal, stopSignal, AbortSignal.timeout(ms)]);
  const frames = framesOf(stream, maxRequestBytes);
  /** @returns whether the stream can be read further */
  const serveOne = async (read: (signal: AbortSignal) => Promise<Verdict<Uint8Array>>): Promise<boolean> => {
    const signal = within(timeoutMs);
    const hasPlace = incoming.take(from, limit);
    try {
      if (!hasPlace) await frames.write(busyFrame, { signal });
      return hasPlace && (await answerRequest(frames, await read(signal), responder, from, signal, onFault));
    } finally {
      if (hasPlace) incoming.give(from);
    }
  };
  try {
    let isReadable = await serveOne((signal) => readRequest(frames, signal));
    while (areStreamsKept && isReadable) {
      const next = await readNext(frames, within(IDLE_MS), gone.signal);
      isReadable = next !== undefined && (await serveOne(() => Promise.resolve(next)));
    }
    await stream.close({ signal: within(timeoutMs) });
  } catch (cause) {
    stream.abort(cause instanceof Error ? cause : new Error("answer failed"));
  }
}

/** @returns whether the request was one: after bytes that are none nothing on the stream can be told apart */
async function answerRequest(
  frames: LengthPrefixedStream<Stream>,
  request: Verdict<Uint8Array>,
  responder: Responder,
  from: PeerName,
  signal: AbortSignal,
  onFault: (fault: unknown) => void,
): Promise<boolean> {
  let response: Uint8Array;
  if (request.kind !== "accept") response = encodeAnswer(request);
  else {
    try {
      response = encodeAnswer(await responder(request.value, from, signal));
    } catch (fault) {
      if (signal.aborted) throw fault;
      onFault(fault);
      response = failedFrame;
    }
  }
  await frames.write(response, { signal });
  return request.kind === "accept";
}

/** @returns undefined where the asker has closed the stream, or asked nothing for long */
async function readNext(
  frames: LengthPrefixedStream<Stream>,
  signal: AbortSignal,
  gone: AbortSignal,
): Promise<Verdict<Uint8Array> | undefined> {
  try {
    return await readRequest(frames, signal);
  } catch (cause) {
    const isIdle = signal.aborted && !gone.aborted;
    if (isIdle || (cause instanceof Error && cause.name === "UnexpectedEOFError")) return undefined;
    throw cause;
  }
}

/** An oversized request is answered with its name before the stream ends. */
async function readRequest(frames: LengthPrefixedStream<Stream>, signal: AbortSignal): Promise<Verdict<Uint8Array>> {
  try {
    return { kind: "accept", value: (await frames.read({ signal })).subarray() };
  } catch (cause) {
    const verdict = verdictOf(cause, signal, true);
    if (verdict.kind === "reject") return verdict;
    throw cause;
  }
}

/** Frames with a varint length; the length is checked before its bytes are awaited, the buffer is bounded by it and one window. */
const framesOf = (stream: Stream, maxBytes: number): LengthPrefixedStream<Stream> =>
  lpStream(stream, { maxDataLength: maxBytes, maxBufferSize: maxBytes + FRAME_OVERHEAD_BYTES });

/** Counts what is under way per peer; holds an entry only while the count is not zero. */
interface Quota {
  take(peer: PeerName, limit: number): boolean;
  give(peer: PeerName): void;
}
function createQuota(): Quota {
  const counts = new Map<PeerName, number>();
  return {
    take(peer, limit) {
      const count = counts.get(peer) ?? 0;
      if (count >= limit) return false;
      counts.set(peer, count + 1);
      return true;
    },
    give(peer) {
      const count = counts.get(peer) ?? 0;
      if (count > 1) counts.set(peer, count - 1);
      else counts.delete(peer);
    },
  };
}

const reasonOf = (cause: unknown): string => (cause instanceof Error ? cause.message.slice(0, 160) : "no reason given");
