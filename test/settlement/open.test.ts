import { expect } from "chai";
import {
  concat,
  encodeFunctionData,
  keccak256,
  padHex,
  parseEventLogs,
  size,
  slice,
  toHex,
  zeroAddress,
  zeroHash,
  type Hex,
} from "viem";
import {
  dealDigestOf,
  dealIdOf,
  purposes,
  signerHashOf,
  structHashDigest,
  structTypes,
  typedDataDigest,
  type Deal,
} from "#protocol";
import { createSettlement, MAX_ARBITRATION, MAX_DELIVERY, MAX_REVIEW_PERIOD, PRICE, signerAt } from "./fixture.ts";

const s = await createSettlement();
const { escrow, token, client, provider, stranger, networkHelpers } = s;

/** Opens by the client's allowance with changed parts. */
async function open(deal: Deal, consents = s.sign(deal, client, provider), account = client.account): Promise<Hex> {
  return escrow.write.open([deal, ...consents], { account });
}

describe("DealEscrow.open", () => {
  it("funds a deal of both signatures by the caller's allowance, and tells every term", async () => {
    const deal = await s.draftDeal(client, provider);
    const before = await token.read.balanceOf([escrow.address]);
    const hash = await open(deal, undefined, stranger.address);
    expect(await escrow.read.dealOf([dealIdOf(deal)])).to.deep.equal([1, stranger.address, 0]);
    expect((await token.read.balanceOf([escrow.address])) - before).to.equal(PRICE);
    const { logs } = await s.publicClient.getTransactionReceipt({ hash });
    const [funded] = parseEventLogs({ abi: escrow.abi, logs, eventName: "DealFunded" });
    expect(funded?.args).to.deep.equal({
      dealId: dealIdOf(deal),
      clientAgentId: client.agentId,
      providerAgentId: provider.agentId,
      payer: stranger.address,
      deal,
    });
  });

  it("takes the caller's own transaction for its signature", async () => {
    const deal = await s.draftDeal(client, provider);
    const [ofClient, ofProvider] = s.sign(deal, client, provider);
    await open(deal, [{ ...ofClient, signature: "0x" }, ofProvider]);
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Funded");
  });

  it("takes an empty signature from nobody else", async () => {
    const deal = await s.draftDeal(client, provider);
    const [ofClient, ofProvider] = s.sign(deal, client, provider);
    await s.expectRefusal(
      open(deal, [{ ...ofClient, signature: "0x" }, ofProvider], stranger.address),
      "DealEscrowBadSignature",
      [dealIdOf(deal), client.agentId],
    );
    await s.expectRefusal(open(deal, [ofClient, { ...ofProvider, signature: "0x" }]), "DealEscrowBadSignature", [
      dealIdOf(deal),
      provider.agentId,
    ]);
  });

  it("opens a deal once, whoever tries and whatever became of it", async () => {
    const { deal, dealId } = await s.openDeal();
    await s.expectRefusal(open(deal), "DealEscrowWrongState", [dealId, 1, 0]);
    await escrow.write.cancel([deal, ...s.signCancel(deal, client, provider)]);
    await s.expectRefusal(open(deal), "DealEscrowWrongState", [dealId, 7, 0]);
  });

  it("gives a squatter nothing to squat: the id is the hash of signed terms", async () => {
    const deal = await s.draftDeal(client, provider);
    const squatted = { ...deal, price: 1n };
    const consents = s.sign(deal, client, provider);
    await s.expectRefusal(open(squatted, consents, stranger.address), "DealEscrowBadSignature", [
      dealIdOf(squatted),
      client.agentId,
    ]);
    await open(deal, consents);
  });

  describe("signatures", () => {
    it("of another chain, another escrow or another struct count nothing", async () => {
      const deal = await s.draftDeal(client, provider);
      const foreign = [
        dealDigestOf(deal, { ...s.contracts, chainId: 1 }),
        dealDigestOf(deal, { ...s.contracts, dealEscrow: s.vault.address }),
        typedDataDigest("DealCancel", { dealId: dealIdOf(deal) }, s.contracts),
        dealIdOf(deal),
      ];
      const ofProvider = s.sign(deal, client, provider)[1];
      for (const digest of foreign) {
        await s.expectRefusal(open(deal, [s.consent(client.signer, digest), ofProvider]), "DealEscrowBadSignature", [
          dealIdOf(deal),
          client.agentId,
        ]);
      }
    });

    it("of every changed term count nothing", async () => {
      const deal = await s.draftDeal(client, provider, { topic: 0n });
      const consents = s.sign(deal, client, provider);
      const changes: Partial<Deal>[] = [
        { topic: 1n },
        { price: PRICE + 1n },
        { submitBy: deal.submitBy + 1 },
        { reviewPeriod: deal.reviewPeriod + 1 },
        { mechanismHash: zeroHash },
        { certificateHash: zeroHash },
        { specHash: zeroHash },
        { epoch: 1 },
        { salt: deal.salt + 1_000n },
        { token: s.registry.address },
      ];
      for (const change of changes) {
        const changed = { ...deal, ...change };
        await s.expectRefusal(open(changed, consents), "DealEscrowBadSignature", [dealIdOf(changed), client.agentId]);
      }
    });

    it("malformed in any way count nothing", async () => {
      const deal = await s.draftDeal(client, provider);
      const [ofClient, ofProvider] = s.sign(deal, client, provider);
      const { signature } = ofProvider;
      const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
      const highS = padHex(toHex(order - BigInt(slice(signature, 32, 64))), { size: 32 });
      const flippedV = slice(signature, 64) === "0x1b" ? "0x1c" : "0x1b";
      const malformed: Hex[] = [
        "0x00",
        slice(signature, 0, 64),
        concat([signature, "0x00"]),
        concat([slice(signature, 0, 64), flippedV]),
        concat([slice(signature, 0, 64), "0x00"]),
        concat([slice(signature, 0, 32), highS, flippedV]),
        padHex("0x", { size: 65 }),
      ];
      for (const bytes of malformed) {
        await s.expectRefusal(open(deal, [ofClient, { ...ofProvider, signature: bytes }]), "DealEscrowBadSignature", [
          dealIdOf(deal),
          provider.agentId,
        ]);
      }
    });

    it("of signers that do not speak for the agent are refused by name", async () => {
      const deal = await s.draftDeal(client, provider);
      const [ofClient, ofProvider] = s.sign(deal, client, provider);
      const byStranger = s.consent(stranger, dealDigestOf(deal, s.contracts));
      const refused: [Parameters<typeof open>[1], bigint, Hex][] = [
        [[byStranger, ofProvider], client.agentId, stranger.signerHash],
        [[ofClient, byStranger], provider.agentId, stranger.signerHash],
        [[ofProvider, ofClient], client.agentId, provider.signer.signerHash],
        [[ofClient, { ...ofProvider, signer: "0x" }], provider.agentId, signerHashOf("0x")],
        [[ofClient, { ...ofProvider, signer: "0x1234" }], provider.agentId, signerHashOf("0x1234")],
      ];
      for (const [consents, agentId, signerHash] of refused) {
        await s.expectRefusal(open(deal, consents), "DealEscrowInvalidSigner", [agentId, signerHash]);
      }
    });

    it("count to the last second of a signer's window", async () => {
      const start = await networkHelpers.time.latest();
      const brief = await s.registerAgent(5, start + 1_000);
      const deal = await s.draftDeal(client, brief);
      const consents = s.sign(deal, client, brief);
      await s.atSecond(start + 1_000);
      await s.expectRefusal(open(deal, consents), "DealEscrowInvalidSigner", [brief.agentId, brief.signer.signerHash]);
      const other = await s.registerAgent(6, start + 3_000);
      const second = await s.draftDeal(client, other);
      await s.atSecond(start + 2_999);
      await open(second, s.sign(second, client, other));
    });

    it("of a revoked signer count nothing, though made before", async () => {
      const agent = await s.registerAgent(7);
      const hot = await s.bindLogSigner(agent, 8);
      const deal = await s.draftDeal(client, agent);
      const consents = [s.sign(deal, client, agent)[0], s.consent(hot, dealDigestOf(deal, s.contracts))] as const;
      await s.registry.write.revokeSigner([agent.agentId, hot.signerHash, 0], { account: agent.account });
      await s.expectRefusal(open(deal, consents), "DealEscrowInvalidSigner", [agent.agentId, hot.signerHash]);
    });

    it("of a signer bound for another purpose count nothing", async () => {
      const agent = await s.registerAgent(9);
      const transport = signerAt(10);
      const deadline = (await networkHelpers.time.latest()) + 3_600;
      const binding = {
        agentId: agent.agentId,
        owner: agent.account,
        signerHash: transport.signerHash,
        purpose: purposes.transport,
        validFrom: 0,
        validUntil: 0,
        deadline,
      };
      const proof = transport.sign(typedDataDigest("SignerBinding", binding, s.contracts));
      await s.registry.write.bindSigner([agent.agentId, transport.address, purposes.transport, 0, 0, deadline, proof], {
        account: agent.account,
      });
      const deal = await s.draftDeal(client, agent);
      const consents = [s.sign(deal, client, agent)[0], s.consent(transport, dealDigestOf(deal, s.contracts))] as const;
      await s.expectRefusal(open(deal, consents), "DealEscrowInvalidSigner", [agent.agentId, transport.signerHash]);
    });
  });

  describe("terms", () => {
    it("must be sound, one by one", async () => {
      const now = (await networkHelpers.time.latest()) + 10;
      const large = 2n ** 32n;
      const refused: [Partial<Deal>, Parameters<typeof s.expectRefusal>[1], unknown[]][] = [
        [{ price: 0n }, "DealEscrowZeroPrice", []],
        [{ token: zeroAddress }, "DealEscrowWrongValue", [PRICE, 0n]],
        [{ token: stranger.address }, "DealEscrowBadToken", [stranger.address]],
        [{ submitBy: now - 1 }, "DealEscrowBadSubmitBy", [now - 1, BigInt(now + 1), BigInt(now + MAX_DELIVERY)]],
        [{ submitBy: now }, "DealEscrowBadSubmitBy", [now, BigInt(now + 1), BigInt(now + MAX_DELIVERY)]],
        [
          { submitBy: now + MAX_DELIVERY + 1 },
          "DealEscrowBadSubmitBy",
          [now + MAX_DELIVERY + 1, BigInt(now + 1), BigInt(now + MAX_DELIVERY)],
        ],
        [
          { reviewPeriod: MAX_REVIEW_PERIOD + 1 },
          "DealEscrowBadReviewPeriod",
          [MAX_REVIEW_PERIOD + 1, MAX_REVIEW_PERIOD],
        ],
        [{ providerAgentId: client.agentId }, "DealEscrowSelfDeal", [client.agentId]],
        [{ clientAgentId: large }, "DealEscrowAgentIdTooLarge", [large, large - 1n]],
        [{ providerAgentId: large }, "DealEscrowAgentIdTooLarge", [large, large - 1n]],
        [{ price: 2n ** 128n }, "DealEscrowAmountTooLarge", [2n ** 128n, 2n ** 128n - 1n]],
        [{ clientBond: 2n ** 128n, price: 1n }, "DealEscrowAmountTooLarge", [2n ** 128n + 1n, 2n ** 128n - 1n]],
        [{ arbiterDeadline: 1 }, "DealEscrowBadArbiterDeadline", [1, 0n, 0n]],
        [
          { arbiter: stranger.address, submitBy: now + 5, reviewPeriod: 7, arbiterDeadline: now + 12 },
          "DealEscrowBadArbiterDeadline",
          [now + 12, BigInt(now + 13), BigInt(now + 12 + MAX_ARBITRATION)],
        ],
        [
          {
            arbiter: stranger.address,
            submitBy: now + 5,
            reviewPeriod: 7,
            arbiterDeadline: now + 13 + MAX_ARBITRATION,
          },
          "DealEscrowBadArbiterDeadline",
          [now + 13 + MAX_ARBITRATION, BigInt(now + 13), BigInt(now + 12 + MAX_ARBITRATION)],
        ],
      ];
      for (const [terms, name, args] of refused) {
        const deal = await s.draftDeal(client, provider, terms);
        await s.atSecond(now);
        await s.expectRefusal(open(deal), name, args);
      }
    });

    it("reach to their bounds: one second, 366 days, a review of 0 and of 30 days", async () => {
      for (const [delivery, reviewPeriod] of [
        [1, 0],
        [MAX_DELIVERY, MAX_REVIEW_PERIOD],
      ] as const) {
        const now = (await networkHelpers.time.latest()) + 10;
        const deal = await s.draftDeal(client, provider, { submitBy: now + delivery, reviewPeriod });
        await s.atSecond(now);
        await open(deal);
        expect(await s.stateOf(dealIdOf(deal))).to.equal("Funded");
      }
    });

    it("with unclean high bits name another deal, which nobody signed", async () => {
      const deal = await s.draftDeal(client, provider);
      const input = encodeFunctionData({
        abi: escrow.abi,
        functionName: "open",
        args: [deal, ...s.sign(deal, client, provider)],
      });
      // The topic is the third word: set a bit above its 64.
      const dirty = concat([slice(input, 0, 4 + 64), "0x01", slice(input, 4 + 65)]);
      const wallet = await s.viem.getWalletClient(client.account);
      await s.viem.assertions.revert(wallet.sendTransaction({ to: escrow.address, data: dirty }));
      await open(deal);
    });

    it("with unclean high bits of the epoch, which nothing else reads, are refused though both sides signed them", async () => {
      const deal = await s.draftDeal(client, provider, { epoch: 7 });
      const words = slice(s.encode(escrow, "digestOf", [deal]), 4);
      const [EPOCH, CLEAN_BYTES] = [15, 28];
      const typeHash = keccak256(
        toHex(`Deal(${structTypes.Deal.map(({ type, name }) => `${type} ${name}`).join(",")})`),
      );
      const opening = (isDirty: boolean) => {
        const at = EPOCH * 32 + CLEAN_BYTES - 1;
        const said = isDirty ? concat([slice(words, 0, at), "0x01", slice(words, at + 1)]) : words;
        const digest = structHashDigest("Deal", keccak256(concat([typeHash, said])), s.contracts);
        const consents = [s.consent(client.signer, digest), s.consent(provider.signer, digest)];
        const input = s.encode(escrow, "open", [deal, ...consents]);
        return concat([slice(input, 0, 4), said, slice(input, 4 + size(words))]);
      };
      const wallet = await s.viem.getWalletClient(client.account);
      const send = (isDirty: boolean) => wallet.sendTransaction({ to: escrow.address, data: opening(isDirty) });
      await s.viem.assertions.revert(send(true));
      await send(false);
      expect(await s.stateOf(dealIdOf(deal))).to.equal("Funded");
    });
  });
});

