// The simulator against real hosts: the same core, connections and latencies, once simulated and once over libp2p.
import type { Result } from "../harness/report.ts";
import { runMesh } from "./mesh-run.ts";
import { DESIGN_LINKS, Network } from "./network.ts";
import { runFleet, type FleetOptions } from "./real/fleet.ts";

export type FleetSize = Pick<FleetOptions, "hostCount" | "processes" | "connections" | "messageCount">;

/** A difference within it calibrates the simulator (network.md). */
const GOAL_PERCENT = 15;
const BODY_BYTES = 4_096;
const SEED = 11;
const PER_SECOND = 4;

/** Measures both and compares: everybody pulls every body, four messages a second. */
export async function calibrate(size: FleetSize): Promise<Result[]> {
  console.error(`bench: ${size.hostCount} real hosts in ${size.processes} processes`);
  const links = new Network<undefined>({
    ...{ nodeCount: size.hostCount, seed: SEED, links: DESIGN_LINKS, classes: [], receive: () => undefined },
  });
  const latencyMs = (a: number, b: number) => links.latencyMs(a, b);
  const real = await runFleet({ ...size, dissemination: "mesh", latencyMs, bodyBytes: BODY_BYTES, seed: SEED });
  const simulated = await runMesh({
    ...{ nodeCount: size.hostCount, connections: size.connections, messageCount: size.messageCount },
    ...{
      seed: SEED,
      links: DESIGN_LINKS,
      bodyBytes: BODY_BYTES,
      f: 1,
      perSecond: PER_SECOND,
      deadShare: 0,
      repairRounds: 0,
    },
  });
  for (const fault of real.faults) console.error(`bench: a real host: ${fault}`);
  const note = `${size.hostCount} hosts of ${size.connections} connections, 4 KB, f = 100 %, links delayed by 40–130 ms; real latencies depend on the machine's load`;
  const compared = (id: string, unit: string, measured: number, model: number): Result[] => [
    {
      ...{ id: `real hosts: ${id}`, unit, value: Math.round(measured), goal: null, better: "lower", ratio: null },
      ...{ peers: { simulated: Math.round(model) }, note },
    },
    {
      ...{ id: `simulator's error: ${id}`, unit: "%", value: Math.round(Math.abs(model / measured - 1) * 1_000) / 10 },
      ...{ goal: GOAL_PERCENT, better: "lower", peers: {}, ratio: null, note: "|simulated ÷ real − 1|" },
    },
  ];
  const { headers, bodies } = real;
  return [
    ...compared("stream bytes", "B/node/message", real.streamBytesPerNodeMessage, simulated.streamBytesPerNodeMessage),
    ...compared("header p50", "ms", headers.p50Ms, simulated.headers.p50Ms),
    ...compared("header p99", "ms", headers.p99Ms, simulated.headers.p99Ms),
    ...compared("body p50", "ms", bodies.p50Ms, simulated.bodies.p50Ms),
    ...compared("body p99", "ms", bodies.p99Ms, simulated.bodies.p99Ms),
    {
      ...{ id: "real hosts: CPU", unit: "ms/node/message", value: Math.round(real.cpuMsPerNodeMessage * 10) / 10 },
      ...{ goal: null, better: "lower", peers: {}, ratio: null },
      note: `headers ${headers.reached} of ${headers.expected}, bodies ${bodies.reached} of ${bodies.expected}; idle hosts wrote ${Math.round(real.idleBytesPerSecond)} B/s, which is taken off`,
    },
  ];
}
