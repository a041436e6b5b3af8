// Who takes part, when, and every draw of chance: all methods meet the same requests, candidates and latent outcomes.
import { createRandom } from "../reputation/random-graph.ts";

export const AGENTS = 100;
export const EPOCHS = 50;
/** Queries a topic and epoch. */
export const QUERIES = 50;
export const CANDIDATES = 8;
export const PRE_TRUSTED = 5;

export const topicNames = [
  "code_generation",
  "code_review_security",
  "devops_tool_execution",
  "data_analysis",
  "creative_writing",
] as const;
export const TOPICS = topicNames.length;
/** Attackers build reputation in the first and defect in the second. */
export const SOURCE = 0;
export const TARGET = 1;

/** ω of the paper's calibration: how near topics are. */
export const SIMILARITY: readonly (readonly number[])[] = [
  [1, 0.8, 0.5, 0.4, 0.2],
  [0.8, 1, 0.5, 0.3, 0.15],
  [0.5, 0.5, 1, 0.3, 0.1],
  [0.4, 0.3, 0.3, 1, 0.2],
  [0.2, 0.15, 0.1, 0.2, 1],
];

export const roles = { honest: 0, attacker: 1, spy: 2, whitewasher: 3, coldStart: 4 } as const;

/** The attack and the people; the paper states none of these numbers (calibrated, see the README). */
export interface WorldParameters {
  readonly attackers: number;
  readonly spies: number;
  readonly whitewashers: number;
  readonly newcomers: number;
  /** First epoch of the attack. */
  readonly attackAt: number;
  /** Members of the target topic from then on, and of each other topic. */
  readonly targetSize: number;
  readonly otherSize: number;
  /** Chance that an honest agent serves well, and that an attacking one serves badly. */
  readonly honestQuality: number;
  readonly badRate: number;
  /** Collusive positives an epoch from each attacker to each of the next `ring` ones, in the source and in the target topic. */
  readonly fakes: number;
  readonly ring: number;
  readonly targetFakes: number;
  /** Positives an epoch from each spy to each malicious agent. */
  readonly spyFakes: number;
  /** How often a malicious client rates a good honest service as bad. */
  readonly badmouth: number;
  /** Epochs between re-entries of a whitewasher; 0 = none. */
  readonly reentryPeriod: number;
  /** Malicious agents come back under a new identity whenever they are frozen or rank low. */
  readonly isReenteringAtWill: boolean;
  /** Re-entries in all; stake locked by each identity and operators' limits set it. */
  readonly reentryBudget: number;
  /** Epochs that attackers serve well in the target topic before they defect. */
  readonly camouflage: number;
}

/** Calibrated against the paper's table; `fakes` etc. as in design/reputation.md. */
export const paperWorld: WorldParameters = {
  attackers: 14,
  spies: 9,
  whitewashers: 2,
  newcomers: 4,
  attackAt: 20,
  targetSize: 65,
  otherSize: 55,
  honestQuality: 0.9428147136792541,
  badRate: 0.86,
  fakes: 32,
  ring: 3,
  targetFakes: 0.5,
  spyFakes: 1.5,
  badmouth: 0.05939414398744702,
  reentryPeriod: 15,
  isReenteringAtWill: false,
  reentryBudget: 1e9,
  camouflage: 0,
};

export interface World {
  readonly parameters: WorldParameters;
  readonly role: Uint8Array;
  /** Epoch by topic and agent; NEVER where the agent stays away. */
  readonly joins: readonly Uint8Array[];
  readonly newcomersAt: number;
  /** By query: who asks, which CANDIDATES answer, how each would turn out, what selection draws. */
  readonly client: Uint8Array;
  readonly candidates: Uint8Array;
  readonly fate: Float32Array;
  readonly draws: Float32Array;
  readonly malicious: readonly number[];
  readonly ringOf: readonly (readonly number[])[];
}

export const NEVER = 99;

