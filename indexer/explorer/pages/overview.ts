import { ask, META, readHealth, type Health } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { countText } from "../format.ts";
import type { Page } from "../page.ts";
import {
  agentLink,
  badge,
  epochLink,
  facts,
  hash,
  section,
  table,
  time,
  topicLink,
  type AgentRef,
  type Site,
} from "../parts.ts";
import { dealTable, DEAL_FIELDS, type DealRow } from "./deals.ts";

export const OVERVIEW = `query Overview {
  ${META}
  counts { agents deals completed: deals(where: { state: "Completed" }) disputes slashes topics: topics(where: { finalizedEpoch_not: null }) }
  deals(first: 8, orderBy: fundedAt, orderDirection: desc) { ${DEAL_FIELDS} }
  topicRoots(first: 8, orderBy: finalizedAt, orderDirection: desc, where: { finalizedAt_not: null }) {
    topic { id } epoch leafCount root finalizedAt candidate { publisher { id registrationFile { name } } }
  }
  slashes(first: 5, orderBy: timestamp, orderDirection: desc) { id amount reward timestamp transaction agent { id registrationFile { name } } }
}`;

interface RootRow {
  readonly topic: { readonly id: string };
  readonly epoch: string;
  readonly leafCount: string;
  readonly root: string;
  readonly finalizedAt: string;
  readonly candidate: { readonly publisher: AgentRef | null };
}

interface OverviewRows {
  readonly counts: Readonly<Record<"agents" | "deals" | "completed" | "disputes" | "slashes" | "topics", number>>;
  readonly deals: readonly DealRow[];
  readonly topicRoots: readonly RootRow[];
  readonly slashes: readonly { amount: string; timestamp: string; transaction: string; agent: AgentRef | null }[];
}

export const overviewPage: Page = async ({ site, signal }) => {
  const [rows, health] = await Promise.all([ask<OverviewRows>(OVERVIEW, {}, signal), readHealth(signal)]);
  const { counts, deals, topicRoots, slashes } = rows;
  const tiles = [
    ["agents", counts.agents, "/agents"],
    ["deals", counts.deals, "/deals"],
    ["deals completed", counts.completed, "/deals?state=Completed"],
    ["topics with scores", counts.topics, "/topics"],
    ["disputes", counts.disputes, "/deals?state=Disputed"],
    ["slashes", counts.slashes, "#slashes"],
  ] as const;
  return {
    title: "Overview",
    block: rows._meta.block,
    body: [
      h(
        "p",
        { class: "lead" },
        "Agents, their deals, and what their deals made of their reputation. Each page can be checked against a chain endpoint of your own: nobody has to believe this server.",
      ),
      h(
        "ul",
        { class: "tiles" },
        tiles.map(([name, count, href]) => h("li", {}, tile(name, count, href))),
      ),
      section("Latest deals", dealTable(site, deals)),
      section("Latest finalized scores", rootTable(site, topicRoots)),
      slashes.length > 0 && slashSection(site, slashes),
      healthSection(site, health, rows._meta.finalizedBlock),
    ],
  };
};

function tile(name: string, count: number, href: string): Child {
  return h("a", { class: "tile", href }, h("strong", {}, countText(count)), h("span", {}, name));
}

function rootTable(site: Site, roots: readonly RootRow[]): Child {
  const columns = [
    { name: "Topic" },
    { name: "Epoch" },
    { name: "Leaves", isNumber: true },
    { name: "Root" },
    { name: "Published by" },
    { name: "Finalized" },
  ];
  const rows = roots.map(({ topic, epoch, leafCount, root, finalizedAt, candidate }) => [
    topicLink(site, topic.id),
    epochLink(epoch),
    leafCount,
    hash(root),
    agentLink(candidate.publisher),
    time(site, finalizedAt),
  ]);
  return table("Finalized scores", columns, rows);
}

function slashSection(site: Site, slashes: OverviewRows["slashes"]): Child {
  const columns = [{ name: "Agent" }, { name: "Taken", isNumber: true }, { name: "When" }, { name: "Transaction" }];
  const rows = slashes.map((slash) => [
    agentLink(slash.agent),
    slash.amount,
    time(site, slash.timestamp),
    hash(slash.transaction),
  ]);
  return h("div", { id: "slashes" }, section("Latest slashes", table("Slashes", columns, rows)));
}

function healthSection(site: Site, health: Health, finalizedBlock: number): Child {
  const { sync, isReady, block, head, trouble } = health;
  const { chainId, contracts } = site.config.deployment;
  return section(
    "This indexer",
    facts([
      ["State", [badge(sync), " ", isReady ? "at the head of the chain" : "not at the head, or not sure of it"]],
      ["Block", `${block ?? "none"} of ${head ?? "unknown"}, final up to ${finalizedBlock}`],
      ["Chain", chainId],
      ["Identity registry", hash(contracts.identityRegistry)],
      ...(trouble === undefined ? [] : [["Trouble", trouble] as const]),
    ]),
  );
}
