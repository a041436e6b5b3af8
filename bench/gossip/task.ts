// One simulated run as a plain object, so that a worker can make it and its outcome can be written down.
import { runAttack, type AttackOptions, type AttackOutcome } from "./attack-run.ts";
import { runAuthorPull, type AuthorPullOptions, type AuthorPullOutcome } from "./author-pull.ts";
import { runFlood, type FloodOptions, type FloodOutcome } from "./flood.ts";
import { runMesh, type MeshOutcome, type MeshRunOptions } from "./mesh-run.ts";

export type Task =
  | { readonly kind: "flood"; readonly name: string; readonly options: FloodOptions }
  | { readonly kind: "author"; readonly name: string; readonly options: AuthorPullOptions }
  | { readonly kind: "mesh"; readonly name: string; readonly options: MeshRunOptions }
  | { readonly kind: "attack"; readonly name: string; readonly options: AttackOptions };

export type Outcome = { readonly seconds: number; readonly rssMegabytes: number } & (
  | { readonly kind: "flood"; readonly result: FloodOutcome }
  | { readonly kind: "author"; readonly result: AuthorPullOutcome }
  | { readonly kind: "mesh"; readonly result: MeshOutcome }
  | { readonly kind: "attack"; readonly result: AttackOutcome }
);

export async function runTask(task: Task): Promise<Outcome> {
  const startedAt = performance.now();
  const outcome = await runKind(task);
  return {
    ...outcome,
    seconds: Math.round((performance.now() - startedAt) / 100) / 10,
    rssMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
  };
}

async function runKind(
  task: Task,
): Promise<
  | { kind: "flood"; result: FloodOutcome }
  | { kind: "author"; result: AuthorPullOutcome }
  | { kind: "mesh"; result: MeshOutcome }
  | { kind: "attack"; result: AttackOutcome }
> {
  switch (task.kind) {
    case "flood":
      return { kind: "flood", result: await runFlood(task.options) };
    case "author":
      return { kind: "author", result: await runAuthorPull(task.options) };
    case "mesh":
      return { kind: "mesh", result: await runMesh(task.options) };
    case "attack":
      return { kind: "attack", result: await runAttack(task.options) };
  }
}
