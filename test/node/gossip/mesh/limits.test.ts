import { expect } from "chai";
import fc from "fast-check";
import { createMesh } from "../../../../node/gossip/mesh/mesh.ts";
import type { Mesh, MeshEffect, MeshEvent } from "../../../../node/gossip/mesh/port.ts";
import {
  createScore,
  CUT_SCORE,
  MAX_REPUTATION,
  MAX_SCORE,
  MESH_SCORE,
  MIN_SCORE,
} from "../../../../node/gossip/mesh/score.ts";
import { ALL_SHARDS } from "../../../../node/gossip/mesh/shards.ts";
import {
  BYTE_BUDGET,
  DEFAULT_TUNING,
  FRAME_BUDGET,
  MAX_BURST_FRAMES,
  MAX_DOUBTED,
  MAX_MISSED,
  MAX_UNHEARD,
  MIN_OUTBOUND,
  SERVE_BUDGET,
  STALL_MS,
} from "../../../../node/gossip/mesh/tuning.ts";
import { decodeFrame, encodeFrame, MAX_FRAME_BYTES, type Frame } from "../../../../node/gossip/mesh/wire.ts";
import { meshEntry, sha256 } from "../../../fixtures/mesh-network.ts";
import { createRandom } from "../../../fixtures/random.ts";

/** One core, which a test drives by hand; peers have greeted it and are in its mesh. */
function startCore(peers: readonly string[], tuning: Parameters<typeof createMesh>[0]["tuning"] = {}) {
  const core = createMesh({ random: createRandom(1), hash: sha256, tuning });
  const tell = (event: MeshEvent, nowMs = 0): MeshEffect[] => core.handle(event, nowMs);
  const say = (peer: string, frame: Frame, nowMs = 0): MeshEffect[] =>
    tell({ kind: "frame", peer, bytes: encodeFrame(frame) }, nowMs);
  for (const peer of peers) {
    tell({ kind: "connected", peer });
    say(peer, { kind: "hello", shards: ALL_SHARDS, extensions: [] });
    say(peer, { kind: "graft", shards: ALL_SHARDS, isLonely: false });
  }
  return { core, tell, say };
}

const pushed = (header: Uint8Array): Frame => ({
  kind: "headers",
  headers: [{ body: "none", hops: 0, bytes: header }],
});
const count = (effects: readonly MeshEffect[], kind: MeshEffect["kind"]): number =>
  effects.filter((effect) => effect.kind === kind).length;
const framesTo = (effects: readonly MeshEffect[], peer: string): Frame[] =>
  effects.flatMap((effect) => {
    if (effect.kind !== "send" || effect.peer !== peer) return [];
    const decoded = decodeFrame(effect.bytes);
    return decoded.kind === "accept" ? [decoded.value] : [];
  });
const headersTo = (effects: readonly MeshEffect[], peer: string): Uint8Array[] =>
  framesTo(effects, peer).flatMap((frame) => (frame.kind === "headers" ? frame.headers.map(({ bytes }) => bytes) : []));
const scoreOf = (core: Mesh, peer: string, nowMs = 0): number | undefined =>
  core.peers(nowMs).find((view) => view.peer === peer)?.score;
/** Everything that waits for a peer, until nothing does. */
function drain(core: Mesh, fromMs: number): MeshEffect[] {
  const effects: MeshEffect[] = [];
  for (let nowMs = fromMs; core.wakeAtMs() <= fromMs + 500;) {
    nowMs = Math.max(nowMs, core.wakeAtMs());
    effects.push(...core.handle({ kind: "wake" }, nowMs));
  }
  return effects;
}

