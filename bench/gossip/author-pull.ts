// Anchor of body dissemination: headers pushed at once over a mesh, every body asked of its author and of nobody else.
import { averageSpreads, Arrivals, type Spread } from "./arrivals.ts";
import { RPC_BYTES } from "./framing.ts";
import { Network, type LinkModel } from "./network.ts";
import { createTopology, type Topology } from "./topology.ts";
import { drawPublications, isInterested, spaceOut } from "./workload.ts";

/** A body asked for by its hash, and the id of the answer. */
const REQUEST_BYTES = 40;

export interface AuthorPullOptions {
  readonly nodeCount: number;
  readonly seed: number;
  readonly links: LinkModel;
  readonly degree: number;
  readonly headerBytes: number;
  readonly bodyBytes: number;
  /** Share of the nodes that want the body. */
  readonly f: number;
  readonly messageCount: number;
  /** After it, a body that has not come counts as missing; the next message is published. */
  readonly horizonMs: number;
  readonly signal?: AbortSignal;
}

export interface AuthorPullOutcome {
  readonly headers: Spread;
  readonly bodies: Spread;
  readonly bytesPerNodeMessage: number;
}

type Frame = { readonly kind: "header" | "want" | "body"; readonly id: number };
const CLASSES = ["header", "request", "body"] as const;

export async function runAuthorPull(options: AuthorPullOptions): Promise<AuthorPullOutcome> {
  const { nodeCount, messageCount, horizonMs, f } = options;
  const headers = new Arrivals(nodeCount);
  const bodies = new Arrivals(nodeCount);
  const authors: number[] = [];
  const network = new Network<Frame>({
    nodeCount,
    seed: options.seed,
    links: options.links,
    classes: CLASSES,
    receive: (node, from, { kind, id }) => {
      if (network.nowMs > (id + 1) * horizonMs) return;
      if (kind === "want") network.send(node, from, { kind: "body", id }, RPC_BYTES + options.bodyBytes, 2);
      else if (kind === "body") bodies.note(id, node, network.nowMs);
      else if (headers.note(id, node, network.nowMs)) {
        push(network, mesh, node, id, from, options.headerBytes);
        if (isInterested(id, node, f))
          network.send(node, authors[id]!, { kind: "want", id }, RPC_BYTES + REQUEST_BYTES, 1);
      }
    },
  });
  const mesh = createTopology(nodeCount, options.degree, network.random);
  const drawn = drawPublications(network, { count: messageCount, perSecond: 1, fromMs: 0 });
  spaceOut(drawn, horizonMs).forEach(({ author, atMs }, id) =>
    network.after(atMs, () => {
      authors[id] = author;
      headers.publish(id, author, network.nowMs);
      bodies.publish(id, author, network.nowMs);
      push(network, mesh, author, id, -1, options.headerBytes);
    }),
  );
  await network.run(messageCount * horizonMs, options.signal);
  const ids = drawn.map((_, id) => id);
  return {
    headers: averageSpreads(ids.map((id) => headers.spreadOf(id, () => true))),
    bodies: averageSpreads(ids.map((id) => bodies.spreadOf(id, (node) => isInterested(id, node, f)))),
    bytesPerNodeMessage: network.ledger.sentBytes / nodeCount / messageCount,
  };
}

function push(network: Network<Frame>, mesh: Topology, node: number, id: number, from: number, bytes: number): void {
  for (const peer of mesh[node]!)
    if (peer !== from) network.send(node, peer, { kind: "header", id }, RPC_BYTES + bytes, 0);
}
