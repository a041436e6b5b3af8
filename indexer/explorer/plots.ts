// Plots as SVG: a handful of marks each, with a text for who does not see them.
import { h, svg, type Child } from "./dom.ts";

const [WIDTH, HEIGHT, MARGIN] = [640, 160, 8];

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly label: string;
}

/** A line through points in ascending x. */
export function lineChart(title: string, points: readonly Point[]): Child {
  const [first, last] = [points[0], points.at(-1)];
  if (first === undefined || last === undefined) return null;
  const top = Math.max(...points.map(({ y }) => y)) || 1;
  const x = (value: number) => MARGIN + ((value - first.x) / (last.x - first.x || 1)) * (WIDTH - 2 * MARGIN);
  const y = (value: number) => HEIGHT - MARGIN - (value / top) * (HEIGHT - 2 * MARGIN);
  const path = points
    .map((point, k) => `${k === 0 ? "M" : "L"}${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`)
    .join("");
  const marks = points.map((point) =>
    svg("circle", { cx: x(point.x), cy: y(point.y), r: 4 }, svg("title", {}, point.label)),
  );
  return figure(title, `${first.label} … ${last.label}`, [svg("path", { d: path, class: "line" }), ...marks]);
}

/** One bar for each value, in the order given. */
export function barChart(title: string, bars: readonly Point[]): Child {
  if (bars.length === 0) return null;
  const top = Math.max(...bars.map(({ y }) => y)) || 1;
  const step = (WIDTH - 2 * MARGIN) / bars.length;
  const marks = bars.map((bar, k) => {
    const height = Math.max((bar.y / top) * (HEIGHT - 2 * MARGIN), 1);
    const [x, y] = [MARGIN + k * step, HEIGHT - MARGIN - height];
    return svg("rect", { x, y, width: Math.max(step - 1, 0.5), height, class: "bar" }, svg("title", {}, bar.label));
  });
  return figure(title, `${bars.length} bars, the highest: ${bars.find(({ y }) => y === top)?.label ?? "0"}`, marks);
}

function figure(title: string, description: string, marks: readonly SVGElement[]): Child {
  const base = svg("line", { x1: MARGIN, x2: WIDTH - MARGIN, y1: HEIGHT - MARGIN, y2: HEIGHT - MARGIN, class: "axis" });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}: ${description}`, class: "plot" },
    base,
    ...marks,
  );
  return h("figure", {}, drawing, h("figcaption", {}, title));
}
