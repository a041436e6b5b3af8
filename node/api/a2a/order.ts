import type { Message, Part } from "@a2a-js/sdk";
import { accept, reject, type Verdict } from "#protocol";
import type { Decision, Order } from "../../desk/desk.ts";

// What an A2A client's message asks for. Everything in it is a stranger's: a value that is judged, never one that throws.

/** Parts of one message that are read. */
const MAX_PARTS = 16;
const MAX_TEXT = 16_384;
const MAX_TITLE = 80;

/** An order that may lack its topic: who writes plain text does not know the network's words. */
export type MessageOrder = Omit<Order, "topic" | "maxPriceWei"> & {
  readonly topic: string | undefined;
  readonly maxPriceWei: bigint | undefined;
};

type Fields = Readonly<Record<string, unknown>>;

/** A text, an object as a data part, or both: the object is the order, the text its title. */
export function readOrder(message: Message): Verdict<MessageOrder> {
  const read = readParts(message);
  if (read.kind !== "accept") return read;
  const { text, fields } = read.value;
  if (fields === undefined && text === "") return reject("MESSAGE_EMPTY", "the message has neither text nor an object");
  const { input, title = titleOf(text), topic, query, review } = fields ?? {};
  if (fields !== undefined && input === undefined) return reject("INPUT_MISSING", "the object has no input");
  const texts = { title, topic, query };
  const wrong = Object.entries(texts).find(([, value]) => value !== undefined && !isText(value, 512));
  if (wrong !== undefined) return reject("FIELD_TEXT", `${wrong[0]} is not a text of 1 to 512 characters`);
  const numbers = readNumbers(fields ?? {});
  if (numbers.kind !== "accept") return numbers;
  return accept({
    ...numbers.value,
    title: title as string,
    topic: topic as string | undefined,
    input: input ?? text,
    // Without a word of its own the order is for whoever offers its topic.
    ...(typeof query === "string" ? { query } : title === titleOf("") ? { query: "" } : {}),
    isReviewed: review === true,
  });
}

/** What a client answers when it is asked to judge: `{ accept: true, rating }`, `{ dispute: reason }`, or "accept 90". */
export function readDecision(message: Message): Verdict<Decision> {
  const read = readParts(message);
  if (read.kind !== "accept") return read;
  const { text, fields } = read.value;
  const [, said, number = "0"] = /^(accept)(?:\s+(-?\d{1,3}))?$/i.exec(text.trim()) ?? [];
  const { accept: isAccepted = said !== undefined, rating = Number(number), dispute } = fields ?? {};
  if (isText(dispute, 1_024)) return accept({ action: "dispute", reason: dispute });
  const isRating = Number.isInteger(rating) && Math.abs(rating as number) <= 100;
  if (isAccepted === true && isRating) return accept({ action: "accept", rating: rating as number });
  return reject("DECISION_UNCLEAR", "say { accept: true, rating: -100…100 } or { dispute: a reason }");
}

function readParts({ parts }: Message): Verdict<{ text: string; fields: Fields | undefined }> {
  if (parts.length > MAX_PARTS) return reject("PARTS_TOO_MANY", `${parts.length} parts of ${MAX_PARTS}`);
  const text = parts.flatMap(textOf).join("\n");
  if (text.length > MAX_TEXT) return reject("TEXT_TOO_LONG", `${text.length} characters of ${MAX_TEXT}`);
  const objects = parts.flatMap(({ content }) => (content?.$case === "data" ? [content.value as unknown] : []));
  const [fields] = objects;
  if (objects.length > 1) return reject("DATA_TWICE", "more than one object");
  if (objects.length === 1 && !isObject(fields)) return reject("DATA_SHAPE", "the data part is no object");
  return accept({ text, fields: fields as Fields | undefined });
}

function readNumbers(fields: Fields) {
  const { maxPriceWei, valuePerQualityWei, submitWithinSeconds, minScore } = fields;
  for (const [name, value] of Object.entries({ maxPriceWei, valuePerQualityWei })) {
    if (value === undefined || (typeof value === "string" && /^\d{1,78}$/.test(value))) continue;
    return reject("FIELD_AMOUNT", `${name} is not a decimal integer as text`);
  }
  const isSpan = (value: unknown) => Number.isInteger(value) && (value as number) >= 5 && (value as number) <= 86_400;
  if (submitWithinSeconds !== undefined && !isSpan(submitWithinSeconds)) {
    return reject("FIELD_SECONDS", "submitWithinSeconds is not an integer from 5 to 86400");
  }
  const isShare = typeof minScore === "number" && minScore >= 0 && minScore <= 1;
  if (minScore !== undefined && !isShare) return reject("FIELD_SHARE", "minScore is not a number from 0 to 1");
  return accept({
    maxPriceWei: typeof maxPriceWei === "string" ? BigInt(maxPriceWei) : undefined,
    ...(typeof valuePerQualityWei === "string" ? { valuePerQualityWei: BigInt(valuePerQualityWei) } : {}),
    ...(submitWithinSeconds === undefined ? {} : { submitWithinSeconds: submitWithinSeconds as number }),
    ...(isShare ? { minScore } : {}),
  });
}

const textOf = ({ content }: Part): string[] =>
  content?.$case === "text" && typeof content.value === "string" ? [content.value] : [];
const isText = (value: unknown, max: number): value is string =>
  typeof value === "string" && value.length > 0 && value.length <= max;
const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
const titleOf = (text: string): string => (text.split("\n")[0] ?? "").slice(0, MAX_TITLE).toWellFormed() || "task";
