import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { createEventStream, type EventStream } from "../../../indexer/graphql/event-stream.ts";
import { StatusSource, type IndexerStatus } from "../../../indexer/status.ts";
import { listen, until } from "../../fixtures/server-events.ts";

const block = { number: 7, hash: `0x${"07".repeat(32)}`, parentHash: `0x${"06".repeat(32)}`, timestamp: 70 } as const;
const backfilling: IndexerStatus = {
  ...{ sync: "backfilling", isServing: false, isReady: false, checkpoint: block, head: block, headAgeMs: 0 },
  ...{ finalized: 0, progress: 1, etaSeconds: undefined, trouble: undefined, fatal: undefined },
  counts: { reorgs: 0, undoneBlocks: 0, rebuilds: 0, refusals: 0, failures: 0 },
};

class Source extends StatusSource {
  #status = backfilling;

  read(): IndexerStatus {
    return this.#status;
  }

  become(change: Partial<IndexerStatus>): void {
    this.#status = { ...this.#status, ...change };
    this.tell();
  }
}

describe("the stream of an indexer's events", () => {
  let source: Source;
  let stream: EventStream;
  let server: Server;

  beforeEach(async () => {
    source = new Source();
    stream = createEventStream({ status: () => source.read(), watch: source.watch });
    server = createServer((request, response) => void stream.answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });
  afterEach(async () => {
    stream.close();
    await new Promise((resolve) => server.close(resolve));
  });

  const connect = async () => {
    const { port } = server.address() as AddressInfo;
    return listen(await fetch(`http://127.0.0.1:${port}/events`));
  };

  it("tells who was there before of the block with which queries begin to be answered, though it is no new one", async () => {
    const heard = await connect();
    const [, before] = await until(heard, ([event]) => event === "serving");
    expect(before).to.deep.equal({ isServing: false });
    source.become({ sync: "live", isServing: true });
    const [, told] = await until(heard, ([event]) => event === "block");
    expect(told["hash"]).to.equal(block.hash);
  });

  it("tells of no block twice, and of none while queries are not answered", async () => {
    source.become({ sync: "live", isServing: true });
    const heard = await connect();
    const events: string[] = [];
    const ended = until(heard, ([event, told]) => {
      events.push(event === "block" ? `block ${String(told["number"])}` : event);
      return told["number"] === 9;
    });
    source.become({ finalized: 3 });
    source.become({ isServing: false, checkpoint: { ...block, number: 8, hash: `0x${"08".repeat(32)}` } });
    source.become({ isServing: true, checkpoint: { ...block, number: 9, hash: `0x${"09".repeat(32)}` } });
    await ended;
    expect(events).to.deep.equal(["serving", "block 7", "serving", "serving", "block 9"]);
  });
});
