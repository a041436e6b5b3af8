// Two plots as plain SVG: no script, no font but the reader's, light or dark as the reader's page is.
import type { RunReport } from "./report.ts";

const WIDTH = 760;
const HEIGHT = 300;
const LEFT = 190;
const TOP = 44;
const BOTTOM = 44;
const INK = "#5f6672";
const BEFORE = "#c8553d";
const AFTER = "#2f7f79";

/** Loss of the strongest attack on each iteration's rules, and of the worst archived one once they were edited. */
export function plotLoss({ state }: RunReport): string {
  const found = state.iterations.map(({ lossWei }) => Number(lossWei) / 1e6);
  const worst = state.iterations.map(({ worstWei }) => Number(worstWei) / 1e6);
  const max = niceMax(Math.max(1, ...found, ...worst));
  const left = 70;
  const right = WIDTH - 20;
  const bottom = HEIGHT - BOTTOM;
  const x = (k: number) => left + ((right - left) * (k + 0.5)) / Math.max(1, found.length);
  const y = (value: number) => bottom - ((bottom - TOP) * Math.max(0, value)) / max;
  const marks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * max);
  const path = (values: readonly number[]) =>
    values.map((value, k) => `${k === 0 ? "M" : "L"}${x(k).toFixed(1)} ${y(value).toFixed(1)}`).join(" ");
  const dots = (values: readonly number[], colour: string) =>
    values.map((value, k) => `<circle cx="${x(k).toFixed(1)}" cy="${y(value).toFixed(1)}" r="3.5" fill="${colour}"/>`);
  return svg(HEIGHT, "Loss by iteration, in whole tokens", [
    ...marks.flatMap((mark) => [
      `<line x1="${left}" x2="${right}" y1="${y(mark).toFixed(1)}" y2="${y(mark).toFixed(1)}" stroke="${INK}" stroke-opacity=".2"/>`,
      text(left - 8, y(mark) + 4, compact(mark), "end"),
    ]),
    ...found.map((_, k) => text(x(k), bottom + 18, `${k + 1}`, "middle")),
    `<path d="${path(found)}" fill="none" stroke="${BEFORE}" stroke-width="2"/>`,
    `<path d="${path(worst)}" fill="none" stroke="${AFTER}" stroke-width="2" stroke-dasharray="5 3"/>`,
    ...dots(found, BEFORE),
    ...dots(worst, AFTER),
    ...legend(left, [
      ["strongest attack found", BEFORE],
      ["worst of the archive after the edit", AFTER],
    ]),
  ]);
}

/** The strongest attack of each family, before and after, in markets that the loop never saw. */
export function plotFamilies({ judgement }: RunReport): string {
  const { before, after } = judgement.heldOut;
  const names = [...new Set([...before.families, ...after.families].map(({ attack }) => attack.family))];
  const lossIn = (families: typeof before.families, name: string) =>
    Number(families.find(({ attack }) => attack.family === name)?.lossWei ?? 0n) / 1e6;
  const rows = names.map((name) => ({ name, was: lossIn(before.families, name), is: lossIn(after.families, name) }));
  const max = niceMax(Math.max(1, ...rows.flatMap(({ was, is }) => [was, is])));
  const rowHeight = 30;
  const height = TOP + rows.length * rowHeight + BOTTOM;
  const right = WIDTH - 70;
  const length = (value: number) => ((right - LEFT) * Math.max(0, value)) / max;
  const bar = (value: number, y: number, colour: string) => [
    `<rect x="${LEFT}" y="${y}" width="${length(value).toFixed(1)}" height="10" rx="2" fill="${colour}"/>`,
    text(LEFT + length(value) + 6, y + 9, compact(value), "start"),
  ];
  return svg(height, "Loss by family of attack, in whole tokens", [
    ...rows.flatMap(({ name, was, is }, k) => {
      const y = TOP + k * rowHeight;
      return [text(LEFT - 10, y + 15, name, "end"), ...bar(was, y, BEFORE), ...bar(is, y + 12, AFTER)];
    }),
    ...legend(LEFT, [
      ["before", BEFORE],
      ["after the loop", AFTER],
    ]),
  ]);
}

function legend(x: number, entries: readonly (readonly [string, string])[]): string[] {
  return entries.flatMap(([label, colour], k) => [
    `<rect x="${x + k * 210}" y="28" width="12" height="6" rx="2" fill="${colour}"/>`,
    text(x + k * 210 + 18, 35, label, "start"),
  ]);
}

function svg(height: number, title: string, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12">`,
    `<title>${title}</title>`,
    `<text x="16" y="18" fill="${INK}" font-weight="600">${title}</text>`,
    ...body,
    "</svg>\n",
  ].join("\n");
}

function text(x: number, y: number, content: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${INK}" text-anchor="${anchor}">${content}</text>`;
}

/** 1, 2 or 5 times a power of ten, at least as large. */
function niceMax(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

const compact = (value: number) =>
  Math.abs(value) >= 1_000 ? `${Math.round(value / 100) / 10}k` : `${Math.round(value)}`;
