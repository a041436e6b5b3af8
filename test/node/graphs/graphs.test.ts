// A graph of tasks among whole nodes on a real chain; the best bidder of one subtask dies after it was awarded.
import { expect } from "chai";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTestClient, http } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { dealEscrowAbi, draftMechanism, rootOfShares, storedMechanismOf } from "#protocol";
import { NodeClient } from "../../../scripts/devnet/node-client.ts";
import { spawnNode, type NodeProcess } from "../../../scripts/devnet/child.ts";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

const TOPIC = "test/step";
const API_TOKEN = "token-of-the-test";
const TOKENS = 1_000_000_000n;
const REWARD_WEI = 900_000n;
const application = fileURLToPath(new URL("../../fixtures/step-application.ts", import.meta.url));

interface Report {
  readonly id: string;
  readonly state: string;
  readonly progress: {
    readonly states: Record<string, { kind: string; providerAgentId?: string; dealId?: `0x${string}` }>;
    readonly failedDeals: readonly { name: string; providerAgentId: string }[];
  };
  readonly shares: readonly { agentId: string; account: `0x${string}`; millionths: number }[];
  readonly splitsRoot?: string;
  readonly rewardState?: string;
  readonly rewardTaskId?: string;
}

describe("a graph of tasks", function () {
  this.timeout(300_000);
  const signal = AbortSignal.timeout(290_000);
  let world: LocalNetwork;
  const nodes: NodeProcess[] = [];

  before(async () => {
    world = await startLocalNetwork(4, { tokens: TOKENS });
    writeFileSync(join(world.dir, "deployment.json"), JSON.stringify(world.deployment));
  });
  after(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    await world.stop();
  });

  /** Each agent a process of its own: the second one asks least and never delivers. */
  async function startAgent(index: number, options: object, bootstrap: readonly string[]): Promise<NodeProcess> {
    const name = `agent-${index}`;
    const dir = join(world.dir, name);
    mkdirSync(dir, { recursive: true });
    writeFileSync(join(dir, "key"), `${world.agents[index]?.key}\n`, { mode: 0o600 });
    const agent = { name, keyFile: join(dir, "key"), application: { module: application, options }, bootstrap };
    const config = {
      ...{ rpcUrl: world.rpcUrl, deploymentFile: join(world.dir, "deployment.json"), dataDir: dir },
      ...{ apiToken: API_TOKEN, agents: [agent] },
    };
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
    const node = await spawnNode(join(dir, "config.json"), join(dir, "log"), signal);
    nodes.push(node);
    return node;
  }

  it("is done although the best bidder dies, keeps its deal as evidence, and divides the reward by one deal", async () => {
    const client = await startAgent(0, {}, []);
    const bootstrap = client.agents[0]?.addresses ?? [];
    const dying = await startAgent(1, { topic: TOPIC, priceWei: "1000", isDeaf: true }, bootstrap);
    await startAgent(2, { topic: TOPIC, priceWei: "2000" }, bootstrap);
    await startAgent(3, { topic: TOPIC, priceWei: "3000" }, bootstrap);
    const api = new NodeClient(client.agents[0] as never, API_TOKEN);
    await api.until<{ declarations: number }>("/status", ({ declarations }) => declarations >= 3, signal);

    const rules = draftMechanism({ name: "Steps", topics: [TOPIC], rule: "scored-second-price", bondWei: 500n });
    const deadlines = { ...rules.deadlines, bidWithinMs: 20_000, revealWithinMs: 20_000, submitWithinS: 120 };
    const mechanism = storedMechanismOf({ ...rules, deadlines, review: { ...rules.review, periodS: 600 } });
    const amounts = { reservePriceWei: "10000", submitWithinS: 120, mechanism, query: "steps" };
    const step = (name: string, needs: readonly string[], input: unknown) => ({
      ...{ name, needs, ...amounts },
      spec: { topic: TOPIC, title: name, input },
    });
    const result = (name: string) => ({ $deliverable: name, path: ["sum"] });
    const { id } = await api.ask<Report>("/graphs", signal, {
      rewardWei: REWARD_WEI,
      subtasks: [
        step("left", [], [1, 2]),
        // Another provider than the one that does the rest: the reward has two to be divided among.
        { ...step("right", [], [3, 4]), excludedAgentIds: ["3"] },
        step("both", ["left", "right"], [result("left"), result("right")]),
      ],
    });
    const isWorking = ({ progress }: Report) =>
      ["left", "right"].every((name) => progress.states[name]?.kind === "working");
    const started = await api.until<Report>(`/graphs/${id}`, isWorking, signal);
    // The cheapest one won both, and dies with both.
    expect(started.progress.states["left"]?.providerAgentId).to.equal("2");
    await dying.kill();
    const simulator = createTestClient({ mode: "hardhat", transport: http(world.rpcUrl) });
    await simulator.increaseTime({ seconds: 130 });
    await simulator.mine({ blocks: 1 });

    const ended = await api.until<Report>(
      `/graphs/${id}`,
      ({ state }) => !["running", "rewarding"].includes(state),
      signal,
    );
    expect(ended.state).to.equal("complete");
    expect(
      ended.progress.failedDeals.map(({ name, providerAgentId }) => `${name} ${providerAgentId}`).sort(),
    ).to.deep.equal(["left 2", "right 2"]);
    expect(Object.values(ended.progress.states).map(({ providerAgentId }) => providerAgentId)).not.to.include("2");
    const deliverable = await api.ask<{ deliverable: string }>(
      `/evidence/${ended.progress.states["both"]?.dealId}`,
      signal,
    );
    // dag-cbor of { sum: 10 }: the third step worked on what the first two delivered.
    expect(deliverable.deliverable).to.equal("0xa16373756d0a");
    expect(ended.rewardState).to.equal("settled");
    const providers = Object.entries(ended.progress.states).map(([name, state]) => `${name} ${state.providerAgentId}`);
    expect(providers.sort()).to.deep.equal(["both 3", "left 3", "right 4"]);
    // The one result needs both providers: each has half of it, whoever did more steps.
    expect(ended.shares.map(({ agentId, millionths }) => [agentId, millionths])).to.deep.equal([
      ["3", 500_000],
      ["4", 500_000],
    ]);
    const reward = await api.ask<{ dealId: `0x${string}` }>(`/tasks/${ended.rewardTaskId}`, signal);
    const deal = await world.client.readContract({
      ...{ abi: dealEscrowAbi, address: world.deployment.contracts.dealEscrow, functionName: "dealOf" },
      args: [reward.dealId],
    });
    expect(deal[0]).to.equal(3);
    const paid = await sharesPaid(reward.dealId);
    const owners = [2, 3].map((index) => privateKeyToAccount(world.agents[index]?.key as `0x${string}`).address);
    expect(paid).to.deep.equal(owners.map((account) => ({ account, amount: REWARD_WEI / 2n })));
    expect(ended.splitsRoot).to.equal(rootOfShares(ended.shares));
  });

  /** What the escrow has paid of a deal's shares, once nothing of it waits any more; the dust of nothing is left out. */
  async function sharesPaid(dealId: `0x${string}`) {
    const escrow = { abi: dealEscrowAbi, address: world.deployment.contracts.dealEscrow };
    while ((await world.client.readContract({ ...escrow, functionName: "potOf", args: [dealId] })) > 0n) {
      signal.throwIfAborted();
      await new Promise(setImmediate);
    }
    const events = await world.client.getContractEvents({
      ...{ ...escrow, eventName: "ShareDistributed", args: { dealId }, fromBlock: 0n, strict: true },
    });
    return events.map(({ args: { account, amount } }) => ({ account, amount })).filter(({ amount }) => amount > 0n);
  }
});
