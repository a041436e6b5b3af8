import { expect } from "chai";
import fc from "fast-check";
import { kinds } from "#protocol";
import type { MeshMode, MessageId } from "../../../../node/gossip/mesh/port.ts";
import { shardsOf } from "../../../../node/gossip/mesh/shards.ts";
import { decodeFrame } from "../../../../node/gossip/mesh/wire.ts";
import {
  createMeshNetwork,
  meshEntry,
  randomLinks,
  type MeshNetwork,
  type NetworkOptions,
  type TestEntry,
} from "../../../fixtures/mesh-network.ts";
import { createRandom } from "../../../fixtures/random.ts";
import { isNightly } from "../../../fixtures/profile.ts";

const runs = isNightly ? 200 : 12;
const spread = (random: () => number): number => 1 + 300 * random();

/** A network whose links are up and grafted. */
function startNetwork(links: readonly (readonly [number, number])[], options: NetworkOptions): MeshNetwork {
  const network = createMeshNetwork(options);
  for (const [a, b] of links) network.connect(a, b);
  network.run(5_000);
  return network;
}

function publishAll(network: MeshNetwork, entries: readonly TestEntry[], everyMs: number): void {
  entries.forEach((entry, i) => {
    network.publish(i % network.cores.length, entry);
    network.run(everyMs);
  });
  network.run(20_000);
}

const entriesOf = (count: number, bodyLength = 300): TestEntry[] =>
  Array.from({ length: count }, (_, i) => meshEntry(i, { bodyLength }));
const idsOf = (entries: readonly TestEntry[]): MessageId[] => entries.map(({ id }) => id);
const total = (network: MeshNetwork, name: "duplicates" | "announcementsIn" | "bytesOut" | "headerPulls"): number =>
  network.cores.reduce((sum, core) => sum + core.counts()[name], 0);

