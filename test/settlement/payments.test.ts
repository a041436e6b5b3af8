import { expect } from "chai";
import {
  encodeAbiParameters,
  getAddress,
  hashTypedData,
  parseEther,
  zeroAddress,
  zeroHash,
  type Address,
  type Hex,
} from "viem";
import {
  bondPaymentDigestOf,
  dealIdOf,
  dealPaymentDigestOf,
  rootOfShares,
  splitPot,
  structTypes,
  typedDataDigest,
  type Deal,
  type Share,
  type Signer,
} from "#protocol";
import { PERMIT2, putPermit2 } from "../fixtures/permit2.ts";
import { createSettlement, DELIVERABLE, PRICE, signerAt } from "./fixture.ts";

const s = await createSettlement();
const { escrow, funding, token, client, provider, stranger, publicClient } = s;
const byClient = { account: client.account };
const byProvider = { account: provider.account };
const byStranger = { account: stranger.address };
const BOND = 300_000n;
const kinds = { direct: 0, authorization: 1, permit2: 2 } as const;
await s.endow(provider.account);
for (const { account } of [client, provider]) {
  await token.write.approve([PERMIT2, 2n ** 256n - 1n], { account });
}
const permit2 = await putPermit2(s.viem);

const balanceOf = (account: Address) => token.read.balanceOf([account]);
const wei = (address: Address) => publicClient.getBalance({ address });
const nothing = { kind: kinds.direct, payer: zeroAddress, authorization: "0x" } as const;

function authorized(deal: Deal, payer: Signer, side: "client" | "provider") {
  const window = { payer: payer.address, validAfter: 0n, validBefore: 2n ** 48n };
  const digestOf = side === "client" ? dealPaymentDigestOf : bondPaymentDigestOf;
  const signature = payer.sign(digestOf(deal, funding.address, window, s.tokenDomain));
  const types = [{ type: "uint256" }, { type: "uint256" }, { type: "bytes" }] as const;
  const authorization = encodeAbiParameters(types, [window.validAfter, window.validBefore, signature]);
  return { kind: kinds.authorization, payer: payer.address, authorization };
}

/** What an attacker signs or reuses instead. */
interface PermitFlaw {
  readonly witness?: Deal;
  readonly nonce?: bigint;
  readonly spender?: Address;
  readonly chainId?: number;
  readonly token?: Address;
}

/** A Permit2 signature whose witness is the deal, as a wallet would show it. */
function permitted(deal: Deal, payer: Signer, amount: bigint, deadline = 2n ** 48n, odd: PermitFlaw = {}) {
  const types = {
    PermitWitnessTransferFrom: [
      { name: "permitted", type: "TokenPermissions" },
      { name: "spender", type: "address" },
      { name: "nonce", type: "uint256" },
      { name: "deadline", type: "uint256" },
      { name: "witness", type: "Deal" },
    ],
    TokenPermissions: [
      { name: "token", type: "address" },
      { name: "amount", type: "uint256" },
    ],
    Deal: structTypes.Deal,
  };
  const message = {
    permitted: { token: odd.token ?? deal.token, amount },
    ...{ spender: odd.spender ?? funding.address, nonce: odd.nonce ?? BigInt(dealIdOf(deal)) },
    ...{ deadline, witness: odd.witness ?? deal },
  };
  const domain = { name: "Permit2", chainId: odd.chainId ?? s.contracts.chainId, verifyingContract: PERMIT2 };
  const signature = payer.sign(
    hashTypedData({ domain, types, primaryType: "PermitWitnessTransferFrom", message } as never),
  );
  const authorization = encodeAbiParameters([{ type: "uint256" }, { type: "bytes" }], [deadline, signature]);
  return { kind: kinds.permit2, payer: payer.address, authorization };
}

