import { bytesToHex, hexToBytes, type Address, type Hex } from "viem";
import {
  accept,
  addressOfPeerId,
  ALIVE_SIGNATURE_BYTES,
  ALIVE_CHALLENGE_BYTES,
  decodeAliveChallenge,
  encodeAliveChallenge,
  ignore,
  reject,
  signAlive,
  verifyAlive,
  type AliveProof,
  type DomainContracts,
  type Signer,
  type Verdict,
} from "#protocol";
import { protocolId, type PeerName, type Transport } from "../transport/port.ts";
import { limitRate, type RateLimits } from "../transport/rate.ts";

export const ALIVE_PROTOCOL = protocolId("alive");
/** How long an answer shows that its log is alive: as long as a search may cite it without asking again. */
export const LIVENESS_TTL_MS = 600_000;
/** One challenge; who answers later than this is not there for a negotiation either. */
const CHALLENGE_TIMEOUT_MS = 5_000;
/** Who did not answer is not asked again for so long, whoever searches. */
const SILENT_MS = 30_000;
/** Logs whose answer or silence is remembered. */
const MAX_REMEMBERED = 4_096;
/** Challenges under way at once; each holds a dial and a stream. */
const MAX_UNDER_WAY = 64;
/** Clocks may differ by this much, as for headers: nobody signs a time that is not its own. */
const CLOCK_TOLERANCE_MS = 120_000;
/** An answer costs a signature of about a millisecond. */
const RATE: RateLimits = { perPeer: { perSecond: 2, burst: 20 }, total: { perSecond: 100, burst: 200 } };

/** Whom to challenge, and where it says that it listens. */
export interface LivenessTarget {
  readonly log: Address;
  readonly peerId: PeerName;
  readonly addresses: readonly string[];
}

export interface ProveOptions {
  /** Answers up to this age count; 0 asks everybody anew. */
  readonly maxAgeMs: number;
  /** So many answers are enough: the others are not waited for. */
  readonly enough: number;
}

export interface LivenessOptions {
  readonly transport: Pick<Transport, "peerId" | "request" | "serve" | "learnAddresses">;
  /** The node's own LOG signer, which answers for this node. */
  readonly signer: Signer;
  readonly contracts: DomainContracts;
  /** Unix milliseconds. */
  readonly nowMs: () => number;
  /** 32 random bytes. */
  readonly random: () => Hex;
  /** Hash of the newest block that the node knows. */
  readonly blockHash: () => Hex;
  /** Where else a log's node may be reached: from signed peer records; default nowhere. */
  readonly locate?: (log: Address, signal: AbortSignal) => Promise<PeerName | undefined>;
}

/** Who is there: signed answers to challenges, own ones and those that were asked for. */
export interface Liveness {
  /** Answers the challenges of others. */
  start(): Promise<void>;
  /** The newest answer of a log, however old. */
  proofOf(log: Address): AliveProof | undefined;
  /**
   * Challenges in parallel whose answer is older than `maxAgeMs`, until enough have answered or the signal aborts; a late
   * answer is kept for the next search. @returns answers of an age that counts, by log; never throws for what a peer does
   */
  prove(
    targets: readonly LivenessTarget[],
    options: ProveOptions,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<Address, AliveProof>>;
  /** Ends what is under way. */
  stop(): Promise<void>;
}

export function createLiveness(options: LivenessOptions): Liveness {
  const { transport, signer, nowMs } = options;
  const proofs = new Map<Address, AliveProof>();
  const silentUntil = new Map<Address, number>();
  const underWay = new Map<Address, Promise<void>>();
  const stopping = new AbortController();

  /** Whether the log answered a challenge that was made after `sinceMs`. */
  const isFresh = (log: Address, sinceMs: number): boolean => (proofs.get(log)?.alive.askedMs ?? -1) >= sinceMs;

  async function challenge(target: LivenessTarget): Promise<void> {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(CHALLENGE_TIMEOUT_MS)]);
    const proof = await ask(target, options, signal);
    if (stopping.signal.aborted) return;
    if (proof.kind === "accept") remember(proofs, target.log, proof.value);
    else remember(silentUntil, target.log, nowMs() + SILENT_MS);
  }

  /** One challenge of a log at a time, whoever waits for it. */
  function challengeOnce(target: LivenessTarget): Promise<void> {
    let running = underWay.get(target.log);
    if (running === undefined) {
      running = challenge(target).finally(() => underWay.delete(target.log));
      underWay.set(target.log, running);
    }
    return running;
  }

  /** Targets whose answer is missing, and who may be asked now. */
  function due(targets: readonly LivenessTarget[], sinceMs: number): LivenessTarget[] {
    if (stopping.signal.aborted) return [];
    const missing = targets.filter(({ log }) => !isFresh(log, sinceMs) && (silentUntil.get(log) ?? 0) <= nowMs());
    return missing.slice(0, MAX_UNDER_WAY);
  }

  return {
    async start() {
      const answer = limitRate(async (request, from) => answerChallenge(request, from, options), RATE, nowMs);
      await transport.serve(ALIVE_PROTOCOL, answer, {
        maxRequestBytes: ALIVE_CHALLENGE_BYTES,
        maxConcurrentPerPeer: 4,
      });
    },
    proofOf: (log) => proofs.get(log),
    async prove(targets, { maxAgeMs, enough }, signal) {
      const sinceMs = nowMs() - Math.min(maxAgeMs, LIVENESS_TTL_MS);
      const fresh = () => targets.filter(({ log }) => isFresh(log, sinceMs));
      if (targets.some(({ log }) => log === signer.address)) remember(proofs, signer.address, proveSelf(options));
      const isEnough = () => fresh().length >= enough;
      if (!isEnough()) await untilEnough(due(targets, sinceMs).map(challengeOnce), isEnough, signal);
      return new Map(fresh().map(({ log }) => [log, proofs.get(log) as AliveProof]));
    },
    async stop() {
      stopping.abort();
      await Promise.allSettled(underWay.values());
    },
  };
}