describe("the mesh", function () {
  this.timeout(60_000);

  it("brings every header to every node that is connected, whatever the order and however often frames arrive", () => {
    const network = fc.record({
      seed: fc.integer(),
      nodes: fc.integer({ min: 2, max: 14 }),
      degree: fc.integer({ min: 2, max: 4 }),
      mode: fc.constantFrom<MeshMode>("eager", "hybrid"),
      count: fc.integer({ min: 1, max: 10 }),
    });
    fc.assert(
      fc.property(network, ({ seed, nodes, degree, mode, count }) => {
        // Every link of so sparse a graph is in the mesh, so nothing depends on luck.
        const links = randomLinks(nodes, degree, createRandom(seed));
        const tuning = { mode, degree: 20, degreeLow: 20, degreeHigh: 24 };
        const mesh = startNetwork(links, { seed, nodes, tuning, latencyMs: spread, twice: 0.2 });
        const entries = entriesOf(count);
        publishAll(mesh, entries, 20);
        for (const held of mesh.accepted) expect([...held.keys()]).to.have.members(idsOf(entries));
        for (const cut of mesh.cut) expect(cut.size, "nobody honest is cut off").to.equal(0);
      }),
      { numRuns: runs },
    );
  });

  it("keeps 5 to 8 links a node of many connections, mutual, and reaches all in both modes", () => {
    const links = randomLinks(80, 16, createRandom(3));
    const bytes: number[] = [];
    for (const mode of ["eager", "hybrid"] as const) {
      const mesh = startNetwork(links, {
        seed: 1,
        nodes: 80,
        tuning: { mode, lateLinks: 99 },
        latencyMs: (random) => 40 + 90 * random(),
      });
      mesh.cores.forEach((core, node) => {
        const linked = core.peers(mesh.nowMs()).filter(({ meshed }) => meshed !== 0n);
        expect(linked.length, `links of node ${node}`).to.be.within(2, 8);
        for (const { peer, meshed } of linked) {
          const back = mesh.cores[Number(peer)]!.peers(mesh.nowMs()).find((other) => other.peer === String(node));
          expect(back?.meshed, `${node} and ${peer} agree`).to.equal(meshed);
        }
      });
      const entries = entriesOf(20);
      publishAll(mesh, entries, 50);
      for (const held of mesh.accepted) expect(held.size).to.equal(entries.length);
      bytes.push(total(mesh, "bytesOut"));
    }
    expect(bytes[1]!, "announcements cost less than copies").to.be.lessThan(bytes[0]! * 0.8);
  });

  it("passes nothing on before it was accepted, and nothing that was not", () => {
    const entries = entriesOf(9);
    const verdicts = ["accept", "ignore", "reject"] as const;
    const verdictOf = (id: MessageId) => verdicts[idsOf(entries).indexOf(id) % 3]!;
    const sent = new Set<string>();
    const mesh = startNetwork(
      [
        [0, 1],
        [1, 2],
      ],
      {
        ...{ seed: 4, nodes: 3, judge: verdictOf },
        watch(node, effect) {
          if (effect.kind !== "send" || node !== 1) return;
          const frame = decodeFrame(effect.bytes);
          if (frame.kind !== "accept" || frame.value.kind !== "headers") return;
          for (const { bytes } of frame.value.headers) sent.add(mesh.cores[0]!.idOf(bytes));
        },
      },
    );
    for (const entry of entries) mesh.publish(0, entry);
    mesh.run(10_000);
    const accepted = entries.filter((_, i) => i % 3 === 0);
    expect([...sent]).to.have.members(idsOf(accepted));
    expect([...mesh.accepted[2]!.keys()]).to.have.members(idsOf(accepted));
  });

  it("judges a header again, if another brings it, when the first sender was the reason to drop it", () => {
    let asked = 0;
    const [entry] = entriesOf(1) as [TestEntry];
    const mesh = startNetwork(
      [
        [0, 1],
        [1, 2],
      ],
      { seed: 1, nodes: 3, judge: () => (asked++ === 0 ? "defer" : "accept") },
    );
    mesh.publish(0, entry);
    mesh.run(1_000);
    expect([asked, mesh.accepted[1]!.size]).to.deep.equal([1, 0]);
    mesh.publish(2, entry);
    mesh.run(1_000);
    expect([asked, mesh.accepted[1]!.size]).to.deep.equal([2, 1]);
  });

  it("lets a header that found no listener wait for the first one", () => {
    const [entry] = entriesOf(1) as [TestEntry];
    const mesh = createMeshNetwork({ seed: 1, nodes: 2 });
    mesh.publish(0, entry);
    mesh.run(60_000);
    mesh.connect(0, 1);
    mesh.run(1_000);
    expect(mesh.accepted[1]!.has(entry.id)).to.equal(true);
  });

  it("carries the leaves of a hub that know nobody else, beyond its usual number of links", () => {
    const leaves = 24;
    const mesh = startNetwork(
      Array.from({ length: leaves }, (_, i) => [i + 1, 0] as const),
      { seed: 8, nodes: leaves + 1 },
    );
    const entries = entriesOf(3);
    entries.forEach((entry, i) => mesh.publish(i + 1, entry));
    mesh.run(5_000);
    for (const held of mesh.accepted) expect(held.size).to.equal(entries.length);
  });

  it("pushes a header to listeners of its shards only", () => {
    const tags = 0x04000000n << 96n;
    const heard = [0, 0, 0];
    const mesh = createMeshNetwork({
      ...{ seed: 2, nodes: 3 },
      watch: (node, effect) => {
        if (effect.kind === "judge") heard[node]!++;
      },
    });
    mesh.tell(1, { kind: "subscribe", shards: shardsOf([0x04000000]) });
    mesh.tell(2, { kind: "subscribe", shards: 1n });
    mesh.connect(0, 1);
    mesh.connect(0, 2);
    mesh.run(2_000);
    mesh.publish(0, meshEntry(1, { tags }));
    mesh.publish(0, meshEntry(2));
    mesh.run(5_000);
    expect([...mesh.accepted[1]!.keys()]).to.deep.equal([meshEntry(1, { tags }).id]);
    expect([...mesh.accepted[2]!.keys()]).to.deep.equal([meshEntry(2).id]);
  });

  it("puts headers that come together into one frame, and sends a lone one at once", () => {
    const frames: number[] = [];
    const mesh = startNetwork([[0, 1]], {
      ...{ seed: 2, nodes: 2, latencyMs: () => 5 },
      watch(node, effect) {
        const frame = effect.kind === "send" && node === 0 ? decodeFrame(effect.bytes) : undefined;
        if (frame?.kind === "accept" && frame.value.kind === "headers") frames.push(frame.value.headers.length);
      },
    });
    for (const entry of entriesOf(12)) mesh.publish(0, entry);
    mesh.run(100);
    expect(frames).to.deep.equal([1, 11]);
    expect(mesh.accepted[1]!.size).to.equal(12);
  });

  it("asks at once for a withdrawal that is announced, and later for what a link may still bring", () => {
    const tuning = { mode: "hybrid", eagerLinks: 0, eagerHops: 0, headerPatienceMs: 2_000 } as const;
    const mesh = startNetwork(
      [
        [0, 1],
        [1, 2],
      ],
      { seed: 2, nodes: 3, tuning, latencyMs: () => 10 },
    );
    const declaration = meshEntry(1);
    const withdrawal = meshEntry(2, { kind: kinds.withdraw });
    mesh.publish(0, declaration);
    mesh.publish(0, withdrawal);
    mesh.run(1_000);
    expect([...mesh.accepted[2]!.keys()]).to.deep.equal([withdrawal.id]);
    mesh.run(3_000);
    expect(mesh.accepted[2]!.size).to.equal(2);
    expect(total(mesh, "headerPulls")).to.equal(2);
  });
});

