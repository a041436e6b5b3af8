import { expect } from "chai";
import fc from "fast-check";
import { numberToHex } from "viem";
import { drawSeedOf, drawValidators, MAX_VALIDATORS, quorumOf, type Candidate } from "#protocol";
import { BOND, createWindowWorld, TOPIC } from "./world.ts";
import { isNightly } from "../fixtures/profile.ts";

/** Each is a topic with candidates of its own, drawn on chain once. */
const TOPICS = isNightly ? 64 : 4;
const AGENTS = 9;
/** Of one agent in one topic. */
const MOST_BONDS = 12;

describe("a draw of validators", () => {
  it("is the same in TypeScript and on chain, whoever came, left and came back", async function () {
    this.timeout(isNightly ? 300_000 : 60_000);
    const { windows, vault, client, goTo, epochNow, draw } = await createWindowWorld(AGENTS);
    const candidatesOf = async (topic: bigint): Promise<Candidate[]> => {
      const [ids, weights] = await windows.read.candidatesOf([topic]);
      return ids.map((agentId, place) => ({ agentId, weight: weights[place] ?? 0 }));
    };
    const freeOf = async (agentId: number): Promise<bigint> => {
      const [staked, locked] = await vault.read.stakeOf([agentId]);
      return staked - locked;
    };
    const bonds = fc.integer({ min: 0, max: MOST_BONDS });
    // Enough for every topic: none is left without candidates because those before it took all there was.
    const stakeWei = BigInt(TOPICS * MOST_BONDS) * BOND;
    for (let agentId = 1; agentId <= AGENTS; agentId++) await vault.write.stake([agentId, stakeWei]);
    const histories = fc.sample(
      fc.array(fc.array(bonds, { minLength: AGENTS, maxLength: AGENTS }), { minLength: 1, maxLength: 2 }),
      {
        numRuns: TOPICS,
        seed: 20_261_121,
      },
    );
    // Each row sets an agent's stake in the topic: more of it, or it leaves.
    for (const [k, rows] of histories.entries()) {
      const topic = TOPIC + BigInt(k);
      for (const row of rows) {
        for (const [index, wanted] of row.entries()) {
          const [enlisted, place] = await windows.read.enlistmentOf([topic, index + 1]);
          const more = BigInt(wanted) * BOND - enlisted;
          if (wanted === 0 && place !== 0n) await windows.write.resign([topic, index + 1]);
          else if (more > 0n && (await freeOf(index + 1)) >= more) await windows.write.enlist([topic, index + 1, more]);
        }
      }
    }
    await goTo((await epochNow()) + 1);
    let compared = 0;
    for (let k = 0; k < TOPICS; k++) {
      const topic = TOPIC + BigInt(k);
      const candidates = await candidatesOf(topic);
      if (candidates.every(({ weight }) => weight === 0)) continue;
      const [, epoch] = await windows.read.drawOf([topic]);
      const { seats } = await draw(topic);
      const [event] = await windows.getEvents.ValidatorsDrawn();
      const { mixHash } = await client.getBlock({ blockNumber: (await client.getBlockNumber()) - 1n });
      const seed = drawSeedOf(mixHash, topic, Number(epoch));
      expect(event?.args.seed).to.equal(seed);
      expect(drawValidators(candidates, seed)).to.deep.equal(seats.map(({ agentId }) => agentId));
      compared++;
    }
    expect(compared).to.be.above(TOPICS / 2);
  });

  it("seats nobody twice, everybody where there are few, and in proportion to weight", () => {
    const weights = fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { maxLength: 64 });
    fc.assert(
      fc.property(weights, fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }), (list, word) => {
        const candidates = list.map((weight, k) => ({ agentId: k + 1, weight }));
        const drawn = drawValidators(candidates, numberToHex(word, { size: 32 }));
        const able = candidates.filter(({ weight }) => weight > 0).length;
        expect(drawn).to.have.length(Math.min(MAX_VALIDATORS, able));
        expect(new Set(drawn).size).to.equal(drawn.length);
        expect(drawn.every((agentId) => (list[agentId - 1] ?? 0) > 0)).to.equal(true);
      }),
      { numRuns: isNightly ? 2_000 : 100 },
    );
    // 1,000 draws of one seat's odds: 3 of 4, give or take five standard deviations.
    const pair = [
      { agentId: 1, weight: 1 },
      { agentId: 2, weight: 3 },
    ];
    const first = Array.from({ length: 1_000 }, (_, k) => drawValidators(pair, numberToHex(k, { size: 32 }))[0]);
    expect(first.filter((agentId) => agentId === 2).length).to.be.within(680, 820);
  });

  it("asks for a quorum of which fewer than a third can never make two", async () => {
    const { windows } = await createWindowWorld(0);
    for (let n = 1; n <= MAX_VALIDATORS; n++) {
      const liars = Math.ceil(n / 3) - 1;
      expect(await windows.read.quorumOf([BigInt(n)])).to.equal(BigInt(quorumOf(n)));
      expect(2 * quorumOf(n) - n, "signed by an honest one twice").to.be.above(liars);
      expect(n - liars, "and the honest ones are enough").to.be.at.least(quorumOf(n));
    }
  });
});
