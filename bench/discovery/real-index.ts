import { keccak256, toHex, zeroAddress, zeroHash, type Address } from "viem";
import {
  bodyHashOf,
  createSigner,
  encodeBody,
  kinds,
  signAlive,
  signLogHeader,
  sketchOf,
  tagsOf,
  textOf,
  type AliveProof,
  type Bodies,
  type DomainContracts,
} from "#protocol";
import { createDiscovery } from "../../node/discovery/discovery.ts";
import { createLogStore } from "../../node/log/log-store.ts";
import { openStore } from "../../node/store/sqlite.ts";

const contracts: DomainContracts = { chainId: 31_337, identityRegistry: zeroAddress, dealEscrow: zeroAddress };
const TOPICS = ["translation", "legal", "data_analysis", "images", "code", "research", "audio", "planning"];
const WORDS = (
  "contract german english french summary table forecast price invoice image logo video speech transcript test review bug compile " +
  "database query plan travel route weather market stock crypto audit tax law patent medical report lab protein climate map satellite " +
  "music mix voice news archive search crawl extract label classify rank cluster schedule calendar email letter draft edit proof translate"
).split(" ");

export interface IndexTimings {
  /** One find each, milliseconds. */
  readonly findMs: readonly number[];
  readonly declarations: number;
}

/**
 * An index of so many declarations, one a log, each signed; then questions of one to three words, one at a time. All agents
 * are live by answers that are remembered, as in a node that has searched before.
 */
export async function timeIndex(
  declarations: number,
  finds: number,
  onProgress: (line: string) => void,
): Promise<IndexTimings> {
  const store = openStore(":memory:");
  const logs = createLogStore(store);
  const proofs = new Map<Address, AliveProof>();
  const ids = new Map<Address, bigint>();
  const nowMs = () => Date.now();
  const discovery = createDiscovery({
    ...{ store, logs, nowMs },
    agents: { agentOf: async (log) => ids.get(log), commitmentOf: async () => zeroHash },
    scores: { scoresOf: async () => new Map() },
    liveness: {
      proofOf: (log) => proofs.get(log),
      prove: async (targets) => new Map(targets.map(({ log }) => [log, proofs.get(log) as AliveProof])),
    },
  });
  for (let i = 0; i < declarations; i++) {
    // A key for each log, derived from its number: worth nothing anywhere.
    const signer = createSigner(keccak256(toHex(`surety bench ${i}`)));
    ids.set(signer.address, BigInt(i + 1));
    const body = offerOf(i);
    const bytes = encodeBody("declare", body);
    const meaning = { tags: tagsOf(body.skills), sketch: sketchOf(textOf({ kind: "declare", body })) };
    const content = {
      bodyHash: bodyHashOf(bytes),
      bodyLength: bytes.length,
      timeMs: nowMs(),
      ttl: 172_800,
      ...meaning,
    };
    const place = { version: 1, kind: kinds.declare, log: signer.address, seq: 0, prev: zeroHash };
    const header = signLogHeader({ ...place, ...content }, signer, contracts);
    logs.appendOwn(header, bytes, nowMs());
    discovery.apply({ header, body: { kind: "declare", body } });
    const challenge = { nonce: zeroHash, blockHash: zeroHash, askedMs: nowMs() };
    proofs.set(signer.address, signAlive(challenge, signer.address, signer, contracts));
    if ((i + 1) % 2_500 === 0) onProgress(`${i + 1} of ${declarations} declarations indexed`);
  }
  const findMs: number[] = [];
  for (let i = 0; i < finds; i++) {
    const query = wordsOf(`question ${i}`, 1 + (i % 3)).join(" ");
    const filter = i % 4 === 0 ? { topic: TOPICS[i % TOPICS.length] as string } : {};
    const startedMs = performance.now();
    await discovery.find(query, { ...filter, scope: "local" }, AbortSignal.timeout(30_000));
    findMs.push(performance.now() - startedMs);
  }
  store.close();
  return { findMs, declarations };
}

function offerOf(i: number): Bodies["declare"] {
  const topic = TOPICS[i % TOPICS.length] as string;
  const description = wordsOf(`offer ${i}`, 30).join(" ");
  return {
    ...{
      agentId: BigInt(i + 1),
      name: `Agent ${i}`,
      description,
      topics: [topic],
      skills: [topic],
      priceWei: BigInt(i),
    },
    ...{ token: zeroAddress, peerId: "16Uiu2HAmVrUuXqRWGG4QAd7GnBDoL6Rrvp4FhKrqHkhUzzWyGhMr", addresses: [] },
  };
}

/** The same words in every run: a quarter of them common ones, in a third of all texts each, the others of some 1,600 rarer ones. */
function wordsOf(seed: string, count: number): string[] {
  const pages = Array.from({ length: Math.ceil(count / 16) }, (_, i) => keccak256(toHex(`${seed} ${i}`)).slice(2));
  const bytes = pages.join("");
  return Array.from({ length: count }, (_, i) => {
    const [first, second] = [4 * i, 4 * i + 2].map((at) => Number.parseInt(bytes.slice(at, at + 2), 16)) as [
      number,
      number,
    ];
    const word = WORDS[first % WORDS.length] as string;
    return second < 64 ? word : `${word}${second % 25}`;
  });
}
