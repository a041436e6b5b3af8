import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import { bytesToHex, getAddress, isHex, keccak256, size, type Abi, type Hex } from "viem";
import {
  createSigner,
  domainOf,
  identityRegistryAbi,
  purposes,
  signedBindingsAbi,
  structTypes,
  SuretyError,
  typedDataDigest,
  type Structs,
} from "#protocol";
import type { ContractCall } from "../../node/chain/port.ts";
import { runAction, stringify, type Outcome } from "../cli/action.ts";
import { requireAgent } from "../cli/agents.ts";
import { readKeyFile } from "../cli/key.ts";
import { connect, type Connection } from "../cli/network.ts";
import {
  addNetworkOptions,
  jsonOption,
  parseAgentId,
  parseBytes32,
  parseInteger,
  type CommonOptions,
} from "../cli/options.ts";
import { nextBlockTime, sendCall } from "../cli/sending.ts";

/** A person carries the request to a page and the answer back. */
const REQUEST_LIFETIME_S = 3_600;
/** Verifier, x and y. */
const PASSKEY_BYTES = 84;

/** The statements that a passkey signs for these commands. */
type Statement = "SignerBinding" | "SignerRevocation" | "BindingUpdate";

/** What the page shows and signs, as typed data; `surety` is for `send`, and the page passes over it. */
interface RequestFile {
  readonly domain: object;
  readonly types: object;
  readonly primaryType: Statement;
  readonly message: Readonly<Record<string, unknown>>;
  /** ERC-7913 bytes of the passkey that is asked. */
  readonly surety: { readonly signer: Hex };
}

/** What the page gives back. */
interface SignedFile {
  readonly digest: Hex;
  readonly signature: Hex;
}

interface AskOptions extends CommonOptions {
  readonly passkey: string;
  readonly out: string;
}
interface SendOptions extends CommonOptions {
  readonly signed: string;
  readonly keyFile: string;
  readonly ownerKeyFile?: string;
}

export function passkeyCommand(): Command {
  const passkey = new Command("passkey").description(
    "bind a passkey to an agent and send what it signs; the page that makes and asks it is indexer/explorer/passkey",
  );
  const ask = passkey.command("ask").description("write what a passkey is to sign, to be pasted into the page");
  ask.addCommand(askBinding());
  ask.addCommand(askRevocation());
  ask.addCommand(askUpdate());
  passkey.addCommand(sendCommand());
  return passkey;
}

const addAskOptions = (command: Command): Command =>
  addNetworkOptions(command)
    .requiredOption("--passkey <file>", "what the page showed when it made the passkey, as JSON")
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
    .action((agentId: bigint, options: AskOptions & { purpose: "operator" | "recovery" | "log"; until: number }) =>
      ask(options, agentId, "SignerBinding", async ({ client, deployment }, signer, deadline) => ({
        agentId,
        owner: await client.readContract({
          ...{ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry },
          ...{ functionName: "ownerOf", args: [agentId] },
        }),
        ...{ signerHash: keccak256(signer), purpose: purposes[options.purpose] },
        ...{ validFrom: 0, validUntil: options.until, deadline },
      })),
    );

const askRevocation = () =>
  addAskOptions(new Command("revoke"))
    .description("a passkey's order, as the agent's operator, to end one of its LOG or TRANSPORT signers")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<signer>", "an address, or the hash of other signer bytes")
    .option("--at <second>", "first second (Unix) at which it was compromised; 0 = now", parseInteger(0), 0)
    .action((agentId: bigint, signer: string, options: AskOptions & { at: number }) =>
      ask(options, agentId, "SignerRevocation", (_, __, deadline) =>
        Promise.resolve({
          ...{ agentId, signerHash: size(signer as Hex) === 20 ? keccak256(getAddress(signer)) : parseBytes32(signer) },
          ...{ compromisedAt: options.at, nonce: BigInt(bytesToHex(randomBytes(32))), deadline },
        }),
      ),
    );

