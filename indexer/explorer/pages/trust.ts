import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { agentNumber, countText } from "../format.ts";
import type { Cluster, TrustEdge } from "../graph/clusters.ts";
import type { GraphAgent } from "../graph/main.ts";
import { notFound, type Page } from "../page.ts";
import { agentLink, facts, section, table, topicLink, type AgentRef, type Site } from "../parts.ts";

type GraphScript = typeof import("../graph/main.ts");

/** Five times the size of the pages: loaded by whoever looks at a graph. */
const GRAPH_PATH: string = "/assets/graph.js";
/** GraphQL's own bound of one list. */
const ROWS = 1_000;
/** More than these a drawing shows as one cloud, and reading them takes seconds. */
const MAX_EDGES = 20_000;
const SHOWN_CLUSTERS = 12;
const SHOWN_MEMBERS = 6;
/** A group that earned nearly all of its trust from itself is worth a look; one deal between two new agents is not. */
const CLOSED_SHARE = 0.9;
const CLOSED_MEMBERS = 3;

/** All that was earned in a topic, by the ids of its rows, which no new deal moves. */
export const TRUSTS = `query Trusts($topic: String!, $after: String!) {
  ${META}
  topic(id: $topic) { id finalizedCandidate { id } }
  localTrusts(first: ${ROWS}, orderBy: id, where: { topic: $topic, id_gt: $after, weight_gt: 0 }) {
    id weight client { id } provider { id }
  }
}`;

export const RANKED = `query Ranked($candidate: String!, $topic: String!) {
  ${META}
  scores(first: ${ROWS}, orderBy: score, orderDirection: desc, where: { candidate: $candidate, topic: $topic }) {
    score agent { id registrationFile { name } }
  }
}`;

interface TrustRow {
  readonly id: string;
  readonly weight: string;
  readonly client: { readonly id: string };
  readonly provider: { readonly id: string };
}

interface Trusts {
  readonly topic: { readonly finalizedCandidate: { readonly id: string } | null } | null;
  readonly localTrusts: readonly TrustRow[];
}

interface RankedRow {
  readonly score: string;
  readonly agent: AgentRef | null;
}

/** Scores are shares of this. */
const WHOLE = 2 ** 62;

export const trustPage: Page = async ({ site, subject, signal }) => {
  const { edges, isCut, candidate, block, isKnown } = await readEdges(subject, signal);
  if (!isKnown) return notFound(`Topic ${subject}`, "No deal was ever settled in a topic of this number.");
  const ranked = candidate === undefined ? [] : await readRanked(candidate, subject, signal);
  const script = (await import(GRAPH_PATH)) as GraphScript;
  const { clusters, clusterOf } = script.clustersOf(edges);
  const agents = agentsOf(edges, ranked, clusterOf);
  const names = new Map(ranked.flatMap(({ agent }) => (agent === null ? [] : [[agentNumber(agent.id), agent]])));
  return {
    title: `Trust in ${site.topicNames.get(subject) ?? `topic ${subject}`}`,
    block,
    body: [
      h(
        "p",
        { class: "lead" },
        "Each arrow goes from a client to the provider that it was satisfied with, in settled deals only; it is as thick as the sum of the ratings. ",
        topicLink(site, subject),
        " has the scores that came of them.",
      ),
      isCut && h("p", { role: "status" }, `Only the first ${countText(MAX_EDGES)} arrows are shown.`),
      drawing(script, agents, edges, signal),
      section(
        "In numbers",
        facts([
          ["Agents", countText(agents.length)],
          ["Arrows", countText(edges.length)],
          ["Groups", countText(clusters.length)],
          ["Closed groups", countText(clusters.filter((cluster) => isClosed(cluster, agents.length)).length)],
        ]),
      ),
      clusterSection(site, clusters, agents.length, names),
    ],
  };
};

/** A market that is one group is closed by itself: only a group among others can be apart from them. */
const isClosed = (cluster: Cluster, agentCount: number): boolean =>
  cluster.members.length >= CLOSED_MEMBERS && cluster.members.length < agentCount && cluster.closedness >= CLOSED_SHARE;

