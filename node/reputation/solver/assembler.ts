// A WebAssembly module from expressions. Every function below returns the bytes of its operands followed by its own opcode
// (WebAssembly 2.0 with SIMD and threads, binary format 5.4), so that code reads inside out like any expression.

export type Code = readonly number[];
export type ValueType = "i32" | "i64" | "f64" | "v128";

const typeBytes: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f64: 0x7c, v128: 0x7b };

/** A parameter or a local of a function. */
export interface Variable {
  readonly get: Code;
  set(value: Code): Code;
  /** `variable += value`, for i32. */
  increase(value: Code): Code;
}

export interface FunctionDefinition<P extends string, L extends string> {
  readonly name: string;
  readonly parameters: Readonly<Record<P, ValueType>>;
  readonly locals: Readonly<Record<L, ValueType>>;
  readonly result: ValueType | undefined;
  readonly body: (variables: Readonly<Record<P | L, Variable>>) => Code;
}

/** One function, assembled. */
export interface AssembledFunction {
  readonly name: string;
  readonly type: Code;
  readonly code: Code;
}

export function assembleFunction<P extends string, L extends string>(
  definition: FunctionDefinition<P, L>,
): AssembledFunction {
  const { name, parameters, locals, result, body } = definition;
  const names = [...Object.keys(parameters), ...Object.keys(locals)];
  const variables = Object.fromEntries(names.map((key, index) => [key, variableAt(index)]));
  const localTypes = Object.values<ValueType>(locals);
  const declarations = [...unsigned(localTypes.length), ...localTypes.flatMap((type) => [1, typeBytes[type]])];
  const code = [...declarations, ...body(variables as Record<P | L, Variable>), 0x0b];
  const parameterBytes = Object.values<ValueType>(parameters).map((type) => typeBytes[type]);
  const results = result === undefined ? [] : [typeBytes[result]];
  return { name, type: [0x60, ...list(parameterBytes), ...list(results)], code: [...unsigned(code.length), ...code] };
}

function variableAt(index: number): Variable {
  const get = [0x20, ...unsigned(index)];
  const set = (value: Code) => [...value, 0x21, ...unsigned(index)];
  return { get, set, increase: (value) => set([...get, ...value, 0x6a]) };
}

/** @param maxPages limit of the imported, shared memory `env.memory`, in pages of 64 KiB */
export function assembleModule(functions: readonly AssembledFunction[], maxPages: number): Uint8Array<ArrayBuffer> {
  const section = (id: number, content: Code) => [id, ...unsigned(content.length), ...content];
  const text = (value: string) => list([...new TextEncoder().encode(value)]);
  const vector = (items: readonly Code[]) => [...unsigned(items.length), ...items.flat()];
  const memory = [...text("env"), ...text("memory"), 0x02, 0x03, ...unsigned(1), ...unsigned(maxPages)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, vector(functions.map(({ type }) => type))),
    ...section(2, vector([memory])),
    ...section(3, vector(functions.map((_, index) => unsigned(index)))),
    ...section(7, vector(functions.map(({ name }, index) => [...text(name), 0x00, ...unsigned(index)]))),
    ...section(10, vector(functions.map(({ code }) => code))),
  ]);
}

function list(bytes: Code): Code {
  return [...unsigned(bytes.length), ...bytes];
}

function unsigned(value: number): Code {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest % 128) | 0x80);
  }
}

function signed(value: number): Code {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const byte = rest & 0x7f;
    if (rest >> 7 === (byte & 0x40 ? -1 : 0)) return [...bytes, byte];
    bytes.push(byte | 0x80);
  }
}

const plain =
  (opcode: number) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), opcode];
const simd =
  (opcode: number) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), 0xfd, ...unsigned(opcode)];
/** Loads and stores state their natural alignment, as log2 of bytes. */
const access =
  (opcode: Code, alignment: number) =>
  (operands: readonly Code[], offset = 0): Code => [
    ...operands.flat(),
    ...opcode,
    ...unsigned(alignment),
    ...unsigned(offset),
  ];

export const i32 = {
  of: (value: number): Code => [0x41, ...signed(value)],
  add: plain(0x6a),
  sub: plain(0x6b),
  mul: plain(0x6c),
  shl: plain(0x74),
  equal: plain(0x46),
  lessThan: plain(0x49),
  load: access([0x28], 2),
  load8: access([0x2d], 0),
  load16: access([0x2f], 1),
};

export const i64 = {
  of: (value: number): Code => [0x42, ...signed(value)],
  add: plain(0x7c),
  sub: plain(0x7d),
  mul: plain(0x7e),
  divide: plain(0x80),
  and: plain(0x83),
  or: plain(0x84),
  shl: plain(0x86),
  shr: plain(0x88),
  lessThan: plain(0x54),
  differs: plain(0x52),
  extend: plain(0xad),
  ofDouble: plain(0xb1),
  load: access([0x29], 3),
  store: access([0x37], 3),
};

export const f64 = {
  add: plain(0xa0),
  ofInt32: plain(0xb8),
  load: access([0x2b], 3),
};

const lanesOf =
  (opcode: number, alignment: number) =>
  (lane: number, address: Code, vector: Code): Code => [
    ...address,
    ...vector,
    0xfd,
    opcode,
    alignment,
    0,
    ...unsigned(lane),
  ];

export const v128 = {
  zero: [0xfd, 0x0c, ...Array<number>(16).fill(0)] as Code,
  load: access([0xfd, 0x00], 4),
  store: access([0xfd, 0x0b], 4),
  load32Zero: access([0xfd, 0x5c], 2),
  load64Zero: access([0xfd, 0x5d], 3),
  load32Lane: lanesOf(0x56, 2),
  load64Lane: lanesOf(0x57, 3),
  /** Upper half to the lower one. */
  upper: (vector: Code): Code => [
    ...vector,
    ...vector,
    ...[0xfd, 0x0d, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15],
  ],
};

export const i32x4 = { ofBytes: (v: Code): Code => simd(0xa9)(simd(0x89)(v)), ofShorts: simd(0xa9) };

export const f32x4 = { abs: simd(0xe0), add: simd(0xe4), sub: simd(0xe5), mul: simd(0xe6), ofInts: simd(0xfa) };

export const f64x2 = {
  abs: simd(0xec),
  add: simd(0xf0),
  sub: simd(0xf1),
  mul: simd(0xf2),
  ofLowInts: simd(0xfe),
  ofLowFloats: simd(0x5f),
  lane: (lane: number, vector: Code): Code => [...vector, 0xfd, 0x21, lane],
};

/** Repeats `body` while `condition` holds, tested before each turn. */
export function whileLoop(condition: Code, body: Code): Code {
  return [0x02, 0x40, 0x03, 0x40, ...condition, 0x45, 0x0d, 1, ...body, 0x0c, 0, 0x0b, 0x0b];
}

export function whenTrue(condition: Code, body: Code): Code {
  return [...condition, 0x04, 0x40, ...body, 0x0b];
}

/** `condition ? then : otherwise`, both evaluated. */
export function select(condition: Code, then: Code, otherwise: Code): Code {
  return [...then, ...otherwise, ...condition, 0x1b];
}
