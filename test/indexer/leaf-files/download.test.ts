// One file of leaves from one source after the other, judged in the real worker, stored in both engines.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import fc from "fast-check";
import {
  CHUNK_DEPTH,
  CHUNK_LEAVES,
  encodeFileHeader,
  encodeLeaves,
  encodeLeavesFile,
  fileLayoutOf,
  fileNameOf,
  LeafTree,
  leavesOfChunk,
  MAX_PIECE_BYTES,
  packLeaf,
  PIECE_CHUNKS,
  proofFromLevels,
  verifyProof,
} from "#protocol";
import { createPostgresStore, createSqliteStore, type Store } from "../../../indexer/index.ts";
import { afterAttempt, announced, bestOf, type Outcome } from "../../../indexer/leaf-files/core.ts";
import { download, type Attempt } from "../../../indexer/leaf-files/download.ts";
import { LeafJudge } from "../../../indexer/leaf-files/judge.ts";
import { createFileSource, type FileSource } from "../../../indexer/leaf-files/sources.ts";
import type { LeafFile } from "../../../indexer/store/store.ts";
import { findPostgres, startPostgres } from "../../fixtures/postgres.ts";
import { isNightly, nightly } from "../../fixtures/profile.ts";

const LEAF_COUNT = 2 * PIECE_CHUNKS * CHUNK_LEAVES + 300;
const wordsOf = (count: number) =>
  Array.from({ length: count }, (_, k) =>
    packLeaf({ agentId: k, score: BigInt(k), cum: 0n, prior: 1n, rowSum: BigInt(k % 1_000) }),
  );
const words = wordsOf(LEAF_COUNT);
const tree = new LeafTree(words);
const bytes = encodeLeavesFile(words);
const id = { root: tree.root, leafCount: LEAF_COUNT };
const { leavesOffset } = fileLayoutOf(LEAF_COUNT);
const never = new AbortController().signal;

