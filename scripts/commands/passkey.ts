import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import { bytesToHex, isHex, keccak256, parseEventLogs, size, type Hex } from "viem";
import { createSigner, identityRegistryAbi, purposes, SuretyError, type Structs } from "#protocol";
import type { ContractCall } from "../../node/chain/port.ts";
import { adoptedDeployment } from "../audit/foreign.ts";
import { runAction, type Outcome, stringify } from "../cli/action.ts";
import { requireAgent } from "../cli/agents.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, type Connection } from "../cli/network.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseAddress,
  parseAgentId,
  parseInteger,
  type CommonOptions,
} from "../cli/options.ts";
import { sendCall } from "../cli/sending.ts";
import { bindingCall, callOf, consentOfWallet, recoveryCall, type Signed } from "../orders/calls.ts";
import { draftVote, orderCommands, type Give } from "../orders/kinds.ts";
import { digestOf, requireAuthority, startAsking, typedDataOf, type Order } from "../orders/order.ts";
import { isWrittenFor, readJson, readSigned, type RequestFile } from "../orders/request.ts";
import { addForeignOption, subjectOf } from "../orders/subject.ts";

/** A person carries the request to a page and the answer back. */
const REQUEST_LIFETIME_S = 3_600;
/** Verifier, x and y. */
const PASSKEY_BYTES = 84;

interface AskOptions extends CommonOptions {
  readonly passkey?: string;
  readonly account?: Hex;
  readonly foreign?: Hex;
  readonly deadline?: number;
  readonly out: string;
}
interface SendOptions extends CommonOptions {
  readonly signed: string[];
  readonly keyFile: string;
  readonly ownerKeyFile?: string;
  readonly walletKeyFile?: string;
}

export function passkeyCommand(): Command {
  const passkey = new Command("passkey").description(
    "bind a passkey to an agent and send what it signs; the page that makes and asks it is indexer/explorer/passkey",
  );
  const ask = passkey.command("ask").description("write what a passkey is to sign, to be pasted into the page");
  ask.addCommand(askBinding());
  for (const command of orderCommands(addAskOptions, giveToPasskey)) ask.addCommand(command);
  ask.addCommand(askVote());
  passkey.addCommand(sendCommand());
  return passkey;
}

const addAskOptions = (command: Command): Command =>
  addForeignOption(addNetworkOptions(command))
    .option("--passkey <file>", "what the page showed when it made the passkey, as JSON")
    .option("--account <address>", "instead: an account for which the passkey signs (ERC-1271)", parseAddress)
    .option("--deadline <second>", "last second (Unix) of its use; default: an hour from now", parseInteger(0))
    .requiredOption("-o, --out <file>", "where the request is written")
    .addOption(jsonOption());

const askBinding = () =>
  addAskOptions(new Command("bind"))
    .description("the passkey's consent to speak for an agent")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .addOption(
      new Option("--purpose <purpose>", "what it may do").choices(["operator", "recovery", "log"]).default("operator"),
    )
    .option("--until <second>", "first second (Unix) at which it does not count; 0 = no end", parseInteger(0), 0)
    .action((id: bigint, options: AskOptions & { purpose: "operator" | "recovery" | "log"; until: number }) =>
      giveToPasskey(options, id, ({ agentId, owner, signer, deadline }) => {
        const [signerHash, purpose] = [keccak256(signer), purposes[options.purpose]];
        const window = { validFrom: 0, validUntil: options.until, deadline };
        return {
          statement: "SignerBinding",
          message: { agentId, owner, signerHash, purpose, ...window },
          enclosed: {},
        };
      }),
    );

const askVote = () =>
  addAskOptions(new Command("vote"))
    .description("a guardian's vote for a new owner; guardians vote together, so they name one and the same --deadline")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<newOwner>", "who shall own the agent", parseAddress)
    .action((agentId: bigint, newOwner: Hex, options: AskOptions) =>
      giveToPasskey(options, agentId, (asking) => draftVote(asking, newOwner)),
    );

/** Writes an order down as typed data, with the deadline of a person. */
const giveToPasskey: Give = (given, id, draft) => {
  const options = given as AskOptions;
  return runAction(options.json, async ({ signal }) => {
    const signer = signerOf(options);
    const subject = await subjectOf(await connect(options, signal), id, options.foreign);
    const { deadline } = options;
    const life = { lifetimeS: REQUEST_LIFETIME_S, ...(deadline === undefined ? {} : { deadline }) };
    const asking = await startAsking(subject, signer, life);
    const order = await draft(asking);
    await requireAuthority(order, asking);
    const { agentId, connection } = asking;
    const { deployment } = connection;
    const typed = typedDataOf(order, deployment);
    const request = { ...typed, surety: { signer, enclosed: order.enclosed } } satisfies RequestFile | object;
    writeFileSync(options.out, `${stringify(request)}\n`);
    const digest = digestOf(order, deployment);
    const whose = agentId === 0n ? `of ${signer}` : `of agent ${agentId}`;
    return {
      result: { ...request, digest },
      lines: [
        `${options.out}: ${order.statement} ${whose}; paste it into the page, which has to show the digest ${digest}`,
        `then: surety passkey send ${options.out} --signed ANSWER_OF_THE_PAGE --key-file KEY`,
      ],
    };
  });
};

