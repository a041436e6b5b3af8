import { request } from "node:http";
import { expect } from "chai";
import { startApi, type ApiServer } from "../../../node/api/server.ts";

const token = "a-token";
const authorized = { authorization: `Bearer ${token}` };

describe("the node's local interface", () => {
  let api: ApiServer;
  before(async () => {
    api = await startApi(
      [
        { method: "GET", path: "/health", isOpen: true, answer: () => ({ status: 200, body: { isOk: true } }) },
        { method: "POST", path: "/echo", answer: ({ body }) => ({ status: 200, body: { body, amount: 2n ** 70n } }) },
        { method: "GET", path: "/items/", answer: ({ url }) => ({ status: 200, body: url.pathname }) },
      ],
      { token, publicUrl: "https://agent.example" },
    );
  });
  after(() => api.stop());

  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(api.url + path, init);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  it("answers open routes without a token and the others only with it", async () => {
    expect(await ask("/health")).to.deep.equal({ status: 200, body: { isOk: true } });
    for (const headers of [{}, { authorization: "Bearer b-token" }, { authorization: token }]) {
      const { status, body } = await ask("/items/3", { headers });
      expect(status).to.equal(401);
      expect(body["error"]).to.have.property("code", "TOKEN_WRONG");
    }
    expect(await ask("/items/3", { headers: authorized })).to.deep.equal({ status: 200, body: "/items/3" });
  });

  it("answers under its own names only, so that no web page reaches it by a name that was made to point here", async () => {
    const port = new URL(api.url).port;
    const statusFor = (host: string, headers: Record<string, string> = {}) =>
      new Promise<number>((resolve, reject) => {
        const asked = request(`${api.url}/health`, { headers: { host, ...headers } }, (response) => {
          response.resume().once("end", () => resolve(response.statusCode ?? 0));
        });
        asked.once("error", reject).end();
      });
    for (const host of [`127.0.0.1:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`, "agent.example"]) {
      expect(await statusFor(host), host).to.equal(200);
    }
    for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1", "agent.example:81"]) {
      expect(await statusFor(host), host).to.equal(403);
    }
    const own = `localhost:${port}`;
    expect(await statusFor(own, { origin: `http://${own}` })).to.equal(200);
    expect(await statusFor(own, { origin: "https://agent.example" })).to.equal(200);
    for (const origin of ["https://evil.example", "null", `https://${own}`]) {
      expect(await statusFor(own, { origin }), origin).to.equal(403);
    }
  });

  it("writes 256-bit integers as decimal strings", async () => {
    const { body } = await ask("/echo", { method: "POST", headers: authorized, body: '{"a":1}' });
    expect(body).to.deep.equal({ body: { a: 1 }, amount: (2n ** 70n).toString() });
  });

  it("names what it refuses: unknown route, broken JSON, oversized body", async () => {
    const post = (path: string, body: string) => ask(path, { method: "POST", headers: authorized, body });
    expect((await post("/nowhere", "{}")).body["error"]).to.have.property("code", "ROUTE_UNKNOWN");
    expect((await post("/echo", "{")).body["error"]).to.have.property("code", "BODY_NOT_JSON");
    expect((await post("/echo", `"${"x".repeat(300_000)}"`)).body["error"]).to.have.property("code", "BODY_TOO_LARGE");
  });
});
