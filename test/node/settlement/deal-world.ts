import { zeroAddress, zeroHash } from "viem";
import {
  composeDeal,
  contentHashOf,
  dealIdOf,
  encodeMechanism,
  peerIdOf,
  purposes,
  signedBidOf,
  structHash,
  testTokenAbi,
  topicIdOf,
  typedDataDigest,
  type Call,
  type Deal,
  type DomainContracts,
  type Mechanism,
  type Signer,
} from "#protocol";
import { createChainTime } from "../../../node/chain/chain-time.ts";
import { watchHeads } from "../../../node/chain/heads.ts";
import { createIdentityReader } from "../../../node/chain/identity.ts";
import type { ChainSender, ContractCall } from "../../../node/chain/port.ts";
import { createSender } from "../../../node/chain/sender.ts";
import type { Agreement } from "../../../node/negotiation/port.ts";
import { createDealChain } from "../../../node/settlement/chain.ts";
import { createTabChain } from "../../../node/settlement/tabs/tab-chain.ts";
import { createTestChain, testSigner } from "../chain/test-chain.ts";
import { testDeployment } from "../../fixtures/deployment.ts";

export const never = new AbortController().signal;
export const PRICE = 1_000n;
export const REVIEW_SECONDS = 400;
export const spec = new TextEncoder().encode("Translate the attached page into French.");
export const mechanism: Mechanism = {
  kind: "scored-second-price",
  version: 1,
  valuePerQuality: 10n,
  minQuality: 0n,
  maxQuality: 100n,
};

export interface TestAgent {
  readonly agentId: bigint;
  readonly signer: Signer;
}

