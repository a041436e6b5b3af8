import { parentPort } from "node:worker_threads";
import { runTask, type Task } from "./compare.ts";

parentPort?.on("message", (task: Task) => {
  void runTask(task).then((outcome) => {
    console.error(`bench: ${task.scheme}, ${task.nodeCount} nodes, churn ${task.churn}, seed ${task.seed}`);
    parentPort?.postMessage({ ...outcome });
  });
});
