import { expect } from "chai";
import { encodeErrorResult, encodeFunctionData, getAddress, keccak256, toHex, type Address, type Hex } from "viem";
import { dealDigestOf, dealIdOf, purposes, typedDataDigest, type Deal } from "#protocol";
import { createSettlement, DELIVERABLE, PRICE, signerAt, type Agent } from "./fixture.ts";

const s = await createSettlement();
const { escrow, registry, client, provider, stranger, networkHelpers } = s;
const byClient = { account: client.account };
const byProvider = { account: provider.account };
const answers = { true: 0, nothing: 1, falseAndNothingMoves: 2 } as const;

/** A hostile token of its own for each test, with 10 prices for client and stranger. */
async function createHostileToken() {
  const token = await s.viem.deployContract("HostileToken");
  for (const account of [client.account, stranger.address]) {
    await token.write.mint([account, 10n * PRICE]);
    await token.write.approve([escrow.address, 2n ** 256n - 1n], { account });
  }
  return token;
}

/** An agent whose owner, wallet and LOG signer is a contract that re-enters; its key signs for it. */
async function createContractAgent(keyIndex: number) {
  const key = signerAt(keyIndex);
  const wallet = await s.viem.deployContract("ReentrantWallet", [key.address]);
  const deadline = (await networkHelpers.time.latest()) + 3_600;
  const signerHash = keccak256(wallet.address);
  const binding = {
    ...{ agentId: 0n, owner: wallet.address, signerHash, purpose: purposes.log },
    ...{ validFrom: 0, validUntil: 0, deadline },
  };
  const proof = key.sign(typedDataDigest("SignerBinding", binding, s.contracts));
  const initial = {
    commitment: toHex(0, { size: 32 }),
    signer: wallet.address,
    validFrom: 0,
    validUntil: 0,
    deadline,
    proof,
  };
  await wallet.write.execute([
    registry.address,
    encodeFunctionData({ abi: registry.abi, functionName: "registerBound", args: ["", initial] }),
  ]);
  const agentId = await registry.read.agentOfSigner([signerHash]);
  const agent: Agent = { agentId, signer: { ...key, address: wallet.address, signerHash }, account: wallet.address };
  return { wallet, agent };
}

/** Opens and submits a deal in a token, between the usual client and any provider. */
async function deliver(token: Address, to: Agent = provider, terms: Partial<Deal> = {}): Promise<Deal> {
  const deal = await s.draftDeal(client, to, { token, ...terms });
  await escrow.write.open([deal, ...s.sign(deal, client, to)], byClient);
  if (to === provider) await escrow.write.submit([deal, DELIVERABLE], byProvider);
  return deal;
}

const escrowCall = (functionName: "complete" | "release" | "refund", deal: Deal, rating = 1): Hex =>
  functionName === "complete"
    ? encodeFunctionData({ abi: escrow.abi, functionName, args: [deal, rating] })
    : encodeFunctionData({ abi: escrow.abi, functionName, args: [deal] });

