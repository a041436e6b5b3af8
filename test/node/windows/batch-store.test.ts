import { expect } from "chai";
import fc from "fast-check";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { keccak256, numberToHex, zeroAddress, zeroHash } from "viem";
import { batchRootOf, type BatchEntry } from "#protocol";
import { openStore } from "../../../node/store/sqlite.ts";
import { createBatchStore } from "../../../node/windows/batch-store.ts";
import {
  decodeListedBatch,
  decodeProposal,
  decodeQuery,
  encodeListedBatch,
  encodeProposal,
  encodeQuery,
  type ListedBatch,
} from "../../../node/windows/wire.ts";

const TOPIC = 7n;
const entriesOf = (count: number): BatchEntry[] =>
  Array.from({ length: count }, (_, seq) => ({ log: zeroAddress, seq, digest: keccak256(numberToHex(seq + 1)) }));
const batchOf = (window: number, count = 3): ListedBatch => {
  const entries = entriesOf(count);
  const header = { topic: TOPIC, window, previous: zeroHash, root: batchRootOf(entries), count };
  const signature = `0x${"ab".repeat(64)}` as const;
  return { header, signatures: [signature, undefined, signature], entries };
};
const digest = (n: number) => numberToHex(n, { size: 32 });

describe("a validator's store", () => {
  it("lets one header of a window be signed, also after it was closed and opened again", () => {
    const dir = mkdtempSync(join(tmpdir(), "surety-windows-"));
    try {
      for (const [given, isOurs] of [
        [1, true],
        [2, false],
        [1, true],
      ] as const) {
        const store = openStore(join(dir, "node.sqlite"));
        const batches = createBatchStore(store);
        expect(batches.claim(batchOf(50).header, digest(given))).to.equal(isOurs);
        expect(batches.signed(TOPIC)).to.deep.equal(new Map([[50, digest(1)]]));
        expect(batches.signed(TOPIC + 1n).size).to.equal(0);
        store.close();
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("gives batches back by digest, and the newest before a second", () => {
    const store = openStore(":memory:");
    const batches = createBatchStore(store);
    for (const [k, window] of [10, 30, 20].entries()) batches.keep(digest(k), batchOf(window));
    expect(batches.newest(TOPIC)?.header.window).to.equal(30);
    expect(batches.newest(TOPIC, 30)?.header.window).to.equal(20);
    expect(batches.newest(TOPIC, 10)).to.equal(undefined);
    expect(batches.byDigest(TOPIC, digest(2))).to.deep.equal(batchOf(20));
    expect(batches.byDigest(TOPIC + 1n, digest(2))).to.equal(undefined);
    store.close();
  });
});

describe("messages of windows", () => {
  const signature = `0x${"cd".repeat(64)}` as const;
  const proposal = (count: number) => ({ header: batchOf(5, count).header, signature, entries: entriesOf(count) });

  it("come back as they were", () => {
    for (const count of [1, 2, 1_024]) {
      expect(decodeProposal(encodeProposal(proposal(count)))).to.deep.equal({ kind: "accept", value: proposal(count) });
      const batch = batchOf(5, count);
      expect(decodeListedBatch(encodeListedBatch(batch))).to.deep.equal({ kind: "accept", value: batch });
    }
    const query = { topic: TOPIC, digest: digest(9) };
    expect(decodeQuery(encodeQuery(TOPIC, digest(9)))).to.deep.equal({ kind: "accept", value: query });
  });

  it("of strangers are a value or a verdict, and every accepted one re-encodes to its bytes", () => {
    const samples = [encodeProposal(proposal(2)), encodeListedBatch(batchOf(5, 2)), encodeQuery(TOPIC, digest(9))];
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 700 }),
      fc.tuple(fc.constantFrom(...samples), flips, fc.nat(3)).map(([sample, changes, cut]) => {
        const copy = Uint8Array.from(sample.subarray(0, sample.length - cut));
        for (const [at, value] of changes) copy[at % copy.length] = value;
        return copy;
      }),
    );
    let accepted = 0;
    fc.assert(
      fc.property(bytes, (message) => {
        const [asked, listed, query] = [decodeProposal(message), decodeListedBatch(message), decodeQuery(message)];
        if (asked.kind === "accept") expect(encodeProposal(asked.value)).to.deep.equal(message);
        if (listed.kind === "accept") expect(encodeListedBatch(listed.value)).to.deep.equal(message);
        if (query.kind === "accept") expect(encodeQuery(query.value.topic, query.value.digest)).to.deep.equal(message);
        accepted += [asked, listed, query].filter(({ kind }) => kind === "accept").length;
      }),
      { numRuns: 400 },
    );
    expect(accepted).to.be.above(20);
  });
});
