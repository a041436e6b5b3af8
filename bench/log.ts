// The logs on disk: how many entries a second an author can say and have synced, and how long reading takes when the store holds a
// million entries of a thousand authors and one author with a hundred thousand.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getAddress, keccak256, numberToHex, zeroHash, type Address, type Hex } from "viem";
import {
  bodyHashOf,
  createSigner,
  encodeBody,
  kinds,
  type Bodies,
  type DomainContracts,
  type VerifiedHeader,
} from "#protocol";
import { compactLogs } from "../node/log/compaction.ts";
import { createLogStore, type LogStore } from "../node/log/log-store.ts";
import { openLogWriter } from "../node/log/writer.ts";
import { openStore } from "../node/store/sqlite.ts";
import type { Store } from "../node/store/port.ts";
import type { Bench, Result } from "./harness/report.ts";

interface Size {
  readonly entries: number;
  /** Of these entries, those of one author. */
  readonly longest: number;
  readonly authors: number;
  /** Own entries that are signed and synced one by one. */
  readonly appended: number;
}
const FULL: Size = { entries: 1_000_000, longest: 100_000, authors: 1_000, appended: 2_000 };
const QUICK: Size = { entries: 20_000, longest: 4_000, authors: 100, appended: 200 };
/** Entries of one transaction while the store is filled. */
const BATCH = 1_000;
/** Look-ups of each kind, for their mean. */
const LOOKUPS = 2_000;
const RANGE = 64;
const START_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;

/** The first account of Hardhat's public mnemonic, worth nothing anywhere. */
const KEY: Hex = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
const contracts: DomainContracts = {
  chainId: 31_337,
  identityRegistry: "0x5FbDB2315678afecb367f032d93F642f64180aa3",
  dealEscrow: "0xe7f1725E7734CE288F8367e1Bb143E90bb3F0512",
};

const figure = (id: string, unit: string, value: number, better: Result["better"], note: string): Result => ({
  ...{ id, unit, value: Number(value.toPrecision(4)), goal: null, better, peers: {}, ratio: null, note },
});

