import { expect } from "chai";
import fc from "fast-check";
import { numberToHex, type Hex } from "viem";
import {
  checkGraph,
  createGraphProgress,
  isComplete,
  isFinished,
  reduceGraph,
  type GraphEffect,
  type GraphEvent,
  type GraphProgress,
  type Subtask,
} from "../../../node/negotiation/task-graph.ts";

const hash = (n: number): Hex => numberToHex(n, { size: 32 });
const diamond: readonly Subtask[] = [
  { name: "plan", needs: [] },
  { name: "left", needs: ["plan"] },
  { name: "right", needs: ["plan"] },
  { name: "join", needs: ["left", "right"] },
];

function play(subtasks: readonly Subtask[], maxAttempts: number, events: readonly GraphEvent[]) {
  let progress = createGraphProgress(subtasks, maxAttempts);
  const effects: GraphEffect[][] = [];
  for (const event of [{ kind: "start" } as const, ...events]) {
    const [next, caused] = reduceGraph(progress, event);
    progress = next;
    effects.push([...caused]);
  }
  return { progress, effects };
}

const award = (name: string, agent: number): GraphEvent => ({
  kind: "awarded",
  name,
  providerAgentId: BigInt(agent),
  dealId: hash(agent),
});
const deliver = (name: string, agent: number): GraphEvent => ({
  kind: "delivered",
  name,
  dealId: hash(agent),
  deliverableHash: hash(agent * 10),
});
const miss = (name: string, agent: number): GraphEvent => ({ kind: "undelivered", name, dealId: hash(agent) });
const namesOf = (effects: readonly GraphEffect[] | undefined) =>
  (effects ?? []).flatMap((e) => (e.kind === "call" ? [e.name] : []));

