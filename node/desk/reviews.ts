import { dealIdOf } from "#protocol";
import type { Hex } from "viem";
import type { Application, Judgement } from "../application.ts";

/** Deliveries that wait for the judgement of the client that ordered them. */
export class Reviews {
  readonly #open = new Map<Hex, (judgement: Judgement) => void>();
  readonly #onOpened: () => void;

  constructor(onOpened: () => void) {
    this.#onOpened = onOpened;
  }

  /** Waits for `judge`. When the signal aborts, the review is over and the delivery is paid unrated, as by silence. */
  async wait(dealId: Hex, signal: AbortSignal): Promise<Judgement> {
    const { promise, resolve, reject } = Promise.withResolvers<Judgement>();
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    this.#open.set(dealId, resolve);
    this.#onOpened();
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#open.delete(dealId);
    }
  }

  isOpen(dealId: Hex): boolean {
    return this.#open.has(dealId);
  }

  /** @returns false if nothing waits for this judgement */
  judge(dealId: Hex, judgement: Judgement): boolean {
    const resolve = this.#open.get(dealId);
    this.#open.delete(dealId);
    resolve?.(judgement);
    return resolve !== undefined;
  }
}

/** The application, except that a client's own tasks are judged by that client. */
export function withReviews(
  application: Application,
  reviews: Reviews,
  isReviewed: (specHash: Hex) => boolean,
): Application {
  const assess: Application["assess"] = async (deal, spec, deliverable, signal) => {
    if (!isReviewed(deal.specHash)) return await application.assess(deal, spec, deliverable, signal);
    return await reviews.wait(dealIdOf(deal), signal);
  };
  // An application may be a class, whose methods a spread would lose.
  return Object.create(application, { assess: { value: assess } }) as Application;
}
