// The kernel again in plain TypeScript, operation by operation in the same order: the bytes that it leaves are the same.
// It is what the assembled kernel is tested against, and what to read first.
import { ALPHA } from "#protocol";
import { exactModes, operations, type Kernel, type WeightBytes } from "./kernel.ts";

const PASSED_ON = 65536n - ALPHA;
const { fround } = Math;

/** Every load is inside its array: addresses come from the layout. */
const at = <T>(array: ArrayLike<T>, index: number): T => array[index] as T;

export function createTwin(buffer: ArrayBufferLike, width: WeightBytes): Kernel {
  const bytes = new Uint8Array(buffer);
  const words = new Uint32Array(buffer);
  const floats = new Float32Array(buffer);
  const doubles = new Float64Array(buffer);
  const longs = new BigUint64Array(buffer);
  const weightAt = (address: number): number =>
    width === 1
      ? at(bytes, address)
      : width === 2
        ? at(bytes, address) + 256 * at(bytes, address + 1)
        : at(words, address >> 2);

  /** Visits the in-edges of one row in order: offset and weight. */
  function visit(
    block: number,
    lane: number,
    edges: readonly number[],
    edge: (offset: number, weight: number) => void,
  ) {
    const [starts, offsets, weights] = edges as [number, number, number];
    const end = at(words, (starts >> 2) + block + 1);
    for (let group = at(words, (starts >> 2) + block); group < end; group++) {
      const k = 4 * group + lane;
      edge(at(words, (offsets >> 2) + k), weightAt(weights + k * width));
    }
  }

  function sweep32(first: number, last: number, list: readonly number[]): number {
    const [, , , gifts, restart, scale, old, out, giftsOut] = list as [...number[]] & { length: 9 };
    const moved = [0, 0];
    for (let block = first; block < last; block++) {
      const steps = [0, 1, 2, 3].map((lane) => {
        const row = 4 * block + lane;
        let sum = 0;
        visit(block, lane, list, (offset, weight) => {
          sum = fround(sum + fround(fround(weight) * at(floats, ((gifts as number) + offset) >> 2)));
        });
        sum = fround(sum + at(floats, ((restart as number) >> 2) + row));
        floats[((out as number) >> 2) + row] = sum;
        floats[((giftsOut as number) >> 2) + row] = fround(sum * at(floats, ((scale as number) >> 2) + row));
        return Math.abs(fround(sum - at(floats, ((old as number) >> 2) + row)));
      }) as [number, number, number, number];
      moved[0] = at(moved, 0) + (steps[0] + steps[2]);
      moved[1] = at(moved, 1) + (steps[1] + steps[3]);
    }
    return at(moved, 0) + at(moved, 1);
  }

  function sweep64(first: number, last: number, list: readonly number[]): number {
    const [, , , gifts, restart, scores, residual] = list as [...number[]] & { length: 9 };
    const moved = [0, 0];
    for (let block = first; block < last; block++) {
      const steps = [0, 1, 2, 3].map((lane) => {
        const row = 4 * block + lane;
        let sum = 0;
        visit(block, lane, list, (offset, weight) => {
          sum += weight * at(doubles, ((gifts as number) >> 3) + (offset >> 2));
        });
        sum = sum + at(doubles, ((restart as number) >> 3) + row) - at(doubles, ((scores as number) >> 3) + row);
        doubles[((residual as number) >> 3) + row] = sum;
        return Math.abs(sum);
      }) as [number, number, number, number];
      moved[0] = at(moved, 0) + (steps[0] + steps[2]);
      moved[1] = at(moved, 1) + (steps[1] + steps[3]);
    }
    return at(moved, 0) + at(moved, 1);
  }

  function exact(first: number, last: number, list: readonly number[]): number {
    const [, , , quotients, restart, scores, rowSums, image, mode] = list as [...number[]] & { length: 9 };
    let changed = 0;
    for (let block = first; block < last; block++) {
      const sums = [0, 1, 2, 3].map((lane) => {
        let sum = 0n;
        visit(block, lane, list, (offset, weight) => {
          sum += BigInt(weight) * at(longs, ((quotients as number) >> 3) + (offset >> 2));
        });
        return sum;
      });
      // All four rows are summed before the first of them is written, as in the assembled kernel.
      sums.forEach((sum, lane) => {
        const row = 4 * block + lane;
        const value = ((PASSED_ON * sum) >> 16n) + at(longs, ((restart as number) >> 3) + row);
        if (mode === exactModes.image) longs[((image as number) >> 3) + row] = value;
        const old = at(longs, ((scores as number) >> 3) + row);
        const isTaken = mode === exactModes.lower ? value < old : mode === exactModes.follow && value !== old;
        if (!isTaken) return;
        changed++;
        longs[((scores as number) >> 3) + row] = value;
        const rowSum = at(words, ((rowSums as number) >> 2) + row);
        if (rowSum !== 0) longs[((quotients as number) >> 3) + row] = value / BigInt(rowSum);
      });
    }
    return changed;
  }

  function spread(first: number, last: number, list: readonly number[]): number {
    const [priors, out, lowWord, highWord, shift] = list as [...number[]] & { length: 9 };
    const multiplier = BigInt((lowWord as number) >>> 0) + (BigInt((highWord as number) >>> 0) << 32n);
    for (let row = 4 * first; row < 4 * last; row++) {
      const prior = BigInt(at(doubles, ((priors as number) >> 3) + row));
      longs[((out as number) >> 3) + row] = (multiplier * prior) >> BigInt(shift as number);
    }
    return 0;
  }

  function divide(first: number, last: number, list: readonly number[]): number {
    const [scores, rowSums, quotients] = list as [...number[]] & { length: 9 };
    for (let row = 4 * first; row < 4 * last; row++) {
      const rowSum = BigInt(at(words, ((rowSums as number) >> 2) + row));
      longs[((quotients as number) >> 3) + row] =
        rowSum === 0n ? 0n : at(longs, ((scores as number) >> 3) + row) / rowSum;
    }
    return 0;
  }

  return (operation, first, last, argumentList) => {
    const list = Array.from(argumentList);
    if (operation === operations.sweep32) return sweep32(first, last, list);
    if (operation === operations.sweep64) return sweep64(first, last, list);
    if (operation === operations.exact) return exact(first, last, list);
    return operation === operations.spread ? spread(first, last, list) : divide(first, last, list);
  };
}
