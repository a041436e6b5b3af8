import type { DecodedEvent } from "./decode.ts";
import { anchorFolds, credentialFolds, recoveryFolds } from "./accountability.ts";
import { identityFolds } from "./agents.ts";
import { dealFolds } from "./deals.ts";
import { disputeFolds } from "./disputes.ts";
import { epochFolds } from "./epochs.ts";
import { feedbackFolds } from "./feedback.ts";
import { jobFolds } from "./jobs.ts";
import { ledgerFolds } from "./local-trust.ts";
import { panelFolds } from "./panel.ts";
import type { EventPlace, RowChange, RowReader } from "./row-change.ts";
import { evidenceFolds, stakeFolds, windowFolds } from "./stakes.ts";
import { validationFolds } from "./validations.ts";
import { tabFolds } from "./tabs.ts";

type UntypedFold = (args: unknown, place: EventPlace, rows: RowReader) => readonly RowChange[];

const folds = {
  identityRegistry: identityFolds,
  stakeVault: stakeFolds,
  evidenceSlasher: evidenceFolds,
  windowValidators: windowFolds,
  dealEscrow: dealFolds,
  dealDisputes: disputeFolds,
  jurorPanel: panelFolds,
  tabEscrow: tabFolds,
  credentials: credentialFolds,
  anchors: anchorFolds,
  ownerRecovery: recoveryFolds,
  trustLedger: ledgerFolds,
  reputationEpochs: epochFolds,
  feedbackRegistry: feedbackFolds,
  validationRegistry: validationFolds,
  jobEscrow: jobFolds,
};

/** Folds one event into the rows that it changes. Pure: the same events always give the same rows. */
export function foldEvent(event: DecodedEvent, place: EventPlace, rows: RowReader): readonly RowChange[] {
  // The decoder built `args` from the same ABI that types the folds.
  const fold = (folds[event.contract] as Record<string, UntypedFold | undefined>)[event.name];
  return fold === undefined ? [] : fold(event.args, place, rows);
}
