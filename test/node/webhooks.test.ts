// Webhooks against a real HTTP receiver that checks what it gets as any program of an owner would.
import { createHmac, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, toHex, zeroAddress, zeroHash } from "viem";
import type { Deal } from "#protocol";
import type { Clock } from "../../node/chain/port.ts";
import type { WebhookEndpoint } from "../../node/config.ts";
import type { DealStep, DealSummary } from "../../node/settlement/port.ts";
import type { Store } from "../../node/store/port.ts";
import { openStore } from "../../node/store/sqlite.ts";
import { MAX_WAITING, Webhooks } from "../../node/webhooks.ts";

const START_MS = 1_795_000_000_000;
const HOUR_MS = 3_600_000;
const secret = new TextEncoder().encode("0123456789abcdef01234567");

interface Delivery {
  readonly id: string;
  readonly timestamp: number;
  readonly body: Record<string, unknown>;
  readonly isGenuine: boolean;
}

const deal: Deal = {
  ...{ clientAgentId: 1n, providerAgentId: 2n, topic: 3n, token: zeroAddress, price: 2n ** 70n },
  ...{ providerBond: 0n, clientBond: 0n, submitBy: 10, reviewPeriod: 20, arbiter: zeroAddress, arbiterDeadline: 0 },
  ...{ mechanismHash: zeroHash, certificateHash: zeroHash, specHash: zeroHash, splitsRoot: zeroHash, epoch: 0 },
  ...{ hook: zeroAddress, salt: 1n },
};
const summary: DealSummary = {
  ...{ dealId: keccak256(toHex("deal")), role: "client", deal, state: "Funded", isEnded: false },
};
const funded: DealStep = { kind: "funded", deal: summary };

