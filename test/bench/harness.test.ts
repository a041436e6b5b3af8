import { expect } from "chai";
import { hasMetGoal, renderTable, type Result } from "../../bench/harness/report.ts";
import { compare } from "../../bench/harness/snapshot.ts";
import { runTool } from "../../scripts/checks/run-tool.ts";

const figure: Result = {
  id: "deal.total",
  unit: "gas",
  value: 190_000,
  goal: 190_000,
  better: "lower",
  peers: { "ERC-8183": 629_228 },
  ratio: null,
  note: "",
};

describe("benchmarks", () => {
  it("say of each goal whether it was met, at the edge and on both sides of better", () => {
    expect(hasMetGoal(figure)).to.equal(true);
    expect(hasMetGoal({ ...figure, value: 190_001 })).to.equal(false);
    expect(hasMetGoal({ ...figure, value: 190_001, better: "higher" })).to.equal(true);
    expect(hasMetGoal({ ...figure, goal: null })).to.equal(undefined);
  });

  it("keep a missed goal in the table", () => {
    const results = [figure, { ...figure, id: "deal.open", value: 190_001 }];
    const table = renderTable({ bench: "gas", commit: "c", machine: "m", profile: "p", results });
    expect(table).to.match(/deal\.total +190,000 gas +190,000 +met +ERC-8183 629,228/);
    expect(table).to.match(/deal\.open +190,001 gas +190,000 +MISSED/);
    expect(table).to.include("1 of 2 goals met");
  });

  it("take a rise, a vanished figure and an uncommitted one as problems, a fall as news", () => {
    const { problems, falls } = compare(
      { same: 5, rises: 5, falls: 5, gone: 5 },
      { same: 5, rises: 6, falls: 4, added: 1 },
    );
    expect(problems).to.deep.equal([
      "rises rose from 5 to 6",
      "gone was 5 and is measured no more",
      "added is 1 and not in the snapshot",
    ]);
    expect(falls).to.deep.equal(["falls fell from 5 to 4"]);
  });

  it("answer an unknown name with the names there are", async () => {
    const { exitCode, output } = await runTool("node", ["bench/main.ts", "speed"]);
    expect(exitCode).to.equal(2);
    expect(output).to.match(/usage: .*--json.*\nbenchmarks: .*gas/);
  });
});
