// The explorer: pages by path, in one document.
import { AskError, readConfig } from "./api.ts";
import { fill, h, type Child } from "./dom.ts";
import { agoText, countText } from "./format.ts";
import { followChain } from "./live.ts";
import type { Page, PageView } from "./page.ts";
import { agentPage } from "./pages/agent.ts";
import { agentsPage } from "./pages/agents.ts";
import { dealPage } from "./pages/deal.ts";
import { dealsPage } from "./pages/deals.ts";
import { epochPage, epochsPage } from "./pages/epochs.ts";
import { disputePage, disputesPage } from "./pages/disputes.ts";
import { evidencePage, forkPage } from "./pages/evidence.ts";
import { overviewPage } from "./pages/overview.ts";
import { settingsPage } from "./pages/settings.ts";
import { topicPage, topicsPage } from "./pages/topics.ts";
import { trustPage } from "./pages/trust.ts";
import { createSite, type Site } from "./parts.ts";
import { applyTheme, changedContracts } from "./settings.ts";

const routes: readonly (readonly [path: RegExp, page: Page])[] = [
  [/^\/$/, overviewPage],
  [/^\/agents$/, agentsPage],
  [/^\/agents\/(\d{1,77})$/, agentPage],
  [/^\/deals$/, dealsPage],
  [/^\/deals\/(0x[0-9a-f]{64})$/i, dealPage],
  [/^\/disputes$/, disputesPage],
  [/^\/disputes\/(0x[0-9a-f]{64})$/i, disputePage],
  [/^\/topics$/, topicsPage],
  [/^\/topics\/(\d{1,20})$/, topicPage],
  [/^\/trust\/(\d{1,20})$/, trustPage],
  [/^\/evidence$/, evidencePage],
  [/^\/evidence\/(0x[0-9a-f]{64})$/i, forkPage],
  [/^\/epochs$/, epochsPage],
  [/^\/epochs\/(\d{1,10})$/, epochPage],
  [/^\/settings$/, settingsPage],
];

/** Until an indexer that reads the chain is asked again. */
const RETRY_MS = 2_000;

const main = document.getElementById("page") as HTMLElement;
const status = document.getElementById("block") as HTMLElement;
let showing = new AbortController();
let shownPath = "";

async function show(site: Site, isFirst = false): Promise<void> {
  showing.abort();
  const { signal } = (showing = new AbortController());
  const url = new URL(location.href);
  shownPath = url.pathname + url.search;
  main.setAttribute("aria-busy", "true");
  markNavigation(url);
  let view: PageView;
  try {
    view = await load(site, url, signal);
  } catch (error) {
    if (signal.aborted) return;
    view = troubleView(site, error);
  }
  if (signal.aborted) return;
  document.title = `${view.title} · Surety`;
  const heading = h("h1", { tabindex: -1 }, view.title);
  fill(main, alarmOf(site), heading, ...view.body);
  main.removeAttribute("aria-busy");
  fill(status, blockText(site, view));
  // A reader of the screen is told of the new page; the first one is read out anyway.
  if (!isFirst) heading.focus({ preventScroll: true });
  scrollTo(0, 0);
}

async function load(site: Site, url: URL, signal: AbortSignal): Promise<PageView> {
  for (const [path, page] of routes) {
    const match = path.exec(url.pathname);
    if (match !== null) return page({ site, url, subject: match[1] ?? "", signal });
  }
  return { title: "Page not found", body: [h("p", {}, "There is no such page. ", h("a", { href: "/" }, "Overview"))] };
}

/** While the rows are not the chain's the server answers nothing, and the page asks again. */
function troubleView(site: Site, error: unknown): PageView {
  if (error instanceof AskError && error.code.startsWith("INDEXER_")) {
    const { progress = 0 } = error;
    const retry = setTimeout(() => void show(site), RETRY_MS);
    showing.signal.addEventListener("abort", () => clearTimeout(retry));
    const bar = h("progress", { max: 1, value: progress, "aria-label": "Share of the chain that is read" });
    return {
      title: "Reading the chain",
      body: [h("p", {}, `${error.message} ${(progress * 100).toFixed(1)} % is read.`), bar],
    };
  }
  const words = error instanceof Error ? error.message : String(error);
  return { title: "No answer", body: [h("p", { role: "alert" }, `This server gave no answer: ${words}`)] };
}

function alarmOf({ config }: Site): Child {
  const changed = changedContracts(config);
  if (changed.length === 0) return null;
  const text =
    "This server names other contracts than it did when this browser came here first: believe nothing before you have looked at the ";
  return h("p", { class: "alarm", role: "alert" }, text, h("a", { href: "/settings" }, "settings"), ".");
}

function blockText(site: Site, { block }: PageView): Child {
  if (block === undefined) return "";
  return `as of block ${countText(block.number)}, ${agoText(block.timestamp, site.nowSeconds())}`;
}

function markNavigation({ pathname }: URL): void {
  for (const link of document.querySelectorAll<HTMLAnchorElement>("header nav a")) {
    const path = new URL(link.href).pathname;
    const isHere = path === "/" ? pathname === "/" : pathname.startsWith(path);
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** Links and forms of this site change the page without loading it anew. */
function interceptNavigation(site: Site): void {
  const go = (target: URL) => {
    history.pushState(null, "", target);
    void show(site);
  };
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element).closest("a");
    if (link === null || link.origin !== location.origin || link.target !== "" || link.dataset["plain"] !== undefined)
      return;
    if (link.getAttribute("href")?.startsWith("#") === true) return;
    event.preventDefault();
    go(new URL(link.href));
  });
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    const form = event.target as HTMLFormElement;
    event.preventDefault();
    const target = new URL(form.action);
    for (const [name, value] of new FormData(form)) if (value !== "") target.searchParams.set(name, value as string);
    go(target);
  });
  // A jump within the page, as to its content, is one too.
  addEventListener("popstate", () => {
    const isJump = location.hash !== "" && shownPath === location.pathname + location.search;
    if (!isJump) void show(site);
  });
}

applyTheme();
const site = createSite(await readConfig());
interceptNavigation(site);
followChain(() => void show(site));
await show(site, true);
