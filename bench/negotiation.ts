// Signed bids and deals between real processes over libp2p, without a chain: how long an award takes, what happens when the best bidder is
// killed, and how the messages grow.
import { checkMechanismProof, postedPriceOf, bondOf, solveMechanism } from "#protocol";
import { withSignal } from "../node/chain/clock.ts";
import { documentOf, marketScenarios } from "../node/mechanism-loop/index.ts";
import { Sections } from "./harness/sections.ts";
import type { Bench, Result } from "./harness/report.ts";
import { Fleet } from "./negotiation/fleet.ts";
import type { Death } from "./negotiation/follower.ts";
import { createRequest, createRules, medianOf, round } from "./negotiation/request.ts";

/** Followers, the design's goal for the median in milliseconds, and calls. */
const SIZES = [
  [8, 50, 60],
  [32, 120, 40],
  [100, 250, 20],
] as const;
const QUICK_CALLS = 10;
const WARM_UP = 3;
/** Kills in each phase. */
const KILLS = 10;
const QUICK_KILLS = 1;
/** A process that kills itself is gone at once. */
const DEATH_TIMEOUT_MS = 30_000;
/** How often one proof is checked for its mean. */
const CHECKS = 2_000;

/** Phases of sealed bidding in which the best bidder dies; undefined: before anything is sent. */
const phases: readonly (readonly [phase: string, death: Death | undefined])[] = [
  ["before the call", undefined],
  ["while it considers", "consider"],
  ["after its sealed bid", "sent seal"],
  ["when it is asked to open", "received open"],
  ["when it has won", "received offer"],
];

type Goal = readonly [goal: number | null, better: Result["better"]];
const figure = (id: string, unit: string, value: number, [goal, better]: Goal, note: string): Result => ({
  ...{ id, unit, value, goal, better, note, peers: {}, ratio: null },
});

export const bench: Bench = {
  profile: "libp2p over loopback, one process a follower, registry from a table",
  async run({ isQuick }) {
    const sections = new Sections(`negotiation${isQuick ? "-quick" : ""}`);
    const results: Result[] = [];
    for (const [followers, goalMs, calls] of isQuick ? SIZES.slice(0, 1) : SIZES) {
      const key = `${followers} followers`;
      const measure = () => measureSize(followers, goalMs, isQuick ? QUICK_CALLS : calls, sections.signal);
      results.push(...(await sections.measure(key, measure)));
    }
    for (const [phase, death] of phases) {
      const measure = () => measureDeath(phase, death, isQuick ? QUICK_KILLS : KILLS, sections.signal);
      results.push(...(await sections.measure(`best bidder killed, ${phase}`, measure)));
    }
    results.push(...measureProofs());
    sections.finish();
    return results;
  },
};

/** The follower at index 1 asks least. */
const priceOf = (index: number) => 1_000n + BigInt(index);

async function timeCall(fleet: Fleet, isSealed: boolean, invited = fleet.invitees()): Promise<number> {
  const [client] = fleet.clients;
  const startMs = performance.now();
  const outcome = await client?.negotiator.callForBids(createRequest(createRules(isSealed), invited), fleet.signal);
  const elapsedMs = performance.now() - startMs;
  if (outcome?.kind !== "agreed") throw new Error(`bench: a call failed: ${outcome?.code}`);
  return elapsedMs;
}

async function measureSize(followers: number, goalMs: number, calls: number, signal: AbortSignal): Promise<Result[]> {
  const fleet = await Fleet.start({ followers }, priceOf, signal);
  try {
    const results: Result[] = [];
    for (const isSealed of [false, true]) {
      const kind = isSealed ? "sealed" : "open";
      for (let k = 0; k < WARM_UP; k++) await timeCall(fleet, isSealed);
      const times: number[] = [];
      const before = await fleet.usage();
      for (let k = 0; k < calls; k++) times.push(await timeCall(fleet, isSealed));
      const after = await fleet.usage();
      const p95 = round([...times].sort((a, b) => a - b)[Math.floor(times.length * 0.95)] as number);
      const perCall = (name: "messages" | "bytes" | "cpuMs") => round((after[name] - before[name]) / calls, 2);
      results.push(
        figure(
          `${followers} followers, ${kind} bids: call to signed deal, median`,
          "ms",
          round(medianOf(times)),
          [isSealed ? null : goalMs, "lower"],
          `p95 ${p95} ms, ${calls} calls; ${perCall("cpuMs")} ms of CPU in all processes`,
        ),
        figure(
          `${followers} followers, ${kind} bids: messages a follower`,
          "",
          round((after.messages - before.messages) / calls / followers, 2),
          [null, "lower"],
          `${perCall("messages")} messages and ${perCall("bytes")} bytes a call, answers to requests not counted`,
        ),
      );
    }
    return [...results, ...(await measureNetwork(fleet, followers))];
  } finally {
    await fleet.stop();
  }
}

