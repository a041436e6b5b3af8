import { expect } from "chai";
import { createLogStore } from "../../../node/log/log-store.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import { chainOf, signedEntry, testDeclare, testSigner } from "../../fixtures/log.ts";

describe("log store", () => {
  const chain = chainOf(testSigner(0), 5);
  const other = signedEntry(testSigner(1), "declare", testDeclare());
  const setUp = () => {
    const store = openStore(":memory:");
    const logs = createLogStore(store);
    logs.addHeaders(chain, 1);
    return { store, logs };
  };

  it("reads back what it stored, by log, seq, digest and range", () => {
    const { logs } = setUp();
    const log = testSigner(0).address;
    expect(logs.headOf(log)).to.deep.equal(chain[4]);
    expect(logs.entryAt(log, 2)).to.deep.equal({ header: chain[2], body: undefined, heardMs: 1 });
    expect(logs.entryByDigest(chain[3]!.digest)?.header).to.deep.equal(chain[3]);
    expect(logs.range(log, 1, 3)).to.deep.equal(chain.slice(1, 4));
    expect([logs.headOf(testSigner(2).address), logs.entryAt(log, 5)]).to.deep.equal([undefined, undefined]);
  });

  it("pages through heads in one order", () => {
    const { logs } = setUp();
    logs.addHeaders([other.header], 2);
    const all = logs.heads(undefined, 10);
    expect(all.map(({ seq, digest }) => [seq, digest])).to.have.deep.members([
      [4, chain[4]!.digest],
      [0, other.header.digest],
    ]);
    const [first] = logs.heads(undefined, 1);
    expect(logs.heads(first!.log, 10)).to.deep.equal(all.slice(1));
    expect(logs.heads(all[1]!.log, 10)).to.deep.equal([]);
  });

  it("knows which bodies are missing, whichever of header and body came first", () => {
    const { logs } = setUp();
    const { header, bytes } = other;
    logs.addHeaders([header], 9);
    expect(logs.bodiless(1)).to.deep.equal([header]);
    logs.addBody(header.header.bodyHash, bytes);
    expect(logs.bodiless(10)).to.have.deep.members(chain);
    const copy = signedEntry(testSigner(2), "declare", testDeclare());
    logs.addHeaders([copy.header], 9);
    expect(logs.bodiless(10), "the same body of another log").to.have.deep.members(chain);
    expect(logs.entriesWithBody(testSigner(2).address).map(({ body }) => body)).to.deep.equal([bytes]);
  });

  it("keeps the first fork of a log", () => {
    const { logs } = setUp();
    const [rival] = chainOf(testSigner(0), 1, 1);
    const fork = { kind: "same-seq" as const, first: chain[0]!, second: rival! };
    logs.addFork(fork);
    logs.addFork({ kind: "broken-link", first: chain[1]!, second: rival! });
    expect(logs.forkOf(testSigner(0).address)).to.deep.equal(fork);
  });
});
