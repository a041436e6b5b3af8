import type { Libp2p, PeerId, PrivateKey } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { PeerRecord, RecordEnvelope } from "@libp2p/peer-record";
import { CODE_P2P, multiaddr } from "@multiformats/multiaddr";
import { accept, reject } from "#protocol";
import type { Transport } from "../port.ts";
import { MAX_ADDRESSES, openRecord } from "./record.ts";

export type Addressing = Pick<Transport, "record" | "recordOf" | "learnRecord" | "connections" | "onPeerIdentified">;

/** What a libp2p host knows of addresses: its own signed record, those of its peers, and who is connected how. */
export function createAddressing(host: Libp2p, privateKey: PrivateKey, nowMs: () => number): Addressing {
  return {
    async record() {
      const multiaddrs = host.getMultiaddrs().slice(0, MAX_ADDRESSES);
      const bare = multiaddrs.map((address) => address.decapsulateCode(CODE_P2P));
      // Relayed addresses end in our id, after that of the relay: cutting at the last id keeps the relay's.
      const record = new PeerRecord({ peerId: host.peerId, multiaddrs: bare, seqNumber: BigInt(nowMs()) });
      return (await RecordEnvelope.seal(record, privateKey)).marshal();
    },
    async recordOf(peer) {
      const id = parse(peer);
      return id && (await envelopeOf(host, id));
    },
    async learnRecord(bytes) {
      const opened = await openRecord(bytes);
      if (opened.kind !== "accept") return opened;
      const expectedPeer = peerIdFromString(opened.value.peer);
      if (expectedPeer.equals(host.peerId)) return reject("RECORD_OWN", "a record of this node itself");
      const known = await envelopeOf(host, expectedPeer);
      const knownSeq = known === undefined ? -1n : seqOf(known);
      // libp2p's own consumePeerRecord would take all addresses that fit the envelope, and have us dial them.
      const addresses = opened.value.addresses.map((text) => ({ multiaddr: multiaddr(text), isCertified: true }));
      if (opened.value.seq > knownSeq) {
        await host.peerStore.patch(expectedPeer, { peerRecordEnvelope: bytes, addresses });
      }
      return accept(opened.value.peer);
    },
    connections: () =>
      host.getConnections().map(({ remotePeer, remoteAddr, direction, limits, timeline }) => ({
        ...{ peer: remotePeer.toString(), address: remoteAddr.toString(), direction },
        ...{ isRelayed: limits !== undefined, openedMs: timeline.open },
      })),
    onPeerIdentified(listener) {
      const callback = ({ detail }: CustomEvent<{ peerId: PeerId }>): void => listener(detail.peerId.toString());
      host.addEventListener("peer:identify", callback);
      return () => host.removeEventListener("peer:identify", callback);
    },
  };
}

async function envelopeOf(host: Libp2p, peer: PeerId): Promise<Uint8Array | undefined> {
  return (await host.peerStore.has(peer)) ? (await host.peerStore.get(peer)).peerRecordEnvelope : undefined;
}

/** Of a record that was checked before it was stored. */
const seqOf = (bytes: Uint8Array): bigint =>
  PeerRecord.createFromProtobuf(RecordEnvelope.createFromProtobuf(bytes).payload).seqNumber;

function parse(peer: string): PeerId | undefined {
  try {
    return peerIdFromString(peer);
  } catch {
    return undefined;
  }
}