/** The same four followers, whatever the size of the network around them. */
async function measureNetwork(fleet: Fleet, followers: number): Promise<Result[]> {
  const invited = fleet.invitees([1, 2, 3, 4]);
  const before = await fleet.usage();
  const times: number[] = [];
  for (let k = 0; k < QUICK_CALLS; k++) times.push(await timeCall(fleet, false, invited));
  const after = await fleet.usage();
  return [
    figure(
      `4 invited of ${followers}: messages a call`,
      "",
      round((after.messages - before.messages) / QUICK_CALLS, 2),
      [null, "lower"],
      `median ${round(medianOf(times))} ms`,
    ),
  ];
}

/** A network of eight whose best bidder dies by SIGKILL in one phase of sealed bidding, and comes back for the next call. */
async function measureDeath(
  phase: string,
  death: Death | undefined,
  kills: number,
  signal: AbortSignal,
): Promise<Result[]> {
  const best = 1;
  const fleet = await Fleet.start({ followers: 8 }, priceOf, signal);
  try {
    for (let k = 0; k < WARM_UP; k++) await timeCall(fleet, true);
    const quiet: number[] = [];
    const times: number[] = [];
    let completed = 0;
    for (let k = 0; k < kills; k++) {
      quiet.push(await timeCall(fleet, true));
      const invited = fleet.invitees();
      if (death === undefined) await fleet.kill(best);
      else await fleet.arm(best, death);
      try {
        times.push(await timeCall(fleet, true, invited));
        completed++;
      } catch (fault) {
        signal.throwIfAborted();
        console.error(`bench: ${String(fault)}`);
      }
      await withSignal(fleet.death(best), AbortSignal.any([signal, AbortSignal.timeout(DEATH_TIMEOUT_MS)]));
      await fleet.revive(best);
    }
    return [
      figure(
        `best bidder killed, ${phase}: calls that end in a deal`,
        "%",
        round((100 * completed) / kills),
        [100, "higher"],
        `${completed} of ${kills}; published 92 % (peer to peer), 45 % (central)`,
      ),
      figure(
        `best bidder killed, ${phase}: time against an undisturbed call`,
        "×",
        round(medianOf(times) / medianOf(quiet), 2),
        [2, "lower"],
        `medians ${round(medianOf(times))} and ${round(medianOf(quiet))} ms`,
      ),
    ];
  } finally {
    await fleet.stop();
  }
}

/** What a follower spends on the proof that payments are optimal, under the rules of each built-in market. */
function measureProofs(): Result[] {
  return marketScenarios.flatMap((scenario) => {
    const document = documentOf(scenario, scenario.initial);
    const solved = solveMechanism(document);
    if (solved.kind !== "accept") return [];
    const { document: priced, dual } = solved.value;
    const priceWei = postedPriceOf(priced) ?? 0n;
    const amounts = { priceWei, bondWei: bondOf(priced, priceWei, 0n) };
    const check = () => {
      const verdict = checkMechanismProof(priced, amounts, dual);
      if (verdict.kind !== "accept") throw new Error(`bench: our own proof was refused: ${verdict.code}`);
    };
    for (let k = 0; k < CHECKS / 10; k++) check();
    const startMs = performance.now();
    for (let k = 0; k < CHECKS; k++) check();
    const meanUs = ((performance.now() - startMs) * 1_000) / CHECKS;
    const { actions } = priced.agency ?? { actions: [] };
    const size = `${actions.length} actions, ${priced.outcomes.length} outcomes`;
    return [figure(`proof of payments, checked: ${scenario.name}`, "µs", round(meanUs), [50, "lower"], size)];
  });
}
