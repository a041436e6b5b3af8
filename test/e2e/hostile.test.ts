// A node process among liars, on a real chain: what PROPERTIES.md 33 and 34 claim and no narrower test shows.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { bytesToHex } from "viem";
import {
  accept,
  encodeLogHeader,
  reputationEpochsAbi,
  signLogHeader,
  testTokenAbi,
  topicIdOf,
  type Signer,
} from "#protocol";
import { HEADERS_TOPIC } from "../../node/gossip/gossip.ts";
import { protocols } from "../../node/gossip/sync.ts";
import { heads } from "../../node/gossip/wire.ts";
import { spawnNode, type NodeProcess } from "../../scripts/devnet/child.ts";
import type { LocalAgent } from "../../scripts/devnet/provision.ts";
import { shiftOnePercent } from "../fixtures/forgery.ts";
import { patience, startHosts, subscribed } from "../fixtures/hosts.ts";
import { commitEpoch, startLocalNetwork, type LocalNetwork } from "../fixtures/local-network.ts";
import { headerOf, testSigner } from "../fixtures/log.ts";

const topic = topicIdOf("data_analysis");
const never = new AbortController().signal;

describe("a node process among liars", () => {
  let network: LocalNetwork;
  let watcher: NodeProcess;
  let agent: LocalAgent;

  before(async () => {
    network = await startLocalNetwork(5);
    agent = network.agents[1] as LocalAgent;
    watcher = await spawnWatcher(network, agent);
  });
  after(async () => {
    await watcher?.stop();
    await network?.stop();
  });

  it("takes no header of a signer that the chain does not know", async () => {
    const { hosts, stop } = await startHosts(1, { topics: [HEADERS_TOPIC] });
    const [stranger] = hosts as [(typeof hosts)[number]];
    const { peerId, addresses } = watcher.agents[0] as NodeProcess["agents"][number];
    try {
      await stranger.serve(protocols.heads, async () => accept(heads.answer.encode([])));
      stranger.subscribe(HEADERS_TOPIC, async () => accept(undefined));
      const ready = subscribed(stranger, peerId, HEADERS_TOPIC);
      await stranger.dial(addresses[0] as string, patience());
      await ready;
      const contracts = { chainId: network.deployment.chainId, ...network.deployment.contracts };
      const say = (signer: Signer) => {
        const header = signLogHeader(headerOf(signer, { timeMs: Date.now() }), signer, contracts);
        return stranger.publish(HEADERS_TOPIC, encodeLogHeader(header));
      };
      const logsHeld = async () => {
        const request = heads.request.encode({ after: "0x" });
        const answer = await stranger.request(peerId, protocols.heads, request, { signal: patience() });
        if (answer.kind !== "accept") throw new Error(`${answer.code}: ${answer.detail}`);
        const decoded = heads.answer.decode(answer.value);
        return decoded.kind === "accept" ? decoded.value.map(({ log }) => log.toLowerCase()) : [];
      };
      const [unknown, known] = [testSigner(7), (network.agents[2] as LocalAgent).signer];
      // Nobody here can see when the node has heard our subscription: each try is another header.
      while ((await say(unknown)) === 0) await new Promise(setImmediate);
      expect(await say(known)).to.equal(1);
      // Said later and checked in the same way, so once it is held the other one has been judged.
      let held = await logsHeld();
      while (!held.includes(known.address.toLowerCase())) held = await logsHeld();
      expect(held).to.not.include(unknown.address.toLowerCase());
    } finally {
      await stop();
    }
  });

  it("strikes a publisher that shifts 1% of one agent's score, and nothing is finalized", async () => {
    const { client, deployment } = network;
    const epochs = { abi: reputationEpochsAbi, address: deployment.contracts.reputationEpochs } as const;
    const balance = () =>
      client.readContract({
        ...{ abi: testTokenAbi, address: deployment.contracts.token },
        ...{ functionName: "balanceOf", args: [agent.address] },
      });
    await network.rate(topic, [
      [0, 1, 80],
      [1, 2, 60],
      [2, 3, 70],
      [3, 0, 50],
      [0, 4, 20],
    ]);
    const { epoch, computed } = await network.closeEpoch();
    const publisher = network.agents[0] as LocalAgent;
    const before = await balance();
    await commitEpoch(network, publisher, computed.map(shiftOnePercent));

    const struck = () =>
      client.getContractEvents({ ...epochs, eventName: "CandidateStruck", fromBlock: 0n, strict: true });
    let strikes = await struck();
    while (strikes.length === 0) strikes = await struck();
    expect(strikes).to.have.length(1);
    const { challenger, publisher: struckId, slashed, reward } = strikes[0]!.args;
    expect([challenger.toLowerCase(), struckId]).to.deep.equal([
      agent.address.toLowerCase(),
      Number(publisher.agentId),
    ]);
    expect(slashed > 0n && reward > 0n).to.equal(true);
    expect((await balance()) - before).to.equal(reward);

    await network.goToNextEpoch();
    const finalizing = client.simulateContract({ ...epochs, functionName: "finalize", args: [epoch, [topic]] });
    const refusal = await finalizing.then(() => "finalized", String);
    expect(refusal).to.include("ReputationEpochsNoCandidate");
    const [root] = await client.readContract({ ...epochs, functionName: "finalizedOf", args: [topic] });
    expect(root).to.equal(bytesToHex(new Uint8Array(32)));
    const journal = readFileSync(join(network.dir, "watcher.log"), "utf8");
    expect(journal).to.include('"event":"watcher"');
  });
});

function spawnWatcher({ dir, rpcUrl, deployment }: LocalNetwork, agent: LocalAgent): Promise<NodeProcess> {
  writeFileSync(join(dir, "deployment.json"), JSON.stringify(deployment));
  writeFileSync(join(dir, "watcher.key"), `${agent.key}\n`, { mode: 0o600 });
  const entry = { name: "watcher", keyFile: "watcher.key", roles: ["watcher"] };
  const config = { rpcUrl, deploymentFile: "deployment.json", dataDir: "nodes", agents: [entry] };
  writeFileSync(join(dir, "watcher.json"), JSON.stringify(config));
  return spawnNode(join(dir, "watcher.json"), join(dir, "watcher.log"), never);
}
