import { expect } from "chai";
import type { Address } from "viem";
import { CHUNK_LEAVES, packLeaf, startOfEpoch, SuretyError, unpackLeaf, windowsOf, type EpochClock } from "#protocol";
import type { Candidate, EpochEvent } from "../../../node/reputation/book.ts";
import { claimedTopicsOf } from "../../../node/reputation/driver.ts";
import { computeEpoch, type ComputedTopic } from "../../../node/reputation/engine.ts";
import {
  createPublisher,
  MAX_LEAVES_BYTES,
  stepPublisher,
  type PublisherState,
} from "../../../node/reputation/publisher.ts";
import type { RoleEffect, RoleEvent } from "../../../node/reputation/roles.ts";
import { createWatcher, MAX_OPEN_REQUESTS, stepWatcher } from "../../../node/reputation/watcher.ts";
import { graphOf, randomGraph } from "./graphs.ts";

const clock: EpochClock = { genesis: 1_000, epochLengthSeconds: 900 };
const me: Address = "0x00000000000000000000000000000000000000aa";
const other: Address = "0x00000000000000000000000000000000000000bb";
const at = (epoch: number, offset = 0): RoleEvent => ({ kind: "time", timestamp: startOfEpoch(clock, epoch) + offset });
const kinds = (effects: readonly RoleEffect[]) => effects.map(({ kind }) => kind);

/** Feeds events one by one; returns all effects that came out. */
function createPlayer<S>(state: S, step: (state: S, event: RoleEvent) => [S, RoleEffect[]]) {
  return (...events: RoleEvent[]): RoleEffect[] =>
    events.flatMap((event) => {
      const [next, effects] = step(state, event);
      state = next;
      return effects;
    });
}

const publisher = (rank = 0, isReleasing = true): PublisherState =>
  createPublisher(clock, { agentId: 7, rank, isReleasing });

function committed(topics: readonly ComputedTopic[], candidateId: bigint, publisherId = 7, epoch = 1): EpochEvent {
  return { kind: "committed", candidateId, epoch, publisher: publisherId, topics, leaves: new Uint8Array() };
}
const struck = (candidateId: bigint): EpochEvent => ({
  kind: "struck",
  candidateId,
  fault: "row",
  challenger: other,
  rewardWei: 1n,
});
const requested = (candidateId: bigint, chunk: number, answerBy: number, requester: Address = other): EpochEvent => ({
  kind: "requested",
  candidateId,
  topic: 1n,
  chunk,
  requester,
  answerBy,
});

