import { expect } from "chai";
import fc from "fast-check";
import {
  contentHashOf,
  encodeMechanism,
  signedBidOf,
  structHash,
  typedDataDigest,
  type NegotiationMessage,
  type Structs,
} from "#protocol";
import {
  clientDeadlineOf,
  stepClient,
  type ClientEvent,
  type ClientSession,
  type Sign,
} from "../../../node/negotiation/client.ts";
import { decodeRecord, encodeRecord } from "../../../node/store/records.ts";
import { OFFER_TIMEOUT_MS } from "../../../node/negotiation/limits.ts";
import {
  providerDeadlineOf,
  stepProvider,
  type ProviderEvent,
  type ProviderSession,
} from "../../../node/negotiation/provider.ts";
import { callOf, contracts, mechanism, signerOf, spec } from "../../protocol/negotiation/fixtures.ts";

const CLIENT = 1n;
const START_MS = 1_799_999_990_000;
const CHAIN_TIME = 1_799_999_990;

/** How often each agent signed each struct: nobody may sign two deals for one call. */
type Signatures = Map<string, Set<string>>;

function signAs(agentId: bigint, signatures: Signatures): Sign {
  return <K extends keyof Structs>(struct: K, value: Structs[K]) => {
    const digest = typedDataDigest(struct, value, contracts);
    const key = `${agentId} ${struct}`;
    signatures.set(key, (signatures.get(key) ?? new Set()).add(digest));
    return signerOf(agentId).sign(digest);
  };
}

interface Envelope {
  readonly from: bigint;
  readonly to: bigint;
  readonly message: NegotiationMessage;
}

/** One client, some providers, and whatever order the network chooses. Messages are as authenticated as a driver's. */
class World {
  readonly signatures: Signatures = new Map();
  readonly providers = new Map<bigint, ProviderSession>();
  readonly agreed: string[] = [];
  readonly wire: Envelope[] = [];
  readonly prices: ReadonlyMap<bigint, bigint>;
  readonly dead = new Set<bigint>();
  client: ClientSession;
  nowMs = START_MS;

  constructor(prices: ReadonlyMap<bigint, bigint>) {
    this.prices = prices;
    const call = callOf({ clientAgentId: CLIENT });
    const blank = { bids: [], absent: [], passed: [] };
    this.client = {
      role: "client",
      phase: "called",
      callId: structHash("Call", call),
      call,
      mechanism: encodeMechanism(mechanism),
      spec,
      signature: signAs(CLIENT, this.signatures)("Call", call),
      invitees: [...prices.keys()].map((agentId) => ({ agentId, peer: `peer ${agentId}` })),
      ...blank,
    };
    this.onClient({ kind: "start" });
  }

  onClient(event: ClientEvent): void {
    const [next, effects] = stepClient(this.client, event, {
      nowMs: this.nowMs,
      sign: signAs(CLIENT, this.signatures),
    });
    // What is stored is what a restart finds.
    this.client = decodeRecord<ClientSession>(encodeRecord(next));
    for (const effect of effects) {
      if (effect.kind === "send") this.wire.push({ from: CLIENT, to: effect.to.agentId, message: effect.message });
      if (effect.kind === "agreed") this.agreed.push(`client ${this.client.offer?.dealId}`);
    }
  }

  onProvider(agentId: bigint, event: ProviderEvent): void {
    const session = this.providers.get(agentId);
    if (session === undefined || this.dead.has(agentId)) return;
    const sign = signAs(agentId, this.signatures);
    const [next, effects] = stepProvider(session, event, { nowMs: this.nowMs, chainTime: CHAIN_TIME, sign, contracts });
    this.providers.set(agentId, decodeRecord<ProviderSession>(encodeRecord(next)));
    for (const effect of effects) {
      if (effect.kind === "send") this.wire.push({ from: agentId, to: CLIENT, message: effect.message });
      if (effect.kind === "agreed") this.agreed.push(`provider ${next.dealId}`);
      if (effect.kind === "consider") {
        const price = this.prices.get(agentId) ?? 0n;
        const proposal = price > 1_000n ? undefined : { price, quality: 50n };
        this.onProvider(agentId, { kind: "considered", agentId, salt: agentId, proposal });
      }
    }
  }

  deliver({ from, to, message }: Envelope): void {
    if (this.dead.has(from)) return;
    if (this.dead.has(to)) return this.onClient({ kind: "undelivered", agentId: to, type: message.type });
    if (to === CLIENT) return this.deliverToClient(message, from);
    if (message.type === "call" && !this.providers.has(to)) {
      const { call, mechanism: rules, spec: text } = message;
      const callId = structHash("Call", call);
      const fresh = { role: "provider", phase: "considering", callId, call, mechanism: rules, spec: text } as const;
      this.providers.set(to, fresh);
      this.onProvider(to, { kind: "start" });
    } else if (message.type === "offer") {
      const { deal, certificate, signature } = message;
      const consent = { signer: signerOf(CLIENT).address, signature };
      this.onProvider(to, { kind: "offer", agentId: to, deal, certificate, consent });
    } else if (message.type === "cancel") {
      this.onProvider(to, { kind: "cancel" });
    }
  }

  deliverToClient(message: NegotiationMessage, from: bigint): void {
    if (message.type === "bid") this.onClient({ kind: "bid", bid: signedBidOf(message.bid, message.signature) });
    if (message.type === "decline") this.onClient({ kind: "decline", decline: message.decline });
    if (message.type === "acceptance" && this.client.offer?.deal.providerAgentId === from) {
      const consent = { signer: signerOf(from).address, signature: message.signature };
      this.onClient({ kind: "acceptance", dealId: message.dealId, consent });
    }
  }

  /** The next deadline of anybody, past it. */
  advance(): boolean {
    const deadlines = [clientDeadlineOf(this.client), ...[...this.providers.values()].map(providerDeadlineOf)];
    const next = deadlines.filter((at) => at !== undefined).sort((a, b) => a - b)[0];
    if (next === undefined) return false;
    this.nowMs = Math.max(this.nowMs, next) + 1;
    this.onClient({ kind: "tick" });
    for (const agentId of this.providers.keys()) this.onProvider(agentId, { kind: "tick" });
    return true;
  }

  deliverAll(): void {
    for (let next = this.wire.shift(); next !== undefined; next = this.wire.shift()) this.deliver(next);
  }

  dealsSignedBy(agentId: bigint): number {
    return this.signatures.get(`${agentId} Deal`)?.size ?? 0;
  }
}

const pricesOf = (...prices: bigint[]) => new Map(prices.map((price, i) => [BigInt(i) + 2n, price]));

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

  it("keep every promise in any order of delivery, loss, copy, death and restart", () => {
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
          const world = new World(pricesOf(...prices));
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
          expect(new Set(world.agreed.filter((entry) => entry.startsWith("client"))).size).to.equal(1);
        },
      ),
      { numRuns: 60 },
    );
  }).timeout(60_000);
});
