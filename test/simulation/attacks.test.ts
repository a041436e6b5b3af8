import { expect } from "chai";
import { runAttack, type AttackOptions } from "../../bench/gossip/attack-run.ts";
import { ANCHORS } from "../../bench/gossip/cases.ts";
import { runFlood } from "../../bench/gossip/flood.ts";
import { DESIGN_LINKS } from "../../bench/gossip/network.ts";

const options: AttackOptions = { attack: "none", nodeCount: 60, seed: 2, messageCount: 4 };

describe("attacks on the simulated network", function () {
  this.timeout(60_000);

  it("cost a signature check for each message while there are none", async () => {
    const { coverage, checksPerMessage, attackerLinks } = await runAttack(options);
    expect(coverage).to.deep.equal([1, 1]);
    expect(attackerLinks).to.equal(0);
    expect(checksPerMessage).to.be.closeTo(59 / 60, 1e-9);
  });

  it("cost more checks when forgeries flood in, until their senders are cut off", async () => {
    const { coverage, checksPerMessage, cutLinks, attackerLinks } = await runAttack({
      ...options,
      attack: "header flood",
    });
    expect(coverage[1]).to.equal(1);
    expect(checksPerMessage).to.be.greaterThan(1.05);
    expect(attackerLinks).to.be.greaterThan(0);
    expect(cutLinks).to.equal(attackerLinks);
  });

  it("do not keep headers from a target that colocated identities reached first", async () => {
    const { coverage, attackerLinks } = await runAttack({ ...options, nodeCount: 100, attack: "colocation" });
    expect(attackerLinks).to.be.greaterThan(48);
    expect(coverage).to.deep.equal([1, 1]);
  });

  it("leave most headers their way while meshes form and two of three nodes pass nothing on", async () => {
    const { coverage } = await runAttack({ ...options, nodeCount: 100, messageCount: 8, attack: "cold boot" });
    expect(coverage[0]).to.be.greaterThan(0.9);
    expect(coverage[1]).to.be.at.least(coverage[0]);
  });

  it("let the same nodes attack gossipsub: relays that keep messages to themselves slow it down", async () => {
    const base = {
      ...ANCHORS["gossipsub D8 with IHAVE"],
      nodeCount: 200,
      seed: 2,
      links: DESIGN_LINKS,
      messageBytes: 4_307,
      messageCount: 3,
      gapMs: 4_000,
      deadShare: 0,
    };
    const [calm, censored] = [await runFlood(base), await runFlood({ ...base, attack: "cold boot" })];
    expect(censored.spread.expected).to.be.lessThan(calm.spread.expected);
    expect(censored.spread.p99Ms).to.be.greaterThan(calm.spread.p99Ms);
  });
});
