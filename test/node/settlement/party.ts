// One agent's node, as far as settlement goes: a host, a store, and drivers that come and go.
import { dealStates, type Receipt } from "#protocol";
import type { Hex } from "viem";
import { createSettlement, type Settlement, type SettlementOptions } from "../../../node/settlement/driver.ts";
import type { DealStep, Judgement } from "../../../node/settlement/port.ts";
import { openStore } from "../../../node/store/sqlite.ts";
import type { Store } from "../../../node/store/port.ts";
import { createLibp2pTransport } from "../../../node/transport/libp2p.ts";
import type { Transport } from "../../../node/transport/port.ts";
import { testKey } from "../../fixtures/log.ts";
import type { DealWorld, TestAgent } from "./deal-world.ts";

export const deliverable = new TextEncoder().encode("Bonjour.");
export const patience = () => AbortSignal.timeout(30_000);

export interface Party {
  readonly agent: TestAgent;
  readonly store: Store;
  readonly transport: Transport;
  readonly settlement: Settlement;
  readonly steps: DealStep[];
  readonly receipts: Receipt[];
  readonly faults: unknown[];
  /** Driver and host end; the store stays for the next life. */
  stop(): Promise<void>;
}

export interface PartyOptions extends Partial<SettlementOptions> {
  /** What its assessor says of every delivery. */
  readonly judgement?: Judgement;
}

/** Starts agent `index` of the world, on a store of an earlier life if one is given. */
export async function startParty(world: DealWorld, index: number, options: PartyOptions = {}): Promise<Party> {
  const agent = world.agents[index] as TestAgent;
  const { judgement = { kind: "complete", rating: 80 }, store = openStore(":memory:"), ...rest } = options;
  const transport = await createLibp2pTransport({ privateKey: testKey(index + 1) });
  await transport.start();
  const [steps, receipts, faults]: [DealStep[], Receipt[], unknown[]] = [[], [], []];
  const settlement = createSettlement({
    ...{ chain: world.dealChainOf(agent), store, transport },
    worker: { perform: () => Promise.resolve(deliverable) },
    assessor: { assess: () => Promise.resolve(judgement) },
    onStep: (step) => void steps.push(step),
    onReceipt: (receipt) => void receipts.push(receipt),
    onFault: (fault) => void faults.push(fault),
    ...rest,
  });
  await settlement.start();
  const stop = async () => {
    await settlement.stop();
    await transport.stop();
  };
  return { agent, store, transport, settlement, steps, receipts, faults, stop };
}

/** Each knows where the other is. */
export async function introduce(a: Party, b: Party): Promise<void> {
  await a.transport.learnAddresses(b.transport.peerId, b.transport.addresses());
  await b.transport.learnAddresses(a.transport.peerId, a.transport.addresses());
}

/** Looks again and again, for as long as a healthy test may take. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const signal = patience();
  while (!(await condition())) {
    signal.throwIfAborted();
    await new Promise(setImmediate);
  }
}

export const stateOf = async (world: DealWorld, dealId: Hex) =>
  dealStates[(await world.escrow.read.dealOf([dealId]))[0]] ?? "Open";
