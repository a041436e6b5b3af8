import { sketchOf, sketchSimilarity, tokensOf } from "#protocol";
import type { Hex } from "viem";

/** Share of the rank that an agent without a score keeps: newcomers are listed behind, never nowhere. */
export const SCORE_FLOOR = 0.05;
/** Share of the rank that an agent keeps which did not answer: listed behind, where it is listed at all. */
const STALE_SHARE = 0.05;
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

/** Whether a text has a word of the query at all, as the full-text index asks. */
export function sharesWord({ tokens }: Query, text: string): boolean {
  if (tokens.length === 0) return true;
  const words = new Set(tokensOf(text));
  return tokens.some((token) => words.has(token));
}

/** How well a text answers a query, 0…1; 1 for a query without words, which asks for everything. */
export function matchOf(query: Query, text: string, sketch: Hex): number {
  return query.tokens.length === 0 ? 1 : mixedMatch(query, text, sketchSimilarity(query.sketch, sketch));
}

/** @param near how near the text's meaning is to the query's, 0…1, by one embedder */
export function mixedMatch(query: Query, text: string, near: number): number {
  const words = new Set(tokensOf(text));
  const share = query.tokens.filter((token) => words.has(token)).length / query.tokens.length;
  return WORD_SHARE * share + (1 - WORD_SHARE) * near;
}

/** 1 for an answer just given, falling to ½ at the end of its ttl, and a small share for who gave none that counts. */
export function livenessOf(ageMs: number | undefined, ttlMs: number): number {
  return ageMs === undefined ? STALE_SHARE : 1 - Math.min(1, Math.max(0, ageMs) / ttlMs) / 2;
}

export function rankOf(match: number, score: number, liveness: number): number {
  return match * (SCORE_FLOOR + (1 - SCORE_FLOOR) * score) * liveness;
}
