import { expect } from "chai";
import fc from "fast-check";
import {
  certifyAward,
  checkAwardEvidence,
  checkBid,
  checkCertificate,
  chooseAward,
  draftMechanism,
  encodeMechanismDocument,
  mechanismHashOf,
  readAwardEvidence,
  scoreOf,
  structHash,
  writeAwardEvidence,
  type AwardEvidence,
  type Deal,
} from "#protocol";
import { bidOf, callOf, contracts, mechanism, rivals, signBid, signerOf, unsigned } from "./fixtures.ts";
import { isNightly } from "../../fixtures/profile.ts";

const call = callOf();

describe("scored second price", () => {
  it("pays the winner the price at which it would tie with the runner-up", () => {
    // Scores 10·50 − 100 = 400 and 10·40 − 60 = 340: agent 2 wins and is paid 500 − 340 = 160.
    const bids = [bidOf(call, 2n, { price: 100n, quality: 50n }), bidOf(call, 3n, { price: 60n, quality: 40n })];
    const award = chooseAward(call, mechanism, { bids: bids.map(unsigned), passed: [] });
    expect(award?.winner.bid.providerAgentId).to.equal(2n);
    expect(award?.payment).to.equal(160n);
  });

  it("pays a lone bidder the reserve, and never more than it", () => {
    const lone = [unsigned(bidOf(call, 2n))];
    expect(chooseAward(call, mechanism, { bids: lone, passed: [] })?.payment).to.equal(1_000n);
    const far = [unsigned(bidOf(call, 2n, { quality: 100n })), unsigned(bidOf(call, 3n, { price: 900n, quality: 0n }))];
    expect(chooseAward(call, mechanism, { bids: far, passed: [] })?.payment).to.equal(1_000n);
  });

  it("awards the next best once the winner is passed over, and nobody when all are", () => {
    const bids = [2n, 3n].map((id) => unsigned(bidOf(call, id, { price: id * 100n })));
    const [first, second] = bids.map(({ bidId }) => bidId);
    const next = chooseAward(call, mechanism, { bids, passed: [first as never] });
    expect(next?.winner.bid.providerAgentId).to.equal(3n);
    expect(chooseAward(call, mechanism, { bids, passed: [first as never, second as never] })).to.equal(undefined);
  });

  it("pays at least the winner's price and at most the reserve, and the winner has the greatest score", () => {
    fc.assert(
      fc.property(rivals(1_000n), (list) => {
        const bids = list.map((terms) => unsigned(bidOf(call, terms.providerAgentId, terms)));
        const award = chooseAward(call, mechanism, { bids, passed: [] });
        if (award === undefined) return false;
        const best = bids.every(({ bid }) => scoreOf(mechanism, award.winner.bid) >= scoreOf(mechanism, bid));
        return best && award.payment >= award.winner.bid.price && award.payment <= call.reservePrice;
      }),
    );
  });

  it("gives the same certificate, payment and deal in every order of arrival", () => {
    fc.assert(
      fc.property(
        rivals(1_000n).chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          const awardOf = (terms: typeof list) =>
            certifyAward(call, mechanism, {
              bids: terms.map((t) => unsigned(bidOf(call, t.providerAgentId, t))),
              passed: [],
            });
          expect(awardOf(shuffled)).to.deep.equal(awardOf(list));
        },
      ),
    );
  });

  it("makes bidding one's cost a dominant strategy: no other price ever earns more", () => {
    const gain = fc.record({ cost: fc.bigInt(0n, 1_000n), quality: fc.bigInt(0n, 100n), lie: fc.bigInt(0n, 1_000n) });
    fc.assert(
      fc.property(rivals(1_000n), gain, (list, { cost, quality, lie }) => {
        const others = list.map((t) => unsigned(bidOf(call, t.providerAgentId, t)));
        const utilityOf = (price: bigint) => {
          const mine = unsigned(bidOf(call, 99n, { price, quality }));
          const award = chooseAward(call, mechanism, { bids: [...others, mine], passed: [] });
          return award?.winner.bidId === mine.bidId ? award.payment - cost : 0n;
        };
        return utilityOf(cost) >= 0n && utilityOf(cost) >= utilityOf(lie);
      }),
      { numRuns: isNightly ? 5_000 : 400 },
    );
  });
});

describe("admission of a bid", () => {
  const callId = structHash("Call", call);
  const codeOf = (overrides: object, agentId = 2n) => {
    const verdict = checkBid(call, callId, mechanism, bidOf(call, agentId, overrides));
    return verdict.kind === "accept" ? "accept" : verdict.code;
  };

  it("names what keeps a bid out", () => {
    expect(codeOf({})).to.equal("accept");
    expect(codeOf({ callId: `0x${"00".repeat(32)}` })).to.equal("BID_OTHER_CALL");
    expect(codeOf({}, 1n)).to.equal("BID_BIDDER");
    expect(codeOf({ price: 1_001n })).to.equal("BID_ABOVE_RESERVE");
    expect(codeOf({ quality: 101n })).to.equal("BID_QUALITY");
    expect(codeOf({ validUntil: 1_799_999_999 })).to.equal("BID_EXPIRES_EARLY");
    expect(codeOf({ validUntil: 1_800_000_000 })).to.equal("accept");
  });
});

