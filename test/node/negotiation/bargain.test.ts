import { expect } from "chai";
import fc from "fast-check";
import { bargain, checkAwardEvidence, encodeRules, NO_COURT, type BargainRules, type Side } from "#protocol";
import { bargainRulesOf } from "../../../node/negotiation/bargain.ts";
import { encodeRecord } from "../../../node/store/records.ts";
import { contracts, signerOf } from "../../protocol/negotiation/fixtures.ts";
import { CLIENT, pricesOf, START_MS, World, type Envelope } from "./world.ts";
import { isNightly } from "../../fixtures/profile.ts";

const PROVIDER = 2n;
const rulesOf = (packages: number, maxRounds = 128): BargainRules => ({
  ...{ kind: "bargaining", version: 1, maxRounds, moveWithinMs: 1_000, ...NO_COURT },
  packages: Array.from({ length: packages }, (_, k) => ({
    priceWei: 100n + BigInt(k),
    ...{ bondWei: 5n, soonerS: k, reviewPeriodS: 300 + k, promise: `package ${k}` },
  })),
});
const pairOf = (left: Side, right: Side, maxRounds?: number) =>
  new World(pricesOf(0n), rulesOf(left.worths.length, maxRounds), undefined, { client: left, provider: right });

const sides = fc.integer({ min: 1, max: 12 }).chain((packages) => {
  const side: fc.Arbitrary<Side> = fc.record({
    worths: fc.array(fc.bigInt(0n, 50n), { minLength: packages, maxLength: packages }),
    reservation: fc.bigInt(0n, 30n),
  });
  return fc.tuple(side, side);
});
/** The client likes the first packages, the provider the last ones: a long bargaining, which both can end well. */
const [rising, falling]: readonly [Side, Side] = [
  { worths: [0n, 1n, 2n, 3n, 4n, 5n], reservation: 1n },
  { worths: [5n, 4n, 3n, 2n, 1n, 0n], reservation: 1n },
];
const bargains = (world: World) => world.wire.map(({ message }) => message.type);