describe("a file of leaves, loaded", function () {
  this.timeout(60_000);
  let folder: string;
  let judge: LeafJudge;
  const stores: Store[] = [];
  const servers: Server[] = [];
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "surety-leaves-"));
    judge = new LeafJudge();
  });
  after(async () => {
    await judge.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  let count = 0;
  const pathOf = (name = `index-${count++}.sqlite`) => join(folder, name);
  const openSqlite = async (path = pathOf()) => {
    const store = createSqliteStore({ path, chainId: 1 });
    stores.push(store);
    await store.open("one");
    return store;
  };
  const load = async (store: Store, source: FileSource | string, partTimeoutMs = 10_000): Promise<Attempt> => {
    const file = (await store.leafFiles.read(id)) ?? announced(id, 1);
    const parts = { store: store.leafFiles, judge, partTimeoutMs };
    return download(file, typeof source === "string" ? createFileSource(source) : source, parts, never);
  };
  const serve = async (answer: (range: string | undefined, response: ServerResponse) => void): Promise<string> => {
    const server = createServer((request, response) => answer(request.headers.range, response));
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/leaves`;
  };
  /** Every leaf, and proofs of some, as a query reads them. */
  const expectWhole = async (store: Store) => {
    const snapshot = await store.snapshot();
    const top = (await snapshot.leafTop(id)) as Uint8Array;
    for (let chunk = 0; chunk < fileLayoutOf(LEAF_COUNT).chunkCount; chunk++) {
      const levels = (await snapshot.leafChunk(id, chunk)) as Uint8Array;
      const [start, end] = [chunk * CHUNK_LEAVES, Math.min((chunk + 1) * CHUNK_LEAVES, LEAF_COUNT)];
      const expected = encodeLeaves(words.slice(start, end));
      expect(Buffer.compare(leavesOfChunk(levels, LEAF_COUNT, chunk), expected)).to.equal(0);
      const leaf = { index: end - 1, word: words[end - 1] as bigint };
      expect(verifyProof(tree.root, LEAF_COUNT, leaf, proofFromLevels(end - 1, levels, top, LEAF_COUNT))).to.equal(
        true,
      );
    }
    snapshot.close();
  };

  const engines: Record<string, () => Promise<{ store: Store; stop: () => Promise<void> } | undefined>> = {
    SQLite: async () => ({ store: await openSqlite(), stop: () => Promise.resolve() }),
    PostgreSQL: async () => {
      const binaries = findPostgres();
      if (binaries === undefined) return undefined;
      const postgres = await startPostgres(binaries);
      const store = createPostgresStore({ url: postgres.url, chainId: 1 });
      return { store, stop: async () => store.close().then(() => postgres.stop()) };
    },
  };
  for (const [name, start] of Object.entries(engines)) {
    it(`gives every leaf with its proof, outlives a rebuild of the rows, and goes when it is the oldest: ${name}`, async function () {
      const engine = await start();
      if (engine === undefined) return this.skip();
      const { store, stop } = engine;
      try {
        // A snapshot of a database without such tables is as good as one without files.
        const before = await store.snapshot();
        expect(await before.leafFile(id)).to.equal(undefined);
        before.close();
        await store.open("one");
        writeFileSync(join(folder, fileNameOf(id.root)), bytes);
        const { file, outcome } = await load(store, folder);
        expect(outcome.kind).to.equal("verified");
        await store.leafFiles.write(afterAttempt(file, outcome, 100));
        await store.open("another");
        await expectWhole(store);
        const snapshot = await store.snapshot();
        expect(await snapshot.leafFile(id)).to.include({ state: "verified", knownChunks: 66, epoch: 1 });
        expect(await snapshot.leafFileCounts()).to.include({ verified: 1, missing: 0 });
        snapshot.close();
        const newer = { ...announced({ ...id, leafCount: 7 }, 2), knownChunks: 1 };
        await store.leafFiles.write(newer);
        await store.leafFiles.prune(LEAF_COUNT);
        expect(await store.leafFiles.read(id)).to.equal(undefined);
        expect(await store.leafFiles.read(newer)).to.deep.equal(newer);
      } finally {
        await stop();
      }
    });
  }

  it("goes on where a killed process left it, from a server that knows ranges or not", async () => {
    const path = pathOf();
    const asked: (string | undefined)[] = [];
    const hung = Promise.withResolvers<undefined>();
    let hasHung = false;
    const url = await serve((range, response) => {
      asked.push(range);
      const from = Number(/\d+/.exec(range ?? "")?.[0] ?? 0);
      if (!hasHung) {
        // All of the first piece, and half of the second.
        hasHung = true;
        response.writeHead(200).write(bytes.subarray(0, leavesOffset + 1.5 * MAX_PIECE_BYTES));
        hung.resolve(undefined);
      } else if (asked.length === 2) response.writeHead(200).end(bytes);
      else
        response.writeHead(206, { "content-range": `bytes ${from}-${bytes.length - 1}/*` }).end(bytes.subarray(from));
    });
    const script = fileURLToPath(new URL("../fixtures/leaf-files-child.ts", import.meta.url));
    const child = spawn(process.execPath, [script, path, url, id.root, String(LEAF_COUNT)], { stdio: "ignore" });
    await hung.promise;
    const store = await openSqlite(path);
    while (((await store.leafFiles.read(id))?.knownChunks ?? 0) < PIECE_CHUNKS) await delay(20);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect((await store.leafFiles.read(id))?.knownChunks).to.equal(PIECE_CHUNKS);
    // A server without ranges sends all again; what is here is skipped.
    expect((await load(store, url)).outcome.kind).to.equal("verified");
    await expectWhole(store);
    const range = `bytes=${leavesOffset + MAX_PIECE_BYTES}-`;
    expect(asked).to.deep.equal([undefined, range]);
    const fresh = await openSqlite();
    await fresh.leafFiles.write({ ...announced(id, 1), knownChunks: 0 });
    expect((await load(fresh, url)).outcome.kind).to.equal("verified");
  });

  it("is missing, false or broken, as its source was, and what was true of it stays", async () => {
    const store = await openSqlite();
    const wrong = bytes.slice();
    wrong[leavesOffset + MAX_PIECE_BYTES + 40]! ^= 1;
    const outlineWrong = bytes.slice();
    outlineWrong[40]! ^= 1;
    const shorter = encodeLeavesFile(words.slice(0, 5));
    const answers: Record<string, (response: ServerResponse) => void> = {
      "missing: has no such file": (response) => response.writeHead(404).end(),
      "broken: status 500": (response) => response.writeHead(500).end(),
      "broken: fetch failed": (response) => response.writeHead(302, { location: "http://127.0.0.1:1/" }).end(),
      "false: LEAVES_HEADER": (response) => response.end(Buffer.from("<html>".repeat(1_000))),
      "false: LEAVES_COUNT": (response) => response.end(shorter),
      "false: LEAVES_OUTLINE": (response) => response.end(outlineWrong),
      "broken: gave nothing for": (response) => response.writeHead(200).write(bytes.subarray(0, 700)),
      "broken: ended too early": (response) => response.end(bytes.subarray(0, 700)),
      "broken: terminated": (response) => response.destroy(),
    };
    for (const [expected, answer] of Object.entries(answers)) {
      const url = await serve((_range, response) => answer(response));
      const { outcome, file } = await load(store, url, 400);
      const [kind, detail] = expected.split(": ") as [string, string];
      expect(outcome.kind, expected).to.equal(kind);
      if (detail !== "terminated") expect((outcome as { detail: string }).detail, expected).to.include(detail);
      expect(file.knownChunks).to.equal(0);
    }
    const liar = await serve((_range, response) => response.end(wrong));
    const first = await load(store, liar);
    expect(first.outcome).to.deep.include({ kind: "false" });
    expect(first.file.knownChunks).to.equal(PIECE_CHUNKS);
    const honest = await serve((_range, response) => response.end(bytes));
    expect((await load(store, honest)).outcome.kind).to.equal("verified");
    await expectWhole(store);
  });

  it("is whole at last, and never anything but true, whatever several sources give and in whatever pieces", async () => {
    type Habit = "honest" | "cut" | "flip" | "throw" | "absent";
    const visits = fc.array(
      fc.record({
        habit: fc.constantFrom<Habit>("honest", "cut", "cut", "flip", "throw", "absent"),
        at: fc.nat({ max: bytes.length - 1 }),
        step: fc.constantFrom(1_000, 65_536, 300_000, bytes.length),
      }),
      { minLength: 1, maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(visits, async (script) => {
        const store = await openSqlite();
        let known = 0;
        for (const { habit, at, step } of [...script, { habit: "honest", at: 0, step: 65_536 } as const]) {
          const source: FileSource = {
            name: habit,
            open: (_root, from) => Promise.resolve(habit === "absent" ? undefined : stream(from)),
          };
          async function* stream(from: number): AsyncIterable<Uint8Array> {
            const given = habit === "cut" ? bytes.slice(0, Math.max(at, from)) : bytes.slice();
            if (habit === "flip") given[at]! ^= 1;
            for (let offset = from; offset < given.length; offset += step) {
              if (habit === "throw" && offset >= at) throw new Error("gone");
              yield given.subarray(offset, offset + step);
            }
          }
          const { outcome, file } = await load(store, source);
          expect(file.knownChunks).to.be.at.least(known);
          known = file.knownChunks;
          if (habit === "absent") expect(outcome.kind).to.equal("missing");
          if (outcome.kind === "verified") break;
          expect(outcome.kind).to.be.oneOf(["broken", "false", "missing"]);
        }
        await expectWhole(store);
      }),
      { numRuns: isNightly ? 60 : 5 },
    );
  });

  it("is tried again after ever longer delays, and what came furthest says its state", () => {
    const outcomes = fc.constantFrom<Outcome>(
      { kind: "missing", detail: "m" },
      { kind: "broken", detail: "b" },
      { kind: "false", detail: "f" },
    );
    fc.assert(
      fc.property(fc.array(outcomes, { minLength: 1, maxLength: 20 }), fc.nat({ max: 3 }), (met, knownChunks) => {
        let file: LeafFile = { ...announced(id, 3), knownChunks };
        let previousDelay = 0;
        for (const [k, outcome] of met.entries()) {
          const now = file.retryAt;
          file = afterAttempt(file, outcome, now);
          expect(file.attempts).to.equal(k + 1);
          expect(file.retryAt - now).to.be.within(Math.max(previousDelay, 5), 600);
          previousDelay = file.retryAt - now;
          const expected = knownChunks > 0 ? "available" : "missing";
          expect(file.state).to.equal(
            { missing: expected, broken: "available", false: "false", verified: "" }[outcome.kind],
          );
        }
        const done = afterAttempt(file, bestOf([...met, { kind: "verified" }]), 9);
        expect(done).to.include({ state: "verified", attempts: 0, retryAt: 0, detail: null });
      }),
    );
    expect(bestOf([])).to.include({ kind: "missing" });
  });

  nightly("of a million leaves is judged in the worker while this thread stays free", async function () {
    this.timeout(600_000);
    const million = wordsOf(1_000_000);
    const treeOfAll = new LeafTree(million);
    const big = { root: treeOfAll.root, leafCount: million.length };
    const place = mkdtempSync(join(folder, "million-"));
    const sections = [encodeFileHeader(big.leafCount), treeOfAll.levelAt(CHUNK_DEPTH), treeOfAll.levelAt(0)];
    writeFileSync(join(place, fileNameOf(big.root)), Buffer.concat(sections));
    const store = await openSqlite();
    const own = new LeafJudge();
    const parts = { store: store.leafFiles, judge: own, partTimeoutMs: 60_000 };
    global.gc?.();
    const [heapBefore, lag] = [process.memoryUsage(), monitorEventLoopDelay({ resolution: 1 })];
    let peak = 0;
    const sampler = setInterval(
      () => (peak = Math.max(peak, process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers)),
      50,
    );
    lag.enable();
    const started = performance.now();
    const { outcome } = await download(announced(big, 1), createFileSource(place), parts, never);
    const ms = performance.now() - started;
    lag.disable();
    clearInterval(sampler);
    await own.close();
    expect(outcome.kind).to.equal("verified");
    const grown = (peak - heapBefore.heapUsed - heapBefore.arrayBuffers) / 2 ** 20;
    const snapshot = await store.snapshot();
    const top = (await snapshot.leafTop(big)) as Uint8Array;
    const proofsMs: number[] = [];
    for (let k = 0; k < 1_000; k++) {
      const seat = (k * 7_919) % big.leafCount;
      const from = performance.now();
      const levels = (await snapshot.leafChunk(big, Math.floor(seat / CHUNK_LEAVES))) as Uint8Array;
      const proof = proofFromLevels(seat, levels, top, big.leafCount);
      proofsMs.push(performance.now() - from);
      if (k % 100 === 0)
        expect(verifyProof(big.root, big.leafCount, { index: seat, word: million[seat] as bigint }, proof)).to.equal(
          true,
        );
    }
    snapshot.close();
    const p50 = proofsMs.toSorted((a, b) => a - b)[500] as number;
    console.log(
      `      1,000,000 leaves, file to verified and stored: ${ms.toFixed(0)} ms; this thread waited at most ${(lag.max / 1e6).toFixed(0)} ms; ` +
        `heap and buffers here grew by at most ${grown.toFixed(0)} MiB; a proof takes ${p50.toFixed(3)} ms (p50)`,
    );
  });
});