describe("DealFunding.openWith", () => {
  it("collects both sides' money in every pair of ways, whoever relays it, and holds nothing after", async () => {
    const ways = {
      authorization: (deal: Deal, payer: Signer, side: "client" | "provider") => authorized(deal, payer, side),
      permit2: (deal: Deal, payer: Signer, side: "client" | "provider") =>
        permitted(deal, payer, side === "client" ? deal.price + deal.clientBond : deal.providerBond),
      direct: (_: Deal, payer: Signer) => ({ kind: kinds.direct, payer: payer.address, authorization: "0x" as Hex }),
    };
    await token.write.approve([funding.address, 2n ** 256n - 1n], byProvider);
    for (const ofClient of Object.values(ways)) {
      for (const ofProvider of Object.values(ways)) {
        const deal = await s.draftDeal(client, provider, { providerBond: BOND, clientBond: 5n });
        const before = [await balanceOf(client.account), await balanceOf(provider.account)] as const;
        const paying = {
          client: ofClient(deal, client.signer, "client"),
          provider: ofProvider(deal, provider.signer, "provider"),
          scoreProof: "0x" as Hex,
        };
        await funding.write.openWith([deal, ...s.sign(deal, client, provider), paying], byStranger);
        expect((await escrow.read.dealOf([dealIdOf(deal)]))[1].toLowerCase()).to.equal(client.account.toLowerCase());
        expect(before[0] - (await balanceOf(client.account))).to.equal(PRICE + 5n);
        expect(before[1] - (await balanceOf(provider.account))).to.equal(BOND);
        expect(await balanceOf(funding.address)).to.equal(0n);
      }
    }
  });

  it("spends nobody's allowance but the caller's or a signing side's", async () => {
    const deal = await s.draftDeal(client, provider);
    const paying = { client: { ...nothing, payer: provider.account }, provider: nothing, scoreProof: "0x" } as const;
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      funding.write.openWith([deal, ...s.sign(deal, client, provider), paying], byStranger),
      funding,
      "DealFundingBadPayer",
      [provider.account],
    );
    // The signer that is named did not sign: the escrow refuses, and the payment is undone.
    const forged = s.consent(stranger, zeroHash);
    const ofClient = { ...nothing, payer: client.account };
    await s.viem.assertions.revertWithCustomError(
      funding.write.openWith(
        [
          deal,
          { ...forged, signer: client.account },
          s.sign(deal, client, provider)[1],
          { ...paying, client: ofClient },
        ],
        byStranger,
      ),
      escrow,
      "DealEscrowBadSignature",
    );
  });

  it("takes no permit of another deal, a higher sum, or a second time", async () => {
    const deal = await s.draftDeal(client, provider);
    const other = await s.draftDeal(client, provider);
    const open = (of: Deal, permit: ReturnType<typeof permitted>) =>
      funding.write.openWith(
        [of, ...s.sign(of, client, provider), { client: permit, provider: nothing, scoreProof: "0x" }],
        byStranger,
      );
    const refused: [Deal, ReturnType<typeof permitted>, "InvalidSigner" | "SignatureExpired"][] = [
      [deal, permitted(other, client.signer, PRICE), "InvalidSigner"],
      [deal, permitted(deal, client.signer, PRICE + 1n), "InvalidSigner"],
      [deal, permitted(deal, client.signer, PRICE, 1n), "SignatureExpired"],
    ];
    for (const [of, permit, name] of refused) {
      await s.viem.assertions.revertWithCustomError(open(of, permit), permit2, name);
    }
    await open(deal, permitted(deal, client.signer, PRICE));
    await s.viem.assertions.revertWithCustomError(
      open(deal, permitted(deal, client.signer, PRICE)),
      permit2,
      "InvalidNonce",
    );
  });
});

