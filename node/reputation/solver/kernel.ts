import { ALPHA } from "#protocol";
import {
  assembleFunction,
  assembleModule,
  f32x4,
  f64,
  f64x2,
  i32,
  i32x4,
  i64,
  select,
  v128,
  whenTrue,
  whileLoop,
  type AssembledFunction,
  type Code,
} from "./assembler.ts";

/** Bytes of a stored weight; the narrowest that holds all weights of a graph. */
export type WeightBytes = 1 | 2 | 4;

/** What a kernel can be told to do with the rows of some blocks; arguments are byte addresses unless said otherwise. */
export const operations = {
  /** offsets' starts, offsets, weights, gifts, restart, scale, old, out, giftsOut → Σ |out − old| */
  sweep32: 0,
  /** starts, offsets, weights, gifts, restart, scores, residual → Σ |residual| */
  sweep64: 1,
  /** starts, offsets, weights, quotients, restart, scores, rowSums, image, mode → how many scores changed */
  exact: 2,
  /** priors, out, multiplier's low and high word, shift: out ← multiplier·prior >> shift → 0 */
  spread: 3,
  /** scores, rowSums, quotients: quotients ← ⌊scores / rowSums⌋, 0 where the row is silent → 0 */
  divide: 4,
} as const;

export type Operation = (typeof operations)[keyof typeof operations];

/** Modes of `exact`. */
export const exactModes = {
  /** image ← F(scores); scores stay. */
  image: 0,
  /** scores ← min(scores, F(scores)), in place. */
  lower: 1,
  /** scores ← F(scores), in place. */
  follow: 2,
} as const;

/** Blocks of this many rows, padded to the longest of them (SELL-4), stand side by side: one in-edge of each row at a time. */
export const BLOCK_ROWS = 4;
/** Arguments after the range of blocks. */
export const ARGUMENT_COUNT = 9;
/** Limit of the memory: 4 GiB, all that 32-bit addresses reach. */
export const MAX_PAGES = 65_536;
/** Offsets of in-edges are stored in bytes of a 4-byte element, so that the hot loop multiplies nothing. */
export const OFFSET_BYTES = 4;

const PASSED_ON = 65536 - Number(ALPHA);

const range = { first: "i32", last: "i32" } as const;
const edges = { starts: "i32", offsets: "i32", weights: "i32" } as const;
const lanes = [0, 1, 2, 3] as const;

interface Walk {
  readonly first: { readonly get: Code };
  readonly starts: { readonly get: Code };
  readonly offsets: { readonly get: Code };
  readonly weights: { readonly get: Code };
  readonly at: { readonly get: Code; set(value: Code): Code; increase(value: Code): Code };
  readonly end: { readonly get: Code; set(value: Code): Code };
  readonly weightAt: { readonly get: Code; set(value: Code): Code; increase(value: Code): Code };
}

/** Runs `body` once for each group of four in-edges of block `first`, with `at` at its offsets and `weightAt` at its weights. */
function walkBlock(v: Walk, width: WeightBytes, body: Code): Code {
  const group = (index: Code) => i32.load([i32.add(v.starts.get, i32.shl(index, i32.of(2)))]);
  const groupBytes = BLOCK_ROWS * OFFSET_BYTES;
  return [
    ...v.at.set(group(v.first.get)),
    ...v.weightAt.set(i32.add(v.weights.get, i32.mul(v.at.get, i32.of(BLOCK_ROWS * width)))),
    ...v.at.set(i32.add(v.offsets.get, i32.mul(v.at.get, i32.of(groupBytes)))),
    ...v.end.set(i32.add(v.offsets.get, i32.mul(group(i32.add(v.first.get, i32.of(1))), i32.of(groupBytes)))),
    ...whileLoop(i32.lessThan(v.at.get, v.end.get), [
      ...body,
      ...v.at.increase(i32.of(groupBytes)),
      ...v.weightAt.increase(i32.of(BLOCK_ROWS * width)),
    ]),
  ];
}

/** Four weights as 32-bit integers. */
function weightLanes(address: Code, width: WeightBytes): Code {
  if (width === 1) return i32x4.ofBytes(v128.load32Zero([address]));
  return width === 2 ? i32x4.ofShorts(v128.load64Zero([address])) : v128.load([address]);
}

