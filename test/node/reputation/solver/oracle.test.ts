import { execFileSync, spawnSync } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { SCORE_SUM } from "#protocol";
import type { TopicGraph } from "../../../../node/reputation/graph.ts";
import { parseRatings, type ImportedRating } from "../../../../node/reputation/import.ts";
import { createRatingGraph } from "../../../../node/reputation/rating-graph.ts";
import { RESTART } from "../../../../node/reputation/solver/float.ts";
import { solveReal, solveTopic } from "../../../../node/reputation/solver/solve.ts";

const dataDir = "../shared/data";
const hasScipy = spawnSync("python3", ["-c", "import scipy.sparse"]).status === 0;

const networks = [
  ["Bitcoin Alpha", "alpha/soc-sign-bitcoinalpha.csv"],
  ["Advogato", "advogato/out.advogato.tsv"],
  ["wiki-Vote", "wiki-vote/wiki-Vote.txt"],
  ["Epinions", "epinions/soc-Epinions1.txt"],
] as const;

async function readRatings(path: string): Promise<ImportedRating[]> {
  const ratings: ImportedRating[] = [];
  for await (const verdict of parseRatings(createReadStream(path))) {
    if (verdict.kind === "accept") ratings.push(verdict.value);
  }
  return ratings;
}

function scoreByScipy(graph: TopicGraph): Float64Array {
  const folder = mkdtempSync(join(tmpdir(), "surety-scipy-"));
  try {
    const targets = new Uint32Array(graph.inSeats.length);
    for (let seat = 0; seat < graph.seatCount; seat++) targets.fill(seat, graph.inStart[seat], graph.inStart[seat + 1]);
    writeFileSync(join(folder, "sources.u32"), graph.inSeats);
    writeFileSync(join(folder, "targets.u32"), targets);
    writeFileSync(join(folder, "weights.u32"), graph.inWeights);
    writeFileSync(join(folder, "priors.f64"), graph.priors);
    execFileSync("python3", [join(import.meta.dirname, "scipy-oracle.py"), folder, String(RESTART)]);
    return new Float64Array(Uint8Array.from(readFileSync(join(folder, "scores.f64"))).buffer);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, k) => sum + Math.abs(value - (b[k] as number)), 0);

describe("score engine against scipy", () => {
  for (const [name, file] of networks) {
    it(`is within 1e-8 of it on ${name}, exact scores included, whether a few or all are pre-trusted`, async function () {
      this.timeout(120_000);
      const path = join(dataDir, file);
      if (!existsSync(path) || !hasScipy) {
        console.log(`      ${hasScipy ? `${path} is absent` : "python3 has no scipy"}`);
        return this.skip();
      }
      const ratings = await readRatings(path);
      for (const seedCount of [10, 0]) {
        const { graph } = createRatingGraph(ratings, seedCount);
        const oracle = scoreByScipy(graph);
        const real = await solveReal(graph);
        expect(real.residual).to.be.at.most(1e-9);
        expect(distance(real.scores, oracle), "real").to.be.below(1e-8);
        expect(distance(real.scores, oracle), "published bound").to.be.at.most(real.errorBound + 1e-12);
        const exact = await solveTopic(graph);
        const shares = Float64Array.from(exact.scores, (score) => Number(score) / Number(SCORE_SUM));
        expect(distance(shares, oracle), "exact").to.be.below(1e-8);
      }
    });
  }
});
