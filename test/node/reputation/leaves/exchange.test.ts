// Leaves between real hosts: who lies or stalls costs a piece, who helps is enough.
import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex } from "viem";
import { accept, CHUNK_LEAVES, decodeLeaves, ignore, LeafTree, PIECE_CHUNKS, type Verdict } from "#protocol";
import { createLeavesMount } from "../../../../node/api/leaves.ts";
import { startApi } from "../../../../node/api/server.ts";
import { openLeafExchange } from "../../../../node/reputation/leaves/exchange.ts";
import { loadLeaves, type LeafSource } from "../../../../node/reputation/leaves/finder.ts";
import { createLeafShelf, MAX_SHELF_LEAVES } from "../../../../node/reputation/leaves/shelf.ts";
import {
  decodePartRequest,
  encodePartRequest,
  LEAVES_PROTOCOL,
  serveLeaves,
} from "../../../../node/reputation/leaves/wire.ts";
import { openStore } from "../../../../node/store/sqlite.ts";
import type { Transport } from "../../../../node/transport/port.ts";
import { addressOf, patience, startHosts } from "../../../fixtures/hosts.ts";
import { isNightly } from "../../../fixtures/profile.ts";
import { createRandom } from "../graphs.ts";

const LEAF_COUNT = 2 * PIECE_CHUNKS * CHUNK_LEAVES + 300;
const words = Array.from({ length: LEAF_COUNT }, (_, k) => (BigInt(k) << 224n) | BigInt(k * k));
const tree = new LeafTree(words);
const small = new LeafTree(words.slice(0, 2_000));
const never = new AbortController().signal;
const freshShelf = () => createLeafShelf(openStore(":memory:"));

