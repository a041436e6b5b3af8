import { constantWords, matrixWords } from "./parameters.ts";

/** Order of Pallas's base field, in which the circuit of log compliance counts. */
export const PALLAS_ORDER = 0x40000000000000000000000000000000224698fc094cf91b992d30ed00000001n;

const WIDTH = 3;
const RATE = 2;
const ROUNDS = 55;

const rowsOf = (words: string): bigint[][] => {
  const values = words
    .trim()
    .split(/\s+/)
    .map((word) => BigInt(`0x${word}`));
  return Array.from({ length: values.length / WIDTH }, (_, row) => values.slice(row * WIDTH, (row + 1) * WIDTH));
};
const matrix = rowsOf(matrixWords);
const constants = rowsOf(constantWords);

function raiseTo7(x: bigint): bigint {
  const square = (x * x) % PALLAS_ORDER;
  const fourth = (square * square) % PALLAS_ORDER;
  return (((fourth * square) % PALLAS_ORDER) * x) % PALLAS_ORDER;
}

/** In Kimchi's order a round's constants come last. */
function permute(state: readonly bigint[]): bigint[] {
  let current = [...state];
  for (let round = 0; round < ROUNDS; round++) {
    const [a = 0n, b = 0n, c = 0n] = current.map(raiseTo7);
    current = matrix.map(
      ([m0 = 0n, m1 = 0n, m2 = 0n], row) => (m0 * a + m1 * b + m2 * c + (constants[round]?.[row] ?? 0n)) % PALLAS_ORDER,
    );
  }
  return current;
}

/**
 * Poseidon as o1js computes it: a sponge of width 3 and rate 2 over Pallas's base field, 55 full rounds, x^7, input padded with zeros to
 * a multiple of 2. Inputs of different lengths can therefore collide: whoever hashes fixes the length.
 * Not for secrets: bigints take a time that depends on their value.
 * @param input field elements, at least one; each is taken modulo the order
 */
export function poseidonHash(input: readonly bigint[]): bigint {
  let state: bigint[] = [0n, 0n, 0n];
  for (let i = 0; i < Math.max(input.length, 1); i += RATE) {
    const [a = 0n, b = 0n, c = 0n] = state;
    state = permute([(a + (input[i] ?? 0n)) % PALLAS_ORDER, (b + (input[i + 1] ?? 0n)) % PALLAS_ORDER, c]);
  }
  return state[0] ?? 0n;
}
