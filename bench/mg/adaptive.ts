import { createRandom } from "../reputation/random-graph.ts";
import type { Method } from "./method.ts";
import type { Pool } from "./pool.ts";
import type { Outcome, Task } from "./simulate.ts";
import { summarise } from "./summary.ts";
import { paperWorld, type WorldParameters } from "./world.ts";

/** What the attacker may choose, and between which bounds; people and honest quality are not his. */
const levers: readonly (readonly [keyof WorldParameters, number, number])[] = [
  ["badRate", 0.1, 1],
  ["camouflage", 0, 18],
  ["fakes", 0, 64],
  ["ring", 1, 8],
  ["targetFakes", 0, 4],
  ["spyFakes", 0, 4],
  ["badmouth", 0, 1],
];
const whole: ReadonlySet<keyof WorldParameters> = new Set(["camouflage", "fakes", "ring"]);

/**
 * Hill climbing: one lever at a time is moved by a step that shrinks while nothing helps, on tuning seeds of its own. Random
 * search understates what an attacker finds.
 */
export async function adaptAttack(
  pool: Pool<Task, Outcome>,
  method: Method,
  reentryBudget: number,
  { steps, seeds }: { readonly steps: number; readonly seeds: readonly number[] },
): Promise<WorldParameters> {
  const random = createRandom(reentryBudget + 3);
  const isReenteringAtWill = reentryBudget > 0;
  let best: WorldParameters = {
    ...paperWorld,
    isReenteringAtWill,
    reentryBudget,
    reentryPeriod: isReenteringAtWill ? 15 : 0,
  };
  const gainOf = async (world: WorldParameters) =>
    summarise(await pool.runAll(seeds.map((seed) => ({ world, method, seed })))).attackSuccess.mean;
  let gain = await gainOf(best);
  let reach = 0.5;
  for (let step = 0; step < steps; step++) {
    const [lever, low, high] = levers[step % levers.length] as (typeof levers)[number];
    const moved = (best[lever] as number) + (random() - 0.5) * 2 * reach * (high - low);
    const bounded = Math.min(high, Math.max(low, moved));
    const world = { ...best, [lever]: whole.has(lever) ? Math.round(bounded) : bounded };
    const found = await gainOf(world);
    if (found > gain) [best, gain] = [world, found];
    else reach = Math.max(0.05, reach * 0.97);
  }
  return best;
}
