// The commands with what a passkey gives: of the page in a real Chromium where one is installed, of the same key in software elsewhere.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { keccak256, toHex, type Abi, type Hex } from "viem";
import { createSigner, identityRegistryAbi, ownerRecoveryAbi, purposes, typedDataDigest } from "#protocol";
import { createAuthenticator } from "../../fixtures/authenticator.ts";
import { findChromium } from "../../fixtures/chromium.ts";
import { cliHere as cli } from "../../fixtures/cli-here.ts";
import { startLocalNetwork, writeAs, type LocalNetwork } from "../../fixtures/local-network.ts";
import { openPasskeyPage, type PasskeyPage } from "../../fixtures/passkey-page.ts";

const DAY = 86_400;

/** What signs: the page with its passkey, or the same in software. */
interface Person {
  readonly created: { readonly signer: Hex; readonly signerHash: Hex };
  /** The page's answer to a request. */
  sign(request: string, digest: Hex): Promise<unknown>;
}

interface Asked {
  readonly digest: Hex;
  readonly message: Readonly<Record<string, unknown>>;
}

describe("surety passkey", function () {
  this.timeout(240_000);
  let world: LocalNetwork;
  let on: string[];
  let page: PasskeyPage | undefined;
  let [person, second] = [undefined, undefined] as unknown as [Person, Person];
  const at = (name: string) => join(world.dir, name);
  const put = (name: string, content: unknown) => writeFileSync(at(name), JSON.stringify(content));

  before(async () => {
    world = await startLocalNetwork(2);
    on = ["--data-dir", world.dir, "--network", "network", "--rpc-url", world.rpcUrl];
    person = await meet(world.deployment.contracts.webAuthnVerifier);
    put("passkey.json", person.created);
    writeFileSync(at("owner.key"), `${world.agents[0]?.key}\n`, { mode: 0o600 });
    writeFileSync(at("anybody.key"), `${world.agents[1]?.key}\n`, { mode: 0o600 });
  });
  after(async () => {
    await page?.close();
    await world?.stop();
  });

  async function meet(verifier: Hex): Promise<Person> {
    const chromium = findChromium();
    if (chromium === undefined) {
      console.log("        no Chromium on this machine: passkeys of software sign instead");
      return inSoftware(verifier);
    }
    const opened = await openPasskeyPage(chromium);
    page = opened;
    const created = await opened.create(verifier);
    return {
      created,
      async sign(request, digest) {
        const { shown, answer } = await opened.sign(request);
        // What a person is told to compare.
        expect(shown).to.include(digest);
        return answer;
      },
    };
  }
  async function inSoftware(verifier: Hex): Promise<Person> {
    const { created, sign } = await createAuthenticator(verifier);
    return { created, sign: (_, digest) => sign(digest) };
  }

  const ask = async (name: string, ...args: string[]): Promise<Asked> => {
    const paths = ["--passkey", at("passkey.json"), "-o", at(name)];
    const { code, result } = await cli.json<Asked>("passkey", "ask", ...args, ...paths, ...on);
    expect(code).to.equal(0);
    put(`signed-${name}`, await person.sign(readFileSync(at(name), "utf8"), result.digest));
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
    const [agentId, purpose] = await signerOf(person.created.signerHash);
    expect([agentId, purpose]).to.deep.equal([1n, purposes.operator]);
  });

  it("binds one by the owner's signature, where somebody else sends and pays", async () => {
    second = await inSoftware(world.deployment.contracts.webAuthnVerifier);
    put("guardian.json", second.created);
    const paths = ["--passkey", at("guardian.json"), "-o", at("guard.json")];
    const asked = await cli.json<Asked>("passkey", "ask", "bind", "1", "--purpose", "recovery", ...paths, ...on);
    put("signed-guard.json", await second.sign("", asked.result.digest));
    const { code } = await send("guard.json", "anybody.key", "--owner-key-file", at("owner.key"));
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

  it("replaces a log key and the registration file by the passkey's orders, whoever sends them", async () => {
    const [old, fresh] = [createSigner(keccak256("0x61")), keccak256("0x62")];
    writeFileSync(at("old.key"), `${keccak256("0x61")}\n`, { mode: 0o600 });
    writeFileSync(at("fresh.key"), `${fresh}\n`, { mode: 0o600 });
    await ask("grant.json", "grant", "1", "--new-key-file", at("old.key"));
    expect((await send("grant.json", "anybody.key")).code).to.equal(0);
    await ask("rotate.json", "rotate", "1", old.address, "--new-key-file", at("fresh.key"));
    expect((await send("rotate.json", "anybody.key")).code).to.equal(0);
    expect((await signerOf(old.signerHash))[4]).to.be.greaterThan(0);
    expect((await signerOf(createSigner(fresh).signerHash)).slice(0, 2)).to.deep.equal([1n, purposes.log]);
    await ask("uri.json", "uri", "1", "ipfs://new");
    expect((await send("uri.json", "anybody.key")).code).to.equal(0);
    const uri = { ...registry(), functionName: "tokenURI", args: [1n] } as const;
    expect(await world.client.readContract(uri)).to.equal("ipfs://new");
  });

  it("changes the owner by guardians' votes, a passkey among them, and names who may not order that", async () => {
    const { ownerRecovery } = world.deployment.contracts;
    const newOwner = createSigner(keccak256("0x71")).address;
    const guardian = keccak256("0x72");
    writeFileSync(at("guardian.key"), `${guardian}\n`, { mode: 0o600 });
    const by = ["--key-file", at("owner.key"), ...on];
    const done = async (...args: string[]) => expect((await cli.json("agent", ...args)).code, args[0]).to.equal(0);
    await done("grant", "1", "--purpose", "recovery", "--new-key-file", at("guardian.key"), ...by);
    await done("recovery", "1", "--threshold", "2", "--delay", String(DAY), ...by);
    const operator = ["passkey", "ask", "transfer", "1", newOwner, "--passkey", at("passkey.json")];
    expect(await cli.failure(...operator, "-o", at("never.json"), ...on)).to.deep.equal([3, "ORDER_NOT_AUTHORIZED"]);

    put("guardian.json", second.created);
    const { timestamp } = await world.client.getBlock();
    const deadline = String(Number(timestamp) + DAY);
    const paths = ["--deadline", deadline, ...on];
    const vote = (file: string, who: string[]) =>
      cli.json<Asked>("passkey", "ask", "vote", "1", newOwner, ...who, "-o", at(file), ...paths);
    const first = (await vote("vote-1.json", ["--passkey", at("guardian.json")])).result;
    put("signed-vote-1.json", await second.sign("", first.digest));
    // A guardian's plain key signs the same typed data wherever its owner keeps it.
    const other = (await vote("vote-2.json", ["--account", createSigner(guardian).address])).result;
    expect(other.digest).to.equal(first.digest);
    put("signed-vote-2.json", { digest: other.digest, signature: createSigner(guardian).sign(other.digest) });
    const both = [at("vote-1.json"), at("vote-2.json"), "--signed", at("signed-vote-1.json"), at("signed-vote-2.json")];
    expect((await cli.json("passkey", "send", ...both, "--key-file", at("anybody.key"), ...on)).code).to.equal(0);
    const pending = { address: ownerRecovery, abi: ownerRecoveryAbi, functionName: "pendingOf", args: [1n] } as const;
    expect((await world.client.readContract(pending))[0]).to.equal(newOwner);
    const execute = ["agent", "execute-recovery", "1", "--key-file", at("anybody.key"), ...on];
    expect((await cli.failure(...execute))[0]).to.equal(3);
  });

  it("sends nothing that the passkey did not sign, and names what is wrong with a file", async () => {
    const { digest } = await ask("other.json", "update", "1", keccak256("0x0c"));
    const software = await createAuthenticator(world.deployment.contracts.webAuthnVerifier);
    put("signed-other.json", await software.sign(toHex(BigInt(digest) ^ 1n, { size: 32 })));
    expect(await cli.failure(...sendArgs("other.json", "anybody.key"))).to.deep.equal([2, "USAGE_PASSKEY_OTHER"]);
    // Its digest is right, and another key made the signature: the chain refuses, and nothing is sent.
    put("signed-other.json", await software.sign(digest));
    expect((await cli.failure(...sendArgs("other.json", "anybody.key")))[0]).to.equal(3);
    put("signed-bad.json", {});
    put("bad.json", { primaryType: "Deal", message: {}, surety: { signer: "0x" } });
    expect(await cli.failure(...sendArgs("bad.json", "anybody.key"))).to.deep.equal([2, "USAGE_PASSKEY_REQUEST"]);
    put("nokey.json", { signer: "0x1234" });
    const asking = ["passkey", "ask", "bind", "1", "--passkey", at("nokey.json"), "-o", at("never.json"), ...on];
    expect(await cli.failure(...asking)).to.deep.equal([2, "USAGE_PASSKEY"]);
  });
});
