export * from "./draft.ts";
export * from "./schema.ts";
export * from "./terms.ts";
