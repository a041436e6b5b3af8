import { expect } from "chai";
import { custom, type Address, type Hex } from "viem";
import type { Signer, SuretyError } from "#protocol";
import { createBoundSigners, MAX_SIGNERS } from "../../../node/chain/bound-signers.ts";
import { createChainClient } from "../../../node/chain/connect.ts";
import { watchHeads } from "../../../node/chain/heads.ts";
import { createIdentityReader } from "../../../node/chain/identity.ts";
import { createSpeakerReader } from "../../../node/chain/speakers.ts";
import { testDeployment } from "../../fixtures/deployment.ts";
import { createIdentityChain, type IdentityChain } from "../../identity/setup.ts";

const signal = new AbortController().signal;
const lower = (signers: readonly Hex[]) => signers.map((signer) => signer.toLowerCase());
const bytesOf = (signers: readonly Signer[]) => lower(signers.map(({ address }) => address));

describe("the keys of an agent", function () {
  this.timeout(60_000);
  let chain: IdentityChain;
  let agentId: bigint;
  /** Blocks of each eth_getLogs that the endpoint was asked for. */
  let ranges: number[];
  /** What the endpoint allows one of them. */
  let allowedBlocks: number;

  before(async () => {
    chain = await createIdentityChain();
  });
  beforeEach(async () => {
    agentId = await chain.registerAgent();
    ranges = [];
    allowedBlocks = Infinity;
  });

  /** An endpoint before the chain that counts, and refuses ranges that are too long as public ones do. */
  function connect() {
    return createChainClient(
      custom(
        {
          async request(call: { method: string; params: [{ fromBlock: Hex; toBlock: Hex }] }) {
            if (call.method === "eth_getLogs") {
              const [{ fromBlock, toBlock }] = call.params;
              ranges.push(Number(toBlock) - Number(fromBlock) + 1);
              if (ranges.at(-1)! > allowedBlocks) {
                throw Object.assign(new Error("query exceeds max block range"), { code: -32_005 });
              }
            }
            return chain.publicClient.request(call as never);
          },
        },
        { retryCount: 0 },
      ),
      31_337,
    );
  }
  const boundSigners = (more: { rangeBlocks?: bigint; maxRanges?: number } = {}) =>
    createBoundSigners({ client: connect(), registry: chain.registry.address, firstBlock: 0n, ...more });
  async function bindSome(count: number, blocksBetween = 0): Promise<Signer[]> {
    const signers: Signer[] = [];
    for (let i = 0; i < count; i++) {
      signers.unshift((await chain.bindFresh(agentId)).signer);
      if (blocksBetween > 0) await chain.skip(blocksBetween);
    }
    return signers;
  }

  it("are those that speak for it now, the newest first: no key of another, and none whose binding ended", async () => {
    const other = await chain.registerAgent();
    await chain.bindFresh(other);
    const [newest, older] = await bindSome(2);
    await chain.bindFresh(agentId, { validUntil: (await chain.now()) + 3 });
    await chain.skip(10);
    const client = connect();
    const heads = await watchHeads({ client, pollIntervalMs: 3_600_000 }, signal);
    const deployment = testDeployment({ identityRegistry: chain.registry.address });
    const reader = createSpeakerReader(client, heads, deployment, createIdentityReader(client, heads, deployment));
    try {
      const speakers = await reader.speakersOf(agentId, signal);
      const addresses = [newest!.address, older!.address] as Address[];
      expect(speakers).to.deep.equal(addresses.map((address) => ({ kind: "account", address })));
      expect(await reader.speakersOf(999n, signal)).to.deep.equal([]);
    } finally {
      heads.stop();
    }
  });

  it("are found in ranges of blocks, the newest first, and a second question reads new blocks only", async () => {
    const signers = await bindSome(3, 40);
    const bound = boundSigners({ rangeBlocks: 25n });
    const latest = await chain.publicClient.getBlockNumber();
    expect(lower(await bound.of(agentId, latest, signal))).to.deep.equal(bytesOf(signers));
    expect(Math.max(...ranges)).to.equal(25);
    expect(ranges.reduce((sum, range) => sum + range, 0)).to.equal(Number(latest) + 1);
    ranges.length = 0;
    await chain.skip(300);
    const [newest] = await bindSome(1);
    const now = await chain.publicClient.getBlockNumber();
    expect(lower(await bound.of(agentId, now, signal))).to.deep.equal(bytesOf([newest!, ...signers]));
    expect(
      ranges.reduce((sum, range) => sum + range, 0),
      "what came since, and what a reorg could have changed",
    ).to.be.at.most(Number(now - latest) + 129);
  });

  it("that are older than one question reads are found by the next questions", async () => {
    const signers = await bindSome(2, 300);
    const bound = boundSigners({ rangeBlocks: 130n, maxRanges: 2 });
    const latest = await chain.publicClient.getBlockNumber();
    const found: number[] = [];
    for (let i = 0; i < 10; i++) found.push((await bound.of(agentId, latest, signal)).length);
    expect(found[0]).to.equal(0);
    expect(found.at(-1)).to.equal(signers.length);
    expect(found).to.deep.equal(found.toSorted((a, b) => a - b));
  });

  it("are at most 16, and no further block is read once they are known", async () => {
    const signers = await bindSome(MAX_SIGNERS + 2);
    const bound = boundSigners({ rangeBlocks: 4n });
    const found = await bound.of(agentId, await chain.publicClient.getBlockNumber(), signal);
    expect(lower(found)).to.deep.equal(bytesOf(signers.slice(0, MAX_SIGNERS)));
    expect(ranges.length).to.equal(MAX_SIGNERS / 4);
  });

  it("are read in smaller ranges where the endpoint refuses long ones, and not at all where it refuses any", async () => {
    const signers = await bindSome(2, 150);
    const bound = boundSigners({ rangeBlocks: 400n });
    allowedBlocks = 100;
    const latest = await chain.publicClient.getBlockNumber();
    expect(lower(await bound.of(agentId, latest, signal))).to.deep.equal(bytesOf(signers));
    allowedBlocks = 0;
    const fault = await boundSigners()
      .of(agentId, latest, signal)
      .catch((cause: unknown) => cause as SuretyError);
    expect(fault).to.include({ code: "CHAIN_UNREACHABLE" });
  });
});
