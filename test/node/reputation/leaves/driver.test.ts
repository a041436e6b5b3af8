// Publisher and watcher on a chain with the real contracts and real hosts, of a topic whose leaves fit no transaction.
import { expect } from "chai";
import { network } from "hardhat";
import { custom, numberToHex } from "viem";
import { accept, topicIdOf, type Verdict } from "#protocol";
import { createChainClient } from "../../../../node/chain/connect.ts";
import { watchHeads } from "../../../../node/chain/heads.ts";
import type { Heads } from "../../../../node/chain/port.ts";
import { createSender } from "../../../../node/chain/sender.ts";
import { createReputationChain } from "../../../../node/reputation/chain.ts";
import { ReputationDriver, type DriverOptions, type RoleReport } from "../../../../node/reputation/driver.ts";
import { computeEpoch, type ComputedTopic } from "../../../../node/reputation/engine.ts";
import { graphsAtClose } from "../../../../node/reputation/graph.ts";
import { openLeafExchange } from "../../../../node/reputation/leaves/exchange.ts";
import { LEAVES_PROTOCOL } from "../../../../node/reputation/leaves/wire.ts";
import { openStore } from "../../../../node/store/sqlite.ts";
import type { Transport } from "../../../../node/transport/port.ts";
import { testDeployment } from "../../../fixtures/deployment.ts";
import { shiftOnePercent } from "../../../fixtures/forgery.ts";
import { addressOf, patience, startHosts } from "../../../fixtures/hosts.ts";
import { deployWorld, goTo, PUBLISHER_BOND, registerAgents, stake } from "../../../reputation-contracts/world.ts";
import { testSigner } from "../../chain/test-chain.ts";
import { createRandom } from "../graphs.ts";

const AGENTS = 6;
const PUBLISHER = AGENTS + 1;
/** Accounts of Hardhat's public test mnemonic, in the order of test/reputation-contracts/world.ts. */
const signers = { publisher: 3, challenger: 5 } as const;
const TOPIC = topicIdOf("code_generation");
const CANDIDATE = 1n << 32n;
const never = new AbortController().signal;

async function createScene() {
  const chain = await network.create();
  const world = await deployWorld(chain);
  await registerAgents(world, world.accounts.owner, AGENTS);
  await registerAgents(world, world.accounts.publisher, 1);
  const random = createRandom(5);
  for (let k = 0; k < 20; k++) {
    const [client, provider] = [1 + Math.floor(random() * AGENTS), 1 + Math.floor(random() * AGENTS)];
    const args = [TOPIC, client, provider, Math.floor(random() * 101), Math.floor(random() * 50)] as const;
    await world.ledger.write.record(args, { account: world.accounts.recorder });
  }
  for (const agentId of [1, 2, 5]) await stake(world, agentId, BigInt(agentId) * 1_000n);
  await stake(world, PUBLISHER, 4n * PUBLISHER_BOND);
  const deployment = testDeployment({
    ...{ identityRegistry: world.registry.address, stakeVault: world.vault.address },
    ...{ trustLedger: world.ledger.address, reputationEpochs: world.epochs.address, token: world.token.address },
    dealEscrow: world.accounts.recorder,
  });
  const client = createChainClient(custom(chain.provider, { retryCount: 0 }), 31_337);
  return { chain, world, client, deployment };
}

