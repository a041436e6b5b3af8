export * from "./draft.ts";
export * from "./enforce.ts";
export * from "./finding.ts";
export * from "./lint.ts";
export * from "./render.ts";
export * from "./schema.ts";
export * from "./solve.ts";
export * from "./terms.ts";