describe("a Permit2 signature", () => {
  const LATER = 2n ** 48n;

  it("of another witness, nonce, spender, chain or token moves nothing", async () => {
    const deal = await s.draftDeal(client, provider);
    const twin = { ...deal, price: deal.price - 1n };
    const otherFunding = await s.viem.deployContract("DealFunding", [escrow.address]);
    const flaws: PermitFlaw[] = [
      { witness: twin },
      { nonce: BigInt(dealIdOf(twin)) },
      { spender: otherFunding.address },
      { spender: escrow.address },
      { chainId: 1 },
      { token: stranger.address },
    ];
    for (const flaw of flaws) {
      const permit = permitted(deal, client.signer, PRICE, LATER, flaw);
      await s.viem.assertions.revertWithCustomError(
        funding.write.openWith(
          [deal, ...s.sign(deal, client, provider), { client: permit, provider: nothing, scoreProof: "0x" }],
          byStranger,
        ),
        permit2,
        "InvalidSigner",
      );
    }
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Open");
  });

  it("of a stranger is no payment in the client's name, and of a cancelled deal none at all", async () => {
    const deal = await s.draftDeal(client, provider);
    const open = (permit: ReturnType<typeof permitted>) =>
      funding.write.openWith(
        [deal, ...s.sign(deal, client, provider), { client: permit, provider: nothing, scoreProof: "0x" }],
        byStranger,
      );
    const forged = { ...permitted(deal, stranger, PRICE), payer: client.account };
    await s.viem.assertions.revertWithCustomError(open(forged), permit2, "InvalidSigner");
    await escrow.write.withdrawOffer([deal], byClient);
    const before = await balanceOf(client.account);
    await s.viem.assertions.revertWithCustomError(
      open(permitted(deal, client.signer, PRICE)),
      escrow,
      "DealEscrowWrongState",
    );
    expect(await balanceOf(client.account)).to.equal(before);
  });
});

describe("native value", () => {
  const price = parseEther("1");

  it("pays a deal, its bonds, and its end; the provider's bond comes out of its credit", async () => {
    const deal = await s.draftDeal(client, provider, { token: zeroAddress, price, providerBond: BOND, clientBond: 7n });
    const consents = s.sign(deal, client, provider);
    const open = (value: bigint) => escrow.write.open([deal, ...consents], { ...byClient, value });
    await s.expectRefusal(open(price), "DealEscrowWrongValue", [price + 7n, price]);
    await s.expectRefusal(open(price + 7n), "CreditsNone", [zeroAddress, provider.account]);
    await escrow.write.depositCredit({ ...byProvider, value: BOND + 1n });
    await open(price + 7n);
    expect(await wei(escrow.address)).to.equal(price + BOND + 8n);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    const before = await wei(provider.account);
    await escrow.write.complete([deal, 10], byClient);
    expect((await wei(provider.account)) - before).to.equal(price + BOND);
    expect(await wei(escrow.address)).to.equal(1n);
    await escrow.write.withdrawCredit([zeroAddress, provider.account], byProvider);
    expect(await wei(escrow.address)).to.equal(0n);
  });

  it("is refused with a deal in a token", async () => {
    const deal = await s.draftDeal(client, provider);
    await s.expectRefusal(
      escrow.write.open([deal, ...s.sign(deal, client, provider)], { ...byClient, value: 1n }),
      "DealEscrowWrongValue",
      [0n, 1n],
    );
  });
});

describe("parts of the price", () => {
  it("are paid before and after delivery, for good; the rest stays under the same rules", async () => {
    const { deal, dealId } = await s.openDeal();
    const before = await balanceOf(provider.account);
    await escrow.write.releasePart([deal, 300_000n], byClient);
    await escrow.write.submit([deal, DELIVERABLE], byProvider);
    await escrow.write.releasePart([deal, 450_000n], byClient);
    expect((await balanceOf(provider.account)) - before).to.equal(450_000n);
    expect(await escrow.read.releasedOf([dealId])).to.equal(450_000n);
    await s.viem.assertions.emitWithArgs(escrow.write.complete([deal, 5], byClient), escrow, "DealCompleted", [
      dealId,
      provider.account,
      PRICE - 450_000n,
      5,
    ]);
  });

  it("grow, stay below the price, are the client's, and a signature over one works once", async () => {
    const { deal, dealId } = await s.openDeal();
    const digest = typedDataDigest("DealPartRelease", { dealId, released: 10n }, s.contracts);
    const consent = s.consent(client.signer, digest);
    await escrow.write.releasePartFor([deal, 10n, consent], byStranger);
    const bad = (released: bigint, call: Promise<Hex>) =>
      s.expectRefusal(call, "DealEscrowBadPart", [dealId, released, 11n, PRICE - 1n]);
    await bad(10n, escrow.write.releasePartFor([deal, 10n, consent], byStranger));
    await bad(PRICE, escrow.write.releasePart([deal, PRICE], byClient));
    await s.expectRefusal(escrow.write.releasePart([deal, 20n], byProvider), "DealEscrowNotParty", [
      dealId,
      client.agentId,
      provider.account,
    ]);
  });

  it("are not refunded with a late delivery", async () => {
    const { deal } = await s.openDeal();
    await escrow.write.releasePart([deal, 400_000n], byClient);
    await s.networkHelpers.time.increaseTo(deal.submitBy + 1);
    const before = await balanceOf(client.account);
    await escrow.write.refund([deal], byStranger);
    expect((await balanceOf(client.account)) - before).to.equal(600_000n);
  });
});

