// Four validators on a real network: three whole nodes, and one that is no node at all and signs two headers of a window.
import { expect } from "chai";
import { createTestClient, hexToBytes, http, zeroHash, type Abi } from "viem";
import {
  accept,
  batchRootOf,
  leaderSeatOf,
  signBatch,
  stakeVaultAbi,
  topicIdOf,
  trustLedgerAbi,
  windowAt,
  windowValidatorsAbi,
  type BatchEntry,
  type BatchHeader,
  type WindowClock,
} from "#protocol";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { decodeProposal, encodeProposal, protocols } from "../../../node/windows/wire.ts";
import { windowTopics } from "../../../node/windows/windows.ts";
import type { LocalAgent } from "../../../scripts/devnet/provision.ts";
import { createApplication } from "../../../scripts/scenarios/applications/skill.ts";
import { EPOCH_LENGTH, STAKE, startLocalNetwork, writeAs, type LocalNetwork } from "../../fixtures/local-network.ts";
import { createWholeNodes, type WholeNode, type WholeNodes } from "../../fixtures/whole-nodes.ts";
import { nightly } from "../../fixtures/profile.ts";

const TOPIC_NAME = "data_analysis";
const TOPIC = topicIdOf(TOPIC_NAME);
const HONEST = [0, 1, 2] as const;
const LIAR = 3;
/** As test/fixtures/local-network.ts deploys. */
const BOND = 10_000_000n;
const WINDOW_SECONDS = 5;
/** What the contract's own tests show of anchors, by whole nodes and into the next epoch: 15 s. */
const patience = () => AbortSignal.timeout(120_000);