describe("leaves between nodes", function () {
  this.timeout(30_000);
  const nowMs = () => Date.now();
  let hosts: Transport[];
  let stop: () => Promise<unknown>;
  const [asker, publisher, other, silent] = [0, 1, 2, 3].map((k) => () => hosts[k] as Transport) as [
    () => Transport,
    () => Transport,
    () => Transport,
    () => Transport,
  ];
  beforeEach(async () => {
    ({ hosts, stop } = await startHosts(4));
  });
  afterEach(() => stop());

  const serveFrom = async (host: Transport, trees: readonly LeafTree[]) => {
    const shelf = freshShelf();
    for (const one of trees) shelf.keepTree(1, one);
    await serveLeaves(host, shelf, nowMs);
    return shelf;
  };
  const openAsker = (lies: string[] = [], partTimeoutMs = 300) =>
    openLeafExchange({
      ...{ transport: asker(), store: openStore(":memory:"), nowMs, partTimeoutMs },
      dialAgent: (_agent, signal) => asker().dial(addressOf(publisher()), signal),
      onLie: (peer, { code }) => lies.push(`${peer} ${code}`),
    });
  const wanted = { root: tree.root, leafCount: LEAF_COUNT, epoch: 1, publisher: 9, patienceMs: 20_000 };

  it("come whole from the publisher alone, are kept, and are given on to others", async () => {
    await serveFrom(publisher(), [tree]);
    const exchange = await openAsker();
    const found = await exchange.find(wanted, patience());
    expect(found.flatMap((chunk) => chunk ?? [])).to.deep.equal(words);
    const onward = await openLeafExchange({
      ...{ transport: other(), store: openStore(":memory:"), nowMs, onLie: () => undefined },
      dialAgent: (_agent, signal) => other().dial(addressOf(asker()), signal),
    });
    expect(await onward.find({ ...wanted, patienceMs: 0 }, patience())).to.deep.equal(
      Array.from({ length: Math.ceil(LEAF_COUNT / CHUNK_LEAVES) }, () => undefined),
    );
    expect((await onward.find(wanted, patience())).flatMap((chunk) => chunk ?? [])).to.have.length(LEAF_COUNT);
  });

  it("come from another peer where the publisher lies, and the liar is left after one piece", async () => {
    const asked: string[] = [];
    const honest = freshShelf();
    honest.keepTree(1, tree);
    await publisher().serve(LEAVES_PROTOCOL, (bytes) => {
      const request = decodePartRequest(bytes);
      if (request.kind !== "accept") return Promise.resolve(request);
      const { id, part } = request.value;
      asked.push(String(part));
      const given = part === "outline" ? honest.outlineOf(id) : honest.pieceOf(id, part)?.slice();
      if (given === undefined) return Promise.resolve(ignore("LEAVES_UNKNOWN", "nothing"));
      // The outline is right: only the leaves are not.
      if (part !== "outline") given[7] = (given[7] as number) ^ 1;
      return Promise.resolve(accept(given));
    });
    await serveFrom(other(), [tree]);
    const lies: string[] = [];
    const exchange = await openAsker(lies);
    await asker().dial(addressOf(other()), patience());
    const found = await exchange.find(wanted, patience());
    expect(found.flatMap((chunk) => chunk ?? [])).to.deep.equal(words);
    // Once alone, once with the others, and not again in either.
    expect(lies.filter((lie) => lie === `${publisher().peerId} LEAVES_PIECE`).length).to.be.within(1, 2);
    expect(asked.length).to.be.within(2, 3);
  });

  it("come from another peer where the publisher stalls, in any part of its answers", async () => {
    await publisher().serve(LEAVES_PROTOCOL, () => new Promise<Verdict<Uint8Array>>(() => undefined));
    await silent().serve(LEAVES_PROTOCOL, () => new Promise<Verdict<Uint8Array>>(() => undefined));
    await serveFrom(other(), [tree]);
    const exchange = await openAsker();
    for (const host of [other(), silent()]) await asker().dial(addressOf(host), patience());
    expect((await exchange.find(wanted, patience())).flatMap((chunk) => chunk ?? [])).to.deep.equal(words);
  });

  it("stay unknown, within the time that was given, where everybody lies, stalls or has nothing", async () => {
    await publisher().serve(LEAVES_PROTOCOL, () => Promise.resolve(accept(new Uint8Array(33))));
    await serveFrom(other(), [small]);
    await silent().serve(LEAVES_PROTOCOL, () => new Promise<Verdict<Uint8Array>>(() => undefined));
    const lies: string[] = [];
    const exchange = await openAsker(lies, 100);
    for (const host of [other(), silent()]) await asker().dial(addressOf(host), patience());
    const found = await exchange.find({ ...wanted, patienceMs: 2_000 }, patience());
    expect(found.every((chunk) => chunk === undefined)).to.equal(true);
    expect(lies).to.include(`${publisher().peerId} LEAVES_OUTLINE`);
  });

  it("are served over HTTP as a file, whole or from any byte on, to anybody", async () => {
    const shelf = freshShelf();
    shelf.keepTree(1, tree);
    const api = await startApi([], { token: "x".repeat(24), mounts: [createLeavesMount(shelf)] });
    try {
      const url = `${api.url}/leaves/${tree.root}.leaves`;
      const whole = new Uint8Array(await (await fetch(url)).arrayBuffer());
      expect(whole.length).to.equal(32 + 32 * 66 + 32 * LEAF_COUNT);
      const firstLeaf = 32 + 32 * 66;
      expect(decodeLeaves(whole.subarray(firstLeaf), [LEAF_COUNT])).to.deep.equal(accept([words]));
      for (const [range, from, to] of [
        ["bytes=0-0", 0, 1],
        ["bytes=31-40", 31, 41],
        [`bytes=${firstLeaf - 5}-`, firstLeaf - 5, whole.length],
        [`bytes=${firstLeaf + 262_140}-${firstLeaf + 262_150}`, firstLeaf + 262_140, firstLeaf + 262_151],
        [`bytes=${whole.length - 1}-999999999`, whole.length - 1, whole.length],
      ] as const) {
        const part = await fetch(url, { headers: { range } });
        expect([part.status, part.headers.get("content-range")]).to.deep.equal([
          206,
          `bytes ${from}-${to - 1}/${whole.length}`,
        ]);
        const bytes = new Uint8Array(await part.arrayBuffer());
        expect(bytesToHex(bytes), range).to.equal(bytesToHex(whole.subarray(from, to)));
      }
      const statusOf = async (path: string, options: RequestInit = {}) => (await fetch(path, options)).status;
      expect(await statusOf(url, { headers: { range: `bytes=${whole.length}-` } })).to.equal(416);
      expect(await statusOf(url, { method: "HEAD" })).to.equal(200);
      expect(await statusOf(url, { method: "POST" })).to.equal(405);
      for (const name of [`${small.root}.leaves`, tree.root, "%2e%2e/etc/passwd", `${tree.root.toUpperCase()}.leaves`])
        expect(await statusOf(`${api.url}/leaves/${name}`), name).to.equal(404);
    } finally {
      await api.stop();
    }
  });
});

describe("a shelf of leaves", () => {
  const treeOf = (seed: number) => new LeafTree([BigInt(seed), BigInt(seed) + 1n]);

  it("keeps what the contract's ring of epochs has, after a restart too, and lets the rest go", () => {
    const store = openStore(":memory:");
    for (let epoch = 1; epoch <= 6; epoch++) createLeafShelf(store).keepTree(epoch, treeOf(epoch));
    const shelf = createLeafShelf(store);
    const counts = [1, 2, 3, 4, 5, 6].map((epoch) => shelf.leafCountOf(treeOf(epoch).root));
    expect(counts).to.deep.equal([undefined, undefined, 2, 2, 2, 2]);
    store.close();
  });

  it("lets others' leaves go before its own where not all fit", () => {
    const shelf = freshShelf();
    shelf.keepTree(5, treeOf(1));
    const huge = { leafCount: MAX_SHELF_LEAVES / 4 };
    const ids = [1, 2, 3, 4, 5].map((k) => ({ ...huge, root: `0x${String(k).repeat(64)}` as const }));
    for (const id of ids) shelf.keepOutline(id, 5, new Uint8Array(32));
    expect(shelf.leafCountOf(treeOf(1).root)).to.equal(2);
    expect(ids.filter((id) => shelf.outlineOf(id) !== undefined).length).to.equal(3);
  });
});

