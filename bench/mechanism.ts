import highs from "highs";
import {
  certifyImplementation,
  checkOptimality,
  chooseLinearContract,
  estimatePayments,
  fractions,
  implementAction,
  selectWithinBudget,
  type Agency,
} from "#protocol";
import type { Bench, Result } from "./harness/report.ts";

// The package types its ES module as CommonJS: what runs is the default export itself.
const loadHighs = highs as unknown as typeof highs.default;

const FOLLOWERS = 100;
const LAW_UNIT = 1_000_000n;
/** Costs are drawn below it; a budget of so many coarse units is enough for a fifth of the followers. */
const COST_CEILING = 100_000;
const BUDGET_UNITS = 400;
const ROUNDS = 60;
const QUICK_ROUNDS = 20;
const COUNT = 5;

export const bench: Bench = {
  profile: "none",
  async run({ isQuick }) {
    const followers = drawFollowers(11);
    const coldMs = timeOf(() => chooseAmong(followers));
    const warmMs = Array.from({ length: isQuick ? QUICK_ROUNDS : ROUNDS }, () => timeOf(() => chooseAmong(followers)));
    const highsMs = await timeHighs(followers, isQuick);
    const checkUs = timeChecks(followers);
    const warm = medianOf(warmMs);
    const figure = (id: string, unit: string, value: number, goal: number, note: string, peer?: number): Result => ({
      ...{ id, unit, value: round(value), goal, better: "lower", note },
      ...{
        peers: peer === undefined ? {} : { highs: round(peer) },
        ratio: peer === undefined ? null : round(peer / value),
      },
    });
    return [
      figure("500 programs, selection, sweep: warm", "ms", warm, 2, `median of ${warmMs.length}`),
      figure("500 programs, selection, sweep: first in the process", "ms", coldMs, 40, "one measurement"),
      figure(
        "500 programs alone: warm",
        "ms",
        medianOf(Array.from({ length: COUNT }, () => timeOf(() => followers.map(estimatePayments)))),
        2,
        "HiGHS solves the same programs one by one, from text",
        highsMs,
      ),
      figure(
        "certificate check",
        "µs",
        checkUs,
        50,
        `mean over all feasible actions of ${FOLLOWERS} followers, median of ${COUNT}`,
      ),
    ];
  },
};

/** Everything a leader does before it offers: what each action would cost, whom to take under a budget, one share for all. */
function chooseAmong(followers: readonly Agency[]): number {
  const options = followers.map((agency) => {
    const payments = estimatePayments(agency);
    return Array.from(payments, (payment, action) => ({
      cost: payment === Infinity ? BUDGET_UNITS + 1 : Math.ceil(Math.max(0, payment) / (COST_CEILING / 20)),
      worth: 2 * Number(agency.costs[action]) - payment,
    }));
  });
  const selection = selectWithinBudget(options, BUDGET_UNITS);
  const lines = followers.map(({ costs }) =>
    costs.map((cost, action) => ({ reward: cost * 2n + BigInt(action), cost })),
  );
  return selection.worth + fractions.toNumber(chooseLinearContract(lines).surplus);
}

function timeChecks(followers: readonly Agency[]): number {
  const gap = fractions.fraction(1_000n);
  const certified = followers.flatMap((agency) =>
    agency.laws.flatMap((_, action) => {
      const found = implementAction(agency, action);
      return found === undefined ? [] : [{ agency, certificate: certifyImplementation(found) }];
    }),
  );
  const timesMs = Array.from({ length: COUNT }, () =>
    timeOf(() => {
      for (const { agency, certificate } of certified) {
        const { kind } = checkOptimality(agency, certificate, gap);
        if (kind !== "accept") throw new Error("bench: a certificate of our own was refused");
      }
    }),
  );
  return (medianOf(timesMs) * 1_000) / certified.length;
}

/** The same programs by HiGHS; in a quick run the first fifth of them, times five. */
async function timeHighs(followers: readonly Agency[], isQuick: boolean): Promise<number> {
  const solver = await loadHighs();
  const texts = followers
    .slice(0, isQuick ? FOLLOWERS / 5 : FOLLOWERS)
    .flatMap((agency) => agency.laws.map((_, action) => textOf(agency, action)));
  solver.solve(texts[0] as string, { output_flag: false });
  const ms = timeOf(() => {
    for (const text of texts) solver.solve(text, { output_flag: false });
  });
  return isQuick ? ms * 5 : ms;
}

function textOf({ laws, costs }: Agency, action: number): string {
  const term = (part: bigint, o: number) => `${part < 0n ? "-" : "+"} ${part < 0n ? -part : part} t${o}`;
  const law = laws[action] ?? [];
  const rows = laws.map((other, k) => {
    const row = k === action ? law : law.map((part, o) => part - (other[o] ?? 0n));
    const gain = (costs[action] ?? 0n) - (k === action ? 0n : (costs[k] ?? 0n));
    return ` c${k}: ${row.map(term).join(" ")} >= ${gain * LAW_UNIT}`;
  });
  return `Minimize\n obj: ${law.map(term).join(" ")}\nSubject To\n${rows.join("\n")}\nEnd\n`;
}

/** Five actions, the first one free, and four outcomes each; the same for the same seed. */
function drawFollowers(seed: number): readonly Agency[] {
  let state = seed;
  const draw = (bound: number) => (state = (state * 48_271) % 2_147_483_647) % bound;
  return Array.from({ length: FOLLOWERS }, () => {
    const laws = Array.from({ length: 5 }, () => {
      const cuts = Array.from({ length: 3 }, () => BigInt(draw(Number(LAW_UNIT) + 1))).sort((a, b) => (a < b ? -1 : 1));
      return [...cuts, LAW_UNIT].map((cut, i) => cut - (cuts[i - 1] ?? 0n));
    });
    const costs = laws.map((_, action) => (action === 0 ? 0n : BigInt(draw(COST_CEILING))));
    return { laws, lawUnit: LAW_UNIT, costs, outside: 0n, bond: 0n, reputationWorth: [0n, 0n, 0n, 0n] };
  });
}

function timeOf(work: () => unknown): number {
  const startMs = performance.now();
  work();
  return performance.now() - startMs;
}

const medianOf = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
const round = (value: number) => Math.round(value * 1_000) / 1_000;
