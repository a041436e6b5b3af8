import type { Network } from "./network.ts";

/** One entry that somebody publishes. */
export interface Publication {
  readonly author: number;
  readonly atMs: number;
}

/** Publications of living authors, evenly drawn, Poisson at `perSecond` over the whole network from `fromMs` on. */
export function drawPublications<Frame>(
  network: Network<Frame>,
  { count, perSecond, fromMs }: { readonly count: number; readonly perSecond: number; readonly fromMs: number },
): Publication[] {
  let atMs = fromMs;
  return Array.from({ length: count }, () => {
    let author = Math.floor(network.random() * network.nodeCount);
    while (network.isDead(author)) author = Math.floor(network.random() * network.nodeCount);
    const publication = { author, atMs };
    atMs += (-Math.log(1 - network.random()) * 1_000) / perSecond;
    return publication;
  });
}

/** Publications far enough apart that none meets another: how the anchors were measured. */
export function spaceOut(publications: readonly Publication[], gapMs: number): Publication[] {
  return publications.map(({ author }, k) => ({ author, atMs: k * gapMs }));
}

/** Whether a node wants a body: the same share `f` of all for each message, mixed from both numbers. */
export function isInterested(message: number, node: number, f: number): boolean {
  let hash = Math.imul(message + 1, 0x9e3779b1) ^ Math.imul(node + 1, 0x85ebca77);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32 < f;
}

/** Silences a share of the nodes, unknown to their neighbours. */
export function killShare<Frame>(network: Network<Frame>, share: number): void {
  for (let node = 0; node < network.nodeCount; node++) if (network.random() < share) network.kill(node);
}
