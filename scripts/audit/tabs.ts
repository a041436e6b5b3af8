import type { Hex } from "viem";
import { tabEscrowAbi } from "#protocol";
import { check, type Check } from "./checks.ts";
import { readEvents } from "./logs.ts";
import type { Subject } from "./responsibility.ts";

/** Tabs asked for at once: endpoints bound the topics of a filter. */
const TABS_AT_ONCE = 200;

/** What an agent's tabs paid out, by the escrow's own events. */
export interface TabPayments {
  /** Tabs that the agent opened as a client. */
  readonly tabs: number;
  readonly claims: number;
  /** By the token's address; zero = native value. */
  readonly paid: ReadonlyMap<Hex, bigint>;
  /** Tabs whose claims do not add up to what the escrow says it paid. */
  readonly differing: readonly Hex[];
}

/**
 * What an agent paid by tabs. Its log does not say: the vouchers between two claims are known to both sides alone, and what was claimed
 * stands in the escrow's events, where nobody can leave it out.
 */
export async function readTabPayments({ client, deployment, agentId, blockNumber }: Subject): Promise<TabPayments> {
  const escrow = { abi: tabEscrowAbi, address: deployment.contracts.tabEscrow } as const;
  const range = { ...escrow, fromBlock: BigInt(deployment.deployedAtBlock), toBlock: blockNumber };
  const opened = await readEvents(client, { ...range, eventName: "TabOpened", args: { clientAgentId: agentId } });
  const tokens = new Map(opened.map(({ args }) => [args.tabId, args.tab.token]));
  const sums = new Map<Hex, bigint>(opened.map(({ args }) => [args.tabId, 0n]));
  let claims = 0;
  const ids = [...sums.keys()];
  for (let at = 0; at < ids.length; at += TABS_AT_ONCE) {
    const tabId = ids.slice(at, at + TABS_AT_ONCE);
    for (const { args } of await readEvents(client, { ...range, eventName: "TabClaimed", args: { tabId } })) {
      sums.set(args.tabId, (sums.get(args.tabId) ?? 0n) + args.amount);
      claims++;
    }
  }
  const paid = new Map<Hex, bigint>();
  const differing: Hex[] = [];
  for (const [tabId, sum] of sums) {
    const token = tokens.get(tabId) ?? "0x";
    paid.set(token, (paid.get(token) ?? 0n) + sum);
    const tab = await client.readContract({ ...escrow, blockNumber, functionName: "tabOf", args: [tabId] });
    if (tab[4] !== sum) differing.push(tabId);
  }
  return { tabs: opened.length, claims, paid, differing };
}

export const describeTabs = ({ tabs, claims, paid }: TabPayments): string => {
  if (tabs === 0) return "none opened as a client";
  const sums = [...paid].map(([token, sum]) => `${sum} of ${token}`).join(", ");
  return `${tabs} opened as a client, ${claims} claims paid ${sums}; they stand in the escrow's events and in no log entry`;
};

/** One line of an agent's audit, beside what its log says that it spent. */
export async function* auditTabs(subject: Subject): AsyncGenerator<Check, void, void> {
  const payments = await readTabPayments(subject);
  const [first] = payments.differing;
  const detail =
    first === undefined ? describeTabs(payments) : `the claims of ${first} do not add up to what the escrow paid`;
  yield check("tabs", first === undefined, detail);
}
