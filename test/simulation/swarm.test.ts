import { expect } from "chai";
import { decodeLogHeader, verifyLogHeader } from "#protocol";
import { cheapHash, createEntry, simulatedContracts } from "../../bench/gossip/entries.ts";
import { runMesh, type MeshRunOptions } from "../../bench/gossip/mesh-run.ts";
import { DESIGN_LINKS } from "../../bench/gossip/network.ts";
import { measureReconciliation } from "../../bench/gossip/repair.ts";

const options: MeshRunOptions = {
  nodeCount: 500,
  seed: 5,
  links: DESIGN_LINKS,
  connections: 10,
  bodyBytes: 2_048,
  f: 0.2,
  messageCount: 2,
  perSecond: 5,
  deadShare: 0,
  repairRounds: 0,
};

describe("the dissemination core on the simulated network", function () {
  this.timeout(60_000);

  it("brings every header to each of 500 nodes where nothing is lost, for less than two hops' worth of whole bodies", async () => {
    const { headers, bytesPerNodeMessage } = await runMesh(options);
    expect(headers.reached).to.equal(options.nodeCount * options.messageCount);
    expect(headers.p99Ms).to.be.lessThan(1_000);
    expect(bytesPerNodeMessage).to.be.lessThan(2 * 2_048);
  });

  it("runs the same for the same seed, with losses, deaths and repair, and sends what is received or lost", async () => {
    const lossy = {
      ...options,
      nodeCount: 100,
      deadShare: 0.2,
      links: { ...DESIGN_LINKS, lossShare: 0.1 },
      repairRounds: 2,
    };
    const [first, second] = [await runMesh(lossy), await runMesh(lossy)];
    expect(JSON.stringify(second)).to.equal(JSON.stringify(first));
    const { ledger, headerCoverage } = first;
    expect(ledger.lostFrames).to.be.greaterThan(0);
    expect(ledger.receivedFrames + ledger.lostFrames + ledger.deadFrames).to.be.at.most(ledger.sentFrames);
    expect(headerCoverage.at(-1)).to.be.at.least(headerCoverage[0]!);
  });

  it("publishes headers that a node would accept, of their real length", () => {
    const { header } = createEntry({ author: 3, seq: 70, bodyBytes: 4_096 }, cheapHash);
    const decoded = decodeLogHeader(header);
    if (decoded.kind !== "accept") throw new Error(decoded.detail);
    expect(verifyLogHeader(decoded.value, simulatedContracts).kind).to.equal("accept");
    expect(header.length).to.be.within(209, 215);
  });

  it("finds all of 20 changed authors of 2,000 by the node's own reconciliation", () => {
    const { found, wireBytes } = measureReconciliation(2_000, 20, 1);
    expect(found).to.equal(20);
    expect(wireBytes).to.be.greaterThan(20 * 8);
  });
});
