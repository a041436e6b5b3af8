export * from "./batch.ts";
export * from "./draw.ts";
export * from "./order.ts";
export * from "./time.ts";
export * from "./evidence.ts";
export * from "./window-state.ts";
