import { concat, hexToBytes, keccak256, numberToHex, size, stringToHex, type Hex } from "viem";
import { SuretyError } from "../errors.ts";
import { canonicalJson, isJson, type Json } from "./canonical-json.ts";
import { leafHash, merkleProof, merkleRoot, rootFromProof, type LeafPlace } from "./merkle.ts";

/** What a config always says; null = the agent has none of it, and says so. */
export const configFields = ["model", "promptTemplate", "toolPermissions", "safetyPolicy", "budgetPolicy"] as const;

/** A config: the fields above, and others of the agent's own. Each value is one leaf of the tree. */
export type Config = { readonly [name: string]: Json };

/** Fields of one config; a proof is then at most 8 hashes. */
const MAX_FIELDS = 256;
/** One field's canonical text; larger content is committed to by its hash. */
const MAX_FIELD_BYTES = 262_144;
const SALT_DOMAIN = stringToHex("surety:config-salt:1");
const LEAF_DOMAIN = stringToHex("surety:config-field:1");

/** One field, disclosed: what its leaf hashes, and the leaf's place and siblings. */
export interface FieldProof {
  readonly name: string;
  readonly value: Json;
  /** 32 bytes. Opens this leaf only. */
  readonly leafSalt: Hex;
  readonly place: LeafPlace;
  readonly siblings: readonly Hex[];
}

/** Checks that a parsed JSON value is a config. @throws SuretyError CONFIG_INVALID */
export function checkConfig(value: unknown): Config {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("it is not an object");
  const names = Object.keys(value);
  const missing = configFields.find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) throw invalid(`${missing} is missing; write null if the agent has none`, missing);
  if (names.length > MAX_FIELDS) throw invalid(`it has ${names.length} fields of at most ${MAX_FIELDS}`);
  for (const name of names) {
    const fault = fieldFaultOf(name, (value as Record<string, unknown>)[name]);
    if (fault !== undefined) throw invalid(fault, name);
  }
  return value as Config;
}

function fieldFaultOf(name: string, value: unknown): string | undefined {
  if (!isFieldName(name))
    return `the field name ${JSON.stringify(name.slice(0, 80))} is not 1 to 64 of letters, digits, _ . -`;
  if (!isJson(value)) return `${name} holds what JSON cannot say exactly`;
  return size(stringToHex(canonicalJson(value))) > MAX_FIELD_BYTES
    ? `${name} is larger than ${MAX_FIELD_BYTES} bytes`
    : undefined;
}

/** ASCII, so that every language sorts names alike. */
const isFieldName = (name: string): boolean => /^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(name);

/**
 * Root of the config tree: one leaf a field, sorted by name.
 * @param secret 32 random bytes, kept with the config: from it comes each leaf's salt
 * @throws SuretyError CONFIG_INVALID, CONFIG_SECRET
 */
export function configDigestOf(config: Config, secret: Hex): Hex {
  return merkleRoot(leavesOf(checkConfig(config), secret));
}

/** Discloses one field and proves it, alone. @throws SuretyError CONFIG_INVALID, CONFIG_SECRET, CONFIG_FIELD_UNKNOWN */
export function proveField(config: Config, secret: Hex, name: string): FieldProof {
  const names = namesOf(checkConfig(config));
  const index = names.indexOf(name);
  if (index < 0) {
    throw new SuretyError("CONFIG_FIELD_UNKNOWN", `The config has no field ${name}.`, {
      values: { name, fields: names },
      next: `Name one of ${names.join(", ")}.`,
    });
  }
  const siblings = merkleProof(leavesOf(config, secret), index);
  const place = { index, leafCount: names.length };
  return { name, value: config[name] as Json, leafSalt: leafSaltOf(secret, name), place, siblings };
}

/** The config digest to which a disclosed field leads; undefined when the proof is malformed. */
export function configDigestFromProof({ name, value, leafSalt, place, siblings }: FieldProof): Hex | undefined {
  if (!isFieldName(name) || size(leafSalt) !== 32 || !isJson(value)) return undefined;
  return rootFromProof(fieldLeaf(name, value, leafSalt), place, siblings);
}

const namesOf = (config: Config): string[] => Object.keys(config).sort();

function leavesOf(config: Config, secret: Hex): Hex[] {
  if (size(secret) !== 32 || hexToBytes(secret).every((byte) => byte === 0)) {
    throw new SuretyError("CONFIG_SECRET", "The secret of a config is 32 random bytes.", {
      values: { length: size(secret) },
      next: "Take the secret from the binding file that `surety baid commit` wrote.",
    });
  }
  return namesOf(config).map((name) => fieldLeaf(name, config[name] as Json, leafSaltOf(secret, name)));
}

/** A keyed hash: keccak256 is a sponge, so a secret prefix of fixed length makes it a pseudorandom function. */
const leafSaltOf = (secret: Hex, name: string): Hex => keccak256(concat([SALT_DOMAIN, secret, stringToHex(name)]));

/** The name's length stands before it: no other split of the same bytes is another field. */
function fieldLeaf(name: string, value: Json, leafSalt: Hex): Hex {
  const parts = [numberToHex(name.length, { size: 1 }), stringToHex(name), stringToHex(canonicalJson(value))];
  return leafHash(concat([LEAF_DOMAIN, leafSalt, ...parts]));
}

function invalid(fault: string, field?: string): SuretyError {
  return new SuretyError("CONFIG_INVALID", `This is not an agent's config: ${fault}.`, {
    values: field === undefined ? {} : { field },
    next: `Write a JSON object with at least ${configFields.join(", ")}.`,
  });
}
