export * from "./poseidon.ts";
export * from "./state-head.ts";
