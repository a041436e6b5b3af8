// Runs the code of docs/embed-contracts.md as it stands there, with this repository in the place of the installed package.
import { expect } from "chai";
import { BrowserProvider } from "ethers";
import { network } from "hardhat";
import type { IgnitionModule } from "@nomicfoundation/ignition-core";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { getAddress, type Abi, type Address, type Hex } from "viem";
import { dealIdOf, packScoreQuery, topicIdOf, unpackLeaf, type Deal, type DomainContracts } from "#protocol";
import { root } from "../../scripts/checks/run-tool.ts";
import { PERMIT2, putPermit2 } from "../fixtures/permit2.ts";
import { at, solveHonestly, TrustGraph, type Epoch } from "../reputation-contracts/trust-graph.ts";
import {
  commit,
  deployWorld,
  errorNameOf,
  goTo,
  PUBLISHER_BOND,
  record,
  registerAgents,
  stake,
} from "../reputation-contracts/world.ts";
import { createSettlement, DELIVERABLE, type Settlement } from "../settlement/fixture.ts";

type OpenDeal = (...args: unknown[]) => Promise<Hex>;
type SignDeal = (wallet: unknown, deal: Deal, contracts: DomainContracts) => Promise<Hex>;
interface Snippet {
  readonly openDeal: OpenDeal;
  readonly signDeal: SignDeal;
}

type Call = (...args: unknown[]) => Promise<unknown>;
type Relay = Readonly<Record<"permitDeal" | "openPermitted" | "submitSigned" | "completeSigned", Call>>;

const page = readFileSync(join(root, "docs/embed-contracts.md"), "utf8");
const blocks = new Map([...page.matchAll(/^```\w+ (\S+\.\w+)\n(.*?)^```$/gms)].map(([, name, text]) => [name, text]));