describe("splits", () => {
  const shares: Share[] = [
    { account: signerAt(15).address, millionths: 333_333 },
    { account: signerAt(16).address, millionths: 333_333 },
    { account: signerAt(17).address, millionths: 100_000 },
  ];
  const price = 1_000_001n;

  it("wait for their shares, pay each rounded down, and leave the dust to the provider", async () => {
    const { deal, dealId } = await s.submitDeal({ splitsRoot: rootOfShares(shares), price });
    await s.expectRefusal(escrow.write.distribute([deal, shares], byStranger), "DealEscrowNothingToDistribute", [
      dealId,
    ]);
    await escrow.write.complete([deal, 1], byClient);
    expect(await escrow.read.potOf([dealId])).to.equal(price);
    const { amounts, rest } = splitPot(price, shares);
    const before = await balanceOf(provider.account);
    await escrow.write.distribute([deal, shares], byStranger);
    for (const [k, { account }] of shares.entries()) expect(await balanceOf(account)).to.equal(amounts[k]);
    expect((await balanceOf(provider.account)) - before).to.equal(rest);
    expect(amounts.reduce((sum, amount) => sum + amount, rest)).to.equal(price);
    await s.expectRefusal(escrow.write.distribute([deal, shares], byStranger), "DealEscrowNothingToDistribute", [
      dealId,
    ]);
  });

  it("want the very leaves, in order, and at most the whole", async () => {
    const { deal } = await s.submitDeal({ splitsRoot: rootOfShares(shares) });
    await escrow.write.complete([deal, 1], byClient);
    const [a, b, c] = shares as [Share, Share, Share];
    for (const wrong of [[b, a, c], [a, b], [a, b, c, c], [], [{ ...a, millionths: 1 }, b, c]]) {
      await s.viem.assertions.revertWithCustomError(
        escrow.write.distribute([deal, wrong], byStranger),
        escrow,
        "DealEscrowBadShares",
      );
    }
    const tooMuch = [a, b, { ...c, millionths: 333_335 }];
    const greedy = await s.submitDeal({ splitsRoot: rootOfShares(tooMuch) });
    await escrow.write.complete([greedy.deal, 1], byClient);
    await s.viem.assertions.revertWithCustomError(
      escrow.write.distribute([greedy.deal, tooMuch], byStranger),
      escrow,
      "DealEscrowBadShares",
    );
  });

  it("hold for every count of leaves that the mirror and the chain agree on", async () => {
    for (const count of [1, 2, 3, 5, 8, 13]) {
      const many = Array.from({ length: count }, (_, k) => ({ account: signerAt(15).address, millionths: k + 1 }));
      const { deal, dealId } = await s.submitDeal({ splitsRoot: rootOfShares(many) });
      await escrow.write.complete([deal, 1], byClient);
      await escrow.write.distribute([deal, many], byStranger);
      expect(await escrow.read.potOf([dealId])).to.equal(0n);
    }
  });
});