function sweep32(width: WeightBytes): AssembledFunction {
  return assembleFunction({
    name: `sweep32x${width}`,
    parameters: {
      ...range,
      ...edges,
      ...{ gifts: "i32", restart: "i32", scale: "i32", old: "i32", out: "i32", giftsOut: "i32" },
    },
    locals: { at: "i32", end: "i32", weightAt: "i32", row: "i32", sum: "v128", moved: "v128" },
    result: "f64",
    body(v) {
      const gift = (lane: number) => i32.add(v.gifts.get, i32.load([v.at.get], lane * OFFSET_BYTES));
      const first = v128.load32Zero([gift(0)]);
      const gifts = [1, 2, 3].reduce<Code>((vector, lane) => v128.load32Lane(lane, gift(lane), vector), first);
      const weights = f32x4.ofInts(weightLanes(v.weightAt.get, width));
      const at = (array: { readonly get: Code }) => i32.add(array.get, v.row.get);
      return [
        ...whileLoop(i32.lessThan(v.first.get, v.last.get), [
          ...v.sum.set(v128.zero),
          ...walkBlock(v, width, v.sum.set(f32x4.add(v.sum.get, f32x4.mul(weights, gifts)))),
          ...v.row.set(i32.shl(v.first.get, i32.of(4))),
          ...v.sum.set(f32x4.add(v.sum.get, v128.load([at(v.restart)]))),
          ...v128.store([at(v.out), v.sum.get]),
          ...v128.store([at(v.giftsOut), f32x4.mul(v.sum.get, v128.load([at(v.scale)]))]),
          ...v.sum.set(f32x4.abs(f32x4.sub(v.sum.get, v128.load([at(v.old)])))),
          ...v.moved.set(
            f64x2.add(v.moved.get, f64x2.add(f64x2.ofLowFloats(v.sum.get), f64x2.ofLowFloats(v128.upper(v.sum.get)))),
          ),
          ...v.first.increase(i32.of(1)),
        ]),
        ...f64.add(f64x2.lane(0, v.moved.get), f64x2.lane(1, v.moved.get)),
      ];
    },
  });
}

function sweep64(width: WeightBytes): AssembledFunction {
  return assembleFunction({
    name: `sweep64x${width}`,
    parameters: {
      ...range,
      ...edges,
      ...{ gifts: "i32", restart: "i32", scores: "i32", residual: "i32", unused: "i32", unused2: "i32" },
    },
    locals: {
      ...{ at: "i32", end: "i32", weightAt: "i32", row: "i32" },
      ...{ low: "v128", high: "v128", ints: "v128", moved: "v128" },
    },
    result: "f64",
    body(v) {
      const gift = (lane: number) =>
        i32.add(v.gifts.get, i32.shl(i32.load([v.at.get], lane * OFFSET_BYTES), i32.of(1)));
      const pair = (lane: number) => v128.load64Lane(1, gift(lane + 1), v128.load64Zero([gift(lane)]));
      const at = (array: { readonly get: Code }) => i32.add(array.get, v.row.get);
      const settle = (half: typeof v.low, offset: number) => [
        ...half.set(
          f64x2.sub(f64x2.add(half.get, v128.load([at(v.restart)], offset)), v128.load([at(v.scores)], offset)),
        ),
        ...v128.store([at(v.residual), half.get], offset),
      ];
      return [
        ...whileLoop(i32.lessThan(v.first.get, v.last.get), [
          ...v.low.set(v128.zero),
          ...v.high.set(v128.zero),
          ...walkBlock(v, width, [
            ...v.ints.set(weightLanes(v.weightAt.get, width)),
            ...v.low.set(f64x2.add(v.low.get, f64x2.mul(f64x2.ofLowInts(v.ints.get), pair(0)))),
            ...v.high.set(f64x2.add(v.high.get, f64x2.mul(f64x2.ofLowInts(v128.upper(v.ints.get)), pair(2)))),
          ]),
          ...v.row.set(i32.shl(v.first.get, i32.of(5))),
          ...settle(v.low, 0),
          ...settle(v.high, 16),
          ...v.moved.set(f64x2.add(v.moved.get, f64x2.add(f64x2.abs(v.low.get), f64x2.abs(v.high.get)))),
          ...v.first.increase(i32.of(1)),
        ]),
        ...f64.add(f64x2.lane(0, v.moved.get), f64x2.lane(1, v.moved.get)),
      ];
    },
  });
}

