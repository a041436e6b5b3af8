import { readFileSync } from "node:fs";
import { SuretyError } from "#protocol";
import { MAX_CARD_BYTES, type CardEvidence } from "../audit/card.ts";

/** An agent that does not answer within this is asked again by hand. */
const FETCH_TIMEOUT_MS = 15_000;
const CARD_PATH = "/.well-known/agent-card.json";
const KEYS_PATH = "/.well-known/jwks.json";

/**
 * A card and its keys: from files, or from the agent's own origin. Addresses inside the card are not followed: whoever wrote it
 * would choose whom this machine asks.
 * @throws SuretyError USAGE_CARD_MISSING, USAGE_CARD_URL, CARD_UNREACHABLE
 */
export async function readCard(
  source: string,
  keysFile: string | undefined,
  signal: AbortSignal,
): Promise<CardEvidence> {
  const keys = keysFile === undefined ? undefined : readText(keysFile);
  if (!/^https?:\/\//.test(source)) return { card: readText(source), keys };
  const url = parseUrl(source);
  const card = await fetchText(url.pathname === "/" ? new URL(CARD_PATH, url) : url, signal);
  return { card, keys: keys ?? (await fetchText(new URL(KEYS_PATH, url), signal)) };
}

function parseUrl(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new SuretyError("USAGE_CARD_URL", `${text} is no URL.`, {
    values: { source: text },
    next: "Name the agent's origin, such as https://agent.example, or a file with its card.",
  });
}

async function fetchText(url: URL, signal: AbortSignal): Promise<string> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
  try {
    const response = await fetch(url, { signal: limit, redirect: "error", headers: { "a2a-version": "1.0" } });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    return await textOf(response);
  } catch (cause) {
    signal.throwIfAborted();
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SuretyError("CARD_UNREACHABLE", `${url.href} gives no card: ${reason}.`, {
      values: { url: url.href },
      next: "Name the agent's origin as its registration file has it, or a file with the card.",
      cause,
      isRetryable: true,
    });
  }
}

/** No more of a stranger's answer than a card may have. */
async function textOf(response: Response): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > MAX_CARD_BYTES) throw new Error(`it is larger than ${MAX_CARD_BYTES} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new SuretyError("USAGE_CARD_MISSING", `${file} cannot be read.`, {
      values: { file },
      next: "Name a file with the card or the keys, or the agent's origin as an http URL.",
      cause,
    });
  }
}
