import { expect } from "chai";
import { parseEventLogs, zeroHash, type Abi, type Address, type Hex } from "viem";
import {
  anchorsAbi,
  createSigner,
  isEntryInRange,
  proveEntry,
  rangeRootOf,
  purposes,
  signerHashOf,
  typedDataDigest,
  type DomainContracts,
} from "#protocol";
import { createAnchorChain } from "../../../node/chain/anchors.ts";
import { connectChain, type ChainClient } from "../../../node/chain/connect.ts";
import { watchHeads } from "../../../node/chain/heads.ts";
import { createIdentityReader } from "../../../node/chain/identity.ts";
import type { ChainSender, Heads } from "../../../node/chain/port.ts";
import { createSender } from "../../../node/chain/sender.ts";
import { Anchorer, type SignedAnchor } from "../../../node/log/anchorer.ts";
import { createLogStore, type LogStore } from "../../../node/log/log-store.ts";
import { openLogWriter } from "../../../node/log/writer.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { LocalAgent } from "../../../scripts/devnet/provision.ts";
import { testDeclare } from "../../fixtures/log.ts";
import { startLocalNetwork, type LocalNetwork } from "../../fixtures/local-network.ts";

const signal = new AbortController().signal;

describe("the anchorer", function () {
  this.timeout(120_000);
  let world: LocalNetwork;
  let client: ChainClient;
  let heads: Heads;
  let sender: ChainSender;
  let contracts: DomainContracts;
  let logs: LogStore;
  let clockMs = 1_000;

  before(async () => {
    world = await startLocalNetwork(4);
    client = await connectChain(world.rpcUrl, world.deployment, signal);
    heads = await watchHeads({ client, pollIntervalMs: 50 }, signal);
    sender = createSender({ client, heads, signer: createSigner(agentAt(3).key) });
    contracts = { chainId: world.deployment.chainId, ...world.deployment.contracts };
    logs = createLogStore(openStore(":memory:"));
    // 200 entries of the first, 130 of the second; a third that lies in its checkpoint.
    await write(agentAt(0), 200);
    await write(agentAt(1), 130);
    await write(agentAt(2), 70, { agentId: 1n });
  });
  after(async () => {
    heads.stop();
    await world.stop();
  });

  function agentAt(index: number): LocalAgent {
    const agent = world.agents[index];
    if (agent === undefined) throw new Error(`no agent ${index}`);
    return agent;
  }

  /** A log with its checkpoints, as a node writes it. */
  async function write(agent: LocalAgent, count: number, lie: { agentId?: bigint } = {}): Promise<void> {
    const { signer } = agent;
    const agentId = lie.agentId ?? agent.agentId;
    const writer = await openLogWriter({
      ...{ store: openStore(":memory:"), logs, signer, contracts, signal, nowMs: () => clockMs },
      peers: { fetchOwnHeaders: async () => [] },
      checkpoints: {
        sign(range) {
          const anchor = { agentId, log: signer.address, ...range, stateHead: zeroHash };
          const anchorSignature = signer.sign(typedDataDigest("LogAnchor", anchor, contracts));
          return { agentId, stateHead: zeroHash, anchorSignature, blockNumber: 1n, blockHash: zeroHash };
        },
        onCheckpoint: () => undefined,
      },
    });
    while ((logs.headOf(signer.address)?.header.seq ?? -1) < count - 1) {
      writer.append("declare", testDeclare({ agentId }), 60);
    }
    writer.close();
  }

  function createAnchorer(sent: (readonly SignedAnchor[])[], minRanges: number) {
    const identity = createIdentityReader(client, heads, world.deployment);
    const chain = createAnchorChain(client, world.deployment, sender);
    const port = {
      nextSeqOf: chain.nextSeqOf,
      async agentOf(log: Address) {
        const { agentId, purpose, invalidFrom } = await identity.signerOf(signerHashOf(log), signal);
        return purpose === purposes.log && invalidFrom === 0 ? agentId : undefined;
      },
      async anchor(ranges: readonly SignedAnchor[]) {
        sent.push(ranges);
        await chain.anchor(ranges, signal);
      },
    };
    return new Anchorer({ logs, contracts, port, nowMs: () => clockMs, minRanges, maxWaitMs: 60_000 });
  }

  const anchored = async (log: Hex) => {
    const call = { abi: anchorsAbi, address: world.deployment.contracts.anchors } as const;
    return (await client.readContract({ ...call, functionName: "anchoredUpTo", args: [log] }))[0];
  };

  it("waits for enough ranges, then anchors those of all honest logs in one transaction, and each once", async () => {
    const sent: (readonly SignedAnchor[])[] = [];
    expect(await createAnchorer(sent, 6).anchorDue(signal)).to.equal(0);
    const anchorer = createAnchorer(sent, 5);
    const before = await client.getBlockNumber({ cacheTime: 0 });
    expect(await anchorer.anchorDue(signal)).to.equal(5);
    expect(sent).to.have.length(1);
    expect(await anchored(agentAt(0).address)).to.equal(192);
    expect(await anchored(agentAt(1).address)).to.equal(128);
    expect(await anchored(agentAt(2).address), "one that signs for another agent").to.equal(0);
    expect(await anchorer.anchorDue(signal)).to.equal(0);

    const [block] = await client.getContractEvents({
      ...{ abi: anchorsAbi, address: world.deployment.contracts.anchors, eventName: "LogAnchored", fromBlock: before },
    });
    const receipt = await client.getTransactionReceipt({ hash: block?.transactionHash as Hex });
    expect(parseEventLogs({ abi: anchorsAbi as Abi, logs: receipt.logs })).to.have.length(5);
    const gasPerEntry = Number(receipt.gasUsed) / (5 * 64);
    expect(gasPerEntry, "gas an entry, in a batch of five ranges").to.be.below(1_000);
  });

  it("anchored roots by which any entry of a range is proven, and no other", () => {
    const log = agentAt(0).address;
    const range = { fromSeq: 64, toSeq: 127 };
    const digests = logs.range(log, 64, 64).map(({ digest }) => digest);
    const [root, proof] = [rootAt(log, 128), proveEntry(digests, 64, 99)];
    expect(isEntryInRange(root, range, { seq: 99, digest: digests[35] as Hex }, proof)).to.equal(true);
    expect(isEntryInRange(root, range, { seq: 99, digest: digests[36] as Hex }, proof)).to.equal(false);
  });

  it("anchors a single range once it has waited too long, from a new process that remembers nothing", async () => {
    await write(agentAt(1), 200);
    const sent: (readonly SignedAnchor[])[] = [];
    const anchorer = createAnchorer(sent, 5);
    expect(await anchorer.anchorDue(signal)).to.equal(0);
    clockMs += 60_000;
    expect(await anchorer.anchorDue(signal)).to.equal(1);
    expect(sent[0]?.[0]?.anchor).to.include({ fromSeq: 128, toSeq: 191, agentId: agentAt(1).agentId });
    expect(await anchored(agentAt(1).address)).to.equal(192);
  });

  function rootAt(log: Address, seq: number): Hex {
    const digests = logs.range(log, seq - 64, 64).map(({ digest }) => digest);
    expect(digests).to.have.length(64);
    const entry = logs.entryAt(log, seq);
    expect(entry?.header.header.kind).to.equal(10);
    return rangeRootOf(digests);
  }
});