describe("DealEscrow with hostile tokens", () => {
  it("refuses a fee on transfer: what arrives is what was promised", async () => {
    const token = await createHostileToken();
    await token.write.setFee([1n]);
    const deal = await s.draftDeal(client, provider, { token: token.address });
    await s.expectRefusal(
      escrow.write.open([deal, ...s.sign(deal, client, provider)], byClient),
      "DealEscrowShortfall",
      [getAddress(token.address), PRICE, PRICE - PRICE / 10_000n],
    );
    expect(await token.read.balanceOf([escrow.address])).to.equal(0n);
  });

  it("refuses a token that answers false, and one without EIP-3009", async () => {
    const token = await createHostileToken();
    const deal = await s.draftDeal(client, provider, { token: token.address });
    const consents = s.sign(deal, client, provider);
    await token.write.setAnswer([answers.falseAndNothingMoves]);
    await s.viem.assertions.revertWithCustomError(
      escrow.write.open([deal, ...consents], byClient),
      escrow,
      "SafeERC20FailedOperation",
    );
    await token.write.setAnswer([answers.true]);
    await s.viem.assertions.revert(
      escrow.write.openWithAuthorization([deal, ...consents, s.authorize(deal, client.signer)]),
    );
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Open");
  });

  it("works with a token that answers nothing, as old ones do", async () => {
    const token = await createHostileToken();
    await token.write.setAnswer([answers.nothing]);
    const deal = await deliver(token.address);
    await escrow.write.complete([deal, 1], byClient);
    expect(await token.read.balanceOf([provider.account])).to.equal(PRICE);
  });

  it("credits a payee that the token blocks, and pays it once it can be paid", async () => {
    const token = await createHostileToken();
    const deal = await deliver(token.address);
    await token.write.setBlocked([provider.account, true]);
    await s.viem.assertions.emitWithArgs(escrow.write.complete([deal, 1], byClient), escrow, "Credited", [
      getAddress(token.address),
      provider.signer.address,
      PRICE,
    ]);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Completed");
    expect(await escrow.read.creditOf([token.address, provider.account])).to.equal(PRICE);
    await s.viem.assertions.revertWithCustomError(
      escrow.write.withdrawCredit([token.address, provider.account], byProvider),
      token,
      "HostileTokenBlocked",
    );
    await escrow.write.withdrawCredit([token.address, stranger.address], byProvider);
    expect(await token.read.balanceOf([stranger.address])).to.equal(11n * PRICE);
    await s.expectRefusal(escrow.write.withdrawCredit([token.address, stranger.address], byProvider), "CreditsNone", [
      getAddress(token.address),
      provider.signer.address,
    ]);
  });

  it("credits a payer that the token blocks, on refund and on cancel", async () => {
    const token = await createHostileToken();
    const late = await s.draftDeal(client, provider, { token: token.address });
    await escrow.write.open([late, ...s.sign(late, client, provider)], byClient);
    const cancelled = await deliver(token.address);
    await token.write.setBlocked([client.account, true]);
    await escrow.write.cancel([cancelled, ...s.signCancel(cancelled, client, provider)]);
    await networkHelpers.time.increaseTo(late.submitBy + 1);
    await escrow.write.refund([late], byProvider);
    expect(await escrow.read.creditOf([token.address, client.account])).to.equal(2n * PRICE);
    expect(await token.read.balanceOf([escrow.address])).to.equal(2n * PRICE);
  });

  it("credits when the token answers false on the way out, and owes no less", async () => {
    const token = await createHostileToken();
    const deal = await deliver(token.address);
    await token.write.setAnswer([answers.falseAndNothingMoves]);
    await escrow.write.complete([deal, 1], byClient);
    await token.write.setAnswer([answers.true]);
    await escrow.write.withdrawCredit([token.address, provider.account], byProvider);
    expect(await token.read.balanceOf([provider.account])).to.equal(PRICE);
  });

  it("cannot be blocked by a recipient that burns all gas; the record is made first", async () => {
    const token = await createHostileToken();
    const topic = 77n;
    const deal = await deliver(token.address, provider, { topic });
    await token.write.setGasTrap([provider.account, true]);
    await escrow.write.complete([deal, 40], { ...byClient, gas: 3_000_000n });
    expect(await escrow.read.creditOf([token.address, provider.account])).to.equal(PRICE);
    const pair = await s.ledger.read.pairOf([topic, Number(client.agentId), Number(provider.agentId)]);
    expect(pair).to.deep.equal([40, 0]);
  });

  it("turns no payment into a credit for a caller that gives little gas", async () => {
    const token = await createHostileToken();
    const deal = await deliver(token.address, provider, { topic: 0n });
    await networkHelpers.time.increase(deal.reviewPeriod);
    const snapshot = await networkHelpers.takeSnapshot();
    for (let gas = 40_000n; gas <= 140_000n; gas += 2_500n) {
      try {
        await escrow.write.release([deal], { account: stranger.address, gas });
      } catch {
        continue;
      }
      expect(await token.read.balanceOf([provider.account]), `gas ${gas}`).to.equal(PRICE);
      await snapshot.restore();
    }
  });
});

