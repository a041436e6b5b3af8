import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { expect } from "chai";
import fc from "fast-check";
import { Client } from "pg";
import { tableNames } from "../../../indexer/entities.ts";
import { createDecoder } from "../../../indexer/handlers/decode.ts";
import { createPostgresStore } from "../../../indexer/store/postgres.ts";
import { createSqliteStore } from "../../../indexer/store/sqlite.ts";
import type { Store } from "../../../indexer/store/store.ts";
import { createSyncState, UNDO_BLOCKS, type SyncState } from "../../../indexer/sync/core.ts";
import { runSync } from "../../../indexer/sync/driver.ts";
import type { HeadWatch } from "../../../indexer/sync/heads.ts";
import { findPostgres, startPostgres, type TestPostgres } from "../../fixtures/postgres.ts";
import { refold } from "../../../indexer/verify.ts";
import { EVENT_KIND_COUNT, eventOf, ModelChain, modelDeployment, type Fault } from "../model-chain.ts";
import { isNightly } from "../../fixtures/profile.ts";

const MAX_RANGE = 40;
/** SURETY_RUNS=500 looks for rarer histories; the nightly profile runs 1,000 on each engine. */
const RUNS = Number(process.env["SURETY_RUNS"] ?? (isNightly ? 1_000 : 40));
const POSTGRES_RUNS = Number(process.env["SURETY_RUNS"] ?? (isNightly ? 1_000 : 2));

/** Opens the store of a rig, again after each restart; `remove` drops what it held. */
interface Engine {
  readonly open: () => Store;
  readonly remove: () => Promise<void>;
}

