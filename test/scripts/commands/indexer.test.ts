import { expect } from "chai";
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { topicIdOf } from "#protocol";
import { createIndexer } from "../../../indexer/index.ts";
import { cliHere as cli } from "../../fixtures/cli-here.ts";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

interface Report {
  readonly rowCount: number;
  readonly differenceCount: number;
  readonly differences: readonly { readonly table: string; readonly id: string }[];
}

describe("surety indexer verify", function () {
  this.timeout(120_000);
  let world: LocalNetwork;
  let folder: string;
  let on: string[];

  before(async () => {
    world = await startLocalNetwork(3);
    folder = join(world.dir, "network");
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    await world.rate(topicIdOf("data_analysis"), [
      [0, 1, 80],
      [1, 2, -20],
    ]);
    const { client, deployment } = world;
    const indexer = createIndexer({ client, deployment, store: { folder } });
    await indexer.start();
    await indexer.reached({ number: Number(await client.getBlockNumber()) });
    await indexer.stop();
  });
  after(async () => {
    await world.stop();
  });

  const verify = () => cli.json<Report>("indexer", "verify", ...on);
  const write = (sql: string) => {
    const db = new DatabaseSync(join(folder, "indexer.sqlite"));
    db.exec(sql);
    db.close();
  };

  it("finds every row to be what the chain says, with exit code 0", async () => {
    const { code, result } = await verify();
    expect([code, result.differenceCount]).to.deep.equal([0, 0]);
    expect(result.rowCount).to.be.greaterThan(10);
  });

  it("and status says how far they have come, and what became of the leaves of commits", async () => {
    const { code, result } = await cli.json<{ isOnChain: boolean; leaves: unknown; leavesWaiting: unknown }>(
      ...["indexer", "status", ...on],
    );
    expect([code, result.isOnChain, result.leavesWaiting]).to.deep.equal([0, true, []]);
    expect(result.leaves).to.deep.equal({ verified: 0, available: 0, announced: 0, mismatch: 0 });
  });

  it("names a forged row, a missing row and an invented one, with exit code 1", async () => {
    write(`UPDATE agents SET owner = '0x${"11".repeat(20)}' WHERE id = '31337:2'`);
    write(`DELETE FROM agents WHERE id = '31337:3'`);
    const columns = `SELECT group_concat('"' || name || '"') FROM pragma_table_info('agents') WHERE name != 'id'`;
    const db = new DatabaseSync(join(folder, "indexer.sqlite"));
    const names = Object.values(db.prepare(columns).get() ?? {})[0] as string;
    db.close();
    write(`INSERT INTO agents (id, ${names}) SELECT '31337:77', ${names} FROM agents WHERE id = '31337:1'`);
    const { code, result } = await verify();
    expect([code, result.differenceCount]).to.deep.equal([1, 3]);
    const found = result.differences.map(({ table, id }) => `${table} ${id}`);
    expect(found).to.have.members(["agents 31337:2", "agents 31337:3", "agents 31337:77"]);
    const { code: exitCode, stdout } = await cli.run("indexer", "verify", ...on);
    expect(exitCode).to.equal(1);
    expect(stdout).to.match(/agents 31337:2: owner is 0x1{40}, not 0x/);
    expect(stdout).to.match(/agents 31337:3: missing/);
    expect(stdout).to.match(/3 rows differ from the chain\n$/);
  });

  it("says when there is no index, when it is of another deployment, and takes --network below `indexer`", async () => {
    write("UPDATE identity SET text = 'schema=0'");
    expect(await cli.failure("indexer", "verify", ...on)).to.deep.equal([3, "INDEX_FOREIGN"]);
    const nowhere = ["--data-dir", world.dir, "--network", "nowhere", "--rpc-url", world.rpcUrl];
    expect(await cli.failure("indexer", "verify", ...nowhere)).to.deep.equal([3, "DEPLOYMENT_MISSING"]);
    mkdirSync(join(world.dir, "nowhere"));
    copyFileSync(join(folder, "deployment.json"), join(world.dir, "nowhere", "deployment.json"));
    expect(await cli.failure("indexer", "verify", ...nowhere)).to.deep.equal([3, "INDEX_MISSING"]);
  });
});