/**
 * In place: a thread may see a neighbour's quotient from before or after its change, and either is fine (exact.ts). An aligned
 * 64-bit access is one instruction on every 64-bit host; WebAssembly's atomic ones took four times as long a sweep.
 */
function exact(width: WeightBytes): AssembledFunction {
  return assembleFunction({
    name: `exactx${width}`,
    parameters: {
      ...range,
      ...edges,
      ...{ quotients: "i32", restart: "i32", scores: "i32", rowSums: "i32", image: "i32", mode: "i32" },
    },
    locals: {
      ...{ at: "i32", end: "i32", weightAt: "i32", row: "i32", rowSum: "i32", changed: "i32", old: "i64" },
      ...{ sum0: "i64", sum1: "i64", sum2: "i64", sum3: "i64" },
    },
    result: "f64",
    body(v) {
      const sums = [v.sum0, v.sum1, v.sum2, v.sum3];
      const loadWeight = { 1: i32.load8, 2: i32.load16, 4: i32.load }[width];
      const add = sums.flatMap((sum, lane) => {
        const offset = i32.shl(i32.load([v.at.get], lane * OFFSET_BYTES), i32.of(1));
        const quotient = i64.load([i32.add(v.quotients.get, offset)]);
        const weight = i64.extend(loadWeight([v.weightAt.get], lane * width));
        return sum.set(i64.add(sum.get, i64.mul(weight, quotient)));
      });
      const scaled = (value: Code) => i64.mul(value, i64.of(PASSED_ON));
      const at = (array: { readonly get: Code }) => i32.add(array.get, v.row.get);
      const rows = lanes.flatMap((lane) => {
        const sum = sums[lane] as (typeof sums)[number];
        return [
          // ((65536 - A)·sum) >> 16 without its 80 bits: the upper part times 2^16 needs no rounding.
          ...sum.set(
            i64.add(
              i64.add(
                scaled(i64.shr(sum.get, i64.of(16))),
                i64.shr(scaled(i64.and(sum.get, i64.of(0xffff))), i64.of(16)),
              ),
              i64.load([at(v.restart)], lane * 8),
            ),
          ),
          ...whenTrue(i32.equal(v.mode.get, i32.of(exactModes.image)), i64.store([at(v.image), sum.get], lane * 8)),
          ...v.old.set(i64.load([at(v.scores)], lane * 8)),
          ...whenTrue(
            select(
              i32.equal(v.mode.get, i32.of(exactModes.lower)),
              i64.lessThan(sum.get, v.old.get),
              i32.equal(
                i32.add(i64.differs(sum.get, v.old.get), i32.equal(v.mode.get, i32.of(exactModes.follow))),
                i32.of(2),
              ),
            ),
            [
              ...i64.store([at(v.scores), sum.get], lane * 8),
              ...v.changed.increase(i32.of(1)),
              ...v.rowSum.set(i32.load([i32.add(v.rowSums.get, i32.shl(v.first.get, i32.of(4)))], lane * 4)),
              ...whenTrue(
                v.rowSum.get,
                i64.store([at(v.quotients), i64.divide(sum.get, i64.extend(v.rowSum.get))], lane * 8),
              ),
            ],
          ),
        ];
      });
      return [
        ...whileLoop(i32.lessThan(v.first.get, v.last.get), [
          ...sums.flatMap((sum) => sum.set(i64.of(0))),
          ...walkBlock(v, width, add),
          ...v.row.set(i32.shl(v.first.get, i32.of(5))),
          ...rows,
          ...v.first.increase(i32.of(1)),
        ]),
        ...f64.ofInt32(v.changed.get),
      ];
    },
  });
}

