import { expect } from "chai";
import { EndpointPool, type Endpoint } from "../../../indexer/sync/endpoints.ts";
import type { ChainReader } from "../../../indexer/sync/rpc.ts";
import type { RawLog } from "../../../indexer/handlers/decode.ts";
import { ModelChain, modelDeployment, EVENT_KIND_COUNT, eventOf } from "../model-chain.ts";

const { chainId } = modelDeployment;
const signal = new AbortController().signal;
const FINAL_DEPTH = 8;

/** An endpoint of one chain that does what the test says. */
class FickleReader implements ChainReader {
  isDown = false;
  /** How many blocks it does not know yet. */
  lag = 0;
  chain = chainId;
  forge: (logs: RawLog[]) => RawLog[] = (logs) => logs;
  asked = 0;
  readonly #chain: ModelChain;

  constructor(chain: ModelChain) {
    this.#chain = chain;
  }

  chainId = async () => this.#answer(this.chain);
  finalized = async () => this.#answer(await this.#chain.finalized());
  logsOfRange = async (from: number, to: number) => this.forge(this.#answer(await this.#chain.logsOfRange(from, to)));
  logsOfBlock = async (block: Parameters<ChainReader["logsOfBlock"]>[0]) =>
    this.forge(this.#answer(await this.#chain.logsOfBlock(block)));

  async head() {
    const head = await this.#chain.header(this.#chain.height - this.lag);
    if (head === undefined) throw new Error("there is no head");
    return this.#answer(head);
  }

  async header(number: number) {
    return this.#answer(number > this.#chain.height - this.lag ? undefined : await this.#chain.header(number));
  }

  #answer<T>(value: T): T {
    this.asked++;
    if (this.isDown) throw new Error("the endpoint is down");
    return value;
  }
}

describe("several endpoints as one", () => {
  let chain: ModelChain;
  let readers: FickleReader[];
  let nowMs: number;

  beforeEach(() => {
    chain = new ModelChain(FINAL_DEPTH);
    for (let k = 0; k < 12; k++) chain.mine([eventOf(k % EVENT_KIND_COUNT, k)]);
    nowMs = 0;
  });

  function createPool(count: number): EndpointPool {
    readers = Array.from({ length: count }, () => new FickleReader(chain));
    const endpoints: Endpoint[] = readers.map((reader, k) => ({ name: `e${k}`, reader }));
    return new EndpointPool(endpoints, chainId, () => nowMs);
  }

  const at = (k: number): FickleReader => readers[k] as FickleReader;
  const currentOf = (pool: EndpointPool) => pool.status().findIndex(({ isCurrent }) => isCurrent);
  async function failureOf(promise: Promise<unknown>): Promise<string> {
    return promise.then(
      () => expect.fail("it succeeded"),
      (error: unknown) => (error as Error).message,
    );
  }

  async function logsAtTip(pool: EndpointPool): Promise<RawLog[]> {
    return pool.logsOfBlock(await pool.head(signal), signal);
  }

  it("asks the next one where one fails, and goes on with it", async () => {
    const pool = createPool(3);
    at(0).isDown = true;
    expect((await pool.head(signal)).number).to.equal(chain.height);
    expect(currentOf(pool)).to.equal(1);
    const asked = at(0).asked;
    await pool.header(3, signal);
    expect(at(0).asked).to.equal(asked);
    expect(pool.status()[0]).to.include({ failures: 1 });
  });

  it("fails only when all have failed, with the last one's reason", async () => {
    const pool = createPool(2);
    for (const reader of readers) reader.isDown = true;
    expect(await failureOf(pool.head(signal))).to.equal("the endpoint is down");
  });

  it("says which chain a foreign one serves, and never reads from one that was down when it was asked", async () => {
    const pool = createPool(2);
    at(0).chain = chainId + 1;
    expect(await pool.chainId(signal)).to.equal(chainId + 1);
    expect((await pool.head(signal)).number).to.equal(chain.height);
    expect(currentOf(pool)).to.equal(1);
  });

  it("leaves one whose head stands still while another's moves", async () => {
    const pool = createPool(2);
    at(0).lag = 5;
    expect((await pool.head(signal)).number).to.equal(chain.height - 5);
    nowMs = 10_000;
    expect((await pool.head(signal)).number).to.equal(chain.height);
    expect(currentOf(pool)).to.equal(1);
  });

  for (const [what, forge] of [
    ["leaves a log out", (logs: RawLog[]) => logs.slice(1)],
    ["changes a log", (logs: RawLog[]) => logs.map((log) => ({ ...log, payload: `${log.payload}00` as const }))],
    ["adds a log", (logs: RawLog[]) => [...logs, ...logs.map((log) => ({ ...log, logIndex: log.logIndex + 1 }))]],
  ] as const) {
    it(`takes nothing from one that ${what} while there is no majority, and what is right with one`, async () => {
      const two = createPool(2);
      at(0).forge = forge;
      expect(await failureOf(logsAtTip(two))).to.match(/contradict each other about block/);
      at(0).forge = (logs) => logs;
      expect(await logsAtTip(two)).to.deep.equal(await chain.logsOfBlock(await chain.head()));
      const three = createPool(3);
      at(0).forge = forge;
      expect(await logsAtTip(three)).to.deep.equal(await chain.logsOfBlock(await chain.head()));
      expect(three.status().map(({ contradictions }) => contradictions)).to.deep.equal([1, 0, 0]);
      expect(currentOf(three)).to.not.equal(0);
      expect(three.unwitnessed).to.equal(0);
    });
  }

  it("holds ranges against a second endpoint, too", async () => {
    const pool = createPool(2);
    at(1).forge = (logs) => logs.slice(0, -1);
    expect(await failureOf(pool.logsOfRange(1, 5, signal))).to.match(/contradict/);
    at(1).forge = (logs) => logs;
    expect(await pool.logsOfRange(1, 5, signal)).to.deep.equal(await chain.logsOfRange(1, 5));
  });

  it("waits for one that is behind, a while, and counts what it took on one's word", async () => {
    const pool = createPool(2);
    at(1).lag = 1;
    expect(await failureOf(logsAtTip(pool))).to.match(/no other endpoint has block/);
    nowMs += 20_000;
    expect(await logsAtTip(pool)).to.have.length(1);
    expect(pool.unwitnessed).to.equal(1);
    at(1).lag = 0;
    expect(await logsAtTip(pool)).to.have.length(1);
    expect(pool.unwitnessed).to.equal(1);
  });

  it("goes on with one when all others are down, and counts it", async () => {
    const pool = createPool(3);
    at(1).isDown = true;
    at(2).isDown = true;
    expect(await logsAtTip(pool)).to.have.length(1);
    expect(pool.unwitnessed).to.equal(1);
    expect(pool.status().map(({ failures }) => failures)).to.deep.equal([0, 1, 1]);
  });
});