describe("steps by signature", () => {
  it("submit, complete and withdraw for whoever signed, once, and for nobody else", async () => {
    const { deal, dealId } = await s.openDeal();
    const submission = typedDataDigest("DealSubmit", { dealId, deliverableHash: DELIVERABLE }, s.contracts);
    await s.expectRefusal(
      escrow.write.submitFor([deal, DELIVERABLE, s.consent(client.signer, submission)], byStranger),
      "DealEscrowInvalidSigner",
      [provider.agentId, client.signer.signerHash],
    );
    await escrow.write.submitFor([deal, DELIVERABLE, s.consent(provider.signer, submission)], byStranger);
    const completion = s.consent(client.signer, typedDataDigest("DealComplete", { dealId, rating: 9 }, s.contracts));
    await s.expectRefusal(escrow.write.completeFor([deal, 10, completion], byStranger), "DealEscrowBadSignature", [
      dealId,
      client.agentId,
    ]);
    await escrow.write.completeFor([deal, 9, completion], byStranger);
    expect(await s.stateOf(dealId)).to.equal("Completed");
    const offer = await s.draftDeal(client, provider);
    const withdrawal = typedDataDigest("OfferWithdrawal", { dealId: dealIdOf(offer) }, s.contracts);
    await escrow.write.withdrawOfferFor([offer, s.consent(provider.signer, withdrawal)], byStranger);
    expect(await s.stateOf(dealIdOf(offer))).to.equal("Cancelled");
  });

  it("count on no other chain, in no other escrow, for no other struct, and not a second time", async () => {
    const { deal, dealId } = await s.openDeal();
    const other = await s.createOtherEscrow();
    const domains = {
      otherChain: { ...s.contracts, chainId: 1 },
      otherEscrow: { ...s.contracts, dealEscrow: other.address },
    };
    const submission = { dealId, deliverableHash: DELIVERABLE };
    const submit = (signature: Hex) =>
      escrow.write.submitFor([deal, DELIVERABLE, { signer: provider.account, signature }], byStranger);
    const badOf = (agentId: bigint) => [dealId, agentId];
    for (const contracts of Object.values(domains)) {
      const signature = provider.signer.sign(typedDataDigest("DealSubmit", submission, contracts));
      await s.expectRefusal(submit(signature), "DealEscrowBadSignature", badOf(provider.agentId));
    }
    const otherHash = typedDataDigest("DealSubmit", { ...submission, deliverableHash: dealId }, s.contracts);
    await s.expectRefusal(submit(provider.signer.sign(otherHash)), "DealEscrowBadSignature", badOf(provider.agentId));
    const good = provider.signer.sign(typedDataDigest("DealSubmit", submission, s.contracts));
    await submit(good);
    await s.expectRefusal(submit(good), "DealEscrowWrongState", [dealId, 2, 1]);
    const complete = (signature: Hex, rating = 9) =>
      escrow.write.completeFor([deal, rating, { signer: client.account, signature }], byStranger);
    for (const contracts of Object.values(domains)) {
      const signature = client.signer.sign(typedDataDigest("DealComplete", { dealId, rating: 9 }, contracts));
      await s.expectRefusal(complete(signature), "DealEscrowBadSignature", badOf(client.agentId));
    }
    // A consent to another step of the same deal is none to this one.
    const dispute = client.signer.sign(
      typedDataDigest("DealDispute", { dealId, reasonHash: DELIVERABLE }, s.contracts),
    );
    await s.expectRefusal(complete(dispute), "DealEscrowBadSignature", badOf(client.agentId));
    const consent = client.signer.sign(typedDataDigest("DealComplete", { dealId, rating: 9 }, s.contracts));
    await s.expectRefusal(complete(consent, 101), "DealEscrowBadRating", [101]);
    await complete(consent);
    await s.expectRefusal(complete(consent), "DealEscrowWrongState", [dealId, 3, 2]);
  });

  it("of another deal's sides, or an empty one that somebody else relays, move nothing", async () => {
    const { deal, dealId } = await s.openDeal();
    const second = await s.openDeal();
    const ofSecond = provider.signer.sign(
      typedDataDigest("DealSubmit", { dealId: second.dealId, deliverableHash: DELIVERABLE }, s.contracts),
    );
    for (const signature of [ofSecond, "0x" as Hex]) {
      await s.expectRefusal(
        escrow.write.submitFor([deal, DELIVERABLE, { signer: provider.account, signature }], byStranger),
        "DealEscrowBadSignature",
        [dealId, provider.agentId],
      );
    }
    expect(await s.stateOf(dealId)).to.equal("Funded");
  });
});

