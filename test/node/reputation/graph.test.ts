import { expect } from "chai";
import { graphsAtClose, TrustFold, type TopicGraph, type TrustEvent } from "../../../node/reputation/graph.ts";

const seated = (agentId: number, seat: number, epoch = 1, topic = 7n): TrustEvent => ({
  kind: "seated",
  topic,
  agentId,
  seat,
  epoch,
});
const recorded = (client: number, provider: number, weight: number, epoch = 1, topic = 7n): TrustEvent => ({
  kind: "recorded",
  topic,
  client,
  provider,
  satisfied: weight,
  unsatisfied: 0,
  weight,
  epoch,
});
const staked = (agentId: number, stakeWei: bigint, epoch = 1): TrustEvent => ({
  kind: "stake",
  agentId,
  stakeWei,
  epoch,
});

const rowOf = (graph: TopicGraph, seat: number) =>
  Array.from({ length: (graph.inStart[seat + 1] as number) - (graph.inStart[seat] as number) }, (_, k) => {
    const edge = (graph.inStart[seat] as number) + k;
    return [graph.inSeats[edge], graph.inWeights[edge]];
  });

describe("trust graph", () => {
  it("lists in-edges in the order in which they first exceeded 0, and keeps the ones that fell back to 0", () => {
    const events = [
      seated(10, 1),
      seated(20, 2),
      seated(30, 3),
      recorded(20, 10, 0),
      recorded(30, 10, 4),
      recorded(20, 10, 6),
      recorded(30, 10, 0),
    ];
    const [graph] = graphsAtClose(events, 1) as [TopicGraph];
    expect(rowOf(graph, 1)).to.deep.equal([
      [3, 0],
      [2, 6],
    ]);
    expect([...graph.rowSums]).to.deep.equal([0, 0, 6, 0]);
    expect([...graph.agentIds]).to.deep.equal([0, 10, 20, 30]);
  });

  it("leaves out what happened after the close, in every topic and for every stake", () => {
    const events = [
      seated(1, 1),
      seated(2, 2),
      recorded(1, 2, 5),
      staked(1, 100n),
      staked(1, 40n, 2),
      recorded(1, 2, 9, 2),
      seated(3, 3, 2),
      seated(1, 1, 2, 5n),
    ];
    const [graph, ...rest] = graphsAtClose(events, 1) as [TopicGraph];
    expect(rest).to.have.length(0);
    expect(graph.seatCount).to.equal(3);
    expect(rowOf(graph, 2)).to.deep.equal([[1, 5]]);
    expect([...graph.priors]).to.deep.equal([0, 100, 0]);
    const later = graphsAtClose(events, 2);
    expect(later.map(({ topic, seatCount }) => [topic, seatCount])).to.deep.equal([
      [5n, 2],
      [7n, 4],
    ]);
    expect([...(later[1]?.priors ?? [])]).to.deep.equal([0, 40, 0, 0]);
  });

  it("saturates a prior at 48 bits", () => {
    const [graph] = graphsAtClose([seated(1, 1), staked(1, 1n << 90n)], 1) as [TopicGraph];
    expect(graph.priors[1]).to.equal(2 ** 48 - 1);
  });

  it("refuses a stream from which an event is missing", () => {
    const broken: TrustEvent[][] = [
      [seated(1, 2)],
      [seated(1, 1), seated(1, 2)],
      [seated(1, 1), recorded(1, 2, 3)],
      [recorded(1, 2, 3)],
      [seated(1, 1, 2), seated(2, 2, 1)],
    ];
    for (const events of broken) {
      const fold = new TrustFold();
      expect(() => events.forEach((event) => fold.apply(event)))
        .to.throw()
        .with.property("code", "GRAPH_ORDER");
    }
  });
});
