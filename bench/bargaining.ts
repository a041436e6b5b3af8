// Multi-issue deals between two: what two nodes agree on by offers in turn over libp2p, each knowing its own worths alone, beside a mediator
// that knows both.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bargain, chooseNash, MAX_BARGAIN_ROUNDS, NO_COURT, type BargainRules, type Side } from "#protocol";
import { agentAccount } from "../scripts/devnet/accounts.ts";
import { Sections } from "./harness/sections.ts";
import type { Bench, Result } from "./harness/report.ts";
import { drawDomain, isEfficient, nashProductOf, type Domain } from "./negotiation/domains.ts";
import { startParty, type Party } from "./negotiation/party.ts";
import { createRequest, createRules, medianOf, round } from "./negotiation/request.ts";
import { createRandom } from "./reputation/random-graph.ts";

const SEED = 20_261_121;
const DOMAINS = 200;
const QUICK_DOMAINS = 20;
/** What a side has without a deal, at most, as a share of its best outcome: 0.5 is what the goals are stated for. */
const RESERVATIONS = [0, 0.5, 0.7] as const;
const STATED = 0.5;
/** Pairs in turn: one peer may send another so many messages a minute (MAX_MESSAGES_PER_PEER_PER_MINUTE), and a bargaining takes a dozen. */
const CLIENTS = 5;
const PROVIDERS = 6;
const MOVE_WITHIN_MS = 60_000;

/** Of the domains in which some outcome suits both: the sums of what was reached. */
interface Tally {
  readonly domains: number;
  readonly agreed: number;
  readonly nashRatio: number;
  readonly mediatedRatio: number;
  readonly efficient: number;
  readonly mediatedEfficient: number;
  readonly offers: number;
  readonly medianMs: number;
}

export const bench: Bench = {
  profile: "libp2p over loopback, all hosts in one process, registry from a table, no chain",
  async run({ isQuick }) {
    const sections = new Sections(`bargaining${isQuick ? "-quick" : ""}`);
    const results: Result[] = [];
    for (const share of RESERVATIONS) {
      const measure = () => measureDomains(share, isQuick ? QUICK_DOMAINS : DOMAINS, sections.signal);
      results.push(...resultsOf(share, await sections.measure(`reservations to ${share}`, measure)));
    }
    sections.finish();
    return results;
  },
};

function resultsOf(share: number, tally: Tally): Result[] {
  const { domains, agreed } = tally;
  const where = `reservations to ${share}`;
  const figure = (id: string, value: number, goal: number, mediated: number, note: string): Result => ({
    ...{ id: `${where}: ${id}`, unit: "", value: round(value, 4), goal: share === STATED ? goal : null, note },
    ...{ better: "higher", peers: { mediated: round(mediated, 4) }, ratio: null },
  });
  return [
    figure(
      "Nash product against the best, mean",
      tally.nashRatio / domains,
      0.9,
      tally.mediatedRatio / domains,
      `${agreed} of ${domains} domains ended in a deal, the others count 0`,
    ),
    figure(
      "Pareto efficient deals, of the domains",
      tally.efficient / domains,
      0.95,
      tally.mediatedEfficient / domains,
      `${tally.efficient} of ${agreed} deals; ${round(tally.offers / domains, 1)} offers and a median of ${round(tally.medianMs)} ms a domain`,
    ),
  ];
}

async function measureDomains(share: number, count: number, signal: AbortSignal): Promise<Tally> {
  const room = await Room.open();
  try {
    const random = createRandom(SEED);
    const times: number[] = [];
    const sum = {
      domains: 0,
      agreed: 0,
      nashRatio: 0,
      mediatedRatio: 0,
      efficient: 0,
      mediatedEfficient: 0,
      offers: 0,
    };
    while (sum.domains < count) {
      const domain = drawDomain(random, share);
      const mediated = chooseNash(...domain);
      const best = nashProductOf(domain, mediated);
      if (mediated === undefined || best === 0) continue;
      const startMs = performance.now();
      const outcome = await room.bargain(domain, sum.domains, signal);
      times.push(performance.now() - startMs);
      const expected = bargain(domain[1], domain[0]);
      if (outcome !== expected.outcome)
        throw new Error(`bench: ${outcome} on the wire, ${expected.outcome} in the core`);
      sum.domains++;
      sum.offers += expected.offers;
      sum.nashRatio += nashProductOf(domain, outcome) / best;
      sum.mediatedRatio += nashProductOf(domain, mediated) / best;
      if (isEfficient(domain, mediated)) sum.mediatedEfficient++;
      if (outcome === undefined) continue;
      sum.agreed++;
      if (isEfficient(domain, outcome)) sum.efficient++;
    }
    return { ...sum, medianMs: medianOf(times) };
  } finally {
    await room.close();
  }
}

/** Some clients and providers that know each other. A provider values a call by what the bench has just drawn for it. */
class Room {
  readonly #dir = mkdtempSync(join(tmpdir(), "surety-bench-"));
  readonly #parties: Party[] = [];
  #side: Side | undefined;

  static async open(): Promise<Room> {
    const room = new Room();
    const registry = Array.from({ length: CLIENTS + PROVIDERS }, (_, index) => agentAccount(index).address);
    const bidder = { consider: () => Promise.resolve(undefined), value: () => Promise.resolve(room.#side) };
    for (let index = 0; index < registry.length; index++)
      room.#parties.push(await startParty({ index, registry, dir: room.#dir, bidder }));
    for (const { transport } of room.#parties)
      for (const { transport: other } of room.#parties)
        if (other !== transport) await transport.learnAddresses(other.peerId, other.addresses());
    return room;
  }

  /** @returns the package that one pair agreed on; undefined: they parted */
  async bargain([client, provider]: Domain, turn: number, signal: AbortSignal): Promise<number | undefined> {
    const [caller, invited] = [this.#parties[turn % CLIENTS], this.#parties[CLIENTS + (turn % PROVIDERS)]];
    if (caller === undefined || invited === undefined) throw new Error("bench: nobody there");
    this.#side = provider;
    const packages = client.worths.map((_, k) => ({
      priceWei: BigInt(k),
      ...{ bondWei: 0n, soonerS: 0, reviewPeriodS: 60, promise: "" },
    }));
    const rules: BargainRules = {
      ...{ kind: "bargaining", version: 1, packages, maxRounds: MAX_BARGAIN_ROUNDS, moveWithinMs: MOVE_WITHIN_MS },
      ...NO_COURT,
    };
    const invitees = [{ agentId: invited.agentId, peer: invited.transport.peerId }];
    const request = { ...createRequest(createRules(false), invitees), mechanism: rules, side: client };
    const outcome = await caller.negotiator.callForBids(request, signal);
    if (outcome.kind === "agreed") return Number(outcome.agreement.deal.price);
    if (outcome.code === "NO_AGREEMENT" || outcome.code === "NO_BIDS") return undefined;
    throw new Error(`bench: a bargaining failed: ${outcome.code}`);
  }

  async close(): Promise<void> {
    for (const party of this.#parties) await party.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
