import { expect } from "chai";
import { runTask, schemes, summarise, type SchemeName, type Task } from "../../bench/discovery/compare.ts";

const task = (scheme: SchemeName, churn: number): Task => ({ scheme, churn, nodeCount: 40, seed: 3 });

describe("the comparison of discovery schemes", function () {
  this.timeout(60_000);

  it("answers every request by every scheme while nobody goes", async () => {
    for (const scheme of Object.keys(schemes) as SchemeName[]) {
      const { requests, successes, bytesPerSuccess } = summarise([await runTask(task(scheme, 0))]);
      expect([scheme, successes]).to.deep.equal([scheme, requests]);
      expect(bytesPerSuccess).to.be.greaterThan(1_024);
    }
  });

  it("has a registry name providers that have gone, and a broadcast none", async () => {
    const [registry, broadcast] = [
      await runTask(task("central registry", 0.4)),
      await runTask(task("topic route", 0.4)),
    ].map((outcome) => summarise([outcome]));
    expect(registry!.stale).to.be.greaterThan(0);
    expect(registry!.successes).to.be.lessThan(registry!.requests);
    expect(broadcast!.stale).to.equal(0);
  });

  it("has the same run for the same seed", async () => {
    const [first, second] = [await runTask(task("Kademlia DHT", 0.2)), await runTask(task("Kademlia DHT", 0.2))];
    expect(JSON.stringify(second)).to.equal(JSON.stringify(first));
  });
});
