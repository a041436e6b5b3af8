import { expect } from "chai";
import fc from "fast-check";
import { estimateDifference, estimatorOf } from "../../../../node/gossip/reconcile/estimate.ts";
import { createItems, lead, type HeadItem, type ItemSet } from "../../../../node/gossip/reconcile/items.ts";
import { createRangeWalk, sortItems } from "../../../../node/gossip/reconcile/ranges.ts";
import { sipHash, sipKeyOf } from "../../../../node/gossip/reconcile/siphash.ts";
import { createDecoder, createEncoder, MAX_CELLS } from "../../../../node/gossip/reconcile/sketch.ts";
import { headOf, saltOf } from "../../../fixtures/heads.ts";

const setOf = (heads: readonly HeadItem[], seed = 0): ItemSet => createItems(heads, sipKeyOf(saltOf(seed)));
const heads = (from: number, to: number, seq = 1): HeadItem[] =>
  Array.from({ length: to - from }, (_, i) => headOf(from + i, seq));
/** Cells asked for until the decoder has an answer. */
function decode(ours: ItemSet, theirs: ItemSet) {
  const [encoder, decoder] = [createEncoder(theirs), createDecoder(ours)];
  for (let cells = 0; cells < MAX_CELLS; cells += 16) {
    const decoding = decoder.add(encoder.cells(cells, 16));
    if (decoding !== "more") return { decoding, decoder, cells: cells + 16 };
  }
  throw new Error("it never ended");
}
const namesOf = (ids: readonly { tag: number; mark: number }[]): string[] =>
  ids.map(({ tag, mark }) => `${tag}.${mark}`);
const idsAt = (items: ItemSet, indexes: readonly number[]): string[] =>
  indexes.map((i) => `${items.tags[i]}.${items.marks[i]}`);
const idsOf = (items: ItemSet): string[] => idsAt(items, [...items.heads.keys()]);

describe("SipHash-2-4", () => {
  it("gives the outputs of its reference implementation", () => {
    const key = sipKeyOf(Uint8Array.from({ length: 16 }, (_, i) => i));
    const message = Uint32Array.from([0x03020100, 0x07060504, 0x0b0a0908]);
    const expected = [
      [0xdd0e0e31, 0x726fdb47],
      [0x277187b7, 0xcf2794e0],
      [0x9a932462, 0x93f5f579],
      [0x860ee5fb, 0x751e8fbc],
    ];
    const out = new Uint32Array(2);
    for (const [length, halves] of expected.entries()) {
      sipHash(key, message.subarray(0, length), out);
      if (length !== 1)
        expect([...out].map((half) => half.toString(16))).to.deep.equal(halves.map((h) => h.toString(16)));
    }
  });
});

