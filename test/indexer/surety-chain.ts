// A chain of its own, served over HTTP as indexers meet it, with every contract deployed and agents that act at random.
// The accounts are those of the public Hardhat test mnemonic; each is owner and LOG signer of one agent.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { network } from "hardhat";
import {
  createPublicClient,
  encodeAbiParameters,
  encodeFunctionData,
  http,
  keccak256,
  numberToHex,
  pad,
  parseEventLogs,
  toHex,
  zeroAddress,
  zeroHash,
  type Hex,
} from "viem";
import { privateKeyToAddress } from "viem/accounts";
import {
  dealCancelDigestOf,
  dealDigestOf,
  dealIdOf,
  createSigner,
  evidenceOf,
  purposes,
  reportCommitmentOf,
  signerHashOf,
  signLogHeader,
  structHash,
  topicIdOf,
  typedDataDigest,
  type Deal,
  type Deployment,
  type LogHeader,
  type Signer,
} from "#protocol";
import { testSigner } from "../fixtures/keys.ts";
import { deploySurety } from "../../scripts/deploy.ts";

export const AGENT_COUNT = 6;
export const EPOCH_LENGTH_SECONDS = 3_600;
export const PUBLISHER_BOND = 1_000n;
const FAR_FUTURE = 2 ** 40;

export type SuretyChain = Awaited<ReturnType<typeof startSuretyChain>>;

