import { ask, META } from "../api.ts";
import { h, type Child } from "../dom.ts";
import { shorten } from "../format.ts";
import { notFound, PAGE_ROWS, pageOf, type Page } from "../page.ts";
import {
  agentLink,
  amount,
  badge,
  dealLink,
  facts,
  hash,
  pager,
  section,
  table,
  time,
  type AgentRef,
  type Site,
} from "../parts.ts";

const PARTIES = "client { id registrationFile { name } } provider { id registrationFile { name } }";

export const DISPUTES = `query Disputes($first: Int!, $skip: Int!) {
  ${META}
  disputes(first: $first, skip: $skip, orderBy: startedAt, orderDirection: desc) {
    id stage ruling startedAt deal { id price token ${PARTIES} }
  }
}`;

export const DISPUTE = `query Dispute($id: String!) {
  ${META}
  dispute(id: $id) {
    id arbiter reasonHash stage clientFee providerFee feeBy disputeId appeals ruling returnedToClient returnedToProvider
    startedAt startedTx ruledAt ruledTx
    deal { id price token providerBond clientBond deliverableHash resolution returned ${PARTIES} }
  }
}`;

/** The case as the panel of staked jurors has it, under its own number. */
export const CASE = `query Case($id: String!) {
  ${META}
  panelDispute(id: $id) {
    rounds ruling isDecided isRefused ruledAt
    panelRounds(first: 10, orderBy: number) {
      number size drawn commitUntil revealUntil appealUntil coherent feesPaid bondsPaid
      seats(first: 100) { commitment choice agent { id registrationFile { name } } }
    }
  }
}`;

interface DisputedDeal {
  readonly id: string;
  readonly price: string;
  readonly token: string;
  readonly client: AgentRef | null;
  readonly provider: AgentRef | null;
}

interface DisputeRow {
  readonly id: string;
  readonly stage: string;
  readonly ruling: number | null;
  readonly startedAt: string;
  readonly deal: DisputedDeal;
}

interface DisputeDetail extends Omit<DisputeRow, "deal"> {
  readonly arbiter: string;
  readonly reasonHash: string;
  readonly clientFee: string;
  readonly providerFee: string;
  readonly feeBy: string;
  readonly disputeId: string | null;
  readonly appeals: number;
  readonly returnedToClient: string | null;
  readonly returnedToProvider: string | null;
  readonly startedTx: string;
  readonly ruledAt: string | null;
  readonly ruledTx: string | null;
  readonly deal: DisputedDeal &
    Readonly<Record<"providerBond" | "clientBond", string>> &
    Readonly<Record<"deliverableHash" | "resolution" | "returned", string | null>>;
}

interface Round {
  readonly number: number;
  readonly size: number;
  readonly drawn: number;
  readonly commitUntil: string | null;
  readonly revealUntil: string | null;
  readonly appealUntil: string | null;
  readonly coherent: number | null;
  readonly feesPaid: string | null;
  readonly seats: readonly {
    readonly commitment: string | null;
    readonly choice: number | null;
    readonly agent: AgentRef | null;
  }[];
}

interface PanelCase {
  readonly rounds: number;
  readonly ruling: number | null;
  readonly isDecided: boolean;
  readonly isRefused: boolean;
  readonly panelRounds: readonly Round[];
}

const rulings = ["refused to rule", "for the client", "for the provider"];
const rulingText = (ruling: number | null): string => (ruling === null ? "none yet" : (rulings[ruling] ?? `${ruling}`));

export const disputesPage: Page = async ({ site, url, signal }) => {
  const { page, first, skip } = pageOf(url);
  const { disputes, _meta } = await ask<{ disputes: readonly DisputeRow[] }>(DISPUTES, { first, skip }, signal);
  const columns = [
    ...[{ name: "Dispute" }, { name: "Client" }, { name: "Provider" }, { name: "Price", isNumber: true }],
    ...[{ name: "Stage" }, { name: "Ruling" }, { name: "Begun" }],
  ];
  const rows = disputes
    .slice(0, PAGE_ROWS)
    .map(({ id, stage, ruling, startedAt, deal }) => [
      h("a", { href: `/disputes/${id}`, class: "mono", title: id }, shorten(id)),
      ...[agentLink(deal.client), agentLink(deal.provider), amount(site, deal.price, deal.token)],
      ...[badge(stage), rulingText(ruling), time(site, startedAt)],
    ]);
  return {
    title: "Disputes",
    block: _meta.block,
    body: [table("Disputes", columns, rows), pager(url, page, disputes.length > PAGE_ROWS)],
  };
};

