import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { shorten } from "../format.ts";
import { notFound, PAGE_ROWS, pageOf, type Page } from "../page.ts";
import { agentLink, amount, facts, hash, pager, section, table, time, type AgentRef, type Site } from "../parts.ts";
import { verifySection } from "../verify-section.ts";
import type { ForkClaim } from "../verify/claims.ts";

const FORK_FIELDS = "id offence reporter taken transaction timestamp agent { id registrationFile { name } }";

export const FORKS = `query Forks($first: Int!, $skip: Int!) {
  ${META}
  forks(first: $first, skip: $skip, orderBy: timestamp, orderDirection: desc) { ${FORK_FIELDS} }
}`;

export const FORK = `query Fork($id: String!) { ${META} fork(id: $id) { ${FORK_FIELDS} } }`;

interface ForkRow extends ForkClaim {
  readonly agent: AgentRef | null;
  readonly reporter: string;
  readonly timestamp: string;
}

const words: Readonly<Record<string, string>> = {
  Equivocation: "two histories of its log",
  DoubleSigning: "two batches of one window",
};

const NOBODY = /^0x0+$/;
const reporterOf = ({ reporter }: ForkRow): Child =>
  NOBODY.test(reporter) ? "nobody who wanted a reward" : hash(reporter);

export const evidencePage: Page = async ({ site, url, signal }) => {
  const { page, first, skip } = pageOf(url);
  const { forks, _meta } = await ask<{ forks: readonly ForkRow[] }>(FORKS, { first, skip }, signal);
  const columns = [
    ...[{ name: "Evidence" }, { name: "Agent" }, { name: "Signed" }, { name: "Stake lost", isNumber: true }],
    ...[{ name: "Shown" }],
  ];
  const rows = forks
    .slice(0, PAGE_ROWS)
    .map((fork) => [
      h("a", { href: `/evidence/${fork.id}`, class: "mono", title: fork.id }, shorten(fork.id)),
      ...[
        agentLink(fork.agent),
        words[fork.offence] ?? fork.offence,
        amount(site, fork.taken),
        time(site, fork.timestamp),
      ],
    ]);
  return {
    title: "Evidence",
    block: _meta.block,
    body: [
      h(
        "p",
        { class: "lead" },
        "Agents that signed two things where they may sign one. Two signatures of one key are all that it takes: whoever finds them shows both to the chain, which takes the stake.",
      ),
      table("Forks", columns, rows),
      pager(url, page, forks.length > PAGE_ROWS),
    ],
  };
};

export const forkPage: Page = async ({ site, subject, signal }) => {
  const { fork, _meta } = await ask<{ fork: ForkRow | null }>(FORK, { id: subject.toLowerCase() }, signal);
  if (fork === null) return notFound("Evidence", `Nothing was shown to the chain under ${subject}.`);
  return {
    title: `Evidence ${shorten(fork.id)}`,
    block: _meta.block,
    body: [
      factsSection(site, fork),
      verifySection(site.config, "both headers, side by side", (verifier, chain) =>
        verifier.verifyFork(chain, fork, _meta.block),
      ),
    ],
  };
};

function factsSection(site: Site, fork: ForkRow): Child {
  return section(
    "What was shown",
    facts([
      ["Agent", agentLink(fork.agent)],
      ["Signed", words[fork.offence] ?? fork.offence],
      ["Stake lost", amount(site, fork.taken)],
      ["Reported by", reporterOf(fork)],
      ["Shown", [time(site, fork.timestamp), " in ", hash(fork.transaction)]],
    ]),
    h(
      "p",
      {},
      "Both headers are in that transaction's calldata: Verify reads them from the chain, not from this server.",
    ),
  );
}
