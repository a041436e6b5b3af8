import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, toHex, type Abi, type Hex } from "viem";
import { createSigner, identityRegistryAbi, purposes, typedDataDigest } from "#protocol";
import { createAuthenticator, type Authenticator } from "../../fixtures/authenticator.ts";
import { CommandLine } from "../../fixtures/cli.ts";
import { startLocalNetwork, writeAs, type LocalNetwork } from "../../fixtures/local-network.ts";

interface Asked {
  readonly digest: Hex;
  readonly message: Readonly<Record<string, unknown>>;
}

describe("surety passkey", function () {
  this.timeout(240_000);
  const cli = new CommandLine();
  let world: LocalNetwork;
  let on: string[];
  let authenticator: Authenticator;
  const at = (name: string) => join(world.dir, name);
  const put = (name: string, content: unknown) => writeFileSync(at(name), JSON.stringify(content));

  before(async () => {
    world = await startLocalNetwork(2);
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    authenticator = await createAuthenticator(world.deployment.contracts.webAuthnVerifier);
    put("passkey.json", authenticator.created);
    writeFileSync(at("owner.key"), `${world.agents[0]?.key}\n`, { mode: 0o600 });
    writeFileSync(at("anybody.key"), `${world.agents[1]?.key}\n`, { mode: 0o600 });
  });
  after(async () => {
    cli.killAll();
    await world.stop();
  });

  const ask = async (name: string, ...args: string[]): Promise<Asked> => {
    const paths = ["--passkey", at("passkey.json"), "-o", at(name)];
    const { code, result } = await cli.json<Asked>("passkey", "ask", ...args, ...paths, ...on);
    expect(code).to.equal(0);
    put(`signed-${name}`, await authenticator.sign(result.digest));
    return result;
  };
  const sendArgs = (name: string, key: string, ...more: string[]) => {
    const files = [at(name), "--signed", at(`signed-${name}`), "--key-file", at(key)];
    return ["passkey", "send", ...files, ...more, ...on];
  };
  const send = (name: string, key: string, ...more: string[]) =>
    cli.json<{ transactionHash: Hex }>(...sendArgs(name, key, ...more));
  const registry = () => ({ abi: identityRegistryAbi, address: world.deployment.contracts.identityRegistry }) as const;
  const signerOf = (signerHash: Hex) =>
    world.client.readContract({ ...registry(), functionName: "signerOf", args: [signerHash] });

  it("binds a passkey as OPERATOR by its own assertion, sent by the owner and by nobody else", async () => {
    const { message } = await ask("bind.json", "bind", "1");
    expect(message["owner"]).to.equal(world.agents[0]?.address);
    expect((await cli.failure(...sendArgs("bind.json", "anybody.key")))[0]).to.equal(3);
    expect((await send("bind.json", "owner.key")).code).to.equal(0);
    const [agentId, purpose] = await signerOf(authenticator.created.signerHash);
    expect([agentId, purpose]).to.deep.equal([1n, purposes.operator]);
  });

  it("binds one by the owner's signature, where somebody else sends and pays", async () => {
    const second = await createAuthenticator(world.deployment.contracts.webAuthnVerifier);
    put("passkey.json", second.created);
    const paths = ["--passkey", at("passkey.json"), "-o", at("grant.json")];
    const asked = await cli.json<Asked>("passkey", "ask", "bind", "1", "--purpose", "recovery", ...paths, ...on);
    put("signed-grant.json", await second.sign(asked.result.digest));
    put("passkey.json", authenticator.created);
    const { code } = await send("grant.json", "anybody.key", "--owner-key-file", at("owner.key"));
    expect(code).to.equal(0);
    expect((await signerOf(second.created.signerHash)).slice(0, 2)).to.deep.equal([1n, purposes.recovery]);
  });

  it("ends a stolen log key by the passkey's order, whoever sends it, once", async () => {
    const agent = world.agents[0];
    if (agent === undefined) throw new Error("the network has no agent");
    const stolen = createSigner(keccak256("0x57"));
    const { contracts, chainId } = world.deployment;
    const window = { validFrom: 0, validUntil: 0, deadline: 2 ** 48 - 1 };
    const statement = { agentId: 1n, owner: agent.address, signerHash: stolen.signerHash, purpose: purposes.log };
    const proof = stolen.sign(typedDataDigest("SignerBinding", { ...statement, ...window }, { chainId, ...contracts }));
    await writeAs(world, agent, contracts.identityRegistry, identityRegistryAbi as Abi, "bindSigner", [
      ...[1n, stolen.address, purposes.log, 0, 0, window.deadline, proof],
    ]);
    await ask("revoke.json", "revoke", "1", stolen.address);
    expect((await send("revoke.json", "anybody.key")).code).to.equal(0);
    expect((await signerOf(stolen.signerHash))[4]).to.be.greaterThan(0);
    expect((await cli.failure(...sendArgs("revoke.json", "anybody.key")))[0]).to.equal(3);
  });

  it("advances what the agent runs by the passkey's signature", async () => {
    const commitment = keccak256("0x0b");
    await ask("update.json", "update", "1", commitment);
    expect((await send("update.json", "anybody.key")).code).to.equal(0);
    const read = { ...registry(), functionName: "commitmentOf", args: [1n] } as const;
    expect((await world.client.readContract(read)).slice(0, 2)).to.deep.equal([commitment, 1n]);
  });

  it("sends nothing that the passkey did not sign, and names what is wrong with a file", async () => {
    const { digest } = await ask("other.json", "update", "1", keccak256("0x0c"));
    put("signed-other.json", await authenticator.sign(toHex(BigInt(digest) ^ 1n, { size: 32 })));
    expect(await cli.failure(...sendArgs("other.json", "anybody.key"))).to.deep.equal([2, "USAGE_PASSKEY_OTHER"]);
    // Its digest is right, and another key made the signature: the chain refuses, and nothing is sent.
    const thief = await createAuthenticator(world.deployment.contracts.webAuthnVerifier);
    put("signed-other.json", await thief.sign(digest));
    expect((await cli.failure(...sendArgs("other.json", "anybody.key")))[0]).to.equal(3);
    put("signed-bad.json", {});
    put("bad.json", { primaryType: "Deal", message: {}, surety: { signer: "0x" } });
    expect(await cli.failure(...sendArgs("bad.json", "anybody.key"))).to.deep.equal([2, "USAGE_PASSKEY_REQUEST"]);
    put("nokey.json", { signer: "0x1234" });
    const asking = ["passkey", "ask", "bind", "1", "--passkey", at("nokey.json"), "-o", at("never.json"), ...on];
    expect(await cli.failure(...asking)).to.deep.equal([2, "USAGE_PASSKEY"]);
  });
});
