import { accept, ignore, reject, SuretyError, type Verdict } from "#protocol";

/** One line of a trust graph that others published. */
export interface ImportedRating {
  /** In the file, from 1. */
  readonly line: number;
  readonly source: number;
  readonly target: number;
  /** −100…100 without 0: what the client would give a deal. */
  readonly rating: number;
  /** Unix seconds; undefined where the format has none. */
  readonly timestamp: number | undefined;
}

/** A settled deal that moves the ledger as the rating did. Agents are numbered from 0 in order of first appearance. */
export interface ImportedDeal {
  readonly clientIndex: number;
  readonly providerIndex: number;
  readonly rating: number;
  readonly timestamp: number | undefined;
}

/** No known format has lines near this length: a file without line ends would otherwise fill the memory. */
const MAX_LINE_LENGTH = 1_024;

interface LineFormat {
  readonly columnCount: number;
  readonly separator: RegExp;
  /** Rating of a weight of 1. */
  readonly scale: number;
  readonly hasTime: boolean;
}

/**
 * `source,target,weight,timestamp` with integer weights −10…10 (SNAP soc-sign-bitcoin), `from to weight` with weights up
 * to 1 (KONECT advogato) and `from to` (SNAP wiki-Vote, soc-Epinions1), told apart by the first line that is no comment.
 */
const formats: readonly LineFormat[] = [
  { columnCount: 4, separator: /,/, scale: 10, hasTime: true },
  { columnCount: 3, separator: /[\t ]+/, scale: 100, hasTime: false },
  { columnCount: 2, separator: /[\t ]+/, scale: 100, hasTime: false },
];

const CSV_HEADER = "source,target,weight,timestamp";

/**
 * Reads ratings as a stream: one verdict a line that is neither comment nor header, in the order of the file. A rejected
 * line names its number in `detail` and does not end the stream; a rating of oneself is ignored, as the ledger would.
 * Codes: RATING_FORMAT, RATING_COLUMNS, RATING_ID, RATING_WEIGHT, RATING_TIME, RATING_SELF.
 * @param chunks of UTF-8, cut anywhere @throws SuretyError IMPORT_NOT_TEXT, IMPORT_LINE_TOO_LONG: such a file is no such list
 */
export async function* parseRatings(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Verdict<ImportedRating>> {
  let format: LineFormat | undefined;
  let line = 0;
  for await (const text of linesOf(chunks)) {
    line++;
    if (text === "" || /^[#%]/.test(text) || (format === undefined && text === CSV_HEADER)) continue;
    format ??= formatOf(text);
    if (format === undefined)
      yield bad("RATING_FORMAT", line, "neither four columns by comma nor two or three by space");
    else yield parseLine(text, line, format);
  }
}

function formatOf(text: string): LineFormat | undefined {
  return formats.find(({ columnCount, separator }) => text.split(separator).length === columnCount);
}

function parseLine(text: string, line: number, format: LineFormat): Verdict<ImportedRating> {
  const columns = text.split(format.separator);
  if (columns.length !== format.columnCount) {
    return bad("RATING_COLUMNS", line, `${columns.length} columns, not ${format.columnCount}`);
  }
  const [source, target] = [parseId(columns[0]), parseId(columns[1])];
  if (source === undefined || target === undefined) {
    return bad("RATING_ID", line, `"${columns[0]}" or "${columns[1]}" is no whole number`);
  }
  const rating = parseWeight(columns[2] ?? "1", format.scale);
  if (rating === undefined) return bad("RATING_WEIGHT", line, `"${columns[2]}" is no weight`);
  const timestamp = format.hasTime ? parseTime(columns[3]) : undefined;
  if (format.hasTime && timestamp === undefined) return bad("RATING_TIME", line, `"${columns[3]}" is no Unix time`);
  if (source === target) return ignore("RATING_SELF", `line ${line}: ${source} rates itself`);
  return accept({ line, source, target, rating, timestamp });
}

function bad(code: string, line: number, detail: string): Verdict<never> {
  return reject(code, `line ${line}: ${detail}`);
}

function parseId(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,15}$/.test(text)) return undefined;
  return Number(text);
}

/** @returns a whole rating in −100…100 without 0 */
function parseWeight(text: string, scale: number): number | undefined {
  if (!/^-?(\d+|\d*\.\d+)$/.test(text)) return undefined;
  const rating = Number((Number(text) * scale).toFixed(6));
  return Number.isInteger(rating) && rating !== 0 && Math.abs(rating) <= 100 ? rating : undefined;
}

function parseTime(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,12}(\.\d+)?$/.test(text) ? Math.floor(Number(text)) : undefined;
}

/** Lines without their ends (LF or CRLF); a last line without an end counts, an empty one does not. */
async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decode(decoder, chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield checkLength(line.endsWith("\r") ? line.slice(0, -1) : line);
    checkLength(rest);
  }
  rest += decode(decoder, undefined);
  if (rest !== "") yield checkLength(rest);
}

function decode(decoder: TextDecoder, chunk: Uint8Array | undefined): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (cause) {
    throw new SuretyError("IMPORT_NOT_TEXT", "The file is not UTF-8 text.", {
      next: "Give a list of ratings as text: source,target,weight,timestamp.",
      cause,
    });
  }
}

function checkLength(line: string): string {
  if (line.length <= MAX_LINE_LENGTH) return line;
  throw new SuretyError("IMPORT_LINE_TOO_LONG", `A line is longer than ${MAX_LINE_LENGTH} characters.`, {
    values: { start: line.slice(0, 40) },
    next: "Give a list of ratings with one rating a line.",
  });
}

/** Maps ratings to deals among numbered agents. `sources` tells which person of the file stands behind an agent's number. */
export function planDeals(ratings: Iterable<ImportedRating>): { deals: ImportedDeal[]; sources: number[] } {
  const indexOf = new Map<number, number>();
  const numberOf = (person: number): number => {
    const index = indexOf.get(person) ?? indexOf.size;
    indexOf.set(person, index);
    return index;
  };
  const deals = Array.from(ratings, ({ source, target, rating, timestamp }) => ({
    clientIndex: numberOf(source),
    providerIndex: numberOf(target),
    rating,
    timestamp,
  }));
  return { deals, sources: [...indexOf.keys()] };
}
