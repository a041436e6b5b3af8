import { zeroAddress } from "viem";
import { dealLimits } from "../../deal-state.ts";
import { shareLimits } from "../../shares.ts";
import type { Finding, LintContext } from "./finding.ts";
import type { ClauseName, MechanismDocument } from "./schema.ts";

/** Types.sol: times on chain are uint48. */
const MAX_TIME = 2 ** 48 - 1;

/** A finding of one clause: [field, kind, code, reason, next]. */
type Line = readonly [field: string, kind: Finding["kind"], code: string, reason: string, next: string];

const findingsOf = (clause: ClauseName, lines: readonly (Line | false)[]): Finding[] =>
  lines
    .filter((line) => line !== false)
    .map(([field, kind, code, reason, next]) => ({
      ...{ clause, path: field === "" ? clause : `${clause}.${field}`, kind, code, reason, next, isWarning: false },
    }));

export function lintDeadlines({ deadlines }: MechanismDocument, { nowS }: LintContext): Finding[] {
  const { bidWithinMs, revealWithinMs, submitWithinS, validUntil } = deadlines;
  const from = nowS ?? 0;
  return findingsOf("deadlines", [
    (validUntil > MAX_TIME || from + submitWithinS > MAX_TIME) && [
      ...(["submitWithinS", "unenforceable", "DEADLINE_BEYOND_UINT48"] as const),
      `a deadline lies after second ${MAX_TIME}, the last that the chain's uint48 holds`,
      "Name an earlier one.",
    ],
    submitWithinS > dealLimits.maxDelivery && [
      ...(["submitWithinS", "unenforceable", "DEADLINE_TOO_FAR"] as const),
      `the escrow opens no deal whose delivery is due more than ${dealLimits.maxDelivery} s ahead`,
      "Shorten it, or use several deals.",
    ],
    bidWithinMs === 0 && [
      ...(["bidWithinMs", "ambiguous", "DEADLINE_ZERO"] as const),
      "no time is given to bid",
      "Give bidders some seconds.",
    ],
    submitWithinS * 1000 <= bidWithinMs + revealWithinMs && [
      ...(["submitWithinS", "ambiguous", "DEADLINE_BEFORE_AWARD"] as const),
      "the delivery is due before the bidding is over",
      "Let submitWithinS end after the bidding.",
    ],
    validUntil !== 0 &&
      nowS !== undefined &&
      validUntil < nowS && [
        ...(["validUntil", "ambiguous", "DEADLINE_PAST"] as const),
        "the rules have expired: no call can cite them",
        "Publish new ones.",
      ],
  ]);
}

export function lintReview({ review }: MechanismDocument): Finding[] {
  return findingsOf("review", [
    review.onSilence === "refunds-client" && [
      ...(["onSilence", "unenforceable", "REVIEW_SILENCE"] as const),
      "the escrow pays the provider when the review ends in silence; it cannot refund a delivered deal",
      "Set pays-provider; a client who wants its money back disputes in time.",
    ],
    review.periodS > dealLimits.maxReviewPeriod && [
      ...(["periodS", "unenforceable", "REVIEW_TOO_LONG"] as const),
      `the escrow reviews at most ${dealLimits.maxReviewPeriod} s`,
      "Shorten it.",
    ],
    review.periodS === 0 && [
      ...(["periodS", "ambiguous", "REVIEW_ZERO"] as const),
      "the client has no second to look at the delivery before silence pays",
      "Give it time.",
    ],
  ]);
}

export function lintSplit({ split }: MechanismDocument): Finding[] {
  const { rule, shares } = split;
  const total = shares.reduce((sum, { millionths }) => sum + millionths, 0);
  return findingsOf("split", [
    rule === "fixed" &&
      shares.length === 0 && [
        ...(["shares", "ambiguous", "SPLIT_NO_SHARES"] as const),
        "fixed shares are announced and none is named",
        "Name accounts and millionths, or let the provider have all.",
      ],
    rule !== "fixed" &&
      shares.length > 0 && [
        ...(["shares", "ambiguous", "SPLIT_TWO_RULES"] as const),
        `shares are named, and the rule is ${rule}: which of them holds?`,
        "Set the rule fixed, or name no shares.",
      ],
    total > shareLimits.whole && [
      ...(["shares", "unenforceable", "SPLIT_ABOVE_WHOLE"] as const),
      `the shares add up to ${total} of ${shareLimits.whole}: the escrow refuses the root`,
      "Let them add up to a million at most.",
    ],
    (new Set(shares.map(({ account }) => account)).size !== shares.length ||
      shares.some(({ account, millionths }) => account === zeroAddress || millionths === 0)) && [
      ...(["shares", "ambiguous", "SPLIT_SHARE"] as const),
      "an account is named twice, is nobody's, or gets nothing",
      "Name each account once, with what it gets.",
    ],
  ]);
}

