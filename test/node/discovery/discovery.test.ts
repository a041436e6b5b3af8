import { expect } from "chai";
import fc from "fast-check";
import { keccak256, zeroHash, type Address, type Hex } from "viem";
import {
  decodeLogHeader,
  encodeLogHeader,
  matchBody,
  verifyAlive,
  verifyLogHeader,
  type Bodies,
  type KindName,
} from "#protocol";
import { createDiscovery, type Discovery } from "../../../node/discovery/discovery.ts";
import { createLiveness, LIVENESS_TTL_MS, type Liveness } from "../../../node/discovery/liveness.ts";
import type { FindFilter } from "../../../node/discovery/port.ts";
import { createLogStore, type LogStore } from "../../../node/log/log-store.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { connect, startNode, testNowMs } from "../../fixtures/gossip-node.ts";
import { signedLiveness } from "../../fixtures/liveness.ts";
import { signedEntry, testContracts, testDeclare, testSigner } from "../../fixtures/log.ts";

const signal = new AbortController().signal;
const intent: Bodies["intent"] = {
  agentId: 1n,
  topic: "translation",
  description: "Needs a contract translated into English.",
  skills: [],
  reservePriceWei: 9n,
  token: testDeclare().token,
  bidByMs: 0,
  call: "0x",
  peerId: "x",
  addresses: [],
};

/** A world of logs: agent i + 1 is signer i; scores and the clock are the test's. */
function createWorld(store: Store = openStore(":memory:")) {
  const logs: LogStore = createLogStore(store);
  const agents = new Map<Address, bigint>([0, 1, 2, 3, 4].map((i) => [testSigner(i).address, BigInt(i + 1)]));
  const scores = new Map<bigint, number>();
  const commitments = new Map<bigint, Hex>();
  const clock = { nowMs: testNowMs };
  const liveness = signedLiveness(5, () => clock.nowMs);
  const discovery = createDiscovery({
    store,
    logs,
    agents: {
      agentOf: async (log) => agents.get(log),
      commitmentOf: async (agentId) => commitments.get(agentId) ?? zeroHash,
    },
    scores: { scoresOf: async (_topic, ids) => new Map([...scores].filter(([id]) => ids.includes(id))) },
    liveness,
    nowMs: () => clock.nowMs,
  });
  /** Appends to signer i's log and tells the index, as gossip does. */
  function say<K extends KindName>(index: number, kind: K, body: Bodies[K], ttl = 3600) {
    const signer = testSigner(index);
    const head = logs.headOf(signer.address);
    const link = head ? { seq: head.header.seq + 1, prev: head.digest } : {};
    const { header, bytes } = signedEntry(signer, kind, body, { ...link, ttl, timeMs: clock.nowMs });
    logs.appendOwn(header, bytes, clock.nowMs);
    discovery.apply({ header, body: { kind, body } as never });
    return header.digest;
  }
  const declare = (index: number, fields: Partial<Bodies["declare"]> = {}, ttl?: number) =>
    say(index, "declare", testDeclare({ agentId: BigInt(index + 1), ...fields }), ttl);
  return { store, logs, agents, scores, commitments, clock, liveness, discovery, say, declare };
}

const idsOf = async (discovery: Discovery, query: string, filter: FindFilter = {}): Promise<bigint[]> =>
  (await discovery.find(query, filter, signal)).map(({ agentId }) => agentId);

