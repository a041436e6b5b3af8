export * from "./alive.ts";
export * from "./body.ts";
export * from "./declarations.ts";
export * from "./header.ts";
export * from "./log-state.ts";
export * from "./message.ts";
export * from "./peer-id.ts";
export * as schema from "./schema.ts";
export * from "./sketch.ts";
