import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex } from "viem";
import { planRanges } from "../../../node/gossip/sync.ts";
import { entries, heads, MAX_HEADS, MAX_SYNC_BYTES, type Head } from "../../../node/gossip/wire.ts";
import { chainOf, hexOf, testSigner } from "../../fixtures/log.ts";

const head: Head = { log: testSigner(0).address, seq: 3, digest: `0x${"01".repeat(32)}`, state: "live" };

describe("synchronisation messages", () => {
  it("return from their bytes, and a full page fits a frame", () => {
    const page = new Array<Head>(MAX_HEADS).fill({ ...head, seq: 2 ** 35 - 1, state: "forked" });
    const bytes = heads.answer.encode(page);
    expect(bytes.length).to.be.at.most(MAX_SYNC_BYTES);
    expect(heads.answer.decode(bytes)).to.deep.equal({ kind: "accept", value: page });
    const header = `0x${"ff".repeat(215)}` as const;
    const range = { headers: new Array<typeof header>(64).fill(header), evidence: [header, header] };
    expect(entries.answer.decode(entries.answer.encode(range))).to.deep.equal({ kind: "accept", value: range });
  });

  it("answer any bytes with a verdict, and accepted ones re-encode to themselves", () => {
    const good = heads.answer.encode([head]);
    const mutated = fc
      .tuple(fc.nat(good.length - 1), fc.nat(255))
      .map(([at, value]) => good.map((byte, i) => (i === at ? value : byte)));
    const messages = [heads.request, heads.answer, entries.request, entries.answer] as const;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          mutated,
          hexOf(20).map(() => good),
        ),
        (bytes) => {
          for (const message of messages) {
            const verdict = message.decode(bytes);
            if (verdict.kind === "reject") expect(verdict.code).to.match(/^(BODY|MESSAGE)_/);
            if (verdict.kind === "accept") {
              expect(bytesToHex(message.encode(verdict.value as never))).to.equal(bytesToHex(bytes));
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("plan of ranges", () => {
  const author = testSigner(0);
  const chain = chainOf(author, 5);
  const holding = (length: number, isForked = false) => ({
    headOf: () => chain[length - 1],
    entryAt: (_log: string, seq: number) =>
      seq < length ? { header: chain[seq]!, body: undefined, heardMs: 0 } : undefined,
    forkOf: () => (isForked ? { kind: "same-seq" as const, first: chain[0]!, second: chain[1]! } : undefined),
  });
  const theirs = (seq: number, fields: Partial<Head> = {}): Head[] => [
    { log: author.address, seq, digest: chain[seq]!.digest, state: "live", ...fields },
  ];
  const fromSeqs = (...args: Parameters<typeof planRanges>): number[] =>
    planRanges(...args).map(({ fromSeq }) => fromSeq);

  it("fetches from the first entry that is missing, and nothing when nothing is", () => {
    expect(fromSeqs(theirs(4), { ...holding(0), headOf: () => undefined })).to.deep.equal([0]);
    expect(fromSeqs(theirs(4), holding(2))).to.deep.equal([2]);
    expect(fromSeqs(theirs(4), holding(5))).to.deep.equal([]);
    expect(fromSeqs(theirs(1), holding(5))).to.deep.equal([]);
  });

  it("fetches the entry that differs, and evidence that we lack", () => {
    expect(fromSeqs(theirs(1, { digest: chain[3]!.digest }), holding(5))).to.deep.equal([1]);
    expect(fromSeqs(theirs(1, { state: "forked" }), holding(5))).to.deep.equal([4]);
    expect(fromSeqs(theirs(4), holding(2, true))).to.deep.equal([]);
  });
});