describe("limits of the mesh", function () {
  this.timeout(30_000);

  it("judges no more of a flooding peer than its budget of frames allows, and cuts it off", () => {
    const { core, say } = startCore(["flooder", "honest"]);
    let judged = 0;
    let isCut = false;
    for (let i = 0; i < 3 * FRAME_BUDGET.burst && !isCut; i++) {
      const effects = say("flooder", pushed(meshEntry(i, { bodyLength: 1 }).header));
      for (const effect of effects) {
        if (effect.kind !== "judge") continue;
        judged++;
        core.handle({ kind: "judged", id: effect.id, judgement: "ignore" }, 0);
      }
      isCut = count(effects, "disconnect") > 0;
    }
    expect(judged).to.be.within(FRAME_BUDGET.burst / 2, FRAME_BUDGET.burst);
    expect(isCut, "it goes on and is cut off").to.equal(true);
    expect(count(say("honest", pushed(meshEntry(99_999).header)), "judge"), "another is heard").to.equal(1);
  });

  it("looks at no more bytes of a peer than its budget allows", () => {
    const { core, tell } = startCore(["flooder"]);
    const junk = new Uint8Array(MAX_FRAME_BYTES);
    junk.set([1, 200]);
    for (let i = 0; i < 100; i++) tell({ kind: "frame", peer: "flooder", bytes: junk });
    expect(core.counts().droppedFrames).to.be.at.least(100 - Math.ceil(BYTE_BUDGET.burst / MAX_FRAME_BYTES) - 1);
  });

  it("keeps bounded memory of headers, announcements, wants and asks, whatever a peer sends", () => {
    const { core, tell, say } = startCore(["a", "b"], { seenHeaders: 50, keptHeaders: 20 });
    const idOf = (i: number): string => String.fromCharCode(...sha256(Uint8Array.of(i & 255, i >> 8)).subarray(0, 20));
    const most = { headers: 0, announced: 0, bodies: 0 };
    let nowMs = 0;
    for (let i = 0; i < 150; i++) {
      nowMs += 50;
      const { header, id } = meshEntry(i, { bodyLength: 40 });
      say("a", { kind: "headers", headers: [{ body: "will", hops: 0, bytes: header }] }, nowMs);
      tell({ kind: "want", id }, nowMs);
      tell({ kind: "judged", id, judgement: "accept" }, nowMs);
      const announcements = Array.from({ length: 60 }, (_, k) => ({
        ...{ id: idOf(i * 60 + k), shard: 0, entryKind: 1, body: "has" as const },
      }));
      say("b", { kind: "announce", announcements }, nowMs);
      say("b", { kind: "askHeaders", ids: announcements.map((announcement) => announcement.id) }, nowMs);
      say("b", { kind: "askBody", id }, nowMs);
      const held = core.held();
      for (const name of ["headers", "announced", "bodies"] as const) most[name] = Math.max(most[name], held[name]);
      for (const { queuedBytes } of core.peers(nowMs)) expect(queuedBytes).to.be.at.most(200_000);
    }
    expect(most.headers).to.equal(50);
    expect(most.announced, "who announces a flood and delivers nothing is cut off").to.be.within(60, 4_096);
    expect(most.bodies).to.be.within(1, 1_024);
    expect(scoreOf(core, "b", nowMs)).to.be.at.most(CUT_SCORE);
  });

  it("loses the oldest headers of others to a slow peer, and no own header", () => {
    const { core, tell, say } = startCore(["slow", "source"]);
    tell({ kind: "blocked", peer: "slow" });
    const own = Array.from({ length: 300 }, (_, i) => meshEntry(10_000 + i).header);
    let nowMs = 0;
    for (let i = 0; i < 1_000; i++) {
      nowMs += 20;
      const { header, id } = meshEntry(i);
      say("source", pushed(header), nowMs);
      tell({ kind: "judged", id, judgement: "accept" }, nowMs);
      if (i < own.length) tell({ kind: "publish", header: own[i]! }, nowMs);
    }
    expect(core.counts().droppedHeaders).to.equal(1_000 - 256);
    const [view] = core.peers(nowMs).filter(({ peer }) => peer === "slow");
    expect(view?.queuedHeaders).to.equal(own.length + 256);
    const effects = [...tell({ kind: "writable", peer: "slow" }, nowMs), ...drain(core, nowMs)];
    const delivered = headersTo(effects, "slow").map((bytes) => Buffer.from(bytes).toString("hex"));
    expect(delivered.slice(0, own.length)).to.deep.equal(own.map((bytes) => Buffer.from(bytes).toString("hex")));
  });

  it("gives up announcements for a slow peer before it loses it a header", () => {
    const { core, tell, say } = startCore(["slow", "source", "third"], { mode: "hybrid", eagerLinks: 1, eagerHops: 0 });
    tell({ kind: "blocked", peer: "slow" });
    for (let i = 0; i < 300; i++) {
      const { header, id } = meshEntry(i);
      say("source", pushed(header), 20 * i);
      tell({ kind: "judged", id, judgement: "accept" }, 20 * i);
    }
    const { droppedAnnouncements, droppedHeaders } = core.counts();
    expect(droppedHeaders).to.equal(0);
    expect(droppedAnnouncements).to.be.greaterThan(50);
    const slow = core.peers(6_000).find(({ peer }) => peer === "slow");
    expect(slow?.queuedHeaders).to.be.within(129, 256);
    expect(slow?.queuedAnnouncements).to.equal(0);
  });

  it("sends at most four frames to a peer before it hears whether the peer takes more", () => {
    const { core, tell, say } = startCore(["reader"]);
    const { header, body, id } = meshEntry(1, { bodyLength: 65_536 });
    const large = meshEntry(2, { bodyLength: 65_536 });
    tell({ kind: "publish", header });
    tell({ kind: "publish", header: large.header });
    drain(core, 0);
    expect(count(say("reader", { kind: "askBody", id }, 600), "readBody")).to.equal(1);
    const first = tell({ kind: "bodyRead", id, peer: "reader", bytes: body }, 600);
    expect(framesTo(first, "reader")).to.have.length(MAX_BURST_FRAMES);
    expect(core.wakeAtMs(), "and goes on at once").to.be.at.most(600);
    tell({ kind: "blocked", peer: "reader" }, 600);
    expect(tell({ kind: "wake" }, 600)).to.deep.equal([]);
    const rest = tell({ kind: "writable", peer: "reader" }, 700);
    expect(framesTo(rest, "reader").map(({ kind }) => kind)).to.deep.equal(["body"]);
  });

  it("gives a peer that asks again and again no more than its budget, and then cuts it off", () => {
    const { core, tell, say } = startCore(["asker"]);
    const { header, body, id } = meshEntry(1, { bodyLength: 65_536 });
    tell({ kind: "publish", header });
    drain(core, 0);
    let bytes = 0;
    let cuts = 0;
    for (let i = 0; i < 200; i++) {
      const effects = say("asker", { kind: "askBody", id }, 600);
      cuts += count(effects, "disconnect");
      if (count(effects, "readBody") > 0) {
        effects.push(...tell({ kind: "bodyRead", id, peer: "asker", bytes: body }, 600));
      }
      for (const frame of framesTo([...effects, ...drain(core, 600)], "asker"))
        bytes += frame.kind === "body" ? frame.bytes.length : 0;
    }
    expect(cuts).to.equal(1);
    expect(bytes).to.be.within(body.length, SERVE_BUDGET.burst + SERVE_BUDGET.perSecond);
  });

  it("cuts off who takes nothing for half a minute", () => {
    const { core, tell } = startCore(["stuck"]);
    tell({ kind: "blocked", peer: "stuck" }, 1_000);
    let cut: MeshEffect[] = [];
    for (let nowMs = 1_000; cut.length === 0 && nowMs < 10 * STALL_MS;) {
      nowMs = Math.max(nowMs + 1, core.wakeAtMs());
      cut = tell({ kind: "wake" }, nowMs).filter(({ kind }) => kind === "disconnect");
    }
    expect(cut).to.deep.equal([{ kind: "disconnect", peer: "stuck", code: "PEER_STALLED" }]);
  });

  it("keeps at most 64 own headers for a first listener", () => {
    const { tell, say } = startCore([]);
    for (let i = 0; i < MAX_UNHEARD + 10; i++) tell({ kind: "publish", header: meshEntry(i).header });
    tell({ kind: "connected", peer: "first" });
    const effects = say("first", { kind: "hello", shards: ALL_SHARDS, extensions: [] });
    expect(headersTo(effects, "first")).to.have.length(MAX_UNHEARD);
  });

  it("cuts off who sends invalid headers or no frames, and knows it again when it comes back", () => {
    const { core, tell, say } = startCore(["bad", "honest"]);
    const cuts: MeshEffect[] = [];
    for (let i = 0; i < 6; i++) {
      const { header, id } = meshEntry(i);
      say("bad", pushed(header));
      cuts.push(...tell({ kind: "judged", id, judgement: "reject" }).filter(({ kind }) => kind === "disconnect"));
    }
    expect(cuts).to.have.length(1);
    tell({ kind: "disconnected", peer: "bad" });
    expect(count(tell({ kind: "connected", peer: "bad" }), "disconnect")).to.equal(1);
    for (let i = 0; i < 4; i++) tell({ kind: "frame", peer: "honest", bytes: Uint8Array.of(1, 4, 255) });
    expect(scoreOf(core, "honest")).to.be.at.most(CUT_SCORE);
  });

  it("does not graft, and prunes, a peer of low score", () => {
    const { core, tell, say } = startCore(["weak", "other"]);
    const { header, id } = meshEntry(1);
    say("weak", pushed(header));
    tell({ kind: "judged", id, judgement: "reject" });
    expect(scoreOf(core, "weak")).to.be.lessThan(MESH_SCORE);
    const effects = drain(core, 5_000);
    expect(framesTo(effects, "weak").map(({ kind }) => kind)).to.include("prune");
    const answer = say("weak", { kind: "graft", shards: 1n, isLonely: true }, 40_000);
    expect(framesTo(answer, "weak").map(({ kind }) => kind)).to.deep.equal(["prune"]);
  });

  it("blames who announced what it does not deliver, and asks the next one", () => {
    const { core, say } = startCore(["liar", "honest"], { headerPatienceMs: 10, pullTimeoutMs: 100 });
    const { header, id } = meshEntry(1);
    const announce: Frame = { kind: "announce", announcements: [{ id, shard: 0, entryKind: 1, body: "none" }] };
    say("liar", announce);
    say("honest", announce);
    const asked = drain(core, 0);
    expect(framesTo(asked, "liar").map(({ kind }) => kind)).to.include("askHeaders");
    expect(framesTo(asked, "honest").map(({ kind }) => kind)).to.include("askHeaders");
    expect(count(say("honest", pushed(header), 500), "judge")).to.equal(1);
    expect(scoreOf(core, "liar", 500)).to.be.lessThan(0);
    expect(core.counts().brokenPromises).to.be.at.least(1);
  });
});

