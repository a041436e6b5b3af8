import { expect } from "chai";
import fc from "fast-check";
import { contentHashOf, draftMechanism, solveMechanism, type MechanismDocument, type Rules } from "#protocol";
import { clientDeadlineOf, type ClientSession } from "../../../node/negotiation/client.ts";
import { OFFER_TIMEOUT_MS } from "../../../node/negotiation/limits.ts";
import { encodeRecord } from "../../../node/store/records.ts";
import { mechanism, signerOf } from "../../protocol/negotiation/fixtures.ts";
import { CLIENT, pricesOf, START_MS, World, type Envelope } from "./world.ts";
import { isNightly } from "../../fixtures/profile.ts";

const auction = draftMechanism({
  ...{ name: "Sealed", topics: ["translation"], rule: "scored-second-price", valuePerQuality: 10n, bondWei: 40n },
});
/** Idle or work: a delivery has to pay for the work, and a late one costs the bond. */
const posted = ((): { document: MechanismDocument; grounds: ClientSession["grounds"] } => {
  const draft = draftMechanism({
    name: "Posted",
    topics: ["translation"],
    rule: "posted-price",
    priceWei: 1n,
    bondWei: 50n,
  });
  const actions = [
    { name: "idle", costWei: 0n, law: [90n, 10n] },
    { name: "work", costWei: 400n, law: [5n, 95n] },
  ];
  const solved = solveMechanism({
    ...draft,
    agency: { actions, lawUnit: 100n, target: 1, outsideWei: 0n, maxGapWei: 1n },
  });
  if (solved.kind !== "accept") throw new Error(solved.detail);
  const { document, dual } = solved.value;
  return { document, grounds: { standings: [], epoch: 0, proof: dual } };
})();
const open = { standings: [], epoch: 0, proof: null };
const forms: readonly (readonly [string, Rules, ClientSession["grounds"]?])[] = [
  ["bare parameters", mechanism],
  ["sealed bids", auction, open],
  ["a posted price with its proof", posted.document, posted.grounds],
];

