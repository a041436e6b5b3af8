import type { Address } from "viem";
import type { Column, Store } from "../../store/port.ts";
import type { PeerName } from "../port.ts";
import type { SignedRecord } from "./record.ts";
import { LOCAL_GROUP, subnetOf } from "./subnet.ts";

/** Peers that are remembered: about 1 MB. */
const MAX_PEERS = 2_048;
/** Of these, that one peer told of and nobody here has ever reached: a liar cannot fill the book. */
const MAX_UNREACHED_PER_TELLER = 64;
/** Of these, in one subnet: whoever holds a subnet cannot be most of what we know. */
const MAX_UNREACHED_PER_SUBNET = 32;
/** Peers to which this node comes back first after a restart, whatever it is told then. */
export const MAX_ANCHORS = 4;
/** A peer that failed so often in a row is forgotten, unless it is an anchor. */
const MAX_FAILURES = 8;

/** How a peer came to be known. */
export type PeerSource = "bootstrap" | "inbound" | "exchange" | "resolved";

export interface KnownPeer extends SignedRecord {
  readonly source: PeerSource;
  /** Who told of it; itself, where it identified itself to us. */
  readonly teller: PeerName;
  /** When it was last connected, Unix milliseconds; 0 = never. */
  readonly reachedMs: number;
  readonly failures: number;
  readonly isAnchor: boolean;
}

/** Signed records of peers, on disk. Nothing without a signature stands in it. */
export interface AddressBook {
  /** @returns false if it is older than what is known, or its teller or its subnet has told enough */
  add(record: SignedRecord, source: PeerSource, teller: PeerName, nowMs: number): boolean;
  reached(peer: PeerName, nowMs: number): void;
  failed(peer: PeerName): void;
  get(peer: PeerName): KnownPeer | undefined;
  /** Of the key with this address, the newest. */
  byAddress(address: Address): KnownPeer | undefined;
  /** Reached ones first, then by the time when they were heard of; of one subnet at most `perSubnet`. */
  sample(count: number, perSubnet: number, filter: "reached" | "all"): KnownPeer[];
  anchors(): KnownPeer[];
  setAnchors(peers: readonly PeerName[]): void;
  count(): number;
}

const migrations = [
  `CREATE TABLE addressing_peers (
     peer TEXT PRIMARY KEY, address TEXT NOT NULL, addresses TEXT NOT NULL, seq TEXT NOT NULL, bytes BLOB NOT NULL,
     subnet TEXT NOT NULL, source TEXT NOT NULL, teller TEXT NOT NULL, heard_ms INTEGER NOT NULL,
     reached_ms INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0, is_anchor INTEGER NOT NULL DEFAULT 0
   ) WITHOUT ROWID, STRICT;
   CREATE INDEX addressing_peers_by_address ON addressing_peers (address);
   CREATE INDEX addressing_peers_by_teller ON addressing_peers (teller) WHERE reached_ms = 0;
   CREATE INDEX addressing_peers_by_subnet ON addressing_peers (subnet) WHERE reached_ms = 0;`,
];

interface Row {
  readonly peer: PeerName;
  readonly address: Address | "";
  readonly addresses: string;
  readonly seq: string;
  readonly bytes: Uint8Array;
  readonly source: PeerSource;
  readonly teller: PeerName;
  readonly reached_ms: number;
  readonly failures: number;
  readonly is_anchor: number;
}

