import { zeroHash, type Address, type Hex } from "viem";
import {
  applyEntry,
  createDeclarations,
  decodeBody,
  isBoundHeader,
  SuretyError,
  textOf,
  type Body,
  type Declarations,
  type DeclarationsStep,
  type LogEntry,
} from "#protocol";
import type { LogReader, StoredEntry } from "../log/log-store.ts";
import type { Store } from "../store/port.ts";
import { createIndexTable, type Candidate } from "./index-table.ts";
import type { AgentPort, Finding, FindFilter, ScorePort } from "./port.ts";
import { livenessOf, matchOf, parseQuery, rankOf, type Query } from "./ranking.ts";

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;
/** Folds kept in memory; one that is asked for again is folded from the store. */
const MAX_FOLDS = 1_024;
/** Logs of one page while the index is rebuilt. */
const REBUILD_PAGE = 256;

export interface DiscoveryOptions {
  readonly store: Store;
  readonly logs: LogReader;
  readonly agents: AgentPort;
  readonly scores: ScorePort;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
}

/** The index over everything that this node heard, own declarations included. */
export interface Discovery {
  /** An entry whose body is stored: from `gossip.onEntry`. */
  apply(entry: LogEntry): void;
  /** The log equivocated: from `gossip.onFork`. */
  shut(log: Address): void;
  /** Brings the index up to what the logs say; after a crash the two can differ. */
  rebuild(): void;
  /**
   * Best first, one finding an agent. Withdrawn, completed, expired and forked ones are never found; neither is a
   * declaration in the name of an agent for which its log does not speak.
   * @param query words; empty asks for all that pass the filter @throws SuretyError FIND_FILTER_INVALID
   */
  find(query: string, filter: FindFilter, signal: AbortSignal): Promise<Finding[]>;
}

export function createDiscovery({ store, logs, agents, scores, nowMs }: DiscoveryOptions): Discovery {
  const table = createIndexTable(store);
  const folds = new Map<Address, Declarations>();

  function hear({ header: { header }, body }: LogEntry, heardMs: number): void {
    table.hear(header.log, heardMs);
    if (body.kind === "attest") table.attest(header.log, header.seq, body.body.commitment);
  }

  function keep(log: Address, { state, changed, dropped }: DeclarationsStep): void {
    folds.delete(log);
    folds.set(log, state);
    const oldest = folds.keys().next();
    if (folds.size > MAX_FOLDS && !oldest.done) folds.delete(oldest.value);
    if (changed) table.put(changed);
    if (dropped) table.remove(dropped.id);
  }

  /** Everything that a log's stored bodies say; the index follows. */
  function foldStored(log: Address): void {
    let state = createDeclarations();
    for (const entry of logs.entriesWithBody(log)) {
      const read = readEntry(entry);
      if (read === undefined) continue;
      const step = applyEntry(state, read);
      if (step.dropped) table.remove(step.dropped.id);
      state = step.state;
      hear(read, entry.heardMs);
    }
    for (const declaration of state.byId.values()) table.put(declaration);
    keep(log, { state });
  }

  return {
    apply(entry) {
      const { log } = entry.header.header;
      const state = folds.get(log);
      if (state === undefined) foldStored(log);
      else keep(log, applyEntry(state, entry));
      hear(entry, nowMs());
    },
    shut: (log) => table.shut(log),
    rebuild() {
      for (let after: Address | undefined; ;) {
        const page = logs.heads(after, REBUILD_PAGE);
        for (const { log } of page) {
          foldStored(log);
          if (logs.forkOf(log) !== undefined) table.shut(log);
        }
        after = page.at(-1)?.log;
        if (page.length < REBUILD_PAGE) return;
      }
    },
    async find(text, filter, signal) {
      checkFilter(filter);
      const query = parseQuery(text);
      const found = table
        .candidates(query, filter, nowMs())
        .map((candidate) => readCandidate(candidate, logs, query, nowMs()))
        .filter((candidate) => candidate !== undefined);
      const genuine = await keepGenuine(found, agents, signal);
      const scored = await addScores(genuine, filter, scores, signal);
      const best = bestPerAgent(scored).slice(0, filter.limit ?? DEFAULT_LIMIT);
      return Promise.all(best.map((finding) => judgeBound(finding, table.attestedBy(finding.log), agents, signal)));
    },
  };
}

type Unscored = Omit<Finding, "score" | "rank">;

function readEntry({ header, body }: StoredEntry): LogEntry | undefined {
  const decoded = body && decodeBody(header.header.kind, body);
  return decoded?.kind === "accept" ? { header, body: decoded.value } : undefined;
}