/** The real contracts on a chain in this process, and agents 1, 2, … with keys of the public test mnemonic. */
export async function createDealWorld(agentCount = 2) {
  const chain = await createTestChain();
  const { viem, networkHelpers, client } = chain;
  const registry = await viem.deployContract("IdentityRegistry");
  const token = await viem.deployContract("TestToken");
  const ledger = await viem.deployContract("TrustLedger", [3_600n, registry.address]);
  const escrow = await viem.deployContract("DealEscrow", [registry.address, ledger.address, zeroAddress]);
  const tabEscrow = await viem.deployContract("TabEscrow", [registry.address, ledger.address]);
  await ledger.write.setRecorders([[escrow.address, tabEscrow.address]]);
  const deployment = testDeployment({
    ...{ identityRegistry: registry.address, dealEscrow: escrow.address, trustLedger: ledger.address },
    tabEscrow: tabEscrow.address,
    dealDisputes: await escrow.read.disputes(),
    token: token.address,
  });
  const contracts: DomainContracts = {
    chainId: 31_337,
    identityRegistry: registry.address,
    dealEscrow: escrow.address,
    tabEscrow: tabEscrow.address,
  };
  const wallets = await viem.getWalletClients();
  const agents: TestAgent[] = [];
  for (let i = 1; i <= agentCount; i++) {
    const signer = testSigner(i);
    const window = { validFrom: 0, validUntil: 0, deadline: (await networkHelpers.time.latest()) + 1_000 };
    const { address: owner, signerHash } = signer;
    const binding = { agentId: 0n, owner, signerHash, purpose: purposes.log, ...window };
    const proof = signer.sign(typedDataDigest("SignerBinding", binding, contracts));
    const args = ["", { commitment: zeroHash, signer: owner, ...window, proof }] as const;
    await registry.write.registerBound(args, { account: wallets[i]?.account as never });
    await token.write.mint([owner, 1_000_000n]);
    agents.push({ agentId: await registry.read.agentOfSigner([signerHash]), signer });
  }
  const heads = await watchHeads({ client, pollIntervalMs: 10 }, never);
  const chainTime = createChainTime(heads);

  /** The escrow as one agent uses it. @param payer of the gas of what others may send for it */
  const senders: ChainSender[] = [];
  const dealChainOf = (agent: TestAgent, payer?: Signer) => {
    const sender = createSender({ client, heads, signer: agent.signer });
    const relay = payer && createSender({ client, heads, signer: payer });
    senders.push(sender, ...(relay === undefined ? [] : [relay]));
    const options = { client, heads, sender, deployment, signer: agent.signer, chainTime };
    return createDealChain({ ...options, ...(relay === undefined ? {} : { relay }) });
  };

  /** The tab escrow as one agent uses it. */
  const tabChainOf = (agent: TestAgent, payer?: Signer) => {
    const sender = createSender({ client, heads, signer: agent.signer });
    const relay = payer && createSender({ client, heads, signer: payer });
    senders.push(sender, ...(relay === undefined ? [] : [relay]));
    const options = { client, heads, sender, deployment, signer: agent.signer, chainTime };
    return createTabChain({ ...options, ...(relay === undefined ? {} : { relay }) });
  };

  /** A deal between agents, signed by both as after a negotiation; each gets its side of it. */
  const agree = async (
    client_: TestAgent,
    provider: TestAgent,
    { deliverWithin = 600, salt = 1n, terms = {} as Partial<Deal>, shares = undefined as Agreement["shares"] } = {},
  ) => {
    const now = await networkHelpers.time.latest();
    const call: Call = {
      clientAgentId: client_.agentId,
      topic: topicIdOf("translation"),
      specHash: contentHashOf(spec),
      mechanismHash: contentHashOf(encodeMechanism(mechanism)),
      token: token.address,
      reservePrice: PRICE,
      bidByMs: now * 1000,
      submitBy: now + deliverWithin,
      reviewPeriod: REVIEW_SECONDS,
      salt,
    };
    const callId = structHash("Call", call);
    const bid = { price: 1n, quality: 1n, validUntil: now, salt: 0n };
    const winner = signedBidOf({ callId, providerAgentId: provider.agentId, ...bid }, "0x");
    const deal = { ...composeDeal(call, { winner, payment: PRICE }, zeroHash), ...terms };
    const consentOf = ({ signer }: TestAgent) => ({
      signer: signer.address,
      signature: signer.sign(typedDataDigest("Deal", deal, contracts)),
    });
    const common = { callId, dealId: dealIdOf(deal), deal, client: consentOf(client_), provider: consentOf(provider) };
    const peerOf = ({ signer }: TestAgent) => peerIdOf(signer.publicKey);
    const sides = { ...common, spec, agreedAtMs: 0, ...(shares === undefined ? {} : { shares }) };
    const ofClient: Agreement = { ...sides, role: "client", peer: peerOf(provider) };
    const ofProvider: Agreement = { ...sides, role: "provider", peer: peerOf(client_) };
    return { client: ofClient, provider: ofProvider, dealId: common.dealId, deal };
  };

  /** Any call, as an agent. */
  const sendAs = async (agent: TestAgent, call: ContractCall) => {
    const sender = createSender({ client, heads, signer: agent.signer });
    await sender.send(call, never).finally(() => sender.stop());
  };

  /** Sets an allowance of the escrow over an agent's tokens. */
  const approve = (agent: TestAgent, amount: bigint) =>
    sendAs(agent, {
      abi: testTokenAbi,
      address: token.address,
      functionName: "approve",
      args: [escrow.address, amount],
    });

  const identity = createIdentityReader(client, heads, deployment);
  return {
    ...{
      chain,
      client,
      contracts,
      deployment,
      heads,
      identity,
      chainTime,
      agents,
      agree,
      approve,
      sendAs,
      dealChainOf,
      tabChainOf,
    },
    ...{ registry, token, ledger, escrow, tabEscrow, networkHelpers },
    /** Before a snapshot is restored: a sender would take it for a reorg, and send again what was taken back. */
    stopSenders: () => {
      for (const sender of senders.splice(0)) sender.stop();
    },
    stop: () => heads.stop(),
  };
}

export type DealWorld = Awaited<ReturnType<typeof createDealWorld>>;
