import { expect } from "chai";
import {
  concat,
  encodeFunctionData,
  keccak256,
  parseEventLogs,
  stringToHex,
  toHex,
  zeroAddress,
  zeroHash,
  type Address,
  type Hex,
} from "viem";
import { purposes, typedDataDigest, uncheckedSignerOf } from "#protocol";
import { accountOf, commitment, createIdentityChain, keyOf, p256KeyOf, uri, type AnySigner } from "./setup.ts";

const chain = await createIdentityChain();
const { registry, signedBindings, signedProfile, owner, stranger, operator, buyer } = chain;
const ownerKey = keyOf(chain.ownerSigner);
const strangerKey = keyOf(chain.strangerSigner);
const verifier = await chain.viem.deployContract("P256Verifier");
const FAR = 2 ** 48 - 1;
/** Nobody here is the owner: orders are delivered by anyone. */
const relayed = { account: stranger.account.address, gas: 1_500_000n };
let seed = 0x0a11n;

/** An agent and a passkey-like OPERATOR signer of it. */
async function agentWithOperator(): Promise<{ agentId: bigint; key: AnySigner }> {
  const agentId = await chain.registerAgent();
  const key = p256KeyOf(verifier.address, ++seed);
  const binding = chain.bindingOf(key, agentId, { purpose: purposes.operator });
  const proof = key.sign(chain.bindingDigest(binding));
  await chain.mine(registry.write.bindSigner([agentId, key.bytes, purposes.operator, 0, 0, FAR, proof]));
  return { agentId, key };
}

/** A new plain key's offer to be bound. */
function offerOf(agentId: bigint, purpose: Hex, ownedBy: Address = owner.account.address) {
  const signer = chain.newSigner();
  const binding = chain.bindingOf(signer, agentId, { purpose, owner: ownedBy });
  const proof = signer.sign(chain.bindingDigest(binding));
  const offer = { signer: signer.address, purpose, validFrom: 0, validUntil: 0, deadline: FAR, proof };
  const order = { agentId, signerHash: signer.signerHash, purpose, validFrom: 0, validUntil: 0 };
  return { signer, offer, order };
}

