import { Command, Option } from "commander";
import { getAddress, isHex, keccak256, size, stringToHex, zeroAddress, zeroHash, type Hex } from "viem";
import { identityRegistryAbi, ownerRecoveryAbi, purposes, SuretyError } from "#protocol";
import { readKeyFile } from "../cli/key.ts";
import { parseAddress, parseAgentId, parseBytes32, parseInteger, type CommonOptions } from "../cli/options.ts";
import { hashOfText } from "./calls.ts";
import { consentOfKey, isAccount, type Asking, type ConsentingSigner, type Order } from "./order.ts";
import { readConsent } from "./request.ts";

/** What an order's own options say; each way of giving it adds its own. */
export type OrderOptions = CommonOptions;

/**
 * How an order is given: signed by a key and sent, or written down for a passkey.
 * @param id the agent's, as its registry knows it; 0 where the order is about no agent that there is
 */
export type Give = (
  options: OrderOptions,
  id: bigint,
  draft: (asking: Asking) => Promise<Order> | Order,
) => Promise<void>;

/** Adds what the way of giving asks for. */
export type AddOptions = (command: Command) => Command;

/** One command for each order about an agent, whichever way it is given. */
export function orderCommands(add: AddOptions, give: Give): Command[] {
  const signers = [grant, rotate, revoke];
  const profile = [register, uri, metadata, wallet, transfer, approve, approveAll];
  return [...signers, ...profile, update, recovery, cancelRecovery].map((make) => make(add, give));
}

type Make = (add: AddOptions, give: Give) => Command;

const agentArgument = ["<agentId>", "the agent's id", parseAgentId] as const;
const WORDS = ["log", "transport", "operator", "recovery"] as const;
type Word = (typeof WORDS)[number];

const untilOption = (command: Command) =>
  command.option("--until <second>", "first second (Unix) at which it does not count; 0 = no end", parseInteger(0), 0);

interface NewSignerOptions extends OrderOptions {
  readonly until: number;
  readonly newKeyFile?: string;
  readonly consent?: string;
  readonly signedConsent?: string;
}

const addNewSignerOptions = (command: Command) =>
  untilOption(command)
    .option("--new-key-file <path>", "file of the new signer's key, with which it agrees here")
    .option("--consent <request>", "instead: a file of `surety passkey ask bind`, for a new signer that is a passkey")
    .option("--signed-consent <file>", "what the page showed when that passkey had agreed");

/** The new signer's consent: by its key at once, or as a passkey gave it before. */
function consentingSigner(
  { connection: { deployment }, agentId, owner, deadline }: Asking,
  purpose: Hex,
  { until, newKeyFile, consent, signedConsent }: NewSignerOptions,
): ConsentingSigner {
  if (newKeyFile !== undefined) {
    const fields = { agentId, owner, purpose, validFrom: 0, validUntil: until, deadline };
    return consentOfKey(readKeyFile(newKeyFile), fields, deployment);
  }
  if (consent !== undefined && signedConsent !== undefined) return readConsent(consent, signedConsent, deployment);
  throw new SuretyError("USAGE_NEW_SIGNER", "The new signer has to agree, and none is named.", {
    next: "Name its key with --new-key-file, or a passkey's consent with --consent and --signed-consent.",
  });
}

const grant: Make = (add, give) =>
  addNewSignerOptions(add(new Command("grant")))
    .description("bind one more signer")
    .argument(...agentArgument)
    .addOption(new Option("--purpose <purpose>", "what it may do").choices([...WORDS]).default("log"))
    .action((id: bigint, options: NewSignerOptions & { purpose: Word }) =>
      give(options, id, (asking) => {
        const newSigner = consentingSigner(asking, purposes[options.purpose], options);
        const { signer, purpose, validFrom, validUntil } = newSigner;
        const { agentId, nonce, deadline } = asking;
        const message = { agentId, signerHash: keccak256(signer), purpose, validFrom, validUntil, nonce, deadline };
        return { statement: "SignerGrant", message, enclosed: { newSigner } };
      }),
    );

