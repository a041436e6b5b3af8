import { measureRealDiscovery } from "./discovery/real.ts";
import type { Bench } from "./harness/report.ts";

/** `npm run bench -- discovery-real [--quick]`: discovery on real agent processes; `discovery` compares schemes on simulated links. */
export const bench: Bench = {
  profile: "real agent processes on one machine over loopback TCP; finds in one process",
  run: ({ isQuick }) => measureRealDiscovery({ isQuick, onProgress: (line) => console.error(`bench: ${line}`) }),
};
