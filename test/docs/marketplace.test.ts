// Runs the code of docs/marketplace.md as it stands there: a listing over our own indexer, a deal with a fee, feedback.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect } from "chai";
import { BrowserProvider } from "ethers";
import { keccak256, toHex, type Address, type Hex } from "viem";
import {
  dealDigestOf,
  dealIdOf,
  dealStates,
  providerBondFor,
  purposes,
  typedDataDigest,
  type Deal,
  type DomainContracts,
  type Share,
} from "#protocol";
import { createIndexer } from "../../indexer/index.ts";
import { root } from "../../scripts/checks/run-tool.ts";
import { testDeployment } from "../fixtures/deployment.ts";
import { createSettlement, DELIVERABLE, PRICE, signerAt } from "../settlement/fixture.ts";
import { CURVE, finalizeFirstEpoch, PRICE as PRICED, TOPIC as PRICED_TOPIC } from "../settlement/priced-world.ts";

interface WithViem {
  readonly sharesOf: (market: Address, feeBps: number) => Share[];
  readonly withFee: (deal: Deal, shares: Share[]) => Deal;
  readonly distribute: (chain: unknown, anyone: unknown, escrow: Address, deal: Deal, shares: Share[]) => Promise<Hex>;
}
interface WithEthers {
  readonly distribute: (anyone: unknown, escrow: string, deal: Deal, shares: Share[]) => Promise<void>;
  readonly rate: (client: unknown, registry: string, deal: Deal, stars: bigint) => Promise<void>;
}
interface Quarrel {
  readonly withBond: (chain: unknown, deal: Deal, contracts: DomainContracts, scoreProof?: Hex) => Promise<Deal>;
  readonly withArbiter: (deal: Deal, arbiter: Address) => Deal;
  readonly dispute: (chain: unknown, wallet: unknown, deal: Deal, reason: Hex, c: DomainContracts) => Promise<void>;
  readonly defend: (chain: unknown, wallet: unknown, deal: Deal, contracts: DomainContracts) => Promise<void>;
}
interface Listing {
  readonly listAgents: (
    url: string,
    text: string,
  ) => Promise<{ id: string; feedbacks: { value: string; deal: { id: Hex } }[] }[]>;
}

const page = readFileSync(join(root, "docs/marketplace.md"), "utf8");
const blocks = [...page.matchAll(/^```\w+ (\S+\.\w+)\n(.*?)^```$/gms)];
const FEE_BPS = 250;
const FEE = (PRICE * BigInt(FEE_BPS)) / 10_000n;