describe("orders by signature: signers", () => {
  it("binds a signer by the owner's SignerGrant, whoever delivers it, once", async () => {
    const agentId = await chain.registerAgent();
    const { signer, offer, order } = offerOf(agentId, purposes.operator);
    const consent = chain.consent(ownerKey, "SignerGrant", order);
    const { timestamp, logs } = await chain.mine(
      signedBindings.write.bindSignerWithSignature([agentId, offer, consent], relayed),
    );
    expect(await registry.read.signerOf([signer.signerHash])).to.deep.equal([
      agentId,
      purposes.operator,
      timestamp,
      0,
      0,
    ]);
    const [used] = parseEventLogs({ abi: signedBindings.abi, logs, eventName: "NonceUsed" });
    expect(used?.args).to.deep.equal({ signerHash: ownerKey.signerHash, nonce: consent.nonce });
    expect(await signedBindings.read.isNonceUsed([ownerKey.signerHash, consent.nonce])).to.equal(true);
    await chain.refuses(
      () => signedBindings.write.bindSignerWithSignature([agentId, offer, consent], relayed),
      "SignedOrdersNonceUsed",
      [ownerKey.signerHash, consent.nonce],
      signedBindings,
    );
  });

  it("binds an Ed25519 key by SignerGrant, and the record says that nobody checked it on chain", async () => {
    const agentId = await chain.registerAgent();
    const key = keccak256("0xed25");
    const signer = uncheckedSignerOf(agentId, key);
    const signerHash = keccak256(signer);
    const proof = toHex(7, { size: 64 });
    const order = { agentId, signerHash, purpose: purposes.transport, validFrom: 0, validUntil: 0 };
    const newKey = { key, validFrom: 0, validUntil: 0, deadline: FAR, proof };
    const consent = chain.consent(ownerKey, "SignerGrant", order);
    const { logs } = await chain.mine(
      signedBindings.write.bindUncheckedKeyWithSignature([agentId, newKey, consent], relayed),
    );
    expect(parseEventLogs({ abi: registry.abi, logs }).map(({ eventName }) => eventName)).to.deep.equal([
      "SignerBound",
      "SignerUnchecked",
    ]);
    expect(await registry.read.isSignerUnchecked([signerHash])).to.equal(true);
    expect((await registry.read.signerOf([signerHash]))[1]).to.equal(purposes.transport);
  });

  it("rotates a signer by SignerRotation and revokes one by SignerRevocation", async () => {
    const agentId = await chain.registerAgent();
    const { signer: old } = await chain.bindFresh(agentId);
    const { signer: next, offer } = offerOf(agentId, purposes.log);
    const rotation = {
      oldSignerHash: old.signerHash,
      newSigner: next.address,
      validUntil: 0,
      deadline: FAR,
      proof: offer.proof,
    };
    const order = { agentId, oldSignerHash: old.signerHash, newSignerHash: next.signerHash, validUntil: 0 };
    const rotating = chain.consent(ownerKey, "SignerRotation", order);
    const { timestamp } = await chain.mine(
      signedBindings.write.rotateSignerWithSignature([agentId, rotation, rotating], relayed),
    );
    const at = (signerHash: Hex, time: number) =>
      registry.read.isSignerValidAt([agentId, signerHash, purposes.log, BigInt(time)]);
    expect([await at(old.signerHash, timestamp), await at(next.signerHash, timestamp)]).to.deep.equal([false, true]);
    const revocation = { agentId, signerHash: next.signerHash, compromisedAt: timestamp };
    const revoking = chain.consent(ownerKey, "SignerRevocation", revocation);
    await chain.mine(
      signedBindings.write.revokeSignerWithSignature([agentId, next.signerHash, timestamp, revoking], relayed),
    );
    expect(await at(next.signerHash, timestamp)).to.equal(false);
  });

  it("lets an OPERATOR signer bind, rotate and revoke LOG and TRANSPORT signers, and no other", async () => {
    const { agentId, key } = await agentWithOperator();
    for (const purpose of [purposes.log, purposes.transport]) {
      const { signer, offer, order } = offerOf(agentId, purpose);
      const consent = chain.consent(key, "SignerGrant", order);
      await chain.mine(signedBindings.write.bindSignerWithSignature([agentId, offer, consent], relayed));
      const next = offerOf(agentId, purpose);
      const rotation = {
        ...{ oldSignerHash: signer.signerHash, newSigner: next.signer.address, validUntil: 0, deadline: FAR },
        proof: next.offer.proof,
      };
      const rotating = chain.consent(key, "SignerRotation", {
        ...{ agentId, oldSignerHash: signer.signerHash, newSignerHash: next.signer.signerHash, validUntil: 0 },
      });
      await chain.mine(signedBindings.write.rotateSignerWithSignature([agentId, rotation, rotating], relayed));
      const revocation = { agentId, signerHash: next.signer.signerHash, compromisedAt: 0 };
      const revoking = chain.consent(key, "SignerRevocation", revocation);
      await chain.mine(
        signedBindings.write.revokeSignerWithSignature([agentId, next.signer.signerHash, 0, revoking], relayed),
      );
    }
    const refused = [agentId, key.signerHash];
    for (const purpose of [purposes.operator, purposes.recovery]) {
      const { offer, order } = offerOf(agentId, purpose);
      const consent = chain.consent(key, "SignerGrant", order);
      await chain.refuses(
        () => signedBindings.write.bindSignerWithSignature([agentId, offer, consent], relayed),
        "SignedOrdersNotAuthorized",
        refused,
        signedBindings,
      );
    }
    const revocation = { agentId, signerHash: key.signerHash, compromisedAt: 0 };
    const consent = chain.consent(key, "SignerRevocation", revocation);
    await chain.refuses(
      () => signedBindings.write.revokeSignerWithSignature([agentId, key.signerHash, 0, consent], relayed),
      "SignedOrdersNotAuthorized",
      refused,
      signedBindings,
    );
  });

  it("ends an OPERATOR signer's power with its revocation and with the sale of its agent", async () => {
    const first = await agentWithOperator();
    const second = await agentWithOperator();
    await chain.mine(registry.write.revokeSigner([first.agentId, first.key.signerHash, 0]));
    await registry.write.transferFrom([owner.account.address, buyer.account.address, second.agentId]);
    for (const [{ agentId, key }, ownedBy] of [
      [first, owner],
      [second, buyer],
    ] as const) {
      const { offer, order } = offerOf(agentId, purposes.log, ownedBy.account.address);
      const consent = chain.consent(key, "SignerGrant", order);
      await chain.refuses(
        () => signedBindings.write.bindSignerWithSignature([agentId, offer, consent], relayed),
        "SignedOrdersNotAuthorized",
        [agentId, key.signerHash],
        signedBindings,
      );
    }
  });

  it("advances the version chain by an OPERATOR signer's BindingUpdate, and by no other signer's", async () => {
    const { agentId, key } = await agentWithOperator();
    const { signer: log } = await chain.bindFresh(agentId);
    const update = { agentId, version: 1n, previous: zeroHash, delta: commitment, deadline: FAR };
    const digest = typedDataDigest("BindingUpdate", update, chain.domain);
    const send = (signer: AnySigner, signature: Hex) => () =>
      registry.write.updateCommitmentAsOperator([agentId, 1n, commitment, FAR, signer.bytes, signature], relayed);
    for (const other of [keyOf(log), ownerKey, strangerKey]) {
      await chain.refuses(send(other, other.sign(digest)), "BindingsNotOperator", [agentId, other.signerHash]);
    }
    await chain.refuses(send(key, ownerKey.sign(digest)), "BindingsBadProof", [agentId, key.signerHash]);
    await chain.mine(send(key, key.sign(digest))());
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([commitment, 1n, commitment]);
  });
});

