// The explorer in a real Chromium, between it and the indexer a server that can lie.
import { expect } from "chai";
import { readFileSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { bytesToHex, keccak256, toHex } from "viem";
import { encodeLeaves, type Deal } from "#protocol";
import { createIndexer, type Indexer } from "../../../indexer/index.ts";
import { BrowserPage, findChromium } from "../../fixtures/chromium.ts";
import { solveHonestly, TrustGraph } from "../../reputation-contracts/trust-graph.ts";
import { topicRootOf } from "../../reputation-contracts/world.ts";
import { disputeBeforePanel } from "../panel-case.ts";
import {
  agentAt,
  disputeDeal,
  forkLog,
  EPOCH_LENGTH_SECONDS,
  openDeal,
  settleDeal,
  startSuretyChain,
  TOPICS,
  type SuretyChain,
} from "../surety-chain.ts";

const MAX_FIRST_SCRIPT_BYTES = 300_000;
/** Of the DevTools protocol's modifiers. */
const SHIFT = 8;
const MARKUP = "<img src=x onerror=document.title='broken'>";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** A folder for pictures of every page in both themes, for people to look at. */
const pictures = process.env["SURETY_SCREENSHOTS"];

type Lie = (body: string) => string;

describe("the explorer, in Chromium", function () {
  this.timeout(240_000);
  let chain: SuretyChain;
  let indexer: Indexer;
  let proxy: Server;
  let page: BrowserPage;
  let origin: string;
  let deal: Deal & { id: string };
  let forkId = "";
  let disputeId = "";
  let panelDisputeId = "";
  let lie: Lie | undefined;
  const [topic] = TOPICS;

  before(async function () {
    const chromium = findChromium();
    if (chromium === undefined) {
      console.log("        no Chromium on this machine: skipped; apt-get install chromium, or set SURETY_CHROMIUM");
      this.skip();
    }
    chain = await startSuretyChain();
    const { client, deployment, folder, url } = chain;
    const explorer = { rpcUrl: url, topics: ["code_generation"] };
    indexer = createIndexer({ client, deployment, store: { folder }, pollIntervalMs: 10, explorer });
    await indexer.start();
    await tradeAndScore();
    const parties = [agentAt(chain, 3), agentAt(chain, 4), agentAt(chain, 0)] as const;
    disputeId = await disputeDeal(chain, parties, 1);
    await forkLog(chain, agentAt(chain, 5));
    forkId = (await chain.slasher.getEvents.Punished())[0]?.args.offenceId ?? "";
    const { number, hash } = await chain.client.getBlock();
    await indexer.reached({ number: Number(number), hash });
    proxy = createServer((request, response) => void forward(request, response));
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    page = await BrowserPage.open(chromium, `${origin}/`);
    await page.send("Log.enable");
    await settled();
  });
  after(async () => {
    await page?.close();
    await new Promise((resolve) => (proxy === undefined ? resolve(undefined) : proxy.close(resolve)));
    await indexer?.stop();
    await chain?.close();
  });

  /** Deals between four agents, one of them unfinished, and the finalized scores that came of them. */
  async function tradeAndScore(): Promise<void> {
    for (const { agentId, account } of chain.agents) {
      await chain.vault.write.stake([agentId, 10_000n * BigInt(agentId)], { account });
    }
    const file = { type: "https://eips.ethereum.org/EIPS/eip-8004#registration-v1", name: MARKUP, description: MARKUP };
    const uri = `data:application/json;base64,${Buffer.from(JSON.stringify(file)).toString("base64")}`;
    await chain.registry.write.setAgentURI([2n, uri], { account: agentAt(chain, 1).account });
    const graph = new TrustGraph(topic);
    const ratings = [[0, 1, 90], [1, 2, 50], [2, 0, 70], [3, 1, 20]] as const; // prettier-ignore
    for (const [from, to, rating] of ratings) {
      const [a, b] = [agentAt(chain, from), agentAt(chain, to)];
      const settledDeal = await settleDeal(chain, [a, b], rating);
      deal ??= { ...settledDeal, id: await chain.escrow.read.hashDeal([settledDeal]) };
      graph.record(a.agentId, b.agentId, rating, 0);
    }
    const epoch = solveHonestly(graph.close((agentId) => 10_000n * BigInt(agentId)));
    const { agentId, account } = agentAt(chain, 0);
    await goToEpoch(2n);
    const leaves = bytesToHex(encodeLeaves(epoch.words));
    await chain.epochs.write.commit([agentId, keccak256(toHex("closing")), [topicRootOf(epoch)], leaves], { account });
    await goToEpoch(3n);
    await chain.epochs.write.finalize([1, [topic]], { account });
    await openDeal(chain, agentAt(chain, 0), agentAt(chain, 1));
  }

  async function goToEpoch(epoch: bigint): Promise<void> {
    const start = (await chain.ledger.read.genesis()) + (epoch - 1n) * BigInt(EPOCH_LENGTH_SECONDS);
    await chain.rpc("evm_setNextBlockTimestamp", `0x${start.toString(16)}`);
    await chain.rpc("evm_mine");
  }

  /** Passes a request on to the indexer, and its answer back: as it is, or as the lie has it. */
  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = "GET", url = "/" } = request;
    if (url === "/events") return passEvents(response);
    const body = method === "POST" ? { body: Buffer.concat(chunks) } : {};
    const type = request.headers["content-type"];
    const answer = await fetch(indexer.url + url, {
      method,
      ...body,
      headers: type === undefined ? {} : { "content-type": type },
    });
    const text = await answer.text();
    const kept = ["content-type", "content-security-policy"].flatMap((name) => {
      const value = answer.headers.get(name);
      return value === null ? [] : [[name, value] as const];
    });
    response.writeHead(answer.status, Object.fromEntries(kept));
    response.end(url === "/graphql" ? (lie?.(text) ?? text) : text);
  }

  async function passEvents(response: ServerResponse): Promise<void> {
    const stopping = new AbortController();
    response.on("close", () => stopping.abort());
    const answer = await fetch(`${indexer.url}/events`, { signal: stopping.signal });
    response.writeHead(200, { "content-type": "text/event-stream" });
    // Ends with the page that listens.
    await answer.body
      ?.pipeTo(new WritableStream({ write: (chunk) => void response.write(chunk) }))
      .catch(() => undefined);
  }

  /** Resolves when the page has shown what it was asked for. @returns its text */
  const settled = () =>
    page.evaluate<string>(`new Promise((resolve) => {
      const main = document.getElementById("page");
      const look = () => { if (!main.hasAttribute("aria-busy")) { observer.disconnect(); resolve(main.innerText); } };
      const observer = new MutationObserver(look);
      observer.observe(main, { attributes: true });
      look();
    })`);

  async function goTo(path: string): Promise<string> {
    await page.evaluate(
      `history.pushState(null, "", ${JSON.stringify(path)}); dispatchEvent(new PopStateEvent("popstate"))`,
    );
    return settled();
  }

  /** Presses the n-th Verify of the page. @returns what came out, and each step */
  const verify = (position = 0) =>
    page.evaluate<{ verified: string; text: string; steps: string[] }>(`new Promise((resolve) => {
      const section = document.querySelectorAll(".verification")[${position}];
      const outcome = section.querySelector(".outcome");
      const observer = new MutationObserver(() => {
        if (outcome.dataset.verified === "busy") return;
        observer.disconnect();
        const steps = [...section.querySelectorAll(".steps strong")].map((step) => step.textContent);
        resolve({ verified: outcome.dataset.verified, text: outcome.textContent, steps });
      });
      observer.observe(outcome, { childList: true });
      section.querySelector("button").click();
    })`);

  const pagesOfAll = () => [
    ...[
      "/",
      "/agents",
      "/agents/2",
      "/deals",
      `/deals/${deal.id}`,
      "/topics",
      `/topics/${topic}`,
      `/trust/${topic}`,
      "/evidence",
      "/disputes",
      `/disputes/${disputeId}`,
      ...(panelDisputeId === "" ? [] : [`/disputes/${panelDisputeId}`]),
      `/evidence/${forkId}`,
    ],
    ...["/epochs", "/epochs/1", "/settings", "/nowhere"],
  ];

  it("shows what the chain holds: agents, deals, scores, commits", async () => {
    expect(await goTo("/"))
      .to.match(/6\s+agents/)
      .and.to.match(/6\s+deals/)
      .and.to.match(/4\s+deals completed/);
    expect(await goTo("/agents?search=3"))
      .to.include("Agent 3")
      .and.not.to.include("Agent 4");
    expect(await goTo("/agents/1"))
      .to.include("sign its log and deals")
      .and.to.include("1 as provider, 1 of them completed");
    expect(await goTo(`/deals/${deal.id}`))
      .to.include("Completed")
      .and.to.include("90");
    expect(await goTo(`/topics/${topic}`))
      .to.include("Topic code_generation")
      .and.to.match(/1\s+.*\(2\)/);
    expect(await goTo("/epochs/1"))
      .to.include("standing")
      .and.to.include("code_generation");
    expect(await goTo("/disputes"))
      .to.include("for the client")
      .and.to.match(/0x\w{4}…\w{4}/);
    expect(await goTo(`/deals/${disputeId}`)).to.include("Disputed");
    expect(await goTo(`/disputes/${disputeId}`))
      .to.include("for the client")
      .and.to.include("ForClient");
    expect(await goTo("/evidence"))
      .to.include("Agent 6")
      .and.to.include("two histories of its log");
    expect(await goTo("/agents/99")).to.include("never registered");
    expect(await goTo("/nowhere")).to.include("no such page");
  });

  it("draws who trusts whom, names the groups, and clears the drawing with its page", async () => {
    const text = await goTo(`/trust/${topic}`);
    expect(text)
      .to.match(/Agents\s+4/)
      .and.to.match(/Arrows\s+4/)
      .and.to.include("Groups that trust each other");
    // Drawn = at least one of its layers has a pixel of an arrow or an agent.
    const drawn = `new Promise((resolve) => {
      const look = () => {
        const layers = [...document.querySelectorAll(".graph canvas")];
        const sigma = layers.find((layer) => layer.classList.contains("sigma-labels"));
        const context = sigma?.getContext("2d");
        const pixels = context?.getImageData(0, 0, sigma.width, sigma.height).data;
        if (pixels?.some((value) => value !== 0)) resolve(layers.length); else requestAnimationFrame(look);
      };
      look();
    })`;
    expect(await page.evaluate(drawn)).to.be.greaterThan(2);
    await page.evaluate(`document.querySelector(".graph").dispatchEvent(new KeyboardEvent("keydown", { key: "+" }))`);
    expect(await goTo(`/trust/123`)).to.include("No deal was ever settled");
    expect(await page.evaluate("document.querySelectorAll('.graph canvas').length")).to.equal(0);
  });

  it("goes from page to page by links, and takes the heading along", async () => {
    await goTo("/");
    await page.evaluate(`document.querySelector('nav a[href="/agents"]').click()`);
    await settled();
    await page.evaluate(`document.querySelector('td a[href="/agents/2"]').click()`);
    await settled();
    expect(await page.evaluate("[location.pathname, document.activeElement.tagName]")).to.deep.equal([
      "/agents/2",
      "H1",
    ]);
  });

  it("shows what a stranger registered as text, and runs none of it", async () => {
    expect(await goTo("/agents/2")).to.include(MARKUP);
    expect(await page.evaluate("document.querySelectorAll('main img').length")).to.equal(0);
  });

  it("verifies agents, deals and scores against the visitor's own endpoint", async () => {
    const subjects: [path: string, count: number][] = [["/agents/2", 2], [`/deals/${deal.id}`, 1], [`/topics/${topic}`, 1], [`/evidence/${forkId}`, 1]]; // prettier-ignore
    for (const [path, count] of subjects) {
      await goTo(path);
      expect(await page.evaluate("document.querySelectorAll('.verification').length"), path).to.equal(count);
      for (let k = 0; k < count; k++) {
        const { verified, text, steps } = await verify(k);
        expect(verified, `${path}: ${text}`).to.equal("true");
        expect(steps).to.include("chain");
        expect(steps.length).to.be.greaterThan(5);
      }
    }
  });

  /** Lies to the page from its loading on, and verifies. */
  async function verifyLie(path: string, tell: Lie, position = 0): Promise<string> {
    lie = tell;
    try {
      await goTo(path);
      const { verified, text } = await verify(position);
      expect(verified, text).to.equal("false");
      expect(text).to.include("This server said what the chain does not");
      return text;
    } finally {
      lie = undefined;
    }
  }

  /** Changes every value of a field at its first occurrence. */
  const change = (field: string, to: (value: string) => string): Lie => {
    return (body) => {
      const pattern = new RegExp(`"${field}":("?)([^",{}]+)\\1`, "g");
      const changed = body.replace(
        pattern,
        (_, quote: string, value: string) => `"${field}":${quote}${to(value)}${quote}`,
      );
      return changed;
    };
  };

  it("turns red when the server lies: about a score", async () => {
    const more = change("score", (score) => String(BigInt(score) + 1n));
    expect(await verifyLie("/agents/2", more, 1)).to.include("score that the page shows");
    expect(await verifyLie(`/topics/${topic}`, more)).to.include("row of agent");
  });

  it("lays both headers of a fork side by side, from the chain, and turns red when the server names another agent", async () => {
    await goTo(`/evidence/${forkId}`);
    expect((await verify()).verified).to.equal("true");
    const steps = await page.evaluate<string>("document.querySelector('.steps').innerText");
    expect(steps)
      .to.match(/bodyHash[^:]*0x\w{64} in one, 0x\w{64} in the other/)
      .and.to.match(/0x\w{40} signed both/);
    const other: Lie = (body) => body.replace(/("agent":\{"id":"\d+:)6"/, '$14"');
    expect(await verifyLie(`/evidence/${forkId}`, other)).to.include("agent");
  });

  it("turns red when the server lies: with a proof, a root or a leaf of its own", async () => {
    const flip = (hex: string) => hex.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    expect(await verifyLie("/agents/2", change("root", flip), 1)).to.include("root");
    expect(await verifyLie("/agents/2", change("leaf", flip), 1)).to.match(/proof|prior|leaf/);
  });

  it("turns red when the server lies: about an owner, a key that it hides, a price, a block", async () => {
    const stranger = `0x${"ab".repeat(20)}`;
    expect(
      await verifyLie(
        "/agents/2",
        change("owner", () => stranger),
      ),
    ).to.include("owner");
    const hide: Lie = (body) => body.replace(/"signers":\[.*?\]/, '"signers":[]');
    expect(await verifyLie("/agents/2", hide)).to.include("list of signers");
    expect(
      await verifyLie(
        `/deals/${deal.id}`,
        change("price", () => "1"),
      ),
    ).to.include("terms");
    const forget: Lie = (body) => body.replace(/"hash":"0x../, '"hash":"0xff');
    expect(await verifyLie(`/deals/${deal.id}`, forget)).to.match(/block \d+/);
  });

  it("tells its reader when the chain undoes blocks, and changes nothing under his eyes", async () => {
    const before = await goTo("/deals");
    const snapshot = await chain.rpc("evm_snapshot");
    await openDeal(chain, agentAt(chain, 2), agentAt(chain, 3));
    const told = page.evaluate<string>(`new Promise((resolve) => {
      const news = document.getElementById("news");
      new MutationObserver(() => resolve(news.innerText)).observe(news, { childList: true });
    })`);
    const catchUp = async () => {
      const { number, hash } = await chain.client.getBlock();
      await indexer.reached({ number: Number(number), hash });
    };
    await catchUp();
    await chain.rpc("evm_revert", snapshot);
    await chain.rpc("evm_mine");
    expect(await told).to.include("may not have happened");
    await catchUp();
    expect(await settled()).to.equal(before);
    await page.evaluate("document.querySelector('#news button').click()");
    expect(await settled()).not.to.equal("");
  });

  it("says that nothing is verified when the endpoint does not answer", async () => {
    await goTo("/agents/1");
    await page.evaluate(`document.querySelector(".verification input").value = ${JSON.stringify(`${origin}/nowhere`)}`);
    const { verified, text } = await verify();
    expect(verified).to.equal("unknown");
    expect(text).to.include("Not verified");
    await page.evaluate("localStorage.removeItem('surety.rpcUrl')");
  });

  it("warns when the server names other contracts than before", async () => {
    await page.evaluate(`(() => {
      const key = Object.keys(localStorage).find((name) => name.startsWith("surety.contracts"));
      localStorage.setItem(key, localStorage.getItem(key).replace(/"dealEscrow":"0x../, '"dealEscrow":"0xff'));
    })()`);
    expect(await goTo("/")).to.include("other contracts");
    expect(await goTo("/settings")).to.include("dealEscrow");
    await page.evaluate("localStorage.clear()");
    expect(await goTo("/")).not.to.include("other contracts");
  });

  it("shows a dispute as the panel decided it, and decided it again on appeal, with every juror's vote", async () => {
    const { dealId, seated } = await disputeBeforePanel(chain, [agentAt(chain, 1), agentAt(chain, 2)]);
    panelDisputeId = dealId;
    const { number, hash } = await chain.client.getBlock();
    await indexer.reached({ number: Number(number), hash });
    const text = await goTo(`/disputes/${dealId}`);
    const [course = "", rounds = ""] = text.split("First round of the panel");
    const [first = "", appeal = ""] = rounds.split("Appeal 1");
    expect(course)
      .to.match(/Appeals\s+1\s/)
      .and.to.match(/Ruling\s+for the provider/);
    expect(first).to.match(/Jurors drawn\s+3 of 3/);
    expect(first.match(/Agent \d+\s+for the (client|provider)/g)).to.have.length(3);
    expect(appeal)
      .to.match(/Jurors drawn\s+7 of 7/)
      .and.to.match(new RegExp(`Agent ${seated[0]}\\s+never opened`));
    expect([first, appeal].map((round) => round.includes("The panel ruled"))).to.deep.equal([false, true]);
    expect(appeal.match(/Agent \d+\s+for the provider/g)).to.have.length(6);
  });

  for (const [theme, width] of [
    ["light", 1200],
    ["dark", 390],
  ] as const) {
    it(`passes axe and fits the screen on every page: ${theme}, ${width} pixels`, async () => {
      const feature = { name: "prefers-color-scheme", value: theme };
      await page.send("Emulation.setEmulatedMedia", { features: [feature] });
      await page.send("Emulation.setDeviceMetricsOverride", {
        width,
        height: 844,
        deviceScaleFactor: 1,
        mobile: false,
      });
      await page.evaluate(axe);
      // The second time the pages differ by colours and width only.
      const rules = ["color-contrast", "scrollable-region-focusable", "target-size"];
      const options = { resultTypes: ["violations"], ...(theme === "dark" ? { runOnly: rules } : {}) };
      for (const path of pagesOfAll()) {
        await goTo(path);
        await takePicture(`${path.slice(1, 20).replaceAll("/", "-") || "overview"}-${theme}-${width}`);
        const violations = await page.evaluate<string[]>(`axe.run(document, ${JSON.stringify(options)}).then((result) =>
          result.violations.flatMap(({ id, nodes }) => nodes.map((node) => id + ": " + node.html.slice(0, 200) + node.failureSummary)))`);
        expect(violations, path).to.deep.equal([]);
        const overflow = await page.evaluate<number>("document.documentElement.scrollWidth - innerWidth");
        expect(overflow, path).to.be.at.most(0);
      }
    });
  }

  async function takePicture(name: string): Promise<void> {
    if (pictures === undefined) return;
    mkdirSync(pictures, { recursive: true });
    const { data } = await page.send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
    writeFileSync(join(pictures, `${name}.png`), Buffer.from(data as string, "base64"));
  }

  it("is reached by keyboard: the first stop skips to the content", async () => {
    await goTo("/agents");
    await page.evaluate("document.querySelector('.brand').focus()");
    await press("Tab", SHIFT);
    await focused("a.skip");
    await press("Enter");
    await focused("main#page");
  });

  /** Resolves when an element has the focus: a key's effect comes after its event. */
  const focused = (selector: string) =>
    page.evaluate(`new Promise((resolve) => {
      const look = () => (document.activeElement.matches(${JSON.stringify(selector)}) ? resolve(true) : setTimeout(look, 10));
      look();
    })`);

  async function press(key: "Tab" | "Enter", modifiers = 0): Promise<void> {
    const code = { Tab: 9, Enter: 13 }[key];
    const event = {
      key,
      code: key,
      modifiers,
      windowsVirtualKeyCode: code,
      ...(key === "Enter" ? { text: "\r" } : {}),
    };
    await page.send("Input.dispatchKeyEvent", { type: "keyDown", ...event });
    await page.send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
  }

  it("asks nobody but its own server and the visitor's endpoint, and loads a small script first", async () => {
    const hosts = new Set(page.requested.map((url) => new URL(url).origin));
    expect([...hosts].sort()).to.deep.equal([origin, chain.url].sort());
    const first = await fetch(`${indexer.url}/assets/main.js`);
    expect(first.headers.get("content-type")).to.include("javascript");
    expect((await first.arrayBuffer()).byteLength).to.be.lessThan(MAX_FIRST_SCRIPT_BYTES);
  });

  it("forbids every script but its own by policy, on the pages and on the passkey page", async () => {
    const policyOf = async (path: string) =>
      (await fetch(indexer.url + path)).headers.get("content-security-policy") ?? "";
    expect(await policyOf("/agents/1"))
      .to.include("default-src 'none'")
      .and.to.include("script-src 'self';");
    expect(await policyOf("/passkey")).to.match(/script-src 'sha256-[^ ]+';/);
    for (const path of ["/", "/passkey"]) expect(await policyOf(path)).not.to.match(/unsafe|\*/);
  });
});
