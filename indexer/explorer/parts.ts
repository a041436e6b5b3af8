// The pieces that every page is made of.
import { topicIdOf } from "#protocol";
import type { SiteConfig } from "./api.ts";
import { h, type Child } from "./dom.ts";
import { agentNumber, agoText, amountText, countText, shorten, timeText } from "./format.ts";

/** What pages need to know of the site. */
export interface Site {
  readonly config: SiteConfig;
  readonly topicNames: ReadonlyMap<string, string>;
  readonly nowSeconds: () => number;
}

export function createSite(config: SiteConfig): Site {
  const topicNames = new Map(config.topics.map((name) => [topicIdOf(name).toString(), name]));
  return { config, topicNames, nowSeconds: () => Date.now() / 1_000 };
}

export interface AgentRef {
  readonly id: string;
  readonly registrationFile?: { readonly name: string } | null;
}

export function agentLink(agent: AgentRef | null): Child {
  if (agent === null) return "none";
  const name = agent.registrationFile?.name ?? "";
  const number = agentNumber(agent.id);
  return h("a", { href: `/agents/${number}` }, name === "" ? `Agent ${number}` : `${name} (${number})`);
}

export function dealLink(id: string): Child {
  return h("a", { href: `/deals/${id}`, class: "mono", title: id }, shorten(id));
}

export function topicLink(site: Site, topic: string): Child {
  const name = site.topicNames.get(topic);
  return h("a", { href: `/topics/${topic}`, title: `topic ${topic}` }, name ?? `topic ${shorten(topic)}`);
}

export function epochLink(epoch: string | number): Child {
  return h("a", { href: `/epochs/${epoch}` }, `epoch ${epoch}`);
}

/** A hash, shown short; its whole text is its title and what is copied. */
export function hash(value: string | null | undefined): Child {
  if (value === null || value === undefined) return "none";
  return h("code", { class: "hash", title: value, tabindex: 0 }, shorten(value));
}

export function time(site: Site, seconds: string | number | null): Child {
  if (seconds === null) return "–";
  const at = Number(seconds);
  return h("time", { datetime: `${timeText(at)}Z`, title: `${timeText(at)} UTC` }, agoText(at, site.nowSeconds()));
}

/** An amount, in the local token's unit where it is that token, else in the smallest unit. */
export function amount(site: Site, value: string | null, token?: string): Child {
  if (value === null) return "–";
  const { config } = site;
  const isKnown = token === undefined || token.toLowerCase() === config.deployment.contracts.token.toLowerCase();
  const text =
    isKnown && config.token !== null
      ? amountText(BigInt(value), config.token.decimals, config.token.symbol)
      : `${countText(BigInt(value))} units`;
  return h("span", { class: "number", title: `${value} in the token's smallest unit` }, text);
}

const toneOfState: Readonly<Record<string, string>> = {
  ...{
    Completed: "good",
    valid: "good",
    revoked: "bad",
    expired: "warn",
    verified: "good",
    finalized: "good",
    live: "good",
  },
  ...{ Refunded: "bad", struck: "bad", mismatch: "bad", unavailable: "bad", Disputed: "warn", Submitted: "info" },
  ...{ Funded: "info", Resolved: "warn", standing: "info", announced: "warn" },
};

/** A state by its word; the colour only repeats it. */
export function badge(state: string): Child {
  return h("span", { class: `badge ${toneOfState[state] ?? "plain"}` }, state);
}

/** Pairs of a name and what holds for it. */
export function facts(rows: readonly (readonly [name: string, value: Child])[]): HTMLElement {
  return h(
    "dl",
    { class: "facts" },
    rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

export interface ColumnHead {
  readonly name: string;
  readonly isNumber?: boolean;
}

/** A table that scrolls within itself on a narrow screen. */
export function table(
  caption: string,
  columns: readonly ColumnHead[],
  rows: readonly (readonly Child[])[],
): HTMLElement {
  if (rows.length === 0) return h("p", { class: "empty" }, `No ${caption.toLowerCase()}.`);
  const cls = (column: ColumnHead | undefined) => (column?.isNumber === true ? "number" : undefined);
  const cells = (row: readonly Child[]) =>
    row.map((cell, k) => h("td", { class: cls(columns[k]), "data-label": columns[k]?.name }, cell));
  return h(
    "div",
    { class: "scroll", role: "region", "aria-label": caption, tabindex: 0 },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((column) => h("th", { scope: "col", class: cls(column) }, column.name)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) => h("tr", {}, cells(row))),
      ),
    ),
  );
}

export function section(title: string, ...children: readonly Child[]): HTMLElement {
  return h("section", { class: "card" }, h("h2", {}, title), ...children);
}

/** Of a registration that carries its whole file in itself. */
const MAX_SHOWN = 80;

/** An address of the web becomes a link; anything else that a stranger wrote stays text. */
export function outsideLink(address: string): Child {
  const shown = address.length > MAX_SHOWN ? `${address.slice(0, MAX_SHOWN)}… (${address.length} characters)` : address;
  if (!/^https?:\/\/\S+$/i.test(address)) return h("span", { class: "wrap" }, shown === "" ? "none" : shown);
  return h("a", { href: address, rel: "noopener noreferrer nofollow", class: "wrap" }, shown);
}

/** Links to the pages before and after. */
export function pager(url: URL, page: number, hasNext: boolean): Child {
  if (page === 0 && !hasNext) return null;
  const to = (target: number) => {
    const next = new URL(url);
    next.searchParams.set("page", String(target));
    return `${next.pathname}${next.search}`;
  };
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    page > 0 && h("a", { href: to(page - 1), rel: "prev" }, "← newer"),
    h("span", {}, `page ${page + 1}`),
    hasNext && h("a", { href: to(page + 1), rel: "next" }, "older →"),
  );
}
