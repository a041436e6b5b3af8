import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect } from "chai";
import { keccak256, toBytes, toHex, type Hex } from "viem";
import { dealIdOf, type Deal, type SuretyError } from "#protocol";
import { fetchPaying, type PayerOptions } from "../../../node/x402/client.ts";
import { createPaywall, type DealRelay } from "../../../node/x402/server.ts";
import { decodeHeader, encodeHeader, type PaymentRequired } from "../../../node/x402/messages.ts";
import { createSettlement, PRICE } from "../../settlement/fixture.ts";

const s = await createSettlement();
const { client, provider, escrow, token, contracts, networkHelpers } = s;
const ANSWER = "bonjour";
const never = new AbortController().signal;

/** The provider's own account relays. */
const relay: DealRelay = {
  async open({ deal, client: consent, authorization }, own) {
    const args = [deal, consent, own, authorization] as const;
    const hash = await escrow.write.openWithAuthorization(args, { account: provider.account });
    await s.publicClient.waitForTransactionReceipt({ hash });
    return hash;
  },
  submit: (deal, hash) => escrow.write.submit([deal, hash], { account: provider.account }),
  now: () => networkHelpers.time.latest(),
};
let performed = 0;
const paywall = createPaywall({
  ...{ relay, contracts, signer: provider.signer, payTo: provider.account },
  offer: {
    ...{ amount: PRICE.toString(), asset: token.address, maxTimeoutSeconds: 600 },
    extra: {
      ...{ escrow: escrow.address, identityRegistry: contracts.identityRegistry, topic: "0", reviewPeriod: 3_600 },
      ...{ providerAgentId: provider.agentId.toString(), assetName: "Surety test dollar", assetVersion: "1" },
    },
  },
  ...{ description: "Translates one word", mimeType: "text/plain" },
  perform: () => {
    performed++;
    return Promise.resolve(toBytes(ANSWER));
  },
});

