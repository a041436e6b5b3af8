import { expect } from "chai";
import { createEmitter } from "../../../node/gossip/emitter.ts";
import type { Refusal } from "../../../node/gossip/gossip.ts";
import { createMeter, MAX_REMEMBERED } from "../../../node/gossip/meter.ts";
import { connect, startNode, testNowMs } from "../../fixtures/gossip-node.ts";

describe("the meter of a node's gossip", function () {
  this.timeout(30_000);

  it("sees peers come and go, and headers and bodies arrive, once each", async () => {
    const [a, b] = [await startNode(0), await startNode(1)];
    const meter = createMeter(b.gossip, b.transport, () => testNowMs);
    try {
      await connect(a, b);
      const { header } = await a.declare("hello");
      await b.until("the entry", () => b.entries.length === 1);
      expect(meter.counts()).to.deep.include({ headers: 1, bodies: 1, forks: 0, connections: 1, rejected: {} });
      expect(meter.connectedSince(a.transport.peerId)).to.equal(testNowMs);
      const entry = { timeMs: testNowMs, log: header.header.log, seq: 0, kind: "declare" };
      const seen = meter.sightingsAfter(0, 100).filter(({ event }) => event !== "ignored");
      expect(seen).to.deep.equal(
        [
          { timeMs: testNowMs, event: "connected", peer: a.transport.peerId },
          { ...entry, event: "header" },
          { ...entry, event: "body" },
        ].map((sighting, index) => ({ number: seen[index]?.number, ...sighting })),
      );
      const gone = new Promise<void>((resolve) => b.transport.onPeerDisconnected(() => resolve()));
      await b.transport.disconnect(a.transport.peerId);
      await gone;
      expect(meter.sightingsAfter(0, 100).at(-1)).to.deep.include({ event: "disconnected", peer: a.transport.peerId });
      expect(meter.connectedSince(a.transport.peerId)).to.equal(undefined);
    } finally {
      await Promise.all([a.stop(), b.stop()]);
    }
  });

  it("remembers a bounded number of sightings and codes, and counts them all", () => {
    const refused = createEmitter<Refusal>(() => undefined);
    const silent = () => () => undefined;
    const meter = createMeter(
      { onHeader: silent, onEntry: silent, onFork: silent, onRefusal: (listener) => refused.on(listener) },
      { peers: () => [], onPeerConnected: silent, onPeerDisconnected: silent },
      () => testNowMs,
    );
    const total = 2 * MAX_REMEMBERED;
    for (let i = 0; i < total; i++) {
      refused.emit({ kind: "reject", code: `CODE_${i % 500}`, detail: "", from: "somebody" });
    }
    const { rejected, ignored } = meter.counts();
    expect(ignored).to.deep.equal({});
    expect(Object.keys(rejected)).to.have.length(129);
    expect(Object.values(rejected).reduce((sum, count) => sum + count)).to.equal(total);
    const remembered = meter.sightingsAfter(0, total);
    expect([remembered.length, remembered[0]?.number, remembered.at(-1)?.number]).to.deep.equal([
      MAX_REMEMBERED,
      MAX_REMEMBERED + 1,
      total,
    ]);
    expect(meter.sightingsAfter(total - 2, 100).map(({ number }) => number)).to.deep.equal([total - 1, total]);
    expect(meter.sightingsAfter(total, 100)).to.deep.equal([]);
    expect(meter.sightingsAfter(0, 3)).to.have.length(3);
    meter.stop();
    refused.emit({ kind: "reject", code: "LATE", detail: "", from: "somebody" });
    expect(meter.counts().rejected).to.not.have.property("LATE");
  });
});
