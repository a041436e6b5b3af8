import { createReadStream, existsSync } from "node:fs";
import { expect } from "chai";
import fc from "fast-check";
import type { Verdict } from "#protocol";
import { solveTopic } from "../../../node/reputation/engine.ts";
import { parseRatings, planDeals, type ImportedDeal, type ImportedRating } from "../../../node/reputation/import.ts";
import { RESTART } from "../../../node/reputation/solver/float.ts";
import { graphOf, toReal, wrongRows, type Edge } from "./graphs.ts";

const dataDir = "../shared/data";

async function* cut(text: string, size: number) {
  const bytes = new TextEncoder().encode(text);
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function parse(text: string, size = 7): Promise<Verdict<ImportedRating>[]> {
  return await collect(parseRatings(cut(text, size)));
}

const accepted = (verdicts: readonly Verdict<ImportedRating>[]) =>
  verdicts.flatMap((verdict) => (verdict.kind === "accept" ? [verdict.value] : []));

describe("rating import", () => {
  it("reads the three published forms, told apart by their first line", async () => {
    expect(await parse("source,target,weight,timestamp\r\n7188,1,10,1407470400\r\n1,7188,-3,1.5\r\n")).to.deep.equal([
      { kind: "accept", value: { line: 2, source: 7188, target: 1, rating: 100, timestamp: 1407470400 } },
      { kind: "accept", value: { line: 3, source: 1, target: 7188, rating: -30, timestamp: 1 } },
    ]);
    expect(accepted(await parse("% asym\n% 1 2 2\n1 2 .8\n2 1 1\n3 1 .6"))).to.deep.equal([
      { line: 3, source: 1, target: 2, rating: 80, timestamp: undefined },
      { line: 4, source: 2, target: 1, rating: 100, timestamp: undefined },
      { line: 5, source: 3, target: 1, rating: 60, timestamp: undefined },
    ]);
    expect(accepted(await parse("# a\tb\r\n30\t1412\r\n"))).to.deep.equal([
      { line: 2, source: 30, target: 1412, rating: 100, timestamp: undefined },
    ]);
  });

  it("names each bad line by its number and its fault, and reads on", async () => {
    const text = [
      "1,2,3,4",
      "1,2,3",
      "a,2,3,4",
      "1,2,0,4",
      "1,2,11,4",
      "1,2,0.55,4",
      "1,2,3,yesterday",
      "5,5,3,4",
      "1e3,2,3,4",
      "-1,2,3,4",
      " 1,2,3,4",
      "2,1,3,4",
    ].join("\n");
    const verdicts = await parse(text);
    expect(verdicts.map((v) => (v.kind === "accept" ? v.value.line : [v.code, v.detail.split(":")[0]]))).to.deep.equal([
      1,
      ["RATING_COLUMNS", "line 2"],
      ["RATING_ID", "line 3"],
      ["RATING_WEIGHT", "line 4"],
      ["RATING_WEIGHT", "line 5"],
      ["RATING_WEIGHT", "line 6"],
      ["RATING_TIME", "line 7"],
      ["RATING_SELF", "line 8"],
      ["RATING_ID", "line 9"],
      ["RATING_ID", "line 10"],
      ["RATING_ID", "line 11"],
      12,
    ]);
    expect(verdicts[7]?.kind).to.equal("ignore");
    expect(await parse("once upon a time\n1,2,3,4")).to.deep.include({
      kind: "reject",
      code: "RATING_FORMAT",
      detail: "line 1: neither four columns by comma nor two or three by space",
    });
  });

  it("gives the same wherever the stream is cut", async () => {
    const text = "source,target,weight,timestamp\r\n1,2,3,4\r\n\n5,6,-7,8\nx\n9,10,1,1";
    const whole = await parse(text, text.length);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 60 }), async (size) => {
        expect(await parse(text, size)).to.deep.equal(whole);
      }),
      { numRuns: 30 },
    );
  });

  it("throws for what is no list of lines at all", async () => {
    const failure = async (work: Promise<unknown>) => await work.catch((error: unknown) => error);
    expect(await failure(parse("1".repeat(2_000), 100))).to.have.property("code", "IMPORT_LINE_TOO_LONG");
    async function* binary() {
      yield Uint8Array.of(0x31, 0xff, 0xfe, 0x0a);
    }
    expect(await failure(collect(parseRatings(binary())))).to.have.property("code", "IMPORT_NOT_TEXT");
  });

  it("numbers agents in order of first appearance", () => {
    const rating = (source: number, target: number): ImportedRating => ({
      line: 1,
      source,
      target,
      rating: 5,
      timestamp: 1,
    });
    const { deals, sources } = planDeals([rating(9, 4), rating(4, 7), rating(9, 7)]);
    expect(deals.map(({ clientIndex, providerIndex }) => [clientIndex, providerIndex])).to.deep.equal([
      [0, 1],
      [1, 2],
      [0, 2],
    ]);
    expect(sources).to.deep.equal([9, 4, 7]);
  });

  const published: [string, number, number][] = [
    ["alpha/soc-sign-bitcoinalpha.csv", 24_186, 3_783],
    ["advogato/out.advogato.tsv", 51_127, 6_539],
    ["wiki-vote/wiki-Vote.txt", 103_689, 7_115],
    ["epinions/soc-Epinions1.txt", 508_837, 75_879],
  ];
  for (const [file, lineCount, personCount] of published) {
    it(`reads every rating of ${file}, as many as its publisher counts`, async function () {
      const path = `${dataDir}/${file}`;
      if (!existsSync(path)) {
        console.log(`      ${path} is absent`);
        return this.skip();
      }
      this.timeout(60_000);
      const verdicts = await collect(parseRatings(createReadStream(path)));
      expect(verdicts.filter(({ kind }) => kind === "reject")).to.deep.equal([]);
      expect(verdicts).to.have.length(lineCount);
      const persons = new Set(accepted(verdicts).flatMap(({ source, target }) => [source, target]));
      // Advogato counts people who certify nobody but themselves.
      expect(persons.size).to.be.within(personCount - 1_500, personCount);
    });
  }

  it("scores Bitcoin Alpha exactly, near real EigenTrust, and with few distrusted people in front", async function () {
    const path = `${dataDir}/alpha/soc-sign-bitcoinalpha.csv`;
    if (!existsSync(path)) {
      console.log(`      ${path} is absent`);
      return this.skip();
    }
    this.timeout(60_000);
    const { deals, sources } = planDeals(accepted(await collect(parseRatings(createReadStream(path)))));
    const edges = deals
      .filter(({ rating }) => rating > 0)
      .map(({ clientIndex, providerIndex, rating }): Edge => [clientIndex + 1, providerIndex + 1, rating]);
    const graph = graphOf(sources.length, edges, Array<number>(sources.length).fill(1));
    const { scores, lambda } = await solveTopic(graph);
    expect(wrongRows(graph, [...scores], lambda)).to.deep.equal([]);
    const oracle = sparseEigenTrust(sources.length, edges);
    const real = toReal(scores).slice(1);
    expect(real.reduce((sum, score, k) => sum + Math.abs(score - (oracle[k] as number)), 0)).to.be.below(1e-8);
    const balance = balanceOf(deals, sources.length);
    const ranked = real.map((_, k) => k).sort((a, b) => (real[b] as number) - (real[a] as number));
    // Plain EigenTrust does not weigh distrust: some who were trusted first and distrusted later keep their place.
    const distrusted = (agents: number[]) =>
      agents.filter((agent) => (balance[agent] as number) < 0).length / agents.length;
    console.log(`      distrusted: ${distrusted(ranked.slice(0, 100))} of the first 100, ${distrusted(ranked)} of all`);
    expect(distrusted(ranked.slice(0, 100))).to.be.below(distrusted(ranked) / 2);
    const mean = (agents: number[]) =>
      agents.reduce((sum, agent) => sum + (balance[agent] as number), 0) / agents.length;
    expect(mean(ranked.slice(0, 400))).to.be.above(10 * mean(ranked.slice(-400)));
  });
});

function balanceOf(deals: readonly ImportedDeal[], agentCount: number): number[] {
  const balance = Array<number>(agentCount).fill(0);
  for (const { providerIndex, rating } of deals) balance[providerIndex] = (balance[providerIndex] as number) + rating;
  return balance;
}

/** EigenTrust with an equal prior, over the list of edges: shares no code with the engine. */
function sparseEigenTrust(agentCount: number, edges: readonly Edge[]): number[] {
  const given = Array<number>(agentCount).fill(0);
  for (const [client, , weight] of edges) given[client - 1] = (given[client - 1] as number) + weight;
  let scores = Array<number>(agentCount).fill(1 / agentCount);
  for (let k = 0; k < 250; k++) {
    const silent = scores.reduce((sum, score, agent) => sum + (given[agent] === 0 ? score : 0), 0);
    const next = Array<number>(agentCount).fill((RESTART + (1 - RESTART) * silent) / agentCount);
    for (const [client, provider, weight] of edges) {
      const share = ((scores[client - 1] as number) * weight) / (given[client - 1] as number);
      next[provider - 1] = (next[provider - 1] as number) + (1 - RESTART) * share;
    }
    scores = next;
  }
  return scores;
}
