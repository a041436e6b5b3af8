// Runs one file-sharing network after the other, as they come.
import { parentPort } from "node:worker_threads";
import { simulateThreat, type ThreatTask } from "./threats.ts";

const port = parentPort;
if (port === null) throw new Error("mg/threat-worker.ts runs as a worker only");
port.on("message", (task: ThreatTask) => port.postMessage({ inauthentic: simulateThreat(task) }));