describe("the score of a peer", () => {
  it("stays within its bounds, and reputation within its own, whatever happens", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("credit" as const), ms: fc.nat(1_000_000) }),
      fc.record({ kind: fc.constant("blame" as const), ms: fc.nat(1_000_000), points: fc.nat(100) }),
      fc.record({ kind: fc.constant("repute" as const), ms: fc.constant(0), points: fc.double() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), fc.double(), (steps, reputation) => {
        const [score, unknown] = [createScore(), createScore()];
        let nowMs = 0;
        for (const { kind, ms, ...rest } of steps) {
          nowMs += ms;
          for (const each of [score, unknown]) {
            if (kind === "credit") each.credit(nowMs);
            if (kind === "blame" && "points" in rest) each.blame(rest.points, nowMs);
            if (kind === "repute" && "points" in rest) each.repute(rest.points);
          }
          expect(score.at(nowMs)).to.be.within(MIN_SCORE, MAX_SCORE);
        }
        unknown.repute(0);
        score.repute(reputation);
        expect(Math.abs(score.at(nowMs) - unknown.at(nowMs))).to.be.at.most(MAX_REPUTATION + 1e-9);
      }),
      { numRuns: 200 },
    );
  });

  it("is not saved by the best reputation and the best work, nor lost by the worst reputation alone", () => {
    const best = createScore();
    best.repute(Infinity);
    for (let i = 0; i < 1_000; i++) best.credit(0);
    for (let i = 0; i < 5; i++) best.blame(15, 0);
    expect(best.at(0)).to.be.at.most(CUT_SCORE);
    const worst = createScore();
    worst.repute(-Infinity);
    expect(worst.at(0)).to.be.greaterThan(CUT_SCORE);
    best.repute(0);
    expect(best.at(3_600_000), "faults fade").to.be.greaterThan(MESH_SCORE);
  });
});

