// `kill -9` of a negotiating process in each phase: three processes over libp2p, each with its store on disk. The victim kills itself where it
// is told to, is started again on what it had stored, and the call ends as if nobody had died: in one deal that both sides hold.
import { expect } from "chai";
import { Fleet, type Ending } from "../../../bench/negotiation/fleet.ts";
import type { Death } from "../../../bench/negotiation/follower.ts";
import { isNightly } from "../../fixtures/profile.ts";

/** A process is back in a second; a loaded machine takes a minute. */
const REVEAL_MS = 120_000;
const CLIENT = 0;
const BEST = 1;

/** [who dies, where]; the second half only nightly. */
const rows: readonly (readonly [number, Death])[] = [
  [CLIENT, "received seal"],
  [CLIENT, "sent open"],
  [CLIENT, "received acceptance"],
  [BEST, "consider"],
  [BEST, "sent seal"],
  [BEST, "received offer"],
  [CLIENT, "sent call"],
  [CLIENT, "received bid"],
  [CLIENT, "sent offer"],
  [BEST, "received open"],
  [BEST, "sent bid"],
  [BEST, "sent acceptance"],
];

describe("a negotiating process that is killed with SIGKILL", function () {
  this.timeout(300_000);
  const ending = new AbortController();
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ clients: 0, followers: 3 }, (index) => 100n * BigInt(index), ending.signal);
  });
  after(async () => {
    await fleet.stop();
    ending.abort();
  });

  /** Resolves with what the call came to: the client's ending, and the provider's of the same deal. */
  /** What a call came to, as soon as the client and its provider have told. A process that comes back tells of earlier ones again. */
  const endingsOf = (earlier: ReadonlySet<string | undefined>): Promise<Ending[]> =>
    fleet.until(() => {
      const heard = fleet.endings.filter(
        ({ code, agreement }) => code !== undefined || !earlier.has(agreement?.callId),
      );
      const { dealId, deal } = heard.find(({ index }) => index === CLIENT)?.agreement ?? {};
      const isHeld = heard.some(
        ({ index, agreement }) => BigInt(index + 1) === deal?.providerAgentId && agreement?.dealId === dealId,
      );
      return isHeld || heard.some(({ code }) => code !== undefined) ? heard : undefined;
    });

  for (const [victim, at] of isNightly ? rows : rows.slice(0, rows.length / 2)) {
    it(`${victim === CLIENT ? "the client" : "the best bidder"}, ${at}: one deal, held by both`, async () => {
      const earlier = new Set(fleet.endings.map(({ agreement }) => agreement?.callId));
      await fleet.arm(victim, at);
      fleet.call(CLIENT, fleet.invitees([1, 2]), REVEAL_MS);
      await fleet.death(victim);
      await fleet.revive(victim);
      const heard = await endingsOf(earlier);
      expect(heard.map(({ code }) => code).filter((code) => code !== undefined)).to.deep.equal([]);
      const deals = (index: number) => [
        ...new Set(heard.filter((each) => each.index === index).map(({ agreement }) => agreement?.dealId)),
      ];
      const agreement = heard.find(({ index }) => index === CLIENT)?.agreement;
      const provider = Number(agreement?.deal.providerAgentId) - 1;
      expect(deals(CLIENT), "the client's").to.deep.equal([agreement?.dealId]);
      expect(deals(provider), "the provider's").to.deep.equal([agreement?.dealId]);
      const theirs = heard.find(({ index }) => index === provider)?.agreement;
      expect([theirs?.client, theirs?.provider]).to.deep.equal([agreement?.client, agreement?.provider]);
      expect(agreement?.deal.price, "the runner-up's price, or the reserve if nobody else is left").to.be.oneOf([
        200n,
        1_000_000n,
      ]);
      // Whoever was passed over may hold an offer that nobody pays for, and never two.
      for (const index of [1, 2]) expect(deals(index).length).to.be.at.most(1);
    });
  }
});
