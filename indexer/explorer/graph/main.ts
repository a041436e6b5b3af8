// The trust graph, a script of its own: its groups, and its drawing: sigma draws by WebGL, forceatlas2 lays out a step a frame.
import { DirectedGraph } from "graphology";
import Sigma from "sigma";
import type { TrustEdge } from "./clusters.ts";
import { forceAtlas2 } from "./libraries.ts";

export { clustersOf } from "./clusters.ts";

export interface GraphAgent {
  /** Number of the agent. */
  readonly id: string;
  readonly name: string;
  /** Share of all trust, 0..1. */
  readonly score: number;
  /** Number of its cluster; undefined = none. */
  readonly cluster: number | undefined;
}

interface NodeLook extends Record<string, unknown> {
  x: number;
  y: number;
  size: number;
  color: string;
  label: string;
}

interface EdgeLook extends Record<string, unknown> {
  weight: number;
  size: number;
}

/** Steps of the layout: beyond some hundreds nothing moves that an eye would see. */
const LAYOUT_STEPS = 400;
/** Time of a frame that the layout may take; the rest is for drawing and for the hand that pans. */
const LAYOUT_MS_PER_FRAME = 10;
const MIN_SIZE = 3;
const MAX_SIZE = 18;
const PAN_STEP = 0.1;
const ZOOM_STEP = 1.4;
/** Told apart by people who see colours differently, on light and on dark (Okabe and Ito). */
const CLUSTER_COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7a00", "#7f6fd6"];
const LONER_COLOR = "#8b938f";
/** Seen on both grounds; WebGL adds a half-transparent grey to a white ground and shows nothing. */
const EDGE_COLOR = "#9aa39e";

export const colorOf = (cluster: number | undefined): string =>
  cluster === undefined ? LONER_COLOR : (CLUSTER_COLORS[cluster % CLUSTER_COLORS.length] as string);

/**
 * Draws into an element that has a size: drag to pan, wheel or + and − to zoom, arrows to move, hover to see whose neighbours.
 * @returns ends the drawing and frees the GPU's memory
 */
export function drawGraph(
  element: HTMLElement,
  agents: readonly GraphAgent[],
  edges: readonly TrustEdge[],
  onOpen: (agent: string) => void,
): () => void {
  const graph = createGraph(agents, edges);
  const style = getComputedStyle(element);
  const ink = style.getPropertyValue("color");
  const sigma = new Sigma<NodeLook, EdgeLook>(graph, element, {
    ...{ labelColor: { color: ink }, defaultEdgeColor: EDGE_COLOR, defaultEdgeType: "arrow" },
    ...{ labelRenderedSizeThreshold: 9, hideEdgesOnMove: graph.size > 5_000, zIndex: true },
  });
  const stopLayout = layOut(graph);
  followPointer(sigma, graph);
  followKeys(element, sigma);
  sigma.on("clickNode", ({ node }) => onOpen(node));
  return () => {
    stopLayout();
    sigma.kill();
  };
}

function createGraph(agents: readonly GraphAgent[], edges: readonly TrustEdge[]): DirectedGraph<NodeLook, EdgeLook> {
  const graph = new DirectedGraph<NodeLook, EdgeLook>();
  const highest = Math.max(Number.MIN_VALUE, ...agents.map(({ score }) => score));
  agents.forEach(({ id, name, score, cluster }, k) => {
    // A sunflower's seeds: no two in one place, near those of its cluster's number.
    const [angle, radius] = [k * 2.399963 + (cluster ?? 0), Math.sqrt(k + 1)];
    graph.addNode(id, {
      ...{ x: radius * Math.cos(angle), y: radius * Math.sin(angle), color: colorOf(cluster) },
      size: MIN_SIZE + (MAX_SIZE - MIN_SIZE) * Math.sqrt(score / highest),
      label: name === "" ? `Agent ${id}` : `${name} (${id})`,
    });
  });
  const heaviest = Math.max(1, ...edges.map(({ weight }) => weight));
  for (const { from, to, weight } of edges) {
    if (from !== to && graph.hasNode(from) && graph.hasNode(to))
      graph.mergeEdge(from, to, { weight, size: 0.5 + (2.5 * weight) / heaviest });
  }
  return graph;
}

/** Whoever asked for less motion sees the end of it only. */
function layOut(graph: DirectedGraph<NodeLook, EdgeLook>): () => void {
  const settings = { ...forceAtlas2.inferSettings(graph), adjustSizes: false };
  const step = (iterations: number) =>
    forceAtlas2.assign(graph, {
      iterations,
      settings,
      getEdgeWeight: (edge) => Math.log1p(graph.getEdgeAttribute(edge, "weight")),
    });
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    step(LAYOUT_STEPS);
    return () => undefined;
  }
  let left = LAYOUT_STEPS;
  let frame = requestAnimationFrame(function advance() {
    const untilMs = performance.now() + LAYOUT_MS_PER_FRAME;
    do step(1);
    while (--left > 0 && performance.now() < untilMs);
    if (left > 0) frame = requestAnimationFrame(advance);
  });
  return () => cancelAnimationFrame(frame);
}

/** Hovering leaves only an agent, whom it trusts and who trusts it. */
function followPointer(sigma: Sigma<NodeLook, EdgeLook>, graph: DirectedGraph<NodeLook, EdgeLook>): void {
  let shown: ReadonlySet<string> | undefined;
  const show = (node: string | undefined): void => {
    shown = node === undefined ? undefined : new Set([node, ...graph.neighbors(node)]);
    sigma.setSetting("nodeReducer", (id, look) =>
      shown === undefined || shown.has(id) ? { ...look, forceLabel: shown !== undefined } : { ...look, hidden: true },
    );
    sigma.setSetting("edgeReducer", (edge, look) =>
      node === undefined || graph.hasExtremity(edge, node) ? look : { ...look, hidden: true },
    );
  };
  sigma.on("enterNode", ({ node }) => show(node));
  sigma.on("leaveNode", () => show(undefined));
}

function followKeys(element: HTMLElement, sigma: Sigma<NodeLook, EdgeLook>): void {
  const moves: Record<string, (camera: { x: number; y: number; ratio: number }) => object> = {
    ArrowLeft: ({ x, ratio }) => ({ x: x - PAN_STEP * ratio }),
    ArrowRight: ({ x, ratio }) => ({ x: x + PAN_STEP * ratio }),
    ArrowUp: ({ y, ratio }) => ({ y: y + PAN_STEP * ratio }),
    ArrowDown: ({ y, ratio }) => ({ y: y - PAN_STEP * ratio }),
    "+": ({ ratio }) => ({ ratio: ratio / ZOOM_STEP }),
    "-": ({ ratio }) => ({ ratio: ratio * ZOOM_STEP }),
    "0": () => ({ x: 0.5, y: 0.5, ratio: 1, angle: 0 }),
  };
  element.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (move === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const camera = sigma.getCamera();
    camera.setState(move(camera.getState()));
  });
}
