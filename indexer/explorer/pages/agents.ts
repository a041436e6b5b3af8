import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { scoreText } from "../format.ts";
import { PAGE_ROWS, pageOf, type Page } from "../page.ts";
import { agentLink, hash, pager, table, time, topicLink, type AgentRef, type Site } from "../parts.ts";

export const AGENTS = `query Agents($first: Int!, $skip: Int!, $where: Agent_filter, $orderBy: Agent_orderBy!, $direction: OrderDirection!) {
  ${META}
  agents(first: $first, skip: $skip, where: $where, orderBy: $orderBy, orderDirection: $direction) {
    id agentId owner version totalFeedback lastActivity registrationFile { name active }
    stakes { staked } credentials { validUntil renouncedAt }
    scores(first: 1, orderBy: epoch, orderDirection: desc, where: { candidate_: { state: "standing" } }) { score epoch topic { id } }
  }
}`;

interface AgentRow extends AgentRef {
  readonly owner: string;
  readonly version: string;
  readonly totalFeedback: string;
  readonly lastActivity: string;
  readonly stakes: readonly { readonly staked: string }[];
  readonly credentials: readonly { readonly validUntil: string; readonly renouncedAt: string | null }[];
  readonly scores: readonly {
    readonly score: string;
    readonly epoch: string;
    readonly topic: { readonly id: string };
  }[];
}

const ORDERS = {
  agentId: ["number", "asc"],
  lastActivity: ["last activity", "desc"],
  totalFeedback: ["feedback", "desc"],
} as const;

/** What a visitor typed, as a filter: a number, an owner's address, or part of a name. */
export function agentFilter(search: string): Record<string, unknown> {
  const text = search.trim();
  if (text === "") return {};
  if (/^\d{1,77}$/.test(text)) return { agentId: text };
  if (/^0x[0-9a-f]{40}$/i.test(text)) return { owner: text };
  return { registrationFile_: { name_contains_nocase: text } };
}

export const agentsPage: Page = async ({ site, url, signal }) => {
  const { page, first, skip } = pageOf(url);
  const search = url.searchParams.get("search") ?? "";
  const asked = url.searchParams.get("order") ?? "agentId";
  const orderBy = Object.hasOwn(ORDERS, asked) ? (asked as keyof typeof ORDERS) : "agentId";
  const variables = { first, skip, where: agentFilter(search), orderBy, direction: ORDERS[orderBy][1] };
  const { agents, _meta } = await ask<{ agents: readonly AgentRow[] }>(AGENTS, variables, signal);
  return {
    title: "Agents",
    block: _meta.block,
    body: [
      filters(search, orderBy),
      agentTable(site, agents.slice(0, PAGE_ROWS)),
      pager(url, page, agents.length > PAGE_ROWS),
    ],
  };
};

function filters(search: string, orderBy: string): Child {
  const options = Object.entries(ORDERS).map(([value, [name]]) =>
    h("option", { value, selected: value === orderBy }, name),
  );
  return h(
    "form",
    { class: "filters", action: "/agents", role: "search" },
    h("label", {}, "Number, owner or name ", h("input", { name: "search", type: "search", value: search })),
    h("label", {}, "Order by ", h("select", { name: "order" }, options)),
    h("button", {}, "Show"),
  );
}

function agentTable(site: Site, agents: readonly AgentRow[]): Child {
  const columns = [
    ...[{ name: "Agent" }, { name: "Owner" }, { name: "Version", isNumber: true }, { name: "Answered for" }],
    ...[
      { name: "Stake", isNumber: true },
      { name: "Feedback", isNumber: true },
    ],
    ...[{ name: "Latest score", isNumber: true }, { name: "Active" }],
  ];
  const rows = agents.map((agent) => {
    const [credential, score] = [agent.credentials[0], agent.scores[0]];
    const isAnswered = credential !== undefined && credential.renouncedAt === null;
    return [
      agentLink(agent),
      hash(agent.owner),
      agent.version,
      isAnswered ? "by a person" : "nobody",
      agent.stakes[0]?.staked ?? "0",
      agent.totalFeedback,
      score === undefined ? "none" : [scoreText(BigInt(score.score)), " in ", topicLink(site, score.topic.id)],
      time(site, agent.lastActivity),
    ];
  });
  return table("Agents", columns, rows);
}
