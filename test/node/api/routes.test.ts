import { expect } from "chai";
import { createRoutes, type RouteOptions } from "../../../node/api/routes.ts";
import { startApi, type ApiServer } from "../../../node/api/server.ts";
import type { FindFilter } from "../../../node/discovery/port.ts";
import type { TaskRequest } from "../../../node/task-request.ts";

const token = "a-token";
const spec = { topic: "data_analysis", title: "Describe", input: [1, 2] };
const task = { spec, query: "describe integers", reservePriceWei: "10000000", submitWithinS: 60 };
const taken: TaskRequest = {
  ...{ spec, query: task.query, reservePriceWei: 10_000_000n, valuePerQuality: 0n },
  ...{ submitWithinS: 60, biddingMs: 8_000, maxInvited: 8, minScore: 0 },
};

/** The interface over HTTP, before stages that only note what they are asked: whatever is refused reaches none. */
describe("routes of the node's local interface", () => {
  let api: ApiServer;
  let faults: string[];
  let asked: unknown[];
  const options = {
    status: () => Promise.resolve({ agentId: 7n }),
    faults: () => faults,
    discovery: {
      find: (query: string, filter: FindFilter) => {
        asked.push([query, filter]);
        return Promise.resolve([{ agentId: 7n, priceWei: 5n, evidence: { digest: "0xd1", body: new Uint8Array(9) } }]);
      },
    },
    tasks: {
      add: (request: TaskRequest) => {
        asked.push(request);
        return { id: "t1", request, state: "searching" };
      },
      get: (id: string) => (id === "t1" ? { id, state: "settled" } : undefined),
    },
    settlement: { deals: () => [{ dealId: "0xd2", isEnded: true }] },
  };

  beforeEach(async () => {
    [faults, asked] = [[], []];
    // Of the three stages a route uses these functions only; whole ones need a chain, and have their own tests.
    api = await startApi(createRoutes(options as unknown as RouteOptions), { token });
  });
  afterEach(() => api.stop());

  async function ask(path: string, body?: unknown) {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const response = await fetch(api.url + path, { ...init, headers: { authorization: `Bearer ${token}` } });
    const answer = (await response.json()) as Record<string, unknown>;
    return { status: response.status, answer, error: answer["error"] as { code: string; message: string } | undefined };
  }

  it("tells anybody on this machine whether the node is healthy, and what is wrong", async () => {
    const health = async () => {
      const response = await fetch(`${api.url}/health`);
      return [response.status, await response.json()];
    };
    expect(await health()).to.deep.equal([200, { isHealthy: true, faults: [] }]);
    faults = ["no peer is connected"];
    expect(await health()).to.deep.equal([503, { isHealthy: false, faults: ["no peer is connected"] }]);
  });

  it("answers status, deals and known tasks, and names an unknown one", async () => {
    expect((await ask("/status")).answer).to.deep.equal({ agentId: "7" });
    expect((await ask("/deals")).answer).to.deep.equal({ deals: [{ dealId: "0xd2", isEnded: true }] });
    expect((await ask("/tasks/t1")).answer).to.deep.equal({ id: "t1", state: "settled" });
    const { status, error } = await ask("/tasks/t2");
    expect([status, error?.code]).to.deep.equal([404, "TASK_UNKNOWN"]);
  });

  it("hands a search on with every filter, and gives the evidence by its digest", async () => {
    const { answer } = await ask("/find?query=sum%20up&topic=t&minScore=0.5&maxPriceWei=12&limit=3");
    expect(asked).to.deep.equal([["sum up", { topic: "t", minScore: 0.5, maxPriceWei: 12n, limit: 3 }]]);
    expect(answer).to.deep.equal({ found: [{ agentId: "7", priceWei: "5", headerDigest: "0xd1" }] });
    await ask("/find");
    expect(asked[1]).to.deep.equal(["", {}]);
  });

  it("takes a task, with defaults for what is left out", async () => {
    const { status, answer } = await ask("/tasks", task);
    expect([status, answer["id"]]).to.deep.equal([201, "t1"]);
    const rest = { valuePerQuality: "3", biddingMs: 500, maxInvited: 2, minScore: 0.25 };
    await ask("/tasks", { ...task, ...rest });
    expect(asked).to.deep.equal([taken, { ...taken, ...rest, valuePerQuality: 3n }]);
  });

  for (const [field, text] of [
    ["minScore", "much"],
    ["minScore", "-1"],
    ["minScore", ""],
    ["limit", "NaN"],
    ["maxPriceWei", "1.5"],
    ["maxPriceWei", "-5"],
    ["maxPriceWei", "9".repeat(79)],
  ] as const) {
    it(`refuses ${field}=${text.slice(0, 8)} in a search, by name`, async () => {
      const { status, error } = await ask(`/find?${field}=${text}`);
      expect([status, error?.code]).to.deep.equal([422, "REQUEST_INVALID"]);
      expect(error?.message).to.match(new RegExp(`^${field} is not `));
      expect(asked).to.deep.equal([]);
    });
  }

  const broken: readonly (readonly [field: string, body: unknown])[] = [
    ["the body", "text"],
    ["spec.input", { ...task, spec: undefined }],
    ["spec.input", { ...task, spec: { ...spec, input: undefined } }],
    ["spec.topic", { ...task, spec: { ...spec, topic: "" } }],
    ["spec.title", { ...task, spec: { ...spec, title: 7 } }],
    ["query", { ...task, query: undefined }],
    ["reservePriceWei", { ...task, reservePriceWei: 10 }],
    ["reservePriceWei", { ...task, reservePriceWei: "0x10" }],
    ["valuePerQuality", { ...task, valuePerQuality: "-1" }],
    ["submitWithinS", { ...task, submitWithinS: 0 }],
    ["submitWithinS", { ...task, submitWithinS: undefined }],
    ["biddingMs", { ...task, biddingMs: 0 }],
    ["maxInvited", { ...task, maxInvited: 0 }],
    ["minScore", { ...task, minScore: -0.1 }],
  ];
  for (const [field, body] of broken) {
    it(`refuses a task for ${field} in ${JSON.stringify(body).slice(0, 70)}, by name`, async () => {
      const { status, error } = await ask("/tasks", body);
      expect([status, error?.code]).to.deep.equal([422, "REQUEST_INVALID"]);
      expect(error?.message).to.match(new RegExp(`^${field} is not `));
      expect(asked).to.deep.equal([]);
    });
  }

  it("refuses a task without a body", async () => {
    const response = await fetch(`${api.url}/tasks`, { method: "POST", headers: { authorization: `Bearer ${token}` } });
    expect(response.status).to.equal(422);
    expect(await response.text()).to.match(/REQUEST_INVALID/);
  });
});