describe("DealFunding", () => {
  const direct = (payer: Address) => ({ kind: kinds.direct, payer, authorization: "0x" as Hex });
  const open = (deal: Deal, ofClient: Address, account: Address, value = 0n) =>
    funding.write.openWith(
      [
        ...[deal, ...s.sign(deal, client, provider)],
        { client: direct(ofClient), provider: direct(provider.account), scoreProof: "0x" },
      ] as never,
      { account, value },
    );
  type FundingError = "DealFundingBadPayer" | "DealFundingWrongValue" | "DealFundingShortfall";
  const refuses = (call: Promise<Hex>, name: FundingError, args: unknown[]) =>
    s.viem.assertions.revertWithCustomErrorWithArgs(call, funding, name, args as never);

  it("takes native value from its caller alone, for both sides, to the wei", async () => {
    const deal = await s.draftDeal(client, provider, {
      token: zeroAddress,
      price: 90n,
      providerBond: 7n,
      clientBond: 3n,
    });
    await refuses(open(deal, client.account, stranger.address, 100n), "DealFundingBadPayer", [client.account]);
    await refuses(open(deal, stranger.address, stranger.address, 99n), "DealFundingWrongValue", [100n, 99n]);
    await open(deal, stranger.address, stranger.address, 100n);
    expect((await escrow.read.dealOf([dealIdOf(deal)]))[1].toLowerCase()).to.equal(stranger.address.toLowerCase());
    const inToken = await s.draftDeal(client, provider);
    await refuses(open(inToken, client.account, client.account, 1n), "DealFundingWrongValue", [0n, 1n]);
  });

  it("lets anybody pay from its own pocket, and is refused by a token that keeps a part", async () => {
    const paidByStranger = await s.draftDeal(client, provider);
    await open(paidByStranger, stranger.address, stranger.address);
    expect((await escrow.read.dealOf([dealIdOf(paidByStranger)]))[1].toLowerCase()).to.equal(
      stranger.address.toLowerCase(),
    );
    const keeping = await s.viem.deployContract("HostileToken");
    await keeping.write.mint([client.account, PRICE]);
    await keeping.write.approve([funding.address, PRICE], byClient);
    await keeping.write.setFee([100n]);
    const deal = await s.draftDeal(client, provider, { token: getAddress(keeping.address) });
    await refuses(open(deal, client.account, client.account), "DealFundingShortfall", [
      getAddress(keeping.address),
      PRICE,
      PRICE - PRICE / 100n,
    ]);
  });
});

describe("what the escrow bounds", () => {
  it("is a list of shares: 128 are paid, 129 are refused before they are hashed", async () => {
    const listOf = (count: number): Share[] =>
      Array.from({ length: count }, (_, k) => ({ account: signerAt(15).address, millionths: k }));
    for (const count of [128, 129]) {
      const { deal } = await s.submitDeal({ splitsRoot: rootOfShares(listOf(count)) });
      await escrow.write.complete([deal, 1], byClient);
      const call = escrow.write.distribute([deal, listOf(count)], { ...byStranger, gas: 12_000_000n });
      if (count === 129) await s.expectRefusal(call, "DealEscrowTooManyShares", [129n, 128n]);
      else await call;
    }
  });

  it("is who withdraws an offer: either side, and nobody for an agent that does not exist", async () => {
    const offer = await s.draftDeal(client, provider);
    const digest = typedDataDigest("OfferWithdrawal", { dealId: dealIdOf(offer) }, s.contracts);
    await escrow.write.withdrawOfferFor([offer, s.consent(client.signer, digest)], byStranger);
    expect(await s.stateOf(dealIdOf(offer))).to.equal("Cancelled");
    const ofNobody = await s.draftDeal(client, provider, { clientAgentId: 998n, providerAgentId: 999n });
    await s.expectRefusal(escrow.write.withdrawOffer([ofNobody], byStranger), "DealEscrowNotParty", [
      ...[dealIdOf(ofNobody), 998n, getAddress(stranger.address)],
    ]);
  });
});
