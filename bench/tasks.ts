// Tasks from call to delivery between real processes over libp2p, with workers killed in the middle of their work: how many are done, beside
// a central assignment and an oracle that knows which of them can be done at all; and what a thousand of them cost.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../scripts/checks/run-tool.ts";
import { Sections } from "./harness/sections.ts";
import { wilsonInterval } from "./harness/wilson.ts";
import type { Bench, Result } from "./harness/report.ts";
import { Arm, CLIENTS, isFeasible, NO_SKILL, WORKERS, type Method, type Task } from "./negotiation/arm.ts";
import { Fleet } from "./negotiation/fleet.ts";
import { SKILLS } from "./negotiation/follower.ts";
import { medianOf, RESERVE, round } from "./negotiation/request.ts";

const TASKS = 1_000;
const CENTRAL_TASKS = 250;
const QUICK_TASKS = 40;
const SHARES = [0, 0.1, 0.3, 0.5] as const;
const QUICK_SHARES = [0, 0.5] as const;
/** One task in ten can be done by nobody: half of them for want of the skill, half at their price. */
const HOPELESS_EVERY = 10;
/** What an arm has not done by then counts as not done. A thousand tasks take some minutes on two cores. */
const ARM_LIMIT_MS = 900_000;
const QUICK_ARM_LIMIT_MS = 120_000;

interface Outcome {
  readonly feasible: number;
  readonly completed: number;
  /** Of tasks that could not be done: how many were said to be done all the same. */
  readonly invented: number;
  readonly kills: number;
  readonly tasks: number;
  /** Milliseconds of each task that was done. */
  readonly quietMs: number;
  readonly doomedMs: number;
  readonly cpuMs: number;
  readonly messages: number;
  readonly bytes: number;
  readonly elapsedMs: number;
  /** Whether it ended by its time and not with its last task. */
  readonly isCut: boolean;
  /** Why feasible tasks came to nothing. */
  readonly failures: readonly string[];
}

export const bench: Bench = {
  profile: `libp2p over loopback, ${WORKERS} worker processes, ${CLIENTS} clients in one, no chain`,
  async run({ isQuick }) {
    const sections = new Sections(`tasks${isQuick ? "-quick" : ""}`);
    let opening: Promise<Fleet> | undefined;
    // One fleet for all arms, started with the first one that was not measured before.
    const open = () => (opening ??= Fleet.start({ clients: CLIENTS, followers: WORKERS }, priceOf, sections.signal));
    const run = (method: Method, share: number, tasks: number) =>
      sections.measure(`${method}, ${100 * share} % killed`, async () => {
        const limitMs = isQuick ? QUICK_ARM_LIMIT_MS : ARM_LIMIT_MS;
        return await runArm(await open(), method, drawTasks(share, tasks), limitMs);
      });
    try {
      const results: Result[] = [];
      for (const share of isQuick ? QUICK_SHARES : SHARES) {
        const ours = await run("ours", share, isQuick ? QUICK_TASKS : TASKS);
        const central = await run("central", share, isQuick ? QUICK_TASKS : CENTRAL_TASKS);
        results.push(...resultsOf(share, ours, central));
        if (share === 0) results.push(...costsOf(ours));
      }
      sections.finish();
      return results;
    } finally {
      await opening?.then((fleet) => fleet.stop());
    }
  },
};

const shareDone = ({ completed, feasible }: Outcome) => (100 * completed) / feasible;

function resultsOf(share: number, ours: Outcome, central: Outcome): Result[] {
  const intervalOf = ({ completed, feasible, isCut, failures }: Outcome) => {
    const codes = [...new Set(failures)].sort();
    const why = codes.map((code) => `${failures.filter((other) => other === code).length} ${code}`).join(", ");
    const [low, high] = wilsonInterval(completed, feasible).map((part) => round(100 * part, 2));
    return `${completed} of ${feasible} feasible, 95 % Wilson ${low}–${high}${isCut ? ", cut by its time" : ""}${why === "" ? "" : ` (${why})`}`;
  };
  const [value, peer] = [round(shareDone(ours), 2), round(shareDone(central), 2)];
  const results: Result[] = [
    {
      ...{ id: `${100 * share} % killed mid-task: done, of the oracle's count`, unit: "%", value, goal: 99 },
      ...{ better: "higher", peers: { central: peer, oracle: 100 }, ratio: peer === 0 ? null : round(value / peer, 2) },
      note: `${intervalOf(ours)}, of ${ours.tasks} tasks; ${ours.kills} kills; ${ours.invented} impossible ones said to be done; central: ${intervalOf(central)}, ${central.kills} kills; published 79–82 %`,
    },
  ];
  if (share === 0) return results;
  return [
    ...results,
    {
      ...{ id: `${100 * share} % killed mid-task: a killed task's time`, unit: "×", better: "lower", goal: null },
      ...{ value: round(ours.doomedMs / ours.quietMs, 2), peers: {}, ratio: null },
      note: `medians ${round(ours.doomedMs)} and ${round(ours.quietMs)} ms; the second provider works from the start`,
    },
  ];
}