export function createWorld(parameters: WorldParameters, seed: number): World {
  const random = createRandom(seed * 1000 + 17);
  const role = assignRoles(parameters);
  const newcomersAt = Math.min(parameters.attackAt, 40);
  const joins = Array.from({ length: TOPICS }, (_, topic) => drawMembers(topic, parameters, role, random));
  const queries = drawQueries(joins, random);
  const malicious = agentsWith(role, roles.attacker, roles.whitewasher);
  const ringers = agentsWith(role, roles.attacker);
  const ringOf = Array.from({ length: AGENTS }, (_, agent) => {
    const at = ringers.indexOf(agent);
    if (at < 0) return [];
    const reach = Math.min(parameters.ring, ringers.length - 1);
    return Array.from({ length: reach }, (__, k) => ringers[(at + k + 1) % ringers.length] as number);
  });
  return { parameters, role, joins, newcomersAt, ...queries, malicious, ringOf };
}

function assignRoles({ attackers, spies, whitewashers, newcomers }: WorldParameters): Uint8Array {
  const role = new Uint8Array(AGENTS);
  let next = AGENTS - attackers - spies - whitewashers - newcomers;
  const kinds = [
    [roles.attacker, attackers],
    [roles.spy, spies],
    [roles.whitewasher, whitewashers],
    [roles.coldStart, newcomers],
  ] as const;
  for (const [kind, count] of kinds) for (let k = 0; k < count; k++) role[next++] = kind;
  return role;
}

function agentsWith(role: Uint8Array, ...wanted: readonly number[]): number[] {
  return Array.from(role.keys()).filter((agent) => wanted.includes(role[agent] as number));
}

function drawMembers(topic: number, parameters: WorldParameters, role: Uint8Array, random: () => number): Uint8Array {
  const { attackAt, camouflage, targetSize, otherSize } = parameters;
  const joins = new Uint8Array(AGENTS).fill(NEVER, PRE_TRUSTED);
  let count = PRE_TRUSTED;
  const join = (agent: number, epoch: number) => {
    joins[agent] = epoch;
    count++;
  };
  for (let agent = PRE_TRUSTED; agent < AGENTS; agent++) {
    const kind = role[agent];
    if (kind === roles.attacker && topic === SOURCE) join(agent, 0);
    if (kind === roles.attacker && topic === TARGET) join(agent, Math.max(0, attackAt - camouflage));
    if (kind === roles.spy && (topic === SOURCE || topic === TARGET)) join(agent, 0);
    if (kind === roles.whitewasher && topic === TARGET) join(agent, attackAt);
    if (kind === roles.coldStart && topic === SOURCE) join(agent, 0);
    if (kind === roles.coldStart && topic === TARGET) join(agent, Math.min(attackAt, 40));
  }
  const pool = agentsWith(role, roles.honest).slice(PRE_TRUSTED);
  for (let k = pool.length - 1; k > 0; k--) {
    const other = Math.floor(random() * (k + 1));
    [pool[k], pool[other]] = [pool[other] as number, pool[k] as number];
  }
  const wanted = Math.max(10, (topic === TARGET ? targetSize : otherSize) - count);
  for (const agent of pool.slice(0, wanted)) joins[agent] = 0;
  return joins;
}

export function membersOf({ joins }: Pick<World, "joins">, topic: number, epoch: number): number[] {
  const from = joins[topic] as Uint8Array;
  return Array.from(from.keys()).filter((agent) => (from[agent] as number) <= epoch);
}

function drawQueries(joins: readonly Uint8Array[], random: () => number) {
  const total = EPOCHS * TOPICS * QUERIES;
  const client = new Uint8Array(total);
  const candidates = new Uint8Array(total * CANDIDATES);
  const fate = new Float32Array(total * CANDIDATES);
  const draws = new Float32Array(total * 3);
  let query = 0;
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    for (let topic = 0; topic < TOPICS; topic++) {
      const members = membersOf({ joins }, topic, epoch);
      for (let k = 0; k < QUERIES; k++, query++) {
        const drawn = members.slice();
        for (let place = 0; place <= CANDIDATES; place++) {
          const other = place + Math.floor(random() * (drawn.length - place));
          [drawn[place], drawn[other]] = [drawn[other] as number, drawn[place] as number];
        }
        client[query] = drawn[0] as number;
        for (let place = 0; place < CANDIDATES; place++) {
          candidates[query * CANDIDATES + place] = drawn[place + 1] as number;
          fate[query * CANDIDATES + place] = random();
        }
        for (let place = 0; place < 3; place++) draws[query * 3 + place] = random();
        // A query's value would be drawn here: two numbers that keep the sequence as the calibration had it.
        random();
        random();
      }
    }
  }
  return { client, candidates, fate, draws };
}
