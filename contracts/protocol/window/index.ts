export * from "./batch.ts";
export * from "./draw.ts";
export * from "./order.ts";
export * from "./time.ts";
