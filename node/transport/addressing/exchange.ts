import { createHash } from "node:crypto";
import { bytesToHex, hexToBytes, type Address } from "viem";
import { accept, messageOf, reject, schema, type Verdict } from "#protocol";
import { protocolId, type PeerName, type Transport } from "../port.ts";
import { limitRate, type RateLimits } from "../rate.ts";
import type { AddressBook, KnownPeer } from "./book.ts";
import { MAX_RECORD_BYTES, openRecord, type SignedRecord } from "./record.ts";
import { LOCAL_GROUP, subnetOf } from "./subnet.ts";

export const PEERS_PROTOCOL = protocolId("peers");
/** Records in one answer: each costs the asker a signature check of about a millisecond. */
export const MAX_RECORDS = 16;
/** Keys asked for by their address at once: an agent has few. */
export const MAX_WANTED = 8;
/** Of one subnet in an answer, as far as it was not asked for by key. */
const MAX_PER_SUBNET = 2;
/** Reached peers among which the few of an answer are chosen. */
const MAX_SAMPLED = 256;
const MAX_REQUEST_BYTES = 512;
const MAX_ANSWER_BYTES = MAX_RECORDS * (MAX_RECORD_BYTES + 8);
const RATE: RateLimits = { perPeer: { perSecond: 2, burst: 20 }, total: { perSecond: 200, burst: 400 } };

const request = messageOf(
  "peers",
  schema.record({ wanted: schema.list(schema.address, MAX_WANTED), limit: schema.integer(0, MAX_RECORDS) }),
  MAX_REQUEST_BYTES,
);
const answer = messageOf("peers", schema.list(schema.variableBytes(MAX_RECORD_BYTES), MAX_RECORDS), MAX_ANSWER_BYTES);
/** `/surety/peers/1`: signed records of the keys that are wanted, and of other peers up to a limit. */
export const peersWire = { request, answer };

export interface ExchangeOptions {
  readonly transport: Pick<Transport, "peerId" | "request" | "serve" | "record" | "peers">;
  readonly book: AddressBook;
  readonly ownAddress: Address;
  readonly nowMs: () => number;
}

export interface PeersQuestion {
  /** Addresses of keys. */
  readonly wanted: readonly Address[];
  /** Of other peers. */
  readonly limit: number;
}

/**
 * Answers who asks for peers, with records that their peers signed; of others than the wanted only those that this node
 * has reached or is connected to. One asker gets the same few for as long as they are there, however often it asks: our
 * book cannot be read off, and askers do not all go to the same peers.
 */
export async function serveExchange({ transport, book, ownAddress, nowMs }: ExchangeOptions): Promise<void> {
  const respond = async (bytes: Uint8Array, from: PeerName): Promise<Verdict<Uint8Array>> => {
    const question = request.decode(bytes);
    if (question.kind !== "accept") return question;
    const { wanted, limit } = question.value;
    const found = wanted.flatMap((address) => book.byAddress(address) ?? []);
    const others = limit === 0 ? [] : othersFor(from, { transport, book }).slice(0, limit);
    const records = unique([...found, ...others], from).map((known) => bytesToHex(known.bytes));
    // The wanted key may be our own, under which others know another of our addresses.
    if (wanted.includes(ownAddress)) records.unshift(bytesToHex(await transport.record()));
    return accept(answer.encode(records.slice(0, MAX_RECORDS)));
  };
  await transport.serve(PEERS_PROTOCOL, limitRate(respond, RATE, nowMs), {
    ...{ maxRequestBytes: MAX_REQUEST_BYTES, maxConcurrentPerPeer: 4 },
  });
}

/**
 * Asks one peer. What is not signed by the peer that it speaks of makes the whole answer a fault of the teller.
 * @returns records that were checked, ours left out
 */
export async function askPeers(
  teller: PeerName,
  question: PeersQuestion,
  { transport }: Pick<ExchangeOptions, "transport">,
  signal: AbortSignal,
): Promise<Verdict<SignedRecord[]>> {
  const bytes = request.encode({ wanted: question.wanted.slice(0, MAX_WANTED), limit: question.limit });
  const answered = await transport.request(teller, PEERS_PROTOCOL, bytes, {
    signal,
    maxResponseBytes: MAX_ANSWER_BYTES,
  });
  if (answered.kind !== "accept") return answered;
  const decoded = answer.decode(answered.value);
  if (decoded.kind !== "accept") return decoded;
  const records: SignedRecord[] = [];
  for (const hex of decoded.value) {
    const opened = await openRecord(hexToBytes(hex));
    // A peer that listens nowhere any more is no fault of who tells of it.
    if (opened.kind === "reject" && opened.code === "RECORD_EMPTY") continue;
    if (opened.kind !== "accept") return reject(opened.code, opened.detail);
    if (opened.value.peer !== transport.peerId) records.push(opened.value);
  }
  return accept(records);
}

function othersFor(asker: PeerName, { transport, book }: Pick<ExchangeOptions, "transport" | "book">): KnownPeer[] {
  const connected = transport.peers().flatMap((peer) => book.get(peer) ?? []);
  const known = unique([...connected, ...book.sample(MAX_SAMPLED, MAX_SAMPLED, "reached")], asker);
  const placeOf = ({ peer }: KnownPeer) => createHash("sha256").update(`${asker} ${peer}`).digest("hex");
  const places = new Map(known.map((each) => [each, placeOf(each)]));
  const taken = new Map<string, number>();
  return known
    .toSorted((a, b) => ((places.get(a) as string) < (places.get(b) as string) ? -1 : 1))
    .filter(({ addresses }) => {
      const subnet = subnetOf(addresses[0] ?? "");
      taken.set(subnet, (taken.get(subnet) ?? 0) + 1);
      return subnet === LOCAL_GROUP || (taken.get(subnet) as number) <= MAX_PER_SUBNET;
    });
}

function unique(peers: readonly KnownPeer[], except: PeerName): KnownPeer[] {
  const seen = new Set([except]);
  return peers.filter(({ peer }) => !seen.has(peer) && seen.add(peer));
}