/** Price of a thousand tasks without kills. */
function costsOf({ tasks, cpuMs, messages, bytes, elapsedMs }: Outcome): Result[] {
  const plain = { better: "lower", peers: {}, ratio: null } as const;
  const snapshot = JSON.parse(readFileSync(join(root, "bench", "gas-snapshot.json"), "utf8")) as Record<string, number>;
  return [
    {
      ...{ ...plain, id: "1,000 tasks: CPU of all processes", unit: "s", value: round(cpuMs / tasks), goal: 20 },
      note: `${tasks} tasks in ${round(elapsedMs / 1000)} s; the work itself included`,
    },
    {
      ...{ ...plain, id: "a task: bytes in frames", unit: "B", value: Math.round(bytes / tasks), goal: null },
      note: `${round(messages / tasks, 2)} messages, deliverable included; noise and yamux come on top`,
    },
    {
      ...{
        ...plain,
        id: "a task paid by tab: gas",
        unit: "gas",
        value: snapshot["tab.task.at-1000"] ?? NaN,
        goal: 250,
      },
      note: "of 1,000 tasks on one tab, from the committed figures of `bench -- gas`",
    },
  ];
}

const priceOf = (index: number) => 1_000n + BigInt(index);
/** Draws by the task's number, the same in every run. */
const drawOf = (k: number) => ((k * 48_271 + 11) % 2_147_483_647) / 2_147_483_647;
const mixed = (k: number) => drawOf(Math.floor(drawOf(k + 1) * 2_147_483_647));

function createTask(k: number, share: number): Task {
  const isHopeless = k % HOPELESS_EVERY === HOPELESS_EVERY - 1;
  const isUnskilled = isHopeless && k % (2 * HOPELESS_EVERY) === HOPELESS_EVERY - 1;
  return {
    skill: isUnskilled ? NO_SKILL : 1 + (Math.floor(k / CLIENTS) % SKILLS),
    reservePrice: isHopeless && !isUnskilled ? 1n : RESERVE,
    isDoomed: mixed(k) < share,
  };
}

const drawTasks = (share: number, count: number): readonly Task[] =>
  Array.from({ length: count }, (_, k) => createTask(k, share));

async function runArm(fleet: Fleet, method: Method, tasks: readonly Task[], limitMs: number): Promise<Outcome> {
  const limit = AbortSignal.timeout(limitMs);
  const arm = new Arm(fleet, method, limit);
  const warmUp = { ...createTask(0, 0), reservePrice: RESERVE };
  try {
    await Promise.all(fleet.clients.map((client) => arm.run(client, warmUp)));
    const before = await fleet.usage();
    const startMs = performance.now();
    const done = await arm.runAll(tasks);
    const elapsedMs = performance.now() - startMs;
    // Whoever was killed last is asked for its figures when it is back.
    await arm.settle();
    const after = await fleet.usage();
    const traffic = { messages: after.messages - before.messages, bytes: after.bytes - before.bytes };
    const cost = { elapsedMs, cpuMs: after.cpuMs - before.cpuMs, ...traffic };
    return { ...outcomeOf(tasks, done), ...cost, kills: arm.kills, failures: arm.failures, isCut: limit.aborted };
  } finally {
    await arm.settle();
  }
}

function outcomeOf(tasks: readonly Task[], done: readonly (number | undefined)[]) {
  const timesOf = (isDoomed: boolean) =>
    done.flatMap((ms, k) => (ms !== undefined && tasks[k]?.isDoomed === isDoomed ? [ms] : []));
  const countDone = (wanted: boolean) =>
    tasks.filter((task, k) => isFeasible(task) === wanted && done[k] !== undefined).length;
  return {
    ...{ feasible: tasks.filter(isFeasible).length, completed: countDone(true), invented: countDone(false) },
    ...{ tasks: tasks.length, quietMs: medianOf(timesOf(false)), doomedMs: medianOf(timesOf(true)) },
  };
}