describe("orders by signature: what is refused", () => {
  const grant = async (fields: Parameters<typeof chain.consent>[3] = {}, by: AnySigner = ownerKey) => {
    const agentId = await chain.registerAgent();
    const { offer, order } = offerOf(agentId, purposes.log);
    const consent = chain.consent(by, "SignerGrant", order, fields);
    const send =
      (other = consent) =>
      () =>
        signedBindings.write.bindSignerWithSignature([agentId, offer, other], relayed);
    return { agentId, consent, send };
  };

  it("an order after its last second, in which it is still good", async () => {
    const deadline = (await chain.now()) + 100;
    const inTime = await grant({ deadline });
    const late = await grant({ deadline });
    await chain.atSecond(deadline);
    await chain.mine(inTime.send()());
    await chain.atSecond(deadline + 1);
    await chain.refuses(late.send(), "SignedOrdersExpired", [deadline, BigInt(deadline + 1)], signedBindings);
  });

  it("a signature for another chain or registry, by another key, over another nonce or deadline, or malformed", async () => {
    const wrong = [
      await grant({ chainId: chain.domain.chainId + 1 }),
      await grant({ verifyingContract: signedBindings.address }),
    ];
    for (const { agentId, send } of wrong) {
      await chain.refuses(send(), "SignedOrdersBadSignature", [agentId, ownerKey.signerHash], signedBindings);
    }
    const { agentId, consent, send } = await grant();
    for (const other of [
      { ...consent, nonce: consent.nonce + 1_000n },
      { ...consent, deadline: FAR - 1 },
      { ...consent, signature: "0x" as Hex },
      { ...consent, signature: strangerKey.sign(keccak256("0x")) },
    ]) {
      await chain.refuses(send(other), "SignedOrdersBadSignature", [agentId, ownerKey.signerHash], signedBindings);
    }
  });

  it("a stranger, an agent that does not exist, and a seller after the sale", async () => {
    const byStranger = await grant({}, strangerKey);
    const refused = [byStranger.agentId, strangerKey.signerHash];
    await chain.refuses(byStranger.send(), "SignedOrdersNotAuthorized", refused, signedBindings);
    const { offer, order } = offerOf(999n, purposes.log);
    const consent = chain.consent(ownerKey, "SignerGrant", order);
    await chain.refuses(
      () => signedBindings.write.bindSignerWithSignature([999n, offer, consent], relayed),
      "ERC721NonexistentToken",
      [999n],
    );
    const sold = await grant();
    await registry.write.transferFrom([owner.account.address, buyer.account.address, sold.agentId]);
    const refusedSeller = [sold.agentId, ownerKey.signerHash];
    await chain.refuses(sold.send(), "SignedOrdersNotAuthorized", refusedSeller, signedBindings);
  });

  it("a nonce that its account took back, while every other one is good in any order", async () => {
    const nonce = 0xabcd_00n;
    const [cancelled, high, low] = [
      await grant({ nonce }),
      await grant({ nonce: nonce + 255n }),
      await grant({ nonce: 3n << 200n }),
    ];
    await chain.mine(signedBindings.write.cancelNonce([nonce], { account: owner.account.address }));
    const used = [ownerKey.signerHash, nonce];
    await chain.refuses(cancelled.send(), "SignedOrdersNonceUsed", used, signedBindings);
    await chain.mine(low.send()());
    await chain.mine(high.send()());
  });

  it("a call that pretends to be forwarded, from anybody but the three parts of the registry", async () => {
    const agentId = await chain.registerAgent();
    for (const [part, isTrusted] of [
      [signedBindings.address, true],
      [signedProfile.address, true],
      [chain.recovery.address, true],
      [owner.account.address, false],
      [registry.address, false],
    ] as const) {
      expect(await registry.read.isTrustedForwarder([part])).to.equal(isTrusted);
    }
    // The owner's address behind the arguments, as a forwarder would put it there.
    const input = encodeFunctionData({ abi: registry.abi, functionName: "unsetAgentWallet", args: [agentId] });
    const forged = concat([input, owner.account.address]);
    await chain.refuses(
      () => stranger.sendTransaction({ to: registry.address, data: forged, gas: 200_000n }),
      "ERC721InsufficientApproval",
      [stranger.account.address, agentId],
    );
  });
});

