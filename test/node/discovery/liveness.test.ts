import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, zeroHash, type Hex } from "viem";
import {
  addressOfPeerId,
  decodeAliveChallenge,
  encodeAliveChallenge,
  signAlive,
  verifyAlive,
  type Alive,
} from "#protocol";
import { ALIVE_PROTOCOL, createLiveness, LIVENESS_TTL_MS, type Liveness } from "../../../node/discovery/liveness.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { patience, startHosts } from "../../fixtures/hosts.ts";
import { testNowMs } from "../../fixtures/gossip-node.ts";
import { hexOf, testContracts, testSigner } from "../../fixtures/log.ts";

const blockHash: Hex = `0x${"b1".repeat(32)}`;

describe("liveness", function () {
  this.timeout(30_000);
  const clocks = [testNowMs, testNowMs, testNowMs];
  let hosts: Transport[];
  let live: Liveness[];
  let stop: () => Promise<unknown>;
  const random = () => bytesToHex(crypto.getRandomValues(new Uint8Array(32)));
  const host = (i: number) => hosts[i] as Transport;
  const targetOf = (i: number) => ({
    ...{ log: testSigner(i).address, peerId: host(i).peerId, addresses: host(i).addresses() },
  });
  const prove = (by: number, targets: number[], maxAgeMs = LIVENESS_TTL_MS) =>
    (live[by] as Liveness).prove(targets.map(targetOf), { maxAgeMs, enough: targets.length }, patience());

  before(async () => {
    ({ hosts, stop } = await startHosts(4));
    live = [0, 1, 2].map((i) =>
      createLiveness({
        ...{ transport: host(i), signer: testSigner(i), contracts: testContracts, random },
        ...{ nowMs: () => clocks[i] as number, blockHash: () => blockHash },
      }),
    );
    for (const each of live) await each.start();
  });
  after(async () => {
    await Promise.all(live.map((each) => each.stop()));
    await stop();
  });

  it("calls an agent live on the signed answer of its own log, which anybody can check", async () => {
    const proofs = await prove(0, [0, 1, 2]);
    expect([...proofs.keys()]).to.have.members([0, 1, 2].map((i) => testSigner(i).address));
    for (const [log, proof] of proofs) {
      expect(proof.alive).to.include({ log, asker: testSigner(0).address, blockHash, askedMs: testNowMs });
      expect(verifyAlive(JSON.parse(JSON.stringify(proof)), testContracts).kind).to.equal("accept");
    }
  });

  it("asks again only when the answer has become too old", async () => {
    const first = (await prove(0, [1])).get(testSigner(1).address);
    clocks[0] = clocks[1] = testNowMs + LIVENESS_TTL_MS;
    expect((await prove(0, [1])).get(testSigner(1).address), "at the end of its ttl").to.equal(first);
    expect((await prove(0, [1], 0)).get(testSigner(1).address), "now, and nothing older").to.not.equal(first);
    clocks[0] = clocks[1] = testNowMs + 2 * LIVENESS_TTL_MS + 1;
    const later = (await prove(0, [1])).get(testSigner(1).address);
    expect(later?.alive.askedMs).to.equal(clocks[0]);
    clocks[0] = clocks[1] = testNowMs;
  });

  it("takes no answer of another key, and does not ask who was silent again at once", async () => {
    const liar = { ...targetOf(1), log: testSigner(3).address };
    const none = await (live[2] as Liveness).prove([liar], { maxAgeMs: 0, enough: 1 }, patience());
    expect(none.size).to.equal(0);
    const options = { transport: host(3), signer: testSigner(3), contracts: testContracts, random };
    const late = createLiveness({ ...options, nowMs: () => testNowMs, blockHash: () => blockHash });
    await late.start();
    expect((await prove(2, [3], 0)).size, "just now it was silent").to.equal(0);
    clocks[2] = testNowMs + 30_000;
    expect((await prove(2, [3], 0)).size).to.equal(1);
    clocks[2] = testNowMs;
    await late.stop();
  });

  it("signs no time that is not its own", async () => {
    const challenge = { nonce: random(), blockHash, askedMs: testNowMs + 120_001 };
    const answer = await host(0).request(host(1).peerId, ALIVE_PROTOCOL, encodeAliveChallenge(challenge), {
      signal: patience(),
    });
    expect(answer).to.include({ code: "REMOTE_IGNORED" }).and.property("detail").includes("ALIVE_CLOCK");
  });

  it("answers one peer twenty times at once and then refuses, and others still", async () => {
    const request = encodeAliveChallenge({ nonce: zeroHash, blockHash, askedMs: testNowMs });
    const refused: string[] = [];
    for (let i = 0; i < 25; i++) {
      const answer = await host(3).request(host(2).addresses()[0] as string, ALIVE_PROTOCOL, request, {
        signal: patience(),
      });
      if (answer.kind !== "accept") refused.push(answer.detail);
    }
    expect(refused).to.have.length(5);
    for (const detail of refused) expect(detail).to.include("RATE_LIMIT");
    expect((await prove(1, [2], 0)).size).to.equal(1);
  });

  it("does not wait for the silent once enough have answered", async () => {
    const gone = { log: testSigner(7).address, peerId: host(3).peerId, addresses: ["/ip4/192.0.2.1/tcp/1"] };
    const asked = Date.now();
    const proofs = await (live[1] as Liveness).prove(
      [{ ...gone, peerId: "16Uiu2HAmVrUuXqRWGG4QAd7GnBDoL6Rrvp4FhKrqHkhUzzWyGhMr" }, targetOf(0)],
      { maxAgeMs: 0, enough: 1 },
      patience(),
    );
    expect([...proofs.keys()]).to.deep.equal([testSigner(0).address]);
    expect(Date.now() - asked).to.be.below(4_000);
  });
});

describe("a proof of life", () => {
  const [signer, asker] = [testSigner(0), testSigner(1).address];
  const challenges = fc.record({
    nonce: hexOf(32),
    blockHash: hexOf(32),
    askedMs: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  });

  it("has one byte form of its challenge, and any other bytes are refused by name", () => {
    fc.assert(
      fc.property(challenges, (challenge) => {
        expect(decodeAliveChallenge(encodeAliveChallenge(challenge))).to.deep.equal({
          kind: "accept",
          value: challenge,
        });
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const verdict = decodeAliveChallenge(bytes);
        if (verdict.kind === "accept") expect(encodeAliveChallenge(verdict.value)).to.deep.equal(bytes);
        else expect(verdict.code).to.equal("CHALLENGE_LENGTH");
      }),
    );
  });

  it("does not hold for another log, asker, nonce, block or time", () => {
    const proof = signAlive({ nonce: zeroHash, blockHash, askedMs: 1 }, asker, signer, testContracts);
    const others: Partial<Alive>[] = [
      { log: asker },
      { asker: signer.address },
      { nonce: blockHash },
      { blockHash: zeroHash },
      { askedMs: 2 },
    ];
    expect(verifyAlive(proof, testContracts).kind).to.equal("accept");
    for (const change of others) {
      expect(verifyAlive({ ...proof, alive: { ...proof.alive, ...change } }, testContracts).kind).to.equal("reject");
    }
    const elsewhere = { ...testContracts, chainId: 1 };
    expect(verifyAlive(proof, elsewhere).kind, "on another chain").to.equal("reject");
  });

  it("names its asker by the key of a peer id", () => {
    expect(addressOfPeerId("12D3KooWGC6TvWhfapngX6wvJHMYvKpDMXPb3ZnCZ6dMoaMtimQ5").kind).to.equal("reject");
  });
});
