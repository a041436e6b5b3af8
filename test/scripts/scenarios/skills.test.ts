import { expect } from "chai";
import { skills } from "../../../scripts/scenarios/skills.ts";

const skillOf = (topic: string) => {
  const skill = skills.find((s) => s.topic === topic);
  if (skill === undefined) throw new Error(topic);
  return skill;
};

describe("skills of the built-in scenario", () => {
  it("describes a series by nearest rank", () => {
    expect(skillOf("data_analysis").perform([15, 20, 35, 40, 50])).to.deep.equal({
      count: 5,
      sum: 160,
      min: 15,
      q1: 20,
      median: 35,
      q3: 40,
      max: 50,
    });
  });

  it("finds each weakness on its line and nothing on clean lines", () => {
    const source = "const a = 1;\neval(input);\nelement.innerHTML = a;\nconst t = Math.random();";
    expect(skillOf("code_review_security").perform(source)).to.deep.equal([
      { line: 2, cwe: "CWE-95" },
      { line: 3, cwe: "CWE-79" },
      { line: 4, cwe: "CWE-338" },
    ]);
  });

  it("counts a log by level and service and leaves other lines out", () => {
    const log = "INFO api: up\nERROR db: lost\nINFO api: ok\nnoise";
    expect(skillOf("devops_tool_execution").perform(log)).to.deep.equal({ "ERROR db": 1, "INFO api": 2 });
  });

  it("refuses what it cannot read", () => {
    for (const skill of skills) expect(() => skill.perform({})).to.throw("expected");
  });
});
