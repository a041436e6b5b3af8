// Every order that a passkey can give, executed on a chain by somebody else: as the agent's OPERATOR, and as the only key of the
// account that owns it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { Command } from "commander";
import { network } from "hardhat";
import { keccak256, slice, stringify, stringToHex, toHex, zeroAddress, type Hex } from "viem";
import { createSigner, purposes, SuretyError, type Deployment } from "#protocol";
import { callOf, consentOfWallet } from "../../../scripts/orders/calls.ts";
import { orderCommands } from "../../../scripts/orders/kinds.ts";
import { digestOf, requireAuthority, startAsking, typedDataOf, type Order } from "../../../scripts/orders/order.ts";
import { subjectOf } from "../../../scripts/orders/subject.ts";
import { readSigned } from "../../../scripts/orders/request.ts";
import type { Connection } from "../../../scripts/cli/network.ts";
import { createAuthenticator, type Authenticator } from "../../fixtures/authenticator.ts";

const { viem } = await network.create();
const [sender] = await viem.getWalletClients();
const client = await viem.getPublicClient();
const registry = await viem.deployContract("IdentityRegistry");
const verifier = await viem.deployContract("WebAuthnVerifier");
const [profile, recovery] = [await registry.read.signedProfile(), await registry.read.ownerRecovery()];
const contracts = {
  ...{ identityRegistry: registry.address, signedBindings: await registry.read.signedBindings() },
  ...{ signedProfile: profile, ownerRecovery: recovery, dealEscrow: registry.address },
};
const deployment = { chainId: await client.getChainId(), contracts } as unknown as Deployment;
const connection = { client, deployment } as unknown as Connection;

