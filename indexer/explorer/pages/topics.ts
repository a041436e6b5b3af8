import { ask, META, type MetaBlock } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { agentNumber, scoreText } from "../format.ts";
import { PAGE_ROWS, pageOf, type Page } from "../page.ts";
import {
  agentLink,
  epochLink,
  facts,
  hash,
  pager,
  section,
  table,
  time,
  topicLink,
  type AgentRef,
  type Site,
} from "../parts.ts";
import { barChart } from "../plots.ts";
import { verifySection } from "../verify-section.ts";
import type { TopicClaim } from "../verify/claims.ts";

export const TOPICS = `query Topics($first: Int!, $skip: Int!) {
  ${META}
  topics(first: $first, skip: $skip, orderBy: seatCount, orderDirection: desc) {
    id seatCount finalizedEpoch finalizedCandidate { id publisher { id registrationFile { name } } }
  }
}`;

interface TopicRow {
  readonly id: string;
  readonly seatCount: string;
  readonly finalizedEpoch: string | null;
  readonly finalizedCandidate: { readonly id: string; readonly publisher: AgentRef | null } | null;
}

export const topicsPage: Page = async ({ site, url, signal }) => {
  const { page, first, skip } = pageOf(url);
  const { topics, _meta } = await ask<{ topics: readonly TopicRow[] }>(TOPICS, { first, skip }, signal);
  const columns = [
    { name: "Topic" },
    { name: "Trust" },
    { name: "Seats", isNumber: true },
    { name: "Finalized" },
    { name: "Published by" },
  ];
  const rows = topics
    .slice(0, PAGE_ROWS)
    .map((topic) => [
      topicLink(site, topic.id),
      h("a", { href: `/trust/${topic.id}`, "aria-label": `Trust graph of topic ${topic.id}` }, "graph"),
      topic.seatCount,
      topic.finalizedEpoch === null ? "no epoch yet" : epochLink(topic.finalizedEpoch),
      topic.finalizedCandidate === null ? "–" : agentLink(topic.finalizedCandidate.publisher),
    ]);
  return {
    title: "Topics and their scores",
    block: _meta.block,
    body: [
      h(
        "p",
        { class: "lead" },
        "Trust is kept by topic: who codes well need not translate well. A chain holds a topic as a number; names are hashed by this page.",
      ),
      table("Topics", columns, rows),
      pager(url, page, topics.length > PAGE_ROWS),
    ],
  };
};

export const TOPIC = `query Topic($id: String!) {
  ${META}
  topic(id: $id) {
    id seatCount finalizedEpoch
    finalizedCandidate { id publisher { id registrationFile { name } } committedAt committedTx leavesState topicRoots(where: { topic: $id }) { root leafCount epoch finalizedAt finalizedTx } }
    roots(first: 30, orderBy: epoch, orderDirection: desc, where: { finalizedAt_not: null }) { epoch leafCount root finalizedAt finalizedTx }
  }
}`;

export const SCORES = `query Scores($candidate: String!, $topic: String!, $first: Int!, $skip: Int!) {
  ${META}
  scores(first: $first, skip: $skip, orderBy: score, orderDirection: desc, where: { candidate: $candidate, topic: $topic }) {
    seat score prior rowSum leaf agent { id registrationFile { name } }
  }
}`;

/** Leaves by seat, a page of GraphQL's bound at a time. */
const LEAVES = `query Leaves($candidate: String!, $topic: String!, $from: BigInt!) {
  ${META}
  scores(first: 1000, orderBy: seat, where: { candidate: $candidate, topic: $topic, seat_gte: $from }) { seat score leaf agent { id } }
}`;

interface RootRow {
  readonly epoch: string;
  readonly leafCount: string;
  readonly root: `0x${string}`;
  readonly finalizedAt: string;
  readonly finalizedTx: string;
}

interface TopicDetail extends Omit<TopicRow, "finalizedCandidate"> {
  readonly finalizedCandidate:
    | (Readonly<Record<"id" | "committedAt" | "committedTx" | "leavesState", string>> & {
        readonly publisher: AgentRef | null;
        readonly topicRoots: readonly RootRow[];
      })
    | null;
  readonly roots: readonly RootRow[];
}

