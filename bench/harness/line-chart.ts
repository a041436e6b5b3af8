/** A value with half the length of its error bar. */
export interface Point {
  readonly x: number;
  readonly y: number;
  readonly error: number;
}

export interface LineChart {
  readonly title: string;
  readonly xName: string;
  readonly yName: string;
  readonly lines: readonly { readonly name: string; readonly points: readonly Point[] }[];
  /** Numbers that others published: dashed, at this height. */
  readonly marks: readonly { readonly name: string; readonly y: number }[];
}

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [460, 300, 56, 14, 64, 44];
const TICKS = 5;
/** Distinguishable with any colour vision (Okabe and Ito). */
const COLOURS = ["#999999", "#e69f00", "#0072b2"];
const PAPER = "#d55e00";

/** Charts beside each other, two in a row, as an SVG that needs nothing but itself. */
export function renderLineCharts(charts: readonly LineChart[]): string {
  const height = Math.ceil(charts.length / 2) * HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${2 * WIDTH}" height="${height}" viewBox="0 0 ${2 * WIDTH} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    ...charts.flatMap((chart, k) => [
      `<g transform="translate(${(k % 2) * WIDTH} ${Math.floor(k / 2) * HEIGHT})">`,
      ...renderChart(chart),
      "</g>",
    ]),
    "</svg>",
    "",
  ].join("\n");
}

function renderChart({ title, xName, yName, lines, marks }: LineChart): string[] {
  const points = lines.flatMap((line) => line.points);
  const xTop = Math.max(...points.map(({ x }) => x));
  const yTop = Math.max(...points.map(({ y, error }) => y + error), ...marks.map(({ y }) => y)) * 1.05;
  const at = (x: number) => LEFT + (x / xTop) * (WIDTH - LEFT - RIGHT);
  const up = (y: number) => HEIGHT - BOTTOM - (y / yTop) * (HEIGHT - TOP - BOTTOM);
  const ticks = Array.from({ length: TICKS + 1 }, (_, k) => k / TICKS);
  return [
    text(10, 18, title, 'font-size="13" font-weight="bold"'),
    ...lines.flatMap(({ name }, k) => key(10 + k * 105, name, colourOf(k), "")),
    ...marks.flatMap(({ name }) => key(10 + lines.length * 105, name, PAPER, 'stroke-dasharray="4 3"')),
    ...ticks.flatMap((share) => [
      text(LEFT - 6, up(share * yTop) + 4, (share * yTop).toFixed(2), 'text-anchor="end" fill="#555"'),
      text(at(share * xTop), HEIGHT - BOTTOM + 16, label(share * xTop), 'text-anchor="middle" fill="#555"'),
      path(`M${px(LEFT)} ${px(up(share * yTop))}H${px(WIDTH - RIGHT)}`, "#e5e5e5", ""),
    ]),
    text((LEFT + WIDTH) / 2, HEIGHT - 8, xName, 'text-anchor="middle"'),
    text(10, TOP - 14, yName, 'fill="#555"'),
    ...marks.map(({ y }) => path(`M${px(LEFT)} ${px(up(y))}H${px(WIDTH - RIGHT)}`, PAPER, 'stroke-dasharray="4 3"')),
    ...lines.flatMap((line, k) => [
      path(
        line.points.map(({ x, y }, n) => `${n === 0 ? "M" : "L"}${px(at(x))} ${px(up(y))}`).join(""),
        colourOf(k),
        'stroke-width="1.8"',
      ),
      ...line.points.map(({ x, y, error }) =>
        path(
          `M${px(at(x))} ${px(up(y - error))}V${px(up(y + error))}M${px(at(x) - 3)} ${px(up(y - error))}h6M${px(at(x) - 3)} ${px(up(y + error))}h6`,
          colourOf(k),
          "",
        ),
      ),
    ]),
  ];
}

const colourOf = (index: number) => COLOURS[index % COLOURS.length] as string;
const px = (value: number) => value.toFixed(1);
const label = (value: number) => (value > 2 ? value.toFixed(0) : value.toFixed(2));

function key(x: number, name: string, colour: string, more: string): string[] {
  return [path(`M${x} 33h14`, colour, `stroke-width="2" ${more}`), text(x + 18, 37, name, 'fill="#333"')];
}

function path(d: string, colour: string, more: string): string {
  return `<path d="${d}" fill="none" stroke="${colour}" ${more}/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  const escaped = content.replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`);
  return `<text x="${px(x)}" y="${px(y)}" ${attributes}>${escaped}</text>`;
}