describe("a graph of subtasks", () => {
  it("calls for what is ready, side by side, and hands on what was delivered", () => {
    const { progress, effects } = play(diamond, 2, [
      award("plan", 1),
      deliver("plan", 1),
      award("left", 2),
      award("right", 3),
      deliver("right", 3),
      deliver("left", 2),
      award("join", 4),
      deliver("join", 4),
    ]);
    expect(effects.map(namesOf)).to.deep.equal([["plan"], [], ["left", "right"], [], [], [], ["join"], [], []]);
    expect(effects[6]?.[0]).to.deep.equal({
      kind: "call",
      name: "join",
      attempt: 1,
      inputs: [hash(20), hash(30)],
      passedOver: [],
    });
    expect(effects.at(-1)).to.deep.equal([{ kind: "finish", isComplete: true }]);
    expect(isComplete(progress)).to.equal(true);
  });

  it("calls a failed subtask again without who failed it, while the others go on", () => {
    const { progress, effects } = play(diamond, 2, [
      award("plan", 1),
      deliver("plan", 1),
      award("left", 2),
      award("right", 3),
      miss("left", 2),
      deliver("right", 3),
    ]);
    expect(effects[5]).to.deep.equal([
      { kind: "call", name: "left", attempt: 2, inputs: [hash(10)], passedOver: [2n] },
    ]);
    expect(progress.states["right"]?.kind).to.equal("done");
    expect(progress.failedDeals).to.deep.equal([{ name: "left", dealId: hash(2), providerAgentId: 2n }]);
  });

  it("blocks what needs a subtask that nobody does, and ends the rest", () => {
    const { progress, effects } = play(diamond, 1, [
      award("plan", 1),
      deliver("plan", 1),
      award("right", 3),
      { kind: "unanswered", name: "left", code: "NO_BIDS" },
      deliver("right", 3),
    ]);
    expect(progress.states["left"]).to.deep.equal({ kind: "failed", code: "NO_BIDS" });
    expect(progress.states["join"]).to.deep.equal({ kind: "blocked", by: "left" });
    expect(effects.at(-1)).to.deep.equal([{ kind: "finish", isComplete: false }]);
  });

  it("asks who failed a subtask again once nobody else is left, as often as it may call", () => {
    const nobody: GraphEvent = { kind: "unanswered", name: "plan", code: "NOBODY_FOUND" };
    const { progress, effects } = play(diamond, 3, [award("plan", 1), miss("plan", 1), nobody, award("plan", 1)]);
    expect(effects[3]).to.deep.equal([{ kind: "call", name: "plan", attempt: 3, inputs: [], passedOver: [] }]);
    const [ended] = reduceGraph(progress, miss("plan", 1));
    expect(ended.states["plan"]).to.deep.equal({ kind: "failed", code: "GRAPH_ATTEMPTS" });
    const withdrawn: GraphEvent = { kind: "unanswered", name: "plan", code: "WITHDRAWN" };
    const { progress: givenUp } = play(diamond, 3, [award("plan", 1), miss("plan", 1), withdrawn]);
    expect(givenUp.states["plan"]).to.deep.equal({ kind: "failed", code: "WITHDRAWN" });
    const silent: GraphEvent = { kind: "unanswered", name: "plan", code: "ALL_WINNERS_FAILED" };
    const tried = play(diamond, 2, [silent, silent]);
    expect(tried.effects.map(namesOf)).to.deep.equal([["plan"], ["plan"], []]);
    expect(tried.progress.states["plan"]).to.deep.equal({ kind: "failed", code: "ALL_WINNERS_FAILED" });
    const { progress: alone } = play(diamond, 3, [nobody]);
    expect(alone.states["plan"]).to.deep.equal({ kind: "failed", code: "NOBODY_FOUND" });
  });

  it("takes no notice of what is late, repeated or of another deal", () => {
    const before = play(diamond, 2, [award("plan", 1)]).progress;
    for (const event of [
      award("plan", 9),
      deliver("plan", 9),
      miss("plan", 9),
      deliver("left", 1),
      award("nowhere", 1),
    ]) {
      expect(reduceGraph(before, event)).to.deep.equal([before, []]);
    }
  });

  const refusals = [
    ["no subtask", [], "GRAPH_SIZE"],
    [
      "a name given twice",
      [
        { name: "a", needs: [] },
        { name: "a", needs: [] },
      ],
      "GRAPH_NAME",
    ],
    ["a need that is none", [{ name: "a", needs: ["b"] }], "GRAPH_UNKNOWN_NEED"],
    [
      "a need given twice",
      [
        { name: "b", needs: [] },
        { name: "a", needs: ["b", "b"] },
      ],
      "GRAPH_NEED_TWICE",
    ],
    [
      "a circle",
      [
        { name: "a", needs: ["b"] },
        { name: "b", needs: ["a"] },
      ],
      "GRAPH_CIRCLE",
    ],
  ] as const;
  for (const [what, graph, code] of refusals) {
    it(`is refused for ${what}`, () => expect(checkGraph(graph)).to.include({ kind: "reject", code }));
  }

  it("always ends, completes whatever can be done, and calls each subtask no more often than allowed", () => {
    const drawn = fc.record({
      needs: fc.array(fc.array(fc.nat(11), { maxLength: 3 }), { minLength: 1, maxLength: 12 }),
      /** How many providers fail each subtask before one does it; more than the attempts: nobody does. */
      misses: fc.array(fc.nat(4), { minLength: 12, maxLength: 12 }),
      maxAttempts: fc.integer({ min: 1, max: 4 }),
      order: fc.infiniteStream(fc.nat(1_000)),
    });
    fc.assert(
      fc.property(drawn, ({ needs, misses, maxAttempts, order }) => {
        const subtasks = needs.map((list, i) => ({
          name: `t${i}`,
          needs: [...new Set(list.filter((need) => need < i))].map((need) => `t${need}`),
        }));
        expect(checkGraph(subtasks).kind).to.equal("accept");
        const { progress, calls } = simulate(subtasks, misses, maxAttempts, order);
        expect(isFinished(progress)).to.equal(true);
        for (const [i, { name, needs: required }] of subtasks.entries()) {
          const isPossible = required.every((need) => progress.states[need]?.kind === "done");
          const isDoable = (misses[i] ?? 0) < maxAttempts;
          expect(progress.states[name]?.kind).to.equal(isPossible ? (isDoable ? "done" : "failed") : "blocked");
          expect(calls.get(name) ?? 0).to.equal(isPossible ? Math.min((misses[i] ?? 0) + 1, maxAttempts) : 0);
        }
      }),
    );
  });
});

/** Answers every call, in any order: the first `misses` providers of a subtask fail it. */
function simulate(
  subtasks: readonly Subtask[],
  misses: readonly number[],
  maxAttempts: number,
  order: Iterator<number>,
) {
  const calls = new Map<string, number>();
  let progress: GraphProgress = createGraphProgress(subtasks, maxAttempts);
  const queue: GraphEvent[] = [{ kind: "start" }];
  let agents = 0;
  while (queue.length > 0) {
    const picked = (order.next().value ?? 0) % queue.length;
    const [event] = queue.splice(picked, 1);
    const [next, effects] = reduceGraph(progress, event as GraphEvent);
    progress = next;
    if (event?.kind === "awarded") {
      const attempt = calls.get(event.name) ?? 0;
      const { name, dealId } = event;
      const isMissed = attempt <= (misses[Number(name.slice(1))] ?? 0);
      queue.push(
        isMissed ? { kind: "undelivered", name, dealId } : { kind: "delivered", name, dealId, deliverableHash: dealId },
      );
    }
    for (const effect of effects) {
      if (effect.kind !== "call") continue;
      calls.set(effect.name, effect.attempt);
      agents++;
      expect(effect.passedOver).to.not.include(BigInt(agents));
      queue.push({ kind: "awarded", name: effect.name, providerAgentId: BigInt(agents), dealId: hash(agents) });
    }
  }
  return { progress, calls };
}