function signerOf({ passkey, account }: AskOptions): Hex {
  if (account !== undefined) return account.toLowerCase() as Hex;
  if (passkey === undefined) {
    throw new SuretyError("USAGE_PASSKEY", "Nobody is named who shall sign.", {
      next: "Name a passkey's file with --passkey, or an account with --account.",
    });
  }
  const { signer } = readJson<{ signer: Hex }>(passkey);
  if (isHex(signer) && size(signer) === PASSKEY_BYTES) return signer;
  throw new SuretyError(
    "USAGE_PASSKEY",
    `${passkey} holds no passkey: its signer is not ${PASSKEY_BYTES} bytes in hex.`,
    {
      values: { passkey },
      next: "Save what the page showed when it made the passkey; it has the fields credentialId, signer and signerHash.",
    },
  );
}

const sendCommand = () =>
  addNetworkOptions(new Command("send"))
    .description("send what a passkey signed; an order's sender may be anybody, a binding's is the agent's owner")
    .argument("<requests...>", "file that `surety passkey ask` wrote; of votes, one for each guardian")
    .requiredOption("--signed <files...>", "what the page showed when the passkey had signed, as JSON; in that order")
    .requiredOption("--key-file <path>", "file of the key that sends and pays")
    .option("--owner-key-file <path>", "of a binding: the owner's key signs here, and the other key sends and pays")
    .option("--wallet-key-file <path>", "of a change of wallet: the new wallet's key, with which it agrees")
    .addOption(jsonOption())
    .action((paths: string[], options: SendOptions) =>
      runAction(options.json, ({ signal }) => send(paths, options, signal)),
    );

async function send(paths: readonly string[], options: SendOptions, signal: AbortSignal): Promise<Outcome> {
  const connection = await connectFor(paths[0], options, signal);
  const { deployment } = connection;
  if (paths.length !== options.signed.length) throw unpaired(paths, options.signed);
  const pairs = paths.map((path, index) => readSigned(path, options.signed[index] ?? "", deployment));
  const [first] = pairs;
  if (first === undefined) throw unpaired(paths, options.signed);
  const { statement, message } = first.order;
  const call = await transactionOf(pairs, connection, options);
  const { hash, gasUsed, receipt } = await sendCall(connection, readKeyFile(options.keyFile), call, signal);
  const [registered] = parseEventLogs({ abi: identityRegistryAbi, eventName: "Registered", logs: receipt.logs });
  const agentId = "agentId" in message ? message.agentId : registered?.args.agentId;
  return {
    result: { statement, ...message, agentId, transactionHash: hash, gasUsed },
    lines: [`${statement} of agent ${agentId}: ${gasUsed} gas, ${hash}`],
  };
}

/** The chain, and the contract there for which the first request was written. */
async function connectFor(path: string | undefined, options: SendOptions, signal: AbortSignal): Promise<Connection> {
  const connection = await connect(options, signal);
  const { client, deployment } = connection;
  const isForeign = path !== undefined && isWrittenFor(path, deployment.contracts.foreignBindings);
  return isForeign ? { ...connection, deployment: await adoptedDeployment(client, deployment) } : connection;
}

/** The one transaction that the signed requests are for. */
async function transactionOf(
  pairs: readonly { readonly order: Order; readonly signed: Signed }[],
  connection: Connection,
  options: SendOptions,
): Promise<ContractCall> {
  const { client, deployment } = connection;
  const [{ order, signed }, ...others] = pairs as [(typeof pairs)[number], ...typeof pairs];
  if (order.statement === "OwnerChange") {
    const digest = digestOf(order, deployment);
    const other = others.find((pair) => digestOf(pair.order, deployment) !== digest);
    if (other !== undefined) throw unlike(order, other.order);
    return recoveryCall(
      order.message,
      pairs.map((pair) => pair.signed),
      deployment,
    );
  }
  const [second] = others;
  if (second !== undefined) throw unlike(order, second.order);
  if (order.statement === "SignerBinding") {
    if (options.ownerKeyFile === undefined) return bindingCall(order.message, signed, deployment);
    return grantedBinding(order.message, signed, readKeyFile(options.ownerKeyFile), connection);
  }
  if (order.statement !== "AgentWalletChange" || options.walletKeyFile === undefined) {
    return callOf(order, signed, deployment);
  }
  const owner = await requireAgent(client, deployment, order.message.agentId);
  const wallet = await consentOfWallet(order.message, owner, readKeyFile(options.walletKeyFile), connection);
  return callOf(order, signed, deployment, wallet);
}

/** A binding that somebody else sends, by the owner's own order to bind what offers itself. */
function grantedBinding(
  { agentId, signerHash, purpose, validFrom, validUntil, deadline }: Structs["SignerBinding"],
  { signer, signature }: Signed,
  ownerKey: Hex,
  { deployment }: Connection,
): ContractCall {
  const owner = createSigner(ownerKey);
  const nonce = BigInt(bytesToHex(randomBytes(32)));
  const order: Order & { statement: "SignerGrant" } = {
    statement: "SignerGrant",
    message: { agentId, signerHash, purpose, validFrom, validUntil, nonce, deadline },
    enclosed: { newSigner: { signer, purpose, validFrom, validUntil, deadline, proof: signature } },
  };
  const consent = { signer: owner.address, signature: owner.sign(digestOf(order, deployment)) };
  return callOf(order, consent, deployment);
}

const unpaired = (requests: readonly string[], signed: readonly string[]) =>
  new SuretyError("USAGE_PASSKEY_PAIRS", `${requests.length} requests and ${signed.length} signatures are no pairs.`, {
    values: { requests: requests.length, signed: signed.length },
    next: "Name one answer of the page for each request, in the same order.",
  });

const unlike = (order: Order, other: Order) =>
  new SuretyError(
    "USAGE_PASSKEY_UNLIKE",
    `${order.statement} and ${other.statement} do not go out in one transaction.`,
    {
      values: { statements: [order.statement, other.statement] },
      next: "Send orders one by one; only votes for the same new owner, with the same deadline, go together.",
    },
  );