/** The declaration as its author wrote it, read again from the log that proves it. */
function readCandidate(candidate: Candidate, logs: LogReader, query: Query, nowMs: number): Unscored | undefined {
  const entry = logs.entryByDigest(candidate.latestDigest);
  const body = entry && readEntry(entry)?.body;
  if (entry?.body === undefined || body === undefined) return undefined;
  const said = contentOf(body);
  if (said === undefined) return undefined;
  const { header, digest, signature } = { ...entry.header, header: entry.header.header };
  return {
    ...said,
    declarationId: candidate.id,
    isBound: isBoundHeader(header),
    log: candidate.log,
    match: matchOf(query, textOf(body), candidate.sketch),
    liveness: livenessOf(nowMs - candidate.heardMs),
    evidence: { header: { header, signature }, digest, body: entry.body },
  };
}

type Content = Pick<
  Finding,
  "agentId" | "name" | "description" | "topics" | "skills" | "priceWei" | "token" | "peerId" | "addresses"
>;

function contentOf({ kind, body }: Body): Content | undefined {
  if (kind === "intent") {
    const { topic, reservePriceWei, call: _call, bidByMs: _bidByMs, ...rest } = body;
    return { ...rest, name: topic, topics: [topic], priceWei: reservePriceWei };
  }
  if (kind === "declare") return body;
  if (kind !== "update") return undefined;
  const { target: _target, ...content } = body;
  return content;
}

/** A body names an agent; only the chain says whether its log may. Each log is asked for once. */
async function keepGenuine(found: readonly Unscored[], agents: AgentPort, signal: AbortSignal): Promise<Unscored[]> {
  const asked = [...new Set(found.map(({ log }) => log))];
  const answers = await Promise.all(asked.map((log) => agents.agentOf(log, signal)));
  const agentOf = new Map<Hex, bigint | undefined>(asked.map((log, i) => [log, answers[i]]));
  return found.filter(({ log, agentId }) => agentOf.get(log) === agentId);
}

/** An entry's mark is a claim: it counts where the log attested the very commitment that the chain holds of its agent now. */
async function judgeBound(
  finding: Finding,
  attested: Hex | undefined,
  agents: AgentPort,
  signal: AbortSignal,
): Promise<Finding> {
  if (!finding.isBound || attested === undefined || attested === zeroHash) return { ...finding, isBound: false };
  return { ...finding, isBound: (await agents.commitmentOf(finding.agentId, signal)) === attested };
}

/** Scores belong to a topic: the one asked for, else the first that the declaration names. */
async function addScores(
  found: readonly Unscored[],
  { topic, minScore = 0 }: FindFilter,
  scores: ScorePort,
  signal: AbortSignal,
): Promise<Finding[]> {
  const byTopic = Map.groupBy(found, ({ topics }) => topic ?? topics[0] ?? "");
  const groups = await Promise.all(
    [...byTopic].map(async ([name, members]) => {
      const known = await scores.scoresOf(name, [...new Set(members.map(({ agentId }) => agentId))], signal);
      return members.map((member) => {
        const score = known.get(member.agentId) ?? 0;
        return { ...member, score, rank: rankOf(member.match, score, member.liveness) };
      });
    }),
  );
  return groups.flat().filter(({ score }) => score >= minScore);
}

/** Best first; ties by id, so that every node orders the same facts the same way. */
function bestPerAgent(findings: readonly Finding[]): Finding[] {
  const sorted = findings.toSorted((a, b) => b.rank - a.rank || (a.declarationId < b.declarationId ? -1 : 1));
  const seen = new Set<bigint>();
  return sorted.filter(({ agentId }) => !seen.has(agentId) && seen.add(agentId));
}

function checkFilter({ minScore = 0, limit = DEFAULT_LIMIT, maxPriceWei = 0n, maxAgeMs = 0 }: FindFilter): void {
  const isValid =
    minScore >= 0 && minScore <= 1 && Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT && maxPriceWei >= 0n;
  if (isValid && maxPriceWei < 1n << 256n && maxAgeMs >= 0) return;
  throw new SuretyError("FIND_FILTER_INVALID", "The filter asks for what cannot be.", {
    values: { minScore, limit, maxPriceWei, maxAgeMs },
    next: `Give minScore in 0…1, limit in 1…${MAX_LIMIT}, maxPriceWei within a uint256 and maxAgeMs ≥ 0.`,
  });
}
