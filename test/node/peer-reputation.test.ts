import { expect } from "chai";
import { peerIdOf, topicIdOf } from "#protocol";
import { createPeerReputation } from "../../node/peer-reputation.ts";
import { patience } from "../fixtures/hosts.ts";
import { testSigner } from "../fixtures/log.ts";

describe("reputation of a peer", () => {
  const signer = testSigner(1);
  const peer = peerIdOf(signer.publicKey);
  /** Standings by topic, in 1/2^16 of the uniform share, of agent 7, who speaks with the peer's key. */
  const reputationOf = (topics: readonly string[], standings: Readonly<Record<string, bigint>>) =>
    createPeerReputation({
      topics,
      agents: { agentOf: (log) => Promise.resolve(log === signer.address ? 7n : undefined) },
      scores: {
        standingsOf(topic, agentIds) {
          const name = topics.find((known) => topicIdOf(known) === topic) ?? "";
          const share = standings[name];
          const scores = new Map(agentIds.flatMap((id) => (share === undefined ? [] : [[id, share] as const])));
          return Promise.resolve({ epoch: 1, scores });
        },
      },
    });

  it("is two points for twice the average share, less for half of it, and none without a score", async () => {
    const points = (standings: Readonly<Record<string, bigint>>) =>
      reputationOf(["translation", "law"], standings)(peer, patience());
    expect(await points({ translation: 2n ** 17n })).to.equal(2);
    expect(await points({ translation: 2n ** 15n })).to.equal(-2);
    expect(await points({ translation: 2n ** 18n, law: 2n ** 16n })).to.equal(2);
    expect(await points({})).to.equal(0);
    expect(await points({ law: 0n })).to.equal(-32);
  });

  it("is none for a peer that is no agent's, and for an agent that trades in nothing", async () => {
    const stranger = peerIdOf(testSigner(2).publicKey);
    expect(await reputationOf(["law"], { law: 2n ** 20n })(stranger, patience())).to.equal(0);
    expect(await reputationOf([], {})(peer, patience())).to.equal(0);
    expect(await reputationOf(["law"], { law: 2n ** 20n })("no peer id", patience())).to.equal(0);
  });
});
