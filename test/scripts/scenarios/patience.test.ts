import { expect } from "chai";
import { decodeMechanismDocument, encodeMechanismDocument, readMechanismDocument } from "#protocol";
import { builtinScenario } from "../../../scripts/scenarios/builtin.ts";
import { withPatience } from "../../../scripts/scenarios/patience.ts";
import type { ScenarioTask } from "../../../scripts/scenarios/scenario.ts";

const rulesOf = ({ mechanism }: ScenarioTask) => {
  const read = readMechanismDocument(mechanism);
  if (read.kind !== "accept") throw new Error(read.detail);
  return read.value;
};

describe("a scenario's task that is asked again", () => {
  const [task] = builtinScenario.rounds.flat();
  if (task === undefined) throw new Error("the scenario has no task");

  it("gives everybody as many times the time, in the task and in its rules, and changes nothing else", () => {
    const again = withPatience(task, 4);
    const [before, after] = [rulesOf(task), rulesOf(again)];
    expect(again.submitWithinS).to.equal(4 * task.submitWithinS);
    for (const name of ["bidWithinMs", "revealWithinMs", "submitWithinS"] as const) {
      expect(after.deadlines[name], name).to.equal(4 * before.deadlines[name]);
    }
    expect({ ...after, deadlines: before.deadlines }).to.deep.equal(before);
    expect({ ...again, submitWithinS: task.submitWithinS, mechanism: task.mechanism }).to.deep.equal(task);
    expect(decodeMechanismDocument(encodeMechanismDocument(after)).kind).to.equal("accept");
  });

  it("keeps the node's rules where it has none of its own", () => {
    const { mechanism: _own, ...plain } = task;
    expect(withPatience({ ...plain, biddingMs: 1_000 }, 2)).to.deep.equal({
      ...{ ...plain, biddingMs: 2_000 },
      submitWithinS: 2 * task.submitWithinS,
    });
  });
});