/** Time that stands still until the test moves it; what is due already runs in the next turn. */
class TestClock implements Clock {
  #nowMs = START_MS;
  readonly #timers = new Set<{ readonly atMs: number; readonly run: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, run: () => void): () => void {
    if (delayMs <= 0) {
      const soon = setImmediate(run);
      return () => clearImmediate(soon);
    }
    const timer = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  /** Milliseconds to each timer that waits. */
  delays(): number[] {
    return [...this.#timers].map(({ atMs }) => atMs - this.#nowMs);
  }

  pass(ms: number): void {
    this.#nowMs += ms;
    const due = [...this.#timers].filter(({ atMs }) => atMs <= this.#nowMs);
    for (const timer of due) {
      this.#timers.delete(timer);
      timer.run();
    }
  }
}

/** An owner's program: answers with the next status of the list, then with 200. */
class Receiver {
  readonly deliveries: Delivery[] = [];
  statuses: number[] = [];
  readonly #server: Server;
  location: string | undefined;

  constructor() {
    this.#server = createServer((request, response) => {
      void this.#take(request).then((delivery) => {
        this.deliveries.push(delivery);
        response.writeHead(
          this.statuses.shift() ?? 200,
          this.location === undefined ? {} : { location: this.location },
        );
        response.end("thank you");
      });
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/deals`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #take(request: IncomingMessage): Promise<Delivery> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const header = (name: string) => String(request.headers[name]);
    const [id, timestamp] = [header("webhook-id"), header("webhook-timestamp")];
    const expected = createHmac("sha256", secret).update(`${id}.${timestamp}.${text}`).digest();
    const [version, given = ""] = header("webhook-signature").split(",");
    const bytes = Buffer.from(given, "base64");
    const isGenuine = version === "v1" && bytes.length === expected.length && timingSafeEqual(bytes, expected);
    return { id, timestamp: Number(timestamp), body: JSON.parse(text) as Record<string, unknown>, isGenuine };
  }
}

describe("webhooks", function () {
  this.timeout(30_000);
  let folder: string;
  let clock: TestClock;
  let receiver: Receiver;
  let url: string;
  let stops: (() => Promise<void> | void)[];
  let faults: string[];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "surety-webhooks-"));
    [clock, receiver, stops, faults] = [new TestClock(), new Receiver(), [], []];
    url = await receiver.listen();
  });
  afterEach(async () => {
    for (const stop of stops.reverse()) await stop();
    await receiver.close();
    rmSync(folder, { recursive: true });
  });

  const open = (name = "node.sqlite"): Store => {
    const store = openStore(join(folder, name));
    stops.push(() => store.close());
    return store;
  };
  function start(store: Store, endpoints: readonly WebhookEndpoint[] = [{ url, secret }]): Webhooks {
    const webhooks = new Webhooks({ store, endpoints, clock, onFault: (fault) => void faults.push(String(fault)) });
    webhooks.start();
    stops.push(() => webhooks.stop());
    return webhooks;
  }
  /** Turns of the event loop, until what the test waits for has come. */
  async function until(condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(10_000);
    while (!condition()) {
      signal.throwIfAborted();
      await new Promise(setImmediate);
    }
  }
  const rowsOf = (store: Store) =>
    store
      .prepare<{ id: string; url: string; attempts: number }>("SELECT id, url, attempts FROM webhooks_waiting")
      .all();
  const delivered = (count: number, store: Store) =>
    until(() => receiver.deliveries.length === count && rowsOf(store).length === 0);
  /** The failure is noted, and the next attempt is scheduled. */
  const failed = (attempts: number, store: Store) =>
    until(() => rowsOf(store)[0]?.attempts === attempts && clock.delays().length === 1);

  it("posts each step once, signed so that the receiver can check it", async () => {
    const store = open();
    const webhooks = start(store);
    webhooks.add(funded);
    await delivered(1, store);
    webhooks.add({ kind: "submitted", deal: summary, deliverableHash: keccak256("0x01") });
    await delivered(2, store);
    const [first, second] = receiver.deliveries as [Delivery, Delivery];
    expect(first).to.include({ isGenuine: true, timestamp: START_MS / 1_000 });
    expect(first.body).to.include({ id: first.id, type: "deal.funded", role: "client", state: "Funded" });
    expect(first.body["deal"]).to.include({ price: (2n ** 70n).toString() });
    expect(second).to.include({ isGenuine: true });
    expect(second.body).to.include({ type: "deal.submitted", deliverableHash: keccak256("0x01") });
    expect(second.id).to.not.equal(first.id);
    expect(faults).to.deep.equal([]);
  });

  it("signs with the secret of the endpoint: another one's receiver refuses it", async () => {
    const store = open();
    start(store, [{ url, secret: new TextEncoder().encode("another secret of 24 byt") }]).add(funded);
    await delivered(1, store);
    expect(receiver.deliveries[0]?.isGenuine).to.equal(false);
  });

  it("tries again after 1 s, 2 s, 4 s with the same id and a new time, until it is taken", async () => {
    const store = open();
    receiver.statuses = [500, 429, 302];
    // Where a redirect leads to is nobody that the owner has named.
    receiver.location = url;
    start(store).add(funded);
    for (const [attempts, delayMs] of [
      [1, 1_000],
      [2, 2_000],
      [3, 4_000],
    ] as const) {
      await failed(attempts, store);
      expect(clock.delays()).to.deep.equal([delayMs]);
      clock.pass(delayMs - 1);
      expect(receiver.deliveries).to.have.length(attempts);
      clock.pass(1);
    }
    await delivered(4, store);
    expect(receiver.deliveries.map(({ timestamp }) => timestamp - START_MS / 1_000)).to.deep.equal([0, 1, 3, 7]);
    expect(new Set(receiver.deliveries.map(({ id }) => id)).size).to.equal(1);
    expect(receiver.deliveries.every(({ isGenuine }) => isGenuine)).to.equal(true);
    expect(clock.delays()).to.deep.equal([]);
  });

  it("waits an hour at most, and gives up after four days, saying so", async () => {
    const store = open();
    receiver.statuses = Array<number>(200).fill(500);
    start(store).add(funded);
    let attempts = 0;
    let longestMs = 0;
    while (faults.length === 0) {
      await failed(++attempts, store);
      const row = store.prepare<{ next_ms: number }>("SELECT next_ms FROM webhooks_waiting").get();
      const waitMs = (row?.next_ms ?? 0) - clock.nowMs();
      longestMs = Math.max(longestMs, waitMs);
      clock.pass(waitMs);
    }
    expect(longestMs).to.equal(HOUR_MS);
    await delivered(attempts, store);
    expect(faults.join()).to.match(/WEBHOOKS_EXPIRED: 1 webhook deliveries were given up/);
    expect(clock.nowMs() - START_MS).to.be.within(96 * HOUR_MS, 98 * HOUR_MS);
  });

  it("keeps what was not taken over a restart, and delivers it then", async () => {
    const store = open();
    receiver.statuses = [500];
    const first = start(store);
    first.add(funded);
    await failed(1, store);
    const [waiting] = rowsOf(store);
    await first.stop();
    store.close();

    const again = open();
    expect(rowsOf(again)).to.deep.equal([waiting]);
    clock.pass(1_000);
    start(again);
    await delivered(2, again);
    expect(receiver.deliveries.map(({ id }) => id)).to.deep.equal([waiting?.id, waiting?.id]);
  });

  it("adds a step once while it waits, however often it is told", async () => {
    const store = open();
    receiver.statuses = [500];
    const webhooks = start(store);
    webhooks.add(funded);
    await failed(1, store);
    webhooks.add(funded);
    expect(rowsOf(store)).to.have.length(1);
  });

  it("holds a bounded queue, and gives up the oldest of a receiver that is away for too long", () => {
    const store = open();
    const webhooks = start(store);
    // As after a long absence: nothing of these is due yet.
    store.transaction(() => {
      const insert = store.prepare("INSERT INTO webhooks_waiting VALUES (?, ?, '{}', ?, 1, ?)");
      for (let k = 0; k < MAX_WAITING; k++) insert.run(`msg_${k}`, url, START_MS - MAX_WAITING + k, START_MS + HOUR_MS);
    });
    webhooks.add(funded);
    const ids = new Set(rowsOf(store).map(({ id }) => id));
    expect(ids.size).to.equal(MAX_WAITING);
    expect(ids.has("msg_0")).to.equal(false);
    expect(ids.has("msg_1")).to.equal(true);
    expect(faults.join()).to.match(/WEBHOOKS_FULL: 1 webhook deliveries were given up/);
  });

  it("tells configured endpoints alone: what waits for one that was taken out is dropped unsent", async () => {
    const store = open();
    const other = new Receiver();
    const otherUrl = await other.listen();
    stops.push(() => other.close());
    [receiver.statuses, other.statuses] = [[500], [500]];
    const first = start(store, [
      { url, secret },
      { url: otherUrl, secret },
    ]);
    first.add(funded);
    await until(() => rowsOf(store).every(({ attempts }) => attempts === 1));
    await first.stop();
    clock.pass(1_000);
    start(store, [{ url: otherUrl, secret }]);
    await until(() => rowsOf(store).length === 0);
    expect(receiver.deliveries).to.have.length(1);
    expect(other.deliveries).to.have.length(2);
  });

  it("delivers to one endpoint while another takes the connection and never answers", async () => {
    const store = open();
    const silent = createServer(() => undefined).listen(0, "127.0.0.1");
    await once(silent, "listening");
    stops.push(() => {
      silent.closeAllConnections();
      silent.close();
    });
    const silentUrl = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const webhooks = start(store, [
      { url: silentUrl, secret },
      { url, secret },
    ]);
    webhooks.add(funded);
    webhooks.add({ kind: "disputed", deal: summary });
    await until(() => receiver.deliveries.length === 2);
    await until(() => rowsOf(store).every((row) => row.url === silentUrl));
    // The silent one is being waited for: its first delivery is still under way.
    expect(rowsOf(store).map(({ attempts }) => attempts)).to.deep.equal([0, 0]);
  });

  it("keeps nothing where no endpoint is configured", () => {
    const store = open();
    start(store, []).add(funded);
    expect(rowsOf(store)).to.deep.equal([]);
  });
});
