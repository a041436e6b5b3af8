// How values are written for people. No DOM here, so that tests read it without a browser.

/** Scores of one topic and epoch sum up to this (SCORE_SUM of #protocol). */
export const SCORE_SUM = 2n ** 62n;
const PERCENT_DIGITS = 4;
const MAX_UINT48 = 2 ** 48 - 1;

/** 0x1234…abcd; short texts stay whole. */
export function shorten(hex: string): string {
  return hex.length <= 14 ? hex : `${hex.slice(0, 6)}…${hex.slice(-4)}`;
}

/** Unix seconds as UTC, to the second. */
export function timeText(seconds: number): string {
  if (seconds >= MAX_UINT48) return "no end";
  const date = new Date(seconds * 1_000);
  return Number.isNaN(date.getTime()) ? `second ${seconds}` : date.toISOString().slice(0, 19).replace("T", " ");
}

const steps = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
] as const;

/** 3 minutes ago, in 2 days, now. */
export function agoText(seconds: number, nowSeconds: number): string {
  const distance = Math.round(nowSeconds - seconds);
  const [size, unit] = steps.find(([length]) => Math.abs(distance) >= length) ?? [1, "second"];
  const count = Math.floor(Math.abs(distance) / size);
  if (count === 0) return "now";
  const words = `${count} ${unit}${count === 1 ? "" : "s"}`;
  return distance > 0 ? `${words} ago` : `in ${words}`;
}

/** A share of SCORE_SUM in percent, with four significant digits. */
export function scoreText(score: bigint): string {
  const percent = Number((score * 10n ** 12n) / SCORE_SUM) / 1e10;
  return percent === 0 ? "0 %" : `${Number(percent.toPrecision(PERCENT_DIGITS))} %`;
}

/** A whole number with thin spaces between its thousands. */
export function countText(count: number | bigint): string {
  return count.toString().replaceAll(/\B(?=(\d{3})+(?!\d))/g, "\u2009");
}

/** An amount in a token's smallest unit as its decimal fraction, without a float in between. */
export function amountText(amount: bigint, decimals: number, symbol: string): string {
  const digits = amount.toString().padStart(decimals + 1, "0");
  const whole = digits.slice(0, digits.length - decimals);
  const places = digits.slice(digits.length - decimals).replace(/0+$/, "");
  return `${countText(BigInt(whole))}${places === "" ? "" : `.${places}`} ${symbol}`;
}

/** A length of time in its largest whole units: 2 days, 90 minutes. */
export function durationText(seconds: number): string {
  const [size, unit] = steps.find(([length]) => seconds >= length && seconds % length === 0) ?? [1, "second"];
  return `${seconds / size} ${unit}${seconds / size === 1 ? "" : "s"}`;
}

/** `31337:12` → `12`. */
export function agentNumber(id: string): string {
  return id.slice(id.indexOf(":") + 1);
}
