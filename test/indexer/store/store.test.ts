import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { keccak256, pad, toHex, zeroAddress } from "viem";
import { tableNames } from "../../../indexer/entities.ts";
import { createDecoder } from "../../../indexer/handlers/decode.ts";
import { decodeValue, encodeBig } from "../../../indexer/store/codec.ts";
import { createSqliteStore } from "../../../indexer/store/sqlite.ts";
import { createPostgresStore } from "../../../indexer/store/postgres.ts";
import type { BlockBatch, BlockRef, RowQuery, RowView, Store } from "../../../indexer/store/store.ts";
import { findPostgres, startPostgres, type TestPostgres } from "../../fixtures/postgres.ts";
import { eventOf, ModelChain, modelDeployment, type ModelEvent } from "../model-chain.ts";

const anchor: BlockRef = { number: 2, hash: keccak256("0x02"), parentHash: keccak256("0x01"), timestamp: 1 };

/** An engine, and how often its random test runs: a database over a socket takes longer. */
interface Engine {
  readonly name: string;
  readonly runs: number;
  /** Undefined = not installed here. */
  readonly start: () => Promise<(() => Store) | undefined>;
  readonly stop: () => Promise<void>;
}

const { chainId } = modelDeployment;
let folder: string;
let postgres: TestPostgres | undefined;

const sqlite: Engine = {
  ...{ name: "SQLite", runs: 30 },
  start: async () => {
    folder = mkdtempSync(join(tmpdir(), "surety-store-"));
    return () => createSqliteStore({ path: join(folder, "index.sqlite"), chainId });
  },
  stop: async () => rmSync(folder, { recursive: true, force: true }),
};

const postgresql: Engine = {
  ...{ name: "PostgreSQL", runs: 4 },
  start: async () => {
    const binaries = findPostgres();
    if (binaries === undefined) {
      console.log("        no PostgreSQL on this machine: skipped; apt-get install postgresql, or set SURETY_POSTGRES");
      return undefined;
    }
    const { url } = (postgres ??= await startPostgres(binaries));
    return () => createPostgresStore({ url, chainId });
  },
  stop: async () => undefined,
};

after(async () => postgres?.stop());