describe("sketch of heads", () => {
  const difference = fc.record({
    both: fc.integer({ min: 0, max: 300 }),
    ours: fc.integer({ min: 0, max: 60 }),
    theirs: fc.integer({ min: 0, max: 60 }),
    changed: fc.integer({ min: 0, max: 60 }),
    seed: fc.nat(1_000_000),
  });

  it("gives the exact difference of any two sets, and so do ranges", () => {
    fc.assert(
      fc.property(difference, ({ both, ours: a, theirs: b, changed, seed }) => {
        const shared = heads(0, both);
        const ours = setOf([...shared, ...heads(1_000, 1_000 + a), ...heads(3_000, 3_000 + changed, 4)], seed);
        const theirs = setOf([...shared, ...heads(2_000, 2_000 + b), ...heads(3_000, 3_000 + changed, 5)], seed);
        const { decoding, decoder } = decode(ours, theirs);
        expect(decoding).to.equal("done");
        const [onlyOurs, onlyTheirs] = [idsOf(ours), idsOf(theirs)];
        const expected = {
          ours: onlyOurs.filter((id) => !onlyTheirs.includes(id)).sort(),
          theirs: onlyTheirs.filter((id) => !onlyOurs.includes(id)).sort(),
        };
        const [walk, sorted] = [createRangeWalk(ours), sortItems(theirs)];
        for (let asked = walk.next(); asked.length > 0; asked = walk.next()) {
          walk.take(
            asked,
            asked.map((range) => sorted.answer(range)),
          );
        }
        for (const found of [decoder, walk]) {
          expect({ ours: idsAt(ours, found.ours).sort(), theirs: namesOf(found.theirs).sort() }).to.deep.equal(
            expected,
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  it("needs fewer than two cells a difference, at a hundred and at a thousand", () => {
    for (const count of [100, 1_000]) {
      const [ours, theirs] = [
        setOf(heads(0, 2_000)),
        setOf([...heads(0, 2_000 - count / 2), ...heads(5_000, 5_000 + count / 2)]),
      ];
      const { decoder, cells } = decode(ours, theirs);
      expect(decoder.ours.length + decoder.theirs.length).to.equal(count);
      expect(cells / count).to.be.below(2);
    }
  });

  it("gives other ids under another salt, so that what collides by chance does not again", () => {
    const [first, second] = [setOf(heads(0, 200), 1), setOf(heads(0, 200), 2)];
    expect(idsOf(first).filter((id) => idsOf(second).includes(id))).to.deep.equal([]);
  });

  it("finds any cells of a stranger poisoned, or goes on, within its bounds", () => {
    const ours = setOf(heads(0, 50));
    const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffffffff }));
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word, word), { minLength: 1, maxLength: 64 }), (cells) => {
        const decoder = createDecoder(ours);
        expect(decoder.add(Uint32Array.from(cells.flat()))).to.be.oneOf(["more", "poisoned"]);
        expect(decoder.theirs.length + decoder.ours.length).to.be.at.most(cells.length);
      }),
      { numRuns: 100 },
    );
  });

  it("finds cells poisoned that repeat one id for ever", () => {
    const [ours, theirs] = [setOf([]), setOf(heads(0, 1))];
    const cells = new Uint32Array(3 * 64);
    const [lone] = [createEncoder(theirs).cells(0, 1)];
    for (let i = 0; i < 64; i++) cells.set(lone, 3 * i);
    expect(createDecoder(ours).add(cells)).to.equal("poisoned");
  });

  it("estimates a difference within a third", () => {
    for (const count of [40, 200, 1_500, 6_000]) {
      const [ours, theirs] = [
        setOf(heads(0, 8_000)),
        setOf([...heads(0, 8_000 - count / 2), ...heads(9_000, 9_000 + count / 2)]),
      ];
      const estimate = estimateDifference(estimatorOf(ours), estimatorOf(theirs));
      expect(estimate / count).to.be.within(0.66, 1.5, `${count} differences`);
    }
    expect(estimateDifference(estimatorOf(setOf(heads(0, 99))), estimatorOf(setOf(heads(0, 99))))).to.equal(0);
  });
});

describe("lead of one head over another", () => {
  const markOf = (head: HeadItem): number => setOf([head]).marks[0] as number;
  it("tells who is ahead, and that a log is dead", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 35 - 1 }),
        fc.integer({ min: -8_000_000, max: 8_000_000 }),
        (seq, ahead) => {
          fc.pre(seq + ahead >= 0 && seq + ahead < 2 ** 35);
          expect(lead(markOf(headOf(1, seq + ahead)), markOf(headOf(1, seq)))).to.equal(ahead);
        },
      ),
      { numRuns: 100 },
    );
    const forked = { ...headOf(1, 5), isForked: true };
    expect(lead(markOf(forked), markOf(headOf(1, 9)))).to.equal("fork");
    expect(lead(markOf(headOf(1, 9)), markOf(forked))).to.equal(-1);
  });

  it("has two nodes that know of a fork agree, whatever branch each saw first", () => {
    expect(markOf({ ...headOf(1, 5, 0), isForked: true })).to.equal(markOf({ ...headOf(1, 7, 1), isForked: true }));
  });
});
