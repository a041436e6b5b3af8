// Answers remembered by what was read of a question: a pure function that looked at some fields only gives the same answer to every
// question that agrees in those.

/** A record of which each field that is looked at leaves its bit. */
export type Watch<K extends string, V> = (values: Readonly<Record<K, V>>) => {
  readonly view: Readonly<Record<K, V>>;
  /** Bits of the fields read so far, in the order of the names. */
  readonly seen: () => number;
};

/** Bits of one number. */
const MAX_FIELDS = 31;

/** The view has its fields as accessors of one shape, so that a read costs little more than that of a plain record; it cannot be spread. */
export function createWatch<K extends string, V>(names: readonly K[]): Watch<K, V> {
  if (names.length > MAX_FIELDS) throw new RangeError(`${names.length} fields are more than ${MAX_FIELDS} bits`);
  class View {
    readonly values: readonly V[];
    seen = 0;
    constructor(values: readonly V[]) {
      this.values = values;
    }
  }
  for (const [k, name] of names.entries()) {
    Object.defineProperty(View.prototype, name, {
      get(this: View) {
        this.seen |= 1 << k;
        return this.values[k];
      },
    });
  }
  return (values) => {
    const view = new View(names.map((name) => values[name]));
    // The accessors above are the record's fields, which a class cannot declare by computed names.
    return { view: view as unknown as Readonly<Record<K, V>>, seen: () => view.seen };
  };
}

/** Combinations of fields that are looked up, each of which costs a lookup some microseconds; a market knows a few dozen of them. */
const MAX_SHAPES = 256;

/** Bounded; the oldest answer goes first. Questions are lists of fields, the same ones in the same order. */
export class ReadMemo<T> {
  readonly #answers = new Map<string, T>();
  readonly #shapes: (readonly number[])[] = [];
  readonly #known = new Set<string>();
  readonly #limit: number;

  /** @param limit answers that are kept */
  constructor(limit: number) {
    this.#limit = limit;
  }

  find(fields: readonly string[]): T | undefined {
    for (const shape of this.#shapes) {
      const answer = this.#answers.get(keyOf(fields, shape));
      if (answer !== undefined) return answer;
    }
    return undefined;
  }

  /** @param read indices of the fields that the answer was made from, ascending */
  keep(fields: readonly string[], read: readonly number[], answer: T): void {
    const name = read.join();
    if (!this.#known.has(name)) {
      if (this.#shapes.length >= MAX_SHAPES) return;
      this.#known.add(name);
      this.#shapes.push(read);
    }
    if (this.#answers.size >= this.#limit) this.#answers.delete(this.#answers.keys().next().value as string);
    this.#answers.set(keyOf(fields, read), answer);
  }
}

/** Tells shapes apart as well: an index is in the key beside its value. */
const keyOf = (fields: readonly string[], shape: readonly number[]) => {
  let key = "";
  for (const k of shape) key += `${k}=${fields[k] as string},`;
  return key;
};

/** Indices of the bits of a mask, ascending, counted on from `first`. */
export function bitsOf(mask: number, first = 0): number[] {
  const bits: number[] = [];
  for (let k = 0; k < MAX_FIELDS; k++) if ((mask >>> k) & 1) bits.push(first + k);
  return bits;
}
