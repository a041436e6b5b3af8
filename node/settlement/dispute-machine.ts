import type { DealEffect, DealRecord } from "./deal-machine.ts";
import type { ChainStep, DisputeSighting, Sighting } from "./port.ts";

// A deal in dispute, for both sides alike. Who owes a fee deposits it or loses; who is owed waits and then takes the
// ruling by default; anybody creates the dispute, hands in evidence, and resolves. No step waits for a person: where
// our own program has a say it is asked once, and its answer is on disk before anything follows from it.
//
//   ProviderOwes  provider: defend (ask, depositFee) or let it go    client: resolve after feeBy
//   ClientOwes    client: depositFee                                 provider: resolve after feeBy
//   Paid          createDispute, again until the arbitrator takes it
//   Created       evidence once; appeal if our program says so; resolve after arbiterDeadline
//   Ruled         resolve
//   None          the arbiter rules by itself: evidence once; resolve after arbiterDeadline

/** What our side decided in a dispute. */
export interface DisputeAnswers {
  readonly defends?: boolean;
  /** Our evidence is on chain. */
  readonly hasEvidence: boolean;
  /** The last ruling that our program was asked about, and what it said. */
  readonly appeal?: { readonly ruling: number; readonly until: number; readonly isWanted: boolean };
}

/** A ruling is 0 refused, 1 for the client, 2 for the provider. */
const RULING_FOR = { client: 1, provider: 2 } as const;

export function disputedEffects(record: DealRecord, sighting: Sighting): DealEffect[] {
  const { dispute, time } = sighting;
  const { deal } = record.agreement;
  if (dispute === undefined) return [{ kind: "wait", until: undefined }];
  switch (dispute.stage) {
    case "ProviderOwes":
    case "ClientOwes":
      return [feeEffect(record, dispute, time)];
    case "Paid":
      // A creation that failed is tried again with every head, until the deadline ends it.
      if (time > deal.arbiterDeadline) return [take({ kind: "resolve" })];
      return [take({ kind: "createDispute" })];
    case "Ruled":
      return [take({ kind: "resolve" })];
    case "None":
    case "Created":
      return rulingEffects(record, dispute, time);
    case "Closed":
      return [{ kind: "wait", until: undefined }];
  }
}

/** Fees of a deal that both sides ended are still to be returned. */
export function feesEffect({ dispute }: Sighting): ChainStep | undefined {
  return dispute === undefined || dispute.stage === "None" || dispute.stage === "Closed"
    ? undefined
    : { kind: "resolve" };
}

function feeEffect(record: DealRecord, dispute: DisputeSighting, time: number): DealEffect {
  const { role } = record.agreement;
  const debtor = dispute.stage === "ClientOwes" ? "client" : "provider";
  if (time > dispute.feeBy) return take({ kind: "resolve" });
  if (role !== debtor) return { kind: "wait", until: dispute.feeBy + 1 };
  const { defends } = record.answers;
  // A client that began the dispute has decided to see it through.
  if (role === "provider" && defends === undefined) return { kind: "askDefence", costWei: dispute.costWei ?? 0n };
  if (role === "provider" && defends === false) return { kind: "wait", until: dispute.feeBy + 1 };
  const [own, other] =
    role === "client" ? [dispute.clientFeeWei, dispute.providerFeeWei] : [dispute.providerFeeWei, dispute.clientFeeWei];
  const cost = dispute.costWei ?? other;
  return take({ kind: "depositFee", feeWei: cost > own ? cost - own : 0n });
}

function rulingEffects(record: DealRecord, dispute: DisputeSighting, time: number): DealEffect[] {
  const { deal, role } = record.agreement;
  const { answers } = record;
  if (time > deal.arbiterDeadline) return [take({ kind: "resolve" })];
  const appealed = appealEffect(role, answers, dispute, time);
  if (appealed !== undefined) return [appealed];
  return answers.hasEvidence ? [{ kind: "wait", until: deal.arbiterDeadline + 1 }] : [{ kind: "sendEvidence" }];
}

/** Before evidence: an appeal has a deadline, and evidence that cannot be sent must not cost us that. */
function appealEffect(
  role: keyof typeof RULING_FOR,
  { appeal: asked }: DisputeAnswers,
  { appeal, disputeId }: DisputeSighting,
  time: number,
): DealEffect | undefined {
  if (appeal === undefined || disputeId === undefined || appeal.ruling === RULING_FOR[role] || time > appeal.until) {
    return undefined;
  }
  if (asked?.ruling !== appeal.ruling || asked.until !== appeal.until) {
    return { kind: "askAppeal", ruling: appeal.ruling, costWei: appeal.costWei, disputeId, until: appeal.until };
  }
  return asked.isWanted ? take({ kind: "appeal", disputeId, feeWei: appeal.costWei }) : undefined;
}

const take = (step: ChainStep): DealEffect => ({ kind: "take", step });
