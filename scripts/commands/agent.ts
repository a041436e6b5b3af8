import { Command } from "commander";
import { parseEventLogs, type Abi, type Hex } from "viem";
import { createSigner, identityRegistryAbi, purposes, typedDataDigest } from "#protocol";
import { auditAgent } from "../audit/agent.ts";
import { runChecks } from "../audit/checks.ts";
import { requireAgent } from "../cli/agents.ts";
import { runAction } from "../cli/action.ts";
import { createKeyFile, readKeyFile } from "../cli/key.ts";
import { connect, type Connection } from "../cli/network.ts";
import { nextBlockTime, sendCall } from "../cli/sending.ts";
import { addNetworkOptions, jsonOption, parseAgentId, parseBytes32, type CommonOptions } from "../cli/options.ts";
import { adoptionCommands } from "../orders/adoption.ts";
import { keyOrderCommands } from "../orders/by-key.ts";

/** Seconds for which the new signer's proof of possession may be used. */
const PROOF_LIFETIME_S = 600;
const ZERO_WORD: Hex = `0x${"00".repeat(32)}`;

interface RegisterOptions extends CommonOptions {
  readonly keyFile: string;
  readonly uri: string;
  readonly commitment: Hex;
}

/** Registers the key's agent with the key as its first LOG signer, and the commitment if one is given. */
async function registerAgent(
  connection: Connection,
  key: Hex,
  { uri, commitment }: { uri: string; commitment: Hex },
  abort: AbortSignal,
): Promise<{ agentId: bigint; owner: Hex; transactionHash: Hex; gasUsed: bigint }> {
  const { client, deployment } = connection;
  const signer = createSigner(key);
  const window = { validFrom: 0, validUntil: 0, deadline: (await nextBlockTime(client)) + PROOF_LIFETIME_S };
  const statement = {
    ...{ agentId: 0n, owner: signer.address, signerHash: signer.signerHash, purpose: purposes.log },
    ...window,
  };
  const domain = { chainId: deployment.chainId, ...deployment.contracts };
  const proof = signer.sign(typedDataDigest("SignerBinding", statement, domain));
  const call = {
    abi: identityRegistryAbi as Abi,
    address: deployment.contracts.identityRegistry,
    functionName: "registerBound",
    args: [uri, { commitment, signer: signer.address, ...window, proof }],
  };
  const { hash, gasUsed, receipt } = await sendCall(connection, key, call, abort);
  const [registered] = parseEventLogs({ abi: identityRegistryAbi, eventName: "Registered", logs: receipt.logs });
  if (registered === undefined) throw new Error(`${hash} registered no agent`);
  return { agentId: registered.args.agentId, owner: signer.address, transactionHash: hash, gasUsed };
}

export function agentCommand(): Command {
  const agent = new Command("agent").description("register an agent, show one, or order what its owner may order");
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
      runAction(options.json, async ({ signal }) => {
        const key = readKeyFile(options.keyFile);
        const result = await registerAgent(await connect(options, signal), key, options, signal);
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
      runAction(options.json, async ({ signal }) => {
        const { client, deployment } = await connect(options, signal);
        const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
        await requireAgent(client, deployment, agentId);
        const { isOk, checks } = await runChecks(`agent ${agentId}`, auditAgent(client, deployment, agentId));
        const uri = await client.readContract({ ...registry, functionName: "tokenURI", args: [agentId] });
        return {
          result: { agentId, uri, facts: Object.fromEntries(checks.map(({ name, detail }) => [name, detail])) },
          isFailed: !isOk,
          lines: [`agent ${agentId}  ${uri}`, ...checks.map(({ name, detail }) => `  ${name}: ${detail}`)],
        };
      }),
    );
  for (const command of [...keyOrderCommands(), ...adoptionCommands()]) agent.addCommand(command);
  return agent;
}