describe("two that bargain", () => {
  it("offer in turn until one signs what the other offered, and the deal is that package to the last field", () => {
    const world = pairOf(falling, rising);
    const types: string[] = [];
    for (let next = world.wire.shift(); next !== undefined; next = world.wire.shift()) {
      types.push(next.message.type);
      world.deliver(next);
    }
    expect(types).to.deep.equal(["call", "bid", "offer", "bid", "offer", "bid", "offer", "acceptance"]);
    expect(world.client.phase).to.equal("agreed");
    const { offer, call, mechanism } = world.client;
    if (offer === undefined) throw new Error("no offer");
    const outcome = bargain(rising, falling).outcome ?? -1;
    expect(offer.deal).to.include({
      ...{ providerAgentId: PROVIDER, price: 100n + BigInt(outcome), reviewPeriod: 300 + outcome },
      submitBy: call.submitBy - outcome,
    });
    expect(world.providers.get(PROVIDER)).to.include({ phase: "accepted", dealId: offer.dealId });
    const evidence = { call, mechanism, certificate: offer.certificate };
    expect(checkAwardEvidence(evidence, offer.deal, contracts).kind).to.equal("accept");
    const other = checkAwardEvidence(evidence, { ...offer.deal, price: offer.deal.price + 1n }, contracts);
    expect(other).to.include({ kind: "reject", code: "CERTIFICATE_OTHER_DEAL" });
  });

  it("come to what the two strategies come to by themselves, for any worths", () => {
    let [agreed, parted] = [0, 0];
    fc.assert(
      fc.property(sides, ([left, right]) => {
        const world = pairOf(left, right);
        world.deliverAll();
        const { outcome } = bargain(right, left);
        expect(world.client.phase).to.equal(outcome === undefined ? "failed" : "agreed");
        if (outcome === undefined) parted++;
        else {
          agreed++;
          expect(world.client.offer?.deal.price).to.equal(100n + BigInt(outcome));
        }
        expect(world.dealsSignedBy(PROVIDER)).to.equal(outcome === undefined ? 0 : 1);
        expect(world.nowMs).to.equal(START_MS);
      }),
      { numRuns: 20, examples: [[[falling, rising]], [[falling, { ...rising, reservation: 5n }]]] },
    );
    expect(Math.min(agreed, parted)).to.be.greaterThan(0);
  });

  it("part at the last round of the rules, and by name", () => {
    const world = pairOf(falling, rising, 1);
    world.deliverAll();
    expect(world.client).to.include({ phase: "failed", failure: "NO_AGREEMENT" });
    expect(world.providers.get(PROVIDER)?.phase).to.be.oneOf(["declined", "closed"]);
    const never = pairOf(falling, { worths: rising.worths, reservation: 9n });
    never.deliverAll();
    expect(never.client).to.include({ phase: "failed", failure: "NO_BIDS" });
  });

  it("wait for each other no longer than a move may take", () => {
    const world = pairOf(falling, rising);
    while (world.client.phase === "called") world.deliver(world.wire.shift() as Envelope);
    world.wire.length = 0;
    world.advance();
    expect(world.nowMs).to.equal(START_MS + 1_001);
    world.deliverAll();
    expect(world.client).to.include({ phase: "failed", failure: "NO_AGREEMENT" });
    expect(world.providers.get(PROVIDER)?.phase).to.equal("closed");
  });

  it("take no offer twice, out of its turn, or of another history", () => {
    const world = pairOf(falling, rising);
    const seen: Envelope[] = [];
    for (let next = world.wire.shift(); next !== undefined; next = world.wire.shift()) {
      world.deliver(next);
      seen.push(next);
      const before = [encodeRecord(world.client), encodeRecord(world.providers.get(PROVIDER) ?? {})];
      const waiting = world.wire.length;
      for (const envelope of seen) world.deliver(envelope);
      // Answers that are sent again are the same ones.
      const again = new Set(world.wire.splice(waiting).map(({ message }) => encodeRecord(message)));
      for (const message of again) {
        const known = [...seen, ...world.wire].map((envelope) => encodeRecord(envelope.message));
        expect(known.includes(message) || message.includes("cancel") || message.includes("decline")).to.equal(true);
      }
      expect([encodeRecord(world.client), encodeRecord(world.providers.get(PROVIDER) ?? {})]).to.deep.equal(before);
    }
    expect(world.client.phase).to.equal("agreed");
    expect(world.dealsSignedBy(PROVIDER)).to.equal(1);
  });

  it("sign nothing whose terms are not the package's, or that leaves out what was said", () => {
    const world = pairOf(falling, rising);
    while (!bargains(world).includes("offer")) world.deliver(world.wire.shift() as Envelope);
    const [first] = world.wire.splice(0);
    if (first?.message.type !== "offer") throw new Error("no offer");
    const { deal, certificate, signature } = first.message;
    const consent = { signer: signerOf(CLIENT).address, signature };
    const answerTo = (terms: object, shown = certificate) => {
      const tampered = { ...deal, ...terms };
      world.onProvider(PROVIDER, { kind: "offer", agentId: PROVIDER, deal: tampered, certificate: shown, consent });
      return world.wire.splice(0).map(({ message }) => message.type);
    };
    for (const terms of [{ price: deal.price - 1n }, { submitBy: deal.submitBy - 1 }, { reviewPeriod: 1 }])
      expect(answerTo(terms)).to.deep.equal(["decline"]);
    // The same package after another history.
    const other = pairOf(falling, { worths: [...rising.worths].reverse(), reservation: 1n });
    other.deliverAll();
    expect(answerTo({}, other.client.offer?.certificate)).to.deep.equal(["decline"]);
    expect(world.dealsSignedBy(PROVIDER)).to.equal(0);
    expect(answerTo({})).to.deep.equal(["bid"]);
  });

  it("keep every promise in any order of delivery, loss, copy, death and restart", () => {
    const chance = fc.record({
      kind: fc.constantFrom("deliver", "deliver", "deliver", "deliver", "drop", "copy", "die", "resume", "advance"),
      at: fc.nat(1_000),
    });
    let agreed = 0;
    fc.assert(
      fc.property(
        sides,
        fc.array(chance, { maxLength: 60 }),
        fc.integer({ min: 1, max: 12 }),
        (pair, chances, rounds) => {
          const [left, right] = pair;
          const world = pairOf(left, right, rounds);
          for (const { kind, at } of chances) {
            const index = world.wire.length === 0 ? 0 : at % world.wire.length;
            const envelope = world.wire[index];
            if (kind === "die") world.dead.add(PROVIDER);
            else if (kind === "advance") world.advance();
            else if (kind === "resume") {
              world.dead.clear();
              if (at % 3 === 0) world.onClient({ kind: "resume" });
              else if (at % 3 === 1) world.onClient({ kind: "found", agentId: PROVIDER });
              else world.onProvider(PROVIDER, { kind: "resume" });
            } else if (envelope !== undefined) {
              if (kind !== "copy") world.wire.splice(index, 1);
              if (kind !== "drop") world.deliver(envelope);
            }
          }
          world.dead.clear();
          for (let round = 0; round < 50; round++) {
            world.deliverAll();
            if (!world.advance()) break;
          }
          const { phase, offer, bargain: mine } = world.client;
          const provider = world.providers.get(PROVIDER);
          expect(phase).to.be.oneOf(["agreed", "failed"]);
          expect(world.dealsSignedBy(PROVIDER)).to.be.at.most(1);
          expect(world.signatures.get(`${PROVIDER} Bid`)?.size ?? 0).to.be.at.most(rounds);
          expect(world.dealsSignedBy(CLIENT)).to.be.at.most(rounds + 1);
          if (phase !== "agreed") return;
          agreed++;
          expect(provider).to.include({ phase: "accepted", dealId: offer?.dealId });
          const outcome = Number((offer?.deal.price ?? 0n) - 100n);
          expect((left.worths[outcome] ?? -1n) >= left.reservation).to.equal(true);
          expect((right.worths[outcome] ?? -1n) >= right.reservation).to.equal(true);
          expect(mine?.mine.at(-1)).to.equal(outcome);
        },
      ),
      { numRuns: isNightly ? 2_000 : 20, examples: [[[falling, rising], [], 12]] },
    );
    expect(agreed).to.be.greaterThan(0);
  }).timeout(600_000);

  it("know their rules by the document alone", () => {
    expect(bargainRulesOf({ mechanism: encodeRules(rulesOf(3)) })).to.deep.equal(rulesOf(3));
    expect(bargainRulesOf({ mechanism: new Uint8Array(3) })).to.equal(undefined);
  });
});
