import { parentPort } from "node:worker_threads";
import { runTask, type Task } from "./task.ts";

parentPort?.on("message", (task: Task) => {
  void runTask(task).then((outcome) => {
    console.error(`bench: ${task.name}: ${outcome.seconds} s, ${outcome.rssMegabytes} MB`);
    parentPort?.postMessage(outcome);
  });
});
