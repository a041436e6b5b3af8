import { expect } from "chai";
import fc from "fast-check";
import { attributeExactly, divideByShares, fractions } from "#protocol";
import { encode } from "@ipld/dag-cbor";
import { fillInput, referencesOf } from "../../../node/graphs/inputs.ts";
import type { GraphRequest, SubtaskRequest } from "../../../node/graphs/port.ts";
import { attributeGraph, chainOf, worthOf } from "../../../node/graphs/reward.ts";

const task = {} as SubtaskRequest["task"];
const account = (agentId: bigint) => `0x${agentId.toString(16).padStart(40, "0")}` as const;
const graphOf = (subtasks: readonly Omit<SubtaskRequest, "task">[]): GraphRequest => ({
  subtasks: subtasks.map((subtask) => ({ ...subtask, task })),
  ...{ maxAttempts: 1, rewardWei: 1n },
});
const sharesOf = (graph: GraphRequest, providers: Readonly<Record<string, bigint>>) =>
  attributeGraph(graph, (name) => ({ agentId: providers[name] ?? 0n, account: account(providers[name] ?? 0n) })).map(
    ({ agentId, millionths }) => [agentId, millionths],
  );

describe("the joint reward of a graph of tasks", () => {
  it("is shared by the chain of each result, once a provider", () => {
    const graph = graphOf([
      { name: "fetch", needs: [] },
      { name: "left", needs: ["fetch"] },
      { name: "right", needs: ["fetch"] },
    ]);
    expect(sharesOf(graph, { fetch: 1n, left: 2n, right: 3n })).to.deep.equal([
      [1n, 500_000],
      [2n, 250_000],
      [3n, 250_000],
    ]);
    expect(sharesOf(graph, { fetch: 1n, left: 1n, right: 3n })).to.deep.equal([
      [1n, 750_000],
      [3n, 250_000],
    ]);
  });

  it("is the Shapley value of what coalitions deliver, for any graph, worths and providers", () => {
    let divided = 0;
    const graphs = fc.array(
      fc.record({ needs: fc.array(fc.nat(7), { maxLength: 3 }), worth: fc.bigInt(0n, 9n), by: fc.nat(4) }),
      {
        minLength: 1,
        maxLength: 7,
      },
    );
    fc.assert(
      fc.property(graphs, (drawn) => {
        // A subtask needs earlier ones only: no circle can arise.
        const graph = graphOf(
          drawn.map(({ needs, worth }, i) => ({
            ...{ name: `s${i}`, worth },
            needs: [...new Set(needs.filter((need) => need < i))].map((need) => `s${need}`),
          })),
        );
        const by = Object.fromEntries(drawn.map((subtask, i) => [`s${i}`, BigInt(subtask.by) + 1n]));
        const players = [...new Set(Object.values(by))].sort();
        const values = attributeExactly(players.length, (coalition) =>
          graph.subtasks.reduce((sum, subtask) => {
            const team = chainOf(subtask.name, graph.subtasks).map((name) => players.indexOf(by[name] as bigint));
            return team.every((player) => (coalition & (1 << player)) !== 0)
              ? sum + worthOf(subtask, graph.subtasks)
              : sum;
          }, 0n),
        );
        const expected = divideByShares(1_000_000n, values);
        const named = players.map((agentId, i) => [agentId, Number(expected[i])]).filter(([, part]) => part !== 0);
        expect(sharesOf(graph, by)).to.deep.equal(named);
        if (values.some((value) => fractions.compare(value, fractions.zero) > 0)) divided++;
      }),
      {
        numRuns: 200,
        examples: [
          [
            [
              { needs: [], worth: 1n, by: 0 },
              { needs: [0], worth: 2n, by: 1 },
            ],
          ],
        ],
      },
    );
    expect(divided).to.be.greaterThan(0);
  });
});

describe("the input of a subtask", () => {
  const bytes = encode({ result: { mean: 3, parts: [1, 2] } });
  it("takes a deliverable, or a part of it, in the place that names it", () => {
    const input = { all: { $deliverable: "a" }, deep: [{ $deliverable: "a", path: ["result", "parts", 1] }], own: 5 };
    expect(referencesOf(input)).to.deep.equal(["a", "a"]);
    expect(fillInput(input, () => bytes)).to.deep.equal({
      all: { result: { mean: 3, parts: [1, 2] } },
      deep: [2],
      own: 5,
    });
  });

  it("takes bytes that are no dag-cbor as hex, and a path to nowhere as null", () => {
    expect(fillInput({ $deliverable: "a" }, () => Uint8Array.of(0xff, 0x00))).to.equal("0xff00");
    expect(fillInput({ $deliverable: "a", path: ["toString"] }, () => bytes)).to.equal(null);
  });
});