describe("a topic whose leaves fit no transaction", function () {
  this.timeout(60_000);
  let scene: Awaited<ReturnType<typeof createScene>>;
  let heads: Heads;
  let hosts: Transport[];
  let stopHosts: () => Promise<unknown>;
  let reports: RoleReport[];
  let running: Promise<void>[];
  let stop: AbortController;
  let waiting: (() => void)[];
  let lies: string[];

  beforeEach(async () => {
    scene = await createScene();
    heads = await watchHeads({ client: scene.client, pollIntervalMs: 10 }, never);
    ({ hosts, stop: stopHosts } = await startHosts(3));
    [reports, running, stop, waiting, lies] = [[], [], new AbortController(), [], []];
  });
  afterEach(async () => {
    stop.abort();
    await Promise.all(running);
    heads.stop();
    await stopHosts();
    await scene.chain.close();
  });

  const chainOf = (account: keyof typeof signers) => {
    const { client, deployment } = scene;
    const sender = createSender({ client, heads, signer: testSigner(signers[account]) });
    return createReputationChain({ client, deployment, heads, sender });
  };
  const exchangeOn = (host: Transport, publisher: Transport) =>
    openLeafExchange({
      ...{ transport: host, store: openStore(":memory:"), nowMs: () => Date.now(), partTimeoutMs: 200 },
      dialAgent: (_agent, signal) => host.dial(addressOf(publisher), signal),
      onLie: (peer, { code }) => lies.push(`${peer} ${code}`),
    });
  const start = (account: keyof typeof signers, options: Omit<DriverOptions, "chain" | "onReport">) => {
    const onReport = (report: RoleReport) => {
      reports.push(report);
      waiting.splice(0).forEach((wake) => wake());
    };
    running.push(new ReputationDriver({ chain: chainOf(account), onReport, ...options }).run(stop.signal));
  };
  const reported = async (kind: RoleReport["effect"]["kind"]) => {
    for (;;) {
      const failed = reports.find(({ error }) => error !== undefined);
      if (failed?.error !== undefined) throw failed.error;
      if (reports.some(({ effect }) => effect.kind === kind)) return;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  const kinds = () => new Set(reports.map(({ effect }) => effect.kind));
  /** The honest epoch with one score shifted by 1%, committed without its leaves. */
  const commitForged = async (): Promise<ComputedTopic> => {
    const { client, world } = scene;
    const logs = await chainOf("challenger").readLogs(0n, await client.getBlockNumber(), never);
    const events = logs.flatMap((log) => (log.source === "trust" ? [log.event] : []));
    const [honest] = await computeEpoch(graphsAtClose(events, 1));
    const forged = shiftOnePercent(honest as ComputedTopic);
    const { topic, root, multiplier, shift } = forged;
    const args = [PUBLISHER, numberToHex(1, { size: 32 }), [{ topic, root, multiplier, shift }], "0x"] as const;
    await world.epochs.write.commit(args, { account: world.accounts.publisher });
    return forged;
  };
  const faultOf = async () => (await scene.world.epochs.read.candidateOf([CANDIDATE]))[3];

  it("is committed without leaves, which the publisher's node gives to whoever asks, and is finalized", async () => {
    const { world, client } = scene;
    const [host, asker] = hosts as [Transport, Transport];
    const leaves = await exchangeOn(host, host);
    start("publisher", { publisher: { agentId: PUBLISHER, rank: 0, isReleasing: false, maxLeavesBytes: 64 }, leaves });
    await goTo(world, 2n);
    await reported("commit");
    const logs = await chainOf("challenger").readLogs(0n, await client.getBlockNumber(), never);
    const [commit] = logs.flatMap(({ source, event }) =>
      source === "epochs" && event.kind === "committed" ? [event] : [],
    );
    expect(commit?.leaves.length).to.equal(0);
    const { root } = commit?.topics[0] as { root: `0x${string}` };
    const wanted = { root, leafCount: AGENTS + 1, epoch: 1, publisher: PUBLISHER, patienceMs: 10_000 };
    const [chunk] = await (await exchangeOn(asker, host)).find(wanted, patience());
    expect(chunk?.length).to.equal(AGENTS + 1);
    await goTo(world, 3n);
    await reported("finalize");
    expect((await world.epochs.read.finalizedOf([TOPIC]))[0]).to.equal(root);
  });

  it("is struck by leaves that peers give, with no request paid for on chain, past a publisher that stalls", async () => {
    const [publisher, peer, watcher] = hosts as [Transport, Transport, Transport];
    // The publisher answers nobody; another node that once had the leaves does.
    await publisher.serve(LEAVES_PROTOCOL, () => new Promise<Verdict<Uint8Array>>(() => undefined));
    const helper = await exchangeOn(peer, publisher);
    const leaves = await exchangeOn(watcher, publisher);
    await watcher.dial(addressOf(peer), patience());
    await goTo(scene.world, 2n);
    helper.keep(1, (await commitForged()).tree);
    start("challenger", { isWatching: true, leaves });
    await reported("challenge");
    expect(await faultOf()).to.equal(1);
    expect(kinds()).not.to.include("request");
    expect(await scene.world.client.getBalance({ address: scene.world.epochs.address })).to.equal(0n);
  });

  it("is asked for on chain where peers only lie, and struck when the publisher stays silent", async () => {
    const [publisher, peer, watcher] = hosts as [Transport, Transport, Transport];
    for (const liar of [publisher, peer]) {
      await liar.serve(LEAVES_PROTOCOL, () => Promise.resolve(accept(new Uint8Array(32).fill(7))));
    }
    const leaves = await exchangeOn(watcher, publisher);
    await watcher.dial(addressOf(peer), patience());
    await goTo(scene.world, 2n);
    await commitForged();
    start("challenger", { isWatching: true, leaves });
    await reported("request");
    expect(lies).to.include.members([`${publisher.peerId} LEAVES_OUTLINE`, `${peer.peerId} LEAVES_OUTLINE`]);
    await goTo(scene.world, 2n, 3n);
    await reported("strike");
    expect(await faultOf()).to.equal(6);
  });
});
