export * from "./canonical-json.ts";
export * from "./checkpoint.ts";
export * from "./code.ts";
export * from "./config.ts";
export * from "./field-proof.ts";
export * from "./ignore.ts";
export * from "./manifest.ts";
export * from "./merkle.ts";