describe("bodies in the mesh", function () {
  this.timeout(60_000);
  const line = [
    [0, 1],
    [1, 2],
    [2, 3],
  ] as const;

  it("follow their headers along whoever wants them, in chunks, each verified", () => {
    const entries = [meshEntry(1, { bodyLength: 65_536 }), meshEntry(2, { bodyLength: 16_384 }), meshEntry(3)];
    const mesh = startNetwork(line, { seed: 3, nodes: 4, wants: () => true });
    for (const entry of entries) mesh.publish(0, entry);
    mesh.run(10_000);
    for (const held of mesh.bodies) {
      for (const { id, body } of entries) expect(Buffer.from(held.get(id)!).equals(body)).to.equal(true);
    }
    expect(mesh.sought.every(({ size }) => size === 0)).to.equal(true);
  });

  it("are sought elsewhere where no neighbour has them, and come from whom the driver offers", () => {
    const [entry] = entriesOf(1) as [TestEntry];
    const tuning = { carriesBodies: false };
    const mesh = startNetwork(line, { seed: 3, nodes: 4, tuning, wants: (_, node) => node === 3 });
    mesh.publish(0, entry);
    mesh.run(2_000);
    expect([...mesh.sought[3]!]).to.deep.equal([entry.id]);
    mesh.connect(3, 0);
    mesh.tell(3, { kind: "offer", id: entry.id, peer: "0" });
    mesh.run(2_000);
    expect(mesh.bodies[3]!.get(entry.id)).to.deep.equal(entry.body);
  });

  it("are carried along their header's way by nodes that do not want them, which keep no more than a while", () => {
    const [entry] = entriesOf(1) as [TestEntry];
    const mesh = startNetwork(line, { seed: 3, nodes: 4, wants: (_, node) => node === 3 });
    mesh.publish(0, entry);
    mesh.run(2_000);
    expect(mesh.bodies[3]!.get(entry.id)).to.deep.equal(entry.body);
    expect([1, 2].map((node) => mesh.bodies[node]!.size)).to.deep.equal([0, 0]);
    expect(mesh.sought.map(({ size }) => size)).to.deep.equal([0, 0, 0, 0]);
    // Whom a neighbour asked can have it for itself at once.
    mesh.tell(2, { kind: "want", id: entry.id });
    expect(mesh.bodies[2]!.get(entry.id)).to.deep.equal(entry.body);
  });

  it("are sought by who wants them, when who carries them is stuck, and nobody is blamed who promised nothing", () => {
    const [entry] = entriesOf(1) as [TestEntry];
    const mesh = startNetwork(line, {
      ...{ seed: 3, nodes: 4, wants: (_, node) => node === 3 },
      serve: () => undefined,
    });
    mesh.publish(0, entry);
    mesh.run(10_000);
    expect(mesh.sought.map(({ size }) => size)).to.deep.equal([0, 0, 0, 1]);
    const scores = mesh.cores[3]!.peers(mesh.nowMs()).map(({ score }) => score);
    expect(Math.min(...scores)).to.be.at.least(0);
  });

  it("come from another when the first one lies, and the liar falls in score", () => {
    const [entry] = entriesOf(1) as [TestEntry];
    const faults: string[] = [];
    // 0 is the author; 1 and 2 have the body and tell 3; 1, which 3 hears first, gives other bytes.
    const mesh = startNetwork(
      [
        [0, 1],
        [0, 2],
        [1, 3],
        [2, 3],
      ],
      {
        ...{ seed: 3, nodes: 4, wants: () => true },
        serve: (node, body) => (node === 1 ? body?.map((byte) => byte ^ 1) : body),
        watch: (node, effect) => {
          if (node === 3 && effect.kind === "fault") faults.push(`${effect.peer} ${effect.code}`);
        },
      },
    );
    // Bodies that wait are given from memory and not by `serve`: the author speaks before 3 listens.
    mesh.disconnect(1, 3);
    mesh.disconnect(2, 3);
    mesh.publish(0, entry);
    mesh.run(2_000);
    mesh.connect(1, 3);
    mesh.run(1_000);
    mesh.tell(1, { kind: "relay", header: entry.header, body: "has" });
    mesh.tell(3, { kind: "frame", peer: "1", bytes: headersFrame(entry) });
    mesh.connect(2, 3);
    mesh.run(500);
    mesh.tell(3, { kind: "offer", id: entry.id, peer: "2" });
    mesh.run(5_000);
    expect(faults).to.deep.equal(["1 BODY_HASH"]);
    expect(mesh.bodies[3]!.get(entry.id)).to.deep.equal(entry.body);
    const scores = new Map(mesh.cores[3]!.peers(mesh.nowMs()).map(({ peer, score }) => [peer, score]));
    expect(scores.get("1")).to.be.lessThan(-20);
    expect(scores.get("2")).to.be.at.least(0);
  });

  it("come from another when the first one promised and is silent, or goes", () => {
    for (const leave of [false, true]) {
      const [entry] = entriesOf(1) as [TestEntry];
      const mesh = startNetwork(
        [
          [0, 1],
          [0, 2],
        ],
        { seed: 3, nodes: 3, wants: (_, node) => node === 0, serve: (node, body) => (node === 1 ? undefined : body) },
      );
      mesh.publish(2, entry);
      mesh.tell(0, { kind: "frame", peer: "1", bytes: headersFrame(entry) });
      if (leave) mesh.disconnect(0, 1);
      mesh.run(10_000);
      expect(mesh.bodies[0]!.get(entry.id), leave ? "gone" : "silent").to.deep.equal(entry.body);
    }
  });
});

/** The frame in which somebody pushes a header and says that it has the body. */
function headersFrame({ header }: TestEntry): Uint8Array {
  return Uint8Array.of(1, 4, 2, header.length, ...header);
}
