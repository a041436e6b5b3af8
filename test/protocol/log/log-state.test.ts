import { expect } from "chai";
import fc from "fast-check";
import { applyHeader, createLogState, isFork, MAX_OUT_OF_ORDER, type LogStep, type VerifiedHeader } from "#protocol";
import { chainOf, signedHeader, testSigner } from "../../fixtures/log.ts";

const signer = testSigner(0);
const chain = chainOf(signer, 12);
const rival = chainOf(signer, 12, 1);
const long = chainOf(signer, MAX_OUT_OF_ORDER + 3);

/** Feeds headers as a node does, keeping what is appended as its store would. */
function follow(headers: readonly VerifiedHeader[]) {
  const stored: VerifiedHeader[] = [];
  const steps: LogStep[] = [];
  let state = createLogState(signer.address);
  for (const header of headers) {
    const step = applyHeader(state, header, (seq) => stored[seq]);
    stored.push(...step.appended);
    state = step.state;
    steps.push(step);
  }
  return { state, stored, steps, last: steps.at(-1) as LogStep };
}

describe("log state", () => {
  it("gives the same log for every order of arrival, and every repetition", () => {
    const arrivals = fc
      .shuffledSubarray(chain, { minLength: chain.length })
      .chain((order) => fc.shuffledSubarray(chain).map((again) => [...order, ...again]));
    fc.assert(
      fc.property(arrivals, (order) => {
        const { state, stored } = follow(order);
        expect(stored).to.deep.equal(chain);
        expect(state.head).to.equal(chain.at(-1)?.digest);
        expect([state.pending.size, state.fork]).to.deep.equal([0, undefined]);
      }),
    );
  });

  it("says which entries a gap lacks", () => {
    const { last } = follow([chain[0]!, chain[5]!, chain[3]!]);
    expect(last.verdict).to.deep.equal({ kind: "accept", value: "held" });
    expect(last.missing).to.deep.equal({ fromSeq: 1, count: 2 });
  });

  it("holds at most 64 entries beyond a gap", () => {
    const { state, last } = follow(long.toReversed());
    expect(state.pending.size).to.equal(0);
    const beyond = follow(long.slice(1));
    expect(beyond.state.pending.size).to.equal(MAX_OUT_OF_ORDER);
    expect(beyond.last.verdict).to.include({ kind: "ignore", code: "ENTRY_TOO_FAR" });
    expect(beyond.last.missing).to.deep.equal({ fromSeq: 0, count: MAX_OUT_OF_ORDER });
    expect(last.verdict.kind).to.equal("accept");
  });

  it("keeps both headers of a fork as evidence, in whatever order the branches arrive, and accepts nothing after it", () => {
    const branches = fc.shuffledSubarray([...chain.slice(0, 6), ...rival.slice(0, 6)], { minLength: 12 });
    fc.assert(
      fc.property(branches, (order) => {
        const { state, steps } = follow(order);
        expect(state.fork, "the fork is found").to.not.equal(undefined);
        expect(isFork(state.fork!)).to.equal(true);
        expect(steps.filter((step) => step.fork).length, "reported once").to.equal(1);
        const after = steps.slice(steps.findIndex((step) => step.fork) + 1);
        for (const step of after) expect(step.verdict).to.include({ kind: "ignore", code: "LOG_FORKED" });
      }),
    );
  });

  it("finds the fork of an entry that links past the one we hold", () => {
    const link = signedHeader(signer, { seq: 3, prev: `0x${"05".repeat(32)}` });
    for (const order of [
      [...chain.slice(0, 3), link],
      [link, ...chain.slice(0, 3)],
    ]) {
      const { state } = follow(order);
      expect(state.fork).to.include({ kind: "broken-link", first: chain[2], second: link });
    }
  });

  it("does not take two signatures of one entry, or two logs, for a fork", () => {
    expect(follow([chain[0]!, chain[0]!]).last.verdict).to.include({ kind: "ignore", code: "ENTRY_KNOWN" });
    const other = signedHeader(testSigner(1));
    expect(isFork({ kind: "same-seq", first: chain[0]!, second: other })).to.equal(false);
    expect(isFork({ kind: "broken-link", first: chain[0]!, second: chain[1]! })).to.equal(false);
  });

  it("goes on from a stored head after a restart", () => {
    const state = createLogState(signer.address, chain[4]);
    const step = applyHeader(state, chain[5]!, (seq) => chain[seq]);
    expect(step.appended).to.deep.equal([chain[5]]);
  });
});
