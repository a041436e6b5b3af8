import type { Abi, Address, Hex } from "viem";
import {
  createSigner,
  identityRegistryAbi,
  purposes,
  signerHashOf,
  stakeVaultAbi,
  testTokenAbi,
  trustLedgerAbi,
  typedDataDigest,
  type Deployment,
  type Signer,
} from "#protocol";
import { writeOf, type BatchSender, type Write } from "../cli/batch.ts";
import type { TestAccount } from "./accounts.ts";

/** An agent of the local network: its key owns it, speaks for it and is its peer id. */
export interface LocalAgent extends TestAccount {
  readonly agentId: bigint;
  readonly signer: Signer;
}

/** What an agent of the local network starts with. */
export interface Endowment {
  readonly account: TestAccount;
  readonly uri: string;
  /** BAID commitment to code and config; default none. */
  readonly commitment?: Hex;
  /** Tokens in hand, in the token's smallest unit. */
  readonly tokens: bigint;
  /** Tokens staked, in the token's smallest unit. */
  readonly stake: bigint;
  /** Topics in which it takes a seat; default none. */
  readonly joins?: readonly bigint[];
}

/** Ether for gas: a local chain's is free. */
const GAS_MONEY_WEI = 10n ** 19n;
const MAX_UINT256 = 2n ** 256n - 1n;
/** Seconds for which a proof of possession may be used; provisioning many agents takes minutes at most. */
const PROOF_LIFETIME_S = 3_600;
const ZERO_WORD: Hex = `0x${"00".repeat(32)}`;

/** Gas limits, generous: what is not used is not paid. */
const gasOf = { register: 600_000n, mint: 150_000n, approve: 120_000n, stake: 300_000n, join: 150_000n };

/**
 * Makes agents on a local chain: gas money by the simulator's own method, tokens from the open mint, registration with
 * the key as LOG signer, allowance for deals, and stake. Agents that exist already are left as they are.
 * @param now block time in Unix seconds
 */
export async function provisionAgents(
  sender: BatchSender,
  deployment: Deployment,
  endowments: readonly Endowment[],
  { now, signal, onProgress }: { now: number; signal: AbortSignal; onProgress?: (count: number) => void },
): Promise<LocalAgent[]> {
  const known = await readAgentIds(sender, deployment, endowments, signal);
  const missing = endowments.filter((_, index) => known[index] === 0n);
  await sender.ask(
    "hardhat_setBalance",
    missing.map(({ account }) => [account.address, `0x${GAS_MONEY_WEI.toString(16)}`]),
    signal,
  );
  await sender.send(
    missing.map((endowment) => registration(deployment, endowment, now + PROOF_LIFETIME_S)),
    signal,
    onProgress,
  );
  const agentIds = await readAgentIds(sender, deployment, endowments, signal);
  const agents = endowments.map(({ account }, index) => ({
    ...account,
    agentId: agentIds[index] ?? 0n,
    signer: createSigner(account.key),
  }));
  const isNew = (index: number) => known[index] === 0n;
  const funding = agents.flatMap((agent, index) =>
    isNew(index) ? fundingOf(deployment, agent, endowments[index] as Endowment) : [],
  );
  await sender.send(funding, signal);
  return agents;
}

/** Agent ids by their keys, 0 for a key without an agent; in one batch of eth_calls. */
async function readAgentIds(
  sender: BatchSender,
  { contracts }: Deployment,
  endowments: readonly Endowment[],
  signal: AbortSignal,
): Promise<bigint[]> {
  const calls = endowments.map(({ account }) => {
    const { data } = writeOf(account, {
      abi: identityRegistryAbi,
      to: contracts.identityRegistry,
      functionName: "agentOfSigner",
      args: [signerHashOf(account.address)],
      gas: 0n,
    });
    return [{ to: contracts.identityRegistry, data }, "latest"];
  });
  return ((await sender.ask("eth_call", calls, signal)) as Hex[]).map(BigInt);
}

function registration(
  { chainId, contracts }: Deployment,
  { account, uri, commitment = ZERO_WORD }: Endowment,
  deadline: number,
): Write {
  const signer = createSigner(account.key);
  const window = { validFrom: 0, validUntil: 0, deadline };
  const statement = {
    agentId: 0n,
    owner: account.address,
    signerHash: signer.signerHash,
    purpose: purposes.log,
    ...window,
  };
  const proof = signer.sign(typedDataDigest("SignerBinding", statement, { chainId, ...contracts }));
  return writeOf(account, {
    abi: identityRegistryAbi,
    to: contracts.identityRegistry,
    functionName: "registerBound",
    args: [uri, { commitment, signer: signer.address, ...window, proof }],
    gas: gasOf.register,
  });
}

function fundingOf({ contracts }: Deployment, agent: LocalAgent, { tokens, stake, joins = [] }: Endowment): Write[] {
  const token = (functionName: string, args: readonly unknown[], gas: bigint) =>
    writeOf(agent, { abi: testTokenAbi, to: contracts.token, functionName, args, gas });
  const approve = (spender: Address) => token("approve", [spender, MAX_UINT256], gasOf.approve);
  const writes: Write[] = [];
  if (tokens + stake > 0n) writes.push(token("mint", [agent.address, tokens + stake], gasOf.mint));
  if (tokens > 0n) writes.push(approve(contracts.dealEscrow));
  if (stake > 0n) {
    const args = [Number(agent.agentId), stake];
    const vault = {
      abi: stakeVaultAbi as Abi,
      to: contracts.stakeVault,
      functionName: "stake",
      args,
      gas: gasOf.stake,
    };
    writes.push(approve(contracts.stakeVault), writeOf(agent, vault));
  }
  for (const topic of joins) {
    const args = [topic, Number(agent.agentId)];
    const ledger = {
      abi: trustLedgerAbi as Abi,
      to: contracts.trustLedger,
      functionName: "join",
      args,
      gas: gasOf.join,
    };
    writes.push(writeOf(agent, ledger));
  }
  return writes;
}