async function dump(store: Store): Promise<string> {
  const snapshot = await store.snapshot();
  const rows: unknown[] = [snapshot.chain];
  for (const table of tableNames) for await (const row of snapshot.scan(table)) rows.push([table, row]);
  snapshot.close();
  return JSON.stringify(rows, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

/** A block after another with the given events, decoded as the driver does it. */
const batchAfter = (previous: BlockRef, events: readonly (readonly [number, number])[]): Promise<BlockBatch> =>
  batchOf(
    previous,
    events.map(([kind, pick]) => eventOf(kind, pick)),
  );

async function batchOf(previous: BlockRef, events: readonly ModelEvent[]): Promise<BlockBatch> {
  const model = new ModelChain(0);
  model.mine(events);
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

/** Questions of every kind, asked of both engines. */
const questions: readonly Pick<RowQuery, "table" | "where" | "orderBy">[] = [
  { table: "agents", where: [], orderBy: "agentId" },
  { table: "agents", where: [{ column: "agentWallet", comparison: "eq", value: null }], orderBy: "lastActivity" },
  { table: "agents", where: [{ column: "commitment", comparison: "not", value: null }], orderBy: "commitment" },
  { table: "agents", where: [{ column: "agentURI", comparison: "not", value: "" }], orderBy: "commitment" },
  { table: "agents", where: [{ column: "agentId", comparison: "in", value: [2n, 3n, 4n] }], orderBy: "id" },
  { table: "agents", where: [{ column: "agentId", comparison: "not_in", value: [] }], orderBy: "owner" },
  { table: "agents", where: [{ column: "agentURI", comparison: "contains_nocase", value: "HTTP" }], orderBy: "id" },
  { table: "agents", where: [{ column: "owner", comparison: "starts_with", value: "0x0" }], orderBy: "id" },
  { table: "agentMetadatas", where: [], orderBy: "key" },
  { table: "feedbacks", where: [{ column: "value", comparison: "lt", value: "0.5" }], orderBy: "value" },
  { table: "deals", where: [{ column: "price", comparison: "gte", value: 3n }], orderBy: "price" },
  { table: "deals", where: [{ column: "isTrustSkipped", comparison: "eq", value: false }], orderBy: "rating" },
  {
    table: "signers",
    where: [{ column: "agent", among: { table: "agents", column: "id", where: [{ or: [{ and: [] }, { or: [] }] }] } }],
    orderBy: "validFrom",
  },
];
/** What a reader of one block is told: every table, every question, every row by its id. */
async function answersOf(view: RowView): Promise<string> {
  const told: unknown[] = [];
  for (const table of tableNames) {
    const rows = await view.find({ table, where: [], orderBy: "id", direction: "asc", first: 1_000, skip: 0 });
    for (const row of rows) told.push(table, row, await view.get(table, row["id"] as string));
  }
  for (const question of questions) {
    told.push(await view.find({ ...question, direction: "desc", first: 4, skip: 1 }), await view.count(question));
  }
  return JSON.stringify(told, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

/** What the first engine answered. */
let answers: string | undefined;

const block = fc.array(fc.tuple(fc.nat({ max: 13 }), fc.nat({ max: 40 })), { maxLength: 8 });

for (const engine of [sqlite, postgresql]) {
  describe(`${engine.name} store`, function () {
    this.timeout(120_000);
    let createStore: () => Store;
    let store: Store;

    before(async function () {
      const create = await engine.start();
      if (create === undefined) this.skip();
      else createStore = create;
    });
    beforeEach(async () => {
      store = createStore();
      await store.open("test");
      await store.wipe();
    });
    afterEach(async () => store?.close());
    after(async () => engine.stop());

    it("undoes to any block exactly what came after it", async () => {
      const property = fc.asyncProperty(
        fc.array(block, { minLength: 1, maxLength: 10 }),
        fc.nat(),
        async (blocks, pick) => {
          await store.wipe();
          await store.begin(anchor);
          const dumps = [await dump(store)];
          let previous = anchor;
          for (const events of blocks) {
            const batch = await batchAfter(previous, events);
            await store.apply(batch);
            previous = batch.checkpoint;
            dumps.push(await dump(store));
          }
          const kept = pick % dumps.length;
          await store.undoTo(anchor.number + kept);
          expect(await dump(store)).to.equal(dumps[kept]);
        },
      );
      await fc.assert(property, { numRuns: engine.runs });
    });

    it("answers at every block that it keeps what it answered when that block was the head, through reorganisations", async () => {
      const met = { changed: 0, reorged: 0 };
      const step = fc.tuple(fc.nat({ max: 5 }), block);
      const property = fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 7 }), async (steps) => {
        await store.wipe();
        await store.begin(anchor);
        let told = [{ ref: anchor, answers: await answersOfHead() }];
        const orphans: BlockRef[] = [];
        for (const [k, [depth, events]] of steps.entries()) {
          // Every third step on the average takes back as many blocks as it says.
          const kept = depth > 3 || told.length === 1 ? told.length : Math.max(1, told.length - depth);
          if (kept < told.length) await store.undoTo((told[kept - 1] as (typeof told)[0]).ref.number);
          orphans.push(...told.slice(kept).map(({ ref }) => ref));
          told = told.slice(0, kept);
          const batch = await batchAfter((told.at(-1) as (typeof told)[0]).ref, [...events, [k, k * 7 + depth]]);
          await store.apply(batch);
          told.push({ ref: batch.checkpoint, answers: await answersOfHead() });
        }
        const snapshot = await store.snapshot();
        for (const { ref, answers: then } of told) {
          expect(await answersOf(snapshot.asOf(ref.number))).to.equal(then);
          expect(await snapshot.block({ number: ref.number })).to.deep.equal(ref);
          expect(await snapshot.block({ hash: ref.hash })).to.deep.equal(ref);
        }
        const isKept = (hash: string) => told.some(({ ref }) => ref.hash === hash);
        for (const { hash } of orphans) if (!isKept(hash)) expect(await snapshot.block({ hash })).to.equal(undefined);
        expect(await snapshot.asOf(anchor.number).changesOf("agents")).to.be.at.most(told.length * 10);
        snapshot.close();
        met.changed += new Set(told.map(({ answers: then }) => then)).size - 1;
        met.reorged += orphans.length;
      });
      const answersOfHead = async () => {
        const snapshot = await store.snapshot();
        return answersOf(snapshot).finally(() => snapshot.close());
      };
      // Two blocks are taken back for certain: a run alone may draw a chain that only grows.
      const reorged: [number, [number, number][]][] = [
        [5, [[0, 1]]],
        [5, [[3, 2]]],
        [2, [[1, 4]]],
        [5, [[0, 9]]],
      ];
      await fc.assert(property, { numRuns: 1 + Math.ceil(engine.runs / 4), examples: [[reorged]] });
      expect(met.changed).to.be.greaterThan(0);
      expect(met.reorged).to.be.greaterThan(0);
    });

    it("keeps no block below its undo floor, and the states of those above", async () => {
      await store.begin(anchor);
      const first = await batchAfter(anchor, [[0, 1]]);
      await store.apply(first);
      const second = await batchAfter(first.checkpoint, [[0, 6]]);
      await store.apply({ ...second, undoFloor: first.checkpoint.number });
      const snapshot = await store.snapshot();
      expect(await snapshot.block({ number: anchor.number })).to.equal(undefined);
      expect(await snapshot.block({ hash: anchor.hash })).to.equal(undefined);
      const past = snapshot.asOf(first.checkpoint.number);
      const owners = [past, snapshot].map(async (view) => (await view.get("agents", "31337:2"))?.owner);
      expect(await Promise.all(owners)).to.deep.equal([pad("0x2", { size: 20 }), pad("0x7", { size: 20 })]);
      snapshot.close();
    });

    it("refuses a batch that does not follow what is stored: another writer was here", async () => {
      await store.begin(anchor);
      const batch = await batchAfter(anchor, [[0, 1]]);
      await store.apply(batch);
      const before = await dump(store);
      const error = (await store.apply(batch).catch((reason: unknown) => reason)) as { code?: string };
      expect(error.code).to.equal("STORE_SECOND_WRITER");
      expect(await dump(store)).to.equal(before);
    });

    it("refuses to return to a block below its undo log", async () => {
      await store.begin(anchor);
      const first = await batchAfter(anchor, [[0, 1]]);
      await store.apply(first);
      const second = await batchAfter(first.checkpoint, [[1, 1]]);
      await store.apply({ ...second, undoFloor: second.checkpoint.number });
      const error = (await store.undoTo(first.checkpoint.number).catch((reason: unknown) => reason)) as {
        code?: string;
      };
      expect(error.code).to.equal("STORE_NOT_UNDOABLE");
    });

    it("gives the events after a position in their order, and knows which blocks have any", async () => {
      await store.begin(anchor);
      const first = await batchAfter(anchor, [
        [0, 1],
        [1, 1],
        [3, 2],
      ]);
      const empty = await batchAfter(first.checkpoint, []);
      const last = await batchAfter(empty.checkpoint, [[0, 6]]);
      for (const batch of [first, empty, last]) await store.apply(batch);
      const logs = [first, last].flatMap(({ blocks }) =>
        blocks.flatMap(({ ref: { number, hash, timestamp }, events }) =>
          events.map(({ log }) => ({ ...log, timestamp, blockNumber: number, blockHash: hash })),
        ),
      );
      const snapshot = await store.snapshot();
      const after = (block: number, logIndex: number, upTo = last.checkpoint.number, count = 9) =>
        snapshot.events({ block, logIndex }, upTo, count);
      expect(await after(0, 0)).to.deep.equal(logs);
      const { number } = first.checkpoint;
      expect(await after(number, 0)).to.deep.equal(logs.slice(1));
      expect(await after(number, 0, number)).to.deep.equal(logs.slice(1, 3));
      expect(await after(number, 0, number, 1)).to.deep.equal(logs.slice(1, 2));
      expect(await snapshot.hasEventsOf(last.checkpoint)).to.equal(true);
      expect(await snapshot.hasEventsOf({ ...last.checkpoint, hash: first.checkpoint.hash })).to.equal(false);
      expect(await snapshot.hasEventsOf(empty.checkpoint)).to.equal(false);
      snapshot.close();
    });

    it("keeps how far webhooks have come over a wipe and a restart, each by its name", async () => {
      expect(await store.readCursor("shop")).to.equal(undefined);
      await store.writeCursor("shop", "1");
      await store.writeCursor("shop", "2");
      await store.writeCursor("other", "3");
      await store.wipe();
      await store.close();
      store = createStore();
      await store.open("another identity");
      expect([await store.readCursor("shop"), await store.readCursor("other")]).to.deep.equal(["2", "3"]);
    });

    it("drops rows of another chain, deployment or schema", async () => {
      await store.begin(anchor);
      await store.apply(await batchAfter(anchor, [[0, 1]]));
      expect(await store.open("test")).to.deep.include({ isForeign: false });
      expect(await store.open("another")).to.deep.equal({ chain: undefined, isForeign: true });
      expect(await dump(store)).to.not.include("31337:");
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

    it("filters, orders, counts and pages as the other engine does", async () => {
      await store.begin(anchor);
      let previous = anchor;
      for (let pick = 0; pick < 6; pick++) {
        const batch = await batchAfter(
          previous,
          Array.from({ length: 14 }, (_, kind) => [kind, pick * 7] as const),
        );
        await store.apply(batch);
        previous = batch.checkpoint;
      }
      const snapshot = await store.snapshot();
      const seen: unknown[] = [];
      for (const { table, where, orderBy } of questions) {
        for (const direction of ["asc", "desc"] as const) {
          seen.push(await snapshot.find({ table, where, orderBy, direction, first: 5, skip: 1 }));
        }
        seen.push(await snapshot.count({ table, where }));
      }
      snapshot.close();
      const text = JSON.stringify(seen, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
      expect(text.length).to.be.greaterThan(10_000);
      expect(text).to.equal((answers ??= text));
    });

    it("keeps the longest and the oddest texts that a stranger registers, and undoes them", async () => {
      await store.begin(anchor);
      const odd = `\0 \u{1f600} ${"long ".repeat(20_000)}`;
      const file = Buffer.from(`{"type":"x","name":"\\ud800\\u0000${"n".repeat(9_000)}"}`).toString("base64");
      const uri = `data:application/json;base64,${file}`;
      const set = { agentId: 9n, indexedMetadataKey: odd, metadataKey: odd, metadataValue: "0x01" };
      const batch = await batchOf(anchor, [
        { contract: "identityRegistry", name: "MetadataSet", args: set },
        {
          contract: "identityRegistry",
          name: "URIUpdated",
          args: { agentId: 9n, newURI: uri, updatedBy: zeroAddress },
        },
      ]);
      await store.apply(batch);
      const snapshot = await store.snapshot();
      const where = [{ column: "key", comparison: "eq", value: odd.replace("\0", "\ufffd") }] as const;
      expect(await snapshot.count({ table: "agentMetadatas", where })).to.equal(1);
      expect(await snapshot.get("agents", "31337:9")).to.include({ agentURI: uri });
      snapshot.close();
      await store.undoTo(anchor.number);
      expect(await dump(store)).not.to.include("31337:9");
    });
  });
}

describe("one writer for each PostgreSQL schema", function () {
  this.timeout(60_000);
  it("refuses a second indexer while the first lives, and lets it in afterwards", async function () {
    const create = await postgresql.start();
    if (create === undefined) return this.skip();
    const [first, second] = [create(), create()];
    await first.open("test");
    const error = (await second.open("test").catch((reason: unknown) => reason)) as { code?: string };
    expect(error.code).to.equal("STORE_SECOND_WRITER");
    await first.close();
    await second.open("test");
    await second.close();
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
