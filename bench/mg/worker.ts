// Runs one simulation after the other, as they come.
import { parentPort } from "node:worker_threads";
import { simulate, type Task } from "./simulate.ts";
import { createWorld } from "./world.ts";

const port = parentPort;
if (port === null) throw new Error("mg/worker.ts runs as a worker only");
port.on("message", ({ world, method, seed }: Task) => port.postMessage(simulate(createWorld(world, seed), method)));