/** Resolves when all have ended, when enough have, or when the signal aborts. */
async function untilEnough(
  work: readonly Promise<void>[],
  isEnough: () => boolean,
  signal: AbortSignal,
): Promise<void> {
  if (work.length === 0 || signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const end = () => resolve(undefined);
  signal.addEventListener("abort", end);
  for (const each of work) void each.then(() => (isEnough() ? end() : undefined));
  void Promise.all(work).then(end);
  await promise;
  signal.removeEventListener("abort", end);
}

async function ask(
  { log, peerId, addresses }: LivenessTarget,
  options: LivenessOptions,
  signal: AbortSignal,
): Promise<Verdict<AliveProof>> {
  const { transport, locate } = options;
  const learned = await transport.learnAddresses(peerId, addresses);
  const first = learned.kind === "accept" ? await askAt(peerId, log, options, signal) : learned;
  if (first.kind === "accept" || locate === undefined || signal.aborted) return first;
  // It may have moved since it declared where it listens: its newest signed record says where to.
  const located = await locate(log, signal).catch(() => undefined);
  return located === undefined ? first : askAt(located, log, options, signal);
}

async function askAt(
  peer: PeerName,
  log: Address,
  { transport, contracts, nowMs, random, blockHash }: LivenessOptions,
  signal: AbortSignal,
): Promise<Verdict<AliveProof>> {
  const asker = addressOfPeerId(transport.peerId);
  if (asker.kind !== "accept") return asker;
  const challenge = { nonce: random(), blockHash: blockHash(), askedMs: nowMs() };
  const request = encodeAliveChallenge(challenge);
  const answer = await transport.request(peer, ALIVE_PROTOCOL, request, {
    signal,
    maxResponseBytes: ALIVE_SIGNATURE_BYTES,
  });
  if (answer.kind !== "accept") return answer;
  if (answer.value.length !== ALIVE_SIGNATURE_BYTES) return reject("ALIVE_LENGTH", `${answer.value.length} bytes`);
  return verifyAlive(
    { alive: { log, asker: asker.value, ...challenge }, signature: bytesToHex(answer.value) },
    contracts,
  );
}

function answerChallenge(
  request: Uint8Array,
  from: PeerName,
  { signer, contracts, nowMs }: LivenessOptions,
): Verdict<Uint8Array> {
  const challenge = decodeAliveChallenge(request);
  if (challenge.kind !== "accept") return challenge;
  const asker = addressOfPeerId(from);
  if (asker.kind !== "accept") return asker;
  const offMs = Math.abs(challenge.value.askedMs - nowMs());
  if (offMs > CLOCK_TOLERANCE_MS) return ignore("ALIVE_CLOCK", `our clocks differ by ${offMs} ms`);
  return accept(hexToBytes(signAlive(challenge.value, asker.value, signer, contracts).signature));
}

function proveSelf({ transport, signer, contracts, nowMs, random, blockHash }: LivenessOptions): AliveProof {
  const asker = addressOfPeerId(transport.peerId);
  const challenge = { nonce: random(), blockHash: blockHash(), askedMs: nowMs() };
  return signAlive(challenge, asker.kind === "accept" ? asker.value : signer.address, signer, contracts);
}

/** The one set longest ago makes room. */
function remember<V>(map: Map<Address, V>, key: Address, value: V): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next();
  if (map.size > MAX_REMEMBERED && oldest.done !== true) map.delete(oldest.value);
}