const rotate: Make = (add, give) =>
  addNewSignerOptions(add(new Command("rotate")))
    .description("end one signer now and bind its successor for the same purpose")
    .argument(...agentArgument)
    .argument("<old>", "the signer that ends: an address, or the hash of other signer bytes", parseSignerHash)
    .action((id: bigint, oldSignerHash: Hex, options: NewSignerOptions) =>
      give(options, id, async (asking) => {
        const { client, deployment } = asking.connection;
        const registry = { abi: identityRegistryAbi, address: deployment.contracts.identityRegistry } as const;
        const record = await client.readContract({ ...registry, functionName: "signerOf", args: [oldSignerHash] });
        const newSigner = consentingSigner(asking, record[1], options);
        const [newSignerHash, { validUntil }] = [keccak256(newSigner.signer), newSigner];
        const { agentId, nonce, deadline } = asking;
        const message = { agentId, oldSignerHash, newSignerHash, validUntil, nonce, deadline };
        return { statement: "SignerRotation", message, enclosed: { newSigner } };
      }),
    );

const revoke: Make = (add, give) =>
  add(new Command("revoke"))
    .description("end a signer; what it signed from the second of its compromise on does not count")
    .argument(...agentArgument)
    .argument("<signer>", "an address, or the hash of other signer bytes", parseSignerHash)
    .option("--at <second>", "first second (Unix) at which it was compromised; 0 = now", parseInteger(0), 0)
    .action((id: bigint, signerHash: Hex, options: OrderOptions & { at: number }) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "SignerRevocation",
        message: { agentId, signerHash, compromisedAt: options.at, nonce, deadline },
        enclosed: {},
      })),
    );

interface RegisterOptions extends NewSignerOptions {
  readonly uri: string;
  readonly commitment: Hex;
}

const register: Make = (add, give) =>
  addNewSignerOptions(add(new Command("register-for")))
    .description("register an agent for an account, by that account's order; whoever sends it pays")
    .argument("<owner>", "the account that orders it and will own the agent", parseAddress)
    .option("--uri <uri>", "registration file of the agent (ERC-8004)", "")
    .option("--commitment <hash>", "BAID commitment of `surety baid commit`", parseBytes32, zeroHash)
    .action((owner: Hex, options: RegisterOptions) =>
      give(options, 0n, (asking) => {
        const isSilent = options.newKeyFile === undefined && options.consent === undefined;
        // The chain takes an agent with neither signer nor commitment, and one with a signer.
        const newSigner = isSilent ? undefined : consentingSigner({ ...asking, owner }, purposes.log, options);
        const { nonce, deadline } = asking;
        const [uriHash, signerHash] = [hashOfText(options.uri), keccak256(newSigner?.signer ?? "0x")];
        const message = { owner, uriHash, commitment: options.commitment, signerHash, nonce, deadline };
        const enclosed = { uri: options.uri, ...(newSigner === undefined ? {} : { newSigner }) };
        return { statement: "Registration", message, enclosed };
      }),
    );

const uri: Make = (add, give) =>
  add(new Command("uri"))
    .description("replace the URI of the registration file (ERC-8004)")
    .argument(...agentArgument)
    .argument("<uri>", "the new one")
    .action((id: bigint, text: string, options: OrderOptions) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "AgentURISet",
        message: { agentId, uriHash: hashOfText(text), nonce, deadline },
        enclosed: { uri: text },
      })),
    );

const metadata: Make = (add, give) =>
  add(new Command("metadata"))
    .description("set one metadata key (ERC-8004)")
    .argument(...agentArgument)
    .argument("<key>", "the key; agentWallet is reserved")
    .argument("<value>", "its value: bytes in hex, or text")
    .action((id: bigint, metadataKey: string, value: string, options: OrderOptions) =>
      give(options, id, ({ agentId, nonce, deadline }) => {
        const metadataValue = isHex(value) && value.length % 2 === 0 ? value : stringToHex(value);
        const [keyHash, valueHash] = [hashOfText(metadataKey), keccak256(metadataValue)];
        const message = { agentId, keyHash, valueHash, nonce, deadline };
        return { statement: "AgentMetadataSet", message, enclosed: { metadataKey, metadataValue } };
      }),
    );

const wallet: Make = (add, give) =>
  add(new Command("wallet"))
    .description("change where the agent is paid; the wallet itself agrees when the order is sent")
    .argument(...agentArgument)
    .argument("<wallet>", "its address, or none", parseAccount)
    .action((id: bigint, newWallet: Hex, options: OrderOptions) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "AgentWalletChange",
        message: { agentId, newWallet, nonce, deadline },
        enclosed: {},
      })),
    );

const transfer: Make = (add, give) =>
  add(new Command("transfer"))
    .description("hand the agent to another account; all of its signers end with that")
    .argument(...agentArgument)
    .argument("<to>", "the new owner", parseAddress)
    .action((id: bigint, to: Hex, options: OrderOptions) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "AgentTransfer",
        message: { agentId, to, nonce, deadline },
        enclosed: {},
      })),
    );

