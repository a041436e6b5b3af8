export * from "./award.ts";
export * from "./certificate.ts";
export * from "./limits.ts";
export * from "./mechanism.ts";
export * from "./messages.ts";
export * from "./rules.ts";
export * from "./strict-cbor.ts";
export * from "./struct-codec.ts";
