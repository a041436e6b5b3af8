import type { Hex } from "viem";
import { SuretyError } from "#protocol";

export function unknownTab(tabId: Hex): SuretyError {
  return new SuretyError("TAB_UNKNOWN", `No tab ${tabId} is known here.`, {
    values: { tabId },
    next: "List the tabs with `surety tab show`.",
  });
}

export function refused(tabId: Hex, detail: string): SuretyError {
  return new SuretyError("TAB_REFUSED", `Tab ${tabId} does not allow it: ${detail}.`, {
    values: { tabId, detail },
    next: "Look at the tab with `surety tab show`; a tab that its provider refused is closed and its deposit returns.",
  });
}

export function exhausted(tabId: Hex, depositWei: bigint): SuretyError {
  return new SuretyError("TAB_EXHAUSTED", `The deposit of ${depositWei} on tab ${tabId} does not cover another task.`, {
    values: { tabId, depositWei },
    next: "Add to the deposit, or open another tab.",
  });
}

export function unanswered(tabId: Hex, seq: number, detail: string): SuretyError {
  return new SuretyError("TAB_UNANSWERED", `Task ${seq} on tab ${tabId} was not answered: ${detail}.`, {
    values: { tabId, seq, detail },
    next: "Ask again: nothing was paid for it. If the provider stays away, close the tab.",
    isRetryable: true,
  });
}

export function tooManyTabs(max: number): SuretyError {
  return new SuretyError("TABS_BUSY", `${max} tabs are open already.`, { next: "Close some of them first." });
}
