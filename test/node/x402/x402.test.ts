import { expect } from "chai";
import fc from "fast-check";
import { bytesToHex, getAddress, keccak256, parseEventLogs, toBytes, zeroAddress, type Hex } from "viem";
import {
  contentHashOf,
  dealEscrowAbi,
  SuretyError,
  tabEscrowAbi,
  typedDataDigest,
  type Deal,
  type Voucher,
} from "#protocol";
import {
  decodeHeader,
  encodeHeader,
  MAX_HEADER_LENGTH,
  parseOffers,
  parsePayment,
  type PaymentRequired,
} from "../../../node/x402/messages.ts";
import { decodePaidRequest, encodePaidRequest, MAX_REQUEST_BODY_BYTES } from "../../../node/x402/request.ts";
import { createBuyer, type PurchaseRequest } from "../../../node/x402/client.ts";
import { createDealWorld, never, type DealWorld } from "../settlement/deal-world.ts";
import { patience, stateOf, until } from "../settlement/party.ts";
import {
  greet,
  PRICE,
  resource,
  RULING_S,
  startBuyer,
  startSeller,
  type Seller,
  type SellerOptions,
  type Trader,
} from "./shop-world.ts";

const RUNS = Number(process.env["SURETY_X402_RUNS"] ?? 200);
const BUDGET = 5_000n;

type Payload = Record<string, Record<string, unknown>>;

