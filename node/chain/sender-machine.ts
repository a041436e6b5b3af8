import type { Address, Hex } from "viem";

// One account's transactions from broadcast to finality, as a pure machine: (state, event) -> [state, effects]. What the
// chain shows comes in as a look; what to do about it goes out as effects; sender.ts does the IO between.
//
//   launched ── receipt ──► mined ── deep enough ──► forgotten
//      │ │                    └── taken back by a reorg ──► revived, or voided when the state has moved on
//      │ └── gone from the pool ──► sent again        └── too long in the pool ──► sent with a higher fee
//      └── nonce used, and none of our hashes has a receipt ──► replaced

/** Both in wei per gas, as EIP-1559 has them. */
export interface Fees {
  readonly maxFeePerGas: bigint;
  readonly maxPriorityFeePerGas: bigint;
}

/** One signed form of a transaction. A higher fee makes another form of the same nonce. */
export interface Form {
  readonly hash: Hex;
  readonly raw: Hex;
  readonly fees: Fees;
}

/** A nonce of ours from its first broadcast until it is final. */
export interface Flight {
  readonly nonce: number;
  /** What is called; two flights of equal content do the same. */
  readonly to: Address;
  readonly calldata: Hex;
  readonly valueWei: bigint;
  readonly gas: bigint;
  /** Name of the called function, for errors. */
  readonly functionName: string;
  /** Oldest first; never empty. */
  readonly forms: readonly Form[];
  /** Unix milliseconds from which a higher fee is due. */
  readonly bumpAtMs: number;
  /** Where it was last seen in a block. */
  readonly mined?: Inclusion;
  /** Looks in a row that found the nonce used and none of our forms. */
  readonly misses: number;
}

export interface Inclusion {
  readonly hash: Hex;
  readonly blockNumber: bigint;
  readonly blockHash: Hex;
}

export interface SenderState {
  /** Undefined: ask the chain. */
  readonly nextNonce: number | undefined;
  /** By nonce, lowest first. */
  readonly flights: readonly Flight[];
}

/** What the chain shows of one flight. */
export interface FlightSighting {
  /** The receipt of one of its forms. */
  readonly receipt?: Inclusion;
  /** Whether the newest form is in the pool, as far as asked. */
  readonly isPooled: boolean;
}

/** One look at the chain. `count`: transactions of the account in blocks, read before the sightings. */
export interface Look {
  readonly nowMs: number;
  readonly headNumber: bigint;
  readonly count: number;
  readonly sightings: ReadonlyMap<number, FlightSighting>;
}

export type SenderEvent =
  | { readonly kind: "launched"; readonly flight: Flight }
  /** The first form was refused before it reached a pool. */
  | { readonly kind: "refused"; readonly nonce: number }
  | { readonly kind: "formed"; readonly nonce: number; readonly form: Form; readonly bumpAtMs: number }
  | { readonly kind: "postponed"; readonly nonce: number; readonly bumpAtMs: number }
  /** Its content is now another one, under the same nonce. */
  | { readonly kind: "filled"; readonly flight: Flight }
  /** A revived flight would revert at the new head. */
  | { readonly kind: "voided"; readonly nonce: number }
  | { readonly kind: "nonceKnown"; readonly nextNonce: number }
  | { readonly kind: "looked"; readonly look: Look };

export type SenderEffect =
  | { readonly kind: "save"; readonly flight: Flight }
  | { readonly kind: "forget"; readonly nonce: number }
  | { readonly kind: "mined"; readonly flight: Flight; readonly hash: Hex }
  | { readonly kind: "replaced"; readonly flight: Flight }
  /** The newest form, byte for byte. */
  | { readonly kind: "rebroadcast"; readonly flight: Flight }
  | { readonly kind: "bump"; readonly flight: Flight }
  /** Taken back by a reorg: try it at the new head, and send it again if it still holds. */
  | { readonly kind: "revive"; readonly flight: Flight }
  /** Nonces above wait for this one, whose call has become pointless: send nothing to ourselves with it. */
  | { readonly kind: "fill"; readonly flight: Flight };

export interface SenderRules {
  /** Blocks on top of a transaction before no reorg is expected any more. */
  readonly finalityDepth: bigint;
  /** The most that is paid for a unit of gas, tip included. */
  readonly maxFeePerGasWei: bigint;
}

type Step = readonly [SenderState, readonly SenderEffect[]];

/** Servers behind one URL may be a block apart: only the second look in a row that misses a receipt is believed. */
const MISSES_BEFORE_REPLACED = 2;
/** Pools want 10% more of both fees for a replacement; an eighth is above that after rounding. */
const RAISE_NUMERATOR = 9n;
const RAISE_DENOMINATOR = 8n;

/** @param saved flights of an earlier life, in any order */
export function createSenderState(saved: readonly Flight[] = []): SenderState {
  return { nextNonce: undefined, flights: [...saved].sort((a, b) => a.nonce - b.nonce) };
}

export function stepSender(state: SenderState, event: SenderEvent, rules: SenderRules): Step {
  switch (event.kind) {
    case "launched":
      return [
        { nextNonce: event.flight.nonce + 1, flights: [...state.flights, event.flight] },
        [{ kind: "save", flight: event.flight }],
      ];
    case "refused":
      return [{ nextNonce: undefined, flights: without(state, event.nonce) }, [forget(event.nonce)]];
    case "formed":
      return update(state, event.nonce, (flight) => ({
        ...flight,
        forms: [...flight.forms, event.form],
        bumpAtMs: event.bumpAtMs,
      }));
    case "postponed":
      return update(state, event.nonce, (flight) => ({ ...flight, bumpAtMs: event.bumpAtMs }));
    case "filled":
      return update(state, event.flight.nonce, () => event.flight);
    case "voided":
      return voided(state, event.nonce);
    case "nonceKnown":
      return [{ ...state, nextNonce: event.nextNonce }, []];
    case "looked":
      return looked(state, event.look, rules);
  }
}