function createSqliteEngine(): Engine {
  const folder = mkdtempSync(join(tmpdir(), "surety-histories-"));
  return {
    open: () => createSqliteStore({ path: join(folder, "index.sqlite"), chainId: modelDeployment.chainId }),
    remove: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

let schemaCount = 0;
function createPostgresEngine({ url }: TestPostgres): Engine {
  const schema = `history_${++schemaCount}`;
  return {
    open: () => createPostgresStore({ url, chainId: modelDeployment.chainId, schema }),
    async remove() {
      const client = new Client({ connectionString: url });
      await client.connect();
      await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
      await client.end();
    },
  };
}

/** An indexer's sync on a model chain, with heads that the test announces. */
class Rig {
  readonly #engine: Engine;
  readonly chain: ModelChain;
  state: SyncState = createSyncState(modelDeployment.deployedAtBlock, MAX_RANGE);
  #abort = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #wake = Promise.withResolvers<undefined>();
  #onState = () => {};
  /** What all indexers of this rig met. */
  readonly met = { reorgs: 0, rebuilds: 0, refusals: 0, failures: 0 };

  constructor(engine: Engine, finalDepth: number) {
    this.#engine = engine;
    this.chain = new ModelChain(finalDepth);
  }

  start(): void {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    const store = this.#engine.open();
    const heads: HeadWatch = {
      next: async () => {
        const stopWaiting = () => this.#wake.resolve(undefined);
        signal.addEventListener("abort", stopWaiting);
        await this.#wake.promise;
        signal.removeEventListener("abort", stopWaiting);
        this.#wake = Promise.withResolvers<undefined>();
        // Lets timers run, mocha's among them, should the test wait for what never comes.
        await setImmediate();
        signal.throwIfAborted();
      },
      close: () => {},
    };
    const parts = {
      ...{ reader: this.chain, store, heads, decode: createDecoder(modelDeployment.contracts) },
      ...{ chainId: modelDeployment.chainId, identity: "model", staleAfterMs: 5_000 },
      onState: (state: SyncState) => {
        this.state = state;
        this.#onState();
      },
      onFailure: () => {},
    };
    const first = createSyncState(modelDeployment.deployedAtBlock, MAX_RANGE);
    this.#running = runSync(parts, first, signal)
      .catch((error: unknown) => {
        if (!signal.aborted) throw error;
      })
      .finally(() => store.close());
  }

  async stop(): Promise<void> {
    this.#abort.abort(new Error("stopped"));
    await this.#running;
    const { counts } = this.state;
    for (const name of Object.keys(this.met) as (keyof typeof this.met)[]) this.met[name] += counts[name];
    this.state = createSyncState(modelDeployment.deployedAtBlock, MAX_RANGE);
  }

  /** Wakes the driver until its rows are those of the chain's tip, or, unless `isStrict`, it says that it cannot know. */
  async settle(isStrict = false): Promise<void> {
    const settled = new Promise<void>((resolve) => {
      this.#onState = () => {
        const isAtTip = this.state.status === "live" && this.state.chain?.checkpoint.hash === this.chain.tip.hash;
        const isTooShort = this.chain.height < modelDeployment.deployedAtBlock - 1 && this.state.chain === undefined;
        const isStuck = isTooShort || this.state.status === "unsure";
        if (isAtTip || (isStuck && !isStrict)) resolve();
        else this.#announce();
      };
    });
    this.#announce();
    await Promise.race([settled, this.#running]);
    this.#onState = () => {};
  }

  #announce(): void {
    this.#wake.resolve(undefined);
  }

  async expectRowsOfChain(): Promise<void> {
    const store = this.#engine.open();
    const snapshot = await store.snapshot();
    const height = snapshot.chain?.checkpoint.number ?? -1;
    expect(height).to.equal(this.chain.height);
    const { expected } = await refold(this.chain, modelDeployment, height, new AbortController().signal);
    for (const table of tableNames) {
      const stored = new Map<unknown, unknown>();
      for await (const row of snapshot.scan(table)) stored.set(row["id"], row);
      expect(stored, table).to.deep.equal(new Map(expected.get(table)));
    }
    snapshot.close();
    await store.close();
  }

  remove(): Promise<void> {
    return this.#engine.remove();
  }
}

type Command =
  | { readonly kind: "mine"; readonly blocks: readonly (readonly [number, number])[][] }
  | { readonly kind: "mineEmpty"; readonly count: number }
  | { readonly kind: "reorg"; readonly depth: number; readonly growth: number }
  | { readonly kind: "reset" }
  | { readonly kind: "restart" }
  | { readonly kind: "faults"; readonly faults: readonly Fault[] }
  | { readonly kind: "settle" };

const integer = (max: number) => fc.nat({ max });
const events = fc.array(fc.tuple(integer(EVENT_KIND_COUNT - 1), integer(40)), { maxLength: 6 });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("mine" as const),
      blocks: fc.array(events, { minLength: 1, maxLength: 12 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("mineEmpty" as const), count: integer(UNDO_BLOCKS + 60) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("reorg" as const),
      depth: fc.oneof(integer(8), integer(UNDO_BLOCKS + 40)),
      growth: integer(10),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reset" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("restart" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("faults" as const),
      faults: fc.array(fc.constantFrom<Fault>("fail", "wrongBlockHash", "oldLogs", "noBlock"), { maxLength: 2 }),
    }),
  },
  { weight: 7, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
);

async function carryOut(rig: Rig, step: Command, seed: number): Promise<void> {
  const { chain } = rig;
  switch (step.kind) {
    case "mine":
      for (const block of step.blocks) chain.mine(block.map(([kind, pick]) => eventOf(kind, pick)));
      return;
    case "mineEmpty":
      for (let k = 0; k < step.count; k++) chain.mine([]);
      return;
    case "reorg":
      chain.revertTo(Math.max(0, chain.height - step.depth));
      for (let k = 0; k < step.growth; k++) chain.mine([eventOf(seed + k, seed * 3 + k)]);
      return;
    case "reset":
      chain.reset();
      return;
    case "restart":
      await rig.stop();
      rig.start();
      return;
    case "faults":
      chain.faults.push(...step.faults);
      return;
    case "settle":
      await rig.settle();
  }
}

type History = readonly [finalDepth: number, commands: readonly Command[]];

/** Histories that once failed, run first every time: what shrinking left of them. */
const notableHistories: readonly History[] = [
  // After a restart the endpoint denies the checkpoint and the undo floor: unsure, then sure again.
  [
    0,
    [
      { kind: "mine", blocks: [[], []] },
      { kind: "settle" },
      { kind: "restart" },
      { kind: "faults", faults: ["noBlock", "noBlock"] },
      { kind: "settle" },
    ],
  ],
  // A block with an event is taken back and nothing comes instead.
  [0, [{ kind: "mine", blocks: [[], [], [[0, 0]]] }, { kind: "settle" }, { kind: "reorg", depth: 1, growth: 0 }]],
  // A signer is bound twice, which our registry forbids: its list is a ring when the agent is transferred.
  [0, [{ kind: "mine", blocks: [[], [], [[3, 1]], [[3, 31]], [[0, 1]]] }]],
  // Every wrong answer there is, so that no run is without a refusal, a failure and a rebuild.
  [
    0,
    [
      { kind: "mine", blocks: [[], [], [[0, 0]]] },
      { kind: "faults", faults: ["fail"] },
      { kind: "settle" },
      { kind: "mine", blocks: [[[0, 1]]] },
      { kind: "faults", faults: ["wrongBlockHash"] },
      { kind: "settle" },
      { kind: "reset" },
      { kind: "mine", blocks: [[], [], [], [], [], []] },
      { kind: "settle" },
    ],
  ],
];

async function runHistory(engine: Engine, [finalDepth, commands]: History): Promise<Rig["met"]> {
  const rig = new Rig(engine, finalDepth);
  rig.start();
  try {
    let seed = 0;
    for (const step of commands) await carryOut(rig, step, ++seed);
    // A chain that is longer than everything before can always be told from it.
    const height = rig.chain.maxHeight + 2 * UNDO_BLOCKS;
    for (let k = 0; rig.chain.height < height; k++) rig.chain.mine(k % 5 === 0 ? [eventOf(k, k)] : []);
    rig.chain.faults.length = 0;
    await rig.settle(true);
    await rig.stop();
    await rig.expectRowsOfChain();
  } finally {
    await rig.stop();
    await rig.remove();
  }
  return rig.met;
}

describe("random histories of a chain and its indexer", function () {
  this.timeout(isNightly ? 7_200_000 : 240_000);
  const histories: fc.Arbitrary<History> = fc.tuple(
    fc.constantFrom(0, 5, UNDO_BLOCKS + 30),
    fc.array(command, { minLength: 6, maxLength: 24, size: "max" }),
  );
  /** Otherwise the histories were tame, and the test says nothing. */
  async function expectRightRows(createEngine: () => Engine, numRuns: number, notable: readonly History[]) {
    const met = { reorgs: 0, rebuilds: 0, refusals: 0, failures: 0 };
    const property = fc.asyncProperty(histories, async (history) => {
      const one = await runHistory(createEngine(), history);
      for (const name of Object.keys(met) as (keyof typeof met)[]) met[name] += one[name];
    });
    await fc.assert(property, { numRuns, examples: notable.map((history) => [history]) });
    for (const [name, count] of Object.entries(met)) expect(count, name).to.be.greaterThan(0);
  }

  it("meets events that the decoder knows, of each kind another", async () => {
    const chain = new ModelChain(0);
    chain.mine(Array.from({ length: EVENT_KIND_COUNT }, (_, kind) => eventOf(kind, 1)));
    const decode = createDecoder(modelDeployment.contracts);
    const decoded = (await chain.logsOfRange(0, 1)).map(decode);
    const names = decoded.map((event) =>
      event.kind === "accept" ? `${event.value.contract} ${event.value.name}` : event,
    );
    expect(new Set(names).size).to.equal(EVENT_KIND_COUNT);
    expect(decoded.filter(({ kind }) => kind !== "accept")).to.deep.equal([]);
  });

  it("end in exactly the rows of the chain, through reorganisations, resets, restarts and lies", async () => {
    await expectRightRows(createSqliteEngine, RUNS, notableHistories);
  });

  it("end in exactly the rows of the chain on PostgreSQL too", async function () {
    const binaries = findPostgres();
    if (binaries === undefined) {
      console.log("        no PostgreSQL on this machine: skipped; apt-get install postgresql, or set SURETY_POSTGRES");
      return this.skip();
    }
    const postgres = await startPostgres(binaries);
    // By day the one with a reorganisation, the one with everything, and few at random.
    const notable = isNightly ? notableHistories : [notableHistories[1], notableHistories[3]];
    try {
      await expectRightRows(() => createPostgresEngine(postgres), POSTGRES_RUNS, notable as History[]);
    } finally {
      await postgres.stop();
    }
  });
});
