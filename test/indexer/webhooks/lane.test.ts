// One subscription on a real store, with a chain and a receiver that do what they like at every moment.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import fc from "fast-check";
import { numberToHex, type Hex } from "viem";
import { createDecoder } from "../../../indexer/handlers/decode.ts";
import { createSqliteStore } from "../../../indexer/store/sqlite.ts";
import type { Store } from "../../../indexer/store/store.ts";
import { beginCursor, intend, pass, rewind } from "../../../indexer/webhooks/cursor.ts";
import { Lane } from "../../../indexer/webhooks/lane.ts";
import type { WebhookMessage } from "../../../indexer/webhooks/post.ts";
import { isWanted, type Subscription } from "../../../indexer/webhooks/subscriptions.ts";
import { isNightly } from "../../fixtures/profile.ts";
import { EVENT_KIND_COUNT, eventOf, ModelChain, modelDeployment, type ModelEvent } from "../model-chain.ts";

const RUNS = Number(process.env["SURETY_RUNS"] ?? (isNightly ? 1_000 : 10));
const anchorNumber = modelDeployment.deployedAtBlock - 1;
const decode = createDecoder(modelDeployment.contracts);
const never = new AbortController().signal;

/** What the chain does. */
type ChainStep =
  | { readonly kind: "mine"; readonly counts: readonly number[] }
  | { readonly kind: "reorg"; readonly depth: number; readonly branch: number; readonly counts: readonly number[] }
  | { readonly kind: "rebuild"; readonly branch: number; readonly counts: readonly number[] };
/** What becomes of a message: refused and unheard fail alike for the sender; it is killed before or after it was taken. */
type Fate = "taken" | "refused" | "unheard" | "killedBefore" | "killedAfter";
type Step = ChainStep | { readonly kind: "turns"; readonly count: number } | { readonly kind: "restart" };

const counts = fc.array(fc.nat({ max: 4 }), { maxLength: 5 });
const branch = fc.nat({ max: 2 });
const chainStep: fc.Arbitrary<ChainStep> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("mine" as const), counts }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("reorg" as const), depth: fc.nat({ max: 6 }), branch, counts }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("rebuild" as const), branch, counts }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: chainStep },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("turns" as const), count: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
);
const fate = fc.oneof(
  { weight: 4, arbitrary: fc.constant<Fate>("taken") },
  { weight: 4, arbitrary: fc.constantFrom<Fate>("refused", "unheard", "killedBefore", "killedAfter") },
);
/** Of a message, and what the chain does while it is on its way. */
const fates = fc.array(fc.tuple(fate, fc.option(chainStep, { freq: 4, nil: undefined })), { maxLength: 30 });

interface Told {
  readonly number: number;
  readonly hash: Hex;
  readonly logIndex: number;
}

/** Keeps what stands, as a receiver that believes the messages alone: drops ids that it knows, and what a notice calls void. */
class Believer {
  standing: Told[] = [];
  readonly #ids = new Set<string>();
  notices = 0;

  take({ id, body }: WebhookMessage): void {
    if (this.#ids.has(id)) return;
    this.#ids.add(id);
    const { type, voidAbove, block, logIndex } = JSON.parse(body) as {
      readonly [name: string]: unknown;
      readonly voidAbove: number;
      readonly block: { readonly number: number; readonly hash: Hex };
      readonly logIndex: number;
    };
    if (type === "reorg") {
      this.notices++;
      this.standing = this.standing.filter(({ number }) => number <= voidAbove);
    } else this.standing.push({ number: block.number, hash: block.hash, logIndex });
  }
}

/** Events that follow from what a block's hash is made of, so that a block that comes back is the same. */
const eventsOf = (number: number, count: number): ModelEvent[] =>
  Array.from({ length: count }, (_, k) => eventOf((number * 7 + count * 3 + k) % EVENT_KIND_COUNT, number + k));

/** A chain, the store that follows it, and one subscription. */
class World {
  readonly chain = new ModelChain(0);
  readonly believer = new Believer();
  readonly #store: Store;
  readonly #subscription: Subscription;
  readonly #fates: (readonly [Fate, ChainStep | undefined])[];
  readonly met = { kills: 0, failures: 0 };
  #lane: Lane;

