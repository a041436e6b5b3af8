import { createHash } from "node:crypto";
import { expect } from "chai";
import { SuretyError } from "#protocol";
import { assembleKernel, createWasmKernel, exactModes, operations } from "../../../../node/reputation/solver/kernel.ts";
import { RESTART, solveFloat } from "../../../../node/reputation/solver/float.ts";
import { solveExact } from "../../../../node/reputation/solver/exact.ts";
import { CHUNK_COUNT, controlOf, createLayout, type Layout } from "../../../../node/reputation/solver/layout.ts";
import { solveReal, solveTopic, type SolveProgress } from "../../../../node/reputation/solver/solve.ts";
import { createInlineTeam, createTeam } from "../../../../node/reputation/solver/team.ts";
import { createTwin } from "../../../../node/reputation/solver/twin.ts";
import { createRandom, denseEigenTrust, graphOf, randomGraph, toReal, type Edge } from "../graphs.ts";

const quiet = () => {};
const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, k) => sum + Math.abs(value - (b[k] as number)), 0);

/** Graphs of each stored width of a weight, by seed. */
function graphsOfEachWidth() {
  const found = new Map<number, ReturnType<typeof randomGraph>>();
  for (let seed = 1; found.size < 3; seed++) {
    const graph = randomGraph(seed, 90);
    if (graph.inSeats.length > 50) found.set(createLayout(graph).width, graph);
  }
  return [...found];
}

/** Everything in a layout's memory after the same solve by some kernel. */
async function traceOf(graph: ReturnType<typeof randomGraph>, isTwin: boolean): Promise<string> {
  const layout = createLayout(graph);
  const kernel = isTwin
    ? createTwin(layout.memory.buffer, layout.width)
    : createWasmKernel(layout.memory, layout.width);
  const team = createInlineTeam(layout, kernel);
  const real = await solveFloat(graph, layout, team, { residualGoal: 1e-12 });
  const afterFloat = hashOf(new Uint8Array(layout.memory.buffer, 0, layout.byteCount));
  await solveExact(graph, layout, team, real, quiet);
  return afterFloat + hashOf(new Uint8Array(layout.memory.buffer, 0, layout.byteCount));
}

describe("assembled kernel", () => {
  it("is made of the same bytes everywhere", () => {
    // Changes when the kernel is changed on purpose, and never else.
    expect(hashOf(assembleKernel())).to.equal("71b445c048a5ff10988edcf2379eb81687c15e683f08098734d9b073a15f873e");
  });

  it("leaves the same bytes as its twin after whole solves, for each stored width of weights", async () => {
    const cases = graphsOfEachWidth();
    expect(cases.map(([width]) => width).sort()).to.deep.equal([1, 2, 4]);
    for (const [width, graph] of cases) {
      expect(await traceOf(graph, false), `width ${width}`).to.equal(await traceOf(graph, true));
    }
  });

  it("multiplies λ by priors as bigints do, at both ends of every range", () => {
    const layout = createLayout(graphOf(4, [], [1, 1, 1, 1]));
    const { restart64, exactRestart } = layout.addresses;
    const priors = new Float64Array(layout.memory.buffer, restart64, 4);
    const out = new BigUint64Array(layout.memory.buffer, exactRestart, 4);
    priors.set([0, 1, 2 ** 48 - 1, 0x123456789abc]);
    const kernel = createWasmKernel(layout.memory, layout.width);
    for (const multiplier of [1n, 0xffffffffn, 1n << 32n, (1n << 63n) - 1n, 0x5555aaaa12345678n]) {
      for (const shift of [0, 1, 31, 32, 47, 48, 63, 64, 65, 84]) {
        const words = [Number(multiplier & 0xffffffffn) | 0, Number(multiplier >> 32n) | 0];
        kernel(operations.spread, 0, 1, [restart64, exactRestart, ...words, shift, 0, 0, 0, 0]);
        const expected = Array.from(priors, (prior) =>
          BigInt.asUintN(64, (multiplier * BigInt(prior)) >> BigInt(shift)),
        );
        expect([...out], `${multiplier} >> ${shift}`).to.deep.equal(expected);
      }
    }
  });

  it("only looks, in the mode that gives the image", () => {
    const layout = createLayout(graphOf(2, [[1, 2, 3]], [5, 0]));
    const { addresses: a } = layout;
    const before = new Uint8Array(layout.memory.buffer, a.exactScores, 24).slice();
    const kernel = createWasmKernel(layout.memory, layout.width);
    const list = [a.starts, a.offsets, a.weights, a.exactQuotients, a.exactRestart, a.exactScores, a.rowSums];
    expect(kernel(operations.exact, 0, 1, [...list, a.residual64, exactModes.image])).to.equal(0);
    expect(new Uint8Array(layout.memory.buffer, a.exactScores, 24)).to.deep.equal(before);
  });
});

describe("layout", () => {
  const rangesOf = ({ memory, blockCount }: Layout) => {
    const { words } = controlOf(memory);
    const bounds = [...words.subarray(words.length - CHUNK_COUNT - 1)];
    return { bounds, blockCount };
  };

  it("cuts every graph into chunks that cover each block once", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { bounds, blockCount } = rangesOf(createLayout(randomGraph(seed, 400)));
      expect(bounds[0]).to.equal(0);
      expect(bounds.at(-1)).to.equal(blockCount);
      expect(bounds).to.deep.equal([...bounds].sort((a, b) => a - b));
    }
  });

  it("refuses a graph that does not fit 4 GiB, before it takes memory", () => {
    const graph = { ...graphOf(1, [], [1]), seatCount: 1 };
    const inStart = new Uint32Array([0, 0, 2 ** 31]);
    expect(() => createLayout({ ...graph, seatCount: 2, inStart }))
      .to.throw(SuretyError)
      .with.property("code", "ENGINE_TOO_LARGE");
  });
});

