import { expect } from "chai";
import { getAddress, parseEventLogs, zeroAddress, zeroHash } from "viem";
import { issuerIdOf } from "#protocol";
import { createCredentialChain, DAY, person } from "./setup.ts";

const chain = await createCredentialChain();
const { credentials, issuers, first, second, owner, buyer, stranger, registry } = chain;
let count = 0;
const somebody = () => person(`somebody ${++count}`);
const refuses = (act: () => Promise<unknown>, error: string, values: readonly unknown[]) =>
  chain.refusesCredential(act, credentials, error, values);
const transfer = (agentId: bigint, from = owner, to = buyer) =>
  registry.write.transferFrom([from.account.address, to.account.address, agentId], { account: from.account });

describe("operator credentials: who answers for an agent", () => {
  it("ties an agent to an operator, and says so in one event", async () => {
    const agentId = await chain.registerAgent();
    const nullifier = somebody();
    expect(await credentials.read.operatorOf([agentId])).to.equal(zeroHash);
    expect(await chain.isValid(agentId)).to.equal(false);
    const credential = await chain.issue(agentId, nullifier);
    const { logs } = await chain.mine(chain.present(credential));
    const operator = chain.operatorOf(first, nullifier);
    const events = parseEventLogs({ abi: credentials.abi, logs });
    const shown = { agentId, operator, owner: credential.owner, source: 0, level: 2 };
    expect(events.map(({ eventName }) => eventName)).to.deep.equal(["CredentialPresented"]);
    expect({ ...events[0]?.args, owner: credential.owner }).to.deep.equal({
      ...shown,
      validUntil: credential.validUntil,
    });
    expect(await credentials.read.operatorOf([agentId])).to.equal(operator);
    expect(await credentials.read.credentialOf([agentId])).to.deep.equal([operator, 2, credential.validUntil, 0, true]);
  });

  it("ends at its second, and the tie to the operator outlives it", async () => {
    const agentId = await chain.registerAgent();
    const credential = await chain.issue(agentId, somebody());
    await chain.present(credential);
    await chain.time.increaseTo(credential.validUntil - 1);
    expect(await chain.isValid(agentId)).to.equal(true);
    await chain.time.increaseTo(credential.validUntil);
    expect(await chain.isValid(agentId)).to.equal(false);
    expect(await credentials.read.operatorOf([agentId])).to.equal(chain.operatorOf(first, credential.nullifier));
  });

  it("ends with the owner's ownership and returns with it; no transfer cuts the tie", async () => {
    const agentId = await chain.registerAgent();
    const credential = await chain.issue(agentId, somebody());
    await chain.present(credential);
    await transfer(agentId);
    expect(await chain.isValid(agentId)).to.equal(false);
    expect(await credentials.read.operatorOf([agentId])).to.equal(chain.operatorOf(first, credential.nullifier));
    await transfer(agentId, buyer, owner);
    expect(await chain.isValid(agentId)).to.equal(true);
  });

  it("gives a buyer nothing: neither the seller's credential nor a credential that names the seller", async () => {
    const agentId = await chain.registerAgent();
    const sold = chain.sign(await chain.issue(agentId, somebody()));
    await transfer(agentId);
    await chain.refusesCredential(
      () => chain.presentRaw(agentId, sold, buyer.account.address),
      issuers,
      "IssuerCredentialsBadSignature",
      [issuerIdOf(first.address)],
    );
    const own = await chain.issue(agentId, somebody(), { owner: buyer.account.address });
    await chain.present(own);
    expect(await chain.isValid(agentId)).to.equal(true);
  });

  it("takes a presentation from the owner itself only, not from who is approved", async () => {
    const agentId = await chain.registerAgent();
    await registry.write.approve([stranger.account.address, agentId]);
    const presentation = chain.sign(await chain.issue(agentId, somebody()));
    const values = [agentId, owner.account.address, stranger.account.address];
    const act = () => chain.presentRaw(agentId, presentation, stranger.account.address);
    await refuses(act, "CredentialsNotOwner", values);
  });

  it("lets an operator serve one agent at a time: neither transfer nor renunciation frees it before the end", async () => {
    const [one, two] = [await chain.registerAgent(), await chain.registerAgent()];
    const nullifier = somebody();
    const credential = await chain.issue(one, nullifier);
    await chain.present(credential);
    const operator = chain.operatorOf(first, nullifier);
    const move = async () =>
      chain.present(await chain.issue(two, nullifier, { validUntil: credential.validUntil + 9 }));
    await refuses(move, "CredentialsOperatorBusy", [operator, one, credential.validUntil]);
    await credentials.write.renounce([one]);
    expect(await chain.isValid(one)).to.equal(false);
    await refuses(move, "CredentialsOperatorBusy", [operator, one, credential.validUntil]);
    await transfer(one);
    await refuses(move, "CredentialsOperatorBusy", [operator, one, credential.validUntil]);

    await chain.time.increaseTo(credential.validUntil);
    await move();
    expect(await chain.isValid(two)).to.equal(true);
    expect(await chain.isValid(one)).to.equal(false);
    expect(await credentials.read.holdingOf([operator])).to.deep.equal([
      two,
      credential.validUntil + 9,
      getAddress(owner.account.address),
    ]);
    // Both are that person's: a ledger of trust counts no deal between them.
    expect(await credentials.read.operatorOf([one])).to.equal(await credentials.read.operatorOf([two]));
  });

  it("counts a presentation once: a replay, and any end that is not later, is refused", async () => {
    const agentId = await chain.registerAgent();
    const credential = await chain.issue(agentId, somebody());
    const operator = chain.operatorOf(first, credential.nullifier);
    await chain.present(credential);
    const { validUntil } = credential;
    await refuses(() => chain.present(credential), "CredentialsNotNewer", [operator, validUntil, validUntil]);
    const shorter = { ...credential, validUntil: validUntil - 1 };
    await refuses(() => chain.present(shorter), "CredentialsNotNewer", [operator, validUntil, validUntil - 1]);
    await credentials.write.renounce([agentId]);
    await refuses(() => chain.present(credential), "CredentialsNotNewer", [operator, validUntil, validUntil]);
    await chain.present({ ...credential, validUntil: validUntil + 1, level: 3 });
    expect(await credentials.read.credentialOf([agentId])).to.deep.equal([operator, 3, validUntil + 1, 0, true]);
  });

  it("lets another operator take the agent over, and the first one stays bound to it until its end", async () => {
    const [agentId, other] = [await chain.registerAgent(), await chain.registerAgent()];
    const before = await chain.issue(agentId, somebody());
    await chain.present(before);
    const after = await chain.issue(agentId, somebody(), { issuerId: issuerIdOf(second.address), level: 0 });
    await chain.present(after, second);
    const operator = chain.operatorOf(second, after.nullifier);
    expect(await credentials.read.credentialOf([agentId])).to.deep.equal([operator, 0, after.validUntil, 1, true]);
    const moved = { ...before, agentId: other, validUntil: before.validUntil + 1 };
    const busy = [chain.operatorOf(first, before.nullifier), agentId, before.validUntil];
    await refuses(() => chain.present(moved), "CredentialsOperatorBusy", busy);
  });

  it("keeps issuers apart: none can name another one's people", async () => {
    const [agentId, other] = [await chain.registerAgent(), await chain.registerAgent()];
    const nullifier = somebody();
    await chain.present(await chain.issue(agentId, nullifier));
    const forged = await chain.issue(other, nullifier, { issuerId: issuerIdOf(second.address) });
    await chain.present(forged, second);
    expect(await chain.isValid(agentId)).to.equal(true);
    expect(await credentials.read.operatorOf([agentId])).to.not.equal(await credentials.read.operatorOf([other]));
  });

  it("takes no issuer, no level and no end but those of the scope", async () => {
    const agentId = await chain.registerAgent();
    const [scopeless, nullifier] = [issuerIdOf(stranger.account.address), somebody()];
    await refuses(
      () => chain.presentRaw(agentId, "0x", owner.account.address, scopeless),
      "CredentialsSourceNotAccepted",
      [issuers.address, scopeless],
    );
    const low = await chain.issue(agentId, nullifier, { level: 1 });
    await refuses(() => chain.present(low), "CredentialsLevelTooLow", [1, 2]);
    const end = (await chain.now()) + DAY;
    const late = await chain.issue(agentId, nullifier, { validUntil: end });
    await chain.atSecond(end);
    await refuses(() => chain.present(late), "CredentialsExpired", [end, BigInt(end)]);
    await chain.refusesCredential(() => chain.presentRaw(10_000n, "0x"), registry, "ERC721NonexistentToken", [10_000n]);
    await refuses(() => chain.presentRaw(2n ** 32n, "0x"), "CredentialsAgentTooLarge", [2n ** 32n, 2n ** 32n - 1n]);
  });

  it("lets the owner renounce what is its own, once", async () => {
    const agentId = await chain.registerAgent();
    const [me, other] = [owner.account.address, stranger.account.address];
    await refuses(() => credentials.write.renounce([agentId]), "CredentialsNone", [agentId, me]);
    await chain.present(await chain.issue(agentId, somebody()));
    const act = () => credentials.write.renounce([agentId], { account: other });
    await refuses(act, "CredentialsNotOwner", [agentId, me, other]);
    const { logs } = await chain.mine(credentials.write.renounce([agentId]));
    expect(parseEventLogs({ abi: credentials.abi, logs }).map(({ eventName }) => eventName)).to.deep.equal([
      "CredentialRenounced",
    ]);
    await refuses(() => credentials.write.renounce([agentId]), "CredentialsNone", [agentId, me]);
  });

  it("names its issuers at deployment: one to sixteen, each a contract's and once", async () => {
    const source = chain.sourceOf(first, 0);
    const fails = (sources: (typeof source)[], error: string, values: readonly unknown[]) =>
      refuses(() => chain.createScope(sources), error, values);
    await fails([], "CredentialsBadSources", [0n, 16n]);
    await fails(Array(17).fill(source), "CredentialsBadSources", [17n, 16n]);
    await fails([{ ...source, verifier: zeroAddress }], "CredentialsNoVerifier", [zeroAddress]);
    await fails([source, { ...source, minLevel: 1 }], "CredentialsSourceTwice", [issuers.address, source.issuerId]);
    expect(await credentials.read.scope()).to.equal(chain.scope);
    expect(await credentials.read.sourceCount()).to.equal(2n);
    expect(await credentials.read.sourceAt([0n])).to.deep.equal({
      ...chain.sourceOf(first, 2),
      verifier: getAddress(issuers.address),
    });
  });
});
