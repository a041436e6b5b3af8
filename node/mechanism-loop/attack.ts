// The space in which the strongest attack is searched. One strategy is one vector of genes; a family fixes those that make it what it
// is called and leaves the rest free, so that combined attacks lie in the space as well.
import type { MarketScenario } from "./scenario.ts";

/** What an attacker's agents do. All counts are whole numbers within `geneRanges`. */
export interface Attack {
  readonly family: AttackFamily;
  /** Incumbents that turn. */
  readonly turncoats: number;
  /** Fresh identities that offer work. */
  readonly entrants: number;
  /** Identities that buy. */
  readonly buyers: number;
  /** On a deal that it betrays: 0 deliver nothing of worth, 1 deliver nothing at all, 2 do what costs less than agreed. */
  readonly betrayal: number;
  /** Good deliveries before the first betrayal. */
  readonly honestDeals: number;
  /** Smallest size that is betrayed. */
  readonly betrayFromSize: number;
  /** 1: a marked identity is left behind, and a fresh one enters. */
  readonly isReentering: number;
  /** Deals a round among its own, for ratings; and their size. */
  readonly washDeals: number;
  readonly washSize: number;
  /** 1: deliver when the client has just left. */
  readonly isSniping: number;
  /** 1: refuse the pay of a partial delivery, and appeal against every lost ruling. */
  readonly isContesting: number;
  /** What a buyer does with a good delivery: 0 accept, 1 dispute, 2 dispute in the last second, 3 keep silent, 4 close the tab while the provider is away. */
  readonly buyerAct: number;
  /** Tasks a round of each buyer, and their size. */
  readonly buyerTasks: number;
  readonly buyerSize: number;
}

export type Gene = Exclude<keyof Attack, "family">;
/** All that a market sees of an attack: under which name it was found decides nothing. */
export type Genes = Readonly<Record<Gene, number>>;

/** In order of the search. */
export const attackFamilies = [
  "none",
  "shirking",
  "collusive-ratings",
  "sybil-entry",
  "whitewashing",
  "grief-silence",
  "grief-dispute",
  "deadline-sniping",
  "bond-draining",
  "sandbagging",
  "combined",
] as const;
export type AttackFamily = (typeof attackFamilies)[number];

export const betrayals = { junk: 0, silence: 1, shirk: 2 } as const;
export const buyerActs = { accept: 0, dispute: 1, lateDispute: 2, silence: 3, closeTab: 4 } as const;

export const noAttack: Attack = {
  ...{ family: "none", turncoats: 0, entrants: 0, buyers: 0, betrayal: 0, honestDeals: 0, betrayFromSize: 1 },
  ...{ isReentering: 0, washDeals: 0, washSize: 1, isSniping: 0, isContesting: 0, buyerAct: 0, buyerTasks: 0 },
  buyerSize: 1,
};

type Ranges = Readonly<Record<Gene, readonly number[]>>;

/** The values that each gene may take in a scenario. */
export function geneRanges({ attacker, sizes }: MarketScenario): Ranges {
  const upTo = (max: number, ...steps: number[]) => [...new Set(steps.filter((step) => step < max)), max];
  const bySize = sizes.map(({ size }) => size);
  return {
    turncoats: upTo(attacker.turncoats, 0, 1, 2),
    entrants: upTo(attacker.identities, 0, 1, 2, 4, 8),
    buyers: upTo(Math.min(6, attacker.identities), 0, 1, 2),
    betrayal: [0, 1, 2],
    honestDeals: [0, 1, 2, 4, 8],
    betrayFromSize: bySize,
    isReentering: [0, 1],
    washDeals: [0, 1, 3, 6],
    washSize: bySize,
    isSniping: [0, 1],
    isContesting: [0, 1],
    buyerAct: [0, 1, 2, 3, 4],
    buyerTasks: [0, 1, 2, 4],
    buyerSize: bySize,
  };
}