describe("certificate", () => {
  const bids = [2n, 3n, 4n].map((id) => signBid(bidOf(call, id, { price: id * 50n, quality: 40n + id })));
  const certified = certifyAward(call, mechanism, { bids, passed: [] });
  if (certified === undefined) throw new Error("no award");
  const { certificate, deal } = certified;
  const codeOf = (bytes: Uint8Array, given: Deal) => {
    const verdict = checkCertificate(call, mechanism, bytes, given, contracts);
    return verdict.kind === "accept" ? "accept" : verdict.code;
  };

  it("convinces the follower, and names every bidder with its signer", () => {
    const verdict = checkCertificate(call, mechanism, certificate, deal, contracts);
    if (verdict.kind !== "accept") throw new Error(verdict.code);
    expect(verdict.value.bidders.map(({ agentId }) => agentId)).to.have.members([2n, 3n, 4n]);
  });

  it("fails when any byte of it changes", () => {
    for (let i = 0; i < certificate.length; i++) {
      const tampered = Uint8Array.from(certificate);
      tampered[i] = (tampered[i] as number) ^ 1;
      expect(codeOf(tampered, deal)).to.equal("CERTIFICATE_HASH");
    }
  });

  it("fails when any field of the deal is not what the rules make it", () => {
    const changes: [keyof Deal, unknown][] = [
      ["price", deal.price - 1n],
      ["providerAgentId", 3n],
      ["submitBy", deal.submitBy - 1],
      ["reviewPeriod", 1],
      ["token", contracts.dealEscrow],
      ["providerBond", 1n],
      ["arbiter", contracts.dealEscrow],
      ["splitsRoot", deal.specHash],
      ["hook", contracts.dealEscrow],
      ["salt", 0n],
    ];
    for (const [field, value] of changes) {
      expect(codeOf(certificate, { ...deal, [field]: value }), field).to.equal("CERTIFICATE_OTHER_DEAL");
    }
  });

  it("shows that a bid invented in a rival's name is not signed by that rival", () => {
    const forged = { ...signBid(bidOf(call, 5n, { price: 0n, quality: 42n })), signature: bids[0]?.signature ?? "0x" };
    const other = certifyAward(call, mechanism, { bids: [...bids, forged], passed: [] });
    if (other === undefined) throw new Error("no award");
    const verdict = checkCertificate(call, mechanism, other.certificate, other.deal, contracts);
    const signers = verdict.kind === "accept" ? verdict.value.bidders : [];
    for (const { agentId, signer } of signers) {
      if (agentId === 5n) expect(signer).to.not.equal(signerOf(5n).address);
      else expect(signer).to.equal(signerOf(agentId).address);
    }
    expect(signers).to.have.length(4);
  });

  it("fails with one bidder twice, a bid on another call, and a passed bid that nobody made", () => {
    const twice = certifyAward(call, mechanism, {
      bids: [...bids, signBid(bidOf(call, 2n, { salt: 1n }))],
      passed: [],
    });
    expect(codeOf(twice?.certificate as Uint8Array, twice?.deal as Deal)).to.equal("CERTIFICATE_BIDDER_TWICE");
    const foreign = signBid(bidOf(callOf({ salt: 8n }), 6n));
    const mixed = certifyAward(call, mechanism, { bids: [...bids, foreign], passed: [] });
    expect(codeOf(mixed?.certificate as Uint8Array, mixed?.deal as Deal)).to.equal("BID_OTHER_CALL");
    const ghost = certifyAward(call, mechanism, { bids, passed: [foreign.bidId] });
    expect(codeOf(ghost?.certificate as Uint8Array, ghost?.deal as Deal)).to.equal("CERTIFICATE_PASSED");
  });
});

describe("the evidence of an award", () => {
  const draft = draftMechanism({ name: "Pages", topics: ["translation"], rule: "scored-second-price", bondWei: 9n });
  const rules = { ...draft, award: { ...draft.award, isSealed: false }, review: { ...draft.review, periodS: 300 } };
  const call = callOf({ mechanismHash: mechanismHashOf(rules) });
  const bids = [bidOf(call, 2n, { price: 100n }), bidOf(call, 3n, { price: 250n })].map(signBid);
  const certified = certifyAward(call, rules, {
    bids,
    passed: [],
    grounds: { seals: [], standings: [], epoch: 0, proof: null },
  });
  if (certified === undefined) throw new Error("no award");
  const { deal, certificate } = certified;
  const evidence = { call, mechanism: encodeMechanismDocument(rules), certificate };
  const codeOf = (given: AwardEvidence, of = deal) => {
    const verdict = checkAwardEvidence(given, of, contracts);
    return verdict.kind === "accept" ? "accept" : verdict.code;
  };

  it("convinces anybody who holds the deal, from a file", () => {
    const read = readAwardEvidence(writeAwardEvidence(evidence));
    expect(read).to.deep.equal({ kind: "accept", value: evidence });
    expect(codeOf(evidence)).to.equal("accept");
    expect(deal).to.include({ price: 250n, providerBond: 9n });
  });

  it("names what does not belong to the deal: call, rules, certificate, or the deal itself", () => {
    expect(codeOf({ ...evidence, call: callOf({ mechanismHash: call.mechanismHash, salt: 8n }) })).to.equal(
      "AWARD_OTHER_CALL",
    );
    const others = { ...rules, name: "Other" };
    expect(codeOf({ ...evidence, mechanism: encodeMechanismDocument(others) })).to.equal("AWARD_OTHER_RULES");
    expect(codeOf({ ...evidence, certificate: certificate.slice(1) })).to.equal("CERTIFICATE_HASH");
    expect(codeOf(evidence, { ...deal, price: 249n })).to.equal("CERTIFICATE_OTHER_DEAL");
    expect(codeOf(evidence, { ...deal, providerBond: 8n })).to.equal("CERTIFICATE_OTHER_DEAL");
  });

  it("is refused as a file when it is none", () => {
    for (const text of [
      "",
      "null",
      "[]",
      "{}",
      '{"format":"surety-award/1","call":"0x0","mechanism":"0x","certificate":"0x"}',
    ]) {
      expect(readAwardEvidence(text).kind, text).to.equal("reject");
    }
  });
});