const askUpdate = () =>
  addAskOptions(new Command("update"))
    .description("a passkey's signature, as the agent's operator, under the next version of what the agent runs")
    .argument("<agentId>", "the agent's id", parseAgentId)
    .argument("<commitment>", "of `surety baid commit`", parseBytes32)
    .action((agentId: bigint, delta: Hex, options: AskOptions) =>
      ask(options, agentId, "BindingUpdate", async ({ client, deployment }, _, deadline) => {
        const [, version, previous] = await client.readContract({
          ...{ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry },
          ...{ functionName: "commitmentOf", args: [agentId] },
        });
        return { agentId, version: version + 1n, previous, delta, deadline };
      }),
    );

/** Writes the typed data of a statement, with the deadline of a person. */
function ask<K extends Statement>(
  options: AskOptions,
  agentId: bigint,
  statement: K,
  messageOf: (connection: Connection, signer: Hex, deadline: number) => Promise<Structs[K]>,
): Promise<void> {
  return runAction(options.json, async ({ signal }) => {
    const { signer } = readJson<{ signer: Hex }>(options.passkey);
    if (!isHex(signer) || size(signer) !== PASSKEY_BYTES) throw notAPasskey(options.passkey);
    const connection = await connect(options, signal);
    const { client, deployment } = connection;
    await requireAgent(client, deployment, agentId);
    const message = await messageOf(connection, signer, (await nextBlockTime(client)) + REQUEST_LIFETIME_S);
    const contracts = { chainId: deployment.chainId, ...deployment.contracts };
    const request = {
      ...{ domain: domainOf(statement, contracts), types: { [statement]: structTypes[statement] } },
      ...{ primaryType: statement, message, surety: { signer } },
    };
    writeFileSync(options.out, `${stringify(request)}\n`);
    const digest = typedDataDigest(statement, message, contracts);
    return {
      result: { ...request, digest },
      lines: [
        `${options.out}: ${statement} of agent ${agentId}; paste it into the page, which has to show the digest ${digest}`,
        `then: surety passkey send ${options.out} --signed ANSWER_OF_THE_PAGE --key-file KEY`,
      ],
    };
  });
}

const sendCommand = () =>
  addNetworkOptions(new Command("send"))
    .description("send what a passkey signed; an order's sender may be anybody, a binding's is the agent's owner")
    .argument("<request>", "file that `surety passkey ask` wrote")
    .requiredOption("--signed <file>", "what the page showed when the passkey had signed, as JSON")
    .requiredOption("--key-file <path>", "file of the key that sends and pays")
    .option("--owner-key-file <path>", "of a binding: the owner's key signs here, and the other key sends and pays")
    .addOption(jsonOption())
    .action((path: string, options: SendOptions) =>
      runAction(options.json, async ({ signal }): Promise<Outcome> => {
        const request = readJson<RequestFile>(path);
        const { digest, signature } = readJson<SignedFile>(options.signed);
        const connection = await connect(options, signal);
        const { deployment } = connection;
        const contracts = { chainId: deployment.chainId, ...deployment.contracts };
        const message = messageOf(request, path);
        if (!isHex(signature) || typedDataDigest(request.primaryType, message as never, contracts) !== digest) {
          throw new SuretyError("USAGE_PASSKEY_OTHER", "The passkey signed something else than this request.", {
            values: { request: path, signed: options.signed, digest },
            next: "Paste this very request into the page; requests of another network or deployment are others.",
          });
        }
        const call = await callOf(request, message, signature, connection, options);
        const { hash, gasUsed } = await sendCall(connection, readKeyFile(options.keyFile), call, signal);
        return {
          result: { statement: request.primaryType, ...message, transactionHash: hash, gasUsed },
          lines: [`${request.primaryType} of agent ${String(message["agentId"])}: ${gasUsed} gas, ${hash}`],
        };
      }),
    );

type Message = Readonly<Record<string, bigint | number | string>>;

