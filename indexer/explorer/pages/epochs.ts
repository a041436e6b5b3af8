import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { shorten } from "../format.ts";
import { notFound, PAGE_ROWS, pageOf, type Page } from "../page.ts";
import {
  agentLink,
  badge,
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

export const EPOCHS = `query Epochs($first: Int!, $skip: Int!) {
  ${META}
  epochs(first: $first, skip: $skip, orderBy: number, orderDirection: desc) { id number candidateCount standingCount finalizedTopicCount }
}`;

interface EpochRow {
  readonly number: string;
  readonly candidateCount: number;
  readonly standingCount: number;
  readonly finalizedTopicCount: number;
}

export const epochsPage: Page = async ({ url, signal }) => {
  const { page, first, skip } = pageOf(url);
  const { epochs, _meta } = await ask<{ epochs: readonly EpochRow[] }>(EPOCHS, { first, skip }, signal);
  const columns = [
    ...[{ name: "Epoch" }, { name: "Commits", isNumber: true }, { name: "Standing", isNumber: true }],
    { name: "Topics finalized", isNumber: true },
  ];
  const rows = epochs
    .slice(0, PAGE_ROWS)
    .map((epoch) => [
      ...[epochLink(epoch.number), epoch.candidateCount, epoch.standingCount, epoch.finalizedTopicCount],
    ]);
  return {
    title: "Epochs",
    block: _meta.block,
    body: [
      h(
        "p",
        { class: "lead" },
        "After an epoch closes, a publisher commits to the scores of it under a bond. Until the next epoch ends anybody can strike a false row and take the bond; what stands is finalized.",
      ),
      table("Epochs", columns, rows),
      pager(url, page, epochs.length > PAGE_ROWS),
    ],
  };
};

export const EPOCH = `query Epoch($id: String!) {
  ${META}
  epoch(id: $id) {
    number candidateCount standingCount finalizedTopicCount
    candidates(first: 20) {
      id state leavesState fault challenger slashed reward isBondReleased closingBlockHash committedAt committedTx struckTx
      publisher { id registrationFile { name } }
      topicRoots(first: 100, orderBy: position) { root leafCount multiplier shift leavesState finalizedAt topic { id } }
    }
  }
}`;

interface CandidateRow {
  readonly id: string;
  readonly state: string;
  readonly leavesState: string;
  readonly fault: string | null;
  readonly challenger: string | null;
  readonly slashed: string | null;
  readonly closingBlockHash: string;
  readonly committedAt: string;
  readonly committedTx: string;
  readonly struckTx: string | null;
  readonly publisher: AgentRef | null;
  readonly topicRoots: readonly {
    readonly root: string;
    readonly leafCount: string;
    readonly multiplier: string;
    readonly shift: number;
    readonly leavesState: string;
    readonly finalizedAt: string | null;
    readonly topic: { readonly id: string };
  }[];
}

export const epochPage: Page = async ({ site, subject, signal }) => {
  type Answer = { readonly epoch: (EpochRow & { readonly candidates: readonly CandidateRow[] }) | null };
  const { epoch, _meta } = await ask<Answer>(EPOCH, { id: subject }, signal);
  if (epoch === null) return notFound(`Epoch ${subject}`, "Nobody committed to the scores of this epoch.");
  return {
    title: `Epoch ${epoch.number}`,
    block: _meta.block,
    body: epoch.candidates.map((candidate) => candidateSection(site, candidate)),
  };
};

function candidateSection(site: Site, candidate: CandidateRow): Child {
  const struck: (readonly [string, Child])[] =
    candidate.state === "struck"
      ? [
          ["Struck for", `a false ${(candidate.fault ?? "row").toLowerCase()}`],
          ["Struck by", [hash(candidate.challenger), " in ", hash(candidate.struckTx)]],
          ["Bond taken", candidate.slashed ?? "none"],
        ]
      : [];
  const columns = [
    ...[{ name: "Topic" }, { name: "Leaves", isNumber: true }, { name: "Root" }, { name: "λ", isNumber: true }],
    ...[{ name: "Leaves are" }, { name: "Finalized" }],
  ];
  const rows = candidate.topicRoots.map((root) => [
    ...[topicLink(site, root.topic.id), root.leafCount, hash(root.root), lambdaText(root.multiplier, root.shift)],
    ...[badge(root.leavesState), root.finalizedAt === null ? "not with this commit" : time(site, root.finalizedAt)],
  ]);
  return section(
    `Commit ${shorten(candidate.id)}`,
    facts([
      ["State", badge(candidate.state)],
      ["Publisher", agentLink(candidate.publisher)],
      ["Committed", [time(site, candidate.committedAt), " in ", hash(candidate.committedTx)]],
      ["Closing block", hash(candidate.closingBlockHash)],
      ...struck,
    ]),
    table("Topics", columns, rows),
  );
}

/** λ = multiplier / 2^shift, to four significant digits. */
function lambdaText(multiplier: string, shift: number): string {
  return (Number(multiplier) / 2 ** shift).toPrecision(4);
}
