// Real contracts and real signatures for the settlement and stake tests. Keys are those of Hardhat's public mnemonic.
import { network } from "hardhat";
import {
  encodeFunctionData,
  getAddress,
  hashTypedData,
  keccak256,
  toHex,
  zeroAddress,
  zeroHash,
  type Abi,
  type Address,
  type ContractErrorName,
  type Hex,
} from "viem";
import {
  dealCancelDigestOf,
  dealDigestOf,
  dealIdOf,
  dealPaymentDigestOf,
  dealStates,
  purposes,
  topicIdOf,
  typedDataDigest,
  type dealEscrowAbi,
  type Deal,
  type Domain,
  type Signer,
  type SplitProposal,
} from "#protocol";
import { testSigner as signerAt } from "../fixtures/keys.ts";

export const EPOCH_LENGTH = 3_600n;
export const UNBONDING_DELAY = 14 * 86_400;
export const PRICE = 1_000_000n;
export const MAX_REVIEW_PERIOD = 30 * 86_400;
export const MAX_DELIVERY = 366 * 86_400;
export const MAX_ARBITRATION = 180 * 86_400;
export const TOPIC = topicIdOf("translation");

export { signerAt };

export const DELIVERABLE = keccak256(toHex("deliverable"));

type EscrowError = ContractErrorName<typeof dealEscrowAbi>;

/** An agent whose owner and LOG signer are one key. */
export interface Agent {
  readonly agentId: bigint;
  readonly signer: Signer;
  readonly account: Address;
}

