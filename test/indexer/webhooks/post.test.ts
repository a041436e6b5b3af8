import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { isAllowedAddress, postWebhook, type WebhookNetwork } from "../../../indexer/webhooks/post.ts";
import { isWanted, readSubscriptions } from "../../../indexer/webhooks/subscriptions.ts";
import { WebhookReceiver } from "../../fixtures/webhook-receiver.ts";

const secretText = "0123456789abcdef01234567";
const secret = new TextEncoder().encode(secretText);
const never = new AbortController().signal;
const NOW_MS = 1_795_000_000_999;

describe("a webhook's post", function () {
  this.timeout(30_000);
  const message = { id: "msg_1", body: '{"type":"event","text":"é"}' };
  let receiver: WebhookReceiver;
  let url: string;

  beforeEach(async () => {
    receiver = new WebhookReceiver(secret);
    url = await receiver.listen();
  });
  afterEach(() => receiver.close());

  const post = (to = url, network: WebhookNetwork = "loopback", signal = never) =>
    postWebhook({ url: to, secret, network }, message, NOW_MS, signal);

  it("reaches a receiver on this machine when that is allowed, signed so that it can tell", async () => {
    expect(await post()).to.equal(undefined);
    const { id, timestamp, body, isGenuine } = receiver.deliveries[0] ?? expect.fail("nothing came");
    expect([id, timestamp, body, isGenuine]).to.deep.equal(["msg_1", 1_795_000_000, JSON.parse(message.body), true]);
  });

  it("is not taken by an error, a redirect, a broken connection or nobody, and follows no redirect", async () => {
    receiver.answers.push(
      (response) => response.writeHead(500).end(),
      (response) => response.writeHead(307, { location: url }).end(),
      (response) => response.destroy(),
    );
    expect([await post(), await post(), await post()]).to.deep.equal(["status 500", "status 307", "ECONNRESET"]);
    expect(receiver.deliveries).to.have.length(3);
    await receiver.close();
    expect(await post()).to.equal("ECONNREFUSED");
    await receiver.listen();
  });

  it("does not wait for the end of an answer, nor for one that never comes once it is called off", async () => {
    const stopping = new AbortController();
    receiver.answers.push(
      (response) => void response.writeHead(200).write("for ever"),
      () => stopping.abort(),
    );
    expect(await post()).to.equal(undefined);
    expect(await post(url, "loopback", stopping.signal)).to.equal("ABORT_ERR");
  });

  it("never goes to this machine, by address or by name, unless that is its network", async () => {
    const { port } = new URL(url);
    for (const host of ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433"])
      expect(await post(`http://${host}:${port}/`, "public"), host).to.match(/^WEBHOOK_ADDRESS: .* no public address$/);
    expect(await post(`http://localhost:${port}/`, "private")).to.match(/no private address$/);
    expect(receiver.deliveries).to.deep.equal([]);
    expect(await post(`http://localhost:${port}/`)).to.equal(undefined);
  });

  const kinds: readonly (readonly [network: WebhookNetwork | "none", addresses: readonly string[]])[] = [
    ["public", ["8.8.8.8", "172.15.255.255", "172.32.0.0", "192.169.0.0", "2606:4700::1111", "::ffff:8.8.8.8"]],
    [
      "private",
      ["10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.1"],
    ],
    ["loopback", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"]],
    [
      "none",
      ["169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "fe80::1"],
    ],
    ["none", ["ff02::1", "64:ff9b::7f00:1", "::127.0.0.1", "2002:7f00:1::", "2001:db8::1", "2001::1", "receiver", ""]],
  ];
  for (const [network, addresses] of kinds)
    it(`may go to ${addresses.join(", ")} as ${network} alone`, () => {
      for (const address of addresses) {
        const found = (["public", "private", "loopback"] as const).filter((one) => isAllowedAddress(address, one));
        expect(found, address).to.deep.equal(network === "none" ? [] : [network]);
      }
    });
});

describe("the file of webhooks", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "surety-webhooks-"));
    writeFileSync(join(folder, "secret"), `${secretText}\n`);
    writeFileSync(join(folder, "short"), "too short");
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const read = (json: unknown) => {
    writeFileSync(join(folder, "webhooks.json"), typeof json === "string" ? json : JSON.stringify(json));
    return readSubscriptions(join(folder, "webhooks.json"));
  };
  const least = { name: "shop", url: "https://shop.example/hook", secretFile: "secret" };

  it("means every event from now on, told at once, to a receiver on the internet, unless it says otherwise", () => {
    const defaults = { rules: [], finality: "unsafe", fromBlock: undefined, network: "public" };
    expect(read([least])).to.deep.equal([{ name: "shop", url: least.url, secret, ...defaults }]);
    const local = { ...least, url: "http://127.0.0.1:1/", network: "loopback", finality: "finalized", fromBlock: 7 };
    expect(read([local])[0]).to.deep.include({ network: "loopback", finality: "finalized", fromBlock: 7 });
  });

  it("picks events by contract, name and arguments", () => {
    const rules = [
      { contract: "dealEscrow", events: ["DealFunded", "DealResolved"] },
      { events: ["Transfer"], args: { tokenId: "7" } },
    ];
    const [subscription] = read([{ ...least, rules }]);
    if (subscription === undefined) return expect.fail("nothing was read");
    const wanted = (contract: "dealEscrow" | "identityRegistry", name: string, args = {}) =>
      isWanted(subscription, { contract, name, args });
    expect(wanted("dealEscrow", "DealFunded")).to.equal(true);
    expect(wanted("dealEscrow", "DealCancelled")).to.equal(false);
    expect(wanted("identityRegistry", "Transfer", { tokenId: 7n })).to.equal(true);
    expect(wanted("identityRegistry", "Transfer", { tokenId: 8n })).to.equal(false);
    expect(wanted("identityRegistry", "Transfer", { tokenId: [7n] })).to.equal(false);
  });

  const wrong: readonly (readonly [json: unknown, complaint: RegExp])[] = [
    ["[", /JSON/],
    [{}, /expected a list of at most 16/],
    [[null], /a subscription is an object/],
    [[{ ...least, secert: "" }], /has no secert/],
    [[{ ...least, name: "a b" }], /a name is of/],
    [[least, least], /two have the same name/],
    [[{ ...least, secretFile: "short" }], /has 9 bytes, not 24 or more/],
    [[{ ...least, secretFile: "absent" }], /ENOENT/],
    [[{ ...least, url: "http://shop.example/" }], /the url is https/],
    [[{ ...least, url: "https://user@shop.example/" }], /without a user/],
    [[{ ...least, url: "https://[::ffff:10.0.0.1]/" }], /is no public address/],
    [[{ ...least, url: "https://169.254.169.254/", network: "private" }], /is no private address/],
    [[{ ...least, network: "everywhere" }], /network is public, private, loopback/],
    [[{ ...least, finality: "safe" }], /finality is/],
    [[{ ...least, fromBlock: "1" }], /fromBlock is/],
    [[{ ...least, rules: [{ contract: "escrow" }] }], /there is no contract escrow/],
    [[{ ...least, rules: [{ contract: "dealEscrow", events: ["Transfer"] }] }], /there is no event Transfer/],
    [[{ ...least, rules: [{ events: ["Transfer"], args: { agentId: "1" } }] }], /there is no argument agentId/],
    [[{ ...least, rules: [{ args: { agentId: 1 } }] }], /agentId is compared with a text/],
    [[{ ...least, rules: [{ event: ["Transfer"] }] }], /has no event/],
  ];
  it("is refused whole, by the name of what is wrong with it", () => {
    for (const [json, complaint] of wrong)
      expect(() => read(json), JSON.stringify(json))
        .to.throw(complaint)
        .with.property("code", "WEBHOOKS_INVALID");
  });
});