describe("DealEscrow.openWithAuthorization", () => {
  const relay = { account: stranger.address };

  it("funds a deal from the payer's signature, whoever relays it", async () => {
    const deal = await s.draftDeal(client, provider);
    const [ofClient, ofProvider] = s.sign(deal, client, provider);
    const authorization = s.authorize(deal, client.signer);
    await escrow.write.openWithAuthorization([deal, ofClient, ofProvider, authorization], relay);
    expect(await escrow.read.dealOf([dealIdOf(deal)])).to.deep.equal([1, client.account, 0]);
    expect(await token.read.authorizationState([client.account, dealIdOf(deal)])).to.equal(true);
  });

  it("refuses an authorization of another deal, payer, price or escrow", async () => {
    const deal = await s.draftDeal(client, provider);
    const consents = s.sign(deal, client, provider);
    const sound = s.authorize(deal, client.signer);
    const other = await s.createOtherEscrow();
    const refused = [
      s.authorize({ ...deal, salt: deal.salt + 500n }, client.signer),
      s.authorize({ ...deal, price: PRICE + 1n }, client.signer),
      s.authorize(deal, client.signer, undefined, other.address),
      { ...sound, payer: stranger.address },
      { ...sound, validBefore: sound.validBefore - 1n },
      { ...sound, signature: slice(sound.signature, 0, 64) },
    ];
    for (const authorization of refused) {
      await s.viem.assertions.revertWithCustomError(
        escrow.write.openWithAuthorization([deal, ...consents, authorization], relay),
        token,
        "ERC3009InvalidSignature",
      );
    }
    await escrow.write.openWithAuthorization([deal, ...consents, sound], relay);
  });

  it("refuses an authorization out of its time, and one that its payer cancelled", async () => {
    const now = (await networkHelpers.time.latest()) + 10;
    const deal = await s.draftDeal(client, provider);
    const consents = s.sign(deal, client, provider);
    const expired = s.authorize(deal, client.signer, BigInt(now));
    await s.atSecond(now);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      escrow.write.openWithAuthorization([deal, ...consents, expired], relay),
      token,
      "ERC3009InvalidAuthorizationTime",
      [0n, BigInt(now)],
    );
    await s.cancelAuthorization(deal, client.signer);
    await s.viem.assertions.revertWithCustomErrorWithArgs(
      escrow.write.openWithAuthorization([deal, ...consents, s.authorize(deal, client.signer)], relay),
      token,
      "ERC3009UsedAuthorization",
      [client.account, dealIdOf(deal)],
    );
  });

  it("still wants both parties' signatures: a payment is not a consent", async () => {
    const deal = await s.draftDeal(client, provider);
    const [ofClient, ofProvider] = s.sign(deal, client, provider);
    const authorization = s.authorize(deal, client.signer);
    const unsigned = { ...ofClient, signature: "0x" as Hex };
    await s.expectRefusal(
      escrow.write.openWithAuthorization([deal, unsigned, ofProvider, authorization], relay),
      "DealEscrowBadSignature",
      [dealIdOf(deal), client.agentId],
    );
  });

  it("cannot be front-run into paying twice: who opens first by allowance pays alone", async () => {
    const deal = await s.draftDeal(client, provider);
    const consents = s.sign(deal, client, provider);
    const balance = await token.read.balanceOf([client.account]);
    await open(deal, consents, stranger.address);
    await s.expectRefusal(
      escrow.write.openWithAuthorization([deal, ...consents, s.authorize(deal, client.signer)], relay),
      "DealEscrowWrongState",
      [dealIdOf(deal), 1, 0],
    );
    expect(await token.read.balanceOf([client.account])).to.equal(balance);
  });
});

describe("deal digests", () => {
  it("are the same in TypeScript and on chain", async () => {
    const deal = await s.draftDeal(client, provider, { epoch: 7, hook: stranger.address });
    expect(await escrow.read.hashDeal([deal])).to.equal(dealIdOf(deal));
    expect(await escrow.read.digestOf([deal])).to.equal(dealDigestOf(deal, s.contracts));
  });

  it("differ on another chain and another escrow", async () => {
    const deal = await s.draftDeal(client, provider);
    const other = await s.createOtherEscrow();
    expect(await other.read.hashDeal([deal])).to.equal(dealIdOf(deal));
    expect(await other.read.digestOf([deal])).to.not.equal(dealDigestOf(deal, s.contracts));
  });
});