describe("the guide for marketplaces", function () {
  this.timeout(120_000);
  const market = signerAt(9).address;
  let dir: string;
  let s: Awaited<ReturnType<typeof createSettlement>>;
  let viem: WithViem;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "surety-market-"));
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    writeFileSync(join(dir, "package.json"), '{"type":"module"}');
    const protocol = pathToFileURL(join(root, "contracts/protocol/index.ts")).href;
    for (const [, name = "", text = ""] of blocks) {
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      writeFileSync(join(dir, name), text.replaceAll('"surety/protocol"', `"${protocol}"`));
    }
    s = await createSettlement();
    viem = await load<WithViem>("settle-with-viem.ts");
  });
  after(() => rmSync(dir, { recursive: true, force: true }));
  const load = async <T>(name: string) => (await import(pathToFileURL(join(dir, name)).href)) as T;

  /** A deal with the market's fee in it, signed by both, delivered and completed. */
  async function settled(): Promise<{ deal: Deal; shares: Share[] }> {
    const { client, provider, escrow } = s;
    const shares = viem.sharesOf(market, FEE_BPS);
    const deal = viem.withFee(await s.draftDeal(client, provider), shares);
    await escrow.write.open([deal, ...s.sign(deal, client, provider)], { account: client.account });
    await escrow.write.submit([deal, DELIVERABLE], { account: provider.account });
    await escrow.write.complete([deal, 80], { account: client.account });
    return { deal, shares };
  }
  const held = (account: Address) => s.token.read.balanceOf([account]);

  it("takes its signed fee by viem and by ethers, to the unit, and once", async () => {
    const { client, provider, escrow, connection } = s;
    const anyone = await s.viem.getWalletClient(s.stranger.address);
    const before = [await held(market), await held(provider.account)] as const;
    const one = await settled();
    await viem.distribute(s.publicClient, anyone, escrow.address, one.deal, one.shares);
    const two = await settled();
    const ethers = await load<WithEthers>("settle-with-ethers.ts");
    const chain = new BrowserProvider(connection.provider);
    await ethers.distribute(await chain.getSigner(client.account), escrow.address, two.deal, two.shares);
    expect((await held(market)) - before[0]).to.equal(2n * FEE);
    expect((await held(provider.account)) - before[1]).to.equal(2n * (PRICE - FEE));
    const again = await viem.distribute(s.publicClient, anyone, escrow.address, one.deal, one.shares).then(
      () => "paid twice",
      () => "refused",
    );
    expect(again).to.equal("refused");
    chain.destroy();
  });

  it("brings the bond that the curve asks for, which a ruling for the client pays to it", async () => {
    const { withBond, withArbiter, dispute, defend } = await load<Quarrel>("quarrel-with-viem.ts");
    const { world, curve } = await finalizeFirstEpoch(s.connection);
    const { registry, ledger, token, accounts } = world;
    const escrow = await s.viem.deployContract("DealEscrow", [registry.address, ledger.address, curve.address]);
    const arbitrator = await s.viem.deployContract("TestArbitrator");
    await arbitrator.write.setCost([7n]);
    const contracts = { ...s.contracts, identityRegistry: registry.address, dealEscrow: escrow.address };
    const [buyer, seller] = [
      await s.viem.getWalletClient(s.client.account),
      await s.viem.getWalletClient(s.provider.account),
    ];
    for (const [agentId, { account, signer }] of [[1n, s.client] as const, [2n, s.provider] as const]) {
      const deadline = (await s.networkHelpers.time.latest()) + 3_600;
      const window = { validFrom: 0, validUntil: 0, deadline };
      const binding = {
        agentId,
        owner: accounts.owner,
        signerHash: signer.signerHash,
        purpose: purposes.log,
        ...window,
      };
      const proof = signer.sign(typedDataDigest("SignerBinding", binding, contracts));
      const args = [agentId, account, purposes.log, 0, 0, deadline, proof] as const;
      await registry.write.bindSigner(args, { account: accounts.owner });
      await token.write.mint([account, 100n * PRICED]);
      await token.write.approve([escrow.address, 2n ** 256n - 1n], { account });
    }
    const drafted = await s.draftDeal(s.client, s.provider, {
      topic: PRICED_TOPIC,
      price: PRICED,
      token: token.address,
    });
    const plain = { ...drafted, clientAgentId: 1n, providerAgentId: 2n };
    const deal = withArbiter(await withBond(s.publicClient, plain, contracts), arbitrator.address);
    expect(deal.providerBond).to.equal(providerBondFor(CURVE, PRICED, 0n));
    const digest = dealDigestOf(deal, contracts);
    const consent = ({ account, signer }: typeof s.client) => ({ signer: account, signature: signer.sign(digest) });
    await escrow.write.open([deal, consent(s.client), consent(s.provider)], { account: s.client.account });
    await escrow.write.submit([deal, DELIVERABLE], { account: s.provider.account });
    const before = await token.read.balanceOf([s.client.account]);
    await dispute(s.publicClient, buyer, deal, keccak256(toHex("It is in English.")), contracts);
    await defend(s.publicClient, seller, deal, contracts);
    await arbitrator.write.giveRuling([await arbitrator.read.disputeCount(), 1n]);
    const disputes = await s.viem.getContractAt("DealDisputes", await escrow.read.disputes());
    await disputes.write.resolve([deal], { account: s.stranger.address });
    const after = await token.read.balanceOf([s.client.account]);
    expect(after - before).to.equal(PRICED + deal.providerBond);
    const [state] = await escrow.read.dealOf([dealIdOf(deal)]);
    expect(dealStates[state]).to.equal("Resolved");
    const unpriced = await withBond(s.publicClient, drafted, s.contracts);
    expect(unpriced.providerBond, "this escrow has no curve").to.equal(0n);
  });

  it("lists agents with the feedback that deals stand behind", async () => {
    const { client, provider, escrow, registry, connection, publicClient } = s;
    const feedback = await s.viem.deployContract("FeedbackRegistry", [escrow.address]);
    await escrow.write.setFeedbackRegistry([feedback.address]);
    const file = { name: "Lexica", description: "Translates" };
    const uri = `data:application/json;base64,${Buffer.from(JSON.stringify(file)).toString("base64")}`;
    await registry.write.setAgentURI([provider.agentId, uri], { account: provider.account });
    const { deal } = await settled();
    const chain = new BrowserProvider(connection.provider);
    const { rate } = await load<WithEthers>("settle-with-ethers.ts");
    await rate(await chain.getSigner(client.account), feedback.address, deal, 5n);
    chain.destroy();
    const noise = [provider.agentId, 1n, 0, "spam", "", "", "", `0x${"00".repeat(32)}`] as const;
    await feedback.write.giveFeedback(noise, { account: s.stranger.address });
    const deployment = testDeployment({
      ...{ identityRegistry: registry.address, dealEscrow: escrow.address, feedbackRegistry: feedback.address },
    });
    const indexer = createIndexer({ client: publicClient as never, deployment, store: { folder: join(dir, "index") } });
    const signal = AbortSignal.timeout(60_000);
    await indexer.start(signal);
    try {
      await indexer.reached({ number: Number(await publicClient.getBlockNumber()) }, signal);
      const { listAgents } = await load<Listing>("list-agents.ts");
      const [listed, ...rest] = await listAgents(indexer.graphqlUrl, "lexi");
      expect(rest).to.deep.equal([]);
      expect(listed?.id).to.equal(`31337:${provider.agentId}`);
      expect(listed?.feedbacks.map((f) => [f.value, f.deal.id])).to.deep.equal([["5", dealIdOf(deal)]]);
    } finally {
      await indexer.stop();
    }
  });
});
