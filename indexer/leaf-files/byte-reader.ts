/** Cuts a stream into parts of the lengths that are asked for, each within a time: who stalls is left. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #timeoutMs: number;
  #rest: Uint8Array = new Uint8Array();

  /** @param timeoutMs for each part */
  constructor(source: AsyncIterable<Uint8Array>, timeoutMs: number) {
    this.#source = source[Symbol.asyncIterator]();
    this.#timeoutMs = timeoutMs;
  }

  /** @returns exactly so many bytes @throws when the stream ends before, fails, stalls, or the signal aborts */
  async take(length: number, signal: AbortSignal): Promise<Uint8Array> {
    const part = new Uint8Array(length);
    const late = AbortSignal.timeout(this.#timeoutMs);
    let filled = 0;
    while (filled < length) {
      if (this.#rest.length === 0) this.#rest = await this.#next(late, signal);
      const taken = this.#rest.subarray(0, length - filled);
      part.set(taken, filled);
      filled += taken.length;
      this.#rest = this.#rest.subarray(taken.length);
    }
    return part;
  }

  /** Lets the stream go; a stalled one is not waited for. */
  close(): void {
    void Promise.resolve(this.#source.return?.()).catch(() => undefined);
  }

  async #next(late: AbortSignal, signal: AbortSignal): Promise<Uint8Array> {
    const { promise: ended, reject } = Promise.withResolvers<never>();
    const onLate = () => reject(new Error(`it gave nothing for ${this.#timeoutMs} ms`));
    const onAbort = () => reject(signal.reason as Error);
    late.addEventListener("abort", onLate, { once: true });
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      signal.throwIfAborted();
      const next = this.#source.next();
      next.catch(() => undefined);
      const given = await Promise.race([next, ended]);
      if (given.done === true) throw new Error("it ended too early");
      return given.value;
    } finally {
      late.removeEventListener("abort", onLate);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