describe("x402: requests that are paid for by deals and on tabs", function () {
  this.timeout(60_000);
  let world: DealWorld;
  let buyer: Trader;
  let running: Trader[] = [];
  let snapshot: Awaited<ReturnType<DealWorld["networkHelpers"]["takeSnapshot"]>>;

  before(async () => {
    world = await createDealWorld(2);
  });
  beforeEach(async () => {
    snapshot = await world.networkHelpers.takeSnapshot();
    running = [(buyer = await startBuyer(world))];
  });
  afterEach(async () => {
    for (const trader of running) {
      await trader.stop();
      trader.store.close();
    }
    world.stopSenders();
    await snapshot.restore();
    await world.heads.refresh(never);
  });
  after(() => {
    world.stop();
  });

  const open = async (options: SellerOptions = {}): Promise<Seller> => {
    const seller = await startSeller(world, options);
    running.push(seller);
    return seller;
  };
  const get = (url: string, more: Partial<PurchaseRequest> = {}): PurchaseRequest => ({
    ...{ request: { method: "GET", url, body: new Uint8Array() }, maxWei: BUDGET, ...more },
  });
  const buy = (wanted: PurchaseRequest) => buyer.buyer.buy(wanted, patience());
  const codeOf = (call: Promise<unknown>) =>
    call.then(
      () => "paid",
      (error: unknown) => (error instanceof SuretyError ? error.code : String(error)),
    );
  const balanceOf = ({ agent }: Trader) => world.token.read.balanceOf([agent.signer.address]);
  const pass = async (seconds: number) => {
    await world.networkHelpers.time.increase(seconds);
    await world.heads.refresh(never);
  };
  const textOf = (body: Uint8Array) => new TextDecoder().decode(body);
  /** What was paid with, as it went over the wire. */
  const paymentsOf = async (call: () => Promise<unknown>): Promise<string[]> => {
    const [seen, original] = [[] as string[], globalThis.fetch];
    globalThis.fetch = (input, init) => {
      const header = new Headers(init?.headers).get("payment-signature");
      if (header !== null) seen.push(header);
      return original(input, init);
    };
    try {
      await call();
    } finally {
      globalThis.fetch = original;
    }
    return seen;
  };
  const send = async (url: string, header: string): Promise<[status: number, reason: unknown]> => {
    const response = await fetch(url, { headers: { "payment-signature": header } });
    const settled = decodeHeader(response.headers.get("payment-response"));
    const { error } = (await response.json().catch(() => ({}))) as { error?: { code: string } };
    return [response.status, settled.kind === "accept" ? settled.value["errorReason"] : error?.code];
  };
  const messageOf = (header: string) => {
    const message = decodeHeader(header);
    if (message.kind !== "accept") throw new Error(message.detail);
    return message.value as { accepted: object; payload: Payload };
  };
  const altered = (header: string, change: (payload: Payload) => void): string => {
    const message = structuredClone(messageOf(header));
    change(message.payload);
    return encodeHeader(message);
  };

  it("says in the headers of x402 v2 what it wants, for each way to pay", async () => {
    const { url } = await open();
    const response = await fetch(url);
    expect(response.status).to.equal(402);
    const header = decodeHeader(response.headers.get("PAYMENT-REQUIRED"));
    const required = (header.kind === "accept" ? header.value : {}) as unknown as PaymentRequired;
    expect(required.x402Version).to.equal(2);
    expect(required.resource).to.deep.equal({ url, description: "Greets in French", mimeType: "text/plain" });
    expect(required.accepts.map(({ scheme }) => scheme)).to.deep.equal(["surety-deal", "surety-tab"]);
    for (const offer of required.accepts) {
      expect(offer).to.include({ network: "eip155:31337", amount: "1000", asset: getAddress(world.token.address) });
    }
    expect(parseOffers(required as never)).to.deep.equal(required.accepts);
  });

  it("sells by a deal: answered at once, delivered on chain, rated and paid by the buyer's node", async () => {
    const seller = await open();
    const [ofBuyer, ofSeller] = [await balanceOf(buyer), await balanceOf(seller)];
    const answer = await buy(get(seller.url, { by: "deal", rating: 90 }));
    expect([textOf(answer.body), answer.mimeType]).to.deep.equal(["bonjour world", "text/plain"]);
    const paid = answer.paid;
    if (paid?.by !== "deal") throw new Error("not paid by a deal");
    const outcome = await buyer.settlement.whenEnded(paid.dealId, patience());
    expect(outcome).to.include({ state: "Completed", rating: 90 });
    await seller.settlement.whenEnded(paid.dealId, patience());
    const events = parseEventLogs({
      abi: dealEscrowAbi,
      logs: await world.client.getLogs({ address: world.escrow.address, fromBlock: 0n }),
    });
    expect(events.map(({ eventName }) => eventName)).to.deep.equal(["DealFunded", "DealSubmitted", "DealCompleted"]);
    expect(events[0]?.transactionHash).to.equal(paid.transaction);
    const submitted = events.find((event) => event.eventName === "DealSubmitted");
    expect(submitted?.args.deliverableHash).to.equal(answer.contentHash);
    expect(answer.contentHash).to.equal(contentHashOf(toBytes("bonjour world")));
    expect(await balanceOf(buyer)).to.equal(ofBuyer - PRICE);
    expect(await balanceOf(seller)).to.equal(ofSeller + PRICE);
    expect(seller.receipts.map(({ outcome: how, rating }) => [how, rating])).to.deep.equal([["completed", 90]]);
    // The buyer can show both signatures, though it never saw the seller's before it paid.
    const { provider } = buyer.settlement.evidenceOf(paid.dealId);
    expect(provider).to.deep.equal(seller.settlement.evidenceOf(paid.dealId).provider);
    expect([...buyer.faults, ...seller.faults, ...seller.shopFaults]).to.deep.equal([]);
  });

  it("leaves an answer without a rating to a person, and to silence: then the seller releases", async () => {
    const seller = await open();
    const { paid } = await buy(get(seller.url, { by: "deal" }));
    if (paid?.by !== "deal") throw new Error("not paid by a deal");
    await until(async () => (await stateOf(world, paid.dealId)) === "Submitted");
    await until(() => buyer.settlement.deals().some(({ state }) => state === "Submitted"));
    expect(await stateOf(world, paid.dealId)).to.equal("Submitted");
    await pass(401);
    expect(await seller.settlement.whenEnded(paid.dealId, patience())).to.include({ state: "Completed", rating: 0 });
  });

  it("takes a body by POST, and binds it to the payment", async () => {
    const seller = await open();
    const request = { method: "POST", url: `${seller.shop.url}/greet`, body: toBytes("you") };
    const [header] = (await paymentsOf(async () => {
      expect(textOf((await buy({ request, maxWei: BUDGET, by: "deal" })).body)).to.equal("bonjour you");
    })) as [string];
    const other = await fetch(request.url, { method: "POST", body: "them", headers: { "payment-signature": header } });
    expect(other.status).to.equal(402);
    expect(seller.served).to.have.length(1);
  });

  it("answers one payment once: again alike, and never for another resource, price, time or key", async () => {
    const seller = await open({ resources: [resource("/greet"), resource("/other")] });
    const { url } = seller;
    const [header] = (await paymentsOf(() => buy(get(url, { by: "deal" })))) as [string];
    const again = await fetch(url, { headers: { "payment-signature": header } });
    expect([again.status, await again.text()]).to.deep.equal([200, "bonjour world"]);
    expect(seller.served).to.have.length(1);
    const deal = (terms: Partial<Record<keyof Deal, unknown>>) =>
      altered(header, (payload) => Object.assign(payload["deal"] as object, terms));
    expect(await send(url.replace("world", "moon"), header)).to.deep.equal([402, "X402_OTHER_TERMS"]);
    expect(await send(url.replace("/greet", "/other"), header)).to.deep.equal([402, "X402_OTHER_TERMS"]);
    expect(await send(url, deal({ price: "1" }))).to.deep.equal([402, "X402_OTHER_TERMS"]);
    expect(await send(url, deal({ hook: buyer.agent.signer.address }))).to.deep.equal([402, "X402_OTHER_TERMS"]);
    expect(await send(url, deal({ submitBy: 700 }))).to.deep.equal([402, "X402_DEAL_SIGNATURE"]);
    // A fresh deal under the old signatures.
    expect(await send(url, deal({ salt: "7" }))).to.deep.equal([402, "X402_DEAL_SIGNATURE"]);
    expect((await send(url, deal({ price: "-1" })))[0]).to.equal(400);
    expect((await send(url, deal({ token: "0x12" })))[0]).to.equal(400);
    expect(await send(url, "%%%")).to.deep.equal([400, "X402_MALFORMED"]);
    expect(await send(`${seller.shop.url}/none`, header)).to.deep.equal([404, "X402_RESOURCE_UNKNOWN"]);
    expect(seller.served).to.have.length(1);
    expect(seller.shopFaults).to.deep.equal([]);
  });

  it("takes no deal whose payer cannot pay, nor one that leaves no time to deliver", async () => {
    const seller = await open();
    for (const seconds of [-61, 61]) {
      expect(await codeOf(buyAt(seller, seconds))).to.equal("X402_REFUSED");
    }
    await world.sendAs(buyer.agent, {
      ...{ abi: world.token.abi as never, address: world.token.address, functionName: "transfer" },
      args: [seller.agent.signer.address, await balanceOf(buyer)],
    });
    expect(await codeOf(buy(get(seller.url, { by: "deal" })))).to.equal("X402_REFUSED");
    expect(seller.served).to.have.length(0);
    expect(seller.settlement.deals()).to.deep.equal([]);
  });
  /** A purchase by a client with another idea of the time. */
  function buyAt(seller: Seller, seconds: number) {
    const { agentId, signer } = buyer.agent;
    const who = { agentId, signer, contracts: world.contracts, token: world.token.address, arbiters: [] };
    const ports = { settlement: buyer.settlement, tabs: buyer.tabs, transport: buyer.transport, nowMs: Date.now };
    const chainTime = () => world.chainTime() + seconds;
    return createBuyer({ ...who, ...ports, chainTime, random: () => 77n }).buy(
      get(seller.url, { by: "deal" }),
      patience(),
    );
  }

  it("pays no escrow that only the server knows, no other token, no unknown arbiter, nothing above the budget", async () => {
    const seller = await open();
    const { url } = seller;
    expect(await codeOf(buy(get(url, { maxWei: PRICE - 1n })))).to.equal("X402_UNPAYABLE");
    const other = keccak256("0x01").slice(0, 42) as Hex;
    const options = { agentId: buyer.agent.agentId, signer: buyer.agent.signer, random: () => 1n, nowMs: Date.now };
    const ports = {
      settlement: buyer.settlement,
      tabs: buyer.tabs,
      transport: buyer.transport,
      chainTime: world.chainTime,
    };
    const common = {
      ...options,
      ...ports,
      contracts: world.contracts,
      token: world.token.address,
      arbiters: [zeroAddress],
    };
    const elsewhere = { ...world.contracts, dealEscrow: other, tabEscrow: other };
    expect(await codeOf(createBuyer({ ...common, contracts: elsewhere }).buy(get(url), never))).to.equal(
      "X402_UNPAYABLE",
    );
    expect(await codeOf(createBuyer({ ...common, token: other }).buy(get(url), never))).to.equal("X402_UNPAYABLE");
    expect(await codeOf(buy(get("ftp://example.org/x")))).to.equal("X402_REQUEST_INVALID");
    expect(await codeOf(buy(get(`${seller.shop.url}/none`)))).to.equal("X402_REFUSED");
    expect(buyer.settlement.deals()).to.deep.equal([]);
    expect(seller.served).to.have.length(0);
  });

  it("names the shop's arbiter in its deals, bought by who accepts it and by nobody else, so that a dispute stands", async () => {
    const arbiter = getAddress(keccak256("0x02").slice(0, 42));
    const seller = await open({ arbiter });
    expect(await codeOf(buy(get(seller.url, { by: "deal" })))).to.equal("X402_UNPAYABLE");
    expect(buyer.settlement.deals()).to.deep.equal([]);
    const who = { agentId: buyer.agent.agentId, signer: buyer.agent.signer, random: () => 5n, nowMs: Date.now };
    const ports = { settlement: buyer.settlement, tabs: buyer.tabs, transport: buyer.transport };
    const { contracts, chainTime } = world;
    const terms = { ...{ contracts, chainTime, token: world.token.address }, arbiters: [arbiter] };
    const answer = await createBuyer({ ...who, ...ports, ...terms }).buy(get(seller.url, { by: "deal" }), patience());
    const { dealId } = answer.paid as { dealId: Hex };
    const deal = buyer.settlement.deals()[0]?.deal as Deal;
    expect(deal.arbiter).to.equal(arbiter);
    expect(deal.arbiterDeadline).to.equal(deal.submitBy + deal.reviewPeriod + RULING_S);
    // The answer came before its hash was on chain.
    await until(() => buyer.settlement.deals()[0]?.state === "Submitted");
    buyer.settlement.judge(dealId, { kind: "dispute", reason: "It is in English." });
    await until(async () => (await stateOf(world, dealId)) === "Disputed");
  });

  it("repays the buyer of a seller that took the payment and could not do the work", async () => {
    const seller = await open({ serve: () => Promise.reject(new Error("out of memory")) });
    const before = await balanceOf(buyer);
    expect(await codeOf(buy(get(seller.url, { by: "deal" })))).to.equal("X402_REFUSED");
    const [deal] = buyer.settlement.deals();
    await until(async () => (await stateOf(world, deal?.dealId as Hex)) === "Funded");
    expect(await balanceOf(buyer)).to.equal(before - PRICE);
    await pass(601);
    expect((await buyer.settlement.whenEnded(deal?.dealId as Hex, patience())).state).to.equal("Refunded");
    expect(await balanceOf(buyer)).to.equal(before);
  });

  it("delivers what was paid for after the seller died between payment and answer", async () => {
    const dying = Promise.withResolvers<undefined>();
    const seller = await open({
      serve: (_request, signal) =>
        new Promise((_resolve, reject) => {
          dying.resolve(undefined);
          signal.addEventListener("abort", () => reject(new Error("stopped")), { once: true });
        }),
    });
    const failed = codeOf(buy(get(seller.url, { by: "deal", rating: 70 })));
    await dying.promise;
    running = running.filter((trader) => trader !== seller);
    await seller.stop();
    expect(await failed).to.equal("X402_UNREACHABLE");
    const [deal] = buyer.settlement.deals();
    const next = await open({ store: seller.store });
    // The new server has another port: the answer is fetched from the seller's node instead.
    await buyer.transport.learnAddresses(next.transport.peerId, next.transport.addresses());
    const outcome = await buyer.settlement.whenEnded(deal?.dealId as Hex, patience());
    expect(outcome).to.include({ state: "Completed", rating: 70 });
    expect(next.served.map(({ url }) => url)).to.deep.equal([seller.url]);
  });

  it("sells many requests on one tab: one deposit, one claim, and ratings that travel with the next voucher", async () => {
    const seller = await open();
    const [ofBuyer, ofSeller] = [await balanceOf(buyer), await balanceOf(seller)];
    const first = await buy(get(seller.url, { by: "tab", depositWei: 10_000n }));
    if (first.paid?.by !== "tab") throw new Error("not paid on a tab");
    const { tabId } = first.paid;
    for (let n = 2n; n <= 5n; n++) {
      // An open tab is used before a deal is made.
      const { paid, body } = await buy(get(seller.url.replace("world", `${n}`)));
      expect([textOf(body), paid]).to.deep.equal([`bonjour ${n}`, { by: "tab", amountWei: PRICE, tabId, seq: n }]);
    }
    expect(buyer.settlement.deals()).to.deep.equal([]);
    expect(buyer.tabs.tabs().map(({ tasks, spentWei }) => [tasks, spentWei])).to.deep.equal([[5, 5_000n]]);
    buyer.tabs.close(tabId);
    await seller.tabs.whenClosed(tabId, patience());
    await buyer.tabs.whenClosed(tabId, patience());
    const logs = await world.client.getLogs({ address: world.tabEscrow.address, fromBlock: 0n });
    const claims = parseEventLogs({ abi: tabEscrowAbi, eventName: "TabClaimed", logs });
    expect(claims).to.have.length(1);
    // Four answers were rated 50 in the vouchers that followed them; the last one's rating stayed at home.
    expect(claims[0]?.args).to.include({ seq: 5n, paid: 5_000n, satisfiedSum: 200 });
    expect(await balanceOf(seller)).to.equal(ofSeller + 5_000n);
    expect(await balanceOf(buyer)).to.equal(ofBuyer - 5_000n);
    expect([...buyer.faults, ...seller.faults, ...seller.shopFaults]).to.deep.equal([]);
  });

  it("pays once for a request on a tab that failed and is asked again", async () => {
    let isBroken = true;
    const seller = await open({
      serve: (request, signal) => (isBroken ? Promise.reject(new Error("down")) : greet(request, signal)),
    });
    expect(await codeOf(buy(get(seller.url, { by: "tab", depositWei: 10_000n })))).to.equal("X402_REFUSED");
    isBroken = false;
    const { paid } = await buy(get(seller.url));
    expect(paid).to.include({ by: "tab", seq: 1n });
    expect(buyer.tabs.tabs()[0]).to.include({ tasks: 1, spentWei: PRICE });
  });

  it("takes no voucher that is forged, spent, skips a request, or is of a cheaper tab", async () => {
    const seller = await open({ resources: [resource("/greet"), resource("/dear", { priceWei: 2_000n })] });
    const { url } = seller;
    const [one, two] = (await paymentsOf(async () => {
      await buy(get(url, { by: "tab", depositWei: 4_000n }));
      await buy(get(`${url}2`));
    })) as [string, string];
    // The bearer of the newest voucher gets the answer that it paid for, and no work is done for it.
    const again = await fetch(`${url}2`, { headers: { "payment-signature": two } });
    expect([again.status, await again.text()]).to.deep.equal([200, "bonjour world2"]);
    expect(await send(`${url}3`, two)).to.deep.equal([402, "TAB_SEQ"]);
    expect(await send(url, one)).to.deep.equal([402, "TAB_SEQ"]);
    const voucher = messageOf(two).payload["voucher"] as Record<string, string>;
    const base: Voucher = { tabId: voucher["tabId"] as Hex, seq: 3n, paid: 3_000n, satisfied: 50, unsatisfied: 0 };
    const signed = (terms: Partial<Voucher>, signer = buyer.agent.signer) =>
      altered(two, (payload) => {
        const next = { ...base, ...terms };
        const signature = signer.sign(typedDataDigest("Voucher", next, world.contracts));
        Object.assign(payload, {
          voucher: JSON.parse(JSON.stringify(next, (_, v: unknown) => (typeof v === "bigint" ? `${v}` : v))),
          signature,
        });
      });
    expect(await send(url, signed({ seq: 4n, paid: 4_000n }))).to.deep.equal([402, "TAB_SEQ"]);
    expect(await send(url, signed({ paid: 2_999n }))).to.deep.equal([402, "VOUCHER_AMOUNT"]);
    expect(await send(url, signed({ satisfied: 1 }))).to.deep.equal([402, "VOUCHER_SHRUNK"]);
    expect(await send(url, signed({ tabId: bytesToHex(new Uint8Array(32)) }))).to.deep.equal([402, "VOUCHER_TAB"]);
    expect(await send(url, signed({}, seller.agent.signer))).to.deep.equal([402, "VOUCHER_SIGNATURE"]);
    expect(await send(url, signed({ seq: 5n, paid: 5_000n }))).to.deep.equal([402, "TAB_SEQ"]);
    expect(await send(`${seller.shop.url}/dear`, signed({ paid: 6_000n }))).to.deep.equal([402, "TAB_TERMS"]);
    expect(seller.served).to.have.length(2);
    expect((await send(url, signed({})))[0]).to.equal(200);
    expect((await send(`${url}4`, signed({ seq: 4n, paid: 4_000n })))[0]).to.equal(200);
    expect(await send(`${url}5`, signed({ seq: 5n, paid: 5_000n }))).to.deep.equal([402, "VOUCHER_UNCOVERED"]);
    expect(seller.served).to.have.length(4);
    expect(seller.shopFaults).to.deep.equal([]);
  });

  it("opens no second tab at the same moment for two requests of one", async () => {
    const seller = await open();
    await buy(get(seller.url, { by: "tab", depositWei: 10_000n }));
    const answers = await Promise.all([1, 2, 3].map((n) => buy(get(`${seller.url}${n}`))));
    expect(answers.map(({ paid }) => paid?.by === "tab" && paid.seq).toSorted()).to.deep.equal([2n, 3n, 4n]);
    expect(answers.map(({ body }) => textOf(body))).to.deep.equal([
      "bonjour world1",
      "bonjour world2",
      "bonjour world3",
    ]);
    expect(buyer.tabs.tabs()).to.have.length(1);
  });

  it("bounds what a stranger sends: headers, bodies, methods", async () => {
    const seller = await open();
    expect(await send(seller.url, "A".repeat(MAX_HEADER_LENGTH + 4))).to.deep.equal([400, "X402_HEADER_TOO_LONG"]);
    const large = await fetch(seller.url, { method: "POST", body: new Uint8Array(MAX_REQUEST_BODY_BYTES + 1) });
    expect([large.status, await large.json()]).to.deep.include.members([413]);
    expect((await fetch(seller.url, { method: "DELETE" })).status).to.equal(405);
    expect((await fetch(seller.url, { method: "POST", body: new Uint8Array(MAX_REQUEST_BODY_BYTES) })).status).to.equal(
      402,
    );
    expect(seller.shopFaults).to.deep.equal([]);
  });

  it(`answers no random header with a fault or with work (${RUNS} payments, mutated)`, async () => {
    const seller = await open();
    const deal = (await paymentsOf(() => buy(get(seller.url, { by: "deal" })))) as [string];
    const tab = (await paymentsOf(() => buy(get(seller.url, { by: "tab", depositWei: 5_000n })))) as [string];
    const done = seller.served.length;
    const value = fc.oneof(
      fc.jsonValue(),
      fc.bigInt().map(String),
      fc.uint8Array().map(bytesToHexText),
      fc.constant(undefined),
    );
    const mutation = fc.record({ which: fc.nat(1), path: fc.array(fc.nat(40), { minLength: 1, maxLength: 3 }), value });
    await fc.assert(
      fc.asyncProperty(mutation, async ({ which, path, value: replacement }) => {
        const message = structuredClone(messageOf(which === 0 ? deal[0] : tab[0])) as unknown as Record<
          string,
          unknown
        >;
        mutate(message, path, replacement);
        const header = encodeHeader(message);
        if (header.length > MAX_HEADER_LENGTH) return;
        const [status] = await send(seller.url, header);
        // 200: what was changed was not read, and the answer is the one of before.
        expect(status).to.be.oneOf([200, 400, 402]);
      }),
      { numRuns: RUNS },
    );
    expect(seller.served).to.have.length(done);
    expect(seller.shopFaults).to.deep.equal([]);
  });

  it("decodes whatever it is given to a verdict", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.uint8Array(), fc.string(), (json, bytes, words) => {
        const record = { accepted: { scheme: "surety-deal" }, x402Version: 2, payload: json, accepts: json } as never;
        expect(parsePayment(record).kind).to.be.oneOf(["accept", "reject"]);
        expect(parseOffers(record)).to.be.an("array");
        expect(decodeHeader(words).kind).to.be.oneOf(["accept", "reject"]);
        expect(decodePaidRequest(bytes).kind).to.be.oneOf(["accept", "reject"]);
      }),
    );
    const request = { method: "POST", url: "https://example.org/a?b=c", body: toBytes("hello") };
    const encoded = encodePaidRequest(request);
    expect(decodePaidRequest(encoded)).to.deep.equal({ kind: "accept", value: request });
    const bad: [Partial<typeof request>, string][] = [
      [{ method: "PUT" }, "X402_METHOD"],
      [{ url: "https://user@example.org/" }, "X402_URL"],
      [{ url: "/relative" }, "X402_URL"],
      [{ url: "HTTPS://EXAMPLE.org/" }, "X402_URL"],
      [{ body: new Uint8Array(MAX_REQUEST_BODY_BYTES + 1) }, "X402_BODY_TOO_LONG"],
    ];
    for (const [change, code] of bad) {
      expect(decodePaidRequest(encodePaidRequest({ ...request, ...change }))).to.include({ kind: "reject", code });
    }
  });
});

const bytesToHexText = (bytes: Uint8Array): string => bytesToHex(bytes);

/** Replaces one field somewhere inside. */
function mutate(at: Record<string, unknown>, [step = 0, ...rest]: readonly number[], value: unknown): void {
  const keys = Object.keys(at);
  const key = keys[step % Math.max(keys.length, 1)];
  if (key === undefined) return;
  const child = at[key];
  if (rest.length === 0 || typeof child !== "object" || child === null) at[key] = value;
  else mutate(child as Record<string, unknown>, rest, value);
}
