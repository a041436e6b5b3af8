import type { Connection, Libp2p, PeerId, Stream } from "@libp2p/interface";
import { LengthPrefixedDecoder } from "@libp2p/utils";
import type { ChannelEvents, ChannelOptions, Channels, PeerName, Transport } from "./port.ts";

/** What may wait in a stream's buffer; a sender that heeds `send` stays far below, and one that does not loses its stream. */
const MAX_WRITE_BUFFER_BYTES = 1_048_576;
/** What a peer can have sent before its stream is read: one yamux window. */
const READ_SLACK_BYTES = 262_144;
const OPEN_TIMEOUT_MS = 10_000;
/** A stream that broke is opened again after so long, then after twice as long each time. */
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** One, and its successor while the first is still closing. */
const MAX_INBOUND_STREAMS = 2;

export interface ChannelsOptions {
  readonly host: Libp2p;
  readonly onFault: (fault: unknown) => void;
  readonly stopSignal: AbortSignal;
}

/** Our end of a connected peer's channel. */
interface Link {
  readonly peer: PeerId;
  stream: Stream | undefined;
  retryMs: number;
  retry: NodeJS.Timeout | undefined;
  /** Resolves whether the stream could be opened. */
  opening: Promise<boolean> | undefined;
}

/** Long-lived streams: each side opens one and writes to it, and reads from the other's. */
export function createChannels({ host, onFault, stopSignal }: ChannelsOptions): Pick<Transport, "openChannels"> {
  return { openChannels };

  async function openChannels(protocol: string, events: ChannelEvents, limits: ChannelOptions): Promise<Channels> {
    const links = new Map<PeerName, Link>();
    const closing = new AbortController();
    const ended = AbortSignal.any([closing.signal, stopSignal]);

    const guarded = (work: () => void): void => {
      try {
        work();
      } catch (fault) {
        onFault(fault);
      }
    };

    function meet(peer: PeerId): Link {
      const name = peer.toString();
      let link = links.get(name);
      if (link === undefined) {
        link = { peer, stream: undefined, retryMs: FIRST_RETRY_MS, retry: undefined, opening: undefined };
        links.set(name, link);
        void open(link);
      }
      return link;
    }

    function open(link: Link): Promise<boolean> {
      if (link.stream !== undefined) return Promise.resolve(true);
      clearTimeout(link.retry);
      link.opening ??= connect(link).finally(() => (link.opening = undefined));
      return link.opening;
    }

    async function connect(link: Link): Promise<boolean> {
      const [connection] = host.getConnections(link.peer);
      if (connection === undefined || ended.aborted) return false;
      try {
        const signal = AbortSignal.any([ended, AbortSignal.timeout(OPEN_TIMEOUT_MS)]);
        const stream = await connection.newStream(protocol, { signal, maxOutboundStreams: MAX_INBOUND_STREAMS });
        adopt(link, stream, connection);
        return true;
      } catch (cause) {
        // Limited by its relay, busy, or gone: tried again. Another language: not before it speaks to us itself.
        if (cause instanceof Error && cause.name === "UnsupportedProtocolError") {
          guarded(() => events.onRefused(link.peer.toString()));
        } else retryLater(link);
        return false;
      }
    }

    function adopt(link: Link, stream: Stream, connection: Connection): void {
      const name = link.peer.toString();
      link.stream = stream;
      stream.maxWriteBufferLength = MAX_WRITE_BUFFER_BYTES;
      stream.addEventListener("drain", () => guarded(() => events.onWritable(name)));
      stream.addEventListener("close", () => {
        if (link.stream !== stream) return;
        link.stream = undefined;
        guarded(() => events.onClosed(name));
        retryLater(link);
      });
      guarded(() => events.onOpen(name, connection.direction === "outbound"));
    }

    function retryLater(link: Link): void {
      clearTimeout(link.retry);
      if (ended.aborted || links.get(link.peer.toString()) !== link) return;
      link.retry = setTimeout(() => void open(link), link.retryMs);
      link.retry.unref();
      link.retryMs = Math.min(2 * link.retryMs, MAX_RETRY_MS);
    }

    /** What comes before our own stream is open waits in the stream, so that every frame has somebody to answer to. */
    async function read(stream: Stream, connection: Connection): Promise<void> {
      const name = connection.remotePeer.toString();
      const link = meet(connection.remotePeer);
      if (!(await open(link))) return stream.abort(new Error("no stream back"));
      const decoder = new LengthPrefixedDecoder({
        maxDataLength: limits.maxFrameBytes,
        maxBufferSize: limits.maxFrameBytes + READ_SLACK_BYTES,
      });
      stream.addEventListener("message", ({ data: bytes }) => {
        if (links.get(name) !== link || ended.aborted) return;
        try {
          for (const frame of decoder.decode(bytes)) {
            link.retryMs = FIRST_RETRY_MS;
            // A copy: a view would keep the whole of what the socket gave.
            guarded(() => events.onFrame(name, frame.slice()));
          }
        } catch (cause) {
          stream.abort(cause instanceof Error ? cause : new Error("no frame"));
          guarded(() => events.onOversized(name));
        }
      });
      stream.addEventListener("remoteCloseWrite", () => void stream.close().catch(() => undefined));
    }

    const onConnect = ({ detail }: CustomEvent<PeerId>): void => void meet(detail);
    const onDisconnect = ({ detail }: CustomEvent<PeerId>): void => {
      const link = links.get(detail.toString());
      if (link === undefined) return;
      links.delete(detail.toString());
      clearTimeout(link.retry);
      if (link.stream === undefined) return;
      link.stream = undefined;
      guarded(() => events.onClosed(detail.toString()));
    };
    await host.handle(protocol, (stream, connection) => read(stream, connection), {
      maxInboundStreams: MAX_INBOUND_STREAMS,
    });
    host.addEventListener("peer:connect", onConnect);
    host.addEventListener("peer:disconnect", onDisconnect);
    for (const peer of host.getPeers()) meet(peer);

    return {
      send: (peer, frame) => write(links.get(peer)?.stream, frame),
      async close() {
        closing.abort();
        host.removeEventListener("peer:connect", onConnect);
        host.removeEventListener("peer:disconnect", onDisconnect);
        for (const { retry, stream } of links.values()) {
          clearTimeout(retry);
          stream?.abort(new Error("the channels are closed"));
        }
        links.clear();
        await host.unhandle(protocol);
      },
    };
  }
}

/** False when the stream is full, or broken: then `onClosed` follows. */
function write(stream: Stream | undefined, frame: Uint8Array): boolean {
  if (stream === undefined) return false;
  try {
    return stream.send(prefixed(frame));
  } catch (cause) {
    stream.abort(cause instanceof Error ? cause : new Error("write failed"));
    return false;
  }
}

/** A frame behind its length as an unsigned LEB128 varint, in one piece: one write, one record of noise. */
function prefixed(frame: Uint8Array): Uint8Array {
  const prefix: number[] = [];
  let rest = frame.length;
  for (; rest >= 0x80; rest >>>= 7) prefix.push((rest & 0x7f) | 0x80);
  prefix.push(rest);
  const bytes = new Uint8Array(prefix.length + frame.length);
  bytes.set(prefix);
  bytes.set(frame, prefix.length);
  return bytes;
}