  constructor(store: Store, subscription: Subscription, all: readonly (readonly [Fate, ChainStep | undefined])[]) {
    this.#store = store;
    this.#subscription = subscription;
    this.#fates = [...all];
    this.#lane = this.#createLane();
    for (let number = 1; number <= anchorNumber; number++) this.chain.mine([]);
  }

  #createLane(): Lane {
    return new Lane(this.#subscription, {
      ...{ store: this.#store, chainId: modelDeployment.chainId, deployment: "model", decode, isServing: () => true },
      now: () => 0,
      post: async (_receiver, message) => {
        const [how, during] = this.#fates.shift() ?? ["taken"];
        if (how !== "refused" && how !== "killedBefore") this.believer.take(message);
        if (during !== undefined) await this.advance(during);
        if (how === "taken") return undefined;
        if (how.startsWith("killed")) throw new Error("killed");
        return how;
      },
    });
  }

  restart(): void {
    this.#lane = this.#createLane();
  }

  /** @returns whether nothing is left to tell */
  async turn(): Promise<boolean> {
    try {
      const turn = await this.#lane.turn(never);
      if (turn === "failed") this.met.failures++;
      return turn === "idle";
    } catch (error) {
      if ((error as Error).message !== "killed") throw error;
      this.met.kills++;
      this.restart();
      return false;
    }
  }

  async advance(next: ChainStep): Promise<void> {
    const { chain } = this;
    if (next.kind === "reorg") chain.revertTo(Math.max(anchorNumber, chain.height - next.depth), next.branch);
    if (next.kind === "rebuild") chain.revertTo(0, next.branch);
    for (const count of next.counts) chain.mine(eventsOf(chain.height + 1, count));
    if (next.kind === "rebuild") {
      await this.#store.wipe();
      while (chain.height < anchorNumber) chain.mine([]);
    }
    await this.follow();
  }