export const bench: Bench = {
  profile: "node:sqlite, WAL, synchronous=FULL, one file",
  async run({ isQuick }) {
    const dir = mkdtempSync(join(tmpdir(), "surety-bench-log-"));
    try {
      return await measure(join(dir, "node.sqlite"), isQuick ? QUICK : FULL);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
};

async function measure(path: string, size: Size): Promise<Result[]> {
  const first = openStore(path);
  const fillSeconds = fill(first, createLogStore(first), size);
  first.close();
  const [openMs, store] = timed(() => openStore(path));
  const [prepareMs, logs] = timed(() => createLogStore(store));
  const [countMs, counts] = timed(() => logs.counts());
  const bytes = statSync(path).size;
  console.error(`bench: reading from ${counts.entries} entries`);
  const results = [
    figure("log.fill", "entries/s", size.entries / fillSeconds, "higher", `others' entries, ${BATCH} a transaction`),
    figure("log.size", "B/entry", bytes / counts.entries, "lower", "header, body of a receipt, indexes"),
    figure("log.open", "ms", openMs + prepareMs, "lower", `${counts.entries} entries of ${counts.logs} logs`),
    figure("log.counts", "ms", countMs, "lower", "what `surety network status` asks"),
    ...lookUps(logs, size),
    ...(await append(store, logs, size)),
    ...(await compact(logs, size)),
  ];
  store.close();
  return results;
}

function lookUps(logs: LogStore, size: Size): Result[] {
  const mean = (id: string, note: string, look: (i: number) => unknown): Result => {
    const [ms] = timed(() => {
      for (let i = 0; i < LOOKUPS; i++) if (look(i) === undefined) throw new Error(`${id}: look-up ${i} found nothing`);
    });
    return figure(id, "µs", (1_000 * ms) / LOOKUPS, "lower", note);
  };
  const seqOf = (i: number): number => (i * 7_919) % (size.longest - RANGE);
  const pages = (): number => {
    let [count, after] = [0, undefined as Address | undefined];
    for (let page = logs.heads(after, 4_096); page.length > 0; page = logs.heads(after, 4_096)) {
      count += page.length;
      after = page.at(-1)?.log;
    }
    return count;
  };
  const [headsMs, heads] = timed(pages);
  return [
    mean("log.head", "last entry of a log", (i) => logs.headOf(authorOf(i % size.authors))),
    mean("log.at", "entry with its body, by log and seq", (i) => logs.entryAt(authorOf(0), seqOf(i))?.body),
    mean("log.digest", "entry with its body, by its digest", (i) => logs.entryByDigest(digestOf(0, seqOf(i)))?.body),
    mean(
      "log.range",
      `${RANGE} headers of one log, decoded`,
      (i) => logs.range(authorOf(0), seqOf(i), RANGE)[RANGE - 1],
    ),
    figure("log.heads", "ms", headsMs, "lower", `all ${heads} heads, as a comparison with a peer begins`),
  ];
}

async function append(store: Store, logs: LogStore, { appended }: Size): Promise<Result[]> {
  console.error(`bench: ${appended} own entries, each signed and synced`);
  const writer = await openLogWriter({
    ...{ store, logs, signer: createSigner(KEY), contracts, nowMs: () => START_MS },
    ...{ peers: { fetchOwnHeaders: async () => [] }, signal: new AbortController().signal },
  });
  const [ms] = timed(() => {
    for (let i = 0; i < appended; i++) writer.append("receipt", receiptOf(i), 86_400);
  });
  writer.close();
  return [
    figure("log.append", "entries/s", (1_000 * appended) / ms, "higher", "signed, in a transaction of its own, synced"),
  ];
}

async function compact(logs: LogStore, { longest }: Size): Promise<Result[]> {
  console.error("bench: compaction of the longest log");
  const options = { logs, own: new Set<Address>(), only: authorOf(0), nowMs: START_MS + 3_650 * DAY_MS };
  const startMs = performance.now();
  const done = await compactLogs({ ...options, signal: new AbortController().signal });
  if (done.bodies !== longest) throw new Error(`${done.bodies} bodies dropped of ${longest}`);
  const seconds = (performance.now() - startMs) / 1_000;
  return [
    figure("log.compact", "bodies/s", done.bodies / seconds, "higher", "read, judged and dropped, in the longest log"),
  ];
}

/** Entries as peers give them. The store keeps what was verified before, so that these carry no key's signature. */
function fill(store: Store, logs: LogStore, { entries, longest, authors }: Size): number {
  const startMs = performance.now();
  const each = Math.floor((entries - longest) / (authors - 1));
  let written = 0;
  for (let author = 0; author < authors; author++) {
    const count = author === 0 ? longest : author === authors - 1 ? entries - written : each;
    for (let from = 0; from < count; from += BATCH) {
      const to = Math.min(from + BATCH, count);
      store.transaction(() => {
        for (let seq = from; seq < to; seq++) addEntry(logs, author, seq);
      }, "relaxed");
    }
    const before = written;
    written += count;
    if (Math.floor(before / 100_000) !== Math.floor(written / 100_000)) console.error(`bench: ${written} entries`);
  }
  return (performance.now() - startMs) / 1_000;
}

function addEntry(logs: LogStore, author: number, seq: number): void {
  const body = encodeReceipt(author, seq);
  const bodyHash = bodyHashOf(body);
  const header: VerifiedHeader = {
    header: {
      ...{
        version: 1,
        kind: kinds.receipt,
        log: authorOf(author),
        seq,
        prev: seq === 0 ? zeroHash : digestOf(author, seq - 1),
      },
      ...{ bodyHash, bodyLength: body.length, timeMs: START_MS + seq, ttl: 86_400, tags: 0n, sketch: zeroHash },
    },
    digest: digestOf(author, seq),
    signature: `0x${digestOf(author, seq).slice(2).repeat(2)}`,
  };
  logs.addHeaders([header], START_MS);
  logs.addBody(bodyHash, body);
}

const receiptOf = (n: number): Bodies["receipt"] => ({
  ...{ dealId: numberToHex(n, { size: 32 }), role: "client", outcome: "completed", rating: 100 },
  transaction: numberToHex(n, { size: 32 }),
});
const encodeReceipt = (author: number, seq: number): Uint8Array => encodeBody("receipt", receiptOf(author * 1e7 + seq));

const authors = new Map<number, Address>();
function authorOf(author: number): Address {
  let address = authors.get(author);
  if (address === undefined) {
    const hash = keccak256(numberToHex(author, { size: 32 }));
    authors.set(author, (address = getAddress(`0x${hash.slice(26)}`)));
  }
  return address;
}
/** A made-up digest: spread like a real one, so that its index is as deep and as scattered. */
const digestOf = (author: number, seq: number): Hex =>
  `0x${createHash("sha256").update(`${author}.${seq}`).digest("hex")}`;

function timed<T>(work: () => T): readonly [ms: number, value: T] {
  const startMs = performance.now();
  const value = work();
  return [performance.now() - startMs, value];
}