describe("solver", () => {
  it("gives the same bytes for one, two and three threads", async function () {
    this.timeout(120_000);
    const graph = randomGraph(77, 900);
    const outcomes = [];
    for (const threadCount of [1, 2, 3]) {
      const real = await solveReal(graph, { threadCount });
      const exact = await solveTopic(graph, { threadCount });
      outcomes.push({
        real: hashOf(new Uint8Array(real.scores.buffer)),
        bound: real.errorBound,
        exact: hashOf(new Uint8Array(exact.scores.buffer)),
        lambda: exact.lambda,
        floatSweeps: [exact.sweeps.single, exact.sweeps.double],
      });
    }
    expect(outcomes[1]).to.deep.equal(outcomes[0]);
    expect(outcomes[2]).to.deep.equal(outcomes[0]);
  });

  it("stays within the bound it publishes, on random graphs of every shape", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const graph = randomGraph(seed);
      const { scores, residual, errorBound } = await solveReal(graph, { residualGoal: 1e-6 });
      expect(residual, `seed ${seed}`).to.be.at.most(1e-6);
      expect(distance(scores, denseEigenTrust(graph, RESTART)), `seed ${seed}`).to.be.at.most(errorBound + 1e-14);
    }
  });

  it("ends at the same scores from any start, sooner from a near one", async () => {
    const graph = randomGraph(5, 2_000);
    const cold = await solveReal(graph);
    const warm = await solveReal(graph, { start: cold.scores });
    const random = createRandom(3);
    const far = await solveReal(graph, { start: Float64Array.from({ length: 10 }, () => 1_000 * random()) });
    expect(distance(warm.scores, cold.scores)).to.be.at.most(warm.errorBound + cold.errorBound);
    expect(distance(far.scores, cold.scores)).to.be.at.most(far.errorBound + cold.errorBound);
    expect(warm.sweeps).to.deep.equal({ single: 0, double: 1 });
  });

  it("amplifies what a clique holds by at most 1/α, however its members trade among themselves", async () => {
    const edges: Edge[] = [];
    for (let client = 1; client <= 60; client++) edges.push([client, 1 + ((client * 7) % 60), 5]);
    edges.push([1, 61, 1]);
    const clique = [61, 62, 63, 64];
    for (const client of clique)
      for (const provider of clique) if (client !== provider) edges.push([client, provider, 1_000]);
    const honest = edges.filter(([client, provider]) => client !== provider);
    const { scores } = await solveTopic(graphOf(64, honest, [...Array<number>(60).fill(100), 0, 0, 0, 0]));
    const shares = toReal(scores);
    const held = clique.reduce((sum, seat) => sum + (shares[seat] as number), 0);
    // Client 1 gives a sixth of its passed-on score to the clique; the rest is the clique's own.
    const given = ((1 - RESTART) * (shares[1] as number)) / 6;
    expect(held).to.be.at.most(given / RESTART + 1e-9);
    expect(held).to.be.above(given);
  });

  it("keeps what one agent rates itself out of nothing but its own row", async () => {
    // The ledger refuses self-dealing; a graph from elsewhere may hold it, and then it is an edge like any other.
    const graph = {
      ...graphOf(2, [[1, 2, 1]], [1, 1]),
      inStart: Uint32Array.of(0, 0, 1, 2),
      inSeats: Uint32Array.of(1, 1),
      inWeights: Uint32Array.of(1, 1),
      rowSums: Uint32Array.of(0, 2, 0),
    };
    const { scores } = await solveReal(graph);
    expect(distance(scores, denseEigenTrust(graph, RESTART))).to.be.below(1e-8);
  });

  it("scores each of two parts that never met by its own stake", async () => {
    const parts: Edge[] = [
      [1, 2, 3],
      [2, 1, 1],
      [3, 4, 9],
      [4, 3, 9],
    ];
    const { scores } = await solveReal(graphOf(4, parts, [1, 2, 3, 6]));
    expect((scores[1] as number) + (scores[2] as number)).to.be.closeTo(0.25, 1e-9);
    expect((scores[3] as number) + (scores[4] as number)).to.be.closeTo(0.75, 1e-9);
  });

  it("stops threads and all when the signal fires in the middle", async function () {
    this.timeout(60_000);
    const stop = new AbortController();
    const reason = new Error("enough");
    const seen: SolveProgress[] = [];
    const outcome = await solveTopic(randomGraph(77, 900), {
      threadCount: 2,
      signal: stop.signal,
      onProgress(progress) {
        seen.push(progress);
        if (seen.length === 3) stop.abort(reason);
      },
    }).catch((error: unknown) => error);
    expect(outcome).to.equal(reason);
    expect(seen).to.have.length(3);
  });

  it("fails with the worker's error when a thread fails, and does not hang", async function () {
    this.timeout(60_000);
    const layout = createLayout(randomGraph(9));
    const team = createTeam(layout, 2, undefined);
    const words = controlOf(layout.memory).words;
    // A block beyond the memory: the kernel traps.
    words[words.length - 1] = 2 ** 30;
    const { starts, offsets, weights, gifts64, restart64, scores64, residual64 } = layout.addresses;
    const list = [starts, offsets, weights, gifts64, restart64, scores64, residual64, 0, 0];
    const outcome = await team.run(operations.sweep64, list).catch((error: unknown) => error);
    await team.close();
    expect(outcome).to.be.instanceOf(Error);
    expect(String(outcome)).to.match(/out of bounds/);
  });
});