  /** Brings the store to the chain's tip. */
  async follow(): Promise<void> {
    const { chain } = this;
    const snapshot = await this.#store.snapshot();
    snapshot.close();
    const anchor = await chain.header(anchorNumber);
    if (anchor === undefined) throw new Error("the chain is shorter than its anchor");
    const stored = snapshot.chain?.anchor.hash === anchor.hash ? snapshot.chain.checkpoint.number : undefined;
    if (stored === undefined) {
      await this.#store.wipe();
      await this.#store.begin(anchor);
    }
    let number = Math.min(stored ?? anchorNumber, chain.height);
    while ((await this.#store.hashAt(number)) !== (await chain.header(number))?.hash) number--;
    if (stored !== undefined && number < stored) await this.#store.undoTo(number);
    for (; number < chain.height; number++) await this.#applyAfter(number);
  }

  async #applyAfter(number: number): Promise<void> {
    const [previous, ref] = await Promise.all([this.chain.header(number), this.chain.header(number + 1)]);
    if (previous === undefined || ref === undefined) throw new Error(`no block ${number + 1}`);
    const events = (await this.chain.logsOfBlock(ref)).map((log) => {
      const decoded = decode(log);
      return { log, decoded: decoded.kind === "accept" ? decoded.value : undefined };
    });
    await this.#store.apply({
      ...{ previousHash: previous.hash, blocks: [{ ref, events }], checkpoint: ref, isUndoable: true },
      ...{ undoFloor: anchorNumber, finalized: anchorNumber },
    });
  }

  /** What has to stand in the end. */
  async wanted(): Promise<Told[]> {
    const from = this.#subscription.fromBlock ?? 0;
    return (await this.chain.logsOfRange(from, this.chain.height)).flatMap((log) => {
      const decoded = decode(log);
      if (decoded.kind !== "accept" || !isWanted(this.#subscription, decoded.value)) return [];
      return [{ number: log.blockNumber, hash: log.blockHash, logIndex: log.logIndex }];
    });
  }
}

describe("a webhook's lane", function () {
  this.timeout(isNightly ? 3_600_000 : 120_000);
  let folder: string;
  let store: Store;
  let worlds = 0;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "surety-lane-"));
    store = createSqliteStore({ path: join(folder, "index.sqlite"), chainId: modelDeployment.chainId });
    await store.open("model");
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const base: Omit<Subscription, "name" | "rules"> = {
    ...{ url: "https://receiver.example/", secret: new Uint8Array(24), network: "public" },
    ...{ finality: "unsafe", fromBlock: anchorNumber + 1 },
  };
  /** Everything, and what leaves gaps between the blocks that are told of. */
  const rulesOf = { all: [], some: [{ contract: "identityRegistry", args: {} }] } as const;

  async function createWorld(
    rules: keyof typeof rulesOf,
    all: readonly (readonly [Fate, ChainStep | undefined])[],
  ): Promise<World> {
    const world = new World(store, { ...base, name: `world-${++worlds}`, rules: rulesOf[rules] }, all);
    await world.follow();
    return world;
  }

  it("leaves exactly the chain's events standing, in order, whatever restarts, failures and reorganisations", async () => {
    const met = { kills: 0, failures: 0, notices: 0, told: 0 };
    const property = fc.asyncProperty(
      fc.constantFrom("all" as const, "some" as const),
      fc.array(step, { minLength: 4, maxLength: 20, size: "max" }),
      fates,
      async (rules, steps, all) => {
        const world = await createWorld(rules, all);
        for (const next of steps) {
          if (next.kind === "restart") world.restart();
          else if (next.kind === "turns") for (let k = 0; k < next.count; k++) await world.turn();
          else await world.advance(next);
        }
        while (!(await world.turn()));
        expect(world.believer.standing).to.deep.equal(await world.wanted());
        met.kills += world.met.kills;
        met.failures += world.met.failures;
        met.notices += world.believer.notices;
        met.told += world.believer.standing.length;
      },
    );
    // Told, undone, told again by the same block: its second message is no repetition of the first.
    const one = { kind: "reorg", depth: 1, branch: 1, counts: [2] } as const;
    const other = { ...one, branch: 2 };
    const turns = { kind: "turns", count: 2 } as const;
    const mined = { kind: "mine", counts: [1, 2] } as const;
    const returning: [keyof typeof rulesOf, Step[], []] = ["all", [mined, one, turns, other, turns, one, turns], []];
    // Taken, and killed before anything could be written; then the block is undone, and nothing comes instead.
    const unheard: [keyof typeof rulesOf, Step[], [Fate, ChainStep | undefined][]] = [
      "all",
      [mined, turns, { kind: "mine", counts: [3] }, turns],
      [
        ["taken", undefined],
        ["taken", undefined],
        ["taken", undefined],
        ["killedAfter", { ...one, counts: [] }],
      ],
    ];
    await fc.assert(property, { numRuns: RUNS, examples: [returning, unheard] });
    for (const [name, count] of Object.entries(met)) expect(count, name).to.be.greaterThan(0);
  });
});

describe("a webhook's cursor", () => {
  it("stays below 8 KB over 100,000 told blocks, and goes back at most a third farther than the chain does", async () => {
    let cursor = beginCursor("model", 0);
    for (let blockNumber = 1; blockNumber <= 100_000; blockNumber++) {
      const event = { blockNumber, blockHash: numberToHex(blockNumber, { size: 32 }), logIndex: 0 };
      cursor = pass(intend(cursor, event), event);
    }
    expect(JSON.stringify(cursor).length).to.be.lessThan(8_000);
    for (let depth = 1; depth <= 100_000; depth = Math.ceil(depth * 1.1)) {
      const last = 100_000 - depth;
      const { voidAbove, at, reorgs } = await rewind(cursor, ({ number }) => number <= last);
      expect(voidAbove, `${depth} deep`).to.be.within(Math.max(0, 100_000 - (4 / 3) * depth), last);
      expect([at.block, reorgs]).to.deep.equal([voidAbove, 1]);
    }
    expect(await rewind(cursor, () => true)).to.equal(cursor);
  });
});
