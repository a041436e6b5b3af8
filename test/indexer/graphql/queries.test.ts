import { expect } from "chai";
import { buildClientSchema, getIntrospectionQuery, type IntrospectionQuery } from "graphql";
import { ClientError, GraphQLClient } from "graphql-request";
import { getAddress } from "viem";
import { createIndexer, type Indexer } from "../../../indexer/index.ts";
import {
  MAX_ALIASES,
  MAX_BODY_BYTES,
  MAX_FIRST,
  MAX_IN,
  MAX_SKIP,
  MAX_TOKENS,
} from "../../../indexer/graphql/limits.ts";
import {
  AGENT_COUNT,
  agentAt,
  openDeal,
  settleDeal,
  startSuretyChain,
  TOPICS,
  type SuretyChain,
} from "../surety-chain.ts";

interface DealRow {
  id: string;
  price: string;
  rating: number | null;
}

describe("GraphQL over HTTP", () => {
  let chain: SuretyChain;
  let indexer: Indexer;
  let graphql: GraphQLClient;

  before(async function () {
    this.timeout(60_000);
    chain = await startSuretyChain();
    const { client, deployment, folder } = chain;
    indexer = createIndexer({ client, deployment, store: { folder }, pollIntervalMs: 10 });
    await indexer.start();
    graphql = new GraphQLClient(indexer.graphqlUrl);
    const [a, b, c] = [agentAt(chain, 0), agentAt(chain, 1), agentAt(chain, 2)];
    await settleDeal(chain, [a, b], 90, { price: 9n });
    await settleDeal(chain, [a, c], -40, { price: 10n });
    await settleDeal(chain, [b, c], 0, { price: 2n ** 70n, topic: TOPICS[1] });
    before500 = await askAtHead();
    await openDeal(chain, c, a, { price: 500n });
    await reachHead();
  });

  /** What is asked of each block. */
  const fields = `number: deals(orderBy: price) { price client { id dealsAsClient { price } } }`;
  let before500: { readonly number: number; readonly hash: string; readonly answer: unknown };

  async function reachHead(): Promise<{ number: number; hash: string }> {
    const { number, hash } = await chain.client.getBlock();
    await indexer.reached({ number: Number(number), hash });
    return { number: Number(number), hash };
  }

  async function askAtHead(): Promise<typeof before500> {
    return { ...(await reachHead()), answer: (await graphql.request<{ number: unknown }>(`{ ${fields} }`)).number };
  }

  after(async () => {
    await indexer?.stop();
    await chain?.close();
  });

  const dealsWhere = async (args: string) =>
    (await graphql.request<{ deals: DealRow[] }>(`{ deals(${args}) { id price rating } }`)).deals.map(
      ({ price }) => price,
    );

  async function refusalOf(document: string, variables?: Record<string, unknown>): Promise<ClientError["response"]> {
    const outcome: unknown = await graphql.request(document, variables).catch((error: unknown) => error);
    if (outcome instanceof ClientError) return outcome.response;
    throw new Error(`the query was answered: ${JSON.stringify(outcome).slice(0, 200)}`);
  }

  async function codeOf(document: string, variables?: Record<string, unknown>): Promise<unknown> {
    return (await refusalOf(document, variables)).errors?.[0]?.extensions["code"];
  }

  it("orders and compares 256-bit integers as numbers, not as text", async () => {
    expect(await dealsWhere("orderBy: price")).to.deep.equal(["9", "10", "500", String(2n ** 70n)]);
    expect(await dealsWhere("orderBy: price, orderDirection: desc, first: 2")).to.deep.equal([
      String(2n ** 70n),
      "500",
    ]);
    expect(await dealsWhere('orderBy: price, where: { price_gt: "9", price_lte: "500" }')).to.deep.equal(["10", "500"]);
    expect(await dealsWhere('where: { price_in: ["9", "11"] }')).to.deep.equal(["9"]);
    expect(await dealsWhere('orderBy: price, where: { price_not_in: ["9", "10"], price_lt: "501" }')).to.deep.equal([
      "500",
    ]);
  });

  it("filters by equality, negation, text, null, and combinations", async () => {
    expect(await dealsWhere('where: { client: "31337:2" }')).to.deep.equal([String(2n ** 70n)]);
    expect(await dealsWhere("where: { rating: null }")).to.deep.equal(["500"]);
    expect(await dealsWhere('orderBy: price, where: { state_not: "Completed" }')).to.deep.equal(["500"]);
    expect(await dealsWhere('where: { state_starts_with: "Fun" }')).to.deep.equal(["500"]);
    expect(await dealsWhere("orderBy: price, where: { rating_gte: 0 }")).to.deep.equal(["9", String(2n ** 70n)]);
    expect(
      await dealsWhere('orderBy: price, where: { or: [{ price: "9" }, { and: [{ rating: -40 }, { price: "10" }] }] }'),
    ).to.deep.equal(["9", "10"]);
    const { agents } = await graphql.request<{ agents: { id: string }[] }>(
      '{ agents(where: { agentURI_contains: "test/3" }) { id } }',
    );
    expect(agents).to.deep.equal([{ id: "31337:3" }]);
  });

  it("pages without overlap or gap", async () => {
    const seen: string[] = [];
    for (let skip = 0; skip < AGENT_COUNT; skip += 2) {
      const { agents } = await graphql.request<{ agents: { id: string }[] }>(
        `{ agents(first: 2, skip: ${skip}, orderBy: commitment) { id } }`,
      );
      seen.push(...agents.map(({ id }) => id));
    }
    expect(new Set(seen).size).to.equal(AGENT_COUNT);
  });

  it("follows relations both ways, and finds nothing as null", async () => {
    const answer = await graphql.request<Record<string, unknown>>(`{
      agent(id: "31337:1") { owner dealsAsClient(orderBy: price) { price provider { agentId } } signers { signer validUntil } }
      nobody: agent(id: "31337:999") { owner }
      localTrusts(where: { weight_gt: 0 }) { client { id } provider { id } satisfied weight topic { id seatCount } }
    }`);
    const owner = agentAt(chain, 0).account.toLowerCase();
    expect(answer["nobody"]).to.equal(null);
    expect(answer["agent"]).to.deep.equal({
      owner,
      dealsAsClient: [
        { price: "9", provider: { agentId: "2" } },
        { price: "10", provider: { agentId: "3" } },
      ],
      signers: [{ signer: owner, validUntil: "0" }],
    });
    expect(answer["localTrusts"]).to.deep.equal([
      {
        ...{ client: { id: "31337:1" }, provider: { id: "31337:2" }, satisfied: "90", weight: "90" },
        topic: { id: String(TOPICS[0]), seatCount: "4" },
      },
    ]);
  });

  it("finds an owner however the client writes the address", async () => {
    const { agents } = await graphql.request<{ agents: { id: string }[] }>(
      "query ($owner: Bytes!) { agents(where: { owner: $owner }) { id } }",
      { owner: getAddress(agentAt(chain, 4).account) },
    );
    expect(agents).to.deep.equal([{ id: "31337:5" }]);
  });

  it("says of which block its rows are", async () => {
    const block = await chain.client.getBlock();
    const { _meta } = await graphql.request<{ _meta: Record<string, unknown> }>(
      "{ _meta { block { number hash parentHash timestamp } deployment hasIndexingErrors } }",
    );
    const { hash, parentHash } = block;
    expect(_meta).to.deep.equal({
      block: { number: Number(block.number), hash, parentHash, timestamp: Number(block.timestamp) },
      deployment: `eip155:31337:${chain.registry.address.toLowerCase()}`,
      hasIndexingErrors: false,
    });
  });

  it("introspects within its own limits, and has nothing that writes", async () => {
    const schema = buildClientSchema(await graphql.request<IntrospectionQuery>(getIntrospectionQuery()));
    expect(schema.getMutationType() ?? null).to.equal(null);
    expect(Object.keys(schema.getQueryType()?.getFields() ?? {})).to.include.members(["agents", "score", "_meta"]);
  });

  it("answers of a past block what it answered then, by number and hash, also beside the present", async () => {
    const { number, hash, answer } = before500;
    const [rest] = fields.split("number: deals(").slice(1);
    const asked = await graphql.request<Record<string, unknown>>(`{
      now: deals(${rest}
      then: deals(block: { number: ${number} }, ${rest}
      same: deals(block: { hash: "${hash}" }, ${rest}
      latest: deals(block: { number_gte: ${number} }, ${rest}
      agent(id: "31337:3", block: { number: ${number} }) { dealsAsClient { price } }
      counts(block: { number: ${number} }) { deals }
      _meta(block: { number: ${number} }) { block { number hash } }
    }`);
    expect(asked["then"]).to.deep.equal(answer);
    expect(asked["same"]).to.deep.equal(answer);
    expect(asked["now"]).to.deep.equal((await askAtHead()).answer);
    expect(asked["now"]).to.not.deep.equal(answer);
    expect(asked["latest"]).to.deep.equal(asked["now"]);
    expect([asked["agent"], asked["counts"]]).to.deep.equal([{ dealsAsClient: [] }, { deals: 3 }]);
    expect(asked["_meta"]).to.deep.equal({ block: { number, hash } });
  });

  it("refuses a block that it cannot answer for, saying which ones it can", async () => {
    const { oldestBlock, block } = (
      await graphql.request<{ _meta: { oldestBlock: number; block: { number: number } } }>(
        "{ _meta { oldestBlock block { number } } }",
      )
    )._meta;
    const codeAt = (height: string) => codeOf(`{ deals(block: ${height}) { id } }`);
    expect(await codeAt(`{ number: ${block.number + 1} }`)).to.equal("BLOCK_NOT_REACHED");
    expect(await codeAt(`{ number_gte: ${block.number + 1} }`)).to.equal("BLOCK_NOT_REACHED");
    expect(await codeAt(`{ number: ${oldestBlock - 1} }`)).to.equal("BLOCK_NOT_KEPT");
    expect(await codeAt("{ number: -1 }")).to.equal("BLOCK_NOT_KEPT");
    expect(await codeAt(`{ hash: "0x${"ab".repeat(32)}" }`)).to.equal("BLOCK_UNKNOWN");
    expect(await codeAt(`{ number: ${block.number}, number_gte: 1 }`)).to.equal("BLOCK_AMBIGUOUS");
    expect(await codeOf(`{ _meta(block: { number: ${oldestBlock - 1} }) { deployment } }`)).to.equal("BLOCK_NOT_KEPT");
    const [error] = (await refusalOf(`{ deals(block: { number: ${block.number + 1} }) { id } }`)).errors ?? [];
    expect(error?.extensions).to.include({ oldest: oldestBlock, newest: block.number });
    // Null names none, as clients send what they leave out.
    await graphql.request(`{ deals(block: { number: null }) { id } _meta(block: null) { deployment } }`);
  });

  it("forgets an orphaned block's hash, and answers of its number what the chain has there now", async () => {
    const snapshot = await chain.rpc("evm_snapshot");
    await openDeal(chain, agentAt(chain, 1), agentAt(chain, 2), { price: 600n });
    const orphan = await askAtHead();
    await chain.rpc("evm_revert", snapshot);
    await chain.rpc("hardhat_mine", "0x2");
    await reachHead();
    expect(await codeOf(`{ deals(block: { hash: "${orphan.hash}" }) { id } }`)).to.equal("BLOCK_UNKNOWN");
    const prices = await dealsWhere(`block: { number: ${orphan.number} }, where: { price: "600" }`);
    expect(prices).to.deep.equal([]);
  });

  it("refuses what costs too much, each with a code", async () => {
    const deep = `{ deals ${"{ client { dealsAsClient ".repeat(5)}{ id }${"} }".repeat(5)} }`;
    expect(await codeOf(deep)).to.equal("QUERY_TOO_DEEP");
    const viaFragments = `{ deals { ...A } } fragment A on Deal { client { dealsAsClient { client { dealsAsClient { ...B } } } } }
      fragment B on Deal { client { dealsAsClient { client { dealsAsClient { client { dealsAsClient { id } } } } } } }`;
    expect(await codeOf(viaFragments)).to.equal("QUERY_TOO_DEEP");
    const aliases = Array.from({ length: MAX_ALIASES + 1 }, (_, k) => `a${k}: epochs { id }`).join(" ");
    expect(await codeOf(`{ ${aliases} }`)).to.equal("QUERY_TOO_MANY_ALIASES");
    expect(await codeOf(`{ deals(first: ${MAX_FIRST + 1}) { id } }`)).to.equal("QUERY_PAGE_TOO_LARGE");
    expect(await codeOf("{ deals(first: -1) { id } }")).to.equal("QUERY_PAGE_TOO_LARGE");
    expect(await codeOf(`{ deals(skip: ${MAX_SKIP + 1}) { id } }`)).to.equal("QUERY_PAGE_TOO_LARGE");
    const ids = Array.from({ length: MAX_IN + 1 }, String);
    expect(await codeOf("query ($ids: [String!]) { deals(where: { id_in: $ids }) { id } }", { ids })).to.equal(
      "QUERY_IN_TOO_LARGE",
    );
    const terms = Array.from({ length: 60 }, () => '{ state: "Funded" }').join(" ");
    expect(await codeOf(`{ deals(where: { or: [${terms}] }) { id } }`)).to.equal("QUERY_WHERE_TOO_LARGE");
    // Within depth and aliases, but each level multiplies: 18^4 rows of seats.
    const level = (inner: string) =>
      Array.from({ length: 6 }, (_, k) => `${String.fromCharCode(97 + k)}: seats { topic { ${inner} } }`).join(" ");
    const fragments = [1, 2, 3].map((k) => `fragment L${k} on Topic { ${level(`...L${k + 1}`)} }`).join(" ");
    const product = `{ topics { ...L1 } } ${fragments} fragment L4 on Topic { ${level("id")} }`;
    expect(await codeOf(product)).to.equal("QUERY_TOO_EXPENSIVE");
  });

  it("refuses what it cannot read, without a word of its inside", async () => {
    expect(await codeOf('{ deals(where: { price: "1e9" }) { id } }')).to.equal("BAD_VALUE");
    const tokens = `{ ${"epochs { id } ".repeat(MAX_TOKENS)} }`;
    expect((await refusalOf(tokens)).errors?.[0]?.message).to.match(/token/);
    expect((await refusalOf("{ deals { secret } }")).errors?.[0]?.message).to.match(/Cannot query field/);
    expect((await refusalOf("mutation { drop }")).errors?.[0]?.message).to.match(/not configured to execute mutation/);
    const { status } = await fetch(indexer.graphqlUrl, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ query: `{ epochs { id } } ${"#".repeat(MAX_BODY_BYTES)}` }),
    });
    expect(status).to.equal(413);
  });

  it("binds to loopback and answers health, readiness and metrics", async () => {
    expect(new URL(indexer.url).hostname).to.equal("127.0.0.1");
    expect((await fetch(`${indexer.url}/health`)).status).to.equal(200);
    const ready = await fetch(`${indexer.url}/ready`);
    expect(ready.status).to.equal(200);
    expect(await ready.json()).to.include({ sync: "live", isReady: true, progress: 1 });
    const metrics = await (await fetch(`${indexer.url}/metrics`)).text();
    expect(metrics).to.match(/^surety_indexer_ready 1$/m);
    expect((await fetch(`${indexer.url}/etc/passwd`)).status).to.equal(404);
  });
});