const approve: Make = (add, give) =>
  add(new Command("approve"))
    .description("let one account act for the agent (ERC-721)")
    .argument(...agentArgument)
    .argument("<account>", "its address, or none", parseAccount)
    .action((id: bigint, approved: Hex, options: OrderOptions) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "AgentApproval",
        message: { agentId, approved, nonce, deadline },
        enclosed: {},
      })),
    );

const approveAll: Make = (add, give) =>
  add(new Command("approve-all"))
    .description("let one account act for every agent that the ordering account owns, now and later (ERC-721)")
    .argument("<operator>", "its address", parseAddress)
    .option("--end", "take that back")
    .action((operator: Hex, options: OrderOptions & { end?: true }) =>
      give(options, 0n, ({ signer, nonce, deadline }) => {
        const message = { owner: accountOf(signer), operator, isApproved: options.end !== true, nonce, deadline };
        return { statement: "OperatorApproval", message, enclosed: {} };
      }),
    );

const update: Make = (add, give) =>
  add(new Command("update"))
    .description("record the next version of what the agent runs")
    .argument(...agentArgument)
    .argument("<commitment>", "of `surety baid commit`", parseBytes32)
    .action((id: bigint, delta: Hex, options: OrderOptions) =>
      give(options, id, async ({ connection: { client, deployment }, agentId, deadline }) => {
        const [, version, previous] = await client.readContract({
          ...{ abi: identityRegistryAbi, address: deployment.contracts.identityRegistry },
          ...{ functionName: "commitmentOf", args: [agentId] },
        });
        const message = { agentId, version: version + 1n, previous, delta, deadline };
        return { statement: "BindingUpdate", message, enclosed: {} };
      }),
    );

const recovery: Make = (add, give) =>
  add(new Command("recovery"))
    .description("say how many guardians (RECOVERY signers) change the owner, and after how long")
    .argument(...agentArgument)
    .requiredOption("--threshold <count>", "guardians needed, up to 32; 0 = no recovery", parseInteger(0))
    .option("--delay <seconds>", "in which the owner can cancel: a day to 90 days", parseInteger(0), 0)
    .action((id: bigint, options: OrderOptions & { threshold: number; delay: number }) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "RecoverySetting",
        message: { agentId, threshold: options.threshold, delay: options.delay, nonce, deadline },
        enclosed: {},
      })),
    );

const cancelRecovery: Make = (add, give) =>
  add(new Command("cancel-recovery"))
    .description("end what guardians started")
    .argument(...agentArgument)
    .action((id: bigint, options: OrderOptions) =>
      give(options, id, ({ agentId, nonce, deadline }) => ({
        statement: "RecoveryCancel",
        message: { agentId, nonce, deadline },
        enclosed: {},
      })),
    );

/** A guardian's vote for a new owner: what it signs names the present owner and the attempt. */
export async function draftVote(
  { connection: { client, deployment }, agentId, owner, deadline }: Asking,
  newOwner: Hex,
): Promise<Order> {
  const guardians = { abi: ownerRecoveryAbi, address: deployment.contracts.ownerRecovery } as const;
  const [threshold, , attempt] = await client.readContract({
    ...guardians,
    functionName: "recoveryOf",
    args: [agentId],
  });
  if (threshold === 0) {
    throw new SuretyError("RECOVERY_NOT_SET", `The owner of agent ${agentId} asked for no recovery.`, {
      values: { agentId, owner },
      next: "Only the owner can: `surety agent recovery`.",
    });
  }
  return { statement: "OwnerChange", message: { agentId, owner, newOwner, attempt, deadline }, enclosed: {} };
}

/** Whose agents an order without an agent is about: only accounts own any. */
function accountOf(signer: Hex): Hex {
  if (isAccount(signer)) return getAddress(signer);
  throw new SuretyError("ORDER_NOT_AUTHORIZED", `${signer} is no account, and agents are owned by accounts.`, {
    values: { signer },
    next: "Name the account for which the passkey signs, with --account.",
  });
}

/** commander argument parser: the hash of a signer, or a plain key's address. */
export function parseSignerHash(text: string): Hex {
  return isHex(text) && size(text) === 20 ? keccak256(getAddress(text)) : parseBytes32(text);
}

/** commander argument parser: an address, or the word none. */
const parseAccount = (text: string): Hex => (text === "none" ? zeroAddress : parseAddress(text));
