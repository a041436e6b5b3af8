/** Children of a heap node: four need half the levels of two, and lie in one cache line. */
const ARITY = 4;
const FIRST_CAPACITY = 1_024;

/** Slots by time, earliest first: a heap over typed arrays, 12 bytes an event. Deterministic: the same pushes give the same pops. */
export class EventQueue {
  #times = new Float64Array(FIRST_CAPACITY);
  #slots = new Int32Array(FIRST_CAPACITY);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Time of the earliest event; Infinity when there is none. */
  get nextTime(): number {
    return this.#size === 0 ? Infinity : (this.#times[0] as number);
  }

  push(time: number, slot: number): void {
    if (this.#size === this.#times.length) this.#grow();
    const times = this.#times;
    const slots = this.#slots;
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const parentTime = times[parent] as number;
      if (parentTime <= time) break;
      times[at] = parentTime;
      slots[at] = slots[parent] as number;
      at = parent;
    }
    times[at] = time;
    slots[at] = slot;
  }

  /** @returns slot of the earliest event; -1 when there is none */
  pop(): number {
    if (this.#size === 0) return -1;
    const first = this.#slots[0] as number;
    const last = --this.#size;
    if (last > 0) this.#sink(this.#times[last] as number, this.#slots[last] as number);
    return first;
  }

  #sink(time: number, slot: number): void {
    const times = this.#times;
    const slots = this.#slots;
    const size = this.#size;
    let at = 0;
    for (let child = 1; child < size; child = at * ARITY + 1) {
      const end = Math.min(child + ARITY, size);
      let least = child;
      for (let other = child + 1; other < end; other++)
        if ((times[other] as number) < (times[least] as number)) least = other;
      if ((times[least] as number) >= time) break;
      times[at] = times[least] as number;
      slots[at] = slots[least] as number;
      at = least;
    }
    times[at] = time;
    slots[at] = slot;
  }

  #grow(): void {
    const times = new Float64Array(2 * this.#times.length);
    const slots = new Int32Array(2 * this.#slots.length);
    times.set(this.#times);
    slots.set(this.#slots);
    this.#times = times;
    this.#slots = slots;
  }
}
