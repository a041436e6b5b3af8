import { sketchOf, sketchSimilarity, tokensOf } from "#protocol";
import type { Hex } from "viem";

/** Share of the rank that an agent without a score keeps: newcomers are listed behind, never nowhere. */
export const SCORE_FLOOR = 0.05;
/** A log that was silent this long counts half. */
const LIVENESS_HALF_LIFE_MS = 6 * 3_600_000;
/** Words found say more than a sketch, which also gives near words their share. */
const WORD_SHARE = 0.7;

export interface Query {
  readonly tokens: readonly string[];
  readonly sketch: Hex;
}

/** A question in words, cut as texts are cut. */
export function parseQuery(text: string): Query {
  const tokens = [...new Set(tokensOf(text))];
  return { tokens, sketch: sketchOf(tokens.join(" ")) };
}

/** How well a text answers a query, 0…1; 1 for a query without words, which asks for everything. */
export function matchOf(query: Query, text: string, sketch: Hex): number {
  if (query.tokens.length === 0) return 1;
  const words = new Set(tokensOf(text));
  const found = query.tokens.filter((token) => words.has(token)).length;
  const share = found / query.tokens.length;
  return WORD_SHARE * share + (1 - WORD_SHARE) * sketchSimilarity(query.sketch, sketch);
}

/** How fresh the last sign of life is, 0…1. */
export function livenessOf(silentMs: number): number {
  return 2 ** (-Math.max(0, silentMs) / LIVENESS_HALF_LIFE_MS);
}

export function rankOf(match: number, score: number, liveness: number): number {
  return match * (SCORE_FLOOR + (1 - SCORE_FLOOR) * score) * liveness;
}