export const disputePage: Page = async ({ site, subject, signal }) => {
  const { dispute, _meta } = await ask<{ dispute: DisputeDetail | null }>(
    DISPUTE,
    { id: subject.toLowerCase() },
    signal,
  );
  if (dispute === null) return notFound("Dispute", `The deal ${subject} was never disputed.`);
  return {
    title: `Dispute about deal ${shorten(dispute.id)}`,
    block: _meta.block,
    body: [
      stakesSection(site, dispute),
      courseSection(site, dispute),
      ...roundSections(site, await readCase(site, dispute, signal)),
    ],
  };
};

/** Other arbitrators keep their cases where they like. */
async function readCase(site: Site, dispute: DisputeDetail, signal: AbortSignal): Promise<PanelCase | null> {
  const { jurorPanel } = site.config.deployment.contracts;
  if (dispute.disputeId === null || dispute.arbiter.toLowerCase() !== jurorPanel.toLowerCase()) return null;
  return (await ask<{ panelDispute: PanelCase | null }>(CASE, { id: dispute.disputeId }, signal)).panelDispute;
}

function stakesSection(site: Site, { deal, reasonHash, arbiter }: DisputeDetail): Child {
  return section(
    "What it is about",
    facts([
      ["Deal", dealLink(deal.id)],
      ["Client", agentLink(deal.client)],
      ["Provider", agentLink(deal.provider)],
      ["Price", amount(site, deal.price, deal.token)],
      ["Provider's bond", amount(site, deal.providerBond, deal.token)],
      ["Client's bond", amount(site, deal.clientBond, deal.token)],
      ["Delivered", hash(deal.deliverableHash)],
      ["The client's reason", hash(reasonHash)],
      ["Arbiter", hash(arbiter)],
    ]),
  );
}

const native = (value: string | null): Child => (value === null || value === "0" ? "none" : `${value} wei`);

function courseSection(site: Site, dispute: DisputeDetail): Child {
  const { deal } = dispute;
  return section(
    "How it went",
    facts([
      ["Stage", badge(dispute.stage)],
      ["Begun", [time(site, dispute.startedAt), " in ", hash(dispute.startedTx)]],
      ["Client's fee", native(dispute.clientFee)],
      ["Provider's fee", native(dispute.providerFee)],
      ["Due", dispute.feeBy === "0" ? "nothing" : time(site, dispute.feeBy)],
      ["Appeals", dispute.appeals],
      ["Ruling", rulingText(dispute.ruling)],
      ["Ruled", dispute.ruledAt === null ? "–" : [time(site, dispute.ruledAt), " in ", hash(dispute.ruledTx)]],
      ["The deal ended", deal.resolution ?? "not yet"],
      ["Back to the payer", amount(site, deal.returned, deal.token)],
    ]),
  );
}

function roundSections(site: Site, panel: PanelCase | null): Child[] {
  if (panel === null) return [];
  return panel.panelRounds.map((round) => roundSection(site, round, panel));
}

function roundSection(site: Site, round: Round, { rounds, ruling, isDecided }: PanelCase): Child {
  const isFirst = round.number === 0;
  const isLast = round.number === rounds - 1;
  // Every round is judged by the last one.
  const outcome = isDecided ? rulingText(ruling) : "no round had a quorum yet";
  return section(
    isFirst ? "First round of the panel" : `Appeal ${round.number}`,
    facts([
      ["Jurors drawn", `${round.drawn} of ${round.size}`],
      ["Votes hidden until", time(site, round.commitUntil)],
      ["Shown until", time(site, round.revealUntil)],
      ["Appeal until", time(site, round.appealUntil)],
      ["Voted with the ruling", round.coherent ?? "not settled"],
      ...(isLast ? [["The panel ruled", outcome] as const] : []),
    ]),
    table(
      isFirst ? "Jurors of the first round" : `Jurors of appeal ${round.number}`,
      [{ name: "Juror" }, { name: "Vote" }],
      round.seats.map((seat) => seatRow(seat, isDecided || !isLast)),
    ),
  );
}

/** @param isOver whether votes can be opened no more */
function seatRow({ agent, commitment, choice }: Round["seats"][number], isOver: boolean): Child[] {
  const unopened = commitment === null ? "none" : isOver ? "never opened" : "hidden";
  return [agentLink(agent), choice === null ? unopened : rulingText(choice)];
}