describe("discovery", function () {
  this.timeout(20_000);
  const legal = { name: "Lex", description: "Translates legal contracts from German to English." };
  const plumber = { name: "Pipe", description: "Repairs sinks.", topics: ["plumbing"], skills: ["plumbing"] };

  it("finds what answers the words and passes over what does not", async () => {
    const { discovery, declare } = createWorld();
    declare(0, legal);
    declare(1, plumber);
    expect(await idsOf(discovery, "German contract")).to.deep.equal([1n]);
    expect(await idsOf(discovery, "repairs")).to.deep.equal([2n]);
    expect(await idsOf(discovery, "astrology")).to.deep.equal([]);
    expect(await idsOf(discovery, "")).to.have.members([1n, 2n]);
  });

  it("calls an agent bound while the chain holds what its log attested last, and by its own word alone never", async () => {
    const { discovery, declare, say, commitments, store } = createWorld();
    const [first, second] = [keccak256("0x01"), keccak256("0x02")];
    const attest = (commitment: Hex) => {
      const reach = { peerId: "x", addresses: [] };
      say(0, "attest", { agentId: 1n, commitment, codeCommitment: "0x", configDigest: zeroHash, ...reach });
    };
    const isBound = async (from: Discovery = discovery) => (await from.find("German", {}, signal))[0]?.isBound;
    declare(0, legal);
    commitments.set(1n, first);
    expect(await isBound(), "nothing attested, though every header says bound").to.equal(false);
    attest(second);
    expect(await isBound(), "attested another").to.equal(false);
    attest(first);
    expect(await isBound()).to.equal(true);
    commitments.set(1n, second);
    expect(await isBound(), "the chain moved on").to.equal(false);
    attest(second);
    expect(await isBound()).to.equal(true);
    commitments.delete(1n);
    expect(await isBound(), "no commitment").to.equal(false);
    attest(zeroHash);
    expect(await isBound(), "attested nothing").to.equal(false);
    const again = createWorld(store);
    again.commitments.set(1n, second);
    again.discovery.rebuild();
    expect(await isBound(again.discovery), "what a restart knows").to.equal(false);
  });

  it("ranks by match, score and liveness, and keeps newcomers", async () => {
    const { discovery, declare, scores, clock, liveness } = createWorld();
    declare(3, legal);
    for (const index of [0, 1, 2])
      declare(index, index === 2 ? { name: "Other", description: "Of legal age." } : legal);
    scores.set(2n, 1).set(3n, 1).set(4n, 1);
    await discovery.find("", {}, signal);
    clock.nowMs += LIVENESS_TTL_MS / 2;
    liveness.silent.add(testSigner(3).address);
    expect(await idsOf(discovery, "translates legal contracts", { maxAgeMs: 0 })).to.deep.equal([2n, 3n, 1n]);
    const found = await discovery.find("translates legal contracts", {}, signal);
    expect(found.map(({ agentId }) => agentId)).to.deep.equal([2n, 4n, 3n, 1n]);
    expect(found.map(({ liveness: share }) => share)).to.deep.equal([1, 0.75, 1, 1]);
    for (const { rank, match, score, liveness } of found) {
      expect(rank).to.be.closeTo(match * (0.05 + 0.95 * score) * liveness, 1e-12);
    }
  });

  it("never calls an agent live that did not answer within its ttl, and lists it only where that was asked for", async () => {
    const { discovery, declare, liveness, clock } = createWorld();
    for (const index of [0, 1]) declare(index, legal);
    const [gone] = [testSigner(0).address];
    const find = (filter: FindFilter) => discovery.find("legal", filter, signal);
    expect((await find({ liveness: "known" })).map(({ isLive, alive }) => [isLive, alive])).to.deep.equal([
      [false, undefined],
      [false, undefined],
    ]);
    expect(liveness.asked.size, "nobody was challenged").to.equal(0);
    expect(await idsOf(discovery, "legal")).to.have.members([1n, 2n]);
    liveness.silent.add(gone);
    clock.nowMs += LIVENESS_TTL_MS;
    expect(await idsOf(discovery, "legal"), "at the end of its ttl").to.have.members([1n, 2n]);
    clock.nowMs += 1;
    expect(await idsOf(discovery, "legal")).to.deep.equal([2n]);
    const preferred = await find({ liveness: "preferred" });
    expect(preferred.map(({ agentId, isLive }) => [agentId, isLive])).to.deep.equal([
      [2n, true],
      [1n, false],
    ]);
    for (const { log, alive } of preferred) {
      expect(alive && verifyAlive(alive, testContracts).kind, "the last answer").to.equal("accept");
      expect(alive?.alive.log).to.equal(log);
    }
  });

  it("goes on to the next agents when the best do not answer", async () => {
    const { discovery, declare, liveness } = createWorld();
    for (const index of [0, 1, 2])
      declare(index, { ...legal, description: `${legal.description} ${"more ".repeat(index)}` });
    const [best] = await idsOf(discovery, "legal contracts", { limit: 1, liveness: "known" });
    liveness.silent.add(testSigner(Number(best) - 1).address);
    const [live] = await discovery.find("legal contracts", { limit: 1 }, signal);
    expect(live?.isLive).to.equal(true);
    expect(live?.agentId).to.not.equal(best);
  });

  it("filters by topic, skill, price, score and age of the sign of life", async () => {
    const { discovery, declare, scores, clock, liveness } = createWorld();
    declare(0, { ...legal, priceWei: 9n });
    expect(await idsOf(discovery, "")).to.deep.equal([1n]);
    clock.nowMs += 60_000;
    liveness.silent.add(testSigner(0).address);
    declare(1, { ...plumber, priceWei: 10n });
    scores.set(1n, 0.4).set(2n, 0.6);
    const cases: [FindFilter, bigint[]][] = [
      [{ topic: "plumbing" }, [2n]],
      [{ topic: "absent" }, []],
      [{ skills: ["LEGAL"] }, [1n]],
      [{ skills: ["legal", "plumbing"] }, [2n, 1n]],
      [{ maxPriceWei: 9n }, [1n]],
      [{ maxPriceWei: 8n }, []],
      [{ minScore: 0.5 }, [2n]],
      [{ maxAgeMs: 59_999 }, [2n]],
      [{ maxAgeMs: 60_000 }, [2n, 1n]],
      [{ limit: 1 }, [2n]],
      [{ kind: "intent" }, []],
    ];
    for (const [filter, expected] of cases) {
      expect(
        await idsOf(discovery, "", filter),
        JSON.stringify(filter, (_, v) => String(v) && v?.toString?.()),
      ).to.deep.equal(expected);
    }
  });

  it("never finds what is withdrawn, complete, expired or forked", async () => {
    const { discovery, declare, say, clock } = createWorld();
    const [first, second] = [declare(0, legal), declare(1, legal)];
    declare(2, legal, 60);
    declare(3, legal);
    declare(4, legal);
    say(0, "withdraw", { target: first, outcome: "withdrawn", reason: "" });
    say(1, "withdraw", { target: second, outcome: "complete", reason: "" });
    expect(await idsOf(discovery, "legal")).to.have.members([3n, 4n, 5n]);
    clock.nowMs += 60_000;
    expect(await idsOf(discovery, "legal")).to.have.members([4n, 5n]);
    discovery.shut(testSigner(4).address);
    expect(await idsOf(discovery, "legal")).to.deep.equal([4n]);
  });

  it("finds the newest content of a declaration only", async () => {
    const { discovery, declare, say } = createWorld();
    const target = declare(0, legal);
    say(0, "update", { target, ...testDeclare({ ...plumber, agentId: 1n }) });
    expect(await idsOf(discovery, "legal")).to.deep.equal([]);
    const [found] = await discovery.find("sinks", { topic: "plumbing" }, signal);
    expect(found).to.include({ agentId: 1n, name: "Pipe", declarationId: target });
  });

  it("finds intents, and who asks", async () => {
    const { discovery, say } = createWorld();
    say(0, "intent", intent);
    const [found] = await discovery.find("contract", { kind: "intent", topic: "translation" }, signal);
    expect(found).to.include({ agentId: 1n, priceWei: 9n });
  });

  it("does not find a declaration in another agent's name", async () => {
    const { discovery, declare, agents } = createWorld();
    declare(0, { ...legal, agentId: 2n });
    expect(await idsOf(discovery, "legal")).to.deep.equal([]);
    declare(1, legal);
    agents.delete(testSigner(1).address);
    expect(await idsOf(discovery, "legal"), "its signer was revoked").to.deep.equal([]);
  });

  it("gives what is needed to verify a finding without the node", async () => {
    const { discovery, declare } = createWorld();
    declare(0, legal);
    const [found] = await discovery.find("legal", {}, signal);
    const { header, digest, body } = found!.evidence;
    const decoded = decodeLogHeader(encodeLogHeader(header));
    const verified = decoded.kind === "accept" ? verifyLogHeader(decoded.value, testContracts) : decoded;
    expect(verified.kind === "accept" && verified.value.digest).to.equal(digest);
    expect(matchBody(header.header, body).kind).to.equal("accept");
  });

  it("lets no agent that declares much crowd out the others", async () => {
    const { discovery, declare } = createWorld();
    for (let i = 0; i < 12; i++) declare(0, { ...legal, name: `Lex ${i}` });
    declare(1, { ...legal, description: `${legal.description} And much besides, in many more words than the others.` });
    const found = await idsOf(discovery, "legal contracts");
    expect(found).to.have.members([1n, 2n]);
  });

  it("is rebuilt from the logs to the same answers", async () => {
    const world = createWorld();
    const target = world.declare(0, legal);
    world.say(0, "update", { target, ...testDeclare({ ...legal, name: "Lex II", agentId: 1n }) });
    world.declare(1, plumber);
    const before = await world.discovery.find("", {}, signal);
    world.store.prepare("DELETE FROM discovery_declarations").run();
    world.store.prepare("DELETE FROM discovery_text").run();
    const again = createWorld(world.store);
    expect(await idsOf(again.discovery, "")).to.deep.equal([]);
    again.discovery.rebuild();
    expect(await again.discovery.find("", {}, signal)).to.deep.equal(before);
    again.discovery.rebuild();
    expect(await again.discovery.find("", {}, signal)).to.deep.equal(before);
  });

  it("takes any words of a stranger without reading them as syntax, and names impossible filters", async () => {
    const { discovery, declare } = createWorld();
    declare(0, legal);
    const hostile = ['"', "legal AND NEAR(", "* OR text:x", "'; DROP TABLE log_entries; --", "^legal", "legal*"];
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.constantFrom(...hostile), fc.string({ unit: "binary" })), async (query) => {
        expect(await discovery.find(query, {}, signal)).to.be.an("array");
      }),
      { numRuns: 50 },
    );
    expect(await idsOf(discovery, "legal*")).to.deep.equal([1n]);
    for (const filter of [{ minScore: 2 }, { limit: 0 }, { limit: 101 }, { maxPriceWei: -1n }, { minScore: NaN }]) {
      const code = await discovery.find("", filter, signal).catch((error: unknown) => (error as { code: string }).code);
      expect(code).to.equal("FIND_FILTER_INVALID");
    }
  });
});

