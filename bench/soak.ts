import type { Bench, Result } from "./harness/report.ts";
import { bearablePerSecond, GOAL_PER_SECOND, runSoak, type Moment } from "./soak/run.ts";

const NODES = 20;
const SECONDS = { full: 600, quick: 60 };
/** Caches and buffers fill first; a leak goes on after. */
const GROWTH_PERCENT = 5;
/** Over all, until what was said last has arrived. */
const HEARD_PERCENT = 99;

/** `npm run bench -- soak [--quick]`: memory of 20 real nodes over ten minutes (one with `--quick`) at a steady rate. */
export const bench: Bench = {
  profile: `${NODES} real nodes of this machine over loopback TCP, stores on a disk in memory where there is one; heap after a collection of garbage`,
  async run({ isQuick }) {
    const seconds = isQuick ? SECONDS.quick : SECONDS.full;
    const perSecond = bearablePerSecond(NODES);
    const onProgress = (line: string) => console.error(`bench: ${line}`);
    const { moments, faults } = await runSoak({ nodes: NODES, seconds, perSecond, onProgress });
    if (faults.length > 0) throw new Error(`soak: a node was at fault: ${faults[0]}`);
    return resultsOf(moments, perSecond);
  },
};

/** The last third against the third before it: both lie after the start, and neither is one look alone. */
function growthPercent(moments: readonly Moment[], field: "heapBytes" | "rssBytes"): number {
  const third = Math.floor(moments.length / 3);
  const mean = (part: readonly Moment[]) => part.reduce((sum, moment) => sum + moment[field], 0) / part.length;
  const [before, after] = [moments.slice(-2 * third, -third), moments.slice(-third)];
  return round((100 * mean(after)) / mean(before) - 100);
}

function resultsOf(moments: readonly Moment[], perSecond: number): Result[] {
  const [first, last] = [moments[0], moments.at(-1)];
  if (first === undefined || last === undefined) throw new Error("soak: nothing was seen");
  const spanSeconds = last.atSeconds - first.atSeconds;
  const said = (last.published - first.published) / spanSeconds;
  const cores = (last.cpuMs - first.cpuMs) / 1_000 / spanSeconds;
  const run = `${NODES} nodes, ${Math.round(last.atSeconds)} s`;
  const make = (id: string, unit: string, value: number, more: Partial<Result>): Result => ({
    ...{ id, unit, value, goal: null, better: "lower", peers: {}, ratio: null, note: run },
    ...more,
  });
  return [
    make("headers published", "a second", round(said), {
      ...{ goal: GOAL_PER_SECOND, better: "higher" },
      note: `${run}; each is checked by ${NODES - 1} nodes; ${perSecond} were asked for, which is what the cores of this machine bear; ${round(cores)} cores busy`,
    }),
    make("headers heard", "%", round((100 * last.heard) / (last.published * (NODES - 1))), {
      ...{ goal: HEARD_PERCENT, better: "higher", note: `${run}; ${last.refused} refused` },
    }),
    make("growth of the heap", "%", growthPercent(moments, "heapBytes"), {
      goal: GROWTH_PERCENT,
      note: `${run}; last third against the one before; ${megabytes(first.heapBytes)} MB at ${Math.round(first.atSeconds)} s, ${megabytes(last.heapBytes)} MB at the end`,
    }),
    make("growth of resident memory", "%", growthPercent(moments, "rssBytes"), {
      goal: GROWTH_PERCENT,
      note: `${run}; ${megabytes(first.rssBytes)} MB, then ${megabytes(last.rssBytes)} MB`,
    }),
  ];
}

const megabytes = (bytes: number): number => round(bytes / 1e6);
const round = (value: number): number => Math.round(value * 100) / 100;
