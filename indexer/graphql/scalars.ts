import { GraphQLError, GraphQLScalarType, Kind, type ValueNode } from "graphql";

/** Digits of 2^256: a longer number is no value of any column, and costs time to parse. */
const MAX_DIGITS = 78;

export const bigIntScalar = new GraphQLScalarType<bigint, string>({
  name: "BigInt",
  description: "An unsigned integer of up to 256 bits, as a decimal string",
  serialize: (value) => String(value),
  parseValue: parseBig,
  parseLiteral: (node) => parseBig(literal(node)),
});

export const bytesScalar = new GraphQLScalarType<string, string>({
  name: "Bytes",
  description: "0x and lower-case hex digits",
  serialize: (value) => value as string,
  parseValue: parseBytes,
  parseLiteral: (node) => parseBytes(literal(node)),
});

export const decimalScalar = new GraphQLScalarType<string, string>({
  name: "BigDecimal",
  description: "A signed decimal fraction of at most 18 places, as a decimal string",
  serialize: (value) => value as string,
  parseValue: parseDecimal,
  parseLiteral: (node) => parseDecimal(node.kind === Kind.FLOAT ? node.value : literal(node)),
});

function parseDecimal(value: unknown): string {
  const text = typeof value === "number" ? String(value) : value;
  // Any longer fraction is no value of any column.
  if (typeof text === "string" && /^-?\d{1,57}(\.\d{1,18})?$/.test(text)) return text;
  throw badValue("BigDecimal", "decimal digits");
}

function parseBig(value: unknown): bigint {
  const text = typeof value === "number" && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text === "string" && /^\d+$/.test(text) && text.length <= MAX_DIGITS) return BigInt(text);
  throw badValue("BigInt", "decimal digits");
}

function parseBytes(value: unknown): string {
  if (typeof value === "string" && /^0x[0-9a-fA-F]*$/.test(value)) return value.toLowerCase();
  throw badValue("Bytes", "0x and hex digits");
}

function literal(node: ValueNode): unknown {
  return node.kind === Kind.STRING || node.kind === Kind.INT ? node.value : undefined;
}

function badValue(scalar: string, form: string): GraphQLError {
  return new GraphQLError(`A ${scalar} is written as ${form}.`, { extensions: { code: "BAD_VALUE" } });
}
