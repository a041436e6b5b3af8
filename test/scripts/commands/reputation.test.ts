// `surety reputation commit` and `watch` as their users run them, on a real chain.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { createTestClient, http } from "viem";
import { reputationEpochsAbi, topicIdOf } from "#protocol";
import { testAccount } from "../../../scripts/devnet/accounts.ts";
import { CommandLine } from "../../fixtures/cli.ts";
import { shiftOnePercent } from "../../fixtures/forgery.ts";
import { commitEpoch, EPOCH_LENGTH, startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

const topic = topicIdOf("data_analysis");
const RING: readonly (readonly [number, number, number])[] = [
  [0, 1, 80],
  [1, 2, 60],
  [2, 0, 70],
];

describe("surety reputation commit and watch", function () {
  this.timeout(180_000);
  const cli = new CommandLine();
  let network: LocalNetwork;
  let on: readonly string[];

  before(async () => {
    network = await startLocalNetwork(3, { stakers: 3 });
    const folder = join(network.dir, "localhost");
    mkdirSync(folder);
    writeFileSync(join(folder, "deployment.json"), JSON.stringify(network.deployment));
    on = ["--network", "localhost", "--rpc-url", network.rpcUrl, "--data-dir", network.dir];
  });
  after(async () => {
    cli.killAll();
    await network?.stop();
  });

  /** The options of a command that a key signs. */
  function withKey(name: string, key: string): string[] {
    const path = join(network.dir, name);
    writeFileSync(path, `${key}\n`, { mode: 0o600 });
    return ["--key-file", path, ...on];
  }
  const agentKey = (index: number) => withKey(`agent-${index}.key`, network.agents[index]?.key ?? "");
  const events = async (eventName: "EpochCommitted" | "CandidateStruck") => {
    const epochs = { abi: reputationEpochsAbi, address: network.deployment.contracts.reputationEpochs } as const;
    return network.client.getContractEvents({ ...epochs, eventName, fromBlock: 0n, strict: true });
  };

  it("challenges what is false, and counts on Ctrl-C", async () => {
    const watching = cli.surety(["reputation", "watch", ...agentKey(1), "--json"]);
    await watching.said(/watching/);
    await network.rate(topic, RING);
    const { computed } = await network.closeEpoch();
    await commitEpoch(network, network.agents[0]!, computed.map(shiftOnePercent));
    await watching.said(/watcher: challenge/);
    const { code, stdout } = await watching.interrupt();
    expect([code, JSON.parse(stdout)]).to.deep.equal([0, { challenges: 1 }]);
  });

  it("commits the epoch that has closed, says which and for whom", async () => {
    const { code, result } = await cli.json("reputation", "commit", ...agentKey(0));
    expect([code, result]).to.deep.equal([0, { epoch: 1, publisher: network.agents[0]?.agentId.toString() }]);
    expect(await events("EpochCommitted")).to.have.length(2);
    expect(await events("CandidateStruck")).to.have.length(1);
  });

  it("replaces a publisher whose process dies before it commits, by the next rank when its turn comes", async () => {
    const first = cli.surety(["reputation", "commit", ...agentKey(0), "--json"]);
    const second = cli.surety(["reputation", "commit", ...agentKey(2), "--rank", "1", "--json"]);
    await Promise.all([first.said(/waiting/), second.said(/waiting/)]);
    expect((await first.kill()).code).to.equal(null);
    const { epoch } = await network.closeEpoch();
    await second.said(new RegExp(`epoch ${epoch} is computed`));
    expect(await events("EpochCommitted")).to.have.length(2);
    // An eighth of the third of an epoch in which commits are taken.
    const simulator = createTestClient({ mode: "hardhat", transport: http(network.rpcUrl) });
    await simulator.increaseTime({ seconds: Number(EPOCH_LENGTH) / 24 });
    await simulator.mine({ blocks: 1 });
    const { code, stdout } = await second.ended;
    expect([code, JSON.parse(stdout)]).to.deep.equal([0, { epoch, publisher: network.agents[2]?.agentId.toString() }]);
    const committed = await events("EpochCommitted");
    expect(committed.map(({ args }) => args.publisher).slice(2)).to.deep.equal([Number(network.agents[2]?.agentId)]);
  });

  it("publishes for agents only", async () => {
    const stranger = withKey("stranger.key", testAccount(9).key);
    expect(await cli.failure("reputation", "commit", ...stranger)).to.deep.equal([2, "USAGE_NO_AGENT"]);
  });
});
