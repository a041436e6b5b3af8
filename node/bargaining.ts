// What a task says when it is not to be awarded but bargained over: which terms may be agreed on, and what each is worth to us.
import { zeroAddress } from "viem";
import { accept, readBargainRules, reject, type BargainRules, type Side, type Verdict } from "#protocol";
import { DEFAULT_RULING_S } from "./shop-config.ts";
import { REVIEW_PERIOD_S } from "./task-request.ts";

/** The rules go to the other side, the worths to nobody. */
export interface TaskBargain {
  readonly rules: BargainRules;
  readonly side: Side;
}

const DEFAULT_ROUNDS = 64;
/** Programs answer in milliseconds; a busy one has this long. */
const DEFAULT_MOVE_MS = 15_000;
/** A worth is compared only; beyond 39 digits it is no amount of any token. */
const WORTH = /^-?(0|[1-9][0-9]{0,38})$/;

/**
 * Reads `{ packages: [{ priceWei, worth, bondWei = "0", soonerS = 0, reviewPeriodS = 60, promise = "" }], reservation = "0",
 * maxRounds = 64, moveWithinMs = 15000, arbiter?, rulingWithinS = 604800 }`; amounts are decimal text. Rejects as `readBargainRules`, and BARGAIN_WORTH.
 */
export function readTaskBargain(stored: unknown): Verdict<TaskBargain> {
  if (!isRecord(stored) || !Array.isArray(stored["packages"])) return reject("BARGAIN_PACKAGES", "not a list");
  const { reservation = "0", maxRounds = DEFAULT_ROUNDS, moveWithinMs = DEFAULT_MOVE_MS } = stored;
  const packages = stored["packages"].map((entry: unknown) => (isRecord(entry) ? entry : {}));
  const wire = packages.map(
    ({ priceWei, bondWei = "0", soonerS = 0, reviewPeriodS = REVIEW_PERIOD_S, promise = "" }) => [
      ...[priceWei, bondWei, soonerS, reviewPeriodS, promise],
    ],
  );
  const { arbiter = zeroAddress, rulingWithinS = arbiter === zeroAddress ? 0 : DEFAULT_RULING_S } = stored;
  const court = { arbiter: typeof arbiter === "string" ? arbiter.toLowerCase() : arbiter, rulingWithinS };
  const rules = readBargainRules({
    ...{ kind: "bargaining", version: 1, packages: wire, maxRounds, moveWithinMs, ...court },
  });
  if (rules.kind !== "accept") return rules;
  const worths = [reservation, ...packages.map(({ worth }) => worth)].map(readWorth);
  const known = worths.filter((worth) => worth !== undefined);
  const [least, ...rest] = known;
  if (least === undefined || known.length < worths.length) {
    const place = worths.indexOf(undefined);
    const what = place === 0 ? "the reservation" : `the worth of package ${place - 1}`;
    return reject("BARGAIN_WORTH", `${what} is no decimal text`);
  }
  return accept({ rules: rules.value, side: { worths: rest, reservation: least } });
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;

const readWorth = (value: unknown): bigint | undefined =>
  typeof value === "string" && WORTH.test(value) ? BigInt(value) : undefined;
