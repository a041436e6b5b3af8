import { expect } from "chai";
import fc from "fast-check";
import { EventQueue } from "../../bench/gossip/event-queue.ts";
import { runFlood, type FloodOptions } from "../../bench/gossip/flood.ts";
import { RPC_BYTES, streamBytesOf, wireBytesOf } from "../../bench/gossip/framing.ts";
import { DESIGN_LINKS, Network } from "../../bench/gossip/network.ts";
import { createTopology } from "../../bench/gossip/topology.ts";
import { createRandom } from "../../bench/reputation/random-graph.ts";

const flood: FloodOptions = {
  nodeCount: 500,
  seed: 7,
  links: DESIGN_LINKS,
  degree: 8,
  lazyDegree: 0,
  hasDontWant: false,
  messageBytes: 1_235,
  messageCount: 3,
  gapMs: 2_000,
  deadShare: 0,
};

describe("simulated network", () => {
  it("pops events in the order of their times, however they were pushed", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(500), fc.boolean()), { maxLength: 3_000 }), (steps) => {
        const queue = new EventQueue();
        const waiting: number[] = [];
        for (const [time, pops] of steps) {
          if (!pops) {
            queue.push(time, time);
            waiting.push(time);
          } else {
            waiting.sort((a, b) => b - a);
            expect(queue.nextTime).to.equal(waiting.at(-1) ?? Infinity);
            expect(queue.pop()).to.equal(waiting.pop() ?? -1);
          }
        }
        expect(queue.size).to.equal(waiting.length);
      }),
      { numRuns: 50 },
    );
  });

  it("lets a frame wait for the sender's link, then the latency, then the receiver's link", async () => {
    const heard: [to: number, atMs: number][] = [];
    const network = new Network<string>({
      nodeCount: 3,
      seed: 1,
      links: { ...DESIGN_LINKS, minLatencyMs: 50, maxLatencyMs: 50 },
      classes: ["all"],
      receive: (node) => heard.push([node, network.nowMs]),
    });
    const frameMs = (wireBytesOf(60_000) * 8) / 50_000;
    network.send(0, 2, "first", 60_000, 0);
    network.send(0, 2, "second", 60_000, 0);
    network.send(1, 2, "beside them", 60_000, 0);
    expect(await network.run(10_000)).to.equal(false);
    const times = heard.map(([, atMs]) => atMs);
    [50 + frameMs, 50 + 2 * frameMs, 50 + 3 * frameMs].forEach((expected, k) =>
      expect(times[k]).to.be.closeTo(expected, 1e-3),
    );
  });

  it("gives every pair one latency within the bounds, the same both ways, spread evenly", () => {
    const network = new Network<string>({
      ...{ nodeCount: 400, seed: 3, links: DESIGN_LINKS, classes: ["all"] },
      receive: () => undefined,
    });
    const latencies: number[] = [];
    let differing = 0;
    for (let a = 0; a < 400; a++)
      for (let b = 0; b < a; b++) {
        latencies.push(network.latencyMs(a, b));
        if (network.latencyMs(b, a) !== latencies.at(-1)) differing++;
      }
    expect(differing).to.equal(0);
    const mean = latencies.reduce((sum, latency) => sum + latency, 0) / latencies.length;
    expect(Math.min(...latencies)).to.be.within(40, 41);
    expect(Math.max(...latencies.slice(0, 50_000))).to.be.within(129, 130);
    expect(mean).to.be.closeTo(85, 0.5);
  });

  it("counts framing by the frame, and TCP headers by the segment", () => {
    expect(wireBytesOf(211 + RPC_BYTES)).to.equal(311);
    expect(streamBytesOf(211 + RPC_BYTES)).to.equal(259);
    expect(wireBytesOf(4_307 + RPC_BYTES) - streamBytesOf(4_307 + RPC_BYTES)).to.equal(4 * 52);
  });
});

describe("flooding and gossipsub on the simulated network", function () {
  this.timeout(30_000);

  it("has the same run for the same seed, to the last digit, and another one for another", async () => {
    const options = {
      ...flood,
      hasDontWant: true,
      lazyDegree: 16,
      deadShare: 0.2,
      links: { ...DESIGN_LINKS, lossShare: 0.05 },
    };
    const [first, second, other] = [
      await runFlood(options),
      await runFlood(options),
      await runFlood({ ...options, seed: 8 }),
    ];
    expect(JSON.stringify(second)).to.equal(JSON.stringify(first));
    expect(JSON.stringify(other)).to.not.equal(JSON.stringify(first));
  });

  it("sends what is received, lost or come to the dead, and nothing else", async () => {
    const { ledger } = await runFlood({ ...flood, deadShare: 0.2, links: { ...DESIGN_LINKS, lossShare: 0.05 } });
    expect(ledger.lostFrames).to.be.greaterThan(0);
    expect(ledger.deadFrames).to.be.greaterThan(0);
    expect(ledger.receivedFrames + ledger.lostFrames + ledger.deadFrames).to.equal(ledger.sentFrames);
    expect(ledger.receivedBytes + ledger.lostBytes + ledger.deadBytes).to.equal(ledger.sentBytes);
  });

  it("costs a frame on each link end, less the one it came by: the closed form", async () => {
    const { ledger, linkEnds, spread } = await runFlood(flood);
    const frames = flood.messageCount * (linkEnds - (flood.nodeCount - 1));
    expect(spread.reached).to.equal(spread.expected);
    expect(ledger.sentFrames).to.equal(frames);
    expect(ledger.sentBytes).to.equal(frames * wireBytesOf(flood.messageBytes + RPC_BYTES));
  });

  it("repairs by IHAVE and IWANT what losses took", async () => {
    const lossy = { ...flood, degree: 2, gapMs: 20_000, links: { ...DESIGN_LINKS, lossShare: 0.05 } };
    const [bare, lazy] = [await runFlood(lossy), await runFlood({ ...lossy, lazyDegree: 16 })];
    expect(bare.spread.reached).to.be.lessThan(bare.spread.expected);
    expect(lazy.spread.reached).to.equal(lazy.spread.expected);
  });

  it("saves whole messages by IDONTWANT where they take long on the link", async () => {
    const large = { ...flood, messageBytes: 150_000, messageCount: 1, gapMs: 20_000 };
    const [plain, unwilling] = [await runFlood(large), await runFlood({ ...large, hasDontWant: true })];
    expect(unwilling.duplicatesPerNode).to.be.lessThan(0.9 * plain.duplicatesPerNode);
    expect(unwilling.spread.reached).to.equal(unwilling.spread.expected);
  });
});

describe("simulated topology", () => {
  it("is mutual, connected and of the asked degree", () => {
    const topology = createTopology(300, 6, createRandom(5));
    topology.forEach((list, node) => {
      expect(list.length).to.be.within(3, 6);
      for (const other of list) expect([...topology[other]!]).to.include(node);
    });
    const reached = new Set([0]);
    for (const node of reached) for (const other of topology[node]!) reached.add(other);
    expect(reached.size).to.equal(300);
  });
});
