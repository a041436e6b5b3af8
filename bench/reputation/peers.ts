import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EdgeList } from "./random-graph.ts";

/** Programs over the peers' public interfaces; not part of the project. They solve for α = 0.15, the difference to ours is 1e-5. */
const PROGRAMS = "../shared/peers/reputation";

/** What a peer took for one solve, the best of three, its building left out. */
export interface PeerTime {
  readonly name: string;
  readonly ms: number;
  readonly scores: Float64Array;
}

export interface Peers {
  readonly times: readonly PeerTime[];
  /** Why others are missing. */
  readonly absent: readonly string[];
}

interface Recipe {
  readonly name: string;
  readonly source: string;
  readonly compile: readonly string[];
  readonly runs: readonly { readonly label: string; readonly options: readonly string[] }[];
}

const pkg = (name: string): string[] => {
  const { status, stdout } = spawnSync("pkg-config", ["--cflags", "--libs", name], { encoding: "utf8" });
  return status === 0 ? stdout.trim().split(/\s+/) : [`-l${name}`];
};

const recipes: readonly Recipe[] = [
  {
    name: "GraphBLAS",
    source: "graphblas_eigentrust.c",
    compile: ["-I/usr/include/suitesparse", "-lgraphblas", "-lm"],
    runs: [
      { label: "GraphBLAS, 1 thread", options: ["1"] },
      { label: "GraphBLAS, 2 threads", options: ["2"] },
    ],
  },
  {
    name: "igraph",
    source: "igraph_ppr.c",
    compile: [...pkg("igraph"), "-lm"],
    runs: [{ label: "igraph PRPACK", options: ["20"] }],
  },
];

/** Runs every peer that this machine can build or has, on the same edges. */
export function runPeers(edges: EdgeList): Peers {
  if (!existsSync(PROGRAMS)) return { times: [], absent: [`${PROGRAMS} is absent, and with it all peers`] };
  const folder = mkdtempSync(join(tmpdir(), "surety-peers-"));
  try {
    writeEdges(join(folder, "g"), edges);
    const times: PeerTime[] = [];
    const absent: string[] = [];
    for (const recipe of recipes) {
      const program = join(folder, recipe.name);
      const built = spawnSync("gcc", ["-O3", join(PROGRAMS, recipe.source), "-o", program, ...recipe.compile]);
      if (built.status !== 0) absent.push(`${recipe.name} cannot be built here`);
      else
        for (const { label, options } of recipe.runs)
          times.push(run(label, program, [join(folder, "g"), join(folder, "o"), ...options], folder));
    }
    if (spawnSync("python3", ["-c", "import scipy.sparse"]).status !== 0) absent.push("python3 has no scipy");
    else
      times.push(
        run("scipy", "python3", [join(PROGRAMS, "scipy_eigentrust.py"), join(folder, "g"), join(folder, "o")], folder),
      );
    return { times, absent };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function writeEdges(prefix: string, { agentCount, sources, targets, weights, seeds }: EdgeList): void {
  writeFileSync(`${prefix}.n`, `${agentCount} ${sources.length}\n`);
  writeFileSync(`${prefix}.src.u32`, sources);
  writeFileSync(`${prefix}.dst.u32`, targets);
  writeFileSync(`${prefix}.w.u8`, weights);
  writeFileSync(`${prefix}.pt.u32`, seeds);
}

function run(name: string, program: string, options: readonly string[], folder: string): PeerTime {
  const said = execFileSync(program, options, { encoding: "utf8" });
  const ms = Number(/best=(\d+)ms/.exec(said)?.[1]);
  if (!(ms >= 0)) throw new Error(`bench: ${name} gave no time: ${said}`);
  // A time of whole milliseconds: below one, half of one is meant.
  return {
    name,
    ms: Math.max(ms, 0.5),
    scores: new Float64Array(Uint8Array.from(readFileSync(join(folder, "o"))).buffer),
  };
}