/** Deploys on a fresh chain and registers AGENT_COUNT bound agents: agent k + 1 belongs to account k. */
export async function startSuretyChain() {
  const server = await network.createServer({ network: "node" }, "127.0.0.1", 0);
  const { address, port } = await server.listen();
  const url = `http://${address}:${port}`;
  const connection = await network.create({ network: "localhost", override: { url } });
  const folder = mkdtempSync(join(tmpdir(), "surety-indexer-"));
  const parameters = {
    epochLengthSeconds: BigInt(EPOCH_LENGTH_SECONDS),
    unbondingDelaySeconds: BigInt(4 * EPOCH_LENGTH_SECONDS),
    publisherBondWei: PUBLISHER_BOND,
  };
  const deployment = await deploySurety({ connection, parameters, deploymentDir: join(folder, "deployment") });
  const { contracts } = deployment;
  const { viem } = connection;
  const client = createPublicClient({ transport: http(url), pollingInterval: 10 });
  const chain = {
    url,
    connection,
    folder,
    deployment,
    client,
    agents: Array.from({ length: AGENT_COUNT }, (_, k) => agentOfAccount(k)),
    registry: await viem.getContractAt("IdentityRegistry", contracts.identityRegistry),
    token: await viem.getContractAt("TestToken", contracts.token),
    ledger: await viem.getContractAt("TrustLedger", contracts.trustLedger),
    vault: await viem.getContractAt("StakeVault", contracts.stakeVault),
    escrow: await viem.getContractAt("DealEscrow", contracts.dealEscrow),
    slasher: await viem.getContractAt("EvidenceSlasher", contracts.evidenceSlasher),
    disputes: await viem.getContractAt("DealDisputes", contracts.dealDisputes),
    tabs: await viem.getContractAt("TabEscrow", contracts.tabEscrow),
    anchors: await viem.getContractAt("Anchors", contracts.anchors),
    recovery: await viem.getContractAt("OwnerRecovery", contracts.ownerRecovery),
    epochs: await viem.getContractAt("ReputationEpochs", contracts.reputationEpochs),
    rpc: (method: string, ...params: unknown[]) =>
      client.request<{ Method: string; Parameters: unknown; ReturnType: unknown }>({ method, params }),
    async close() {
      await connection.close();
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  for (const agent of chain.agents) await registerBound(chain, agent);
  return chain;
}

export interface TestAgent {
  readonly agentId: number;
  readonly account: Hex;
  readonly signer: Signer;
}

export function agentOfAccount(index: number): TestAgent {
  const signer = testSigner(index);
  return { agentId: index + 1, account: signer.address, signer };
}

type ChainParts = Omit<Awaited<SuretyChain>, "close">;

async function registerBound(chain: ChainParts, agent: TestAgent): Promise<void> {
  const { registry, token, vault, escrow, deployment } = chain;
  const { account, signer } = agent;
  const binding = { signerHash: signer.signerHash, purpose: purposes.log, validFrom: 0, validUntil: 0 };
  const struct = { agentId: 0n, owner: account, ...binding, deadline: FAR_FUTURE };
  const proof = signer.sign(typedDataDigest("SignerBinding", struct, domainOf(deployment)));
  const commitment = keccak256(toHex(`agent ${agent.agentId}`));
  const initial = { commitment, signer: account, validFrom: 0, validUntil: 0, deadline: FAR_FUTURE, proof };
  await registry.write.registerBound([`https://agents.test/${agent.agentId}`, initial], { account });
  await token.write.mint([account, 1n << 80n], { account });
  await token.write.approve([vault.address, 1n << 80n], { account });
  await token.write.approve([escrow.address, 1n << 80n], { account });
  await token.write.approve([deployment.contracts.tabEscrow, 1n << 80n], { account });
}

export function domainOf({ chainId, contracts }: Deployment) {
  return { chainId, identityRegistry: contracts.identityRegistry, dealEscrow: contracts.dealEscrow };
}

export const TOPICS = [topicIdOf("code_generation"), topicIdOf("data_analysis")] as const;

export function agentAt(chain: Pick<SuretyChain, "agents">, index: number): TestAgent {
  return chain.agents[index % AGENT_COUNT] as TestAgent;
}

let saltCount = 0n;

/** Opens a deal between two agents. @returns its terms */
export async function openDeal(
  chain: SuretyChain,
  client: TestAgent,
  provider: TestAgent,
  overrides: Partial<Deal> = {},
): Promise<Deal> {
  const { timestamp } = await chain.client.getBlock();
  const deal: Deal = {
    clientAgentId: BigInt(client.agentId),
    providerAgentId: BigInt(provider.agentId),
    topic: TOPICS[0],
    token: chain.token.address,
    price: 1_000n,
    providerBond: 0n,
    clientBond: 0n,
    submitBy: Number(timestamp) + 600,
    reviewPeriod: 60,
    arbiter: zeroAddress,
    arbiterDeadline: 0,
    mechanismHash: zeroHash,
    certificateHash: zeroHash,
    specHash: keccak256(toHex("spec")),
    splitsRoot: zeroHash,
    epoch: 0,
    hook: zeroAddress,
    salt: ++saltCount,
    ...overrides,
  };
  const digest = dealDigestOf(deal, domainOf(chain.deployment));
  const party = ({ signer }: TestAgent) => ({ signer: signer.address, signature: signer.sign(digest) });
  await chain.escrow.write.open([deal, party(client), party(provider)], { account: client.account });
  return deal;
}

/** Opens, delivers and completes a deal. */
export async function settleDeal(
  chain: SuretyChain,
  [client, provider]: readonly [TestAgent, TestAgent],
  rating: number,
  overrides: Partial<Deal> = {},
): Promise<Deal> {
  const deal = await openDeal(chain, client, provider, overrides);
  await chain.escrow.write.submit([deal, pad("0x01")], { account: provider.account });
  await chain.escrow.write.complete([deal, rating], { account: client.account });
  return deal;
}

/** Kinds of `act`; each moves other rows. */
export const ACTION_COUNT = 20;

/** Does one thing that the contracts accept. @param kind any integer, @param pick any integer that varies it */
export async function act(chain: SuretyChain, kind: number, pick: number): Promise<void> {
  const agent = agentAt(chain, pick);
  const other = agentAt(chain, pick + 1 + (pick % (AGENT_COUNT - 1)));
  const { registry, vault, ledger } = chain;
  const { account } = agent;
  const id = BigInt(agent.agentId);
  const actions = [
    () => registry.write.register([`ipfs://${pick}`], { account }),
    () => registry.write.setAgentURI([id, `https://agents.test/${agent.agentId}/${pick}`], { account }),
    () => registry.write.setMetadata([id, `key${pick % 3}`, numberToHex(pick)], { account }),
    () => bindSigner(chain, agent, pick),
    () => vault.write.stake([agent.agentId, BigInt(1 + pick)], { account }),
    () => ledger.write.join([TOPICS[pick % 2] as bigint, agent.agentId], { account }),
    () => openDeal(chain, agent, other),
    () => settleDeal(chain, [agent, other], (pick % 201) - 100),
    () => updateCommitment(chain, agent, pick),
    () => registry.write.unsetAgentWallet([id], { account }),
    () => registerAndTransfer(chain, agent, other),
    () => stakeAndUnbond(chain, agent, pick),
    () => refundLateDeal(chain, agent, other),
    () => cancelDeal(chain, agent, other),
    () => disputeDeal(chain, [agent, other, agentAt(chain, pick + 3)], pick % 3),
    () => shareDeal(chain, agent, other),
    () => runTab(chain, agent, other, pick),
    () => anchorLog(chain, agent, pick),
    () => chain.recovery.write.setRecovery([id, 1 + (pick % 3), 86_400 + pick], { account }),
    () => forkLog(chain, agent),
  ];
  await (actions[kind % ACTION_COUNT] as () => Promise<unknown>)();
}

/** Signs two headers of one seq and is reported for it, with a reservation. @returns the two, as they were shown */
export async function forkLog(chain: SuretyChain, { agentId, account, signer }: TestAgent) {
  const { vault, slasher, deployment, client } = chain;
  await vault.write.stake([agentId, await slasher.read.penalty()], { account });
  const { timestamp } = await client.getBlock();
  const seq = 1_000 + Number(++saltCount);
  const headerOf = (body: string): LogHeader => ({
    ...{ version: 1, kind: 1, log: signer.address, seq, prev: pad("0x02"), bodyHash: keccak256(toHex(body)) },
    ...{ bodyLength: 4, timeMs: Number(timestamp) * 1_000, ttl: 60, tags: 0n, sketch: zeroHash },
  });
  const shown = (body: string) => evidenceOf(signLogHeader(headerOf(body), signer, domainOf(deployment)));
  const fork = [shown("this"), shown("that")] as const;
  const call = encodeFunctionData({ abi: slasher.abi, functionName: "reportEquivocation", args: fork });
  const salt = pad(toHex(saltCount));
  const report = { reporter: agentAt(chain, agentId).account, module: slasher.address, call, salt };
  await vault.write.reserve([reportCommitmentOf(report)], { account: report.reporter });
  await vault.write.report([slasher.address, call, salt], { account: report.reporter });
  return fork;
}

async function registerAndTransfer(chain: SuretyChain, from: TestAgent, to: TestAgent): Promise<void> {
  const { registry, client } = chain;
  const hash = await registry.write.register(["ipfs://transferred"], { account: from.account });
  const { logs } = await client.getTransactionReceipt({ hash });
  const [registered] = parseEventLogs({ abi: registry.abi, logs, eventName: "Registered" });
  if (registered === undefined) throw new Error("the registration has no event");
  const { agentId } = registered.args;
  // Its signers, of which one is revoked, end with the sale.
  for (const pick of [0, 1]) await bindSigner(chain, { ...from, agentId: Number(agentId) }, pick);
  const args = [from.account, to.account, agentId] as const;
  await registry.write.transferFrom(args, { account: from.account });
}

async function stakeAndUnbond({ vault }: SuretyChain, { agentId, account }: TestAgent, pick: number): Promise<void> {
  await vault.write.stake([agentId, BigInt(10 + pick)], { account });
  await vault.write.startUnbonding([agentId, BigInt(1 + (pick % 10))], { account });
}

async function refundLateDeal(chain: SuretyChain, client: TestAgent, provider: TestAgent): Promise<void> {
  const { timestamp } = await chain.client.getBlock();
  const deal = await openDeal(chain, client, provider, { submitBy: Number(timestamp) + 30 });
  await chain.rpc("evm_increaseTime", 60);
  await chain.escrow.write.refund([deal], { account: provider.account });
}

async function cancelDeal(chain: SuretyChain, client: TestAgent, provider: TestAgent): Promise<void> {
  const deal = await openDeal(chain, client, provider);
  const digest = dealCancelDigestOf(dealIdOf(deal), domainOf(chain.deployment));
  const party = ({ signer }: TestAgent) => ({ signer: signer.address, signature: signer.sign(digest) });
  await chain.escrow.write.cancel([deal, party(client), party(provider)], { account: client.account });
}

/** A named account rules; 0 refuses, 1 is for the client, 2 for the provider. */
export async function disputeDeal(
  chain: SuretyChain,
  [client, provider, arbiter]: readonly [TestAgent, TestAgent, TestAgent],
  ruling: number,
): Promise<Hex> {
  const { timestamp } = await chain.client.getBlock();
  const terms = { submitBy: Number(timestamp) + 600, arbiter: arbiter.account, clientBond: 7n };
  const deal = await openDeal(chain, client, provider, { ...terms, arbiterDeadline: terms.submitBy + 3_600 });
  await chain.escrow.write.submit([deal, pad("0x02")], { account: provider.account });
  await chain.disputes.write.dispute([deal, pad("0x03")], { account: client.account });
  await chain.disputes.write.ruleAsArbiter([deal, BigInt(ruling)], { account: arbiter.account });
  return dealIdOf(deal);
}

/** The provider's earnings, a part of them released before the end, go to one share and, the rest, to its payee. */
async function shareDeal(chain: SuretyChain, client: TestAgent, provider: TestAgent): Promise<void> {
  const share = { account: client.account, millionths: 250_000 };
  const leaf = [{ type: "uint256" }, { type: "address" }, { type: "uint32" }] as const;
  const splitsRoot = keccak256(encodeAbiParameters(leaf, [0n, share.account, share.millionths]));
  const deal = await openDeal(chain, client, provider, { splitsRoot });
  await chain.escrow.write.releasePart([deal, 300n], { account: client.account });
  await chain.escrow.write.submit([deal, pad("0x04")], { account: provider.account });
  await chain.escrow.write.complete([deal, 40], { account: client.account });
  await chain.escrow.write.distribute([deal, [share]], { account: client.account });
}

/** Opens a tab, tops it up, claims a voucher, and leaves it open, closing or closed. */
async function runTab(chain: SuretyChain, client: TestAgent, provider: TestAgent, pick: number): Promise<void> {
  const { timestamp } = await chain.client.getBlock();
  const tab = {
    ...{ clientAgentId: BigInt(client.agentId), providerAgentId: BigInt(provider.agentId), topic: TOPICS[1] },
    ...{ token: chain.token.address, mechanismHash: zeroHash, signerHash: client.signer.signerHash },
    ...{ expiry: Number(timestamp) + 86_400, challengePeriod: 600, salt: ++saltCount },
  };
  const domain = { chainId: chain.deployment.chainId, ...chain.deployment.contracts };
  await chain.tabs.write.open([tab, 1_000n], { account: client.account });
  await chain.tabs.write.topUp([tab, 50n], { account: client.account });
  const voucher = { tabId: structHash("Tab", tab), seq: 3n, paid: 400n, satisfied: 90, unsatisfied: 10 };
  const signature = client.signer.sign(typedDataDigest("Voucher", voucher, domain));
  const args = [tab, voucher, client.signer.address, signature, pick % 3 === 0] as const;
  await chain.tabs.write.claim(args, { account: provider.account });
  if (pick % 3 === 1) await chain.tabs.write.startClose([tab], { account: client.account });
}

async function anchorLog({ anchors }: SuretyChain, { agentId, account }: TestAgent, pick: number): Promise<void> {
  const [fromSeq] = await anchors.read.anchoredUpTo([account]);
  const args = [BigInt(agentId), fromSeq, fromSeq + pick, keccak256(toHex(`root ${pick}`)), zeroHash] as const;
  await anchors.write.anchorLog(args, { account });
}

async function bindSigner(chain: SuretyChain, { agentId, account }: TestAgent, pick: number): Promise<void> {
  // A key never speaks for a second agent or purpose, so each is new: derived from the count of bindings so far.
  const key = keccak256(toHex(`${agentId}/${pick}/${++saltCount}`));
  const [signer, address] = [createSigner(key), privateKeyToAddress(key)];
  const binding = { signerHash: signer.signerHash, purpose: purposes.operator, validFrom: 0, validUntil: 0 };
  const struct = { agentId: BigInt(agentId), owner: account, ...binding, deadline: FAR_FUTURE };
  const proof = signer.sign(typedDataDigest("SignerBinding", struct, domainOf(chain.deployment)));
  const args = [BigInt(agentId), address, purposes.operator, 0, 0, FAR_FUTURE, proof] as const;
  await chain.registry.write.bindSigner(args, { account });
  if (pick % 2 === 0) await chain.registry.write.revokeSigner([BigInt(agentId), signerHashOf(address), 0], { account });
}

async function updateCommitment(
  chain: SuretyChain,
  { agentId, account, signer }: TestAgent,
  pick: number,
): Promise<void> {
  const id = BigInt(agentId);
  const [, version, previous] = await chain.registry.read.commitmentOf([id]);
  const delta = keccak256(toHex(`commitment ${pick}`));
  const update = { agentId: id, version: version + 1n, previous, delta, deadline: FAR_FUTURE };
  const signature = signer.sign(typedDataDigest("BindingUpdate", update, domainOf(chain.deployment)));
  await chain.registry.write.updateCommitment([id, version + 1n, delta, FAR_FUTURE, signature], { account });
}
