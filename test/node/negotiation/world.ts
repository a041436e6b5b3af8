import {
  contentHashOf,
  encodeRules,
  isDocument,
  postedPriceOf,
  signedBidOf,
  structHash,
  typedDataDigest,
  type Call,
  type NegotiationMessage,
  type Rules,
  type Side,
  type Structs,
} from "#protocol";
import { createBargain } from "../../../node/negotiation/bargain.ts";
import {
  clientDeadlineOf,
  stepClient,
  type ClientEvent,
  type ClientSession,
  type Sign,
} from "../../../node/negotiation/client.ts";
import {
  providerDeadlineOf,
  stepProvider,
  type ProviderEvent,
  type ProviderSession,
} from "../../../node/negotiation/provider.ts";
import { decodeRecord, encodeRecord } from "../../../node/store/records.ts";
import { callOf, contracts, mechanism, signerOf, spec } from "../../protocol/negotiation/fixtures.ts";

export const CLIENT = 1n;
export const START_MS = 1_799_999_990_000;
const CHAIN_TIME = 1_799_999_990;

/** How often each agent signed each struct: nobody may sign two deals for one call. */
type Signatures = Map<string, Set<string>>;

function signAs(agentId: bigint, signatures: Signatures): Sign {
  return <K extends keyof Structs>(struct: K, value: Structs[K]) => {
    const digest = typedDataDigest(struct, value, contracts);
    const key = `${agentId} ${struct}`;
    signatures.set(key, (signatures.get(key) ?? new Set()).add(digest));
    return signerOf(agentId).sign(digest);
  };
}

export interface Envelope {
  readonly from: bigint;
  readonly to: bigint;
  readonly message: NegotiationMessage;
}

/** What a document fixes of a call that cites it. */
function termsOf(rules: Rules): Partial<Call> {
  const mechanismHash = contentHashOf(encodeRules(rules));
  if (!isDocument(rules)) return { mechanismHash };
  const posted = postedPriceOf(rules);
  const reservePrice = rules.award.rule === "posted-price" && posted !== undefined ? { reservePrice: posted } : {};
  return { mechanismHash, reviewPeriod: rules.review.periodS, ...reservePrice };
}

/** One client, some providers, and whatever order the network chooses. Messages are as authenticated as a driver's. */
export class World {
  readonly signatures: Signatures = new Map();
  readonly providers = new Map<bigint, ProviderSession>();
  readonly agreed: string[] = [];
  readonly wire: Envelope[] = [];
  readonly prices: ReadonlyMap<bigint, bigint>;
  readonly dead = new Set<bigint>();
  client: ClientSession;
  nowMs = START_MS;

  /** Under bargaining rules: what packages are worth to either side. */
  readonly sides: { readonly client: Side; readonly provider: Side } | undefined;

  constructor(
    prices: ReadonlyMap<bigint, bigint>,
    rules: Rules = mechanism,
    grounds?: ClientSession["grounds"],
    sides?: World["sides"],
  ) {
    this.prices = prices;
    this.sides = sides;
    const call = callOf({ clientAgentId: CLIENT, ...termsOf(rules) });
    const blank = { bids: [], absent: [], passed: [], ...(grounds === undefined ? {} : { grounds }) };
    const callId = structHash("Call", call);
    this.client = {
      role: "client",
      phase: "called",
      callId,
      ...(sides === undefined ? {} : { bargain: createBargain(sides.client, callId) }),
      call,
      mechanism: encodeRules(rules),
      spec,
      signature: signAs(CLIENT, this.signatures)("Call", call),
      invitees: [...prices.keys()].map((agentId) => ({ agentId, peer: `peer ${agentId}` })),
      ...blank,
    };
    this.onClient({ kind: "start" });
  }

  onClient(event: ClientEvent): void {
    const [next, effects] = stepClient(this.client, event, {
      nowMs: this.nowMs,
      sign: signAs(CLIENT, this.signatures),
    });
    // What is stored is what a restart finds.
    this.client = decodeRecord<ClientSession>(encodeRecord(next));
    for (const effect of effects) {
      if (effect.kind === "send") this.wire.push({ from: CLIENT, to: effect.to.agentId, message: effect.message });
      if (effect.kind === "agreed") this.agreed.push(`client ${this.client.offer?.dealId}`);
    }
  }

