import { zeroHash, type Address, type Hex } from "viem";
import { LIVENESS_TTL_MS, type Liveness } from "./liveness.ts";
import type { AgentPort, Finding, FindFilter, ScorePort } from "./port.ts";
import { livenessOf, rankOf } from "./ranking.ts";
import type { Unscored } from "./reading.ts";

export const DEFAULT_LIMIT = 20;
/** Agents challenged at once; the next ones only if too few of them answer. */
const WAVE = 32;
/** What a search waits for answers to its challenges; later ones serve the next search. */
const CHALLENGE_BUDGET_MS = 1_500;

export interface ListingOptions {
  readonly agents: AgentPort;
  readonly scores: ScorePort;
  readonly liveness: Pick<Liveness, "prove" | "proofOf">;
  /** The commitment that a log attested last. */
  readonly attestedBy: (log: Address) => Hex | undefined;
  readonly nowMs: () => number;
}

type Scored = Unscored & { readonly score: number };

/** From what entries say to what is listed: whom the chain knows, by score, one finding an agent, the live ones first. */
export async function listFindings(
  found: readonly Unscored[],
  filter: FindFilter,
  options: ListingOptions,
  signal: AbortSignal,
): Promise<Finding[]> {
  const genuine = await keepGenuine(found, options.agents, signal);
  const scored = await addScores(genuine, filter, options.scores, signal);
  const listed = await listLive(bestPerAgent(scored), filter, options, signal);
  return Promise.all(listed.map((finding) => judgeBound(finding, options, signal)));
}

/** A body names an agent; only the chain says whether its log may. Each log is asked for once. */
async function keepGenuine(found: readonly Unscored[], agents: AgentPort, signal: AbortSignal): Promise<Unscored[]> {
  const asked = [...new Set(found.map(({ log }) => log))];
  const answers = await Promise.all(asked.map((log) => agents.agentOf(log, signal)));
  const agentOf = new Map<Hex, bigint | undefined>(asked.map((log, i) => [log, answers[i]]));
  return found.filter(({ log, agentId }) => agentOf.get(log) === agentId);
}

/** Scores belong to a topic: the one asked for, else the first that the declaration names. */
async function addScores(
  found: readonly Unscored[],
  { topic, minScore = 0 }: FindFilter,
  scores: ScorePort,
  signal: AbortSignal,
): Promise<Scored[]> {
  const byTopic = Map.groupBy(found, ({ topics }) => topic ?? topics[0] ?? "");
  const groups = await Promise.all(
    [...byTopic].map(async ([name, members]) => {
      const known = await scores.scoresOf(name, [...new Set(members.map(({ agentId }) => agentId))], signal);
      return members.map((member) => ({ ...member, score: known.get(member.agentId) ?? 0 }));
    }),
  );
  return groups.flat().filter(({ score }) => score >= minScore);
}

const byPromise = ({ match, score }: Scored): number => rankOf(match, score, 1);

/** Best first; ties by id, so that every node orders the same facts the same way. */
function bestPerAgent(findings: readonly Scored[]): Scored[] {
  const sorted = findings.toSorted((a, b) => byPromise(b) - byPromise(a) || compareIds(a, b));
  const seen = new Set<bigint>();
  return sorted.filter(({ agentId }) => !seen.has(agentId) && seen.add(agentId));
}

const compareIds = (a: Unscored, b: Unscored): number => (a.declarationId < b.declarationId ? -1 : 1);

/** Challenges the best until enough have answered: who promises much and is not there makes room for the next. */
async function listLive(
  best: readonly Scored[],
  filter: FindFilter,
  options: ListingOptions,
  signal: AbortSignal,
): Promise<Finding[]> {
  const { limit = DEFAULT_LIMIT, liveness: wanted = "required" } = filter;
  const maxAgeMs = Math.min(filter.maxAgeMs ?? LIVENESS_TTL_MS, LIVENESS_TTL_MS);
  const sinceMs = options.nowMs() - maxAgeMs;
  const budget = AbortSignal.any([signal, AbortSignal.timeout(CHALLENGE_BUDGET_MS)]);
  const live = new Set<Address>();
  for (let at = 0; at < best.length && wanted !== "known" && live.size < limit && !budget.aborted; at += WAVE) {
    const targets = best.slice(at, at + WAVE);
    const proofs = await options.liveness.prove(targets, { maxAgeMs, enough: limit - live.size }, budget);
    for (const log of proofs.keys()) live.add(log);
  }
  signal.throwIfAborted();
  const judged = best.map((finding) => judgeLiveness(finding, sinceMs, options));
  const listed = wanted === "required" ? judged.filter(({ isLive }) => isLive) : judged;
  const order = (a: Finding, b: Finding) => Number(b.isLive) - Number(a.isLive) || b.rank - a.rank || compareIds(a, b);
  return (wanted === "known" ? listed : listed.toSorted(order)).slice(0, limit);
}

function judgeLiveness(finding: Scored, sinceMs: number, { liveness, nowMs }: ListingOptions): Finding {
  const alive = liveness.proofOf(finding.log);
  const isLive = alive !== undefined && alive.alive.askedMs >= sinceMs;
  const share = livenessOf(isLive ? nowMs() - alive.alive.askedMs : undefined, LIVENESS_TTL_MS);
  return { ...finding, alive, isLive, liveness: share, rank: rankOf(finding.match, finding.score, share) };
}

/** An entry's mark is a claim: it counts where the log attested the very commitment that the chain holds of its agent now. */
async function judgeBound(
  finding: Finding,
  { agents, attestedBy }: ListingOptions,
  signal: AbortSignal,
): Promise<Finding> {
  const attested = attestedBy(finding.log);
  if (!finding.isBound || attested === undefined || attested === zeroHash) return { ...finding, isBound: false };
  return { ...finding, isBound: (await agents.commitmentOf(finding.agentId, signal)) === attested };
}
