import { Command } from "commander";
import { createWalletClient, formatEther, http, parseEventLogs, type Address, type Hex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { createSigner, identityRegistryAbi, purposes, signerHashOf, SuretyError, typedDataDigest } from "#protocol";
import { revertDataOf } from "../../node/chain/revert.ts";
import { auditAgent } from "../audit/agent.ts";
import { runChecks } from "../audit/checks.ts";
import { runAction } from "../cli/action.ts";
import { createKeyFile, readKeyFile } from "../cli/key.ts";
import { connect, type Connection } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAgentId, parseBytes32, type CommonOptions } from "../cli/options.ts";

/** Seconds for which the new signer's proof of possession may be used. */
const PROOF_LIFETIME_S = 600;
/** Chain id of every Hardhat chain. */
const LOCAL_CHAIN_ID = 31_337;
/** One ETH in wei: thousands of registrations. */
const LOCAL_ALLOWANCE = "0xde0b6b3a7640000";
const ZERO_WORD: Hex = `0x${"00".repeat(32)}`;

interface RegisterOptions extends CommonOptions {
  readonly keyFile: string;
  readonly uri: string;
  readonly commitment: Hex;
}

/** Registers the key's agent with the key as its first LOG signer, and the commitment if one is given. */
export async function registerAgent(
  { client, deployment, rpcUrl }: Connection,
  key: Hex,
  { uri, commitment }: { uri: string; commitment: Hex },
): Promise<{ agentId: bigint; owner: Hex; transactionHash: Hex; gasUsed: bigint }> {
  const account = privateKeyToAccount(key);
  const signer = createSigner(key);
  const { timestamp } = await client.getBlock();
  const deadline = Number(timestamp) + PROOF_LIFETIME_S;
  const binding = {
    agentId: 0n,
    owner: account.address,
    signerHash: signerHashOf(signer.address),
    purpose: purposes.log,
    validFrom: 0,
    validUntil: 0,
    deadline,
  };
  const proof = signer.sign(
    typedDataDigest("SignerBinding", binding, { chainId: deployment.chainId, ...deployment.contracts }),
  );
  const wallet = createWalletClient({ account, transport: http(rpcUrl) });
  const call = {
    abi: identityRegistryAbi,
    address: deployment.contracts.identityRegistry,
    functionName: "registerBound",
    args: [uri, { commitment, signer: signer.address, validFrom: 0, validUntil: 0, deadline, proof }],
    account,
  } as const;
  const { request } = await client.simulateContract(call);
  await requireFunds(client, account.address, await client.estimateContractGas(call), rpcUrl);
  const transactionHash = await wallet.writeContract({ ...request, chain: null });
  const receipt = await client.waitForTransactionReceipt({ hash: transactionHash });
  const [registered] = parseEventLogs({ abi: identityRegistryAbi, eventName: "Registered", logs: receipt.logs });
  if (receipt.status !== "success" || registered === undefined) {
    throw new SuretyError("REGISTRATION_FAILED", "The registration was mined and reverted.", {
      values: { transactionHash },
      next: "Look at the transaction; another one of the same key may have come first. Then register again.",
    });
  }
  return { agentId: registered.args.agentId, owner: account.address, transactionHash, gasUsed: receipt.gasUsed };
}

/** A key pays for its own registration: without ETH the chain would refuse with less of an explanation. */
async function requireFunds(
  client: Connection["client"],
  address: Address,
  gas: bigint,
  rpcUrl: string,
): Promise<void> {
  const { maxFeePerGas } = await client.estimateFeesPerGas();
  const [needed, balance] = [gas * maxFeePerGas, await client.getBalance({ address })];
  if (balance >= needed) return;
  const isLocal = (await client.getChainId()) === LOCAL_CHAIN_ID;
  throw new SuretyError(
    "ACCOUNT_UNFUNDED",
    `${address} has ${formatEther(balance)} ETH; registering costs up to ${formatEther(needed)}.`,
    {
      values: { address, balanceWei: balance, neededWei: needed },
      next: isLocal
        ? `Send ETH to ${address} from one of the accounts that \`npx hardhat node\` printed, or set it there: ${setBalance(rpcUrl, address)}`
        : `Send at least ${formatEther(needed)} ETH to ${address}, then register again.`,
    },
  );
}

/** The simulator's own faucet, as a line for a shell. */
function setBalance(rpcUrl: string, address: Address): string {
  const request = { jsonrpc: "2.0", id: 1, method: "hardhat_setBalance", params: [address, LOCAL_ALLOWANCE] };
  return `curl ${rpcUrl} -H 'content-type: application/json' -d '${JSON.stringify(request)}'`;
}

export function agentCommand(): Command {
  const agent = new Command("agent").description("register an agent, or show one");
  agent
    .command("key")
    .description("create a key file; its address is the agent's owner, log and peer")
    .requiredOption("--key-file <path>", "where the new key is written, readable by you only")
    .addOption(jsonOption())
    .action(({ keyFile, json }: { keyFile: string; json: boolean }) =>
      runAction(json, async () => {
        const { address } = createSigner(createKeyFile(keyFile));
        return Promise.resolve({ result: { address, keyFile }, lines: [`${address} in ${keyFile}`] });
      }),
    );
  addNetworkOptions(agent.command("register"))
    .description("register an agent with its code commitment and its first LOG signer, in one transaction")
    .requiredOption("--key-file <path>", "file of the key that will own the agent and speak for it")
    .option("--uri <uri>", "registration file of the agent (ERC-8004)", "")
    .option("--commitment <hash>", "BAID commitment to code, config and operator", parseBytes32, ZERO_WORD)
    .addOption(jsonOption())
    .action((options: RegisterOptions) =>
      runAction(options.json, async () => {
        const result = await registerAgent(await connect(options), readKeyFile(options.keyFile), options);
        return {
          result,
          lines: [`agent ${result.agentId} of ${result.owner}, ${result.gasUsed} gas, ${result.transactionHash}`],
        };
      }),
    );
  addNetworkOptions(agent.command("show"))
    .description("show an agent as the chain knows it")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions) =>
      runAction(options.json, async () => {
        const { client, deployment } = await connect(options);
        const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
        await requireAgent(client, registry, agentId);
        const { isOk, checks } = await runChecks(`agent ${agentId}`, auditAgent(client, deployment, agentId));
        const uri = await client.readContract({ ...registry, functionName: "tokenURI", args: [agentId] });
        return {
          result: { agentId, uri, facts: Object.fromEntries(checks.map(({ name, detail }) => [name, detail])) },
          isFailed: !isOk,
          lines: [`agent ${agentId}  ${uri}`, ...checks.map(({ name, detail }) => `  ${name}: ${detail}`)],
        };
      }),
    );
  return agent;
}

async function requireAgent(
  client: Connection["client"],
  registry: { abi: typeof identityRegistryAbi; address: Address },
  agentId: bigint,
): Promise<void> {
  try {
    await client.readContract({ ...registry, functionName: "ownerOf", args: [agentId] });
  } catch (cause) {
    if (revertDataOf(cause) === undefined) throw cause;
    throw new SuretyError("AGENT_UNKNOWN", `The registry ${registry.address} has no agent ${agentId}.`, {
      values: { agentId, address: registry.address },
      next: "Check the id and the network; `surety agent register` makes an agent.",
      cause,
    });
  }
}
