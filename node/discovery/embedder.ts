import { createHash } from "node:crypto";
import { bytesToHex, type Hex } from "viem";
import { sketchOf, sketchSimilarity } from "#protocol";

/** What a text means, in 256 bits, and by whose reckoning: bits of different embedders have nothing to do with each other. */
export interface Sketch {
  readonly embedder: string;
  readonly bits: Hex;
}

/** From texts to sketches. */
export interface Embedder {
  /** Names the model too: other weights are another embedder. */
  readonly id: string;
  /** One sketch a text, in their order. @throws what the model's server or the signal causes */
  sketch(texts: readonly string[], signal: AbortSignal): Promise<readonly Sketch[]>;
}

/** Lexical, without a model, the same everywhere: the sketch of log headers. */
export const LEXICAL = "surety/lexical-simhash-256/1";
export const lexicalEmbedder: Embedder = {
  id: LEXICAL,
  sketch: (texts) => Promise.resolve(texts.map((text) => ({ embedder: LEXICAL, bits: sketchOf(text) }))),
};

/** Texts whose sketches are kept: about 200 bytes each. */
const MAX_CACHED = 16_384;
/** Texts of one request. */
const MAX_BATCH = 128;
/** A text is cut here: models read some 8,000 tokens, and a search waits for them. */
const MAX_TEXT_LENGTH = 4_096;
/** Longest vector that is read; the largest common models have 4,096. */
const MAX_DIMENSIONS = 16_384;
const DEFAULT_TIMEOUT_MS = 2_000;
/** After a failure the server is left alone for so long; the built-in embedder answers meanwhile. */
const REST_MS = 30_000;

export interface EndpointOptions {
  /** Base of an OpenAI-compatible interface, such as `https://api.openai.com/v1`. */
  readonly baseUrl: string;
  readonly model: string;
  /** Bearer key; undefined = none is sent. */
  readonly apiKey: string | undefined;
  /** Default 2,000. */
  readonly timeoutMs?: number;
  readonly nowMs: () => number;
  /** Told why the built-in embedder answers instead. */
  readonly onFault: (fault: unknown) => void;
}

/**
 * Any OpenAI-compatible `/embeddings`. While it fails, all texts of a call are sketched by the built-in embedder: the sketches
 * of one call are always of one embedder.
 */
export function createEndpointEmbedder(options: EndpointOptions): Embedder {
  const { baseUrl, model, nowMs, onFault } = options;
  const id = `${new URL(baseUrl).host}/${model}`;
  const cached = new Map<string, Hex>();
  let restsUntil = 0;
  return {
    id,
    async sketch(texts, signal) {
      const cut = texts.map((text) => text.slice(0, MAX_TEXT_LENGTH) || " ");
      const missing = [...new Set(cut)].filter((text) => !cached.has(text));
      if (missing.length > 0 && nowMs() < restsUntil) return lexicalEmbedder.sketch(texts, signal);
      const known = new Map(cut.flatMap((text) => (cached.has(text) ? [[text, cached.get(text) as Hex]] : [])));
      try {
        for (let at = 0; at < missing.length; at += MAX_BATCH) {
          const batch = missing.slice(at, at + MAX_BATCH);
          const bits = await embed(batch, options, signal);
          batch.forEach((text, i) => known.set(text, bits[i] as Hex));
        }
      } catch (fault) {
        signal.throwIfAborted();
        restsUntil = nowMs() + REST_MS;
        onFault(fault);
        return lexicalEmbedder.sketch(texts, signal);
      }
      for (const [text, bits] of known) remember(cached, text, bits);
      return cut.map((text) => ({ embedder: id, bits: known.get(text) as Hex }));
    },
  };
}

/** @throws Error when the answer is none */
async function embed(
  input: readonly string[],
  { baseUrl, model, apiKey, timeoutMs = DEFAULT_TIMEOUT_MS }: EndpointOptions,
  signal: AbortSignal,
): Promise<Hex[]> {
  const response = await fetch(`${baseUrl.replace(/\/$/, "")}/embeddings`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
    },
    body: JSON.stringify({ model, input, encoding_format: "float" }),
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  });
  if (!response.ok) throw new Error(`the embedder answered ${response.status}`);
  const { data: rows } = (await response.json()) as { data?: unknown };
  if (!Array.isArray(rows) || rows.length !== input.length) throw new Error("the embedder answered no list of so many");
  const bits: Hex[] = [];
  for (const row of rows as { index?: unknown; embedding?: unknown }[]) {
    if (!Number.isInteger(row.index) || !isVector(row.embedding)) throw new Error("the embedder answered no vectors");
    bits[row.index as number] = foldVector(row.embedding);
  }
  if (Object.keys(bits).length !== input.length) throw new Error("the embedder answered one text twice");
  return bits;
}

const isVector = (value: unknown): value is number[] =>
  Array.isArray(value) && value.length > 0 && value.length <= MAX_DIMENSIONS && value.every((x) => Number.isFinite(x));

/** Signs of 256 projections on vectors of ±1, fixed for each dimension (Charikar 2002): Hamming distance tells the angle. */
export function foldVector(vector: readonly number[]): Hex {
  const sums = new Float64Array(256);
  vector.forEach((value, dimension) => {
    const plane = planeOf(dimension);
    for (let bit = 0; bit < 256; bit++) sums[bit] = (sums[bit] as number) + (isSet(plane, bit) ? value : -value);
  });
  const bits = new Uint8Array(32);
  sums.forEach((sum, bit) => {
    if (sum > 0) bits[bit >> 3] = (bits[bit >> 3] as number) | (0x80 >> (bit & 7));
  });
  return bytesToHex(bits);
}

const planes: Uint8Array[] = [];
function planeOf(dimension: number): Uint8Array {
  return (planes[dimension] ??= createHash("sha256").update(`surety plane ${dimension}`).digest());
}
const isSet = (bytes: Uint8Array, bit: number): boolean => ((bytes[bit >> 3] as number) & (0x80 >> (bit & 7))) !== 0;

/** Estimate of the cosine, 0…1; undefined where two embedders made them. */
export function similarityOf(a: Sketch, b: Sketch): number | undefined {
  return a.embedder === b.embedder ? sketchSimilarity(a.bits, b.bits) : undefined;
}

function remember(map: Map<string, Hex>, text: string, bits: Hex): void {
  map.delete(text);
  map.set(text, bits);
  const oldest = map.keys().next();
  if (map.size > MAX_CACHED && oldest.done !== true) map.delete(oldest.value);
}
