// Every action of `surety deal`, `surety tab` and `surety verify deal` at two running nodes, as their owners type them.
import { expect } from "chai";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { Hex } from "viem";
import { dealEscrowAbi, dealStates, tabEscrowAbi, tabStates } from "#protocol";
import type { RunningNode } from "../../../node/node.ts";
import { NodeClient, type TaskReport } from "../../../scripts/devnet/node-client.ts";
import { failureHere, jsonHere, suretyHere } from "../../fixtures/cli-here.ts";
import { OWNER_TOKEN, PRICE_WEI, series, startMarket, TOPIC, type Market } from "../../fixtures/market.ts";

const UNKNOWN: Hex = `0x${"ab".repeat(32)}`;
const REVIEW_S = 3_600;
/** What a provider might send to a terminal. */
const HOSTILE_ANSWER = "done\u001b[2J\u0007";
const patience = () => AbortSignal.timeout(60_000);

interface Verdict {
  readonly isOk: boolean;
  readonly checks: readonly { readonly name: string; readonly isOk: boolean }[];
}
interface Shown {
  readonly steps: readonly { readonly eventName: string }[];
}
interface Listed {
  readonly deals: readonly { readonly dealId: Hex; readonly role: string; readonly offeredSplit?: object }[];
}
interface TabShown {
  readonly tabId: Hex;
  readonly tasks: number;
  readonly depositWei: string;
  readonly spentWei: string;
  readonly claimedWei: string;
}

