import {
  checkMechanismProof,
  decodeRules,
  isBargaining,
  isDocument,
  MAX_BIDS,
  MAX_SPEC_BYTES,
  ruledTermsOf,
  solveMechanism,
  SuretyError,
  type Dual,
  type Rules,
  type Signer,
} from "#protocol";
import type { PeerName } from "../transport/port.ts";
import type { ClientSession } from "./client.ts";
import { MAX_BIDDING_MS } from "./limits.ts";
import type { Agreement, CallRequest, Invitee, Standings } from "./port.ts";
import type { ProviderSession } from "./provider.ts";

// What goes into a session and what comes out of it: the judgement of our own request, and the agreement of either side.

/** A session with what its certificates will show: scores and epoch as they are now, and the proof of the payments. */
export function groundSession(
  session: ClientSession,
  { mechanism, proof }: CallRequest,
  { epoch, scores }: Standings,
): ClientSession {
  const standings = [...scores]
    .map(([agentId, relativeScore]) => ({ agentId, relativeScore }))
    .filter(({ relativeScore }) => relativeScore > 0n)
    .sort((a, b) => (a.agentId < b.agentId ? -1 : 1));
  return { ...session, grounds: { standings, epoch, proof: proveRules(session, mechanism, proof) } };
}

/** The proof of a document's payments at the bond of a newcomer: what every offer under it carries. */
function proveRules({ call }: ClientSession, rules: Rules, given: Dual | undefined): Dual | null {
  if (!isDocument(rules) || rules.agency === null) return null;
  const solved = given === undefined ? solveMechanism(rules, rules.agency.target) : undefined;
  const dual = given ?? (solved?.kind === "accept" ? solved.value.dual : undefined);
  const { providerBond } = ruledTermsOf(call, rules, call.reservePrice, { relativeScore: 0n, epoch: 0 });
  const proven = checkMechanismProof(rules, { priceWei: call.reservePrice, bondWei: providerBond }, dual);
  if (proven.kind !== "accept") throw rulesRefused(proven.code, proven.detail);
  return dual ?? null;
}

/** Rules of our own that every follower would refuse. */
export function rulesRefused(code: string, detail: string): SuretyError {
  return new SuretyError("CALL_INVALID", `No follower would bid under these rules: ${code}, ${detail}.`, {
    values: { code, detail },
    next: "Correct the rules; `surety mechanism check FILE` names every fault.",
  });
}

/** The agreement of a session that has come to one. */
export function clientAgreementOf(session: ClientSession, signer: Signer): Agreement {
  const { callId, offer, acceptance, spec, invitees } = session;
  const peer = invitees.find(({ agentId }) => agentId === offer?.deal.providerAgentId)?.peer;
  if (offer === undefined || acceptance === undefined || peer === undefined)
    throw new Error("no agreement to speak of");
  const { deal, dealId, signature } = offer;
  const client = { signer: signer.address, signature };
  const provider = { signer: acceptance.signer, signature: acceptance.signature };
  const shares = sharesOf(session.mechanism);
  return { role: "client", callId, dealId, deal, client, provider, peer, spec, agreedAtMs: acceptance.atMs, ...shares };
}

/** The same, on the other side. */
export function providerAgreementOf(session: ProviderSession, peer: PeerName, signer: Signer): Agreement {
  const { callId, deal, dealId, client, acceptance, acceptedAtMs, spec } = session;
  if (!deal || !dealId || !client || !acceptance || acceptedAtMs === undefined)
    throw new Error("no agreement to speak of");
  const provider = { signer: signer.address, signature: acceptance };
  const shares = sharesOf(session.mechanism);
  return { role: "provider", callId, dealId, deal, client, provider, peer, spec, agreedAtMs: acceptedAtMs, ...shares };
}

/** The leaves behind the deal's splitsRoot, as the rules name them. */
function sharesOf(mechanism: Uint8Array): Pick<Agreement, "shares"> {
  const rules = decodeRules(mechanism);
  if (rules.kind !== "accept" || !isDocument(rules.value)) return {};
  const { rule, shares } = rules.value.split;
  return rule === "fixed" ? { shares } : {};
}

/** The least level of the credential that the rules ask of a bidder's operator; 0 = none. */
export const credentialLevelOf = (rules: Rules): number => (isDocument(rules) ? rules.admission.credentialLevel : 0);

/** What keeps our own request from being a call; undefined if nothing does. */
export function faultOfRequest({ spec, biddingMs, invitees, mechanism, side }: CallRequest): string | undefined {
  if (spec.length > MAX_SPEC_BYTES) return `the specification has ${spec.length} bytes, at most ${MAX_SPEC_BYTES}`;
  if (biddingMs <= 0 || biddingMs > MAX_BIDDING_MS) return `bidding lasts ${biddingMs} ms, at most ${MAX_BIDDING_MS}`;
  if (invitees.length === 0 || invitees.length > MAX_BIDS)
    return `${invitees.length} agents are invited, 1 to ${MAX_BIDS}`;
  const ids = new Set(invitees.map(({ agentId }: Invitee) => agentId));
  if (ids.size < invitees.length) return "an agent is invited twice";
  if (!isBargaining(mechanism)) return undefined;
  if (invitees.length > 1) return `${invitees.length} agents are invited, and two bargain`;
  return side?.worths.length === mechanism.packages.length ? undefined : "not every package has a worth";
}
