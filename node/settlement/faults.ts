import type { Hex } from "viem";
import { SuretyError } from "#protocol";
import type { Judgement } from "./port.ts";

export function noWorker(dealId: Hex): SuretyError {
  return new SuretyError("DEAL_WITHOUT_WORKER", "A deal was agreed to, and nothing here does the work.", {
    values: { dealId },
    next: "Start the node with the application that bid for this deal.",
  });
}

export function tooLong(dealId: Hex, length: number, max: number): SuretyError {
  return new SuretyError("DELIVERABLE_TOO_LONG", `The deliverable has ${length} bytes, at most ${max}.`, {
    values: { dealId, length },
    next: "Deliver a list of hashes, and serve the parts elsewhere.",
  });
}

export function badJudgement(dealId: Hex, judgement: Judgement): SuretyError {
  return new SuretyError(
    "RATING_INVALID",
    "The assessor's rating is no integer from -100 to 100, or its split no part of the price.",
    {
      values: { dealId, ...judgement },
      next: "Mend the application's assess function.",
    },
  );
}

export function notDelivered(dealId: Hex, detail: string): SuretyError {
  return new SuretyError("DEAL_NOT_DELIVERED", `Deal ${dealId} will not be delivered: ${detail}.`, {
    values: { dealId, detail },
    next: "Nothing: its money, if it was taken, returns to the client after submitBy.",
  });
}

export function undelivered(dealId: Hex, detail: string): SuretyError {
  return new SuretyError("DELIVERABLE_MISSING", `The deliverable could not be fetched in time: ${detail}.`, {
    values: { dealId, detail },
    next: "Nothing: the deal is disputed where it has an arbiter, else completed with the worst rating; or with none if this node came late itself.",
  });
}

export function unknownDeal(dealId: Hex): SuretyError {
  return new SuretyError("DEAL_UNKNOWN", `No deal ${dealId} is known here.`, {
    values: { dealId },
    next: "Give the id of a deal that this agent agreed to.",
  });
}

export function tooManyDeals(dealId: Hex, max: number): SuretyError {
  return new SuretyError("SETTLEMENT_BUSY", `${max} deals are live already.`, {
    values: { dealId },
    next: "Wait until some of them have ended.",
    isRetryable: true,
  });
}

export function notPossible(dealId: Hex, wanted: string, because: string): SuretyError {
  return new SuretyError("DEAL_STEP_IMPOSSIBLE", `Deal ${dealId} cannot be ${wanted}: ${because}.`, {
    values: { dealId, wanted },
    next: "Look at the deal with `surety deal show` for what is still possible.",
  });
}