describe("publisher", () => {
  let topics: ComputedTopic[];
  let computed: RoleEvent;
  before(async () => {
    topics = await computeEpoch([randomGraph(3, 20), { ...randomGraph(4, 20), topic: 2n }]);
    computed = { kind: "computed", epoch: 1, topics };
  });

  it("computes once when an epoch has closed, and commits all topics at once", () => {
    const play = createPlayer(publisher(), stepPublisher);
    expect(play(at(1, 899))).to.deep.equal([]);
    expect(play(at(2))).to.deep.equal([{ key: "compute:1", kind: "compute", epoch: 1 }]);
    expect(play(at(2, 10))).to.deep.equal([]);
    const [commit, ...rest] = play(computed, { kind: "done", key: "compute:1" }, at(2, 20));
    expect(rest).to.deep.equal([]);
    expect(commit).to.include({ kind: "commit", epoch: 1 });
    expect(commit).to.have.property("topics").with.length(2);
    expect(play(committed(topics, 1n), { kind: "done", key: (commit as RoleEffect).key }, at(2, 30))).to.deep.equal([]);
  });

  it("does not commit after the window, and not what stands already", () => {
    const late = createPlayer(publisher(), stepPublisher);
    expect(kinds(late(at(2, 300), computed))).to.deep.equal(["compute"]);
    const second = createPlayer(publisher(), stepPublisher);
    expect(kinds(second(committed(topics, 1n, 8), at(2), computed))).to.deep.equal(["compute"]);
  });

  it("commits when the first candidate is struck, is wrong, or is absent by its rank's turn", () => {
    const wrong = topics.map((topic) => ({ ...topic, root: `0x${"33".repeat(32)}` as const }));
    const turn = Math.floor(300 / 8);
    for (const first of [[committed(topics, 1n, 8), struck(1n)], [committed(wrong, 1n, 8)], []]) {
      const play = createPlayer(publisher(1), stepPublisher);
      expect(kinds(play(...first, at(2, turn - 1), computed))).to.deep.equal(["compute"]);
      expect(kinds(play(at(2, turn)))).to.deep.equal(["commit"]);
    }
  });

  it("tries again with the next block after a failure that may pass, and never after one that will not", () => {
    for (const isRetryable of [true, false]) {
      const play = createPlayer(publisher(), stepPublisher);
      const [, commit] = play(at(2), computed);
      const error = new SuretyError("X", "x", { next: "x", isRetryable });
      expect(play({ kind: "failed", key: (commit as RoleEffect).key, error })).to.deep.equal([]);
      expect(kinds(play(at(2, 12)))).to.deep.equal(isRetryable ? ["commit"] : []);
    }
  });

  it("answers for its own leaves at once, and for another's with the same root when half of the time is over", async () => {
    const large = await computeEpoch([graphOf(300, [], Array<number>(300).fill(1))]);
    const answerBy = startOfEpoch(clock, 2) + 150;
    for (const [owner, offset] of [
      [7, 0],
      [8, 75],
    ] as const) {
      const play = createPlayer(publisher(), stepPublisher);
      play(committed(large, 1n, owner), at(2), { kind: "computed", epoch: 1, topics: large });
      play(requested(1n, 1, answerBy));
      if (offset > 0) expect(play(at(2, offset - 1))).to.deep.equal([]);
      const [answer] = play(at(2, offset));
      expect(answer).to.include({ kind: "answer", candidateId: 1n, topic: 1n, chunk: 1 });
      expect(answer)
        .to.have.property("leaves")
        .with.length(301 - CHUNK_LEAVES);
      expect(answer).to.have.property("proof").with.length(1);
    }
    const tooLate = createPlayer(publisher(), stepPublisher);
    tooLate(committed(large, 1n), at(2), { kind: "computed", epoch: 1, topics: large }, requested(1n, 1, answerBy));
    expect(tooLate(at(2, 151))).to.deep.equal([]);
  });

  it("splits topics that do not fit one transaction, and leaves out the leaves of one that alone is too large", async () => {
    const size = MAX_LEAVES_BYTES / 32;
    const graph = (agents: number, topic: bigint) => ({ ...graphOf(agents, [], Array<number>(agents).fill(1)), topic });
    const several = await computeEpoch([graph(size / 2, 1n), graph(size / 2, 2n), graph(size + 1, 3n)]);
    const play = createPlayer(publisher(), stepPublisher);
    const commits = play(at(2), { kind: "computed", epoch: 1, topics: several }).slice(1);
    expect(
      commits.map((effect) => effect.kind === "commit" && [effect.topics.length, effect.leaves.length > 0]),
    ).to.deep.equal([
      [1, true],
      [1, true],
      [1, false],
    ]);
  });

  it("finalizes and takes its bond back when the challenge period is over, whatever it forgot meanwhile", () => {
    const play = createPlayer(publisher(), stepPublisher);
    const wishes = play(committed(topics, 1n), at(3));
    expect(kinds(wishes)).to.deep.equal(["compute", "finalize", "release"]);
    const finalized = topics.map(({ topic }): EpochEvent => ({
      kind: "finalized",
      topic,
      epoch: 1,
      candidateId: 1n,
      leafCount: 9,
      finalizedIn: 3,
    }));
    const restarted = createPlayer(publisher(), stepPublisher);
    expect(
      kinds(restarted(committed(topics, 1n), ...finalized, { kind: "released", candidateId: 1n }, at(3))),
    ).to.deep.equal(["compute"]);
  });

  it("finalizes no topic whose first standing candidate has an unanswered request", () => {
    const play = createPlayer(publisher(0, false), stepPublisher);
    expect(kinds(play(committed(topics, 1n), requested(1n, 0, 0), committed(topics, 2n, 8), at(3)))).to.deep.equal([
      "compute",
    ]);
  });
});