/** The message with numbers as the protocol types them: bigints above 48 bits. @throws SuretyError USAGE_PASSKEY_REQUEST */
function messageOf({ primaryType, message, surety }: RequestFile, path: string): Message {
  const fields: readonly { readonly name: string; readonly type: string }[] | undefined = structTypes[primaryType];
  if (!["SignerBinding", "SignerRevocation", "BindingUpdate"].includes(primaryType) || !isHex(surety?.signer)) {
    throw new SuretyError("USAGE_PASSKEY_REQUEST", `${path} is no request of \`surety passkey ask\`.`, {
      values: { path },
      next: "Name the file that `surety passkey ask` wrote.",
    });
  }
  return Object.fromEntries(
    fields.map(({ name, type }) => {
      const text = String(message[name]);
      const bits = Number(/^uint(\d+)$/.exec(type)?.[1] ?? 0);
      return [name, bits === 0 ? text : bits > 48 ? BigInt(text) : Number(text)];
    }),
  );
}

/** The one transaction that each statement is for. */
async function callOf(
  { primaryType, surety: { signer } }: RequestFile,
  message: Message,
  signature: Hex,
  connection: Connection,
  options: SendOptions,
): Promise<ContractCall> {
  const { client, deployment } = connection;
  const registry = { abi: identityRegistryAbi as Abi, address: deployment.contracts.identityRegistry };
  const parts = async () => {
    const read = { abi: identityRegistryAbi, address: registry.address, functionName: "signedBindings" } as const;
    return { abi: signedBindingsAbi as Abi, address: await client.readContract(read) };
  };
  const [agentId, deadline] = [message["agentId"] as bigint, message["deadline"]];
  if (primaryType === "BindingUpdate") {
    const args = [agentId, message["version"], message["delta"], deadline, signer, signature];
    return { ...registry, functionName: "updateCommitmentAsOperator", args };
  }
  if (primaryType === "SignerRevocation") {
    const consent = { signer, nonce: message["nonce"], deadline, signature };
    const args = [agentId, message["signerHash"], message["compromisedAt"], consent];
    return { ...(await parts()), functionName: "revokeSignerWithSignature", args };
  }
  const binding = message as unknown as Structs["SignerBinding"];
  const { purpose, validFrom, validUntil } = binding;
  if (options.ownerKeyFile === undefined) {
    const args = [agentId, signer, purpose, validFrom, validUntil, deadline, signature];
    return { ...registry, functionName: "bindSigner", args };
  }
  const offer = { signer, purpose, validFrom, validUntil, deadline, proof: signature };
  const consent = consentOf(binding, readKeyFile(options.ownerKeyFile), connection);
  return { ...(await parts()), functionName: "bindSignerWithSignature", args: [agentId, offer, consent] };
}

/** The owner's own order to bind what offers itself. */
function consentOf(
  { agentId, signerHash, purpose, validFrom, validUntil, deadline }: Structs["SignerBinding"],
  ownerKey: Hex,
  { deployment }: Connection,
): { readonly signer: Hex; readonly nonce: bigint; readonly deadline: number; readonly signature: Hex } {
  const owner = createSigner(ownerKey);
  const nonce = BigInt(bytesToHex(randomBytes(32)));
  const grant = { agentId, signerHash, purpose, validFrom, validUntil, nonce, deadline };
  const contracts = { chainId: deployment.chainId, ...deployment.contracts };
  return {
    signer: owner.address,
    nonce,
    deadline,
    signature: owner.sign(typedDataDigest("SignerGrant", grant, contracts)),
  };
}

function readJson<T>(path: string): T {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as T;
  } catch (cause) {
    throw new SuretyError("USAGE_PASSKEY_FILE", `${path} cannot be read as JSON.`, {
      values: { path },
      next: "Save there, whole, what the page or `surety passkey ask` wrote.",
      cause,
    });
  }
}

const notAPasskey = (path: string) =>
  new SuretyError("USAGE_PASSKEY", `${path} holds no passkey: its signer is not ${PASSKEY_BYTES} bytes in hex.`, {
    values: { path },
    next: "Save what the page showed when it made the passkey; it has the fields credentialId, signer and signerHash.",
  });
