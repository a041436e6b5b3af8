import { expect } from "chai";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getAddress, pad, numberToHex } from "viem";
import { deployedContractNames, SuretyError } from "#protocol";
import { readConfig } from "../../node/config.ts";

const address = (n: number) => pad(numberToHex(n), { size: 20 });
const deployment = {
  chainId: 31_337,
  deployedAtBlock: 4,
  contracts: Object.fromEntries(deployedContractNames.map((name, k) => [name, getAddress(address(k + 1))])),
};
/** Key of account 0 of Hardhat's public mnemonic. */
const key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const agent = { name: "seller-1", keyFile: "keys/seller" };
const sound = { rpcUrl: "http://chain.example", deploymentFile: "deployment.json", dataDir: "state", agents: [agent] };

describe("the node's configuration file", () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "surety-config-"));
    mkdirSync(join(dir, "keys"));
    writeFileSync(join(dir, "keys/seller"), `${key}\n`);
    writeFileSync(join(dir, "keys/short"), key.slice(0, -2));
    writeFileSync(join(dir, "keys/gas"), `0x${"07".repeat(32)}`);
    writeFileSync(join(dir, "deployment.json"), JSON.stringify(deployment));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function read(json: unknown) {
    const path = join(dir, "node.json");
    writeFileSync(path, typeof json === "string" ? json : JSON.stringify(json));
    return readConfig(path);
  }

  function refusalOf(json: unknown): SuretyError {
    try {
      read(json);
    } catch (error) {
      if (error instanceof SuretyError) return error;
      throw error;
    }
    throw new Error("the configuration was taken");
  }

  it("reads paths from its own folder and fills in what is left out", () => {
    const { agents, ...rest } = read(sound);
    expect(rest).to.deep.equal({
      ...{ rpcUrl: sound.rpcUrl, deployment, dataDir: join(dir, "state") },
      ...{ graphqlUrl: undefined, apiToken: undefined, finalityDepth: undefined, maxFeePerGasWei: undefined },
    });
    expect(agents).to.deep.equal([
      {
        ...{
          name: "seller-1",
          key,
          listen: ["/ip4/127.0.0.1/tcp/0"],
          bootstrap: [],
          relay: "off",
          roles: [],
          windows: [],
        },
        ...{ dissemination: "mesh", publisher: undefined, application: undefined, apiPort: 0 },
        ...{
          bindingFile: undefined,
          isUnbound: false,
          isProvable: true,
          webhooks: [],
          shop: undefined,
          clients: [],
          publicUrl: undefined,
          maxArbitrationFeeWei: undefined,
          arbiters: ["panel"],
          gasKey: undefined,
        },
      },
    ]);
  });

  it("takes every field of an agent as it is written", () => {
    const full = {
      dissemination: "gossipsub",
      relay: "use",
      windows: ["data_analysis", "translation"],
      ...{ ...agent, listen: ["/ip4/0.0.0.0/tcp/0"], bootstrap: ["/ip4/192.0.2.1/tcp/1"], apiPort: 65_535 },
      ...{
        roles: ["watcher", "publisher"],
        publisher: { rank: 7, isReleasing: true },
        application: { module: "seller.ts", options: { margin: 3 } },
      },
      ...{ binding: "keep/binding.json", unbound: true, provable: false },
      webhooks: [{ url: "https://example.org/deals", secretFile: "hook.secret" }],
      maxArbitrationFeeWei: "300000000000000000",
      arbiters: [address(9), "panel"],
      gasKeyFile: "keys/gas",
      publicUrl: "https://agent.example",
      clients: [
        { name: "model", tokenFile: "model.token", spending: { maxPriceWei: "5", budgetWei: "9" } },
        { name: "reader", tokenFile: "reader.token" },
      ],
    };
    writeFileSync(join(dir, "model.token"), "a-token-of-22-letters-1\n");
    writeFileSync(join(dir, "reader.token"), "a-token-of-22-letters-2");
    const secret = "0123456789abcdef01234567";
    writeFileSync(join(dir, "hook.secret"), `${secret}\n`);
    const { agents, graphqlUrl, apiToken } = read({ ...sound, graphqlUrl: "http://i", apiToken: "t", agents: [full] });
    const {
      keyFile: _,
      binding,
      unbound,
      provable,
      webhooks: __,
      maxArbitrationFeeWei: ___,
      gasKeyFile: _____,
      clients: ____,
      ...rest
    } = full;
    const clients = [
      {
        ...{ name: "model", token: "a-token-of-22-letters-1" },
        spending: { maxPriceWei: 5n, budgetWei: 9n, periodSeconds: 86_400 },
      },
      { name: "reader", token: "a-token-of-22-letters-2", spending: undefined },
    ];
    const webhooks = [{ url: "https://example.org/deals", secret: new TextEncoder().encode(secret) }];
    const bound = {
      shop: undefined,
      bindingFile: join(dir, binding),
      isUnbound: unbound,
      isProvable: provable,
      maxArbitrationFeeWei: 3n * 10n ** 17n,
      arbiters: [getAddress(address(9)), "panel"],
      gasKey: `0x${"07".repeat(32)}`,
    };
    const application = { module: join(dir, "seller.ts"), options: { margin: 3 } };
    expect({ agents, graphqlUrl, apiToken }).to.deep.equal({
      ...{
        agents: [{ ...rest, ...bound, key, application, webhooks, clients }],
        graphqlUrl: "http://i",
        apiToken: "t",
      },
    });
  });

  it("takes how deep is final, and the most for gas, in wei as a text", () => {
    const { finalityDepth, maxFeePerGasWei } = read({ ...sound, finalityDepth: 64, maxFeePerGasWei: "30000000000" });
    expect({ finalityDepth, maxFeePerGasWei }).to.deep.equal({ finalityDepth: 64, maxFeePerGasWei: 30_000_000_000n });
  });

  it("lets a publisher commit at once and leave its bonds, unless it says otherwise", () => {
    const publisherOf = (fields: object) => read(of({ roles: ["publisher"], ...fields })).agents[0]?.publisher;
    expect(publisherOf({})).to.deep.equal({ rank: 0, isReleasing: false });
    expect(publisherOf({ publisher: { rank: 2 } })).to.deep.equal({ rank: 2, isReleasing: false });
  });

  it("fills in what a shop leaves out, and takes the rest as it is written", () => {
    const item = { path: "/describe", topic: "data_analysis", priceWei: "1500" };
    const shopOf = (shop: object) => read(of({ shop })).agents[0]?.shop;
    const [plain, full] = [shopOf({ resources: [item] }), { by: ["tab"], bondWei: "7", deliverWithinS: 20 }];
    const defaults = { description: "", mimeType: "application/json", bondWei: undefined };
    expect(plain).to.deep.equal({
      ...{ host: "127.0.0.1", port: 0, publicOrigin: undefined, arbiter: undefined, rulingWithinS: 604_800 },
      resources: [
        { ...item, ...defaults, priceWei: 1_500n, by: ["deal", "tab"], deliverWithinS: 300, reviewPeriodS: 3_600 },
      ],
    });
    const written = { ...item, ...full, description: "Quartiles", mimeType: "text/plain", reviewPeriodS: 0 };
    const lastPort = 2 ** 16 - 1;
    const site = { host: "::1", port: lastPort, publicUrl: "https://shop.example/behind?a=b", resources: [written] };
    expect(shopOf({ ...site, arbiter: "panel", rulingWithinS: 60 })).to.deep.equal({
      ...{ arbiter: "panel", rulingWithinS: 60 },
      ...{ host: "::1", port: lastPort, publicOrigin: "https://shop.example" },
      resources: [{ ...written, priceWei: 1_500n, bondWei: 7n }],
    });
  });

  const shopOf = (resource: object, more: object = {}) =>
    of({ shop: { resources: [{ path: "/x", topic: "t", priceWei: "1", ...resource }], ...more } });
  const of = (fields: object) => ({ ...sound, agents: [{ ...agent, ...fields }] });
  const refusals: readonly (readonly [why: string, json: unknown, message: RegExp])[] = [
    ["text that is no JSON", "{", /it is not JSON/],
    ["JSON that is no object", [], /it is not an object/],
    ["no rpcUrl", { ...sound, rpcUrl: undefined }, /rpcUrl is missing or no text/],
    ["an empty rpcUrl", { ...sound, rpcUrl: "" }, /rpcUrl is missing or no text/],
    ["no deploymentFile", { ...sound, deploymentFile: undefined }, /deploymentFile is missing/],
    [
      "a deployment file that is not there",
      { ...sound, deploymentFile: "none.json" },
      /deployment file .* cannot be read/,
    ],
    ["no dataDir", { ...sound, dataDir: 7 }, /dataDir is missing or no text/],
    ["a graphqlUrl that is no text", { ...sound, graphqlUrl: 7 }, /graphqlUrl is missing or no text/],
    ["an empty apiToken", { ...sound, apiToken: "" }, /apiToken is missing or no text/],
    ["a finalityDepth of none", { ...sound, finalityDepth: 0 }, /finalityDepth is not an integer from 1 to 10000/],
    ["a finalityDepth of halves", { ...sound, finalityDepth: 1.5 }, /finalityDepth is not an integer/],
    ["a finalityDepth for ever", { ...sound, finalityDepth: 10_001 }, /finalityDepth is not an integer/],
    ["a maxFeePerGasWei that is a number", { ...sound, maxFeePerGasWei: 3e10 }, /maxFeePerGasWei is not wei as a text/],
    ["a negative maxFeePerGasWei", { ...sound, maxFeePerGasWei: "-1" }, /maxFeePerGasWei is not wei as a text/],
    ["an arbitration fee in coins", of({ maxArbitrationFeeWei: "0.3" }), /maxArbitrationFeeWei is not wei as a text/],
    ["no agents", { ...sound, agents: [] }, /agents is not a list of 1 to 64/],
    ["agents that are no list", { ...sound, agents: {} }, /agents is not a list of 1 to 64/],
    ["one agent too many", { ...sound, agents: Array(65).fill(agent) }, /agents is not a list of 1 to 64/],
    ["an agent that is no object", { ...sound, agents: ["seller"] }, /an agent is not an object/],
    ["an agent without a name", of({ name: undefined }), /name is missing or no text/],
    ["a name that leaves its folder", of({ name: "../seller" }), /the name \.\.\/seller is not 1 to 64 letters/],
    ["an agent without a keyFile", of({ keyFile: undefined }), /keyFile is missing or no text/],
    ["a key file that is not there", of({ keyFile: "keys/none" }), /key file .* cannot be read/],
    [
      "a key that is too short",
      of({ keyFile: "keys/short" }),
      /key file of seller-1 does not hold 0x and 64 hex digits/,
    ],
    ["a gas key that is too short", of({ gasKeyFile: "keys/short" }), /gasKeyFile of seller-1 does not hold 0x/],
    ["a gas key that is the agent's", of({ gasKeyFile: "keys/seller" }), /gasKeyFile holds the key of another agent/],
    ["a listen that is no list", of({ listen: "/ip4/127.0.0.1/tcp/0" }), /listen is not a list of texts/],
    ["a bootstrap of numbers", of({ bootstrap: [1] }), /bootstrap is not a list of texts/],
    ["a publicUrl with a path", of({ publicUrl: "https://agent.example/a" }), /publicUrl of seller-1 is not an http/],
    ["a publicUrl of another kind", of({ publicUrl: "file:///" }), /publicUrl of seller-1 is not an http/],
    ["clients that are no list", of({ clients: {} }), /clients of seller-1 are not a list of at most 16/],
    ["a client named as the owner", of({ clients: [{ name: "owner" }] }), /or is "owner"/],
    ["a client with a short token", of({ clients: [{ name: "a", tokenFile: "deployment.short" }] }), /cannot be read/],
    [
      "a client without a limit for one task",
      of({ clients: [{ name: "a", tokenFile: "keys/seller", spending: { budgetWei: "1" } }] }),
      /spending of the client a lacks maxPriceWei or budgetWei/,
    ],
    [
      "a client with a period of nothing",
      of({
        clients: [
          { name: "a", tokenFile: "keys/seller", spending: { maxPriceWei: "1", budgetWei: "1", periodSeconds: 0 } },
        ],
      }),
      /periodSeconds of the client a is not an integer/,
    ],
    [
      "two clients with one token",
      of({ clients: ["a", "b"].map((name) => ({ name, tokenFile: "keys/seller" })) }),
      /two clients of seller-1 have the same token/,
    ],
    ["a webhook to elsewhere in clear", of({ webhooks: [{ url: "http://192.0.2.1/" }] }), /no https URL/],
    ["a webhook with a password", of({ webhooks: [{ url: "https://a:b@example.org/" }] }), /no https URL/],
    [
      "an embedder in clear elsewhere",
      { ...of({}), embedder: { baseUrl: "http://192.0.2.1/v1", model: "m" } },
      /embedder's baseUrl http:\/\/192.0.2.1\/v1 is no https URL/,
    ],
    ["a relay that is told neither", of({ relay: "both" }), /relay of seller-1 is none of off, use, serve/],
    [
      "an unknown role",
      of({ roles: ["watcher", "judge"] }),
      /judge is no role; roles are publisher, watcher, anchorer, juror/,
    ],
    [
      "a window's topic in capitals",
      of({ windows: ["Translation"] }),
      /name Translation, not a topic in lower case once/,
    ],
    ["a window's topic twice", of({ windows: ["t", "t"] }), /name t, not a topic in lower case once/],
    ["nine windows", of({ windows: [..."abcdefghi"] }), /windows of seller-1 are more than 8/],
    ["a publisher without its role", of({ publisher: { rank: 1 } }), /its roles lack publisher/],
    ["a publisher that is no object", of({ roles: ["publisher"], publisher: 1 }), /publisher of seller-1 is not an/],
    [
      "a rank above 7",
      of({ roles: ["publisher"], publisher: { rank: 8 } }),
      /rank of seller-1 is not an integer from 0/,
    ],
    ["a rank of halves", of({ roles: ["publisher"], publisher: { rank: 0.5 } }), /rank of seller-1 is not an integer/],
    [
      "an isReleasing that is a text",
      of({ roles: ["publisher"], publisher: { isReleasing: "no" } }),
      /isReleasing of seller-1 is not true or false/,
    ],
    ["an application without a module", of({ application: {} }), /module is missing or no text/],
    ["an apiPort that is no port", of({ apiPort: 65_536 }), /apiPort of seller-1 is not a port/],
    ["an unbound that is a text", of({ unbound: "yes" }), /unbound of seller-1 is neither true nor false/],
    ["a shop that is no object", of({ shop: [] }), /shop of seller-1 is not an object/],
    ["a shop that sells nothing", of({ shop: { resources: [] } }), /resources of seller-1's shop are not a list of 1/],
    ["a shop's port that is none", shopOf({}, { port: -1 }), /port is not an integer from 0 to 65535/],
    ["a publicUrl of another kind", shopOf({}, { publicUrl: "ftp://x/" }), /publicUrl of seller-1's shop is no http/],
    [
      "a shop's arbiter that is none",
      shopOf({}, { arbiter: "judge" }),
      /arbiter of seller-1's shop is neither "panel"/,
    ],
    [
      "a ruling at once",
      shopOf({}, { arbiter: "panel", rulingWithinS: 59 }),
      /rulingWithinS is not an integer from 60/,
    ],
    ["an arbiter that is none", of({ arbiters: ["0x12"] }), /an arbiter of seller-1 is neither "panel" nor an address/],
    ["arbiters that are no list", of({ arbiters: "panel" }), /arbiters is not a list of texts/],
    ["a resource without a path", shopOf({ path: undefined }), /path is missing or no text/],
    [
      "a resource's path with a query",
      shopOf({ path: "/a?b" }),
      /the path \/a\?b of seller-1's shop is no absolute path/,
    ],
    ["a resource's path that goes up", shopOf({ path: "/a/../b" }), /is no absolute path without a query/],
    ["a resource that costs nothing", shopOf({ priceWei: "0" }), /\/x of seller-1's shop has no priceWei/],
    ["a resource without a price", shopOf({ priceWei: undefined }), /\/x of seller-1's shop has no priceWei/],
    ["a resource paid by cheque", shopOf({ by: ["cheque"] }), /is paid by "deal", "tab" or both/],
    ["a resource with no time for it", shopOf({ deliverWithinS: 9 }), /deliverWithinS is not an integer from 10/],
    ["a review without end", shopOf({ reviewPeriodS: 2_592_001 }), /reviewPeriodS is not an integer from 0 to 2592000/],
    [
      "two resources of one path",
      of({
        shop: {
          resources: [
            { path: "/x", topic: "t", priceWei: "1" },
            { path: "/x", topic: "u", priceWei: "2" },
          ],
        },
      }),
      /two resources of seller-1's shop have the path \/x/,
    ],
    ["an apiPort that is a text", of({ apiPort: "8080" }), /apiPort of seller-1 is not a port/],
  ];
  for (const [why, json, message] of refusals) {
    it(`refuses ${why}, by name`, () => {
      const refusal = refusalOf(json);
      expect(refusal.code).to.equal("USAGE_CONFIG");
      expect(refusal.message).to.match(message);
      expect(refusal.next).to.match(/node\/README\.md|relative paths/);
    });
  }

  it("refuses an application that is no object, rather than run an agent that only buys", () => {
    expect(refusalOf(of({ application: "seller.ts" })).message).to.match(/application of seller-1 is not an object/);
  });

  it("refuses two agents of one name: they would share a store", () => {
    expect(refusalOf({ ...sound, agents: [agent, agent] }).message).to.match(/two agents are named seller-1/);
  });

  it("refuses a deployment that names no contracts, as the protocol does", () => {
    writeFileSync(join(dir, "deployment.json"), "{}");
    expect(refusalOf(sound).code).to.equal("DEPLOYMENT_INVALID");
  });
});