describe("surety deal and surety tab", function () {
  this.timeout(120_000);
  let market: Market;
  let on: string[];

  before(async () => {
    const resource = {
      ...{ path: "/describe", topic: TOPIC, description: "", mimeType: "application/json", priceWei: PRICE_WEI },
      ...{ by: ["deal"] as const, bondWei: 0n, deliverWithinS: 600, reviewPeriodS: REVIEW_S },
    };
    const shop = { host: "127.0.0.1", port: 0, publicOrigin: undefined, resources: [resource] };
    market = await startMarket({
      agent: { shop: { ...shop, arbiter: "panel", rulingWithinS: 86_400 } },
      sells: { answerTask: (_tab, spec) => Promise.resolve(Buffer.concat([spec, Buffer.from(HOSTILE_ANSWER)])) },
    });
    on = ["--data-dir", market.network.dir, "--network", "network", "--rpc-url", market.network.rpcUrl];
  });
  after(() => market?.stop());

  const at = ({ apiUrl }: RunningNode) => ["--node-url", apiUrl, "--node-token", OWNER_TOKEN];
  const apiOf = (node: RunningNode) => new NodeClient({ ...node, agentId: "", shopUrl: "" }, OWNER_TOKEN);
  const asBuyer = (...args: string[]) => jsonHere("deal", ...args, ...at(market.buyer));
  const asSeller = (...args: string[]) => jsonHere("deal", ...args, ...at(market.seller));
  const list = async (node: RunningNode) => (await jsonHere<Listed>("deal", "list", ...at(node))).result.deals;
  const events = async (dealId: Hex) =>
    (await jsonHere<Shown>("deal", "show", dealId, ...on)).result.steps.map(({ eventName }) => eventName);
  const until = async <T>(read: () => Promise<T>, wanted: T): Promise<void> => {
    const signal = patience();
    for (let seen = await read(); seen !== wanted; seen = await read()) {
      if (signal.aborted) throw new Error(`still ${String(seen)}, not ${String(wanted)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const stateOf = async (dealId: Hex) => {
    const escrow = { abi: dealEscrowAbi, address: market.network.deployment.contracts.dealEscrow } as const;
    const [state] = await market.network.client.readContract({ ...escrow, functionName: "dealOf", args: [dealId] });
    return dealStates[state];
  };

  /** A purchase that waits for its buyer's word. */
  async function submitted(): Promise<Hex> {
    const url = `${market.seller.shopUrl}/describe`;
    const wanted = ["--by", "deal", "--max", PRICE_WEI.toString(), "--body", JSON.stringify(series)];
    const bought = await jsonHere<{ paid: { dealId: Hex } }>("pay", url, ...wanted, ...at(market.buyer));
    const { dealId } = bought.result.paid;
    const isSeen = ({ deals }: { deals: { dealId: Hex; state?: string }[] }) =>
      deals.some((deal) => deal.dealId === dealId && deal.state === "Submitted");
    await apiOf(market.buyer).until("/deals", isSeen, patience());
    return dealId;
  }

  it("list a deal on both sides, pay a part of it, complete it with a rating, and show it in order", async () => {
    const dealId = await submitted();
    for (const [node, role] of [[market.buyer, "client"] as const, [market.seller, "provider"] as const]) {
      expect((await list(node)).find((deal) => deal.dealId === dealId)?.role).to.equal(role);
    }
    const part = await asBuyer("part", dealId, "--amount", "1000000");
    expect([part.code, part.result]).to.deep.equal([0, { accepted: "part" }]);
    await until(async () => (await events(dealId)).at(-1), "DealPartReleased");
    expect((await asBuyer("complete", dealId, "--rating", "80")).code).to.equal(0);
    await until(() => stateOf(dealId), "Completed");
    expect(await events(dealId)).to.deep.equal(["DealFunded", "DealSubmitted", "DealPartReleased", "DealCompleted"]);
    const text = await suretyHere("deal", "show", dealId, ...on);
    expect([text.code, text.stderr]).to.deep.equal([0, ""]);
    expect(text.stdout).to.include(`deal ${dealId}\n`).and.include(`  price: ${PRICE_WEI}\n`);
    const lines = await suretyHere("deal", "list", ...at(market.buyer));
    expect(lines.stdout).to.match(new RegExp(`^${dealId} as client: .+, price ${PRICE_WEI}$`, "m"));
    const verified = await jsonHere<Verdict>("verify", "deal", dealId, ...on);
    expect([verified.code, verified.result.isOk]).to.deep.equal([0, true]);
    expect(await failureHere("deal", "complete", dealId, ...at(market.buyer))).to.deep.equal([
      3,
      "DEAL_STEP_IMPOSSIBLE",
    ]);
  });

  it("split by a proposal that the other side accepts", async () => {
    const dealId = await submitted();
    expect(await failureHere("deal", "split", dealId, ...at(market.buyer))).to.deep.equal([2, "USAGE_SPLIT"]);
    const both = ["--amount", "1", "--accept"];
    expect(await failureHere("deal", "split", dealId, ...both, ...at(market.buyer))).to.deep.equal([2, "USAGE_SPLIT"]);
    expect((await asBuyer("split", dealId, "--amount", "1500000", "--rating", "-20")).code).to.equal(0);
    const offer = async () => {
      const deal = (await list(market.seller)).find((each) => each.dealId === dealId);
      return JSON.stringify(deal?.offeredSplit);
    };
    await until(offer, JSON.stringify({ toProviderWei: "1500000", rating: -20 }));
    const lines = await suretyHere("deal", "list", ...at(market.seller));
    expect(lines.stdout).to.include("; offered: 1500000 to the provider, rating -20");
    expect((await asSeller("split", dealId, "--accept")).result).to.deep.equal({ accepted: "accept-split" });
    await until(() => stateOf(dealId), "Resolved");
    expect((await events(dealId)).at(-1)).to.equal("DealResolved");
  });

  it("cancel once both sides have said so", async () => {
    const dealId = await submitted();
    expect((await asBuyer("cancel", dealId)).code).to.equal(0);
    expect((await asSeller("cancel", dealId)).code).to.equal(0);
    await until(() => stateOf(dealId), "Cancelled");
  });

  it("dispute for a reason, which is in the evidence of that side", async () => {
    const dealId = await submitted();
    expect(await failureHere("deal", "dispute", dealId, ...at(market.buyer))).to.deep.equal([
      2,
      "USAGE_MISSING_MANDATORY_OPTION_VALUE",
    ]);
    expect((await asBuyer("dispute", dealId, "--reason", "No median.")).code).to.equal(0);
    await until(() => stateOf(dealId), "Disputed");
    const out = join(market.network.dir, "evidence.json");
    const shown = await suretyHere("deal", "evidence", dealId, "--out", out, ...at(market.buyer));
    expect(shown.stdout).to.match(/^evidence of the client, 0x[0-9a-f]{64}\n(?: {2}\d{4}-.+\n)+$/);
    expect(JSON.parse(readFileSync(out, "utf8"))).to.include({ dealId, role: "client", reason: "No median." });
    const nowhere = ["--out", join(market.network.dir, "none", "evidence.json")];
    const refused = await failureHere("deal", "evidence", dealId, ...nowhere, ...at(market.buyer));
    expect(refused).to.deep.equal([2, "USAGE_OUT_FILE"]);
    const award = await failureHere("deal", "award", dealId, ...at(market.buyer));
    expect(award, "a purchase was no award").to.deep.equal([1, "AWARD_UNKNOWN"]);
  });

  it("hand out the award of a negotiated deal, which anybody verifies, and nobody once it was changed", async () => {
    const api = apiOf(market.buyer);
    const task = { spec: { topic: TOPIC, title: "Describe", input: series }, query: "describe a series" };
    const terms = { reservePriceWei: "5000000", submitWithinS: 600 };
    const { id } = await api.ask<{ id: string }>("/tasks", patience(), { ...task, ...terms });
    const isOver = ({ state }: TaskReport) => !["searching", "negotiating", "settling"].includes(state);
    const { state, dealId = "" } = await api.until<TaskReport>(`/tasks/${id}`, isOver, patience());
    expect(state).to.equal("settled");
    const file = join(market.network.dir, "award.json");
    const written = await suretyHere("deal", "award", dealId, "--out", file, ...at(market.buyer));
    expect([written.code, written.stdout]).to.deep.equal([0, `award of ${dealId}: ${file}\n`]);
    const verified = await jsonHere<Verdict>("verify", "deal", dealId, "--award", file, ...on);
    expect([verified.code, verified.result.isOk]).to.deep.equal([0, true]);
    const plain = await jsonHere<Verdict>("verify", "deal", dealId, ...on);
    expect(verified.result.checks.length).to.be.greaterThan(plain.result.checks.length);

    const other = await jsonHere<Verdict>("verify", "deal", await submitted(), "--award", file, ...on);
    expect([other.code, other.result.isOk]).to.deep.equal([1, false]);
    writeFileSync(file, "{}");
    expect(await failureHere("verify", "deal", dealId, "--award", file, ...on)).to.deep.equal([2, "USAGE_AWARD"]);
    const none = join(market.network.dir, "none.json");
    expect(await failureHere("verify", "deal", dealId, "--award", none, ...on)).to.deep.equal([2, "USAGE_AWARD"]);
    const missing = await jsonHere<Verdict>("verify", "deal", UNKNOWN, ...on);
    expect([missing.code, missing.result.checks.map(({ name }) => name)]).to.deep.equal([1, ["funded"]]);
  });

  it("open a tab, ask on it, add to it, claim it and close it", async () => {
    const { buyer, seller, network } = market;
    const tab = <T = TabShown>(node: RunningNode, ...args: string[]) => jsonHere<T>("tab", ...args, ...at(node));
    const provider = seller.agentId.toString();
    expect((await suretyHere("tab", "show", ...at(buyer))).stdout).to.equal("no tab\n");
    const terms = ["--topic", TOPIC, "--deposit", (2n * PRICE_WEI).toString()];
    const opened = await tab(buyer, "open", provider, ...terms, "--life", "7200", "--challenge", "600");
    expect([opened.code, opened.result.depositWei]).to.deep.equal([0, "8000000"]);
    const { tabId } = opened.result;

    const asked = await suretyHere("tab", "ask", tabId, "count me: ", ...at(buyer));
    expect([asked.code, asked.stdout]).to.deep.equal([0, "count me: done\ufffd[2J\ufffd\n"]);
    const again = await tab<{ answer: Hex; text: string; rating: number }>(buyer, "ask", tabId, "and me: ");
    expect([again.result.text, again.result.rating]).to.deep.equal([`and me: ${HOSTILE_ANSWER}`, 0]);
    expect(await failureHere("tab", "ask", tabId, "once more", ...at(buyer))).to.deep.equal([3, "TAB_EXHAUSTED"]);
    const added = await suretyHere("tab", "top-up", tabId, PRICE_WEI.toString(), ...at(buyer));
    expect([added.code, added.stdout]).to.deep.equal([0, `tab ${tabId}: ${PRICE_WEI} more is deposited\n`]);
    expect((await tab(buyer, "ask", tabId, "once more")).code).to.equal(0);
    const { result } = await tab<{ tabs: TabShown[] }>(buyer, "show", tabId);
    expect(result.tabs[0]).to.include({ tasks: 3, depositWei: "12000000", spentWei: "12000000" });

    expect(await failureHere("tab", "claim", tabId, ...at(buyer))).to.deep.equal([3, "TAB_REFUSED"]);
    // A task's voucher comes with the next task: two of three are paid for.
    const ofSeller = async () => (await tab<{ tabs: TabShown[] }>(seller, "show", tabId)).result.tabs[0];
    await until(async () => (await ofSeller())?.spentWei, "8000000");
    expect((await tab(seller, "claim", tabId)).code).to.equal(0);
    await until(async () => (await ofSeller())?.claimedWei, "8000000");
    // Who closes hands over the last one.
    expect((await tab(buyer, "close", tabId)).code).to.equal(0);
    await until(async () => (await ofSeller())?.claimedWei, "12000000");
    await tab(seller, "close", tabId);
    const escrow = { abi: tabEscrowAbi, address: network.deployment.contracts.tabEscrow } as const;
    await until(async () => {
      const [state] = await network.client.readContract({ ...escrow, functionName: "tabOf", args: [tabId] });
      return tabStates[state];
    }, "Closed");
  });

  it("name what is wrong with a command, and what to do next", async () => {
    const { buyer } = market;
    const dealId = UNKNOWN;
    const refusals: readonly (readonly [args: string[], code: number, error: string])[] = [
      [["deal", "show", dealId, ...on], 1, "DEAL_UNKNOWN"],
      [["deal", "show", "0x12", ...on], 2, "USAGE_INVALID_ARGUMENT"],
      [["deal", "show", ...on], 2, "USAGE_MISSING_ARGUMENT"],
      [["deal", "frobnicate"], 2, "USAGE_UNKNOWN_COMMAND"],
      [["deal"], 2, "USAGE_COMMAND_MISSING"],
      ...["complete", "cancel", "evidence", "award"].map(
        (action) => [["deal", action, dealId, ...at(buyer)], 1, "DEAL_UNKNOWN"] as [string[], number, string],
      ),
      [["deal", "dispute", dealId, "--reason", "x", ...at(buyer)], 1, "DEAL_UNKNOWN"],
      [["deal", "part", dealId, "--amount", "1", ...at(buyer)], 1, "DEAL_UNKNOWN"],
      [["deal", "part", dealId, "--amount", "0", ...at(buyer)], 2, "USAGE_INVALID_ARGUMENT"],
      [["deal", "split", dealId, "--accept", ...at(buyer)], 1, "DEAL_UNKNOWN"],
      [["deal", "complete", dealId, "--rating", "101", ...at(buyer)], 2, "USAGE_INVALID_ARGUMENT"],
      [["deal", "list", "--node-url", buyer.apiUrl, "--node-token", "wrong"], 3, "TOKEN_WRONG"],
      [["deal", "list", "--node-url", "http://127.0.0.1:0", "--node-token", "t"], 3, "NODE_UNREACHABLE"],
      [["deal", "list", "--data-dir", market.network.dir], 2, "USAGE_NODE_MISSING"],
      [["tab", "open", "99", "--topic", TOPIC, "--deposit", "1", ...at(buyer)], 3, "REQUEST_INVALID"],
      [["tab", "open", "2", "--topic", TOPIC, ...at(buyer)], 2, "USAGE_MISSING_MANDATORY_OPTION_VALUE"],
      [["tab", "open", "2", "--topic", TOPIC, "--deposit", "none", ...at(buyer)], 2, "USAGE_INVALID_ARGUMENT"],
      [["tab", "ask", UNKNOWN, "x", ...at(buyer)], 1, "TAB_UNKNOWN"],
      [["tab", "top-up", UNKNOWN, "5", ...at(buyer)], 1, "TAB_UNKNOWN"],
      [["tab", "claim", UNKNOWN, ...at(buyer)], 1, "TAB_UNKNOWN"],
      [["tab", "close", UNKNOWN, ...at(buyer)], 1, "TAB_UNKNOWN"],
      [["tab"], 2, "USAGE_COMMAND_MISSING"],
    ];
    for (const [args, code, error] of refusals) {
      expect(await failureHere(...args), args.slice(0, 2).join(" ")).to.deep.equal([code, error]);
    }
    const missing = await jsonHere<{ tabs: unknown[] }>("tab", "show", UNKNOWN, ...at(buyer));
    expect([missing.code, missing.result.tabs]).to.deep.equal([1, []]);
  });

  it("tell a node from whatever else answers at its URL", async () => {
    const page = createServer((_request, response) => response.end("<html>welcome</html>"));
    await new Promise<void>((resolve) => page.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(page.address() as AddressInfo).port}`;
    const asked = await failureHere("deal", "list", "--node-url", url, "--node-token", "t");
    page.close();
    expect(asked).to.deep.equal([3, "NODE_FOREIGN"]);
  });

  it("explain every action by --help, and nothing but that", async () => {
    const actions = {
      deal: "show list complete dispute part split cancel evidence award",
      tab: "open show ask top-up claim close",
    };
    for (const [command, names] of Object.entries(actions)) {
      const { code, stdout } = await suretyHere(command, "--help");
      expect(code).to.equal(0);
      const listed = [...stdout.matchAll(/^ {2}([a-z-]+)(?: .*)?$/gm)].map(([, name]) => name);
      expect(listed.filter((name) => name !== "help")).to.include.members(names.split(" "));
      for (const name of names.split(" ")) {
        const help = await suretyHere(command, name, "--help");
        expect([help.code, help.stderr], `${command} ${name}`).to.deep.equal([0, ""]);
        expect(help.stdout).to.match(new RegExp(`^Usage: surety ${command} ${name} \\[options\\]`));
      }
    }
  });
});
