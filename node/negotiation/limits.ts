/** Bidding longer than a day belongs in a gossiped intent; the bound keeps the set of seen calls finite in time. */
export const MAX_BIDDING_MS = 86_400_000;

/** How long a bid outlives the bidding: room for several awards, one after another, to fall through. */
export const BID_VALID_FOR_SECONDS = 300;

/** How long a winner may take to sign before the next one is asked. It only checks and signs; 100 ms is usual. */
export const OFFER_TIMEOUT_MS = 5_000;

/** Times that one invitee of a call is asked again because its connection ended: who comes and goes all the time waits its turn. */
export const MAX_ASKED_AGAIN = 3;

/** Calls of one client that we consider or have bid on at once. */
export const MAX_OPEN_SESSIONS_PER_CLIENT = 64;

/** Calls of all clients together; each is some kilobytes on disk until its bid has expired. */
export const MAX_OPEN_SESSIONS = 4_096;

/** Messages of one peer in a minute, before any signature is checked: a call has at most six, so this is 40 calls; a bargaining, one a round. */
export const MAX_MESSAGES_PER_PEER_PER_MINUTE = 240;

/** Peers whose rate is remembered, and answers of the registry that are. */
export const MAX_REMEMBERED = 4_096;

/** How long an answer of the registry is believed. The escrow asks again when the deal is opened. */
export const IDENTITY_CACHE_MS = 15_000;
