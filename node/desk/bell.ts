/** Tells whoever waits that something has changed; what, they look up themselves. */
export class Bell {
  readonly #waiting = new Set<() => void>();
  #count = 0;

  /** How often it has rung: read it before you look, so that no change falls between the look and the wait. */
  get count(): number {
    return this.#count;
  }

  ring(): void {
    this.#count++;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Resolves once it has rung more often than `seen`, or when the signal aborts. Never rejects. */
  async heardSince(seen: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#count > seen) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const wake = () => resolve(undefined);
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    this.#waiting.delete(wake);
    signal.removeEventListener("abort", wake);
  }
}