  onProvider(agentId: bigint, event: ProviderEvent): void {
    const session = this.providers.get(agentId);
    if (session === undefined || this.dead.has(agentId)) return;
    const sign = signAs(agentId, this.signatures);
    const [next, effects] = stepProvider(session, event, { nowMs: this.nowMs, chainTime: CHAIN_TIME, sign, contracts });
    this.providers.set(agentId, decodeRecord<ProviderSession>(encodeRecord(next)));
    for (const effect of effects) {
      if (effect.kind === "send") this.wire.push({ from: agentId, to: CLIENT, message: effect.message });
      if (effect.kind === "agreed") this.agreed.push(`provider ${next.dealId}`);
      if (effect.kind === "consider") {
        if (this.sides !== undefined) {
          this.onProvider(agentId, { kind: "valued", agentId, side: this.sides.provider });
          continue;
        }
        const price = this.prices.get(agentId) ?? 0n;
        const proposal = price > 1_000n ? undefined : { price, quality: 50n };
        this.onProvider(agentId, { kind: "considered", agentId, salt: agentId, proposal });
      }
    }
  }

  deliver({ from, to, message }: Envelope): void {
    if (this.dead.has(from)) return;
    if (this.dead.has(to)) return this.onClient({ kind: "undelivered", agentId: to, type: message.type });
    if (to === CLIENT) return this.deliverToClient(message, from);
    if (message.type === "call" && !this.providers.has(to)) {
      const { call, mechanism: rules, spec: text } = message;
      const callId = structHash("Call", call);
      const fresh = { role: "provider", phase: "considering", callId, call, mechanism: rules, spec: text } as const;
      this.providers.set(to, fresh);
      this.onProvider(to, { kind: "start" });
    } else if (message.type === "offer") {
      const { deal, certificate, signature } = message;
      const consent = { signer: signerOf(CLIENT).address, signature };
      this.onProvider(to, { kind: "offer", agentId: to, deal, certificate, consent });
    } else if (message.type === "open") {
      this.onProvider(to, { kind: "open", seals: message.seals });
    } else if (message.type === "cancel") {
      this.onProvider(to, { kind: "cancel" });
    }
  }

  deliverToClient(message: NegotiationMessage, from: bigint): void {
    if (message.type === "seal")
      this.onClient({ kind: "seal", sealed: { agentId: message.providerAgentId, bidId: message.bidId } });
    if (message.type === "bid") this.onClient({ kind: "bid", bid: signedBidOf(message.bid, message.signature) });
    if (message.type === "decline") this.onClient({ kind: "decline", decline: message.decline });
    if (message.type === "acceptance" && this.client.offer?.deal.providerAgentId === from) {
      const consent = { signer: signerOf(from).address, signature: message.signature };
      this.onClient({ kind: "acceptance", dealId: message.dealId, consent });
    }
  }

  /** The next deadline of anybody, past it. */
  advance(): boolean {
    const deadlines = [clientDeadlineOf(this.client), ...[...this.providers.values()].map(providerDeadlineOf)];
    const next = deadlines.filter((at) => at !== undefined).sort((a, b) => a - b)[0];
    if (next === undefined) return false;
    this.nowMs = Math.max(this.nowMs, next) + 1;
    this.onClient({ kind: "tick" });
    for (const agentId of this.providers.keys()) this.onProvider(agentId, { kind: "tick" });
    return true;
  }

  deliverAll(): void {
    for (let next = this.wire.shift(); next !== undefined; next = this.wire.shift()) this.deliver(next);
  }

  dealsSignedBy(agentId: bigint): number {
    return this.signatures.get(`${agentId} Deal`)?.size ?? 0;
  }
}

export const pricesOf = (...prices: bigint[]) => new Map(prices.map((price, i) => [BigInt(i) + 2n, price]));
