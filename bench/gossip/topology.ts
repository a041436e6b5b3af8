/** Neighbours of every node, ascending and mutual. */
export type Topology = readonly Int32Array[];

/**
 * Rings in random order laid over each other: everybody has `degree` neighbours, less the few pairs that lie in two rings, and the
 * whole is connected. @param degree even
 */
export function createTopology(nodeCount: number, degree: number, random: () => number): Topology {
  const neighbours = Array.from({ length: nodeCount }, () => new Set<number>());
  for (let ring = 0; ring < degree / 2; ring++) {
    const order = shuffle(nodeCount, random);
    for (let k = 0; k < nodeCount; k++) {
      const [a, b] = [order[k]!, order[(k + 1) % nodeCount]!];
      if (a === b) continue;
      neighbours[a]!.add(b);
      neighbours[b]!.add(a);
    }
  }
  return neighbours.map((set) => Int32Array.from(set).sort());
}

/** Sum of both ends' links: twice the number of links. */
export const countLinkEnds = (topology: Topology): number => topology.reduce((sum, list) => sum + list.length, 0);

/** 0 … count − 1 in random order (Fisher and Yates). */
export function shuffle(count: number, random: () => number): Int32Array {
  const order = Int32Array.from({ length: count }, (_, k) => k);
  for (let k = count - 1; k > 0; k--) {
    const other = Math.floor(random() * (k + 1));
    [order[k], order[other]] = [order[other]!, order[k]!];
  }
  return order;
}

/** @returns at most `count` of the list, without repetition */
export function draw(list: ArrayLike<number>, count: number, random: () => number): number[] {
  const rest = Array.from(list);
  const drawn: number[] = [];
  while (drawn.length < count && rest.length > 0) {
    const at = Math.floor(random() * rest.length);
    drawn.push(rest[at]!);
    rest[at] = rest.at(-1)!;
    rest.pop();
  }
  return drawn;
}
