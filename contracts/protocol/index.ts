export * from "./deployment.ts";
export * from "./errors.ts";
export * from "./generated/abis.ts";
export * from "./generated/structs.ts";
export * from "./identity.ts";
export * from "./keys.ts";
export * from "./topic.ts";
export * from "./typed-data.ts";