describe("x402: a server that answers 402 with a deal, and a client that pays it", () => {
  let server: Server;
  let url: string;
  let salt = 1n << 128n;
  const payer: PayerOptions = {
    ...{ signer: client.signer, clientAgentId: client.agentId, contracts, maxAmount: PRICE, random: () => ++salt },
    now: () => networkHelpers.time.latest(),
  };
  before(async () => {
    server = createServer((request, response) => {
      paywall(request, response, never).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/translate?word=hello`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const codeOf = async (call: Promise<unknown>) =>
    call.then(
      () => "paid",
      (error: unknown) => (error as SuretyError).code,
    );

  it("says in the headers of x402 v2 what it wants", async () => {
    const response = await fetch(url);
    expect(response.status).to.equal(402);
    const header = decodeHeader(response.headers.get("PAYMENT-REQUIRED"));
    const required = (header.kind === "accept" ? header.value : {}) as unknown as PaymentRequired;
    expect(required.x402Version).to.equal(2);
    expect(required.resource.url).to.equal(url);
    const [offer] = required.accepts;
    expect(offer).to.include({ scheme: "surety-deal", network: "eip155:31337", amount: PRICE.toString() });
  });

  it("serves once a payment is in the escrow, and is paid when the client completes", async () => {
    const held = await token.read.balanceOf([escrow.address]);
    const answer = await fetchPaying(url, payer, never);
    expect(new TextDecoder().decode(answer.body)).to.equal(ANSWER);
    const deal = answer.deal as Deal;
    expect(await s.stateOf(dealIdOf(deal))).to.equal("Submitted");
    expect((await token.read.balanceOf([escrow.address])) - held).to.equal(PRICE);
    const [delivered] = await escrow.getEvents.DealSubmitted({ dealId: dealIdOf(deal) }, { fromBlock: 0n });
    expect(delivered?.args.deliverableHash).to.equal(answer.deliverableHash);
    const before = await token.read.balanceOf([provider.account]);
    await escrow.write.complete([deal, 90], { account: client.account });
    expect((await token.read.balanceOf([provider.account])) - before).to.equal(PRICE);
  });

  it("serves a payment once, and none for another resource, price or time", async () => {
    const seen: string[] = [];
    const recording: typeof fetch = (input, init) => {
      const header = new Headers(init?.headers).get("payment-signature");
      if (header !== null) seen.push(header);
      return fetch(input, init);
    };
    await fetchPaying(url, { ...payer, fetch: recording }, never);
    const done = performed;
    const [header] = seen as [string];
    const again = async (to: string, value: string) => {
      const response = await fetch(to, { headers: { "payment-signature": value } });
      const settled = decodeHeader(response.headers.get("payment-response"));
      return [response.status, settled.kind === "accept" ? settled.value["errorReason"] : undefined];
    };
    expect(await again(url, header)).to.deep.equal([402, "X402_PAYMENT_REFUSED"]);
    expect(await again(url.replace("hello", "world"), header)).to.deep.equal([402, "X402_OTHER_TERMS"]);
    const message = decodeHeader(header);
    const { payload } = (message.kind === "accept" ? message.value : {}) as {
      payload: { deal: Record<string, unknown> };
    };
    const altered = (terms: Record<string, unknown>) =>
      encodeHeader({ x402Version: 2, payload: { ...payload, deal: { ...payload.deal, ...terms } } });
    expect(await again(url, altered({ price: "1" }))).to.deep.equal([402, "X402_OTHER_TERMS"]);
    expect(await again(url, altered({ hook: client.account }))).to.deep.equal([402, "X402_OTHER_TERMS"]);
    expect(await again(url, altered({ submitBy: 1 }))).to.deep.equal([402, "X402_STALE"]);
    // A fresh deal under the old signatures.
    expect(await again(url, altered({ salt: "7" }))).to.deep.equal([402, "X402_PAYMENT_REFUSED"]);
    expect((await again(url, altered({ price: "-1" })))[0]).to.equal(400);
    expect((await again(url, "%%%"))[0]).to.equal(400);
    expect(performed).to.equal(done);
  });

  it("pays no escrow that the server names, and nothing above the budget", async () => {
    expect(await codeOf(fetchPaying(url, { ...payer, maxAmount: PRICE - 1n }, never))).to.equal("X402_UNPAYABLE");
    const other: Hex = keccak256(toHex("x")).slice(0, 42) as Hex;
    const elsewhere = { ...contracts, dealEscrow: other };
    expect(await codeOf(fetchPaying(url, { ...payer, contracts: elsewhere }, never))).to.equal("X402_UNPAYABLE");
  });

  it("repays the client of a server that took the payment and died", async () => {
    const dying = createPaywall({
      ...{
        relay,
        contracts,
        signer: provider.signer,
        payTo: provider.account,
        description: "",
        mimeType: "text/plain",
      },
      offer: {
        ...{ amount: PRICE.toString(), asset: token.address, maxTimeoutSeconds: 600 },
        extra: {
          ...{ escrow: escrow.address, identityRegistry: contracts.identityRegistry, topic: "0", reviewPeriod: 60 },
          ...{ providerAgentId: provider.agentId.toString(), assetName: "Surety test dollar", assetVersion: "1" },
        },
      },
      perform: () => Promise.reject(new Error("out of memory")),
    });
    const dead = createServer((request, response) => {
      dying(request, response, never).catch(() => response.destroy());
    });
    await new Promise<void>((resolve) => dead.listen(0, "127.0.0.1", resolve));
    const before = await token.read.balanceOf([client.account]);
    const at = `http://127.0.0.1:${(dead.address() as AddressInfo).port}/x`;
    expect(await codeOf(fetchPaying(at, payer, never))).to.equal(undefined);
    dead.closeAllConnections();
    dead.close();
    expect(before - (await token.read.balanceOf([client.account]))).to.equal(PRICE);
    const [funded] = (await escrow.getEvents.DealFunded({}, { fromBlock: 0n })).slice(-1);
    const deal = funded?.args.deal as Deal;
    await networkHelpers.time.increaseTo(deal.submitBy + 1);
    await escrow.write.refund([deal], { account: s.stranger.address });
    expect(await token.read.balanceOf([client.account])).to.equal(before);
  });
});