/** 63-bit multiplier times 48-bit prior, shifted by up to 84: four products of 32-bit words. */
function spread(): AssembledFunction {
  return assembleFunction({
    name: "spread",
    parameters: {
      ...range,
      ...{ priors: "i32", out: "i32", lowWord: "i32", highWord: "i32", shift: "i32" },
      ...{ unused: "i32", unused2: "i32", unused3: "i32", unused4: "i32" },
    },
    locals: { row: "i32", end: "i32", prior: "i64", low: "i64", middle: "i64", high: "i64" },
    result: "f64",
    body(v) {
      const word = i64.of(32);
      const lowOf = (value: Code) => i64.and(value, i64.shr(i64.of(-1), word));
      const [m0, m1] = [i64.extend(v.lowWord.get), i64.extend(v.highWord.get)];
      const [p0, p1] = [lowOf(v.prior.get), i64.shr(v.prior.get, word)];
      const by = i64.extend(v.shift.get);
      return [
        ...v.row.set(i32.shl(v.first.get, i32.of(5))),
        ...v.end.set(i32.shl(v.last.get, i32.of(5))),
        ...whileLoop(i32.lessThan(v.row.get, v.end.get), [
          ...v.prior.set(i64.ofDouble(f64.load([i32.add(v.priors.get, v.row.get)]))),
          ...v.low.set(i64.mul(m0, p0)),
          ...v.middle.set(i64.add(i64.add(i64.mul(m1, p0), i64.mul(m0, p1)), i64.shr(v.low.get, word))),
          ...v.low.set(i64.or(lowOf(v.low.get), i64.shl(v.middle.get, word))),
          ...v.high.set(i64.add(i64.mul(m1, p1), i64.shr(v.middle.get, word))),
          ...i64.store([
            i32.add(v.out.get, v.row.get),
            select(
              i32.lessThan(v.shift.get, i32.of(64)),
              i64.or(
                i64.shr(v.low.get, by),
                // Shifts count modulo 64: (high << 1) << (63 - by) gives nothing of `high` when `by` is 0.
                i64.shl(i64.shl(v.high.get, i64.of(1)), i64.sub(i64.of(63), by)),
              ),
              i64.shr(v.high.get, i64.sub(by, i64.of(64))),
            ),
          ]),
          ...v.row.increase(i32.of(8)),
        ]),
        ...f64.ofInt32(i32.of(0)),
      ];
    },
  });
}

function divide(): AssembledFunction {
  return assembleFunction({
    name: "divide",
    parameters: {
      ...range,
      ...{ scores: "i32", rowSums: "i32", quotients: "i32", unused: "i32", unused2: "i32" },
      ...{ unused3: "i32", unused4: "i32", unused5: "i32", unused6: "i32" },
    },
    locals: { row: "i32", end: "i32", rowSum: "i32" },
    result: "f64",
    body(v) {
      const long = (array: { readonly get: Code }) => i32.add(array.get, i32.shl(v.row.get, i32.of(3)));
      return [
        ...v.row.set(i32.shl(v.first.get, i32.of(2))),
        ...v.end.set(i32.shl(v.last.get, i32.of(2))),
        ...whileLoop(i32.lessThan(v.row.get, v.end.get), [
          ...v.rowSum.set(i32.load([i32.add(v.rowSums.get, i32.shl(v.row.get, i32.of(2)))])),
          ...i64.store([long(v.quotients), i64.of(0)]),
          ...whenTrue(
            v.rowSum.get,
            i64.store([long(v.quotients), i64.divide(i64.load([long(v.scores)]), i64.extend(v.rowSum.get))]),
          ),
          ...v.row.increase(i32.of(1)),
        ]),
        ...f64.ofInt32(i32.of(0)),
      ];
    },
  });
}

const widths: readonly WeightBytes[] = [1, 2, 4];

/** The bytes of the kernel: the same on every machine, since nothing but this code makes them. */
export function assembleKernel(): Uint8Array<ArrayBuffer> {
  return assembleModule(
    [...widths.flatMap((width) => [sweep32(width), sweep64(width), exact(width)]), spread(), divide()],
    MAX_PAGES,
  );
}

/** Does one operation on the blocks [first, last) of a memory; the arguments are those that `operations` lists. */
export type Kernel = (operation: Operation, first: number, last: number, argumentList: ArrayLike<number>) => number;

type KernelFunction = (first: number, last: number, ...argumentList: number[]) => number;

let compiled: WebAssembly.Module | undefined;

export function createWasmKernel(memory: WebAssembly.Memory, width: WeightBytes): Kernel {
  compiled ??= new WebAssembly.Module(assembleKernel());
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  const named = (name: string) => exports[name] as KernelFunction;
  const functions = [
    named(`sweep32x${width}`),
    named(`sweep64x${width}`),
    named(`exactx${width}`),
    named("spread"),
    named("divide"),
  ] as const;
  return (operation, first, last, argumentList) => functions[operation](first, last, ...Array.from(argumentList));
}
