import { expect } from "chai";
import { decodeBody, type Body } from "#protocol";
import { Announcer } from "../../node/announcer.ts";
import type { Capability } from "../../node/application.ts";
import type { Task } from "../../node/tasks.ts";
import { startNode, testNowMs, type GossipNode } from "../fixtures/gossip-node.ts";

const HOUR_MS = 3_600_000;
const token = "0x9fE46736679d2D9a65F0992F2272dE9f3c7fa6e0";
const offer = (topic: string): Capability => ({
  ...{ topic, name: `agent for ${topic}`, description: "does it", skills: [topic], priceWei: 5n },
});

describe("announcer", function () {
  this.timeout(30_000);
  let node: GossipNode;
  let nowMs: number;
  beforeEach(async () => {
    node = await startNode(0);
    nowMs = testNowMs;
  });
  afterEach(() => node.stop());

  /** One run of the node: what it says from its start on. */
  function run(work: (announcer: Announcer) => void): Body[] {
    const { store, writer, gossip, transport, logs } = node;
    const from = (logs.headOf(writer.log)?.header.seq ?? -1) + 1;
    const faults: unknown[] = [];
    const announcer = new Announcer({
      ...{ agentId: 7n, token, store, writer, gossip, transport, nowMs: () => nowMs },
      onFault: (fault) => faults.push(fault),
    });
    work(announcer);
    announcer.stop();
    expect(faults).to.deep.equal([]);
    return logs.entriesWithBodyFrom(writer.log, from, 100).map(({ header, body }) => {
      const decoded = decodeBody(header.header.kind, body as Uint8Array);
      if (decoded.kind !== "accept") throw new Error(decoded.detail);
      return decoded.value;
    });
  }
  const declare = (...topics: string[]): string[] =>
    run((announcer) => announcer.declare(topics.map(offer))).map(({ kind }) => kind);

  it("renews what it declared when half of its ttl is over, however often it was restarted", () => {
    expect(declare("words")).to.deep.equal(["declare"]);
    nowMs += 20 * HOUR_MS;
    expect(declare("words")).to.deep.equal([]);
    nowMs += 5 * HOUR_MS;
    expect(declare("words")).to.deep.equal(["update"]);
    nowMs += 23 * HOUR_MS;
    expect(declare("words")).to.deep.equal([]);
  });

  it("declares anew what expired while it was away: peers may have forgotten the declaration", () => {
    declare("words");
    nowMs += 49 * HOUR_MS;
    expect(declare("words")).to.deep.equal(["declare"]);
    nowMs += 25 * HOUR_MS;
    expect(declare("words")).to.deep.equal(["update"]);
  });

  it("withdraws what it no longer offers, once", () => {
    declare("words", "images");
    const said = run((announcer) => announcer.declare([offer("words")]));
    const declared = node.logs.entryAt(node.writer.log, 1)?.header.digest;
    expect(said).to.have.length(1);
    expect(said[0]).to.deep.include({ kind: "withdraw" });
    expect(said[0]?.body).to.include({ target: declared, outcome: "withdrawn" });
    expect(declare("words")).to.deep.equal([]);
  });

  it("ends a task's intent as complete or withdrawn, once, and says nothing of a task that it never announced", () => {
    const request = { spec: { topic: "words" }, query: "count", reservePriceWei: 3n };
    const said = run((announcer) => {
      for (const id of ["a", "b"]) announcer.announce({ id, request } as unknown as Task, testNowMs);
      announcer.conclude("a", "complete");
      announcer.conclude("a", "withdrawn");
      announcer.conclude("b", "withdrawn");
      announcer.conclude("c", "withdrawn");
    });
    expect(said.map(({ kind }) => kind)).to.deep.equal(["intent", "intent", "withdraw", "withdraw"]);
    expect(said.slice(2).map(({ body }) => "outcome" in body && body.outcome)).to.deep.equal(["complete", "withdrawn"]);
  });
});