/** A chain of its own with every contract of the settlement, a client (agent 1) and a provider (agent 2). */
export async function createSettlement() {
  const connection = await network.create();
  const { viem, networkHelpers } = connection;
  const publicClient = await viem.getPublicClient();
  const chainId = await publicClient.getChainId();
  const registry = await viem.deployContract("IdentityRegistry");
  const token = await viem.deployContract("TestToken");
  const ledger = await viem.deployContract("TrustLedger", [EPOCH_LENGTH, registry.address]);
  const vault = await viem.deployContract("StakeVault", [
    token.address,
    registry.address,
    ledger.address,
    UNBONDING_DELAY,
  ]);
  const escrow = await viem.deployContract("DealEscrow", [registry.address, ledger.address, zeroAddress]);
  const disputes = await viem.getContractAt("DealDisputes", await escrow.read.disputes());
  const funding = await viem.deployContract("DealFunding", [escrow.address]);
  const tabs = await viem.deployContract("TabEscrow", [registry.address, ledger.address]);
  await ledger.write.setRecorders([[escrow.address, tabs.address]]);
  const contracts = {
    chainId,
    identityRegistry: registry.address,
    dealEscrow: escrow.address,
    tabEscrow: tabs.address,
  };
  const tokenDomain: Domain = {
    name: "Surety test dollar",
    version: "1",
    chainId,
    verifyingContract: token.address,
  };

  /** Registers the agent of one of Hardhat's accounts, whose key is its owner and its LOG signer. */
  async function registerAgent(index: number, validUntil = 0): Promise<Agent> {
    const signer = signerAt(index);
    const deadline = (await networkHelpers.time.latest()) + 3_600;
    const binding = {
      agentId: 0n,
      owner: signer.address,
      signerHash: signer.signerHash,
      purpose: purposes.log,
      validFrom: 0,
      validUntil,
      deadline,
    };
    const proof = signer.sign(typedDataDigest("SignerBinding", binding, contracts));
    const initial = { commitment: zeroHash, signer: signer.address, validFrom: 0, validUntil, deadline, proof };
    await registry.write.registerBound(["", initial], { account: signer.address });
    const agentId = await registry.read.agentOfSigner([signer.signerHash]);
    return { agentId, signer, account: signer.address };
  }

  /** Binds one more LOG signer, a key of one of Hardhat's accounts, to an agent. */
  async function bindLogSigner(agent: Agent, index: number): Promise<Signer> {
    const signer = signerAt(index);
    const deadline = (await networkHelpers.time.latest()) + 3_600;
    const binding = {
      agentId: agent.agentId,
      owner: agent.account,
      signerHash: signer.signerHash,
      purpose: purposes.log,
      validFrom: 0,
      validUntil: 0,
      deadline,
    };
    const proof = signer.sign(typedDataDigest("SignerBinding", binding, contracts));
    await registry.write.bindSigner([agent.agentId, signer.address, purposes.log, 0, 0, deadline, proof], {
      account: agent.account,
    });
    return signer;
  }

  let salt = 0n;
  /** A fresh deal of the client and the provider with sound terms, unless told otherwise. */
  async function draftDeal(client: Agent, provider: Agent, terms: Partial<Deal> = {}): Promise<Deal> {
    return {
      clientAgentId: client.agentId,
      providerAgentId: provider.agentId,
      topic: TOPIC,
      token: getAddress(token.address),
      price: PRICE,
      providerBond: 0n,
      clientBond: 0n,
      submitBy: (await networkHelpers.time.latest()) + 86_400,
      reviewPeriod: 3_600,
      arbiter: zeroAddress,
      arbiterDeadline: 0,
      mechanismHash: keccak256(toHex("mechanism")),
      certificateHash: keccak256(toHex("certificate")),
      specHash: keccak256(toHex("spec")),
      splitsRoot: zeroHash,
      epoch: 0,
      hook: zeroAddress,
      salt: ++salt,
      ...terms,
    };
  }

  const consent = (signer: Signer, digest: Hex) => ({ signer: signer.address, signature: signer.sign(digest) });

  /** Both parties' consents to a deal. */
  function sign(deal: Deal, client: Agent, provider: Agent) {
    const digest = dealDigestOf(deal, contracts);
    return [consent(client.signer, digest), consent(provider.signer, digest)] as const;
  }

  /** Both parties' consents to a deal's cancellation. */
  function signCancel(deal: Deal, client: Agent, provider: Agent) {
    const digest = dealCancelDigestOf(dealIdOf(deal), contracts);
    return [consent(client.signer, digest), consent(provider.signer, digest)] as const;
  }

  /** Both parties' consents to a split. */
  function signSplit(deal: Deal, split: Omit<SplitProposal, "dealId">, client: Agent, provider: Agent) {
    const digest = typedDataDigest("SplitProposal", { dealId: dealIdOf(deal), ...split }, contracts);
    return [consent(client.signer, digest), consent(provider.signer, digest)] as const;
  }

  /** The payer's EIP-3009 authorization of a deal's price. */
  function authorize(deal: Deal, payer: Signer, validBefore = 2n ** 48n, to: Address = escrow.address) {
    const window = { payer: payer.address, validAfter: 0n, validBefore };
    return { ...window, signature: payer.sign(dealPaymentDigestOf(deal, to, window, tokenDomain)) };
  }

  /** Spends the nonce of a deal's payment, so that it can never be made. */
  async function cancelAuthorization(deal: Deal, payer: Signer): Promise<void> {
    const nonce = dealIdOf(deal);
    const digest = hashTypedData({
      domain: tokenDomain,
      types: {
        CancelAuthorization: [
          { name: "authorizer", type: "address" },
          { name: "nonce", type: "bytes32" },
        ],
      },
      primaryType: "CancelAuthorization",
      message: { authorizer: payer.address, nonce },
    });
    await token.write.cancelAuthorization([payer.address, nonce, payer.sign(digest)]);
  }

  /** A second escrow on the same registry, which the ledger does not know as a recorder. */
  const createOtherEscrow = () => viem.deployContract("DealEscrow", [registry.address, ledger.address, zeroAddress]);

  /** Mints and approves, so that an account can fund deals and stakes by allowance. */
  async function endow(account: Address, amount = 10n ** 15n): Promise<void> {
    await token.write.mint([account, amount]);
    await token.write.approve([escrow.address, 2n ** 256n - 1n], { account });
    await token.write.approve([vault.address, 2n ** 256n - 1n], { account });
    await token.write.approve([funding.address, 2n ** 256n - 1n], { account });
    await token.write.approve([tabs.address, 2n ** 256n - 1n], { account });
  }

  const client = await registerAgent(1);
  const provider = await registerAgent(2);
  const stranger = signerAt(3);
  await endow(client.account);
  await endow(stranger.address);

  /** Opens a signed deal by the client's allowance. */
  async function openDeal(terms: Partial<Deal> = {}): Promise<{ deal: Deal; dealId: Hex }> {
    const deal = await draftDeal(client, provider, terms);
    await escrow.write.open([deal, ...sign(deal, client, provider)], { account: client.account });
    return { deal, dealId: dealIdOf(deal) };
  }

  /** A deal that the provider has delivered. */
  async function submitDeal(terms: Partial<Deal> = {}): Promise<{ deal: Deal; dealId: Hex }> {
    const opened = await openDeal(terms);
    await escrow.write.submit([opened.deal, DELIVERABLE], { account: provider.account });
    return opened;
  }

  /** The state by its name. */
  async function stateOf(dealId: Hex): Promise<(typeof dealStates)[number] | undefined> {
    const [state] = await escrow.read.dealOf([dealId]);
    return dealStates[state];
  }

  /** Asserts that the escrow refuses a call with a named error and its values, and ends the second that `atSecond` set. */
  async function expectRefusal(call: Promise<Hex>, name: EscrowError, args: unknown[]): Promise<void> {
    await viem.assertions.revertWithCustomErrorWithArgs(call, escrow, name, args as never);
    await networkHelpers.mine();
  }

  /** Calldata of a contract's function. */
  const encode = (contract: { readonly abi: Abi }, functionName: string, args: readonly unknown[]): Hex =>
    encodeFunctionData({ abi: contract.abi, functionName, args });

  /** The next block's second; calls and estimates until then see it too. */
  const atSecond = (second: number) => networkHelpers.time.setNextBlockTimestamp(second);

  return {
    ...{ connection, viem, networkHelpers, publicClient, contracts, tokenDomain },
    ...{ registry, token, ledger, vault, escrow, disputes, funding, tabs, client, provider, stranger },
    ...{ registerAgent, bindLogSigner, draftDeal, sign, signCancel, signSplit, authorize, endow, openDeal, submitDeal },
    ...{ consent, cancelAuthorization, createOtherEscrow, stateOf, expectRefusal, atSecond, encode },
  };
}

export type Settlement = Awaited<ReturnType<typeof createSettlement>>;