describe("orders by signature: ERC-8004 and ERC-721", () => {
  it("registers an agent for an owner who pays nothing, with commitment and signer, or without both", async () => {
    const newOwner = keyOf(chain.newSigner());
    const log = chain.newSigner();
    const binding = chain.bindingOf(log, 0n, { owner: newOwner.bytes });
    const proof = log.sign(chain.bindingDigest(binding));
    const initial = { commitment, signer: log.address, validFrom: 0, validUntil: 0, deadline: FAR, proof };
    const uriHash = keccak256(stringToHex(uri));
    const order = { owner: newOwner.bytes, uriHash, commitment, signerHash: log.signerHash };
    const consent = chain.consent(newOwner, "Registration", order);
    await chain.mine(signedProfile.write.registerWithSignature([newOwner.bytes, uri, initial, consent], relayed));
    const agentId = await registry.read.agentOfSigner([log.signerHash]);
    expect((await registry.read.ownerOf([agentId])).toLowerCase()).to.equal(newOwner.bytes.toLowerCase());
    expect(await registry.read.commitmentOf([agentId])).to.deep.equal([commitment, 1n, commitment]);

    const bare = { ...initial, commitment: zeroHash, signer: "0x" as Hex, proof: "0x" as Hex };
    const bareOrder = { ...order, commitment: zeroHash, signerHash: keccak256("0x") };
    const bareConsent = chain.consent(newOwner, "Registration", bareOrder);
    const { logs } = await chain.mine(
      signedProfile.write.registerWithSignature([newOwner.bytes, uri, bare, bareConsent], relayed),
    );
    expect(parseEventLogs({ abi: registry.abi, logs, eventName: "Registered" })[0]?.args.agentId).to.equal(
      agentId + 1n,
    );
    // Somebody else's consent registers nothing for this owner.
    const foreign = chain.consent(strangerKey, "Registration", bareOrder);
    await chain.refuses(
      () => signedProfile.write.registerWithSignature([newOwner.bytes, uri, bare, foreign], relayed),
      "SignedOrdersNotAuthorized",
      [0n, strangerKey.signerHash],
      signedProfile,
    );
  });

  it("sets URI and metadata by AgentURISet and AgentMetadataSet, of the owner or an OPERATOR signer", async () => {
    const { agentId, key } = await agentWithOperator();
    for (const [i, by] of [ownerKey, key].entries()) {
      const next = `ipfs://${i}`;
      const uriOrder = { agentId, uriHash: keccak256(stringToHex(next)) };
      const uriConsent = chain.consent(by, "AgentURISet", uriOrder);
      const { logs } = await chain.mine(
        signedProfile.write.setAgentURIWithSignature([agentId, next, uriConsent], relayed),
      );
      const [event] = parseEventLogs({ abi: registry.abi, logs, eventName: "URIUpdated" });
      expect(event?.args.updatedBy).to.equal(chain.ownerSigner.address);
      expect(await registry.read.tokenURI([agentId])).to.equal(next);
      const value = toHex(i + 1, { size: 32 });
      const order = { agentId, keyHash: keccak256(stringToHex("model")), valueHash: keccak256(value) };
      const consent = chain.consent(by, "AgentMetadataSet", order);
      await chain.mine(signedProfile.write.setMetadataWithSignature([agentId, "model", value, consent], relayed));
      expect(await registry.read.getMetadata([agentId, "model"])).to.equal(value);
    }
  });

  it("sets and clears the wallet by the owner's AgentWalletChange, and not by an OPERATOR signer's", async () => {
    const { agentId, key } = await agentWithOperator();
    const wallet = chain.newSigner();
    const walletDeadline = BigInt((await chain.now()) + 200);
    const walletConsent = {
      agentId,
      newWallet: wallet.address,
      owner: owner.account.address,
      deadline: walletDeadline,
    };
    const signature = wallet.sign(typedDataDigest("AgentWalletSet", walletConsent, chain.domain));
    const set = (by: AnySigner) => {
      const consent = chain.consent(by, "AgentWalletChange", { agentId, newWallet: wallet.address });
      const args = [agentId, wallet.address, walletDeadline, signature, consent] as const;
      return () => signedProfile.write.setAgentWalletWithSignature(args, relayed);
    };
    await chain.refuses(set(key), "SignedOrdersNotAuthorized", [agentId, key.signerHash], signedProfile);
    await chain.mine(set(ownerKey)());
    expect(await registry.read.getAgentWallet([agentId])).to.equal(wallet.address);
    const consent = chain.consent(ownerKey, "AgentWalletChange", { agentId, newWallet: zeroAddress });
    await chain.mine(signedProfile.write.unsetAgentWalletWithSignature([agentId, consent], relayed));
    expect(await registry.read.getAgentWallet([agentId])).to.equal(zeroAddress);
  });

  it("hands over and approves by AgentTransfer, AgentApproval and OperatorApproval of the owner alone", async () => {
    const { agentId, key } = await agentWithOperator();
    const approved = operator.account.address;
    const approval = chain.consent(ownerKey, "AgentApproval", { agentId, approved });
    await chain.mine(signedProfile.write.approveWithSignature([agentId, approved, approval], relayed));
    expect((await registry.read.getApproved([agentId])).toLowerCase()).to.equal(approved);
    const all = { owner: owner.account.address, operator: approved, isApproved: true };
    const allConsent = chain.consent(ownerKey, "OperatorApproval", all);
    const allArgs = [all.owner, approved, true, allConsent] as const;
    await chain.mine(signedProfile.write.setApprovalForAllWithSignature(allArgs, relayed));
    expect(await registry.read.isApprovedForAll([all.owner, approved])).to.equal(true);
    await registry.write.setApprovalForAll([approved, false]);
    const to = buyer.account.address;
    const transfer = (by: AnySigner) => {
      const consent = chain.consent(by, "AgentTransfer", { agentId, to });
      return () => signedProfile.write.transferWithSignature([agentId, to, consent], relayed);
    };
    await chain.refuses(transfer(key), "SignedOrdersNotAuthorized", [agentId, key.signerHash], signedProfile);
    await chain.mine(transfer(ownerKey)());
    expect((await registry.read.ownerOf([agentId])).toLowerCase()).to.equal(to);
  });

  it("takes the orders of an owner that is an ERC-1271 account, while the account vouches", async () => {
    const key = keyOf(chain.newSigner());
    const account = await chain.viem.deployContract("ExecutingWallet", [key.bytes]);
    const agentId = await chain.registerAgent();
    await registry.write.transferFrom([owner.account.address, account.address, agentId]);
    const smart = accountOf(account.address, key);
    const order = (next: string) => {
      const consent = chain.consent(smart, "AgentURISet", { agentId, uriHash: keccak256(stringToHex(next)) });
      return () => signedProfile.write.setAgentURIWithSignature([agentId, next, consent], relayed);
    };
    await chain.mine(order("ipfs://smart")());
    expect(await registry.read.tokenURI([agentId])).to.equal("ipfs://smart");
    await account.write.close();
    const refused = [agentId, smart.signerHash];
    await chain.refuses(order("ipfs://closed"), "SignedOrdersBadSignature", refused, signedProfile);
  });
});