describe("links of the mesh that count", () => {
  const inbound = Array.from({ length: DEFAULT_TUNING.degreeHigh }, (_, i) => `in${i}`);
  const meshedOf = (core: Mesh, nowMs: number): string[] =>
    core
      .peers(nowMs)
      .filter(({ meshed }) => meshed !== 0n)
      .map(({ peer }) => peer);
  /** Strangers that came first fill the mesh; then others connect, and the mesh is looked at for a while. */
  function fillThenMeet(first: Partial<MeshEvent>, others: readonly string[], then: Partial<MeshEvent>): string[] {
    const core = createMesh({ random: createRandom(4), hash: sha256 });
    const meet = (peer: string, more: Partial<MeshEvent>, nowMs: number): void => {
      core.handle({ kind: "connected", peer, ...more } as MeshEvent, nowMs);
      const hello = encodeFrame({ kind: "hello", shards: ALL_SHARDS, extensions: [] });
      core.handle({ kind: "frame", peer, bytes: hello }, nowMs);
    };
    const graft = encodeFrame({ kind: "graft", shards: ALL_SHARDS, isLonely: false });
    for (const peer of inbound) {
      meet(peer, first, 0);
      core.handle({ kind: "frame", peer, bytes: graft }, 0);
    }
    expect(meshedOf(core, 0)).to.have.members(inbound);
    for (const peer of others) meet(peer, then, 1);
    for (let nowMs = 500; nowMs <= 60_000; nowMs += 500) core.handle({ kind: "wake" }, nowMs);
    return meshedOf(core, 60_000);
  }

  it("have three of our own choice among them, whoever filled the mesh before", () => {
    const meshed = fillThenMeet({ isOutbound: false }, ["own0", "own1", "own2", "own3"], { isOutbound: true });
    expect(meshed.filter((peer) => peer.startsWith("own"))).to.have.lengthOf.within(MIN_OUTBOUND, 4);
    expect(meshed.length).to.be.within(5, DEFAULT_TUNING.degreeHigh);
  });

  it("are two of one subnet: others take the places of the rest", () => {
    const others = ["a", "b", "c", "d", "e"];
    const meshed = fillThenMeet({ subnet: "4:44.1" }, others, { isOutbound: false });
    expect(meshed.filter((peer) => others.includes(peer)).length).to.be.at.least(3);
    expect(meshed.length).to.be.within(5, DEFAULT_TUNING.degreeHigh);
  });

  it("stay, all of one subnet, where there are no others", () => {
    expect(fillThenMeet({ subnet: "4:44.1" }, [], {})).to.have.members(inbound);
  });

  it("are not those that stay silent while others bring headers: they are told of by announcement, then replaced", () => {
    const silent = inbound.slice(1);
    const { core, tell, say } = startCore([...silent, "bringer"]);
    for (const peer of ["x", "y", "z", "w"]) {
      tell({ kind: "connected", peer });
      say(peer, { kind: "hello", shards: ALL_SHARDS, extensions: [] });
    }
    expect(meshedOf(core, 0)).to.have.members([...silent, "bringer"]);
    const told: number[] = [];
    for (let i = 0; i <= MAX_MISSED; i++) {
      const { header, id } = meshEntry(i);
      const nowMs = 1 + 400 * i;
      say("bringer", pushed(header), nowMs);
      const effects = [...tell({ kind: "judged", id, judgement: "accept" }, nowMs), ...drain(core, nowMs)];
      const announced = (peer: string) => framesTo(effects, peer).some(({ kind }) => kind === "announce");
      told.push(["x", "y", "z", "w"].filter(announced).length);
    }
    expect(told.slice(0, MAX_DOUBTED - 1), "one listener beyond the mesh, as long as nothing is odd").to.deep.equal([
      1, 1,
    ]);
    expect(told[MAX_DOUBTED], "all of them, once the other links are doubted").to.equal(4);
    for (let nowMs = 4_000; nowMs <= 40_000; nowMs += 500) core.handle({ kind: "wake" }, nowMs);
    const meshed = meshedOf(core, 40_000);
    expect(meshed).to.include.members(["bringer", "x", "y", "z", "w"]);
    expect(meshed.length).to.be.within(5, DEFAULT_TUNING.degreeHigh);
  });
});
