import type { CallCancel } from "#protocol";
import type { ClientContext, ClientEffect, ClientSession } from "./client.ts";

// What a client's session has to send, and to whom: read off its state, so that whatever may have been lost is sent again alike.

export function callsOf(session: ClientSession): ClientEffect[] {
  const { call, mechanism, spec, signature, invitees } = session;
  const answered = answeredOf(session);
  const message = { type: "call", call, mechanism, spec, signature } as const;
  return invitees.filter(({ agentId }) => !answered.has(agentId)).map((to) => ({ kind: "send", to, message }));
}

/** Whoever need not be waited for before the bidding ends. */
export function answeredOf({ absent, bids, sealed = [] }: ClientSession): ReadonlySet<bigint> {
  return new Set([...absent, ...sealed.map(({ agentId }) => agentId), ...bids.map(({ bid }) => bid.providerAgentId)]);
}

/** What is owed to us by this agent now, asked again. A live one answers as before: nothing of it is thought or signed anew. */
export function unansweredBy(
  session: ClientSession,
  agentId: bigint,
  { nowMs }: ClientContext,
): readonly ClientEffect[] {
  const { phase, call, openByMs = 0, offer } = session;
  const due =
    phase === "called" && nowMs <= call.bidByMs
      ? callsOf(session)
      : phase === "opening" && nowMs <= openByMs
        ? opensOf(session)
        : phase === "offered" && nowMs <= (offer?.expiresAtMs ?? 0)
          ? offersOf(session)
          : [];
  return due.filter((effect) => effect.kind === "send" && effect.to.agentId === agentId);
}

export function opensOf({ callId, invitees, sealed = [], bids }: ClientSession): ClientEffect[] {
  const opened = new Set(bids.map(({ bidId }) => bidId));
  const message = { type: "open", callId, seals: sealed.map(({ bidId }) => bidId).sort() } as const;
  const shut = sealed.filter(({ bidId }) => !opened.has(bidId)).map(({ agentId }) => agentId);
  return invitees.filter(({ agentId }) => shut.includes(agentId)).map((to) => ({ kind: "send", to, message }));
}

export function offersOf(session: ClientSession): ClientEffect[] {
  const { offer } = session;
  const to = session.invitees.find(({ agentId }) => agentId === offer?.deal.providerAgentId);
  if (offer === undefined || to === undefined) return [];
  const { deal, certificate, signature } = offer;
  return [{ kind: "send", to, message: { type: "offer", deal, certificate, signature } }];
}

/** Who may still count on this call: neither declined nor gone nor passed over. */
export function waitingOf({ invitees, absent, bids, passed }: ClientSession): readonly bigint[] {
  const bidders = new Map(bids.map(({ bid, bidId }) => [bid.providerAgentId, bidId]));
  const isWaiting = (agentId: bigint) => {
    const bidId = bidders.get(agentId);
    return bidId === undefined ? !absent.includes(agentId) : !passed.includes(bidId);
  };
  return invitees.map(({ agentId }) => agentId).filter(isWaiting);
}

export function cancelsTo(
  session: ClientSession,
  agentIds: readonly bigint[],
  { sign }: ClientContext,
): ClientEffect[] {
  const cancel: CallCancel = { callId: session.callId };
  const receivers = session.invitees.filter(({ agentId }) => agentIds.includes(agentId));
  if (receivers.length === 0) return [];
  const message = { type: "cancel", cancel, signature: sign("CallCancel", cancel) } as const;
  return receivers.map((to) => ({ kind: "send", to, message }));
}
