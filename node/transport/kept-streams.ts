import type { Stream } from "@libp2p/interface";
import type { LengthPrefixedStream } from "@libp2p/utils";

/** Open streams between requests, over all peers: as many as connections. */
const MAX_KEPT = 300;
/** The other side ends a stream that was idle for twice as long (requests.ts), so that the asker lets go first. */
export const KEPT_MS = 30_000;

/** A stream with the frames of one protocol on it. */
export interface KeptStream {
  readonly stream: Stream;
  readonly frames: LengthPrefixedStream<Stream>;
}

/** At most one idle stream a key, for the next request of that kind. Whatever ends a stream takes it out. */
export class KeptStreams {
  readonly #idle = new Map<string, KeptStream & { readonly sinceMs: number; readonly forget: () => void }>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** The stream is the caller's until it is given back. */
  take(key: string): KeptStream | undefined {
    const kept = this.#idle.get(key);
    if (kept === undefined) return undefined;
    kept.forget();
    if (isOpen(kept.stream) && this.#nowMs() - kept.sinceMs < KEPT_MS) return kept;
    end(kept.stream);
    return undefined;
  }

  give(key: string, { stream, frames }: KeptStream): void {
    if (!isOpen(stream) || this.#idle.has(key)) {
      end(stream);
      return;
    }
    const onEnd = () => {
      forget();
      end(stream);
    };
    const forget = () => {
      this.#idle.delete(key);
      stream.removeEventListener("close", onEnd);
      stream.removeEventListener("remoteCloseWrite", onEnd);
    };
    stream.addEventListener("close", onEnd);
    stream.addEventListener("remoteCloseWrite", onEnd);
    this.#idle.set(key, { stream, frames, forget, sinceMs: this.#nowMs() });
    const [oldest] = this.#idle.values();
    if (this.#idle.size > MAX_KEPT && oldest !== undefined) {
      oldest.forget();
      end(oldest.stream);
    }
  }
}

const isOpen = ({ status, writeStatus, remoteWriteStatus }: Stream) =>
  status === "open" && writeStatus === "writable" && remoteWriteStatus === "writable";

/** Nobody waits for it: a stream that does not close goes with its connection. */
function end(stream: Stream): void {
  if (stream.status !== "open") return;
  stream.close({ signal: AbortSignal.timeout(KEPT_MS) }).catch((cause: unknown) => {
    stream.abort(cause instanceof Error ? cause : new Error("close failed"));
  });
}
