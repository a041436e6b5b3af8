import { expect } from "chai";
import fc from "fast-check";
import { accept, ignore, type VerifiedHeader } from "#protocol";
import { createPuller, MAX_HOLDERS, MAX_WANTS, type PullerEffect } from "../../../node/gossip/puller.ts";
import { signedEntry, testDeclare, testSigner } from "../../fixtures/log.ts";

const { header, bytes } = signedEntry(testSigner(0), "declare", testDeclare());
const entryOf = (i: number) =>
  signedEntry(testSigner(0), "declare", testDeclare({ name: `n${i}` }), {
    seq: i,
    ...(i > 0 ? { prev: header.digest } : {}),
  });
const wrong = bytes.map((byte) => byte ^ 1);
const unknown = ignore("REMOTE_IGNORED", "BODY_UNKNOWN");
const peersOf = (effects: readonly PullerEffect[]): string[] =>
  effects.flatMap((effect) => (effect.kind === "pull" ? [effect.peer] : []));

describe("body puller", () => {
  it("asks whoever announced the body, one at a time, until one has it", () => {
    const puller = createPuller();
    expect(peersOf(puller.step({ kind: "want", header, from: "a" }))).to.deep.equal(["a"]);
    expect(puller.step({ kind: "want", header, from: "b" })).to.deep.equal([]);
    const next = puller.step({ kind: "answer", digest: header.digest, peer: "a", answer: unknown });
    expect(peersOf(next)).to.deep.equal(["b"]);
    const done = puller.step({ kind: "answer", digest: header.digest, peer: "b", answer: accept(bytes) });
    expect(done).to.deep.equal([{ kind: "body", header, bytes, peer: "b" }]);
    expect(puller.size).to.equal(0);
  });

  it("names a peer that sends other bytes, and never asks it for this body again", () => {
    const puller = createPuller();
    puller.step({ kind: "want", header, from: "liar" });
    const effects = puller.step({ kind: "answer", digest: header.digest, peer: "liar", answer: accept(wrong) });
    expect(effects[0]).to.include({ kind: "fault", peer: "liar", code: "BODY_HASH" });
    expect(effects[1]).to.include({ kind: "stranded" });
    expect(puller.step({ kind: "want", header, from: "liar" })).to.deep.equal([]);
    expect(puller.step({ kind: "holds", peer: "liar", log: header.header.log, seq: 9 })).to.deep.equal([]);
    expect(peersOf(puller.step({ kind: "offer", digest: header.digest, peers: ["liar", "c"] }))).to.deep.equal(["c"]);
  });

  it("does not blame a peer for a length that only the author's header gets wrong", () => {
    const lying: VerifiedHeader = { ...header, header: { ...header.header, bodyLength: bytes.length - 1 } };
    const puller = createPuller();
    puller.step({ kind: "want", header: lying, from: "a" });
    const effects = puller.step({ kind: "answer", digest: lying.digest, peer: "a", answer: accept(bytes) });
    expect(effects).to.have.length(1);
    expect(effects[0]).to.include({ kind: "void" });
    expect(puller.size).to.equal(0);
  });

  it("asks an exhausted want's peers again only when one says that it has the body", () => {
    const puller = createPuller();
    puller.step({ kind: "want", header, from: "a" });
    puller.step({ kind: "answer", digest: header.digest, peer: "a", answer: unknown });
    expect(puller.step({ kind: "offer", digest: header.digest, peers: ["a"] })).to.deep.equal([]);
    const said = puller.step({ kind: "holds", peer: "a", log: header.header.log, seq: header.header.seq });
    expect(peersOf(said)).to.deep.equal(["a"]);
  });

  it("takes a body only from the peer that it asked, and asks one at a time, whatever happens", () => {
    const some = [0, 1, 2, 3].map((i) => entryOf(i + 1));
    const peer = fc.constantFrom("a", "b", "c");
    const which = fc.nat(3);
    const event = fc.oneof(
      fc.record({ kind: fc.constant("want" as const), which, peer }),
      fc.record({ kind: fc.constant("answer" as const), which, peer, good: fc.boolean() }),
      fc.record({ kind: fc.constant("gone" as const), peer }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const puller = createPuller();
        const asked = new Map<string, string>();
        for (const step of events) {
          const target = "which" in step ? some[step.which]! : some[0]!;
          const { digest } = target.header;
          const effects =
            step.kind === "want"
              ? puller.step({ kind: "want", header: target.header, from: step.peer })
              : step.kind === "gone"
                ? puller.step({ kind: "gone", peer: step.peer })
                : puller.step({
                    kind: "answer",
                    digest,
                    peer: step.peer,
                    answer: step.good ? accept(target.bytes) : unknown,
                  });
          for (const effect of effects) {
            if (effect.kind === "body") {
              expect("peer" in step && asked.get(effect.header.digest)).to.equal(effect.peer);
            }
            if (effect.kind === "pull") asked.set(effect.header.digest, effect.peer);
          }
          expect(puller.size).to.be.at.most(4);
        }
      }),
    );
  });

  it("wants at most 1,024 bodies and remembers at most 8 holders each", () => {
    const puller = createPuller();
    for (let i = 0; i < MAX_WANTS + 50; i++) {
      const digest = `0x${i.toString(16).padStart(64, "0")}` as const;
      puller.step({ kind: "want", header: { ...header, digest }, from: undefined });
    }
    expect(puller.size).to.equal(MAX_WANTS);
    const crowd = createPuller();
    crowd.step({ kind: "want", header, from: "p0" });
    for (let i = 1; i <= MAX_HOLDERS + 5; i++) crowd.step({ kind: "want", header, from: `p${i}` });
    let asked = 1;
    for (let i = 0; i < 20; i++) {
      const effects = crowd.step({ kind: "answer", digest: header.digest, peer: `p${i}`, answer: unknown });
      asked += peersOf(effects).length;
    }
    expect(asked).to.equal(MAX_HOLDERS + 1);
  });
});
