import { encode, decode } from "@ipld/dag-cbor";
import { SuretyError } from "#protocol";
import type { Application, CreateApplication } from "../../../node/application.ts";
import { skills, type Skill } from "../skills.ts";

// An agent of the built-in scenario: it sells one skill, or buys. Its conduct says how well it behaves, so that the
// scenario shows what reputation makes of each.

interface SkillOptions {
  /** Topic of the skill that it sells; none = it only buys. */
  readonly topic?: string;
  readonly priceWei?: string;
  /** Units of quality that it promises. */
  readonly quality?: number;
  /** honest delivers; careless leaves a part of the result out; silent takes deals and never delivers. */
  readonly conduct?: "honest" | "careless" | "silent";
}

export const createApplication: CreateApplication = ({ options }) => {
  const { topic, priceWei = "0", quality = 0, conduct = "honest" } = (options ?? {}) as SkillOptions;
  const skill = skills.find((candidate) => candidate.topic === topic);
  if (topic !== undefined && skill === undefined) {
    throw new SuretyError("USAGE_CONFIG", `There is no built-in skill for ${topic}.`, {
      values: { topic },
      next: `Use one of ${skills.map((candidate) => candidate.topic).join(", ")}.`,
    });
  }
  return applicationOf(skill, BigInt(priceWei), BigInt(quality), conduct);
};

function applicationOf(
  skill: Skill | undefined,
  priceWei: bigint,
  quality: bigint,
  conduct: "honest" | "careless" | "silent",
): Application {
  return {
    capabilities: skill === undefined ? [] : [{ ...skill, name: skill.title, priceWei }],
    quote: (_call, _mechanism, spec) =>
      Promise.resolve(skill !== undefined && spec.topic === skill.topic ? { priceWei, quality } : undefined),
    // What it earns above its list price; it is as quick as any package asks.
    value: (_call, { packages }, spec) =>
      Promise.resolve(
        skill !== undefined && spec.topic === skill.topic
          ? { worths: packages.map((offered) => offered.priceWei - priceWei), reservation: 0n }
          : undefined,
      ),
    perform(_deal, spec) {
      if (skill === undefined || conduct === "silent") return Promise.reject(new Error("nothing is delivered"));
      const result = skill.perform(spec.input);
      return Promise.resolve(encode({ result: conduct === "careless" ? withoutLastPart(result) : result }));
    },
    assess: (_deal, spec, deliverable) => Promise.resolve(rate(spec.topic, spec.input, deliverable)),
    serve: ({ body }) => Promise.resolve(serve(skill, body)),
  };
}

/** Over HTTP the input comes as JSON in the body, and the result goes back as JSON. */
function serve(skill: Skill | undefined, body: Uint8Array): Uint8Array {
  if (skill === undefined) throw new Error("this agent sells nothing");
  const input: unknown = JSON.parse(new TextDecoder().decode(body));
  return new TextEncoder().encode(`${JSON.stringify(skill.perform(input))}\n`);
}

/** Everyone can do the work again: a right delivery is worth full marks, a wrong one none. */
function rate(topic: string, input: unknown, deliverable: Uint8Array): number {
  const skill = skills.find((candidate) => candidate.topic === topic);
  if (skill === undefined) return 0;
  try {
    const { result } = decode<{ result: unknown }>(deliverable);
    return Buffer.compare(encode(result), encode(skill.perform(input))) === 0 ? 100 : -100;
  } catch {
    return -100;
  }
}

function withoutLastPart(result: unknown): unknown {
  if (Array.isArray(result)) return result.slice(0, -1);
  return Object.fromEntries(Object.entries(result as Record<string, unknown>).slice(0, -1));
}
