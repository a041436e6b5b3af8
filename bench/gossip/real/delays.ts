import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

/** Chunks on one link that wait for their time; a sender is stopped beyond it, as by a full window. */
const MAX_WAITING_BYTES = 4 * 1_048_576;

/** Links between real hosts that take as long as those of the simulator: a relay on loopback for each, which holds every chunk back. */
export class Delays {
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** @returns the port that leads to `port` with `latencyMs` each way */
  async lead(port: number, latencyMs: number): Promise<number> {
    const server = createServer((near) => {
      const far = connect({ port, host: "127.0.0.1" });
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(from);
        from.setNoDelay(true);
        pass(from, to, latencyMs);
      }
    });
    this.#servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }
}

function pass(from: Socket, to: Socket, latencyMs: number): void {
  let waiting = 0;
  from.on("data", (chunk: Buffer) => {
    waiting += chunk.length;
    if (waiting > MAX_WAITING_BYTES) from.pause();
    // Timers of one length fire in the order they were set.
    setTimeout(() => {
      waiting -= chunk.length;
      if (from.isPaused()) from.resume();
      if (to.writable) to.write(chunk);
    }, latencyMs);
  });
  from.on("error", () => undefined);
  from.on("close", () => setTimeout(() => to.destroy(), latencyMs));
}