describe("the windows of a topic, on four validators of which one lies", function () {
  this.timeout(240_000);
  let network: LocalNetwork;
  let nodes: WholeNodes;
  let running: WholeNode[];
  let liar: Transport;
  let clock: WindowClock;
  let seats: readonly number[];

  const agentAt = (index: number) => network.agents[index] as LocalAgent;
  const windows = () => ({ abi: windowValidatorsAbi, address: network.deployment.contracts.windowValidators }) as const;
  const contracts = () => ({ chainId: network.deployment.chainId, ...network.deployment.contracts });
  const simulator = () => createTestClient({ mode: "hardhat", transport: http(network.rpcUrl) });
  const secondNow = async () => Number((await network.client.getBlock()).timestamp);
  /** Lets blocks pass, one a second of the chain, until the condition holds: what nodes do, they do with the next head. */
  const untilMined = async (condition: () => boolean | Promise<boolean>, lie?: () => Promise<void>) => {
    const signal = patience();
    while (!(await condition())) {
      signal.throwIfAborted();
      await simulator().mine({ blocks: 1 });
      await lie?.();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const noted = (event: string) =>
    nodes.lines
      .map((line) => JSON.parse(line) as { event?: string; agent?: string; window?: number; step?: string })
      .filter((line) => line.event === event);
  const batchesOf = (name: string) => noted("batch").filter(({ agent }) => agent === name);
  const validatorsOf = async (epoch: number) =>
    network.client.readContract({ ...windows(), functionName: "validatorsOf", args: [TOPIC, BigInt(epoch)] });
  const stakeOf = async (index: number) => {
    const vault = { abi: stakeVaultAbi, address: network.deployment.contracts.stakeVault } as const;
    const args = [Number(agentAt(index).agentId)] as const;
    return (await network.client.readContract({ ...vault, functionName: "stakeOf", args }))[0];
  };

  before(async () => {
    network = await startLocalNetwork(4, { stakers: 4 });
    for (const index of [...HONEST, LIAR]) {
      const args = [TOPIC, Number(agentAt(index).agentId), BOND];
      await writeAs(network, agentAt(index), windows().address, windows().abi as Abi, "enlist", args);
    }
    const epoch = await network.goToNextEpoch();
    const ledger = { abi: trustLedgerAbi, address: network.deployment.contracts.trustLedger } as const;
    const genesis = Number(await network.client.readContract({ ...ledger, functionName: "genesis" }));
    clock = { genesis, epochLengthSeconds: Number(EPOCH_LENGTH), windowSeconds: WINDOW_SECONDS };
    nodes = await createWholeNodes(network);
    running = [];
    for (const index of HONEST) {
      const name = `validator-${index}`;
      const application = await createApplication({
        name,
        options: { topic: TOPIC_NAME, priceWei: "1000", quality: 90 },
      });
      const bootstrap = running.flatMap(({ addresses }) => addresses);
      running.push(await nodes.start(index, { name, windows: [TOPIC_NAME], bootstrap }, application));
    }
    liar = await createLibp2pTransport({ privateKey: agentAt(LIAR).key, topics: windowTopics([TOPIC_NAME]) });
    await liar.start();
    await liar.serve(protocols.window, (request) => {
      const proposal = decodeProposal(request);
      if (proposal.kind !== "accept") return Promise.resolve(proposal);
      const { signature } = signBatch(proposal.value.header, agentAt(LIAR).signer, contracts());
      return Promise.resolve(accept(hexToBytes(signature)));
    });
    for (const { addresses } of running) await liar.dial(addresses[0] as string, patience());
    await untilMined(async () => (await validatorsOf(epoch)).length === 4);
    seats = await validatorsOf(epoch);
  });
  after(async () => {
    await liar?.stop();
    await nodes?.stop();
    await network?.stop();
  });

  it("are drawn by the nodes themselves, and put what the agents say in one order that all of them have", async () => {
    const names = HONEST.map((index) => `validator-${index}`);
    await untilMined(() => names.every((name) => batchesOf(name).length > 0));
    const [first] = names.map((name) => batchesOf(name)[0]?.window);
    expect(names.map((name) => batchesOf(name).some(({ window }) => window === first))).to.deep.equal([
      true,
      true,
      true,
    ]);
    expect(noted("windows").map(({ step }) => step)).to.include.members(["scheduled", "drawn"]);
  });

  it("cost the one that signs two headers of a window all that it has at stake, by a report that a node sends by itself", async () => {
    const liarSeat = seats.indexOf(Number(agentAt(LIAR).agentId));
    const lied = new Set<number>();
    /** Once in each window that it leads, two lists, to everybody. */
    const lie = async () => {
      const place = windowAt(clock, (await secondNow()) - WINDOW_SECONDS);
      if (leaderSeatOf(place, seats.length) !== liarSeat || lied.has(place.window)) return;
      lied.add(place.window);
      for (const content of ["11", "22"]) {
        const entries: BatchEntry[] = [{ log: agentAt(LIAR).address, seq: 0, digest: `0x${content.repeat(32)}` }];
        const header: BatchHeader = {
          ...{ topic: TOPIC, window: place.window, previous: zeroHash, root: batchRootOf(entries), count: 1 },
        };
        const { signature } = signBatch(header, agentAt(LIAR).signer, contracts());
        const body = encodeProposal({ header, signature, entries });
        for (const { peerId } of running) await liar.request(peerId, protocols.window, body, { signal: patience() });
      }
    };
    expect(await stakeOf(LIAR)).to.equal(STAKE);
    await untilMined(async () => (await stakeOf(LIAR)) < STAKE, lie);
    expect(await stakeOf(LIAR)).to.equal(STAKE - BOND);
    await untilMined(() => noted("slashed").length > 0);
    expect(await Promise.all(HONEST.map(stakeOf))).to.deep.equal(HONEST.map(() => STAKE));
  });

  nightly("go on without it, and the last one of the epoch is anchored in the next", async () => {
    const epoch = windowAt(clock, await secondNow()).epoch;
    const next = await network.goToNextEpoch();
    const anchorOf = () =>
      network.client.readContract({ ...windows(), functionName: "anchorOf", args: [TOPIC, BigInt(epoch)] });
    await untilMined(async () => (await anchorOf())[1] !== 0);
    const [digest, window] = await anchorOf();
    expect(windowAt(clock, window).epoch).to.equal(epoch);
    const newest = Math.max(
      ...noted("batch").flatMap((line) =>
        (line.window ?? 0) < clock.genesis + (next - 1) * Number(EPOCH_LENGTH) ? [line.window ?? 0] : [],
      ),
    );
    expect(window).to.equal(newest);
    expect(BigInt(digest)).to.not.equal(0n);
  });
});