describe("the leaves' protocol", () => {
  it("reads any 40 bytes or refuses them, and gives back what it wrote", () => {
    const requests = fc.record({
      id: fc.record({
        root: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => bytesToHex(b)),
        leafCount: fc.integer({ min: 8_193, max: 2 ** 22 }),
      }),
      part: fc.oneof(fc.constant("outline" as const), fc.integer({ min: 0, max: 1 })),
    });
    fc.assert(
      fc.property(requests, (request) => {
        expect(decodePartRequest(encodePartRequest(request))).to.deep.equal(accept(request));
      }),
    );
    const counts = fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), fc.integer({ min: 0, max: 9_000 }));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 48 }), counts, counts, (bytes, leafCount, part) => {
        if (bytes.length !== 40) return expect(decodePartRequest(bytes)).to.include({ code: "LEAVES_REQUEST" }) && true;
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(32, leafCount);
        new DataView(bytes.buffer, bytes.byteOffset).setUint32(36, part);
        const decoded = decodePartRequest(bytes);
        if (decoded.kind === "accept") expect(encodePartRequest(decoded.value)).to.deep.equal(bytes);
        else expect(decoded).to.include({ kind: "reject", code: "LEAVES_REQUEST" });
        return true;
      }),
    );
    for (const [count, part] of [
      [0, 0],
      [2 ** 22 + 1, 0],
      [5, 2],
    ] as const) {
      const bytes = new Uint8Array(40);
      new DataView(bytes.buffer).setUint32(32, count);
      new DataView(bytes.buffer).setUint32(36, part);
      expect(decodePartRequest(bytes)).to.include({ kind: "reject", code: "LEAVES_REQUEST" });
    }
  });
});

describe("a search for leaves", function () {
  this.timeout(60_000);

  it("finds all that some source gives truly, and never takes what is false, whatever the sources do", async () => {
    const full = freshShelf();
    full.keepTree(1, tree);
    const habits = ["honest", "liar", "staller", "busy", "partial", "thrower-away"] as const;
    const runs = isNightly ? 100 : 8;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(...habits), { minLength: 1, maxLength: 5 }),
        fc.nat(),
        async (chosen, seed) => {
          const random = createRandom(seed + 1);
          const parts = new Map<string, number>();
          const sources = chosen.map((habit, k): LeafSource => ({
            name: `${k} ${habit}`,
            async ask(id, part) {
              parts.set(`${k} ${habit}`, (parts.get(`${k} ${habit}`) ?? 0) + 1);
              const truth = part === "outline" ? full.outlineOf(id) : full.pieceOf(id, part);
              if (truth === undefined) return ignore("REMOTE_IGNORED", "LEAVES_UNKNOWN: no");
              if (habit === "staller") return new Promise(() => undefined);
              if (habit === "busy" && random() < 0.3) return ignore("REMOTE_BUSY", "busy");
              if (habit === "partial" && part === 1) return ignore("REMOTE_IGNORED", "LEAVES_UNKNOWN: no");
              if (habit === "thrower-away") return ignore("STREAM_BROKEN", "gone");
              if (habit !== "liar") return accept(truth);
              const false_ = truth.slice(0, random() < 0.3 ? truth.length - 32 : truth.length);
              false_[Math.floor(random() * false_.length)]! ^= 1 + Math.floor(random() * 255);
              return accept(false_);
            },
          }));
          const shelf = freshShelf();
          const lies = new Map<string, number>();
          const options = {
            ...{ shelf, epoch: 1, partTimeoutMs: 30, pauseMs: 1 },
            onLie: (name: string) => lies.set(name, (lies.get(name) ?? 0) + 1),
          };
          await loadLeaves(tree, sources, options, never);
          for (const piece of [0, 1, 2]) {
            const got = shelf.pieceOf(tree, piece);
            if (got !== undefined)
              expect(bytesToHex(got) === bytesToHex(full.pieceOf(tree, piece) as Uint8Array)).to.equal(true);
          }
          if (chosen.includes("honest")) expect(shelf.missingPieces(tree)).to.deep.equal([]);
          for (const [name, count] of lies) expect(count, name).to.equal(1);
          for (const [name, count] of parts) if (name.endsWith("liar")) expect(count, name).to.be.at.most(1);
        },
      ),
      { numRuns: runs },
    );
  });
});