describe("DealEscrow against re-entry", () => {
  it("by a payee's hook: the nested calls find a settled deal, the payee is paid once", async () => {
    const token = await createHostileToken();
    const { wallet, agent } = await createContractAgent(5);
    const deal = await deliver(token.address, agent);
    const other = await deliver(token.address);
    await wallet.write.execute([
      escrow.address,
      encodeFunctionData({ abi: escrow.abi, functionName: "submit", args: [deal, DELIVERABLE] }),
    ]);
    await token.write.setHooks([wallet.address, true]);
    const plan = [
      { target: escrow.address, input: escrowCall("complete", deal) },
      { target: escrow.address, input: escrowCall("release", deal) },
      { target: escrow.address, input: escrowCall("refund", deal) },
      { target: escrow.address, input: escrowCall("complete", other) },
      {
        target: escrow.address,
        input: encodeFunctionData({
          abi: escrow.abi,
          functionName: "withdrawCredit",
          args: [token.address, wallet.address],
        }),
      },
    ];
    await wallet.write.setPlan([plan, false, false]);
    await escrow.write.complete([deal, 1], byClient);
    expect(await wallet.read.attemptCount()).to.equal(5n);
    expect(await wallet.read.successCount()).to.equal(0n);
    expect(await token.read.balanceOf([wallet.address])).to.equal(PRICE);
    expect(await token.read.balanceOf([escrow.address])).to.equal(PRICE);
  });

  it("by a payee's hook that reverts: the payee is credited, the client is free", async () => {
    const token = await createHostileToken();
    const { wallet, agent } = await createContractAgent(6);
    const deal = await deliver(token.address, agent);
    await wallet.write.execute([
      escrow.address,
      encodeFunctionData({ abi: escrow.abi, functionName: "submit", args: [deal, DELIVERABLE] }),
    ]);
    await token.write.setHooks([wallet.address, true]);
    await wallet.write.setPlan([[{ target: escrow.address, input: escrowCall("complete", deal) }], true, false]);
    await escrow.write.complete([deal, 1], byClient);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Completed");
    expect(await escrow.read.creditOf([token.address, wallet.address])).to.equal(PRICE);
  });

  it("by a payer's hook: no deal opens, ends or pays inside an opening", async () => {
    const token = await createHostileToken();
    const { wallet, agent } = await createContractAgent(7);
    await token.write.mint([wallet.address, 10n * PRICE]);
    await wallet.write.execute([
      token.address,
      encodeFunctionData({ abi: token.abi, functionName: "approve", args: [escrow.address, 2n ** 256n - 1n] }),
    ]);
    const ready = await deliver(token.address);
    await networkHelpers.time.increase(ready.reviewPeriod);
    await token.write.setHooks([wallet.address, true]);
    const outer = await s.draftDeal(agent, provider, { token: token.address });
    const inner = await s.draftDeal(agent, provider, { token: token.address });
    const openCall = (deal: Deal) =>
      encodeFunctionData({ abi: escrow.abi, functionName: "open", args: [deal, ...s.sign(deal, agent, provider)] });
    const cancelCall = encodeFunctionData({
      abi: escrow.abi,
      functionName: "cancel",
      args: [outer, ...s.signCancel(outer, agent, provider)],
    });

    // Another opening is stopped by the guard; the outer one goes on.
    await wallet.write.setPlan([[{ target: escrow.address, input: openCall(inner) }], false, false]);
    await wallet.write.execute([escrow.address, openCall(outer)]);
    expect(await wallet.read.successCount()).to.equal(0n);
    expect(await s.stateOf(dealIdOf(inner))).to.equal("Open");
    await wallet.write.setPlan([[], false, false]);
    await wallet.write.execute([escrow.address, cancelCall]);

    const shortfall = encodeErrorResult({
      abi: escrow.abi,
      errorName: "DealEscrowShortfall",
      args: [token.address, PRICE, 0n],
    });
    // Money that leaves meanwhile makes the opening revert, with everything that it did.
    await wallet.write.setPlan([[{ target: escrow.address, input: escrowCall("release", ready) }], false, false]);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      wallet.write.execute([escrow.address, openCall(inner)]),
      wallet,
      "ReentrantWalletCallFailed",
      [shortfall],
    );
    const selfCancel = encodeFunctionData({
      abi: escrow.abi,
      functionName: "cancel",
      args: [inner, ...s.signCancel(inner, agent, provider)],
    });
    await wallet.write.setPlan([[{ target: escrow.address, input: selfCancel }], false, false]);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      wallet.write.execute([escrow.address, openCall(inner)]),
      wallet,
      "ReentrantWalletCallFailed",
      [shortfall],
    );
    expect(await s.stateOf(dealIdOf(inner))).to.equal("Open");
    expect(await token.read.balanceOf([escrow.address])).to.equal(PRICE);
  });

  it("by an ERC-1271 signer: a check by staticcall writes nothing", async () => {
    const { wallet, agent } = await createContractAgent(8);
    const deal = await s.draftDeal(client, agent);
    const victim = await s.submitDeal();
    await networkHelpers.time.increase(victim.deal.reviewPeriod);
    const call = { target: escrow.address, input: escrowCall("release", victim.deal) };
    await wallet.write.setPlan([[call], true, true]);
    await s.expectRefusal(
      escrow.write.open([deal, ...s.sign(deal, client, agent)], byClient),
      "DealEscrowBadSignature",
      [dealIdOf(deal), agent.agentId],
    );
    await wallet.write.setPlan([[call], false, true]);
    const fresh = await s.draftDeal(client, agent);
    await escrow.write.open([fresh, ...s.sign(fresh, client, agent)], byClient);
    expect(await s.stateOf(victim.dealId)).to.equal("Submitted");
  });

  it("by an ERC-1271 signer with another key's signature: refused", async () => {
    const { agent } = await createContractAgent(9);
    const deal = await s.draftDeal(client, agent);
    const forged = { signer: agent.account, signature: stranger.sign(dealDigestOf(deal, s.contracts)) };
    await s.expectRefusal(
      escrow.write.open([deal, s.sign(deal, client, agent)[0], forged], byClient),
      "DealEscrowBadSignature",
      [dealIdOf(deal), agent.agentId],
    );
  });
});
