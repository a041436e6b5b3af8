/** What a node writes about itself: one JSON line an event, for people with grep and for programs. */
export interface Journal {
  note(event: string, values?: Readonly<Record<string, unknown>>): void;
  /** Something of ours failed; the node goes on. */
  fault(event: string, error: unknown): void;
}

export function createJournal(name: string, write: (line: string) => void): Journal {
  const line = (event: string, values: Readonly<Record<string, unknown>>) =>
    write(JSON.stringify({ time: new Date().toISOString(), agent: name, event, ...values }, asText));
  return {
    note: (event, values = {}) => line(event, values),
    fault: (event, error) => {
      const { code, values, next } = error as { code?: unknown; values?: unknown; next?: unknown };
      const message = error instanceof Error ? error.message : String(error);
      line(event, { level: "fault", message, code, values, next });
    },
  };
}

/** For JSON.stringify: 256-bit numbers are decimal text. */
export const asText = (_: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);