describe("negotiation machines", () => {
  it("agree with the best bidder at the runner-up's price once everybody has answered", () => {
    const world = new World(pricesOf(300n, 100n, 200n));
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal).to.include({ providerAgentId: 3n, price: 200n });
    expect(world.providers.get(3n)?.phase).to.equal("accepted");
    expect(world.providers.get(3n)?.dealId).to.equal(world.client.offer?.dealId);
    expect([2n, 4n].map((id) => world.providers.get(id)?.phase)).to.deep.equal(["closed", "closed"]);
    expect(world.nowMs).to.equal(START_MS);
  });

  it("award the next best, without the dead one's bid in the price, when the winner dies after its bid", () => {
    const world = new World(pricesOf(300n, 100n, 200n));
    // Three calls, then three bids: with the last one the offer goes out.
    for (let i = 0; i < 6; i++) world.deliver(world.wire.shift() as Envelope);
    expect(world.client.offer?.deal.providerAgentId).to.equal(3n);
    world.dead.add(3n);
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal).to.include({ providerAgentId: 4n, price: 300n });
    expect(world.client.passed).to.have.length(1);
  });

  it("award the next best when the winner stays silent for the offer's time", () => {
    const world = new World(pricesOf(300n, 100n));
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    world.wire.length = 0;
    expect(clientDeadlineOf(world.client)).to.equal(START_MS + OFFER_TIMEOUT_MS);
    world.advance();
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal).to.include({ providerAgentId: 2n, price: 1_000n });
  });

  /** The provider takes the call, and dies before its answer leaves it. @returns that answer, too */
  function dyingBidder(...prices: bigint[]): { world: World; answer: Envelope } {
    const world = new World(pricesOf(...prices));
    world.deliver(world.wire.shift() as Envelope);
    const answer = world.wire.pop() as Envelope;
    world.dead.add(2n);
    world.onClient({ kind: "lost", agentId: 2n });
    world.deliverAll();
    return { world, answer };
  }

  it("wait out the bidding for the only bidder, which died with the call, and take the bid that it makes when it is back", () => {
    const { world, answer } = dyingBidder(100n);
    expect([world.client.phase, world.client.absent]).to.deep.equal(["called", [2n]]);
    world.dead.clear();
    world.deliver(answer);
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");

    const { world: forever } = dyingBidder(100n);
    while (forever.nowMs <= forever.client.call.bidByMs) forever.advance();
    expect(forever.client).to.include({ phase: "failed", failure: "NO_BIDS" });

    const { world: declined, answer: decline } = dyingBidder(1_001n);
    declined.dead.clear();
    declined.deliver(decline);
    expect(declined.client).to.include({ phase: "failed", failure: "NO_BIDS" });
    expect(declined.nowMs).to.equal(START_MS);
  });

  it("call once more whom the call had not reached when it died", () => {
    const world = new World(pricesOf(100n));
    const calls = world.wire.splice(0);
    world.dead.add(2n);
    world.onClient({ kind: "lost", agentId: 2n });
    world.deliverAll();
    expect([world.client.phase, world.client.absent]).to.deep.equal(["called", [2n]]);
    world.dead.clear();
    for (const agentId of [2n, 3n]) world.onClient({ kind: "found", agentId });
    expect(world.wire.map(({ to, message }) => [to, message])).to.deep.equal(
      calls.map(({ to, message }) => [to, message]),
    );
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");
    world.onClient({ kind: "found", agentId: 2n });
    expect(world.wire).to.deep.equal([]);
  });

  it("close the bid of whoever was away when the call ended, as soon as it says that it is back", () => {
    for (const [rules, grounds] of [[mechanism, undefined] as const, [auction, open] as const]) {
      const world = new World(pricesOf(300n, 100n), rules, grounds);
      while (world.client.phase !== "offered") world.deliver(world.wire.shift() as Envelope);
      world.dead.add(2n);
      world.deliverAll();
      expect(world.client.phase).to.equal("agreed");
      expect(world.providers.get(2n)?.phase).to.equal("bid");
      world.dead.clear();
      world.onProvider(2n, { kind: "resume" });
      world.onProvider(3n, { kind: "resume" });
      world.deliverAll();
      expect([2n, 3n].map((id) => world.providers.get(id)?.phase)).to.deep.equal(["closed", "accepted"]);
    }
  });

  it("do not wait for who died where somebody else bids", () => {
    const { world } = dyingBidder(100n, 300n);
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal.providerAgentId).to.equal(3n);
    expect(world.nowMs).to.equal(START_MS);
  });

  it("fail by name when nobody bids, and when every winner falls through", () => {
    const nobody = new World(pricesOf(1_001n, 1_001n));
    nobody.deliverAll();
    expect(nobody.client).to.include({ phase: "failed", failure: "NO_BIDS" });
    const silent = new World(pricesOf(100n));
    while (silent.client.phase === "called") silent.deliver(silent.wire.shift() as Envelope);
    silent.wire.length = 0;
    silent.advance();
    expect(silent.client).to.include({ phase: "failed", failure: "ALL_WINNERS_FAILED" });
  });

  it("refuse an offer whose price, certificate or call is not the award of the bid", () => {
    const world = new World(pricesOf(300n, 100n));
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    const { offer } = world.client;
    if (offer === undefined) throw new Error("no offer");
    world.wire.length = 0;
    const consent = { signer: signerOf(CLIENT).address, signature: offer.signature };
    const tamper = (overrides: object, certificate = offer.certificate) => {
      const deal = { ...offer.deal, ...overrides };
      world.onProvider(3n, { kind: "offer", agentId: 3n, deal, certificate, consent });
      const answer = world.wire.pop()?.message;
      return answer?.type === "decline" ? answer.decline.reason : answer?.type;
    };
    expect(tamper({ price: offer.deal.price - 1n })).to.equal(4);
    expect(tamper({ submitBy: offer.deal.submitBy - 60 })).to.equal(4);
    expect(tamper({ specHash: contentHashOf(new Uint8Array(1)) })).to.equal(4);
    expect(tamper({}, new Uint8Array(9))).to.equal(4);
    expect(world.dealsSignedBy(3n)).to.equal(0);
    expect(tamper({})).to.equal("acceptance");
    // A session has one deal: even a true second offer gets no second signature.
    expect(tamper({ price: offer.deal.price - 1n })).to.equal(undefined);
    expect(world.dealsSignedBy(3n)).to.equal(1);
  });

  it("change nothing on replays, in every phase", () => {
    const world = new World(pricesOf(300n, 100n, 200n));
    const seen: Envelope[] = [];
    for (let next = world.wire.shift(); next !== undefined; next = world.wire.shift()) {
      world.deliver(next);
      seen.push(next);
      const [client, signed] = [encodeRecord(world.client), world.signatures.size];
      for (const envelope of seen) {
        const before = world.wire.length;
        world.deliver(envelope);
        world.wire.splice(before);
      }
      expect(encodeRecord(world.client)).to.equal(client);
      expect(world.signatures.size).to.equal(signed);
    }
    expect(world.client.phase).to.equal("agreed");
  });

  it("withdraw tells everybody, and no later acceptance revives the call", () => {
    const world = new World(pricesOf(300n, 100n));
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    world.onClient({ kind: "withdraw" });
    world.deliverAll();
    expect(world.client).to.include({ phase: "cancelled", failure: "WITHDRAWN" });
    expect(world.agreed.filter((entry) => entry.startsWith("client"))).to.deep.equal([]);
  });

  it("resume in any state with what they owe, and end the same", () => {
    const world = new World(pricesOf(300n, 100n, 200n));
    for (let steps = 0; world.wire.length > 0 && steps < 500; steps++) {
      world.deliver(world.wire.shift() as Envelope);
      if (steps < 20) {
        world.onClient({ kind: "resume" });
        for (const agentId of world.providers.keys()) world.onProvider(agentId, { kind: "resume" });
      }
    }
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal).to.include({ providerAgentId: 3n, price: 200n });
    expect(new Set(world.agreed).size).to.equal(2);
  });

  for (const [name, rules, grounds] of forms)
    it(`keep every promise in any order of delivery, loss, copy, death and restart: ${name}`, () => {
      const price = fc.bigInt(0n, 1_200n);
      const chance = fc.record({
        kind: fc.constantFrom("deliver", "deliver", "deliver", "drop", "copy", "kill", "resume", "advance"),
        at: fc.nat(1_000),
      });
      fc.assert(
        fc.property(
          fc.array(price, { minLength: 1, maxLength: 5 }),
          fc.array(chance, { maxLength: 60 }),
          (prices, chances) => {
            const world = new World(pricesOf(...prices), rules, grounds);
            for (const { kind, at } of chances) {
              const index = world.wire.length === 0 ? 0 : at % world.wire.length;
              const agentId = BigInt(2 + (at % prices.length));
              const envelope = world.wire[index];
              if (kind === "kill") world.dead.add(agentId);
              else if (kind === "advance") world.advance();
              else if (kind === "resume") {
                if (at % 2 === 0) world.onClient({ kind: "resume" });
                else world.onProvider(agentId, { kind: "resume" });
              } else if (envelope !== undefined) {
                if (kind !== "copy") world.wire.splice(index, 1);
                if (kind !== "drop") world.deliver(envelope);
              }
            }
            // Whatever happened: deliver the rest, let every deadline pass, and the call has ended.
            for (let round = 0; round < 50; round++) {
              world.deliverAll();
              if (!world.advance()) break;
            }
            expect(world.client.phase).to.be.oneOf(["agreed", "failed"]);
            for (const agentId of world.prices.keys()) expect(world.dealsSignedBy(agentId)).to.be.at.most(1);
            if (world.client.phase !== "agreed") return;
            const { offer } = world.client;
            const winner = world.providers.get(offer?.deal.providerAgentId ?? 0n);
            expect(winner?.phase).to.equal("accepted");
            expect(winner?.dealId).to.equal(offer?.dealId);
            expect((offer?.deal.price ?? 0n) >= (winner?.bid?.bid.price ?? 1n)).to.equal(true);
            // A sealed bid is opened to one list of seals only, and the award is made among them.
            if (winner?.seals !== undefined) expect(winner.seals).to.include(winner.bid?.bidId);
            expect(new Set(world.agreed.filter((entry) => entry.startsWith("client"))).size).to.equal(1);
          },
        ),
        // Kept: the plain run of each form, so that none of them is vacuous.
        { numRuns: isNightly ? 1_000 : 35, examples: [[[300n, 100n, 200n], []]] },
      );
    }).timeout(600_000);
});