export function createAddressBook(store: Store): AddressBook {
  store.migrate("addressing", migrations);
  const get = store.prepare<Row>("SELECT * FROM addressing_peers WHERE peer = ?");
  const byAddress = store.prepare<Row>(
    "SELECT * FROM addressing_peers WHERE address = ? ORDER BY reached_ms DESC LIMIT 1",
  );
  const anchors = store.prepare<Row>("SELECT * FROM addressing_peers WHERE is_anchor = 1 ORDER BY reached_ms DESC");
  const count = store.prepare<{ count: number }>("SELECT COUNT(*) AS count FROM addressing_peers");
  const write = (sql: string) => {
    const statement = store.prepare(sql);
    return (...values: Column[]) => store.transaction(() => statement.run(...values), "relaxed");
  };
  const reach = write("UPDATE addressing_peers SET reached_ms = ?, failures = 0 WHERE peer = ?");
  const fail = write("UPDATE addressing_peers SET failures = failures + 1 WHERE peer = ?");
  const forget = write(`DELETE FROM addressing_peers WHERE peer = ? AND is_anchor = 0 AND failures >= ${MAX_FAILURES}`);
  const put = createPut(store);
  return {
    add: (record, source, teller, nowMs) => put(record, source, teller, nowMs, get.get(record.peer)),
    reached: (peer, nowMs) => void reach(nowMs, peer),
    failed(peer) {
      fail(peer);
      forget(peer);
    },
    get: (peer) => knownOf(get.get(peer)),
    byAddress: (address) => knownOf(byAddress.get(address)),
    sample: (size, perSubnet, filter) =>
      store
        .prepare<Row>(
          `SELECT * FROM (
             SELECT *, ROW_NUMBER() OVER (PARTITION BY subnet ORDER BY reached_ms DESC, heard_ms, peer) AS place
             FROM addressing_peers WHERE reached_ms >= ?
           ) WHERE place <= ? OR subnet = '${LOCAL_GROUP}' ORDER BY reached_ms DESC, heard_ms, peer LIMIT ?`,
        )
        .all(filter === "reached" ? 1 : 0, perSubnet, size)
        .map((row) => knownOf(row) as KnownPeer),
    anchors: () => anchors.all().map((row) => knownOf(row) as KnownPeer),
    setAnchors(peers) {
      const before = new Set(anchors.all().map(({ peer }) => peer));
      if (peers.length === before.size && peers.every((peer) => before.has(peer))) return;
      store.transaction(() => {
        store.prepare("UPDATE addressing_peers SET is_anchor = 0 WHERE is_anchor = 1").run();
        const set = store.prepare("UPDATE addressing_peers SET is_anchor = 1 WHERE peer = ?");
        for (const peer of peers.slice(0, MAX_ANCHORS)) set.run(peer);
      }, "relaxed");
    },
    count: () => count.get()?.count ?? 0,
  };
}

type Put = (
  record: SignedRecord,
  source: PeerSource,
  teller: PeerName,
  nowMs: number,
  known: Row | undefined,
) => boolean;

function createPut(store: Store): Put {
  const count = (where: string) =>
    store.prepare<{ count: number }>(`SELECT COUNT(*) AS count FROM addressing_peers WHERE ${where}`);
  const byTeller = count("teller = ? AND reached_ms = 0");
  const bySubnet = count("subnet = ? AND reached_ms = 0");
  const all = count("1");
  // Whom nobody here reached goes first, then whom we saw longest ago.
  const evict = store.prepare(
    `DELETE FROM addressing_peers WHERE peer = (
       SELECT peer FROM addressing_peers WHERE is_anchor = 0 ORDER BY reached_ms, heard_ms LIMIT 1)`,
  );
  const insert = store.prepare(
    `INSERT INTO addressing_peers (peer, address, addresses, seq, bytes, subnet, source, teller, heard_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (peer) DO UPDATE SET addresses = excluded.addresses, seq = excluded.seq, bytes = excluded.bytes,
       subnet = excluded.subnet, failures = 0`,
  );
  return ({ peer, address, addresses, seq, bytes }, source, teller, nowMs, known) => {
    if (known !== undefined && BigInt(known.seq) >= seq) return false;
    const subnet = subnetOf(addresses[0] ?? "");
    const isTold = known === undefined && teller !== peer;
    if (isTold && (byTeller.get(teller)?.count ?? 0) >= MAX_UNREACHED_PER_TELLER) return false;
    const isCrowded = subnet !== LOCAL_GROUP && (bySubnet.get(subnet)?.count ?? 0) >= MAX_UNREACHED_PER_SUBNET;
    if (known === undefined && isCrowded) return false;
    store.transaction(() => {
      if (known === undefined && (all.get()?.count ?? 0) >= MAX_PEERS) evict.run();
      const told = [subnet, source, teller, nowMs] as const;
      insert.run(peer, address ?? "", JSON.stringify(addresses), seq.toString(), bytes, ...told);
    }, "relaxed");
    return true;
  };
}

function knownOf(row: Row | undefined): KnownPeer | undefined {
  if (row === undefined) return undefined;
  const { peer, address, addresses, seq, bytes, source, teller, reached_ms: reachedMs, failures, is_anchor } = row;
  return {
    ...{ peer, address: address || undefined, addresses: JSON.parse(addresses) as string[], seq: BigInt(seq), bytes },
    ...{ source, teller, reachedMs, failures, isAnchor: is_anchor === 1 },
  };
}