/** What makes a family what it is called: the values that a gene may take in it. The others keep their whole range, or stay idle. */
const familyLimits: Readonly<Record<AttackFamily, Partial<Ranges>>> = {
  none: {},
  shirking: { entrants: [0], buyers: [0], washDeals: [0], isReentering: [0], betrayal: [0, 2] },
  "collusive-ratings": { washDeals: [1, 3, 6], buyerTasks: [0], turncoats: [0] },
  "sybil-entry": { turncoats: [0], buyers: [0], washDeals: [0], honestDeals: [0, 1] },
  whitewashing: { turncoats: [0], buyers: [0], washDeals: [0], isReentering: [1] },
  "grief-silence": { washDeals: [0], betrayal: [1], buyerAct: [3] },
  "grief-dispute": { turncoats: [0], entrants: [0], washDeals: [0], buyerAct: [1, 2] },
  "deadline-sniping": { washDeals: [0], isSniping: [1], betrayal: [0, 2], buyerAct: [2, 4] },
  "bond-draining": { turncoats: [0], entrants: [0], washDeals: [0], buyerAct: [1, 2], isContesting: [1] },
  sandbagging: { washDeals: [0], buyers: [0], honestDeals: [1, 2, 4, 8] },
  combined: {},
};

/** The values each gene may take in one family of a scenario. */
export function familyRanges(family: AttackFamily, scenario: MarketScenario): Ranges {
  const ranges = geneRanges(scenario);
  const limits = familyLimits[family];
  const narrowed = Object.entries(ranges).map(([gene, all]) => {
    const limit = limits[gene as Gene]?.filter((value) => value <= Math.max(...all));
    return [gene, limit === undefined || limit.length === 0 ? all : limit];
  });
  return Object.fromEntries(narrowed) as Ranges;
}

export const genes = Object.keys(noAttack).filter((key) => key !== "family") as readonly Gene[];

/** Whether a strategy can be played with what the attacker has. */
export function isWithinMeans(attack: Attack, { attacker }: MarketScenario): boolean {
  return attack.turncoats <= attacker.turncoats && attack.entrants + attack.buyers <= attacker.identities;
}

/** A strategy of a family by draws below a bound; identities that are too many give way, entrants first. */
export function drawAttack(family: AttackFamily, scenario: MarketScenario, random: (bound: number) => number): Attack {
  const ranges = familyRanges(family, scenario);
  const drawn = Object.fromEntries(
    genes.map((gene) => [gene, ranges[gene][random(ranges[gene].length)] as number]),
  ) as Record<Gene, number>;
  return trim({ ...drawn, family }, scenario);
}

/** The strategy with one gene set. */
export function withGene(attack: Attack, gene: Gene, value: number, scenario: MarketScenario): Attack {
  return trim({ ...attack, [gene]: value }, scenario);
}

function trim(attack: Attack, { attacker }: MarketScenario): Attack {
  const buyers = Math.min(attack.buyers, attacker.identities);
  return { ...attack, buyers, entrants: Math.min(attack.entrants, attacker.identities - buyers) };
}

/** The same for the same genes, whatever family found them. */
export function attackKeyOf(attack: Attack): string {
  return genes.map((gene) => attack[gene]).join(",");
}

/** One line for people. */
export function describeAttack(attack: Attack): string {
  if (attackKeyOf(attack) === attackKeyOf(noAttack)) return "nobody attacks";
  const { turncoats, entrants, buyers, betrayal, honestDeals, betrayFromSize, washDeals, buyerTasks } = attack;
  const parts: string[] = [];
  const providers = [turncoats > 0 ? `${turncoats} incumbents` : "", entrants > 0 ? `${entrants} entrants` : ""]
    .filter((part) => part !== "")
    .join(" and ");
  if (providers !== "") {
    const act = ["deliver nothing of worth", "take deals and stay silent", "do less than agreed"][betrayal] as string;
    const after = honestDeals > 0 ? ` after ${honestDeals} good deals` : "";
    parts.push(`${providers} ${act} from size ${betrayFromSize} on${after}`);
    if (attack.isSniping === 1) parts.push("deliver just when the client has left");
    if (attack.isReentering === 1) parts.push("come back under a fresh name");
  }
  if (attack.isContesting === 1) parts.push("contest every ruling");
  if (washDeals > 0 && buyers > 0)
    parts.push(`${washDeals} deals a round among themselves, of size ${attack.washSize}`);
  if (buyers > 0 && buyerTasks > 0) {
    const act = ["accept", "dispute", "dispute in the last second", "fall silent on", "close the tab on"][
      attack.buyerAct
    ];
    parts.push(`${buyers} buyers ${act} ${buyerTasks} deliveries a round, of size ${attack.buyerSize}`);
  }
  return parts.length === 0 ? "identities stand by" : parts.join("; ");
}
