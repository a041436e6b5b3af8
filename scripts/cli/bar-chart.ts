/** One bar, or one group of bars beside each other. */
export interface Bar {
  readonly label: string;
  /** One value for each series. */
  readonly values: readonly number[];
  /** Half the length of the error bar of each value. */
  readonly errors?: readonly number[];
  /** Written behind the bar; default: the value. */
  readonly note?: string;
}

export interface BarChart {
  readonly title: string;
  /** Names of the series; one name shows no legend. */
  readonly series: readonly string[];
  readonly bars: readonly Bar[];
  /** What a value is. */
  readonly unit: string;
}

const WIDTH = 900;
const LABEL_WIDTH = 280;
const NOTE_WIDTH = 150;
const BAR_HEIGHT = 16;
const GAP = 10;
const HEAD = 56;
/** Distinguishable with any colour vision (Okabe and Ito). */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/** Horizontal bars as an SVG that needs nothing but itself. */
export function renderBarChart({ title, series, bars, unit }: BarChart): string {
  const largest = Math.max(
    ...bars.flatMap(({ values, errors }) => values.map((value, k) => Math.abs(value) + (errors?.[k] ?? 0))),
  );
  const scale = (WIDTH - LABEL_WIDTH - NOTE_WIDTH) / (largest > 0 ? largest : 1);
  const groupHeight = series.length * BAR_HEIGHT + GAP;
  const height = HEAD + bars.length * groupHeight + GAP;
  const parts = bars.flatMap((bar, index) => renderGroup(bar, HEAD + index * groupHeight, scale));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#fff"/>`,
    text(10, 20, title, 'font-size="15" font-weight="bold"'),
    ...(series.length > 1 ? series.flatMap(renderKey) : [text(10, 40, unit, 'fill="#555"')]),
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}

function renderKey(name: string, index: number): string[] {
  const x = 10 + index * 170;
  return [rect(x, 32, 10, 10, colourOf(index)), text(x + 15, 41, name, 'fill="#333"')];
}

function renderGroup({ label, values, errors, note }: Bar, top: number, scale: number): string[] {
  const middle = top + (values.length * BAR_HEIGHT) / 2 + 4;
  return [
    text(LABEL_WIDTH - 8, middle, label, 'text-anchor="end"'),
    ...values.flatMap((value, k) => {
      const y = top + k * BAR_HEIGHT;
      const length = Math.abs(value) * scale;
      const error = (errors?.[k] ?? 0) * scale;
      const end = LABEL_WIDTH + length;
      const behind = values.length === 1 && note !== undefined ? note : format(value);
      const whisker =
        error > 0
          ? [
              `<path d="M${px(end - error)} ${y + 7}H${px(end + error)}M${px(end - error)} ${y + 3}v8M${px(end + error)} ${y + 3}v8" stroke="#000"/>`,
            ]
          : [];
      return [
        rect(LABEL_WIDTH, y, length, BAR_HEIGHT - 2, value < 0 ? "#999" : colourOf(k)),
        ...whisker,
        text(end + error + 6, y + 11, behind, 'fill="#333"'),
      ];
    }),
  ];
}

const colourOf = (index: number) => COLOURS[index % COLOURS.length] as string;
const px = (value: number) => value.toFixed(1);
const format = (value: number) => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${px(x)}" y="${px(y)}" width="${px(width)}" height="${height}" fill="${fill}"/>`;
}

function text(x: number, y: number, content: string, attributes: string): string {
  return `<text x="${px(x)}" y="${px(y)}" ${attributes}>${escapeXml(content)}</text>`;
}

function escapeXml(content: string): string {
  return content.replace(/[&<>"]/g, (character) => `&#${character.codePointAt(0)};`);
}
