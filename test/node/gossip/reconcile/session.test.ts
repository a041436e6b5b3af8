import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, type Address } from "viem";
import { measureRepair } from "../../../../bench/gossip/repair-bytes.ts";
import { createAnswerer, MAX_SESSIONS, type Answerer } from "../../../../node/gossip/reconcile/answerer.ts";
import { createAsker, type AskerStep, type Outcome } from "../../../../node/gossip/reconcile/asker.ts";
import type { MissingLog } from "../../../../node/gossip/reconcile/difference.ts";
import { createItems, type HeadItem } from "../../../../node/gossip/reconcile/items.ts";
import { sipKeyOf } from "../../../../node/gossip/reconcile/siphash.ts";
import { MAX_WALK_ROUNDS } from "../../../../node/gossip/reconcile/ranges.ts";
import {
  decodeCells,
  decodeNames,
  decodeQuestion,
  decodeRanges,
  encodeCells,
  encodeNames,
  encodeQuestion,
  encodeRanges,
} from "../../../../node/gossip/reconcile/wire.ts";
import { headOf, logOf, saltOf } from "../../../fixtures/heads.ts";

/** What a session of two sets ends with; `garble` changes answers on their way. */
function compare(
  ours: readonly HeadItem[],
  theirs: readonly HeadItem[],
  { seed = 0, garble = (answer: Uint8Array): Uint8Array => answer } = {},
) {
  const told: MissingLog[] = [];
  const answerer = createAnswerer({ heads: () => theirs, nowMs: () => 0, onBehind: (_, logs) => told.push(...logs) });
  const salt = saltOf(seed);
  const asker = createAsker(createItems(ours, sipKeyOf(salt)), salt);
  let step: AskerStep = asker.start();
  for (let rounds = 1; step.kind === "ask"; rounds++) {
    expect(rounds).to.be.at.most(MAX_WALK_ROUNDS + 40);
    const answer = answerer.answer(step.question, "asker");
    if (answer.kind !== "accept") throw new Error(answer.code);
    const taken = asker.take(garble(answer.value));
    if (taken.kind !== "accept") return { taken, told, asker };
    step = taken.value;
  }
  return { step, told, asker };
}
const outcomeOf = ({ step }: ReturnType<typeof compare>): Outcome => {
  if (step?.kind !== "done") throw new Error(`it ended ${step?.kind}`);
  return step.outcome;
};
const sorted = (logs: readonly MissingLog[]): string[] => logs.map(({ log, fromSeq }) => `${log} ${fromSeq}`).sort();

describe("session of two peers", () => {
  const held = fc.array(fc.option(fc.integer({ min: 0, max: 3 }), { nil: undefined }), { maxLength: 120 });

  it("tells either side exactly where the other is ahead, whatever the two hold", () => {
    fc.assert(
      fc.property(held, held, fc.nat(1_000), fc.boolean(), (a, b, seed, isPoisoned) => {
        const headsOf = (seqs: typeof a) =>
          seqs.flatMap((seq, author) => (seq === undefined ? [] : [headOf(author, seq)]));
        // The first sketch made useless: ranges have to find the same.
        let isFirst = isPoisoned;
        const garble = (answer: Uint8Array): Uint8Array => {
          if (!isFirst) return answer;
          isFirst = false;
          return answer.map((byte, at) => (at >= 228 && at < 240 ? byte ^ 0x5a : byte));
        };
        const result = compare(headsOf(a), headsOf(b), { seed, garble });
        const ahead = (x: typeof a, y: typeof a): string[] =>
          x.flatMap((seq, author) => {
            const other = y[author] ?? -1;
            return seq !== undefined && seq > other ? [`${logOf(author)} ${other + 1}`] : [];
          });
        expect(sorted(outcomeOf(result).missing)).to.deep.equal(ahead(b, a).sort());
        expect(sorted(result.told)).to.deep.equal(ahead(a, b).sort());
      }),
      { numRuns: 40 },
    );
  });

  it("fetches the entry that differs, and evidence of a fork that only the other knows", () => {
    const branch = outcomeOf(compare([headOf(1, 4, 0)], [headOf(1, 4, 1)]));
    expect(branch.missing).to.deep.equal([{ log: logOf(1), fromSeq: 4 }]);
    const evidence = outcomeOf(compare([headOf(1, 4)], [{ ...headOf(1, 2), isForked: true }]));
    expect(evidence.missing).to.deep.equal([{ log: logOf(1), fromSeq: 4 }]);
    const known = compare([{ ...headOf(1, 4), isForked: true }], [{ ...headOf(1, 2), isForked: true }]);
    expect(outcomeOf(known)).to.deep.include({ differences: 0, missing: [] });
  });

  it("reads all heads page by page when most of a large set is news", () => {
    const theirs = Array.from({ length: 3_000 }, (_, author) => headOf(author, 1));
    expect(compare([], theirs).step).to.deep.equal({ kind: "cold" });
  });

  it("repairs 100 changed authors of 10,000 within 6,000 bytes", function () {
    this.timeout(30_000);
    const figures = measureRepair({ authors: 10_000, changed: 100, seed: 7 });
    expect(figures).to.deep.include({ found: 100, method: "sketch" });
    expect(figures.bytes).to.be.at.most(6_000);
  });

  it("ends, names the fault or falls back to ranges, whatever a stranger answers", () => {
    const [ours, theirs] = [[1, 2, 3].map((author) => headOf(author, 1)), [1, 2, 4].map((author) => headOf(author, 2))];
    fc.assert(
      fc.property(fc.infiniteStream(fc.tuple(fc.nat(300), fc.nat(255), fc.nat(3))), (changes) => {
        const garble = (answer: Uint8Array): Uint8Array => {
          const [at, value, cut] = changes.next().value as [number, number, number];
          return answer.map((byte, i) => (i === at ? value : byte)).subarray(0, answer.length - (cut === 3 ? 1 : 0));
        };
        const { taken, asker } = compare(ours, theirs, { garble });
        if (taken !== undefined)
          expect(taken)
            .to.have.property("code")
            .that.matches(/^(RECONCILE|RANGE)_ANSWER$/);
        expect(asker.isPoisoned).to.be.a("boolean");
      }),
      { numRuns: 60 },
    );
  });

  it("believes no name that it did not ask for", () => {
    const garble = (answer: Uint8Array): Uint8Array =>
      answer.length === 25 ? encodeNames([{ log: logOf(99), seq: 1 }]) : answer;
    expect(compare([], [headOf(5, 1)], { garble }).taken).to.include({ code: "RECONCILE_ANSWER" });
  });
});

