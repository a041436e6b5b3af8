import type { Hex } from "viem";
import type { TabChain } from "./tab-chain.ts";
import type { ClientTab, TabRecord, TabSighting } from "./tab-machine.ts";
import type { TabStore } from "./tab-store.ts";

/** Tabs of one agent; each is looked at with every head. */
export const MAX_TABS = 256;

/** The tabs of one agent, as both of its sides share them: what is on disk, what the chain last showed, whose turn it is. */
export interface TabTable {
  readonly store: TabStore;
  readonly chain: TabChain;
  /** Aborts when the node stops. */
  readonly lifetime: AbortSignal;
  /** Tabs that have not ended. */
  readonly size: number;
  /** @throws SuretyError TAB_UNKNOWN */
  tabOf(tabId: Hex): TabRecord;
  /** @throws SuretyError TAB_UNKNOWN, TAB_REFUSED (we provide on it) */
  clientTab(tabId: Hex): ClientTab;
  /** As last seen; undefined until the chain has answered. */
  sightingOf(tabId: Hex): TabSighting | undefined;
  /** Follows a tab from now on. */
  track(tabId: Hex): void;
  /** Looks at a tab now. */
  wake(tabId: Hex): void;
  wishClose(tabId: Hex): void;
  /** Tasks of one tab are asked, and answered, one at a time: a voucher counts all before it. */
  inTurn<T>(tabId: Hex, work: () => Promise<T>): Promise<T>;
  /** Resolves when a look at the tab shows it so. */
  until(tabId: Hex, isSo: (sighting: TabSighting) => boolean, signal: AbortSignal): Promise<void>;
}