describe("orders by passkey", function () {
  this.timeout(120_000);
  let [passkey, account, dir, agentId] = [undefined as unknown as Authenticator, zeroAddress as Hex, "", 0n];
  const keyFile = (name: string, key: Hex) => {
    writeFileSync(join(dir, name), `${key}\n`, { mode: 0o600 });
    return join(dir, name);
  };

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), "surety-orders-"));
    passkey = await createAuthenticator(verifier.address);
    const { signer } = passkey.created;
    const [qx, qy] = [slice(signer, 20, 52), slice(signer, 52, 84)];
    account = (await viem.deployContract("PasskeyAccount", [qx, qy])).address;
    const log = keyFile("log.key", keccak256("0x01"));
    const order = await give(account, "register-for", account, "--uri", "ipfs://a", "--new-key-file", log);
    expect(order.statement).to.equal("Registration");
    agentId = await registry.read.agentOfSigner([createSigner(keccak256("0x01")).signerHash]);
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  /** What the command line does: draft, check, have the passkey sign, and have somebody else send. */
  async function give(signer: Hex, ...words: string[]): Promise<Order> {
    let drafted: Order | undefined;
    const commands = orderCommands(
      (command) => command,
      async (_, id, draft) => {
        const asking = await startAsking(await subjectOf(connection, id), signer, { lifetimeS: 600 });
        const order = await draft(asking);
        await requireAuthority(order, asking);
        drafted = order;
      },
    );
    const surety = commands.reduce((all, command) => all.addCommand(command), new Command());
    await surety.parseAsync(words, { from: "user" });
    const order = drafted;
    if (order === undefined || order.statement === "SignerBinding" || order.statement === "OwnerChange") {
      throw new Error("no order was drafted");
    }
    const digest = digestOf(order, deployment);
    const { signature } = await passkey.sign(digest);
    // The way of a person: through a page, by two files.
    const request = { ...typedDataOf(order, deployment), surety: { signer, enclosed: order.enclosed } };
    const paths = [join(dir, "request.json"), join(dir, "signed.json")] as const;
    writeFileSync(paths[0], stringify(request));
    writeFileSync(paths[1], JSON.stringify({ digest, signature }));
    expect(readSigned(...paths, deployment)).to.deep.equal({ order, signed: { signer, signature } });
    const owner = order.statement === "AgentWalletChange" ? await registry.read.ownerOf([agentId]) : zeroAddress;
    const wallet =
      order.statement === "AgentWalletChange" && order.message.newWallet !== zeroAddress
        ? await consentOfWallet(order.message, owner, keccak256("0x05"), connection)
        : undefined;
    const call = callOf(order, { signer, signature }, deployment, wallet);
    const hash = await sender?.writeContract({ ...call, gas: 2_000_000n } as never);
    const { status } = await client.getTransactionReceipt({ hash: hash ?? "0x" });
    expect(status, order.statement).to.equal("success");
    return order;
  }
  const refusal = (act: Promise<unknown>) =>
    act.then(
      () => "given",
      (error: unknown) => (error instanceof SuretyError ? error.code : error),
    );

  it("register an agent for an account that a passkey alone controls", async () => {
    expect((await registry.read.ownerOf([agentId])).toLowerCase()).to.equal(account.toLowerCase());
    expect(await registry.read.tokenURI([agentId])).to.equal("ipfs://a");
  });

  it("let the owning account bind and end signers, and advance the version chain", async () => {
    const id = String(agentId);
    const operator = keyFile("operator.key", keccak256("0x02"));
    await give(account, "grant", id, "--purpose", "operator", "--new-key-file", operator);
    const { signerHash } = createSigner(keccak256("0x02"));
    expect((await registry.read.signerOf([signerHash])).slice(0, 2)).to.deep.equal([agentId, purposes.operator]);
    await give(account, "revoke", id, signerHash);
    expect((await registry.read.signerOf([signerHash]))[4]).to.be.greaterThan(0);
    await give(account, "update", id, keccak256("0x0a"));
    await give(account, "update", id, keccak256("0x0b"));
    expect((await registry.read.commitmentOf([agentId])).slice(0, 2)).to.deep.equal([keccak256("0x0b"), 2n]);
  });

  it("set wallet, approval, metadata and recovery for the account", async () => {
    const id = String(agentId);
    const wallet = createSigner(keccak256("0x05")).address;
    await give(account, "wallet", id, wallet);
    expect((await registry.read.getAgentWallet([agentId])).toLowerCase()).to.equal(wallet.toLowerCase());
    await give(account, "wallet", id, "none");
    await give(account, "approve", id, wallet);
    expect((await registry.read.getApproved([agentId])).toLowerCase()).to.equal(wallet.toLowerCase());
    for (const [isApproved, ...end] of [[true], [false, "--end"]] as const) {
      await give(account, "approve-all", wallet, ...end);
      expect(await registry.read.isApprovedForAll([account, wallet])).to.equal(isApproved);
    }
    await give(account, "metadata", id, "place", "Ulm");
    expect(await registry.read.getMetadata([agentId, "place"])).to.equal(stringToHex("Ulm"));
    await give(account, "recovery", id, "--threshold", "1", "--delay", "86400");
    const guardians = await viem.getContractAt("OwnerRecovery", recovery);
    expect((await guardians.read.recoveryOf([agentId])).slice(0, 2)).to.deep.equal([1, 86_400]);
  });

  it("are refused before anybody is asked to sign, where the signer is neither owner nor operator", async () => {
    const { signer } = passkey.created;
    const id = String(agentId);
    for (const words of [
      ["uri", id, "ipfs://b"],
      ["transfer", id, toHex(9, { size: 20 })],
      ["cancel-recovery", id],
    ]) {
      expect(await refusal(give(signer, ...words)), words[0]).to.equal("ORDER_NOT_AUTHORIZED");
    }
    expect(await refusal(give(signer, "approve-all", account)), "no account").to.equal("ORDER_NOT_AUTHORIZED");
    expect(await refusal(give(account, "grant", id))).to.equal("USAGE_NEW_SIGNER");
  });

  it("hand the agent over, and no order of the account counts after it", async () => {
    const id = String(agentId);
    const to = createSigner(keccak256("0x06")).address;
    await give(account, "transfer", id, to);
    expect((await registry.read.ownerOf([agentId])).toLowerCase()).to.equal(to.toLowerCase());
    expect(await refusal(give(account, "uri", id, "ipfs://c"))).to.equal("ORDER_NOT_AUTHORIZED");
  });
});