async function readEdges(topic: string, signal: AbortSignal) {
  const edges: TrustEdge[] = [];
  for (let after = ""; ;) {
    const answer = await ask<Trusts>(TRUSTS, { topic, after }, signal);
    for (const { client, provider, weight } of answer.localTrusts)
      edges.push({ from: agentNumber(client.id), to: agentNumber(provider.id), weight: Number(weight) });
    const isCut = edges.length >= MAX_EDGES;
    if (answer.localTrusts.length === ROWS && !isCut) {
      after = answer.localTrusts[ROWS - 1]?.id ?? "";
      continue;
    }
    const { block } = answer._meta;
    return { edges, isCut, block, isKnown: answer.topic !== null, candidate: answer.topic?.finalizedCandidate?.id };
  }
}

async function readRanked(candidate: string, topic: string, signal: AbortSignal): Promise<readonly RankedRow[]> {
  return (await ask<{ scores: readonly RankedRow[] }>(RANKED, { candidate, topic }, signal)).scores;
}

function agentsOf(
  edges: readonly TrustEdge[],
  ranked: readonly RankedRow[],
  clusterOf: ReadonlyMap<string, number>,
): GraphAgent[] {
  const known = new Map(
    ranked.flatMap(({ agent, score }) => (agent === null ? [] : [[agentNumber(agent.id), { agent, score }] as const])),
  );
  return [...new Set(edges.flatMap(({ from, to }) => [from, to]))].map((id) => ({
    id,
    name: known.get(id)?.agent.registrationFile?.name ?? "",
    score: Number(known.get(id)?.score ?? 0) / WHOLE,
    cluster: clusterOf.get(id),
  }));
}

/** The picture; what it shows stands in the tables below it, for whoever sees no picture. */
function drawing(
  { drawGraph }: GraphScript,
  agents: readonly GraphAgent[],
  edges: readonly TrustEdge[],
  signal: AbortSignal,
): Child {
  if (edges.length === 0) return h("p", { class: "empty" }, "Nobody has earned trust in this topic yet.");
  const canvas = h("div", {
    ...{ class: "graph", role: "application", tabindex: 0, "aria-describedby": "graph-keys" },
    "aria-label": `Graph of ${agents.length} agents and ${edges.length} arrows of trust`,
  });
  const note = h(
    "p",
    { id: "graph-keys", class: "note" },
    "Drag or arrow keys move, wheel or + and − zoom, 0 shows all.",
  );
  // It needs its size, which it has once the page is shown.
  requestAnimationFrame(() => {
    if (signal.aborted) return;
    const open = (agent: string): void => {
      const link = h("a", { href: `/agents/${agent}` });
      canvas.append(link);
      link.click();
    };
    try {
      signal.addEventListener("abort", drawGraph(canvas, agents, edges, open), { once: true });
    } catch {
      note.textContent = "This browser draws no graph (it needs WebGL 2); the tables below say the same.";
      canvas.remove();
    }
  });
  return [canvas, note];
}

function clusterSection(
  site: Site,
  clusters: readonly Cluster[],
  agentCount: number,
  names: ReadonlyMap<string, AgentRef>,
): Child {
  const columns = [
    ...[{ name: "Group" }, { name: "Agents", isNumber: true }, { name: "Trust inside", isNumber: true }],
    ...[{ name: "Earned outside", isNumber: true }, { name: "Closed", isNumber: true }, { name: "Members" }],
  ];
  const { chainId } = site.config.deployment;
  const rows = clusters.slice(0, SHOWN_CLUSTERS).map((cluster, k) => {
    const { members, inside, earnedOutside } = cluster;
    const links = members
      .slice(0, SHOWN_MEMBERS)
      .flatMap((agent) => [agentLink(names.get(agent) ?? { id: `${chainId}:${agent}` }), " "]);
    const more = members.length > SHOWN_MEMBERS ? `and ${members.length - SHOWN_MEMBERS} more` : "";
    const share = `${(100 * cluster.closedness).toFixed(0)} %`;
    return [
      ...[`${k + 1}`, countText(members.length), countText(inside), countText(earnedOutside)],
      ...[isClosed(cluster, agentCount) ? h("strong", {}, share) : share, [links, more]],
    ];
  });
  return section(
    "Groups that trust each other",
    h(
      "p",
      {},
      "Groups are found in the graph alone (Louvain). Closed is the share of a group's trust that it earned from itself: honest agents that have many clients are open, a ring that rates itself is closed. Trust earned inside a ring is worth only what its stake and its outside clients give it.",
    ),
    table("Groups", columns, rows),
  );
}
