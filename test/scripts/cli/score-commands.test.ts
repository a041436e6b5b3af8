import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { cliHere as cli } from "../../fixtures/cli-here.ts";

interface Report {
  readonly agents?: number;
  readonly edges?: number;
  readonly skipped?: number;
  readonly top?: readonly { readonly who: number; readonly share: number; readonly units: string }[];
  readonly score?: string;
  readonly fromStake?: string;
  readonly rounding?: string;
  readonly contributions?: readonly { readonly who: number; readonly part: string }[];
  readonly risk?: {
    readonly risk: number;
    readonly average: number;
    readonly praise: number;
    readonly complaints: number;
  };
  readonly error?: { readonly code: string };
}

describe("surety reputation compute and explain, of a file", function () {
  this.timeout(120_000);
  const dir = mkdtempSync(join(tmpdir(), "surety-scores-"));
  const at = (name: string) => join(dir, name);
  // 7 trusts 9 and 8; 8 trusts 9; 8 distrusts 7. Line 4 is none.
  writeFileSync(at("ratings.csv"), "7,9,10,1\n7,8,5,2\n8,9,1,3\n8,9\n8,7,-5,4\n");

  after(() => {
    rmSync(dir, { recursive: true });
  });

  it("scores whoever is named in it, writes all scores, and counts the lines it left out", async () => {
    const out = at("scores.csv");
    const { code, result: report } = await cli.json<Report>(
      "reputation",
      "compute",
      at("ratings.csv"),
      "--seeds",
      "1",
      "--out",
      out,
    );
    expect(code).to.equal(0);
    expect([report.agents, report.edges, report.skipped]).to.deep.equal([3, 3, 1]);
    expect(report.top?.map(({ who }) => who)).to.deep.equal([7, 9, 8]);
    const rows = readFileSync(out, "utf8").trim().split("\n").slice(1);
    expect(rows.map((row) => row.split(",")[0])).to.deep.equal(["7", "9", "8"]);
  });

  it("takes a score apart to the unit, and draws it", async () => {
    const svg = at("score.svg");
    const { result: report } = await cli.json<Report>(
      ...["reputation", "explain", "9", "--file", at("ratings.csv"), "--seeds", "1", "--svg", svg],
    );
    const sum = (report.contributions ?? []).reduce((total, { part }) => total + BigInt(part), 0n);
    expect(sum + BigInt(report.fromStake ?? 0) + BigInt(report.rounding ?? 0)).to.equal(BigInt(report.score ?? -1));
    expect(report.contributions?.map(({ who }) => who)).to.deep.equal([7, 8]);
    // Praised twice, by clients with voices: below the average of one complaint among four.
    expect(report.risk?.average).to.equal(1.5 / 5);
    expect(report.risk?.risk).to.be.below(0.3);
    expect(report.risk?.praise).to.be.within(1, 2);
    expect(report.risk?.complaints).to.equal(0);
    expect(readFileSync(svg, "utf8")).to.match(/^<svg[^]*client 7: 100 of 150 points[^]*<\/svg>\n$/);
  });

  it("says what is missing: a source, a file, somebody whom the file does not know", async () => {
    const codes = [];
    for (const args of [["compute"], ["compute", at("nowhere.csv")], ["explain", "1", "--file", at("ratings.csv")]]) {
      codes.push((await cli.json<Report>("reputation", ...args)).result.error?.code);
    }
    expect(codes).to.deep.equal(["USAGE_SOURCE", "USAGE_FILE_MISSING", "EXPLAIN_NO_SEAT"]);
  });
});