describe("negotiation under a mechanism document", () => {
  const typesOn = (world: World) => world.wire.map(({ message }) => message.type);
  const offered = (world: World) => {
    while (world.client.phase !== "offered" && world.wire.length > 0) world.deliver(world.wire.shift() as Envelope);
    const { offer } = world.client;
    if (offer === undefined) throw new Error("no offer");
    return offer;
  };

  it("opens no bid before every one is sealed, and awards at the runner-up's price with the bond of the rules", () => {
    const world = new World(pricesOf(300n, 100n, 200n), auction, open);
    while (world.client.phase === "called") {
      expect(typesOn(world)).not.to.include("bid");
      world.deliver(world.wire.shift() as Envelope);
    }
    expect(world.client.phase).to.equal("opening");
    expect(typesOn(world)).to.deep.equal(["open", "open", "open"]);
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal).to.include({ providerAgentId: 3n, price: 200n, providerBond: 40n });
    expect(world.providers.get(3n)?.seals).to.have.length(3);
  });

  it("counts no bid that was not sealed in time, and goes on without one that stays shut", () => {
    const world = new World(pricesOf(300n, 100n, 200n), auction, open);
    // The cheapest one seals and then dies.
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    world.dead.add(3n);
    world.deliverAll();
    expect(world.client.phase).to.equal("agreed");
    expect(world.client.offer?.deal).to.include({ providerAgentId: 4n, price: 300n });
    const late = new World(pricesOf(300n, 100n), auction, open);
    // Of two, the cheap one's seal is lost: the bidding ends without it.
    while (late.client.phase === "called" && late.wire.length > 0) {
      const next = late.wire.shift() as Envelope;
      if (next.message.type !== "seal" || next.from !== 3n) late.deliver(next);
    }
    late.advance();
    late.deliverAll();
    expect(late.client.offer?.deal).to.include({ providerAgentId: 2n, price: 1_000n });
  });

  it("refuses an award when more bids stayed shut than the rules allow", () => {
    const strict = { ...auction, award: { ...auction.award, maxUnopened: 0 } };
    const world = new World(pricesOf(300n, 100n, 200n), strict, open);
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    world.dead.add(3n);
    world.deliverAll();
    expect(world.client).to.include({ phase: "failed", failure: "ALL_WINNERS_FAILED" });
  });

  it("refuses a certificate that names other seals than were shown before the opening", () => {
    const world = new World(pricesOf(300n, 100n), auction, open);
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    // The client adds a friend's bid after it has seen the others.
    const seals = world.client.sealed ?? [];
    world.client = { ...world.client, sealed: [...seals, { agentId: 9n, bidId: `0x${"ff".repeat(32)}` }] };
    world.deliverAll();
    for (let round = 0; round < 5; round++) {
      world.advance();
      world.deliverAll();
    }
    expect(world.client).to.include({ phase: "failed", failure: "ALL_WINNERS_FAILED" });
    expect(world.dealsSignedBy(3n)).to.equal(0);
  });

  it("pays the posted price whatever was asked, and signs for no other proof, price or bond", () => {
    const price = posted.document.outcomes[1]?.payment.amount ?? 0n;
    const world = new World(pricesOf(300n, 100n), posted.document, posted.grounds);
    const offer = offered(world);
    expect(offer.deal).to.include({ price, providerBond: 50n });
    const winner = offer.deal.providerAgentId;
    world.wire.length = 0;
    const consent = { signer: signerOf(CLIENT).address, signature: offer.signature };
    const answer = (deal: object, certificate = offer.certificate) => {
      world.onProvider(winner, {
        kind: "offer",
        agentId: winner,
        deal: { ...offer.deal, ...deal },
        certificate,
        consent,
      });
      const message = world.wire.pop()?.message;
      return message?.type === "decline" ? message.decline.reason : message?.type;
    };
    expect(answer({ price: price - 1n })).to.equal(4);
    expect(answer({ providerBond: 51n })).to.equal(4);
    expect(answer({ arbiterDeadline: 5 })).to.equal(4);
    expect(answer({})).to.equal("acceptance");
    const unproven = new World(pricesOf(300n, 100n), posted.document, open);
    unproven.deliverAll();
    expect(unproven.client).to.include({ phase: "failed", failure: "ALL_WINNERS_FAILED" });
  });

  it("admits by score, and asks the better one for the smaller bond", () => {
    const curve = { slashShare: 65_536, factorAtZero: 131_072, halfScore: 65_536n };
    const rules = { ...auction, bond: { ...auction.bond, curve }, admission: { ...auction.admission, minScore: 1n } };
    const standings = [
      { agentId: 2n, relativeScore: 65_536n },
      { agentId: 4n, relativeScore: 655_360n },
    ];
    const bondAt = (...prices: bigint[]) => {
      const world = new World(pricesOf(...prices), rules, { standings, epoch: 7, proof: null });
      world.deliverAll();
      return world.client.offer?.deal;
    };
    // Agent 3 asks least and has no score.
    expect(bondAt(300n, 1n, 200n)).to.include({ providerAgentId: 4n, price: 300n, epoch: 7, providerBond: 328n });
    expect(bondAt(200n, 1n, 300n)).to.include({ providerAgentId: 2n, price: 300n, epoch: 7, providerBond: 450n });
  });
});
