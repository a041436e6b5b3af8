import { Command } from "commander";
import { parseEventLogs, type Hex } from "viem";
import { createSigner, identityRegistryAbi, SuretyError } from "#protocol";
import { runAction } from "../cli/action.ts";
import { requireAgent } from "../cli/agents.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect } from "../cli/network.ts";
import { addNetworkOptions, jsonOption, parseAddress, parseAgentId, type CommonOptions } from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";
import {
  callOf,
  consentOfWallet,
  executeRecoveryCall,
  recoveryCall,
  type Signed,
  type WalletConsent,
} from "./calls.ts";
import { draftVote, orderCommands, type Give } from "./kinds.ts";
import { digestOf, requireAuthority, startAsking, type Asking, type Order } from "./order.ts";
import { addForeignOption, subjectOf } from "./subject.ts";

/** Seconds for which an order that is sent at once may be executed. */
const ORDER_LIFETIME_S = 600;

interface KeyOptions extends CommonOptions {
  readonly keyFile: string;
  readonly senderKeyFile?: string;
  readonly walletKeyFile?: string;
  readonly foreign?: Hex;
}
interface RecoverOptions extends CommonOptions {
  readonly guardianKeyFile: string[];
  readonly keyFile: string;
}

/** Orders that a key gives: signed by it, and sent by it or by whoever pays. */
export const keyOrderCommands = (): Command[] => [
  ...orderCommands(addKeyOptions, giveByKey),
  recoverCommand(),
  executeCommand(),
];

const addKeyOptions = (command: Command): Command => {
  const withKeys = addForeignOption(addNetworkOptions(command))
    .requiredOption("--key-file <path>", "file of the key that orders: the owner's, or an OPERATOR's")
    .option("--sender-key-file <path>", "file of the key that sends and pays; default: the same")
    .addOption(jsonOption());
  const isWallet = command.name() === "wallet";
  return isWallet ? withKeys.option("--wallet-key-file <path>", "file of the new wallet's key; it agrees") : withKeys;
};

const giveByKey: Give = (given, id, draft) => {
  const options = given as KeyOptions;
  return runAction(options.json, async ({ signal }) => {
    const key = readKeyFile(options.keyFile);
    const signer = createSigner(key);
    const subject = await subjectOf(await connect(options, signal), id, options.foreign);
    const asking = await startAsking(subject, signer.address, { lifetimeS: ORDER_LIFETIME_S });
    const order = await draft(asking);
    await requireAuthority(order, asking);
    const signed = { signer: signer.address, signature: signer.sign(digestOf(order, asking.connection.deployment)) };
    const call = await keyCallOf(order, signed, asking, options);
    const sender = options.senderKeyFile === undefined ? key : readKeyFile(options.senderKeyFile);
    const { hash, gasUsed, receipt } = await sendCall(asking.connection, sender, call, signal);
    const [registered] = parseEventLogs({ abi: identityRegistryAbi, eventName: "Registered", logs: receipt.logs });
    const agentId = registered?.args.agentId ?? asking.agentId;
    return {
      result: { statement: order.statement, ...order.message, agentId, transactionHash: hash, gasUsed },
      lines: [`${order.statement} of ${agentId === 0n ? asking.owner : `agent ${agentId}`}: ${gasUsed} gas, ${hash}`],
    };
  });
};

async function keyCallOf(order: Order, signed: Signed, { connection, owner }: Asking, options: KeyOptions) {
  if (order.statement === "SignerBinding" || order.statement === "OwnerChange") {
    throw new SuretyError("USAGE_ORDER", `${order.statement} is no order.`, { next: "See `surety agent --help`." });
  }
  const isWallet = order.statement === "AgentWalletChange" && options.walletKeyFile !== undefined;
  const wallet: WalletConsent | undefined = isWallet
    ? await consentOfWallet(order.message, owner, readKeyFile(options.walletKeyFile ?? ""), connection)
    : undefined;
  return callOf(order, signed, connection.deployment, wallet);
}

const recoverCommand = () =>
  addNetworkOptions(new Command("recover"))
    .description("start a change of owner with the keys of its guardians; passkeys vote by `surety passkey ask vote`")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<newOwner>", "who shall own the agent", parseAddress)
    .requiredOption("--guardian-key-file <paths...>", "files of exactly as many guardians' keys as the owner asked for")
    .requiredOption("--key-file <path>", "file of the key that sends and pays")
    .addOption(jsonOption())
    .action((agentId: bigint, newOwner: Hex, options: RecoverOptions) =>
      runAction(options.json, async ({ signal }) => {
        const connection = await connect(options, signal);
        const { deployment } = connection;
        const subject = await subjectOf(connection, agentId);
        const guardians = options.guardianKeyFile.map((path) => createSigner(readKeyFile(path)));
        const sender = readKeyFile(options.keyFile);
        const asking = await startAsking(subject, createSigner(sender).address, { lifetimeS: ORDER_LIFETIME_S });
        const vote = await draftVote(asking, newOwner);
        if (vote.statement !== "OwnerChange") throw new Error("a vote is another order");
        for (const { address } of guardians) await requireAuthority(vote, { ...asking, signer: address });
        const digest = digestOf(vote, deployment);
        const votes = guardians.map((guardian) => ({ signer: guardian.address, signature: guardian.sign(digest) }));
        const call = recoveryCall(vote.message, votes, deployment);
        const { hash, gasUsed } = await sendCall(connection, sender, call, signal);
        return {
          result: { ...vote.message, transactionHash: hash, gasUsed },
          lines: [
            `agent ${agentId} goes to ${newOwner} unless its owner cancels in the delay: ${hash}`,
            `then: surety agent execute-recovery ${agentId} --key-file KEY`,
          ],
        };
      }),
    );

const executeCommand = () =>
  addNetworkOptions(new Command("execute-recovery"))
    .description("hand an agent to its new owner, once the delay has passed; anybody may")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .requiredOption("--key-file <path>", "file of the key that sends and pays")
    .addOption(jsonOption())
    .action((agentId: bigint, options: CommonOptions & { keyFile: string }) =>
      runAction(options.json, async ({ signal }) => {
        const connection = await connect(options, signal);
        const { client, deployment } = connection;
        await requireAgent(client, deployment, agentId);
        const call = executeRecoveryCall(agentId, deployment);
        const { hash, gasUsed } = await sendCall(connection, readKeyFile(options.keyFile), call, signal);
        const owner = await requireAgent(client, deployment, agentId);
        return {
          result: { agentId, owner, transactionHash: hash, gasUsed },
          lines: [`agent ${agentId} is ${owner}'s now, ${hash}`],
        };
      }),
    );
