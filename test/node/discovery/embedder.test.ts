import { expect } from "chai";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import {
  createEndpointEmbedder,
  foldVector,
  LEXICAL,
  lexicalEmbedder,
  similarityOf,
} from "../../../node/discovery/embedder.ts";

const signal = new AbortController().signal;

describe("embedders", function () {
  this.timeout(20_000);
  let server: Server;
  let baseUrl: string;
  let answer: (texts: string[]) => { status: number; body: string };
  const asked: { authorization: string | undefined; model: string; input: string[] }[] = [];
  /** What a model would say: nearness of meaning where no letters are shared. */
  const vectors: Record<string, number[]> = { car: [1, 0.1, 0], automobile: [0.9, 0.2, 0], banana: [-0.1, 0.1, 1] };
  const sound = (texts: string[]) => ({
    status: 200,
    // In any order: the index says which is whose.
    body: JSON.stringify({
      data: texts.map((text, index) => ({ index, embedding: vectors[text] ?? [0, 1, 0] })).reverse(),
    }),
  });

  before(async () => {
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        const { model, input } = JSON.parse(body) as { model: string; input: string[] };
        asked.push({ authorization: request.headers.authorization, model, input });
        const { status, body: text } = answer(input);
        response.writeHead(status).end(text);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  });
  after(() => server.close());

  const open = (fields = {}) => {
    asked.length = 0;
    answer = sound;
    const faults: unknown[] = [];
    const clock = { nowMs: 0 };
    const options = {
      baseUrl,
      model: "m",
      apiKey: "k",
      nowMs: () => clock.nowMs,
      onFault: (fault: unknown) => faults.push(fault),
    };
    return { embedder: createEndpointEmbedder({ ...options, ...fields }), faults, clock };
  };

  it("asks an OpenAI-compatible endpoint once for each text, with its key, and finds meaning without common words", async () => {
    const { embedder, faults } = open();
    const [car, automobile, banana] = await embedder.sketch(["car", "automobile", "banana"], signal);
    expect(similarityOf(car!, automobile!)).to.be.above(0.8);
    expect(similarityOf(car!, banana!)).to.be.below(0.4);
    expect(await embedder.sketch(["banana", "car"], signal)).to.deep.equal([banana, car]);
    expect(asked).to.deep.equal([{ authorization: "Bearer k", model: "m", input: ["car", "automobile", "banana"] }]);
    expect(faults).to.deep.equal([]);
  });

  it("never compares sketches of different embedders", async () => {
    const [own] = await lexicalEmbedder.sketch(["car"], signal);
    const [theirs] = await open().embedder.sketch(["car"], signal);
    const [others] = await open({ model: "n" }).embedder.sketch(["car"], signal);
    expect(similarityOf(own!, theirs!)).to.equal(undefined);
    expect(similarityOf(theirs!, others!)).to.equal(undefined);
    expect(similarityOf(own!, own!)).to.equal(1);
  });

  it("falls back to the built-in embedder for a whole call, and leaves a server that failed alone for a while", async () => {
    const bad = [
      { status: 500, body: "" },
      { status: 200, body: "no json" },
      { status: 200, body: JSON.stringify({ data: [] }) },
      {
        status: 200,
        body: JSON.stringify({
          data: [
            { index: 0, embedding: [1] },
            { index: 0, embedding: [1] },
          ],
        }),
      },
      {
        status: 200,
        body: JSON.stringify({
          data: [
            { index: 0, embedding: ["x"] },
            { index: 1, embedding: [1] },
          ],
        }),
      },
    ];
    for (const wrong of bad) {
      const { embedder, faults, clock } = open();
      answer = () => wrong;
      const sketches = await embedder.sketch(["car", "banana"], signal);
      expect(sketches.map(({ embedder: by }) => by)).to.deep.equal([LEXICAL, LEXICAL]);
      expect(faults).to.have.length(1);
      answer = sound;
      clock.nowMs = 29_999;
      expect((await embedder.sketch(["car"], signal))[0]?.embedder).to.equal(LEXICAL);
      expect(asked).to.have.length(1);
      clock.nowMs = 30_000;
      expect((await embedder.sketch(["car"], signal))[0]?.embedder).to.equal(embedder.id);
    }
  });

  it("folds a vector by its direction alone", () => {
    const vector = [0.3, -0.72, 0.11, 0.94];
    expect(foldVector(vector.map((x) => 5 * x))).to.equal(foldVector(vector));
    expect(BigInt(foldVector(vector)) ^ BigInt(foldVector(vector.map((x) => -x)))).to.equal(2n ** 256n - 1n);
  });
});
