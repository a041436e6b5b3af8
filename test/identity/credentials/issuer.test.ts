import { expect } from "chai";
import { concat, numberToHex, parseEventLogs, size, slice, toHex, zeroHash, type Hex } from "viem";
import { encodeIssuerPresentation, issuerIdOf, structHash, typedDataDigest, type Structs } from "#protocol";
import { createCredentialChain, issuerKey, person } from "./setup.ts";

const chain = await createCredentialChain();
const { credentials, issuers, first, second, owner, viem } = chain;
let count = 0;
const somebody = () => person(`somebody ${++count}`);
const refuses = (act: () => Promise<unknown>, error: string, values: readonly unknown[]) =>
  chain.refusesCredential(act, issuers, error, values);
const firstId = issuerIdOf(first.address);
const word = (n: number | bigint) => numberToHex(n, { size: 32 });

describe("credentials that an issuer signs", () => {
  it("count for no other field than those signed, and under no other domain", async () => {
    const agentId = await chain.registerAgent();
    const honest = await chain.issue(agentId, somebody());
    const forged: [string, Partial<Structs["IssuerCredential"]>][] = [
      ["scope", { scope: toHex(1, { size: 32 }) }],
      ["issuerId", { issuerId: issuerIdOf(second.address) }],
      ["nullifier", { nullifier: somebody() }],
      ["agentId", { agentId: agentId + 1n }],
      ["owner", { owner: chain.stranger.account.address }],
      ["level", { level: 9 }],
      ["validUntil", { validUntil: honest.validUntil + 1 }],
    ];
    for (const [field, change] of forged) {
      const signature = first.sign(typedDataDigest("IssuerCredential", { ...honest, ...change }, chain.contracts));
      const presentation = encodeIssuerPresentation(honest, first.address, signature);
      await refuses(() => chain.presentRaw(agentId, presentation), "IssuerCredentialsBadSignature", [firstId]);
      expect(structHash("IssuerCredential", { ...honest, ...change }), field).to.not.equal(
        structHash("IssuerCredential", honest),
      );
    }
    for (const change of [{ chainId: 1 }, { issuerCredentials: credentials.address }]) {
      const digest = typedDataDigest("IssuerCredential", honest, { ...chain.contracts, ...change });
      const presentation = encodeIssuerPresentation(honest, first.address, first.sign(digest));
      await refuses(() => chain.presentRaw(agentId, presentation), "IssuerCredentialsBadSignature", [firstId]);
    }
    await chain.present(honest);
  });

  it("are no other issuer's: neither its key nor its bytes pass for the one that counts", async () => {
    const agentId = await chain.registerAgent();
    const credential = await chain.issue(agentId, somebody());
    const digest = typedDataDigest("IssuerCredential", credential, chain.contracts);
    const byOther = encodeIssuerPresentation(credential, first.address, second.sign(digest));
    await refuses(() => chain.presentRaw(agentId, byOther), "IssuerCredentialsBadSignature", [firstId]);
    const ofOther = encodeIssuerPresentation(credential, second.address, second.sign(digest));
    const values = [firstId, issuerIdOf(second.address)];
    await refuses(() => chain.presentRaw(agentId, ofOther), "IssuerCredentialsOtherIssuer", values);
  });

  it("have one form: what is cut, too wide or without a person is refused by name", async () => {
    const agentId = await chain.registerAgent();
    const whole = chain.sign(await chain.issue(agentId, somebody()));
    const present = (bytes: Hex) => () => chain.presentRaw(agentId, bytes);
    await refuses(present("0x"), "CredentialMalformed", [0n, 128n]);
    await refuses(present(slice(whole, 0, 127)), "CredentialMalformed", [127n, 128n]);
    await refuses(present(slice(whole, 0, 147)), "CredentialMalformed", [147n, 128n]);
    const cut = slice(whole, 0, size(whole) - 1);
    await refuses(present(cut), "IssuerCredentialsBadSignature", [firstId]);
    const withWord = (index: number, value: bigint) =>
      concat([...(index === 0 ? [] : [slice(whole, 0, 32 * index)]), word(value), slice(whole, 32 * index + 32)]);
    const length = BigInt(size(whole));
    await refuses(present(withWord(1, 256n)), "CredentialMalformed", [length, 128n]);
    await refuses(present(withWord(2, 2n ** 48n)), "CredentialMalformed", [length, 128n]);
    await refuses(present(withWord(3, 2n ** 256n - 1n)), "CredentialMalformed", [length, 128n]);
    await refuses(present(withWord(3, 19n)), "IssuerCredentialsMalformedIssuer", [19n]);
    await refuses(present(withWord(0, 0n)), "CredentialZeroNullifier", []);
  });

  it("come from an ERC-1271 account as well, whose key can change", async () => {
    const wallet = await viem.deployContract("ExecutingWallet", [owner.account.address]);
    const issuerId = issuerIdOf(wallet.address);
    const scoped = await chain.createScope([{ verifier: issuers.address, minLevel: 0, issuerId }]);
    const agentId = await chain.registerAgent();
    const credential = await chain.issue(agentId, somebody(), { issuerId, scope: await scoped.read.scope() });
    const signature = chain.ownerSigner.sign(typedDataDigest("IssuerCredential", credential, chain.contracts));
    const presentation = encodeIssuerPresentation(credential, wallet.address, signature);
    await scoped.write.present([agentId, issuers.address, issuerId, presentation]);
    expect((await scoped.read.credentialOf([agentId]))[4]).to.equal(true);
    expect(await chain.isValid(agentId), "in the other scope").to.equal(false);
  });

  it("end with the issuer's revocation, for ever and for that person only", async () => {
    const [agentId, other] = [await chain.registerAgent(), await chain.registerAgent()];
    const [nullifier, innocent] = [somebody(), somebody()];
    await chain.present(await chain.issue(agentId, nullifier));
    await chain.present(await chain.issue(other, innocent));
    const { logs } = await chain.mine(chain.revoke(nullifier));
    const operator = chain.operatorOf(first, nullifier);
    const [event] = parseEventLogs({ abi: issuers.abi, logs });
    expect(event?.args).to.deep.equal({ issuerId: firstId, scope: chain.scope, nullifier, operator });
    expect([await chain.isValid(agentId), await chain.isValid(other)]).to.deep.equal([false, true]);
    expect(await issuers.read.isRevoked([operator])).to.equal(true);
    const again = await chain.issue(agentId, nullifier, { validUntil: 2 ** 48 - 1 });
    await refuses(() => chain.present(again), "CredentialRevoked", [operator]);
    await refuses(() => chain.revoke(nullifier), "CredentialRevoked", [operator]);
  });

  it("are revoked by their issuer's signature only, over these very fields", async () => {
    const nullifier = somebody();
    for (const fields of [{ scope: zeroHash }, { nullifier: somebody() }, { issuerId: zeroHash }] as const) {
      await refuses(() => chain.revoke(nullifier, first, fields), "IssuerCredentialsBadSignature", [firstId]);
    }
    const digest = typedDataDigest(
      "CredentialRevocation",
      { scope: chain.scope, issuerId: firstId, nullifier },
      chain.contracts,
    );
    const args = [first.address, chain.scope, nullifier, second.sign(digest)] as const;
    await refuses(() => issuers.write.revoke(args), "IssuerCredentialsBadSignature", [firstId]);
    const short = [slice(first.address, 0, 19), chain.scope, nullifier, "0x"] as const;
    await refuses(() => issuers.write.revoke(short), "IssuerCredentialsMalformedIssuer", [19n]);
    await chain.mine(chain.revoke(nullifier, issuerKey("that no scope accepts")));
  });
});