describe("watcher", () => {
  const graph = randomGraph(3, 20);
  let topics: ComputedTopic[];
  let computed: RoleEvent;
  before(async () => {
    topics = await computeEpoch([graph]);
    computed = { kind: "computed", epoch: 1, topics };
  });
  const watcher = () => createPlayer(createWatcher(clock, { address: me }), stepWatcher);
  const hidden = (chunks: number[]): RoleEvent => ({
    kind: "inspected",
    candidateId: 1n,
    answered: 0,
    finding: { kind: "unavailable", topic: 1n, chunks },
  });

  it("inspects each standing candidate of the closed epoch once, and is silent about a good one", () => {
    const play = watcher();
    play(at(2), computed);
    expect(play(committed(topics, 1n), at(2, 5))).to.deep.equal([
      { key: "inspect:1:0", kind: "inspect", candidateId: 1n, answered: 0 },
    ]);
    expect(
      play(
        { kind: "inspected", candidateId: 1n, answered: 0, finding: { kind: "none" } },
        { kind: "done", key: "inspect:1:0" },
        at(2, 9),
      ),
    ).to.deep.equal([]);
    expect(play(committed(topics, 2n, 9), struck(2n), at(2, 12))).to.deep.equal([]);
  });

  it("challenges what is wrong, once, and lets go when somebody else was faster", () => {
    const play = watcher();
    play(at(2), computed, committed(topics, 1n), at(2, 5));
    const challenge = { kind: "edge", topic: 1n, isLast: true, leaf: 0n, proof: [] } as const;
    const found: RoleEvent = {
      kind: "inspected",
      candidateId: 1n,
      answered: 0,
      finding: { kind: "challenge", challenge },
    };
    expect(kinds(play(found))).to.deep.equal(["challenge"]);
    expect(play(at(2, 20))).to.deep.equal([]);
    expect(play(struck(1n), at(2, 30))).to.deep.equal([]);
  });

  it("asks for hidden leaves within bounds and in time, looks again when they came, strikes when they did not", () => {
    const play = watcher();
    play(at(2), computed, committed(topics, 1n), at(2, 5));
    const chunks = Array.from({ length: MAX_OPEN_REQUESTS + 6 }, (_, k) => k);
    const asked = play(hidden(chunks), { kind: "done", key: "inspect:1:0" });
    expect(asked).to.have.length(MAX_OPEN_REQUESTS);
    expect(new Set(kinds(asked))).to.deep.equal(new Set(["request"]));

    const answered = watcher();
    answered(at(2), computed, committed(topics, 1n), at(2, 5), hidden([0]), { kind: "done", key: "inspect:1:0" });
    const answerBy = startOfEpoch(clock, 2) + 160;
    answered(requested(1n, 0, answerBy, me), { kind: "done", key: "request:1:1:0" });
    answered({ kind: "answered", candidateId: 1n, topic: 1n, chunk: 0, leaves: [1n] });
    expect(kinds(answered(at(2, 100)))).to.deep.equal(["inspect"]);

    const silent = watcher();
    silent(at(2), computed, committed(topics, 1n), at(2, 5), hidden([0]), { kind: "done", key: "inspect:1:0" });
    silent(requested(1n, 0, answerBy, me), { kind: "done", key: "request:1:1:0" });
    expect(silent(at(2, 160))).to.deep.equal([]);
    expect(kinds(silent(at(2, 161)))).to.deep.equal(["strike"]);
    expect(kinds(silent({ ...struck(1n), fault: "unavailable" } as EpochEvent, at(2, 170)))).to.deep.equal(["reclaim"]);

    const late = watcher();
    late(at(2), computed, committed(topics, 1n), at(2, 5));
    expect(windowsOf(clock, 1).requestUntil).to.equal(startOfEpoch(clock, 2) + 600);
    expect(late(at(2, 600), hidden([0]))).to.deep.equal([]);
  });

  it("finalizes when a sixth of an epoch went by and no publisher did", () => {
    const play = watcher();
    expect(kinds(play(committed(topics, 1n), at(3, 149)))).to.deep.equal(["compute"]);
    expect(kinds(play(at(3, 150)))).to.deep.equal(["finalize"]);
  });

  it("knows leaves by whatever way they came", async () => {
    const [topic] = topics as [ComputedTopic];
    const base: Candidate = {
      candidateId: 1n,
      epoch: 1,
      publisher: 9,
      topics: [topic],
      leaves: new Uint8Array(),
      fault: "none",
      isReleased: false,
      requests: new Map(),
    };
    const none = { graphs: [graph], topics: [] };
    const leavesOf = (candidate: Candidate, known: Parameters<typeof claimedTopicsOf>[1]) =>
      claimedTopicsOf(candidate, known)[0]?.leaves;
    expect(leavesOf(base, none)).to.equal(undefined);
    expect(leavesOf(base, { graphs: [graph], topics })).to.equal(topic.leaves);
    const request = {
      candidateId: 1n,
      topic: 1n,
      chunk: 0,
      requester: other,
      answerBy: 0,
      leaves: topic.leaves,
      isReclaimed: false,
    } as const;
    expect(leavesOf({ ...base, requests: new Map([["1/0", request]]) }, none)).to.deep.equal(topic.leaves);
    const wrong = topic.leaves.with(1, packLeaf({ ...unpackLeaf(topic.leaves[1] as bigint), score: 1n }));
    expect(leavesOf({ ...base, requests: new Map([["1/0", { ...request, leaves: wrong }]]) }, none)).to.deep.equal(
      wrong,
    );
  });
});
