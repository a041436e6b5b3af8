import { isHex, size, type Hex } from "viem";
import { accept, reject, type Verdict } from "../errors.ts";
import { commitmentOf } from "../identity.ts";
import { canonicalJson, isJson } from "./canonical-json.ts";
import { codeWordOf, decodeCodeCommitment, encodeCodeCommitment, type CodeCommitment } from "./code.ts";
import { configDigestFromProof, type FieldProof } from "./config.ts";

/** One field of a config, with what leads from it to the commitment on chain. Everything else of the config stays hidden. */
export interface Disclosure {
  readonly field: FieldProof;
  readonly code: CodeCommitment;
  readonly userId: Hex;
  readonly salt: Hex;
}

const FORMAT = "surety-config-field/1";
/** Beyond a field of the largest size and its proof. */
const MAX_TEXT = 1_048_576;
/** Siblings of a leaf in the largest tree. */
const MAX_SIBLINGS = 32;

/** The one text of a disclosure: canonical JSON and a line feed. */
export function writeDisclosure({ field, code, userId, salt }: Disclosure): string {
  const { place, ...shown } = field;
  const flat = { format: FORMAT, ...shown, ...place, codeCommitment: encodeCodeCommitment(code), userId, salt };
  return `${canonicalJson(flat)}\n`;
}

/** Reads a disclosure; only its canonical text is one. Rejects DISCLOSURE_FORM. */
export function readDisclosure(text: string): Verdict<Disclosure> {
  if (text.length > MAX_TEXT) return reject("DISCLOSURE_FORM", `${text.length} characters`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return reject("DISCLOSURE_FORM", "it is not JSON");
  }
  const read = parse(json);
  if (read === undefined) return reject("DISCLOSURE_FORM", `it is not an object of the form ${FORMAT}`);
  return writeDisclosure(read) === text ? accept(read) : reject("DISCLOSURE_FORM", "it is not in its canonical form");
}

/** The commitment (eq. 9) that a disclosure opens; the reader compares it with the chain's. Undefined when it opens none. */
export function commitmentOfDisclosure({ field, code, userId, salt }: Disclosure): Hex | undefined {
  const configDigest = configDigestFromProof(field);
  if (configDigest === undefined) return undefined;
  return commitmentOf({ codeCommitment: codeWordOf(code), configDigest, userId, salt });
}

function parse(json: unknown): Disclosure | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { format, name, value, leafSalt, index, leafCount, siblings, codeCommitment, userId, salt } = json as Record<
    string,
    unknown
  >;
  if (format !== FORMAT || typeof name !== "string" || !isJson(value)) return undefined;
  if (!isWord(leafSalt) || !isWord(userId) || !isWord(salt) || !isHexBytes(codeCommitment)) return undefined;
  if (typeof index !== "number" || typeof leafCount !== "number") return undefined;
  if (!Array.isArray(siblings) || siblings.length > MAX_SIBLINGS || !siblings.every(isWord)) return undefined;
  const code = decodeCodeCommitment(codeCommitment);
  if (code.kind !== "accept") return undefined;
  return { field: { name, value, leafSalt, place: { index, leafCount }, siblings }, code: code.value, userId, salt };
}

const isHexBytes = (value: unknown): value is Hex =>
  typeof value === "string" && isHex(value) && value.length % 2 === 0;
const isWord = (value: unknown): value is Hex => isHexBytes(value) && size(value) === 32;
