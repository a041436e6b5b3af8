// A chat endpoint that answers in JSON of a schema: OpenAI-compatible or Anthropic-compatible, by plain fetch. What it answers is a
// stranger's: bounded in size and time, never followed elsewhere, and judged before anything is done with it.
import { accept, reject, SuretyError, type Verdict } from "#protocol";

/** An answer of edits or attacks has a few kilobytes; more is no answer. */
export const MAX_ANSWER_BYTES = 256 * 1_024;
/** Tokens that a model may write: some 30 KB of text. */
const MAX_TOKENS = 8_000;
/** A large model takes a minute or so; a hanging one is not waited for. */
export const ANSWER_TIMEOUT_MS = 120_000;

export type ChatApi = "openai" | "anthropic";

export interface ChatOptions {
  readonly api: ChatApi;
  /** Base address, without the endpoint's own path: https, or http on this machine. */
  readonly url: string;
  readonly model: string;
  /** From the environment only: an argument would stand in the list of processes. */
  readonly apiKey: string;
  readonly timeoutMs?: number;
  readonly fetch?: typeof fetch;
}

export interface Question {
  readonly system: string;
  readonly user: string;
  readonly schemaName: string;
  /** JSON schema of the answer. */
  readonly schema: Readonly<Record<string, unknown>>;
}

/** Rejects ENDPOINT_UNREACHABLE, _TIMEOUT, _STATUS, _TOO_LARGE, _REFUSED, _CUT, _MALFORMED; throws only the caller's own abort. */
export interface Chat {
  readonly name: string;
  ask(question: Question, signal: AbortSignal): Promise<Verdict<unknown>>;
}

/** @throws SuretyError USAGE_MODEL_URL */
export function createChat(options: ChatOptions): Chat {
  const { api, model, apiKey, timeoutMs = ANSWER_TIMEOUT_MS, fetch: send = fetch } = options;
  const url = endpointOf(options);
  const form = forms[api];
  return {
    name: `${api}:${model}`,
    async ask(question, signal) {
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        const response = await send(url, {
          ...{ method: "POST", redirect: "error", signal: AbortSignal.any([signal, timeout]) },
          headers: { "content-type": "application/json", ...form.headers(apiKey) },
          body: JSON.stringify(form.body(model, question)),
        });
        const text = await readBounded(response);
        if (text === undefined) return reject("ENDPOINT_TOO_LARGE", `more than ${MAX_ANSWER_BYTES} bytes`);
        if (!response.ok) return reject("ENDPOINT_STATUS", `HTTP ${response.status}`);
        const parsed = parse(text);
        return parsed.kind === "accept" ? form.read(parsed.value, question) : parsed;
      } catch (cause) {
        signal.throwIfAborted();
        if (timeout.aborted) return reject("ENDPOINT_TIMEOUT", `no answer within ${timeoutMs} ms`);
        // The cause may quote the request's headers: only its name is kept.
        return reject("ENDPOINT_UNREACHABLE", cause instanceof Error ? cause.name : "unknown");
      }
    },
  };
}

interface ChatForm {
  readonly path: string;
  headers(apiKey: string): Record<string, string>;
  body(model: string, question: Question): unknown;
  read(answer: unknown, question: Question): Verdict<unknown>;
}

/** POST /chat/completions with a strict json_schema; the answer is the first choice's text. */
const openai: ChatForm = {
  path: "/chat/completions",
  headers: (apiKey) => ({ authorization: `Bearer ${apiKey}` }),
  body: (model, { system, user, schemaName, schema }) => ({
    ...{ model, max_completion_tokens: MAX_TOKENS },
    messages: [
      { role: "system", content: system },
      { role: "user", content: user },
    ],
    response_format: { type: "json_schema", json_schema: { name: schemaName, strict: true, schema } },
  }),
  read(answer) {
    const choices = fieldOf(answer, "choices");
    const choice = Array.isArray(choices) ? (choices[0] as unknown) : undefined;
    const message = fieldOf(choice, "message");
    const refusal = fieldOf(message, "refusal");
    if (typeof refusal === "string" && refusal !== "") return reject("ENDPOINT_REFUSED", "the model refused");
    if (fieldOf(choice, "finish_reason") === "length") return reject("ENDPOINT_CUT", "the answer was cut off");
    const content = fieldOf(message, "content");
    return typeof content === "string" ? parse(content) : reject("ENDPOINT_MALFORMED", "no text in the first choice");
  },
};

/** POST /v1/messages with one tool that has to be called; the answer is its input. */
const anthropic: ChatForm = {
  path: "/v1/messages",
  headers: (apiKey) => ({ "x-api-key": apiKey, "anthropic-version": "2023-06-01" }),
  body: (model, { system, user, schemaName, schema }) => ({
    ...{ model, max_tokens: MAX_TOKENS, system, messages: [{ role: "user", content: user }] },
    tools: [{ name: schemaName, description: "Gives the answer.", input_schema: schema }],
    tool_choice: { type: "tool", name: schemaName },
  }),
  read(answer, { schemaName }) {
    const reason = fieldOf(answer, "stop_reason");
    if (reason === "refusal") return reject("ENDPOINT_REFUSED", "the model refused");
    if (reason === "max_tokens") return reject("ENDPOINT_CUT", "the answer was cut off");
    const content = fieldOf(answer, "content");
    const call = Array.isArray(content)
      ? (content as unknown[]).find(
          (part) => fieldOf(part, "type") === "tool_use" && fieldOf(part, "name") === schemaName,
        )
      : undefined;
    const input = fieldOf(call, "input");
    return input === undefined ? reject("ENDPOINT_MALFORMED", "the tool was not called") : accept(input);
  },
};

const forms: Readonly<Record<ChatApi, ChatForm>> = { openai, anthropic };

function endpointOf({ api, url }: ChatOptions): string {
  const parsed = URL.parse(url);
  const isLocal = parsed?.hostname === "localhost" || parsed?.hostname === "127.0.0.1" || parsed?.hostname === "[::1]";
  const isSafe = parsed?.protocol === "https:" || (parsed?.protocol === "http:" && isLocal);
  if (parsed === null || !isSafe || parsed.username !== "" || parsed.search !== "") {
    throw new SuretyError("USAGE_MODEL_URL", "The model's address is not one that a key may be sent to.", {
      values: { origin: parsed?.origin ?? "no address" },
      next: "Name an https address, or http on this machine, without user or query.",
    });
  }
  return `${url.replace(/\/+$/, "")}${forms[api].path}`;
}

/** Undefined beyond the limit; what comes after it is not read. */
async function readBounded(response: Response): Promise<string | undefined> {
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  if (response.body === null) return text;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) return undefined;
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function parse(text: string): Verdict<unknown> {
  try {
    return accept(JSON.parse(text) as unknown);
  } catch {
    return reject("ENDPOINT_MALFORMED", "not JSON");
  }
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}
