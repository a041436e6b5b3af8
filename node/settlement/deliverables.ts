import { bytesToHex, hexToBytes, type Hex } from "viem";
import { accept, addressOfPeerId, contentHashOf, ignore, reject, type Verdict } from "#protocol";
import type { PeerName, Transport } from "../transport/port.ts";
import type { DealRecord } from "./deal-machine.ts";
import type { DealStore } from "./deal-store.ts";
import { decodeEvidence, MAX_EVIDENCE_BYTES, type EvidenceBundle } from "./evidence.ts";
import type { DeliverableExchange } from "./port.ts";

/** libp2p protocol: 32 bytes of sha2-256 there, the body back. */
export const DELIVERABLE_PROTOCOL = "/surety/deliverable/1";
/** The largest deliverable; a larger one is delivered as a list of hashes. Bounds what a fetch can make us hold. */
export const MAX_DELIVERABLE_BYTES = 1_048_576;

/** libp2p protocol: 32 bytes of a bundle's sha2-256 there, the bundle back. */
export const EVIDENCE_PROTOCOL = "/surety/evidence/1";

/** Fetches from the provider's node; a body with another hash is a reject, whoever it came from. */
export function createDeliverableExchange(transport: Transport): DeliverableExchange {
  return {
    async fetch(peer, deliverableHash, signal) {
      const options = { signal, maxResponseBytes: MAX_DELIVERABLE_BYTES };
      const body = await transport.request(peer, DELIVERABLE_PROTOCOL, hexToBytes(deliverableHash), options);
      if (body.kind !== "accept") return body;
      const given = contentHashOf(body.value);
      return given === deliverableHash ? body : reject("DELIVERABLE_HASH", `it has ${given}, not ${deliverableHash}`);
    },
  };
}

/**
 * Serves what we delivered to the clients who paid for it, and to nobody else: the hash is public, the body is not.
 * @param isSubmitted whether the chain shows the deal as submitted; before that the body is ours alone
 */
export async function serveDeliverables(
  transport: Transport,
  store: DealStore,
  isSubmitted: (record: DealRecord) => boolean,
): Promise<void> {
  await transport.serve(
    DELIVERABLE_PROTOCOL,
    (request, from) => Promise.resolve(answer(request, from, store, isSubmitted)),
    { maxRequestBytes: 32 },
  );
}

function answer(
  request: Uint8Array,
  from: PeerName,
  store: DealStore,
  isSubmitted: (record: DealRecord) => boolean,
): Verdict<Uint8Array> {
  if (request.length !== 32) return reject("DELIVERABLE_REQUEST", `${request.length} bytes, not 32`);
  const asker = addressOfPeerId(from);
  if (asker.kind !== "accept") return asker;
  // One body may be the deliverable of several deals: any of the asker's will do.
  for (const { record, body } of store.deliverablesOf(bytesToHex(request))) {
    if (record.agreement.client.signer === asker.value && isSubmitted(record)) return accept(body);
  }
  return ignore("DELIVERABLE_UNKNOWN", "no deal of the asker has this deliverable");
}

/** Serves the bundles that our evidence on chain names: to the two sides of the deal, and to whom `mayRead` allows. */
export async function serveEvidence(
  transport: Transport,
  store: DealStore,
  mayRead: (dealId: Hex, address: Hex, signal: AbortSignal) => Promise<boolean> = () => Promise.resolve(false),
): Promise<void> {
  await transport.serve(
    EVIDENCE_PROTOCOL,
    async (request, from, signal) => {
      if (request.length !== 32) return reject("EVIDENCE_REQUEST", `${request.length} bytes, not 32`);
      const asker = addressOfPeerId(from);
      if (asker.kind !== "accept") return asker;
      const found = store.bundleOf(bytesToHex(request));
      const unknown = ignore("EVIDENCE_UNKNOWN", "no evidence for the asker has this hash");
      if (found === undefined) return unknown;
      const { dealId, client, provider } = found.record.agreement;
      const isParty = client.signer === asker.value || provider.signer === asker.value;
      return isParty || (await mayRead(dealId, asker.value, signal)) ? accept(found.bytes) : unknown;
    },
    { maxRequestBytes: 32 },
  );
}

/** Fetches a bundle that a notice on chain names; what is no bundle of that hash is a reject. */
export async function fetchEvidence(
  transport: Transport,
  peer: PeerName,
  hash: Hex,
  signal: AbortSignal,
): Promise<Verdict<EvidenceBundle>> {
  const options = { signal, maxResponseBytes: MAX_EVIDENCE_BYTES };
  const answer = await transport.request(peer, EVIDENCE_PROTOCOL, hexToBytes(hash), options);
  return answer.kind === "accept" ? decodeEvidence(answer.value, hash) : answer;
}
