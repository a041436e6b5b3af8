import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { keccak256, toHex } from "viem";
import { tableNames } from "../../../indexer/entities.ts";
import { createDecoder } from "../../../indexer/handlers/decode.ts";
import { decodeValue, encodeBig } from "../../../indexer/store/codec.ts";
import { createSqliteStore } from "../../../indexer/store/sqlite.ts";
import type { BlockBatch, BlockRef, Store } from "../../../indexer/store/store.ts";
import { eventOf, ModelChain, modelDeployment } from "../model-chain.ts";

const anchor: BlockRef = { number: 2, hash: keccak256("0x02"), parentHash: keccak256("0x01"), timestamp: 1 };

describe("SQLite store", () => {
  let folder: string;
  let store: Store;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), "surety-store-"));
    store = createSqliteStore({ path: join(folder, "index.sqlite"), chainId: modelDeployment.chainId });
    await store.open("test");
  });

  afterEach(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function dump(): Promise<string> {
    const snapshot = await store.snapshot();
    const rows = tableNames.map((table) => [table, [...(snapshot.scan(table) as Iterable<object>)]]);
    snapshot.close();
    return JSON.stringify(rows, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
  }

  /** A block after another with the given events, decoded as the driver does it. */
  async function batchAfter(previous: BlockRef, events: readonly (readonly [number, number])[]): Promise<BlockBatch> {
    const model = new ModelChain(0);
    model.mine(events.map(([kind, pick]) => eventOf(kind, pick)));
    const decode = createDecoder(modelDeployment.contracts);
    const number = previous.number + 1;
    const hash = keccak256(toHex(`${previous.hash} ${events.length}`));
    const ref = { number, hash, parentHash: previous.hash, timestamp: number };
    const logs = await model.logsOfRange(1, 1);
    const checked = logs.map((log) => {
      const decoded = decode(log);
      return { log, decoded: decoded.kind === "accept" ? decoded.value : undefined };
    });
    const block = { ref, events: checked };
    return {
      ...{ previousHash: previous.hash, blocks: [block], checkpoint: ref },
      ...{ isUndoable: true, undoFloor: anchor.number, finalized: anchor.number },
    };
  }

  it("undoes to any block exactly what came after it", async function () {
    this.timeout(60_000);
    const block = fc.array(fc.tuple(fc.nat({ max: 13 }), fc.nat({ max: 40 })), { maxLength: 8 });
    const property = fc.asyncProperty(
      fc.array(block, { minLength: 1, maxLength: 10 }),
      fc.nat(),
      async (blocks, pick) => {
        await store.wipe();
        await store.begin(anchor);
        const dumps = [await dump()];
        let previous = anchor;
        for (const events of blocks) {
          const batch = await batchAfter(previous, events);
          await store.apply(batch);
          previous = batch.checkpoint;
          dumps.push(await dump());
        }
        const kept = pick % dumps.length;
        await store.undoTo(anchor.number + kept);
        expect(await dump()).to.equal(dumps[kept]);
      },
    );
    await fc.assert(property, { numRuns: 60 });
  });

  it("refuses a batch that does not follow what is stored: another writer was here", async () => {
    await store.begin(anchor);
    const batch = await batchAfter(anchor, [[0, 1]]);
    await store.apply(batch);
    const before = await dump();
    const error = (await store.apply(batch).catch((reason: unknown) => reason)) as { code?: string };
    expect(error.code).to.equal("STORE_SECOND_WRITER");
    expect(await dump()).to.equal(before);
  });

  it("refuses to return to a block below its undo log", async () => {
    await store.begin(anchor);
    const first = await batchAfter(anchor, [[0, 1]]);
    await store.apply(first);
    const second = await batchAfter(first.checkpoint, [[1, 1]]);
    await store.apply({ ...second, undoFloor: second.checkpoint.number });
    const error = (await store.undoTo(first.checkpoint.number).catch((reason: unknown) => reason)) as { code?: string };
    expect(error.code).to.equal("STORE_NOT_UNDOABLE");
  });

  it("drops rows of another chain, deployment or schema", async () => {
    await store.begin(anchor);
    await store.apply(await batchAfter(anchor, [[0, 1]]));
    expect(await store.open("test")).to.deep.include({ isForeign: false });
    expect(await store.open("another")).to.deep.equal({ chain: undefined, isForeign: true });
    expect(await dump()).to.not.include("31337:");
  });

  it("shows a reader one block, whatever is written meanwhile", async () => {
    await store.begin(anchor);
    const snapshot = await store.snapshot();
    await store.apply(await batchAfter(anchor, [[0, 1]]));
    expect(await snapshot.get("agents", "31337:2")).to.equal(undefined);
    expect(snapshot.chain?.checkpoint.number).to.equal(anchor.number);
    snapshot.close();
    const later = await store.snapshot();
    expect(await later.get("agents", "31337:2")).to.include({ agentId: 2n });
    later.close();
  });
});

describe("column codec", () => {
  const uint256 = fc.bigInt({ min: 0n, max: (1n << 256n) - 1n });

  it("keeps the order of numbers in the order of their texts, and gives them back", () => {
    fc.assert(
      fc.property(uint256, uint256, (a, b) => {
        expect(encodeBig(a) < encodeBig(b)).to.equal(a < b);
        expect(decodeValue({ kind: "big" }, encodeBig(a))).to.equal(a);
      }),
    );
  });
});
