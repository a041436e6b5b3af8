import { expect } from "chai";
import fc from "fast-check";
import {
  applyEntry,
  createDeclarations,
  decodeBody,
  RETENTION_MS,
  statusOf,
  type Bodies,
  type Declarations,
  type KindName,
} from "#protocol";
import { compactLogs, type Compacted } from "../../../node/log/compaction.ts";
import { createLogStore, type LogStore } from "../../../node/log/log-store.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import { signedEntry, testDeclare, testSigner } from "../../fixtures/log.ts";

const START_MS = 1_795_000_000_000;
const DAY_MS = 86_400_000;
const author = testSigner(0);

/** A store with a log that grows; each entry a day after the one before, with a ttl of three days unless said otherwise. */
function open(index = 0) {
  const store = openStore(":memory:");
  const logs = createLogStore(store);
  const signer = testSigner(index);
  const say = <K extends KindName>(kind: K, body: Bodies[K], fields: { ttl?: number; timeMs?: number } = {}) => {
    const head = logs.headOf(signer.address);
    const seq = (head?.header.seq ?? -1) + 1;
    const place = { seq, ...(head === undefined ? {} : { prev: head.digest }), timeMs: START_MS + seq * DAY_MS };
    const { header, bytes } = signedEntry(signer, kind, body, { ttl: (3 * DAY_MS) / 1000, ...place, ...fields });
    logs.appendOwn(header, bytes, START_MS);
    return header.digest;
  };
  const compact = (nowMs: number, own: readonly `0x${string}`[] = []): Promise<Compacted> =>
    compactLogs({ logs, own: new Set(own), nowMs, signal: new AbortController().signal });
  const held = (): number[] => logs.entriesWithBody(signer.address).map(({ header }) => header.header.seq);
  return { store, logs, say, compact, held };
}

function fold(logs: LogStore): Declarations {
  let state = createDeclarations();
  for (const { header, body } of logs.entriesWithBody(author.address)) {
    const decoded = decodeBody(header.header.kind, body as Uint8Array);
    if (decoded.kind === "accept") state = applyEntry(state, { header, body: decoded.value }).state;
  }
  return state;
}
const aliveIn = (state: Declarations, nowMs: number) =>
  [...state.byId.values()].filter((d) => statusOf(d, nowMs) === "ACTIVE").map(({ id, body }) => ({ id, body }));
const withdraw = (target: `0x${string}`) => ({ target, outcome: "withdrawn" as const, reason: "" });
const receipt = { dealId: `0x${"01".repeat(32)}`, role: "client", outcome: "completed", rating: 1 } as const;

describe("compaction of logs", () => {
  it("drops what was withdrawn, with its updates, a week later, and keeps every header", async () => {
    const { logs, say, compact, held } = open();
    const id = say("declare", testDeclare());
    say("update", { target: id, ...testDeclare({ priceWei: 2n }) });
    say("withdraw", withdraw(id));
    say("declare", testDeclare({ name: "stays" }), { ttl: 10_000_000 });
    const before = logs.range(author.address, 0, 10);
    expect((await compact(START_MS + 2 * DAY_MS + RETENTION_MS - 1)).bodies).to.equal(0);
    const done = await compact(START_MS + 2 * DAY_MS + RETENTION_MS);
    expect(done).to.include({ logs: 1, bodies: 3 });
    expect(done.bytes).to.be.above(300);
    expect(held()).to.deep.equal([3]);
    expect(logs.range(author.address, 0, 10)).to.deep.equal(before);
    expect(logs.bodiless(10), "dropped bodies are not pulled again").to.deep.equal([]);
  });

  it("keeps a declaration as long as an update of it counts, and drops the updates between", async () => {
    const { logs, say, compact, held } = open();
    const id = say("declare", testDeclare());
    for (const priceWei of [2n, 3n, 4n]) say("update", { target: id, ...testDeclare({ priceWei }) });
    const nowMs = START_MS + 5 * DAY_MS;
    await compact(nowMs);
    expect(held()).to.deep.equal([0, 3]);
    expect(aliveIn(fold(logs), nowMs)[0]?.body).to.include({ priceWei: 4n });
  });

  it("keeps checkpoints and rotations of all, and receipts of one's own", async () => {
    const end = START_MS + 400 * DAY_MS;
    for (const [own, seqs] of [
      [[], [1]],
      [[author.address], [0, 1]],
    ] as const) {
      const { say, compact, held } = open();
      say("receipt", { ...receipt, transaction: receipt.dealId });
      say("rotate", { role: "ends", log: testSigner(1).address, head: receipt.dealId });
      await compact(end, own);
      expect(held()).to.deep.equal(seqs);
    }
  });

  it("keeps the bytes of a body that a living entry shares", async () => {
    const { logs, say, compact } = open();
    const body = testDeclare();
    const id = say("declare", body);
    say("withdraw", withdraw(id));
    const { header, bytes } = signedEntry(testSigner(1), "declare", body, { timeMs: START_MS + 20 * DAY_MS });
    logs.addHeaders([header], START_MS);
    await compact(START_MS + 12 * DAY_MS);
    expect(logs.bodyOf(header.header.bodyHash)).to.deep.equal(bytes);
    expect(logs.entriesWithBody(testSigner(1).address)).to.have.length(1);
  });

  it("changes nothing of what counts, whatever a log said and whenever it is compacted", async () => {
    const step = fc.record({
      what: fc.constantFrom("declare", "update", "withdraw", "receipt"),
      target: fc.nat(5),
      ttlDays: fc.integer({ min: 1, max: 9 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), fc.nat(30), async (steps, days) => {
        const { logs, say, compact } = open();
        const ids: `0x${string}`[] = [];
        for (const { what, target, ttlDays } of steps) {
          const [id, fields] = [ids[target % Math.max(1, ids.length)], { ttl: (ttlDays * DAY_MS) / 1000 }];
          if (what === "receipt") say("receipt", { ...receipt, transaction: receipt.dealId }, fields);
          else if (what === "declare" || id === undefined)
            ids.push(say("declare", testDeclare({ name: `agent ${ids.length}` }), fields));
          else if (what === "update")
            say("update", { target: id, ...testDeclare({ priceWei: BigInt(ids.length) }) }, fields);
          else say("withdraw", withdraw(id), fields);
        }
        const nowMs = START_MS + days * DAY_MS;
        const before = aliveIn(fold(logs), nowMs);
        await compact(nowMs);
        expect(aliveIn(fold(logs), nowMs)).to.deep.equal(before);
        expect((await compact(nowMs)).bodies, "a second time nothing is left to drop").to.equal(0);
      }),
      { numRuns: 25 },
    );
  });
});
