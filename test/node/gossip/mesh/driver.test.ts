import { expect } from "chai";
import { connect, startNode, type GossipNode } from "../../../fixtures/gossip-node.ts";
import { addressOf, patience } from "../../../fixtures/hosts.ts";

describe("the mesh over libp2p", function () {
  this.timeout(40_000);
  const running: GossipNode[] = [];
  const start = async (...args: Parameters<typeof startNode>): Promise<GossipNode> => {
    const node = await startNode(...args);
    running.push(node);
    return node;
  };
  afterEach(async () => {
    await Promise.all(running.splice(0).map((node) => node.stop()));
  });
  const holds = (node: GossipNode, digest: string) => () => node.entries.some(({ header }) => header.digest === digest);
  /** Without a comparison to mend what the mesh does not carry. */
  const noRepair = { syncIntervalMs: 3_600_000 };

  it("pushes headers and swarms bodies over its own streams, without a word of gossipsub", async () => {
    const [a, b, c] = [await start(0, noRepair), await start(1, noRepair), await start(2, noRepair)];
    await connect(a, b);
    await connect(b, c);
    const { header } = await a.declare("by mesh");
    for (const node of [b, c]) await node.until("the entry", holds(node, header.digest));
    for (const node of [a, b, c]) {
      const report = node.gossip.mesh();
      expect(report?.isBridging).to.equal(false);
      expect(report?.peers.every(({ meshed }) => meshed === 2n ** 64n - 1n)).to.equal(true);
    }
    expect(c.gossip.mesh()?.counts).to.include({ bodiesIn: 1, brokenPromises: 0 });
    expect(b.gossip.mesh()?.counts).to.include({ bodiesIn: 1, bodiesOut: 1 });
  });

  it("carries headers both ways between nodes that have only gossipsub", async () => {
    const gossipsub = { ...noRepair, dissemination: "gossipsub" } as const;
    const [left, middle, next, right] = [
      await start(0, gossipsub),
      await start(1, noRepair),
      await start(2, noRepair),
      await start(3, gossipsub),
    ];
    await connect(left, middle);
    await connect(middle, next);
    await connect(next, right);
    expect([middle, next].map((node) => node.gossip.mesh()?.isBridging)).to.deep.equal([true, true]);
    expect(left.gossip.mesh()).to.equal(undefined);
    const said = await Promise.all([left, middle, next, right].map((node, i) => node.declare(`node ${i}`)));
    for (const node of [left, middle, next, right]) {
      for (const { header } of said) await node.until("each entry", holds(node, header.digest));
      expect(node.refusals.filter(({ kind }) => kind === "reject")).to.deep.equal([]);
      expect(node.faults).to.deep.equal([]);
    }
  });

  it("stops listening to gossipsub once the last peer without the mesh is gone", async () => {
    const [node, other] = [await start(0), await start(1, { dissemination: "gossipsub" })];
    await connect(node, other);
    expect(node.gossip.mesh()?.isBridging).to.equal(true);
    const gone = new Promise<void>((resolve) => node.transport.onPeerDisconnected(() => resolve()));
    await other.transport.disconnect(node.transport.peerId);
    await gone;
    expect(node.gossip.mesh()?.isBridging).to.equal(false);
  });

  it("goes on after its peer came back", async () => {
    const [a, b] = [await start(0, noRepair), await start(1, noRepair)];
    await connect(a, b);
    const gone = new Promise<void>((resolve) => b.transport.onPeerDisconnected(() => resolve()));
    await a.transport.disconnect(b.transport.peerId);
    await gone;
    const { header } = await a.declare("while apart");
    await a.transport.dial(addressOf(b.transport), patience());
    await b.until("the entry", holds(b, header.digest));
  });
});