export function lintPenalties({ penalties }: MechanismDocument): Finding[] {
  const named = penalties.map(({ fault, from }) => `${fault} ${from}`);
  return penalties.flatMap((penalty, i) => {
    const twice = named.indexOf(`${penalty.fault} ${penalty.from}`) < i;
    const reason = reasonAgainst(penalty);
    return findingsOf("penalties", [
      twice && [
        ...(["", "ambiguous", "PENALTY_TWICE"] as const),
        `${penalty.fault} costs ${penalty.from} twice`,
        "State it once.",
      ],
      reason !== undefined && [...(["", "unenforceable", "PENALTY_UNENFORCEABLE"] as const), ...reason],
    ]).map((finding) => ({ ...finding, path: `penalties[${i}]` }));
  });
}

/** Why no contract takes this penalty, and what would be taken. */
function reasonAgainst({ fault, from, millionths, unsatisfied }: MechanismDocument["penalties"][number]) {
  switch (fault) {
    case "late":
    case "ruled-against":
      if (from === "stake") return [`no contract slashes a stake for ${fault}`, "Take it from the bond."] as const;
      if (millionths === shareLimits.whole && unsatisfied === dealLimits.lateUnsatisfied) return undefined;
      return [
        `the escrow takes the whole bond for ${fault} and records ${dealLimits.lateUnsatisfied} unsatisfied`,
        "Set 1000000 and 100; the size of the penalty is the size of the bond.",
      ] as const;
    case "equivocation":
      if (from === "stake" && unsatisfied === 0) return undefined;
      return [
        "two entries of one place are punished in the stake, and in no score",
        "Take it from the stake, 0 unsatisfied.",
      ] as const;
    case "unopened-bid":
    case "declined-award":
      return [
        `${fault} happens off chain, before there is a deal to take from`,
        "Leave it to the leader's invitations.",
      ] as const;
    case "collusive-rating":
      return [
        "nobody observes that a rating was bought: the chain sees a rating of a paid deal",
        "Leave it to the reputation's flow.",
      ] as const;
  }
}

export function lintCourt({ appeal, outcomes }: MechanismDocument): Finding[] {
  const { arbiter, court, withinS, maxAppeals } = appeal;
  const isNobody = arbiter === zeroAddress;
  const rulings = outcomes.filter(({ settlement }) => settlement.startsWith("ruling-"));
  const findings = findingsOf("appeal", [
    isNobody !== (court === "none") && [
      ...(["arbiter", "ambiguous", "COURT_UNCLEAR"] as const),
      isNobody ? `a court (${court}) is announced and no arbiter named` : "an arbiter is named, and the court is none",
      isNobody ? "Set appeal.arbiter, or the court to none." : "Name both or neither.",
    ],
    !isNobody &&
      (withinS === 0 || withinS > dealLimits.maxArbitration) && [
        ...(["withinS", "unenforceable", "COURT_TIME"] as const),
        `the escrow gives an arbiter 1 to ${dealLimits.maxArbitration} s after the review`,
        "Set a time in that range.",
      ],
    maxAppeals > 0 &&
      court !== "erc792" && [
        ...(["maxAppeals", "unenforceable", "COURT_NO_APPEAL"] as const),
        `a court of kind ${court} hears no appeal: only ERC-792 defines one`,
        "Set 0, or name an ERC-792 arbitrator.",
      ],
  ]);
  if (isNobody || rulings.length === 3) return findings;
  return [
    ...findings,
    {
      ...{ clause: "appeal", path: "outcomes", kind: "ambiguous", code: "COURT_OUTCOMES_OPEN", isWarning: true },
      reason: "an arbiter rules for either side or for none, and not all three rulings are among the outcomes",
      next: "Add ruling-client, ruling-provider and ruling-even.",
    },
  ];
}