/** The flight that does exactly this and is in no block yet. */
export function findEqual(state: SenderState, call: Pick<Flight, "to" | "calldata" | "valueWei">): Flight | undefined {
  return state.flights.find(
    ({ to, calldata, valueWei, mined }) =>
      mined === undefined && to === call.to && calldata === call.calldata && valueWei === call.valueWei,
  );
}

export const unminedOf = ({ flights }: SenderState): readonly Flight[] =>
  flights.filter(({ mined }) => mined === undefined);

/**
 * Flights that do not continue the chain's count without a gap can never be mined: the store is of another chain, or the
 * chain was restarted. @returns those to forget
 */
export function stranded({ flights }: SenderState, count: number): readonly Flight[] {
  let next = count;
  return flights.filter(({ nonce }) => {
    if (nonce < count) return false;
    if (nonce !== next) return true;
    next++;
    return false;
  });
}

/**
 * Fees of the next form: what the market asks now, and an eighth more than before at least, never above the cap.
 * @returns undefined if the cap leaves no room for a replacement that pools accept
 */
export function raiseFees(previous: Fees, market: Fees, capWei: bigint): Fees | undefined {
  const least: Fees = {
    maxFeePerGas: raised(previous.maxFeePerGas),
    maxPriorityFeePerGas: raised(previous.maxPriorityFeePerGas),
  };
  if (least.maxFeePerGas > capWei) return undefined;
  return capFees(
    {
      maxFeePerGas: max(least.maxFeePerGas, market.maxFeePerGas),
      maxPriorityFeePerGas: max(least.maxPriorityFeePerGas, market.maxPriorityFeePerGas),
    },
    capWei,
  );
}

/** A transaction that the market prices above the cap waits in the pool until it costs less. */
export function capFees({ maxFeePerGas, maxPriorityFeePerGas }: Fees, capWei: bigint): Fees {
  const fee = min(maxFeePerGas, capWei);
  return { maxFeePerGas: fee, maxPriorityFeePerGas: min(maxPriorityFeePerGas, fee) };
}

const raised = (wei: bigint): bigint => (wei * RAISE_NUMERATOR) / RAISE_DENOMINATOR + 1n;
const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
const forget = (nonce: number): SenderEffect => ({ kind: "forget", nonce });
const without = ({ flights }: SenderState, nonce: number) => flights.filter((flight) => flight.nonce !== nonce);

function update(state: SenderState, nonce: number, change: (flight: Flight) => Flight): Step {
  const effects: SenderEffect[] = [];
  const flights = state.flights.map((flight) => {
    if (flight.nonce !== nonce) return flight;
    const changed = change(flight);
    effects.push({ kind: "save", flight: changed });
    return changed;
  });
  return [{ ...state, flights }, effects];
}

/** A hole in the nonces would hold up everything above it; without anything above, the nonce is free again. */
function voided(state: SenderState, nonce: number): Step {
  const flight = state.flights.find((each) => each.nonce === nonce);
  if (flight === undefined) return [state, []];
  if (state.flights.some((other) => other.nonce > nonce)) return [state, [{ kind: "fill", flight }]];
  return [{ nextNonce: nonce, flights: without(state, nonce) }, [forget(nonce)]];
}

function looked(state: SenderState, look: Look, rules: SenderRules): Step {
  const effects: SenderEffect[] = [];
  const flights: Flight[] = [];
  let { nextNonce } = state;
  // Only the lowest unmined nonce can hold anything up, and after news it gets another turn before it costs more.
  let mayBump = true;
  for (const flight of state.flights) {
    const [next, found] = judge(flight, look, rules, mayBump);
    effects.push(...found);
    if (next === undefined) {
      if (found.some(({ kind }) => kind === "replaced")) nextNonce = undefined;
    } else {
      flights.push(next);
    }
    mayBump &&= next?.mined !== undefined && found.length === 0;
  }
  return [{ nextNonce, flights }, effects];
}

function judge(
  flight: Flight,
  look: Look,
  { finalityDepth }: SenderRules,
  mayBump: boolean,
): readonly [Flight | undefined, readonly SenderEffect[]] {
  const { receipt, isPooled } = look.sightings.get(flight.nonce) ?? { isPooled: true };
  if (receipt !== undefined) {
    const isNews = receipt.blockHash !== flight.mined?.blockHash;
    const mined = { ...flight, mined: receipt, misses: 0 };
    const news: SenderEffect[] = isNews
      ? [
          { kind: "save", flight: mined },
          { kind: "mined", flight: mined, hash: receipt.hash },
        ]
      : [];
    if (look.headNumber < receipt.blockNumber + finalityDepth) return [mined, news];
    return [undefined, [...news, forget(flight.nonce)]];
  }
  if (look.count > flight.nonce) {
    const misses = flight.misses + 1;
    if (misses < MISSES_BEFORE_REPLACED) return [{ ...flight, misses }, []];
    return [undefined, [{ kind: "replaced", flight }, forget(flight.nonce)]];
  }
  const { mined, ...rest } = flight;
  const waiting: Flight = { ...rest, misses: 0 };
  if (mined !== undefined) {
    return [
      waiting,
      [
        { kind: "save", flight: waiting },
        { kind: "revive", flight: waiting },
      ],
    ];
  }
  if (mayBump && look.nowMs >= flight.bumpAtMs) return [waiting, [{ kind: "bump", flight: waiting }]];
  return [waiting, isPooled ? [] : [{ kind: "rebroadcast", flight: waiting }]];
}