describe("answering side", () => {
  const open = (answerer: Answerer, from: string, seed: number) =>
    answerer.answer(encodeQuestion({ salt: saltOf(seed), op: "cells", from: 0, count: 16 }), from);
  const create = (): Answerer =>
    createAnswerer({ heads: () => [headOf(1, 1)], nowMs: () => 0, onBehind: () => undefined });

  it("forgets the oldest session, and says so", () => {
    const answerer = create();
    for (let i = 0; i <= MAX_SESSIONS; i++) expect(open(answerer, `peer ${i}`, i).kind).to.equal("accept");
    const next = encodeQuestion({ salt: saltOf(0), op: "cells", from: 16, count: 16 });
    expect(answerer.answer(next, "peer 0")).to.include({ kind: "ignore", code: "SESSION_UNKNOWN" });
    const last = encodeQuestion({ salt: saltOf(MAX_SESSIONS), op: "cells", from: 16, count: 16 });
    expect(answerer.answer(last, `peer ${MAX_SESSIONS}`).kind).to.equal("accept");
  });

  it("hashes its heads for one peer only so often", () => {
    const answerer = create();
    const kinds = Array.from({ length: 21 }, (_, i) => open(answerer, "peer", i));
    expect(kinds.slice(0, 20).every(({ kind }) => kind === "accept")).to.equal(true);
    expect(kinds[20]).to.include({ kind: "ignore", code: "SESSION_BUDGET" });
  });
});

describe("messages of a session", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 120 }),
    fc
      .tuple(fc.constantFrom(1, 2, 3, 4), fc.uint8Array({ minLength: 16, maxLength: 120 }))
      .map(([op, rest]) => Uint8Array.of(op, ...rest)),
    fc
      .record({
        salt: fc.uint8Array({ minLength: 16, maxLength: 16 }),
        prefix: fc.nat(15),
        logs: fc.array(fc.nat(9), { maxLength: 3 }),
      })
      .chain(({ salt, prefix, logs }) =>
        fc.constantFrom(
          encodeQuestion({ salt, op: "cells", from: 48, count: 16 }),
          encodeQuestion({ salt, op: "ranges", ranges: [{ depth: 1, prefix: prefix * 2 ** 28 }] }),
          encodeQuestion({ salt, op: "names", tags: [prefix, 7] }),
          encodeQuestion({ salt, op: "behind", tags: [prefix], logs: logs.map(logOf) as Address[] }),
        ),
      ),
  );

  it("answer any bytes with a verdict, and accepted ones re-encode to themselves", () => {
    let accepted = 0;
    fc.assert(
      fc.property(bytes, (given) => {
        const checks = [
          [decodeQuestion(given), encodeQuestion],
          [decodeRanges(given), encodeRanges],
          [decodeNames(given), encodeNames],
          [decodeCells(given, { from: 16, count: Math.max(1, Math.floor(given.length / 12)) }), encodeCells],
        ] as const;
        for (const [verdict, encode] of checks) {
          if (verdict.kind !== "accept")
            expect(verdict)
              .to.have.property("code")
              .that.matches(/^RECONCILE_/);
          else {
            accepted++;
            expect(bytesToHex((encode as (value: unknown) => Uint8Array)(verdict.value))).to.equal(bytesToHex(given));
          }
        }
      }),
      { numRuns: 400 },
    );
    expect(accepted).to.be.above(100);
  });
});
