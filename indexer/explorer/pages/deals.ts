import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { PAGE_ROWS, pageOf, type Page } from "../page.ts";
import {
  agentLink,
  amount,
  badge,
  dealLink,
  pager,
  table,
  time,
  topicLink,
  type AgentRef,
  type Site,
} from "../parts.ts";

/** What a row of a list of deals shows. */
export const DEAL_FIELDS = `id state topic price token fundedAt rating
  client { id registrationFile { name } } provider { id registrationFile { name } }`;

export const DEALS = `query Deals($first: Int!, $skip: Int!, $where: Deal_filter) {
  ${META} deals(first: $first, skip: $skip, where: $where, orderBy: fundedAt, orderDirection: desc) { ${DEAL_FIELDS} }
}`;

export interface DealRow {
  readonly id: string;
  readonly state: string;
  readonly topic: string;
  readonly price: string;
  readonly token: string;
  readonly fundedAt: string;
  readonly rating: number | null;
  readonly client: AgentRef | null;
  readonly provider: AgentRef | null;
}

const STATES = ["Funded", "Submitted", "Completed", "Refunded", "Disputed", "Resolved", "Cancelled"];

export const dealsPage: Page = async ({ site, url, signal }) => {
  const { page, first, skip } = pageOf(url);
  const state = url.searchParams.get("state") ?? "";
  const where = STATES.includes(state) ? { state } : {};
  const answer = await ask<{ deals: readonly DealRow[] }>(DEALS, { first, skip, where }, signal);
  return {
    title: "Deals",
    block: answer._meta.block,
    body: [
      h(
        "form",
        { class: "filters", action: "/deals", role: "search" },
        h(
          "label",
          {},
          "State ",
          h(
            "select",
            { name: "state" },
            h("option", { value: "" }, "any"),
            STATES.map((one) => h("option", { value: one, selected: one === state }, one)),
          ),
        ),
        h("button", {}, "Show"),
        h("a", { href: "/disputes" }, "Disputes"),
      ),
      dealTable(site, answer.deals.slice(0, PAGE_ROWS)),
      pager(url, page, answer.deals.length > PAGE_ROWS),
    ],
  };
};

export function dealTable(site: Site, deals: readonly DealRow[], caption = "Deals"): Child {
  const columns = [
    ...[{ name: "Deal" }, { name: "State" }, { name: "Client" }, { name: "Provider" }, { name: "Topic" }],
    ...[{ name: "Price", isNumber: true }, { name: "Rating", isNumber: true }, { name: "Funded" }],
  ];
  const rows = deals.map((deal) => [
    dealLink(deal.id),
    badge(deal.state),
    agentLink(deal.client),
    agentLink(deal.provider),
    topicLink(site, deal.topic),
    amount(site, deal.price, deal.token),
    deal.rating ?? "–",
    time(site, deal.fundedAt),
  ]);
  return table(caption, columns, rows);
}