describe("the guide for embedding the contracts", function () {
  this.timeout(120_000);
  let dir: string;
  before(() => {
    dir = mkdtempSync(join(tmpdir(), "surety-embed-"));
    symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
    writeFileSync(join(dir, "package.json"), '{"type":"module"}');
    const protocol = pathToFileURL(join(root, "contracts/protocol/index.ts")).href;
    for (const [name = "", text = ""] of blocks) {
      mkdirSync(dirname(join(dir, name)), { recursive: true });
      writeFileSync(join(dir, name), text.replaceAll('"surety/protocol"', `"${protocol}"`));
    }
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const load = async <T>(name: string) => (await import(pathToFileURL(join(dir, name)).href)) as T;

  async function seeThrough(settlement: Settlement, deal: Deal, dealId: Hex) {
    expect(await settlement.stateOf(dealId)).to.equal("Funded");
    await settlement.escrow.write.submit([deal, DELIVERABLE], { account: settlement.provider.account });
    await settlement.escrow.write.complete([deal, 100], { account: settlement.client.account });
    expect(await settlement.stateOf(dealId)).to.equal("Completed");
    expect(await settlement.token.read.balanceOf([settlement.provider.account])).to.equal(deal.price);
  }

  it("opens a deal with viem, which settles", async () => {
    const { openDeal, signDeal } = await load<Snippet>("open-with-viem.ts");
    const settlement = await createSettlement();
    const { viem, publicClient, client, provider } = settlement;
    const deal = await settlement.draftDeal(client, provider);
    const [buyer, seller] = [await viem.getWalletClient(client.account), await viem.getWalletClient(provider.account)];
    const signature = await signDeal(seller, deal, settlement.contracts);
    const consent = { signer: provider.account, signature };
    await seeThrough(settlement, deal, await openDeal(publicClient, buyer, deal, consent, settlement.contracts));
  });

  it("opens a deal with ethers, which settles", async () => {
    const { openDeal, signDeal } = await load<Snippet>("open-with-ethers.ts");
    const settlement = await createSettlement();
    const { connection, client, provider } = settlement;
    const deal = await settlement.draftDeal(client, provider);
    const chain = new BrowserProvider(connection.provider);
    const [buyer, seller] = [await chain.getSigner(client.account), await chain.getSigner(provider.account)];
    const consent = { signer: provider.account, signature: await signDeal(seller, deal, settlement.contracts) };
    await seeThrough(settlement, deal, await openDeal(buyer, deal, consent, settlement.contracts));
    chain.destroy();
  });

  it("pays by Permit2 and settles by signatures, which an account of neither side sends", async () => {
    const { signDeal } = await load<Snippet>("open-with-viem.ts");
    const relay = await load<Relay>("relay-with-viem.ts");
    const settlement = await createSettlement();
    const { viem, client, provider, stranger, token, contracts, funding } = settlement;
    await putPermit2(viem);
    await token.write.approve([PERMIT2, 2n ** 256n - 1n], { account: client.account });
    const wallets = [client.account, provider.account, stranger.address].map((account) =>
      viem.getWalletClient(account),
    );
    const [buyer, seller, relayer] = await Promise.all(wallets);
    const deal = await settlement.draftDeal(client, provider);
    const consentOf = async ({ account }: typeof client, wallet: unknown) => ({
      signer: account,
      signature: await signDeal(wallet, deal, contracts),
    });
    const consents = [await consentOf(client, buyer), await consentOf(provider, seller)];
    const payment = await relay.permitDeal(buyer, deal, funding.address, BigInt(deal.submitBy));
    const before = await token.read.balanceOf([client.account]);
    await relay.openPermitted(relayer, deal, consents, payment, funding.address);
    expect(before - (await token.read.balanceOf([client.account]))).to.equal(deal.price);
    await relay.submitSigned(seller, relayer, deal, DELIVERABLE, contracts);
    await relay.completeSigned(buyer, relayer, deal, 80, contracts);
    expect(await settlement.stateOf(dealIdOf(deal))).to.equal("Completed");
    expect(await token.read.balanceOf([provider.account])).to.equal(deal.price);
  });

  it("deploys by Ignition, wired so that the escrow records and the epochs slash", async () => {
    const { default: module } = await load<{ default: IgnitionModule }>("ignition/modules/Surety.ts");
    const { ignition, viem } = await network.create();
    const deployed = (await ignition.deploy(module)) as unknown as Record<string, { address: Address }>;
    const addressOf = (name: string): Address => {
      const contract = deployed[name];
      if (contract === undefined) throw new Error(`the module gives no ${name}`);
      return contract.address;
    };
    const vault = await viem.getContractAt("StakeVault", addressOf("vault"));
    const ledger = await viem.getContractAt("TrustLedger", addressOf("ledger"));
    const escrow = await viem.getContractAt("DealEscrow", addressOf("escrow"));
    expect(await vault.read.isModule([addressOf("epochs")])).to.equal(true);
    expect(await ledger.read.isRecorder([escrow.address])).to.equal(true);
    expect(await escrow.read.ledger()).to.equal(getAddress(ledger.address));
  });

  it("admits an agent on its proof, and nobody on another topic, a low score or a wrong leaf", async () => {
    const { world, epoch } = await finalizedEpoch();
    const { abi, bytecode } = compileMarket(readFileSync(join(dir, "contracts/Market.sol"), "utf8"));
    const [admin] = await world.viem.getWalletClients();
    if (admin === undefined) throw new Error("the chain has no account");
    const scores = epoch.words.map((word) => unpackLeaf(word).score);
    const best = scores.indexOf(scores.reduce((a, b) => (a > b ? a : b)));
    const { topic } = epoch.snapshot;
    const hash = await admin.deployContract({ abi, bytecode, args: [world.epochs.address, topic, at(scores, best)] });
    const { contractAddress } = await world.client.getTransactionReceipt({ hash });
    const address = contractAddress as Address;
    const admit = (seat: number, leaf = at(epoch.words, seat), of = topic) => {
      const query = packScoreQuery({ topic: of, epoch: 1, index: seat });
      return admin.writeContract({ address, abi, functionName: "admit", args: [query, leaf, epoch.tree.proof(seat)] });
    };
    await admit(best);
    const args = [at(epoch.snapshot.agents, best)];
    expect(await world.client.readContract({ address, abi, functionName: "admittedIn", args })).to.equal(1);
    const other = best === 1 ? 2 : 1;
    const nameOf = (call: Promise<unknown>) => call.then(() => "admitted", errorNameOf);
    expect(await nameOf(admit(other))).to.equal("MarketScoreTooLow");
    expect(await nameOf(admit(best, at(epoch.words, best), topic + 1n))).to.equal("MarketOtherTopic");
    expect(await nameOf(admit(best, at(epoch.words, best) + 1n))).to.match(/^ReputationEpochs/);
  });
});

/** Epoch 1 of a real ledger, committed and finalized. */
async function finalizedEpoch(): Promise<{ world: Awaited<ReturnType<typeof deployWorld>>; epoch: Epoch }> {
  const world = await deployWorld(await network.create());
  await registerAgents(world, world.accounts.owner, 3);
  await registerAgents(world, world.accounts.publisher, 1);
  for (const agentId of [1, 2, 3]) await stake(world, agentId, 1_000n);
  await stake(world, 4, 20n * PUBLISHER_BOND);
  const graph = new TrustGraph(topicIdOf("data_analysis"));
  for (const client of [1, 3]) await record(world, graph, [client, 2, 90, 0]);
  const epoch = solveHonestly(graph.close(() => 1_000n));
  await goTo(world, 2n);
  await commit(world, [epoch], { publisher: 4, account: world.accounts.publisher });
  await goTo(world, 3n);
  await world.epochs.write.finalize([1, [epoch.snapshot.topic]]);
  return { world, epoch };
}

interface Compiled {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[];
  readonly contracts: Record<string, Record<string, { abi: Abi; evm: { bytecode: { object: string } } }>>;
}

/** Compiles the guide's contract as a project does that has the package installed. */
function compileMarket(content: string): { abi: Abi; bytecode: Hex } {
  const solc = createRequire(import.meta.url)("solc") as {
    compile(input: string, readers: { import: (path: string) => { contents: string } }): string;
  };
  const settings = { evmVersion: "osaka", outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } } };
  const input = { language: "Solidity", sources: { "Market.sol": { content } }, settings };
  const installed = (path: string) => ({ contents: readFileSync(join(root, path.replace(/^surety\//, "")), "utf8") });
  const { contracts, errors = [] } = JSON.parse(solc.compile(JSON.stringify(input), { import: installed })) as Compiled;
  expect(errors.map(({ formattedMessage }) => formattedMessage)).to.deep.equal([]);
  const market = contracts["Market.sol"]?.["Market"];
  if (market === undefined) throw new Error("the guide has no contract Market");
  return { abi: market.abi, bytecode: `0x${market.evm.bytecode.object}` };
}