interface ScoreRow {
  readonly seat: string;
  readonly score: string;
  readonly prior: string;
  readonly rowSum: string;
  readonly leaf: `0x${string}`;
  readonly agent: AgentRef | null;
}

export const topicPage: Page = async ({ site, url, subject, signal }) => {
  const { topic, _meta } = await ask<{ topic: TopicDetail | null }>(TOPIC, { id: subject }, signal);
  const title = `Topic ${site.topicNames.get(subject) ?? subject}`;
  const candidate = topic?.finalizedCandidate ?? null;
  const root = candidate?.topicRoots[0];
  if (topic === null || candidate === null || root === undefined) {
    return { title, block: _meta.block, body: [h("p", {}, "No epoch of this topic is finalized yet.")] };
  }
  const { page, first, skip } = pageOf(url);
  const ids = { candidate: candidate.id, topic: subject };
  const { scores } = await ask<{ scores: readonly ScoreRow[] }>(SCORES, { ...ids, first, skip }, signal);
  return {
    title,
    block: _meta.block,
    body: [
      section(
        "Last finalized epoch",
        facts([
          ["Epoch", epochLink(root.epoch)],
          ["Published by", agentLink(candidate.publisher)],
          ["Leaves", root.leafCount],
          ["Root", hash(root.root)],
          ["Finalized", [time(site, root.finalizedAt), " in ", hash(root.finalizedTx)]],
          ["Who trusts whom", h("a", { href: `/trust/${subject}` }, "trust graph")],
          ["Committed", [time(site, candidate.committedAt), " in ", hash(candidate.committedTx)]],
        ]),
      ),
      verifySection(site.config, "every score of this topic", async function* (verifier, chain) {
        const [leaves, block] = await readLeaves(ids, Number(root.leafCount));
        yield* verifier.verifyTopic(chain, { ...root, topic: subject, leaves }, block);
      }),
      scoresSection(scores.slice(0, PAGE_ROWS), skip),
      pager(url, page, scores.length > PAGE_ROWS),
      rootsSection(site, topic.roots),
    ],
  };
};

async function readLeaves(
  ids: { readonly candidate: string; readonly topic: string },
  leafCount: number,
): Promise<[TopicClaim["leaves"], MetaBlock]> {
  const leaves: TopicClaim["leaves"][number][] = [];
  for (;;) {
    const signal = AbortSignal.timeout(30_000);
    const answer = await ask<{ scores: readonly ScoreRow[] }>(LEAVES, { ...ids, from: String(leaves.length) }, signal);
    for (const { agent, seat, score, leaf } of answer.scores) {
      // The first seat is the dust's, which is no agent's.
      leaves.push({ seat, score, leaf, agent: agent === null ? "0" : agentNumber(agent.id) });
    }
    if (answer.scores.length === 0 || leaves.length >= leafCount) return [leaves, answer._meta.block];
  }
}

function scoresSection(scores: readonly ScoreRow[], skipped: number): Child {
  const ranked = scores.filter(({ agent }) => agent !== null);
  const bars = ranked.map(({ agent, score }, k) => ({
    ...{ x: k, y: Number(score) },
    label: `agent ${agentNumber(agent?.id ?? "")}: ${scoreText(BigInt(score))}`,
  }));
  const columns = [
    ...[{ name: "Rank", isNumber: true }, { name: "Agent" }, { name: "Share of all trust", isNumber: true }],
    ...[
      { name: "Prior from stake", isNumber: true },
      { name: "Trust it gave", isNumber: true },
      { name: "Seat", isNumber: true },
    ],
  ];
  const rows = ranked.map(({ agent, score, prior, rowSum, seat }, k) => [
    ...[skipped + k + 1, agentLink(agent), scoreText(BigInt(score)), prior, rowSum, seat],
  ]);
  return section("Scores", barChart("Share of all trust by rank", bars), table("Scores", columns, rows));
}

function rootsSection(site: Site, roots: readonly RootRow[]): Child {
  const columns = [{ name: "Epoch" }, { name: "Leaves", isNumber: true }, { name: "Root" }, { name: "Finalized" }];
  const rows = roots.map((root) => [
    epochLink(root.epoch),
    root.leafCount,
    hash(root.root),
    time(site, root.finalizedAt),
  ]);
  return section("Finalized epochs of this topic", table("Epochs", columns, rows));
}