describe("discovery over gossip", function () {
  this.timeout(30_000);

  it("finds at one node what another declared, until it is withdrawn", async () => {
    const [a, b] = [await startNode(0), await startNode(1)];
    const options = {
      contracts: testContracts,
      nowMs: () => testNowMs,
      random: () => keccak256("0x"),
      blockHash: () => zeroHash,
    };
    const [asked, liveness] = [a, b].map(({ transport }, i) =>
      createLiveness({ transport, signer: testSigner(i), ...options }),
    ) as [Liveness, Liveness];
    await asked.start();
    const discovery = createDiscovery({
      store: b.store,
      liveness,
      logs: b.logs,
      agents: { agentOf: async () => 7n, commitmentOf: async () => zeroHash },
      scores: { scoresOf: async () => new Map() },
      nowMs: () => testNowMs,
    });
    b.gossip.onEntry((entry) => discovery.apply(entry));
    await connect(a, b);
    const { peerId } = a.transport;
    const offer = a.writer.append(
      "declare",
      testDeclare({ name: "Lex", peerId, addresses: a.transport.addresses() }),
      3600,
    );
    await a.gossip.publish(offer);
    const { header } = offer;
    await b.until("the declaration", () => b.entries.length === 1);
    const [found] = await discovery.find("lex", {}, signal);
    expect(found).to.include({ declarationId: header.digest, log: a.writer.log, isLive: true });
    const end = a.writer.append("withdraw", { target: header.digest, outcome: "withdrawn", reason: "" }, 60);
    await a.gossip.publish(end);
    await b.until("the withdrawal", () => b.entries.length === 2);
    expect(await discovery.find("lex", {}, signal)).to.deep.equal([]);
    expect([...a.faults, ...b.faults]).to.deep.equal([]);
    await Promise.all([asked.stop(), liveness.stop()]);
    await Promise.all([a.stop(), b.stop()]);
  });
});
